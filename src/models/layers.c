/* The model "layers": a network described in YAML.

       model:
         name: layers
         layers:
           - {name: conv1, op: conv, out_channels: 8, kernel: 3, pad: 1}
           - {op: batch_norm, act: relu}
           - {op: global_avg_pool}
           - {op: linear, out_features: 10}

   A layer's input is the layer before it, `input: name` or `inputs: [name, name]`; "input" is the network's own. Layers without a
   name are called by their operation and place ("conv0"). `params: name` takes another layer's parameters. */
#include "models/layers.h"
#include "models/blocks.h"
#include <farandole/extend.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define LAYERS_MAX 4096
#define NAME_MAX_BYTES 100

typedef struct network {
    far_graph *graph;
    const far_config_node *list;
    far_value input;
    far_value values[LAYERS_MAX]; /* of the layers built so far */
    int64_t built;
} network;

static const char *const common_keys[] = { "name", "op", "input", "inputs", "params", NULL };

/* A member that must be plain text; "" when it is not there or something else. */
static const char *member_text(const far_config_node *layer, const char *key)
{
    const far_config_node *node = far_config_node_get(layer, key);
    const char *text = node != NULL ? far_config_node_text(node) : NULL;
    return text != NULL ? text : "";
}

static fari_path layer_name(const network *net, int64_t idx)
{
    const far_config_node *layer = far_config_node_at(net->list, idx);
    const char *name = member_text(layer, "name");
    return name[0] != '\0' ? fari_path_of("%.*s", NAME_MAX_BYTES, name)
                           : fari_path_of("%.*s%d", NAME_MAX_BYTES, member_text(layer, "op"), (int)idx);
}

/* ---- which values a layer takes ---- */

static far_status value_find(const network *net, const far_config_node *where, const char *name, far_value *value_out)
{
    fari_path nearest = fari_path_of("input");
    int least = far_word_distance(name, "input");
    *value_out = net->input;
    if (strcmp(name, "input") == 0) return FAR_OK;
    for (int64_t i = net->built; i-- > 0;) {
        const fari_path other = layer_name(net, i);
        *value_out = net->values[i];
        if (strcmp(name, other.text) == 0) return FAR_OK;
        const int distance = far_word_distance(name, other.text);
        if (distance < least) nearest = other;
        if (distance < least) least = distance;
    }
    return far_config_node_fail(where, "there is no layer '%s' before this one; the nearest is '%s'", name,
                                nearest.text);
}

static far_status inputs_read(const network *net, const far_config_node *layer, far_value *in, int32_t *count_out)
{
    const far_config_node *one = far_config_node_get(layer, "input"), *many = far_config_node_get(layer, "inputs");
    const far_config_node *given = many != NULL ? many : one;
    far_status st = FAR_OK;
    *count_out = 1;
    in[0] = net->built > 0 ? net->values[net->built - 1] : net->input;
    if (given == NULL) return FAR_OK;
    if (one != NULL && many != NULL) return far_config_node_fail(layer, "a layer has either input or inputs");
    if (far_config_node_text(given) != NULL) return value_find(net, given, far_config_node_text(given), &in[0]);
    if (far_config_node_kind_of(given) != FAR_NODE_LIST || far_config_node_count(given) > FARI_LAYER_INPUTS_MAX)
        return far_config_node_fail(given, "inputs are the names of at most %d layers", FARI_LAYER_INPUTS_MAX);
    *count_out = (int32_t)far_config_node_count(given);
    for (int32_t i = 0; i < *count_out && st == FAR_OK; i++) {
        const far_config_node *item = far_config_node_at(given, i);
        const char *name = far_config_node_text(item);
        st = name != NULL ? value_find(net, item, name, &in[i])
                          : far_config_node_fail(item, "an input is the name of a layer");
    }
    return st;
}

/* ---- one layer ---- */

static const fari_layer_family *const families[] = { &fari_layers_windows, &fari_layers_norms, &fari_layers_shapes };

/* The idx-th row of all families, NULL past the last. */
static const fari_layer_op *op_at(int32_t idx)
{
    for (size_t f = 0; f < FARI_COUNT(families) && idx >= 0; f++) {
        if (idx < families[f]->count) return &families[f]->rows[idx];
        idx -= families[f]->count;
    }
    return NULL;
}

static const fari_layer_op *op_find(const char *name, const char **nearest_out)
{
    int least = INT_MAX;
    const fari_layer_op *op;
    for (int32_t i = 0; (op = op_at(i)) != NULL; i++) {
        const int distance = far_word_distance(name, op->info.name);
        if (distance == 0) return op;
        if (distance < least) *nearest_out = op->info.name;
        if (distance < least) least = distance;
    }
    return NULL;
}

static far_status op_of(const far_config_node *layer, const fari_layer_op **op_out)
{
    const char *name, *nearest = "";
    if (far_config_node_kind_of(layer) != FAR_NODE_MAP || far_config_node_get(layer, "op") == NULL)
        return far_config_node_fail(layer, "a layer is a map with an op: {op: conv, out_channels: 8, kernel: 3}");
    name = member_text(layer, "op");
    *op_out = op_find(name, &nearest);
    if (*op_out != NULL) return FAR_OK;
    return far_config_node_fail(layer, "there is no op '%s'; the nearest is '%s' (see 'farandole models layers')", name,
                                nearest);
}

static far_status check_name(const network *net, const far_config_node *layer, const char *name)
{
    const far_config_node *node = far_config_node_get(layer, "name");
    if (node != NULL && (far_config_node_text(node) == NULL || strlen(far_config_node_text(node)) > NAME_MAX_BYTES))
        return far_config_node_fail(node, "a layer's name is a text of at most %d characters", NAME_MAX_BYTES);
    if (strcmp(name, "input") == 0)
        return far_config_node_fail(layer, "the name 'input' is that of the network's input");
    for (int64_t i = 0; i < net->built; i++)
        if (strcmp(name, layer_name(net, i).text) == 0)
            return far_config_node_fail(layer, "two layers are called '%s'; the other one is at line %d", name,
                                        far_config_node_line(far_config_node_at(net->list, i)));
    return FAR_OK;
}

/* Puts file, line and layer before the words of a failed graph, unless they have a place already. */
static void graph_fail_at(far_graph *graph, const far_config_node *layer, const char *name)
{
    if (far_graph_status(graph) == FAR_OK || far_graph_status(graph) == FAR_E_NOMEM) return;
    if (strstr(far_error_message(), far_config_node_file(layer)) == far_error_message()) return;
    if (far_config_node_line(layer) < 1)
        far_graph_fail_prefix(graph, "%s: layer '%s': ", far_config_node_file(layer), name);
    else
        far_graph_fail_prefix(graph, "%s:%d: layer '%s': ", far_config_node_file(layer), far_config_node_line(layer),
                              name);
}

static far_status layer_emit(network *net, const far_config_node *node, const fari_layer_op *op, const char *name,
                             far_options *opts)
{
    far_value in[FARI_LAYER_INPUTS_MAX], residual = FAR_NO_VALUE;
    const char *params = member_text(node, "params");
    int32_t count = 0;
    far_status st = far_options_set_map(opts, node, common_keys);
    if (st == FAR_OK) st = far_options_check(opts, node);
    if (st == FAR_OK) st = inputs_read(net, node, in, &count);
    if (st == FAR_OK && (count < op->info.input_min || count > op->info.input_max))
        st = far_config_node_fail(node, "layer '%s': %s takes %s, got %d", name, op->info.name,
                                  op->info.input_max == 1   ? "one input"
                                  : op->info.input_max == 2 ? "two inputs"
                                                            : "two inputs or more",
                                  (int)count);
    const bool has_residual = st == FAR_OK && far_options_has(opts, "residual") && far_options_is_set(opts, "residual");
    if (has_residual)
        st = value_find(net, far_config_node_get(node, "residual"), far_options_text(opts, "residual"), &residual);
    if (st != FAR_OK) return st;
    const fari_layer layer = { net->graph, params[0] != '\0' ? params : name, opts, in,
                               count,      has_residual ? &residual : NULL };
    net->values[net->built] = op->build(&layer);
    graph_fail_at(net->graph, node, name);
    return far_graph_status(net->graph);
}

static far_status layer_build(network *net)
{
    const far_config_node *node = far_config_node_at(net->list, net->built);
    const fari_layer_op *op = NULL;
    far_options *opts = NULL;
    far_status st = op_of(node, &op);
    if (st != FAR_OK || op == NULL) return st;
    const fari_path name = layer_name(net, net->built);
    st = check_name(net, node, name.text);
    if (st != FAR_OK) return st;
    st = far_options_create(fari_path_of("layer '%s' (%s)", name.text, op->info.name).text, op->info.options,
                            op->info.option_count, &opts);
    if (st != FAR_OK) return st;
    st = layer_emit(net, node, op, name.text, opts);
    far_options_destroy(opts);
    if (st == FAR_OK) net->built++;
    return st;
}

/* ---- the network ---- */

static far_status outputs_read(const network *net, const far_options *opts, far_model_result *result)
{
    const int64_t count = far_options_list_count(opts, "outputs");
    result->logits[0] = net->values[net->built - 1];
    result->count = 1;
    if (count == 0) return FAR_OK;
    if (count > FAR_LOGITS_MAX) return far_options_fail(opts, "outputs", "at most %d", FAR_LOGITS_MAX);
    for (int32_t i = 0; i < count; i++) {
        const far_status st = value_find(net, net->list, far_options_list_text(opts, "outputs", i), &result->logits[i]);
        if (st != FAR_OK) return st;
    }
    result->count = (int32_t)count;
    return FAR_OK;
}

static far_status network_build(network *net, const far_options *opts, far_model_result *result)
{
    far_status st = FAR_OK;
    if (net->list == NULL) return far_options_fail(opts, "layers", "a list of layers is needed");
    const int64_t count = far_config_node_count(net->list);
    if (far_config_node_kind_of(net->list) != FAR_NODE_LIST || count < 1 || count > LAYERS_MAX)
        return far_config_node_fail(net->list, "layers is a list of 1 to %d maps", LAYERS_MAX);
    while (net->built < count && st == FAR_OK) st = layer_build(net);
    return st == FAR_OK ? outputs_read(net, opts, result) : st;
}

static void layers_build(far_graph *graph, const far_options *opts, far_value input, far_model_result *result)
{
    network net = { .graph = graph, .list = far_options_node(opts, "layers"), .input = input };
    if (far_graph_status(graph) != FAR_OK) return;
    const far_status st = network_build(&net, opts, result);
    if (st != FAR_OK) (void)far_graph_fail_last(graph, st);
}

static const far_config_key layers_options[] = {
    { .name = "layers", .type = FAR_CONFIG_NODE, .default_text = "", .unit = "", .help = "the list of layers" },
    FARI_OPT_TEXTS("outputs", "layers whose results are the logits; the last layer when not given"),
};

const fari_model fari_model_layers = {
    .info = { .name = "layers",
              .help = "A network described as a list of layers in YAML",
              .input = { 4, { 1, 3, 32, 32 } },
              FARI_OPTIONS(layers_options) },
    .build = layers_build,
};

int32_t far_layer_op_count(void)
{
    int32_t count = 0;
    for (size_t f = 0; f < FARI_COUNT(families); f++) count += families[f]->count;
    return count;
}

const far_layer_op *far_layer_op_at(int32_t idx)
{
    const fari_layer_op *op = op_at(idx);
    return op != NULL ? &op->info : NULL;
}
