/* Fully connected layers and the column sums of their biases, through the whole machine. */
#include "graph/graph.h"
#include "support/op_check.h"
#include "test.h"
#include <farandole/elementwise.h>
#include <farandole/linear.h>

typedef struct linear_case {
    const char *name;
    far_shape x;
    far_linear_opts opts;
} linear_case;

static far_value build(far_graph *graph, const void *arg)
{
    const linear_case *c = arg;
    return far_linear(graph, "fc", far_graph_input(graph, "x", FAR_F32, &c->x), &c->opts);
}

FAR_TEST(linear_matches_its_oracle)
{
    static const linear_case cases[] = {
        { "one of everything", { 2, { 1, 1 } }, { .out_features = 1 } },
        { "odd", { 2, { 5, 7 } }, { .out_features = 3 } },
        { "no bias", { 2, { 4, 16 } }, { .out_features = 9, .no_bias = true } },
        { "wide", { 2, { 3, 67 } }, { .out_features = 130 } },
        { "many samples", { 2, { 70, 5 } }, { .out_features = 33 } },
        { "tokens", { 3, { 3, 5, 6 } }, { .out_features = 4 } },
        { "tokens, one feature", { 3, { 2, 9, 1 } }, { .out_features = 17, .no_bias = true } },
        { "four axes", { 4, { 2, 3, 4, 5 } }, { .out_features = 6 } },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) op_check(cases[i].name, build, &cases[i]);
}

/* Two layers that share their parameters by name. */
static far_value build_shared(far_graph *graph, const void *arg)
{
    const far_value x = far_graph_input(graph, "x", FAR_F32, &(far_shape){ 2, { 3, 6 } });
    const far_linear_opts opts = { .out_features = 6 };
    (void)arg;
    return far_linear(graph, "fc", far_square(graph, "sq", far_linear(graph, "fc", x, &opts)), &opts);
}

FAR_TEST(linear_shares_parameters_by_name)
{
    op_check("shared", build_shared, NULL);
}

FAR_TEST(linear_names_and_initial_bounds)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value x = far_graph_input(graph, "x", FAR_F32, &(far_shape){ 2, { 2, 25 } });
    const far_value y = far_linear(graph, "fc", x, &(far_linear_opts){ .out_features = 4 });
    const far_value weight = far_graph_find(graph, "fc.weight"), bias = far_graph_find(graph, "fc.bias");
    FAR_CHECK(weight >= 0 && bias >= 0);
    FAR_CHECK_EQ_I64(far_graph_shape(graph, weight).dim[0], 4);
    FAR_CHECK_EQ_I64(far_graph_shape(graph, weight).dim[1], 25);
    FAR_CHECK_EQ_I64(far_graph_shape(graph, y).dim[1], 4);
    FAR_CHECK(fari_tensor_of(graph, bias)->init.kind == FAR_INIT_TORCH_UNIFORM);
    FAR_CHECK_EQ_I64(fari_tensor_of(graph, bias)->init.fan_in, 25);
    far_graph_destroy(graph);
}

static void expect_failure(const far_shape *x, const far_linear_opts *opts, far_status want, const char *words)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK_EQ_I64(far_linear(graph, "fc", far_graph_input(graph, "x", FAR_F32, x), opts), FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), want);
    FAR_CHECK_HAS(far_error_message(), words);
    FAR_CHECK_HAS(far_error_message(), "fc");
    far_graph_destroy(graph);
}

FAR_TEST(linear_refuses_what_does_not_fit)
{
    expect_failure(&(far_shape){ 2, { 2, 3 } }, &(far_linear_opts){ 0 }, FAR_E_ARG, "out_features");
    expect_failure(&(far_shape){ 1, { 2 } }, &(far_linear_opts){ .out_features = 3 }, FAR_E_SHAPE,
                   "[N, ..., features]");
}
