/* Described layers that look through windows: convolutions, pools, resampling. */
#include "models/layer_options.h"
#include <farandole/conv.h>
#include <farandole/pool.h>
#include <farandole/upsample.h>

/* ---- options ---- */

static const far_config_key conv_options[] = {
    OPT_REQUIRED_INT("out_channels", "channels of the result"),
    OPT_KERNEL,
    OPT_STRIDE("1", "steps of the window"),
    OPT_DILATION,
    OPT_PAD("zeros on both sides of each axis"),
    FARI_OPT_INT("groups", "1", 1, FARI_EXTENT_MAX, "cuts the channels in groups that do not see each other"),
    OPT_BIAS,
    OPT_INIT,
};

static const far_config_key conv_transpose_options[] = {
    OPT_REQUIRED_INT("out_channels", "channels of the result"),
    OPT_KERNEL,
    OPT_STRIDE("1", "steps of the window, by which the image grows"),
    OPT_DILATION,
    OPT_PAD("elements cut off on both sides of each axis"),
    FARI_OPT_INTS("output_padding", "0", 0, FARI_EXTENT_MAX,
                  "further elements at the end of each axis, less than the stride"),
    FARI_OPT_INT("groups", "1", 1, FARI_EXTENT_MAX, "cuts the channels in groups that do not see each other"),
    OPT_BIAS,
    OPT_INIT,
};

static const far_config_key max_pool_options[] = {
    OPT_KERNEL,
    OPT_STRIDE("", "steps of the window; the kernel when not given"),
    OPT_DILATION,
    OPT_PAD("on both sides of each axis; never wins"),
    FARI_OPT_BOOL("ceil_mode", "no", "round extents up"),
};

static const far_config_key avg_pool_options[] = {
    OPT_KERNEL,
    OPT_STRIDE("", "steps of the window; the kernel when not given"),
    OPT_PAD("zeros on both sides of each axis"),
    FARI_OPT_BOOL("ceil_mode", "no", "round extents up"),
    FARI_OPT_BOOL("count_include_pad", "yes", "padding counts as zeros"),
};

static const far_config_key adaptive_pool_options[] = {
    OPT_REQUIRED_INTS("extent", 1, "extents of the result, one an axis or one for all"),
};

static const far_config_key upsample_options[] = {
    FARI_OPT_ENUM("mode", "nearest", "nearest|linear", "linear: bilinear on images, trilinear on volumes"),
    FARI_OPT_INTS("scale", "", 1, FARI_EXTENT_MAX, "whole factors"),
    FARI_OPT_INTS("extent", "", 1, FARI_EXTENT_MAX, "or the extents of the result"),
    FARI_OPT_BOOL("align_corners", "no", "linear: let the corner elements coincide, not the edges"),
};

/* ---- builders ---- */

static far_value conv_build(const fari_layer *layer)
{
    far_conv_opts opts = { .out_channels = far_options_i64(layer->opts, "out_channels"),
                           .groups = far_options_i64(layer->opts, "groups"),
                           .no_bias = !far_options_bool(layer->opts, "bias"),
                           .weight_init = fari_layer_weight_init(layer->opts),
                           .bias_init = fari_layer_bias_init(layer->opts) };
    fari_layer_axes(layer, "kernel", opts.kernel);
    fari_layer_axes(layer, "stride", opts.stride);
    fari_layer_axes(layer, "dilation", opts.dilation);
    fari_layer_axes(layer, "pad", opts.pad);
    return far_conv(layer->graph, layer->name, layer->in[0], &opts);
}

static far_value conv_transpose_build(const fari_layer *layer)
{
    far_conv_transpose_opts opts = { .out_channels = far_options_i64(layer->opts, "out_channels"),
                                     .groups = far_options_i64(layer->opts, "groups"),
                                     .no_bias = !far_options_bool(layer->opts, "bias"),
                                     .weight_init = fari_layer_weight_init(layer->opts),
                                     .bias_init = fari_layer_bias_init(layer->opts) };
    fari_layer_axes(layer, "kernel", opts.kernel);
    fari_layer_axes(layer, "stride", opts.stride);
    fari_layer_axes(layer, "dilation", opts.dilation);
    fari_layer_axes(layer, "pad", opts.pad);
    fari_layer_axes(layer, "output_padding", opts.output_padding);
    return far_conv_transpose(layer->graph, layer->name, layer->in[0], &opts);
}

static far_pool_opts pool_opts_of(const fari_layer *layer)
{
    far_pool_opts opts = { .ceil_mode = far_options_bool(layer->opts, "ceil_mode") };
    fari_layer_axes(layer, "kernel", opts.kernel);
    fari_layer_axes(layer, "stride", opts.stride);
    fari_layer_axes(layer, "pad", opts.pad);
    return opts;
}

static far_value max_pool_build(const fari_layer *layer)
{
    far_pool_opts opts = pool_opts_of(layer);
    fari_layer_axes(layer, "dilation", opts.dilation);
    return far_max_pool(layer->graph, layer->name, layer->in[0], &opts);
}

static far_value avg_pool_build(const fari_layer *layer)
{
    far_pool_opts opts = pool_opts_of(layer);
    opts.exclude_pad = !far_options_bool(layer->opts, "count_include_pad");
    return far_avg_pool(layer->graph, layer->name, layer->in[0], &opts);
}

static far_value adaptive_avg_pool_build(const fari_layer *layer)
{
    int64_t extent[3];
    fari_layer_axes(layer, "extent", extent);
    return far_adaptive_avg_pool(layer->graph, layer->name, layer->in[0], extent);
}

static far_value adaptive_max_pool_build(const fari_layer *layer)
{
    int64_t extent[3];
    fari_layer_axes(layer, "extent", extent);
    return far_adaptive_max_pool(layer->graph, layer->name, layer->in[0], extent);
}

static far_value global_avg_pool_build(const fari_layer *layer)
{
    return far_global_avg_pool(layer->graph, layer->name, layer->in[0]);
}

static far_value global_max_pool_build(const fari_layer *layer)
{
    return far_global_max_pool(layer->graph, layer->name, layer->in[0]);
}

static far_value upsample_build(const fari_layer *layer)
{
    far_upsample_opts opts = { .mode = (far_upsample_mode)far_options_enum(layer->opts, "mode"),
                               .align_corners = far_options_bool(layer->opts, "align_corners") };
    fari_layer_axes(layer, "scale", opts.scale);
    fari_layer_axes(layer, "extent", opts.out_extent);
    return far_upsample(layer->graph, layer->name, layer->in[0], &opts);
}

/* ---- the rows ---- */

static const fari_layer_op rows[] = {
    WITH("conv", "convolution over one to three axes", conv_options, conv_build),
    WITH("conv_transpose", "transposed convolution", conv_transpose_options, conv_transpose_build),
    WITH("max_pool", "maximum of each window", max_pool_options, max_pool_build),
    WITH("avg_pool", "mean of each window", avg_pool_options, avg_pool_build),
    WITH("adaptive_avg_pool", "mean, to given extents", adaptive_pool_options, adaptive_avg_pool_build),
    WITH("adaptive_max_pool", "maximum, to given extents", adaptive_pool_options, adaptive_max_pool_build),
    PLAIN("global_avg_pool", "mean over space: [N, C, space] to [N, C]", global_avg_pool_build),
    PLAIN("global_max_pool", "maximum over space: [N, C, space] to [N, C]", global_max_pool_build),
    WITH("upsample", "nearest or linear interpolation", upsample_options, upsample_build),
};

const fari_layer_family fari_layers_windows = { rows, (int32_t)FARI_COUNT(rows) };
