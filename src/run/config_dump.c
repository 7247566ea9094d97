/* Configurations as text: the complete YAML, the hash of what results depend on, the reference of all keys. */
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "run/config_priv.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Plain where YAML reads it back as the same text, otherwise in double quotes (whose escapes are those of JSON). */
static void write_text(fari_text *text, const char *value, bool quote)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-";
    if (quote || value[0] == '\0' || value[0] == '-' || value[strspn(value, safe)] != '\0' ||
        strcmp(value, "null") == 0 || strcmp(value, "Null") == 0 || strcmp(value, "NULL") == 0)
        fari_text_json(text, value);
    else fari_text_add(text, "%s", value);
}

static void write_flow(fari_text *text, const far_config_node *node)
{
    if (node->kind == FAR_NODE_SCALAR) {
        if (fari_config_is_null(node)) fari_text_add(text, "null");
        else write_text(text, node->text, node->is_quoted);
        return;
    }
    const bool is_map = node->kind == FAR_NODE_MAP;
    fari_text_add(text, is_map ? "{" : "[");
    for (int64_t i = 0; i < node->count; i++) {
        if (i > 0) fari_text_add(text, ", ");
        if (is_map) {
            write_text(text, node->keys[i], false);
            fari_text_add(text, ": ");
        }
        write_flow(text, node->items[i]);
    }
    fari_text_add(text, is_map ? "}" : "]");
}

static void write_number(fari_text *text, double value)
{
    char number[FARI_NUMBER_TEXT];
    if (isnan(value)) fari_text_add(text, ".nan");
    else if (isinf(value)) fari_text_add(text, value > 0 ? ".inf" : "-.inf");
    else fari_text_add(text, "%s", fari_f64_text(value, number));
}

static void write_list(fari_text *text, const far_config_key *key, const far_config_node *list)
{
    fari_text_add(text, "[");
    for (int64_t i = 0; list != NULL && i < list->count; i++) {
        const char *item = list->items[i]->text;
        double f64 = 0.0;
        int64_t i64 = 0;
        if (i > 0) fari_text_add(text, ", ");
        if (key->type == FAR_CONFIG_FLOATS && fari_parse_f64(item, &f64)) write_number(text, f64);
        else if (key->type == FAR_CONFIG_INTS && fari_parse_i64(item, &i64)) fari_text_add(text, "%" PRId64, i64);
        else write_text(text, item, false);
    }
    fari_text_add(text, "]");
}

void fari_config_write_value(fari_text *text, const far_config_key *key, const fari_config_value *value)
{
    const bool is_word = key->type != FAR_CONFIG_ENUM && value->node != NULL && value->node->kind == FAR_NODE_SCALAR &&
                         fari_config_is_word(key->values, value->node->text);
    if (is_word) {
        fari_text_add(text, "%s", value->node->text);
        return;
    }
    switch (key->type) {
    case FAR_CONFIG_INT:
    case FAR_CONFIG_SIZE: fari_text_add(text, "%" PRId64, value->i64); break;
    case FAR_CONFIG_FLOAT: write_number(text, value->f64); break;
    case FAR_CONFIG_BOOL: fari_text_add(text, value->truth ? "true" : "false"); break;
    case FAR_CONFIG_STRING:
    case FAR_CONFIG_ENUM:
    case FAR_CONFIG_PATH: write_text(text, value->node->text, false); break;
    case FAR_CONFIG_INTS:
    case FAR_CONFIG_FLOATS:
    case FAR_CONFIG_STRINGS: write_list(text, key, value->node); break;
    case FAR_CONFIG_NODE: write_flow(text, value->node); break;
    }
}

/* A tree that is a list is easier to read with an item a line. */
static void write_tree(fari_text *text, const far_config_node *node, int indent)
{
    if (node->kind != FAR_NODE_LIST || node->count == 0 || node->items[0]->kind == FAR_NODE_SCALAR) {
        fari_text_add(text, " ");
        write_flow(text, node);
        fari_text_add(text, "\n");
        return;
    }
    fari_text_add(text, "\n");
    for (int64_t i = 0; i < node->count; i++) {
        fari_text_add(text, "%*s- ", indent, "");
        write_flow(text, node->items[i]);
        fari_text_add(text, "\n");
    }
}

/* Headings for the groups of `name` that `before` was not in; gives the indentation, and the key's own part. */
static int write_headings(fari_text *text, const char *before, const char *name, const char **own_out)
{
    int depth = 0;
    bool same = true;
    for (const char *dot = strchr(name, '.'); dot != NULL; dot = strchr(name, '.')) {
        const size_t length = (size_t)(dot - name) + 1;
        same = same && strncmp(before, name, length) == 0;
        if (!same) fari_text_add(text, "%*s%.*s:\n", 2 * depth, "", (int)length - 1, name);
        else before += length;
        name += length;
        depth++;
    }
    *own_out = name;
    return 2 * depth;
}

static far_status give_text(fari_text *text, char **text_out)
{
    if (text->failed) {
        fari_text_free(text);
        return FAR_FAIL(FAR_E_NOMEM, "no memory to write a configuration");
    }
    *text_out = text->data;
    return FAR_OK;
}

far_status far_config_dump(const far_config *config, char **text_out)
{
    fari_text text = { 0 };
    const char *before = "";
    for (int32_t i = 0; i < far_config_key_count(); i++) {
        const far_config_key *key = far_config_key_at(i);
        const char *own;
        if (key->type == FAR_CONFIG_NODE && config->values[i].node == NULL) continue;
        const int indent = write_headings(&text, before, key->name, &own);
        fari_text_add(&text, "%*s%s:", indent, "", own);
        if (key->type == FAR_CONFIG_NODE) {
            write_tree(&text, config->values[i].node, indent + 2);
        } else {
            fari_text_add(&text, " ");
            fari_config_write_value(&text, key, &config->values[i]);
            fari_text_add(&text, "\n");
        }
        before = key->name;
    }
    return give_text(&text, text_out);
}

far_status far_config_hash(const far_config *config, char hex_out[65])
{
    fari_text text = { 0 };
    for (int32_t i = 0; i < far_config_key_count(); i++) {
        const far_config_key *key = far_config_key_at(i);
        if (key->is_free || (key->type == FAR_CONFIG_NODE && config->values[i].node == NULL)) continue;
        fari_text_add(&text, "%s=", key->name);
        fari_config_write_value(&text, key, &config->values[i]);
        fari_text_add(&text, "\n");
    }
    if (!text.failed) fari_sha256_hex(text.data, (size_t)text.bytes, hex_out);
    const bool failed = text.failed;
    fari_text_free(&text);
    return failed ? FAR_FAIL(FAR_E_NOMEM, "no memory to hash a configuration") : FAR_OK;
}

/* --- the reference --- */

static const char *const type_names[] = {
    [FAR_CONFIG_INT] = "integer",   [FAR_CONFIG_FLOAT] = "number",  [FAR_CONFIG_BOOL] = "true or false",
    [FAR_CONFIG_STRING] = "text",   [FAR_CONFIG_ENUM] = "one of",   [FAR_CONFIG_PATH] = "path",
    [FAR_CONFIG_SIZE] = "size",     [FAR_CONFIG_INTS] = "integers", [FAR_CONFIG_FLOATS] = "numbers",
    [FAR_CONFIG_STRINGS] = "texts", [FAR_CONFIG_NODE] = "YAML",
};

/* Words of an enum in code marks: `a`, `b`. */
static void write_words(fari_text *text, const char *values)
{
    for (const char *comma = " "; *values != '\0'; comma = ", ") {
        const size_t span = strcspn(values, "|");
        fari_text_add(text, "%s`%.*s`", comma, (int)span, values);
        values += span + (values[span] == '|');
    }
}

static void write_type(fari_text *text, const far_config_key *key)
{
    char low[FARI_NUMBER_TEXT], high[FARI_NUMBER_TEXT];
    const bool has_range = key->type == FAR_CONFIG_INT || key->type == FAR_CONFIG_FLOAT ||
                           key->type == FAR_CONFIG_INTS || key->type == FAR_CONFIG_FLOATS;
    fari_text_add(text, "%s", type_names[key->type]);
    if (key->type == FAR_CONFIG_ENUM) write_words(text, key->values);
    else if (has_range && isfinite(key->max))
        fari_text_add(text, " from %s to %s", fari_f64_text(key->min, low), fari_f64_text(key->max, high));
    else if (has_range && isfinite(key->min)) fari_text_add(text, " from %s", fari_f64_text(key->min, low));
    if (key->type != FAR_CONFIG_ENUM && key->values != NULL) fari_text_add(text, ", or `%s`", key->values);
    if (key->unit[0] != '\0') fari_text_add(text, "; %s", key->unit);
}

far_status far_config_reference(char **text_out)
{
    fari_text text = { 0 };
    size_t group = SIZE_MAX;
    const char *before = "";
    fari_text_add(
        &text,
        "# Configuration keys\n\nGroups nest: `optim: {lr: 0.1}` in a file, `optim.lr=0.1` on the command line.\n"
        "Results do not depend on keys marked *.\n");
    for (int32_t i = 0; i < far_config_key_count(); i++) {
        const far_config_key *key = far_config_key_at(i);
        const size_t length = strcspn(key->name, ".");
        if (length != group || strncmp(before, key->name, length) != 0) {
            fari_text_add(&text, "\n## %.*s\n\n| key | value | default | meaning |\n|---|---|---|---|\n", (int)length,
                          key->name);
            group = length;
        }
        before = key->name;
        fari_text_add(&text, "| `%s`%s | ", key->name, key->is_free ? " *" : "");
        write_type(&text, key);
        fari_text_add(&text, key->default_text[0] != '\0' ? " | `%s`" : " |%s", key->default_text);
        fari_text_add(&text, " | %s |\n", key->help);
    }
    return give_text(&text, text_out);
}

void far_config_text_free(char *text)
{
    fari_free(text);
}
