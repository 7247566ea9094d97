/* Events as samples. Voxels are 9 bytes each, a hundredth of the images they make, so those of an event stay in memory once read, sorted by rows, which
   are then made where they are wanted. Of files whose voxels do not all fit, as many events as do are held, the one that was not wanted for longest
   giving way: HDF5, which is slow and knows one thread at a time, is asked no more than it takes. */
#include "base/arena.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/dataset.h"
#include "data/lartpc.h"
#include <farandole/lartpc.h>
#include <pthread.h>
#include <string.h>

#define KEEP_BYTES (INT64_C(1) << 30)

/* Room for an event's voxels, plane by plane. */
typedef struct event_slot {
    int64_t event;   /* -1: none */
    int64_t used_at; /* of all times that an event was wanted */
    int32_t users;   /* reading it now */
} event_slot;

typedef struct lartpc_set {
    fari_lartpc_file *file;
    fari_lartpc_frame frame;
    int32_t class_count;
    bool has_label, is_kept;
    pthread_mutex_t mutex; /* over what follows, and the arrays while they are filled */
    pthread_cond_t returned;
    int64_t cap;   /* voxels there is room for */
    uint32_t *ids; /* y * width + x, ascending in a plane */
    float *values;
    uint8_t *labels;
    int64_t *place; /* [events] where all are kept: of the first voxel */
    bool *is_read;  /* [events] */
    event_slot *slots;
    int64_t slot_count, slot_cap; /* of events not all of which are kept; voxels of a slot */
    int64_t wanted;
    uint32_t *target; /* [largest plane] for sorting */
    int64_t *next;    /* [height] */
} lartpc_set;

/* Rows of an image. */
typedef struct band {
    int64_t first, count;
} band;

/* --- sorting --- */

static void swap_voxels(const lartpc_set *set, int64_t a, int64_t b)
{
    const uint32_t id = set->ids[a];
    const float value = set->values[a];
    set->ids[a] = set->ids[b];
    set->ids[b] = id;
    set->values[a] = set->values[b];
    set->values[b] = value;
    if (!set->has_label) return;
    const uint8_t label = set->labels[a];
    set->labels[a] = set->labels[b];
    set->labels[b] = label;
}

/* Voxels lie column by column in the file; here row by row, and their ids count so. In place, by where each has to go. */
static void sort_plane(const lartpc_set *set, int64_t at, int64_t count)
{
    const int64_t height = set->frame.height, width = set->frame.width;
    uint32_t *ids = set->ids + at, *target = set->target;
    int64_t first = 0;
    memset(set->next, 0, (size_t)height * sizeof *set->next);
    for (int64_t i = 0; i < count; i++) set->next[ids[i] % height]++;
    for (int64_t y = 0; y < height; y++) {
        const int64_t in_row = set->next[y];
        set->next[y] = first;
        first += in_row;
    }
    for (int64_t i = 0; i < count; i++) {
        const int64_t x = ids[i] / height, y = ids[i] % height;
        target[i] = (uint32_t)set->next[y]++;
        ids[i] = (uint32_t)(y * width + x);
    }
    for (int64_t i = 0; i < count; i++)
        while (target[i] != i) {
            const uint32_t to = target[i];
            swap_voxels(set, at + i, at + to);
            target[i] = target[to];
            target[to] = to;
        }
}

/* --- events in memory --- */

/* Under the mutex: an event's voxels from `at` on. */
static far_status fill(lartpc_set *set, int64_t idx, int64_t at)
{
    for (int32_t p = 0; p < set->frame.planes; p++) {
        const int64_t count = fari_lartpc_count(set->file, idx, p);
        FAR_TRY(fari_lartpc_read(set->file, idx, p, set->ids + at, set->values + at,
                                 set->has_label ? set->labels + at : NULL));
        sort_plane(set, at, count);
        at += count;
    }
    return FAR_OK;
}

/* The slot that has the event, or else the free one that was not wanted for longest; NULL: all are in use. */
static event_slot *slot_for(const lartpc_set *set, int64_t idx)
{
    event_slot *best = NULL;
    for (int64_t i = 0; i < set->slot_count; i++) {
        event_slot *s = &set->slots[i];
        if (s->event == idx) return s;
        if (s->users == 0 && (best == NULL || s->used_at < best->used_at)) best = s;
    }
    return best;
}

/* Where an event's voxels lie, until it is given back. Where all events are kept, an event's place never changes once it is filled. */
static far_status event_borrow(lartpc_set *set, int64_t idx, int64_t *at_out)
{
    far_status st = FAR_OK;
    event_slot *s = NULL;
    (void)pthread_mutex_lock(&set->mutex);
    if (set->is_kept) {
        *at_out = set->place[idx];
        if (!set->is_read[idx]) st = fill(set, idx, *at_out);
        if (st == FAR_OK) set->is_read[idx] = true;
        (void)pthread_mutex_unlock(&set->mutex);
        return st;
    }
    while ((s = slot_for(set, idx)) == NULL) (void)pthread_cond_wait(&set->returned, &set->mutex);
    *at_out = (s - set->slots) * set->slot_cap;
    if (s->event != idx) {
        s->event = -1;
        st = fill(set, idx, *at_out);
        if (st == FAR_OK) s->event = idx;
    }
    s->used_at = ++set->wanted;
    if (st == FAR_OK) s->users++;
    (void)pthread_mutex_unlock(&set->mutex);
    return st;
}

static void event_return(lartpc_set *set, int64_t idx)
{
    if (set->is_kept) return;
    (void)pthread_mutex_lock(&set->mutex);
    slot_for(set, idx)->users--;
    (void)pthread_cond_broadcast(&set->returned);
    (void)pthread_mutex_unlock(&set->mutex);
}

/* --- rows --- */

/* The first voxel of a plane whose id is not below `id`. */
static int64_t first_from(const uint32_t *ids, int64_t count, int64_t id)
{
    int64_t low = 0, high = count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (ids[middle] < id) low = middle + 1;
        else high = middle;
    }
    return low;
}

static void scatter(const lartpc_set *set, int32_t plane, int64_t at, int64_t count, band rows, float *image_out,
                    int32_t *label_out)
{
    const int64_t width = set->frame.width, planes = set->frame.planes;
    const int64_t first_id = rows.first * width, end_id = first_id + rows.count * width;
    for (int64_t i = at + first_from(set->ids + at, count, first_id); i < at + count && set->ids[i] < end_id; i++) {
        const int64_t pixel = (set->ids[i] - first_id) * planes + plane;
        if (image_out != NULL) image_out[pixel] = set->values[i];
        if (label_out != NULL) label_out[pixel] = set->labels[i];
    }
}

static far_status set_read_rows(void *context, int64_t idx, int64_t row, int64_t count, float *image_out,
                                int32_t *label_out)
{
    lartpc_set *set = context;
    int64_t at = 0;
    const size_t elems = (size_t)(count * set->frame.width * set->frame.planes);
    if (image_out != NULL) memset(image_out, 0, elems * sizeof *image_out);
    if (label_out != NULL) memset(label_out, 0, elems * sizeof *label_out);
    FAR_TRY(event_borrow(set, idx, &at));
    for (int32_t p = 0; p < set->frame.planes; p++) {
        const int64_t voxels = fari_lartpc_count(set->file, idx, p);
        scatter(set, p, at, voxels, (band){ row, count }, image_out, label_out);
        at += voxels;
    }
    event_return(set, idx);
    return FAR_OK;
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

static int64_t event_count(const lartpc_set *set)
{
    return fari_lartpc_event_count(set->file);
}

static int64_t event_voxels(const lartpc_set *set, int64_t idx)
{
    int64_t count = 0;
    for (int32_t p = 0; p < set->frame.planes; p++) count += fari_lartpc_count(set->file, idx, p);
    return count;
}

static int64_t largest_plane(const lartpc_set *set)
{
    int64_t largest = 0;
    for (int64_t i = 0; i < event_count(set); i++)
        for (int32_t p = 0; p < set->frame.planes; p++)
            if (fari_lartpc_count(set->file, i, p) > largest) largest = fari_lartpc_count(set->file, i, p);
    return largest;
}

static int64_t set_bytes(const void *context)
{
    const lartpc_set *set = context;
    return (int64_t)sizeof *set + fari_lartpc_bytes(set->file) + set->cap * voxel_bytes(set->has_label) +
           largest_plane(set) * (int64_t)sizeof *set->target + set->frame.height * (int64_t)sizeof *set->next +
           set->slot_count * (int64_t)sizeof *set->slots +
           (set->is_kept ? event_count(set) * (int64_t)(sizeof *set->place + sizeof *set->is_read) : 0);
}

static void set_close(void *context)
{
    lartpc_set *set = context;
    fari_lartpc_close(set->file);
    (void)pthread_cond_destroy(&set->returned);
    (void)pthread_mutex_destroy(&set->mutex);
    fari_free(set->ids);
    fari_free(set->values);
    fari_free(set->labels);
    fari_free(set->place);
    fari_free(set->is_read);
    fari_free(set->slots);
    fari_free(set->target);
    fari_free(set->next);
    fari_free(set);
}

/* Room for all voxels if they fit in `keep_bytes`, else for those of as many events as do, of one at least. */
static void choose_room(lartpc_set *set, int64_t keep_bytes)
{
    const int64_t fit = keep_bytes > 0 ? keep_bytes / voxel_bytes(set->has_label) : 0;
    int64_t total = 0, largest = 0;
    for (int64_t i = 0; i < event_count(set); i++) {
        const int64_t count = event_voxels(set, i);
        if (count > largest) largest = count;
        total += count; /* below 2^63: events * planes of at most 2^32 */
    }
    set->is_kept = total <= fit;
    set->cap = total;
    if (set->is_kept) return;
    set->slot_cap = largest > 0 ? largest : 1;
    set->slot_count = fit / set->slot_cap > 1 ? fit / set->slot_cap : 1;
    if (set->slot_count > event_count(set)) set->slot_count = event_count(set);
    set->cap = set->slot_count * set->slot_cap;
}

static far_status make_tables(lartpc_set *set, const char *path)
{
    const int64_t events = event_count(set);
    if (set->is_kept) {
        set->place = fari_calloc((size_t)events, sizeof *set->place);
        set->is_read = fari_calloc((size_t)events, sizeof *set->is_read);
    } else {
        set->slots = fari_calloc((size_t)set->slot_count, sizeof *set->slots);
    }
    if (set->slots == NULL && (set->place == NULL || set->is_read == NULL))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the events of %s", path);
    for (int64_t i = 0; i < set->slot_count; i++) set->slots[i].event = -1;
    for (int64_t i = 1; i < events && set->is_kept; i++) set->place[i] = set->place[i - 1] + event_voxels(set, i - 1);
    return FAR_OK;
}

static far_status make_room(lartpc_set *set, const char *path, int64_t keep_bytes)
{
    choose_room(set, keep_bytes);
    set->ids = fari_alloc((size_t)set->cap * sizeof *set->ids);
    set->values = fari_alloc((size_t)set->cap * sizeof *set->values);
    if (set->has_label) set->labels = fari_alloc((size_t)set->cap * sizeof *set->labels);
    set->target = fari_alloc((size_t)largest_plane(set) * sizeof *set->target);
    set->next = fari_alloc((size_t)set->frame.height * sizeof *set->next);
    if (set->ids == NULL || set->values == NULL || (set->has_label && set->labels == NULL) || set->target == NULL ||
        set->next == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory for %lld voxels of %s", (long long)set->cap, path);
    FAR_TRY(make_tables(set, path));
    /* so that no step of the first epoch pays for fresh pages */
    fari_arena_touch(set->ids, set->cap * (int64_t)sizeof *set->ids);
    fari_arena_touch(set->values, set->cap * (int64_t)sizeof *set->values);
    fari_arena_touch(set->target, largest_plane(set) * (int64_t)sizeof *set->target);
    if (set->has_label) fari_arena_touch(set->labels, set->cap);
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
    (void)pthread_mutex_init(&set->mutex, NULL); /* cannot fail on Linux */
    (void)pthread_cond_init(&set->returned, NULL);
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
