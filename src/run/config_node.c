/* Questions to YAML trees. */
#include "base/status.h"
#include "run/config_priv.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

far_config_node_kind far_config_node_kind_of(const far_config_node *node)
{
    return node->kind;
}

int64_t far_config_node_count(const far_config_node *node)
{
    return node->count;
}

const far_config_node *far_config_node_at(const far_config_node *node, int64_t idx)
{
    FAR_ASSERT(idx >= 0 && idx < node->count);
    return node->items[idx];
}

const char *far_config_node_key(const far_config_node *node, int64_t idx)
{
    FAR_ASSERT(node->kind == FAR_NODE_MAP && idx >= 0 && idx < node->count);
    return node->keys[idx];
}

const far_config_node *far_config_node_get(const far_config_node *node, const char *key)
{
    if (node->kind != FAR_NODE_MAP) return NULL;
    for (int64_t i = 0; i < node->count; i++)
        if (strcmp(node->keys[i], key) == 0) return node->items[i];
    return NULL;
}

const char *far_config_node_text(const far_config_node *node)
{
    return node->kind == FAR_NODE_SCALAR ? node->text : NULL;
}

int far_config_node_line(const far_config_node *node)
{
    return node->line;
}

const char *far_config_node_file(const far_config_node *node)
{
    return node->file;
}

far_status far_config_node_fail(const far_config_node *node, const char *fmt, ...)
{
    char words[800], where[160];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    if (node->line > 0) (void)snprintf(where, sizeof where, "%.140s:%d", node->file, node->line);
    else (void)snprintf(where, sizeof where, "%.140s", node->file);
    return FAR_FAIL(FAR_E_CONFIG, "%s: %s", where, words);
}

static const char *scalar_of(const far_config_node *node)
{
    return node->kind == FAR_NODE_SCALAR ? node->text : node->kind == FAR_NODE_LIST ? "a list" : "a map";
}

far_status far_config_node_i64(const far_config_node *node, int64_t *value_out)
{
    if (node->kind == FAR_NODE_SCALAR && fari_parse_i64(node->text, value_out)) return FAR_OK;
    return far_config_node_fail(node, "expected a whole number, not %.100s", scalar_of(node));
}

far_status far_config_node_f64(const far_config_node *node, double *value_out)
{
    if (node->kind == FAR_NODE_SCALAR && fari_parse_f64(node->text, value_out)) return FAR_OK;
    return far_config_node_fail(node, "expected a number, not %.100s", scalar_of(node));
}

far_status far_config_node_bool(const far_config_node *node, bool *value_out)
{
    if (node->kind == FAR_NODE_SCALAR && fari_config_parse_bool(node->text, value_out)) return FAR_OK;
    return far_config_node_fail(node, "expected true or false, not %.100s", scalar_of(node));
}
