/* Products of matrices over the leading axes: builder, shapes, gradient, cost and reference kernel. */
#include "ops/matmul.h"
#include "ops/spatial.h"
#include <farandole/linear.h>

far_value far_matmul(far_graph *graph, const char *name, far_value a, far_value b, bool transpose_a, bool transpose_b)
{
    const fari_matmul_attr attr = { transpose_a, transpose_b };
    return fari_emit(graph, &fari_op_matmul, name, &attr, 2, (const far_value[]){ a, b });
}

static far_status matmul_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                               fari_tensor *out, int32_t *out_count)
{
    const fari_matmul_attr *attr = node->attr;
    const far_shape *a = &in[0]->shape, *b = &in[1]->shape;
    const int32_t last = a->ndim - 1;
    bool fits = a->ndim >= 2 && a->ndim == b->ndim && in[0]->batch_of == in[1]->batch_of;
    (void)graph, (void)out_count;
    for (int32_t i = 0; fits && i < last - 1; i++) fits = a->dim[i] == b->dim[i];
    if (!fits) return fari_shape_error(node, in[0], in[1], "expects equal leading axes, both batched or both not");
    if (in[0]->dtype != FAR_F32 || in[1]->dtype != FAR_F32)
        return fari_shape_error(node, in[0], in[1], "operands must be f32");
    if (a->ndim == 2 && in[0]->batch_of != 0)
        return fari_shape_error(node, in[0], in[1], "expects an axis for the batch before the two of the matrices");
    const int64_t k_a = a->dim[attr->transpose_a ? last - 1 : last], k_b = b->dim[attr->transpose_b ? last : last - 1];
    if (k_a != k_b) return fari_shape_error(node, in[0], in[1], "the inner extents differ");
    out[0].order = FARI_ROW_MAJOR;
    out[0].has_rows = false;
    out[0].shape.dim[last - 1] = a->dim[attr->transpose_a ? last : last - 1];
    out[0].shape.dim[last] = b->dim[attr->transpose_b ? last - 1 : last];
    return FAR_OK;
}

static void matmul_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                        int64_t out_hi, int64_t *lo, int64_t *hi)
{
    (void)node, (void)out_lo, (void)out_hi;
    *lo = 0;
    *hi = in[input_idx]->shape.ndim > 2 ? in[input_idx]->shape.dim[2] : 1;
}

static far_value product(fari_grad *grad, far_value a, far_value b, bool transpose_a, bool transpose_b)
{
    return far_matmul(grad->graph, grad->node->name, a, b, transpose_a, transpose_b);
}

/* With A = op(a), B = op(b): dA = dy B^T and dB = A^T dy, transposed once more where the operand was. */
static far_status matmul_gradient(fari_grad *grad)
{
    const fari_matmul_attr *attr = grad->node->attr;
    const far_value a = grad->in[0], b = grad->in[1], dy = grad->d_out[0];
    const bool ta = attr->transpose_a, tb = attr->transpose_b;
    if (grad->need[0]) grad->d_in[0] = ta ? product(grad, b, dy, tb, true) : product(grad, dy, b, false, !tb);
    if (grad->need[1]) grad->d_in[1] = tb ? product(grad, dy, a, true, ta) : product(grad, a, dy, !ta, false);
    return FAR_OK;
}

static fari_cost matmul_cost(const fari_call *call)
{
    const fari_matmul_attr *attr = call->attr;
    const fari_view *a = &call->in[0];
    const double inner = (double)a->dim[attr->transpose_a ? a->ndim - 2 : a->ndim - 1];
    return (fari_cost){ 2.0 * inner * (double)fari_view_elems(&call->out[0]), fari_call_bytes(call) };
}

static far_status matmul_reference(const fari_call *call)
{
    const fari_matmul_attr *attr = call->attr;
    const fari_view *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    const int64_t m = y->dim[y->ndim - 2], n = y->dim[y->ndim - 1],
                  inner = a->dim[attr->transpose_a ? a->ndim - 2 : a->ndim - 1];
    const int64_t a_row = attr->transpose_a ? 1 : inner, a_col = attr->transpose_a ? m : 1;
    const int64_t b_row = attr->transpose_b ? 1 : n, b_col = attr->transpose_b ? inner : 1;
    const int64_t matrices = fari_view_elems(y) / (m * n);
    for (int64_t p = 0; p < matrices; p++)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                double sum = 0.0;
                for (int64_t k = 0; k < inner; k++)
                    sum += fari_view_get_flat(a, p * m * inner + i * a_row + k * a_col) *
                           fari_view_get_flat(b, p * inner * n + k * b_row + j * b_col);
                fari_view_set_flat(y, (p * m + i) * n + j, sum);
            }
    return FAR_OK;
}

const fari_op fari_op_matmul = {
    .name = "matmul",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ROW_MAJOR,
    .attr_bytes = sizeof(fari_matmul_attr),
    .infer = matmul_infer,
    .gradient = matmul_gradient,
    .rows = matmul_rows,
    .cost = matmul_cost,
    .reference = matmul_reference,
};
