#include "data/picture_set.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/dataset.h"
#include "data/resize.h"
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

/* What one reading thread needs; free ones lie in a list. */
typedef struct desk {
    fari_decoder *decoder;
    uint8_t *room; /* a file */
    int64_t room_bytes;
    int32_t *rows; /* of a label map */
    int64_t rows_elems;
    struct desk *next;
} desk;

struct fari_picture_set {
    fari_files *files;
    far_label_kind label;
    fari_picture_sample *samples;
    int64_t count, cap;
    char *names; /* of samples, then classes follow in a table of their own */
    int64_t names_bytes, names_cap;
    char **classes;
    int64_t class_count, class_cap;
    fari_label_rule rule;
    int32_t channels;
    int64_t height, width; /* largest */
    fari_picture largest;  /* a picture as large in everything as any */
    int64_t file_bytes;    /* of the largest file */
    pthread_mutex_t mutex;
    pthread_mutex_t preparing; /* one at a time: it takes all desks */
    pthread_cond_t returned;   /* a desk is free again */
    desk *free_desks;          /* under the mutex, as are the next two */
    int64_t desk_count;
    int64_t desk_limit; /* prepared: who finds none free waits, and allocates nothing; 0: as many as are needed */
};

/* --- life --- */

far_status fari_picture_set_create(fari_files *files, far_label_kind label, fari_picture_set **set_out)
{
    fari_picture_set *set = fari_calloc(1, sizeof *set);
    if (set == NULL) {
        fari_files_close(files);
        return FAR_FAIL(FAR_E_NOMEM, "no memory for a set of pictures");
    }
    set->files = files;
    set->label = label;
    (void)pthread_mutex_init(&set->mutex, NULL); /* cannot fail on Linux */
    (void)pthread_mutex_init(&set->preparing, NULL);
    (void)pthread_cond_init(&set->returned, NULL);
    *set_out = set;
    return FAR_OK;
}

static void desk_destroy(desk *d)
{
    if (d == NULL) return;
    fari_decoder_destroy(d->decoder);
    fari_free(d->room);
    fari_free(d->rows);
    fari_free(d);
}

void fari_picture_set_destroy(void *context)
{
    fari_picture_set *set = context;
    if (set == NULL) return;
    while (set->free_desks != NULL) {
        desk *d = set->free_desks;
        set->free_desks = d->next;
        desk_destroy(d);
    }
    (void)pthread_cond_destroy(&set->returned);
    (void)pthread_mutex_destroy(&set->preparing);
    (void)pthread_mutex_destroy(&set->mutex);
    for (int64_t i = 0; i < set->class_count; i++) fari_free(set->classes[i]);
    fari_free(set->classes);
    fari_free(set->names);
    fari_free(set->samples);
    fari_label_rule_free(&set->rule);
    fari_files_close(set->files);
    fari_free(set);
}

const fari_files *fari_picture_set_files(const fari_picture_set *set)
{
    return set->files;
}

int64_t fari_picture_set_count(const fari_picture_set *set)
{
    return set->count;
}

void fari_picture_set_label_rule(fari_picture_set *set, fari_label_rule *rule)
{
    set->rule = *rule;
    *rule = (fari_label_rule){ 0 };
}

/* --- filling --- */

typedef struct member {
    const fari_files *files;
    int64_t idx;
} member;

static far_status read_member(const void *context, int64_t offset, void *out, size_t bytes)
{
    const member *m = context;
    return fari_files_read(m->files, m->idx, offset, out, bytes);
}

far_status fari_picture_set_probe(const fari_picture_set *set, int64_t file, fari_picture *picture_out)
{
    char label[FARI_FILES_LABEL];
    const member m = { set->files, file };
    const fari_head_source source = { read_member, &m, fari_files_bytes(set->files, file),
                                      fari_files_name_for_people(set->files, file, label) };
    return fari_picture_probe(&source, picture_out);
}

static far_status check_label_size(const fari_picture_set *set, const fari_picture_sample *s)
{
    char image[FARI_FILES_LABEL], label[FARI_FILES_LABEL];
    const fari_picture *a = &s->picture, *b = &s->label_picture;
    if (b->kind == FARI_PICTURE_JPEG)
        return FAR_FAIL(FAR_E_UNSUPPORTED, "%s: label maps in JPEG are not exact; store them as PNG",
                        fari_files_name_for_people(set->files, s->label_file, label));
    if (fari_picture_height(a) == b->height && fari_picture_width(a) == b->width) return FAR_OK;
    return FAR_FAIL(
        FAR_E_FORMAT, "%s has %" PRId64 " x %" PRId64 " pixels (height x width), but its label map %s has %d x %d",
        fari_files_name_for_people(set->files, s->file, image), fari_picture_height(a), fari_picture_width(a),
        fari_files_name_for_people(set->files, s->label_file, label), b->height, b->width);
}

far_status fari_picture_set_add(fari_picture_set *set, int64_t file, const char *name, size_t name_length,
                                int32_t class_idx, int64_t label_file, bool keep_broken)
{
    fari_picture_sample s = {
        .file = file, .class_idx = class_idx, .label_file = label_file, .name_at = set->names_bytes
    };
    const int64_t names = set->names_bytes + (int64_t)name_length + 1;
    if (!fari_reserve((void **)&set->samples, &set->cap, set->count + 1, sizeof *set->samples) ||
        !fari_reserve((void **)&set->names, &set->names_cap, names, 1))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for %" PRId64 " pictures", set->count + 1);
    far_status st = fari_picture_set_probe(set, file, &s.picture);
    if (st == FAR_OK && label_file >= 0) st = fari_picture_set_probe(set, label_file, &s.label_picture);
    if (st == FAR_OK && label_file >= 0) FAR_TRY(check_label_size(set, &s));
    if (st != FAR_OK && (!keep_broken || (st != FAR_E_FORMAT && st != FAR_E_UNSUPPORTED))) return st;
    s.is_broken = st != FAR_OK;
    memcpy(set->names + set->names_bytes, name, name_length);
    set->names[names - 1] = '\0';
    set->names_bytes = names;
    set->samples[set->count++] = s;
    return FAR_OK;
}

far_status fari_picture_set_add_class(fari_picture_set *set, const char *name, size_t length)
{
    char *copy = NULL;
    if (fari_reserve((void **)&set->classes, &set->class_cap, set->class_count + 1, sizeof *set->classes))
        copy = fari_alloc(length + 1);
    if (copy == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the names of classes");
    memcpy(copy, name, length);
    copy[length] = '\0';
    set->classes[set->class_count++] = copy;
    return FAR_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void fari_picture_set_sort_classes(fari_picture_set *set)
{
    if (set->class_count > 0) qsort(set->classes, (size_t)set->class_count, sizeof *set->classes, compare_names);
}

int32_t fari_picture_set_class_of(const fari_picture_set *set, const char *name, size_t length)
{
    int64_t low = 0, high = set->class_count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        const char *at = set->classes[middle];
        int order = strncmp(at, name, length);
        if (order == 0 && at[length] != '\0') order = 1;
        if (order == 0) return (int32_t)middle;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return -1;
}

/* --- desks --- */

static far_status grow(void **block_io, int64_t *have_io, int64_t need, size_t elem_bytes)
{
    if (need <= *have_io) return FAR_OK;
    void *block = fari_alloc((size_t)need * elem_bytes);
    if (block == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory to read pictures: %" PRId64 " bytes", need * (int64_t)elem_bytes);
    fari_free(*block_io);
    *block_io = block;
    *have_io = need;
    return FAR_OK;
}

/* Rows of a label map that are held at once, and elements of them. */
static int64_t label_rows(const fari_picture_set *set)
{
    return set->label != FAR_LABEL_MAP ? 0 : set->rule.is_instances ? 2 * set->rule.boundary + 1 : 1;
}

static far_status desk_create(fari_picture_set *set, desk **desk_out)
{
    far_status st;
    desk *d = fari_calloc(1, sizeof *d);
    if (d == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to read pictures");
    FAR_TRY_GOTO(fari_decoder_create(&d->decoder), destroy);
    FAR_TRY_GOTO(grow((void **)&d->room, &d->room_bytes, set->file_bytes, 1), destroy);
    FAR_TRY_GOTO(grow((void **)&d->rows, &d->rows_elems, label_rows(set) * set->width, sizeof *d->rows), destroy);
    *desk_out = d;
    return FAR_OK;
destroy:
    desk_destroy(d);
    return st;
}

static far_status desk_acquire(fari_picture_set *set, desk **desk_out)
{
    (void)pthread_mutex_lock(&set->mutex);
    while (set->free_desks == NULL && set->desk_limit > 0 && set->desk_count >= set->desk_limit)
        (void)pthread_cond_wait(&set->returned, &set->mutex);
    desk *d = set->free_desks;
    if (d != NULL) set->free_desks = d->next;
    else set->desk_count++;
    (void)pthread_mutex_unlock(&set->mutex);
    far_status st = FAR_OK;
    if (d == NULL) st = desk_create(set, &d);
    if (st == FAR_OK) {
        *desk_out = d;
        return FAR_OK;
    }
    (void)pthread_mutex_lock(&set->mutex);
    set->desk_count--;
    (void)pthread_cond_signal(&set->returned);
    (void)pthread_mutex_unlock(&set->mutex);
    return st;
}

static void desk_return(fari_picture_set *set, desk *d)
{
    (void)pthread_mutex_lock(&set->mutex);
    d->next = set->free_desks;
    set->free_desks = d;
    (void)pthread_cond_signal(&set->returned);
    (void)pthread_mutex_unlock(&set->mutex);
}

/* All desks are fetched, which makes those that are missing, and go back with room for regions of this size. */
static far_status set_prepare(void *context, int32_t readers, int64_t out_height, int64_t out_width)
{
    fari_picture_set *set = context;
    desk *all = NULL;
    far_status st = FAR_OK;
    (void)pthread_mutex_lock(&set->preparing);
    (void)pthread_mutex_lock(&set->mutex);
    if (readers > set->desk_limit) set->desk_limit = readers;
    const int64_t wanted = set->desk_limit > set->desk_count ? set->desk_limit : set->desk_count;
    (void)pthread_mutex_unlock(&set->mutex);
    for (int64_t i = 0; i < wanted && st == FAR_OK; i++) {
        desk *d = NULL;
        st = desk_acquire(set, &d);
        if (st != FAR_OK) break;
        d->next = all;
        all = d;
        st = fari_decoder_reserve(d->decoder, &set->largest, set->channels, out_height, out_width);
    }
    while (all != NULL) {
        desk *d = all;
        all = d->next;
        desk_return(set, d);
    }
    (void)pthread_mutex_unlock(&set->preparing);
    return st;
}

static int64_t set_prepare_bytes(const void *context, int32_t readers, int64_t out_height, int64_t out_width)
{
    const fari_picture_set *set = context;
    const int64_t rows = label_rows(set) * set->width * (int64_t)sizeof(int32_t);
    return readers * ((int64_t)sizeof(desk) + set->file_bytes + rows +
                      fari_decoder_room(&set->largest, set->channels, out_height, out_width));
}

/* --- reading --- */

static far_status load(const fari_picture_set *set, desk *d, int64_t idx, const fari_picture *picture,
                       char label[FARI_FILES_LABEL], fari_picture_file *file_out)
{
    const uint8_t *data = NULL;
    FAR_TRY(fari_files_get(set->files, idx, d->room, &data));
    *file_out = (fari_picture_file){ fari_files_name_for_people(set->files, idx, label), data,
                                     (size_t)fari_files_bytes(set->files, idx), *picture };
    return FAR_OK;
}

/* Rows of a label map as they are needed, the last few in a ring. */
typedef struct label_feed {
    desk *d;
    int64_t height, width, next;
    int32_t held, reach; /* rows held; above and below the one asked for */
} label_feed;

static far_status rows_around(label_feed *f, int64_t row, const int32_t **rows_out)
{
    const int64_t last = row + f->reach < f->height ? row + f->reach : f->height - 1;
    for (; f->next <= last; f->next++)
        FAR_TRY(fari_decode_values_next(f->d->decoder, f->d->rows + f->next % f->held * f->width));
    for (int64_t k = -f->reach; k <= f->reach; k++) {
        const int64_t at = row + k;
        rows_out[k + f->reach] = at < 0 || at >= f->height ? NULL : f->d->rows + at % f->held * f->width;
    }
    return FAR_OK;
}

static far_status label_line(const fari_picture_set *set, label_feed *f, const far_region *r, int64_t y, int32_t *out)
{
    const int32_t *rows[2 * FARI_BOUNDARY_MAX + 1];
    const fari_label_rule *rule = &set->rule;
    const int64_t row = r->y + fari_resize_nearest(r->height, r->out_height, y);
    FAR_TRY(rows_around(f, row, rows));
    for (int64_t x = 0; x < r->out_width; x++) {
        const int64_t at = r->x + fari_resize_nearest(r->width, r->out_width, x);
        out[x] = rule->is_instances ? fari_label_instance_at(rows, f->reach, f->width, at) : rows[0][at];
    }
    if (rule->is_instances) return FAR_OK;
    const far_status st = fari_label_rule_apply(rule, out, r->out_width);
    return st == FAR_OK ? st : fari_error_prefix(st, "row %" PRId64 ": ", row);
}

static far_status read_label_map(const fari_picture_set *set, desk *d, const fari_picture_sample *s,
                                 const far_region *r, int32_t *out)
{
    char label[FARI_FILES_LABEL];
    fari_picture_file file;
    const int32_t reach = set->rule.is_instances ? set->rule.boundary : 0;
    const int64_t first = r->y + fari_resize_nearest(r->height, r->out_height, 0) - reach;
    label_feed f = { d, s->label_picture.height, s->label_picture.width, first > 0 ? first : 0, 2 * reach + 1, reach };
    FAR_TRY(load(set, d, s->label_file, &s->label_picture, label, &file));
    FAR_TRY(fari_decode_values(d->decoder, &file, set->rule.is_colours, f.next));
    far_status st = FAR_OK;
    for (int64_t y = 0; y < r->out_height && st == FAR_OK; y++) {
        st = label_line(set, &f, r, y, out + y * r->out_width);
        /* damage is named where it is found; what a value means is not */
        if (st != FAR_OK && strstr(far_error_message(), label) == NULL) st = fari_error_prefix(st, "%s: ", label);
    }
    fari_decode_values_end(d->decoder);
    return st;
}

static far_status check_head(const fari_picture_set *set, const fari_picture_sample *s)
{
    char label[FARI_FILES_LABEL];
    fari_picture again;
    if (!s->is_broken) return FAR_OK;
    FAR_TRY(fari_picture_set_probe(set, s->file, &again));
    if (s->label_file >= 0) FAR_TRY(fari_picture_set_probe(set, s->label_file, &again));
    return FAR_FAIL(FAR_E_FORMAT, "%s was damaged when the data set was opened",
                    fari_files_name_for_people(set->files, s->file, label));
}

static far_status read_with(const fari_picture_set *set, desk *d, const fari_picture_sample *s,
                            const far_region *region, float *image_out, int32_t *label_out)
{
    char label[FARI_FILES_LABEL];
    fari_picture_file file;
    FAR_TRY(check_head(set, s));
    FAR_TRY(load(set, d, s->file, &s->picture, label, &file));
    FAR_TRY(fari_decode_region(d->decoder, &file, region, set->channels, image_out));
    if (label_out == NULL || set->label == FAR_LABEL_NONE) return FAR_OK;
    if (set->label == FAR_LABEL_MAP) return read_label_map(set, d, s, region, label_out);
    *label_out = s->class_idx;
    return FAR_OK;
}

static far_status set_read_region(void *context, int64_t idx, const far_region *region, float *image_out,
                                  int32_t *label_out)
{
    fari_picture_set *set = context;
    desk *d = NULL;
    FAR_TRY(desk_acquire(set, &d));
    const far_status st = read_with(set, d, &set->samples[idx], region, image_out, label_out);
    desk_return(set, d);
    return st;
}

static far_status set_extent(void *context, int64_t idx, int64_t *height_out, int64_t *width_out)
{
    const fari_picture_set *set = context;
    const fari_picture_sample *s = &set->samples[idx];
    *height_out = s->is_broken ? set->height : fari_picture_height(&s->picture);
    *width_out = s->is_broken ? set->width : fari_picture_width(&s->picture);
    return FAR_OK;
}

static far_status set_read(void *context, int64_t idx, float *image_out, int32_t *label_out)
{
    far_region all = { 0 };
    FAR_TRY(set_extent(context, idx, &all.height, &all.width));
    all.out_height = all.height;
    all.out_width = all.width;
    return set_read_region(context, idx, &all, image_out, label_out);
}

/* No image is decoded for it. */
static far_status set_read_label(void *context, int64_t idx, int32_t *label_out)
{
    fari_picture_set *set = context;
    const fari_picture_sample *s = &set->samples[idx];
    far_region all = { 0 };
    desk *d = NULL;
    FAR_TRY(check_head(set, s));
    if (set->label != FAR_LABEL_MAP) {
        *label_out = s->class_idx;
        return FAR_OK;
    }
    FAR_TRY(set_extent(context, idx, &all.height, &all.width));
    all.out_height = all.height;
    all.out_width = all.width;
    FAR_TRY(desk_acquire(set, &d));
    const far_status st = read_label_map(set, d, s, &all, label_out);
    desk_return(set, d);
    return st;
}

static const char *set_class_name(const void *context, int32_t class_idx)
{
    const fari_picture_set *set = context;
    return class_idx >= 0 && class_idx < set->class_count ? set->classes[class_idx] : NULL;
}

static const char *set_sample_name(const void *context, int64_t idx)
{
    const fari_picture_set *set = context;
    return set->names + set->samples[idx].name_at;
}

static int64_t set_bytes(const void *context)
{
    const fari_picture_set *set = context;
    return (int64_t)sizeof *set + fari_files_memory(set->files) + set->cap * (int64_t)sizeof *set->samples +
           set->names_cap + set->class_cap * (int64_t)sizeof *set->classes;
}

/* --- all are there --- */

static void take_in(fari_picture_set *set, const fari_picture *picture, int64_t file)
{
    fari_picture *largest = &set->largest;
    if (picture->height > largest->height) largest->height = picture->height;
    if (picture->width > largest->width) largest->width = picture->width;
    if (picture->bits > largest->bits) largest->bits = picture->bits;
    if (picture->channels > largest->channels) largest->channels = picture->channels;
    if (picture->is_cmyk) largest->is_cmyk = true;
    if (picture->coefficients > largest->coefficients) largest->coefficients = picture->coefficients;
    if (picture->kind == FARI_PICTURE_PNG) largest->kind = FARI_PICTURE_PNG;
    if (picture->kind == FARI_PICTURE_PNG && picture->is_whole) largest->is_whole = true;
    if (fari_files_room(set->files, file) > set->file_bytes) set->file_bytes = fari_files_room(set->files, file);
}

static far_status check_channels(const fari_picture_set *set, const fari_picture_sample *s)
{
    char label[FARI_FILES_LABEL];
    if (s->is_broken || set->channels >= s->picture.channels) return FAR_OK;
    return FAR_FAIL(
        FAR_E_FORMAT,
        "%s is in colour, but images are read as grey ones: one channel was asked for, or the others have only one",
        fari_files_name_for_people(set->files, s->file, label));
}

static far_status measure(fari_picture_set *set, int32_t channels, far_dataset_info *info)
{
    bool is_any = false;
    *info = (far_dataset_info){ .sample_count = set->count, .label = set->label, .is_integer = true };
    for (int64_t i = 0; i < set->count; i++) {
        const fari_picture_sample *s = &set->samples[i];
        if (s->is_broken) continue;
        const int64_t height = fari_picture_height(&s->picture), width = fari_picture_width(&s->picture);
        if (is_any && (height != info->height || width != info->width)) info->varies = true;
        if (height > info->height) info->height = height;
        if (width > info->width) info->width = width;
        if (s->picture.bits > 8) info->is_integer = false;
        take_in(set, &s->picture, s->file);
        if (s->label_file >= 0) take_in(set, &s->label_picture, s->label_file);
        is_any = true;
    }
    if (!is_any)
        return FAR_FAIL(FAR_E_FORMAT, "%s: none of its %" PRId64 " pictures can be read", fari_files_label(set->files),
                        set->count);
    set->channels = channels > 0 ? channels : set->largest.channels;
    if (set->channels != 1 && set->channels != 3)
        return FAR_FAIL(FAR_E_ARG, "pictures of %d channels; 1 (grey) or 3 (RGB)", set->channels);
    for (int64_t i = 0; i < set->count; i++) FAR_TRY(check_channels(set, &set->samples[i]));
    info->channels = set->channels;
    set->height = info->height;
    set->width = info->width;
    return FAR_OK;
}

static far_status largest_label(fari_picture_set *set, int32_t *largest_out)
{
    far_status st = FAR_OK;
    desk *d = NULL;
    int32_t largest = 0, *line = fari_calloc((size_t)(set->height * set->width), sizeof *line);
    if (line == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a label map");
    FAR_TRY_GOTO(desk_acquire(set, &d), free_line);
    for (int64_t i = 0; i < set->count && st == FAR_OK; i++) {
        const fari_picture_sample *s = &set->samples[i];
        const int64_t height = s->label_picture.height, width = s->label_picture.width;
        const far_region all = { 0, 0, height, width, height, width };
        if (s->is_broken) continue;
        st = read_label_map(set, d, s, &all, line);
        for (int64_t k = 0; k < height * width && st == FAR_OK; k++)
            if (line[k] > largest) largest = line[k];
    }
    *largest_out = largest;
    desk_return(set, d);
free_line:
    fari_free(line);
    return st;
}

static far_status count_classes(fari_picture_set *set, int32_t class_count, far_dataset_info *info)
{
    info->class_count = class_count;
    if (set->label == FAR_LABEL_CLASS) {
        if (class_count == 0) info->class_count = (int32_t)set->class_count;
        if (set->class_count > info->class_count)
            return FAR_FAIL(FAR_E_FORMAT, "%s has %" PRId64 " classes, but there are to be %d",
                            fari_files_label(set->files), set->class_count, class_count);
    }
    if (set->label != FAR_LABEL_MAP) return FAR_OK;
    if (set->rule.class_count == 0) {
        int32_t largest = 0;
        FAR_TRY(largest_label(set, &largest));
        FAR_TRY(fari_label_range(fari_files_label(set->files), 0, largest, &set->rule.class_count));
    }
    info->class_count = set->rule.class_count;
    info->label_planes = 1;
    return FAR_OK;
}

far_status fari_picture_set_finish(fari_picture_set *set, int32_t channels, int32_t class_count,
                                   far_dataset **dataset_out)
{
    static const far_dataset_ops ops = { .read = set_read,
                                         .class_name = set_class_name,
                                         .bytes = set_bytes,
                                         .close = fari_picture_set_destroy,
                                         .extent = set_extent,
                                         .read_region = set_read_region,
                                         .read_label = set_read_label,
                                         .sample_name = set_sample_name,
                                         .prepare = set_prepare,
                                         .prepare_bytes = set_prepare_bytes };
    far_dataset_info info;
    far_status st;
    FAR_TRY_GOTO(measure(set, channels, &info), destroy);
    FAR_TRY_GOTO(count_classes(set, class_count, &info), destroy);
    FAR_TRY(far_dataset_create(&ops, set, &info, dataset_out)); /* closes the set itself where it fails */
    return FAR_OK;
destroy:
    fari_picture_set_destroy(set);
    return st;
}
