/* Stochastic gradient descent, as torch.optim.SGD:
 *   d = g + b w;  v = m v + (1 - dampening) d (v = d in the first step);  d = v, or d + m v (Nesterov);  w -= lr d. */
#include "ops/cost.h"
#include "ops/optim.h"

void fari_optim_emit_sgd(const fari_optim_plan *plan, const fari_optim_target *target)
{
    const far_optim_opts *o = &plan->opts;
    const fari_sgd_attr attr = { target->common, o->momentum, o->dampening, o->nesterov };
    const bool has_buffer = o->momentum != 0.0;
    const far_value buffer = has_buffer ? fari_optim_state(plan, target, "momentum_buffer") : FAR_NO_VALUE;
    fari_optim_emit(plan, target, &fari_op_sgd, &attr, has_buffer ? 3 : 2,
                    (const far_value[]){ target->param, target->grad, buffer }, has_buffer ? 2 : 1,
                    (const far_value[]){ target->param, buffer });
}

static far_status sgd_reference(const fari_call *call)
{
    const fari_sgd_attr *attr = call->attr;
    const double lr = fari_hyper_get(call, attr->common.group, FARI_HYPER_LR),
                 decay = fari_optim_decay(call, &attr->common);
    const bool is_first = fari_hyper_get(call, attr->common.group, FARI_HYPER_STEP) <= 1.0;
    const int64_t elems = fari_view_elems(&call->out[0]);
    for (int64_t k = 0; k < elems; k++) {
        const double w = fari_view_get_flat(&call->in[0], k);
        double d = fari_optim_gradient(call, &attr->common, 1, k) + decay * w;
        if (attr->momentum != 0.0) {
            const double old = fari_view_get_flat(&call->in[2], k);
            const double v = is_first ? d : attr->momentum * old + (1.0 - attr->dampening) * d;
            fari_view_set_flat(&call->out[1], k, v);
            d = attr->nesterov ? d + attr->momentum * v : v;
        }
        fari_view_set_flat(&call->out[0], k, w - lr * d);
    }
    return FAR_OK;
}

static fari_cost sgd_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 8.0);
}

const fari_op fari_op_sgd = {
    .name = "sgd",
    .kind = FARI_CHUNK,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_sgd_attr),
    .cost = sgd_cost,
    .reference = sgd_reference,
};
