/* Reading samples of a set of pictures: a desk for each thread, decoding, label maps row by row. */
#include "base/mem.h"
#include "base/status.h"
#include "data/picture_set_priv.h"
#include "data/resize.h"
#include <inttypes.h>
#include <string.h>

/* --- desks --- */

void fari_desk_destroy(fari_desk *d)
{
    if (d == NULL) return;
    fari_decoder_destroy(d->decoder);
    fari_free(d->room);
    fari_free(d->rows);
    fari_free(d);
}

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

static far_status desk_create(fari_picture_set *set, fari_desk **desk_out)
{
    far_status st;
    fari_desk *d = fari_calloc(1, sizeof *d);
    if (d == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to read pictures");
    FAR_TRY_GOTO(fari_decoder_create(&d->decoder), destroy);
    FAR_TRY_GOTO(grow((void **)&d->room, &d->room_bytes, set->file_bytes, 1), destroy);
    FAR_TRY_GOTO(grow((void **)&d->rows, &d->rows_elems, label_rows(set) * set->width, sizeof *d->rows), destroy);
    *desk_out = d;
    return FAR_OK;
destroy:
    fari_desk_destroy(d);
    return st;
}

far_status fari_desk_acquire(fari_picture_set *set, fari_desk **desk_out)
{
    (void)pthread_mutex_lock(&set->mutex);
    while (set->free_desks == NULL && set->desk_limit > 0 && set->desk_count >= set->desk_limit)
        (void)pthread_cond_wait(&set->returned, &set->mutex);
    fari_desk *d = set->free_desks;
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

void fari_desk_return(fari_picture_set *set, fari_desk *d)
{
    (void)pthread_mutex_lock(&set->mutex);
    d->next = set->free_desks;
    set->free_desks = d;
    (void)pthread_cond_signal(&set->returned);
    (void)pthread_mutex_unlock(&set->mutex);
}

/* All desks are fetched, which makes those that are missing, and go back with room for regions of this size. */
far_status fari_picture_set_prepare(void *context, int32_t readers, int64_t out_height, int64_t out_width)
{
    fari_picture_set *set = context;
    fari_desk *all = NULL;
    far_status st = FAR_OK;
    (void)pthread_mutex_lock(&set->preparing);
    (void)pthread_mutex_lock(&set->mutex);
    if (readers > set->desk_limit) set->desk_limit = readers;
    const int64_t wanted = set->desk_limit > set->desk_count ? set->desk_limit : set->desk_count;
    (void)pthread_mutex_unlock(&set->mutex);
    for (int64_t i = 0; i < wanted && st == FAR_OK; i++) {
        fari_desk *d = NULL;
        st = fari_desk_acquire(set, &d);
        if (st != FAR_OK) break;
        d->next = all;
        all = d;
        st = fari_decoder_reserve(d->decoder, &set->largest, set->channels, out_height, out_width);
        if (st == FAR_OK) st = fari_decoder_values_reserve(d->decoder, &set->largest_map);
    }
    while (all != NULL) {
        fari_desk *d = all;
        all = d->next;
        fari_desk_return(set, d);
    }
    (void)pthread_mutex_unlock(&set->preparing);
    return st;
}

int64_t fari_picture_set_prepare_bytes(const void *context, int32_t readers, int64_t out_height, int64_t out_width)
{
    const fari_picture_set *set = context;
    const int64_t rows = label_rows(set) * set->width * (int64_t)sizeof(int32_t);
    return readers * ((int64_t)sizeof(fari_desk) + set->file_bytes + rows +
                      fari_decoder_room(&set->largest, set->channels, out_height, out_width) +
                      fari_decoder_values_room(&set->largest_map));
}

/* --- reading --- */

/* member: of the desk, where a TIFF is read through. */
static far_status load(const fari_picture_set *set, fari_desk *d, int64_t idx, const fari_picture *picture,
                       fari_member *member, char label[FARI_FILES_LABEL], fari_picture_file *file_out)
{
    const uint8_t *data = NULL;
    *file_out = (fari_picture_file){ .label = fari_files_name_for_people(set->files, idx, label),
                                     .bytes = (size_t)fari_files_bytes(set->files, idx),
                                     .picture = *picture };
    if (picture->kind == FARI_PICTURE_TIFF) {
        *member = (fari_member){ set->files, idx };
        file_out->source = (fari_head_source){ fari_member_read, member, (int64_t)file_out->bytes, file_out->label };
        file_out->id = idx + 1;
        return FAR_OK;
    }
    FAR_TRY(fari_files_get(set->files, idx, d->room, &data));
    file_out->data = data;
    return FAR_OK;
}

/* Rows of a label map as they are needed, the last few in a ring. */
typedef struct label_feed {
    fari_desk *d;
    int64_t height, width, next;
    int32_t held, reach; /* rows held; above and below the one asked for */
    char label[FARI_FILES_LABEL];
    fari_picture_file file;
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

/* From the first row and column that count for anything in the region. */
static far_status feed_begin(const fari_picture_set *set, fari_desk *d, const fari_picture_sample *s,
                             const far_region *r, label_feed *f)
{
    const int32_t reach = set->rule.is_instances ? set->rule.boundary : 0;
    const int64_t width = s->label_picture.width,
                  first = r->y + fari_resize_nearest(r->height, r->out_height, 0) - reach;
    const int64_t left = r->x > reach ? r->x - reach : 0;
    const int64_t right = r->x + r->width + reach < width ? r->x + r->width + reach : width;
    f->d = d;
    f->height = s->label_picture.height;
    f->width = width;
    f->next = first > 0 ? first : 0;
    f->held = 2 * reach + 1;
    f->reach = reach;
    const fari_values_part part = { set->rule.is_colours, f->next, left, right - left };
    FAR_TRY(load(set, d, s->label_file, &s->label_picture, &d->map, f->label, &f->file));
    return fari_decode_values(d->decoder, &f->file, &part);
}

/* Row `y` of what the region gives. */
static far_status feed_line(const fari_picture_set *set, label_feed *f, const far_region *r, int64_t y, int32_t *out)
{
    const far_status st = label_line(set, f, r, y, out);
    /* damage is named where it is found; what a value means is not */
    if (st != FAR_OK && strstr(far_error_message(), f->label) == NULL) return fari_error_prefix(st, "%s: ", f->label);
    return st;
}

far_status fari_picture_set_read_map(const fari_picture_set *set, fari_desk *d, const fari_picture_sample *s,
                                     const far_region *r, int32_t *out)
{
    label_feed f;
    FAR_TRY(feed_begin(set, d, s, r, &f));
    far_status st = FAR_OK;
    for (int64_t y = 0; y < r->out_height && st == FAR_OK; y++) st = feed_line(set, &f, r, y, out + y * r->out_width);
    fari_decode_values_end(d->decoder);
    return st;
}

far_status fari_picture_set_largest_label(const fari_picture_set *set, fari_desk *d, const fari_picture_sample *s,
                                          int32_t *line, int32_t *largest_io)
{
    label_feed f;
    const int64_t height = s->label_picture.height, width = s->label_picture.width;
    const far_region all = { 0, 0, height, width, height, width };
    FAR_TRY(feed_begin(set, d, s, &all, &f));
    far_status st = FAR_OK;
    for (int64_t y = 0; y < height && st == FAR_OK; y++) {
        st = feed_line(set, &f, &all, y, line);
        for (int64_t x = 0; x < width && st == FAR_OK; x++)
            if (line[x] > *largest_io) *largest_io = line[x];
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

static far_status read_with(const fari_picture_set *set, fari_desk *d, const fari_picture_sample *s,
                            const far_region *region, float *image_out, int32_t *label_out)
{
    char label[FARI_FILES_LABEL];
    fari_picture_file file;
    FAR_TRY(check_head(set, s));
    if (image_out != NULL) {
        FAR_TRY(load(set, d, s->file, &s->picture, &d->image, label, &file));
        FAR_TRY(fari_decode_region(d->decoder, &file, region, set->channels, image_out));
    }
    if (label_out == NULL || set->label == FAR_LABEL_NONE) return FAR_OK;
    if (set->label == FAR_LABEL_MAP) return fari_picture_set_read_map(set, d, s, region, label_out);
    *label_out = s->class_idx;
    return FAR_OK;
}

far_status fari_picture_set_read_region(void *context, int64_t idx, const far_region *region, float *image_out,
                                        int32_t *label_out)
{
    fari_picture_set *set = context;
    fari_desk *d = NULL;
    FAR_TRY(fari_desk_acquire(set, &d));
    const far_status st = read_with(set, d, &set->samples[idx], region, image_out, label_out);
    fari_desk_return(set, d);
    return st;
}

far_status fari_picture_set_extent(void *context, int64_t idx, int64_t *height_out, int64_t *width_out)
{
    const fari_picture_set *set = context;
    const fari_picture_sample *s = &set->samples[idx];
    *height_out = s->is_broken ? set->height : fari_picture_height(&s->picture);
    *width_out = s->is_broken ? set->width : fari_picture_width(&s->picture);
    return FAR_OK;
}

static far_status whole_of(void *context, int64_t idx, far_region *region_out)
{
    *region_out = (far_region){ 0 };
    FAR_TRY(fari_picture_set_extent(context, idx, &region_out->height, &region_out->width));
    region_out->out_height = region_out->height;
    region_out->out_width = region_out->width;
    return FAR_OK;
}

far_status fari_picture_set_read(void *context, int64_t idx, float *image_out, int32_t *label_out)
{
    far_region all;
    FAR_TRY(whole_of(context, idx, &all));
    return fari_picture_set_read_region(context, idx, &all, image_out, label_out);
}

/* No image is decoded for it. */
far_status fari_picture_set_read_label(void *context, int64_t idx, int32_t *label_out)
{
    fari_picture_set *set = context;
    const fari_picture_sample *s = &set->samples[idx];
    far_region all;
    fari_desk *d = NULL;
    FAR_TRY(check_head(set, s));
    if (set->label != FAR_LABEL_MAP) {
        *label_out = s->class_idx;
        return FAR_OK;
    }
    FAR_TRY(whole_of(context, idx, &all));
    FAR_TRY(fari_desk_acquire(set, &d));
    const far_status st = fari_picture_set_read_map(set, d, s, &all, label_out);
    fari_desk_return(set, d);
    return st;
}
