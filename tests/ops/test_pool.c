/* Pooling: kernels in pieces against the definition, whole graphs, fixed values, errors. */
#include "base/rng.h"
#include "op_check.h"
#include "ops/pool.h"
#include "piece_check.h"
#include "test.h"
#include <farandole/pool.h>

typedef enum pool_kind { MAX, AVG, AVG_EXCLUDE, ADAPTIVE_MAX, ADAPTIVE_AVG, GLOBAL_AVG, GLOBAL_MAX } pool_kind;

typedef struct pool_case {
    const char *name;
    pool_kind kind;
    far_shape x;
    int64_t kernel[3], stride[3], dilation[3], pad[3]; /* adaptive: kernel is the output's extents */
    bool ceil_mode;
} pool_case;

static const pool_case cases[] = {
    { "2x2", MAX, { 4, { 3, 8, 8, 10 } }, { 2 }, { 0 }, { 0 }, { 0 }, false },
    { "2x2 odd", MAX, { 4, { 2, 24, 7, 9 } }, { 2 }, { 0 }, { 0 }, { 0 }, false },
    { "2x2 ceil", MAX, { 4, { 2, 5, 7, 9 } }, { 2 }, { 0 }, { 0 }, { 0 }, true },
    { "2x2 of six channels", MAX, { 4, { 3, 6, 8, 10 } }, { 2 }, { 0 }, { 0 }, { 0 }, false },
    { "2x2 of six channels, wide", MAX, { 4, { 1, 6, 8, 205 } }, { 2 }, { 0 }, { 0 }, { 0 }, false },
    { "2x2 of fifteen channels", MAX, { 4, { 2, 15, 9, 7 } }, { 2 }, { 0 }, { 0 }, { 0 }, false },
    { "2x2 of three channels, odd", MAX, { 4, { 3, 3, 9, 7 } }, { 2 }, { 0 }, { 0 }, { 0 }, false },
    { "2x2 of one channel", MAX, { 4, { 2, 1, 4, 4 } }, { 2 }, { 0 }, { 0 }, { 0 }, false },
    { "3-D of three channels", MAX, { 5, { 1, 3, 4, 6, 8 } }, { 1, 2, 2 }, { 1, 2, 2 }, { 0 }, { 0 }, false },
    { "3x3/2 pad 1", MAX, { 4, { 2, 16, 11, 12 } }, { 3 }, { 2 }, { 0 }, { 1 }, false },
    { "3x3/2 pad 1 ceil", MAX, { 4, { 1, 17, 10, 12 } }, { 3 }, { 2 }, { 0 }, { 1 }, true },
    { "3x3/1 pad 1", MAX, { 4, { 1, 33, 6, 5 } }, { 3 }, { 1 }, { 0 }, { 1 }, false },
    { "dilated", MAX, { 4, { 1, 3, 13, 11 } }, { 3, 2 }, { 2, 1 }, { 2, 3 }, { 1, 1 }, false },
    { "gaps", MAX, { 4, { 2, 4, 12, 13 } }, { 2 }, { 3 }, { 0 }, { 0 }, false },
    { "rows only", MAX, { 4, { 1, 7, 9, 4 } }, { 3, 1 }, { 2, 1 }, { 0 }, { 1, 0 }, false },
    { "one channel", MAX, { 4, { 1, 1, 16, 16 } }, { 2 }, { 0 }, { 0 }, { 0 }, false },
    { "wide argmax", MAX, { 4, { 1, 9, 20, 40 } }, { 17, 18 }, { 1, 5 }, { 0 }, { 2, 3 }, false },
    { "1-D", MAX, { 3, { 2, 6, 23 } }, { 3 }, { 2 }, { 0 }, { 1 }, false },
    { "1-D pairs", MAX, { 3, { 2, 8, 22 } }, { 2 }, { 0 }, { 0 }, { 0 }, false },
    { "3-D", MAX, { 5, { 2, 9, 6, 7, 8 } }, { 2 }, { 0 }, { 0 }, { 0 }, false },
    { "3-D 3x3x3", MAX, { 5, { 1, 5, 7, 5, 6 } }, { 3 }, { 2 }, { 0 }, { 1 }, false },
    { "average 2x2", AVG, { 4, { 3, 8, 8, 10 } }, { 2 }, { 0 }, { 0 }, { 0 }, false },
    { "average 3x3/2", AVG, { 4, { 2, 21, 9, 12 } }, { 3 }, { 2 }, { 0 }, { 1 }, false },
    { "average ceil", AVG, { 4, { 2, 6, 8, 11 } }, { 3 }, { 2 }, { 0 }, { 1 }, true },
    { "average, pad left out", AVG_EXCLUDE, { 4, { 2, 6, 8, 11 } }, { 3, 4 }, { 2, 3 }, { 0 }, { 1, 2 }, true },
    { "average 1-D", AVG, { 3, { 2, 5, 17 } }, { 4 }, { 2 }, { 0 }, { 2 }, false },
    { "average 3-D", AVG_EXCLUDE, { 5, { 1, 10, 5, 6, 4 } }, { 3 }, { 2 }, { 0 }, { 1 }, false },
    { "adaptive average", ADAPTIVE_AVG, { 4, { 2, 12, 10, 7 } }, { 3, 4 }, { 0 }, { 0 }, { 0 }, false },
    { "adaptive average to 7x7", ADAPTIVE_AVG, { 4, { 1, 8, 10, 5 } }, { 7 }, { 0 }, { 0 }, { 0 }, false },
    { "adaptive average to one", ADAPTIVE_AVG, { 4, { 2, 3, 6, 5 } }, { 1 }, { 0 }, { 0 }, { 0 }, false },
    { "adaptive average 3-D", ADAPTIVE_AVG, { 5, { 1, 3, 7, 5, 6 } }, { 3, 2, 4 }, { 0 }, { 0 }, { 0 }, false },
    { "adaptive maximum", ADAPTIVE_MAX, { 4, { 2, 12, 10, 7 } }, { 3, 4 }, { 0 }, { 0 }, { 0 }, false },
    { "adaptive maximum grows", ADAPTIVE_MAX, { 4, { 1, 6, 5, 4 } }, { 7, 9 }, { 0 }, { 0 }, { 0 }, false },
    { "adaptive maximum 1-D", ADAPTIVE_MAX, { 3, { 2, 6, 31 } }, { 4 }, { 0 }, { 0 }, { 0 }, false },
    { "global average", GLOBAL_AVG, { 4, { 3, 21, 12, 7 } }, { 0 }, { 0 }, { 0 }, { 0 }, false },
    { "global average 1-D", GLOBAL_AVG, { 3, { 2, 4, 19 } }, { 0 }, { 0 }, { 0 }, { 0 }, false },
    { "global average 3-D", GLOBAL_AVG, { 5, { 2, 8, 5, 4, 6 } }, { 0 }, { 0 }, { 0 }, { 0 }, false },
    { "global maximum", GLOBAL_MAX, { 4, { 3, 5, 12, 7 } }, { 0 }, { 0 }, { 0 }, { 0 }, false },
    { "global maximum 3-D", GLOBAL_MAX, { 5, { 1, 5, 6, 2, 3 } }, { 0 }, { 0 }, { 0 }, { 0 }, false },
};

static far_value build(far_graph *graph, const void *arg)
{
    const pool_case *c = arg;
    const far_value x = far_graph_input(graph, "x", FAR_F32, &c->x);
    far_pool_opts opts = { .ceil_mode = c->ceil_mode, .exclude_pad = c->kind == AVG_EXCLUDE };
    memcpy(opts.kernel, c->kernel, sizeof opts.kernel);
    memcpy(opts.stride, c->stride, sizeof opts.stride);
    memcpy(opts.dilation, c->dilation, sizeof opts.dilation);
    memcpy(opts.pad, c->pad, sizeof opts.pad);
    switch (c->kind) {
    case MAX: return far_max_pool(graph, "pool", x, &opts);
    case AVG:
    case AVG_EXCLUDE: return far_avg_pool(graph, "pool", x, &opts);
    case ADAPTIVE_MAX: return far_adaptive_max_pool(graph, "pool", x, c->kernel);
    case ADAPTIVE_AVG: return far_adaptive_avg_pool(graph, "pool", x, c->kernel);
    case GLOBAL_AVG: return far_global_avg_pool(graph, "pool", x);
    case GLOBAL_MAX: return far_global_max_pool(graph, "pool", x);
    }
    return FAR_NO_VALUE;
}

FAR_TEST(pool_kernels_in_pieces)
{
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        far_graph *graph = NULL;
        FAR_CHECK_OK(far_graph_create(true, &graph));
        (void)build(graph, &cases[i]);
        FAR_CHECK_OK(far_graph_status(graph));
        piece_add_gradients(graph);
        for (uint64_t seed = 0; seed < 4; seed++) piece_check(cases[i].name, graph, seed, seed % 2 == 1, 1e-6);
        far_graph_destroy(graph);
    }
}

/* Gradients of 2 MiB and more are written past the caches, where pixels allow it. */
FAR_TEST(pool_kernels_for_large_images)
{
    static const pool_case large[] = {
        { .name = "large 8 channels", .kind = MAX, .x = { 4, { 1, 8, 258, 256 } }, .kernel = { 2 } },
        { .name = "large 16 channels, odd", .kind = MAX, .x = { 4, { 1, 16, 131, 255 } }, .kernel = { 2 } },
        { .name = "large 24 channels", .kind = MAX, .x = { 4, { 1, 24, 129, 171 } }, .kernel = { 2 } },
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

/* A window and an image it fits, drawn at random. */
static pool_case draw_case(uint64_t key)
{
    uint64_t draws = 0;
    const int32_t axes = 1 + (int32_t)fari_rng_below(key, draws++, 3);
    pool_case c = { .name = "random", .kind = (pool_kind)fari_rng_below(key, draws++, 5) };
    const bool is_adaptive = c.kind == ADAPTIVE_MAX || c.kind == ADAPTIVE_AVG;
    c.x.ndim = axes + 2;
    c.x.dim[0] = 1 + (int64_t)fari_rng_below(key, draws++, 2);
    c.x.dim[1] = 1 + (int64_t)fari_rng_below(key, draws++, 20);
    c.ceil_mode = fari_rng_below(key, draws++, 2) != 0;
    for (int32_t d = 0; d < axes; d++) {
        c.kernel[d] = 1 + (int64_t)fari_rng_below(key, draws++, 4);
        c.stride[d] = 1 + (int64_t)fari_rng_below(key, draws++, 3);
        c.dilation[d] = c.kind == MAX ? 1 + (int64_t)fari_rng_below(key, draws++, 3) : 1;
        const int64_t span = (c.kernel[d] - 1) * c.dilation[d] + 1;
        c.pad[d] = (int64_t)fari_rng_below(key, draws++, (uint64_t)(span / 2 + 1));
        c.x.dim[d + 2] = (is_adaptive ? 1 : span) + (int64_t)fari_rng_below(key, draws++, axes == 3 ? 4 : 9);
    }
    return c;
}

FAR_TEST(pool_random_geometries_in_pieces)
{
    for (uint64_t seed = 0; seed < 150; seed++) {
        char label[32];
        far_graph *graph = NULL;
        pool_case c = draw_case(fari_rng_key(seed, 1001, 0, 0));
        (void)snprintf(label, sizeof label, "random %d", (int)seed);
        FAR_CHECK_OK(far_graph_create(true, &graph));
        (void)build(graph, &c);
        FAR_CHECK_OK(far_graph_status(graph));
        piece_add_gradients(graph);
        piece_check(label, graph, seed, seed % 2 == 1, 1e-6);
        far_graph_destroy(graph);
    }
}

FAR_TEST(pool_through_the_machine)
{
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        const bool is_max = cases[i].kind == MAX || cases[i].kind == ADAPTIVE_MAX || cases[i].kind == GLOBAL_MAX;
        const op_check_opts opts = { .kink_margin = is_max ? 0.02 : 0.0 };
        op_check_with(cases[i].name, build, &cases[i], &opts);
    }
}

/* ---- fixed values ---- */

/* Runs the reference of a graph's only node on an image of one channel. */
static void run_reference(const far_graph *graph, const double *x, double *y, double *argmax)
{
    const fari_node *node = graph->nodes[0];
    const far_shape xs = fari_tensor_of(graph, node->in[0])->shape, ys = fari_tensor_of(graph, node->out[0])->shape;
    fari_call call = { .node = node, .attr = node->attr, .in_count = 1, .out_count = node->out_count };
    call.in[0] = (fari_view){ (void *)(uintptr_t)x, FAR_F64, FARI_CHANNELS_LAST, xs.ndim, { 0 }, 0, xs.dim[2], 0, 0 };
    call.out[0] = (fari_view){ y, FAR_F64, FARI_CHANNELS_LAST, ys.ndim, { 0 }, 0, ys.dim[2], 0, 0 };
    memcpy(call.in[0].dim, xs.dim, sizeof xs.dim);
    memcpy(call.out[0].dim, ys.dim, sizeof ys.dim);
    call.out[1] = call.out[0];
    call.out[1].data = argmax;
    FAR_CHECK_OK(node->op->reference(&call));
}

FAR_TEST(max_pool_takes_the_first_of_equals_and_the_last_nan)
{
    const far_shape shape = { 4, { 1, 1, 2, 6 } };
    const double x[12] = { 1, 1, NAN, 2, -INFINITY, -INFINITY, 1, 0, 3, NAN, -INFINITY, -INFINITY };
    double y[3], argmax[3];
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(false, &graph));
    const far_value in = far_graph_input(graph, "x", FAR_F32, &shape);
    (void)far_max_pool(graph, "pool", in, &(far_pool_opts){ .kernel = { 2 } });
    run_reference(graph, x, y, argmax);
    FAR_CHECK(y[0] == 1.0 && argmax[0] == 0.0);
    FAR_CHECK(isnan(y[1]) && argmax[1] == 3.0); /* torch.nn.functional.max_pool2d: the second NaN */
    FAR_CHECK(y[2] == -(double)INFINITY && argmax[2] == 0.0);
    far_graph_destroy(graph);
}

FAR_TEST(avg_pool_divides_as_pytorch)
{
    /* torch.nn.AvgPool1d(3, 2, 1, ceil_mode=True, count_include_pad=..) of 1..6 */
    static const struct {
        bool exclude_pad;
        double want[4];
    } expect[] = { { false, { 1.0, 3.0, 5.0, 3.0 } }, { true, { 1.5, 3.0, 5.0, 6.0 } } };
    const far_shape shape = { 3, { 1, 1, 6 } };
    const double x[6] = { 1, 2, 3, 4, 5, 6 };
    for (size_t i = 0; i < FAR_COUNT(expect); i++) {
        double y[4];
        far_graph *graph = NULL;
        FAR_CHECK_OK(far_graph_create(false, &graph));
        const far_value in = far_graph_input(graph, "x", FAR_F32, &shape);
        const far_pool_opts opts = {
            .kernel = { 3 }, .stride = { 2 }, .pad = { 1 }, .ceil_mode = true, .exclude_pad = expect[i].exclude_pad
        };
        const far_value out = far_avg_pool(graph, "pool", in, &opts);
        FAR_CHECK_EQ_I64(far_graph_shape(graph, out).dim[2], 4);
        run_reference(graph, x, y, NULL);
        for (int k = 0; k < 4; k++) FAR_CHECK_NEAR(y[k], expect[i].want[k], 1e-15);
        far_graph_destroy(graph);
    }
}

/* ---- errors ---- */

FAR_TEST(pool_words_its_errors)
{
    static const struct {
        far_shape x;
        far_pool_opts opts;
        far_status status;
        const char *part;
    } wrong[] = {
        { { 4, { 1, 2, 3, 8 } },
          { .kernel = { 4 } },
          FAR_E_SHAPE,
          "max_pool 'p': a window of 4 does not fit axis 2 of extent 3" },
        { { 4, { 1, 2, 8, 8 } }, { .kernel = { 0 } }, FAR_E_ARG, "kernel of axis 0 is 0; must be at least 1" },
        { { 4, { 1, 2, 8, 8 } }, { .kernel = { 2 }, .pad = { 2 } }, FAR_E_ARG, "at most half the window" },
        { { 4, { 1, 2, 8, 8 } }, { .kernel = { 2, 2, 2 } }, FAR_E_ARG, "the input has 2 spatial axes" },
        { { 2, { 4, 8 } }, { .kernel = { 2 } }, FAR_E_SHAPE, "one to three spatial axes, it has 0" },
    };
    for (size_t i = 0; i < FAR_COUNT(wrong); i++) {
        far_graph *graph = NULL;
        FAR_CHECK_OK(far_graph_create(true, &graph));
        const far_value x = far_graph_input(graph, "x", FAR_F32, &wrong[i].x);
        FAR_CHECK_EQ_I64(far_max_pool(graph, "p", x, &wrong[i].opts), FAR_NO_VALUE);
        FAR_CHECK_STATUS(far_graph_status(graph), wrong[i].status);
        FAR_CHECK_HAS(far_error_message(), wrong[i].part);
        far_graph_destroy(graph);
    }
}
