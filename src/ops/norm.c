/* The norm family's table rows: shapes and gradients. Kernels: norm_reference.c; builders: norm_build.c. */
#include "ops/norm.h"
#include "graph/graph.h"
#include "ops/activation.h"
#include "ops/cost.h"
#include "ops/norm_reference.h"
#include <string.h>

/* Makes out a tensor [S, fields * C] with one line a segment of samples. */
static void infer_fields(fari_tensor *out, const fari_norm_attr *attr, int64_t samples, int64_t width, far_dtype dtype)
{
    const int64_t segments = attr->group_samples == 0 ? 1 : samples / attr->group_samples;
    out->dtype = dtype;
    out->order = FARI_ROW_MAJOR;
    out->shape = (far_shape){ .ndim = 2, .dim = { segments, width } };
    out->batch_of = attr->group_samples;
    out->has_rows = false;
}

static void infer_global(fari_tensor *out, far_dtype dtype, far_shape shape)
{
    *out = (fari_tensor){ .dtype = dtype, .shape = shape };
}

static bool shapes_equal(const fari_tensor *a, const fari_tensor *b)
{
    return a->shape.ndim == b->shape.ndim &&
           memcmp(a->shape.dim, b->shape.dim, (size_t)a->shape.ndim * sizeof a->shape.dim[0]) == 0;
}

static far_status check_x(const fari_node *node, const fari_tensor *x)
{
    const fari_norm_attr *attr = node->attr;
    if (x->dtype != FAR_F32 || x->shape.ndim < 2 || x->batch_of != 1)
        return fari_shape_error(node, x, NULL, "expects a batch of f32 [N, C, ...]");
    if (attr->group_samples > 0 && x->shape.dim[0] % attr->group_samples != 0)
        return fari_shape_error(node, x, NULL, "the batch is not a multiple of the samples that share statistics");
    if (x->shape.dim[1] % attr->groups != 0)
        return fari_shape_error(node, x, NULL, "channels are not a multiple of the groups");
    return FAR_OK;
}

/* ---- statistics ---- */

static far_status stats_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                              fari_tensor *out, int32_t *out_count)
{
    const fari_norm_attr *attr = node->attr;
    (void)graph, (void)out_count;
    FAR_TRY(check_x(node, in[0]));
    if (attr->count * (in[0]->shape.dim[1] / attr->groups) < 2)
        return fari_shape_error(node, in[0], NULL, "statistics need more than one element each");
    infer_fields(&out[0], attr, in[0]->shape.dim[0], 3 * in[0]->shape.dim[1], FAR_F64);
    return FAR_OK;
}

static fari_cost stats_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 4.0);
}

const fari_op fari_op_norm_stats = {
    .name = "norm_stats",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_norm_attr),
    .infer = stats_infer,
    .combine = fari_norm_stats_combine,
    .cost = stats_cost,
    .reference = fari_norm_stats_reference,
};

static far_status finalize_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                 fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)node, (void)out_count;
    out[0].dtype = FAR_F32; /* batch_of as the statistics */
    out[0].shape.dim[1] = in[0]->shape.dim[1] / 3 * 2;
    return FAR_OK;
}

const fari_op fari_op_norm_finalize = {
    .name = "norm_finalize",
    .kind = FARI_GLOBAL,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_norm_attr),
    .infer = finalize_infer,
    .reference = fari_norm_finalize_reference,
};

const fari_op fari_op_norm_finalize_each = {
    .name = "norm_finalize_each",
    .kind = FARI_MAP,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_norm_attr),
    .infer = finalize_infer,
    .reference = fari_norm_finalize_reference,
};

/* Never asked: the op overwrites what exists. */
static far_status running_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)node;
    fari_infer_like(&out[0], in[1]);
    fari_infer_like(&out[1], in[2]);
    *out_count = 2;
    return FAR_OK;
}

const fari_op fari_op_norm_running = {
    .name = "norm_running",
    .kind = FARI_GLOBAL,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_norm_attr),
    .infer = running_infer,
    .reference = fari_norm_running_reference,
};

static far_status fixed_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                              fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)node, (void)out_count;
    infer_global(&out[0], FAR_F32, (far_shape){ .ndim = 2, .dim = { 1, 2 * in[0]->shape.dim[0] } });
    return FAR_OK;
}

const fari_op fari_op_norm_fixed = {
    .name = "norm_fixed",
    .kind = FARI_GLOBAL,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_norm_attr),
    .infer = fixed_infer,
    .reference = fari_norm_fixed_reference,
};

/* ---- forward ---- */

static far_status apply_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                              fari_tensor *out, int32_t *out_count)
{
    const fari_norm_attr *attr = node->attr;
    (void)graph, (void)out, (void)out_count;
    FAR_TRY(check_x(node, in[0]));
    if (in[1]->shape.dim[1] != 2 * in[0]->shape.dim[1])
        return fari_shape_error(node, in[0], in[1], "statistics are of another number of channels");
    if (attr->has_affine)
        for (int i = 2; i < 4; i++)
            if (in[i]->shape.ndim != 1 || in[i]->shape.dim[0] != in[0]->shape.dim[1])
                return fari_shape_error(node, in[0], in[i], "weight and bias need one element a channel");
    const fari_tensor *residual = attr->has_residual ? in[attr->has_affine ? 4 : 2] : NULL;
    if (residual != NULL && (!shapes_equal(in[0], residual) || residual->dtype != in[0]->dtype))
        return fari_shape_error(node, in[0], residual, "the residual must have the shape of x");
    return FAR_OK;
}

/* What is there of: y, gamma, beta, dstats. */
static void backward_inputs(const fari_grad *grad, const fari_norm_ins *ins, far_value dstats, far_value *in)
{
    in[0] = grad->in[0];
    in[1] = grad->in[1];
    in[2] = grad->d_out[0];
    if (ins->y > 0) in[ins->y] = grad->out[0];
    if (ins->gamma > 0) in[ins->gamma] = grad->in[2];
    if (ins->beta > 0) in[ins->beta] = grad->in[3];
    if (ins->dstats > 0) in[ins->dstats] = dstats;
}

static far_value emit_dstats(const fari_grad *grad, const fari_norm_attr *attr)
{
    const fari_norm_ins ins = fari_norm_dstats_ins(attr);
    far_value in[FARI_IN_MAX];
    backward_inputs(grad, &ins, FAR_NO_VALUE, in);
    return fari_emit(grad->graph, &fari_op_norm_dstats, grad->node->name, attr, ins.count, in);
}

/* Gives d_gamma; d_beta is the value after it. */
static far_value emit_dparam(const fari_grad *grad, far_value dstats)
{
    const fari_norm_attr *attr = grad->node->attr;
    const char *name = grad->node->name;
    if (attr->group_samples != 0) dstats = fari_emit(grad->graph, &fari_op_norm_dparam_sum, name, attr, 1, &dstats);
    return fari_emit(grad->graph, &fari_op_norm_dparam, name, NULL, 1, &dstats);
}

/* Gives d_x; where an activation lies between, d_residual is the value after it. */
static far_value emit_dx(const fari_grad *grad, const fari_norm_attr *attr, far_value dstats)
{
    const fari_norm_ins ins = fari_norm_dx_ins(attr);
    far_value in[FARI_IN_MAX];
    backward_inputs(grad, &ins, dstats, in);
    return fari_emit(grad->graph, &fari_op_norm_dx, grad->node->name, attr, ins.count, in);
}

/* Whether the gradient behind the activation is made by itself, as it is the residual's too: with the sum over y's users in one pass, and y is
   read by that alone. */
static bool has_gathered(const fari_grad *grad)
{
    const fari_norm_attr *attr = grad->node->attr;
    return attr->has_residual && attr->act != FAR_ACT_NONE && attr->batch_stats && grad->need[attr->has_affine ? 4 : 2];
}

static far_value apply_gather(const fari_grad *grad, int32_t count, const far_value *terms)
{
    const fari_norm_attr *attr = grad->node->attr;
    const fari_activation_attr act = { attr->act, attr->slope };
    far_value in[FARI_IN_MAX] = { grad->out[0] };
    if (!has_gathered(grad)) return FAR_NO_VALUE;
    memcpy(in + 1, terms, (size_t)count * sizeof *terms);
    return fari_emit(grad->graph, &fari_op_activation_dx, grad->node->name, &act, count + 1, in);
}

/* The gradient through mean and rstd is part of d_x here; nothing flows into input 1. */
static far_status apply_gradient(fari_grad *grad)
{
    fari_norm_attr rest = *(const fari_norm_attr *)grad->node->attr; /* what is left to differentiate */
    const fari_norm_attr *attr = &rest;
    const int32_t residual = attr->has_affine ? 4 : 2;
    if (has_gathered(grad)) rest.act = FAR_ACT_NONE;
    const bool need_affine = attr->has_affine && (grad->need[2] || grad->need[3]);
    const bool need_residual = attr->has_residual && grad->need[residual];
    far_value dstats = FAR_NO_VALUE;
    if (need_affine || (attr->batch_stats && grad->need[0])) dstats = emit_dstats(grad, attr);
    if (need_affine) {
        grad->d_in[2] = emit_dparam(grad, dstats);
        grad->d_in[3] = grad->d_in[2] < 0 ? FAR_NO_VALUE : grad->d_in[2] + 1;
    }
    if (need_residual && attr->act == FAR_ACT_NONE) grad->d_in[residual] = grad->d_out[0];
    if (grad->need[0] || (need_residual && attr->act != FAR_ACT_NONE)) {
        if (attr->batch_stats && dstats < 0) dstats = emit_dstats(grad, attr); /* only the residual wants a gradient */
        grad->d_in[0] = emit_dx(grad, attr, dstats);
        if (need_residual && attr->act != FAR_ACT_NONE && grad->d_in[0] >= 0) grad->d_in[residual] = grad->d_in[0] + 1;
    }
    return FAR_OK;
}

static fari_cost apply_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 5.0);
}

const fari_op fari_op_norm_apply = {
    .name = "norm_apply",
    .kind = FARI_MAP,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_norm_attr),
    .infer = apply_infer,
    .gradient = apply_gradient,
    .gather = apply_gather,
    .cost = apply_cost,
    .reference = fari_norm_apply_reference,
    .is_light = true,
};

/* ---- backward ---- */

static far_status dstats_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                               fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)out_count;
    infer_fields(&out[0], node->attr, in[0]->shape.dim[0], 2 * in[0]->shape.dim[1], FAR_F64);
    return FAR_OK;
}

static fari_cost dstats_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 6.0);
}

const fari_op fari_op_norm_dstats = {
    .name = "norm_dstats",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_norm_attr),
    .infer = dstats_infer,
    .cost = dstats_cost,
    .reference = fari_norm_dstats_reference,
};

static far_status dx_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                           fari_tensor *out, int32_t *out_count)
{
    const fari_norm_attr *attr = node->attr;
    (void)graph;
    fari_infer_like(&out[1], in[0]);
    *out_count = attr->has_residual && attr->act != FAR_ACT_NONE ? 2 : 1;
    return FAR_OK;
}

static fari_cost dx_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 7.0);
}

const fari_op fari_op_norm_dx = {
    .name = "norm_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_norm_attr),
    .infer = dx_infer,
    .cost = dx_cost,
    .reference = fari_norm_dx_reference,
};

static far_status dparam_sum_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                   fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)node, (void)out_count;
    infer_global(&out[0], FAR_F64, (far_shape){ .ndim = 2, .dim = { 1, in[0]->shape.dim[1] } });
    return FAR_OK;
}

const fari_op fari_op_norm_dparam_sum = {
    .name = "norm_dparam_sum",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_norm_attr),
    .infer = dparam_sum_infer,
    .reference = fari_norm_dparam_sum_reference,
};

static far_status dparam_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                               fari_tensor *out, int32_t *out_count)
{
    const far_shape shape = { .ndim = 1, .dim = { in[0]->shape.dim[1] / 2 } };
    (void)graph, (void)node;
    infer_global(&out[0], FAR_F32, shape);
    infer_global(&out[1], FAR_F32, shape);
    *out_count = 2;
    return FAR_OK;
}

const fari_op fari_op_norm_dparam = {
    .name = "norm_dparam",
    .kind = FARI_GLOBAL,
    .order = FARI_ORDER_FREE,
    .infer = dparam_infer,
    .reference = fari_norm_dparam_reference,
};

/* ---- sums of dx ---- */

static far_status dx_sum_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                               fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)node, (void)out_count;
    infer_global(&out[0], FAR_F32, (far_shape){ .ndim = 1, .dim = { in[0]->shape.dim[1] / 3 } });
    return FAR_OK;
}

const fari_op fari_op_norm_dx_sum = {
    .name = "norm_dx_sum",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_norm_attr),
    .infer = dx_sum_infer,
    .reference = fari_norm_dx_sum_reference,
};

/* The node that makes a value; NULL: none does. */
static const fari_node *maker_of(const far_graph *graph, far_value value)
{
    const int32_t producer = value < 0 ? -1 : fari_tensor_of(graph, value)->producer;
    return producer < 0 ? NULL : graph->nodes[producer];
}

far_value fari_emit_norm_dx_sum(far_graph *graph, const char *name, far_value d)
{
    const fari_node *dx = maker_of(graph, d);
    if (dx == NULL || dx->op != &fari_op_norm_dx || dx->out[0] != d) return FAR_NO_VALUE;
    const fari_norm_attr *attr = dx->attr;
    const fari_norm_ins ins = fari_norm_dx_ins(attr);
    const int64_t channels = fari_tensor_of(graph, d)->shape.dim[1];
    if (!attr->batch_stats) return FAR_NO_VALUE;
    if (attr->groups == channels) {
        const fari_fill_attr zeros = { { .ndim = 1, .dim = { channels } }, 0.0, FAR_F32 };
        return fari_emit(graph, &fari_op_fill, name, &zeros, 0, NULL);
    }
    const fari_node *finalize = maker_of(graph, dx->in[1]);
    if (finalize == NULL || attr->group_samples == 0) return FAR_NO_VALUE;
    const far_value in[] = { finalize->in[0], dx->in[1], dx->in[ins.dstats],
                             attr->has_affine ? dx->in[ins.gamma] : FAR_NO_VALUE };
    return fari_emit(graph, &fari_op_norm_dx_sum, name, attr, attr->has_affine ? 4 : 3, in);
}
