/* The sparse HDF5 layout of liquid-argon images (larcv3, as CosmicTagger's data sets are kept in), written and read:

     /Events/event_id                            run, subrun, event
     /Data/sparse2d_NAME_group/extents           for each event a range of rows in voxel_extents
                              /voxel_extents     for each plane a range of rows in voxels, and the plane's number
                              /image_meta        for each plane the size of its image; row by row beside voxel_extents
                              /voxels            id = x * height + y and a value; ids of a plane ascend
     /Data/particle_NAME_group/extents, particles

   Images and labels are two such groups whose ids agree element by element. */
#ifndef FARI_DATA_LARTPC_H
#define FARI_DATA_LARTPC_H
#include "data/h5_table.h"

#define FARI_LARTPC_IMAGE "sbndwire"
#define FARI_LARTPC_LABEL "sbnd_cosmicseg"
#define FARI_LARTPC_PARTICLES "sbndneutrino"

/* --- records, laid out as in the file --- */

typedef struct fari_h5_event_id {
    int64_t run, subrun, event;
} fari_h5_event_id;

typedef struct fari_h5_extents {
    uint64_t first;
    uint32_t count;
} fari_h5_extents;

typedef struct fari_h5_id_extents {
    uint64_t first;
    uint32_t count, id;
} fari_h5_id_extents;

typedef struct fari_h5_voxel {
    uint64_t id;
    float value;
} fari_h5_voxel;

typedef struct fari_h5_image_meta {
    uint8_t is_valid;
    uint64_t projection;
    double size[2];    /* cm: columns, rows */
    uint64_t count[2]; /* pixels: columns, rows */
    double origin[2];
    int64_t unit; /* larcv3 has one here that it does not name in the file: 8 bytes that belong to the record */
} fari_h5_image_meta;

typedef struct fari_h5_meta_read {
    uint64_t projection, count[2];
} fari_h5_meta_read;

typedef struct fari_h5_vertex {
    double x, y, z, t; /* cm, ns */
} fari_h5_vertex;

typedef struct fari_h5_particle {
    uint16_t id, mcst_idx, mct_idx;
    int32_t shape; /* 0 shower, 1 track, 2 unknown */
    int16_t current_type, interaction_type;
    uint32_t track;
    int32_t pdg;
    double px, py, pz; /* GeV */
    fari_h5_vertex vertex, end, first_step, last_step;
    double distance;                 /* cm */
    double energy, energy_deposited; /* GeV, MeV */
    char process[64];
    uint32_t parent_track;
    int32_t parent_pdg;
    fari_h5_vertex parent_vertex;
    uint32_t ancestor_track;
    int32_t ancestor_pdg;
    fari_h5_vertex ancestor_vertex;
} fari_h5_particle;

extern const fari_h5_record fari_lartpc_event_id, fari_lartpc_extents, fari_lartpc_id_extents, fari_lartpc_voxel,
    fari_lartpc_image_meta, fari_lartpc_meta_read, fari_lartpc_particle;

/* --- writing --- */

typedef struct fari_lartpc_plane {
    int64_t count;
    const uint32_t *ids; /* ascending */
    const float *values;
    const uint8_t *labels;
} fari_lartpc_plane;

typedef struct fari_lartpc_event {
    fari_h5_event_id id;
    const fari_lartpc_plane *planes;
    const fari_h5_particle *particles;
    int64_t particle_count;
} fari_lartpc_event;

/* The size of all images of a file. */
typedef struct fari_lartpc_frame {
    int64_t height, width;
    int32_t planes;
    double row_cm, column_cm; /* of a pixel */
} fari_lartpc_frame;

typedef struct fari_lartpc_writer fari_lartpc_writer;

/* Writes under the path's name with ".part" until fari_lartpc_finish renames it: a file of the right name is whole. */
far_status fari_lartpc_create(const char *path, const fari_lartpc_frame *frame, fari_lartpc_writer **writer_out);
far_status fari_lartpc_append(fari_lartpc_writer *writer, const fari_lartpc_event *event);
/* The writer is gone afterwards, whatever comes back. */
far_status fari_lartpc_finish(fari_lartpc_writer *writer);
void fari_lartpc_abandon(fari_lartpc_writer *writer); /* removes what was written; NULL is allowed */

/* --- reading, for those who want voxels and not images --- */

typedef struct fari_lartpc_file fari_lartpc_file;

/* `label` NULL: without. Every range and size is checked here; ids, values and labels when they are read. */
far_status fari_lartpc_open(const char *path, const char *image, const char *label, int32_t class_count,
                            fari_lartpc_file **file_out);
void fari_lartpc_close(fari_lartpc_file *file); /* NULL is allowed */
fari_lartpc_frame fari_lartpc_frame_of(const fari_lartpc_file *file);
int64_t fari_lartpc_event_count(const fari_lartpc_file *file);
bool fari_lartpc_has_label(const fari_lartpc_file *file);
int64_t fari_lartpc_bytes(const fari_lartpc_file *file);
/* Pixels that plane `plane` of event `idx` occupies. */
int64_t fari_lartpc_count(const fari_lartpc_file *file, int64_t idx, int32_t plane);
/* Reads them: room for that many in each array; labels_out may be NULL. Any thread. */
far_status fari_lartpc_read(fari_lartpc_file *file, int64_t idx, int32_t plane, uint32_t *ids_out, float *values_out,
                            uint8_t *labels_out);
#endif
