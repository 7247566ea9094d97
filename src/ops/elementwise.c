/* Two operands, element by element: builders, shapes, gradients, cost and reference kernels. One operand: unary.c. */
#include "ops/elementwise.h"
#include "ops/cost.h"
#include "ops/reduce.h"
#include <farandole/elementwise.h>
#include <string.h>

/* ---- how the second operand is repeated ---- */

static bool shapes_equal(const far_shape *a, const far_shape *b)
{
    return a->ndim == b->ndim && memcmp(a->dim, b->dim, (size_t)a->ndim * sizeof a->dim[0]) == 0;
}

static bool is_over_samples(const far_shape *a, const far_shape *b)
{
    return b->ndim == a->ndim - 1 && memcmp(a->dim + 1, b->dim, (size_t)b->ndim * sizeof a->dim[0]) == 0;
}

/* [N, C] or [N, C, 1, ..]. */
static bool is_sample_channel(const far_shape *a, const far_shape *b)
{
    if (b->ndim != 2 && b->ndim != a->ndim) return false;
    for (int32_t i = 2; i < b->ndim; i++)
        if (b->dim[i] != 1) return false;
    return a->ndim >= 2 && b->dim[0] == a->dim[0] && b->dim[1] == a->dim[1];
}

/* False: b does not fit a. */
static bool repeat_find(const fari_tensor *a, const fari_tensor *b, fari_repeat *repeat_out)
{
    const far_shape *sa = &a->shape, *sb = &b->shape;
    const bool is_global = b->batch_of == 0;
    if (a->dtype != b->dtype) return false;
    if (a->batch_of == b->batch_of && shapes_equal(sa, sb)) *repeat_out = FARI_REPEAT_NONE;
    else if (is_global && far_shape_elems(sb) == 1) *repeat_out = FARI_REPEAT_SCALAR;
    else if (is_global && sb->ndim == 1 && sa->ndim >= 2 && sb->dim[0] == sa->dim[1]) *repeat_out = FARI_REPEAT_CHANNEL;
    else if (a->batch_of == b->batch_of && is_sample_channel(sa, sb)) *repeat_out = FARI_REPEAT_SAMPLE_CHANNEL;
    else if (is_global && is_over_samples(sa, sb)) *repeat_out = FARI_REPEAT_OVER_SAMPLES;
    else return false;
    return true;
}

/* ---- builders ---- */

/* `a kind b`; where only b could take a as its second operand and the order does not matter, b kind a. */
static far_value binary(far_graph *graph, const char *name, fari_binary_kind kind, far_value a, far_value b)
{
    fari_binary_attr attr = { kind, FARI_REPEAT_NONE };
    far_value in[] = { a, b };
    fari_repeat swapped;
    if (far_graph_status(graph) != FAR_OK) return FAR_NO_VALUE;
    if (a >= 0 && b >= 0) {
        const fari_tensor *ta = fari_tensor_of(graph, a), *tb = fari_tensor_of(graph, b);
        const bool commutes = kind != FARI_BINARY_SUB && kind != FARI_BINARY_DIV;
        if (!repeat_find(ta, tb, &attr.repeat) && commutes && repeat_find(tb, ta, &swapped)) {
            in[0] = b;
            in[1] = a;
            attr.repeat = swapped;
        }
    }
    return fari_emit(graph, &fari_op_binary, name, &attr, 2, in);
}

far_value far_add(far_graph *graph, const char *name, far_value a, far_value b)
{
    return binary(graph, name, FARI_BINARY_ADD, a, b);
}

far_value far_sub(far_graph *graph, const char *name, far_value a, far_value b)
{
    return binary(graph, name, FARI_BINARY_SUB, a, b);
}

far_value far_mul(far_graph *graph, const char *name, far_value a, far_value b)
{
    return binary(graph, name, FARI_BINARY_MUL, a, b);
}

far_value far_div(far_graph *graph, const char *name, far_value a, far_value b)
{
    return binary(graph, name, FARI_BINARY_DIV, a, b);
}

far_value far_maximum(far_graph *graph, const char *name, far_value a, far_value b)
{
    return binary(graph, name, FARI_BINARY_MAX, a, b);
}

far_value far_minimum(far_graph *graph, const char *name, far_value a, far_value b)
{
    return binary(graph, name, FARI_BINARY_MIN, a, b);
}

/* ---- shapes ---- */

static far_status binary_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                               fari_tensor *out, int32_t *out_count)
{
    const fari_binary_attr *attr = node->attr;
    fari_repeat repeat;
    (void)graph, (void)out_count;
    if (in[0]->dtype != FAR_F32 && in[0]->dtype != FAR_F64)
        return fari_shape_error(node, in[0], in[1], "expects f32 or f64");
    if (!repeat_find(in[0], in[1], &repeat) || repeat != attr->repeat)
        return fari_shape_error(node, in[0], in[1],
                                in[0]->dtype != in[1]->dtype
                                    ? "element types differ"
                                    : "the second operand is neither equal in shape nor repeatable");
    if (repeat == FARI_REPEAT_NONE)
        out[0].has_rows = in[0]->has_rows && in[1]->has_rows; /* else one would come whole beside a piece */
    return FAR_OK;
}

/* ---- gradients ---- */

/* Sums a gradient of the first operand's shape to the second's. */
static far_value sum_to_second(fari_grad *grad, fari_repeat repeat, far_value full)
{
    const fari_tensor *b = fari_tensor_of(grad->graph, grad->in[1]);
    const fari_column_sum_attr attr = { .axis = repeat == FARI_REPEAT_SCALAR ? -1 : 1,
                                        .per_sample = repeat == FARI_REPEAT_SAMPLE_CHANNEL,
                                        .over_samples = repeat == FARI_REPEAT_OVER_SAMPLES,
                                        .shape = b->shape };
    if (repeat == FARI_REPEAT_NONE) return full;
    const far_value sum = fari_emit(grad->graph, &fari_op_column_sum, grad->node->name, &attr, 1, &full);
    return fari_as_order(grad->graph, sum, fari_tensor_of(grad->graph, grad->in[1])->order);
}

static far_value emit_binary(fari_grad *grad, fari_binary_kind kind, fari_repeat repeat, far_value a, far_value b)
{
    const fari_binary_attr attr = { kind, repeat };
    return fari_emit(grad->graph, &fari_op_binary, grad->node->name, &attr, 2, (const far_value[]){ a, b });
}

static far_value negated(fari_grad *grad, far_value x)
{
    return far_neg(grad->graph, grad->node->name, x);
}

/* d_a of a kind b, of a's shape. `is_second`: d_b, not yet summed to b's shape. */
static far_value operand_gradient(fari_grad *grad, bool is_second)
{
    const fari_binary_attr *attr = grad->node->attr;
    const far_value a = grad->in[0], b = grad->in[1], y = grad->out[0], dy = grad->d_out[0];
    switch (attr->kind) {
    case FARI_BINARY_ADD: return dy;
    case FARI_BINARY_SUB: return is_second ? negated(grad, dy) : dy;
    case FARI_BINARY_MUL:
        return is_second ? emit_binary(grad, FARI_BINARY_MUL, FARI_REPEAT_NONE, dy, a)
                         : emit_binary(grad, FARI_BINARY_MUL, attr->repeat, dy, b);
    case FARI_BINARY_DIV: { /* d_a = dy / b; d_b = -(dy / b) (a / b) */
        const far_value d_a = emit_binary(grad, FARI_BINARY_DIV, attr->repeat, dy, b);
        return is_second ? negated(grad, emit_binary(grad, FARI_BINARY_MUL, FARI_REPEAT_NONE, d_a, y)) : d_a;
    }
    case FARI_BINARY_MAX:
    case FARI_BINARY_MIN: {
        const far_value in[] = { dy, a, b };
        const far_value d_a = fari_emit(grad->graph, &fari_op_binary_select, grad->node->name, attr, 3, in);
        return is_second ? emit_binary(grad, FARI_BINARY_SUB, FARI_REPEAT_NONE, dy, d_a) : d_a; /* what a did not get */
    }
    case FARI_BINARY_COUNT: break;
    }
    return FAR_NO_VALUE;
}

static far_status binary_gradient(fari_grad *grad)
{
    const fari_binary_attr *attr = grad->node->attr;
    if (grad->need[0]) grad->d_in[0] = operand_gradient(grad, false);
    if (grad->need[1]) grad->d_in[1] = sum_to_second(grad, attr->repeat, operand_gradient(grad, true));
    return FAR_OK;
}

static far_status select_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                               fari_tensor *out, int32_t *out_count)
{
    const fari_binary_attr *attr = node->attr;
    (void)graph, (void)out_count;
    out[0].has_rows = in[0]->has_rows && in[1]->has_rows && (attr->repeat != FARI_REPEAT_NONE || in[2]->has_rows);
    return FAR_OK;
}

/* ---- cost and reference kernels ---- */

static fari_cost one_flop(const fari_call *call)
{
    return fari_cost_per_elem(call, 1.0);
}

/* The second operand's element beside a[idx], both pieces. */
static double second_get(fari_repeat repeat, const fari_view *a, const int64_t *idx, const fari_view *b)
{
    int64_t b_idx[FAR_NDIM_MAX] = { 0 };
    switch (repeat) {
    case FARI_REPEAT_NONE: return fari_view_get(b, idx);
    case FARI_REPEAT_SCALAR: return fari_view_get_flat(b, 0);
    case FARI_REPEAT_CHANNEL: return fari_view_get_flat(b, idx[1]);
    case FARI_REPEAT_SAMPLE_CHANNEL:
        b_idx[0] = idx[0];
        b_idx[1] = idx[1];
        return fari_view_get(b, b_idx);
    case FARI_REPEAT_OVER_SAMPLES:
        for (int32_t i = 1; i < a->ndim; i++) b_idx[i - 1] = idx[i] + (i == 2 ? a->row0 : 0);
        return fari_view_get(b, b_idx);
    }
    return 0.0;
}

static double binary_of(fari_binary_kind kind, double a, double b)
{
    switch (kind) {
    case FARI_BINARY_ADD: return a + b;
    case FARI_BINARY_SUB: return a - b;
    case FARI_BINARY_MUL: return a * b;
    case FARI_BINARY_DIV: return a / b;
    case FARI_BINARY_MAX: return a > b ? a : b; /* NaN in either: b or NaN, as the vector instruction */
    case FARI_BINARY_MIN: return a < b ? a : b;
    case FARI_BINARY_COUNT: break;
    }
    return 0.0;
}

static far_status binary_reference(const fari_call *call)
{
    const fari_binary_attr *attr = call->attr;
    const fari_view *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    do fari_view_set(y, idx, binary_of(attr->kind, fari_view_get(a, idx), second_get(attr->repeat, a, idx, b)));
    while (fari_idx_next(idx, y->dim, y->ndim));
    return FAR_OK;
}

static far_status select_reference(const fari_call *call)
{
    const fari_binary_attr *attr = call->attr;
    const fari_view *dy = &call->in[0], *a = &call->in[1], *b = &call->in[2], *da = &call->out[0];
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    do {
        const double x = fari_view_get(a, idx), z = second_get(attr->repeat, a, idx, b);
        const bool taken = attr->kind == FARI_BINARY_MAX ? x > z : x < z;
        fari_view_set(da, idx, fari_view_get(dy, idx) * (taken ? 1.0 : x == z ? 0.5 : 0.0));
    } while (fari_idx_next(idx, da->dim, da->ndim));
    return FAR_OK;
}

const fari_op fari_op_binary = {
    .name = "binary",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ANY,
    .attr_bytes = sizeof(fari_binary_attr),
    .infer = binary_infer,
    .gradient = binary_gradient,
    .cost = one_flop,
    .reference = binary_reference,
    .is_light = true,
};

const fari_op fari_op_binary_select = {
    .name = "binary_select",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ANY,
    .attr_bytes = sizeof(fari_binary_attr),
    .infer = select_infer,
    .cost = one_flop,
    .reference = select_reference,
};
