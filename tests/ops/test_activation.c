/* Activations: whole machine against the oracle, known values, errors. */
#include "op_check.h"
#include "test.h"
#include <farandole/activation.h>

typedef struct act_case {
    far_act act;
    double slope;
    far_shape x;
} act_case;

static const far_shape shapes[] = {
    { 2, { 3, 5 } }, { 4, { 2, 8, 5, 6 } }, { 4, { 1, 3, 11, 7 } }, { 3, { 2, 5, 9 } }, { 5, { 1, 4, 6, 3, 5 } },
};

static far_value build(far_graph *graph, const void *arg)
{
    const act_case *c = arg;
    return far_activation(graph, "act", far_graph_input(graph, "x", FAR_F32, &c->x), c->act, c->slope);
}

FAR_TEST(activations_through_the_machine)
{
    for (int act = FAR_ACT_RELU; act < FAR_ACT_COUNT; act++)
        for (size_t i = 0; i < FAR_COUNT(shapes); i++) {
            const act_case c = { (far_act)act, 0.1, shapes[i] };
            const bool has_kink = act == FAR_ACT_RELU || act == FAR_ACT_LEAKY_RELU;
            const op_check_opts opts = { .input_scale = i % 2 == 0 ? 1.0 : 6.0, .kink_margin = has_kink ? 0.1 : 0.0 };
            op_check_with(far_act_name(c.act), build, &c, &opts);
        }
}

FAR_TEST(activation_names)
{
    FAR_CHECK_STR(far_act_name(FAR_ACT_NONE), "none");
    FAR_CHECK_STR(far_act_name(FAR_ACT_GELU_TANH), "gelu_tanh");
    FAR_CHECK(far_act_name(FAR_ACT_COUNT) == NULL);
}

FAR_TEST(no_activation_is_the_input)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value x = far_graph_input(graph, "x", FAR_F32, &shapes[0]);
    FAR_CHECK(far_activation(graph, "act", x, FAR_ACT_NONE, 0.0) == x);
    FAR_CHECK_OK(far_graph_status(graph));
    far_graph_destroy(graph);
}

FAR_TEST(activation_errors)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK(far_leaky_relu(graph, "act", far_graph_input(graph, "x", FAR_F32, &shapes[0]), -0.5) == FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_ARG);
    FAR_CHECK_HAS(far_error_message(), "slope -0.5");
    far_graph_destroy(graph);
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK(far_gelu(graph, "act", far_graph_input(graph, "x", FAR_I32, &shapes[0])) == FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_SHAPE);
    FAR_CHECK_HAS(far_error_message(), "expects f32");
    far_graph_destroy(graph);
}
