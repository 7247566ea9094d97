/* U-Net (Ronneberger, Fischer and Brox, 2015) and 3D U-Net (Cicek et al., 2016) with same padding: two convolutions a level, skips
   concatenated. Images or volumes, by the input's axes. Convolutions have a bias only where no norm follows; initialisation is
   PyTorch's default. */
#include "models/blocks.h"
#include "models/model.h"
#include <farandole/conv.h>
#include <farandole/pool.h>
#include <farandole/shape.h>
#include <farandole/upsample.h>

#define DEPTH_MAX 10

typedef struct unet {
    far_graph *graph;
    fari_norm_style style;
    int64_t width, depth;
    bool is_transposed; /* on the way up */
} unet;

/* "<at>.conv<i>", "<at>.norm<i>" and the activation. */
static far_value conv_norm_act(const unet *net, const char *at, int i, far_value x, int64_t channels)
{
    const bool has_norm = net->style.kind != FARI_NORM_NONE;
    x = far_conv(net->graph, fari_path_of("%s.conv%d", at, i).text, x,
                 &(far_conv_opts){ .out_channels = channels, .kernel = { 3 }, .pad = { 1 }, .no_bias = has_norm });
    return fari_norm_act(net->graph, fari_path_of("%s.norm%d", at, i).text, x, &net->style, net->style.act, NULL);
}

static far_value pair(const unet *net, const char *at, far_value x, int64_t channels)
{
    return conv_norm_act(net, at, 2, conv_norm_act(net, at, 1, x, channels), channels);
}

static far_value up(const unet *net, const char *at, far_value x, far_value skip, int64_t channels)
{
    const fari_path name = fari_path_of("%s.upsample", at);
    if (net->is_transposed) {
        x = far_conv_transpose(
            net->graph, name.text, x,
            &(far_conv_transpose_opts){ .out_channels = channels, .kernel = { 2 }, .stride = { 2 } });
    } else {
        x = far_upsample(net->graph, fari_path_of("%s.linear", at).text, x,
                         &(far_upsample_opts){ .mode = FAR_UPSAMPLE_LINEAR, .scale = { 2 } });
        x = far_conv(net->graph, name.text, x, &(far_conv_opts){ .out_channels = channels, .kernel = { 1 } });
    }
    const far_value both[] = { skip, x };
    return pair(net, at, far_concat(net->graph, fari_path_of("%s.concat", at).text, 2, both, 1), channels);
}

static void unet_build_as(const char *model, far_graph *graph, const far_options *opts, far_value x,
                          far_model_result *result)
{
    const unet net = { .graph = graph,
                       .style = fari_norm_style_of(opts),
                       .width = far_options_i64(opts, "width"),
                       .depth = far_options_i64(opts, "depth"),
                       .is_transposed = far_options_enum(opts, "up") == 0 };
    far_value skips[DEPTH_MAX];
    if (!fari_check_halvings(graph, model, x, net.depth)) return;
    for (int64_t d = 0; d < net.depth; d++) {
        const fari_path at = fari_path_of("down.%d", (int)d);
        skips[d] = pair(&net, at.text, x, net.width << d);
        x = far_max_pool(graph, fari_path_of("%s.pool", at.text).text, skips[d], &(far_pool_opts){ .kernel = { 2 } });
    }
    x = pair(&net, "bottleneck", x, net.width << net.depth);
    x = far_dropout(graph, "bottleneck.dropout", x, far_options_f64(opts, "dropout"));
    for (int64_t d = net.depth; d-- > 0;) x = up(&net, fari_path_of("up.%d", (int)d).text, x, skips[d], net.width << d);
    result->logits[0] = far_conv(graph, "head", x,
                                 &(far_conv_opts){ .out_channels = far_options_i64(opts, "classes"), .kernel = { 1 } });
    result->count = 1;
}

static void unet_build(far_graph *graph, const far_options *opts, far_value input, far_model_result *result)
{
    if (fari_check_ndim(graph, "unet", input, 4, 5)) unet_build_as("unet", graph, opts, input, result);
}

static void unet3d_build(far_graph *graph, const far_options *opts, far_value input, far_model_result *result)
{
    if (fari_check_ndim(graph, "unet3d", input, 5, 0)) unet_build_as("unet3d", graph, opts, input, result);
}

#define UNET_OPTIONS(width_, depth_, norm_)                                                                         \
    FARI_OPT_CLASSES("2"), FARI_OPT_WIDTH(width_, "channels of the first level; each level doubles them"),          \
        FARI_OPT_INT("depth", depth_, 1, DEPTH_MAX, "halvings of the image; extents must be multiples of 2^depth"), \
        FARI_OPT_ENUM("up", "conv_transpose", "conv_transpose|linear",                                              \
                      "a transposed convolution, or linear interpolation and a 1x1 convolution"),                   \
        FARI_OPT_NORM(norm_), FARI_OPT_ACT("relu"),                                                                 \
        FARI_OPT_DROPOUT("0", "probability of dropping elements at the deepest level")

static const far_config_key unet_options[] = { UNET_OPTIONS("64", "4", "batch") };
static const far_config_key unet3d_options[] = { UNET_OPTIONS("16", "3", "group") };

const fari_model fari_model_unet = {
    .info = { .name = "unet",
              .help = "U-Net: labels every pixel of images of any size",
              .input = { 4, { 1, 1, 512, 512 } },
              FARI_OPTIONS(unet_options) },
    .build = unet_build,
};

const fari_model fari_model_unet3d = {
    .info = { .name = "unet3d",
              .help = "3D U-Net: labels every voxel of volumes, with group norm",
              .input = { 5, { 1, 1, 64, 64, 64 } },
              FARI_OPTIONS(unet3d_options) },
    .build = unet3d_build,
};
