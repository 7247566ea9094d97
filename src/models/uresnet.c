/* UResNet, the network of CosmicTagger (Acciarri, Adams et al., Frontiers in AI 4:649917, 2021), after its PyTorch form.
   The input's channels are image planes. Every layer is shared by the planes and called once per plane; only at the deepest level
   are the planes concatenated on channels, mixed and split again. A plane goes down, and up, before the next one does: batch norm
   takes its statistics per plane, and its running averages move once per plane, in plane order.
   Initialisation: Xavier uniform weights, zero biases, norms 1 and 0; with init=dirac the convolutions of blocks start near the identity, so that
   a deep network without residual blocks begins as one with them does. */
#include "models/blocks.h"
#include "models/model.h"
#include <farandole/conv.h>
#include <farandole/elementwise.h>
#include <farandole/extend.h>
#include <farandole/pool.h>
#include <farandole/shape.h>
#include <farandole/upsample.h>
#include <inttypes.h>

#define DEPTH_MAX 12

enum { JOIN_SUM, JOIN_CONCAT, JOIN_NONE }; /* in the order of the options' values */
enum { DOWN_MAX_POOL, DOWN_CONV };
enum { UP_BILINEAR, UP_CONV_TRANSPOSE };

typedef struct uresnet {
    far_graph *graph;
    fari_norm_style style;
    int32_t planes;
    int64_t depth, blocks, blocks_deep, blocks_final, bottleneck, kernel_deep, classes;
    int64_t channels[DEPTH_MAX + 1]; /* of each level */
    bool is_residual;
    int32_t join, down, up;
    far_init block_init; /* of the weights of blocks */
} uresnet;

static const far_init xavier = { .kind = FAR_INIT_XAVIER_UNIFORM };

/* A convolution that keeps the extents. */
static far_value conv(const uresnet *net, const char *name, far_value x, int64_t channels, int64_t kernel,
                      far_init init)
{
    return far_conv(net->graph, name, x,
                    &(far_conv_opts){ .out_channels = channels,
                                      .kernel = { kernel },
                                      .pad = { kernel / 2 },
                                      .weight_init = init,
                                      .bias_init = { .kind = FAR_INIT_CONST } });
}

/* The end of a unit: "<at>.bn" and the activation. */
static far_value unit_end(const uresnet *net, const char *at, far_value x)
{
    return fari_norm_act(net->graph, fari_path_of("%s.bn", at).text, x, &net->style, net->style.act, NULL);
}

static far_value unit(const uresnet *net, const char *at, far_value x, int64_t channels, int64_t kernel)
{
    return unit_end(net, at, conv(net, fari_path_of("%s.conv", at).text, x, channels, kernel, xavier));
}

/* One convolution, or two and the addition of the block's input; channels stay. */
static far_value block(const uresnet *net, const char *at, far_value x, int64_t kernel)
{
    const int64_t channels = far_graph_shape(net->graph, x).dim[1];
    far_value y = conv(net, fari_path_of("%s.conv1", at).text, x, channels, kernel, net->block_init);
    y = fari_norm_act(net->graph, fari_path_of("%s.bn1", at).text, y, &net->style, net->style.act, NULL);
    if (!net->is_residual) return y;
    y = conv(net, fari_path_of("%s.conv2", at).text, y, channels, kernel, net->block_init);
    return fari_norm_act(net->graph, fari_path_of("%s.bn2", at).text, y, &net->style, net->style.act, &x);
}

/* "<at>.block.0", "<at>.block.1"... */
static far_value stack(const uresnet *net, const char *at, far_value x, int64_t kernel, int64_t count)
{
    for (int64_t i = 0; i < count; i++) x = block(net, fari_path_of("%s.block.%d", at, (int)i).text, x, kernel);
    return x;
}

static far_value downsample(const uresnet *net, const char *at, far_value x, int64_t channels)
{
    const fari_path conv_name = fari_path_of("%s.conv", at);
    if (net->down == DOWN_MAX_POOL)
        return unit(net, at,
                    far_max_pool(net->graph, fari_path_of("%s.pool", at).text, x, &(far_pool_opts){ .kernel = { 2 } }),
                    channels, 1);
    return unit_end(net, at,
                    far_conv(net->graph, conv_name.text, x,
                             &(far_conv_opts){ .out_channels = channels,
                                               .kernel = { 2 },
                                               .stride = { 2 },
                                               .weight_init = xavier,
                                               .bias_init = { .kind = FAR_INIT_CONST } }));
}

static far_value upsample(const uresnet *net, const char *at, far_value x, int64_t channels)
{
    const fari_path conv_name = fari_path_of("%s.conv", at);
    if (net->up == UP_BILINEAR)
        return unit(net, at,
                    far_upsample(net->graph, fari_path_of("%s.bilinear", at).text, x,
                                 &(far_upsample_opts){ .mode = FAR_UPSAMPLE_LINEAR, .scale = { 2 } }),
                    channels, 1);
    return unit_end(net, at,
                    far_conv_transpose(net->graph, conv_name.text, x,
                                       &(far_conv_transpose_opts){ .out_channels = channels,
                                                                   .kernel = { 2 },
                                                                   .stride = { 2 },
                                                                   .weight_init = xavier,
                                                                   .bias_init = { .kind = FAR_INIT_CONST } }));
}

static far_value join(const uresnet *net, const char *at, far_value x, far_value skip, int64_t channels)
{
    const far_value both[] = { skip, x };
    const fari_path name = fari_path_of("%s.join", at);
    if (net->join == JOIN_NONE) return x;
    if (net->join == JOIN_SUM) return far_add(net->graph, name.text, x, skip);
    return unit(net, name.text, far_concat(net->graph, fari_path_of("%s.concat", at).text, 2, both, 1), channels, 1);
}

/* One plane from the input to the deepest level; skips[d] is the input of level d. */
static far_value encode(const uresnet *net, far_value x, far_value skips[DEPTH_MAX])
{
    x = unit(net, "stem", x, net->channels[0], 5);
    for (int64_t d = 0; d < net->depth; d++) {
        skips[d] = x;
        x = stack(net, fari_path_of("down.%d", (int)d).text, x, 3, net->blocks);
        x = downsample(net, fari_path_of("down.%d.downsample", (int)d).text, x, net->channels[d + 1]);
    }
    return x;
}

/* Mixes the planes at the deepest level. */
static void mix(const uresnet *net, far_value *planes)
{
    const int64_t channels = net->channels[net->depth];
    int64_t sizes[FAR_LOGITS_MAX];
    for (int32_t p = 0; p < net->planes; p++) sizes[p] = channels;
    far_value x = far_concat(net->graph, "bottleneck.concat", net->planes, planes, 1);
    x = unit(net, "bottleneck.reduce", x, net->bottleneck, 1);
    x = stack(net, "bottleneck", x, net->kernel_deep, net->blocks_deep);
    x = unit(net, "bottleneck.expand", x, net->planes * channels, 1);
    far_split_axis(net->graph, "bottleneck.split", x, 1, net->planes, sizes, planes);
}

static far_value decode(const uresnet *net, far_value x, const far_value skips[DEPTH_MAX])
{
    for (int64_t d = net->depth; d-- > 0;) {
        const fari_path at = fari_path_of("up.%d", (int)d);
        x = upsample(net, fari_path_of("%s.upsample", at.text).text, x, net->channels[d]);
        x = join(net, at.text, x, skips[d], net->channels[d]);
        x = stack(net, at.text, x, 3, net->blocks);
    }
    return conv(net, "head.conv", stack(net, "head", x, 3, net->blocks_final), net->classes, 1, xavier);
}

static uresnet uresnet_from(far_graph *graph, const far_options *opts, int32_t planes)
{
    const int64_t width = far_options_i64(opts, "width");
    const bool doubles = far_options_enum(opts, "growth") == 1;
    uresnet net = { .graph = graph,
                    .style = fari_norm_style_of(opts),
                    .planes = planes,
                    .depth = far_options_i64(opts, "depth"),
                    .blocks = far_options_i64(opts, "blocks"),
                    .blocks_deep = far_options_i64(opts, "blocks_deep"),
                    .blocks_final = far_options_i64(opts, "blocks_final"),
                    .bottleneck = far_options_i64(opts, "bottleneck"),
                    .kernel_deep = far_options_i64(opts, "kernel_deep"),
                    .classes = far_options_i64(opts, "classes"),
                    .is_residual = far_options_bool(opts, "residual"),
                    .join = far_options_enum(opts, "join"),
                    .down = far_options_enum(opts, "down"),
                    .up = far_options_enum(opts, "up"),
                    .block_init = xavier };
    if (far_options_enum(opts, "init") == 1)
        net.block_init = (far_init){ .kind = FAR_INIT_DIRAC, .value = far_options_f64(opts, "init_noise") };
    for (int64_t d = 0; d <= net.depth; d++) net.channels[d] = doubles ? width << d : width * (d + 1);
    return net;
}

static void uresnet_build(far_graph *graph, const far_options *opts, far_value input, far_model_result *result)
{
    far_value skips[FAR_LOGITS_MAX][DEPTH_MAX], planes[FAR_LOGITS_MAX];
    int64_t sizes[FAR_LOGITS_MAX];
    const int64_t depth = far_options_i64(opts, "depth");
    if (!fari_check_ndim(graph, "uresnet", input, 4, 0) || !fari_check_halvings(graph, "uresnet", input, depth)) return;
    const int64_t count = far_graph_shape(graph, input).dim[1];
    if (count > FAR_LOGITS_MAX) {
        (void)far_graph_fail(graph, FAR_E_SHAPE,
                             "uresnet takes every channel of its input for an image plane, at most %d; got %" PRId64,
                             FAR_LOGITS_MAX, count);
        return;
    }
    if (far_options_i64(opts, "kernel_deep") % 2 == 0) {
        (void)far_graph_fail_last(graph, far_options_fail(opts, "kernel_deep", "must be odd"));
        return;
    }
    const uresnet net = uresnet_from(graph, opts, (int32_t)count);
    for (int32_t p = 0; p < net.planes; p++) sizes[p] = 1;
    far_split_axis(graph, "plane", input, 1, net.planes, sizes, planes);
    for (int32_t p = 0; p < net.planes; p++) planes[p] = encode(&net, planes[p], skips[p]);
    mix(&net, planes);
    for (int32_t p = 0; p < net.planes; p++) result->logits[p] = decode(&net, planes[p], skips[p]);
    result->count = net.planes;
}

static const far_config_key uresnet_options[] = {
    FARI_OPT_CLASSES("3"),
    FARI_OPT_WIDTH("16", "channels of the first level"),
    FARI_OPT_INT("depth", "6", 1, DEPTH_MAX, "halvings of the image; extents must be multiples of 2^depth"),
    FARI_OPT_INT("blocks", "2", 0, 1000, "blocks of each level, on the way down and on the way up"),
    FARI_OPT_INT("blocks_deep", "5", 0, 1000, "blocks at the deepest level"),
    FARI_OPT_INT("blocks_final", "5", 0, 1000, "blocks before the last layer"),
    FARI_OPT_INT("bottleneck", "256", 1, 65536, "channels at the deepest level, where the planes are mixed"),
    FARI_OPT_INT("kernel_deep", "5", 1, 31, "kernel of the blocks at the deepest level, odd"),
    FARI_OPT_BOOL("residual", "yes", "blocks of two convolutions with their input added"),
    FARI_OPT_ENUM("join", "concat", "sum|concat|none", "how skip connections join"),
    FARI_OPT_ENUM("growth", "add", "add|multiply", "channels of level d: width (d + 1), or width 2^d"),
    FARI_OPT_ENUM("down", "max_pool", "max_pool|conv",
                  "2x2 maximum and a 1x1 convolution, or a 2x2 convolution with stride 2"),
    FARI_OPT_ENUM("up", "bilinear", "bilinear|conv_transpose",
                  "bilinear and a 1x1 convolution, or a 2x2 transposed convolution"),
    FARI_OPT_ENUM("init", "xavier", "xavier|dirac",
                  "how blocks start: at random, or giving on their input; dirac learns sooner without residual blocks"),
    FARI_OPT_FLOAT("init_noise", "0.25", 0, 100, "what dirac adds to that at random, in units of xavier"),
    FARI_OPT_NORM("batch"),
    FARI_OPT_ACT("leaky_relu"),
};

static const far_model_preset uresnet_presets[] = {
    { .name = "uresnet", .settings = "", .help = "CosmicTagger's default: 18,382,131 parameters" },
    { .name = "a21",
      .settings = "width=8 blocks_final=0 residual=no join=sum",
      .help = "The Aurora acceptance network: 8,510,547 parameters",
      .input = { 4, { 1, 3, 640, 1024 } } },
    { .name = "scc21", .settings = "norm=none", .help = "uresnet without normalisation: 18,367,891 parameters" },
    { .name = "polaris",
      .settings = "depth=7 blocks_deep=2 bottleneck=96 blocks_final=2 residual=no join=sum",
      .help = "Deeper and lighter: 1,926,403 parameters" },
    { .name = "stream",
      .settings = "width=4 blocks=1 blocks_deep=1 blocks_final=0 bottleneck=32 kernel_deep=3 residual=no join=sum",
      .help = "For images larger than memory, one 3x3 block a level each way: 42,283 parameters of one plane",
      .input = { 4, { 1, 1, 1024, 1024 } } },
};

const fari_model fari_model_uresnet = {
    .info = { .name = "uresnet",
              .help = "CosmicTagger's UResNet: labels every pixel of several planes of a particle detector at once",
              .input = { 4, { 1, 3, 1280, 2048 } },
              FARI_OPTIONS(uresnet_options),
              FARI_PRESETS(uresnet_presets) },
    .build = uresnet_build,
};
