/* Options of optimizers: names of states, groups, and what is refused. */
#include "graph/graph.h"
#include "support/optim_problem.h"
#include "test.h"
#include <farandole/elementwise.h>

FAR_TEST(states_have_the_names_of_pytorch)
{
    static const struct {
        far_optim_opts opts;
        const char *state;
        bool is_there;
    } cases[] = {
        { { .name = "sgd" }, "fc.weight.momentum_buffer", false },
        { { .name = "sgd", .momentum = 0.9 }, "fc.weight.momentum_buffer", true },
        { { .name = "adam" }, "bn.bias.exp_avg", true },
        { { .name = "adam" }, "bn.bias.exp_avg_sq", true },
        { { .name = "rmsprop" }, "fc.bias.square_avg", true },
        { { .name = "rmsprop" }, "fc.bias.grad_avg", false },
        { { .name = "rmsprop", .centered = true }, "fc.bias.grad_avg", true },
        { { .name = "sgd", .ema_decay = 0.9 }, "fc.weight.ema", true },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        far_graph *graph = optim_problem_make(&cases[i].opts);
        FAR_CHECK_MSG((far_graph_find(graph, cases[i].state) >= 0) == cases[i].is_there, "%s", cases[i].state);
        far_graph_destroy(graph);
    }
}

static void expect_refused(const far_optim_opts *opts, far_status want, const char *words)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value w = far_graph_param(graph, "w", &(far_shape){ 1, { 3 } }, (far_init){ FAR_INIT_CONST, 1.0, 0 });
    FAR_CHECK_OK(far_graph_backward(graph, far_reduce_all(graph, "loss", w)));
    FAR_CHECK_STATUS(far_optim_apply(graph, opts), want);
    FAR_CHECK_HAS(far_error_message(), words);
    FAR_CHECK_STATUS(far_graph_status(graph), want);
    far_graph_destroy(graph);
}

FAR_TEST(wrong_options_are_refused)
{
    static const far_param_group nobody = { .patterns = "head.*" };
    expect_refused(&(far_optim_opts){ .name = "adagrad" }, FAR_E_CONFIG, "adagrad");
    expect_refused(&(far_optim_opts){ .name = "lars", .form = "apex" }, FAR_E_CONFIG, "apex");
    expect_refused(&(far_optim_opts){ .name = "lamb", .form = "you" }, FAR_E_CONFIG, "you");
    expect_refused(&(far_optim_opts){ .name = "adam", .momentum = 0.9 }, FAR_E_CONFIG, "momentum");
    expect_refused(&(far_optim_opts){ .name = "sgd", .betas = { 0.9, 0.9 } }, FAR_E_CONFIG, "betas");
    expect_refused(&(far_optim_opts){ .name = "sgd", .form = "you" }, FAR_E_CONFIG, "form");
    expect_refused(&(far_optim_opts){ .name = "lamb", .trust = 0.1 }, FAR_E_CONFIG, "trust");
    expect_refused(&(far_optim_opts){ .name = "sgd", .nesterov = true }, FAR_E_ARG, "Nesterov");
    expect_refused(&(far_optim_opts){ .name = "sgd", .momentum = 1.5 }, FAR_E_ARG, "momentum");
    expect_refused(&(far_optim_opts){ .name = "sgd", .weight_decay = NAN }, FAR_E_ARG, "weight_decay");
    expect_refused(&(far_optim_opts){ .name = "sgd", .clip_norm = 1.0, .clip_tensor_norm = 1.0 }, FAR_E_ARG,
                   "clip_norm");
    expect_refused(&(far_optim_opts){ .name = "lars", .dampening = 0.1 }, FAR_E_CONFIG, "dampening");
    expect_refused(&(far_optim_opts){ .name = "sgd", .group_count = 1, .groups = &nobody }, FAR_E_NOTFOUND, "head.*");
}

FAR_TEST(every_optimizer_describes_itself)
{
    int32_t count = 0;
    const char *sentence = NULL;
    while (far_optim_describe(count, &sentence) != NULL) {
        FAR_CHECK(strlen(sentence) > 10);
        count++;
    }
    FAR_CHECK_EQ_I64(count, 6);
    FAR_CHECK(far_optim_describe(-1, NULL) == NULL);
}

static int count_nodes(const far_graph *graph, const char *op, const char *name)
{
    int count = 0;
    for (int64_t i = 0; i < graph->node_count; i++)
        count += strcmp(graph->nodes[i]->op->name, op) == 0 && strcmp(graph->nodes[i]->name, name) == 0;
    return count;
}

FAR_TEST(groups_may_do_without_trust_ratios)
{
    static const far_param_group plain = { .patterns = "fc.weight", .no_adapt = true };
    static const char *const names[] = { "lars", "lamb" }, *const ratios[] = { "lars_rate", "lamb_ratio" };
    for (size_t i = 0; i < FAR_COUNT(names); i++) {
        far_optim_opts opts = { .name = names[i], .weight_decay = 0.1 };
        far_graph *graph = optim_problem_make(&opts);
        FAR_CHECK_EQ_I64(count_nodes(graph, ratios[i], "fc.weight"), 1);
        far_graph_destroy(graph);
        opts.group_count = 1;
        opts.groups = &plain;
        graph = optim_problem_make(&opts);
        FAR_CHECK_EQ_I64(count_nodes(graph, ratios[i], "fc.weight"), 0);
        FAR_CHECK_EQ_I64(count_nodes(graph, names[i], "fc.weight"), 1);
        far_graph_destroy(graph);
    }
}

FAR_TEST(patterns_may_be_lists)
{
    static const far_param_group both = { .patterns = "nothing.*, bn.* ,fc.bias", .is_frozen = true };
    const far_optim_opts opts = { .name = "sgd", .group_count = 1, .groups = &both };
    far_graph *graph = optim_problem_make(&opts);
    FAR_CHECK(far_graph_gradient(graph, far_graph_find(graph, "bn.weight")) < 0);
    FAR_CHECK(far_graph_gradient(graph, far_graph_find(graph, "fc.bias")) < 0);
    FAR_CHECK(far_graph_gradient(graph, far_graph_find(graph, "fc.weight")) >= 0);
    far_graph_destroy(graph);
}
