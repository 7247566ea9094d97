/* The order of every sum across grains: a left-complete binary tree (the left child has the largest power of two of leaves that is
   smaller than the whole), so the order depends on the number of leaves alone. */
#include "plan/plan.h"
#include <string.h>

#define FRUGAL_SLOTS_EXTRA 2 /* leaves that may be in work beyond what one thread in order would hold */
#define SLOTS_MAX 64

static int64_t log2_ceil(int64_t n)
{
    int64_t log = 0;
    while ((INT64_C(1) << log) < n) log++;
    return log;
}

/* Frugal: room for one thread working in order and a little more; else a slot a leaf, so that all may run at once. */
int64_t fari_tree_slots(int64_t leaf_count, bool is_frugal)
{
    const int64_t frugal = log2_ceil(leaf_count) + 1 + FRUGAL_SLOTS_EXTRA;
    return is_frugal && frugal < leaf_count ? frugal : leaf_count;
}

/* Free slots, taken in the order in which they were given back: the longest unused first, so that work overlaps most. */
typedef struct slot_queue {
    int64_t slot[SLOTS_MAX * 2];
    int64_t head, count;
} slot_queue;

static int64_t slot_acquire(slot_queue *queue)
{
    FAR_ASSERT(queue->count > 0);
    const int64_t slot = queue->slot[queue->head];
    queue->head = (queue->head + 1) % (int64_t)FAR_COUNT(queue->slot);
    queue->count--;
    return slot;
}

static void slot_return(slot_queue *queue, int64_t slot)
{
    queue->slot[(queue->head + queue->count++) % (int64_t)FAR_COUNT(queue->slot)] = slot;
}

static far_status subtree(slot_queue *queue, const fari_tree_visitor *v, int64_t first, int64_t count,
                          int64_t *slot_out)
{
    if (count == 1) {
        *slot_out = slot_acquire(queue);
        return v->leaf(v->ctx, first, *slot_out);
    }
    int64_t left_count = 1, left_slot = 0, right_slot = 0;
    while (left_count * 2 < count) left_count *= 2;
    FAR_TRY(subtree(queue, v, first, left_count, &left_slot));
    FAR_TRY(subtree(queue, v, first + left_count, count - left_count, &right_slot));
    FAR_TRY(v->combine(v->ctx, left_slot, right_slot));
    slot_return(queue, right_slot);
    *slot_out = left_slot;
    return FAR_OK;
}

far_status fari_tree_visit(int64_t leaf_count, bool is_frugal, const fari_tree_visitor *visitor)
{
    slot_queue queue = { .head = 0 };
    int64_t root = 0;
    const int64_t slots = fari_tree_slots(leaf_count, is_frugal);
    FAR_ASSERT(leaf_count >= 1 && slots <= SLOTS_MAX);
    for (int64_t i = 0; i < slots; i++) slot_return(&queue, i);
    FAR_TRY(subtree(&queue, visitor, 0, leaf_count,
                    &root)); /* the first leaf takes slot 0 and every combine keeps the left one */
    FAR_ASSERT(root == 0);
    return FAR_OK;
}
