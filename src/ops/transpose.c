/* Axes in another order: builder, shapes, gradient and reference kernel. */
#include "ops/transpose.h"
#include "graph/graph.h"
#include <farandole/shape.h>
#include <string.h>

far_value far_transpose(far_graph *graph, const char *name, far_value x, const int32_t *perm)
{
    fari_transpose_attr attr = { { 0 } };
    uint32_t seen = 0;
    if (far_graph_status(graph) != FAR_OK) return FAR_NO_VALUE;
    const far_shape shape = far_graph_shape(graph, x);
    for (int32_t i = 0; i < shape.ndim; i++) {
        if (perm[i] >= 0 && perm[i] < shape.ndim) seen |= 1U << perm[i];
        attr.perm[i] = perm[i];
    }
    if (seen != (1U << shape.ndim) - 1U)
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_ARG, "transpose '%s': perm must name each of the %d axes once",
                                               name, (int)shape.ndim));
    return fari_emit(graph, &fari_op_transpose, name, &attr, 1, &x);
}

static far_status transpose_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                  fari_tensor *out, int32_t *out_count)
{
    const fari_transpose_attr *attr = node->attr;
    (void)graph, (void)out_count;
    if (in[0]->batch_of != 0 && attr->perm[0] != 0)
        return fari_shape_error(node, in[0], NULL, "axis 0 is the batch and must stay");
    out[0].order = FARI_ROW_MAJOR;
    out[0].has_rows = false;
    for (int32_t i = 0; i < in[0]->shape.ndim; i++) out[0].shape.dim[i] = in[0]->shape.dim[attr->perm[i]];
    return FAR_OK;
}

static void transpose_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                           int64_t out_hi, int64_t *lo, int64_t *hi)
{
    (void)node, (void)out_lo, (void)out_hi;
    *lo = 0;
    *hi = in[input_idx]->shape.ndim > 2 ? in[input_idx]->shape.dim[2] : 1;
}

static far_status transpose_gradient(fari_grad *grad)
{
    const fari_transpose_attr *attr = grad->node->attr;
    const far_shape shape = far_graph_shape(grad->graph, grad->in[0]);
    fari_transpose_attr back = { { 0 } };
    for (int32_t i = 0; i < shape.ndim; i++) back.perm[attr->perm[i]] = i;
    if (grad->need[0])
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_transpose, grad->node->name, &back, 1, &grad->d_out[0]);
    return FAR_OK;
}

static far_status transpose_reference(const fari_call *call)
{
    const fari_transpose_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *y = &call->out[0];
    int64_t y_idx[FAR_NDIM_MAX] = { 0 }, x_idx[FAR_NDIM_MAX] = { 0 };
    do {
        for (int32_t i = 0; i < y->ndim; i++) x_idx[attr->perm[i]] = y_idx[i];
        fari_view_set(y, y_idx, fari_view_get(x, x_idx));
    } while (fari_idx_next(y_idx, y->dim, y->ndim));
    return FAR_OK;
}

const fari_op fari_op_transpose = {
    .name = "transpose",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ROW_MAJOR,
    .attr_bytes = sizeof(fari_transpose_attr),
    .infer = transpose_infer,
    .gradient = transpose_gradient,
    .rows = transpose_rows,
    .reference = transpose_reference,
};
