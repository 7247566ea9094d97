/* Binary cross-entropy from logits and squared error: builders, table rows, reference kernels. */
#include "ops/loss_pointwise.h"
#include "ops/cost.h"
#include <math.h>
#include <string.h>

static double term(const fari_pointwise_attr *attr, double x, double t)
{
    if (attr->kind == FARI_POINTWISE_MSE) return (x - t) * (x - t);
    return (1.0 - t) * x + (1.0 + (attr->pos_weight - 1.0) * t) * (log1p(exp(-fabs(x))) + fmax(-x, 0.0));
}

static double term_dx(const fari_pointwise_attr *attr, double x, double t)
{
    if (attr->kind == FARI_POINTWISE_MSE) return 2.0 * (x - t);
    return (1.0 - t) - (1.0 + (attr->pos_weight - 1.0) * t) / (1.0 + exp(x));
}

static far_status sum_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                            fari_tensor *out, int32_t *out_count)
{
    const fari_pointwise_attr *attr = node->attr;
    const far_shape *x = &in[0]->shape, *t = &in[1]->shape;
    (void)graph, (void)out_count;
    if (in[0]->dtype != FAR_F32 || in[0]->batch_of == 0)
        return fari_shape_error(node, in[0], NULL, "expects a batch of f32");
    if (x->ndim != t->ndim || memcmp(x->dim, t->dim, (size_t)x->ndim * sizeof x->dim[0]) != 0)
        return fari_shape_error(node, in[0], in[1], "both inputs must have one shape");
    if (attr->kind == FARI_POINTWISE_MSE && in[1]->dtype != FAR_F32)
        return fari_shape_error(node, in[1], NULL, "the target must be f32");
    if (in[1]->dtype == FAR_F64) return fari_shape_error(node, in[1], NULL, "the target must be f32, i32 or u8");
    out[0] = (fari_tensor){ .dtype = FAR_F64 };
    return FAR_OK;
}

static far_status sum_gradient(fari_grad *grad)
{
    fari_pointwise_attr attr = *(const fari_pointwise_attr *)grad->node->attr;
    const far_value in[] = { grad->in[0], grad->in[1], grad->d_out[0] };
    for (int i = 0; i < 2; i++) {
        if (!grad->need[i] || (i == 1 && attr.kind == FARI_POINTWISE_BCE)) continue; /* BCE: the target is a constant */
        attr.sign = i == 0 ? 1.0 : -1.0;
        grad->d_in[i] = fari_emit(grad->graph, &fari_op_pointwise_dx, grad->node->name, &attr, 3, in);
    }
    return FAR_OK;
}

static far_status sum_reference(const fari_call *call)
{
    const int64_t elems = fari_view_elems(&call->in[0]);
    double sum = call->accumulate ? fari_view_get_flat(&call->out[0], 0) : 0.0;
    for (int64_t k = 0; k < elems; k++)
        sum += term(call->attr, fari_view_get_flat(&call->in[0], k), fari_view_get_flat(&call->in[1], k));
    fari_view_set_flat(&call->out[0], 0, sum);
    return FAR_OK;
}

static fari_cost pointwise_cost(const fari_call *call)
{
    const fari_pointwise_attr *attr = call->attr;
    return fari_cost_per_elem(call, attr->kind == FARI_POINTWISE_MSE ? 3.0 : 30.0);
}

const fari_op fari_op_pointwise_sum = {
    .name = "pointwise_sum",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_pointwise_attr),
    .infer = sum_infer,
    .gradient = sum_gradient,
    .cost = pointwise_cost,
    .reference = sum_reference,
};

static far_status dx_reference(const fari_call *call)
{
    const fari_pointwise_attr *attr = call->attr;
    const int64_t elems = fari_view_elems(&call->out[0]);
    const double by = attr->sign * fari_view_get_flat(&call->in[2], 0);
    for (int64_t k = 0; k < elems; k++)
        fari_view_set_flat(&call->out[0], k,
                           by *
                               term_dx(attr, fari_view_get_flat(&call->in[0], k), fari_view_get_flat(&call->in[1], k)));
    return FAR_OK;
}

const fari_op fari_op_pointwise_dx = {
    .name = "pointwise_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_pointwise_attr),
    .cost = pointwise_cost,
    .reference = dx_reference,
};

static far_status scale_gradient(fari_grad *grad)
{
    if (grad->need[0])
        grad->d_in[0] =
            fari_emit(grad->graph, &fari_op_loss_scale, grad->node->name, grad->node->attr, 1, &grad->d_out[0]);
    return FAR_OK;
}

static far_status scale_reference(const fari_call *call)
{
    const fari_loss_scale_attr *attr = call->attr;
    fari_view_set_flat(&call->out[0], 0, attr->factor * fari_view_get_flat(&call->in[0], 0));
    return FAR_OK;
}

const fari_op fari_op_loss_scale = {
    .name = "loss_scale",
    .kind = FARI_GLOBAL,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_loss_scale_attr),
    .gradient = scale_gradient,
    .reference = scale_reference,
};

/* Emits the sum and what it is multiplied by. */
static far_value build(far_graph *graph, const char *name, far_value x, far_value target,
                       const fari_pointwise_attr *attr, bool is_sum, double scale)
{
    if (graph->status == FAR_OK && x >= 0 && x < graph->tensor_count && target >= 0 && target < graph->tensor_count) {
        const bool is_mask =
            fari_tensor_of(graph, target)->dtype != FAR_F32 && far_graph_shape(graph, target).dim[1] == 1;
        if (!is_mask)
            target =
                fari_as_order(graph, target, fari_tensor_of(graph, x)->order); /* one channel: both orders are one */
    }
    const far_value in[] = { x, target };
    const far_shape shape = far_graph_shape(graph, x);
    const far_value sum = fari_emit(graph, &fari_op_pointwise_sum, name, attr, 2, in);
    const fari_loss_scale_attr by = { (scale == 0.0 ? 1.0 : scale) / (is_sum ? 1.0 : (double)far_shape_elems(&shape)) };
    return fari_emit(graph, &fari_op_loss_scale, name, &by, 1, &sum);
}

far_value far_bce_with_logits(far_graph *graph, const char *name, far_value logits, far_value target,
                              const far_bce_opts *opts)
{
    static const far_bce_opts defaults;
    if (opts == NULL) opts = &defaults;
    const fari_pointwise_attr attr = { FARI_POINTWISE_BCE, opts->pos_weight == 0.0 ? 1.0 : opts->pos_weight, 1.0 };
    if (!(attr.pos_weight > 0.0))
        return fari_graph_fail(graph,
                               FAR_FAIL(FAR_E_ARG, "bce '%s': pos_weight %g is negative", name, attr.pos_weight));
    return build(graph, name, logits, target, &attr, opts->sum, opts->scale);
}

far_value far_mse_loss(far_graph *graph, const char *name, far_value x, far_value target, const far_mse_opts *opts)
{
    static const far_mse_opts defaults;
    if (opts == NULL) opts = &defaults;
    const fari_pointwise_attr attr = { FARI_POINTWISE_MSE, 1.0, 1.0 };
    return build(graph, name, x, target, &attr, opts->sum, opts->scale);
}
