/* Resampling: kernels in pieces against the definition, whole graphs, values of PyTorch's formulas, errors. */
#include "base/rng.h"
#include "op_check.h"
#include "ops/upsample.h"
#include "piece_check.h"
#include "test.h"
#include <farandole/upsample.h>

typedef struct up_case {
    const char *name;
    far_shape x;
    far_upsample_opts opts;
} up_case;

static const up_case cases[] = {
    { "nearest x2", { 4, { 2, 8, 5, 6 } }, { .scale = { 2 } } },
    { "nearest x3, x1", { 4, { 2, 5, 4, 3 } }, { .scale = { 3, 1 } } },
    { "nearest to 7x9", { 4, { 1, 17, 5, 4 } }, { .out_extent = { 7, 9 } } },
    { "nearest shrinks", { 4, { 1, 12, 9, 11 } }, { .out_extent = { 4, 3 } } },
    { "nearest 1-D", { 3, { 2, 3, 9 } }, { .scale = { 2 } } },
    { "nearest 3-D", { 5, { 1, 9, 3, 4, 2 } }, { .scale = { 2 } } },
    { "bilinear x2", { 4, { 2, 8, 6, 5 } }, { .mode = FAR_UPSAMPLE_LINEAR, .scale = { 2 } } },
    { "bilinear x2, 24 channels", { 4, { 1, 24, 7, 4 } }, { .mode = FAR_UPSAMPLE_LINEAR, .scale = { 2 } } },
    { "bilinear x2 aligned",
      { 4, { 1, 21, 6, 5 } },
      { .mode = FAR_UPSAMPLE_LINEAR, .scale = { 2 }, .align_corners = true } },
    { "bilinear x4, x3", { 4, { 1, 4, 5, 3 } }, { .mode = FAR_UPSAMPLE_LINEAR, .scale = { 4, 3 } } },
    { "bilinear to 13x7", { 4, { 2, 6, 5, 4 } }, { .mode = FAR_UPSAMPLE_LINEAR, .out_extent = { 13, 7 } } },
    { "bilinear shrinks", { 4, { 1, 10, 17, 19 } }, { .mode = FAR_UPSAMPLE_LINEAR, .out_extent = { 5, 4 } } },
    { "aligned shrinks",
      { 4, { 1, 3, 17, 19 } },
      { .mode = FAR_UPSAMPLE_LINEAR, .out_extent = { 5, 1 }, .align_corners = true } },
    { "one pixel grows", { 4, { 2, 33, 1, 1 } }, { .mode = FAR_UPSAMPLE_LINEAR, .out_extent = { 6, 5 } } },
    { "one pixel grows aligned",
      { 4, { 2, 3, 1, 1 } },
      { .mode = FAR_UPSAMPLE_LINEAR, .out_extent = { 6, 5 }, .align_corners = true } },
    { "linear 1-D", { 3, { 2, 6, 11 } }, { .mode = FAR_UPSAMPLE_LINEAR, .scale = { 2 } } },
    { "linear 1-D to 25", { 3, { 1, 1, 11 } }, { .mode = FAR_UPSAMPLE_LINEAR, .out_extent = { 25 } } },
    { "trilinear x2", { 5, { 2, 8, 3, 4, 5 } }, { .mode = FAR_UPSAMPLE_LINEAR, .scale = { 2 } } },
    { "trilinear to 5x7x3", { 5, { 1, 5, 4, 3, 5 } }, { .mode = FAR_UPSAMPLE_LINEAR, .out_extent = { 5, 7, 3 } } },
    { "trilinear aligned",
      { 5, { 1, 2, 4, 3, 2 } },
      { .mode = FAR_UPSAMPLE_LINEAR, .out_extent = { 9, 4, 5 }, .align_corners = true } },
};

static far_value build(far_graph *graph, const void *arg)
{
    const up_case *c = arg;
    return far_upsample(graph, "up", far_graph_input(graph, "x", FAR_F32, &c->x), &c->opts);
}

FAR_TEST(upsample_kernels_in_pieces)
{
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        far_graph *graph = NULL;
        FAR_CHECK_OK(far_graph_create(true, &graph));
        (void)build(graph, &cases[i]);
        FAR_CHECK_OK(far_graph_status(graph));
        piece_add_gradients(graph);
        piece_add_gradients(graph); /* of upsample_dx, too */
        for (uint64_t seed = 0; seed < 4; seed++) piece_check(cases[i].name, graph, seed, false, 1e-6);
        far_graph_destroy(graph);
    }
}

/* Images of 2 MiB and more are written past the caches, where pixels allow it. */
FAR_TEST(upsample_kernels_for_large_images)
{
    static const up_case large[] = {
        { "large 8 channels", { 4, { 1, 8, 129, 128 } }, { .mode = FAR_UPSAMPLE_LINEAR, .scale = { 2 } } },
        { "large 32 channels", { 4, { 1, 32, 65, 64 } }, { .mode = FAR_UPSAMPLE_LINEAR, .scale = { 2 } } },
        { "large 24 channels", { 4, { 1, 24, 65, 90 } }, { .mode = FAR_UPSAMPLE_LINEAR, .scale = { 2 } } },
    };
    for (size_t i = 0; i < FAR_COUNT(large); i++) {
        far_graph *graph = NULL;
        FAR_CHECK_OK(far_graph_create(true, &graph));
        (void)build(graph, &large[i]);
        FAR_CHECK_OK(far_graph_status(graph));
        piece_add_gradients(graph);
        piece_check(large[i].name, graph, i, false, 1e-6);
        far_graph_destroy(graph);
    }
}

FAR_TEST(upsample_random_geometries_in_pieces)
{
    for (uint64_t seed = 0; seed < 150; seed++) {
        const uint64_t key = fari_rng_key(seed, 1002, 0, 0);
        uint64_t draws = 0;
        char label[32];
        far_graph *graph = NULL;
        up_case c = { .name = label };
        (void)snprintf(label, sizeof label, "random %d", (int)seed);
        c.x.ndim = 3 + (int32_t)fari_rng_below(key, draws++, 3);
        c.x.dim[0] = 1 + (int64_t)fari_rng_below(key, draws++, 2);
        c.x.dim[1] = 1 + (int64_t)fari_rng_below(key, draws++, 20);
        c.opts.mode = fari_rng_below(key, draws++, 3) == 0 ? FAR_UPSAMPLE_NEAREST : FAR_UPSAMPLE_LINEAR;
        c.opts.align_corners = c.opts.mode == FAR_UPSAMPLE_LINEAR && fari_rng_below(key, draws++, 2) == 0;
        for (int32_t d = 0; d < c.x.ndim - 2; d++) {
            c.x.dim[d + 2] = 1 + (int64_t)fari_rng_below(key, draws++, 7);
            c.opts.out_extent[d] = 1 + (int64_t)fari_rng_below(key, draws++, 11);
        }
        FAR_CHECK_OK(far_graph_create(true, &graph));
        (void)build(graph, &c);
        FAR_CHECK_OK(far_graph_status(graph));
        piece_add_gradients(graph);
        piece_check(label, graph, seed, false, 1e-6);
        far_graph_destroy(graph);
    }
}

FAR_TEST(upsample_through_the_machine)
{
    for (size_t i = 0; i < FAR_COUNT(cases); i++) op_check(cases[i].name, build, &cases[i]);
}

/* What torch.nn.functional.interpolate gives for 1, 2, 4, worked out by its formulas in exact fractions. */
FAR_TEST(upsample_has_the_values_of_pytorch)
{
    static const struct {
        far_upsample_opts opts;
        int64_t count;
        double want[7];
    } expect[] = {
        { { .scale = { 2 } }, 6, { 1, 1, 2, 2, 4, 4 } },
        { { .out_extent = { 5 } }, 5, { 1, 1, 2, 2, 4 } }, /* floor(3 o / 5) = 0 0 1 1 2 */
        { { .out_extent = { 2 } }, 2, { 1, 2 } },
        { { .mode = FAR_UPSAMPLE_LINEAR, .scale = { 2 } }, 6, { 1, 1.25, 1.75, 2.5, 3.5, 4 } },
        { { .mode = FAR_UPSAMPLE_LINEAR, .out_extent = { 5 } },
          5,
          { 1, 1.4, 2, 3.2, 4 } }, /* 3 (o + 1/2) / 5 - 1/2 = -.2 .4 1 1.6 2.2 */
        { { .mode = FAR_UPSAMPLE_LINEAR, .out_extent = { 2 } }, 2, { 1.25, 3.5 } },
        { { .mode = FAR_UPSAMPLE_LINEAR, .out_extent = { 5 }, .align_corners = true }, 5, { 1, 1.5, 2, 3, 4 } },
        { { .mode = FAR_UPSAMPLE_LINEAR, .out_extent = { 1 }, .align_corners = true }, 1, { 1 } },
    };
    const far_shape shape = { 3, { 1, 1, 3 } };
    for (size_t i = 0; i < FAR_COUNT(expect); i++) {
        double x[3] = { 1, 2, 4 }, y[7];
        far_graph *graph = NULL;
        FAR_CHECK_OK(far_graph_create(false, &graph));
        const far_value in = far_graph_input(graph, "x", FAR_F32, &shape);
        const far_value out = far_upsample(graph, "up", in, &expect[i].opts);
        FAR_CHECK_EQ_I64(far_graph_shape(graph, out).dim[2], expect[i].count);
        fari_call call = { .attr = graph->nodes[0]->attr, .in_count = 1, .out_count = 1 };
        call.in[0] = (fari_view){ x, FAR_F64, FARI_CHANNELS_LAST, 3, { 1, 1, 3 }, 0, 3, 0, 0 };
        call.out[0] =
            (fari_view){ y, FAR_F64, FARI_CHANNELS_LAST, 3, { 1, 1, expect[i].count }, 0, expect[i].count, 0, 0 };
        FAR_CHECK_OK(fari_upsample_reference(&call));
        for (int64_t k = 0; k < expect[i].count; k++) FAR_CHECK_NEAR(y[k], expect[i].want[k], 1e-15);
        far_graph_destroy(graph);
    }
}

FAR_TEST(upsample_words_its_errors)
{
    static const struct {
        far_shape x;
        far_upsample_opts opts;
        far_status status;
        const char *part;
    } wrong[] = {
        { { 4, { 1, 2, 3, 8 } }, { .mode = FAR_UPSAMPLE_NEAREST }, FAR_E_ARG, "give either scale or out_extent" },
        { { 4, { 1, 2, 3, 8 } },
          { .scale = { 2 }, .out_extent = { 4 } },
          FAR_E_ARG,
          "give either scale or out_extent" },
        { { 4, { 1, 2, 3, 8 } }, { .scale = { 2, -1 } }, FAR_E_ARG, "upsample 'u': scale of axis 1 is -1" },
        { { 4, { 1, 2, 3, 8 } }, { .out_extent = { 2, 2, 2 } }, FAR_E_ARG, "0 for axes the input lacks" },
        { { 4, { 1, 2, 3, 8 } },
          { .scale = { 2 }, .align_corners = true },
          FAR_E_ARG,
          "align_corners needs mode linear" },
        { { 2, { 3, 8 } }, { .scale = { 2 } }, FAR_E_SHAPE, "one to three spatial axes, it has 0" },
    };
    for (size_t i = 0; i < FAR_COUNT(wrong); i++) {
        far_graph *graph = NULL;
        FAR_CHECK_OK(far_graph_create(true, &graph));
        const far_value x = far_graph_input(graph, "x", FAR_F32, &wrong[i].x);
        FAR_CHECK_EQ_I64(far_upsample(graph, "u", x, &wrong[i].opts), FAR_NO_VALUE);
        FAR_CHECK_STATUS(far_graph_status(graph), wrong[i].status);
        FAR_CHECK_HAS(far_error_message(), wrong[i].part);
        far_graph_destroy(graph);
    }
}
