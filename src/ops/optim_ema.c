/* Averages of weights: ema = d ema + (1 - d) w after every step, from ema = w before the first. */
#include "ops/cost.h"
#include "ops/optim.h"

void fari_optim_emit_ema(far_graph *graph, const char *name, int32_t group, far_value param, far_value average,
                         bool is_start)
{
    const fari_ema_attr attr = { group, is_start };
    fari_emit_mutate(graph, &fari_op_ema, name, &attr, 2, (const far_value[]){ param, average }, 1, &average);
}

static far_status ema_reference(const fari_call *call)
{
    const fari_ema_attr *attr = call->attr;
    const double keep = attr->is_start ? 0.0 : fari_hyper_get(call, attr->group, FARI_HYPER_EMA_DECAY);
    const int64_t elems = fari_view_elems(&call->out[0]);
    if (attr->is_start && fari_hyper_get(call, attr->group, FARI_HYPER_STEP) > 1.0) return FAR_OK;
    for (int64_t k = 0; k < elems; k++) {
        const double w = fari_view_get_flat(&call->in[0], k), old = fari_view_get_flat(&call->in[1], k);
        fari_view_set_flat(&call->out[0], k, keep * old + (1.0 - keep) * w);
    }
    return FAR_OK;
}

static fari_cost ema_cost(const fari_call *call)
{
    const fari_ema_attr *attr = call->attr;
    return attr->is_start ? (fari_cost){ 0.0, 0.0 } : fari_cost_per_elem(call, 3.0);
}

const fari_op fari_op_ema = {
    .name = "ema",
    .kind = FARI_CHUNK,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_ema_attr),
    .cost = ema_cost,
    .reference = ema_reference,
};
