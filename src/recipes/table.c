/* The recipes: one row each. */
#include "recipes/recipe.h"
#include <farandole/extend.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const fari_recipe *const recipes[] = { &fari_recipe_classify, &fari_recipe_segment, &fari_recipe_cosmictagger };

int32_t far_recipe_count(void)
{
    return (int32_t)FARI_COUNT(recipes);
}

const far_recipe *far_recipe_at(int32_t idx)
{
    return idx >= 0 && idx < far_recipe_count() ? &recipes[idx]->info : NULL;
}

const far_recipe *far_recipe_find(const char *name)
{
    for (size_t i = 0; i < FARI_COUNT(recipes); i++)
        if (strcmp(recipes[i]->info.name, name) == 0) return &recipes[i]->info;
    return NULL;
}

static far_status no_such_recipe(const char *name)
{
    const char *nearest = "";
    int least = INT_MAX;
    for (size_t i = 0; i < FARI_COUNT(recipes); i++) {
        const int distance = far_word_distance(name, recipes[i]->info.name);
        if (distance < least) nearest = recipes[i]->info.name;
        if (distance < least) least = distance;
    }
    return far_fail(FAR_E_NOTFOUND, "there is no recipe '%s'; the nearest is '%s'", name, nearest);
}

far_status far_recipe_opts_create(const char *name, far_options **opts_out)
{
    const far_recipe *recipe = far_recipe_find(name);
    char what[64];
    if (recipe == NULL) return no_such_recipe(name);
    (void)snprintf(what, sizeof what, "recipe '%s'", recipe->name);
    return far_options_create(what, recipe->options, recipe->option_count, opts_out);
}

/* Every recipe has a table of its own, so the table tells the recipe. */
static const fari_recipe *row_of(const far_options *opts)
{
    for (size_t i = 0; i < FARI_COUNT(recipes); i++)
        if (recipes[i]->info.options == far_options_rows(opts)) return recipes[i];
    return NULL;
}

const far_recipe *far_recipe_of(const far_options *opts)
{
    const fari_recipe *row = row_of(opts);
    return row != NULL ? &row->info : NULL;
}

static far_status not_a_recipe(void)
{
    return far_fail(FAR_E_ARG, "these are not the options of a recipe");
}

far_status far_recipe_labels(const far_graph *graph, const far_options *opts, const far_model_result *model,
                             far_shape *shape_out)
{
    const fari_recipe *row = row_of(opts);
    return row != NULL ? row->labels(graph, opts, model, shape_out) : not_a_recipe();
}

far_status far_recipe_build(far_graph *graph, const far_options *opts, const far_model_result *model, far_value labels,
                            far_value *loss_out)
{
    const fari_recipe *row = row_of(opts);
    far_shape want;
    char text[2][128];
    far_status st = far_graph_status(graph);
    if (st != FAR_OK) return st;
    if (row == NULL) return not_a_recipe();
    st = row->labels(graph, opts, model, &want);
    if (st != FAR_OK) return st;
    const far_shape have = far_graph_shape(graph, labels);
    if (have.ndim != want.ndim || memcmp(have.dim, want.dim, (size_t)want.ndim * sizeof want.dim[0]) != 0)
        return far_fail(FAR_E_SHAPE, "%s needs labels %s; got %s", row->info.name, far_shape_text(&want, text[0]),
                        far_shape_text(&have, text[1]));
    const far_value loss = row->build(graph, opts, model, labels);
    st = far_graph_status(graph);
    if (st == FAR_OK) *loss_out = loss;
    return st;
}

far_status far_meter_create(const far_graph *graph, const far_options *opts, far_meter **meter_out)
{
    const fari_recipe *row = row_of(opts);
    return row != NULL ? fari_meter_make(row, graph, opts, meter_out) : not_a_recipe();
}
