#include "predict_out.h"
#include "cli.h"
#include <errno.h>
#include <farandole/extend.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static far_status no_memory(void)
{
    return far_fail(FAR_E_NOMEM, "no memory to write predictions");
}

static far_status room(void *array_io, int64_t *room_io, int64_t need, size_t elem_bytes)
{
    void **array = array_io;
    if (need <= *room_io) return FAR_OK;
    void *larger = realloc(*array, (size_t)need * elem_bytes);
    if (larger == NULL) return no_memory();
    *array = larger;
    *room_io = need;
    return FAR_OK;
}

static const char *class_name(const predict_out *out, int64_t class_idx)
{
    const json_t *name = class_idx >= 0 ? json_array_get(out->classes, (size_t)class_idx) : NULL;
    return json_is_string(name) ? json_string_value(name) : "";
}

/* ---- names of files ---- */

static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (; *text != '\0'; text++) hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return hash != 0 ? hash : 1;
}

/* Whether the name is new; it is taken from now on. */
static far_status take_stem(predict_out *out, const char *stem, bool *is_new_out)
{
    const uint64_t hash = hash_of(stem);
    if (2 * (out->stem_count + 1) > out->stem_room) {
        const int64_t larger = out->stem_room > 0 ? 2 * out->stem_room : 1024;
        uint64_t *table = calloc((size_t)larger, sizeof *table);
        if (table == NULL) return no_memory();
        for (int64_t i = 0; i < out->stem_room; i++) {
            if (out->stems[i] == 0) continue;
            int64_t at = (int64_t)(out->stems[i] % (uint64_t)larger);
            while (table[at] != 0) at = (at + 1) % larger;
            table[at] = out->stems[i];
        }
        free(out->stems);
        out->stems = table;
        out->stem_room = larger;
    }
    int64_t at = (int64_t)(hash % (uint64_t)out->stem_room);
    while (out->stems[at] != 0 && out->stems[at] != hash) at = (at + 1) % out->stem_room;
    *is_new_out = out->stems[at] == 0;
    if (!*is_new_out) return FAR_OK;
    out->stems[at] = hash;
    out->stem_count++;
    return FAR_OK;
}

/* The sample's name without its ending, as a file name that stays in its folder; samples without names, and a second one of the same
   name, have their number. */
static far_status stem_choose(predict_out *out, const far_prediction *p)
{
    bool is_new = false;
    char *stem = out->stem;
    const char *name = p->name != NULL ? p->name : "", *dot = strrchr(name, '.');
    size_t used = 0;
    for (const char *at = name; *at != '\0' && at != dot && used + 40 < sizeof out->stem; at++) {
        const unsigned char c = (unsigned char)*at;
        stem[used] = c == '/' || c == '\\' || c < 0x20 || c == 0x7F || (used == 0 && c == '.') ? '-' : *at;
        used++;
    }
    stem[used] = '\0';
    if (used > 0) {
        const far_status st = take_stem(out, stem, &is_new);
        if (st != FAR_OK || is_new) return st;
    }
    (void)snprintf(stem + used, sizeof out->stem - used, "%s%06" PRId64, used > 0 ? "-" : "", p->sample);
    return FAR_OK;
}

static char *path_of(const predict_out *out, const far_prediction *p, const char *ending)
{
    char name[sizeof out->stem + 64];
    if (p->map_count > 1) (void)snprintf(name, sizeof name, "%s-%d%s", out->stem, (int)p->map, ending);
    else (void)snprintf(name, sizeof name, "%s%s", out->stem, ending);
    return cli_path(out->folder, name);
}

/* ---- the table ---- */

static far_status table_open(predict_out *out, const char *name)
{
    const size_t bytes = strlen(out->folder) + strlen(name) + 8;
    out->table_path = cli_path(out->folder, name);
    out->table_temporary = malloc(bytes);
    if (out->table_path == NULL || out->table_temporary == NULL) return no_memory();
    (void)snprintf(out->table_temporary, bytes, "%s/.%s", out->folder, name);
    out->table = fopen(out->table_temporary, "we");
    if (out->table == NULL) return far_fail(FAR_E_IO, "cannot write %s: %s", out->table_temporary, strerror(errno));
    return FAR_OK;
}

/* As spreadsheets read it: quoted where it has to be. */
static void csv_text(FILE *file, const char *text)
{
    if (strpbrk(text, ",\"\n\r") == NULL) {
        (void)fputs(text, file);
        return;
    }
    (void)fputc('"', file);
    for (; *text != '\0'; text++) {
        if (*text == '"') (void)fputc('"', file);
        (void)fputc(*text, file);
    }
    (void)fputc('"', file);
}

/* ---- classes ---- */

static int64_t likeliest(const float *shares, int64_t count)
{
    int64_t best = 0;
    for (int64_t k = 1; k < count; k++)
        if (shares[k] > shares[best]) best = k;
    return best;
}

static void csv_classes_head(const predict_out *out, int64_t top)
{
    (void)fputs("sample,name,truth,truth_name", out->table);
    for (int64_t i = 1; i <= top; i++)
        (void)fprintf(out->table, ",class_%" PRId64 ",name_%" PRId64 ",probability_%" PRId64, i, i, i);
    (void)fputc('\n', out->table);
}

static void csv_classes_row(predict_out *out, const far_prediction *p, int64_t top)
{
    FILE *file = out->table;
    const int64_t classes = p->shape.dim[0];
    (void)fprintf(file, "%" PRId64 ",", p->sample);
    csv_text(file, p->name != NULL ? p->name : "");
    if (p->labels != NULL && p->labels[0] >= 0) {
        (void)fprintf(file, ",%d,", (int)p->labels[0]);
        csv_text(file, class_name(out, p->labels[0]));
    } else {
        (void)fputs(",,", file);
    }
    for (int64_t i = 0; i < top; i++) {
        const int64_t best = likeliest(out->shares, classes);
        (void)fprintf(file, ",%" PRId64 ",", best);
        csv_text(file, class_name(out, best));
        (void)fprintf(file, ",%.6g", (double)out->shares[best]);
        out->shares[best] = -1.0F;
    }
    (void)fputc('\n', file);
}

static json_t *name_or_null(const char *name)
{
    json_t *text = name != NULL && name[0] != '\0' ? json_string(name) : json_null();
    return text != NULL ? text : json_null(); /* a name that is no UTF-8 */
}

static far_status json_classes_row(predict_out *out, const far_prediction *p, int64_t top)
{
    const int64_t classes = p->shape.dim[0];
    json_t *row = json_object(), *list = json_array();
    (void)json_object_set_new(row, "sample", json_integer(p->sample));
    (void)json_object_set_new(row, "name", name_or_null(p->name));
    if (p->labels != NULL && p->labels[0] >= 0) {
        (void)json_object_set_new(row, "truth", json_integer(p->labels[0]));
        (void)json_object_set_new(row, "truth_name", name_or_null(class_name(out, p->labels[0])));
    }
    for (int64_t i = 0; i < top; i++) {
        const int64_t best = likeliest(out->shares, classes);
        (void)json_array_append_new(list, json_pack("{s:I, s:o, s:f}", "class", (json_int_t)best, "name",
                                                    name_or_null(class_name(out, best)), "probability",
                                                    (double)out->shares[best]));
        out->shares[best] = -1.0F;
    }
    (void)json_object_set_new(row, "classes", list);
    const int written = json_dumpf(row, out->table, JSON_COMPACT | JSON_REAL_PRECISION(7));
    json_decref(row);
    if (written != 0) return far_fail(FAR_E_IO, "cannot write %s", out->table_path);
    (void)fputc('\n', out->table);
    return FAR_OK;
}

static far_status classes_open(predict_out *out, const far_prediction *p, int64_t top)
{
    const bool is_json = out->format == PREDICT_JSONL;
    far_status st = FAR_OK;
    if (out->format == PREDICT_PNG || out->format == PREDICT_NPY || out->format == PREDICT_TIFF)
        return far_fail(FAR_E_ARG, "the network gives a class for each image: --format csv or jsonl");
    if (out->has_overlays)
        return far_fail(FAR_E_ARG, "the network gives a class for each image: there is no --overlay");
    st = table_open(out, is_json ? "predictions.jsonl" : "predictions.csv");
    if (st == FAR_OK && !is_json) csv_classes_head(out, top);
    if (st != FAR_OK || !out->has_probabilities) return st;
    char *path = cli_path(out->folder, "probabilities.npy");
    st = path != NULL ? far_npy_create(path, FAR_NPY_F32, &p->shape, false, &out->probabilities) : no_memory();
    free(path);
    return st;
}

static far_status take_classes(predict_out *out, const far_prediction *p)
{
    const int64_t classes = p->shape.dim[0], top = out->top < classes ? out->top : classes;
    far_status st = FAR_OK;
    if (out->table == NULL) st = classes_open(out, p, top);
    if (st == FAR_OK) st = room(&out->shares, &out->share_room, classes, sizeof *out->shares);
    if (st != FAR_OK) return st;
    far_prediction_probabilities(p, out->shares);
    if (out->probabilities != NULL) st = far_npy_add(out->probabilities, out->shares, 1);
    if (st != FAR_OK) return st;
    if (p->labels != NULL && p->labels[0] >= 0) {
        out->counted++;
        out->right += likeliest(out->shares, classes) == p->labels[0];
    }
    if (out->format == PREDICT_JSONL) return json_classes_row(out, p, top);
    csv_classes_row(out, p, top);
    return FAR_OK;
}

/* ---- maps ---- */

static far_status maps_open(predict_out *out, const far_prediction *p)
{
    if (out->format == PREDICT_CSV || out->format == PREDICT_JSONL)
        return far_fail(FAR_E_ARG, "the network gives a class for each pixel: --format png, npy or tiff");
    if (out->format == PREDICT_AUTO) out->format = PREDICT_PNG;
    if (out->format != PREDICT_NPY && p->shape.ndim != 3)
        return far_fail(FAR_E_UNSUPPORTED, "the network gives maps of %d axes, which are no pictures: --format npy",
                        (int)p->shape.ndim - 1);
    if (out->format == PREDICT_PNG && p->shape.dim[0] > FAR_PICTURE_CLASSES_MAX)
        return far_fail(FAR_E_UNSUPPORTED, "%" PRId64 " classes do not fit the bytes of a PNG: --format npy",
                        p->shape.dim[0]);
    const far_status st = table_open(out, "predictions.csv");
    if (st != FAR_OK) return st;
    (void)fputs("sample,name,plane,file,height,width,pixels_right,pixels_counted", out->table);
    for (int64_t k = 0; k < p->shape.dim[0] + (p->shape.dim[0] == 1); k++)
        (void)fprintf(out->table, ",pixels_of_class_%" PRId64, k);
    (void)fputc('\n', out->table);
    return FAR_OK;
}

static far_status array_write(const char *path, far_npy_type type, const far_shape *shape, const void *elems)
{
    far_npy *npy = NULL;
    far_status st = far_npy_create(path, type, shape, true, &npy);
    if (st != FAR_OK) return st;
    st = far_npy_add(npy, elems, 1);
    const far_status closed = far_npy_close(npy, st == FAR_OK);
    return st != FAR_OK ? st : closed;
}

/* Bytes where all classes fit in them. */
static far_status labels_write(predict_out *out, const char *path, const far_prediction *p)
{
    const int64_t pixels = far_prediction_pixels(p);
    const bool is_byte = p->shape.dim[0] <= 256;
    far_shape shape = { .ndim = p->shape.ndim - 1 };
    for (int32_t i = 0; i < shape.ndim; i++) shape.dim[i] = p->shape.dim[i + 1];
    uint8_t *bytes = is_byte ? malloc((size_t)pixels) : NULL;
    if (is_byte && bytes == NULL) return no_memory();
    for (int64_t i = 0; is_byte && i < pixels; i++) bytes[i] = (uint8_t)out->labels[i];
    const far_status st =
        is_byte ? array_write(path, FAR_NPY_U8, &shape, bytes) : array_write(path, FAR_NPY_I32, &shape, out->labels);
    free(bytes);
    return st;
}

static far_status picture_write(predict_out *out, const char *path, const far_prediction *p)
{
    far_picture picture;
    far_status st = far_picture_of_classes(out->labels, p->shape.dim[1], p->shape.dim[2], 1, &picture);
    if (st == FAR_OK) st = far_picture_write(path, &picture);
    if (st == FAR_OK) far_picture_free(&picture);
    return st;
}

static far_status overlay_write(predict_out *out, const char *path, const far_prediction *p)
{
    far_picture image = { 0 }, classes = { 0 }, over = { 0 };
    far_status st = far_picture_of_image(p, 1, &image);
    if (st == FAR_OK) st = far_picture_of_classes(out->labels, p->shape.dim[1], p->shape.dim[2], 1, &classes);
    if (st == FAR_OK) st = far_picture_overlay(&image, &classes, &over);
    if (st == FAR_OK) st = far_picture_write(path, &over);
    far_picture_free(&image);
    far_picture_free(&classes);
    far_picture_free(&over);
    return st;
}

static far_status probabilities_write(predict_out *out, const char *path, const far_prediction *p)
{
    const far_status st =
        room(&out->shares, &out->share_room, far_prediction_pixels(p) * p->shape.dim[0], sizeof *out->shares);
    if (st != FAR_OK) return st;
    far_prediction_probabilities(p, out->shares);
    return array_write(path, FAR_NPY_F32, &p->shape, out->shares);
}

/* ---- TIFF, a row at a time ---- */

typedef void (*row_fn)(const predict_out *out, const far_prediction *p, int64_t y, void *row);

static void row_of_classes(const predict_out *out, const far_prediction *p, int64_t y, void *row)
{
    const int64_t width = p->shape.dim[2];
    const int32_t *labels = out->labels + y * width;
    uint8_t *bytes = row;
    if (p->shape.dim[0] > 256) memcpy(row, labels, (size_t)width * sizeof *labels);
    else
        for (int64_t x = 0; x < width; x++) bytes[x] = (uint8_t)labels[x];
}

/* Of each pixel all classes, side by side. */
static void row_of_probabilities(const predict_out *out, const far_prediction *p, int64_t y, void *row)
{
    const int64_t classes = p->shape.dim[0], width = p->shape.dim[2];
    far_prediction pixel = { .shape = { .ndim = 1, .dim = { classes } }, .elems = out->shares };
    float *to = row;
    for (int64_t x = 0; x < width; x++, to += classes) {
        for (int64_t k = 0; k < classes; k++) out->shares[k] = p->elems[(k * p->shape.dim[1] + y) * width + x];
        far_prediction_probabilities(&pixel, to);
    }
}

/* Rows of a map as they come, from top to bottom: the file is begun with the first ones. */
static far_status tiff_rows(const predict_out *out, const far_prediction *p, const char *ending,
                            const far_tiff_opts *opts, row_fn row_of, far_tiff **tiff_io)
{
    far_status st = FAR_OK;
    if (p->row == 0) {
        char *path = path_of(out, p, ending);
        st = path != NULL ? far_tiff_create(path, opts, tiff_io) : no_memory();
        free(path);
    }
    void *row = malloc((size_t)(opts->width * opts->channels) * sizeof(float));
    if (row == NULL) return no_memory();
    for (int64_t y = 0; y < p->shape.dim[1] && st == FAR_OK; y++) {
        row_of(out, p, y, row);
        st = far_tiff_add(*tiff_io, row, 1);
    }
    free(row);
    return st;
}

/* After the last rows. */
static far_status tiff_end(predict_out *out, far_tiff **tiff_io)
{
    far_tiff *tiff = *tiff_io;
    *tiff_io = NULL;
    const far_status st = far_tiff_close(tiff, true);
    out->files += st == FAR_OK;
    return st;
}

/* Of the whole map, which need not have the image's size where all of it comes at once. */
static int64_t height_of(const far_prediction *p)
{
    return p->rows == p->height ? p->shape.dim[1] : p->height;
}

static far_status labels_tiff(predict_out *out, const far_prediction *p)
{
    const far_tiff_opts opts = { .height = height_of(p),
                                 .width = p->shape.dim[2],
                                 .channels = 1,
                                 .type = p->shape.dim[0] <= 256 ? FAR_TIFF_U8 : FAR_TIFF_I32,
                                 .is_classes = true };
    return tiff_rows(out, p, ".tif", &opts, row_of_classes, &out->map_tiff);
}

static far_status probabilities_tiff(predict_out *out, const far_prediction *p)
{
    const far_tiff_opts opts = {
        .height = height_of(p), .width = p->shape.dim[2], .channels = (int32_t)p->shape.dim[0], .type = FAR_TIFF_F32
    };
    const far_status st = room(&out->shares, &out->share_room, p->shape.dim[0], sizeof *out->shares);
    if (st != FAR_OK) return st;
    return tiff_rows(out, p, "-probabilities.tif", &opts, row_of_probabilities, &out->share_tiff);
}

static far_status write_tiffs(predict_out *out, const far_prediction *p)
{
    const bool is_last = p->row + p->rows == p->height;
    far_status st = labels_tiff(out, p);
    if (st == FAR_OK && is_last) st = tiff_end(out, &out->map_tiff);
    if (st == FAR_OK && out->has_probabilities) st = probabilities_tiff(out, p);
    if (st == FAR_OK && out->has_probabilities && is_last) st = tiff_end(out, &out->share_tiff);
    return st;
}

typedef far_status (*write_fn)(predict_out *out, const char *path, const far_prediction *p);

static far_status file_write(predict_out *out, const far_prediction *p, const char *ending, write_fn write)
{
    char *path = path_of(out, p, ending);
    const far_status st = path != NULL ? write(out, path, p) : no_memory();
    free(path);
    out->files += st == FAR_OK;
    return st;
}

static int64_t classes_of(const far_prediction *p)
{
    return p->shape.dim[0] + (p->shape.dim[0] == 1);
}

/* Pixels of each class, and those that are right, of the rows that are there. */
static far_status count_rows(predict_out *out, const far_prediction *p)
{
    const int64_t classes = classes_of(p), pixels = far_prediction_pixels(p);
    const far_status st = room(&out->of_class, &out->class_room, classes, sizeof *out->of_class);
    if (st != FAR_OK) return st;
    if (p->row == 0) {
        memset(out->of_class, 0, (size_t)classes * sizeof *out->of_class);
        out->map_right = out->map_counted = 0;
    }
    for (int64_t i = 0; p->labels != NULL && pixels == p->rows * p->width && i < pixels; i++) {
        out->map_counted += p->labels[i] >= 0;
        out->map_right += p->labels[i] >= 0 && p->labels[i] == out->labels[i];
    }
    for (int64_t i = 0; i < pixels; i++) out->of_class[out->labels[i]]++;
    return FAR_OK;
}

static void map_row(predict_out *out, const far_prediction *p, const char *ending)
{
    char *path = path_of(out, p, ending);
    (void)fprintf(out->table, "%" PRId64 ",", p->sample);
    csv_text(out->table, p->name != NULL ? p->name : "");
    (void)fprintf(out->table, ",%d,", (int)p->map);
    csv_text(out->table, path != NULL ? path + strlen(out->folder) + 1 : "");
    free(path);
    (void)fprintf(out->table, ",%" PRId64 ",%" PRId64, p->height, p->width);
    if (out->map_counted > 0) (void)fprintf(out->table, ",%" PRId64 ",%" PRId64, out->map_right, out->map_counted);
    else (void)fputs(",,", out->table);
    out->right += out->map_right;
    out->counted += out->map_counted;
    for (int64_t k = 0; k < classes_of(p); k++) (void)fprintf(out->table, ",%" PRId64, out->of_class[k]);
    (void)fputc('\n', out->table);
}

/* What needs all rows at once. */
static far_status write_whole(predict_out *out, const far_prediction *p)
{
    const bool is_array = out->format == PREDICT_NPY;
    far_status st = file_write(out, p, is_array ? ".npy" : ".png", is_array ? labels_write : picture_write);
    if (st == FAR_OK && out->has_probabilities) st = file_write(out, p, "-probabilities.npy", probabilities_write);
    return st;
}

static far_status take_map(predict_out *out, const far_prediction *p)
{
    const bool is_whole = p->rows == p->height;
    far_status st = out->table == NULL ? maps_open(out, p) : FAR_OK;
    if (st == FAR_OK) st = room(&out->labels, &out->label_room, far_prediction_pixels(p), sizeof *out->labels);
    if (st != FAR_OK) return st;
    const bool is_tiff = out->format == PREDICT_TIFF, is_array = out->format == PREDICT_NPY;
    if (!is_whole && (!is_tiff || out->has_overlays))
        return far_fail(FAR_E_UNSUPPORTED,
                        "maps of %" PRId64 " x %" PRId64
                        " do not fit into memory whole: --format tiff, without --overlay, writes them row by row",
                        p->height, p->width);
    far_prediction_classes(p, out->labels);
    st = is_tiff ? write_tiffs(out, p) : write_whole(out, p);
    if (st == FAR_OK && out->has_overlays) st = file_write(out, p, "-overlay.png", overlay_write);
    if (st == FAR_OK) st = count_rows(out, p);
    if (st == FAR_OK && p->row + p->rows == p->height) map_row(out, p, is_tiff ? ".tif" : is_array ? ".npy" : ".png");
    return st;
}

far_status predict_out_take(void *context, const far_prediction *prediction)
{
    predict_out *out = context;
    far_status st = FAR_OK;
    if (prediction->map == 0 && prediction->row == 0) {
        out->samples++;
        st = stem_choose(out, prediction);
    }
    if (st != FAR_OK) return st;
    if (prediction->shape.ndim > 1) return take_map(out, prediction);
    return prediction->map == 0 ? take_classes(out, prediction) : FAR_OK;
}

static far_status table_close(predict_out *out, bool is_complete)
{
    if (out->table == NULL) return FAR_OK;
    const bool has_failed = ferror(out->table) != 0;
    if ((fclose(out->table) != 0 || has_failed) && is_complete) {
        (void)unlink(out->table_temporary);
        return far_fail(FAR_E_IO, "cannot write %s: is the disk full?", out->table_path);
    }
    if (!is_complete) (void)unlink(out->table_temporary);
    else if (rename(out->table_temporary, out->table_path) != 0)
        return far_fail(FAR_E_IO, "cannot write %s: %s", out->table_path, strerror(errno));
    out->files += is_complete;
    return FAR_OK;
}

far_status predict_out_close(predict_out *out, bool is_complete)
{
    far_status st = table_close(out, is_complete);
    out->files += out->probabilities != NULL && is_complete;
    const far_status closed = far_npy_close(out->probabilities, is_complete);
    free(out->table_path);
    free(out->table_temporary);
    free(out->labels);
    free(out->shares);
    free(out->stems);
    free(out->of_class);
    (void)far_tiff_close(out->map_tiff, false); /* of a map whose last rows have not come */
    (void)far_tiff_close(out->share_tiff, false);
    return st != FAR_OK ? st : closed;
}
