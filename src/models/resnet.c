/* ResNets (He et al., 2015), in torchvision's form: bottlenecks carry the stride in the 3x3 convolution (v1.5).
   Initialisation: He normal by fan_out, norms 1 and 0, the last layer as torch.nn.Linear. */
#include "models/blocks.h"
#include "models/model.h"
#include <farandole/conv.h>
#include <farandole/linear.h>
#include <farandole/pool.h>

typedef struct resnet {
    far_graph *graph;
    fari_norm_style style;
    bool has_bottlenecks;
    double last_gamma; /* of a block's last norm */
} resnet;

static far_value conv(const resnet *net, const char *name, far_value x, int64_t channels, int64_t kernel,
                      int64_t stride)
{
    return far_conv(net->graph, name, x,
                    &(far_conv_opts){ .out_channels = channels,
                                      .kernel = { kernel },
                                      .stride = { stride },
                                      .pad = { kernel / 2 },
                                      .no_bias = net->style.kind != FARI_NORM_NONE,
                                      .weight_init = { .kind = FAR_INIT_HE_NORMAL },
                                      .bias_init = { .kind = FAR_INIT_CONST } });
}

/* "<at>.conv<i>", "<at>.bn<i>" and the activation. */
static far_value conv_norm_act(const resnet *net, const char *at, int i, far_value x, int64_t channels, int64_t kernel,
                               int64_t stride)
{
    x = conv(net, fari_path_of("%s.conv%d", at, i).text, x, channels, kernel, stride);
    return fari_norm_act(net->graph, fari_path_of("%s.bn%d", at, i).text, x, &net->style, net->style.act, NULL);
}

/* The identity, or a 1x1 convolution and a norm where stride or channels change. */
static far_value shortcut(const resnet *net, const char *at, far_value x, int64_t channels, int64_t stride)
{
    if (stride == 1 && far_graph_shape(net->graph, x).dim[1] == channels) return x;
    x = conv(net, fari_path_of("%s.downsample.0", at).text, x, channels, 1, stride);
    return fari_norm_act(net->graph, fari_path_of("%s.downsample.1", at).text, x, &net->style, FAR_ACT_NONE, NULL);
}

/* The last norm takes the shortcut in: norm, addition and activation are one pass. Its parameters are declared before those of the
   shortcut, for torchvision's order. */
static far_value block(const resnet *net, const char *at, far_value x, int64_t width, int64_t stride)
{
    const int last = net->has_bottlenecks ? 3 : 2;
    const int64_t channels = net->has_bottlenecks ? 4 * width : width;
    const fari_path last_norm = fari_path_of("%s.bn%d", at, last);
    far_value y;
    if (net->has_bottlenecks) {
        y = conv_norm_act(net, at, 1, x, width, 1, 1);
        y = conv_norm_act(net, at, 2, y, width, 3, stride);
        y = conv(net, fari_path_of("%s.conv3", at).text, y, channels, 1, 1);
    } else {
        y = conv_norm_act(net, at, 1, x, width, 3, stride);
        y = conv(net, fari_path_of("%s.conv2", at).text, y, channels, 3, 1);
    }
    fari_norm_declare(net->graph, last_norm.text, channels, &net->style, net->last_gamma);
    const far_value residual = shortcut(net, at, x, channels, stride);
    return fari_norm_act(net->graph, last_norm.text, y, &net->style, net->style.act, &residual);
}

static far_value stem(const resnet *net, const far_options *opts, far_value x, int64_t width)
{
    const bool is_small = far_options_enum(opts, "stem") == 1;
    x = conv(net, "conv1", x, width, is_small ? 3 : 7, is_small ? 1 : 2);
    x = fari_norm_act(net->graph, "bn1", x, &net->style, net->style.act, NULL);
    if (is_small) return x;
    return far_max_pool(net->graph, "maxpool", x, &(far_pool_opts){ .kernel = { 3 }, .stride = { 2 }, .pad = { 1 } });
}

static void resnet_build(far_graph *graph, const far_options *opts, far_value input, far_model_result *result)
{
    const int64_t width = far_options_i64(opts, "width"), levels = far_options_list_count(opts, "blocks");
    const resnet net = { .graph = graph,
                         .style = fari_norm_style_of(opts),
                         .has_bottlenecks = far_options_enum(opts, "block") == 1,
                         .last_gamma = far_options_bool(opts, "zero_gamma") ? 0.0 : 1.0 };
    if (!fari_check_ndim(graph, "resnet", input, 4, 5)) return;
    far_value x = stem(&net, opts, input, width);
    for (int64_t level = 0; level < levels; level++)
        for (int64_t i = 0; i < far_options_list_i64(opts, "blocks", level); i++) {
            const fari_path at = fari_path_of("layer%d.%d", (int)level + 1, (int)i);
            x = block(&net, at.text, x, width << level, level > 0 && i == 0 ? 2 : 1);
        }
    x = far_global_avg_pool(graph, "avgpool", x);
    x = far_dropout(graph, "dropout", x, far_options_f64(opts, "dropout"));
    result->logits[0] =
        far_linear(graph, "fc", x, &(far_linear_opts){ .out_features = far_options_i64(opts, "classes") });
    result->count = 1;
}

static const far_config_key resnet_options[] = {
    FARI_OPT_CLASSES("1000"),
    FARI_OPT_ENUM("block", "bottleneck", "basic|bottleneck",
                  "two 3x3 convolutions a block, or 1x1, 3x3, 1x1 with 4 times the channels"),
    FARI_OPT_INTS("blocks", "3,4,6,3", 1, 1000, "blocks at each level; every level after the first halves the image"),
    FARI_OPT_WIDTH("64", "channels of the first level; each level doubles them"),
    FARI_OPT_ENUM("stem", "imagenet", "imagenet|small",
                  "7x7 with stride 2 and a pool, or 3x3 for images of some 32 pixels"),
    FARI_OPT_NORM("batch"),
    FARI_OPT_ACT("relu"),
    FARI_OPT_DROPOUT("0", "probability of dropping features before the last layer"),
    FARI_OPT_BOOL("zero_gamma", "no",
                  "start the last norm of each block at 0, so that blocks begin as the identity (Goyal et al., 2017)"),
};

static const far_model_preset resnet_presets[] = {
    { .name = "resnet50", .settings = "", .help = "25,557,032 parameters (v1.5)" },
    { .name = "resnet18", .settings = "block=basic blocks=2,2,2,2", .help = "11,689,512 parameters" },
    { .name = "resnet34", .settings = "block=basic blocks=3,4,6,3", .help = "21,797,672 parameters" },
    { .name = "resnet101", .settings = "blocks=3,4,23,3", .help = "44,549,160 parameters" },
    { .name = "resnet152", .settings = "blocks=3,8,36,3", .help = "60,192,808 parameters" },
};

const fari_model fari_model_resnet = {
    .info = { .name = "resnet",
              .help = "Residual networks for classification, as torchvision has them",
              .input = { 4, { 1, 3, 224, 224 } },
              FARI_OPTIONS(resnet_options),
              FARI_PRESETS(resnet_presets) },
    .build = resnet_build,
};
