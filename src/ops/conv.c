/* Convolution: shapes, rows, gradients and cost. Reference kernels: conv_reference.c; public builders: conv_build.c. */
#include "ops/conv.h"
#include "ops/norm.h"
#include "ops/spatial.h"
#include "ops/window.h"
#include <inttypes.h>

/* ---- geometry ---- */

int64_t fari_conv_out_extent(const fari_conv_attr *attr, int d)
{
    const int64_t room = attr->in_extent[d] + attr->pad_lo[d] + attr->pad_hi[d] - fari_conv_span(attr, d);
    return room < 0 ? 0 : room / attr->stride[d] + 1;
}

static fari_window axis_window(const fari_conv_attr *attr, int d)
{
    return (fari_window){ attr->kernel[d], attr->stride[d],    attr->dilation[d],
                          attr->pad_lo[d], attr->in_extent[d], fari_conv_out_extent(attr, d) };
}

void fari_conv_rows_x(const fari_conv_attr *attr, int d, int64_t y_lo, int64_t y_hi, int64_t *lo, int64_t *hi)
{
    const fari_window window = axis_window(attr, d);
    fari_window_rows_in(&window, y_lo, y_hi, lo, hi);
}

void fari_conv_rows_dy(const fari_conv_attr *attr, int d, int64_t x_lo, int64_t x_hi, int64_t *lo, int64_t *hi)
{
    const fari_window window = axis_window(attr, d);
    fari_window_rows_out(&window, x_lo, x_hi, lo, hi);
}

/* Rows of x for rows of y. Weight and bias are whole: asked for all the same, so any answer does. */
static void conv_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                      int64_t out_hi, int64_t *lo, int64_t *hi)
{
    (void)in, (void)input_idx;
    fari_conv_rows_x(node->attr, 0, out_lo, out_hi, lo, hi);
}

static void conv_dx_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                         int64_t out_hi, int64_t *lo, int64_t *hi)
{
    (void)in, (void)input_idx;
    fari_conv_rows_dy(node->attr, 0, out_lo, out_hi, lo, hi);
}

static void conv_dw_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                         int64_t out_hi, int64_t *lo, int64_t *hi)
{
    (void)in;
    if (input_idx == 0) {
        fari_conv_rows_x(node->attr, 0, out_lo, out_hi, lo, hi);
    } else {
        *lo = out_lo;
        *hi = out_hi;
    }
}

/* ---- shapes ---- */

/* [N, channels, extents..] of x (is_y false) or y (is_y true). */
static far_shape image_shape(const fari_conv_attr *attr, int64_t samples, bool is_y)
{
    far_shape shape = { attr->spatial_ndim + 2, { samples, is_y ? attr->out_channels : attr->in_channels } };
    for (int d = 0; d < attr->spatial_ndim; d++)
        shape.dim[d + 2] = is_y ? fari_conv_out_extent(attr, d) : attr->in_extent[d];
    return shape;
}

static far_shape weight_shape(const fari_conv_attr *attr)
{
    far_shape shape = { attr->spatial_ndim + 2, { attr->out_channels, attr->in_channels / attr->groups } };
    for (int d = 0; d < attr->spatial_ndim; d++) shape.dim[d + 2] = attr->kernel[d];
    return shape;
}

static bool shape_is(const fari_tensor *tensor, const far_shape *want)
{
    if (tensor->shape.ndim != want->ndim) return false;
    for (int32_t i = 0; i < want->ndim; i++)
        if (tensor->shape.dim[i] != want->dim[i]) return false;
    return true;
}

static far_status expect(const fari_node *node, const fari_tensor *tensor, const char *what, const far_shape *want)
{
    char words[192], text[128];
    if (tensor->dtype != FAR_F32) return fari_shape_error(node, tensor, NULL, "operands must be f32");
    if (shape_is(tensor, want)) return FAR_OK;
    (void)snprintf(words, sizeof words, "expects %s of shape %s", what, far_shape_text(want, text));
    return fari_shape_error(node, tensor, NULL, words);
}

static far_status expect_kernel_fits(const fari_node *node, const fari_tensor *x)
{
    const fari_conv_attr *attr = node->attr;
    char words[192];
    if (attr->in_channels % attr->groups != 0 || attr->out_channels % attr->groups != 0) {
        (void)snprintf(words, sizeof words,
                       "%" PRId64 " groups must divide %" PRId64 " input and %" PRId64 " output channels", attr->groups,
                       attr->in_channels, attr->out_channels);
        return fari_shape_error(node, x, NULL, words);
    }
    for (int d = 0; d < attr->spatial_ndim; d++) {
        if (fari_conv_out_extent(attr, d) >= 1) continue;
        (void)snprintf(words, sizeof words,
                       "a window of %" PRId64 " does not fit axis %d of extent %" PRId64 " padded by %" PRId64
                       " and %" PRId64,
                       fari_conv_span(attr, d), d + 2, attr->in_extent[d], attr->pad_lo[d], attr->pad_hi[d]);
        return fari_shape_error(node, x, NULL, words);
    }
    return FAR_OK;
}

/* conv and conv_dx: `from_y` tells which of x and y goes in; the other comes out. */
static far_status infer_image(const fari_node *node, const fari_tensor *const *in, fari_tensor *out, bool from_y)
{
    const fari_conv_attr *attr = node->attr;
    const int64_t samples = in[0]->shape.dim[0];
    const far_shape from = image_shape(attr, samples, from_y), weight = weight_shape(attr);
    const far_shape bias = { 1, { from_y ? attr->in_channels : attr->out_channels } };
    FAR_TRY(expect_kernel_fits(node, in[0]));
    FAR_TRY(expect(node, in[0], from_y ? "a gradient" : "an input", &from));
    FAR_TRY(expect(node, in[1], "a weight", &weight));
    if (node->in_count > 2) FAR_TRY(expect(node, in[2], "a bias", &bias));
    out[0].shape = image_shape(attr, samples, !from_y);
    return FAR_OK;
}

static far_status conv_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                             fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)out_count;
    return infer_image(node, in, out, false);
}

static far_status conv_dx_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)out_count;
    return infer_image(node, in, out, true);
}

/* A parameter's gradient: whole, row-major. */
static void infer_global(fari_tensor *out, const far_shape *shape)
{
    out->dtype = FAR_F32;
    out->order = FARI_ROW_MAJOR;
    out->shape = *shape;
    out->batch_of = 0;
    out->has_rows = false;
}

static far_status conv_dw_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                fari_tensor *out, int32_t *out_count)
{
    const fari_conv_attr *attr = node->attr;
    const int64_t samples = in[0]->shape.dim[0];
    const far_shape x = image_shape(attr, samples, false), y = image_shape(attr, samples, true),
                    weight = weight_shape(attr);
    (void)graph, (void)out_count;
    FAR_TRY(expect_kernel_fits(node, in[0]));
    FAR_TRY(expect(node, in[0], "an input", &x));
    FAR_TRY(expect(node, in[1], "a gradient", &y));
    infer_global(&out[0], &weight);
    return FAR_OK;
}

static far_status channel_sum_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                    fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)out_count;
    if (in[0]->shape.ndim < 2 || in[0]->dtype != FAR_F32)
        return fari_shape_error(node, in[0], NULL, "expects f32 of shape [N, C, ..]");
    infer_global(&out[0], &(far_shape){ 1, { in[0]->shape.dim[1] } });
    return FAR_OK;
}

/* ---- gradients ---- */

/* Gradients of weight and bias. `x` and `dy` are the convolution's, whichever of the two is the gradient here. */
static void param_gradients(fari_grad *grad, far_value x, far_value dy)
{
    const fari_node *node = grad->node;
    if (grad->need[1])
        grad->d_in[1] =
            fari_emit(grad->graph, &fari_op_conv_dw, node->name, node->attr, 2, (const far_value[]){ x, dy });
    if (node->in_count > 2 && grad->need[2]) {
        grad->d_in[2] = fari_emit_norm_dx_sum(grad->graph, node->name, grad->d_out[0]);
        if (grad->d_in[2] < 0)
            grad->d_in[2] = fari_emit(grad->graph, &fari_op_channel_sum, node->name, NULL, 1, grad->d_out);
    }
}

static far_status conv_gradient(fari_grad *grad)
{
    const far_value dx_in[] = { grad->d_out[0], grad->in[1] };
    param_gradients(grad, grad->in[0], grad->d_out[0]); /* first: x is then free before dx comes */
    if (grad->need[0])
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_conv_dx, grad->node->name, grad->node->attr, 2, dx_in);
    return FAR_OK;
}

/* y = conv_dx(x, w) is linear in x with the convolution as its adjoint, and in w: dW sums x against the gradient. */
static far_status conv_dx_gradient(fari_grad *grad)
{
    const far_value y_in[] = { grad->d_out[0], grad->in[1] };
    param_gradients(grad, grad->d_out[0], grad->in[0]);
    if (grad->need[0])
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_conv, grad->node->name, grad->node->attr, 2, y_in);
    return FAR_OK;
}

/* ---- cost ---- */

/* Two operations a multiply-add, taps in the padding counted too. `y` is the convolution's output side. */
static fari_cost conv_cost_of(const fari_call *call, const fari_view *y)
{
    const fari_conv_attr *attr = call->attr;
    const int64_t group_in = attr->in_channels / attr->groups;
    double macs = (double)fari_view_elems(y) * (double)group_in;
    for (int d = 0; d < attr->spatial_ndim; d++) macs *= (double)attr->kernel[d];
    return (fari_cost){ .flops = 2.0 * macs, .bytes = fari_call_bytes(call) };
}

static fari_cost conv_cost(const fari_call *call)
{
    return conv_cost_of(call, &call->out[0]);
}

static fari_cost conv_dx_cost(const fari_call *call)
{
    return conv_cost_of(call, &call->in[0]);
}

static fari_cost conv_dw_cost(const fari_call *call)
{
    return conv_cost_of(call, &call->in[1]);
}

static fari_cost channel_sum_cost(const fari_call *call)
{
    return (fari_cost){ .flops = (double)fari_view_elems(&call->in[0]), .bytes = fari_call_bytes(call) };
}

/* ---- table rows ---- */

const fari_op fari_op_conv = {
    .name = "conv",
    .kind = FARI_MAP,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_conv_attr),
    .infer = conv_infer,
    .gradient = conv_gradient,
    .rows = conv_rows,
    .cost = conv_cost,
    .reference = fari_conv_reference,
};

const fari_op fari_op_conv_dx = {
    .name = "conv_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_conv_attr),
    .infer = conv_dx_infer,
    .gradient = conv_dx_gradient,
    .rows = conv_dx_rows,
    .cost = conv_dx_cost,
    .reference = fari_conv_dx_reference,
};

const fari_op fari_op_conv_dw = {
    .name = "conv_dw",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_conv_attr),
    .infer = conv_dw_infer,
    .rows = conv_dw_rows,
    .domain_input = 1,
    .cost = conv_dw_cost,
    .reference = fari_conv_dw_reference,
};

const fari_op fari_op_channel_sum = {
    .name = "channel_sum",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_CL,
    .infer = channel_sum_infer,
    .domain_input = 0,
    .cost = channel_sum_cost,
    .reference = fari_channel_sum_reference,
};
