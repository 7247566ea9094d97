/* What <farandole/extend.h> lends to builders outside the library. */
#include "base/status.h"
#include "base/text.h"
#include "graph/graph.h"
#include <farandole/extend.h>
#include <stdarg.h>

#define WORDS_BYTES 1024 /* as a message's */

far_status far_fail(far_status status, const char *fmt, ...)
{
    char words[WORDS_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    return FAR_FAIL(status, "%s", words);
}

far_value far_graph_fail(far_graph *graph, far_status status, const char *fmt, ...)
{
    char words[WORDS_BYTES];
    va_list args;
    if (graph->status != FAR_OK) return FAR_NO_VALUE; /* the first failure stays, and so do its words */
    va_start(args, fmt);
    (void)vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    return fari_graph_fail(graph, FAR_FAIL(status, "%s", words));
}

far_value far_graph_fail_last(far_graph *graph, far_status status)
{
    return fari_graph_fail(graph, status);
}

void far_graph_fail_prefix(far_graph *graph, const char *fmt, ...)
{
    char words[WORDS_BYTES];
    va_list args;
    if (graph->status == FAR_OK) return;
    va_start(args, fmt);
    (void)vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    fari_error_restore(&graph->error);
    (void)fari_error_prefix(graph->status, "%s", words);
    fari_error_save(&graph->error);
}

int far_word_distance(const char *a, const char *b)
{
    return fari_edit_distance(a, b);
}
