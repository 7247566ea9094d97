/* The builder: shapes, names, sharing, errors that say what and where, differentiation of values used more than once. */
#include "base/mem.h"
#include "graph/autodiff.h"
#include "graph/graph.h"
#include "ops/reduce.h"
#include "test.h"
#include <farandole/conv.h>
#include <farandole/elementwise.h>
#include <farandole/linear.h>

static far_value image(far_graph *graph, int64_t channels)
{
    return far_graph_input(graph, "image", FAR_F32, &(far_shape){ 4, { 2, channels, 8, 6 } });
}

FAR_TEST(a_wrong_shape_names_op_node_and_both_shapes)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value a = image(graph, 3);
    const far_value b = far_graph_input(graph, "other", FAR_F32, &(far_shape){ 4, { 2, 3, 8, 7 } });
    FAR_CHECK(far_add(graph, "join", a, b) == FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_SHAPE);
    FAR_CHECK_HAS(far_error_message(), "'join'");
    FAR_CHECK_HAS(far_error_message(), "2x3x8x6");
    FAR_CHECK_HAS(far_error_message(), "2x3x8x7");
    far_graph_destroy(graph);
}

FAR_TEST(the_first_error_stays_and_later_calls_do_nothing)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value x = image(graph, 3);
    const far_value bad = far_conv(graph, "first", x, &(far_conv_opts){ .out_channels = 4, .kernel = { 9 } });
    FAR_CHECK(bad == FAR_NO_VALUE);
    const int64_t nodes = graph->node_count;
    FAR_CHECK(far_linear(graph, "second", bad, &(far_linear_opts){ .out_features = 5 }) == FAR_NO_VALUE);
    FAR_CHECK_EQ_I64(graph->node_count, nodes);
    FAR_CHECK(far_graph_status(graph) != FAR_OK);
    FAR_CHECK_HAS(far_error_message(), "'first'");
    FAR_CHECK(far_graph_backward(graph, bad) != FAR_OK);
    far_graph_destroy(graph);
}

FAR_TEST(layers_share_parameters_by_name)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    far_value x = image(graph, 3);
    const far_conv_opts opts = { .out_channels = 3, .kernel = { 3 }, .pad = { 1 } };
    x = far_conv(graph, "shared", x, &opts);
    x = far_conv(graph, "shared", x, &opts);
    FAR_CHECK_OK(far_graph_status(graph));
    FAR_CHECK_EQ_I64(far_graph_param_count(graph), 2);
    FAR_CHECK_EQ_I64(far_graph_param_elems(graph), 3 * 3 * 9 + 3);
    FAR_CHECK(far_conv(graph, "shared", x, &(far_conv_opts){ .out_channels = 4, .kernel = { 3 } }) == FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_SHAPE);
    FAR_CHECK_HAS(far_error_message(), "shared.weight");
    far_graph_destroy(graph);
}

FAR_TEST(contributions_of_all_users_are_summed)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value x = far_graph_input(graph, "x", FAR_F32, &(far_shape){ 2, { 3, 4 } });
    far_value sum = x;
    for (int i = 0; i < 20; i++) sum = far_add(graph, "again", sum, x); /* more users than one sum takes operands */
    const far_value loss = fari_emit(graph, &fari_op_reduce_all, "loss", NULL, 1, &sum);
    FAR_CHECK_OK(fari_graph_backward_wrt(graph, loss, 1, &x));
    const far_value grad = far_graph_gradient(graph, x);
    FAR_CHECK(grad >= 0);
    const far_shape shape = far_graph_shape(graph, grad);
    FAR_CHECK(shape.ndim == 2 && shape.dim[0] == 3 && shape.dim[1] == 4);
    far_graph_destroy(graph);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(a_loss_over_samples_is_refused)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value x = image(graph, 1);
    FAR_CHECK_STATUS(far_graph_backward(graph, x), FAR_E_SHAPE);
    FAR_CHECK_HAS(far_error_message(), "one number");
    far_graph_destroy(graph);
}

FAR_TEST(extents_below_one_are_refused)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK(far_graph_input(graph, "x", FAR_F32, &(far_shape){ 2, { 0, 4 } }) == FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_SHAPE);
    far_graph_destroy(graph);
}
