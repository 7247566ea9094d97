#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "run/config_priv.h"
#include <farandole/config.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX ((int64_t)4 << 20)
#define PATH_MAX_BYTES 256

/* Changes that are not made yet: all of them are, or none. */
typedef struct changes {
    struct change {
        int32_t key;
        fari_config_value value;
    } * list;
    int64_t count, cap;
} changes;

far_status far_config_create(far_config **config_out)
{
    const int32_t count = far_config_key_count();
    far_status st = FAR_OK;
    far_config *config = fari_calloc(1, sizeof *config);
    if (config != NULL) config->values = fari_calloc((size_t)count, sizeof *config->values);
    if (config == NULL || config->values == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for a configuration");
        goto destroy;
    }
    for (int32_t i = 0; i < count; i++)
        FAR_TRY_GOTO(fari_config_default(far_config_key_at(i), &config->values[i]), destroy);
    *config_out = config;
    return FAR_OK;
destroy:
    far_config_destroy(config);
    return st;
}

void far_config_destroy(far_config *config)
{
    if (config == NULL) return;
    for (int32_t i = 0; config->values != NULL && i < far_config_key_count(); i++)
        fari_config_value_free(&config->values[i]);
    for (int64_t i = 0; i < config->label_count; i++) fari_free(config->labels[i]);
    fari_free(config->labels);
    fari_free(config->values);
    fari_free(config);
}

far_status fari_config_clone(const far_config *config, far_config **clone_out)
{
    far_status st = FAR_OK;
    far_config *clone = NULL;
    FAR_TRY(far_config_create(&clone));
    for (int32_t i = 0; i < far_config_key_count(); i++) {
        fari_config_value *value = &clone->values[i];
        fari_config_value_free(value);
        *value = config->values[i];
        value->node = NULL;
        if (config->values[i].node != NULL)
            FAR_TRY_GOTO(fari_config_copy(config->values[i].node, &value->node), destroy);
    }
    *clone_out = clone;
    return FAR_OK;
destroy:
    far_config_destroy(clone);
    return st;
}

/* --- changing --- */

static int32_t index_of(const far_config_key *key)
{
    return (int32_t)(key - far_config_key_at(0));
}

static far_status add_change(changes *all, const far_config_key *key, const far_config_node *node)
{
    fari_config_value value = { 0 };
    if (fari_config_is_null(node) && key->type != FAR_CONFIG_STRING && key->type != FAR_CONFIG_PATH)
        FAR_TRY(fari_config_default(key, &value));
    else if (fari_config_is_null(node) && node->text[0] != '\0') FAR_TRY(fari_config_default(key, &value));
    else FAR_TRY(fari_config_check(key, node, &value));
    if (!fari_reserve((void **)&all->list, &all->cap, all->count + 1, sizeof *all->list)) {
        fari_config_value_free(&value);
        return FAR_FAIL(FAR_E_NOMEM, "no memory for a configuration");
    }
    all->list[all->count++] = (struct change){ index_of(key), value };
    return FAR_OK;
}

static void drop_changes(changes *all)
{
    for (int64_t i = 0; i < all->count; i++) fari_config_value_free(&all->list[i].value);
    fari_free(all->list);
    *all = (changes){ 0 };
}

static void make_changes(far_config *config, changes *all)
{
    for (int64_t i = 0; i < all->count; i++) {
        fari_config_value *value = &config->values[all->list[i].key];
        fari_config_value_free(value);
        *value = all->list[i].value;
    }
    fari_free(all->list);
    *all = (changes){ 0 };
}

/* The first key of a group, NULL where `path` is none. */
static const far_config_key *first_of_group(const char *path)
{
    const size_t length = strlen(path);
    for (int32_t i = 0; i < far_config_key_count(); i++) {
        const far_config_key *key = far_config_key_at(i);
        if (strncmp(key->name, path, length) == 0 && key->name[length] == '.') return key;
    }
    return NULL;
}

static far_status unknown_key(const far_config_node *node, const char *path)
{
    const far_config_key *inner = first_of_group(path);
    if (inner != NULL)
        return far_config_node_fail(
            node, "\"%.80s\" is a group of keys and has no value of its own; a key in it is \"%s\"", path, inner->name);
    return far_config_node_fail(node, "unknown key \"%.80s\"; nearest valid key: \"%s\"", path,
                                far_config_key_nearest(path));
}

static far_status collect(changes *all, const far_config_node *node, const char *path);

/* `grain: 4` and `grain: samples=1,rows=64`. */
static far_status collect_grain(changes *all, const far_config_node *node)
{
    const char *text = node->text;
    if (strchr(text, '=') == NULL) return add_change(all, far_config_key_find("grain.samples"), node);
    while (*text != '\0') {
        char path[64], value[64];
        const size_t span = strcspn(text, ","), name = strcspn(text, "=");
        if (name >= span || name > 32 || span - name > 32)
            return far_config_node_fail(
                node, "grain is \"%.60s\"; expected a number of samples or such as samples=1,rows=64", node->text);
        (void)snprintf(path, sizeof path, "grain.%.*s", (int)name, text);
        (void)snprintf(value, sizeof value, "%.*s", (int)(span - name - 1), text + name + 1);
        far_config_node *part = fari_config_scalar(node->file, node->line, value);
        if (part == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a configuration");
        const far_status st = collect(all, part, path);
        fari_config_node_free(part);
        FAR_TRY(st);
        text += span + (text[span] == ',');
    }
    return FAR_OK;
}

/* Walks a tree down to keys. */
static far_status collect(changes *all, const far_config_node *node, const char *path)
{
    char inner[PATH_MAX_BYTES];
    const far_config_key *key = far_config_key_find(path);
    if (key != NULL && (node->kind != FAR_NODE_MAP || key->type == FAR_CONFIG_NODE)) return add_change(all, key, node);
    if (node->kind == FAR_NODE_MAP) {
        for (int64_t i = 0; i < node->count; i++) {
            const int length = snprintf(inner, sizeof inner, "%s%s%s", path, path[0] != '\0' ? "." : "", node->keys[i]);
            if (length < 0 || length >= PATH_MAX_BYTES)
                return far_config_node_fail(node->items[i], "unknown key \"%.80s...\"", inner);
            FAR_TRY(collect(all, node->items[i], inner));
        }
        return FAR_OK;
    }
    if (fari_config_is_null(node) && first_of_group(path) != NULL) return FAR_OK; /* a heading with nothing under it */
    if (node->kind == FAR_NODE_SCALAR && strcmp(path, "grain") == 0) return collect_grain(all, node);
    (void)snprintf(inner, sizeof inner, "%.200s.name", path); /* `model: resnet18` */
    if (node->kind == FAR_NODE_SCALAR && (key = far_config_key_find(inner)) != NULL) return add_change(all, key, node);
    return unknown_key(node, path);
}

static far_status keep_label(far_config *config, const char *label, const char **label_out)
{
    char *copy = NULL;
    if (fari_reserve((void **)&config->labels, &config->label_cap, config->label_count + 1, sizeof *config->labels))
        copy = fari_strdup(label);
    if (copy == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a configuration");
    config->labels[config->label_count++] = copy;
    *label_out = copy;
    return FAR_OK;
}

far_status far_config_parse(far_config *config, const char *label, const char *text, size_t bytes)
{
    far_config_node *root = NULL;
    changes all = { 0 };
    const char *kept = NULL;
    far_status st = FAR_OK;
    FAR_TRY(keep_label(config, label, &kept));
    FAR_TRY(fari_config_yaml(kept, text, bytes, &root));
    if (root == NULL || fari_config_is_null(root)) goto free_root;
    if (root->kind != FAR_NODE_MAP) {
        st = far_config_node_fail(root, "expected keys and values (key: value)");
        goto free_root;
    }
    FAR_TRY_GOTO(collect(&all, root, ""), free_root);
    make_changes(config, &all);
free_root:
    drop_changes(&all);
    fari_config_node_free(root);
    return st;
}

far_status far_config_load(far_config *config, const char *path)
{
    char *text = NULL;
    size_t bytes = 0;
    const far_status read = fari_file_read(path, FILE_MAX, &text, &bytes);
    if (read == FAR_E_NOMEM) return read;
    if (read != FAR_OK) return fari_error_prefix(FAR_E_CONFIG, "configuration: ");
    const far_status st = far_config_parse(config, path, text, bytes);
    fari_free(text);
    return st;
}

/* What stands right of "=" on the command line. Texts are taken as they are; lists may do without brackets. */
static far_status parse_override(const far_config_key *key, const char *text, far_config_node **node_out)
{
    far_status st;
    far_config_node *node = NULL;
    char *listed = NULL;
    const bool is_text =
        key == NULL ? text[0] != '{' /* a map for a whole group: optim={lr: 0.1, momentum: 0.9} */
                    : key->type == FAR_CONFIG_STRING || key->type == FAR_CONFIG_PATH || key->type == FAR_CONFIG_ENUM;
    if (is_text) {
        node = fari_config_scalar(FARI_CONFIG_COMMAND_LINE, 0, text);
        if (node == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a configuration");
        *node_out = node;
        return FAR_OK;
    }
    if (key != NULL && fari_config_is_list(key->type) && text[0] != '[' && text[0] != '\0') {
        listed = fari_printf("[%s]", text);
        if (listed == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a configuration");
        text = listed;
    }
    st = fari_config_yaml(FARI_CONFIG_COMMAND_LINE, text, strlen(text), &node);
    if (st == FAR_OK && node == NULL && (node = fari_config_scalar(FARI_CONFIG_COMMAND_LINE, 0, "")) == NULL)
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for a configuration");
    if (st == FAR_OK) node->line = 0;
    if (st == FAR_OK) *node_out = node;
    fari_free(listed);
    return st;
}

far_status far_config_set(far_config *config, const char *assignment)
{
    char path[PATH_MAX_BYTES];
    changes all = { 0 };
    far_config_node *node = NULL;
    far_status st;
    const char *equals = strchr(assignment, '=');
    if (equals == NULL || equals == assignment || equals - assignment >= PATH_MAX_BYTES)
        return FAR_FAIL(FAR_E_CONFIG, "command line: \"%.100s\": expected key=value, such as optim.lr=0.1", assignment);
    (void)snprintf(path, sizeof path, "%.*s", (int)(equals - assignment), assignment);
    FAR_TRY(parse_override(far_config_key_find(path), equals + 1, &node));
    FAR_TRY_GOTO(collect(&all, node, path), free_node);
    make_changes(config, &all);
free_node:
    drop_changes(&all);
    fari_config_node_free(node);
    return st;
}

/* --- getting --- */

static const fari_config_value *value_of(const far_config *config, const char *name, const far_config_key **key_out)
{
    const far_config_key *key = far_config_key_find(name);
    if (key == NULL) fari_assert_failed(name, __FILE__, __LINE__); /* names the key */
    if (key_out != NULL) *key_out = key;
    return &config->values[index_of(key)];
}

int64_t far_config_i64(const far_config *config, const char *key)
{
    const far_config_key *row;
    const fari_config_value *value = value_of(config, key, &row);
    FAR_ASSERT(row->type == FAR_CONFIG_INT || row->type == FAR_CONFIG_SIZE);
    return value->i64;
}

double far_config_f64(const far_config *config, const char *key)
{
    const far_config_key *row;
    const fari_config_value *value = value_of(config, key, &row);
    FAR_ASSERT(row->type == FAR_CONFIG_FLOAT);
    return value->f64;
}

bool far_config_bool(const far_config *config, const char *key)
{
    const far_config_key *row;
    const fari_config_value *value = value_of(config, key, &row);
    FAR_ASSERT(row->type == FAR_CONFIG_BOOL);
    return value->truth;
}

const char *far_config_text(const far_config *config, const char *key)
{
    const far_config_key *row;
    const fari_config_value *value = value_of(config, key, &row);
    FAR_ASSERT(row->type == FAR_CONFIG_STRING || row->type == FAR_CONFIG_ENUM || row->type == FAR_CONFIG_PATH);
    return value->node->text;
}

int64_t far_config_list_count(const far_config *config, const char *key)
{
    const far_config_key *row;
    const fari_config_value *value = value_of(config, key, &row);
    FAR_ASSERT(fari_config_is_list(row->type));
    return value->node == NULL ? 0 : value->node->count;
}

const char *far_config_list_text(const far_config *config, const char *key, int64_t idx)
{
    const fari_config_value *value = value_of(config, key, NULL);
    FAR_ASSERT(idx >= 0 && idx < far_config_list_count(config, key));
    return value->node->items[idx]->text;
}

int64_t far_config_list_i64(const far_config *config, const char *key, int64_t idx)
{
    int64_t value = 0;
    const bool is_number = fari_parse_i64(far_config_list_text(config, key, idx), &value); /* checked when it was set */
    FAR_ASSERT(is_number);
    return value;
}

double far_config_list_f64(const far_config *config, const char *key, int64_t idx)
{
    double value = 0.0;
    const bool is_number = fari_parse_f64(far_config_list_text(config, key, idx), &value);
    FAR_ASSERT(is_number);
    return value;
}

const far_config_node *far_config_node_of(const far_config *config, const char *key)
{
    return value_of(config, key, NULL)->node;
}

bool far_config_is_set(const far_config *config, const char *key)
{
    return value_of(config, key, NULL)->is_set;
}

static void describe_place(const fari_config_value *value, char text_out[256])
{
    if (!value->is_set || value->node == NULL) (void)snprintf(text_out, 256, "default");
    else if (value->node->line > 0) (void)snprintf(text_out, 256, "%.230s:%d", value->node->file, value->node->line);
    else (void)snprintf(text_out, 256, "%.250s", value->node->file);
}

const char *far_config_where(const far_config *config, const char *key)
{
    static _Thread_local char place[256];
    describe_place(value_of(config, key, NULL), place);
    return place;
}

far_status far_config_fail(const far_config *config, const char *key, const char *fmt, ...)
{
    char words[700], place[256];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    const fari_config_value *value = value_of(config, key, NULL);
    if (!value->is_set) return FAR_FAIL(FAR_E_CONFIG, "%s: %s", key, words);
    describe_place(value, place);
    return FAR_FAIL(FAR_E_CONFIG, "%s: %s: %s", place, key, words);
}
