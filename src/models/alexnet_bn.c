/* AlexNet-BN, the network of the LARS papers (You, Gitman and Ginsburg, 2017): normalisation without gamma and beta at the inputs
   of conv2 to conv5 in place of LRN, after ReLU and pooling. 60,965,224 parameters for 3 x 227 x 227 and 1000 classes.
   Initialisation as its Caffe solvers: conv and fc8 N(0, 0.01) with bias 0.01, fc6 and fc7 N(0, 0.005) with bias 0.1. */
#include "models/blocks.h"
#include "models/model.h"
#include <farandole/conv.h>
#include <farandole/linear.h>
#include <farandole/pool.h>
#include <farandole/shape.h>

static const far_init narrow = { FAR_INIT_NORMAL, 0.01, 0 }, narrow_bias = { FAR_INIT_CONST, 0.01, 0 };
static const far_init narrower = { FAR_INIT_NORMAL, 0.005, 0 }, wide_bias = { FAR_INIT_CONST, 0.1, 0 };

typedef struct conv_row {
    const char *name, *norm; /* norm: at the convolution's input; NULL: none */
    int64_t channels, kernel, stride, pad, groups;
    bool has_pool; /* 3x3 with stride 2, before the ReLU: the same numbers as after it, of a quarter of the pixels */
} conv_row;

static const conv_row convs[] = {
    { "conv1", NULL, 96, 11, 4, 0, 1, true },   { "conv2", "bn2", 256, 5, 1, 2, 2, true },
    { "conv3", "bn3", 384, 3, 1, 1, 1, false }, { "conv4", "bn4", 384, 3, 1, 1, 2, false },
    { "conv5", "bn5", 256, 3, 1, 1, 2, true },
};

static far_value conv(far_graph *graph, const conv_row *row, const far_norm_opts *norm, far_value x)
{
    if (row->norm != NULL) x = far_batch_norm(graph, row->norm, x, norm);
    x = far_conv(graph, row->name, x,
                 &(far_conv_opts){ .out_channels = row->channels,
                                   .kernel = { row->kernel },
                                   .stride = { row->stride },
                                   .pad = { row->pad },
                                   .groups = row->groups,
                                   .weight_init = narrow,
                                   .bias_init = narrow_bias });
    if (row->has_pool)
        x = far_max_pool(graph, fari_path_of("%s.pool", row->name).text, x,
                         &(far_pool_opts){ .kernel = { 3 }, .stride = { 2 } });
    return far_relu(graph, fari_path_of("%s.relu", row->name).text, x);
}

static far_value hidden(far_graph *graph, const char *name, far_value x, double dropout)
{
    x = far_linear(graph, name, x,
                   &(far_linear_opts){ .out_features = 4096, .weight_init = narrower, .bias_init = wide_bias });
    x = far_relu(graph, fari_path_of("%s.relu", name).text, x);
    return far_dropout(graph, fari_path_of("%s.dropout", name).text, x, dropout);
}

static void alexnet_bn_build(far_graph *graph, const far_options *opts, far_value input, far_model_result *result)
{
    const double dropout = far_options_f64(opts, "dropout");
    const far_norm_opts norm = { .eps = far_options_f64(opts, "eps"),
                                 .momentum = far_options_f64(opts, "momentum"),
                                 .group_samples = far_options_i64(opts, "group_samples"),
                                 .no_affine = true };
    far_value x = input;
    if (!fari_check_ndim(graph, "alexnet_bn", input, 4, 0)) return;
    for (size_t i = 0; i < FARI_COUNT(convs); i++) x = conv(graph, &convs[i], &norm, x);
    x = far_flatten(graph, "flatten", x);
    x = hidden(graph, "fc6", x, dropout);
    x = hidden(graph, "fc7", x, dropout);
    result->logits[0] = far_linear(graph, "fc8", x,
                                   &(far_linear_opts){ .out_features = far_options_i64(opts, "classes"),
                                                       .weight_init = narrow,
                                                       .bias_init = narrow_bias });
    result->count = 1;
}

static const far_config_key alexnet_bn_options[] = {
    FARI_OPT_CLASSES("1000"), FARI_OPT_DROPOUT("0.5", "probability of dropping features after fc6 and fc7"),
    FARI_OPT_GROUP_SAMPLES,   FARI_OPT_MOMENTUM,
    FARI_OPT_EPS("1e-4"),
};

const fari_model fari_model_alexnet_bn = {
    .info = { .name = "alexnet_bn",
              .help = "AlexNet with batch norm in place of LRN, the large-batch network of the LARS papers",
              .input = { 4, { 1, 3, 227, 227 } },
              FARI_OPTIONS(alexnet_bn_options) },
    .build = alexnet_bn_build,
};
