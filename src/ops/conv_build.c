/* far_conv and far_conv_transpose: options to attributes, parameters, nodes. */
#include "base/mem.h"
#include "graph/graph.h"
#include "ops/conv.h"
#include "ops/window_opts.h"
#include <farandole/conv.h>
#include <inttypes.h>
#include <string.h>

/* What both builders have in common; `out_channels` and `in_channels` are the layer's. */
typedef struct layer {
    far_graph *graph;
    const char *op, *name;
    far_value x;
    far_shape x_shape;
    int64_t in_channels, out_channels;
    far_init weight_init, bias_init;
    bool has_bias;
} layer;

static far_status read_groups(const layer *l, int64_t groups, fari_conv_attr *attr)
{
    attr->groups = groups == 0 ? 1 : groups;
    if (l->out_channels < 1)
        return FAR_FAIL(FAR_E_ARG, "%s '%s': out_channels is %" PRId64 "; must be at least 1", l->op, l->name,
                        l->out_channels);
    if (attr->groups < 1 || l->in_channels % attr->groups != 0 || l->out_channels % attr->groups != 0)
        return FAR_FAIL(FAR_E_SHAPE,
                        "%s '%s': %" PRId64 " groups must divide %" PRId64 " input and %" PRId64 " output channels",
                        l->op, l->name, attr->groups, l->in_channels, l->out_channels);
    return FAR_OK;
}

/* All of attr but channels and in_extent. */
static far_status read_window(const layer *l, fari_window_opts window, const int64_t pad_lo[3], const int64_t pad_hi[3],
                              fari_conv_attr *attr)
{
    attr->spatial_ndim = l->x_shape.ndim - 2;
    FAR_TRY(fari_window_opts_read(&window, attr->spatial_ndim, 1, l->op, l->name));
    memcpy(attr->kernel, window.kernel, sizeof attr->kernel);
    memcpy(attr->stride, window.stride, sizeof attr->stride);
    memcpy(attr->dilation, window.dilation, sizeof attr->dilation);
    for (int d = 0; d < 3; d++) {
        attr->pad_lo[d] = window.pad[d] + pad_lo[d];
        attr->pad_hi[d] = window.pad[d] + pad_hi[d];
        attr->in_extent[d] = 1;
        if (pad_lo[d] < 0 || pad_hi[d] < 0 || (d >= attr->spatial_ndim && pad_lo[d] + pad_hi[d] != 0))
            return FAR_FAIL(FAR_E_ARG,
                            "%s '%s': pad_lo and pad_hi of axis %d must be 0 or more, and 0 for axes the input lacks",
                            l->op, l->name, d);
    }
    return FAR_OK;
}

static far_value param(const layer *l, const char *suffix, const far_shape *shape, far_init init)
{
    char *name = fari_printf("%s.%s", l->name, suffix);
    if (name == NULL)
        return fari_graph_fail(l->graph, FAR_FAIL(FAR_E_NOMEM, "no memory for parameter %s.%s", l->name, suffix));
    const far_value value = far_graph_param(l->graph, name, shape, init);
    fari_free(name);
    return value;
}

/* PyTorch's fan-in, for transposed convolutions too: all extents of the weight but the first. */
static int64_t fan_in(const far_shape *weight)
{
    int64_t fan = 1;
    for (int32_t d = 1; d < weight->ndim; d++) fan *= weight->dim[d];
    return fan;
}

static far_value emit_layer(const layer *l, const fari_op *op, const fari_conv_attr *attr)
{
    far_shape weight = { attr->spatial_ndim + 2, { attr->out_channels, attr->in_channels / attr->groups } };
    const far_shape bias = { 1, { l->out_channels } };
    far_init weight_init = l->weight_init, bias_init = l->bias_init;
    for (int d = 0; d < attr->spatial_ndim; d++) weight.dim[d + 2] = attr->kernel[d];
    if (weight_init.kind == FAR_INIT_ZERO) weight_init.kind = FAR_INIT_TORCH_UNIFORM;
    if (bias_init.kind == FAR_INIT_ZERO) bias_init.kind = FAR_INIT_TORCH_UNIFORM;
    if (bias_init.fan_in == 0) bias_init.fan_in = fan_in(&weight);
    far_value in[3] = { l->x, param(l, "weight", &weight, weight_init), FAR_NO_VALUE };
    if (l->has_bias) in[2] = param(l, "bias", &bias, bias_init);
    return fari_emit(l->graph, op, l->name, attr, l->has_bias ? 3 : 2, in);
}

static layer layer_of(far_graph *graph, const char *op, const char *name, far_value x)
{
    layer l = { .graph = graph, .op = op, .name = name, .x = x, .x_shape = far_graph_shape(graph, x) };
    l.in_channels = l.x_shape.dim[1];
    return l;
}

far_value far_conv(far_graph *graph, const char *name, far_value x, const far_conv_opts *opts)
{
    if (x < 0) return FAR_NO_VALUE;
    layer l = layer_of(graph, "conv", name, x);
    fari_conv_attr attr = { 0 };
    l.out_channels = opts->out_channels;
    l.weight_init = opts->weight_init;
    l.bias_init = opts->bias_init;
    l.has_bias = !opts->no_bias;
    far_status st = read_window(&l, fari_window_opts_of(opts->kernel, opts->stride, opts->dilation, opts->pad),
                                opts->pad_lo, opts->pad_hi, &attr);
    if (st == FAR_OK) st = read_groups(&l, opts->groups, &attr);
    if (st != FAR_OK) return fari_graph_fail(graph, st);
    attr.in_channels = l.in_channels;
    attr.out_channels = l.out_channels;
    for (int d = 0; d < attr.spatial_ndim; d++) attr.in_extent[d] = l.x_shape.dim[d + 2];
    return emit_layer(&l, &fari_op_conv, &attr);
}

/* The output's extents: in_extent of the convolution whose adjoint this layer is. */
static far_status read_output(const layer *l, const int64_t output_padding[3], fari_conv_attr *attr)
{
    for (int d = 0; d < 3; d++) {
        const int64_t extra = output_padding[d];
        if (d >= attr->spatial_ndim && extra == 0) continue;
        /* less than the stride: otherwise the convolution would have more outputs than this layer has inputs */
        if (d >= attr->spatial_ndim || extra < 0 || extra >= attr->stride[d])
            return FAR_FAIL(FAR_E_ARG,
                            "%s '%s': output_padding of axis %d is %" PRId64
                            "; must be 0 or more and less than the stride",
                            l->op, l->name, d, extra);
        attr->in_extent[d] = (l->x_shape.dim[d + 2] - 1) * attr->stride[d] - attr->pad_lo[d] - attr->pad_hi[d] +
                             fari_conv_span(attr, d) + extra;
        if (attr->in_extent[d] < 1)
            return FAR_FAIL(
                FAR_E_SHAPE,
                "%s '%s': axis %d would have extent %" PRId64 ": %" PRId64 " inputs, pads %" PRId64 " and %" PRId64,
                l->op, l->name, d + 2, attr->in_extent[d], l->x_shape.dim[d + 2], attr->pad_lo[d], attr->pad_hi[d]);
    }
    return FAR_OK;
}

far_value far_conv_transpose(far_graph *graph, const char *name, far_value x, const far_conv_transpose_opts *opts)
{
    if (x < 0) return FAR_NO_VALUE;
    layer l = layer_of(graph, "conv_transpose", name, x);
    fari_conv_attr attr = { 0 };
    l.out_channels = opts->out_channels;
    l.weight_init = opts->weight_init;
    l.bias_init = opts->bias_init;
    l.has_bias = !opts->no_bias;
    far_status st = read_window(&l, fari_window_opts_of(opts->kernel, opts->stride, opts->dilation, opts->pad),
                                opts->pad_lo, opts->pad_hi, &attr);
    if (st == FAR_OK) st = read_groups(&l, opts->groups, &attr);
    if (st == FAR_OK) st = read_output(&l, opts->output_padding, &attr);
    if (st != FAR_OK) return fari_graph_fail(graph, st);
    attr.in_channels = l.out_channels; /* roles swap: what goes in here is the convolution's output side */
    attr.out_channels = l.in_channels;
    return emit_layer(&l, &fari_op_conv_dx, &attr);
}
