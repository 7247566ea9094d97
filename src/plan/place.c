/* Offsets of buffers in the one arena: one after the other, each in the smallest gap that is free for its whole life; in the order, of
   those tried, that gives the smallest arena. Of several ranks, sums that are on their way to others keep their places longer where that costs
   little: the backward pass goes on elsewhere meanwhile. */
#include "base/mem.h"
#include "plan/part.h"
#include "plan/plan.h"

#define ALIGN_BYTES 64

static int64_t align_to(int64_t bytes, int64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

static int64_t align(int64_t bytes)
{
    return align_to(bytes, ALIGN_BYTES);
}

typedef struct sort_key {
    int64_t rank, bytes; /* large ones first */
    int32_t buffer;
} sort_key;

static int by_rank(const void *a, const void *b)
{
    const sort_key *x = a, *y = b;
    if (x->rank != y->rank) return x->rank < y->rank ? 1 : -1;
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
    const int64_t need = align(buffer->bytes), unit = buffer->is_paged ? FARI_PAGE_BYTES : ALIGN_BYTES;
    int64_t top = 0, best = -1, best_gap = INT64_MAX;
    for (int64_t i = 0; i < count; i++) {
        const fari_buffer *other = &plan->buffers[list[i]];
        if (!lives_overlap(buffer, other)) continue;
        const int64_t gap = other->offset - top;
        if (gap >= need && gap < best_gap) {
            best = top;
            best_gap = gap;
        }
        if (other->offset + align(other->bytes) > top) top = align_to(other->offset + align(other->bytes), unit);
    }
    return best >= 0 ? best : top;
}

typedef struct placing {
    fari_plan *plan;
    int32_t
        *sum_last;  /* [buffer_count] last turn of sums that travel between ranks, -1: another buffer; NULL: one rank */
    sort_key *keys; /* [count] of the arena's buffers */
    int32_t *placed; /* [count] */
    int64_t count, bytes;
} placing;

/* In which order buffers get their places. */
typedef enum placing_order {
    LARGEST_FIRST, /* images of one level are of one size: gaps fit */
    LONGEST_FIRST, /* the longest lives below, the short ones above them; those of next to no size last */
    ORDER_COUNT
} placing_order;

#define SMALL_SHARE 4096 /* of all bytes together */

static int64_t rank_of(const placing *p, const fari_buffer *buffer, placing_order order)
{
    const int64_t turns = p->plan->turn_count;
    if (order == LARGEST_FIRST || buffer->bytes < p->bytes / SMALL_SHARE) return 0;
    return 1 + (buffer->last_turn < turns ? buffer->last_turn : turns) - buffer->first_turn;
}

/* Gives the size of the arena. */
static int64_t place_all(placing *p, placing_order order)
{
    int64_t top = 0;
    for (int64_t i = 0; i < p->count; i++) p->keys[i].rank = rank_of(p, &p->plan->buffers[p->keys[i].buffer], order);
    qsort(p->keys, (size_t)p->count, sizeof *p->keys, by_rank);
    for (int64_t i = 0; i < p->count; i++) {
        fari_buffer *buffer = &p->plan->buffers[p->keys[i].buffer];
        buffer->offset = best_offset(p->plan, p->placed, i, buffer);
        insert_by_offset(p->plan, p->placed, i, p->keys[i].buffer);
        if (buffer->offset + align(buffer->bytes) > top) top = buffer->offset + align(buffer->bytes);
    }
    return top;
}

/* The order that gives the smallest arena, the first among equals; gives its size. */
static int64_t place_best(placing *p)
{
    placing_order best = LARGEST_FIRST, now = LARGEST_FIRST;
    int64_t least = INT64_MAX;
    for (int32_t order = 0; order < ORDER_COUNT; order++) {
        now = (placing_order)order;
        const int64_t top = place_all(p, now);
        if (top >= least) continue;
        least = top;
        best = now;
    }
    return now == best ? least : place_all(p, best);
}

/* ---- sums on their way ---- */

#define TRAVEL_SHARE 0.04 /* of the arena: so much more is taken for it */

/* Nodes that a sum's place outlives its last use, in the walk, the most first. */
static const int32_t travel_turns[] = { 1 << 20, 128, 64, 32, 16, 8, 4 };

static bool is_sum(const fari_plan *plan, const fari_buffer *buffer)
{
    if (buffer->base != FARI_BASE_ARENA || buffer->is_kept) return false;
    return buffer->kind == FARI_BUFFER_PARTIAL || plan->graph->tensors[buffer->tensor]->batch_of == 0;
}

static far_status find_travelling(placing *p)
{
    const fari_plan *plan = p->plan;
    if (plan->part == NULL) return FAR_OK;
    p->sum_last = fari_alloc((size_t)(plan->buffer_count + 1) * sizeof *p->sum_last);
    if (p->sum_last == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory to place %lld buffers", (long long)plan->buffer_count);
    for (int64_t b = 0; b < plan->buffer_count; b++) p->sum_last[b] = -1;
    for (int64_t i = 0; i < plan->instr_count; i++) {
        if (plan->instrs[i].kind != FARI_INSTR_SEND && plan->instrs[i].kind != FARI_INSTR_RECV) continue;
        for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++) {
            const int32_t b = plan->accesses[a].buffer;
            if (is_sum(plan, &plan->buffers[b])) p->sum_last[b] = plan->buffers[b].last_turn;
        }
    }
    return FAR_OK;
}

static void keep_longer(placing *p, int32_t turns)
{
    const int32_t end = p->plan->turn_count - 1;
    for (int64_t b = 0; b < p->plan->buffer_count; b++) {
        if (p->sum_last[b] < 0) continue;
        const int32_t room = end - p->sum_last[b];
        p->plan->buffers[b].last_turn = p->sum_last[b] + (turns < room ? turns : room > 0 ? room : 0);
    }
}

/* As long as the arena allows. */
static int64_t place_travelling(placing *p)
{
    const fari_spill_config *spill = &p->plan->opts.spill;
    const int64_t least = place_best(p);
    int64_t most = least + (int64_t)(TRAVEL_SHARE * (double)least);
    if (spill->mode == FARI_SPILL_AUTO && most > spill->arena_limit) most = spill->arena_limit;
    if (p->sum_last == NULL || spill->mode == FARI_SPILL_MOST || most <= least) return least;
    for (size_t i = 0; i < FAR_COUNT(travel_turns); i++) {
        keep_longer(p, travel_turns[i]);
        const int64_t bytes = place_best(p);
        if (bytes <= most) return bytes;
    }
    keep_longer(p, 0);
    return place_best(p);
}

/* The store's buffers lie side by side. */
static void place_store(fari_plan *plan)
{
    plan->store_bytes = 0;
    for (int64_t i = 0; i < plan->buffer_count; i++) {
        fari_buffer *buffer = &plan->buffers[i];
        if (buffer->base != FARI_BASE_STORE) continue;
        buffer->offset = plan->store_bytes;
        plan->store_bytes += align(buffer->bytes);
    }
}

static void collect(placing *p, fari_base base)
{
    fari_plan *plan = p->plan;
    p->count = p->bytes = 0;
    for (int64_t i = 0; i < plan->buffer_count; i++) {
        fari_buffer *buffer = &plan->buffers[i];
        if (buffer->base != base) continue;
        if (buffer->last_turn < 0)
            buffer->first_turn = buffer->last_turn = 0; /* never touched: takes part for order's sake */
        if (buffer->is_kept) buffer->last_turn = INT32_MAX;
        p->keys[p->count++] = (sort_key){ .bytes = buffer->bytes, .buffer = (int32_t)i };
        p->bytes += buffer->bytes;
    }
}

far_status fari_plan_place_buffers(fari_plan *plan)
{
    placing p = { .plan = plan };
    far_status st = FAR_OK;
    p.keys = fari_alloc((size_t)(plan->buffer_count + 1) * sizeof *p.keys);
    p.placed = fari_alloc((size_t)(plan->buffer_count + 1) * sizeof *p.placed);
    if (p.keys == NULL || p.placed == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to place %lld buffers", (long long)plan->buffer_count);
    } else {
        place_store(plan);
        collect(&p, FARI_BASE_SPILL);
        plan->spill_bytes = place_best(&p);
        collect(&p, FARI_BASE_ARENA);
        st = find_travelling(&p);
        if (st == FAR_OK) plan->arena_bytes = place_travelling(&p);
    }
    fari_free(p.sum_last);
    fari_free(p.keys);
    fari_free(p.placed);
    return st;
}
