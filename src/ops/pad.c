/* A constant around a tensor: builder, shapes, gradient and reference kernel. */
#include "ops/pad.h"
#include "graph/graph.h"
#include "ops/slice.h"
#include "ops/window.h"
#include <farandole/shape.h>
#include <inttypes.h>

far_value far_pad(far_graph *graph, const char *name, far_value x, const int64_t *before, const int64_t *after,
                  double value)
{
    fari_pad_attr attr = { .value = value };
    if (far_graph_status(graph) != FAR_OK) return FAR_NO_VALUE;
    const far_shape shape = far_graph_shape(graph, x);
    for (int32_t i = 0; i < shape.ndim; i++) {
        attr.before[i] = before[i];
        attr.after[i] = after[i];
    }
    return fari_emit(graph, &fari_op_pad, name, &attr, 1, &x);
}

static far_status pad_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                            fari_tensor *out, int32_t *out_count)
{
    const fari_pad_attr *attr = node->attr;
    const far_shape *x = &in[0]->shape;
    char words[160];
    (void)graph, (void)out_count;
    for (int32_t i = 0; i < x->ndim; i++) {
        int64_t *dim = &out[0].shape.dim[i];
        if (attr->before[i] < 0 || attr->after[i] < 0 || __builtin_add_overflow(*dim, attr->before[i], dim) ||
            __builtin_add_overflow(*dim, attr->after[i], dim)) {
            (void)snprintf(words, sizeof words, "%" PRId64 " and %" PRId64 " cannot be added to axis %" PRId32,
                           attr->before[i], attr->after[i], i);
            (void)fari_shape_error(node, in[0], NULL, words);
            return FAR_E_ARG;
        }
    }
    if (in[0]->batch_of != 0 && (attr->before[0] != 0 || attr->after[0] != 0)) {
        (void)fari_shape_error(node, in[0], NULL, "axis 0 is the batch and cannot be padded");
        return FAR_E_ARG;
    }
    return FAR_OK;
}

static void pad_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo, int64_t out_hi,
                     int64_t *lo, int64_t *hi)
{
    const fari_pad_attr *attr = node->attr;
    const far_shape *x = &in[input_idx]->shape;
    *lo = out_lo - (x->ndim > 2 ? attr->before[2] : 0);
    *hi = out_hi - (x->ndim > 2 ? attr->before[2] : 0);
    fari_window_keep_one(x->ndim > 2 ? x->dim[2] : 1, lo, hi);
}

static far_status pad_gradient(fari_grad *grad)
{
    const fari_pad_attr *attr = grad->node->attr;
    const far_shape shape = far_graph_shape(grad->graph, grad->in[0]);
    fari_slice_attr back = { .cut_rows = false };
    for (int32_t i = 0; i < shape.ndim; i++) {
        back.start[i] = attr->before[i];
        back.count[i] = shape.dim[i];
    }
    if (grad->need[0])
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_slice, grad->node->name, &back, 1, &grad->d_out[0]);
    return FAR_OK;
}

static far_status pad_reference(const fari_call *call)
{
    const fari_pad_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *y = &call->out[0];
    int64_t y_idx[FAR_NDIM_MAX] = { 0 }, x_idx[FAR_NDIM_MAX] = { 0 };
    do {
        bool inside = true;
        for (int32_t i = 0; i < y->ndim; i++) {
            x_idx[i] = y_idx[i] - attr->before[i] + (i == 2 ? y->row0 - x->row0 : 0);
            inside = inside && x_idx[i] >= 0 && x_idx[i] < x->dim[i];
        }
        fari_view_set(y, y_idx, inside ? fari_view_get(x, x_idx) : attr->value);
    } while (fari_idx_next(y_idx, y->dim, y->ndim));
    return FAR_OK;
}

const fari_op fari_op_pad = {
    .name = "pad",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ANY,
    .attr_bytes = sizeof(fari_pad_attr),
    .infer = pad_infer,
    .gradient = pad_gradient,
    .rows = pad_rows,
    .reference = pad_reference,
    .is_light = true,
};
