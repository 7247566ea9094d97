/* Events as samples. Voxels are 9 bytes each, a hundredth of the images they make, so they stay in memory once read where they all fit: then HDF5,
   which is slow and knows one thread at a time, is asked once for each event. Larger files are read again each time, under its lock. */
#include "base/arena.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/dataset.h"
#include "data/lartpc.h"
#include <farandole/lartpc.h>
#include <pthread.h>
#include <string.h>

#define KEEP_BYTES (INT64_C(1) << 30)

typedef struct lartpc_set {
    fari_lartpc_file *file;
    fari_lartpc_frame frame;
    int32_t class_count;
    bool has_label, is_kept;
    pthread_mutex_t mutex; /* over the arrays below while they are filled */
    int64_t cap;           /* voxels there is room for: all, or those of the largest plane */
    uint32_t *ids;
    float *values;
    uint8_t *labels;
    int64_t *place; /* [events][planes] where kept: of the first voxel */
    bool *is_read;  /* [events] */
} lartpc_set;

/* Rows of an image. */
typedef struct band {
    int64_t first, count;
} band;

static void scatter(const lartpc_set *set, int32_t plane, int64_t at, int64_t count, band rows, float *image_out,
                    int32_t *label_out)
{
    const int64_t height = set->frame.height, width = set->frame.width, planes = set->frame.planes;
    for (int64_t i = at; i < at + count; i++) {
        const int64_t x = set->ids[i] / height, y = set->ids[i] % height - rows.first;
        const int64_t pixel = (y * width + x) * planes + plane;
        if (y < 0 || y >= rows.count) continue;
        if (image_out != NULL) image_out[pixel] = set->values[i];
        if (label_out != NULL) label_out[pixel] = set->labels[i];
    }
}

static far_status read_plane(lartpc_set *set, int64_t idx, int32_t plane, int64_t at)
{
    return fari_lartpc_read(set->file, idx, plane, set->ids + at, set->values + at,
                            set->has_label ? set->labels + at : NULL);
}

/* Once filled, an event's place never changes: it is read without the mutex. */
static far_status fill(lartpc_set *set, int64_t idx)
{
    far_status st = FAR_OK;
    (void)pthread_mutex_lock(&set->mutex);
    for (int32_t p = 0; p < set->frame.planes && st == FAR_OK && !set->is_read[idx]; p++)
        st = read_plane(set, idx, p, set->place[idx * set->frame.planes + p]);
    if (st == FAR_OK) set->is_read[idx] = true;
    (void)pthread_mutex_unlock(&set->mutex);
    return st;
}

/* An event's voxels are few: all of them are gone through, and only the rows that are wanted become an image. */
static far_status set_read_rows(void *context, int64_t idx, int64_t row, int64_t count, float *image_out,
                                int32_t *label_out)
{
    lartpc_set *set = context;
    far_status st = FAR_OK;
    const size_t elems = (size_t)(count * set->frame.width * set->frame.planes);
    if (image_out != NULL) memset(image_out, 0, elems * sizeof *image_out);
    if (label_out != NULL) memset(label_out, 0, elems * sizeof *label_out);
    if (set->is_kept) FAR_TRY(fill(set, idx));
    else (void)pthread_mutex_lock(&set->mutex);
    for (int32_t p = 0; p < set->frame.planes && st == FAR_OK; p++) {
        const int64_t at = set->is_kept ? set->place[idx * set->frame.planes + p] : 0;
        if (!set->is_kept) st = read_plane(set, idx, p, at);
        if (st == FAR_OK)
            scatter(set, p, at, fari_lartpc_count(set->file, idx, p), (band){ row, count }, image_out, label_out);
    }
    if (!set->is_kept) (void)pthread_mutex_unlock(&set->mutex);
    return st;
}

static far_status set_read(void *context, int64_t idx, float *image_out, int32_t *label_out)
{
    const lartpc_set *set = context;
    return set_read_rows(context, idx, 0, set->frame.height, image_out, label_out);
}

static const char *set_class_name(const void *context, int32_t class_idx)
{
    static const char *const names[] = { "background", "cosmic", "neutrino" };
    const lartpc_set *set = context;
    return set->class_count == (int32_t)FAR_COUNT(names) ? names[class_idx] : NULL;
}

static int64_t voxel_bytes(bool has_label)
{
    return (int64_t)(sizeof(uint32_t) + sizeof(float)) + (has_label ? 1 : 0);
}

static int64_t set_bytes(const void *context)
{
    const lartpc_set *set = context;
    int64_t bytes = (int64_t)sizeof *set + fari_lartpc_bytes(set->file) + set->cap * voxel_bytes(set->has_label);
    if (set->is_kept)
        bytes += fari_lartpc_event_count(set->file) *
                 (int64_t)((size_t)set->frame.planes * sizeof *set->place + sizeof *set->is_read);
    return bytes;
}

static void set_close(void *context)
{
    lartpc_set *set = context;
    fari_lartpc_close(set->file);
    (void)pthread_mutex_destroy(&set->mutex);
    fari_free(set->ids);
    fari_free(set->values);
    fari_free(set->labels);
    fari_free(set->place);
    fari_free(set->is_read);
    fari_free(set);
}

/* Room for all voxels if they fit in `keep_bytes`, else for those of the largest plane. */
static far_status make_room(lartpc_set *set, const char *path, int64_t keep_bytes)
{
    const int64_t events = fari_lartpc_event_count(set->file), planes = set->frame.planes;
    int64_t total = 0, largest = 0;
    for (int64_t i = 0; i < events * planes; i++) {
        const int64_t count = fari_lartpc_count(set->file, i / planes, (int32_t)(i % planes));
        if (count > largest) largest = count;
        total += count; /* below 2^63: events * planes of at most 2^32 */
    }
    set->is_kept = total <= keep_bytes / voxel_bytes(set->has_label);
    set->cap = set->is_kept ? total : largest;
    set->ids = fari_alloc((size_t)set->cap * sizeof *set->ids);
    set->values = fari_alloc((size_t)set->cap * sizeof *set->values);
    if (set->has_label) set->labels = fari_alloc((size_t)set->cap * sizeof *set->labels);
    if (set->is_kept) {
        set->place = fari_calloc((size_t)(events * planes), sizeof *set->place);
        set->is_read = fari_calloc((size_t)events, sizeof *set->is_read);
    }
    if (set->ids == NULL || set->values == NULL || (set->has_label && set->labels == NULL) ||
        (set->is_kept && (set->place == NULL || set->is_read == NULL)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for %lld voxels of %s", (long long)set->cap, path);
    /* so that no step of the first epoch pays for fresh pages */
    fari_arena_touch(set->ids, set->cap * (int64_t)sizeof *set->ids);
    fari_arena_touch(set->values, set->cap * (int64_t)sizeof *set->values);
    if (set->has_label) fari_arena_touch(set->labels, set->cap);
    for (int64_t i = 1; i < events * planes && set->is_kept; i++)
        set->place[i] = set->place[i - 1] + fari_lartpc_count(set->file, (i - 1) / planes, (int32_t)((i - 1) % planes));
    return FAR_OK;
}

static far_status open_file(lartpc_set *set, const char *path, const far_lartpc_opts *opts)
{
    const char *image = opts->image != NULL ? opts->image : FARI_LARTPC_IMAGE;
    const char *label = opts->label == NULL ? FARI_LARTPC_LABEL : opts->label[0] != '\0' ? opts->label : NULL;
    far_status st = fari_lartpc_open(path, image, label, set->class_count, &set->file);
    if (st == FAR_E_NOTFOUND && opts->label == NULL) { /* no labels: something to predict */
        far_error_clear();
        st = fari_lartpc_open(path, image, NULL, set->class_count, &set->file);
    }
    if (st != FAR_OK) return st;
    set->frame = fari_lartpc_frame_of(set->file);
    set->has_label = fari_lartpc_has_label(set->file);
    return FAR_OK;
}

far_status far_dataset_open_lartpc(const char *path, const far_lartpc_opts *opts, far_dataset **dataset_out)
{
    static const far_dataset_ops ops = { .read = set_read,
                                         .class_name = set_class_name,
                                         .bytes = set_bytes,
                                         .close = set_close,
                                         .read_rows = set_read_rows,
                                         .reads_apart = true };
    const far_lartpc_opts defaults = { 0 };
    far_status st;
    if (opts == NULL) opts = &defaults;
    lartpc_set *set = fari_calloc(1, sizeof *set);
    if (set == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", path);
    (void)pthread_mutex_init(&set->mutex, NULL);
    set->class_count = opts->class_count == 0 ? 3 : opts->class_count;
    FAR_TRY_GOTO(open_file(set, path, opts), close_set);
    FAR_TRY_GOTO(make_room(set, path, opts->keep_bytes == 0 ? KEEP_BYTES : opts->keep_bytes), close_set);
    const far_dataset_info info = {
        .sample_count = fari_lartpc_event_count(set->file),
        .height = set->frame.height,
        .width = set->frame.width,
        .channels = set->frame.planes,
        .label = set->has_label ? FAR_LABEL_MAP : FAR_LABEL_NONE,
        .label_planes = set->has_label ? set->frame.planes : 0,
        .class_count = set->class_count,
    };
    FAR_TRY(far_dataset_create(&ops, set, &info, dataset_out));
    return FAR_OK;
close_set:
    set_close(set);
    return st;
}
