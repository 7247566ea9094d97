/* Offsets of buffers in the one arena: large buffers first, each at the lowest place that is free for its whole life. */
#include "base/mem.h"
#include "plan/plan.h"

#define ALIGN_BYTES 64

static int64_t align(int64_t bytes)
{
    return (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

typedef struct sort_key {
    int64_t bytes;
    int32_t buffer;
} sort_key;

static int by_size(const void *a, const void *b)
{
    const sort_key *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

static bool lives_overlap(const fari_buffer *a, const fari_buffer *b)
{
    return a->first_turn <= b->last_turn && b->first_turn <= a->last_turn;
}

/* Placed buffers in the order of their offsets; `list` has room for one more. */
static void insert_by_offset(const fari_plan *plan, int32_t *list, int64_t count, int32_t buffer)
{
    int64_t at = count;
    while (at > 0 && plan->buffers[list[at - 1]].offset > plan->buffers[buffer].offset) {
        list[at] = list[at - 1];
        at--;
    }
    list[at] = buffer;
}

/* The smallest gap that holds the buffer, lowest first among equals; else above everything that lives at the same time. */
static int64_t best_offset(const fari_plan *plan, const int32_t *list, int64_t count, const fari_buffer *buffer)
{
    const int64_t need = align(buffer->bytes);
    int64_t top = 0, best = -1, best_gap = INT64_MAX;
    for (int64_t i = 0; i < count; i++) {
        const fari_buffer *other = &plan->buffers[list[i]];
        if (!lives_overlap(buffer, other)) continue;
        const int64_t gap = other->offset - top;
        if (gap >= need && gap < best_gap) {
            best = top;
            best_gap = gap;
        }
        if (other->offset + align(other->bytes) > top) top = other->offset + align(other->bytes);
    }
    return best >= 0 ? best : top;
}

far_status fari_plan_place_buffers(fari_plan *plan)
{
    sort_key *keys = fari_alloc((size_t)(plan->buffer_count + 1) * sizeof *keys);
    int32_t *placed = fari_alloc((size_t)(plan->buffer_count + 1) * sizeof *placed);
    int64_t key_count = 0, placed_count = 0;
    far_status st = FAR_OK;
    if (keys == NULL || placed == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to place %lld buffers", (long long)plan->buffer_count);
        goto done;
    }
    for (int64_t i = 0; i < plan->buffer_count; i++) {
        fari_buffer *buffer = &plan->buffers[i];
        if (buffer->base == FARI_BASE_STORE) {
            buffer->offset = plan->store_bytes;
            plan->store_bytes += align(buffer->bytes);
            continue;
        }
        if (buffer->last_turn < 0)
            buffer->first_turn = buffer->last_turn = 0; /* never touched: takes part for order's sake */
        if (buffer->is_kept) buffer->last_turn = INT32_MAX;
        keys[key_count++] = (sort_key){ buffer->bytes, (int32_t)i };
    }
    qsort(keys, (size_t)key_count, sizeof *keys, by_size);
    for (int64_t i = 0; i < key_count; i++) {
        fari_buffer *buffer = &plan->buffers[keys[i].buffer];
        buffer->offset = best_offset(plan, placed, placed_count, buffer);
        insert_by_offset(plan, placed, placed_count++, keys[i].buffer);
        if (buffer->offset + align(buffer->bytes) > plan->arena_bytes)
            plan->arena_bytes = buffer->offset + align(buffer->bytes);
    }
done:
    fari_free(keys);
    fari_free(placed);
    return st;
}
