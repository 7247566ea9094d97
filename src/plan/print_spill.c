/* What waits on disk. */
#include "plan/print.h"
#include <inttypes.h>

#define LISTED 4

/* The largest buffer in the file that comes behind `before` in the list; -1: none. */
static int64_t next_largest(const fari_plan *plan, int64_t before)
{
    int64_t best = -1;
    for (int64_t b = 0; b < plan->buffer_count; b++) {
        const int64_t bytes = plan->buffers[b].bytes;
        if (plan->buffers[b].base != FARI_BASE_SPILL) continue;
        if (before >= 0 &&
            (bytes > plan->buffers[before].bytes || (bytes == plan->buffers[before].bytes && b <= before)))
            continue;
        if (best < 0 || bytes > plan->buffers[best].bytes) best = b;
    }
    return best;
}

void fari_plan_print_spill_text(const fari_plan *plan, fari_text *text)
{
    char bytes[32];
    int64_t count = 0, sum = 0, listed = -1;
    for (int64_t b = 0; b < plan->buffer_count; b++) {
        if (plan->buffers[b].base != FARI_BASE_SPILL) continue;
        count++;
        sum += plan->buffers[b].bytes;
    }
    if (count == 0) return;
    fari_text_add(text, "spill            %" PRId64 " tensors of %s wait on disk", count, fari_bytes_text(sum, bytes));
    fari_text_add(text, ", in %s of it; ", fari_bytes_text(plan->spill_bytes, bytes));
    fari_text_add(text, "%s go there in a step", fari_bytes_text(plan->written_bytes, bytes));
    fari_text_add(text, ", %s come back\n", fari_bytes_text(plan->read_bytes, bytes));
    for (int32_t i = 0; i < LISTED && (listed = next_largest(plan, listed)) >= 0; i++) {
        const fari_buffer *b = &plan->buffers[listed];
        fari_text_add(text, "    %-9s    %s\n", fari_bytes_text(b->bytes, bytes),
                      plan->graph->tensors[b->tensor]->name);
    }
}
