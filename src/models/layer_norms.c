/* Described layers that normalise and activate. */
#include "models/layer_options.h"

/* ---- options ---- */

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
    OPT_REQUIRED_INT("groups", "groups of channels"),
    FARI_OPT_EPS("1e-5"),
    OPT_AFFINE("yes"),
    FARI_OPT_ACT("none"),
    OPT_RESIDUAL,
};

static const far_config_key instance_norm_options[] = {
    FARI_OPT_EPS("1e-5"),
    OPT_AFFINE("no"),
    FARI_OPT_ACT("none"),
    OPT_RESIDUAL,
};

static const far_config_key layer_norm_options[] = {
    FARI_OPT_EPS("1e-5"),
    OPT_AFFINE("yes"),
    FARI_OPT_ACT("none"),
    OPT_RESIDUAL,
};

static const far_config_key layer_norm_last_options[] = { FARI_OPT_EPS("1e-5"), OPT_AFFINE("yes") };

static const far_config_key leaky_relu_options[] = { FARI_OPT_FLOAT("slope", "0.01", 0, 1, "slope below zero") };

static const far_config_key softmax_options[] = { OPT_AXIS("1 (channels), or -1 (the last)") };

static const far_config_key dropout_options[] = { FARI_OPT_FLOAT("p", "0.5", 0, 0.999,
                                                                 "probability of zeroing an element") };

/* ---- builders ---- */

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

/* ---- the rows ---- */

static const fari_layer_op rows[] = {
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
};

const fari_layer_family fari_layers_norms = { rows, (int32_t)FARI_COUNT(rows) };
