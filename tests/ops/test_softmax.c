/* Softmax and log-softmax: whole machine against the oracle, errors. */
#include "op_check.h"
#include "test.h"
#include <farandole/activation.h>

typedef struct softmax_case {
    const char *name;
    far_shape x;
    int32_t axis;
} softmax_case;

static const softmax_case cases[] = {
    { "vectors", { 2, { 5, 10 } }, 1 },
    { "vectors, last axis", { 2, { 5, 10 } }, -1 },
    { "one class", { 2, { 4, 1 } }, 1 },
    { "long vectors", { 2, { 3, 100 } }, 1 },
    { "three classes of pixels", { 4, { 2, 3, 9, 11 } }, 1 },
    { "33 classes of pixels", { 4, { 2, 33, 5, 3 } }, 1 },
    { "five classes, 3-D", { 5, { 1, 5, 6, 3, 4 } }, 1 },
    { "channels of sequences", { 3, { 2, 4, 9 } }, 1 },
    { "attention", { 4, { 2, 3, 6, 6 } }, 3 },
    { "attention of 40", { 4, { 1, 2, 5, 40 } }, -1 },
    { "sequences of one, whose lines may be cut", { 3, { 2, 1, 23 } }, 2 },
    { "long sequences of one", { 3, { 1, 1, 70 } }, 2 },
    { "sequences, last axis", { 3, { 2, 5, 12 } }, 2 },
    { "long sequences, last axis", { 3, { 2, 3, 45 } }, 2 },
};

static far_value build(far_graph *graph, const void *arg)
{
    const softmax_case *c = arg;
    return far_softmax(graph, "softmax", far_graph_input(graph, "x", FAR_F32, &c->x), c->axis);
}

static far_value build_log(far_graph *graph, const void *arg)
{
    const softmax_case *c = arg;
    return far_log_softmax(graph, "softmax", far_graph_input(graph, "x", FAR_F32, &c->x), c->axis);
}

FAR_TEST(softmax_through_the_machine)
{
    const op_check_opts near = { .input_scale = 2.0 }, wide = { .input_scale = 30.0 };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        op_check_with(cases[i].name, build, &cases[i], &near);
        op_check_with(cases[i].name, build, &cases[i], &wide);
    }
}

FAR_TEST(log_softmax_through_the_machine)
{
    const op_check_opts near = { .input_scale = 2.0 }, wide = { .input_scale = 30.0 };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        op_check_with(cases[i].name, build_log, &cases[i], &near);
        op_check_with(cases[i].name, build_log, &cases[i], &wide);
    }
}

FAR_TEST(softmax_errors)
{
    const far_shape shape = { 4, { 1, 3, 4, 5 } };
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK(far_softmax(graph, "softmax", far_graph_input(graph, "x", FAR_F32, &shape), 2) == FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_ARG);
    FAR_CHECK_HAS(far_error_message(), "axis 2");
    FAR_CHECK_HAS(far_error_message(), "1x3x4x5");
    far_graph_destroy(graph);
}
