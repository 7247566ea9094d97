/* Sums, means and maxima over axes, through the whole machine. */
#include "support/op_check.h"
#include "test.h"
#include <farandole/elementwise.h>
#include <farandole/shape.h>

typedef struct reduce_case {
    const char *name;
    far_reduce_kind kind;
    far_shape x;
    int32_t axis_count;
    int32_t axes[4];
    bool keep_axes;
} reduce_case;

static far_value build(far_graph *graph, const void *arg)
{
    const reduce_case *c = arg;
    return far_reduce(graph, "y", far_graph_input(graph, "x", FAR_F32, &c->x), c->kind, c->axis_count, c->axes,
                      c->keep_axes);
}

FAR_TEST(reduce_matches_its_oracle)
{
    static const reduce_case cases[] = {
        { "sum over space", FAR_REDUCE_SUM, { 4, { 3, 4, 9, 5 } }, 2, { 2, 3 }, false },
        { "mean over space", FAR_REDUCE_MEAN, { 4, { 3, 4, 9, 5 } }, 2, { 2, 3 }, true },
        { "mean over channels, rows stay", FAR_REDUCE_MEAN, { 4, { 2, 5, 9, 4 } }, 1, { 1 }, true },
        { "mean over channels, rows move", FAR_REDUCE_MEAN, { 4, { 2, 5, 9, 4 } }, 1, { 1 }, false },
        { "sum over columns", FAR_REDUCE_SUM, { 4, { 2, 3, 8, 7 } }, 1, { -1 }, true },
        { "sum over rows", FAR_REDUCE_SUM, { 4, { 2, 3, 8, 7 } }, 1, { 2 }, true },
        { "all but the batch", FAR_REDUCE_SUM, { 5, { 2, 3, 4, 3, 2 } }, 4, { 1, 2, 3, 4 }, false },
        { "features", FAR_REDUCE_MEAN, { 2, { 5, 7 } }, 1, { 1 }, false },
        { "tokens", FAR_REDUCE_MEAN, { 3, { 4, 5, 6 } }, 1, { 1 }, false },
        { "nothing", FAR_REDUCE_SUM, { 3, { 4, 5, 6 } }, 0, { 0 }, false },
        { "max over space", FAR_REDUCE_MAX, { 4, { 3, 4, 9, 5 } }, 2, { 2, 3 }, false },
        { "max over channels", FAR_REDUCE_MAX, { 4, { 2, 6, 9, 4 } }, 1, { 1 }, true },
        { "max over channels, rows move", FAR_REDUCE_MAX, { 4, { 2, 6, 9, 4 } }, 1, { 1 }, false },
        { "max over features", FAR_REDUCE_MAX, { 2, { 4, 9 } }, 1, { 1 }, true },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++)
        op_check_with(cases[i].name, build, &cases[i], &(op_check_opts){ .kink_margin = 0.1 });
}

static far_value build_all(far_graph *graph, const void *arg)
{
    return far_reduce_all(graph, "y", far_square(graph, "sq", far_graph_input(graph, "x", FAR_F32, arg)));
}

FAR_TEST(reduce_all_matches_its_oracle)
{
    static const far_shape shapes[] = {
        { 1, { 3 } }, { 2, { 70, 3 } }, { 4, { 2, 3, 17, 5 } }, { 5, { 1, 2, 8, 3, 4 } }
    };
    for (size_t i = 0; i < FAR_COUNT(shapes); i++) op_check("all", build_all, &shapes[i]);
}

/* A loss of several terms: arithmetic on f64 scalars. */
static far_value build_terms(far_graph *graph, const void *arg)
{
    const far_value x = far_graph_input(graph, "x", FAR_F32, &(far_shape){ 4, { 2, 3, 8, 5 } });
    const far_value a = far_reduce_all(graph, "a", far_square(graph, "sq", x)),
                    b = far_reduce_all(graph, "b", far_exp(graph, "e", x));
    (void)arg;
    return far_add(graph, "loss", a, far_scale_shift(graph, "half", far_log(graph, "log", b), 0.5, 1.0));
}

FAR_TEST(losses_add_up)
{
    op_check("terms", build_terms, NULL);
}

/* Equal maxima share: the slope of the loss along all of them at once is what it was. */
static far_value build_ties(far_graph *graph, const void *arg)
{
    const far_value x = far_graph_input(graph, "x", FAR_F32, &(far_shape){ 2, { 3, 4 } });
    static const int32_t axis[] = { 1 };
    (void)arg;
    const far_value both[] = { x, x };
    return far_reduce(graph, "y", far_concat(graph, "twice", 2, both, 1), FAR_REDUCE_MAX, 1, axis, false);
}

FAR_TEST(maxima_share_the_gradient)
{
    op_check_with("ties", build_ties, NULL, &(op_check_opts){ .kink_margin = 0.1 });
}

FAR_TEST(reduce_refuses_wrong_axes)
{
    static const reduce_case cases[] = {
        { "batch", FAR_REDUCE_SUM, { 2, { 2, 3 } }, 1, { 0 }, false },
        { "beyond", FAR_REDUCE_SUM, { 2, { 2, 3 } }, 1, { 2 }, false },
        { "twice", FAR_REDUCE_SUM, { 2, { 2, 3 } }, 2, { 1, -1 }, false },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        far_graph *graph = NULL;
        FAR_CHECK_OK(far_graph_create(true, &graph));
        FAR_CHECK_EQ_I64(build(graph, &cases[i]), FAR_NO_VALUE);
        FAR_CHECK(far_graph_status(graph) != FAR_OK);
        FAR_CHECK_HAS(far_error_message(), "reduce 'y'");
        far_graph_destroy(graph);
    }
}
