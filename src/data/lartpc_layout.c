/* The records of the layout, field by field; offsets are those of larcv3's own structures. */
#include "base/status.h"
#include "data/lartpc.h"

#define FIELD(record, member, name, type, count)    \
    {                                               \
        name, type, count, offsetof(record, member) \
    }
#define RECORD(fields, record)                    \
    {                                             \
        fields, FAR_COUNT(fields), sizeof(record) \
    }

static const fari_h5_field event_id_fields[] = {
    FIELD(fari_h5_event_id, run, "run", FARI_H5_I64, 0),
    FIELD(fari_h5_event_id, subrun, "subrun", FARI_H5_I64, 0),
    FIELD(fari_h5_event_id, event, "event", FARI_H5_I64, 0),
};
const fari_h5_record fari_lartpc_event_id = RECORD(event_id_fields, fari_h5_event_id);

static const fari_h5_field extents_fields[] = {
    FIELD(fari_h5_extents, first, "first", FARI_H5_U64, 0),
    FIELD(fari_h5_extents, count, "N", FARI_H5_U32, 0),
};
const fari_h5_record fari_lartpc_extents = RECORD(extents_fields, fari_h5_extents);

static const fari_h5_field id_extents_fields[] = {
    FIELD(fari_h5_id_extents, first, "first", FARI_H5_U64, 0),
    FIELD(fari_h5_id_extents, count, "N", FARI_H5_U32, 0),
    FIELD(fari_h5_id_extents, id, "ID", FARI_H5_U32, 0),
};
const fari_h5_record fari_lartpc_id_extents = RECORD(id_extents_fields, fari_h5_id_extents);

static const fari_h5_field voxel_fields[] = {
    FIELD(fari_h5_voxel, id, "id", FARI_H5_U64, 0),
    FIELD(fari_h5_voxel, value, "value", FARI_H5_F32, 0),
};
const fari_h5_record fari_lartpc_voxel = RECORD(voxel_fields, fari_h5_voxel);

static const fari_h5_field image_meta_fields[] = {
    FIELD(fari_h5_image_meta, is_valid, "valid", FARI_H5_U8, 0),
    FIELD(fari_h5_image_meta, projection, "projection_id", FARI_H5_U64, 0),
    FIELD(fari_h5_image_meta, size, "image_sizes", FARI_H5_F64, 2),
    FIELD(fari_h5_image_meta, count, "number_of_voxels", FARI_H5_U64, 2),
    FIELD(fari_h5_image_meta, origin, "origin", FARI_H5_F64, 2),
};
const fari_h5_record fari_lartpc_image_meta = RECORD(image_meta_fields, fari_h5_image_meta);

static const fari_h5_field particle_fields[] = {
    FIELD(fari_h5_particle, id, "id", FARI_H5_U16, 0),
    FIELD(fari_h5_particle, mcst_idx, "mcst_index", FARI_H5_U16, 0),
    FIELD(fari_h5_particle, mct_idx, "mct_index", FARI_H5_U16, 0),
    FIELD(fari_h5_particle, shape, "shape", FARI_H5_I32, 0),
    FIELD(fari_h5_particle, current_type, "current_type", FARI_H5_I16, 0),
    FIELD(fari_h5_particle, interaction_type, "interaction_type", FARI_H5_I16, 0),
    FIELD(fari_h5_particle, track, "trackid", FARI_H5_U32, 0),
    FIELD(fari_h5_particle, pdg, "pdg", FARI_H5_I32, 0),
    FIELD(fari_h5_particle, px, "px", FARI_H5_F64, 0),
    FIELD(fari_h5_particle, py, "py", FARI_H5_F64, 0),
    FIELD(fari_h5_particle, pz, "pz", FARI_H5_F64, 0),
    FIELD(fari_h5_particle, vertex, "vtx", FARI_H5_VERTEX, 0),
    FIELD(fari_h5_particle, end, "end_pt", FARI_H5_VERTEX, 0),
    FIELD(fari_h5_particle, first_step, "first_step", FARI_H5_VERTEX, 0),
    FIELD(fari_h5_particle, last_step, "last_step", FARI_H5_VERTEX, 0),
    FIELD(fari_h5_particle, distance, "dist_travel", FARI_H5_F64, 0),
    FIELD(fari_h5_particle, energy, "energy_init", FARI_H5_F64, 0),
    FIELD(fari_h5_particle, energy_deposited, "energy_deposit", FARI_H5_F64, 0),
    FIELD(fari_h5_particle, process, "process", FARI_H5_TEXT, 64),
    FIELD(fari_h5_particle, parent_track, "parent_trackid", FARI_H5_U32, 0),
    FIELD(fari_h5_particle, parent_pdg, "parent_pdg", FARI_H5_I32, 0),
    FIELD(fari_h5_particle, parent_vertex, "parent_vtx", FARI_H5_VERTEX, 0),
    FIELD(fari_h5_particle, ancestor_track, "ancestor_trackid", FARI_H5_U32, 0),
    FIELD(fari_h5_particle, ancestor_pdg, "ancestor_pdg", FARI_H5_I32, 0),
    FIELD(fari_h5_particle, ancestor_vertex, "ancestor_vtx", FARI_H5_VERTEX, 0),
};
const fari_h5_record fari_lartpc_particle = RECORD(particle_fields, fari_h5_particle);

/* What a reader needs of it. */
static const fari_h5_field meta_read_fields[] = {
    FIELD(fari_h5_meta_read, projection, "projection_id", FARI_H5_U64, 0),
    FIELD(fari_h5_meta_read, count, "number_of_voxels", FARI_H5_U64, 2),
};
const fari_h5_record fari_lartpc_meta_read = RECORD(meta_read_fields, fari_h5_meta_read);
