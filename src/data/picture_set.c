#include "base/mem.h"
#include "base/status.h"
#include "data/dataset.h"
#include "data/picture_set_priv.h"
#include <inttypes.h>
#include <string.h>

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

void fari_picture_set_destroy(void *context)
{
    fari_picture_set *set = context;
    if (set == NULL) return;
    while (set->free_desks != NULL) {
        fari_desk *d = set->free_desks;
        set->free_desks = d->next;
        fari_desk_destroy(d);
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

far_status fari_member_read(const void *context, int64_t offset, void *out, size_t bytes)
{
    const fari_member *m = context;
    return fari_files_read(m->files, m->idx, offset, out, bytes);
}

far_status fari_picture_set_probe(const fari_picture_set *set, int64_t file, fari_picture *picture_out)
{
    char label[FARI_FILES_LABEL];
    const fari_member m = { set->files, file };
    const fari_head_source source = { fari_member_read, &m, fari_files_bytes(set->files, file),
                                      fari_files_name_for_people(set->files, file, label) };
    return fari_picture_probe(&source, picture_out);
}

static far_status check_label_kind(const fari_picture_set *set, const fari_picture_sample *s)
{
    char label[FARI_FILES_LABEL];
    const fari_picture *map = &s->label_picture;
    const char *why = NULL;
    if (map->kind == FARI_PICTURE_JPEG || map->is_lossy)
        why = "label maps in JPEG are not exact; store them as PNG or TIFF";
    else if (map->is_float) why = "a label map of floating-point numbers; store whole numbers";
    else if (map->kind == FARI_PICTURE_TIFF && map->channels != 1 && (map->channels < 3 || map->is_plain_values))
        why = "a label map of several channels that are no colours; store one number a pixel";
    else if (map->orientation != 1) why = "a label map that is stored turned or mirrored; store it as it is looked at";
    if (why == NULL) return FAR_OK;
    return FAR_FAIL(FAR_E_UNSUPPORTED, "%s: %s", fari_files_name_for_people(set->files, s->label_file, label), why);
}

static far_status check_label_size(const fari_picture_set *set, const fari_picture_sample *s)
{
    char image[FARI_FILES_LABEL], label[FARI_FILES_LABEL];
    const fari_picture *a = &s->picture, *b = &s->label_picture;
    FAR_TRY(check_label_kind(set, s));
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

static const char *set_class_name(const void *context, int32_t class_idx)
{
    const fari_picture_set *set = context;
    return class_idx >= 0 && class_idx < set->class_count ? set->classes[class_idx] : NULL;
}

/* Of a TIFF, tiles or strips of any rows are decoded alone. */
static const char *set_why_not_rows(const void *context)
{
    const fari_picture_set *set = context;
    for (int64_t i = 0; i < set->count; i++) {
        const fari_picture_sample *s = &set->samples[i];
        const bool has_map = s->label_file >= 0;
        if (s->picture.kind != FARI_PICTURE_TIFF || (has_map && s->label_picture.kind != FARI_PICTURE_TIFF))
            return "JPEG and PNG pictures are decoded from their first row on; store them as tiled TIFF";
    }
    return NULL;
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

static void take_in(fari_picture_set *set, fari_picture *largest, const fari_picture *picture, int64_t file)
{
    if (picture->height > largest->height) largest->height = picture->height;
    if (picture->width > largest->width) largest->width = picture->width;
    if (picture->bits > largest->bits) largest->bits = picture->bits;
    if (picture->channels > largest->channels) largest->channels = picture->channels;
    if (picture->is_cmyk) largest->is_cmyk = true;
    if (picture->is_plain_values) largest->is_plain_values = true;
    if (picture->coefficients > largest->coefficients) largest->coefficients = picture->coefficients;
    if (picture->band_bytes > largest->band_bytes) largest->band_bytes = picture->band_bytes;
    if (picture->tile_bytes > largest->tile_bytes) largest->tile_bytes = picture->tile_bytes;
    if (picture->kind == FARI_PICTURE_PNG) largest->kind = FARI_PICTURE_PNG;
    if (picture->kind == FARI_PICTURE_PNG && picture->is_whole) largest->is_whole = true;
    if (picture->kind == FARI_PICTURE_TIFF) return; /* not read whole */
    if (fari_files_room(set->files, file) > set->file_bytes) set->file_bytes = fari_files_room(set->files, file);
}

static far_status check_channels(const fari_picture_set *set, const fari_picture_sample *s)
{
    char label[FARI_FILES_LABEL];
    const int32_t own = s->picture.channels;
    if (s->is_broken || own == set->channels || (own == 1 && set->channels == 3)) return FAR_OK;
    if (own != 3 || set->channels != 1)
        return FAR_FAIL(
            FAR_E_FORMAT,
            "%s has %d channels, but images are read with %d: all have to have the same, or grey ones beside RGB",
            fari_files_name_for_people(set->files, s->file, label), own, set->channels);
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
        if (s->picture.bits > 8 || s->picture.is_plain_values) info->is_integer = false;
        take_in(set, &set->largest, &s->picture, s->file);
        if (s->label_file >= 0)
            take_in(set, s->label_picture.kind == FARI_PICTURE_TIFF ? &set->largest_map : &set->largest,
                    &s->label_picture, s->label_file);
        is_any = true;
    }
    if (!is_any)
        return FAR_FAIL(FAR_E_FORMAT, "%s: none of its %" PRId64 " pictures can be read", fari_files_label(set->files),
                        set->count);
    set->channels = channels > 0 ? channels : set->largest.channels;
    if (set->channels < 1 || set->channels > 4)
        return FAR_FAIL(FAR_E_ARG, "pictures of %d channels; 1 (grey) or 3 (RGB), of TIFF 1 to 4", set->channels);
    for (int64_t i = 0; i < set->count; i++) FAR_TRY(check_channels(set, &set->samples[i]));
    info->channels = set->channels;
    set->height = info->height;
    set->width = info->width;
    return FAR_OK;
}

static far_status largest_label(fari_picture_set *set, int32_t *largest_out)
{
    far_status st = FAR_OK;
    fari_desk *d = NULL;
    int32_t largest = 0, *line = fari_calloc((size_t)set->width, sizeof *line);
    if (line == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a label map");
    FAR_TRY_GOTO(fari_desk_acquire(set, &d), free_line);
    for (int64_t i = 0; i < set->count && st == FAR_OK; i++) {
        if (!set->samples[i].is_broken) st = fari_picture_set_largest_label(set, d, &set->samples[i], line, &largest);
    }
    *largest_out = largest;
    fari_desk_return(set, d);
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
    static const far_dataset_ops ops = { .read = fari_picture_set_read,
                                         .class_name = set_class_name,
                                         .bytes = set_bytes,
                                         .close = fari_picture_set_destroy,
                                         .extent = fari_picture_set_extent,
                                         .read_region = fari_picture_set_read_region,
                                         .read_label = fari_picture_set_read_label,
                                         .sample_name = set_sample_name,
                                         .prepare = fari_picture_set_prepare,
                                         .prepare_bytes = fari_picture_set_prepare_bytes,
                                         .reads_apart = true,
                                         .wants_order = true,
                                         .why_not_rows = set_why_not_rows };
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
