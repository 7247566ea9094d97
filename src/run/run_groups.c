/* Parameters that are treated differently: model.freeze and optim.groups. */
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "graph/graph.h"
#include "run/run_priv.h"
#include <farandole/norm.h>
#include <inttypes.h>
#include <string.h>

#define FREEZE "model.freeze"
#define GROUPS "optim.groups"

/* ---- from the configuration ---- */

/* A pattern names parameters, or layers with all their parameters. */
static void add_pattern(fari_text *text, const char *pattern)
{
    fari_text_add(text, "%s%s,%s.*", text->bytes > 0 ? "," : "", pattern, pattern);
}

static far_status read_match(const far_config_node *node, fari_text *text)
{
    const char *single = far_config_node_text(node);
    if (single != NULL) add_pattern(text, single);
    for (int64_t i = 0; single == NULL && i < far_config_node_count(node); i++) {
        const char *one = far_config_node_text(far_config_node_at(node, i));
        if (one == NULL) return far_config_node_fail(node, GROUPS ": match takes a name or a list of names");
        add_pattern(text, one);
    }
    return FAR_OK;
}

static double or_zero(double value)
{
    return value != 0.0 ? value : FAR_OPTIM_ZERO;
}

static far_status read_lr(const far_config_node *node, far_param_group *group, fari_text *patterns)
{
    double value = 0.0;
    (void)patterns;
    FAR_TRY(far_config_node_f64(node, &value));
    if (!(value >= 0.0)) return far_config_node_fail(node, GROUPS ": lr is a factor of optim.lr, at least 0");
    group->lr_scale = or_zero(value);
    return FAR_OK;
}

static far_status read_decay(const far_config_node *node, far_param_group *group, fari_text *patterns)
{
    double value = 0.0;
    (void)patterns;
    FAR_TRY(far_config_node_f64(node, &value));
    if (!(value >= 0.0)) return far_config_node_fail(node, GROUPS ": weight_decay is at least 0");
    group->weight_decay = or_zero(value);
    return FAR_OK;
}

static far_status read_frozen(const far_config_node *node, far_param_group *group, fari_text *patterns)
{
    (void)patterns;
    return far_config_node_bool(node, &group->is_frozen);
}

static far_status read_adapt(const far_config_node *node, far_param_group *group, fari_text *patterns)
{
    bool adapts = true;
    (void)patterns;
    FAR_TRY(far_config_node_bool(node, &adapts));
    group->no_adapt = !adapts;
    return FAR_OK;
}

static far_status read_patterns(const far_config_node *node, far_param_group *group, fari_text *patterns)
{
    (void)group;
    return read_match(node, patterns);
}

static const struct {
    const char *key;
    far_status (*read)(const far_config_node *node, far_param_group *group, fari_text *patterns);
} members[] = {
    { "match", read_patterns }, { "lr", read_lr },       { "weight_decay", read_decay },
    { "frozen", read_frozen },  { "adapt", read_adapt },
};

static far_status unknown_member(const far_config_node *node, const char *key)
{
    const char *nearest = members[0].key;
    for (size_t i = 1; i < FAR_COUNT(members); i++)
        if (fari_edit_distance(key, members[i].key) < fari_edit_distance(key, nearest)) nearest = members[i].key;
    return far_config_node_fail(node, GROUPS ": unknown key \"%.60s\"; nearest valid key: \"%s\"", key, nearest);
}

static far_status read_group(const far_config_node *node, far_param_group *group, fari_text *patterns)
{
    if (far_config_node_kind_of(node) != FAR_NODE_MAP)
        return far_config_node_fail(node, GROUPS ": expected a list of maps such as {match: \"fc.*\", lr: 10}");
    for (int64_t i = 0; i < far_config_node_count(node); i++) {
        const char *key = far_config_node_key(node, i);
        size_t k = 0;
        while (k < FAR_COUNT(members) && strcmp(members[k].key, key) != 0) k++;
        if (k == FAR_COUNT(members)) return unknown_member(far_config_node_at(node, i), key);
        FAR_TRY(members[k].read(far_config_node_at(node, i), group, patterns));
    }
    if (patterns->bytes == 0)
        return far_config_node_fail(node, GROUPS ": a group needs match, names of parameters or layers");
    return FAR_OK;
}

/* Takes the texts over as the group's patterns. */
static far_status add_group(far_run *run, const far_param_group *group, fari_text *patterns)
{
    if (patterns->failed) return FAR_FAIL(FAR_E_NOMEM, "no memory for groups of parameters");
    if (run->optim.group_count == RUN_GROUPS_MAX)
        return far_config_fail(run->config, GROUPS, "at most %d groups of parameters", RUN_GROUPS_MAX);
    far_param_group *added = &run->groups[run->optim.group_count++];
    *added = *group;
    added->patterns = patterns->data;
    *patterns = (fari_text){ 0 };
    return FAR_OK;
}

static far_status read_freeze(far_run *run)
{
    fari_text patterns = { 0 };
    const int64_t count = far_config_list_count(run->config, FREEZE);
    for (int64_t i = 0; i < count; i++) add_pattern(&patterns, far_config_list_text(run->config, FREEZE, i));
    const far_status st = count > 0 ? add_group(run, &(far_param_group){ .is_frozen = true }, &patterns) : FAR_OK;
    fari_text_free(&patterns);
    return st;
}

far_status run_groups_read(far_run *run)
{
    const far_config_node *list = far_config_node_of(run->config, GROUPS);
    run->optim.groups = run->groups;
    FAR_TRY(read_freeze(run)); /* first: what is frozen is in no other group */
    if (list == NULL) return FAR_OK;
    if (far_config_node_kind_of(list) != FAR_NODE_LIST)
        return far_config_node_fail(list, GROUPS ": expected a list of maps such as {match: \"fc.*\", lr: 10}");
    for (int64_t i = 0; i < far_config_node_count(list); i++) {
        far_param_group group = { .patterns = NULL };
        fari_text patterns = { 0 };
        far_status st = read_group(far_config_node_at(list, i), &group, &patterns);
        if (st == FAR_OK) st = add_group(run, &group, &patterns);
        fari_text_free(&patterns);
        FAR_TRY(st);
    }
    return FAR_OK;
}

void run_groups_free(far_run *run)
{
    for (int32_t i = 0; i < run->optim.group_count; i++) {
        char *text = NULL; /* allocated by us, const only to the optimizer */
        memcpy(&text, &run->groups[i].patterns, sizeof text);
        fari_free(text);
    }
    run->optim.group_count = 0;
}

/* ---- against the network ---- */

/* The parameter or layer whose name is nearest. */
static const char *nearest_name(const far_graph *graph, const char *wanted)
{
    const char *nearest = "";
    int least = INT32_MAX;
    for (int32_t i = 0; i < far_graph_param_count(graph); i++) {
        const char *name = far_graph_value_name(graph, far_graph_param_at(graph, i));
        const int distance = fari_edit_distance(wanted, name);
        if (distance < least) nearest = name;
        if (distance < least) least = distance;
    }
    return nearest;
}

static bool matches_any(const far_graph *graph, const char *patterns)
{
    for (int32_t i = 0; i < far_graph_param_count(graph); i++)
        if (fari_patterns_match(patterns, far_graph_value_name(graph, far_graph_param_at(graph, i)))) return true;
    return false;
}

/* Each name of a group finds something: half a list that is misspelt would go unnoticed. */
static far_status check_names(const far_run *run, const far_graph *graph, const char *key, const char *patterns)
{
    char one[520];
    for (const char *at = patterns; *at != '\0';) {
        const size_t name = strcspn(at, ","), both = 2 * name + 3; /* "name,name.*" */
        (void)snprintf(one, sizeof one, "%.*s", (int)both, at);
        if (!matches_any(graph, one))
            return far_config_fail(run->config, key, "no parameter or layer is named like \"%.*s\"; nearest: \"%s\"",
                                   (int)name, at, nearest_name(graph, one));
        at += both;
        at += *at == ',';
    }
    return FAR_OK;
}

far_status run_groups_apply(far_run *run, far_graph *graph)
{
    const bool freezes = far_config_list_count(run->config, FREEZE) > 0; /* the first group */
    for (int32_t i = 0; i < run->optim.group_count; i++)
        FAR_TRY(check_names(run, graph, freezes && i == 0 ? FREEZE : GROUPS, run->groups[i].patterns));
    FAR_TRY(far_optim_freeze(graph, &run->optim));
    run->frozen_elems = 0;
    for (int32_t i = 0; i < far_graph_param_count(graph); i++) {
        const fari_tensor *t = fari_tensor_of(graph, far_graph_param_at(graph, i));
        if (t->frozen) run->frozen_elems += far_shape_elems(&t->shape);
    }
    if (run->frozen_elems == far_graph_param_elems(graph) && run->frozen_elems > 0)
        return far_config_fail(run->config, freezes ? FREEZE : GROUPS,
                               "every parameter is frozen: nothing is left to train");
    return FAR_OK;
}

far_status run_groups_fix_norms(const far_run *run, far_graph *graph)
{
    if (!far_config_bool(run->config, "model.freeze_stats")) return FAR_OK;
    if (far_config_list_count(run->config, FREEZE) == 0)
        return far_config_fail(run->config, "model.freeze_stats", "it goes with " FREEZE ", which names no layer");
    return far_graph_fix_norms(graph, run->groups[0].patterns);
}
