/* Described layers that mix features, move elements and do arithmetic. */
#include "models/layer_options.h"
#include <farandole/elementwise.h>
#include <farandole/extend.h>
#include <farandole/linear.h>
#include <farandole/shape.h>

/* ---- options ---- */

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

/* ---- builders ---- */

static far_value linear_build(const fari_layer *layer)
{
    return far_linear(layer->graph, layer->name, layer->in[0],
                      &(far_linear_opts){ .out_features = far_options_i64(layer->opts, "out_features"),
                                          .no_bias = !far_options_bool(layer->opts, "bias"),
                                          .weight_init = fari_layer_weight_init(layer->opts),
                                          .bias_init = fari_layer_bias_init(layer->opts) });
}

static far_value matmul_build(const fari_layer *layer)
{
    return far_matmul(layer->graph, layer->name, layer->in[0], layer->in[1],
                      far_options_bool(layer->opts, "transpose_a"), far_options_bool(layer->opts, "transpose_b"));
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
        return far_graph_fail_last(layer->graph,
                                   far_options_fail(layer->opts, "shape", "at most %d axes", FAR_NDIM_MAX - 1));
    for (int64_t i = 0; i < count; i++) shape.dim[i + 1] = far_options_list_i64(layer->opts, "shape", i);
    return far_reshape(layer->graph, layer->name, layer->in[0], &shape);
}

static far_value transpose_build(const fari_layer *layer)
{
    const int64_t count = far_options_list_count(layer->opts, "axes");
    int32_t perm[FAR_NDIM_MAX] = { 0 };
    if (count != far_graph_shape(layer->graph, layer->in[0]).ndim)
        return far_graph_fail_last(layer->graph,
                                   far_options_fail(layer->opts, "axes", "as many numbers as the input has axes"));
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
    return far_concat(layer->graph, layer->name, layer->in_count, layer->in,
                      (int32_t)far_options_i64(layer->opts, "axis"));
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

/* ---- the rows ---- */

static const fari_layer_op rows[] = {
    WITH("linear", "fully connected layer over the last axis", linear_options, linear_build),
    { { .name = "matmul", .help = "product of matrices", TWO_INPUTS, FARI_OPTIONS(matmul_options) }, matmul_build },
    PLAIN("flatten", "[N, ...] to [N, all the rest]", flatten_build),
    WITH("reshape", "another shape", reshape_options, reshape_build),
    WITH("transpose", "another order of axes", transpose_options, transpose_build),
    WITH("slice", "a run of one axis", slice_options, slice_build),
    { { .name = "concat", .help = "joins its inputs along an axis", INPUTS, FARI_OPTIONS(concat_options) },
      concat_build },
    { { .name = "add", .help = "sum of its inputs", INPUTS }, add_build },
    { { .name = "sub", .help = "first input minus the others", INPUTS }, sub_build },
    { { .name = "mul", .help = "product of its inputs", INPUTS }, mul_build },
    { { .name = "maximum", .help = "largest of its inputs", INPUTS }, maximum_build },
    WITH("scale_shift", "scale x + shift", scale_shift_options, scale_shift_build),
    PLAIN("log1p", "log(1 + x), for images whose values span decades", log1p_build),
    WITH("mean", "mean over axes", mean_options, mean_build),
};

const fari_layer_family fari_layers_shapes = { rows, (int32_t)FARI_COUNT(rows) };
