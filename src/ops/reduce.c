/* Sums, means and maxima over axes: builders, shapes, gradients and reference kernels. Sums over grains: sum.c. */
#include "ops/reduce.h"
#include "graph/graph.h"
#include <math.h>

/* ---- builder ---- */

far_value far_reduce(far_graph *graph, const char *name, far_value x, far_reduce_kind kind, int32_t axis_count,
                     const int32_t *axes, bool keep_axes)
{
    fari_reduce_attr attr = { .kind = kind, .keep_axes = keep_axes };
    if (far_graph_status(graph) != FAR_OK) return FAR_NO_VALUE;
    const far_shape shape = far_graph_shape(graph, x);
    for (int32_t i = 0; i < axis_count; i++) {
        const int32_t axis = axes[i] < 0 ? axes[i] + shape.ndim : axes[i];
        if (axis < 0 || axis >= shape.ndim || (attr.axes & 1U << axis) != 0)
            return fari_graph_fail(graph, FAR_FAIL(FAR_E_ARG, "reduce '%s': axis %d is not one of %d, or named twice",
                                                   name, (int)axes[i], (int)shape.ndim));
        attr.axes |= 1U << axis;
    }
    return fari_emit(graph, &fari_op_reduce, name, &attr, 1, &x);
}

/* ---- which element goes where ---- */

static bool is_reduced(const fari_reduce_attr *attr, int32_t axis)
{
    return (attr->axes >> axis & 1U) != 0;
}

/* Axis 2 is axis 2 of the result: then a grain of rows needs the same rows only. */
static bool rows_stay(const fari_reduce_attr *attr)
{
    return attr->keep_axes && !is_reduced(attr, 2);
}

static far_shape reduced_shape(const fari_reduce_attr *attr, const far_shape *x)
{
    far_shape y = { 0 };
    for (int32_t i = 0; i < x->ndim; i++) {
        if (!is_reduced(attr, i)) y.dim[y.ndim++] = x->dim[i];
        else if (attr->keep_axes) y.dim[y.ndim++] = 1;
    }
    return y;
}

/* Indices in the pieces: y's for x's. Goes over row numbers of the whole tensors, as only one of the two may be cut. */
static void reduced_idx(const fari_reduce_attr *attr, const fari_view *x, const int64_t *x_idx, const fari_view *y,
                        int64_t *y_idx)
{
    int32_t k = 0;
    for (int32_t i = 0; i < x->ndim; i++) {
        const int64_t whole = x_idx[i] + (i == 2 ? x->row0 : 0);
        if (is_reduced(attr, i) && !attr->keep_axes) continue;
        y_idx[k] = is_reduced(attr, i) ? 0 : whole - (k == 2 ? y->row0 : 0);
        k++;
    }
}

/* The first element of x that goes into y[y_idx], and how far x reaches from there along each axis. */
static void group_of(const fari_reduce_attr *attr, const fari_view *y, const int64_t *y_idx, const fari_view *x,
                     int64_t *first, int64_t *extent)
{
    int32_t k = 0;
    for (int32_t i = 0; i < x->ndim; i++) {
        const bool reduced = is_reduced(attr, i);
        extent[i] = reduced ? x->dim[i] : 1;
        first[i] = reduced ? 0 : y_idx[k] + (k == 2 ? y->row0 : 0) - (i == 2 ? x->row0 : 0);
        k += !reduced || attr->keep_axes;
    }
}

static double group_get(const fari_view *x, const int64_t *first, const int64_t *step)
{
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    for (int32_t i = 0; i < x->ndim; i++) idx[i] = first[i] + step[i];
    return fari_view_get(x, idx);
}

/* ---- reduce ---- */

static far_status reduce_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                               fari_tensor *out, int32_t *out_count)
{
    const fari_reduce_attr *attr = node->attr;
    (void)graph, (void)out_count;
    if (in[0]->batch_of != 0 && is_reduced(attr, 0))
        return fari_shape_error(node, in[0], NULL, "axis 0 is the batch and stays; far_reduce_all sums over it");
    out[0].shape = reduced_shape(attr, &in[0]->shape);
    out[0].has_rows = in[0]->has_rows && rows_stay(attr);
    if (!attr->keep_axes) out[0].order = FARI_ROW_MAJOR;
    return FAR_OK;
}

/* Of every op here: the same rows where they stay, else all. */
static void rows_for(const fari_reduce_attr *attr, const fari_tensor *in, int64_t out_lo, int64_t out_hi, int64_t *lo,
                     int64_t *hi)
{
    *lo = rows_stay(attr) ? out_lo : 0;
    *hi = rows_stay(attr) ? out_hi : in->shape.ndim > 2 ? in->shape.dim[2] : 1;
}

static void reduce_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                        int64_t out_hi, int64_t *lo, int64_t *hi)
{
    rows_for(node->attr, in[input_idx], out_lo, out_hi, lo, hi);
}

static int64_t reduced_count(const fari_reduce_attr *attr, const far_shape *x)
{
    int64_t count = 1;
    for (int32_t i = 0; i < x->ndim; i++) count *= is_reduced(attr, i) ? x->dim[i] : 1;
    return count;
}

static far_value emit_spread(far_graph *graph, const char *name, const fari_reduce_attr *reduce, double scale,
                             far_value x, far_value dy)
{
    const fari_tensor *like = fari_tensor_of(graph, x);
    const fari_spread_attr attr = { *reduce,     scale,          like->shape,   like->dtype,
                                    like->order, like->batch_of, like->has_rows };
    return fari_emit(graph, &fari_op_spread, name, &attr, 1, &dy);
}

static far_status reduce_gradient(fari_grad *grad)
{
    const fari_reduce_attr *attr = grad->node->attr;
    const far_shape shape = far_graph_shape(grad->graph, grad->in[0]);
    const double scale = attr->kind == FAR_REDUCE_MEAN ? 1.0 / (double)reduced_count(attr, &shape) : 1.0;
    const far_value in[] = { grad->in[0], grad->out[0], grad->d_out[0] };
    if (!grad->need[0]) return FAR_OK;
    grad->d_in[0] = attr->kind == FAR_REDUCE_MAX
                        ? fari_emit(grad->graph, &fari_op_reduce_max_dx, grad->node->name, attr, 3, in)
                        : emit_spread(grad->graph, grad->node->name, attr, scale, grad->in[0], grad->d_out[0]);
    return FAR_OK;
}

static far_status reduce_reference(const fari_call *call)
{
    const fari_reduce_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *y = &call->out[0];
    int64_t y_idx[FAR_NDIM_MAX] = { 0 };
    do {
        int64_t first[FAR_NDIM_MAX], extent[FAR_NDIM_MAX], step[FAR_NDIM_MAX] = { 0 }, count = 0;
        double sum = 0.0, top = -INFINITY;
        group_of(attr, y, y_idx, x, first, extent);
        do {
            const double value = group_get(x, first, step);
            sum += value;
            top = value > top || isnan(value) ? value : top;
            count++;
        } while (fari_idx_next(step, extent, x->ndim));
        if (attr->kind == FAR_REDUCE_MEAN) sum /= (double)count;
        fari_view_set(y, y_idx, attr->kind == FAR_REDUCE_MAX ? top : sum);
    } while (fari_idx_next(y_idx, y->dim, y->ndim));
    return FAR_OK;
}

const fari_op fari_op_reduce = {
    .name = "reduce",
    .kind = FARI_MAP,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_reduce_attr),
    .infer = reduce_infer,
    .gradient = reduce_gradient,
    .rows = reduce_rows,
    .reference = reduce_reference,
};

/* ---- gradient of a maximum ---- */

/* Number of elements of the group that equal `top`. */
static int64_t tie_count(const fari_view *x, const int64_t *first, const int64_t *extent, double top)
{
    int64_t step[FAR_NDIM_MAX] = { 0 }, ties = 0;
    do ties += group_get(x, first, step) == top;
    while (fari_idx_next(step, extent, x->ndim));
    return ties;
}

static far_status max_dx_reference(const fari_call *call)
{
    const fari_reduce_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *y = &call->in[1], *dy = &call->in[2], *dx = &call->out[0];
    int64_t y_idx[FAR_NDIM_MAX] = { 0 };
    do {
        int64_t first[FAR_NDIM_MAX], extent[FAR_NDIM_MAX], step[FAR_NDIM_MAX] = { 0 };
        const double top = fari_view_get(y, y_idx), gradient = fari_view_get(dy, y_idx);
        group_of(attr, y, y_idx, x, first, extent);
        const int64_t ties = tie_count(x, first, extent, top);
        do {
            int64_t dx_idx[FAR_NDIM_MAX] = { 0 };
            for (int32_t i = 0; i < x->ndim; i++) dx_idx[i] = first[i] + step[i] + (i == 2 ? x->row0 - dx->row0 : 0);
            if (x->ndim > 2 && (dx_idx[2] < 0 || dx_idx[2] >= dx->dim[2])) continue; /* another grain's row */
            fari_view_set(dx, dx_idx, group_get(x, first, step) == top ? gradient / (double)ties : 0.0);
        } while (fari_idx_next(step, extent, x->ndim));
    } while (fari_idx_next(y_idx, y->dim, y->ndim));
    return FAR_OK;
}

const fari_op fari_op_reduce_max_dx = {
    .name = "reduce_max_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_reduce_attr),
    .rows = reduce_rows,
    .reference = max_dx_reference,
};

/* ---- gradient of sums: repeat ---- */

static far_status spread_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                               fari_tensor *out, int32_t *out_count)
{
    const fari_spread_attr *attr = node->attr;
    (void)graph, (void)in, (void)out_count;
    out[0] = (fari_tensor){ .dtype = attr->dtype,
                            .order = attr->order,
                            .shape = attr->shape,
                            .batch_of = attr->batch_of,
                            .has_rows = attr->has_rows };
    return FAR_OK;
}

static void spread_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                        int64_t out_hi, int64_t *lo, int64_t *hi)
{
    const fari_spread_attr *attr = node->attr;
    rows_for(&attr->reduce, in[input_idx], out_lo, out_hi, lo, hi);
}

static far_status spread_reference(const fari_call *call)
{
    const fari_spread_attr *attr = call->attr;
    const fari_view *dy = &call->in[0], *dx = &call->out[0];
    int64_t dx_idx[FAR_NDIM_MAX] = { 0 }, dy_idx[FAR_NDIM_MAX] = { 0 };
    do {
        reduced_idx(&attr->reduce, dx, dx_idx, dy, dy_idx);
        fari_view_set(dx, dx_idx, attr->scale * fari_view_get(dy, dy_idx));
    } while (fari_idx_next(dx_idx, dx->dim, dx->ndim));
    return FAR_OK;
}

const fari_op fari_op_spread = {
    .name = "spread",
    .kind = FARI_MAP,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_spread_attr),
    .infer = spread_infer,
    .rows = spread_rows,
    .reference = spread_reference,
};

/* ---- everything ---- */

far_value far_reduce_all(far_graph *graph, const char *name, far_value x)
{
    return fari_emit(graph, &fari_op_reduce_all, name, NULL, 1, &x);
}

static far_status reduce_all_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                   fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)node, (void)in, (void)out_count;
    out[0] = (fari_tensor){ .dtype = FAR_F64 };
    return FAR_OK;
}

static far_status reduce_all_gradient(fari_grad *grad)
{
    const fari_reduce_attr all = { .kind = FAR_REDUCE_SUM, .axes = ~0U };
    if (grad->need[0])
        grad->d_in[0] = emit_spread(grad->graph, grad->node->name, &all, 1.0, grad->in[0], grad->d_out[0]);
    return FAR_OK;
}

static far_status reduce_all_reference(const fari_call *call)
{
    const int64_t elems = fari_view_elems(&call->in[0]);
    double sum = call->accumulate ? fari_view_get_flat(&call->out[0], 0) : 0.0;
    for (int64_t k = 0; k < elems; k++) sum += fari_view_get_flat(&call->in[0], k);
    fari_view_set_flat(&call->out[0], 0, sum);
    return FAR_OK;
}

const fari_op fari_op_reduce_all = {
    .name = "reduce_all",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_FREE,
    .infer = reduce_all_infer,
    .gradient = reduce_all_gradient,
    .reference = reduce_all_reference,
};
