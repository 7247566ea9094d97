/* Networks described as lists of layers in YAML: what is built, and what is said about mistakes. */
#include "test.h"

#include <farandole/model.h>

/* The graph that a list of layers gives on an input; its options borrow from the configuration. */
typedef struct described {
    far_config *config;
    far_options *opts;
    far_graph *graph;
    far_model_result result;
    far_status status;
} described;

static far_options *options_of(far_config *config, const char *yaml)
{
    far_options *opts = NULL;
    FAR_CHECK_OK(far_config_parse(config, "net.yaml", yaml, strlen(yaml)));
    FAR_CHECK_OK(far_model_opts_create("layers", NULL, &opts));
    return opts;
}

static described describe(const char *yaml, far_shape input)
{
    described net = { 0 };
    FAR_CHECK_OK(far_config_create(&net.config));
    net.opts = options_of(net.config, yaml);
    net.status = far_options_set_node(net.opts, "layers", far_config_node_of(net.config, "model.layers"));
    FAR_CHECK_OK(net.status);
    FAR_CHECK_OK(far_graph_create(true, &net.graph));
    net.status =
        far_model_build(net.graph, net.opts, far_graph_input(net.graph, "image", FAR_F32, &input), &net.result);
    return net;
}

static void forget(described *net)
{
    far_graph_destroy(net->graph);
    far_options_destroy(net->opts);
    far_config_destroy(net->config);
}

static const far_shape image = { 4, { 2, 3, 16, 24 } };

static void check_shape(const described *net, const char *want)
{
    char text[128];
    if (net->status != FAR_OK) far_test_fail(__FILE__, __LINE__, "%s", far_error_message());
    const far_shape shape = far_graph_shape(net->graph, net->result.logits[0]);
    FAR_CHECK_STR(far_shape_text(&shape, text), want);
}

FAR_TEST(a_classifier_is_built_with_pytorch_names)
{
    described net =
        describe("model:\n"
                 "  layers:\n"
                 "    - {name: conv1, op: conv, out_channels: 8, kernel: 3, pad: 1, bias: no}\n"
                 "    - {name: bn1, op: batch_norm, act: relu}\n"
                 "    - {op: max_pool, kernel: 2}\n"
                 "    - {op: conv, out_channels: 16, kernel: [3, 5], pad: [1, 2], stride: 2, init: he_normal}\n"
                 "    - {op: gelu}\n"
                 "    - {op: global_avg_pool}\n"
                 "    - {op: dropout, p: 0.2}\n"
                 "    - {name: fc, op: linear, out_features: 10}\n",
                 image);
    static const char *const names[] = { "conv1.weight", "bn1.weight", "bn1.bias", "conv3.weight",
                                         "conv3.bias",   "fc.weight",  "fc.bias" };
    check_shape(&net, "2x10");
    FAR_CHECK_EQ_I64(far_graph_param_count(net.graph), FAR_COUNT(names));
    for (int32_t i = 0; i < (int32_t)FAR_COUNT(names); i++)
        FAR_CHECK_STR(far_graph_value_name(net.graph, far_graph_param_at(net.graph, i)), names[i]);
    FAR_CHECK_EQ_I64(far_graph_param_elems(net.graph), 3 * 8 * 9 + 16 + 8 * 16 * 15 + 16 + 160 + 10);
    forget(&net);
}

FAR_TEST(layers_take_their_inputs_by_name)
{
    described net = describe("model:\n"
                             "  layers:\n"
                             "    - {name: a, op: conv, out_channels: 4, kernel: 1}\n"
                             "    - {name: b, op: conv, input: input, out_channels: 4, kernel: 3, pad: 1}\n"
                             "    - {name: n, op: batch_norm, residual: a, act: relu}\n"
                             "    - {op: add, inputs: [a, b, n]}\n"
                             "    - {name: half, op: max_pool, kernel: 2}\n"
                             "    - {op: upsample, mode: linear, scale: 2}\n"
                             "    - {op: concat, inputs: [upsample5, a, input]}\n"
                             "    - {name: twin, op: conv, params: a, input: input, out_channels: 4, kernel: 1}\n"
                             "    - {op: mul, inputs: [twin, a]}\n"
                             "    - {op: concat, inputs: [mul8, concat6]}\n",
                             image);
    check_shape(&net, "2x15x16x24");
    FAR_CHECK_EQ_I64(far_graph_param_count(net.graph), 6); /* a twin shares its weights */
    forget(&net);
}

FAR_TEST(every_operation_builds)
{
    described net =
        describe("model:\n"
                 "  layers:\n"
                 "    - {op: conv_transpose, out_channels: 8, kernel: 2, stride: 2}\n"
                 "    - {op: group_norm, groups: 4, act: leaky_relu, slope: 0.2}\n"
                 "    - {op: instance_norm, affine: yes, act: gelu}\n"
                 "    - {op: layer_norm, act: silu}\n"
                 "    - {op: relu}\n"
                 "    - {op: leaky_relu, slope: 0.1}\n"
                 "    - {op: gelu_tanh}\n"
                 "    - {op: silu}\n"
                 "    - {op: sigmoid}\n"
                 "    - {op: tanh}\n"
                 "    - {op: scale_shift, scale: 0.5, shift: 1}\n"
                 "    - {op: log1p}\n"
                 "    - {op: avg_pool, kernel: 3, stride: 2, pad: 1, ceil_mode: yes, count_include_pad: no}\n"
                 "    - {name: pooled, op: adaptive_avg_pool, extent: [8, 12]}\n"
                 "    - {op: adaptive_max_pool, input: avg_pool12, extent: [8, 12]}\n"
                 "    - {op: sub, inputs: [adaptive_max_pool14, pooled]}\n"
                 "    - {op: maximum, inputs: [sub15, pooled]}\n"
                 "    - {op: softmax}\n"
                 "    - {op: upsample, extent: [4, 6]}\n"
                 "    - {op: slice, axis: 1, start: 2, count: 4}\n"
                 "    - {name: tokens, op: reshape, shape: [4, -1]}\n"
                 "    - {op: layer_norm_last}\n"
                 "    - {op: linear, out_features: 6}\n"
                 "    - {name: turned, op: transpose, axes: [0, 2, 1]}\n"
                 "    - {op: matmul, inputs: [linear22, turned]}\n"
                 "    - {op: softmax, axis: -1}\n"
                 "    - {op: mean, axes: [1]}\n"
                 "    - {op: log_softmax}\n",
                 image);
    check_shape(&net, "2x4");
    forget(&net);
    net = describe("model: {layers: [{op: flatten}, {op: linear, out_features: 3, bias: no}]}\n",
                   (far_shape){ 2, { 4, 5 } });
    check_shape(&net, "4x3");
    forget(&net);
    net = describe("model: {layers: [{op: conv, kernel: 3, pad: 1, out_channels: 2}, {op: global_max_pool}]}\n",
                   (far_shape){ 5, { 1, 1, 4, 5, 6 } });
    check_shape(&net, "1x2");
    forget(&net);
    net = describe("model: {layers: [{op: conv, kernel: 3, dilation: 2, out_channels: 2}]}\n",
                   (far_shape){ 3, { 1, 1, 9 } });
    check_shape(&net, "1x2x5");
    forget(&net);
}

FAR_TEST(several_outputs_are_several_logits)
{
    far_config *config = NULL;
    far_graph *graph = NULL;
    far_model_result result;
    FAR_CHECK_OK(far_config_create(&config));
    far_options *opts =
        options_of(config, "model: {layers: [{name: a, op: relu}, {name: b, op: tanh}, {op: add, inputs: [a, b]}]}\n");
    FAR_CHECK_OK(far_options_set_node(opts, "layers", far_config_node_of(config, "model.layers")));
    FAR_CHECK_OK(far_options_set(opts, "outputs", "b, a"));
    FAR_CHECK_OK(far_graph_create(false, &graph));
    FAR_CHECK_OK(far_model_build(graph, opts, far_graph_input(graph, "image", FAR_F32, &image), &result));
    FAR_CHECK_EQ_I64(result.count, 2);
    FAR_CHECK_STR(far_graph_value_name(graph, result.logits[0]), "b");
    FAR_CHECK_STR(far_graph_value_name(graph, result.logits[1]), "a");
    far_graph_destroy(graph);
    far_options_destroy(opts);
    far_config_destroy(config);
}

/* ---- mistakes: file, line, layer, what to do ---- */

FAR_TEST(mistakes_are_told_with_their_place)
{
    static const struct {
        const char *layers, *words[3];
    } wrong[] = {
        { "- {op: cov, kernel: 3}", { "net.yaml:3: ", "there is no op 'cov'", "'conv'" } },
        { "- {name: a, op: relu}\n    - {op: conv, out_channels: 3, kernal: 3}",
          { "net.yaml:4: ", "no option 'kernal'", "'kernel'" } },
        { "- {name: stem, op: conv, kernel: 3}",
          { "net.yaml:3: ", "layer 'stem' (conv) needs a value for 'out_channels'", "" } },
        { "- {op: conv, out_channels: 0, kernel: 3}", { "net.yaml:3: ", "'out_channels'", "outside [1," } },
        { "- {op: conv, out_channels: 8, kernel: 99}", { "net.yaml:3: ", "layer 'conv0'", "" } },
        { "- {op: conv, out_channels: 8, kernel: [1, 1, 1, 1]}", { "net.yaml:3: ", "'kernel'", "at most three" } },
        { "- {name: a, op: relu}\n    - {op: add, inputs: [a, bb]}", { "net.yaml:4: ", "no layer 'bb'", "'a'" } },
        { "- {name: a, op: relu}\n    - {name: a, op: relu}",
          { "net.yaml:4: ", "two layers are called 'a'", "line 3" } },
        { "- {name: a, op: relu}\n    - {op: add, input: a}",
          { "net.yaml:4: ", "takes two inputs or more, got 1", "" } },
        { "- {op: relu, inputs: [input, input]}", { "net.yaml:3: ", "relu takes one input, got 2", "" } },
        { "- {op: relu, input: input, inputs: [input]}", { "net.yaml:3: ", "either input or inputs", "" } },
        { "- relu", { "net.yaml:3: ", "a layer is a map with an op", "" } },
        { "- {name: input, op: relu}", { "net.yaml:3: ", "'input'", "" } },
        { "- {op: batch_norm, residual: nothing}", { "net.yaml:3: ", "no layer 'nothing'", "" } },
        { "- {op: linear, out_features: 3}\n    - {op: conv, out_channels: 3, kernel: [3, x]}",
          { "net.yaml:4: ", "'x' is not a whole", "" } },
        { "- {op: reshape, shape: [3, 5]}", { "net.yaml:3: ", "layer 'reshape0'", "" } },
    };
    for (size_t i = 0; i < FAR_COUNT(wrong); i++) {
        char yaml[512];
        (void)snprintf(yaml, sizeof yaml, "model:\n  layers:\n    %s\n", wrong[i].layers);
        described net = describe(yaml, image);
        FAR_CHECK_MSG(net.status != FAR_OK, "case %zu was accepted: %s", i, wrong[i].layers);
        FAR_CHECK_STR(far_error_message(), far_error_message());
        for (size_t k = 0; k < FAR_COUNT(wrong[i].words); k++) FAR_CHECK_HAS(far_error_message(), wrong[i].words[k]);
        FAR_CHECK_MSG(strncmp(far_error_message(), "net.yaml", 8) == 0 &&
                          strstr(far_error_message() + 1, "net.yaml") == NULL,
                      "the place is said once: %s", far_error_message());
        forget(&net);
    }
}

FAR_TEST(a_network_without_layers_is_refused)
{
    far_options *opts = NULL;
    far_graph *graph = NULL;
    far_model_result result;
    FAR_CHECK_OK(far_model_opts_create("layers", NULL, &opts));
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK_STATUS(far_model_build(graph, opts, far_graph_input(graph, "image", FAR_F32, &image), &result),
                     FAR_E_CONFIG);
    FAR_CHECK_HAS(far_error_message(), "a list of layers is needed");
    FAR_CHECK_STATUS(far_options_set(opts, "layers", "conv"), FAR_E_CONFIG);
    far_graph_destroy(graph);
    far_options_destroy(opts);
    described net = describe("model:\n  layers: []\n", image);
    FAR_CHECK_STATUS(net.status, FAR_E_CONFIG);
    forget(&net);
    net = describe("model:\n  layers: {op: relu}\n", image);
    FAR_CHECK_STATUS(net.status, FAR_E_CONFIG);
    forget(&net);
}

FAR_TEST(the_table_of_operations_is_complete)
{
    for (int32_t i = 0; i < far_layer_op_count(); i++) {
        const far_layer_op *op = far_layer_op_at(i);
        far_options *opts = NULL;
        FAR_CHECK(op->name[0] != '\0' && op->help[0] != '\0' && op->input_min >= 1 && op->input_max >= op->input_min);
        FAR_CHECK_OK(far_options_create(op->name, op->options, op->option_count, &opts)); /* defaults fit their rows */
        far_options_destroy(opts);
        for (int32_t k = 0; k < i; k++) FAR_CHECK(strcmp(far_layer_op_at(k)->name, op->name) != 0);
    }
    FAR_CHECK(far_layer_op_at(-1) == NULL && far_layer_op_at(far_layer_op_count()) == NULL);
}
