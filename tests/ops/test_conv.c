/* Convolutions: reference kernels in pieces, row rules, whole graphs with the CPU backend, fixed values, errors. */
#include "base/rng.h"
#include "op_check.h"
#include "ops/conv.h"
#include "ops/window.h"
#include "piece_check.h"
#include "test.h"
#include <farandole/conv.h>

typedef struct conv_case {
    const char *name;
    far_shape x;
    far_conv_opts opts;
} conv_case;

static const conv_case cases[] = {
    { "3x3 pad 1", { 4, { 2, 8, 7, 6 } }, { .out_channels = 8, .kernel = { 3 }, .pad = { 1 } } },
    { "3x3 pad 1, 16 channels",
      { 4, { 1, 16, 12, 9 } },
      { .out_channels = 16, .kernel = { 3, 3 }, .pad = { 1, 1 }, .no_bias = true } },
    { "3x3 no pad", { 4, { 3, 3, 6, 8 } }, { .out_channels = 5, .kernel = { 3 } } },
    { "1x1", { 4, { 2, 6, 5, 4 } }, { .out_channels = 7, .kernel = { 1 } } },
    { "1x1 stride 2", { 4, { 2, 6, 7, 5 } }, { .out_channels = 4, .kernel = { 1 }, .stride = { 2 }, .no_bias = true } },
    { "5x5 stem", { 4, { 1, 1, 11, 9 } }, { .out_channels = 8, .kernel = { 5 }, .pad = { 2 } } },
    { "7x7/2 stem",
      { 4, { 1, 3, 15, 17 } },
      { .out_channels = 8, .kernel = { 7 }, .stride = { 2 }, .pad = { 3 }, .no_bias = true } },
    { "3x3/2", { 4, { 2, 4, 9, 10 } }, { .out_channels = 6, .kernel = { 3 }, .stride = { 2 }, .pad = { 1 } } },
    { "2x2/2", { 4, { 2, 8, 9, 8 } }, { .out_channels = 16, .kernel = { 2 }, .stride = { 2 } } },
    { "1x1/3 leaves rows out", { 4, { 1, 4, 11, 8 } }, { .out_channels = 3, .kernel = { 1 }, .stride = { 3 } } },
    { "2x3/4 leaves rows out",
      { 4, { 1, 4, 13, 9 } },
      { .out_channels = 3, .kernel = { 2, 3 }, .stride = { 4, 2 }, .pad = { 0, 1 } } },
    { "dilated", { 4, { 1, 4, 11, 12 } }, { .out_channels = 4, .kernel = { 3 }, .dilation = { 2 }, .pad = { 2 } } },
    { "dilated and strided",
      { 4, { 2, 3, 14, 9 } },
      { .out_channels = 4, .kernel = { 3, 2 }, .stride = { 2, 1 }, .dilation = { 3, 2 }, .pad = { 3, 1 } } },
    { "rows and columns differ",
      { 4, { 1, 5, 8, 12 } },
      { .out_channels = 3, .kernel = { 2, 5 }, .stride = { 1, 3 }, .pad = { 1, 0 } } },
    { "asymmetric pads",
      { 4, { 2, 3, 7, 8 } },
      { .out_channels = 4, .kernel = { 3 }, .stride = { 2 }, .pad_lo = { 0, 1 }, .pad_hi = { 2, 0 } } },
    { "pad beyond the kernel", { 4, { 1, 3, 5, 4 } }, { .out_channels = 2, .kernel = { 2 }, .pad = { 3 } } },
    { "groups", { 4, { 2, 6, 6, 5 } }, { .out_channels = 4, .kernel = { 3 }, .pad = { 1 }, .groups = 2 } },
    { "depthwise",
      { 4, { 2, 8, 7, 6 } },
      { .out_channels = 8, .kernel = { 3 }, .pad = { 1 }, .groups = 8, .no_bias = true } },
    { "depthwise, twice the channels",
      { 4, { 1, 4, 7, 6 } },
      { .out_channels = 8, .kernel = { 3 }, .stride = { 2 }, .pad = { 1 }, .groups = 4 } },
    { "kernel as large as the image", { 4, { 3, 4, 5, 6 } }, { .out_channels = 7, .kernel = { 5, 6 } } },
    { "1-D", { 3, { 2, 3, 17 } }, { .out_channels = 4, .kernel = { 3 }, .stride = { 2 }, .pad = { 1 } } },
    { "1-D dilated", { 3, { 2, 5, 20 } }, { .out_channels = 2, .kernel = { 4 }, .dilation = { 3 }, .pad = { 2 } } },
    { "3-D", { 5, { 1, 3, 5, 6, 4 } }, { .out_channels = 4, .kernel = { 3 }, .pad = { 1 } } },
    { "3-D 1x3x3",
      { 5, { 2, 2, 4, 5, 5 } },
      { .out_channels = 3, .kernel = { 1, 3, 3 }, .stride = { 1, 2, 2 }, .pad = { 0, 1, 1 } } },
    { "3-D 2x2x2/2",
      { 5, { 1, 4, 5, 4, 6 } },
      { .out_channels = 8, .kernel = { 2 }, .stride = { 2 }, .no_bias = true } },
};

typedef struct transpose_case {
    const char *name;
    far_shape x;
    far_conv_transpose_opts opts;
} transpose_case;

static const transpose_case transpose_cases[] = {
    { "2x2/2", { 4, { 2, 8, 5, 4 } }, { .out_channels = 4, .kernel = { 2 }, .stride = { 2 } } },
    { "3x3/2 pad 1 out 1",
      { 4, { 1, 6, 5, 6 } },
      { .out_channels = 3, .kernel = { 3 }, .stride = { 2 }, .pad = { 1 }, .output_padding = { 1, 1 } } },
    { "4x4/2 pad 1",
      { 4, { 2, 3, 4, 5 } },
      { .out_channels = 5, .kernel = { 4 }, .stride = { 2 }, .pad = { 1 }, .no_bias = true } },
    { "3x3/1", { 4, { 1, 4, 5, 6 } }, { .out_channels = 8, .kernel = { 3 } } },
    { "1x1/2 leaves holes",
      { 4, { 1, 4, 5, 3 } },
      { .out_channels = 3, .kernel = { 1 }, .stride = { 2 }, .output_padding = { 1, 0 } } },
    { "2x2/3 leaves holes", { 4, { 1, 4, 4, 3 } }, { .out_channels = 2, .kernel = { 2 }, .stride = { 3 } } },
    { "dilated",
      { 4, { 1, 3, 5, 4 } },
      { .out_channels = 4, .kernel = { 3, 2 }, .stride = { 2, 1 }, .dilation = { 2, 3 }, .pad = { 1, 0 } } },
    { "groups", { 4, { 2, 6, 4, 3 } }, { .out_channels = 4, .kernel = { 3 }, .stride = { 2 }, .groups = 2 } },
    { "1-D",
      { 3, { 2, 4, 7 } },
      { .out_channels = 3, .kernel = { 4 }, .stride = { 3 }, .pad = { 1 }, .output_padding = { 2 } } },
    { "3-D", { 5, { 1, 4, 3, 4, 3 } }, { .out_channels = 3, .kernel = { 2 }, .stride = { 2 } } },
};

static far_value build(far_graph *graph, const void *arg)
{
    const conv_case *c = arg;
    return far_conv(graph, "conv", far_graph_input(graph, "x", FAR_F32, &c->x), &c->opts);
}

static far_value build_transpose(far_graph *graph, const void *arg)
{
    const transpose_case *c = arg;
    return far_conv_transpose(graph, "up", far_graph_input(graph, "x", FAR_F32, &c->x), &c->opts);
}

static void pieces(const char *name, op_build_fn fn, const void *arg)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    (void)fn(graph, arg);
    FAR_CHECK_OK(far_graph_status(graph));
    piece_add_gradients(graph);
    for (uint64_t seed = 0; seed < 2; seed++) piece_check(name, graph, seed, false, 1e-6);
    far_graph_destroy(graph);
}

FAR_TEST(conv_reference_in_pieces)
{
    for (size_t i = 0; i < FAR_COUNT(cases); i++) pieces(cases[i].name, build, &cases[i]);
    for (size_t i = 0; i < FAR_COUNT(transpose_cases); i++)
        pieces(transpose_cases[i].name, build_transpose, &transpose_cases[i]);
}

/* A layer and an image it fits, drawn at random. */
static conv_case draw_case(uint64_t key)
{
    uint64_t draws = 0;
    const int32_t axes = 1 + (int32_t)fari_rng_below(key, draws++, 3);
    conv_case c = { .name = "random" };
    c.opts.groups = 1 + (int64_t)fari_rng_below(key, draws++, 3);
    c.opts.out_channels = c.opts.groups * (1 + (int64_t)fari_rng_below(key, draws++, 4));
    c.opts.no_bias = fari_rng_below(key, draws++, 2) != 0;
    c.x.ndim = axes + 2;
    c.x.dim[0] = 1 + (int64_t)fari_rng_below(key, draws++, 2);
    c.x.dim[1] = c.opts.groups * (1 + (int64_t)fari_rng_below(key, draws++, 4));
    for (int32_t d = 0; d < axes; d++) {
        c.opts.kernel[d] = 1 + (int64_t)fari_rng_below(key, draws++, axes == 3 ? 3 : 5);
        c.opts.stride[d] = 1 + (int64_t)fari_rng_below(key, draws++, 4);
        c.opts.dilation[d] = 1 + (int64_t)fari_rng_below(key, draws++, 3);
        c.opts.pad_lo[d] = (int64_t)fari_rng_below(key, draws++, 4);
        c.opts.pad_hi[d] = (int64_t)fari_rng_below(key, draws++, 4);
        const int64_t span = (c.opts.kernel[d] - 1) * c.opts.dilation[d] + 1,
                      pads = c.opts.pad_lo[d] + c.opts.pad_hi[d];
        c.x.dim[d + 2] = (span > pads ? span - pads : 1) + (int64_t)fari_rng_below(key, draws++, axes == 3 ? 4 : 8);
    }
    return c;
}

FAR_TEST(conv_random_geometries_in_pieces)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        const conv_case c = draw_case(fari_rng_key(seed, 1003, 0, 0));
        pieces(c.name, build, &c);
    }
}

FAR_TEST(conv_random_geometries_through_the_machine)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        char label[32];
        const conv_case c = draw_case(fari_rng_key(seed, 1004, 0, 0));
        (void)snprintf(label, sizeof label, "random %d", (int)seed);
        op_check(label, build, &c);
    }
}

FAR_TEST(conv_through_the_machine)
{
    for (size_t i = 0; i < FAR_COUNT(cases); i++) op_check(cases[i].name, build, &cases[i]);
}

FAR_TEST(conv_transpose_through_the_machine)
{
    for (size_t i = 0; i < FAR_COUNT(transpose_cases); i++)
        op_check(transpose_cases[i].name, build_transpose, &transpose_cases[i]);
}

/* ---- rows ---- */

/* Every output that reads an input is in the range given for it, the range's ends do read it where any does, and the range can be
   used as an image of its own: its padding is not negative. */
static void check_rows_of_window(const fari_window *w)
{
    for (int64_t lo = 0; lo < w->in_extent; lo++) {
        for (int64_t hi = lo + 1; hi <= w->in_extent; hi++) {
            int64_t first = INT64_MAX, last = -1, from, to;
            for (int64_t o = 0; o < w->out_extent; o++) {
                for (int64_t t = 0; t < w->kernel; t++) {
                    const int64_t pos = o * w->stride - w->pad + t * w->dilation;
                    if (pos < lo || pos >= hi) continue;
                    if (o < first) first = o;
                    last = o;
                }
            }
            fari_window_rows_out(w, lo, hi, &from, &to);
            if (from < 0) from = 0;
            if (to > w->out_extent) to = w->out_extent;
            FAR_CHECK(from < to);
            FAR_CHECK(last < 0 || (from <= first && to > last));
            FAR_CHECK(lo + w->pad - from * w->stride >= 0);
        }
    }
}

FAR_TEST(rows_rules_cover_all_windows)
{
    for (int64_t kernel = 1; kernel <= 4; kernel++)
        for (int64_t stride = 1; stride <= 4; stride++)
            for (int64_t dilation = 1; dilation <= 3; dilation++)
                for (int64_t pad = 0; pad <= 3; pad++)
                    for (int64_t in = 1; in <= 9; in++) {
                        fari_window w = { kernel, stride, dilation, pad, in, 0 };
                        const int64_t room = in + 2 * pad - dilation * (kernel - 1) - 1;
                        w.out_extent = room < 0 ? 0 : room / stride + 1;
                        if (w.out_extent > 0) check_rows_of_window(&w);
                    }
}

FAR_TEST(floor_and_ceil_of_negatives)
{
    FAR_CHECK_EQ_I64(fari_floor_div(-1, 2), -1);
    FAR_CHECK_EQ_I64(fari_floor_div(-4, 2), -2);
    FAR_CHECK_EQ_I64(fari_floor_div(5, 3), 1);
    FAR_CHECK_EQ_I64(fari_ceil_div(-1, 2), 0);
    FAR_CHECK_EQ_I64(fari_ceil_div(-3, 2), -1);
    FAR_CHECK_EQ_I64(fari_ceil_div(5, 3), 2);
    FAR_CHECK_EQ_I64(fari_ceil_div(6, 3), 2);
}

/* ---- fixed values ---- */

/* Runs a 1-D layer's reference on one sample: x [C, L] channels-last, weight row-major. */
static void run_reference(const far_graph *graph, double *x, double *weight, double *bias, double *y)
{
    const fari_node *node = graph->nodes[0];
    double *data[4] = { x, weight, bias, y };
    fari_call call = { .node = node, .attr = node->attr, .in_count = node->in_count, .out_count = 1 };
    for (int32_t i = 0; i <= node->in_count; i++) {
        const bool is_out = i == node->in_count;
        const fari_tensor *tensor = fari_tensor_of(graph, is_out ? node->out[0] : node->in[i]);
        fari_view *view = is_out ? &call.out[0] : &call.in[i];
        *view = (fari_view){
            .data = data[is_out ? 3 : i], .dtype = FAR_F64, .order = tensor->order, .ndim = tensor->shape.ndim
        };
        memcpy(view->dim, tensor->shape.dim, sizeof view->dim);
        view->rows_total = view->dim[2];
    }
    FAR_CHECK_OK(node->op->reference(&call));
}

FAR_TEST(conv_is_a_cross_correlation)
{
    far_graph *graph = NULL;
    const far_shape shape = { 3, { 1, 2, 4 } };
    double x[8] = { 1, 10, 2, 20, 3, 30, 4, 40 }; /* channels 1 2 3 4 and 10 20 30 40 */
    double weight[4] = { 1, 2, 3, 4 }, bias[1] = { 0.5 }, y[3];
    FAR_CHECK_OK(far_graph_create(false, &graph));
    const far_value in = far_graph_input(graph, "x", FAR_F32, &shape);
    (void)far_conv(graph, "c", in,
                   &(far_conv_opts){ .out_channels = 1, .kernel = { 2 }, .stride = { 2 }, .pad = { 1 } });
    run_reference(graph, x, weight, bias, y);
    FAR_CHECK_NEAR(y[0], 0.5 + 2 * 1 + 4 * 10, 0.0);
    FAR_CHECK_NEAR(y[1], 0.5 + 1 * 2 + 2 * 3 + 3 * 20 + 4 * 30, 0.0);
    FAR_CHECK_NEAR(y[2], 0.5 + 1 * 4 + 3 * 40, 0.0);
    far_graph_destroy(graph);
}

FAR_TEST(conv_transpose_is_its_adjoint)
{
    far_graph *graph = NULL;
    const far_shape shape = { 3, { 1, 1, 3 } };
    double x[3] = { 1, 10, 100 }, weight[3] = { 1, 2, 3 }, bias[1] = { 0.5 }, y[7];
    FAR_CHECK_OK(far_graph_create(false, &graph));
    const far_value in = far_graph_input(graph, "x", FAR_F32, &shape);
    const far_conv_transpose_opts opts = {
        .out_channels = 1, .kernel = { 3 }, .stride = { 2 }, .pad = { 1 }, .output_padding = { 1 }
    };
    const far_value out = far_conv_transpose(graph, "t", in, &opts);
    FAR_CHECK_EQ_I64(far_graph_shape(graph, out).dim[2], 6); /* (3 - 1) 2 - 2 + 3 + 1 */
    run_reference(graph, x, weight, bias, y);
    /* x spread by the stride and the kernel: 1 2 3+10 20 30+100 200 300, less one at the start, plus one at the end */
    static const double want[6] = { 2, 13, 20, 130, 200, 300 };
    for (int i = 0; i < 6; i++) FAR_CHECK_NEAR(y[i], want[i] + 0.5, 0.0);
    far_graph_destroy(graph);
}

FAR_TEST(conv_names_and_shapes_its_parameters_as_pytorch)
{
    far_graph *graph = NULL;
    char text[128];
    const far_shape shape = { 4, { 2, 6, 8, 8 } };
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value x = far_graph_input(graph, "x", FAR_F32, &shape);
    const far_value y =
        far_conv(graph, "enc.conv1", x, &(far_conv_opts){ .out_channels = 4, .kernel = { 3, 5 }, .groups = 2 });
    const far_value z = far_conv_transpose(
        graph, "up", y, &(far_conv_transpose_opts){ .out_channels = 10, .kernel = { 2 }, .groups = 2 });
    const char *names[] = { "enc.conv1.weight", "enc.conv1.bias", "up.weight", "up.bias" };
    const char *shapes[] = { "4x3x3x5", "4", "4x5x2x2", "10" };
    FAR_CHECK(z >= 0);
    for (size_t i = 0; i < FAR_COUNT(names); i++) {
        const far_shape found = far_graph_shape(graph, far_graph_find(graph, names[i]));
        FAR_CHECK_STR(far_shape_text(&found, text), shapes[i]);
    }
    FAR_CHECK_EQ_I64(fari_tensor_of(graph, far_graph_find(graph, "enc.conv1.bias"))->init.fan_in, 3 * 3 * 5);
    FAR_CHECK_EQ_I64(fari_tensor_of(graph, far_graph_find(graph, "up.bias"))->init.fan_in, 5 * 2 * 2);
    far_graph_destroy(graph);
}

/* ---- errors ---- */

FAR_TEST(conv_words_its_errors)
{
    static const struct {
        far_shape x;
        far_conv_opts opts;
        far_status status;
        const char *part;
    } wrong[] = {
        { { 4, { 1, 2, 3, 8 } },
          { .out_channels = 4, .kernel = { 5 } },
          FAR_E_SHAPE,
          "conv 'c': a window of 5 does not fit axis 2 of extent 3 padded by 0 and 0" },
        { { 4, { 1, 3, 8, 8 } },
          { .out_channels = 4, .kernel = { 3 }, .groups = 2 },
          FAR_E_SHAPE,
          "2 groups must divide 3 input and 4 output channels" },
        { { 4, { 1, 2, 8, 8 } }, { .kernel = { 3 } }, FAR_E_ARG, "out_channels is 0" },
        { { 4, { 1, 2, 8, 8 } }, { .out_channels = 4 }, FAR_E_ARG, "kernel of axis 0 is 0" },
        { { 4, { 1, 2, 8, 8 } },
          { .out_channels = 4, .kernel = { 3 }, .stride = { -1 } },
          FAR_E_ARG,
          "stride of axis 0 is -1" },
        { { 4, { 1, 2, 8, 8 } },
          { .out_channels = 4, .kernel = { 3, 3, 3 } },
          FAR_E_ARG,
          "the input has 2 spatial axes" },
        { { 4, { 1, 2, 8, 8 } }, { .out_channels = 4, .kernel = { 3 }, .pad_lo = { -1 } }, FAR_E_ARG, "pad_lo" },
        { { 2, { 1, 2 } }, { .out_channels = 4, .kernel = { 3 } }, FAR_E_SHAPE, "one to three spatial axes, it has 0" },
    };
    for (size_t i = 0; i < FAR_COUNT(wrong); i++) {
        far_graph *graph = NULL;
        FAR_CHECK_OK(far_graph_create(true, &graph));
        const far_value x = far_graph_input(graph, "x", FAR_F32, &wrong[i].x);
        FAR_CHECK_EQ_I64(far_conv(graph, "c", x, &wrong[i].opts), FAR_NO_VALUE);
        FAR_CHECK_STATUS(far_graph_status(graph), wrong[i].status);
        FAR_CHECK_HAS(far_error_message(), wrong[i].part);
        far_graph_destroy(graph);
    }
}

FAR_TEST(conv_transpose_words_its_errors)
{
    far_graph *graph = NULL;
    const far_shape shape = { 4, { 1, 2, 3, 8 } };
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value x = far_graph_input(graph, "x", FAR_F32, &shape);
    const far_conv_transpose_opts opts = {
        .out_channels = 4, .kernel = { 3 }, .stride = { 2 }, .output_padding = { 0, 2 }
    };
    FAR_CHECK_EQ_I64(far_conv_transpose(graph, "t", x, &opts), FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_ARG);
    FAR_CHECK_HAS(far_error_message(),
                  "conv_transpose 't': output_padding of axis 1 is 2; must be 0 or more and less than the stride");
    far_graph_destroy(graph);
}
