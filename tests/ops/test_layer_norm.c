/* Layer norm over the last axis: whole machine against the oracle, the formula, errors. */
#include "op_check.h"
#include "test.h"
#include <farandole/norm.h>

typedef struct layer_norm_case {
    const char *name;
    far_shape x;
    far_norm_opts opts;
} layer_norm_case;

static const layer_norm_case cases[] = {
    { "vectors", { 2, { 5, 16 } }, { .eps = 0.0 } },
    { "odd vectors", { 2, { 7, 19 } }, { .eps = 0.0 } },
    { "vectors of one", { 2, { 3, 2 } }, { .eps = 0.1 } },
    { "wide vectors, no affine", { 2, { 3, 100 } }, { .no_affine = true } },
    { "sequences", { 3, { 3, 7, 12 } }, { .eps = 0.0 } },
    { "sequences of 33", { 3, { 2, 5, 33 } }, { .eps = 1e-3 } },
    { "sequences, no affine", { 3, { 2, 4, 21 } }, { .no_affine = true } },
    { "sequences of one, whose lines may be cut", { 3, { 2, 1, 23 } }, { .eps = 0.0 } },
    { "images of one channel", { 4, { 2, 1, 9, 10 } }, { .eps = 0.0 } },
    { "images along their rows", { 4, { 2, 3, 6, 10 } }, { .eps = 0.0 } },
};

static far_value build(far_graph *graph, const void *arg)
{
    const layer_norm_case *c = arg;
    const far_value y = far_layer_norm_last(graph, "ln", far_graph_input(graph, "x", FAR_F32, &c->x), &c->opts);
    for (int64_t i = 0; i < graph->tensor_count; i++)
        if (graph->tensors[i]->role == FARI_ROLE_PARAM)
            graph->tensors[i]->init = (far_init){ FAR_INIT_UNIFORM, 1.5, 0 };
    return y;
}

FAR_TEST(layer_norm_through_the_machine)
{
    for (size_t i = 0; i < FAR_COUNT(cases); i++) op_check(cases[i].name, build, &cases[i]);
}

FAR_TEST(layer_norm_errors)
{
    const far_shape shape = { 2, { 4, 6 } }, line = { 1, { 4 } };
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK(far_layer_norm_last(graph, "ln", far_graph_input(graph, "x", FAR_F32, &shape),
                                  &(far_norm_opts){ .act = FAR_ACT_RELU }) == FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_ARG);
    FAR_CHECK_HAS(far_error_message(), "fuses nothing");
    far_graph_destroy(graph);
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK(far_layer_norm_last(graph, "ln", far_graph_input(graph, "x", FAR_F32, &line), NULL) == FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_SHAPE);
    FAR_CHECK_HAS(far_error_message(), "[4]");
    far_graph_destroy(graph);
}
