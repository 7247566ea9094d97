#include "random_graph.h"
#include "graph/graph.h"
#include "graph/recompute.h"
#include "test.h"
#include <farandole/activation.h>
#include <farandole/conv.h>
#include <farandole/elementwise.h>
#include <farandole/linear.h>
#include <farandole/loss.h>
#include <farandole/norm.h>
#include <farandole/optim.h>
#include <farandole/pool.h>
#include <farandole/shape.h>
#include <farandole/upsample.h>

int64_t roll(dice *d, int64_t lo, int64_t hi)
{
    return lo + (int64_t)fari_rng_below(d->key, d->draws++, (uint64_t)(hi - lo + 1));
}

bool chance(dice *d, int64_t percent)
{
    return roll(d, 1, 100) <= percent;
}

#define IMAGES_MAX 24

typedef struct builder {
    far_graph *graph;
    dice *d;
    far_value image[IMAGES_MAX]; /* what later layers may take */
    int32_t count;
    char name[32];
} builder;

static const char *next_name(builder *b, const char *op)
{
    (void)snprintf(b->name, sizeof b->name, "%s%d", op, (int)b->count);
    return b->name;
}

static far_value add_conv(builder *b, far_value x)
{
    const int64_t kernel = 2 * roll(b->d, 0, 2) + 1, stride = chance(b->d, 20) ? 2 : 1;
    return far_conv(b->graph, next_name(b, "conv"), x,
                    &(far_conv_opts){ .out_channels = chance(b->d, 50) ? 8 : roll(b->d, 1, 11),
                                      .kernel = { kernel },
                                      .stride = { stride },
                                      .pad = { kernel / 2 },
                                      .no_bias = chance(b->d, 50) });
}

static far_value add_pool(builder *b, far_value x)
{
    const far_pool_opts opts = { .kernel = { roll(b->d, 2, 3) }, .stride = { roll(b->d, 1, 2) } };
    return chance(b->d, 50) ? far_max_pool(b->graph, next_name(b, "max"), x, &opts)
                            : far_avg_pool(b->graph, next_name(b, "avg"), x, &opts);
}

static far_value add_upsample(builder *b, far_value x)
{
    const far_upsample_opts opts = { .mode = chance(b->d, 60) ? FAR_UPSAMPLE_LINEAR : FAR_UPSAMPLE_NEAREST,
                                     .scale = { 2 } };
    if (chance(b->d, 40))
        return far_conv_transpose(
            b->graph, next_name(b, "up"), x,
            &(far_conv_transpose_opts){ .out_channels = roll(b->d, 1, 8), .kernel = { 2 }, .stride = { 2 } });
    return far_upsample(b->graph, next_name(b, "up"), x, &opts);
}

static far_value add_norm(builder *b, far_value x)
{
    const far_norm_opts opts = { .act = chance(b->d, 50) ? FAR_ACT_RELU : FAR_ACT_NONE };
    return chance(b->d, 70) ? far_batch_norm(b->graph, next_name(b, "bn"), x, &opts)
                            : far_instance_norm(b->graph, next_name(b, "in"), x, &opts);
}

/* Another image of the same samples and extents (and channels), or `x` itself. */
static far_value partner(builder *b, far_value x, bool same_channels)
{
    const far_shape want = far_graph_shape(b->graph, x);
    for (int32_t tries = 0; tries < 6; tries++) {
        const far_value y = b->image[roll(b->d, 0, b->count - 1)];
        const far_shape s = far_graph_shape(b->graph, y);
        if (s.dim[2] == want.dim[2] && s.dim[3] == want.dim[3] && (!same_channels || s.dim[1] == want.dim[1])) return y;
    }
    return x;
}

static far_value add_layer(builder *b)
{
    /* mostly the newest image, sometimes an old one: skip connections */
    const far_value x = b->image[chance(b->d, 70) ? b->count - 1 : roll(b->d, 0, b->count - 1)];
    const far_shape s = far_graph_shape(b->graph, x);
    const bool is_small = s.dim[2] < 6 || s.dim[3]<6, is_large = s.dim[2]> 24 || s.dim[3] > 24;
    switch (roll(b->d, 0, 6)) {
    case 0: return is_small ? add_conv(b, x) : add_pool(b, x);
    case 1: return is_large ? add_conv(b, x) : add_upsample(b, x);
    case 2: return far_add(b->graph, next_name(b, "add"), x, partner(b, x, true));
    case 3: {
        const far_value in[2] = { x, partner(b, x, false) };
        return far_concat(b->graph, next_name(b, "cat"), 2, in, 1);
    }
    case 4: return s.dim[0] * s.dim[2] * s.dim[3] > 1 ? add_norm(b, x) : add_conv(b, x);
    case 5:
        return chance(b->d, 70) ? far_relu(b->graph, next_name(b, "relu"), x)
                                : far_dropout(b->graph, next_name(b, "drop"), x, 0.3);
    default: return add_conv(b, x);
    }
}

static far_value add_loss(builder *b, int64_t batch)
{
    const far_value x = b->image[b->count - 1];
    const far_shape s = far_graph_shape(b->graph, x);
    if (chance(b->d, 40)) { /* a label for each pixel */
        const far_shape map = { 4, { batch, 1, s.dim[2], s.dim[3] } };
        const far_value logits = far_conv(b->graph, "head", x, &(far_conv_opts){ .out_channels = 3, .kernel = { 1 } });
        return far_cross_entropy(b->graph, "loss", logits, far_graph_input(b->graph, "label", FAR_I32, &map), NULL);
    }
    const far_shape label = { 1, { batch } };
    const far_value flat =
        chance(b->d, 50) ? far_global_avg_pool(b->graph, "gap", x) : far_flatten(b->graph, "flat", x);
    const far_value hidden = far_linear(b->graph, "fc1", flat, &(far_linear_opts){ .out_features = roll(b->d, 2, 20) });
    const far_value logits =
        far_linear(b->graph, "fc2", far_relu(b->graph, "fc_relu", hidden), &(far_linear_opts){ .out_features = 4 });
    return far_cross_entropy(b->graph, "loss", logits, far_graph_input(b->graph, "label", FAR_I32, &label), NULL);
}

static const far_optim_opts optims[] = {
    { .name = "sgd", .momentum = 0.9 },
    { .name = "adam", .clip_norm = 1.0 },
    { .name = "lamb" },
    { .name = "lars", .ema_decay = 0.9 },
    { .name = "rmsprop", .centered = true, .clip_value = 1.0 },
};

far_graph *random_graph(dice *d)
{
    return random_graph_as(d, true);
}

far_graph *random_graph_as(dice *d, bool is_recomputing)
{
    far_graph *graph = NULL;
    const int64_t batch = roll(d, 1, 6);
    const far_shape image = { 4, { batch, roll(d, 1, 4), roll(d, 6, 24), roll(d, 6, 20) } };
    FAR_CHECK_OK(far_graph_create(!chance(d, 10), &graph));
    builder b = { .graph = graph, .d = d };
    b.image[b.count++] = far_graph_input(graph, "image", FAR_F32, &image);
    for (int64_t layers = roll(d, 1, 14); layers > 0; layers--) {
        const far_value y = add_layer(&b);
        FAR_CHECK_OK(far_graph_status(graph));
        b.image[b.count++] = y;
    }
    const far_value loss = add_loss(&b, batch);
    if (chance(d, 50)) far_graph_output(graph, "some", b.image[roll(d, 0, b.count - 1)]);
    FAR_CHECK_OK(far_graph_status(graph));
    if (!far_graph_is_training(graph)) return graph;
    FAR_CHECK_OK(far_graph_backward(graph, loss));
    const fari_recompute_mode mode = graph->node_count % 2 == 0 ? FARI_RECOMPUTE_MOST : FARI_RECOMPUTE_ALL;
    if (is_recomputing) FAR_CHECK_OK(fari_graph_recompute(graph, mode, NULL));
    FAR_CHECK_OK(far_optim_apply(graph, &optims[roll(d, 0, FAR_COUNT(optims) - 1)]));
    return graph;
}

fari_grain_config random_grain(dice *d)
{
    return (fari_grain_config){ .samples = chance(d, 50) ? roll(d, 1, 4) : 0,
                                .rows = chance(d, 60) ? roll(d, 2, 12) : 0,
                                .min_rows = chance(d, 50) ? roll(d, 1, 4) : 0,
                                .dense = chance(d, 50) ? roll(d, 1, 5) : 0,
                                .leaves = chance(d, 30) ? roll(d, 1, 7) : 0 };
}
