/* Windowed pooling: shapes, rows, gradients and cost. Reference kernels: pool_reference.c; global pooling: pool_global.c; public
   builders: pool_build.c. */
#include "ops/pool.h"
#include "ops/spatial.h"
#include "ops/window.h"
#include <inttypes.h>

/* ---- geometry ---- */

fari_pool_window fari_pool_window_of(const fari_pool_attr *attr, int d, int64_t i)
{
    const int64_t in = attr->in_extent[d], out = attr->out_extent[d];
    if (!attr->is_adaptive)
        return (fari_pool_window){ i * attr->stride[d] - attr->pad[d], attr->kernel[d], attr->dilation[d] };
    const int64_t start = i * in / out;
    return (fari_pool_window){ start, fari_ceil_div((i + 1) * in, out) - start, 1 };
}

static void rows_x(const fari_pool_attr *attr, int d, int64_t y_lo, int64_t y_hi, int64_t *lo, int64_t *hi)
{
    const fari_pool_window first = fari_pool_window_of(attr, d, y_lo), last = fari_pool_window_of(attr, d, y_hi - 1);
    *lo = first.start;
    *hi = last.start + (last.count - 1) * last.step + 1;
    fari_window_keep_one(attr->in_extent[d], lo, hi);
}

void fari_pool_rows_dy(const fari_pool_attr *attr, int d, int64_t x_lo, int64_t x_hi, int64_t *lo, int64_t *hi)
{
    const int64_t in = attr->in_extent[d], out = attr->out_extent[d];
    if (attr->is_adaptive) { /* end(o) > x_lo, that is o + 1 > x_lo out / in; start(o) < x_hi, that is o < x_hi out / in */
        *lo = x_lo * out / in;
        *hi = fari_ceil_div(x_hi * out, in);
        return;
    }
    const fari_window window = { attr->kernel[d], attr->stride[d], attr->dilation[d], attr->pad[d], in, out };
    fari_window_rows_out(&window, x_lo, x_hi, lo, hi);
}

static void pool_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                      int64_t out_hi, int64_t *lo, int64_t *hi)
{
    (void)in, (void)input_idx;
    rows_x(node->attr, 0, out_lo, out_hi, lo, hi);
}

static void pool_dx_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                         int64_t out_hi, int64_t *lo, int64_t *hi)
{
    (void)in, (void)input_idx;
    fari_pool_rows_dy(node->attr, 0, out_lo, out_hi, lo, hi);
}

far_dtype fari_pool_argmax_dtype(const fari_pool_attr *attr)
{
    int64_t taps = 1;
    for (int d = 0; d < attr->spatial_ndim; d++) {
        const int64_t in = attr->in_extent[d],
                      spread = in / attr->out_extent[d] + 2; /* an adaptive window is at most that long */
        taps *= !attr->is_adaptive ? attr->kernel[d] : spread < in ? spread : in;
    }
    return taps <= 256 ? FAR_U8 : FAR_I32;
}

/* ---- shapes ---- */

/* Input i is f32 (or dtype) with the extents given; the output is alike with other extents. */
static far_status expect(const fari_node *node, const fari_tensor *tensor, far_dtype dtype, const int64_t extent[3])
{
    const fari_pool_attr *attr = node->attr;
    char words[192];
    (void)snprintf(words, sizeof words, "expects %s with %" PRId32 " spatial axes", far_dtype_name(dtype),
                   attr->spatial_ndim);
    if (tensor->dtype != dtype || tensor->shape.ndim != attr->spatial_ndim + 2)
        return fari_shape_error(node, tensor, NULL, words);
    for (int d = 0; d < attr->spatial_ndim; d++) {
        if (tensor->shape.dim[d + 2] == extent[d]) continue;
        (void)snprintf(words, sizeof words, "expects extent %" PRId64 " along axis %d", extent[d], d + 2);
        return fari_shape_error(node, tensor, NULL, words);
    }
    return FAR_OK;
}

static far_status expect_windows_fit(const fari_node *node, const fari_tensor *x)
{
    const fari_pool_attr *attr = node->attr;
    char words[192];
    for (int d = 0; d < attr->spatial_ndim; d++) {
        if (attr->out_extent[d] >= 1) continue;
        (void)snprintf(words, sizeof words,
                       "a window of %" PRId64 " does not fit axis %d of extent %" PRId64 " padded by %" PRId64,
                       (attr->kernel[d] - 1) * attr->dilation[d] + 1, d + 2, attr->in_extent[d], attr->pad[d]);
        return fari_shape_error(node, x, NULL, words);
    }
    return FAR_OK;
}

static void set_extents(fari_tensor *out, const fari_pool_attr *attr, const int64_t extent[3])
{
    for (int d = 0; d < attr->spatial_ndim; d++) out->shape.dim[d + 2] = extent[d];
}

static far_status avg_pool_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                 fari_tensor *out, int32_t *out_count)
{
    const fari_pool_attr *attr = node->attr;
    (void)graph, (void)out_count;
    FAR_TRY(expect_windows_fit(node, in[0]));
    FAR_TRY(expect(node, in[0], FAR_F32, attr->in_extent));
    set_extents(&out[0], attr, attr->out_extent);
    return FAR_OK;
}

static far_status max_pool_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                 fari_tensor *out, int32_t *out_count)
{
    FAR_TRY(avg_pool_infer(graph, node, in, out, out_count));
    set_extents(&out[1], node->attr, ((const fari_pool_attr *)node->attr)->out_extent);
    out[1].dtype = fari_pool_argmax_dtype(node->attr);
    *out_count = 2;
    return FAR_OK;
}

static far_status avg_pool_dx_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                    fari_tensor *out, int32_t *out_count)
{
    const fari_pool_attr *attr = node->attr;
    (void)graph, (void)out_count;
    FAR_TRY(expect(node, in[0], FAR_F32, attr->out_extent));
    set_extents(&out[0], attr, attr->in_extent);
    return FAR_OK;
}

static far_status max_pool_dx_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                    fari_tensor *out, int32_t *out_count)
{
    const fari_pool_attr *attr = node->attr;
    FAR_TRY(avg_pool_dx_infer(graph, node, in, out, out_count));
    return expect(node, in[1], fari_pool_argmax_dtype(attr), attr->out_extent);
}

/* ---- gradients ---- */

static far_status max_pool_gradient(fari_grad *grad)
{
    const far_value in[] = { grad->d_out[0], grad->out[1] };
    if (grad->need[0] && in[0] >= 0)
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_max_pool_dx, grad->node->name, grad->node->attr, 2, in);
    return FAR_OK;
}

static far_status avg_pool_gradient(fari_grad *grad)
{
    if (grad->need[0])
        grad->d_in[0] =
            fari_emit(grad->graph, &fari_op_avg_pool_dx, grad->node->name, grad->node->attr, 1, grad->d_out);
    return FAR_OK;
}

/* ---- cost ---- */

/* An operation a tap. `y` is the pooled side. */
static fari_cost pool_cost_of(const fari_call *call, const fari_view *y)
{
    const fari_pool_attr *attr = call->attr;
    double taps = (double)fari_view_elems(y);
    for (int d = 0; d < attr->spatial_ndim; d++)
        taps *= attr->is_adaptive ? (double)attr->in_extent[d] / (double)attr->out_extent[d] : (double)attr->kernel[d];
    return (fari_cost){ .flops = taps, .bytes = fari_call_bytes(call) };
}

static fari_cost pool_cost(const fari_call *call)
{
    return pool_cost_of(call, &call->out[0]);
}

static fari_cost pool_dx_cost(const fari_call *call)
{
    return pool_cost_of(call, &call->in[0]);
}

/* ---- table rows ---- */

const fari_op fari_op_max_pool = {
    .name = "max_pool",
    .kind = FARI_MAP,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_pool_attr),
    .infer = max_pool_infer,
    .gradient = max_pool_gradient,
    .rows = pool_rows,
    .cost = pool_cost,
    .reference = fari_max_pool_reference,
    .is_light = true,
};

const fari_op fari_op_max_pool_dx = {
    .name = "max_pool_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_pool_attr),
    .infer = max_pool_dx_infer,
    .rows = pool_dx_rows,
    .cost = pool_dx_cost,
    .reference = fari_max_pool_dx_reference,
};

const fari_op fari_op_avg_pool = {
    .name = "avg_pool",
    .kind = FARI_MAP,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_pool_attr),
    .infer = avg_pool_infer,
    .gradient = avg_pool_gradient,
    .rows = pool_rows,
    .cost = pool_cost,
    .reference = fari_avg_pool_reference,
    .is_light = true,
};

const fari_op fari_op_avg_pool_dx = {
    .name = "avg_pool_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_pool_attr),
    .infer = avg_pool_dx_infer,
    .rows = pool_dx_rows,
    .cost = pool_dx_cost,
    .reference = fari_avg_pool_dx_reference,
};
