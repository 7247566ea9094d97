/* Sums over everything but one axis, across grains: gradients of biases and of operands that were repeated. */
#include "graph/graph.h"
#include "ops/reduce.h"

far_value fari_emit_bias_gradient(far_graph *graph, const char *name, far_value d_y)
{
    if (far_graph_status(graph) != FAR_OK) return FAR_NO_VALUE;
    const far_shape shape = far_graph_shape(graph, d_y);
    const fari_column_sum_attr attr = { .axis = shape.ndim - 1, .shape = { 1, { shape.dim[shape.ndim - 1] } } };
    return fari_emit(graph, &fari_op_column_sum, name, &attr, 1, &d_y);
}

static bool axis_stays(const fari_column_sum_attr *attr, int32_t axis)
{
    return attr->over_samples ? axis != 0 : axis == attr->axis || (axis == 0 && attr->per_sample);
}

static far_status column_sum_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                   fari_tensor *out, int32_t *out_count)
{
    const fari_column_sum_attr *attr = node->attr;
    int64_t elems = 1;
    (void)graph, (void)out_count;
    for (int32_t i = 0; i < in[0]->shape.ndim; i++) elems *= axis_stays(attr, i) ? in[0]->shape.dim[i] : 1;
    if (elems != far_shape_elems(&attr->shape))
        return fari_shape_error(node, in[0], NULL, "the sums have another shape");
    out[0].order = attr->per_sample && attr->shape.ndim > 2 ? in[0]->order : FARI_ROW_MAJOR;
    out[0].shape = attr->shape;
    out[0].batch_of = attr->per_sample ? in[0]->batch_of : 0;
    out[0].has_rows = false;
    return FAR_OK;
}

/* The sum over all indices that share the axes of `first` that stay. */
static double sum_from(const fari_column_sum_attr *attr, const fari_view *x, const int64_t *first)
{
    int64_t extent[FAR_NDIM_MAX], step[FAR_NDIM_MAX] = { 0 };
    double sum = 0.0;
    for (int32_t i = 0; i < x->ndim; i++) extent[i] = axis_stays(attr, i) ? 1 : x->dim[i];
    do {
        int64_t idx[FAR_NDIM_MAX] = { 0 };
        for (int32_t i = 0; i < x->ndim; i++) idx[i] = first[i] + step[i];
        sum += fari_view_get(x, idx);
    } while (fari_idx_next(step, extent, x->ndim));
    return sum;
}

/* Where the sum from `first` goes. Elements that stay keep the order of axes in the output, which is row-major or has one
   element behind the channels. */
static int64_t sum_position(const fari_column_sum_attr *attr, const fari_view *x, const fari_view *y,
                            const int64_t *first)
{
    int64_t position = 0;
    for (int32_t i = 0; i < x->ndim; i++) {
        if (!axis_stays(attr, i)) continue;
        const bool is_rows = attr->over_samples && i == 2, is_sample = attr->per_sample && i == 0;
        const int64_t idx = first[i] + (is_rows ? x->row0 : 0) + (is_sample ? x->sample0 - y->sample0 : 0);
        position = position * (is_rows ? x->rows_total : x->dim[i]) + idx;
    }
    return position;
}

static far_status column_sum_reference(const fari_call *call)
{
    const fari_column_sum_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *y = &call->out[0];
    int64_t first[FAR_NDIM_MAX] = { 0 }, extent[FAR_NDIM_MAX] = { 0 };
    for (int32_t i = 0; i < x->ndim; i++) extent[i] = axis_stays(attr, i) ? x->dim[i] : 1;
    if (attr->over_samples && !call->accumulate) /* rows of other grains get nothing from this one */
        for (int64_t k = 0; k < fari_view_elems(y); k++) fari_view_set_flat(y, k, 0.0);
    do {
        const int64_t at = sum_position(attr, x, y, first);
        const double before = call->accumulate ? fari_view_get_flat(y, at) : 0.0;
        fari_view_set_flat(y, at, before + sum_from(attr, x, first));
    } while (fari_idx_next(first, extent, x->ndim));
    return FAR_OK;
}

const fari_op fari_op_column_sum = {
    .name = "column_sum",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_column_sum_attr),
    .infer = column_sum_infer,
    .reference = column_sum_reference,
};
