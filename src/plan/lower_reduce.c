/* Sums across grains: each leaf a call or a few, then the combining calls of the tree, in the order of tree.c. */
#include "base/mem.h"
#include "plan/lower.h"
#include <string.h>

void fari_lower_slot(const fari_reduction *red, int64_t slot, int32_t k, fari_view *view_out, int32_t *buffer_out)
{
    const fari_plan *plan = red->low->plan;
    *view_out = red->out[k];
    if (slot == 0 && !red->is_packed) {
        *buffer_out = plan->tensor_buffer[red->low->node->out[k]];
        return;
    }
    const int64_t first = red->is_packed ? 0 : 1;
    *buffer_out = red->partials;
    view_out->data = (void *)(uintptr_t)((slot - first) * red->slot_bytes + red->slot_offset[k]); /* NOLINT */
}

/* Grain `g` of the segment as a call. */
static void reduce_call(const fari_reduction *red, int64_t g, fari_call *call)
{
    const fari_lowering *low = red->low;
    const fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    const int64_t grain = red->grain0 + g;
    if (node->op->kind == FARI_CHUNK_REDUCE) {
        const int64_t elems = fari_lower_elems(plan, node->in[0]), lo = grain * FARI_CHUNK_ELEMS * red->run;
        const int64_t hi = lo + FARI_CHUNK_ELEMS * red->run;
        fari_lower_chunk_call(low, lo, hi < elems ? hi : elems, call);
        return;
    }
    const fari_grains *table = &plan->grains[red->domain];
    const fari_grain_range range =
        fari_lower_grain(plan, red->domain, grain / table->row_count, grain % table->row_count);
    *call = (fari_call){ .node = node, .attr = node->attr, .in_count = node->in_count, .out_count = node->out_count };
    for (int32_t k = 0; k < node->in_count; k++)
        call->in[k] = fari_lower_window(low, k, fari_tensor_of(plan->graph, red->domain), &range);
}

/* Grain `g` of the segment is computed where the domain's grain is. */
static int32_t rank_of_grain(const fari_reduction *red, int64_t g)
{
    const fari_lowering *low = red->low;
    const fari_grains *table = &low->plan->grains[red->domain];
    const int64_t grain = red->grain0 + g;
    if (low->walk.flow == NULL) return 0;
    if (fari_tensor_of(low->plan->graph, red->domain)->batch_of == 0) return fari_walk_rank_of_whole(low);
    return fari_rank_of_grain(low->plan, red->domain, grain / table->row_count, grain % table->row_count);
}

/* Partials of one sum have one layout, or adding them up would give numbers without meaning. */
static far_status check_layout(const fari_reduction *red, int64_t before)
{
    const fari_plan *plan = red->low->plan;
    for (int64_t i = before; i < plan->instr_count; i++) {
        const fari_instr *instr = &plan->instrs[i];
        if (instr->kind != FARI_INSTR_CALL) continue;
        const bool is_packed = plan->prepared[instr->prepared].partial_bytes > 0;
        if (is_packed != red->is_packed)
            return FAR_FAIL(FAR_E_INTERNAL, "%s: a grain's partial sums are %s, its siblings' are not",
                            red->low->node->name, is_packed ? "packed" : "plain");
    }
    return FAR_OK;
}

static far_status reduce_leaf(void *ctx, int64_t leaf, int64_t slot)
{
    const fari_reduction *red = ctx;
    const bool is_chunked = red->low->node->op->kind == FARI_CHUNK_REDUCE;
    const int64_t run = is_chunked ? 1 : red->run, first = leaf * run;
    const int64_t last = first + run < red->grain_count ? first + run : red->grain_count;
    for (int64_t g = first; g < last; g++) {
        fari_call call;
        int32_t out_buffer[FARI_OUT_MAX];
        reduce_call(red, g, &call);
        call.accumulate = g > first;
        for (int32_t k = 0; k < call.out_count; k++) fari_lower_slot(red, slot, k, &call.out[k], &out_buffer[k]);
        const int64_t before = red->low->plan->instr_count;
        FAR_TRY(fari_lower_call(red->low, &call, out_buffer, rank_of_grain(red, g)));
        FAR_TRY(check_layout(red, before));
    }
    return FAR_OK;
}

/* The root as the plain tensor, where the root is; where ranks have a piece each, on every rank. */
static far_status reduce_unpack(const fari_reduction *red, int32_t prepared)
{
    fari_lowering *low = red->low;
    fari_plan *plan = low->plan;
    const fari_view *to = &red->out[0];
    const int32_t to_buffer = plan->tensor_buffer[low->node->out[0]];
    const int64_t to_bytes = fari_lower_view_bytes(to);
    fari_view from = *to;
    int64_t end = 0;
    from.data = NULL;
    int32_t rank = fari_walk_maker(low, red->partials, &from, 0, red->slot_bytes, &end);
    if (end < red->slot_bytes) rank = FARI_EVERY_RANK;
    FAR_TRY(fari_walk_need(low, red->partials, &from, red->slot_bytes, rank));
    fari_walk_next(low);
    FAR_TRY(fari_walk_made(low, to_buffer, to, to_bytes, rank));
    if (!fari_walk_is_own(low, rank)) return FAR_OK;
    FAR_TRY(fari_lower_begin(plan, FARI_INSTR_UNPACK, low->node->id));
    plan->instrs[plan->instr_count - 1].prepared = prepared;
    FAR_TRY(fari_lower_view(plan, red->partials, &from, red->slot_bytes, false));
    FAR_TRY(fari_lower_view(plan, to_buffer, to, to_bytes, true));
    return fari_walk_note(low);
}

#define PARTIALS_FREE_BYTES \
    (INT64_C(32) << 20) /* below this every leaf has a slot; above, few slots are reused in order */
#define LEAVES_BIG_BYTES (INT64_C(16) << 20) /* partials above this size have at most LEAVES_BIG leaves */
#define LEAVES_BIG 8

static int64_t align64(int64_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Sizes of partials and slots; asks the backend on the first grain whether partials are packed. */
static far_status reduction_begin(fari_reduction *red, int32_t *prepared_out)
{
    fari_plan *plan = red->low->plan;
    const fari_node *node = red->low->node;
    fari_call call;
    reduce_call(red, 0, &call);
    for (int32_t k = 0; k < call.in_count; k++) call.in[k].data = NULL;
    for (int32_t k = 0; k < call.out_count; k++) {
        call.out[k] = red->out[k];
        call.out[k].data = NULL;
    }
    const int64_t reference_before = plan->reference_calls; /* this question is not a call */
    FAR_TRY(fari_lower_prepare(plan, &call, prepared_out));
    plan->reference_calls = reference_before;
    red->is_packed = plan->prepared[*prepared_out].partial_bytes > 0;
    red->slot_bytes = 0;
    for (int32_t k = 0; k < node->out_count; k++) {
        red->slot_offset[k] = red->slot_bytes;
        red->slot_bytes += align64(fari_lower_view_bytes(&red->out[k]));
    }
    if (red->is_packed) red->slot_bytes = align64((int64_t)plan->prepared[*prepared_out].partial_bytes);
    return FAR_OK;
}

/* What ranks do alone is done; the rest comes with that of other sums. */
static far_status put_off(fari_reduction *red)
{
    fari_lowering *low = red->low;
    if (!fari_reserve((void **)&low->waiting, &low->waiting_cap, low->waiting_count + 1, sizeof(fari_reduction)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory to plan for ranks");
    red->partial_data = low->walk.partial_data;
    low->waiting[low->waiting_count++] = *red;
    return FAR_OK;
}

bool fari_lower_awaits_sums(const fari_lowering *low, const fari_node *node)
{
    for (int64_t i = 0; i < low->waiting_count; i++) {
        const fari_node *sum = low->waiting[i].node;
        for (int32_t k = 0; k < sum->out_count; k++) {
            for (int32_t m = 0; m < node->in_count; m++)
                if (node->in[m] == sum->out[k]) return true;
            for (int32_t m = 0; m < node->out_count; m++)
                if (node->out[m] == sum->out[k]) return true;
        }
    }
    return false;
}

/* The lowering stands at the waiting sum `red` again. */
static void go_back(fari_lowering *low, const fari_reduction *red)
{
    low->node = red->node;
    low->walk.partial_data = red->partial_data;
    low->walk.partial_buffer = red->partials;
    low->walk.packed_bytes = red->is_packed ? red->slot_bytes : 0;
}

far_status fari_lower_finish_sums(fari_lowering *low)
{
    const fari_node *node = low->node;
    int32_t highest = 0;
    for (int64_t i = 0; i < low->waiting_count; i++)
        for (int32_t k = 0; k < low->waiting[i].waiting_count; k++)
            if (low->waiting[i].waiting[k].height > highest) highest = low->waiting[i].waiting[k].height;
    for (int32_t height = 1; height <= highest; height++)
        for (int64_t i = 0; i < low->waiting_count; i++) {
            go_back(low, &low->waiting[i]);
            FAR_TRY(fari_lower_combine_rest(&low->waiting[i], height));
        }
    for (int64_t i = 0; i < low->waiting_count; i++) {
        if (!low->waiting[i].is_packed) continue;
        go_back(low, &low->waiting[i]);
        FAR_TRY(reduce_unpack(&low->waiting[i], low->waiting[i].prepared));
    }
    low->waiting_count = 0;
    low->node = node;
    return FAR_OK;
}

/* One segment: leaves, tree, result in the output. */
static far_status lower_segment(fari_reduction *red)
{
    fari_plan *plan = red->low->plan;
    int32_t prepared = -1;
    red->run = 1;
    red->waiting_count = 0;
    memset(red->height, 0, sizeof red->height);
    red->node = red->low->node;
    FAR_TRY(reduction_begin(red, &prepared));
    int64_t leaves = red->grain_count;
    const int64_t most = red->slot_bytes > LEAVES_BIG_BYTES && plan->opts.grain.leaves > LEAVES_BIG
                             ? LEAVES_BIG
                             : plan->opts.grain.leaves;
    if (leaves > most) leaves = most;
    red->run = (red->grain_count + leaves - 1) / leaves;
    leaves = (red->grain_count + red->run - 1) / red->run;
    if (red->low->node->op->kind == FARI_CHUNK_REDUCE) red->grain_count = leaves;
    red->is_frugal = leaves * red->slot_bytes > PARTIALS_FREE_BYTES;
    const int64_t slots = fari_tree_slots(leaves, red->is_frugal) - (red->is_packed ? 0 : 1);
    red->partials = -1;
    if (slots > 0)
        FAR_TRY(fari_lower_buffer(plan, FARI_BUFFER_PARTIAL, red->low->node->out[0], slots * red->slot_bytes,
                                  &red->partials));
    FAR_TRY(fari_walk_reduction(red->low, red->partials, red->slot_bytes, red->is_packed ? red->slot_bytes : 0));
    const fari_tree_visitor visitor = { reduce_leaf, fari_lower_combine, red };
    FAR_TRY(fari_tree_visit(leaves, red->is_frugal, &visitor));
    red->prepared = prepared;
    if (red->waiting_count > 0) return put_off(red);
    return red->is_packed ? reduce_unpack(red, prepared) : FAR_OK;
}

far_status fari_lower_reduce(fari_lowering *low)
{
    fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    const bool is_chunked = node->op->kind == FARI_CHUNK_REDUCE;
    fari_reduction red = { .low = low, .domain = node->in[is_chunked ? 0 : node->op->domain_input] };
    int32_t unused = -1;
    for (int32_t k = 0; k < node->in_count; k++) FAR_TRY(fari_lower_tensor(plan, node->in[k], &unused));
    for (int32_t k = 0; k < node->out_count; k++) FAR_TRY(fari_lower_tensor(plan, node->out[k], &unused));
    if (is_chunked) {
        for (int32_t k = 0; k < node->out_count; k++) red.out[k] = fari_lower_view_whole(plan, node->out[k]);
        red.grain_count = (fari_lower_elems(plan, red.domain) + FARI_CHUNK_ELEMS - 1) / FARI_CHUNK_ELEMS;
        return lower_segment(&red);
    }
    const fari_tensor *out = fari_tensor_of(plan->graph, node->out[0]);
    const fari_grains *table = &plan->grains[red.domain];
    int64_t pieces_a_segment = table->index_count; /* pieces of axis 0 of the domain that are summed into one result */
    if (out->batch_of == 1) pieces_a_segment = 1;
    if (out->batch_of > 1)
        pieces_a_segment = out->batch_of / table->index_step > 0 ? out->batch_of / table->index_step : 1;
    for (int64_t i = 0; i < table->index_count; i += pieces_a_segment) {
        const int64_t pieces = i + pieces_a_segment <= table->index_count ? pieces_a_segment : table->index_count - i;
        fari_grain_range range = fari_lower_grain(plan, red.domain, i, 0);
        range.sample_hi = fari_lower_grain(plan, red.domain, i + pieces - 1, 0).sample_hi;
        red.grain0 = i * table->row_count;
        red.grain_count = pieces * table->row_count;
        range.row_lo = 0;
        range.row_hi = fari_lower_rows(out);
        for (int32_t k = 0; k < node->out_count; k++)
            red.out[k] = fari_lower_view_of_samples(plan, node->out[k], &range);
        FAR_TRY(lower_segment(&red));
    }
    return FAR_OK;
}
