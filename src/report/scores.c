/* Scores of the last evaluation: a table of the overall ones, bars for those of classes. */
#include "base/status.h"
#include "report/chart.h"
#include "report/page.h"
#include <math.h>
#include <string.h>

#define BARS_MAX 256

/* "iou/cosmic": the group is "iou". */
static size_t group_bytes(const fari_series *series)
{
    const char *slash;
    if (strncmp(series->name, "eval/", 5) != 0) return 0;
    slash = strchr(series->name + 5, '/');
    return slash != NULL ? (size_t)(slash - series->name - 5) : 0;
}

static bool is_groups_first(const fari_table *table, int64_t idx)
{
    const size_t bytes = group_bytes(&table->series[idx]);
    if (bytes == 0) return false;
    for (int64_t i = 0; i < idx; i++)
        if (group_bytes(&table->series[i]) == bytes &&
            memcmp(table->series[i].name, table->series[idx].name, bytes + 5) == 0)
            return false;
    return true;
}

/* Numbers of classes become their names where the run knows them. */
static const char *class_name(const fari_record *record, const char *name, char text_out[96])
{
    int64_t idx = 0;
    return fari_parse_i64(name, &idx) ? fari_class_text(record, idx, text_out) : name;
}

static void group_write(fari_html *html, const fari_record *record, int64_t first)
{
    const fari_table *table = &record->table;
    fari_bar bars[BARS_MAX];
    char texts[BARS_MAX][FARI_SHORT_TEXT], names[BARS_MAX][96], head[128];
    const size_t bytes = group_bytes(&table->series[first]);
    int32_t count = 0;
    double full = 1.0;
    for (int64_t i = first; i < table->count && count < BARS_MAX; i++) {
        const fari_series *s = &table->series[i];
        if (group_bytes(s) != bytes || memcmp(s->name, table->series[first].name, bytes + 5) != 0) continue;
        bars[count] = (fari_bar){ class_name(record, s->name + 5 + bytes + 1, names[count]), s->last,
                                  fari_short_text(s->last, 4, texts[count]) };
        full = fmax(full, isfinite(s->last) ? s->last : 0.0);
        count++;
    }
    (void)snprintf(head, sizeof head, "%.*s", (int)bytes, table->series[first].name + 5);
    fari_bars_write(html, "class", head, bars, count, full);
}

void fari_page_scores(fari_html *html, const fari_record *record)
{
    const fari_table *table = &record->table;
    fari_html_put(html, "<div class=\"charts\">\n");
    for (int64_t i = 0; i < table->count; i++)
        if (is_groups_first(table, i)) group_write(html, record, i);
    fari_html_put(html, "</div>\n");
}
