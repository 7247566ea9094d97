/* Options: a value for each row of a table. Values are kept as the texts they were given as, checked when set. */
#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"
#include <farandole/options.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

typedef struct slot {
    char *items;                 /* `count` texts one after the other, each ended by a zero; NULL when there are none */
    int64_t count;               /* 1 but for lists and nodes */
    const far_config_node *node; /* borrowed: where it is from, and the value itself of a FAR_CONFIG_NODE */
    bool is_set;
} slot;

struct far_options {
    char what[96];
    const far_config_key *rows;
    int32_t row_count;
    slot slots[]; /* [row_count] */
};

/* ---- rows ---- */

static bool is_list(far_config_type type)
{
    return type == FAR_CONFIG_INTS || type == FAR_CONFIG_FLOATS || type == FAR_CONFIG_STRINGS;
}

static int32_t row_find(const far_options *opts, const char *key)
{
    for (int32_t i = 0; i < opts->row_count; i++)
        if (strcmp(opts->rows[i].name, key) == 0) return i;
    return -1;
}

static far_status unknown_key(const far_options *opts, const char *key)
{
    const char *nearest = NULL;
    int least = INT32_MAX;
    for (int32_t i = 0; i < opts->row_count; i++) {
        const int distance = fari_edit_distance(key, opts->rows[i].name);
        if (distance < least) nearest = opts->rows[i].name;
        if (distance < least) least = distance;
    }
    if (nearest == NULL) return FAR_FAIL(FAR_E_CONFIG, "%s has no option '%s': it takes none", opts->what, key);
    return FAR_FAIL(FAR_E_CONFIG, "%s has no option '%s'; the nearest is '%s'", opts->what, key, nearest);
}

/* Puts file and line before the words of the last error. */
static far_status at_node(far_status st, const far_config_node *node)
{
    if (node == NULL) return st;
    if (far_config_node_line(node) < 1)
        return fari_error_prefix(st, "%s: ", far_config_node_file(node)); /* the command line */
    return fari_error_prefix(st, "%s:%d: ", far_config_node_file(node), far_config_node_line(node));
}

/* ---- one value ---- */

static bool parse_bool(const char *text, bool *value_out)
{
    static const char *const yes[] = { "true", "yes", "on" }, *const no[] = { "false", "no", "off" };
    for (size_t i = 0; i < FAR_COUNT(yes); i++) {
        *value_out = strcmp(text, yes[i]) == 0;
        if (*value_out || strcmp(text, no[i]) == 0) return true;
    }
    return false;
}

/* The place of `text` among the words of "a|b|c", -1 when it is none of them. */
static int32_t word_place(const char *words, const char *text)
{
    const size_t length = strlen(text);
    for (int32_t place = 0; words != NULL; place++) {
        const char *end = strchr(words, '|');
        if ((end != NULL ? (size_t)(end - words) : strlen(words)) == length && memcmp(words, text, length) == 0)
            return place;
        words = end != NULL ? end + 1 : NULL;
    }
    return -1;
}

static bool is_number_type(far_config_type type)
{
    return type == FAR_CONFIG_INT || type == FAR_CONFIG_INTS || type == FAR_CONFIG_FLOAT || type == FAR_CONFIG_FLOATS;
}

static far_status check_number(const far_options *opts, const far_config_key *row, const char *text)
{
    const bool is_whole = row->type == FAR_CONFIG_INT || row->type == FAR_CONFIG_INTS;
    int64_t whole = 0;
    double value = 0.0;
    char lo[FARI_NUMBER_TEXT], hi[FARI_NUMBER_TEXT];
    if (row->values != NULL && strcmp(text, row->values) == 0) return FAR_OK; /* "auto" */
    if (is_whole ? !fari_parse_i64(text, &whole) : !fari_parse_f64(text, &value))
        return FAR_FAIL(FAR_E_CONFIG, "%s: option '%s': '%s' is not a %snumber", opts->what, row->name, text,
                        is_whole ? "whole " : "");
    if (is_whole) value = (double)whole;
    if (!(value >= row->min && value <= row->max))
        return FAR_FAIL(FAR_E_CONFIG, "%s: option '%s': %s is outside [%s, %s]", opts->what, row->name, text,
                        fari_f64_text(row->min, lo), fari_f64_text(row->max, hi));
    return FAR_OK;
}

static far_status check_item(const far_options *opts, const far_config_key *row, const char *text)
{
    bool flag;
    if (is_number_type(row->type)) return check_number(opts, row, text);
    if (row->type == FAR_CONFIG_BOOL && !parse_bool(text, &flag))
        return FAR_FAIL(FAR_E_CONFIG, "%s: option '%s': '%s' is neither yes nor no", opts->what, row->name, text);
    if (row->type == FAR_CONFIG_ENUM && word_place(row->values, text) < 0)
        return FAR_FAIL(FAR_E_CONFIG, "%s: option '%s': '%s' is not one of %s", opts->what, row->name, text,
                        row->values);
    return FAR_OK;
}

/* Checks all items, then makes them the option's value. Takes `items` over, whether it succeeds or not. */
static far_status slot_give(far_options *opts, int32_t row_idx, fari_text *items, int64_t count,
                            const far_config_node *node)
{
    const far_config_key *row = &opts->rows[row_idx];
    slot *slot_io = &opts->slots[row_idx];
    far_status st = FAR_OK;
    const char *item = items->data;
    if (items->failed) st = FAR_FAIL(FAR_E_NOMEM, "%s: option '%s': no memory for its value", opts->what, row->name);
    for (int64_t i = 0; i < count && st == FAR_OK; i++, item += strlen(item) + 1) st = check_item(opts, row, item);
    if (st != FAR_OK) {
        fari_text_free(items);
        return at_node(st, node);
    }
    fari_free(slot_io->items);
    *slot_io = (slot){ items->data, count, node, true };
    return FAR_OK;
}

static void item_add(fari_text *items, int64_t *count_io, const char *text, size_t bytes)
{
    fari_text_put(items, text, bytes);
    fari_text_put(items, "", 1);
    ++*count_io;
}

/* ---- setting ---- */

/* "3, 4", "[3, 4]" or "3" as items without blanks around them. */
static void list_split(const char *text, fari_text *items, int64_t *count_io)
{
    const char *end = text + strlen(text);
    while (text < end && strchr(" [", *text) != NULL) text++;
    while (end > text && strchr(" ]", end[-1]) != NULL) end--;
    while (text < end) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        const char *stop = comma != NULL ? comma : end, *last = stop;
        while (text < last && *text == ' ') text++;
        while (last > text && last[-1] == ' ') last--;
        item_add(items, count_io, text, (size_t)(last - text));
        text = comma != NULL ? comma + 1 : end;
    }
}

static far_status row_set(far_options *opts, int32_t row_idx, const char *text)
{
    const far_config_key *row = &opts->rows[row_idx];
    fari_text items = { 0 };
    int64_t count = 0;
    if (row->type == FAR_CONFIG_NODE)
        return FAR_FAIL(FAR_E_CONFIG, "%s: option '%s' is set in a YAML file only", opts->what, row->name);
    if (is_list(row->type)) list_split(text, &items, &count);
    else item_add(&items, &count, text, strlen(text));
    return slot_give(opts, row_idx, &items, count, NULL);
}

far_status far_options_set(far_options *opts, const char *key, const char *text)
{
    const int32_t row_idx = row_find(opts, key);
    if (row_idx < 0) return unknown_key(opts, key);
    return row_set(opts, row_idx, text);
}

static far_status wrong_kind(const far_options *opts, const char *key, const char *what, const far_config_node *node)
{
    return at_node(FAR_FAIL(FAR_E_CONFIG, "%s: option '%s' takes %s", opts->what, key, what), node);
}

static far_status row_set_node(far_options *opts, int32_t row_idx, const far_config_node *value)
{
    const far_config_key *row = &opts->rows[row_idx];
    const char *text = far_config_node_text(value);
    fari_text items = { 0 };
    int64_t count = 0;
    if (row->type == FAR_CONFIG_NODE) {
        opts->slots[row_idx] = (slot){ NULL, 0, value, true };
        return FAR_OK;
    }
    if (text == NULL && (!is_list(row->type) || far_config_node_kind_of(value) != FAR_NODE_LIST))
        return wrong_kind(opts, row->name, is_list(row->type) ? "a list" : "one value", value);
    if (text != NULL) item_add(&items, &count, text, strlen(text));
    for (int64_t i = 0; text == NULL && i < far_config_node_count(value); i++) {
        const char *item = far_config_node_text(far_config_node_at(value, i));
        if (item == NULL) {
            fari_text_free(&items);
            return wrong_kind(opts, row->name, "a list of plain values", value);
        }
        item_add(&items, &count, item, strlen(item));
    }
    return slot_give(opts, row_idx, &items, count, value);
}

far_status far_options_set_node(far_options *opts, const char *key, const far_config_node *value)
{
    const int32_t row_idx = row_find(opts, key);
    if (row_idx < 0) return at_node(unknown_key(opts, key), value);
    return row_set_node(opts, row_idx, value);
}

static bool is_among(const char *word, const char *const *words)
{
    for (; words != NULL && *words != NULL; words++)
        if (strcmp(word, *words) == 0) return true;
    return false;
}

/* All keys are looked at before the first value is set, but a wrong value later in the map leaves earlier ones set. */
far_status far_options_set_map(far_options *opts, const far_config_node *map, const char *const *skip)
{
    const int64_t count = far_config_node_count(map);
    if (far_config_node_kind_of(map) != FAR_NODE_MAP)
        return at_node(FAR_FAIL(FAR_E_CONFIG, "%s takes a map of options", opts->what), map);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < count; i++) {
            const char *key = far_config_node_key(map, i);
            if (is_among(key, skip)) continue;
            if (row_find(opts, key) < 0) return at_node(unknown_key(opts, key), far_config_node_at(map, i));
            if (pass == 1) FAR_TRY(far_options_set_node(opts, key, far_config_node_at(map, i)));
        }
    return FAR_OK;
}

far_status far_options_fail(const far_options *opts, const char *key, const char *fmt, ...)
{
    char words[512];
    const int32_t row_idx = row_find(opts, key);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    const far_status st = FAR_FAIL(FAR_E_CONFIG, "%s: option '%s': %s", opts->what, key, words);
    return at_node(st, row_idx < 0 ? NULL : opts->slots[row_idx].node);
}

far_status far_options_check(const far_options *opts, const far_config_node *where)
{
    for (int32_t i = 0; i < opts->row_count; i++)
        if (opts->rows[i].default_text == NULL && !opts->slots[i].is_set)
            return at_node(FAR_FAIL(FAR_E_CONFIG, "%s needs a value for '%s': %s", opts->what, opts->rows[i].name,
                                    opts->rows[i].help),
                           where);
    return FAR_OK;
}

/* ---- life ---- */

static far_status set_defaults(far_options *opts)
{
    for (int32_t i = 0; i < opts->row_count; i++) {
        if (opts->rows[i].type == FAR_CONFIG_NODE || opts->rows[i].default_text == NULL) continue;
        FAR_TRY(row_set(opts, i, opts->rows[i].default_text));
        opts->slots[i].is_set = false;
    }
    return FAR_OK;
}

far_status far_options_create(const char *what, const far_config_key *rows, int32_t row_count, far_options **opts_out)
{
    far_options *opts = fari_calloc(1, sizeof *opts + (size_t)row_count * sizeof opts->slots[0]);
    if (opts == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the options of %s", what);
    (void)snprintf(opts->what, sizeof opts->what, "%s", what);
    opts->rows = rows;
    opts->row_count = row_count;
    const far_status st = set_defaults(opts);
    if (st != FAR_OK) {
        far_options_destroy(opts);
        return st;
    }
    *opts_out = opts;
    return FAR_OK;
}

void far_options_destroy(far_options *opts)
{
    if (opts == NULL) return;
    for (int32_t i = 0; i < opts->row_count; i++) fari_free(opts->slots[i].items);
    fari_free(opts);
}

/* ---- getters ---- */

const far_config_key *far_options_rows(const far_options *opts)
{
    return opts->rows;
}

int32_t far_options_row_count(const far_options *opts)
{
    return opts->row_count;
}

bool far_options_has(const far_options *opts, const char *key)
{
    return row_find(opts, key) >= 0;
}

bool far_options_is_set(const far_options *opts, const char *key)
{
    const int32_t row_idx = row_find(opts, key);
    FAR_ASSERT(row_idx >= 0);
    return opts->slots[row_idx].is_set;
}

/* Item `idx` of an option that must be there with one of two types. */
static const char *item_of(const far_options *opts, const char *key, far_config_type type, far_config_type or_type,
                           int64_t idx)
{
    const int32_t row_idx = row_find(opts, key);
    FAR_ASSERT(row_idx >= 0);
    FAR_ASSERT(opts->rows[row_idx].type == type || opts->rows[row_idx].type == or_type);
    FAR_ASSERT(idx >= 0 && idx < opts->slots[row_idx].count);
    const char *item = opts->slots[row_idx].items;
    while (idx-- > 0) item += strlen(item) + 1;
    return item;
}

static int64_t whole_of(const char *text)
{
    int64_t value = 0; /* what is no number is the word that means 0 */
    return fari_parse_i64(text, &value) ? value : 0;
}

static double real_of(const char *text)
{
    double value = 0.0;
    return fari_parse_f64(text, &value) ? value : 0.0;
}

int64_t far_options_i64(const far_options *opts, const char *key)
{
    return whole_of(item_of(opts, key, FAR_CONFIG_INT, FAR_CONFIG_INT, 0));
}

double far_options_f64(const far_options *opts, const char *key)
{
    return real_of(item_of(opts, key, FAR_CONFIG_FLOAT, FAR_CONFIG_FLOAT, 0));
}

bool far_options_bool(const far_options *opts, const char *key)
{
    bool value = false;
    (void)parse_bool(item_of(opts, key, FAR_CONFIG_BOOL, FAR_CONFIG_BOOL, 0), &value);
    return value;
}

const char *far_options_text(const far_options *opts, const char *key)
{
    const int32_t row_idx = row_find(opts, key);
    FAR_ASSERT(row_idx >= 0);
    return item_of(opts, key, opts->rows[row_idx].type == FAR_CONFIG_PATH ? FAR_CONFIG_PATH : FAR_CONFIG_STRING,
                   FAR_CONFIG_ENUM, 0);
}

int32_t far_options_enum(const far_options *opts, const char *key)
{
    const char *text = item_of(opts, key, FAR_CONFIG_ENUM, FAR_CONFIG_ENUM, 0);
    return word_place(opts->rows[row_find(opts, key)].values, text);
}

const far_config_node *far_options_node(const far_options *opts, const char *key)
{
    const int32_t row_idx = row_find(opts, key);
    FAR_ASSERT(row_idx >= 0 && opts->rows[row_idx].type == FAR_CONFIG_NODE);
    return opts->slots[row_idx].node;
}

int64_t far_options_list_count(const far_options *opts, const char *key)
{
    const int32_t row_idx = row_find(opts, key);
    FAR_ASSERT(row_idx >= 0 && is_list(opts->rows[row_idx].type));
    return opts->slots[row_idx].count;
}

int64_t far_options_list_i64(const far_options *opts, const char *key, int64_t idx)
{
    return whole_of(item_of(opts, key, FAR_CONFIG_INTS, FAR_CONFIG_INTS, idx));
}

double far_options_list_f64(const far_options *opts, const char *key, int64_t idx)
{
    return real_of(item_of(opts, key, FAR_CONFIG_FLOATS, FAR_CONFIG_FLOATS, idx));
}

const char *far_options_list_text(const far_options *opts, const char *key, int64_t idx)
{
    return item_of(opts, key, FAR_CONFIG_STRINGS, FAR_CONFIG_STRINGS, idx);
}
