/* One operand, element by element: builders, gradients, cost and reference kernels. */
#include "ops/cost.h"
#include "ops/elementwise.h"
#include <farandole/elementwise.h>
#include <math.h>

/* ---- builders ---- */

static far_value unary(far_graph *graph, const char *name, far_value x, fari_unary_kind kind, double alpha, double beta)
{
    const fari_unary_attr attr = { kind, alpha, beta };
    return fari_emit(graph, &fari_op_unary, name, &attr, 1, &x);
}

far_value far_neg(far_graph *graph, const char *name, far_value x)
{
    return unary(graph, name, x, FARI_UNARY_AFFINE, -1.0, 0.0);
}

far_value far_exp(far_graph *graph, const char *name, far_value x)
{
    return unary(graph, name, x, FARI_UNARY_EXP, 0.0, 0.0);
}

far_value far_log(far_graph *graph, const char *name, far_value x)
{
    return unary(graph, name, x, FARI_UNARY_LOG, 0.0, 0.0);
}

far_value far_log1p(far_graph *graph, const char *name, far_value x)
{
    return unary(graph, name, x, FARI_UNARY_LOG1P, 0.0, 0.0);
}

far_value far_sqrt(far_graph *graph, const char *name, far_value x)
{
    return unary(graph, name, x, FARI_UNARY_SQRT, 0.0, 0.0);
}

far_value far_abs(far_graph *graph, const char *name, far_value x)
{
    return unary(graph, name, x, FARI_UNARY_ABS, 0.0, 0.0);
}

far_value far_square(far_graph *graph, const char *name, far_value x)
{
    return unary(graph, name, x, FARI_UNARY_SQUARE, 0.0, 0.0);
}

far_value far_scale_shift(far_graph *graph, const char *name, far_value x, double alpha, double beta)
{
    return unary(graph, name, x, FARI_UNARY_AFFINE, alpha, beta);
}

far_value far_clamp(far_graph *graph, const char *name, far_value x, double lo, double hi)
{
    if (far_graph_status(graph) == FAR_OK && !(lo <= hi))
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_ARG, "clamp '%s': [%g, %g] is empty", name, lo, hi));
    return unary(graph, name, x, FARI_UNARY_CLAMP, lo, hi);
}

/* ---- the op ---- */

static far_status unary_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                              fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)out_count;
    if (node->in_count > 1)
        out[0].has_rows = in[0]->has_rows && in[1]->has_rows; /* else one would come whole beside a piece */
    if (in[0]->dtype != FAR_F32 && in[0]->dtype != FAR_F64)
        return fari_shape_error(node, in[0], NULL, "expects f32 or f64");
    return FAR_OK;
}

/* exp and sqrt are cheapest to differentiate from their result, the others need x. */
static far_status unary_gradient(fari_grad *grad)
{
    const fari_unary_attr *attr = grad->node->attr;
    const bool from_result = attr->kind == FARI_UNARY_EXP || attr->kind == FARI_UNARY_SQRT;
    const far_value in[] = { grad->d_out[0], from_result ? grad->out[0] : grad->in[0] };
    if (!grad->need[0]) return FAR_OK;
    grad->d_in[0] = attr->kind == FARI_UNARY_AFFINE
                        ? unary(grad->graph, grad->node->name, in[0], FARI_UNARY_AFFINE, attr->alpha, 0.0)
                        : fari_emit(grad->graph, &fari_op_unary_dx, grad->node->name, attr, 2, in);
    return FAR_OK;
}

static double unary_of(const fari_unary_attr *attr, double x)
{
    switch (attr->kind) {
    case FARI_UNARY_AFFINE: return attr->alpha * x + attr->beta;
    case FARI_UNARY_CLAMP: return x < attr->alpha ? attr->alpha : x > attr->beta ? attr->beta : x;
    case FARI_UNARY_EXP: return exp(x);
    case FARI_UNARY_LOG: return log(x);
    case FARI_UNARY_LOG1P: return log1p(x);
    case FARI_UNARY_SQRT: return sqrt(x);
    case FARI_UNARY_ABS: return fabs(x);
    case FARI_UNARY_SQUARE: return x * x;
    case FARI_UNARY_COUNT: break;
    }
    return 0.0;
}

/* f'(x), from `at`: y for EXP and SQRT, else x. */
static double unary_slope(const fari_unary_attr *attr, double at)
{
    switch (attr->kind) {
    case FARI_UNARY_AFFINE: return attr->alpha;
    case FARI_UNARY_CLAMP: return at >= attr->alpha && at <= attr->beta ? 1.0 : 0.0;
    case FARI_UNARY_EXP: return at;
    case FARI_UNARY_LOG: return 1.0 / at;
    case FARI_UNARY_LOG1P: return 1.0 / (1.0 + at);
    case FARI_UNARY_SQRT: return 0.5 / at;
    case FARI_UNARY_ABS: return (double)((at > 0.0) - (at < 0.0));
    case FARI_UNARY_SQUARE: return 2.0 * at;
    case FARI_UNARY_COUNT: break;
    }
    return 0.0;
}

static far_status unary_reference(const fari_call *call)
{
    const int64_t elems = fari_view_elems(&call->out[0]);
    for (int64_t k = 0; k < elems; k++)
        fari_view_set_flat(&call->out[0], k, unary_of(call->attr, fari_view_get_flat(&call->in[0], k)));
    return FAR_OK;
}

static far_status unary_dx_reference(const fari_call *call)
{
    const int64_t elems = fari_view_elems(&call->out[0]);
    for (int64_t k = 0; k < elems; k++)
        fari_view_set_flat(&call->out[0], k,
                           fari_view_get_flat(&call->in[0], k) *
                               unary_slope(call->attr, fari_view_get_flat(&call->in[1], k)));
    return FAR_OK;
}

/* exp and the logarithms count as twenty operations. */
static fari_cost unary_cost(const fari_call *call)
{
    const fari_unary_attr *attr = call->attr;
    const bool is_slow = attr->kind == FARI_UNARY_EXP || attr->kind == FARI_UNARY_LOG || attr->kind == FARI_UNARY_LOG1P;
    return fari_cost_per_elem(call, is_slow ? 20.0 : 2.0);
}

static fari_cost unary_dx_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 3.0);
}

const fari_op fari_op_unary = {
    .name = "unary",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ANY,
    .attr_bytes = sizeof(fari_unary_attr),
    .infer = unary_infer,
    .gradient = unary_gradient,
    .cost = unary_cost,
    .reference = unary_reference,
};

const fari_op fari_op_unary_dx = {
    .name = "unary_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ANY,
    .attr_bytes = sizeof(fari_unary_attr),
    .infer = unary_infer,
    .cost = unary_dx_cost,
    .reference = unary_dx_reference,
};
