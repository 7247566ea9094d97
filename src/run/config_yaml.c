/* YAML into trees, through libyaml's events. Anchors, aliases and tags have no use here and are refused. */
#include "base/mem.h"
#include "base/status.h"
#include "run/config_priv.h"
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#define DEPTH_MAX 32

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_event;
    const char *label;
} reader;

static int line_of(const reader *in)
{
    return (int)in->event.start_mark.line + 1;
}

static far_status no_memory(const reader *in)
{
    return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", in->label);
}

static far_status next_event(reader *in)
{
    if (in->has_event) yaml_event_delete(&in->event);
    in->has_event = false;
    if (!yaml_parser_parse(&in->parser, &in->event)) {
        const yaml_parser_t *parser = &in->parser;
        if (parser->error == YAML_MEMORY_ERROR) return no_memory(in);
        if (parser->error == YAML_READER_ERROR)
            return FAR_FAIL(FAR_E_CONFIG, "%s: byte %zu: %s", in->label, parser->problem_offset, parser->problem);
        return FAR_FAIL(FAR_E_CONFIG, "%s:%zu: this is not valid YAML, perhaps by its indentation: %s%s%s", in->label,
                        parser->problem_mark.line + 1, parser->context != NULL ? parser->context : "",
                        parser->context != NULL ? ": " : "",
                        parser->problem != NULL ? parser->problem : "no reason given");
    }
    in->has_event = true;
    return FAR_OK;
}

static far_status refuse_anchor(const reader *in, const yaml_char_t *anchor)
{
    if (anchor == NULL) return FAR_OK;
    return FAR_FAIL(FAR_E_CONFIG, "%s:%d: anchors (&%s) are not read here", in->label, line_of(in),
                    (const char *)anchor);
}

static far_config_node *new_node(const reader *in, far_config_node_kind kind)
{
    far_config_node *node = fari_calloc(1, sizeof *node);
    if (node == NULL) return NULL;
    node->kind = kind;
    node->file = in->label;
    node->line = line_of(in);
    return node;
}

static far_status add_item(const reader *in, far_config_node *parent, char *key, far_config_node *item)
{
    if (!fari_reserve((void **)&parent->items, &parent->item_cap, parent->count + 1, sizeof *parent->items) ||
        (key != NULL &&
         !fari_reserve((void **)&parent->keys, &parent->key_cap, parent->count + 1, sizeof *parent->keys)))
        return no_memory(in);
    if (key != NULL) parent->keys[parent->count] = key;
    parent->items[parent->count++] = item;
    return FAR_OK;
}

static far_status read_text(const reader *in, char **text_out)
{
    const char *text = (const char *)in->event.data.scalar.value;
    if (strlen(text) != in->event.data.scalar.length)
        return FAR_FAIL(FAR_E_CONFIG, "%s:%d: a text with a zero byte", in->label, line_of(in));
    *text_out = fari_strdup(text);
    return *text_out == NULL ? no_memory(in) : FAR_OK;
}

static far_status read_node(reader *in, int depth, far_config_node **node_out);

static far_status read_key(reader *in, const far_config_node *map, char **key_out)
{
    if (in->event.type != YAML_SCALAR_EVENT)
        return FAR_FAIL(FAR_E_CONFIG, "%s:%d: a key has to be a plain word", in->label, line_of(in));
    FAR_TRY(read_text(in, key_out));
    for (int64_t i = 0; i < map->count; i++) {
        if (strcmp(map->keys[i], *key_out) != 0) continue;
        far_status st = FAR_FAIL(FAR_E_CONFIG, "%s:%d: key \"%s\" is there already, on line %d", in->label, line_of(in),
                                 *key_out, map->items[i]->line);
        fari_free(*key_out);
        return st;
    }
    return FAR_OK;
}

static far_status read_members(reader *in, int depth, far_config_node *node)
{
    const bool is_map = node->kind == FAR_NODE_MAP;
    for (;;) {
        char *key = NULL;
        far_config_node *item = NULL;
        FAR_TRY(next_event(in));
        if (in->event.type == (is_map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT)) return FAR_OK;
        if (is_map) {
            FAR_TRY(read_key(in, node, &key));
            const far_status st = next_event(in);
            if (st != FAR_OK) fari_free(key);
            FAR_TRY(st);
        }
        far_status st = read_node(in, depth + 1, &item);
        if (st == FAR_OK) st = add_item(in, node, key, item);
        if (st != FAR_OK) {
            fari_config_node_free(item);
            fari_free(key);
            return st;
        }
    }
}

/* Makes a node of the event at hand and those that belong to it. */
static far_status read_node(reader *in, int depth, far_config_node **node_out)
{
    far_config_node *node = NULL;
    far_status st = FAR_OK;
    const yaml_event_t *event = &in->event;
    if (depth > DEPTH_MAX)
        return FAR_FAIL(FAR_E_CONFIG, "%s:%d: nested more than %d deep", in->label, line_of(in), DEPTH_MAX);
    if (event->type == YAML_ALIAS_EVENT) return refuse_anchor(in, event->data.alias.anchor);
    if (event->type == YAML_SCALAR_EVENT) {
        FAR_TRY(refuse_anchor(in, event->data.scalar.anchor));
        node = new_node(in, FAR_NODE_SCALAR);
        if (node == NULL) return no_memory(in);
        node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        st = read_text(in, &node->text);
    } else {
        const bool is_map = event->type == YAML_MAPPING_START_EVENT;
        FAR_TRY(refuse_anchor(in, is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor));
        node = new_node(in, is_map ? FAR_NODE_MAP : FAR_NODE_LIST);
        if (node == NULL) return no_memory(in);
        st = read_members(in, depth, node);
    }
    if (st != FAR_OK) fari_config_node_free(node);
    else *node_out = node;
    return st;
}

far_status fari_config_yaml(const char *label, const char *text, size_t bytes, far_config_node **root_out)
{
    reader in = { .label = label };
    far_config_node *root = NULL;
    far_status st;
    if (!yaml_parser_initialize(&in.parser)) return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", label);
    yaml_parser_set_encoding(&in.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&in.parser, (const unsigned char *)text, bytes);
    FAR_TRY_GOTO(next_event(&in), delete_parser); /* stream start */
    FAR_TRY_GOTO(next_event(&in), delete_parser);
    if (in.event.type == YAML_DOCUMENT_START_EVENT) {
        FAR_TRY_GOTO(next_event(&in), delete_parser);
        FAR_TRY_GOTO(read_node(&in, 0, &root), delete_parser);
        FAR_TRY_GOTO(next_event(&in), delete_parser); /* document end */
        FAR_TRY_GOTO(next_event(&in), delete_parser);
    }
    if (in.event.type != YAML_STREAM_END_EVENT) {
        st = FAR_FAIL(FAR_E_CONFIG, "%s:%d: a second document begins; one file is one document", label, line_of(&in));
        goto delete_parser;
    }
    *root_out = root;
    root = NULL;
delete_parser:
    fari_config_node_free(root);
    if (in.has_event) yaml_event_delete(&in.event);
    yaml_parser_delete(&in.parser);
    return st;
}

/* --- trees --- */

void fari_config_node_free(far_config_node *node)
{
    if (node == NULL) return;
    for (int64_t i = 0; i < node->count; i++) {
        fari_config_node_free(node->items[i]);
        if (node->keys != NULL) fari_free(node->keys[i]);
    }
    fari_free(node->items);
    fari_free(node->keys);
    fari_free(node->text);
    fari_free(node);
}

far_config_node *fari_config_scalar(const char *file, int line, const char *text)
{
    far_config_node *node = fari_calloc(1, sizeof *node);
    if (node == NULL) return NULL;
    node->text = fari_strdup(text);
    node->file = file;
    node->line = line;
    if (node->text != NULL) return node;
    fari_config_node_free(node);
    return NULL;
}

static far_status copy_members(const far_config_node *node, far_config_node *copy)
{
    const size_t count = (size_t)node->count;
    if (count == 0) return FAR_OK;
    copy->items = fari_calloc(count, sizeof *copy->items);
    if (node->keys != NULL) copy->keys = fari_calloc(count, sizeof *copy->keys);
    if (copy->items == NULL || (node->keys != NULL && copy->keys == NULL))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for a configuration");
    copy->item_cap = copy->key_cap = copy->count = node->count;
    for (int64_t i = 0; i < node->count; i++) {
        FAR_TRY(fari_config_copy(node->items[i], &copy->items[i]));
        if (node->keys != NULL && (copy->keys[i] = fari_strdup(node->keys[i])) == NULL)
            return FAR_FAIL(FAR_E_NOMEM, "no memory for a configuration");
    }
    return FAR_OK;
}

far_status fari_config_copy(const far_config_node *node, far_config_node **copy_out)
{
    far_status st = FAR_OK;
    far_config_node *copy = fari_calloc(1, sizeof *copy);
    if (copy == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a configuration");
    copy->kind = node->kind;
    copy->file = node->file;
    copy->line = node->line;
    copy->is_quoted = node->is_quoted;
    if (node->text != NULL && (copy->text = fari_strdup(node->text)) == NULL)
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for a configuration");
    if (st == FAR_OK) st = copy_members(node, copy);
    if (st != FAR_OK) fari_config_node_free(copy);
    else *copy_out = copy;
    return st;
}

bool fari_config_is_null(const far_config_node *node)
{
    static const char *const words[] = { "", "~", "null", "Null", "NULL" };
    if (node->kind != FAR_NODE_SCALAR || node->is_quoted) return false;
    for (size_t i = 0; i < FAR_COUNT(words); i++)
        if (strcmp(node->text, words[i]) == 0) return true;
    return false;
}
