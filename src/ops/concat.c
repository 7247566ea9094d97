/* Joining tensors along an axis: builder, shapes, gradient and reference kernel. */
#include "ops/concat.h"
#include "graph/graph.h"
#include "ops/slice.h"
#include <farandole/shape.h>
#include <inttypes.h>

/* More tensors than one op takes are joined in runs first. */
far_value far_concat(far_graph *graph, const char *name, int32_t count, const far_value *x, int32_t axis)
{
    far_value in[FARI_IN_MAX];
    if (far_graph_status(graph) != FAR_OK) return FAR_NO_VALUE;
    if (count < 1) return fari_graph_fail(graph, FAR_FAIL(FAR_E_ARG, "concat '%s': nothing to join", name));
    const far_shape shape = far_graph_shape(graph, x[0]);
    const fari_concat_attr attr = { axis < 0 ? axis + shape.ndim : axis };
    int32_t used = 0, runs = 0, run_elems = 1;
    while ((int64_t)run_elems * FARI_IN_MAX < count) run_elems *= FARI_IN_MAX;
    for (; used < count; runs++) {
        const int32_t take = count - used < run_elems ? count - used : run_elems;
        in[runs] = take == 1 ? x[used] : far_concat(graph, name, take, x + used, attr.axis);
        used += take;
    }
    return fari_emit(graph, &fari_op_concat, name, &attr, runs, in);
}

static far_status concat_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                               fari_tensor *out, int32_t *out_count)
{
    const fari_concat_attr *attr = node->attr;
    const int32_t axis = attr->axis, ndim = in[0]->shape.ndim;
    (void)graph, (void)out_count;
    if (axis < 0 || axis >= ndim || (axis == 0 && in[0]->batch_of != 0)) {
        (void)fari_shape_error(node, in[0], NULL, "the axis to join along is not one of these, or is the batch");
        return FAR_E_ARG;
    }
    for (int32_t k = 1; k < node->in_count; k++) {
        bool fits = in[k]->shape.ndim == ndim && in[k]->dtype == in[0]->dtype && in[k]->batch_of == in[0]->batch_of;
        for (int32_t i = 0; fits && i < ndim; i++) fits = i == axis || in[k]->shape.dim[i] == in[0]->shape.dim[i];
        if (!fits) return fari_shape_error(node, in[0], in[k], "all but the joined extents must be equal");
        if (__builtin_add_overflow(out[0].shape.dim[axis], in[k]->shape.dim[axis], &out[0].shape.dim[axis]))
            return fari_shape_error(node, in[0], in[k], "the joined extent overflows");
        out[0].has_rows = out[0].has_rows && in[k]->has_rows;
    }
    if (axis == 2) out[0].has_rows = false;
    return FAR_OK;
}

static void concat_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                        int64_t out_hi, int64_t *lo, int64_t *hi)
{
    const fari_concat_attr *attr = node->attr;
    const bool whole = attr->axis == 2;
    *lo = whole ? 0 : out_lo;
    *hi = whole ? in[input_idx]->shape.dim[2] : out_hi;
}

static far_status concat_gradient(fari_grad *grad)
{
    const fari_concat_attr *attr = grad->node->attr;
    int64_t start = 0;
    for (int32_t k = 0; k < grad->node->in_count; k++) {
        const fari_tensor *x = fari_tensor_of(grad->graph, grad->in[k]);
        fari_slice_attr part = { .cut_rows = x->has_rows };
        for (int32_t i = 0; i < x->shape.ndim; i++) part.count[i] = x->shape.dim[i];
        part.start[attr->axis] = start;
        start += x->shape.dim[attr->axis];
        if (grad->need[k])
            grad->d_in[k] = fari_emit(grad->graph, &fari_op_slice, grad->node->name, &part, 1, &grad->d_out[0]);
    }
    return FAR_OK;
}

static far_status concat_reference(const fari_call *call)
{
    const fari_concat_attr *attr = call->attr;
    const fari_view *y = &call->out[0];
    int64_t start = 0;
    for (int32_t k = 0; k < call->in_count; k++) {
        const fari_view *x = &call->in[k];
        int64_t x_idx[FAR_NDIM_MAX] = { 0 }, y_idx[FAR_NDIM_MAX] = { 0 };
        do {
            for (int32_t i = 0; i < x->ndim; i++) y_idx[i] = x_idx[i] + (i == attr->axis ? start : 0);
            fari_view_set(y, y_idx, fari_view_get(x, x_idx));
        } while (fari_idx_next(x_idx, x->dim, x->ndim));
        start += x->dim[attr->axis];
    }
    return FAR_OK;
}

const fari_op fari_op_concat = {
    .name = "concat",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ANY,
    .attr_bytes = sizeof(fari_concat_attr),
    .infer = concat_infer,
    .gradient = concat_gradient,
    .rows = concat_rows,
    .reference = concat_reference,
    .is_light = true,
};
