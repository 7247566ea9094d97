/* The builders of <farandole/pool.h>: options to attributes and nodes. */
#include "graph/graph.h"
#include "ops/pool.h"
#include "ops/window_opts.h"
#include <farandole/pool.h>
#include <inttypes.h>
#include <string.h>

/* PyTorch's rule: with ceil_mode a last window that would start in the padding after the image is dropped. */
static int64_t out_extent(const fari_pool_attr *attr, int d, bool ceil_mode)
{
    const int64_t span = (attr->kernel[d] - 1) * attr->dilation[d] + 1, padded = attr->in_extent[d] + 2 * attr->pad[d];
    const int64_t room = padded - span + (ceil_mode ? attr->stride[d] - 1 : 0);
    if (room < 0) return 0;
    const int64_t out = room / attr->stride[d] + 1;
    return ceil_mode && (out - 1) * attr->stride[d] >= attr->in_extent[d] + attr->pad[d] ? out - 1 : out;
}

static far_status windowed_attr(const char *op, const char *name, const far_shape *x, const far_pool_opts *opts,
                                bool is_average, fari_pool_attr *attr)
{
    fari_window_opts window = fari_window_opts_of(opts->kernel, opts->stride, opts->dilation, opts->pad);
    attr->spatial_ndim = x->ndim - 2;
    FAR_TRY(fari_window_opts_read(&window, attr->spatial_ndim, 0, op, name));
    memcpy(attr->kernel, window.kernel, sizeof attr->kernel);
    memcpy(attr->stride, window.stride, sizeof attr->stride);
    memcpy(attr->dilation, window.dilation, sizeof attr->dilation);
    memcpy(attr->pad, window.pad, sizeof attr->pad);
    attr->count_include_pad = is_average && !opts->exclude_pad;
    for (int d = 0; d < 3; d++) {
        const int64_t span = (attr->kernel[d] - 1) * attr->dilation[d] + 1;
        attr->in_extent[d] = d < attr->spatial_ndim ? x->dim[d + 2] : 1;
        attr->out_extent[d] = out_extent(attr, d, opts->ceil_mode);
        if (is_average && attr->dilation[d] != 1)
            return FAR_FAIL(FAR_E_ARG, "%s '%s': an average takes no dilation, axis %d has %" PRId64, op, name, d,
                            attr->dilation[d]);
        if (attr->pad[d] > span / 2)
            return FAR_FAIL(FAR_E_ARG,
                            "%s '%s': pad of axis %d is %" PRId64 "; must be at most half the window of %" PRId64, op,
                            name, d, attr->pad[d], span);
    }
    return FAR_OK;
}

static far_value windowed(far_graph *graph, const char *name, far_value x, const far_pool_opts *opts, bool is_average)
{
    const fari_op *op = is_average ? &fari_op_avg_pool : &fari_op_max_pool;
    fari_pool_attr attr = { 0 };
    if (x < 0) return FAR_NO_VALUE;
    const far_shape shape = far_graph_shape(graph, x);
    const far_status st = windowed_attr(op->name, name, &shape, opts, is_average, &attr);
    return st == FAR_OK ? fari_emit(graph, op, name, &attr, 1, &x) : fari_graph_fail(graph, st);
}

far_value far_max_pool(far_graph *graph, const char *name, far_value x, const far_pool_opts *opts)
{
    return windowed(graph, name, x, opts, false);
}

far_value far_avg_pool(far_graph *graph, const char *name, far_value x, const far_pool_opts *opts)
{
    return windowed(graph, name, x, opts, true);
}

static far_value adaptive(far_graph *graph, const char *name, far_value x, const int64_t extent[3], const fari_op *op)
{
    if (x < 0) return FAR_NO_VALUE;
    const far_shape shape = far_graph_shape(graph, x);
    fari_pool_attr attr = { .spatial_ndim = shape.ndim - 2, .is_adaptive = true };
    if (attr.spatial_ndim < 1 || attr.spatial_ndim > 3)
        return fari_graph_fail(
            graph, FAR_FAIL(FAR_E_SHAPE, "%s '%s': the input must have one to three spatial axes, it has %" PRId32,
                            op->name, name, attr.spatial_ndim));
    for (int d = 0; d < 3; d++) {
        const bool has_axis = d < attr.spatial_ndim;
        attr.kernel[d] = attr.stride[d] = attr.dilation[d] = 1;
        attr.in_extent[d] = has_axis ? shape.dim[d + 2] : 1;
        attr.out_extent[d] = !has_axis ? 1 : extent[d] == 0 ? extent[0] : extent[d];
        if (attr.out_extent[d] < 1 || (!has_axis && extent[d] != 0))
            return fari_graph_fail(graph, FAR_FAIL(FAR_E_ARG,
                                                   "%s '%s': the output's extent along axis %d is %" PRId64
                                                   "; must be at least 1, and 0 for axes the input lacks",
                                                   op->name, name, d, extent[d]));
    }
    return fari_emit(graph, op, name, &attr, 1, &x);
}

far_value far_adaptive_avg_pool(far_graph *graph, const char *name, far_value x, const int64_t extent[3])
{
    return adaptive(graph, name, x, extent, &fari_op_avg_pool);
}

far_value far_adaptive_max_pool(far_graph *graph, const char *name, far_value x, const int64_t extent[3])
{
    return adaptive(graph, name, x, extent, &fari_op_max_pool);
}

far_value far_global_avg_pool(far_graph *graph, const char *name, far_value x)
{
    if (x < 0) return FAR_NO_VALUE;
    const far_shape shape = far_graph_shape(graph, x);
    fari_scale_cast_attr attr = { .scale = 1.0, .dtype = FAR_F32 };
    for (int32_t i = 2; i < shape.ndim; i++) attr.scale /= (double)shape.dim[i];
    const far_value sum = fari_emit(graph, &fari_op_global_sum, name, NULL, 1, &x);
    return sum < 0 ? FAR_NO_VALUE : fari_emit(graph, &fari_op_scale_cast, name, &attr, 1, &sum);
}

far_value far_global_max_pool(far_graph *graph, const char *name, far_value x)
{
    return x < 0 ? FAR_NO_VALUE : fari_emit(graph, &fari_op_global_max, name, NULL, 1, &x);
}
