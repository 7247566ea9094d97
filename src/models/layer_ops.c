/* The operations that a described network may name: one row each, with its options and a builder. */
#include "models/blocks.h"
#include "models/layers.h"
#include <farandole/conv.h>
#include <farandole/elementwise.h>
#include <farandole/extend.h>
#include <farandole/linear.h>
#include <farandole/pool.h>
#include <farandole/shape.h>
#include <farandole/upsample.h>
#include <string.h>

/* ---- reading options ---- */

#define OPT_REQUIRED_INT(name_, help_) \
    { .name = (name_), .type = FAR_CONFIG_INT, .unit = "", .help = (help_), .min = 1, .max = FARI_EXTENT_MAX }
#define OPT_REQUIRED_INTS(name_, lo_, help_) \
    { .name = (name_), .type = FAR_CONFIG_INTS, .unit = "", .help = (help_), .min = (lo_), .max = FARI_EXTENT_MAX }
#define OPT_KERNEL OPT_REQUIRED_INTS("kernel", 1, "extents of the window, one an axis or one for all")
#define OPT_STRIDE(default_, help_) FARI_OPT_INTS("stride", default_, 1, FARI_EXTENT_MAX, help_)
#define OPT_DILATION FARI_OPT_INTS("dilation", "1", 1, FARI_EXTENT_MAX, "distance of the window's elements")
#define OPT_PAD(help_) FARI_OPT_INTS("pad", "0", 0, FARI_EXTENT_MAX, help_)
#define OPT_AXIS(help_) FARI_OPT_INT("axis", "1", -FAR_NDIM_MAX, FAR_NDIM_MAX - 1, help_)
#define OPT_BIAS FARI_OPT_BOOL("bias", "yes", "add a trained number a channel")
#define OPT_INIT                                                                                                                  \
    FARI_OPT_ENUM("init", "default", "default|he_normal|xavier_uniform|normal|uniform|zero", "how the weights start"),            \
        FARI_OPT_FLOAT("init_value", "0", 0, 1e6,                                                                                 \
                       "factor of he_normal and xavier_uniform (0: 1), deviation of normal, bound of uniform"),                   \
        FARI_OPT_ENUM("bias_init", "default", "default|zero", "how the bias starts")

/* A list of one number an axis; shorter lists leave zeros, which builders read as "like the first". */
static void axes_of(const fari_layer *layer, const char *key, int64_t out[3])
{
    const int64_t count = far_options_list_count(layer->opts, key);
    if (count > 3) (void)far_graph_fail_last(layer->graph, far_options_fail(layer->opts, key, "at most three numbers, one an axis"));
    for (int64_t i = 0; i < 3; i++) out[i] = i < count ? far_options_list_i64(layer->opts, key, i) : 0;
}

/* Pads: one number stands for all axes even where the kernel is written out. */
static void pads_of(const fari_layer *layer, const char *key, int64_t out[3])
{
    const int32_t axes = far_graph_shape(layer->graph, layer->in[0]).ndim - 2;
    axes_of(layer, key, out);
    if (far_options_list_count(layer->opts, key) != 1) return;
    for (int32_t i = 1; i < axes && i < 3; i++) out[i] = out[0];
}

/* Kernels, strides, extents: written out for all axes of the input. */
static void windows_of(const fari_layer *layer, const char *key, int64_t out[3])
{
    pads_of(layer, key, out);
}

static far_init weight_init_of(const far_options *opts)
{
    static const far_init_kind kinds[] = { FAR_INIT_ZERO,   FAR_INIT_HE_NORMAL, FAR_INIT_XAVIER_UNIFORM,
                                           FAR_INIT_NORMAL, FAR_INIT_UNIFORM,   FAR_INIT_CONST };
    const far_init_kind kind = kinds[far_options_enum(opts, "init")]; /* FAR_INIT_ZERO asks builders for their default */
    return (far_init){ kind, kind == FAR_INIT_ZERO || kind == FAR_INIT_CONST ? 0.0 : far_options_f64(opts, "init_value"), 0 };
}

static far_init bias_init_of(const far_options *opts)
{
    return (far_init){ far_options_enum(opts, "bias_init") == 1 ? FAR_INIT_CONST : FAR_INIT_ZERO, 0.0, 0 };
}

/* ---- builders ---- */

static far_value conv_build(const fari_layer *layer)
{
    far_conv_opts opts = { .out_channels = far_options_i64(layer->opts, "out_channels"),
                           .groups = far_options_i64(layer->opts, "groups"),
                           .no_bias = !far_options_bool(layer->opts, "bias"),
                           .weight_init = weight_init_of(layer->opts),
                           .bias_init = bias_init_of(layer->opts) };
    windows_of(layer, "kernel", opts.kernel);
    windows_of(layer, "stride", opts.stride);
    windows_of(layer, "dilation", opts.dilation);
    pads_of(layer, "pad", opts.pad);
    return far_conv(layer->graph, layer->name, layer->in[0], &opts);
}

static far_value conv_transpose_build(const fari_layer *layer)
{
    far_conv_transpose_opts opts = { .out_channels = far_options_i64(layer->opts, "out_channels"),
                                     .groups = far_options_i64(layer->opts, "groups"),
                                     .no_bias = !far_options_bool(layer->opts, "bias"),
                                     .weight_init = weight_init_of(layer->opts),
                                     .bias_init = bias_init_of(layer->opts) };
    windows_of(layer, "kernel", opts.kernel);
    windows_of(layer, "stride", opts.stride);
    windows_of(layer, "dilation", opts.dilation);
    pads_of(layer, "pad", opts.pad);
    pads_of(layer, "output_padding", opts.output_padding);
    return far_conv_transpose(layer->graph, layer->name, layer->in[0], &opts);
}

static far_value norm_build(const fari_layer *layer, fari_norm_kind kind)
{
    const far_options *opts = layer->opts;
    const fari_norm_style style = {
        .kind = kind,
        .groups = kind == FARI_NORM_GROUP ? far_options_i64(opts, "groups") : 1,
        .base = { .eps = far_options_f64(opts, "eps"), .no_affine = !far_options_bool(opts, "affine") },
        .slope = far_options_f64(opts, "slope"),
    };
    return fari_norm_act(layer->graph, layer->name, layer->in[0], &style, fari_act_of(opts, "act"), layer->residual);
}

static far_value batch_norm_build(const fari_layer *layer)
{
    const far_options *opts = layer->opts;
    const fari_norm_style style = { .kind = FARI_NORM_BATCH,
                                    .base = { .eps = far_options_f64(opts, "eps"),
                                              .momentum = far_options_f64(opts, "momentum"),
                                              .group_samples = far_options_i64(opts, "group_samples"),
                                              .no_affine = !far_options_bool(opts, "affine"),
                                              .no_running = !far_options_bool(opts, "running") },
                                    .slope = far_options_f64(opts, "slope") };
    return fari_norm_act(layer->graph, layer->name, layer->in[0], &style, fari_act_of(opts, "act"), layer->residual);
}

static far_value group_norm_build(const fari_layer *layer)
{
    return norm_build(layer, FARI_NORM_GROUP);
}

static far_value instance_norm_build(const fari_layer *layer)
{
    return norm_build(layer, FARI_NORM_INSTANCE);
}

static far_value layer_norm_build(const fari_layer *layer)
{
    return norm_build(layer, FARI_NORM_LAYER);
}

static far_value layer_norm_last_build(const fari_layer *layer)
{
    const far_norm_opts opts = { .eps = far_options_f64(layer->opts, "eps"),
                                 .no_affine = !far_options_bool(layer->opts, "affine") };
    return far_layer_norm_last(layer->graph, layer->name, layer->in[0], &opts);
}

static far_value relu_build(const fari_layer *layer)
{
    return far_relu(layer->graph, layer->name, layer->in[0]);
}

static far_value leaky_relu_build(const fari_layer *layer)
{
    return far_leaky_relu(layer->graph, layer->name, layer->in[0], far_options_f64(layer->opts, "slope"));
}

static far_value gelu_build(const fari_layer *layer)
{
    return far_gelu(layer->graph, layer->name, layer->in[0]);
}

static far_value gelu_tanh_build(const fari_layer *layer)
{
    return far_gelu_tanh(layer->graph, layer->name, layer->in[0]);
}

static far_value silu_build(const fari_layer *layer)
{
    return far_silu(layer->graph, layer->name, layer->in[0]);
}

static far_value sigmoid_build(const fari_layer *layer)
{
    return far_sigmoid(layer->graph, layer->name, layer->in[0]);
}

static far_value tanh_build(const fari_layer *layer)
{
    return far_tanh(layer->graph, layer->name, layer->in[0]);
}

static far_value softmax_build(const fari_layer *layer)
{
    return far_softmax(layer->graph, layer->name, layer->in[0], (int32_t)far_options_i64(layer->opts, "axis"));
}

static far_value log_softmax_build(const fari_layer *layer)
{
    return far_log_softmax(layer->graph, layer->name, layer->in[0], (int32_t)far_options_i64(layer->opts, "axis"));
}

static far_value dropout_build(const fari_layer *layer)
{
    return far_dropout(layer->graph, layer->name, layer->in[0], far_options_f64(layer->opts, "p"));
}

static far_pool_opts pool_opts_of(const fari_layer *layer)
{
    far_pool_opts opts = { .ceil_mode = far_options_bool(layer->opts, "ceil_mode") };
    windows_of(layer, "kernel", opts.kernel);
    windows_of(layer, "stride", opts.stride);
    pads_of(layer, "pad", opts.pad);
    return opts;
}

static far_value max_pool_build(const fari_layer *layer)
{
    far_pool_opts opts = pool_opts_of(layer);
    windows_of(layer, "dilation", opts.dilation);
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
    windows_of(layer, "extent", extent);
    return far_adaptive_avg_pool(layer->graph, layer->name, layer->in[0], extent);
}

static far_value adaptive_max_pool_build(const fari_layer *layer)
{
    int64_t extent[3];
    windows_of(layer, "extent", extent);
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
    windows_of(layer, "scale", opts.scale);
    windows_of(layer, "extent", opts.out_extent);
    return far_upsample(layer->graph, layer->name, layer->in[0], &opts);
}

static far_value linear_build(const fari_layer *layer)
{
    return far_linear(layer->graph, layer->name, layer->in[0],
                      &(far_linear_opts){ .out_features = far_options_i64(layer->opts, "out_features"),
                                          .no_bias = !far_options_bool(layer->opts, "bias"),
                                          .weight_init = weight_init_of(layer->opts),
                                          .bias_init = bias_init_of(layer->opts) });
}

static far_value matmul_build(const fari_layer *layer)
{
    return far_matmul(layer->graph, layer->name, layer->in[0], layer->in[1], far_options_bool(layer->opts, "transpose_a"),
                      far_options_bool(layer->opts, "transpose_b"));
}

static far_value flatten_build(const fari_layer *layer)
{
    return far_flatten(layer->graph, layer->name, layer->in[0]);
}

static far_value reshape_build(const fari_layer *layer)
{
    const int64_t count = far_options_list_count(layer->opts, "shape");
    far_shape shape = { .ndim = (int32_t)count + 1, .dim = { far_graph_shape(layer->graph, layer->in[0]).dim[0] } };
    if (count >= FAR_NDIM_MAX)
        return far_graph_fail_last(layer->graph, far_options_fail(layer->opts, "shape", "at most %d axes", FAR_NDIM_MAX - 1));
    for (int64_t i = 0; i < count; i++) shape.dim[i + 1] = far_options_list_i64(layer->opts, "shape", i);
    return far_reshape(layer->graph, layer->name, layer->in[0], &shape);
}

static far_value transpose_build(const fari_layer *layer)
{
    const int64_t count = far_options_list_count(layer->opts, "axes");
    int32_t perm[FAR_NDIM_MAX] = { 0 };
    if (count != far_graph_shape(layer->graph, layer->in[0]).ndim)
        return far_graph_fail_last(layer->graph, far_options_fail(layer->opts, "axes", "as many numbers as the input has axes"));
    for (int64_t i = 0; i < count; i++) perm[i] = (int32_t)far_options_list_i64(layer->opts, "axes", i);
    return far_transpose(layer->graph, layer->name, layer->in[0], perm);
}

static far_value slice_build(const fari_layer *layer)
{
    return far_slice(layer->graph, layer->name, layer->in[0], (int32_t)far_options_i64(layer->opts, "axis"),
                     far_options_i64(layer->opts, "start"), far_options_i64(layer->opts, "count"));
}

static far_value concat_build(const fari_layer *layer)
{
    return far_concat(layer->graph, layer->name, layer->in_count, layer->in, (int32_t)far_options_i64(layer->opts, "axis"));
}

/* Folds all inputs from the left. */
static far_value fold(const fari_layer *layer, far_value (*step)(far_graph *, const char *, far_value, far_value))
{
    far_value x = layer->in[0];
    for (int32_t i = 1; i < layer->in_count; i++) x = step(layer->graph, layer->name, x, layer->in[i]);
    return x;
}

static far_value add_build(const fari_layer *layer)
{
    return fold(layer, far_add);
}

static far_value sub_build(const fari_layer *layer)
{
    return fold(layer, far_sub);
}

static far_value mul_build(const fari_layer *layer)
{
    return fold(layer, far_mul);
}

static far_value maximum_build(const fari_layer *layer)
{
    return fold(layer, far_maximum);
}

static far_value scale_shift_build(const fari_layer *layer)
{
    return far_scale_shift(layer->graph, layer->name, layer->in[0], far_options_f64(layer->opts, "scale"),
                           far_options_f64(layer->opts, "shift"));
}

static far_value log1p_build(const fari_layer *layer)
{
    return far_log1p(layer->graph, layer->name, layer->in[0]);
}

static far_value mean_build(const fari_layer *layer)
{
    const int64_t count = far_options_list_count(layer->opts, "axes");
    int32_t axes[FAR_NDIM_MAX] = { 0 };
    if (count < 1 || count > FAR_NDIM_MAX)
        return far_graph_fail_last(layer->graph, far_options_fail(layer->opts, "axes", "one to %d axes", FAR_NDIM_MAX));
    for (int64_t i = 0; i < count; i++) axes[i] = (int32_t)far_options_list_i64(layer->opts, "axes", i);
    return far_reduce(layer->graph, layer->name, layer->in[0], FAR_REDUCE_MEAN, (int32_t)count, axes,
                      far_options_bool(layer->opts, "keep_axes"));
}

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
    FARI_OPT_INTS("output_padding", "0", 0, FARI_EXTENT_MAX, "further elements at the end of each axis, less than the stride"),
    FARI_OPT_INT("groups", "1", 1, FARI_EXTENT_MAX, "cuts the channels in groups that do not see each other"),
    OPT_BIAS,
    OPT_INIT,
};

#define OPT_RESIDUAL FARI_OPT_TEXT("residual", "layer whose result is added before the activation")
#define OPT_AFFINE(default_) FARI_OPT_BOOL("affine", default_, "multiply by and add a trained number a channel")

static const far_config_key batch_norm_options[] = {
    FARI_OPT_EPS("1e-5"),
    FARI_OPT_MOMENTUM,
    FARI_OPT_GROUP_SAMPLES,
    OPT_AFFINE("yes"),
    FARI_OPT_BOOL("running", "yes", "keep running statistics, used after training"),
    FARI_OPT_ACT("none"),
    OPT_RESIDUAL,
};

static const far_config_key group_norm_options[] = {
    OPT_REQUIRED_INT("groups", "groups of channels"), FARI_OPT_EPS("1e-5"), OPT_AFFINE("yes"), FARI_OPT_ACT("none"), OPT_RESIDUAL,
};

static const far_config_key instance_norm_options[] = {
    FARI_OPT_EPS("1e-5"), OPT_AFFINE("no"), FARI_OPT_ACT("none"), OPT_RESIDUAL,
};

static const far_config_key layer_norm_options[] = {
    FARI_OPT_EPS("1e-5"), OPT_AFFINE("yes"), FARI_OPT_ACT("none"), OPT_RESIDUAL,
};

static const far_config_key layer_norm_last_options[] = { FARI_OPT_EPS("1e-5"), OPT_AFFINE("yes") };

static const far_config_key leaky_relu_options[] = { FARI_OPT_FLOAT("slope", "0.01", 0, 1, "slope below zero") };
static const far_config_key softmax_options[] = { OPT_AXIS("1 (channels), or -1 (the last)") };
static const far_config_key dropout_options[] = { FARI_OPT_FLOAT("p", "0.5", 0, 0.999, "probability of zeroing an element") };

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

static const far_config_key linear_options[] = {
    OPT_REQUIRED_INT("out_features", "features of the result"),
    OPT_BIAS,
    OPT_INIT,
};

static const far_config_key matmul_options[] = {
    FARI_OPT_BOOL("transpose_a", "no", "take the first operand transposed"),
    FARI_OPT_BOOL("transpose_b", "no", "take the second operand transposed"),
};

static const far_config_key reshape_options[] = {
    OPT_REQUIRED_INTS("shape", -1, "extents without the batch; one may be -1: what is left"),
};

static const far_config_key transpose_options[] = {
    OPT_REQUIRED_INTS("axes", 0, "axis i of the result is axis axes[i] of the input; begins with 0"),
};

static const far_config_key slice_options[] = {
    OPT_AXIS("the axis to cut"),
    FARI_OPT_INT("start", "0", 0, 1e15, "first element"),
    OPT_REQUIRED_INT("count", "number of elements"),
};

static const far_config_key concat_options[] = { OPT_AXIS("the axis to join along") };

static const far_config_key scale_shift_options[] = {
    FARI_OPT_FLOAT("scale", "1", -1e30, 1e30, "factor"),
    FARI_OPT_FLOAT("shift", "0", -1e30, 1e30, "added after it"),
};

static const far_config_key mean_options[] = {
    OPT_REQUIRED_INTS("axes", -FAR_NDIM_MAX, "axes to average over, not 0"),
    FARI_OPT_BOOL("keep_axes", "no", "keep them with extent 1"),
};

/* ---- the table ---- */

#define ONE_INPUT .input_min = 1, .input_max = 1
#define TWO_INPUTS .input_min = 2, .input_max = 2
#define INPUTS .input_min = 2, .input_max = FARI_LAYER_INPUTS_MAX
#define PLAIN(name_, help_, build_) { { .name = (name_), .help = (help_), ONE_INPUT }, (build_) }
#define WITH(name_, help_, options_, build_) { { .name = (name_), .help = (help_), ONE_INPUT, FARI_OPTIONS(options_) }, (build_) }

const fari_layer_op fari_layer_ops[] = {
    WITH("conv", "convolution over one to three axes", conv_options, conv_build),
    WITH("conv_transpose", "transposed convolution", conv_transpose_options, conv_transpose_build),
    WITH("batch_norm", "batch norm, with residual and activation fused", batch_norm_options, batch_norm_build),
    WITH("group_norm", "group norm", group_norm_options, group_norm_build),
    WITH("instance_norm", "instance norm", instance_norm_options, instance_norm_build),
    WITH("layer_norm", "layer norm over channels and space", layer_norm_options, layer_norm_build),
    WITH("layer_norm_last", "layer norm over the last axis", layer_norm_last_options, layer_norm_last_build),
    PLAIN("relu", "max(x, 0)", relu_build),
    WITH("leaky_relu", "x, or slope x below zero", leaky_relu_options, leaky_relu_build),
    PLAIN("gelu", "x Phi(x)", gelu_build),
    PLAIN("gelu_tanh", "gelu in its tanh approximation", gelu_tanh_build),
    PLAIN("silu", "x sigmoid(x)", silu_build),
    PLAIN("sigmoid", "1 / (1 + exp(-x))", sigmoid_build),
    PLAIN("tanh", "hyperbolic tangent", tanh_build),
    WITH("softmax", "softmax", softmax_options, softmax_build),
    WITH("log_softmax", "logarithm of softmax", softmax_options, log_softmax_build),
    WITH("dropout", "zeroes elements at random in training", dropout_options, dropout_build),
    WITH("max_pool", "maximum of each window", max_pool_options, max_pool_build),
    WITH("avg_pool", "mean of each window", avg_pool_options, avg_pool_build),
    WITH("adaptive_avg_pool", "mean, to given extents", adaptive_pool_options, adaptive_avg_pool_build),
    WITH("adaptive_max_pool", "maximum, to given extents", adaptive_pool_options, adaptive_max_pool_build),
    PLAIN("global_avg_pool", "mean over space: [N, C, space] to [N, C]", global_avg_pool_build),
    PLAIN("global_max_pool", "maximum over space: [N, C, space] to [N, C]", global_max_pool_build),
    WITH("upsample", "nearest or linear interpolation", upsample_options, upsample_build),
    WITH("linear", "fully connected layer over the last axis", linear_options, linear_build),
    PLAIN("flatten", "[N, ...] to [N, all the rest]", flatten_build),
    WITH("reshape", "another shape", reshape_options, reshape_build),
    WITH("transpose", "another order of axes", transpose_options, transpose_build),
    WITH("slice", "a run of one axis", slice_options, slice_build),
    WITH("scale_shift", "scale x + shift", scale_shift_options, scale_shift_build),
    WITH("mean", "mean over axes", mean_options, mean_build),
    PLAIN("log1p", "log(1 + x), for images whose values span decades", log1p_build),
    { { .name = "matmul", .help = "product of matrices", TWO_INPUTS, FARI_OPTIONS(matmul_options) }, matmul_build },
    { { .name = "concat", .help = "joins its inputs along an axis", INPUTS, FARI_OPTIONS(concat_options) }, concat_build },
    { { .name = "add", .help = "sum of its inputs", INPUTS }, add_build },
    { { .name = "sub", .help = "first input minus the others", INPUTS }, sub_build },
    { { .name = "mul", .help = "product of its inputs", INPUTS }, mul_build },
    { { .name = "maximum", .help = "largest of its inputs", INPUTS }, maximum_build },
};
const int32_t fari_layer_op_count = (int32_t)FARI_COUNT(fari_layer_ops);
