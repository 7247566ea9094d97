/* Norms of gradients and the scalars that clip them. */
#include "ops/cost.h"
#include "ops/optim.h"
#include <math.h>

far_value fari_optim_sumsq(far_graph *graph, const char *name, far_value grad)
{
    return fari_emit(graph, &fari_op_sumsq, name, NULL, 1, &grad);
}

far_value fari_optim_clip_scale(far_graph *graph, const char *name, far_value sumsq, double max_norm, double eps)
{
    const fari_clip_attr attr = { max_norm, eps };
    return fari_emit(graph, &fari_op_clip_scale, name, &attr, 1, &sumsq);
}

/* ---- sum of squares ---- */

static far_status sumsq_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                              fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)node, (void)in, (void)out_count;
    out[0] = (fari_tensor){ .dtype = FAR_F64 };
    return FAR_OK;
}

static far_status sumsq_reference(const fari_call *call)
{
    double sum = call->accumulate ? fari_view_get_flat(&call->out[0], 0) : 0.0;
    const int64_t elems = fari_view_elems(&call->in[0]);
    for (int64_t k = 0; k < elems; k++) {
        const double g = fari_view_get_flat(&call->in[0], k);
        sum += g * g;
    }
    fari_view_set_flat(&call->out[0], 0, sum);
    return FAR_OK;
}

static fari_cost norm_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 2.0);
}

const fari_op fari_op_sumsq = {
    .name = "sumsq",
    .kind = FARI_CHUNK_REDUCE,
    .order = FARI_ORDER_FREE,
    .infer = sumsq_infer,
    .cost = norm_cost,
    .reference = sumsq_reference,
};

/* ---- both norms of LARS ---- */

static far_status norms_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                              fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)node, (void)in, (void)out_count;
    out[0] = (fari_tensor){ .dtype = FAR_F64, .shape = { 1, { 2 } } };
    return FAR_OK;
}

static far_status norms_reference(const fari_call *call)
{
    const fari_norms_attr *attr = call->attr;
    const double decay = attr->with_decay ? fari_optim_decay(call, &attr->common) : 0.0;
    double w_sum = 0.0, g_sum = 0.0;
    const int64_t elems = fari_view_elems(&call->in[0]);
    for (int64_t k = 0; k < elems; k++) {
        const double w = fari_view_get_flat(&call->in[0], k),
                     g = fari_optim_gradient(call, &attr->common, 1, k) + decay * w;
        w_sum += w * w;
        g_sum += g * g;
    }
    fari_view_set_flat(&call->out[0], 0, w_sum + (call->accumulate ? fari_view_get_flat(&call->out[0], 0) : 0.0));
    fari_view_set_flat(&call->out[0], 1, g_sum + (call->accumulate ? fari_view_get_flat(&call->out[0], 1) : 0.0));
    return FAR_OK;
}

const fari_op fari_op_norms = {
    .name = "norms",
    .kind = FARI_CHUNK_REDUCE,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_norms_attr),
    .infer = norms_infer,
    .cost = norm_cost,
    .reference = norms_reference,
};

/* ---- the scalar ---- */

static far_status clip_scale_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                   fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)node, (void)in, (void)out_count;
    out[0] = (fari_tensor){ .dtype = FAR_F64 };
    return FAR_OK;
}

static far_status clip_scale_reference(const fari_call *call)
{
    const fari_clip_attr *attr = call->attr;
    const double scale = attr->max_norm / (sqrt(fari_view_get_flat(&call->in[0], 0)) + attr->eps);
    fari_view_set_flat(&call->out[0], 0, scale > 1.0 ? 1.0 : scale); /* NaN stays NaN: a run must see it */
    return FAR_OK;
}

const fari_op fari_op_clip_scale = {
    .name = "clip_scale",
    .kind = FARI_GLOBAL,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_clip_attr),
    .infer = clip_scale_infer,
    .reference = clip_scale_reference,
};
