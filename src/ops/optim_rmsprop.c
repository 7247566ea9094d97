/* RMSprop, as torch.optim.RMSprop:
 *   g += b w;  s = alpha s + (1 - alpha) g^2;  plain: d = sqrt(s) + eps;
 *   centered: a = alpha a + (1 - alpha) g;  d = sqrt(s - a^2) + eps;
 *   without momentum w -= lr g / d;  with: v = m v + g / d;  w -= lr v. */
#include "ops/cost.h"
#include "ops/optim.h"
#include <math.h>

void fari_optim_emit_rmsprop(const fari_optim_plan *plan, const fari_optim_target *target)
{
    const far_optim_opts *o = &plan->opts;
    const fari_rmsprop_attr attr = { target->common, o->alpha, o->eps, o->momentum, o->centered };
    far_value in[5] = { target->param, target->grad }, out[4] = { target->param };
    int32_t states = 0;
    in[2] = out[1] = fari_optim_state(plan, target, "square_avg");
    states++;
    if (o->centered) {
        in[2 + states] = out[1 + states] = fari_optim_state(plan, target, "grad_avg");
        states++;
    }
    if (o->momentum != 0.0) {
        in[2 + states] = out[1 + states] = fari_optim_state(plan, target, "momentum_buffer");
        states++;
    }
    fari_optim_emit(plan, target, &fari_op_rmsprop, &attr, 2 + states, in, 1 + states, out);
}

static far_status rmsprop_reference(const fari_call *call)
{
    const fari_rmsprop_attr *attr = call->attr;
    const double lr = fari_hyper_get(call, attr->common.group, FARI_HYPER_LR),
                 decay = fari_optim_decay(call, &attr->common);
    const int32_t buffer = attr->centered ? 4 : 3; /* input of the momentum; it is output buffer - 1 */
    const int64_t elems = fari_view_elems(&call->out[0]);
    for (int64_t k = 0; k < elems; k++) {
        const double w = fari_view_get_flat(&call->in[0], k),
                     g = fari_optim_gradient(call, &attr->common, 1, k) + decay * w;
        const double s = attr->alpha * fari_view_get_flat(&call->in[2], k) + (1.0 - attr->alpha) * g * g;
        double spread = s, step;
        fari_view_set_flat(&call->out[1], k, s);
        if (attr->centered) {
            const double a = attr->alpha * fari_view_get_flat(&call->in[3], k) + (1.0 - attr->alpha) * g;
            fari_view_set_flat(&call->out[2], k, a);
            spread = s - a * a;
        }
        step = g / (sqrt(spread) + attr->eps);
        if (attr->momentum != 0.0) {
            step += attr->momentum * fari_view_get_flat(&call->in[buffer], k);
            fari_view_set_flat(&call->out[buffer - 1], k, step);
        }
        fari_view_set_flat(&call->out[0], k, w - lr * step);
    }
    return FAR_OK;
}

static fari_cost rmsprop_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 14.0);
}

const fari_op fari_op_rmsprop = {
    .name = "rmsprop",
    .kind = FARI_CHUNK,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_rmsprop_attr),
    .cost = rmsprop_cost,
    .reference = rmsprop_reference,
};
