/* Reshape, transpose, concatenate, slice, split, pad, and changes of memory order, through the whole machine. */
#include "graph/graph.h"
#include "support/op_check.h"
#include "test.h"
#include <farandole/elementwise.h>
#include <farandole/shape.h>

/* ---- reshape ---- */

typedef struct reshape_case {
    const char *name;
    far_shape from, to;
} reshape_case;

static far_value build_reshape(far_graph *graph, const void *arg)
{
    const reshape_case *c = arg;
    return far_reshape(graph, "y", far_graph_input(graph, "x", FAR_F32, &c->from), &c->to);
}

FAR_TEST(reshape_matches_its_oracle)
{
    static const reshape_case cases[] = {
        { "flat", { 4, { 3, 2, 5, 4 } }, { 2, { 3, 40 } } },
        { "guessed", { 4, { 3, 2, 5, 4 } }, { 3, { 3, -1, 8 } } },
        { "to an image", { 2, { 3, 36 } }, { 4, { 3, 1, 9, 4 } } },
        { "to channels", { 2, { 3, 36 } }, { 4, { 3, 4, 3, 3 } } },
        { "tokens", { 3, { 2, 6, 8 } }, { 4, { 2, 6, 2, 4 } } },
        { "six axes", { 3, { 2, 6, 8 } }, { 6, { 2, 2, 3, 2, 2, 2 } } },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) op_check(cases[i].name, build_reshape, &cases[i]);
}

static far_value build_flatten(far_graph *graph, const void *arg)
{
    return far_flatten(graph, "y", far_square(graph, "sq", far_graph_input(graph, "x", FAR_F32, arg)));
}

FAR_TEST(flatten_matches_its_oracle)
{
    static const far_shape shapes[] = {
        { 2, { 3, 5 } }, { 4, { 3, 5, 7, 2 } }, { 4, { 3, 1, 7, 2 } }, { 5, { 2, 3, 4, 3, 2 } }, { 1, { 4 } }
    };
    for (size_t i = 0; i < FAR_COUNT(shapes); i++) op_check("flatten", build_flatten, &shapes[i]);
}

/* ---- transpose ---- */

typedef struct transpose_case {
    const char *name;
    far_shape x;
    int32_t perm[FAR_NDIM_MAX];
} transpose_case;

static far_value build_transpose(far_graph *graph, const void *arg)
{
    const transpose_case *c = arg;
    return far_transpose(graph, "y", far_graph_input(graph, "x", FAR_F32, &c->x), c->perm);
}

FAR_TEST(transpose_matches_its_oracle)
{
    static const transpose_case cases[] = {
        { "matrix", { 3, { 3, 5, 7 } }, { 0, 2, 1 } },
        { "large matrix", { 3, { 2, 33, 50 } }, { 0, 2, 1 } },
        { "heads", { 4, { 2, 5, 3, 8 } }, { 0, 2, 1, 3 } },
        { "last two", { 4, { 2, 3, 17, 18 } }, { 0, 1, 3, 2 } },
        { "to the end", { 4, { 2, 19, 5, 6 } }, { 0, 2, 3, 1 } },
        { "windows", { 6, { 1, 2, 3, 2, 3, 4 } }, { 0, 1, 3, 2, 4, 5 } },
        { "all", { 6, { 1, 2, 3, 2, 3, 4 } }, { 0, 5, 2, 4, 1, 3 } },
        { "nothing", { 3, { 3, 4, 2 } }, { 0, 1, 2 } },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) op_check(cases[i].name, build_transpose, &cases[i]);
}

/* ---- concat ---- */

typedef struct concat_case {
    const char *name;
    int32_t axis, count;
    far_shape x; /* extent of the axis: sizes[i % 4] */
    int64_t sizes[4];
    bool is_row_major;
} concat_case;

static far_value build_concat(far_graph *graph, const void *arg)
{
    const concat_case *c = arg;
    static const int32_t same[] = { 0, 1, 2, 3, 4, 5 };
    far_value in[40];
    for (int32_t i = 0; i < c->count; i++) {
        char name[16];
        far_shape shape = c->x;
        (void)snprintf(name, sizeof name, "x%d", (int)i);
        shape.dim[c->axis < 0 ? c->axis + shape.ndim : c->axis] = c->sizes[i % 4];
        in[i] = i < 4 ? far_graph_input(graph, name, FAR_F32, &shape)
                      : far_scale_shift(graph, name, in[i - 4], 1.5, 0.1 * i);
        if (c->is_row_major) in[i] = far_transpose(graph, name, in[i], same);
    }
    return far_concat(graph, "y", c->count, in, c->axis);
}

FAR_TEST(concat_matches_its_oracle)
{
    static const concat_case cases[] = {
        { "channels", 1, 2, { 4, { 2, 0, 9, 5 } }, { 3, 5, 0, 0 }, false },
        { "channels, vectors", 1, 3, { 4, { 2, 0, 7, 6 } }, { 8, 16, 24, 0 }, false },
        { "channels, 2 4 48 64", 1, 4, { 4, { 1, 0, 6, 3 } }, { 2, 4, 48, 64 }, false },
        { "channels, 32", 1, 2, { 4, { 2, 0, 6, 3 } }, { 32, 1, 0, 0 }, false },
        { "channels, row-major", 1, 3, { 4, { 2, 0, 5, 4 } }, { 2, 3, 1, 0 }, true },
        { "rows", 2, 3, { 4, { 2, 3, 0, 5 } }, { 4, 1, 6, 0 }, false },
        { "columns", 3, 2, { 4, { 2, 3, 9, 0 } }, { 4, 3, 0, 0 }, false },
        { "columns, row-major", -1, 2, { 4, { 2, 3, 4, 0 } }, { 4, 3, 0, 0 }, true },
        { "features", 1, 4, { 2, { 5, 0 } }, { 1, 7, 3, 2 }, false },
        { "tokens", 1, 2, { 3, { 3, 0, 6 } }, { 1, 5, 0, 0 }, false },
        { "volume", 1, 2, { 5, { 1, 0, 5, 4, 3 } }, { 2, 2, 0, 0 }, false },
        { "one", 1, 1, { 2, { 5, 0 } }, { 3, 0, 0, 0 }, false },
        { "thirteen", 1, 13, { 4, { 2, 0, 6, 3 } }, { 1, 2, 3, 4 }, false },
        { "forty", 1, 40, { 2, { 2, 0 } }, { 1, 2, 1, 3 }, false },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) op_check(cases[i].name, build_concat, &cases[i]);
}

/* ---- slices ---- */

typedef struct slice_case {
    const char *name;
    far_shape x;
    int32_t axis;
    int64_t start, count;
} slice_case;

static far_value build_slice(far_graph *graph, const void *arg)
{
    const slice_case *c = arg;
    return far_slice(graph, "y", far_graph_input(graph, "x", FAR_F32, &c->x), c->axis, c->start, c->count);
}

FAR_TEST(slice_matches_its_oracle)
{
    static const slice_case cases[] = {
        { "channels", { 4, { 2, 7, 9, 5 } }, 1, 2, 3 }, { "first channels", { 4, { 2, 16, 9, 5 } }, 1, 0, 8 },
        { "rows", { 4, { 2, 3, 12, 5 } }, 2, 4, 7 },    { "one row", { 4, { 2, 3, 12, 5 } }, 2, 11, 1 },
        { "columns", { 4, { 2, 3, 9, 8 } }, -1, 1, 6 }, { "features", { 2, { 5, 9 } }, 1, 3, 4 },
        { "depth", { 5, { 1, 2, 6, 5, 4 } }, 2, 1, 4 }, { "tokens", { 3, { 3, 6, 4 } }, 1, 0, 1 },
        { "everything", { 3, { 3, 6, 4 } }, 1, 0, 6 },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) op_check(cases[i].name, build_slice, &cases[i]);
}

/* Pieces put together in another order. */
static far_value build_split(far_graph *graph, const void *arg)
{
    static const int64_t sizes[] = { 2, 5, 1 };
    far_value parts[3];
    const far_value x = far_graph_input(graph, "x", FAR_F32, &(far_shape){ 4, { 2, 8, 9, 3 } });
    (void)arg;
    far_split_axis(graph, "parts", x, 1, 3, sizes, parts);
    const far_value turned[] = { parts[2], far_square(graph, "sq", parts[1]), parts[0] };
    return far_concat(graph, "y", 3, turned, 1);
}

FAR_TEST(split_matches_its_oracle)
{
    op_check("split", build_split, NULL);
}

/* ---- pad ---- */

typedef struct pad_case {
    const char *name;
    far_shape x;
    int64_t before[FAR_NDIM_MAX], after[FAR_NDIM_MAX];
    double value;
} pad_case;

static far_value build_pad(far_graph *graph, const void *arg)
{
    const pad_case *c = arg;
    return far_pad(graph, "y", far_graph_input(graph, "x", FAR_F32, &c->x), c->before, c->after, c->value);
}

FAR_TEST(pad_matches_its_oracle)
{
    static const pad_case cases[] = {
        { "image", { 4, { 2, 3, 9, 5 } }, { 0, 0, 1, 2 }, { 0, 0, 2, 1 }, 0.0 },
        { "value", { 4, { 2, 3, 9, 5 } }, { 0, 0, 0, 1 }, { 0, 0, 0, 0 }, -1.5 },
        { "grains of nothing but padding", { 4, { 2, 1, 4, 3 } }, { 0, 0, 11, 0 }, { 0, 0, 9, 0 }, 0.5 },
        { "channels", { 4, { 2, 3, 9, 5 } }, { 0, 2, 0, 0 }, { 0, 3, 0, 0 }, 0.0 },
        { "features", { 2, { 5, 7 } }, { 0, 1 }, { 0, 4 }, 2.0 },
        { "volume", { 5, { 1, 2, 5, 4, 3 } }, { 0, 0, 1, 0, 2 }, { 0, 0, 0, 3, 1 }, 0.0 },
        { "nothing", { 3, { 2, 3, 4 } }, { 0, 0, 0 }, { 0, 0, 0 }, 0.0 },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) op_check(cases[i].name, build_pad, &cases[i]);
}

/* ---- there and back ---- */

/* Channels-last, then row-major, then channels-last again, in a graph whose rows are cut at both ends. */
static far_value build_round_trip(far_graph *graph, const void *arg)
{
    static const int32_t swap[] = { 0, 1, 3, 2 };
    const far_value x = far_graph_input(graph, "x", FAR_F32, &(far_shape){ 4, { 2, 5, 13, 13 } });
    const far_value t = far_transpose(graph, "t", far_square(graph, "sq", x), swap);
    (void)arg;
    return far_add(graph, "y", x, far_scale_shift(graph, "s", t, 0.5, 0.0));
}

FAR_TEST(orders_change_there_and_back)
{
    op_check("round trip", build_round_trip, NULL);
}

/* Rows joined, then used beside an image of the same height. */
static far_value build_rows_and_back(far_graph *graph, const void *arg)
{
    const far_value x = far_graph_input(graph, "x", FAR_F32, &(far_shape){ 4, { 2, 3, 12, 4 } });
    const far_value top = far_slice(graph, "top", x, 2, 0, 5), bottom = far_slice(graph, "bottom", x, 2, 5, 7);
    const far_value turned[] = { bottom, top };
    (void)arg;
    return far_mul(graph, "y", x, far_concat(graph, "turned", 2, turned, 2));
}

FAR_TEST(rows_are_cut_and_joined)
{
    op_check("rows", build_rows_and_back, NULL);
}

/* ---- what is refused ---- */

typedef far_value (*build_fn)(far_graph *graph, const void *arg);

static void expect_failure(build_fn build, const void *arg, far_status want, const char *words)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK_EQ_I64(build(graph, arg), FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), want);
    FAR_CHECK_HAS(far_error_message(), words);
    FAR_CHECK_HAS(far_error_message(), "'y'");
    far_graph_destroy(graph);
}

FAR_TEST(shape_ops_refuse_what_does_not_fit)
{
    expect_failure(build_reshape, &(reshape_case){ "", { 2, { 3, 8 } }, { 2, { 3, 9 } } }, FAR_E_SHAPE, "reshape");
    expect_failure(build_reshape, &(reshape_case){ "", { 2, { 3, 8 } }, { 2, { 6, 4 } } }, FAR_E_SHAPE,
                   "axis 0 is the batch");
    expect_failure(build_reshape, &(reshape_case){ "", { 2, { 3, 8 } }, { 3, { 3, -1, 3 } } }, FAR_E_SHAPE,
                   "number of elements");
    expect_failure(build_reshape, &(reshape_case){ "", { 2, { 3, 8 } }, { 3, { 3, -1, -1 } } }, FAR_E_ARG, "second -1");
    expect_failure(build_transpose, &(transpose_case){ "", { 3, { 3, 5, 7 } }, { 1, 0, 2 } }, FAR_E_SHAPE,
                   "axis 0 is the batch");
    expect_failure(build_transpose, &(transpose_case){ "", { 3, { 3, 5, 7 } }, { 0, 1, 1 } }, FAR_E_ARG, "transpose");
    expect_failure(build_concat, &(concat_case){ "", 0, 2, { 2, { 0, 3 } }, { 2, 2, 0, 0 }, false }, FAR_E_ARG,
                   "concat");
    expect_failure(build_concat, &(concat_case){ "", 2, 2, { 2, { 5, 3 } }, { 2, 2, 0, 0 }, false }, FAR_E_ARG,
                   "concat");
    expect_failure(build_slice, &(slice_case){ "", { 2, { 3, 8 } }, 1, 6, 3 }, FAR_E_ARG, "[6, +3)");
    expect_failure(build_slice, &(slice_case){ "", { 2, { 3, 8 } }, 1, INT64_MAX, 3 }, FAR_E_ARG, "slice");
    expect_failure(build_slice, &(slice_case){ "", { 2, { 3, 8 } }, 0, 0, 2 }, FAR_E_SHAPE, "batch");
    expect_failure(build_slice, &(slice_case){ "", { 2, { 3, 8 } }, 5, 0, 2 }, FAR_E_ARG, "axis");
    expect_failure(build_pad, &(pad_case){ "", { 2, { 3, 8 } }, { 0, -1 }, { 0, 0 }, 0.0 }, FAR_E_ARG, "pad");
    expect_failure(build_pad, &(pad_case){ "", { 2, { 3, 8 } }, { 1, 0 }, { 0, 0 }, 0.0 }, FAR_E_ARG, "batch");
    expect_failure(build_pad, &(pad_case){ "", { 2, { 3, 8 } }, { 0, INT64_MAX }, { 0, 0 }, 0.0 }, FAR_E_ARG, "pad");
}
