/* From YAML to the value of a key: type, range, words. */
#include "base/mem.h"
#include "base/status.h"
#include "run/config_priv.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool fari_config_parse_bool(const char *text, bool *value_out)
{
    static const char *const yes[] = { "true", "yes", "on" }, *const no[] = { "false", "no", "off" };
    for (size_t i = 0; i < FAR_COUNT(yes); i++) {
        if (strcasecmp(text, yes[i]) != 0 && strcasecmp(text, no[i]) != 0) continue;
        *value_out = strcasecmp(text, yes[i]) == 0;
        return true;
    }
    return false;
}

bool fari_config_is_list(far_config_type type)
{
    return type == FAR_CONFIG_INTS || type == FAR_CONFIG_FLOATS || type == FAR_CONFIG_STRINGS;
}

bool fari_config_is_word(const char *values, const char *word)
{
    const size_t length = strlen(word);
    while (values != NULL && *values != '\0') {
        const size_t span = strcspn(values, "|");
        if (span == length && strncmp(values, word, length) == 0) return true;
        values += span + (values[span] == '|');
    }
    return false;
}

/* The word nearest to what was written, in a buffer of the caller. */
static const char *nearest_word(const char *values, const char *word, char nearest_out[64])
{
    int least = -1;
    while (*values != '\0') {
        char one[64];
        const size_t span = strcspn(values, "|");
        (void)snprintf(one, sizeof one, "%.*s", (int)span, values);
        const int distance = fari_edit_distance(word, one);
        if (least < 0 || distance < least) {
            least = distance;
            (void)snprintf(nearest_out, 64, "%s", one);
        }
        values += span + (values[span] == '|');
    }
    return nearest_out;
}

/* "16G", "1.5 GiB", "4096". */
static bool parse_size(const char *text, int64_t *bytes_out)
{
    static const char units[] = "KMGTP";
    char number[64];
    double value, factor = 1.0;
    const size_t digits = strspn(text, "0123456789.eE+-_");
    const char *rest = text + digits;
    if (digits == 0 || digits >= sizeof number) return false;
    (void)snprintf(number, sizeof number, "%.*s", (int)digits, text);
    while (*rest == ' ') rest++;
    const char *unit = *rest == '\0' ? NULL : strchr(units, *rest >= 'a' ? *rest - 'a' + 'A' : *rest);
    if (unit != NULL) {
        factor = ldexp(1.0, 10 * (int)(unit - units + 1));
        rest++;
        if (*rest == 'i') rest++;
    }
    if (*rest == 'B') rest++;
    if (*rest != '\0' || !fari_parse_f64(number, &value)) return false;
    value *= factor;
    if (!(value >= 0.0 && value < 0x1p62)) return false;
    *bytes_out = (int64_t)value;
    return true;
}

static far_status check_range(const far_config_key *key, const far_config_node *node, double value)
{
    char low[FARI_NUMBER_TEXT], high[FARI_NUMBER_TEXT];
    if (value >= key->min && value <= key->max) return FAR_OK;
    const char *kind = key->type == FAR_CONFIG_INT || key->type == FAR_CONFIG_INTS ? "whole number" : "number";
    if (isinf(key->max))
        return far_config_node_fail(node, "%s is %.40s; expected a %s of at least %s", key->name, node->text, kind,
                                    fari_f64_text(key->min, low));
    return far_config_node_fail(node, "%s is %.40s; expected a %s from %s to %s", key->name, node->text, kind,
                                fari_f64_text(key->min, low), fari_f64_text(key->max, high));
}

static far_status wrong(const far_config_key *key, const far_config_node *node, const char *expected)
{
    const char *got = node->kind == FAR_NODE_SCALAR ? node->text : node->kind == FAR_NODE_LIST ? "a list" : "a map";
    const bool has_word = key->values != NULL && key->type != FAR_CONFIG_ENUM;
    return far_config_node_fail(node, "%s is %s%.60s%s; expected %s%s%s%s%s", key->name,
                                node->kind == FAR_NODE_SCALAR ? "\"" : "", got,
                                node->kind == FAR_NODE_SCALAR ? "\"" : "", expected, has_word ? " or " : "",
                                has_word ? key->values : "", key->unit[0] != '\0' ? ", in " : "", key->unit);
}

static far_status check_int(const far_config_key *key, const far_config_node *node, int64_t *value_out)
{
    if (node->kind != FAR_NODE_SCALAR) return wrong(key, node, "a whole number");
    *value_out = 0;
    if (fari_config_is_word(key->values, node->text)) return FAR_OK;
    if (!fari_parse_i64(node->text, value_out)) return wrong(key, node, "a whole number");
    return check_range(key, node, (double)*value_out);
}

static far_status check_float(const far_config_key *key, const far_config_node *node, double *value_out)
{
    if (node->kind != FAR_NODE_SCALAR) return wrong(key, node, "a number");
    *value_out = 0.0;
    if (fari_config_is_word(key->values, node->text)) return FAR_OK;
    if (!fari_parse_f64(node->text, value_out)) return wrong(key, node, "a number");
    return check_range(key, node, *value_out);
}

static far_status check_enum(const far_config_key *key, const far_config_node *node)
{
    char nearest[64] = "";
    if (node->kind != FAR_NODE_SCALAR) return wrong(key, node, key->values);
    if (fari_config_is_word(key->values, node->text)) return FAR_OK;
    return far_config_node_fail(node, "%s is \"%.60s\"; expected one of %s; nearest: %s", key->name, node->text,
                                key->values, nearest_word(key->values, node->text, nearest));
}

static far_status check_item(const far_config_key *key, const far_config_node *item)
{
    int64_t i64;
    double f64;
    if (key->type == FAR_CONFIG_INTS) return check_int(key, item, &i64);
    if (key->type == FAR_CONFIG_FLOATS) return check_float(key, item, &f64);
    return item->kind == FAR_NODE_SCALAR ? FAR_OK : wrong(key, item, "a list of texts");
}

static far_status check_list(const far_config_key *key, const far_config_node *node)
{
    if (node->kind == FAR_NODE_MAP) return wrong(key, node, "a list");
    if (node->kind == FAR_NODE_SCALAR) return check_item(key, node);
    for (int64_t i = 0; i < node->count; i++) FAR_TRY(check_item(key, node->items[i]));
    return FAR_OK;
}

static far_status check_typed(const far_config_key *key, const far_config_node *node, fari_config_value *value)
{
    switch (key->type) {
    case FAR_CONFIG_INT: return check_int(key, node, &value->i64);
    case FAR_CONFIG_FLOAT: return check_float(key, node, &value->f64);
    case FAR_CONFIG_BOOL:
        if (node->kind == FAR_NODE_SCALAR && fari_config_parse_bool(node->text, &value->truth)) return FAR_OK;
        return wrong(key, node, "true or false");
    case FAR_CONFIG_SIZE:
        if (node->kind == FAR_NODE_SCALAR && fari_config_is_word(key->values, node->text)) return FAR_OK;
        if (node->kind == FAR_NODE_SCALAR && parse_size(node->text, &value->i64)) return FAR_OK;
        return wrong(key, node, "a size such as 512M or 16G");
    case FAR_CONFIG_ENUM: return check_enum(key, node);
    case FAR_CONFIG_STRING:
    case FAR_CONFIG_PATH: return node->kind == FAR_NODE_SCALAR ? FAR_OK : wrong(key, node, "a text");
    case FAR_CONFIG_INTS:
    case FAR_CONFIG_FLOATS:
    case FAR_CONFIG_STRINGS: return check_list(key, node);
    case FAR_CONFIG_NODE: return FAR_OK;
    }
    return FAR_OK;
}

/* A leading ~/ is the home folder. */
static far_status expand_home(far_config_node *node)
{
    const char *home = getenv("HOME");
    if (strncmp(node->text, "~/", 2) != 0 || home == NULL) return FAR_OK;
    char *whole = fari_printf("%s%s", home, node->text + 1);
    if (whole == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a configuration");
    fari_free(node->text);
    node->text = whole;
    return FAR_OK;
}

/* A single item stands for a list of one. */
static far_status as_list(far_config_node **node_io)
{
    far_config_node *item = *node_io;
    if (item->kind == FAR_NODE_LIST) return FAR_OK;
    far_config_node *list = fari_calloc(1, sizeof *list);
    if (list != NULL) list->items = fari_calloc(1, sizeof *list->items);
    if (list == NULL || list->items == NULL) {
        fari_free(list);
        return FAR_FAIL(FAR_E_NOMEM, "no memory for a configuration");
    }
    list->kind = FAR_NODE_LIST;
    list->file = item->file;
    list->line = item->line;
    list->items[0] = item;
    list->count = list->item_cap = 1;
    *node_io = list;
    return FAR_OK;
}

far_status fari_config_check(const far_config_key *key, const far_config_node *node, fari_config_value *value_out)
{
    fari_config_value value = { 0 };
    far_status st;
    FAR_TRY(check_typed(key, node, &value));
    FAR_TRY(fari_config_copy(node, &value.node));
    /* "auto" given is as nothing given */
    value.is_set =
        key->type == FAR_CONFIG_ENUM || node->kind != FAR_NODE_SCALAR || !fari_config_is_word(key->values, node->text);
    if (key->type == FAR_CONFIG_PATH) FAR_TRY_GOTO(expand_home(value.node), free_value);
    if (fari_config_is_list(key->type)) FAR_TRY_GOTO(as_list(&value.node), free_value);
    *value_out = value;
    return FAR_OK;
free_value:
    fari_config_value_free(&value);
    return st;
}

far_status fari_config_default(const far_config_key *key, fari_config_value *value_out)
{
    const char *text = key->default_text;
    far_config_node *node = NULL;
    fari_config_value value = { 0 };
    far_status st = FAR_OK;
    if (key->type == FAR_CONFIG_NODE || (fari_config_is_list(key->type) && text[0] == '\0')) {
        *value_out = value;
        return FAR_OK;
    }
    if (text[0] == '[') FAR_TRY(fari_config_yaml("default", text, strlen(text), &node));
    else if ((node = fari_config_scalar("default", 0, text)) == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory for a configuration");
    FAR_TRY_GOTO(fari_config_check(key, node, &value), free_node);
    value.is_set = false;
    *value_out = value;
free_node:
    fari_config_node_free(node);
    return st;
}

void fari_config_value_free(fari_config_value *value)
{
    fari_config_node_free(value->node);
    *value = (fari_config_value){ 0 };
}
