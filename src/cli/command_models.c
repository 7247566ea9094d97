/* farandole models */
#include "cli.h"
#include <farandole/model.h>
#include <farandole/recipe.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* Trained numbers of a model at its usual input; -1 where it cannot be built without options ("layers"). */
static int64_t elems_of(const far_model *model, const far_model_preset *preset)
{
    far_options *opts = NULL;
    far_graph *graph = NULL;
    far_model_result result;
    const far_shape *shape = preset != NULL && preset->input.ndim > 0 ? &preset->input : &model->input;
    int64_t elems = -1;
    far_status st = far_model_opts_create(model->name, preset != NULL ? preset->name : NULL, &opts);
    if (st == FAR_OK) st = far_graph_create(true, &graph);
    if (st == FAR_OK) st = far_model_build(graph, opts, far_graph_input(graph, "image", FAR_F32, shape), &result);
    if (st == FAR_OK) elems = far_graph_param_elems(graph);
    far_graph_destroy(graph);
    far_options_destroy(opts);
    far_error_clear();
    return elems;
}

static const char *elems_text(int64_t elems, char text_out[32])
{
    return elems < 0 ? "" : cli_count_text(elems, text_out);
}

/* --- all of them --- */

static void print_list(void)
{
    char count[32];
    (void)printf("%-12s %14s  %s\n", "model", "parameters", "");
    for (int32_t i = 0; i < far_model_count(); i++) {
        const far_model *model = far_model_at(i);
        (void)printf("%-12s %14s  %s\n", model->name, elems_text(elems_of(model, NULL), count), model->help);
        for (int32_t k = 0; k < model->preset_count; k++)
            (void)printf("  %-10s %14s  %s\n", model->presets[k].name,
                         elems_text(elems_of(model, &model->presets[k]), count), model->presets[k].help);
    }
    (void)printf("\nIn a config: `model: {name: resnet, preset: resnet18}`. Options of one: farandole models NAME\n");
}

/* --- one of them --- */

static const char *type_name(far_config_type type)
{
    static const char *const names[] = {
        [FAR_CONFIG_INT] = "int",       [FAR_CONFIG_FLOAT] = "float", [FAR_CONFIG_BOOL] = "yes|no",
        [FAR_CONFIG_STRING] = "text",   [FAR_CONFIG_ENUM] = "word",   [FAR_CONFIG_PATH] = "path",
        [FAR_CONFIG_SIZE] = "size",     [FAR_CONFIG_INTS] = "ints",   [FAR_CONFIG_FLOATS] = "floats",
        [FAR_CONFIG_STRINGS] = "texts", [FAR_CONFIG_NODE] = "YAML",
    };
    return names[type];
}

static void print_options(const far_config_key *options, int32_t count, const char *indent)
{
    for (int32_t i = 0; i < count; i++) {
        const far_config_key *key = &options[i];
        const char *text = key->default_text;
        const bool is_enum = key->type == FAR_CONFIG_ENUM && key->values != NULL;
        (void)printf("%s%-14s %-8s %-14s %s%s%s%s\n", indent, key->name, type_name(key->type),
                     text == NULL      ? "(required)"
                     : text[0] == '\0' ? "-"
                                       : text,
                     key->help != NULL ? key->help : "", is_enum ? " (" : "", is_enum ? key->values : "",
                     is_enum ? ")" : "");
    }
}

static void print_layer_ops(void)
{
    (void)printf("\nOperations of model.layers\n");
    for (int32_t i = 0; i < far_layer_op_count(); i++) {
        const far_layer_op *op = far_layer_op_at(i);
        (void)printf("  %-16s %s\n", op->name, op->help);
        print_options(op->options, op->option_count, "      ");
    }
}

static void print_preset(const far_model_preset *preset)
{
    (void)printf("  %-14s %s\n", preset->name, preset->help);
    if (preset->settings != NULL && preset->settings[0] != '\0') (void)printf("  %-14s %s\n", "", preset->settings);
}

static void print_one(const far_model *model)
{
    (void)printf("%s: %s\n\nUsual input  [", model->name, model->help);
    for (int32_t i = 0; i < model->input.ndim; i++) (void)printf("%s%" PRId64, i > 0 ? ", " : "", model->input.dim[i]);
    (void)printf("]\n\nOptions, as model.NAME in a config\n  %-14s %-8s %-14s\n", "name", "type", "default");
    print_options(model->options, model->option_count, "  ");
    if (model->preset_count > 0) (void)printf("\nPresets, as model.preset; the first is the default\n");
    for (int32_t k = 0; k < model->preset_count; k++) print_preset(&model->presets[k]);
    if (strcmp(model->name, "layers") == 0) print_layer_ops();
}

/* --- as JSON --- */

static json_t *options_json(const far_config_key *options, int32_t count)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < count; i++) {
        json_t *item =
            json_pack("{s:s, s:s, s:s?, s:s?, s:s?}", "name", options[i].name, "type", type_name(options[i].type),
                      "default", options[i].default_text, "help", options[i].help, "values", options[i].values);
        (void)json_array_append_new(list, item);
    }
    return list;
}

static json_t *count_json(int64_t elems)
{
    return elems < 0 ? json_null() : json_integer((json_int_t)elems);
}

static json_t *model_json(const far_model *model)
{
    json_t *presets = json_array(), *shape = json_array();
    for (int32_t k = 0; k < model->preset_count; k++)
        (void)json_array_append_new(presets,
                                    json_pack("{s:s, s:s?, s:s, s:o}", "name", model->presets[k].name, "settings",
                                              model->presets[k].settings, "help", model->presets[k].help, "parameters",
                                              count_json(elems_of(model, &model->presets[k]))));
    for (int32_t i = 0; i < model->input.ndim; i++)
        (void)json_array_append_new(shape, json_integer(model->input.dim[i]));
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "name", model->name, "help", model->help, "parameters",
                     count_json(elems_of(model, NULL)), "input", shape, "options",
                     options_json(model->options, model->option_count), "presets", presets);
}

static json_t *layer_ops_json(void)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < far_layer_op_count(); i++) {
        const far_layer_op *op = far_layer_op_at(i);
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i, s:o}", "name", op->name, "help", op->help,
                                                    "inputs_min", (int)op->input_min, "inputs_max", (int)op->input_max,
                                                    "options", options_json(op->options, op->option_count)));
    }
    return list;
}

static void print_json(const far_model *only)
{
    json_t *all = only != NULL ? model_json(only) : json_array();
    for (int32_t i = 0; i < far_model_count() && only == NULL; i++)
        (void)json_array_append_new(all, model_json(far_model_at(i)));
    if (only != NULL && strcmp(only->name, "layers") == 0)
        (void)json_object_set_new(all, "layer_ops", layer_ops_json());
    (void)json_dumpf(all, stdout, JSON_INDENT(2));
    (void)fputc('\n', stdout);
    json_decref(all);
}

static cli_exit run_models(const cli_args *args)
{
    const far_model *only = NULL;
    far_options *opts = NULL;
    if (args->word_count > 0) {
        const far_status st =
            far_model_opts_create(args->words[0], NULL, &opts); /* words what is wrong, with the nearest name */
        if (st != FAR_OK) return cli_fail(args, st, CLI_READING_CONFIG);
        far_options_destroy(opts);
        only = far_model_find(args->words[0]);
    }
    if (cli_has(args, "--json")) print_json(only);
    else if (only != NULL) print_one(only);
    else print_list();
    return CLI_OK;
}

static const cli_option options[] = {
    { "--json", NULL, "as JSON", NULL },
};

const cli_command cli_models = {
    .name = "models",
    .sentence = "list networks, or the options of one",
    .usage = "[NAME] [--json]",
    .about =
        "Lists the networks that a config may name, with their published variants and numbers of parameters.\n"
        "With NAME: the options of that network; `models layers` also lists what a network described in YAML may use.",
    .examples = "farandole models\n"
                "    all of them\n"
                "farandole models resnet\n"
                "    options and variants of residual networks\n",
    .options = options,
    .option_count = CLI_COUNT(options),
    .word_max = 1,
    .run = run_models,
};
