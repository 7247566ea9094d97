/* LARS in the forms in circulation (docs say which framework has which): they differ in the denominator of the local rate l, in
 * which tensors take part, and in where the learning rate enters the momentum.
 *   inside   v = m v + lr l (g + b w);  w -= v
 *   outside  v = m v + l (g + b w);     w -= lr v */
#include "ops/cost.h"
#include "ops/optim.h"
#include <math.h>
#include <string.h>

typedef struct lars_row {
    const char *name;
    fari_lars_form form;
    bool lr_inside, always_clips, needs_decay; /* needs_decay: tensors without decay have no rate */
    far_exclude exclude;
    double eps;
} lars_row;

static const lars_row rows[] = {
    { "you", FARI_LARS_SUM, true, false, false, FAR_EXCLUDE_NONE, 0.0 },
    { "nvcaffe_larc_scale", FARI_LARS_LARC, true, false, false, FAR_EXCLUDE_NONE, 0.0 },
    { "nvcaffe_larc_clip", FARI_LARS_LARC, true, true, false, FAR_EXCLUDE_NONE, 0.0 },
    { "mlperf", FARI_LARS_SUM, true, false, false, FAR_EXCLUDE_BIAS_NORM, 1e-7 }, /* its 0 becomes 1e-7 on the way */
    { "timm", FARI_LARS_SUM, false, false, true, FAR_EXCLUDE_NONE, 1e-8 },
    { "dino", FARI_LARS_OF_SUM, false, false, false, FAR_EXCLUDE_BIAS_NORM, 0.0 },
    { "solo", FARI_LARS_SOLO, false, false, false, FAR_EXCLUDE_BIAS_NORM, 1e-8 },
};

static const lars_row *row_find(const char *form)
{
    for (size_t i = 0; i < FAR_COUNT(rows); i++)
        if (strcmp(form, rows[i].name) == 0) return &rows[i];
    return NULL;
}

far_status fari_optim_check_lars(far_optim_opts *opts_io)
{
    if (opts_io->form == NULL) opts_io->form = "you";
    const lars_row *row = row_find(opts_io->form);
    if (row == NULL)
        return FAR_FAIL(
            FAR_E_CONFIG,
            "no form '%s' of lars; there are you, nvcaffe_larc_scale, nvcaffe_larc_clip, mlperf, timm, dino, solo",
            opts_io->form);
    if (opts_io->lr_place == FAR_LR_BY_FORM) opts_io->lr_place = row->lr_inside ? FAR_LR_INSIDE : FAR_LR_OUTSIDE;
    if (opts_io->exclude == FAR_EXCLUDE_BY_FORM) opts_io->exclude = row->exclude;
    if (opts_io->eps == 0.0) opts_io->eps = row->eps;
    if (opts_io->lr_place == FAR_LR_INSIDE && opts_io->dampening != 0.0)
        return FAR_FAIL(FAR_E_CONFIG, "lars with the learning rate inside the momentum has no dampening");
    if (opts_io->lr_place == FAR_LR_OUTSIDE && opts_io->momentum_correction)
        return FAR_FAIL(FAR_E_CONFIG, "lars with the learning rate outside the momentum needs no momentum correction");
    return FAR_OK;
}

void fari_optim_emit_lars(const fari_optim_plan *plan, const fari_optim_target *target)
{
    const far_optim_opts *o = &plan->opts;
    const lars_row *row = row_find(o->form);
    fari_lars_attr attr = { .common = target->common,
                            .form = row->form,
                            .momentum = o->momentum,
                            .dampening = o->dampening,
                            .trust = o->trust,
                            .eps = o->eps,
                            .nesterov = o->nesterov,
                            .lr_inside = o->lr_place == FAR_LR_INSIDE,
                            .momentum_correction = o->momentum_correction,
                            .clips_rate = row->always_clips || o->trust_clip };
    const bool is_excluded = (o->exclude == FAR_EXCLUDE_BIAS_NORM && target->is_bias_norm) ||
                             (o->exclude == FAR_EXCLUDE_NORM && target->is_norm);
    if (is_excluded) attr.common.weight_decay = 0.0;
    attr.has_rate =
        !is_excluded && !target->no_adapt && !(row->needs_decay && attr.common.weight_decay == 0.0 && !o->always_adapt);
    const far_value buffer = fari_optim_state(plan, target, "momentum_buffer");
    far_value in[4] = { target->param, target->grad, buffer, FAR_NO_VALUE };
    if (attr.has_rate) {
        const fari_norms_attr norms_attr = { attr.common, attr.form == FARI_LARS_OF_SUM };
        const far_value norms_in[] = { target->param, target->grad, target->clip };
        const far_value norms =
            fari_emit(plan->graph, &fari_op_norms, target->name, &norms_attr, attr.common.has_clip ? 3 : 2, norms_in);
        in[3] = fari_emit(plan->graph, &fari_op_lars_rate, target->name, &attr, 1, &norms);
    }
    fari_optim_emit(plan, target, &fari_op_lars, &attr, attr.has_rate ? 4 : 3, in, 2,
                    (const far_value[]){ target->param, buffer });
}

/* ---- the local rate ---- */

static far_status rate_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                             fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)node, (void)in, (void)out_count;
    out[0] = (fari_tensor){ .dtype = FAR_F64, .shape = { 1, { 2 } } };
    return FAR_OK;
}

static double rate_of(const fari_lars_attr *attr, double w, double g, double decay)
{
    switch (attr->form) {
    case FARI_LARS_SUM:
    case FARI_LARS_SOLO: return attr->trust * w / (g + decay * w + attr->eps);
    case FARI_LARS_LARC: return (1.0 - attr->momentum) * attr->trust * w / g;
    case FARI_LARS_OF_SUM: return attr->trust * w / g; /* g: the norm of g + b w */
    }
    return 1.0;
}

static far_status rate_reference(const fari_call *call)
{
    const fari_lars_attr *attr = call->attr;
    const double w = sqrt(fari_view_get_flat(&call->in[0], 0)), g = sqrt(fari_view_get_flat(&call->in[0], 1));
    const double lr = fari_hyper_get(call, attr->common.group, FARI_HYPER_LR);
    const bool is_plain = w == 0.0 || g == 0.0, is_solo = attr->form == FARI_LARS_SOLO;
    double rate = is_plain ? 1.0 : rate_of(attr, w, g, fari_optim_decay(call, &attr->common));
    if (attr->clips_rate && !(is_plain && is_solo)) rate = rate < lr ? rate / lr : 1.0;
    fari_view_set_flat(&call->out[0], 0, rate);
    fari_view_set_flat(&call->out[0], 1, is_plain && is_solo ? 0.0 : 1.0);
    return FAR_OK;
}

const fari_op fari_op_lars_rate = {
    .name = "lars_rate",
    .kind = FARI_GLOBAL,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_lars_attr),
    .infer = rate_infer,
    .reference = rate_reference,
};

/* ---- the update ---- */

static far_status lars_reference(const fari_call *call)
{
    const fari_lars_attr *attr = call->attr;
    const double lr = fari_hyper_get(call, attr->common.group, FARI_HYPER_LR);
    const bool is_first = fari_hyper_get(call, attr->common.group, FARI_HYPER_STEP) <= 1.0;
    const double rate = attr->has_rate ? fari_view_get_flat(&call->in[3], 0) : 1.0;
    const double keep = attr->has_rate ? fari_view_get_flat(&call->in[3], 1) : 1.0;
    const double decay = fari_optim_decay(call, &attr->common) * keep;
    const double correction =
        attr->momentum_correction ? fari_hyper_get(call, attr->common.group, FARI_HYPER_MOMENTUM_SCALE) : 1.0;
    const double m = attr->momentum * correction, damp = attr->momentum == 0.0 ? 0.0 : attr->dampening;
    const int64_t elems = fari_view_elems(&call->out[0]);
    for (int64_t k = 0; k < elems; k++) {
        const double w = fari_view_get_flat(&call->in[0], k), old = fari_view_get_flat(&call->in[2], k);
        const double u = rate * (fari_optim_gradient(call, &attr->common, 1, k) + decay * w);
        double v, step;
        if (attr->lr_inside) {
            v = m * old + lr * u;
            step = attr->nesterov ? m * v + lr * u : v;
        } else {
            v = is_first ? u : m * old + (1.0 - damp) * u;
            step = lr * (attr->nesterov ? u + m * v : v);
        }
        fari_view_set_flat(&call->out[1], k, v);
        fari_view_set_flat(&call->out[0], k, w - step);
    }
    return FAR_OK;
}

static fari_cost lars_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 9.0);
}

const fari_op fari_op_lars = {
    .name = "lars",
    .kind = FARI_CHUNK,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_lars_attr),
    .cost = lars_cost,
    .reference = lars_reference,
};
