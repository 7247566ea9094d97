#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/lartpc.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Chunks of the files that exist; a reader must not depend on them. */
enum {
    CHUNK_EVENTS = 100,
    CHUNK_EXTENTS = 10,
    CHUNK_ID_EXTENTS = 100,
    CHUNK_META = 100,
    CHUNK_VOXELS = 1000,
    CHUNK_PARTICLE_EXTENTS = 100,
    CHUNK_PARTICLES = 500
};

#define PIECE 4000 /* voxels handed over at once */

typedef struct sparse_group {
    fari_h5_table extents, id_extents, meta, voxels;
} sparse_group;

struct fari_lartpc_writer {
    char *path, *part; /* final name, and the name while it is written */
    fari_lartpc_frame frame;
    fari_h5_file *file;
    fari_h5_table event_ids, particle_extents, particles;
    sparse_group image, label;
    fari_h5_voxel piece[PIECE];
};

static far_status create_sparse(fari_lartpc_writer *writer, const char *name, sparse_group *group)
{
    char path[128];
    const struct {
        const char *name;
        const fari_h5_record *record;
        int64_t chunk;
        fari_h5_table *table;
    } tables[] = {
        { "extents", &fari_lartpc_extents, CHUNK_EXTENTS, &group->extents },
        { "voxel_extents", &fari_lartpc_id_extents, CHUNK_ID_EXTENTS, &group->id_extents },
        { "image_meta", &fari_lartpc_image_meta, CHUNK_META, &group->meta },
        { "voxels", &fari_lartpc_voxel, CHUNK_VOXELS, &group->voxels },
    };
    (void)snprintf(path, sizeof path, "/Data/sparse2d_%s_group", name);
    FAR_TRY(fari_h5_make_group(writer->file, path));
    for (size_t i = 0; i < FAR_COUNT(tables); i++) {
        (void)snprintf(path, sizeof path, "/Data/sparse2d_%s_group/%s", name, tables[i].name);
        FAR_TRY(fari_h5_table_create(writer->file, path, tables[i].record, tables[i].chunk, tables[i].table));
    }
    return FAR_OK;
}

static far_status create_tables(fari_lartpc_writer *writer)
{
    const char *particles = "/Data/particle_" FARI_LARTPC_PARTICLES "_group";
    FAR_TRY(fari_h5_create(writer->part, &writer->file));
    FAR_TRY(fari_h5_make_group(writer->file, "/Events"));
    FAR_TRY(fari_h5_make_group(writer->file, "/Data"));
    FAR_TRY(fari_h5_table_create(writer->file, "/Events/event_id", &fari_lartpc_event_id, CHUNK_EVENTS,
                                 &writer->event_ids));
    FAR_TRY(create_sparse(writer, FARI_LARTPC_IMAGE, &writer->image));
    FAR_TRY(create_sparse(writer, FARI_LARTPC_LABEL, &writer->label));
    FAR_TRY(fari_h5_make_group(writer->file, particles));
    FAR_TRY(fari_h5_table_create(writer->file, "/Data/particle_" FARI_LARTPC_PARTICLES "_group/extents",
                                 &fari_lartpc_extents, CHUNK_PARTICLE_EXTENTS, &writer->particle_extents));
    return fari_h5_table_create(writer->file, "/Data/particle_" FARI_LARTPC_PARTICLES "_group/particles",
                                &fari_lartpc_particle, CHUNK_PARTICLES, &writer->particles);
}

far_status fari_lartpc_create(const char *path, const fari_lartpc_frame *frame, fari_lartpc_writer **writer_out)
{
    far_status st;
    fari_lartpc_writer *writer = fari_calloc(1, sizeof *writer);
    if (writer == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to write %s", path);
    writer->frame = *frame;
    writer->path = fari_strdup(path);
    writer->part = fari_printf("%s.part", path);
    if (writer->path == NULL || writer->part == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to write %s", path);
        goto abandon;
    }
    fari_h5_lock();
    st = create_tables(writer);
    fari_h5_unlock();
    if (st != FAR_OK) goto abandon;
    *writer_out = writer;
    return FAR_OK;
abandon:
    fari_lartpc_abandon(writer);
    return st;
}

/* --- an event --- */

static far_status append_voxels(fari_lartpc_writer *writer, fari_h5_table *table, const fari_lartpc_plane *plane,
                                bool is_label)
{
    for (int64_t at = 0; at < plane->count; at += PIECE) {
        const int64_t count = plane->count - at < PIECE ? plane->count - at : PIECE;
        for (int64_t i = 0; i < count; i++) {
            writer->piece[i].id = plane->ids[at + i];
            writer->piece[i].value = is_label ? (float)plane->labels[at + i] : plane->values[at + i];
        }
        FAR_TRY(fari_h5_table_append(table, writer->piece, count));
    }
    return FAR_OK;
}

/* Records go to the file with the bytes between their fields: those are zero, so that equal events give equal files. */
static far_status append_extents(fari_h5_table *table, int64_t first, int64_t count)
{
    fari_h5_extents extents;
    memset(&extents, 0, sizeof extents);
    extents.first = (uint64_t)first;
    extents.count = (uint32_t)count;
    return fari_h5_table_append(table, &extents, 1);
}

static far_status append_sparse(fari_lartpc_writer *writer, sparse_group *group, const fari_lartpc_plane *planes,
                                bool is_label)
{
    const fari_lartpc_frame *frame = &writer->frame;
    FAR_TRY(append_extents(&group->extents, group->id_extents.rows, frame->planes));
    for (int32_t p = 0; p < frame->planes; p++) {
        const fari_h5_id_extents extents = { (uint64_t)group->voxels.rows, (uint32_t)planes[p].count, (uint32_t)p };
        fari_h5_image_meta meta;
        memset(&meta, 0, sizeof meta);
        meta.is_valid = 1;
        meta.projection = (uint64_t)p;
        meta.count[0] = (uint64_t)frame->width;
        meta.count[1] = (uint64_t)frame->height;
        meta.size[0] = (double)frame->width * frame->column_cm;
        meta.size[1] = (double)frame->height * frame->row_cm;
        FAR_TRY(fari_h5_table_append(&group->id_extents, &extents, 1));
        FAR_TRY(fari_h5_table_append(&group->meta, &meta, 1));
        FAR_TRY(append_voxels(writer, &group->voxels, &planes[p], is_label));
    }
    return FAR_OK;
}

static far_status append_event(fari_lartpc_writer *writer, const fari_lartpc_event *event)
{
    FAR_TRY(fari_h5_table_append(&writer->event_ids, &event->id, 1));
    FAR_TRY(append_sparse(writer, &writer->image, event->planes, false));
    FAR_TRY(append_sparse(writer, &writer->label, event->planes, true));
    FAR_TRY(append_extents(&writer->particle_extents, writer->particles.rows, event->particle_count));
    return fari_h5_table_append(&writer->particles, event->particles, event->particle_count);
}

far_status fari_lartpc_append(fari_lartpc_writer *writer, const fari_lartpc_event *event)
{
    fari_h5_lock();
    const far_status st = append_event(writer, event);
    fari_h5_unlock();
    return st;
}

/* --- the end --- */

static void close_sparse(sparse_group *group)
{
    fari_h5_table_close(&group->extents);
    fari_h5_table_close(&group->id_extents);
    fari_h5_table_close(&group->meta);
    fari_h5_table_close(&group->voxels);
}

static far_status close_file(fari_lartpc_writer *writer)
{
    fari_h5_lock();
    close_sparse(&writer->image);
    close_sparse(&writer->label);
    fari_h5_table_close(&writer->event_ids);
    fari_h5_table_close(&writer->particle_extents);
    fari_h5_table_close(&writer->particles);
    const far_status st = fari_h5_close(writer->file);
    fari_h5_unlock();
    writer->file = NULL;
    return st;
}

static void release(fari_lartpc_writer *writer)
{
    fari_free(writer->path);
    fari_free(writer->part);
    fari_free(writer);
}

far_status fari_lartpc_finish(fari_lartpc_writer *writer)
{
    far_status st = close_file(writer);
    const int fd = st == FAR_OK ? open(writer->part, O_WRONLY | O_CLOEXEC) : -1;
    if (fd >= 0) st = fari_file_close_synced(fd, writer->part); /* a full disk shows here at the latest */
    if (st == FAR_OK) st = fari_rename(writer->part, writer->path);
    if (st != FAR_OK) (void)unlink(writer->part);
    release(writer);
    return st;
}

void fari_lartpc_abandon(fari_lartpc_writer *writer)
{
    fari_error_copy error; /* why it is abandoned; closing may fail as well */
    if (writer == NULL) return;
    fari_error_save(&error);
    if (writer->file != NULL) (void)close_file(writer);
    if (writer->part != NULL) (void)unlink(writer->part); /* also what a failed creation left */
    fari_error_restore(&error);
    release(writer);
}
