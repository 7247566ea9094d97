/* LeNet-5 (LeCun et al., 1998) as it is taught today: ReLU and max-pooling. 61,706 parameters for 1 x 28 x 28 and 10 classes. */
#include "models/blocks.h"
#include "models/model.h"
#include <farandole/conv.h>
#include <farandole/linear.h>
#include <farandole/pool.h>
#include <farandole/shape.h>

static far_value act(far_graph *graph, const far_options *opts, const char *name, far_value x)
{
    return far_activation(graph, name, x, fari_act_of(opts, "act"), far_options_f64(opts, "slope"));
}

/* A maximum and a ReLU change places without changing a number: what is largest stays so, and where nothing is above 0 no gradient
   passes either way. After the pool there are a quarter of the pixels. */
static far_value act_and_pool(far_graph *graph, const far_options *opts, const char *act_name, const char *pool_name,
                              far_value x)
{
    const far_pool_opts half = { .kernel = { 2 } };
    if (fari_act_of(opts, "act") == FAR_ACT_RELU)
        return act(graph, opts, act_name, far_max_pool(graph, pool_name, x, &half));
    return far_max_pool(graph, pool_name, act(graph, opts, act_name, x), &half);
}

static void lenet5_build(far_graph *graph, const far_options *opts, far_value input, far_model_result *result)
{
    if (!fari_check_ndim(graph, "lenet5", input, 4, 0)) return;
    far_value x = far_conv(graph, "conv1", input, &(far_conv_opts){ .out_channels = 6, .kernel = { 5 }, .pad = { 2 } });
    x = act_and_pool(graph, opts, "conv1.act", "pool1", x);
    x = far_conv(graph, "conv2", x, &(far_conv_opts){ .out_channels = 16, .kernel = { 5 } });
    x = act_and_pool(graph, opts, "conv2.act", "pool2", x);
    x = far_flatten(graph, "flatten", x);
    x = act(graph, opts, "fc1.act", far_linear(graph, "fc1", x, &(far_linear_opts){ .out_features = 120 }));
    x = act(graph, opts, "fc2.act", far_linear(graph, "fc2", x, &(far_linear_opts){ .out_features = 84 }));
    x = far_dropout(graph, "dropout", x, far_options_f64(opts, "dropout"));
    result->logits[0] =
        far_linear(graph, "fc3", x, &(far_linear_opts){ .out_features = far_options_i64(opts, "classes") });
    result->count = 1;
}

static const far_config_key lenet5_options[] = {
    FARI_OPT_CLASSES("10"),
    FARI_OPT_ACT("relu"),
    FARI_OPT_DROPOUT("0", "probability of dropping features before the last layer"),
};

const fari_model fari_model_lenet5 = {
    .info = { .name = "lenet5",
              .help = "LeNet-5: two convolutions and three linear layers, for small grey images such as MNIST",
              .input = { 4, { 1, 1, 28, 28 } },
              FARI_OPTIONS(lenet5_options) },
    .build = lenet5_build,
};
