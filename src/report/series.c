#include "report/series.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"
#include <math.h>
#include <string.h>

#define READ_BYTES 65536
#define LINE_BYTES_MAX (INT64_C(4) << 20)
#define SERIES_MAX 4096

const fari_series *fari_table_find(const fari_table *table, const char *name)
{
    for (int64_t i = 0; i < table->count; i++)
        if (strcmp(table->series[i].name, name) == 0) return &table->series[i];
    return NULL;
}

static far_status series_of(fari_table *table, const char *name, fari_series **series_out)
{
    for (int64_t i = 0; i < table->count; i++)
        if (strcmp(table->series[i].name, name) == 0) {
            *series_out = &table->series[i];
            return FAR_OK;
        }
    *series_out = NULL;
    if (table->count >= SERIES_MAX) return FAR_OK; /* no training of ours has so many scores */
    if (!fari_reserve((void **)&table->series, &table->cap, table->count + 1, sizeof *table->series))
        return FAR_FAIL(FAR_E_NOMEM, "no memory to read metrics");
    char *copy = fari_strdup(name);
    if (copy == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to read metrics");
    *series_out = &table->series[table->count++];
    **series_out = (fari_series){ .name = copy, .stride = 1, .last = NAN };
    return FAR_OK;
}

static void point_merge(fari_point *into, const fari_point *from)
{
    const double all = (double)(into->count + from->count);
    into->value = into->value * ((double)into->count / all) + from->value * ((double)from->count / all);
    into->low = fmin(into->low, from->low);
    into->high = fmax(into->high, from->high);
    into->step = from->step;
    into->count += from->count;
}

/* Half as many points of twice as many lines each. */
static void thin(fari_series *series)
{
    for (int64_t i = 0; i < series->count; i += 2) {
        fari_point pair = series->points[i];
        if (i + 1 < series->count) point_merge(&pair, &series->points[i + 1]);
        series->points[i / 2] = pair;
    }
    series->count = (series->count + 1) / 2;
    series->stride *= 2;
}

static far_status series_add(fari_series *series, double step, double value)
{
    const fari_point point = { .step = step, .value = value, .low = value, .high = value, .count = 1 };
    if (series->count == 0) series->first_step = step;
    series->last = value;
    series->last_step = step;
    if (series->count > 0 && series->points[series->count - 1].count < series->stride) {
        point_merge(&series->points[series->count - 1], &point);
        return FAR_OK;
    }
    if (series->count == FARI_POINTS_MAX) thin(series);
    if (!fari_reserve((void **)&series->points, &series->cap, series->count + 1, sizeof *series->points))
        return FAR_FAIL(FAR_E_NOMEM, "no memory to read metrics");
    series->points[series->count++] = point;
    return FAR_OK;
}

/* A number, or null for what was none. */
static far_status take_member(fari_table *table, double step, const char *key, const json_t *value)
{
    fari_series *series = NULL;
    if (strcmp(key, "step") == 0 || (!json_is_number(value) && !json_is_null(value))) return FAR_OK;
    FAR_TRY(series_of(table, key, &series));
    if (series == NULL) return FAR_OK;
    if (json_is_number(value) && isfinite(json_number_value(value)))
        return series_add(series, step, json_number_value(value));
    series->nonfinite_count++;
    return FAR_OK;
}

static far_status take_line(fari_table *table, const char *line, size_t bytes)
{
    far_status st = FAR_OK;
    if (bytes == 0) return FAR_OK;
    json_t *row = json_loadb(line, bytes, 0, NULL);
    const json_t *step = json_object_get(row, "step");
    if (!json_is_number(step) || !isfinite(json_number_value(step))) {
        table->damaged_lines++;
        json_decref(row);
        return FAR_OK;
    }
    table->lines++;
    for (void *it = json_object_iter(row); it != NULL && st == FAR_OK; it = json_object_iter_next(row, it))
        st = take_member(table, json_number_value(step), json_object_iter_key(it), json_object_iter_value(it));
    json_decref(row);
    return st;
}

/* Whole lines of `text`; what is left of the last moves to its beginning. */
static far_status take_lines(fari_table *table, fari_text *text)
{
    int64_t first = 0;
    for (const char *end; first < text->bytes; first = end - text->data + 1) {
        end = memchr(text->data + first, '\n', (size_t)(text->bytes - first));
        if (end == NULL) break;
        FAR_TRY(take_line(table, text->data + first, (size_t)(end - text->data - first)));
    }
    if (text->bytes - first > LINE_BYTES_MAX) { /* no line of ours: its rest will be damaged lines too */
        first = text->bytes;
        table->damaged_lines++;
    }
    memmove(text->data, text->data + first, (size_t)(text->bytes - first));
    text->bytes -= first;
    return FAR_OK;
}

static far_status read_all(int fd, const char *path, int64_t bytes, fari_table *table, fari_text *text)
{
    char piece[READ_BYTES];
    for (int64_t at = 0; at < bytes;) {
        const size_t part = bytes - at < READ_BYTES ? (size_t)(bytes - at) : READ_BYTES;
        FAR_TRY(fari_file_read_at(fd, path, at, piece, part));
        fari_text_put(text, piece, part);
        if (text->failed) return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", path);
        FAR_TRY(take_lines(table, text));
        at += (int64_t)part;
    }
    table->is_torn = text->bytes > 0;
    return FAR_OK;
}

far_status fari_table_read(const char *path, fari_table *table_out)
{
    fari_text text = { 0 };
    fari_table table = { 0 };
    int64_t bytes = 0;
    int fd = -1;
    *table_out = table;
    far_status st = fari_file_open(path, &fd, &bytes);
    if (st == FAR_E_NOTFOUND) {
        far_error_clear();
        return FAR_OK;
    }
    if (st != FAR_OK) return st;
    st = read_all(fd, path, bytes, &table, &text);
    fari_file_close(fd);
    fari_text_free(&text);
    if (st != FAR_OK) fari_table_free(&table);
    else *table_out = table;
    return st;
}

void fari_table_free(fari_table *table)
{
    for (int64_t i = 0; i < table->count; i++) {
        fari_free(table->series[i].name);
        fari_free(table->series[i].points);
    }
    fari_free(table->series);
    *table = (fari_table){ 0 };
}
