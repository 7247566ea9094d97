/* Adam and AdamW, as torch.optim.Adam and AdamW without amsgrad:
 *   adam: g += b w;  adamw: w *= 1 - lr b;
 *   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;
 *   w -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps). */
#include "ops/cost.h"
#include "ops/optim.h"
#include <math.h>

static void emit_adam(const fari_optim_plan *plan, const fari_optim_target *target, bool decoupled)
{
    const far_optim_opts *o = &plan->opts;
    const fari_adam_attr attr = { target->common, o->betas[0], o->betas[1], o->eps, decoupled };
    const far_value m = fari_optim_state(plan, target, "exp_avg"), v = fari_optim_state(plan, target, "exp_avg_sq");
    fari_optim_emit(plan, target, &fari_op_adam, &attr, 4, (const far_value[]){ target->param, target->grad, m, v }, 3,
                    (const far_value[]){ target->param, m, v });
}

void fari_optim_emit_adam(const fari_optim_plan *plan, const fari_optim_target *target)
{
    emit_adam(plan, target, false);
}

void fari_optim_emit_adamw(const fari_optim_plan *plan, const fari_optim_target *target)
{
    emit_adam(plan, target, true);
}

static far_status adam_reference(const fari_call *call)
{
    const fari_adam_attr *attr = call->attr;
    const double lr = fari_hyper_get(call, attr->common.group, FARI_HYPER_LR),
                 decay = fari_optim_decay(call, &attr->common);
    const double t = fari_hyper_get(call, attr->common.group, FARI_HYPER_STEP);
    const double correction1 = 1.0 - pow(attr->beta1, t), correction2 = 1.0 - pow(attr->beta2, t);
    const int64_t elems = fari_view_elems(&call->out[0]);
    for (int64_t k = 0; k < elems; k++) {
        double w = fari_view_get_flat(&call->in[0], k), g = fari_optim_gradient(call, &attr->common, 1, k);
        if (attr->decoupled) w *= 1.0 - lr * decay;
        else g += decay * w;
        const double m = attr->beta1 * fari_view_get_flat(&call->in[2], k) + (1.0 - attr->beta1) * g;
        const double v = attr->beta2 * fari_view_get_flat(&call->in[3], k) + (1.0 - attr->beta2) * g * g;
        fari_view_set_flat(&call->out[0], k, w - lr * (m / correction1) / (sqrt(v / correction2) + attr->eps));
        fari_view_set_flat(&call->out[1], k, m);
        fari_view_set_flat(&call->out[2], k, v);
    }
    return FAR_OK;
}

static fari_cost adam_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 16.0);
}

const fari_op fari_op_adam = {
    .name = "adam",
    .kind = FARI_CHUNK,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_adam_attr),
    .cost = adam_cost,
    .reference = adam_reference,
};
