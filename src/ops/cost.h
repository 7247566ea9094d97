/* Costs of ops that touch each operand once. */
#ifndef FARI_OPS_COST_H
#define FARI_OPS_COST_H
#include "graph/graph.h"

/* All operands' bytes, and `flops` for each element of input 0. */
static inline fari_cost fari_cost_per_elem(const fari_call *call, double flops)
{
    fari_cost cost = { flops * (double)fari_view_elems(&call->in[0]), 0.0 };
    for (int32_t i = 0; i < call->in_count; i++)
        cost.bytes += (double)(fari_view_elems(&call->in[i]) * far_dtype_bytes(call->in[i].dtype));
    for (int32_t i = 0; i < call->out_count; i++)
        cost.bytes += (double)(fari_view_elems(&call->out[i]) * far_dtype_bytes(call->out[i].dtype));
    return cost;
}
#endif
