/* Combinations of a sum's partials: left becomes left + right, in the order of tree.c. Over ranks, a combination of two partials runs
   where they are; where they lie on two ranks, each takes half of the elements over, so that what travels shares the links: the ranks
   end with a piece of the result each, and hand it out (recursive halving, as of an all-reduce; Rabenseifner 2004). The order of additions of an
   element is the tree's, whoever adds. Of small sums on few ranks everybody gets all partials and adds them up itself: latency counts, and that is half as
   many messages one after the other as to the one that adds and back. */
#include "plan/lower.h"

#define SPLIT_BYTES 131072 /* shorter ranges go whole to the holder of the left partial: latency counts there */
#define ALIGN_BYTES 64

/* Slot `slot` as an operand of a combination: bytes of output k. */
static int64_t combine_view(const fari_reduction *red, int64_t slot, int32_t k, fari_view *view_out,
                            int32_t *buffer_out)
{
    fari_lower_slot(red, slot, k, view_out, buffer_out);
    if (red->is_packed)
        *view_out = (fari_view){ view_out->data, FAR_F32, FARI_ROW_MAJOR, 1, { red->slot_bytes / 4 }, 0, 1, 0, 0 };
    return fari_lower_view_bytes(view_out);
}

/* Elements that lie at bytes [lo, hi) of a view. */
static fari_view range_of(const fari_view *view, int64_t lo, int64_t hi)
{
    return (fari_view){ .data = (void *)((uintptr_t)view->data + (uintptr_t)lo), /* NOLINT: an offset */
                        .dtype = view->dtype,
                        .ndim = 1,
                        .dim = { (hi - lo) / far_dtype_bytes(view->dtype) },
                        .rows_total = 1 };
}

static far_status begin_combine(const fari_lowering *low)
{
    fari_plan *plan = low->plan;
    FAR_TRY(fari_lower_begin(plan, FARI_INSTR_COMBINE, low->node->id));
    fari_instr *instr = &plan->instrs[plan->instr_count - 1];
    instr->run = low->node->op->combine;
    instr->aux = low->node->op->combine == NULL;
    return FAR_OK;
}

/* All outputs of two slots, on one rank. */
static far_status combine_whole(const fari_reduction *red, int64_t left, int64_t right, int32_t rank)
{
    fari_lowering *low = red->low;
    const int32_t out_count = low->node->out_count;
    fari_view view;
    int32_t buffer = -1;
    for (int32_t k = 0; k < 2 * out_count; k++) {
        const int64_t bytes = combine_view(red, k < out_count ? left : right, k % out_count, &view, &buffer);
        FAR_TRY(fari_walk_need(low, buffer, &view, bytes, rank));
    }
    fari_walk_next(low);
    for (int32_t k = 0; k < out_count; k++) {
        const int64_t bytes = combine_view(red, left, k, &view, &buffer);
        FAR_TRY(fari_walk_made(low, buffer, &view, bytes, rank));
    }
    if (!fari_walk_is_own(low, rank)) return FAR_OK;
    FAR_TRY(begin_combine(low));
    for (int32_t k = 0; k < 2 * out_count;
         k++) { /* inputs first: the right partial; then the left one, which takes it in */
        const int64_t bytes = combine_view(red, k < out_count ? right : left, k % out_count, &view, &buffer);
        FAR_TRY(fari_lower_view(low->plan, buffer, &view, bytes, k >= out_count));
    }
    return fari_walk_note(low);
}

/* Bytes [lo, hi) of two slots of a plain sum. */
typedef struct ranges {
    fari_view to, from;
    int32_t to_buffer, from_buffer;
    int64_t bytes;
} ranges;

static ranges ranges_of(const fari_reduction *red, int64_t left, int64_t right, int64_t lo, int64_t hi)
{
    ranges r = { .to_buffer = -1, .from_buffer = -1, .bytes = hi - lo };
    (void)combine_view(red, left, 0, &r.to, &r.to_buffer);
    (void)combine_view(red, right, 0, &r.from, &r.from_buffer);
    r.to = range_of(&r.to, lo, hi);
    r.from = range_of(&r.from, lo, hi);
    return r;
}

static far_status need_ranges(fari_lowering *low, const ranges *r, int32_t rank)
{
    FAR_TRY(fari_walk_need(low, r->to_buffer, &r->to, r->bytes, rank));
    return fari_walk_need(low, r->from_buffer, &r->from, r->bytes, rank);
}

/* On one rank, that has both. */
static far_status combine_ranges(fari_lowering *low, const ranges *r, int32_t rank)
{
    fari_walk_next(low);
    FAR_TRY(fari_walk_made(low, r->to_buffer, &r->to, r->bytes, rank));
    if (!fari_walk_is_own(low, rank)) return FAR_OK;
    FAR_TRY(begin_combine(low));
    FAR_TRY(fari_lower_view(low->plan, r->from_buffer, &r->from, r->bytes, false));
    FAR_TRY(fari_lower_view(low->plan, r->to_buffer, &r->to, r->bytes, true));
    return fari_walk_note(low);
}

#define ALIKE_RANKS 4     /* on more, too many messages */
#define ALIKE_BYTES 65536 /* of a partial: statistics, losses, gradients of norms */

/* Whether every rank adds up alike. */
static bool is_added_by_all(const fari_reduction *red)
{
    const fari_plan *plan = red->low->plan;
    return fari_mesh_ranks(&plan->opts.mesh) <= ALIKE_RANKS && red->slot_bytes <= ALIKE_BYTES &&
           fari_tensor_of(plan->graph, red->low->node->out[0])->batch_of == 0;
}

static bool is_plain(const fari_reduction *red)
{
    return red->low->node->op->combine == NULL && red->low->node->out_count == 1;
}

/* Who made bytes [at, *end_io) of a slot: the end comes down to where somebody else's begin. */
static int32_t maker_of(const fari_reduction *red, int64_t slot, int64_t at, int64_t *end_io)
{
    fari_view view;
    int32_t buffer = -1;
    const int64_t bytes = combine_view(red, slot, 0, &view, &buffer);
    return fari_walk_maker(red->low, buffer, &view, at, *end_io < bytes ? *end_io : bytes, end_io);
}

/* The one rank that made all of both slots; FARI_SEVERAL_RANKS: there is none. */
#define FARI_SEVERAL_RANKS (-2)
static int32_t common_maker(const fari_reduction *red, int64_t left, int64_t right)
{
    fari_view view;
    int32_t buffer = -1;
    const int64_t bytes = combine_view(red, left, 0, &view, &buffer);
    int64_t left_end = bytes, right_end = bytes;
    const int32_t a = maker_of(red, left, 0, &left_end), b = maker_of(red, right, 0, &right_end);
    return a == b && left_end == bytes && right_end == bytes ? a : FARI_SEVERAL_RANKS;
}

/* Two partials that lie on several ranks. */
static far_status combine_across(const fari_reduction *red, int64_t left, int64_t right)
{
    fari_lowering *low = red->low;
    fari_view view;
    int32_t buffer = -1;
    const int64_t bytes = combine_view(red, left, 0, &view, &buffer);
    if (is_added_by_all(red)) return combine_whole(red, left, right, FARI_EVERY_RANK);
    if (!is_plain(red)) {
        int64_t end = bytes;
        return combine_whole(red, left, right, maker_of(red, left, 0, &end));
    }
    for (int64_t at = 0, end = bytes; at < bytes; at = end, end = bytes) {
        const int32_t a = maker_of(red, left, at, &end), b = maker_of(red, right, at, &end);
        const int64_t half = at + (end - at) / 2 / ALIGN_BYTES * ALIGN_BYTES;
        const int64_t border = a == b || end - at < 2 * SPLIT_BYTES ? end : half;
        const ranges first = ranges_of(red, left, right, at, border), second = ranges_of(red, left, right, border, end);
        FAR_TRY(need_ranges(low, &first, a)); /* both before either sum: they travel at the same time */
        if (border < end) FAR_TRY(need_ranges(low, &second, b));
        FAR_TRY(combine_ranges(low, &first, a));
        if (border < end) FAR_TRY(combine_ranges(low, &second, b));
    }
    return FAR_OK;
}

far_status fari_lower_combine(void *ctx, int64_t left, int64_t right)
{
    fari_reduction *red = ctx;
    if (red->low->walk.flow == NULL) return combine_whole(red, left, right, 0);
    const int32_t height = red->height[left] > red->height[right] ? red->height[left] : red->height[right];
    const int32_t rank = height > 0 ? FARI_SEVERAL_RANKS : common_maker(red, left, right);
    if (rank != FARI_SEVERAL_RANKS) return combine_whole(red, left, right, rank);
    if (red->is_frugal) return combine_across(red, left, right); /* slots are taken again: no putting off */
    red->height[left] = height + 1;
    red->waiting[red->waiting_count].left = left;
    red->waiting[red->waiting_count].right = right;
    red->waiting[red->waiting_count++].height = height + 1;
    return FAR_OK;
}

far_status fari_lower_combine_rest(fari_reduction *red, int32_t height)
{
    for (int32_t i = 0; i < red->waiting_count; i++)
        if (red->waiting[i].height == height) FAR_TRY(combine_across(red, red->waiting[i].left, red->waiting[i].right));
    return FAR_OK;
}
