/* Layer norm over the last axis: table rows and reference kernels. The builder is far_layer_norm_last in norm_build.c. */
#include "ops/layer_norm.h"
#include "graph/graph.h"
#include "ops/cost.h"
#include "ops/lines.h"
#include "ops/norm.h"
#include <math.h>

static far_status layer_norm_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                   fari_tensor *out, int32_t *out_count)
{
    const fari_layer_norm_attr *attr = node->attr;
    const fari_tensor *x = in[0];
    (void)graph, (void)out, (void)out_count;
    if (x->dtype != FAR_F32 || x->shape.ndim < 2) return fari_shape_error(node, x, NULL, "expects f32 [N, ..., F]");
    if (attr->has_affine)
        for (int i = 1; i < 3; i++)
            if (in[i]->shape.ndim != 1 || in[i]->shape.dim[0] != x->shape.dim[x->shape.ndim - 1])
                return fari_shape_error(node, x, in[i], "weight and bias need one element of the last axis each");
    return FAR_OK;
}

static far_status layer_norm_gradient(fari_grad *grad)
{
    const fari_layer_norm_attr *attr = grad->node->attr;
    const char *name = grad->node->name;
    const far_value in[] = { grad->in[0], grad->d_out[0], grad->in[1] };
    if (grad->need[0])
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_layer_norm_dx, name, attr, attr->has_affine ? 3 : 2, in);
    if (attr->has_affine && (grad->need[1] || grad->need[2])) {
        const far_value sums = fari_emit(grad->graph, &fari_op_layer_norm_dsums, name, attr, 2, in);
        grad->d_in[1] = fari_emit(grad->graph, &fari_op_norm_dparam, name, NULL, 1, &sums);
        grad->d_in[2] = grad->d_in[1] < 0 ? FAR_NO_VALUE : grad->d_in[1] + 1;
    }
    return FAR_OK;
}

static void line_moments(const fari_view *x, int64_t line, int64_t length, double eps, double *mean_out,
                         double *rstd_out)
{
    double mean = 0.0, m2 = 0.0;
    for (int64_t i = 0; i < length; i++) mean += fari_view_get_flat(x, line * length + i);
    mean /= (double)length;
    for (int64_t i = 0; i < length; i++) {
        const double d = fari_view_get_flat(x, line * length + i) - mean;
        m2 += d * d;
    }
    *mean_out = mean;
    *rstd_out = 1.0 / sqrt(m2 / (double)length + eps);
}

static far_status layer_norm_reference(const fari_call *call)
{
    const fari_layer_norm_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *y = &call->out[0];
    const fari_lines lines = fari_lines_of(x, y);
    for (int64_t l = 0; l < lines.count; l++) {
        double mean, rstd;
        line_moments(x, l, lines.length, attr->eps, &mean, &rstd);
        for (int64_t i = 0; i < lines.part; i++) {
            const int64_t f = lines.first + i;
            double z = (fari_view_get_flat(x, l * lines.length + f) - mean) * rstd;
            if (attr->has_affine) z = z * fari_view_get_flat(&call->in[1], f) + fari_view_get_flat(&call->in[2], f);
            fari_view_set_flat(y, l * lines.part + i, z);
        }
    }
    return FAR_OK;
}

static fari_cost layer_norm_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 8.0);
}

const fari_op fari_op_layer_norm = {
    .name = "layer_norm",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ROW_MAJOR,
    .attr_bytes = sizeof(fari_layer_norm_attr),
    .infer = layer_norm_infer,
    .gradient = layer_norm_gradient,
    .rows = fari_lines_rows,
    .cost = layer_norm_cost,
    .reference = layer_norm_reference,
};

/* dx = rstd (g - mean(g) - xhat mean(g xhat)) with g = gamma dy, means over the line. */
static far_status layer_norm_dx_reference(const fari_call *call)
{
    const fari_layer_norm_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *dy = &call->in[1], *gamma = &call->in[2], *dx = &call->out[0];
    const fari_lines lines = fari_lines_of(x, dx);
    for (int64_t l = 0; l < lines.count; l++) {
        double mean, rstd, sum = 0.0, sum_xhat = 0.0;
        line_moments(x, l, lines.length, attr->eps, &mean, &rstd);
        for (int64_t f = 0; f < lines.length; f++) {
            const int64_t k = l * lines.length + f;
            const double g = fari_view_get_flat(dy, k) * (attr->has_affine ? fari_view_get_flat(gamma, f) : 1.0);
            sum += g;
            sum_xhat += g * (fari_view_get_flat(x, k) - mean) * rstd;
        }
        for (int64_t i = 0; i < lines.part; i++) {
            const int64_t f = lines.first + i, k = l * lines.length + f;
            const double g = fari_view_get_flat(dy, k) * (attr->has_affine ? fari_view_get_flat(gamma, f) : 1.0);
            const double xhat = (fari_view_get_flat(x, k) - mean) * rstd;
            fari_view_set_flat(dx, l * lines.part + i, rstd * (g - (sum + xhat * sum_xhat) / (double)lines.length));
        }
    }
    return FAR_OK;
}

static fari_cost layer_norm_dx_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 14.0);
}

const fari_op fari_op_layer_norm_dx = {
    .name = "layer_norm_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ROW_MAJOR,
    .attr_bytes = sizeof(fari_layer_norm_attr),
    .rows = fari_lines_rows,
    .cost = layer_norm_dx_cost,
    .reference = layer_norm_dx_reference,
};

static far_status dsums_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                              fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)node, (void)out_count;
    out[0] = (fari_tensor){ .dtype = FAR_F64,
                            .shape = { .ndim = 2, .dim = { 1, 2 * in[0]->shape.dim[in[0]->shape.ndim - 1] } } };
    return FAR_OK;
}

/* The domain piece is dy's: x alone always comes with whole lines. */
static void dsums_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                       int64_t out_hi, int64_t *lo, int64_t *hi)
{
    fari_lines_rows(node, in, input_idx, out_lo, out_hi, lo, hi);
    if (input_idx == 0) return;
    *lo = out_lo;
    *hi = out_hi;
}

static far_status layer_norm_dsums_reference(const fari_call *call)
{
    const fari_layer_norm_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *dy = &call->in[1], *sums = &call->out[0];
    const fari_lines lines = fari_lines_of(x, dy);
    if (!call->accumulate)
        for (int64_t k = 0; k < 2 * lines.length; k++) fari_view_set_flat(sums, k, 0.0);
    for (int64_t l = 0; l < lines.count; l++) {
        double mean, rstd;
        line_moments(x, l, lines.length, attr->eps, &mean, &rstd);
        for (int64_t i = 0; i < lines.part; i++) {
            const int64_t f = lines.first + i;
            const double d = fari_view_get_flat(dy, l * lines.part + i);
            const double xhat = (fari_view_get_flat(x, l * lines.length + f) - mean) * rstd;
            fari_view_set_flat(sums, f, fari_view_get_flat(sums, f) + d);
            fari_view_set_flat(sums, lines.length + f, fari_view_get_flat(sums, lines.length + f) + d * xhat);
        }
    }
    return FAR_OK;
}

const fari_op fari_op_layer_norm_dsums = {
    .name = "layer_norm_dsums",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_ROW_MAJOR,
    .attr_bytes = sizeof(fari_layer_norm_attr),
    .infer = dsums_infer,
    .rows = dsums_rows,
    .domain_input = 1,
    .cost = layer_norm_cost,
    .reference = layer_norm_dsums_reference,
};
