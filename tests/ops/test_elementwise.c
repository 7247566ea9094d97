/* Arithmetic element by element, through the whole machine: every operation, every way of repeating, both orders. */
#include "graph/graph.h"
#include "support/op_check.h"
#include "test.h"
#include <farandole/elementwise.h>
#include <farandole/shape.h>

typedef far_value (*binary_fn)(far_graph *graph, const char *name, far_value a, far_value b);
typedef far_value (*unary_fn)(far_graph *graph, const char *name, far_value x);

typedef enum second_kind { SECOND_INPUT, SECOND_PARAM } second_kind;

typedef struct binary_case {
    const char *name;
    binary_fn fn;
    far_shape a, b;
    second_kind second;
    bool is_row_major; /* goes through a transposition first */
    bool is_positive;  /* b stays away from 0 */
} binary_case;

/* x + 2.5: for divisors and logarithms. */
static far_value away_from_zero(far_graph *graph, far_value x)
{
    return far_scale_shift(graph, "shifted", x, 1.0, 2.5);
}

static far_value build_binary(far_graph *graph, const void *arg)
{
    const binary_case *c = arg;
    static const int32_t swap[] = { 0, 1, 3, 2 };
    const far_init init = { FAR_INIT_UNIFORM, 1.0, 0 };
    far_value a = far_graph_input(graph, "a", FAR_F32, &c->a);
    far_value b = c->second == SECOND_INPUT ? far_graph_input(graph, "b", FAR_F32, &c->b)
                                            : far_graph_param(graph, "b", &c->b, init);
    if (c->is_row_major) a = far_transpose(graph, "swap", a, swap);
    if (c->is_positive) b = away_from_zero(graph, b);
    return c->fn(graph, "y", a, b);
}

FAR_TEST(binary_matches_its_oracle)
{
    static const binary_case cases[] = {
        { "add", far_add, { 4, { 2, 3, 9, 5 } }, { 4, { 2, 3, 9, 5 } }, SECOND_INPUT, false, false },
        { "sub", far_sub, { 4, { 3, 17, 8, 5 } }, { 4, { 3, 17, 8, 5 } }, SECOND_INPUT, false, false },
        { "mul", far_mul, { 2, { 5, 7 } }, { 2, { 5, 7 } }, SECOND_INPUT, false, false },
        { "div", far_div, { 3, { 2, 3, 11 } }, { 3, { 2, 3, 11 } }, SECOND_INPUT, false, true },
        { "maximum", far_maximum, { 4, { 2, 2, 9, 3 } }, { 4, { 2, 2, 9, 3 } }, SECOND_INPUT, false, false },
        { "minimum", far_minimum, { 5, { 1, 2, 4, 3, 2 } }, { 5, { 1, 2, 4, 3, 2 } }, SECOND_INPUT, false, false },
        { "orders differ", far_add, { 4, { 2, 3, 5, 7 } }, { 4, { 2, 3, 7, 5 } }, SECOND_INPUT, true, false },
        { "scalar", far_mul, { 4, { 2, 3, 9, 5 } }, { 1, { 1 } }, SECOND_PARAM, false, false },
        { "scalar, more grains than leaves", far_mul, { 2, { 150, 2 } }, { 1, { 1 } }, SECOND_PARAM, false, false },
        { "channel, more grains than leaves", far_mul, { 3, { 150, 3, 2 } }, { 1, { 3 } }, SECOND_PARAM, false, false },
        { "channel, row-major, more grains than leaves",
          far_mul,
          { 4, { 150, 3, 2, 2 } },
          { 1, { 3 } },
          SECOND_PARAM,
          true,
          false },
        { "over samples, more grains than leaves",
          far_mul,
          { 3, { 150, 3, 2 } },
          { 2, { 3, 2 } },
          SECOND_PARAM,
          false,
          false },
        { "scalar of no axes", far_add, { 2, { 5, 7 } }, { 0, { 0 } }, SECOND_PARAM, false, false },
        { "scalar divisor", far_div, { 4, { 3, 4, 8, 5 } }, { 1, { 1 } }, SECOND_PARAM, false, true },
        { "channel", far_add, { 4, { 2, 3, 9, 5 } }, { 1, { 3 } }, SECOND_PARAM, false, false },
        { "channel, 8", far_mul, { 4, { 2, 8, 12, 5 } }, { 1, { 8 } }, SECOND_PARAM, false, false },
        { "channel, many", far_mul, { 4, { 1, 600, 3, 2 } }, { 1, { 600 } }, SECOND_PARAM, false, false },
        { "channel, divided", far_div, { 3, { 2, 5, 13 } }, { 1, { 5 } }, SECOND_PARAM, false, true },
        { "channel, row-major", far_sub, { 4, { 2, 3, 5, 4 } }, { 1, { 3 } }, SECOND_PARAM, true, false },
        { "features", far_mul, { 2, { 9, 5 } }, { 1, { 5 } }, SECOND_PARAM, false, false },
        { "sample and channel", far_mul, { 4, { 3, 4, 9, 5 } }, { 2, { 3, 4 } }, SECOND_INPUT, false, false },
        { "sample and channel, 1 x 1",
          far_mul,
          { 4, { 3, 4, 9, 5 } },
          { 4, { 3, 4, 1, 1 } },
          SECOND_INPUT,
          false,
          false },
        { "sample and channel, row-major", far_div, { 4, { 3, 4, 6, 5 } }, { 2, { 3, 4 } }, SECOND_INPUT, true, true },
        { "over samples", far_add, { 3, { 4, 5, 6 } }, { 2, { 5, 6 } }, SECOND_PARAM, false, false },
        { "over samples, row-major", far_mul, { 4, { 3, 2, 5, 4 } }, { 3, { 2, 4, 5 } }, SECOND_PARAM, true, false },
        { "maximum with channel", far_maximum, { 4, { 2, 3, 9, 5 } }, { 1, { 3 } }, SECOND_PARAM, false, false },
        { "scalar first", far_mul, { 2, { 4, 1 } }, { 4, { 4, 1, 6, 3 } }, SECOND_INPUT, false, false },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        const op_check_opts opts = { .kink_margin = 0.1 };
        const bool has_kinks = cases[i].fn == far_maximum || cases[i].fn == far_minimum;
        op_check_with(cases[i].name, build_binary, &cases[i], has_kinks ? &opts : &(op_check_opts){ 0 });
    }
}

/* At 0, max(x, 2 x) has slopes 1 and 2: equal operands share the gradient, which is what the central difference sees. */
static far_value build_tie(far_graph *graph, const void *arg)
{
    const binary_fn *fn = arg;
    const far_value x = far_graph_param(graph, "x", &(far_shape){ 2, { 2, 3 } }, (far_init){ FAR_INIT_ZERO, 0.0, 0 });
    return (*fn)(graph, "y", x, far_scale_shift(graph, "twice", x, 2.0, 0.0));
}

FAR_TEST(equal_operands_share_the_gradient)
{
    static const binary_fn fns[] = { far_maximum, far_minimum };
    for (size_t i = 0; i < FAR_COUNT(fns); i++) op_check("ties", build_tie, &fns[i]);
}

typedef struct unary_case {
    const char *name;
    unary_fn fn;
    bool is_positive;
    double kink_margin;
} unary_case;

static far_value clamp(far_graph *graph, const char *name, far_value x)
{
    return far_clamp(graph, name, x, -0.4, 0.6);
}

static far_value affine(far_graph *graph, const char *name, far_value x)
{
    return far_scale_shift(graph, name, x, -1.7, 0.3);
}

typedef struct unary_arg {
    const unary_case *c;
    far_shape shape;
} unary_arg;

static far_value build_unary(far_graph *graph, const void *arg)
{
    const unary_arg *a = arg;
    far_value x = far_graph_input(graph, "x", FAR_F32, &a->shape);
    if (a->c->is_positive) x = away_from_zero(graph, x);
    return a->c->fn(graph, "y", x);
}

FAR_TEST(unary_matches_its_oracle)
{
    static const unary_case cases[] = {
        { "neg", far_neg, false, 0.0 },       { "exp", far_exp, false, 0.0 },  { "log", far_log, true, 0.0 },
        { "log1p", far_log1p, true, 0.0 },    { "sqrt", far_sqrt, true, 0.0 }, { "abs", far_abs, false, 0.1 },
        { "square", far_square, false, 0.0 }, { "clamp", clamp, false, 0.1 },  { "affine", affine, false, 0.0 },
    };
    static const far_shape shapes[] = { { 2, { 3, 5 } }, { 4, { 2, 3, 10, 7 } }, { 5, { 1, 2, 7, 3, 2 } } };
    for (size_t i = 0; i < FAR_COUNT(cases); i++)
        for (size_t k = 0; k < FAR_COUNT(shapes); k++) {
            const unary_arg arg = { &cases[i], shapes[k] };
            op_check_with(cases[i].name, build_unary, &arg, &(op_check_opts){ .kink_margin = cases[i].kink_margin });
        }
}

/* A value with many users: its gradient is a sum of more than one op takes. */
static far_value build_fan_out(far_graph *graph, const void *arg)
{
    const int32_t users = *(const int32_t *)arg;
    const far_value x = far_graph_input(graph, "x", FAR_F32, &(far_shape){ 4, { 2, 3, 9, 4 } });
    far_value sum = x;
    for (int32_t i = 0; i < users; i++)
        sum = far_add(graph, "sum", sum, far_scale_shift(graph, "part", x, 0.1 * i, 1.0));
    return sum;
}

FAR_TEST(sums_of_many_gradients)
{
    static const int32_t users[] = { 1, 2, 11, 12, 30 };
    for (size_t i = 0; i < FAR_COUNT(users); i++) op_check("fan-out", build_fan_out, &users[i]);
}

/* One user keeps rows, the other does not: the sum of their gradients must not mix the two up. */
static far_value build_two_cuts(far_graph *graph, const void *arg)
{
    static const int32_t swap[] = { 0, 1, 3, 2 };
    const far_value x = far_graph_input(graph, "x", FAR_F32, &(far_shape){ 4, { 2, 3, 12, 12 } });
    const far_value t = far_transpose(graph, "t", x, swap);
    (void)arg;
    return far_mul(graph, "y", far_square(graph, "sq", x), t);
}

FAR_TEST(gradients_with_and_without_rows_add_up)
{
    op_check("two cuts", build_two_cuts, NULL);
}

static void expect_misfit(const far_shape *a, const far_shape *b, second_kind second, binary_fn fn)
{
    const binary_case c = { "misfit", fn, *a, *b, second, false, false };
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK_EQ_I64(build_binary(graph, &c), FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_SHAPE);
    FAR_CHECK_HAS(far_error_message(), "binary 'y'");
    far_graph_destroy(graph);
}

FAR_TEST(elementwise_refuses_what_does_not_fit)
{
    far_graph *graph = NULL;
    expect_misfit(&(far_shape){ 4, { 2, 3, 4, 5 } }, &(far_shape){ 4, { 2, 3, 4, 6 } }, SECOND_INPUT, far_add);
    expect_misfit(&(far_shape){ 4, { 2, 3, 4, 5 } }, &(far_shape){ 1, { 5 } }, SECOND_PARAM, far_add);
    expect_misfit(&(far_shape){ 2, { 2, 3 } }, &(far_shape){ 4, { 2, 3, 4, 5 } }, SECOND_INPUT,
                  far_sub); /* does not commute */
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value x = far_graph_input(graph, "x", FAR_F32, &(far_shape){ 2, { 2, 3 } });
    FAR_CHECK_EQ_I64(far_clamp(graph, "y", x, 1.0, -1.0), FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_ARG);
    far_graph_destroy(graph);
}
