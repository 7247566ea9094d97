#include "base/mem.h"
#include "base/status.h"
#include "data/lartpc.h"
#include "data/probe.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PLANES_MAX 64
#define PIECE 4096 /* records read at once */
#define CLASSES_MAX 256

typedef struct voxel_range {
    int64_t first, count;
} voxel_range;

typedef struct sparse_group {
    fari_h5_table extents, id_extents, meta, voxels;
    voxel_range *ranges; /* [events][planes]; a plane that an event has not is empty */
} sparse_group;

struct fari_lartpc_file {
    fari_h5_file *file;
    fari_lartpc_frame frame;
    int64_t events;
    int32_t class_count;
    bool has_label;
    sparse_group image, label;
    fari_h5_voxel piece[PIECE]; /* under HDF5's lock */
};

/* --- opening --- */

static far_status open_tables(fari_lartpc_file *lartpc, const char *name, sparse_group *group)
{
    char path[128];
    const struct {
        const char *name;
        const fari_h5_record *record;
        fari_h5_table *table;
    } tables[] = {
        { "extents", &fari_lartpc_extents, &group->extents },
        { "voxel_extents", &fari_lartpc_id_extents, &group->id_extents },
        { "image_meta", &fari_lartpc_meta_read, &group->meta },
        { "voxels", &fari_lartpc_voxel, &group->voxels },
    };
    for (size_t i = 0; i < FAR_COUNT(tables); i++) {
        (void)snprintf(path, sizeof path, "/Data/sparse2d_%s_group/%s", name, tables[i].name);
        FAR_TRY(fari_h5_table_open(lartpc->file, path, tables[i].record, tables[i].table));
    }
    return FAR_OK;
}

/* The size of all images: that of the first; any other is refused. */
static far_status check_meta(fari_lartpc_file *lartpc, const fari_h5_table *table, int64_t row,
                             const fari_h5_meta_read *meta, uint32_t plane)
{
    fari_lartpc_frame *frame = &lartpc->frame;
    const uint64_t width = meta->count[0], height = meta->count[1];
    if (width == 0 || height == 0 || width > UINT32_MAX || height > UINT32_MAX / width)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s: %s row %" PRId64 ": an image of %" PRIu64 " x %" PRIu64
                        " pixels; served are 1 to 4,294,967,295 pixels",
                        fari_h5_path(lartpc->file), table->name, row, height, width);
    if (frame->height == 0) {
        frame->height = (int64_t)height;
        frame->width = (int64_t)width;
    }
    if ((int64_t)height != frame->height || (int64_t)width != frame->width)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s: %s row %" PRId64 ": an image of %" PRIu64 " x %" PRIu64 " pixels among images of %" PRId64
                        " x %" PRId64 "; all must have one size",
                        fari_h5_path(lartpc->file), table->name, row, height, width, frame->height, frame->width);
    if (meta->projection != plane)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s: %s row %" PRId64 " is of plane %" PRIu64 ", but the same row of voxel_extents of %" PRIu32,
                        fari_h5_path(lartpc->file), table->name, row, meta->projection, plane);
    return FAR_OK;
}

/* The small tables of a group, while the file is opened. */
typedef struct small_tables {
    fari_h5_extents *extents;
    fari_h5_id_extents *id_extents;
    fari_h5_meta_read *meta;
} small_tables;

/* One row of voxel_extents with its row of image_meta. */
static far_status take_plane(fari_lartpc_file *lartpc, sparse_group *group, const small_tables *small, int64_t event,
                             int64_t row)
{
    const fari_h5_id_extents extents = small->id_extents[row];
    const char *path = fari_h5_path(lartpc->file), *name = group->id_extents.name;
    if (extents.id >= (uint32_t)lartpc->frame.planes)
        return FAR_FAIL(FAR_E_FORMAT, "%s: %s row %" PRId64 ": plane %" PRIu32 "; planes are numbered 0 to %" PRId32,
                        path, name, row, extents.id, lartpc->frame.planes - 1);
    FAR_TRY(check_meta(lartpc, &group->meta, row, &small->meta[row], extents.id));
    if (extents.first > (uint64_t)group->voxels.rows || extents.count > (uint64_t)group->voxels.rows - extents.first)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s: %s row %" PRId64 ": voxels %" PRIu64 " and the next %" PRIu32 ", but there are %" PRId64,
                        path, name, row, extents.first, extents.count, group->voxels.rows);
    if ((int64_t)extents.count > lartpc->frame.height * lartpc->frame.width)
        return FAR_FAIL(FAR_E_FORMAT, "%s: %s row %" PRId64 ": %" PRIu32 " voxels in %" PRId64 " x %" PRId64 " pixels",
                        path, name, row, extents.count, lartpc->frame.height, lartpc->frame.width);
    voxel_range *range = &group->ranges[event * lartpc->frame.planes + extents.id];
    if (range->first >= 0)
        return FAR_FAIL(FAR_E_FORMAT, "%s: %s row %" PRId64 ": plane %" PRIu32 " a second time in event %" PRId64, path,
                        name, row, extents.id, event);
    *range = (voxel_range){ (int64_t)extents.first, (int64_t)extents.count };
    return FAR_OK;
}

static far_status take_event(fari_lartpc_file *lartpc, sparse_group *group, const small_tables *small, int64_t event)
{
    const fari_h5_extents extents = small->extents[event];
    if (extents.first > (uint64_t)group->id_extents.rows ||
        extents.count > (uint64_t)group->id_extents.rows - extents.first)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s: %s row %" PRId64 ": planes %" PRIu64 " and the next %" PRIu32 ", but there are %" PRId64,
                        fari_h5_path(lartpc->file), group->extents.name, event, extents.first, extents.count,
                        group->id_extents.rows);
    for (uint32_t k = 0; k < extents.count; k++) /* ends at the latest where a plane comes twice */
        FAR_TRY(take_plane(lartpc, group, small, event, (int64_t)(extents.first + k)));
    return FAR_OK;
}

/* Planes are numbered from 0: the largest number of the images tells how many there are. */
static far_status count_planes(fari_lartpc_file *lartpc, const small_tables *small)
{
    const fari_h5_table *table = &lartpc->image.id_extents;
    for (int64_t row = 0; row < table->rows; row++) {
        const uint32_t plane = small->id_extents[row].id;
        if (plane >= PLANES_MAX)
            return FAR_FAIL(FAR_E_FORMAT, "%s: %s row %" PRId64 ": plane %" PRIu32 "; at most %d planes are served",
                            fari_h5_path(lartpc->file), table->name, row, plane, PLANES_MAX);
        if ((int32_t)plane >= lartpc->frame.planes) lartpc->frame.planes = (int32_t)plane + 1;
    }
    if (lartpc->frame.planes == 0 || lartpc->events == 0)
        return FAR_FAIL(FAR_E_FORMAT, "%s: %s: no events", fari_h5_path(lartpc->file), lartpc->image.extents.name);
    return FAR_OK;
}

static far_status take_group(fari_lartpc_file *lartpc, sparse_group *group)
{
    far_status st = FAR_OK;
    small_tables small = { NULL, NULL, NULL };
    FAR_TRY_GOTO(fari_h5_table_load(&group->extents, (void **)&small.extents), free_small);
    FAR_TRY_GOTO(fari_h5_table_load(&group->id_extents, (void **)&small.id_extents), free_small);
    FAR_TRY_GOTO(fari_h5_table_load(&group->meta, (void **)&small.meta), free_small);
    if (group->meta.rows != group->id_extents.rows) {
        st = FAR_FAIL(FAR_E_FORMAT, "%s: %s has %" PRId64 " rows and voxel_extents %" PRId64 "; they belong together",
                      fari_h5_path(lartpc->file), group->meta.name, group->meta.rows, group->id_extents.rows);
        goto free_small;
    }
    if (group == &lartpc->image) FAR_TRY_GOTO(count_planes(lartpc, &small), free_small);
    const int64_t ranges = lartpc->events * lartpc->frame.planes;
    group->ranges = fari_calloc((size_t)ranges, sizeof *group->ranges);
    if (group->ranges == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for the extents of %s", fari_h5_path(lartpc->file));
        goto free_small;
    }
    for (int64_t i = 0; i < ranges; i++) group->ranges[i].first = -1;
    for (int64_t event = 0; event < lartpc->events; event++)
        FAR_TRY_GOTO(take_event(lartpc, group, &small, event), free_small);
free_small:
    fari_free(small.extents);
    fari_free(small.id_extents);
    fari_free(small.meta);
    return st;
}

static far_status check_pair(const fari_lartpc_file *lartpc)
{
    const int64_t planes = lartpc->frame.planes;
    for (int64_t i = 0; i < lartpc->events * planes; i++) {
        const voxel_range *image = &lartpc->image.ranges[i], *label = &lartpc->label.ranges[i];
        if (image->count != label->count)
            return FAR_FAIL(FAR_E_FORMAT,
                            "%s: event %" PRId64 " plane %" PRId64 ": %" PRId64 " pixels in %s, but %" PRId64
                            " labels in %s",
                            fari_h5_path(lartpc->file), i / planes, i % planes, image->count, lartpc->image.voxels.name,
                            label->count, lartpc->label.voxels.name);
    }
    return FAR_OK;
}

static far_status check_group_name(const fari_lartpc_file *lartpc, const char *name, const char *what)
{
    char group[100], others[300];
    if (strlen(name) > 60 || strchr(name, '/') != NULL)
        return FAR_FAIL(FAR_E_ARG, "\"%s\" cannot be the name of %s in a file of liquid-argon images", name, what);
    (void)snprintf(group, sizeof group, "/Data/sparse2d_%s_group", name);
    if (fari_h5_has(lartpc->file, group)) return FAR_OK;
    fari_h5_list(lartpc->file, "/Data", "sparse2d_", others, sizeof others);
    return FAR_FAIL(FAR_E_NOTFOUND, "%s: no %s %s; groups of that kind: %s", fari_h5_path(lartpc->file), what, group,
                    others[0] != '\0' ? others : "none, so this is no file of sparse liquid-argon images");
}

static far_status open_groups(fari_lartpc_file *lartpc, const char *image, const char *label)
{
    FAR_TRY(check_group_name(lartpc, image, "images"));
    FAR_TRY(open_tables(lartpc, image, &lartpc->image));
    lartpc->events = lartpc->image.extents.rows;
    FAR_TRY(take_group(lartpc, &lartpc->image));
    if (label == NULL) return FAR_OK;
    FAR_TRY(check_group_name(lartpc, label, "labels"));
    FAR_TRY(open_tables(lartpc, label, &lartpc->label));
    if (lartpc->label.extents.rows != lartpc->events)
        return FAR_FAIL(FAR_E_FORMAT, "%s: %s has %" PRId64 " events and %s %" PRId64, fari_h5_path(lartpc->file),
                        lartpc->label.extents.name, lartpc->label.extents.rows, lartpc->image.extents.name,
                        lartpc->events);
    FAR_TRY(take_group(lartpc, &lartpc->label));
    return check_pair(lartpc);
}

/* HDF5 1.10 crashes on some damaged descriptions of tables (one in a thousand single flipped bits of a small file). So all of a file's description is
   gone through once where a crash does no harm, with some voxels of either table. */
typedef struct attempt {
    fari_lartpc_file *lartpc;
    const char *path, *image, *label;
} attempt;

static void try_out(void *context)
{
    const attempt *trial = context;
    fari_lartpc_file *lartpc = trial->lartpc;
    if (fari_h5_open(trial->path, &lartpc->file) != FAR_OK) return;
    if (open_groups(lartpc, trial->image, trial->label) != FAR_OK) return;
    const fari_h5_table *tables[] = { &lartpc->image.voxels, lartpc->has_label ? &lartpc->label.voxels : NULL };
    for (size_t i = 0; i < FAR_COUNT(tables) && tables[i] != NULL; i++) {
        const int64_t count = tables[i]->rows < PIECE ? tables[i]->rows : PIECE;
        (void)fari_h5_table_read(tables[i], 0, count, lartpc->piece);
        (void)fari_h5_table_read(tables[i], tables[i]->rows - count, count, lartpc->piece);
    }
}

far_status fari_lartpc_open(const char *path, const char *image, const char *label, int32_t class_count,
                            fari_lartpc_file **file_out)
{
    far_status st;
    if (class_count < 1 || class_count > CLASSES_MAX)
        return FAR_FAIL(FAR_E_ARG, "%s: %" PRId32 " classes; 1 to %d are served", path, class_count, CLASSES_MAX);
    fari_lartpc_file *lartpc = fari_calloc(1, sizeof *lartpc);
    if (lartpc == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", path);
    lartpc->class_count = class_count;
    lartpc->has_label = label != NULL;
    attempt trial = { lartpc, path, image, label };
    fari_h5_lock();
    st = fari_probe(path, try_out, &trial);
    if (st == FAR_OK) st = fari_h5_open(path, &lartpc->file);
    if (st == FAR_OK) st = open_groups(lartpc, image, label);
    fari_h5_unlock();
    if (st != FAR_OK) {
        fari_lartpc_close(lartpc);
        return st;
    }
    *file_out = lartpc;
    return FAR_OK;
}

static void close_group(sparse_group *group)
{
    fari_h5_table_close(&group->extents);
    fari_h5_table_close(&group->id_extents);
    fari_h5_table_close(&group->meta);
    fari_h5_table_close(&group->voxels);
    fari_free(group->ranges);
}

void fari_lartpc_close(fari_lartpc_file *file)
{
    if (file == NULL) return;
    fari_h5_lock();
    close_group(&file->image);
    close_group(&file->label);
    (void)fari_h5_close(file->file);
    fari_h5_unlock();
    fari_free(file);
}

fari_lartpc_frame fari_lartpc_frame_of(const fari_lartpc_file *file)
{
    return file->frame;
}

int64_t fari_lartpc_event_count(const fari_lartpc_file *file)
{
    return file->events;
}

static int64_t group_bytes(const fari_lartpc_file *file, const sparse_group *group)
{
    return file->events * file->frame.planes * (int64_t)sizeof *group->ranges + group->extents.cache_bytes +
           group->id_extents.cache_bytes + group->meta.cache_bytes + group->voxels.cache_bytes;
}

int64_t fari_lartpc_bytes(const fari_lartpc_file *file)
{
    return (int64_t)sizeof *file + group_bytes(file, &file->image) +
           (file->has_label ? group_bytes(file, &file->label) : 0);
}

bool fari_lartpc_has_label(const fari_lartpc_file *file)
{
    return file->has_label;
}

int64_t fari_lartpc_count(const fari_lartpc_file *file, int64_t idx, int32_t plane)
{
    return file->image.ranges[idx * file->frame.planes + plane].count;
}

/* --- voxels --- */

static far_status bad_voxel(const fari_lartpc_file *file, const fari_h5_table *table, int64_t row, const char *what)
{
    return FAR_FAIL(FAR_E_FORMAT, "%s: %s row %" PRId64 ": %s", fari_h5_path(file->file), table->name, row, what);
}

static far_status take_values(const fari_lartpc_file *file, int64_t row, int64_t count, int64_t last_id,
                              uint32_t *ids_out, float *values_out)
{
    const int64_t pixels = file->frame.height * file->frame.width;
    char what[160];
    for (int64_t i = 0; i < count; i++) {
        const fari_h5_voxel *voxel = &file->piece[i];
        if (voxel->id >= (uint64_t)pixels) {
            (void)snprintf(what, sizeof what, "id %" PRIu64 " in an image of %" PRId64 " pixels", voxel->id, pixels);
            return bad_voxel(file, &file->image.voxels, row + i, what);
        }
        if ((int64_t)voxel->id <= last_id) {
            (void)snprintf(what, sizeof what, "id %" PRIu64 " after %" PRId64 "; ids of a plane ascend", voxel->id,
                           last_id);
            return bad_voxel(file, &file->image.voxels, row + i, what);
        }
        if (!(voxel->value - voxel->value == 0.0f))
            return bad_voxel(file, &file->image.voxels, row + i, "the value is not finite");
        last_id = (int64_t)voxel->id;
        ids_out[i] = (uint32_t)voxel->id;
        values_out[i] = voxel->value;
    }
    return FAR_OK;
}

static far_status take_labels(const fari_lartpc_file *file, int64_t row, int64_t count, const uint32_t *ids,
                              uint8_t *labels_out)
{
    char what[160];
    for (int64_t i = 0; i < count; i++) {
        const fari_h5_voxel *voxel = &file->piece[i];
        if (voxel->id != ids[i]) {
            (void)snprintf(what, sizeof what, "the label of pixel %" PRIu64 " where the image has pixel %" PRIu32,
                           voxel->id, ids[i]);
            return bad_voxel(file, &file->label.voxels, row + i, what);
        }
        /* false for NaN as well */
        if (!(voxel->value >= 0.0f && voxel->value < (float)file->class_count) ||
            voxel->value != (float)(uint8_t)voxel->value) {
            (void)snprintf(what, sizeof what, "label %.9g, but classes are the whole numbers 0 to %" PRId32,
                           (double)voxel->value, file->class_count - 1);
            return bad_voxel(file, &file->label.voxels, row + i, what);
        }
        labels_out[i] = (uint8_t)voxel->value;
    }
    return FAR_OK;
}

static far_status read_plane(fari_lartpc_file *file, const voxel_range *image, const voxel_range *label,
                             uint32_t *ids_out, float *values_out, uint8_t *labels_out)
{
    for (int64_t at = 0; at < image->count; at += PIECE) {
        const int64_t count = image->count - at < PIECE ? image->count - at : PIECE;
        FAR_TRY(fari_h5_table_read(&file->image.voxels, image->first + at, count, file->piece));
        FAR_TRY(take_values(file, image->first + at, count, at > 0 ? (int64_t)ids_out[at - 1] : -1, ids_out + at,
                            values_out + at));
        if (labels_out == NULL) continue;
        FAR_TRY(fari_h5_table_read(&file->label.voxels, label->first + at, count, file->piece));
        FAR_TRY(take_labels(file, label->first + at, count, ids_out + at, labels_out + at));
    }
    return FAR_OK;
}

far_status fari_lartpc_read(fari_lartpc_file *file, int64_t idx, int32_t plane, uint32_t *ids_out, float *values_out,
                            uint8_t *labels_out)
{
    const int64_t at = idx * file->frame.planes + plane;
    FAR_ASSERT(idx >= 0 && idx < file->events && plane >= 0 && plane < file->frame.planes);
    FAR_ASSERT(labels_out == NULL || file->has_label);
    fari_h5_lock();
    const far_status st = read_plane(file, &file->image.ranges[at], labels_out == NULL ? NULL : &file->label.ranges[at],
                                     ids_out, values_out, labels_out);
    fari_h5_unlock();
    return st;
}
