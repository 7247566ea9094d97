/* Resampling: coordinates, shapes, rows, gradients and the public builder. Reference kernels: upsample_reference.c. */
#include "ops/upsample.h"
#include "ops/spatial.h"
#include "ops/window.h"
#include <farandole/upsample.h>
#include <inttypes.h>

/* ---- geometry ---- */

fari_upsample_tap fari_upsample_tap_of(const fari_upsample_attr *attr, int d, int64_t o)
{
    const int64_t in = attr->in_extent[d], out = attr->out_extent[d];
    int64_t num = 0, den = 1; /* the coordinate is num / den */
    if (!attr->is_linear) return (fari_upsample_tap){ o * in / out, o * in / out, 0.0 };
    if (!attr->align_corners) {
        num = (2 * o + 1) * in - out;
        den = 2 * out;
    } else if (out > 1) {
        num = o * (in - 1);
        den = out - 1;
    }
    if (num < 0) num = 0;
    const int64_t i0 = num / den;
    return (fari_upsample_tap){ i0, i0 < in - 1 ? i0 + 1 : i0, (double)(num % den) / (double)den };
}

/* First output whose i1 (or i0, when by_first) is at least `least`; out_extent when there is none. Both grow with the output. */
static int64_t first_output(const fari_upsample_attr *attr, int d, int64_t least, bool by_first)
{
    int64_t lo = 0, hi = attr->out_extent[d];
    while (lo < hi) {
        const int64_t mid = lo + (hi - lo) / 2;
        const fari_upsample_tap tap = fari_upsample_tap_of(attr, d, mid);
        if ((by_first ? tap.i0 : tap.i1) >= least) hi = mid;
        else lo = mid + 1;
    }
    return lo;
}

void fari_upsample_rows_dy(const fari_upsample_attr *attr, int d, int64_t x_lo, int64_t x_hi, int64_t *lo, int64_t *hi)
{
    *lo = first_output(attr, d, x_lo, false);
    *hi = first_output(attr, d, x_hi, true);
    fari_window_keep_one(attr->out_extent[d], lo, hi); /* where it shrinks, some rows are read by none */
}

static void upsample_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                          int64_t out_hi, int64_t *lo, int64_t *hi)
{
    (void)in, (void)input_idx;
    *lo = fari_upsample_tap_of(node->attr, 0, out_lo).i0;
    *hi = fari_upsample_tap_of(node->attr, 0, out_hi - 1).i1 + 1;
}

static void upsample_dx_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                             int64_t out_hi, int64_t *lo, int64_t *hi)
{
    (void)in, (void)input_idx;
    fari_upsample_rows_dy(node->attr, 0, out_lo, out_hi, lo, hi);
}

/* ---- shapes ---- */

static far_status infer_extents(const fari_node *node, const fari_tensor *in, const int64_t from[3],
                                const int64_t to[3], fari_tensor *out)
{
    const fari_upsample_attr *attr = node->attr;
    char words[192];
    (void)snprintf(words, sizeof words, "expects f32 with %" PRId32 " spatial axes", attr->spatial_ndim);
    if (in->dtype != FAR_F32 || in->shape.ndim != attr->spatial_ndim + 2)
        return fari_shape_error(node, in, NULL, words);
    for (int d = 0; d < attr->spatial_ndim; d++) {
        (void)snprintf(words, sizeof words, "expects extent %" PRId64 " along axis %d", from[d], d + 2);
        if (in->shape.dim[d + 2] != from[d]) return fari_shape_error(node, in, NULL, words);
        out->shape.dim[d + 2] = to[d];
    }
    return FAR_OK;
}

static far_status upsample_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                 fari_tensor *out, int32_t *out_count)
{
    const fari_upsample_attr *attr = node->attr;
    (void)graph, (void)out_count;
    return infer_extents(node, in[0], attr->in_extent, attr->out_extent, &out[0]);
}

static far_status upsample_dx_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                    fari_tensor *out, int32_t *out_count)
{
    const fari_upsample_attr *attr = node->attr;
    (void)graph, (void)out_count;
    return infer_extents(node, in[0], attr->out_extent, attr->in_extent, &out[0]);
}

/* ---- gradient, cost ---- */

static far_status upsample_gradient(fari_grad *grad)
{
    if (grad->need[0])
        grad->d_in[0] =
            fari_emit(grad->graph, &fari_op_upsample_dx, grad->node->name, grad->node->attr, 1, grad->d_out);
    return FAR_OK;
}

/* The map is linear: dx is mapped back the same way. */
static far_status upsample_dx_gradient(fari_grad *grad)
{
    if (grad->need[0])
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_upsample, grad->node->name, grad->node->attr, 1, grad->d_out);
    return FAR_OK;
}

/* A multiply-add for each of the taps, two an axis. */
static fari_cost cost_of(const fari_call *call, const fari_view *y)
{
    const fari_upsample_attr *attr = call->attr;
    const double taps = attr->is_linear ? (double)(1 << attr->spatial_ndim) : 0.5;
    return (fari_cost){ .flops = 2.0 * taps * (double)fari_view_elems(y), .bytes = fari_call_bytes(call) };
}

static fari_cost upsample_cost(const fari_call *call)
{
    return cost_of(call, &call->out[0]);
}

static fari_cost upsample_dx_cost(const fari_call *call)
{
    return cost_of(call, &call->in[0]);
}

/* ---- table rows ---- */

const fari_op fari_op_upsample = {
    .name = "upsample",
    .kind = FARI_MAP,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_upsample_attr),
    .infer = upsample_infer,
    .gradient = upsample_gradient,
    .rows = upsample_rows,
    .cost = upsample_cost,
    .reference = fari_upsample_reference,
    .is_light = true,
};

const fari_op fari_op_upsample_dx = {
    .name = "upsample_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_upsample_attr),
    .infer = upsample_dx_infer,
    .gradient = upsample_dx_gradient,
    .rows = upsample_dx_rows,
    .cost = upsample_dx_cost,
    .reference = fari_upsample_dx_reference,
};

/* ---- builder ---- */

static far_status read_opts(const char *name, const far_shape *x, const far_upsample_opts *opts,
                            fari_upsample_attr *attr)
{
    const bool by_scale = opts->scale[0] != 0;
    const int64_t *given = by_scale ? opts->scale : opts->out_extent,
                  *other = by_scale ? opts->out_extent : opts->scale;
    *attr = (fari_upsample_attr){ .spatial_ndim = x->ndim - 2,
                                  .is_linear = opts->mode == FAR_UPSAMPLE_LINEAR,
                                  .align_corners = opts->align_corners };
    if (attr->spatial_ndim < 1 || attr->spatial_ndim > 3)
        return FAR_FAIL(FAR_E_SHAPE, "upsample '%s': the input must have one to three spatial axes, it has %" PRId32,
                        name, attr->spatial_ndim);
    if (opts->mode != FAR_UPSAMPLE_NEAREST && opts->mode != FAR_UPSAMPLE_LINEAR)
        return FAR_FAIL(FAR_E_ARG, "upsample '%s': mode %d is neither nearest nor linear", name, (int)opts->mode);
    if (attr->align_corners && !attr->is_linear)
        return FAR_FAIL(FAR_E_ARG, "upsample '%s': align_corners needs mode linear", name);
    if (given[0] == 0 || other[0] != 0 || other[1] != 0 || other[2] != 0)
        return FAR_FAIL(FAR_E_ARG, "upsample '%s': give either scale or out_extent", name);
    for (int d = 0; d < 3; d++) {
        const bool has_axis = d < attr->spatial_ndim;
        const int64_t entry = given[d] == 0 ? given[0] : given[d];
        if (has_axis ? entry < 1 : given[d] != 0)
            return FAR_FAIL(FAR_E_ARG,
                            "upsample '%s': %s of axis %d is %" PRId64
                            "; must be at least 1, and 0 for axes the input lacks",
                            name, by_scale ? "scale" : "out_extent", d, given[d]);
        attr->in_extent[d] = has_axis ? x->dim[d + 2] : 1;
        attr->out_extent[d] = !has_axis ? 1 : entry;
        if (has_axis && by_scale && __builtin_mul_overflow(entry, attr->in_extent[d], &attr->out_extent[d]))
            return FAR_FAIL(FAR_E_ARG, "upsample '%s': scale %" PRId64 " of axis %d is too large", name, entry, d);
    }
    return FAR_OK;
}

far_value far_upsample(far_graph *graph, const char *name, far_value x, const far_upsample_opts *opts)
{
    fari_upsample_attr attr;
    if (x < 0) return FAR_NO_VALUE;
    const far_shape shape = far_graph_shape(graph, x);
    const far_status st = read_opts(name, &shape, opts, &attr);
    return st == FAR_OK ? fari_emit(graph, &fari_op_upsample, name, &attr, 1, &x) : fari_graph_fail(graph, st);
}
