/* Ready instructions, smallest key first: the key is in the high half of an entry, the instruction in the low half. */
#ifndef FARI_RUN_READY_HEAP_H
#define FARI_RUN_READY_HEAP_H
#include <stdint.h>

/* `heap` has room for one more. */
static inline void fari_ready_push(uint64_t *heap, int64_t *count_io, uint64_t entry)
{
    int64_t at = (*count_io)++;
    while (at > 0 && heap[(at - 1) / 2] > entry) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = entry;
}

static inline int32_t fari_ready_pop(uint64_t *heap, int64_t *count_io)
{
    const uint64_t top = heap[0], last = heap[--*count_io];
    int64_t at = 0;
    for (int64_t child = 1; child < *count_io; child = 2 * at + 1) {
        if (child + 1 < *count_io && heap[child + 1] < heap[child]) child++;
        if (last <= heap[child]) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return (int32_t)(top & UINT32_MAX);
}
#endif
