#include "data/label_values.h"
#include "base/mem.h"
#include "base/status.h"
#include <stdio.h>
#include <string.h>

#define INSTANCE_CLASSES 3

typedef struct pair {
    int32_t value, class_idx;
} pair;

static int compare(const void *a, const void *b)
{
    const int32_t left = ((const pair *)a)->value, right = ((const pair *)b)->value;
    return left < right ? -1 : left > right;
}

static const char *value_text(const fari_label_rule *rule, int32_t value, char text_out[32])
{
    (void)snprintf(text_out, 32, rule->is_colours ? "#%06x" : "%d", (unsigned)value);
    return text_out;
}

static far_status make_table(const far_pictures_opts *opts, fari_label_rule *rule)
{
    char text[32];
    const int32_t count = opts->value_count + opts->ignored_count;
    pair *pairs = fari_calloc((size_t)count, sizeof *pairs);
    rule->values = fari_calloc((size_t)count, sizeof *rule->values);
    rule->classes = fari_calloc((size_t)count, sizeof *rule->classes);
    if (pairs == NULL || rule->values == NULL || rule->classes == NULL) {
        fari_free(pairs);
        return FAR_FAIL(FAR_E_NOMEM, "no memory for a table of %d labels", count);
    }
    for (int32_t i = 0; i < opts->value_count; i++) pairs[i] = (pair){ opts->values[i], i };
    for (int32_t i = 0; i < opts->ignored_count; i++)
        pairs[opts->value_count + i] = (pair){ opts->ignored[i], FAR_LABEL_IGNORE };
    qsort(pairs, (size_t)count, sizeof *pairs, compare);
    far_status st = FAR_OK;
    for (int32_t i = 0; i < count && st == FAR_OK; i++) {
        if (i > 0 && pairs[i].value == pairs[i - 1].value)
            st = FAR_FAIL(FAR_E_ARG, "label value %s is given twice", value_text(rule, pairs[i].value, text));
        rule->values[i] = pairs[i].value;
        rule->classes[i] = pairs[i].class_idx;
    }
    rule->value_count = count;
    fari_free(pairs);
    return st;
}

far_status fari_label_rule_make(const far_pictures_opts *opts, fari_label_rule *rule_out)
{
    fari_label_rule rule = { .is_instances = opts->labels_are_instances,
                             .is_colours = opts->values_are_colours,
                             .boundary = opts->boundary > 0 ? opts->boundary : 1,
                             .class_count = opts->class_count };
    if (rule.boundary > FARI_BOUNDARY_MAX)
        return FAR_FAIL(FAR_E_ARG, "a boundary %d pixels wide; at most %d", rule.boundary, FARI_BOUNDARY_MAX);
    if (rule.is_instances && opts->value_count + opts->ignored_count > 0)
        return FAR_FAIL(FAR_E_ARG, "numbers of objects with a table of values or colours: one or the other");
    if (rule.is_instances && rule.class_count != 0 && rule.class_count != INSTANCE_CLASSES)
        return FAR_FAIL(FAR_E_ARG, "numbers of objects give 3 classes (background, inside, boundary), not %d",
                        rule.class_count);
    if (rule.is_instances) rule.class_count = INSTANCE_CLASSES;
    if (opts->value_count > 0 && rule.class_count != 0 && rule.class_count < opts->value_count)
        return FAR_FAIL(FAR_E_ARG, "%d values or colours for %d classes", opts->value_count, rule.class_count);
    if (opts->value_count > 0 && rule.class_count == 0) rule.class_count = opts->value_count;
    if (rule.is_colours && opts->value_count == 0)
        return FAR_FAIL(FAR_E_ARG, "labels are colours, but no colour is given");
    const far_status st = opts->value_count + opts->ignored_count > 0 ? make_table(opts, &rule) : FAR_OK;
    if (st == FAR_OK) *rule_out = rule;
    else fari_label_rule_free(&rule);
    return st;
}

void fari_label_rule_free(fari_label_rule *rule)
{
    fari_free(rule->values);
    fari_free(rule->classes);
    *rule = (fari_label_rule){ 0 };
}

/* Place in the table; -1: not there. */
static int32_t find(const fari_label_rule *rule, int32_t value)
{
    int32_t low = 0, high = rule->value_count;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (rule->values[middle] == value) return middle;
        if (rule->values[middle] < value) low = middle + 1;
        else high = middle;
    }
    return -1;
}

static far_status fail(const fari_label_rule *rule, bool has_values, int32_t value)
{
    char text[32];
    (void)value_text(rule, value, text);
    if (has_values)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s %s stands for no class: it is neither in data.label_values nor in data.ignore",
                        rule->is_colours ? "colour" : "value", text);
    return FAR_FAIL(
        FAR_E_FORMAT,
        "label %s, but there are %d classes, 0 to %d. Where values are no class numbers (0 and 255 of a mask, say), data.label_values "
        "says which stand for the classes, data.ignore which count for nothing",
        text, rule->class_count, rule->class_count - 1);
}

/* The table alone decides where values are named; with ignored ones only, all others are classes themselves. */
static bool class_of(const fari_label_rule *rule, bool has_values, int32_t value, int32_t *class_out)
{
    const int32_t at = rule->value_count > 0 ? find(rule, value) : -1;
    if (at >= 0) *class_out = rule->classes[at];
    else if (has_values || (rule->class_count > 0 && value >= rule->class_count)) return false;
    else *class_out = value;
    return true;
}

far_status fari_label_rule_apply(const fari_label_rule *rule, int32_t *values, int64_t count)
{
    bool has_values = false;
    for (int32_t i = 0; i < rule->value_count; i++)
        if (rule->classes[i] != FAR_LABEL_IGNORE) has_values = true;
    int32_t last = -1, last_class = -1; /* neighbours are mostly equal */
    for (int64_t i = 0; i < count; i++) {
        if (values[i] != last || last < 0) {
            if (!class_of(rule, has_values, values[i], &last_class)) return fail(rule, has_values, values[i]);
            last = values[i];
        }
        values[i] = last_class;
    }
    return FAR_OK;
}

static bool is_boundary(const int32_t *const *rows, int32_t boundary, int64_t width, int64_t x)
{
    const int64_t first = x > boundary ? x - boundary : 0, end = x + boundary + 1 < width ? x + boundary + 1 : width;
    const int32_t own = rows[boundary][x];
    for (int32_t k = 0; k <= 2 * boundary; k++) {
        if (rows[k] == NULL) continue;
        for (int64_t at = first; at < end; at++)
            if (rows[k][at] != own) return true;
    }
    return false;
}

int32_t fari_label_instance_at(const int32_t *const *rows, int32_t boundary, int64_t width, int64_t x)
{
    if (rows[boundary][x] == 0) return 0;
    return is_boundary(rows, boundary, width, x) ? 2 : 1;
}
