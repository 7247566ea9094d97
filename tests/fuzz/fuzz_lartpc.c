/* The bytes choose the tables of a sound HDF5 file: how each is laid out, packed and typed, which of its fields and rows are wrong. So the layers that
   lie over HDF5's own are reached, which bytes turned in a file seldom are. Where the bytes end, everything is as it should be. */
#include "base/status.h"
#include "data/probe.h"
#include "fuzz/lartpc_input.h"
#include <hdf5.h>

#define ROWS 16
#define VOXELS 64
#define SHAPE_BYTES 28

/* In place of the library's: what HDF5 wrote itself it can read, and a process for each input would cost nine tenths of them. */
far_status fari_probe(const char *path, void (*fn)(void *context), void *context)
{
    (void)path;
    (void)fn;
    (void)context;
    return FAR_OK;
}

typedef struct choices {
    const uint8_t *data;
    size_t left;
} choices;

static uint64_t byte_of(choices *c)
{
    if (c->left == 0) return 0;
    c->left--;
    return *c->data++;
}

static uint64_t one_of(choices *c, uint64_t count)
{
    return byte_of(c) % count;
}

/* Mostly the value itself. */
static uint64_t maybe_wrong(choices *c, uint64_t value)
{
    uint64_t any = 0;
    switch (one_of(c, 24)) {
    case 1: return value + 1;
    case 2: return value - 1;
    case 3: return UINT64_MAX >> one_of(c, 64);
    case 4: return one_of(c, 256);
    case 5:
        for (int i = 0; i < 8; i++) any = any << 8 | byte_of(c);
        return any;
    default: return value;
    }
}

static float maybe_odd(choices *c, float value)
{
    static const float odd[] = { 0.0f, -1.0f, 0.5f, 1e30f, INFINITY, -INFINITY, NAN, 3.0f, 255.0f, 256.0f };
    return one_of(c, 12) == 1 ? odd[one_of(c, FAR_COUNT(odd))] : value;
}

/* --- rows --- */

typedef struct group_rows {
    fari_h5_extents extents[ROWS];
    fari_h5_id_extents id_extents[ROWS];
    fari_h5_image_meta meta[ROWS];
    fari_h5_voxel voxels[VOXELS];
    hsize_t events, planes, voxel_count;
} group_rows;

static void make_plane(choices *shape, choices *c, group_rows *g, uint64_t plane, uint64_t width, bool is_label)
{
    const uint64_t count = one_of(shape, 6), step = 1 + one_of(shape, 2);
    const hsize_t first = g->voxel_count;
    for (uint64_t i = 0; i < count && g->voxel_count < VOXELS; i++)
        g->voxels[g->voxel_count++] =
            (fari_h5_voxel){ maybe_wrong(c, i * step), maybe_odd(c, is_label ? (float)(i % 3) : (float)i + 5.0f) };
    fari_h5_image_meta *meta = &g->meta[g->planes];
    meta->projection = maybe_wrong(c, plane);
    meta->count[0] = maybe_wrong(c, width);
    meta->count[1] = maybe_wrong(c, 7);
    g->id_extents[g->planes++] =
        (fari_h5_id_extents){ maybe_wrong(c, first), (uint32_t)maybe_wrong(c, g->voxel_count - first),
                              (uint32_t)maybe_wrong(c, plane) };
}

/* Images and labels are made from equal shapes. */
static void make_rows(choices shape, choices *c, group_rows *g, bool is_label)
{
    const uint64_t events = 1 + one_of(&shape, 3), planes = 1 + one_of(&shape, 4), width = 2 + one_of(&shape, 5);
    *g = (group_rows){ 0 };
    for (uint64_t e = 0; e < events; e++) {
        const hsize_t first = g->planes;
        for (uint64_t p = 0; p < planes; p++) make_plane(&shape, c, g, p, width, is_label);
        g->extents[g->events++] =
            (fari_h5_extents){ maybe_wrong(c, first), (uint32_t)maybe_wrong(c, g->planes - first) };
    }
    g->events = maybe_wrong(c, g->events) % (ROWS + 1);
    g->planes = maybe_wrong(c, g->planes) % (ROWS + 1);
    g->voxel_count = maybe_wrong(c, g->voxel_count) % (VOXELS + 1);
}

/* --- types --- */

/* Types in memory are those of `field`; in the file any. To be closed. */
static hid_t number_type(choices *c, const fari_h5_field *field, bool is_wild)
{
    static const hid_t *const wild[] = { &H5T_STD_I8LE_g,  &H5T_STD_U16BE_g,  &H5T_STD_I32BE_g,  &H5T_STD_I64BE_g,
                                         &H5T_STD_U64BE_g, &H5T_IEEE_F32BE_g, &H5T_IEEE_F64LE_g, &H5T_NATIVE_LDOUBLE_g,
                                         &H5T_STD_B32LE_g, &H5T_C_S1_g,       &H5T_UNIX_D32LE_g, &H5T_STD_REF_OBJ_g,
                                         &H5T_STD_U8LE_g,  &H5T_STD_I16LE_g };
    hid_t type;
    const uint64_t kind = is_wild ? one_of(c, 24) : 0;
    if (kind < 6) {
        type = H5Tcopy(field->type == FARI_H5_F32   ? H5T_NATIVE_FLOAT
                       : field->type == FARI_H5_F64 ? H5T_NATIVE_DOUBLE
                       : field->type == FARI_H5_U8  ? H5T_NATIVE_UINT8
                       : field->type == FARI_H5_U32 ? H5T_NATIVE_UINT32
                                                    : H5T_NATIVE_UINT64);
    } else if (kind < 6 + FAR_COUNT(wild)) {
        type = H5Tcopy(*wild[kind - 6]);
    } else if (kind == 20) { /* whole numbers of odd places in odd sizes */
        type = H5Tcopy(H5T_STD_U64LE);
        (void)H5Tset_size(type, 1 + one_of(c, 24));
        (void)H5Tset_precision(type, 1 + one_of(c, 64));
        (void)H5Tset_offset(type, one_of(c, 32));
    } else if (kind == 21) {
        const int zero = 0;
        type = H5Tenum_create(H5T_NATIVE_INT);
        (void)H5Tenum_insert(type, "no", &zero);
    } else if (kind == 22) {
        type = H5Tvlen_create(H5T_NATIVE_INT);
    } else {
        type = H5Tcreate(H5T_OPAQUE, 1 + one_of(c, 16));
    }
    return type;
}

static hid_t field_type(choices *c, const fari_h5_field *field, bool is_wild)
{
    const hid_t number = number_type(c, field, is_wild);
    hsize_t extents[2] = { (hsize_t)field->count, 1 };
    const uint64_t odd = is_wild ? one_of(c, 16) : 0;
    if (odd == 1) extents[0] = 1 + one_of(c, 5);
    if (field->count == 0 && odd != 1) return number;
    const hid_t type = H5Tarray_create2(number, odd == 2 ? 2 : 1, extents);
    (void)H5Tclose(number);
    return type;
}

/* Wild: fields in any order, with gaps, one more or one less. */
static hid_t record_type(choices *c, const fari_h5_record *record, bool is_wild)
{
    if (is_wild && one_of(c, 32) == 1) return number_type(c, &record->fields[0], true);
    const hid_t type = H5Tcreate(H5T_COMPOUND, is_wild ? 512 : record->bytes);
    const int32_t turn = is_wild ? (int32_t)one_of(c, 4) : 0, missing = is_wild ? (int32_t)one_of(c, 64) - 1 : -1;
    size_t offset = is_wild ? one_of(c, 9) : 0;
    if (is_wild && offset == 8) (void)H5Tinsert(type, "more", 0, H5T_STD_I64BE);
    for (int32_t i = 0; i < record->field_count; i++) {
        const int32_t k = (i + turn) % record->field_count;
        const fari_h5_field *field = &record->fields[k];
        if (k == missing) continue;
        const hid_t member = field_type(c, field, is_wild);
        (void)H5Tinsert(type, field->name, is_wild ? offset : field->offset, member);
        offset += H5Tget_size(member) + (is_wild ? one_of(c, 3) : 0);
        (void)H5Tclose(member);
    }
    if (is_wild && offset > 0) (void)H5Tset_size(type, offset);
    return type;
}

/* --- tables --- */

/* Without the n-bit filter: packing records by it, HDF5 1.10 steps out of its memory. */
static hid_t creation_list(choices *c)
{
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk = 1 + one_of(c, 20);
    const uint64_t layout = one_of(c, 6), filters = byte_of(c);
    if (layout == 1) (void)H5Pset_layout(list, H5D_COMPACT);
    if (layout == 2) (void)H5Pset_external(list, "/dev/zero", 0, H5F_UNLIMITED);
    if (layout < 3) return list;
    (void)H5Pset_chunk(list, 1, &chunk);
    if (filters & 1) (void)H5Pset_shuffle(list);
    if (filters & 2) (void)H5Pset_deflate(list, (unsigned)(filters >> 5));
    if (filters & 4) (void)H5Pset_fletcher32(list);
    return list;
}

static hid_t space_of(choices *c, hsize_t rows, bool is_chunked)
{
    const hsize_t extents[2] = { rows, 1 }, unlimited = H5S_UNLIMITED, vast = (hsize_t)maybe_wrong(c, rows);
    switch (one_of(c, 16)) {
    case 1: return H5Screate(H5S_SCALAR);
    case 2: return H5Screate(H5S_NULL);
    case 3: return H5Screate_simple(2, extents, NULL);
    case 4: return H5Screate_simple(1, &vast, NULL);
    default: return H5Screate_simple(1, &rows, is_chunked ? &unlimited : NULL);
    }
}

static void make_table(choices *c, hid_t group, const char *name, const fari_h5_record *record, hsize_t rows,
                       const void *data)
{
    const uint64_t kind = one_of(c, 40);
    if (kind == 1) return;
    if (kind == 2) (void)H5Lcreate_soft("voxels", group, name, H5P_DEFAULT, H5P_DEFAULT);
    if (kind == 3) (void)H5Lcreate_external("/dev/zero", "/", group, name, H5P_DEFAULT, H5P_DEFAULT);
    if (kind == 4) (void)H5Gclose(H5Gcreate2(group, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    if (kind > 0 && kind < 5) return;
    const hid_t list = creation_list(c), type = record_type(c, record, kind > 20),
                memory = record_type(c, record, false);
    const hid_t space = space_of(c, rows, H5Pget_layout(list) == H5D_CHUNKED);
    const hid_t in_memory = H5Screate_simple(1, &rows, NULL);
    const hid_t set = H5Dcreate2(group, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    /* where kinds or counts do not fit, the rows stay empty */
    if (set >= 0) (void)H5Dwrite(set, memory, in_memory, space, H5P_DEFAULT, data);
    if (set >= 0) (void)H5Dclose(set);
    (void)H5Sclose(in_memory);
    (void)H5Sclose(space);
    (void)H5Tclose(memory);
    (void)H5Tclose(type);
    (void)H5Pclose(list);
}

static void make_group(choices shape, choices *c, hid_t file, const char *name, bool is_label)
{
    static group_rows rows;
    const hid_t group = H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    make_rows(shape, c, &rows, is_label);
    make_table(c, group, "voxels", &fari_lartpc_voxel, rows.voxel_count, rows.voxels);
    make_table(c, group, "extents", &fari_lartpc_extents, rows.events, rows.extents);
    make_table(c, group, "voxel_extents", &fari_lartpc_id_extents, rows.planes, rows.id_extents);
    make_table(c, group, "image_meta", &fari_lartpc_image_meta, rows.planes, rows.meta);
    (void)H5Gclose(group);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *const labels[] = { "l", NULL, "i", "other", "..", "" };
    const size_t shape_bytes = bytes < SHAPE_BYTES ? bytes : SHAPE_BYTES;
    const choices shape = { data, shape_bytes };
    choices c = { data + shape_bytes, bytes - shape_bytes };
    const char *path = input_file(NULL, 0);
    const char *label = labels[one_of(&c, FAR_COUNT(labels))];
    const int32_t classes = 3 + (int32_t)one_of(&c, 3);
    fari_h5_lock();
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (one_of(&c, 2) == 1) (void)H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    (void)H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    if (file < 0) abort();
    (void)H5Gclose(H5Gcreate2(file, "/Data", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    make_group(shape, &c, file, "/Data/sparse2d_i_group", false);
    make_group(shape, &c, file, "/Data/sparse2d_l_group", true);
    if (H5Fclose(file) < 0) abort();
    (void)H5Pclose(access);
    fari_h5_unlock();
    read_lartpc(path, "i", label, classes);
    return 0;
}
