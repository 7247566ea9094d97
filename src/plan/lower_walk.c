/* The walk that all ranks share, as the lowering of one rank sees it: who runs an instruction, what has to travel before. */
#include "base/mem.h"
#include "plan/lower.h"

int32_t fari_walk_rank_of_whole(const fari_lowering *low)
{
    if (low->walk.flow == NULL) return 0;
    for (int32_t k = 0; k < low->node->out_count; k++)
        if (fari_flow_is_everywhere(low->walk.flow, low->node->out[k]))
            return FARI_EVERY_RANK; /* running statistics from those of groups of samples */
    for (int32_t k = 0; k < low->node->in_count; k++)
        if (fari_tensor_of(low->plan->graph, low->node->in[k])->batch_of > 0)
            return 0; /* gathering it once and handing the result out is less than gathering it everywhere */
    return FARI_EVERY_RANK;
}

/* Number of what lies in a buffer, by which all ranks know it. */
static int32_t data_of(const fari_lowering *low, int32_t buffer)
{
    return buffer == low->walk.partial_buffer ? low->walk.partial_data : low->plan->buffers[buffer].tensor;
}

static int64_t view_lo(const fari_view *view)
{
    return (int64_t)(uintptr_t)view->data;
}

far_status fari_walk_need(fari_lowering *low, int32_t buffer, const fari_view *view, int64_t bytes, int32_t rank)
{
    const int64_t lo = view_lo(view);
    if (low->walk.flow == NULL) return FAR_OK;
    return fari_flow_need(low->walk.flow, data_of(low, buffer), lo, lo + bytes, rank);
}

far_status fari_walk_made(fari_lowering *low, int32_t buffer, const fari_view *view, int64_t bytes, int32_t rank)
{
    const int64_t lo = view_lo(view);
    if (low->walk.flow == NULL) return FAR_OK;
    return fari_flow_made(low->walk.flow, data_of(low, buffer), lo, lo + bytes, rank);
}

void fari_walk_next(fari_lowering *low)
{
    if (low->walk.flow != NULL) (void)fari_flow_next(low->walk.flow);
}

int32_t fari_walk_maker(const fari_lowering *low, int32_t buffer, const fari_view *view, int64_t at, int64_t hi,
                        int64_t *end_out)
{
    const int64_t lo = view_lo(view);
    *end_out = hi;
    if (low->walk.flow == NULL) return 0;
    const int32_t rank = fari_flow_maker(low->walk.flow, data_of(low, buffer), lo + at, lo + hi, end_out);
    *end_out -= lo;
    return rank;
}

bool fari_walk_is_own(const fari_lowering *low, int32_t rank)
{
    return low->walk.flow == NULL || rank == FARI_EVERY_RANK || rank == low->plan->opts.rank;
}

far_status fari_walk_call(fari_lowering *low, const fari_call *call, const int32_t *out_buffer, int32_t rank,
                          bool *is_own_out)
{
    int64_t bytes[FARI_OUT_MAX];
    *is_own_out = true;
    if (low->walk.flow == NULL) return FAR_OK;
    for (int32_t k = 0; k < call->in_count; k++) {
        const int64_t lo = view_lo(&call->in[k]);
        FAR_TRY(fari_flow_need(low->walk.flow, low->node->in[k], lo, lo + fari_lower_view_bytes(&call->in[k]), rank));
    }
    for (int32_t k = 0; k < call->out_count; k++) {
        const bool is_packed = low->walk.packed_bytes > 0 && out_buffer[k] == low->walk.partial_buffer;
        bytes[k] = is_packed ? low->walk.packed_bytes : fari_lower_view_bytes(&call->out[k]);
        if (call->accumulate) FAR_TRY(fari_walk_need(low, out_buffer[k], &call->out[k], bytes[k], rank));
    }
    fari_walk_next(low);
    for (int32_t k = 0; k < call->out_count; k++)
        FAR_TRY(fari_walk_made(low, out_buffer[k], &call->out[k], bytes[k], rank));
    *is_own_out = fari_walk_is_own(low, rank);
    return FAR_OK;
}

far_status fari_walk_reduction(fari_lowering *low, int32_t buffer, int64_t slot_bytes, int64_t packed_bytes)
{
    fari_walk *walk = &low->walk;
    if (walk->flow == NULL) return FAR_OK;
    walk->partial_buffer = buffer;
    walk->partial_data = -1;
    walk->packed_bytes = packed_bytes;
    if (buffer < 0) return FAR_OK;
    if (!fari_reserve((void **)&walk->partials, &walk->partials_cap, walk->partials_count + 1, sizeof(int32_t)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory to plan for ranks");
    walk->partials[walk->partials_count++] = buffer;
    return fari_flow_partials(walk->flow, slot_bytes, &walk->partial_data);
}

far_status fari_walk_note(fari_lowering *low)
{
    fari_walk *walk = &low->walk;
    if (walk->flow == NULL) return FAR_OK;
    if (!fari_reserve((void **)&walk->at, &walk->at_cap, low->plan->instr_count + 1, sizeof(int64_t)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory to plan for ranks");
    while (walk->at_count < low->plan->instr_count) walk->at[walk->at_count++] = fari_flow_now(walk->flow);
    return FAR_OK;
}
