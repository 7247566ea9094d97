/* The zoo: parameters against the PyTorch models of tests/golden, shapes, options, failures. */
#include "test.h"

#include "base/mem.h"
#include "graph/graph.h"
#include <farandole/elementwise.h>
#include <farandole/loss.h>
#include <farandole/model.h>

typedef struct zoo_case {
    const char *title; /* in PARAMETERS.md; NULL: not there */
    const char *name, *preset, *settings;
    far_shape input;
    int64_t params;
} zoo_case;

static const zoo_case cases[] = {
    { "lenet5", "lenet5", NULL, "", { 4, { 2, 1, 28, 28 } }, 61706 },
    { "resnet18", "resnet18", NULL, "", { 4, { 2, 3, 64, 64 } }, 11689512 },
    { "resnet50", "resnet50", NULL, "", { 4, { 2, 3, 64, 64 } }, 25557032 },
    { NULL, "resnet34", NULL, "", { 4, { 2, 3, 64, 64 } }, 21797672 },
    { NULL, "resnet", "resnet101", "", { 4, { 2, 3, 64, 64 } }, 44549160 },
    { NULL, "resnet", "resnet152", "", { 4, { 2, 3, 64, 64 } }, 60192808 },
    { "alexnet_bn", "alexnet_bn", NULL, "", { 4, { 2, 3, 227, 227 } }, 60965224 },
    { "uresnet preset a21", "uresnet", "a21", "", { 4, { 1, 3, 64, 128 } }, 8510547 },
    { "uresnet preset uresnet", "uresnet", NULL, "", { 4, { 1, 3, 64, 128 } }, 18382131 },
    { NULL, "a21", NULL, "norm=instance affine=yes", { 4, { 1, 3, 64, 128 } }, 8510547 },
    { NULL, "a21", NULL, "norm=instance", { 4, { 1, 3, 64, 128 } }, 8505011 },
    { NULL, "a21", NULL, "affine=no", { 4, { 1, 3, 64, 128 } }, 8505011 },
    { NULL, "scc21", NULL, "", { 4, { 1, 3, 64, 128 } }, 18367891 },
    { "uresnet preset polaris", "polaris", "", "", { 4, { 1, 3, 128, 256 } }, 1926403 },
    { "uresnet preset stream", "stream", "", "", { 4, { 1, 1, 128, 64 } }, 42283 },
    { "unet norm none", "unet", NULL, "norm=none", { 4, { 1, 1, 32, 48 } }, 31030658 },
    { "unet norm batch", "unet", NULL, "", { 4, { 1, 1, 32, 48 } }, 31036546 },
    { NULL, "unet", NULL, "classes=1", { 4, { 1, 3, 32, 48 } }, 31037633 },
    { "unet3d norm group", "unet3d", NULL, "", { 5, { 1, 1, 16, 24, 8 } }, 1401282 },
};

static far_options *opts_of(const char *name, const char *preset, const char *settings)
{
    far_options *opts = NULL;
    char pair[128];
    FAR_CHECK_OK(far_model_opts_create(name, preset, &opts));
    while (*settings != '\0') {
        const size_t length = strcspn(settings, " ");
        (void)snprintf(pair, sizeof pair, "%.*s", (int)length, settings);
        char *value = strchr(pair, '=');
        *value++ = '\0';
        FAR_CHECK_OK(far_options_set(opts, pair, value));
        settings += length + (settings[length] == ' ');
    }
    return opts;
}

static far_graph *graph_of(bool is_training, const far_options *opts, far_shape input, far_model_result *result)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(is_training, &graph));
    const far_value x = far_graph_input(graph, "image", FAR_F32, &input);
    FAR_CHECK_OK(far_model_build(graph, opts, x, result));
    return graph;
}

static far_graph *graph_of_case(bool is_training, const zoo_case *zoo, far_model_result *result)
{
    far_options *opts = opts_of(zoo->name, zoo->preset, zoo->settings);
    far_graph *graph = graph_of(is_training, opts, zoo->input, result);
    far_options_destroy(opts);
    return graph;
}

FAR_TEST(parameter_counts_are_the_published_ones)
{
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        far_model_result result;
        far_graph *graph = graph_of_case(true, &cases[i], &result);
        FAR_CHECK_MSG(far_graph_param_elems(graph) == cases[i].params, "%s %s: %" PRId64 " parameters, not %" PRId64,
                      cases[i].name, cases[i].settings, far_graph_param_elems(graph), cases[i].params);
        far_graph_destroy(graph);
    }
}

/* ---- names, shapes and order, as tests/golden/PARAMETERS.md has them ---- */

static FILE *open_parameters(void)
{
    FILE *file = fopen(FAR_TEST_SOURCE_DIR "/tests/golden/PARAMETERS.md", "r");
    if (file == NULL) far_test_fail(__FILE__, __LINE__, "no tests/golden/PARAMETERS.md");
    return file;
}

/* "[64,3,7,7]" */
static far_shape shape_read(const char *text)
{
    far_shape shape = { .ndim = 0 };
    for (text++; shape.ndim < FAR_NDIM_MAX; text++) {
        char *end;
        shape.dim[shape.ndim++] = strtoll(text, &end, 10);
        text = end;
        if (*text != ',') break;
    }
    return shape;
}

static void check_tensor(const far_graph *graph, far_value value, const char *name, const far_shape *want)
{
    const far_shape have = far_graph_shape(graph, value);
    char text[2][128];
    FAR_CHECK_STR(far_graph_value_name(graph, value), name);
    FAR_CHECK_MSG(strcmp(far_shape_text(&have, text[0]), far_shape_text(want, text[1])) == 0, "%s is %s, not %s", name,
                  text[0], text[1]);
}

/* One line, such as " 1 bn1 weight[64] bias[64] stats[64]"; counts parameters on. */
static void check_line(const far_graph *graph, char *line, int32_t *param_io)
{
    char name[256], *save = NULL;
    (void)strtok_r(line, " \n", &save);
    const char *module = strtok_r(NULL, " \n", &save);
    for (char *word = strtok_r(NULL, " \n", &save); word != NULL; word = strtok_r(NULL, " \n", &save)) {
        char *bracket = strchr(word, '[');
        const far_shape shape = shape_read(bracket);
        *bracket = '\0';
        if (strcmp(word, "stats") != 0) {
            (void)snprintf(name, sizeof name, "%s.%s", module, word);
            check_tensor(graph, far_graph_param_at(graph, (*param_io)++), name, &shape);
            continue;
        }
        (void)snprintf(name, sizeof name, "%s.running_mean", module);
        check_tensor(graph, far_graph_find(graph, name), name, &shape);
        (void)snprintf(name, sizeof name, "%s.running_var", module);
        check_tensor(graph, far_graph_find(graph, name), name, &shape);
    }
}

static void check_section(const far_graph *graph, const char *title)
{
    FILE *file = open_parameters();
    char line[512], head[128];
    int32_t params = 0, fences = 0;
    bool is_here = false;
    (void)snprintf(head, sizeof head, "## %s: ", title);
    while (fgets(line, sizeof line, file) != NULL && fences < 2) {
        if (!is_here) is_here = strncmp(line, head, strlen(head)) == 0;
        else if (strncmp(line, "```", 3) == 0) fences++;
        else if (fences == 1) check_line(graph, line, &params);
    }
    (void)fclose(file);
    FAR_CHECK_MSG(fences == 2, "no section '%s'", title);
    FAR_CHECK_EQ_I64(params, far_graph_param_count(graph));
}

FAR_TEST(parameters_are_named_shaped_and_ordered_as_in_pytorch)
{
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        if (cases[i].title == NULL) continue;
        far_model_result result;
        far_graph *graph = graph_of_case(true, &cases[i], &result);
        check_section(graph, cases[i].title);
        far_graph_destroy(graph);
    }
}

/* ---- shapes ---- */

static void check_logits(const far_graph *graph, const far_model_result *result, int32_t count, const char *shape)
{
    char text[128];
    FAR_CHECK_EQ_I64(result->count, count);
    for (int32_t i = 0; i < count; i++) {
        const far_shape have = far_graph_shape(graph, result->logits[i]);
        FAR_CHECK_STR(far_shape_text(&have, text), shape);
    }
}

FAR_TEST(logits_have_the_shape_of_labels)
{
    static const struct {
        const char *name, *settings;
        far_shape input;
        int32_t count;
        const char *logits;
    } shapes[] = {
        { "lenet5", "", { 4, { 3, 1, 28, 28 } }, 1, "3x10" },
        { "lenet5", "classes=7 act=tanh dropout=0.3", { 4, { 3, 3, 32, 40 } }, 1, "3x7" },
        { "resnet18", "", { 4, { 1, 3, 224, 224 } }, 1, "1x1000" },
        { "resnet50", "classes=10", { 4, { 2, 3, 97, 131 } }, 1, "2x10" },
        { "resnet18", "stem=small classes=10 width=8 blocks=1,2", { 4, { 5, 3, 32, 32 } }, 1, "5x10" },
        { "resnet18", "width=8 classes=4", { 5, { 2, 1, 33, 32, 34 } }, 1, "2x4" },
        { "alexnet_bn", "", { 4, { 2, 3, 227, 227 } }, 1, "2x1000" },
        { "alexnet_bn", "classes=5 dropout=0", { 4, { 2, 1, 99, 195 } }, 1, "2x5" },
        { "a21", "", { 4, { 2, 3, 128, 64 } }, 3, "2x3x128x64" },
        { "uresnet", "depth=2 classes=5 width=4 bottleneck=8", { 4, { 2, 1, 12, 20 } }, 1, "2x5x12x20" },
        { "uresnet",
          "depth=1 width=4 bottleneck=8 growth=multiply down=conv up=conv_transpose join=none",
          { 4, { 1, 8, 2, 6 } },
          8,
          "1x3x2x6" },
        { "polaris", "", { 4, { 1, 3, 128, 256 } }, 3, "1x3x128x256" },
        { "unet", "", { 4, { 1, 1, 16, 512 } }, 1, "1x2x16x512" },
        { "unet",
          "width=4 depth=2 up=linear act=silu dropout=0.5 norm=group groups=2",
          { 4, { 1, 2, 4, 8 } },
          1,
          "1x2x4x8" },
        { "unet", "width=8 depth=2", { 5, { 1, 1, 8, 4, 12 } }, 1, "1x2x8x4x12" },
        { "unet3d", "classes=4", { 5, { 1, 1, 8, 16, 24 } }, 1, "1x4x8x16x24" },
    };
    for (size_t i = 0; i < FAR_COUNT(shapes); i++) {
        for (int is_training = 0; is_training < 2; is_training++) {
            far_model_result result;
            far_options *opts = opts_of(shapes[i].name, NULL, shapes[i].settings);
            far_graph *graph = graph_of(is_training == 1, opts, shapes[i].input, &result);
            check_logits(graph, &result, shapes[i].count, shapes[i].logits);
            far_options_destroy(opts);
            far_graph_destroy(graph);
        }
    }
}

FAR_TEST(every_model_takes_its_default_input)
{
    for (int32_t i = 0; i < far_model_count(); i++) {
        const far_model *model = far_model_at(i);
        if (strcmp(model->name, "layers") == 0) continue;
        for (int32_t k = 0; k < (model->preset_count > 0 ? model->preset_count : 1); k++) {
            const far_model_preset *preset = model->preset_count > 0 ? &model->presets[k] : NULL;
            far_options *opts = opts_of(model->name, preset != NULL ? preset->name : NULL, "");
            const far_shape input = preset != NULL && preset->input.ndim > 0 ? preset->input : model->input;
            far_model_result result;
            far_graph *graph = graph_of(false, opts, input, &result);
            FAR_CHECK(far_model_of(opts) == model);
            FAR_CHECK(far_graph_shape(graph, result.logits[0]).dim[0] == 1);
            far_options_destroy(opts);
            far_graph_destroy(graph);
        }
    }
}

FAR_TEST(every_normalisation_builds_and_differentiates)
{
    static const char *const norms[] = { "batch", "group", "instance", "layer", "none" };
    static const char *const acts[] = { "relu", "leaky_relu", "gelu", "silu", "none" };
    static const struct {
        const char *name, *settings;
        far_shape input;
    } nets[] = {
        { "resnet18", "width=8 classes=10 zero_gamma=yes", { 4, { 2, 3, 64, 64 } } },
        { "resnet50", "width=8 classes=10", { 4, { 2, 3, 64, 64 } } },
        { "uresnet", "width=8 depth=2 blocks_deep=1 bottleneck=8", { 4, { 2, 3, 16, 16 } } },
        { "a21", "width=8 depth=2 bottleneck=8", { 4, { 2, 2, 16, 16 } } },
        { "unet", "width=8 depth=2", { 4, { 2, 1, 16, 16 } } },
        { "unet3d", "width=8 depth=2", { 5, { 2, 1, 8, 8, 8 } } },
    };
    for (size_t i = 0; i < FAR_COUNT(nets); i++)
        for (size_t n = 0; n < FAR_COUNT(norms); n++) {
            far_model_result result;
            far_options *opts = opts_of(nets[i].name, NULL, nets[i].settings);
            FAR_CHECK_OK(far_options_set(opts, "norm", norms[n]));
            FAR_CHECK_OK(far_options_set(opts, "act", acts[n]));
            far_graph *graph = graph_of(true, opts, nets[i].input, &result);
            const far_shape logits = far_graph_shape(graph, result.logits[0]);
            far_value loss = FAR_NO_VALUE;
            for (int32_t p = 0; p < result.count; p++) {
                const far_value target = far_graph_input(graph, "target", FAR_F32, &logits);
                loss = p == 0 ? far_mse_loss(graph, "mse", result.logits[p], target, NULL)
                              : far_add(graph, "mse", loss, far_mse_loss(graph, "mse", result.logits[p], target, NULL));
            }
            FAR_CHECK_OK(far_graph_backward(graph, loss));
            for (int32_t p = 0; p < far_graph_param_count(graph); p++) {
                const far_value param = far_graph_param_at(graph, p);
                FAR_CHECK_MSG(far_graph_gradient(graph, param) >= 0, "%s norm=%s: no gradient for %s", nets[i].name,
                              norms[n], far_graph_value_name(graph, param));
            }
            far_options_destroy(opts);
            far_graph_destroy(graph);
        }
}

/* ---- how parameters start, what is fused ---- */

FAR_TEST(parameters_start_as_published)
{
    static const struct {
        const char *model, *settings;
        far_shape input;
        const char *param;
        far_init_kind kind;
        double value;
    } inits[] = {
        { "resnet18", "", { 4, { 2, 3, 64, 64 } }, "layer2.0.conv1.weight", FAR_INIT_HE_NORMAL, 0 },
        { "resnet18", "", { 4, { 2, 3, 64, 64 } }, "layer2.0.bn2.weight", FAR_INIT_CONST, 1 },
        { "resnet18", "zero_gamma=yes", { 4, { 2, 3, 64, 64 } }, "layer2.0.bn2.weight", FAR_INIT_CONST, 0 },
        { "resnet18", "zero_gamma=yes", { 4, { 2, 3, 64, 64 } }, "layer2.0.bn1.weight", FAR_INIT_CONST, 1 },
        { "resnet50", "", { 4, { 2, 3, 64, 64 } }, "fc.bias", FAR_INIT_TORCH_UNIFORM, 0 },
        { "a21", "", { 4, { 1, 3, 64, 128 } }, "bottleneck.block.3.conv1.weight", FAR_INIT_XAVIER_UNIFORM, 0 },
        { "a21",
          "init=dirac init_noise=0.5",
          { 4, { 1, 3, 64, 128 } },
          "bottleneck.block.3.conv1.weight",
          FAR_INIT_DIRAC,
          0.5 },
        { "a21", "init=dirac", { 4, { 1, 3, 64, 128 } }, "bottleneck.reduce.conv.weight", FAR_INIT_XAVIER_UNIFORM, 0 },
        { "a21", "", { 4, { 1, 3, 64, 128 } }, "head.conv.bias", FAR_INIT_CONST, 0 },
        { "a21", "", { 4, { 1, 3, 64, 128 } }, "stem.bn.bias", FAR_INIT_CONST, 0 },
        { "alexnet_bn", "", { 4, { 2, 3, 227, 227 } }, "conv3.weight", FAR_INIT_NORMAL, 0.01 },
        { "alexnet_bn", "", { 4, { 2, 3, 227, 227 } }, "conv3.bias", FAR_INIT_CONST, 0.01 },
        { "alexnet_bn", "", { 4, { 2, 3, 227, 227 } }, "fc7.weight", FAR_INIT_NORMAL, 0.005 },
        { "alexnet_bn", "", { 4, { 2, 3, 227, 227 } }, "fc7.bias", FAR_INIT_CONST, 0.1 },
        { "alexnet_bn", "", { 4, { 2, 3, 227, 227 } }, "fc8.bias", FAR_INIT_CONST, 0.01 },
        { "unet", "", { 4, { 1, 1, 32, 32 } }, "up.2.upsample.weight", FAR_INIT_TORCH_UNIFORM, 0 },
        { "lenet5", "", { 4, { 1, 1, 28, 28 } }, "conv2.bias", FAR_INIT_TORCH_UNIFORM, 0 },
    };
    for (size_t i = 0; i < FAR_COUNT(inits); i++) {
        far_model_result result;
        far_options *opts = opts_of(inits[i].model, NULL, inits[i].settings);
        far_graph *graph = graph_of(true, opts, inits[i].input, &result);
        const far_value param = far_graph_find(graph, inits[i].param);
        FAR_CHECK(param >= 0);
        const far_init init = fari_tensor_of(graph, param)->init;
        FAR_CHECK_MSG(init.kind == inits[i].kind ||
                          (inits[i].kind == FAR_INIT_CONST && inits[i].value == 0.0 && init.kind == FAR_INIT_ZERO),
                      "%s of %s starts by rule %d, not %d", inits[i].param, inits[i].model, (int)init.kind,
                      (int)inits[i].kind);
        if (inits[i].kind == FAR_INIT_CONST || inits[i].kind == FAR_INIT_NORMAL || inits[i].kind == FAR_INIT_DIRAC)
            FAR_CHECK_NEAR(init.value, inits[i].value, 0);
        far_options_destroy(opts);
        far_graph_destroy(graph);
    }
}

/* Nodes of one op in the graph. */
static int64_t count_nodes(const far_graph *graph, const char *op)
{
    int64_t count = 0;
    for (int64_t i = 0; i < graph->node_count; i++) count += strcmp(graph->nodes[i]->op->name, op) == 0;
    return count;
}

FAR_TEST(norms_take_additions_and_activations_in)
{
    static const struct {
        const char *model, *settings;
        far_shape input;
        int64_t norms, activations, sums;
    } nets[] = {
        { "resnet18", "", { 4, { 2, 3, 64, 64 } }, 20, 0, 0 },
        { "resnet50", "", { 4, { 2, 3, 64, 64 } }, 53, 0, 0 },
        { "a21",
          "",
          { 4, { 1, 3, 64, 128 } },
          3 * (1 + 6 * 3 + 6 * 3) + 7,
          0,
          18 }, /* sums: the skips of three planes */
        { "uresnet", "", { 4, { 1, 3, 64, 128 } }, 3 * (1 + 6 * 5 + 6 * 6 + 10) + 12, 0, 0 },
        { "unet", "norm=group", { 4, { 1, 1, 32, 32 } }, 18, 0, 0 },
        { "unet", "norm=none", { 4, { 1, 1, 32, 32 } }, 0, 18, 0 },
    };
    for (size_t i = 0; i < FAR_COUNT(nets); i++) {
        far_model_result result;
        far_options *opts = opts_of(nets[i].model, NULL, nets[i].settings);
        far_graph *graph = graph_of(true, opts, nets[i].input, &result);
        FAR_CHECK_EQ_I64(count_nodes(graph, "norm_apply"), nets[i].norms);
        FAR_CHECK_EQ_I64(count_nodes(graph, "activation"), nets[i].activations);
        FAR_CHECK_EQ_I64(count_nodes(graph, "binary"), nets[i].sums);
        far_options_destroy(opts);
        far_graph_destroy(graph);
    }
}

/* ---- training and evaluation ---- */

FAR_TEST(training_and_evaluation_share_names)
{
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        far_model_result result;
        far_graph *train = graph_of_case(true, &cases[i], &result), *eval = graph_of_case(false, &cases[i], &result);
        FAR_CHECK_EQ_I64(far_graph_param_count(train), far_graph_param_count(eval));
        for (int32_t k = 0; k < far_graph_param_count(train); k++)
            FAR_CHECK_STR(far_graph_value_name(train, far_graph_param_at(train, k)),
                          far_graph_value_name(eval, far_graph_param_at(eval, k)));
        far_graph_destroy(train);
        far_graph_destroy(eval);
    }
}

/* ---- failures ---- */

FAR_TEST(unknown_names_are_refused_with_the_nearest)
{
    far_options *opts = NULL;
    FAR_CHECK_STATUS(far_model_opts_create("resnt50", NULL, &opts), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "resnet50");
    FAR_CHECK_STATUS(far_model_opts_create("uresnet", "a2", &opts), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "'a21'");
    FAR_CHECK_STATUS(far_model_opts_create("lenet5", "large", &opts), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "no presets");
    FAR_CHECK(opts == NULL);
    FAR_CHECK(far_model_find("a21") == far_model_find("uresnet"));
    FAR_CHECK(far_model_find("nothing") == NULL && far_model_at(-1) == NULL && far_model_at(far_model_count()) == NULL);
}

FAR_TEST(wrong_options_are_refused)
{
    far_options *opts = opts_of("resnet18", NULL, "");
    FAR_CHECK_STATUS(far_options_set(opts, "widht", "3"), FAR_E_CONFIG);
    FAR_CHECK_HAS(far_error_message(), "model 'resnet' has no option 'widht'; the nearest is 'width'");
    FAR_CHECK_STATUS(far_options_set(opts, "width", "0"), FAR_E_CONFIG);
    FAR_CHECK_HAS(far_error_message(), "outside [1, 65536]");
    FAR_CHECK_STATUS(far_options_set(opts, "width", "many"), FAR_E_CONFIG);
    FAR_CHECK_STATUS(far_options_set(opts, "norm", "bach"), FAR_E_CONFIG);
    FAR_CHECK_HAS(far_error_message(), "batch|group");
    FAR_CHECK_STATUS(far_options_set(opts, "blocks", "3,x"), FAR_E_CONFIG);
    FAR_CHECK_STATUS(far_options_set(opts, "zero_gamma", "maybe"), FAR_E_CONFIG);
    FAR_CHECK_EQ_I64(far_options_i64(opts, "width"), 64); /* failures changed nothing */
    FAR_CHECK_STR(far_options_text(opts, "block"), "basic");
    far_options_destroy(opts);
}

FAR_TEST(inputs_that_do_not_fit_are_refused)
{
    static const struct {
        const char *name, *settings;
        far_shape input;
        const char *words;
    } wrong[] = {
        { "a21", "", { 4, { 1, 3, 96, 64 } }, "multiples of 64" },
        { "a21", "", { 4, { 1, 9, 64, 64 } }, "at most 8" },
        { "uresnet", "kernel_deep=4", { 4, { 1, 3, 64, 64 } }, "must be odd" },
        { "unet",
          "",
          { 4, { 1, 3, 100, 64 } },
          "the height 100 is odd at level 2 (25): possible are multiples of 16, nearest 96 and 112, or with this size a "
          "depth of at most 2" },
        { "unet",
          "",
          { 4, { 1, 3, 64, 15 } },
          "the width 15 is odd at level 0 (15): possible are multiples of 16, nearest 16; got" },
        { "unet3d", "depth=2", { 5, { 1, 1, 6, 8, 8 } }, "the depth 6 is odd at level 1 (3)" },
        { "unet", "", { 2, { 1, 3 } }, "unet expects an input" },
        { "unet", "norm=group groups=7", { 4, { 1, 1, 16, 16 } }, "cannot be cut in 7 groups" },
        { "unet3d", "", { 4, { 1, 3, 64, 64 } }, "[N, C, D, H, W]" },
        { "lenet5", "", { 5, { 1, 1, 8, 28, 28 } }, "lenet5 expects" },
        { "lenet5", "", { 4, { 1, 1, 4, 4 } }, "conv2" },
        { "alexnet_bn", "", { 4, { 1, 3, 32, 32 } }, "conv" },
    };
    for (size_t i = 0; i < FAR_COUNT(wrong); i++) {
        far_graph *graph = NULL;
        far_model_result result = { .count = -5 };
        far_options *opts = opts_of(wrong[i].name, NULL, wrong[i].settings);
        FAR_CHECK_OK(far_graph_create(true, &graph));
        const far_value x = far_graph_input(graph, "image", FAR_F32, &wrong[i].input);
        FAR_CHECK(far_model_build(graph, opts, x, &result) != FAR_OK);
        FAR_CHECK_HAS(far_error_message(), wrong[i].words);
        FAR_CHECK_EQ_I64(result.count, -5);
        far_options_destroy(opts);
        far_graph_destroy(graph);
    }
}

/* ---- memory ---- */

/* Builds a small network with the nth allocation failing. */
static far_status build_once(const char *name, const char *settings, far_shape input, int64_t nth)
{
    far_graph *graph = NULL;
    far_options *opts = NULL;
    far_model_result result;
    char pair[128];
    fari_alloc_fail_after(nth);
    far_status st = far_model_opts_create(name, NULL, &opts);
    while (st == FAR_OK && *settings != '\0') {
        const size_t length = strcspn(settings, " ");
        (void)snprintf(pair, sizeof pair, "%.*s", (int)length, settings);
        char *value = strchr(pair, '=');
        *value++ = '\0';
        st = far_options_set(opts, pair, value);
        settings += length + (settings[length] == ' ');
    }
    if (st == FAR_OK) st = far_graph_create(true, &graph);
    if (st == FAR_OK) st = far_model_build(graph, opts, far_graph_input(graph, "image", FAR_F32, &input), &result);
    fari_alloc_fail_after(-1);
    far_options_destroy(opts);
    far_graph_destroy(graph);
    return st;
}

FAR_TEST_TORTURE(building_survives_each_allocation_failure)
{
    static const struct {
        const char *name, *settings;
        far_shape input;
    } nets[] = {
        { "lenet5", "", { 4, { 2, 1, 28, 28 } } },
        { "resnet18", "blocks=1,1 width=8", { 4, { 2, 3, 32, 32 } } },
        { "uresnet", "depth=1 width=4 bottleneck=8 blocks_deep=1 blocks_final=1", { 4, { 1, 3, 8, 8 } } },
        { "unet", "depth=1 width=8 norm=group", { 4, { 1, 1, 8, 8 } } },
        { "alexnet_bn", "", { 4, { 2, 3, 227, 227 } } },
    };
    for (size_t i = 0; i < FAR_COUNT(nets); i++) {
        far_status st = FAR_E_NOMEM;
        int64_t nth = 0;
        for (; st == FAR_E_NOMEM && nth < 100000; nth++) {
            const int64_t live = fari_alloc_live();
            st = build_once(nets[i].name, nets[i].settings, nets[i].input, nth);
            FAR_CHECK_EQ_I64(fari_alloc_live(), live);
        }
        FAR_CHECK_OK(st);
        FAR_CHECK_MSG(nth > 50, "%s allocated only %" PRId64 " times", nets[i].name, nth);
    }
}
