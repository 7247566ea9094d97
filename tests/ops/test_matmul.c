/* Products of matrices, all four transpositions, through the whole machine. */
#include "support/op_check.h"
#include "test.h"
#include <farandole/linear.h>

typedef struct matmul_case {
    const char *name;
    far_shape a, b;
    bool transpose_a, transpose_b;
} matmul_case;

static far_value build(far_graph *graph, const void *arg)
{
    const matmul_case *c = arg;
    const far_value a = far_graph_input(graph, "a", FAR_F32, &c->a), b = far_graph_input(graph, "b", FAR_F32, &c->b);
    return far_matmul(graph, "mm", a, b, c->transpose_a, c->transpose_b);
}

FAR_TEST(matmul_matches_its_oracle)
{
    static const matmul_case cases[] = {
        { "plain", { 3, { 3, 4, 5 } }, { 3, { 3, 5, 6 } }, false, false },
        { "b transposed", { 3, { 3, 4, 5 } }, { 3, { 3, 6, 5 } }, false, true },
        { "a transposed", { 3, { 2, 5, 4 } }, { 3, { 2, 5, 7 } }, true, false },
        { "both transposed", { 3, { 2, 5, 4 } }, { 3, { 2, 7, 5 } }, true, true },
        { "heads", { 4, { 2, 3, 6, 8 } }, { 4, { 2, 3, 5, 8 } }, false, true },
        { "outer product", { 3, { 4, 9, 1 } }, { 3, { 4, 1, 3 } }, false, false },
        { "inner product", { 3, { 4, 1, 19 } }, { 3, { 4, 19, 1 } }, false, false },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) op_check(cases[i].name, build, &cases[i]);
}

/* Parameters only: one global product. */
static far_value build_global(far_graph *graph, const void *arg)
{
    const far_init init = { FAR_INIT_UNIFORM, 1.0, 0 };
    (void)arg;
    return far_matmul(graph, "mm", far_graph_param(graph, "a", &(far_shape){ 2, { 3, 4 } }, init),
                      far_graph_param(graph, "b", &(far_shape){ 2, { 5, 4 } }, init), false, true);
}

FAR_TEST(matmul_of_parameters)
{
    op_check("global", build_global, NULL);
}

FAR_TEST(matmul_refuses_what_does_not_fit)
{
    static const matmul_case cases[] = {
        { "inner", { 3, { 2, 3, 4 } }, { 3, { 2, 5, 6 } }, false, false },
        { "leading", { 4, { 2, 3, 4, 5 } }, { 4, { 2, 2, 5, 6 } }, false, false },
        { "axes", { 4, { 2, 3, 4, 5 } }, { 3, { 2, 5, 6 } }, false, false },
        { "batch as rows", { 2, { 4, 5 } }, { 2, { 4, 6 } }, true, false },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        far_graph *graph = NULL;
        FAR_CHECK_OK(far_graph_create(true, &graph));
        FAR_CHECK_EQ_I64(build(graph, &cases[i]), FAR_NO_VALUE);
        FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_SHAPE);
        FAR_CHECK_HAS(far_error_message(), "matmul 'mm'");
        far_graph_destroy(graph);
    }
}
