/* Fully connected layers: builder, shapes, gradients, cost and reference kernels. */
#include "ops/linear.h"
#include "base/mem.h"
#include "ops/reduce.h"
#include "ops/spatial.h"
#include <farandole/linear.h>
#include <inttypes.h>

/* ---- builder ---- */

/* "<base>.<suffix>", starting as `init` or, left at zero, as PyTorch's uniform with that fan-in. */
static far_value linear_param(far_graph *graph, const char *base, const char *suffix, far_shape shape, far_init init,
                              int64_t fan_in)
{
    char *name = fari_printf("%s.%s", base, suffix);
    if (name == NULL)
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_NOMEM, "no memory for the name of %s.%s", base, suffix));
    if (init.kind == FAR_INIT_ZERO) init = (far_init){ .kind = FAR_INIT_TORCH_UNIFORM };
    if (init.fan_in == 0) init.fan_in = fan_in;
    const far_value param = far_graph_param(graph, name, &shape, init);
    fari_free(name);
    return param;
}

far_value far_linear(far_graph *graph, const char *name, far_value x, const far_linear_opts *opts)
{
    char text[128];
    if (far_graph_status(graph) != FAR_OK) return FAR_NO_VALUE;
    const far_shape shape = far_graph_shape(graph, x);
    if (opts->out_features < 1)
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_ARG, "linear '%s': out_features must be at least 1, got %" PRId64,
                                               name, opts->out_features));
    if (shape.ndim < 2)
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_SHAPE, "linear '%s': expects [N, ..., features], got [%s]", name,
                                               far_shape_text(&shape, text)));
    const int64_t features = shape.dim[shape.ndim - 1];
    far_value in[3] = { x, FAR_NO_VALUE, FAR_NO_VALUE };
    in[1] = linear_param(graph, name, "weight", (far_shape){ 2, { opts->out_features, features } }, opts->weight_init,
                         features);
    if (!opts->no_bias)
        in[2] = linear_param(graph, name, "bias", (far_shape){ 1, { opts->out_features } }, opts->bias_init, features);
    return fari_emit(graph, &fari_op_linear, name, NULL, opts->no_bias ? 2 : 3, in);
}

/* ---- shapes ---- */

/* x with its last extent replaced; positions are not image rows. */
static void infer_last(fari_tensor *out, const fari_tensor *x, int64_t last)
{
    fari_infer_like(out, x);
    out->order = FARI_ROW_MAJOR;
    out->has_rows = false;
    out->shape.dim[x->shape.ndim - 1] = last;
}

static far_status expect_f32(const fari_node *node, const fari_tensor *const *in)
{
    for (int32_t i = 0; i < node->in_count; i++)
        if (in[i]->dtype != FAR_F32) return fari_shape_error(node, in[i], NULL, "operands must be f32");
    return FAR_OK;
}

/* The weight's extent `axis` must be x's last one. */
static far_status expect_weight(const fari_node *node, const fari_tensor *x, const fari_tensor *weight, int axis)
{
    FAR_TRY(expect_f32(node, (const fari_tensor *const[]){ x, weight, x }));
    if (x->shape.ndim < 2 || weight->shape.ndim != 2 || weight->shape.dim[axis] != x->shape.dim[x->shape.ndim - 1])
        return fari_shape_error(node, x, weight,
                                axis == 1 ? "expects x [N, ..., F] and weight [O, F]"
                                          : "expects d_y [N, ..., O] and weight [O, F]");
    return FAR_OK;
}

static far_status linear_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                               fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)out_count;
    FAR_TRY(expect_weight(node, in[0], in[1], 1));
    if (node->in_count > 2 && (in[2]->shape.ndim != 1 || in[2]->shape.dim[0] != in[1]->shape.dim[0]))
        return fari_shape_error(node, in[1], in[2], "expects weight [O, F] and bias [O]");
    infer_last(&out[0], in[0], in[1]->shape.dim[0]);
    return FAR_OK;
}

static far_status linear_dx_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                  fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)out_count;
    FAR_TRY(expect_weight(node, in[0], in[1], 0));
    infer_last(&out[0], in[0], in[1]->shape.dim[1]);
    return FAR_OK;
}

static far_status linear_dw_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                  fari_tensor *out, int32_t *out_count)
{
    const far_shape *x = &in[0]->shape, *dy = &in[1]->shape;
    bool same = x->ndim >= 2 && x->ndim == dy->ndim;
    (void)graph, (void)out_count;
    FAR_TRY(expect_f32(node, in));
    for (int32_t i = 0; same && i < x->ndim - 1; i++) same = x->dim[i] == dy->dim[i];
    if (!same) return fari_shape_error(node, in[0], in[1], "expects x [N, ..., F] and d_y [N, ..., O]");
    out[0] = (fari_tensor){ .dtype = FAR_F32, .shape = { 2, { dy->dim[dy->ndim - 1], x->dim[x->ndim - 1] } } };
    return FAR_OK;
}

/* Whole samples, whatever axis 2 is. */
static void all_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo, int64_t out_hi,
                     int64_t *lo, int64_t *hi)
{
    (void)node, (void)out_lo, (void)out_hi;
    *lo = 0;
    *hi = in[input_idx]->shape.ndim > 2 ? in[input_idx]->shape.dim[2] : 1;
}

/* ---- gradients ---- */

static far_status linear_gradient(fari_grad *grad)
{
    const char *name = grad->node->name;
    const far_value dy = grad->d_out[0];
    if (grad->need[0])
        grad->d_in[0] =
            fari_emit(grad->graph, &fari_op_linear_dx, name, NULL, 2, (const far_value[]){ dy, grad->in[1] });
    if (grad->need[1])
        grad->d_in[1] =
            fari_emit(grad->graph, &fari_op_linear_dw, name, NULL, 2, (const far_value[]){ grad->in[0], dy });
    if (grad->node->in_count > 2 && grad->need[2]) grad->d_in[2] = fari_emit_bias_gradient(grad->graph, name, dy);
    return FAR_OK;
}

/* ---- cost ---- */

static int64_t last_dim(const fari_view *view)
{
    return view->dim[view->ndim - 1];
}

/* linear, linear_dx: two operations a weight and position. */
static fari_cost linear_cost(const fari_call *call)
{
    const int64_t positions = fari_view_elems(&call->in[0]) / last_dim(&call->in[0]);
    return (fari_cost){ 2.0 * (double)positions * (double)fari_view_elems(&call->in[1]), fari_call_bytes(call) };
}

static fari_cost linear_dw_cost(const fari_call *call)
{
    const int64_t positions = fari_view_elems(&call->in[0]) / last_dim(&call->in[0]);
    return (fari_cost){ 2.0 * (double)positions * (double)fari_view_elems(&call->out[0]), fari_call_bytes(call) };
}

/* ---- reference kernels: row-major, so positions are consecutive in memory ---- */

static far_status linear_reference(const fari_call *call)
{
    const fari_view *x = &call->in[0], *weight = &call->in[1], *y = &call->out[0];
    const int64_t features = last_dim(x), outs = last_dim(y), positions = fari_view_elems(y) / outs;
    for (int64_t p = 0; p < positions; p++)
        for (int64_t o = 0; o < outs; o++) {
            double sum = call->in_count > 2 ? fari_view_get_flat(&call->in[2], o) : 0.0;
            for (int64_t f = 0; f < features; f++)
                sum += fari_view_get_flat(x, p * features + f) * fari_view_get_flat(weight, o * features + f);
            fari_view_set_flat(y, p * outs + o, sum);
        }
    return FAR_OK;
}

static far_status linear_dx_reference(const fari_call *call)
{
    const fari_view *dy = &call->in[0], *weight = &call->in[1], *dx = &call->out[0];
    const int64_t features = last_dim(dx), outs = last_dim(dy), positions = fari_view_elems(dx) / features;
    for (int64_t p = 0; p < positions; p++)
        for (int64_t f = 0; f < features; f++) {
            double sum = 0.0;
            for (int64_t o = 0; o < outs; o++)
                sum += fari_view_get_flat(dy, p * outs + o) * fari_view_get_flat(weight, o * features + f);
            fari_view_set_flat(dx, p * features + f, sum);
        }
    return FAR_OK;
}

static far_status linear_dw_reference(const fari_call *call)
{
    const fari_view *x = &call->in[0], *dy = &call->in[1], *dw = &call->out[0];
    const int64_t features = last_dim(x), outs = last_dim(dy), positions = fari_view_elems(dy) / outs;
    for (int64_t o = 0; o < outs; o++)
        for (int64_t f = 0; f < features; f++) {
            double sum = call->accumulate ? fari_view_get_flat(dw, o * features + f) : 0.0;
            for (int64_t p = 0; p < positions; p++)
                sum += fari_view_get_flat(dy, p * outs + o) * fari_view_get_flat(x, p * features + f);
            fari_view_set_flat(dw, o * features + f, sum);
        }
    return FAR_OK;
}

/* ---- table rows ---- */

const fari_op fari_op_linear = {
    .name = "linear",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ROW_MAJOR,
    .infer = linear_infer,
    .gradient = linear_gradient,
    .rows = all_rows,
    .cost = linear_cost,
    .reference = linear_reference,
};

/* dy [N, .., O] and W [O, F] give dx; as a forward op it is linear in both, with linear as its adjoint. */
static far_status linear_dx_gradient(fari_grad *grad)
{
    const char *name = grad->node->name;
    const far_value dx = grad->d_out[0];
    if (grad->need[0])
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_linear, name, NULL, 2, (const far_value[]){ dx, grad->in[1] });
    if (grad->need[1])
        grad->d_in[1] =
            fari_emit(grad->graph, &fari_op_linear_dw, name, NULL, 2, (const far_value[]){ dx, grad->in[0] });
    return FAR_OK;
}

const fari_op fari_op_linear_dx = {
    .name = "linear_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ROW_MAJOR,
    .infer = linear_dx_infer,
    .gradient = linear_dx_gradient,
    .rows = all_rows,
    .cost = linear_cost,
    .reference = linear_dx_reference,
};

const fari_op fari_op_linear_dw = {
    .name = "linear_dw",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_ROW_MAJOR,
    .infer = linear_dw_infer,
    .rows = all_rows,
    .domain_input = 1,
    .cost = linear_dw_cost,
    .reference = linear_dw_reference,
};
