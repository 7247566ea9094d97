/* The zoo: one row a model. */
#include "models/model.h"
#include <farandole/extend.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const fari_model *const zoo[] = {
    &fari_model_lenet5, &fari_model_resnet, &fari_model_alexnet_bn, &fari_model_uresnet,
    &fari_model_unet,   &fari_model_unet3d, &fari_model_layers,
};

int32_t far_model_count(void)
{
    return (int32_t)FARI_COUNT(zoo);
}

const far_model *far_model_at(int32_t idx)
{
    return idx >= 0 && idx < far_model_count() ? &zoo[idx]->info : NULL;
}

const far_model_preset *far_model_preset_find(const far_model *model, const char *name)
{
    for (int32_t i = 0; i < model->preset_count; i++)
        if (strcmp(model->presets[i].name, name) == 0) return &model->presets[i];
    return NULL;
}

const far_model *far_model_find(const char *name)
{
    for (size_t i = 0; i < FARI_COUNT(zoo); i++)
        if (strcmp(zoo[i]->info.name, name) == 0) return &zoo[i]->info;
    for (size_t i = 0; i < FARI_COUNT(zoo); i++)
        if (far_model_preset_find(&zoo[i]->info, name) != NULL) return &zoo[i]->info;
    return NULL;
}

/* Keeps the nearer of two words to `name`. */
static void keep_nearer(const char *name, const char *word, const char **nearest_io, int *least_io)
{
    const int distance = far_word_distance(name, word);
    if (distance < *least_io) *nearest_io = word;
    if (distance < *least_io) *least_io = distance;
}

static far_status no_such_model(const char *name)
{
    const char *nearest = "";
    int least = INT_MAX;
    for (size_t i = 0; i < FARI_COUNT(zoo); i++) {
        const far_model *model = &zoo[i]->info;
        keep_nearer(name, model->name, &nearest, &least);
        for (int32_t k = 0; k < model->preset_count; k++) keep_nearer(name, model->presets[k].name, &nearest, &least);
    }
    return far_fail(FAR_E_NOTFOUND, "there is no model '%s'; the nearest is '%s' (see 'farandole models')", name,
                    nearest);
}

static far_status no_such_preset(const far_model *model, const char *name)
{
    const char *nearest = NULL;
    int least = INT_MAX;
    for (int32_t k = 0; k < model->preset_count; k++) keep_nearer(name, model->presets[k].name, &nearest, &least);
    if (nearest == NULL) return far_fail(FAR_E_NOTFOUND, "model '%s' has no presets; got '%s'", model->name, name);
    return far_fail(FAR_E_NOTFOUND, "model '%s' has no preset '%s'; the nearest is '%s'", model->name, name, nearest);
}

/* "width=8 depth=6" into options. */
static far_status settings_apply(far_options *opts, const char *settings)
{
    char pair[128];
    while (*settings != '\0') {
        const size_t length = strcspn(settings, " ");
        (void)snprintf(pair, sizeof pair, "%.*s", (int)length, settings);
        char *value = strchr(pair, '=');
        if (value == NULL) return far_fail(FAR_E_INTERNAL, "preset setting '%s' has no value", pair);
        *value++ = '\0';
        const far_status st = far_options_set(opts, pair, value);
        if (st != FAR_OK) return st;
        settings += length;
        settings += strspn(settings, " ");
    }
    return FAR_OK;
}

far_status far_model_opts_create(const char *name, const char *preset, far_options **opts_out)
{
    const far_model *model = far_model_find(name);
    const far_model_preset *row = NULL;
    far_options *opts = NULL;
    char what[64];
    if (model == NULL) return no_such_model(name);
    if (preset != NULL && preset[0] != '\0') {
        row = far_model_preset_find(model, preset);
        if (row == NULL) return no_such_preset(model, preset);
    } else {
        row = far_model_preset_find(model, name);
        if (row == NULL && model->preset_count > 0) row = &model->presets[0];
    }
    (void)snprintf(what, sizeof what, "model '%s'", model->name);
    far_status st = far_options_create(what, model->options, model->option_count, &opts);
    if (st != FAR_OK) return st;
    if (row != NULL) st = settings_apply(opts, row->settings);
    if (st != FAR_OK) {
        far_options_destroy(opts);
        return st;
    }
    *opts_out = opts;
    return FAR_OK;
}

/* Every model has a table of its own, so the table tells the model. */
static const fari_model *row_of(const far_options *opts)
{
    for (size_t i = 0; i < FARI_COUNT(zoo); i++)
        if (zoo[i]->info.options == far_options_rows(opts)) return zoo[i];
    return NULL;
}

const far_model *far_model_of(const far_options *opts)
{
    const fari_model *row = row_of(opts);
    return row != NULL ? &row->info : NULL;
}

far_status far_model_build(far_graph *graph, const far_options *opts, far_value input, far_model_result *result_out)
{
    const fari_model *row = row_of(opts);
    far_model_result result = { .count = 0 };
    if (row == NULL) return far_fail(FAR_E_ARG, "these are not the options of a model");
    row->build(graph, opts, input, &result);
    const far_status st = far_graph_status(graph);
    if (st == FAR_OK) *result_out = result;
    return st;
}
