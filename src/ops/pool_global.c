/* Global pooling: sum and maximum over all of space, one number a sample and channel, and what their gradients need. */
#include "ops/pool.h"
#include "ops/spatial.h"
#include <math.h>

static const int64_t origin[3] = { 0, 0, 0 };

/* ---- shapes ---- */

static far_status expect_image(const fari_node *node, const fari_tensor *x)
{
    if (x->dtype != FAR_F32 || x->shape.ndim < 3 || x->shape.ndim > 5)
        return fari_shape_error(node, x, NULL, "expects f32 of shape [N, C, spatial..] with one to three spatial axes");
    return FAR_OK;
}

/* One number a sample and channel. */
static void infer_per_channel(fari_tensor *out, const fari_tensor *x, far_dtype dtype)
{
    out->dtype = dtype;
    out->order = FARI_ROW_MAJOR;
    out->shape = (far_shape){ 2, { x->shape.dim[0], x->shape.dim[1] } };
    out->has_rows = false;
}

static far_status global_sum_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                   fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)out_count;
    FAR_TRY(expect_image(node, in[0]));
    infer_per_channel(&out[0], in[0], FAR_F64);
    return FAR_OK;
}

static far_status global_max_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                   fari_tensor *out, int32_t *out_count)
{
    (void)graph;
    FAR_TRY(expect_image(node, in[0]));
    infer_per_channel(&out[0], in[0], FAR_F32);
    infer_per_channel(&out[1], in[0], FAR_F64);
    *out_count = 2;
    return FAR_OK;
}

static far_status global_dx_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                  fari_tensor *out, int32_t *out_count)
{
    const fari_global_attr *attr = node->attr;
    (void)graph, (void)out_count;
    if (in[0]->shape.ndim != 2) return fari_shape_error(node, in[0], NULL, "expects a gradient of shape [N, C]");
    out[0].dtype = FAR_F32;
    out[0].order = FARI_CHANNELS_LAST;
    out[0].has_rows = true;
    out[0].shape.ndim = attr->spatial_ndim + 2;
    for (int d = 0; d < attr->spatial_ndim; d++) out[0].shape.dim[d + 2] = attr->extent[d];
    return FAR_OK;
}

static far_status scale_cast_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                   fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)in, (void)out_count;
    out[0].dtype = (far_dtype)((const fari_scale_cast_attr *)node->attr)->dtype;
    return FAR_OK;
}

/* ---- gradients ---- */

/* Emits `op`, which spreads a gradient [N, C] over the image that node's input 0 is. */
static void emit_dx(fari_grad *grad, const fari_op *op, int32_t in_count, const far_value *in)
{
    const far_shape shape = far_graph_shape(grad->graph, grad->in[0]);
    fari_global_attr attr = { shape.ndim - 2, { 1, 1, 1 } };
    for (int d = 0; d < attr.spatial_ndim; d++) attr.extent[d] = shape.dim[d + 2];
    grad->d_in[0] = fari_emit(grad->graph, op, grad->node->name, &attr, in_count, in);
}

static far_status global_sum_gradient(fari_grad *grad)
{
    if (grad->need[0]) emit_dx(grad, &fari_op_global_sum_dx, 1, grad->d_out);
    return FAR_OK;
}

static far_status global_max_gradient(fari_grad *grad)
{
    const far_value in[] = { grad->d_out[0], grad->out[1] };
    if (grad->need[0] && in[0] >= 0) emit_dx(grad, &fari_op_global_max_dx, 2, in);
    return FAR_OK;
}

static far_status scale_cast_gradient(fari_grad *grad)
{
    fari_scale_cast_attr attr = *(const fari_scale_cast_attr *)grad->node->attr;
    attr.dtype = (int32_t)fari_tensor_of(grad->graph, grad->in[0])->dtype;
    if (grad->need[0])
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_scale_cast, grad->node->name, &attr, 1, grad->d_out);
    return FAR_OK;
}

/* ---- reference kernels ---- */

static far_status global_sum_reference(const fari_call *call)
{
    const fari_volume x = fari_volume_of(&call->in[0]), y = fari_volume_of(&call->out[0]);
    for (int64_t n = 0; n < x.samples; n++) {
        for (int64_t c = 0; c < x.channels; c++) {
            const int64_t elem = fari_volume_at(&y, n, c, origin);
            int64_t pos[3] = { 0, 0, 0 };
            double sum = call->accumulate ? fari_volume_get(&y, elem) : 0.0;
            do sum += fari_volume_get(&x, fari_volume_at(&x, n, c, pos));
            while (fari_pos_next(pos, origin, x.extent));
            fari_volume_set(&y, elem, sum);
        }
    }
    return FAR_OK;
}

/* Replaces the maximum so far and its position; a NaN replaces everything. */
static void max_update(double value, double position, double *max_io, double *position_io)
{
    if (!(value > *max_io) && !isnan(value)) return;
    *max_io = value;
    *position_io = position;
}

static far_status global_max_reference(const fari_call *call)
{
    const fari_volume x = fari_volume_of(&call->in[0]), y = fari_volume_of(&call->out[0]),
                      at = fari_volume_of(&call->out[1]);
    const double first = (double)(x.row0 * x.extent[1] * x.extent[2]);
    for (int64_t n = 0; n < x.samples; n++) {
        for (int64_t c = 0; c < x.channels; c++) {
            const int64_t elem = fari_volume_at(&y, n, c, origin);
            int64_t pos[3] = { 0, 0, 0 };
            double max = call->accumulate ? fari_volume_get(&y, elem) : -(double)INFINITY;
            double position = call->accumulate ? fari_volume_get(&at, elem) : first, here = first;
            do max_update(fari_volume_get(&x, fari_volume_at(&x, n, c, pos)), here++, &max, &position);
            while (fari_pos_next(pos, origin, x.extent));
            fari_volume_set(&y, elem, max);
            fari_volume_set(&at, elem, position);
        }
    }
    return FAR_OK;
}

/* Left and right hold maxima (0) and positions (1); the left's rows come first, so it keeps a tie. */
static far_status global_max_combine(const fari_call *call)
{
    const int64_t elems = fari_view_elems(&call->out[0]);
    for (int64_t k = 0; k < elems; k++) {
        double max = fari_view_get_flat(&call->out[0], k), position = fari_view_get_flat(&call->out[1], k);
        max_update(fari_view_get_flat(&call->in[0], k), fari_view_get_flat(&call->in[1], k), &max, &position);
        fari_view_set_flat(&call->out[0], k, max);
        fari_view_set_flat(&call->out[1], k, position);
    }
    return FAR_OK;
}

static far_status global_sum_dx_reference(const fari_call *call)
{
    const fari_volume d = fari_volume_of(&call->in[0]), dx = fari_volume_of(&call->out[0]);
    for (int64_t n = 0; n < dx.samples; n++) {
        for (int64_t c = 0; c < dx.channels; c++) {
            const double value = fari_volume_get(&d, fari_volume_at(&d, n, c, origin));
            int64_t pos[3] = { 0, 0, 0 };
            do fari_volume_set(&dx, fari_volume_at(&dx, n, c, pos), value);
            while (fari_pos_next(pos, origin, dx.extent));
        }
    }
    return FAR_OK;
}

static far_status global_max_dx_reference(const fari_call *call)
{
    const fari_volume d = fari_volume_of(&call->in[0]), at = fari_volume_of(&call->in[1]),
                      dx = fari_volume_of(&call->out[0]);
    for (int64_t n = 0; n < dx.samples; n++) {
        for (int64_t c = 0; c < dx.channels; c++) {
            const int64_t elem = fari_volume_at(&d, n, c, origin);
            const double value = fari_volume_get(&d, elem), position = fari_volume_get(&at, elem);
            double here = (double)(dx.row0 * dx.extent[1] * dx.extent[2]);
            int64_t pos[3] = { 0, 0, 0 };
            do fari_volume_set(&dx, fari_volume_at(&dx, n, c, pos), here++ == position ? value : 0.0);
            while (fari_pos_next(pos, origin, dx.extent));
        }
    }
    return FAR_OK;
}

static far_status scale_cast_reference(const fari_call *call)
{
    const double scale = ((const fari_scale_cast_attr *)call->attr)->scale;
    const int64_t elems = fari_view_elems(&call->out[0]);
    for (int64_t k = 0; k < elems; k++)
        fari_view_set_flat(&call->out[0], k, scale * fari_view_get_flat(&call->in[0], k));
    return FAR_OK;
}

/* ---- table rows ---- */

const fari_op fari_op_global_sum = {
    .name = "global_sum",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_CL,
    .infer = global_sum_infer,
    .gradient = global_sum_gradient,
    .domain_input = 0,
    .reference = global_sum_reference,
};

const fari_op fari_op_global_max = {
    .name = "global_max",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_CL,
    .infer = global_max_infer,
    .gradient = global_max_gradient,
    .domain_input = 0,
    .combine = global_max_combine,
    .reference = global_max_reference,
};

const fari_op fari_op_global_sum_dx = {
    .name = "global_sum_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_global_attr),
    .infer = global_dx_infer,
    .reference = global_sum_dx_reference,
};

const fari_op fari_op_global_max_dx = {
    .name = "global_max_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_global_attr),
    .infer = global_dx_infer,
    .reference = global_max_dx_reference,
};

const fari_op fari_op_scale_cast = {
    .name = "scale_cast",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ANY,
    .attr_bytes = sizeof(fari_scale_cast_attr),
    .infer = scale_cast_infer,
    .gradient = scale_cast_gradient,
    .reference = scale_cast_reference,
};
