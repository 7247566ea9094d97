/* LAMB: Adam's moments, an update u whose norm is set in relation to the weights':
 *   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;
 *   author  u = m / (sqrt(v) + eps) + b w
 *   nvlamb  u = (m / (1 - b1^t)) / (sqrt(v) / sqrt(1 - b2^t) + eps) + b w
 *   w -= lr (|w| / |u|) u, the ratio 1 where a norm is 0.
 * u is not kept: the norms and the update compute it again from the moments. */
#include "ops/cost.h"
#include "ops/optim.h"
#include <math.h>
#include <string.h>

far_status fari_optim_check_lamb(far_optim_opts *opts_io)
{
    if (opts_io->form == NULL) opts_io->form = "author";
    const bool is_author = strcmp(opts_io->form, "author") == 0;
    if (!is_author && strcmp(opts_io->form, "nvlamb") != 0 && strcmp(opts_io->form, "timm") != 0)
        return FAR_FAIL(FAR_E_CONFIG, "no form '%s' of lamb; there are author, nvlamb, timm", opts_io->form);
    if (opts_io->exclude == FAR_EXCLUDE_BY_FORM) opts_io->exclude = is_author ? FAR_EXCLUDE_NORM : FAR_EXCLUDE_NONE;
    if (!is_author && opts_io->clip_norm == 0.0 && opts_io->clip_tensor_norm == 0.0) opts_io->clip_norm = 1.0;
    return FAR_OK;
}

void fari_optim_emit_lamb(const fari_optim_plan *plan, const fari_optim_target *target)
{
    const far_optim_opts *o = &plan->opts;
    const bool is_author = strcmp(o->form, "author") == 0;
    const bool is_excluded = (o->exclude == FAR_EXCLUDE_BIAS_NORM && target->is_bias_norm) ||
                             (o->exclude == FAR_EXCLUDE_NORM && target->is_norm);
    fari_lamb_attr attr = { .common = target->common,
                            .beta1 = o->betas[0],
                            .beta2 = o->betas[1],
                            .eps = o->eps,
                            .bias_correction = !is_author,
                            .clips_ratio = o->trust_clip };
    if (is_excluded) attr.common.weight_decay = 0.0;
    attr.has_ratio =
        !is_excluded && !target->no_adapt && (is_author || attr.common.weight_decay != 0.0 || o->always_adapt);
    const far_value m = fari_optim_state(plan, target, "exp_avg"), v = fari_optim_state(plan, target, "exp_avg_sq");
    const far_value in[] = { target->param, m, v };
    far_value update_in[] = { target->param, m, v, FAR_NO_VALUE };
    fari_optim_emit(plan, target, &fari_op_lamb_moments, &attr, 3, (const far_value[]){ target->grad, m, v }, 2,
                    (const far_value[]){ m, v });
    if (attr.has_ratio) {
        const far_value norms = fari_emit(plan->graph, &fari_op_lamb_norms, target->name, &attr, 3, in);
        update_in[3] = fari_emit(plan->graph, &fari_op_lamb_ratio, target->name, &attr, 1, &norms);
    }
    fari_emit_mutate(plan->graph, &fari_op_lamb, target->name, &attr, attr.has_ratio ? 4 : 3, update_in, 1,
                     &target->param);
}

/* ---- moments ---- */

static far_status moments_reference(const fari_call *call)
{
    const fari_lamb_attr *attr = call->attr;
    const int64_t elems = fari_view_elems(&call->out[0]);
    for (int64_t k = 0; k < elems; k++) {
        const double g = fari_optim_gradient(call, &attr->common, 0, k);
        fari_view_set_flat(&call->out[0], k,
                           attr->beta1 * fari_view_get_flat(&call->in[1], k) + (1.0 - attr->beta1) * g);
        fari_view_set_flat(&call->out[1], k,
                           attr->beta2 * fari_view_get_flat(&call->in[2], k) + (1.0 - attr->beta2) * g * g);
    }
    return FAR_OK;
}

static fari_cost moments_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 8.0);
}

const fari_op fari_op_lamb_moments = {
    .name = "lamb_moments",
    .kind = FARI_CHUNK,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_lamb_attr),
    .cost = moments_cost,
    .reference = moments_reference,
};

/* ---- norms and ratio ---- */

typedef struct lamb_scalars {
    double correction1, correction2, decay;
} lamb_scalars;

static lamb_scalars scalars_of(const fari_call *call)
{
    const fari_lamb_attr *attr = call->attr;
    const double t = fari_hyper_get(call, attr->common.group, FARI_HYPER_STEP);
    lamb_scalars s = { 1.0, 1.0, fari_optim_decay(call, &attr->common) };
    if (attr->bias_correction) {
        s.correction1 = 1.0 - pow(attr->beta1, t);
        s.correction2 = 1.0 - pow(attr->beta2, t);
    }
    return s;
}

/* u, from inputs w, m, v. */
static double update_of(const fari_call *call, const lamb_scalars *s, int64_t k)
{
    const fari_lamb_attr *attr = call->attr;
    const double w = fari_view_get_flat(&call->in[0], k), m = fari_view_get_flat(&call->in[1], k),
                 v = fari_view_get_flat(&call->in[2], k);
    return m / s->correction1 / (sqrt(v / s->correction2) + attr->eps) + s->decay * w;
}

static far_status norms_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                              fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)node, (void)in, (void)out_count;
    out[0] = (fari_tensor){ .dtype = FAR_F64, .shape = { 1, { 2 } } };
    return FAR_OK;
}

static far_status norms_reference(const fari_call *call)
{
    const lamb_scalars s = scalars_of(call);
    double w_sum = 0.0, u_sum = 0.0;
    const int64_t elems = fari_view_elems(&call->in[0]);
    for (int64_t k = 0; k < elems; k++) {
        const double w = fari_view_get_flat(&call->in[0], k), u = update_of(call, &s, k);
        w_sum += w * w;
        u_sum += u * u;
    }
    fari_view_set_flat(&call->out[0], 0, w_sum + (call->accumulate ? fari_view_get_flat(&call->out[0], 0) : 0.0));
    fari_view_set_flat(&call->out[0], 1, u_sum + (call->accumulate ? fari_view_get_flat(&call->out[0], 1) : 0.0));
    return FAR_OK;
}

static fari_cost norms_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 12.0);
}

const fari_op fari_op_lamb_norms = {
    .name = "lamb_norms",
    .kind = FARI_CHUNK_REDUCE,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_lamb_attr),
    .infer = norms_infer,
    .cost = norms_cost,
    .reference = norms_reference,
};

static far_status ratio_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                              fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)node, (void)in, (void)out_count;
    out[0] = (fari_tensor){ .dtype = FAR_F64 };
    return FAR_OK;
}

static far_status ratio_reference(const fari_call *call)
{
    const fari_lamb_attr *attr = call->attr;
    const double w = sqrt(fari_view_get_flat(&call->in[0], 0)), u = sqrt(fari_view_get_flat(&call->in[0], 1));
    double ratio = w == 0.0 || u == 0.0 ? 1.0 : w / u;
    if (attr->clips_ratio && ratio > 1.0) ratio = 1.0;
    fari_view_set_flat(&call->out[0], 0, ratio);
    return FAR_OK;
}

const fari_op fari_op_lamb_ratio = {
    .name = "lamb_ratio",
    .kind = FARI_GLOBAL,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_lamb_attr),
    .infer = ratio_infer,
    .reference = ratio_reference,
};

/* ---- update ---- */

static far_status lamb_reference(const fari_call *call)
{
    const fari_lamb_attr *attr = call->attr;
    const lamb_scalars s = scalars_of(call);
    const double ratio = attr->has_ratio ? fari_view_get_flat(&call->in[3], 0) : 1.0;
    const double lr = fari_hyper_get(call, attr->common.group, FARI_HYPER_LR);
    const int64_t elems = fari_view_elems(&call->out[0]);
    for (int64_t k = 0; k < elems; k++)
        fari_view_set_flat(&call->out[0], k, fari_view_get_flat(&call->in[0], k) - lr * ratio * update_of(call, &s, k));
    return FAR_OK;
}

static fari_cost lamb_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 12.0);
}

const fari_op fari_op_lamb = {
    .name = "lamb",
    .kind = FARI_CHUNK,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_lamb_attr),
    .cost = lamb_cost,
    .reference = lamb_reference,
};
