#include "support/optim_problem.h"
#include "test.h"
#include <farandole/elementwise.h>

#define UNIFORM(bound)             \
    {                              \
        FAR_INIT_UNIFORM, bound, 0 \
    }

const optim_param optim_params[OPTIM_PARAMS] = {
    { "fc.weight",
      { 2, { 130, 151 } },
      UNIFORM(1.0),
      UNIFORM(2.0),
      false,
      false }, /* two chunks, the second not full */
    { "fc.bias", { 1, { 7 } }, UNIFORM(0.5), UNIFORM(1.0), false, true },
    { "bn.weight", { 1, { 5 } }, { FAR_INIT_CONST, 1.0, 0 }, UNIFORM(1.0), true, true },
    { "bn.bias", { 1, { 5 } }, UNIFORM(0.1), UNIFORM(1.0), true, true },
    { "zero.weight",
      { 2, { 3, 3 } },
      { FAR_INIT_ZERO, 0.0, 0 },
      UNIFORM(1.0),
      false,
      false }, /* norm of w, and of g, 0 */
    { "idle.weight", { 2, { 2, 9 } }, UNIFORM(1.0), { FAR_INIT_ZERO, 0.0, 0 }, false, false }, /* norm of g 0 */
    { "one.weight", { 2, { 1, 1 } }, { FAR_INIT_CONST, 0.7, 0 }, { FAR_INIT_CONST, 1.3, 0 }, false, false },
    /* more of them than one sum takes */
    { "a.weight", { 2, { 2, 3 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
    { "b.weight", { 2, { 3, 2 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
    { "c.weight", { 4, { 2, 3, 3, 3 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
    { "d.weight", { 2, { 5, 1 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
    { "e.weight", { 2, { 1, 5 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
    { "f.weight", { 2, { 4, 4 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
    { "g.weight", { 2, { 4, 3 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
    { "h.weight", { 2, { 3, 4 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
};

void optim_slope_name(const char *param, char name[64])
{
    (void)snprintf(name, 64, "%s.slope", param);
}

far_graph *optim_problem_make(const far_optim_opts *opts)
{
    far_graph *graph = NULL;
    far_value loss = FAR_NO_VALUE;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    for (int i = 0; i < OPTIM_PARAMS; i++) {
        char name[64];
        optim_slope_name(optim_params[i].name, name);
        const far_value w = far_graph_param(graph, optim_params[i].name, &optim_params[i].shape, optim_params[i].init);
        const far_value c = far_graph_state(graph, name, &optim_params[i].shape, optim_params[i].slope);
        const far_value y = far_mul(graph, "y", far_square(graph, "sq", w), c);
        const far_value term = far_reduce_all(graph, "term", far_scale_shift(graph, "half", y, 0.5, 0.0));
        loss = i == 0 ? term : far_add(graph, "loss", loss, term);
    }
    FAR_CHECK_OK(far_graph_status(graph));
    FAR_CHECK_OK(far_optim_freeze(graph, opts));
    FAR_CHECK_OK(far_graph_backward(graph, loss));
    FAR_CHECK_OK(far_optim_apply(graph, opts));
    return graph;
}

double optim_lr_at(int64_t step)
{
    return 0.2 / (1.0 + 0.4 * (double)step);
}

void optim_numbers_free(optim_numbers *numbers)
{
    for (int i = 0; i < OPTIM_PARAMS; i++) {
        free(numbers->w[i]);
        free(numbers->ema[i]);
        free(numbers->slope[i]);
    }
}
