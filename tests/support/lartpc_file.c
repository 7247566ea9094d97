#include "lartpc_file.h"
#include "base/mem.h"
#include "test.h"
#include <hdf5.h>

static const uint32_t ids_a[] = { 0, 4, 5, 34 }, ids_c[] = { 11 };
static const float values_a[] = { 5.5f, 6.0f, 2772.0f, 7.25f }, values_c[] = { -1.0f };
static const uint8_t labels_a[] = { 0, 1, 2, 1 }, labels_c[] = { 2 };
static uint32_t ids_all[LARTPC_PIXELS];
static float values_all[LARTPC_PIXELS];
static uint8_t labels_all[LARTPC_PIXELS];

static const fari_lartpc_plane events[2][3] = {
    { { 4, ids_a, values_a, labels_a }, { 0, NULL, NULL, NULL }, { 1, ids_c, values_c, labels_c } },
    { { 1, ids_c, values_c, labels_c },
      { 4, ids_a, values_a, labels_a },
      { LARTPC_PIXELS, ids_all, values_all, labels_all } },
};

static void fill_all(void)
{
    if (values_all[0] != 0.0f) return; /* threads come later and only read */
    for (uint32_t i = 0; i < LARTPC_PIXELS; i++) {
        ids_all[i] = i;
        values_all[i] = (float)(i + 1);
        labels_all[i] = (uint8_t)(i % 3);
    }
}

void lartpc_put(const char *path)
{
    const fari_lartpc_frame frame = { LARTPC_HEIGHT, LARTPC_WIDTH, 3, 0.32, 0.3 };
    fari_lartpc_writer *writer = NULL;
    fari_h5_particle particle;
    memset(&particle, 0, sizeof particle);
    particle.pdg = 13;
    (void)snprintf(particle.process, sizeof particle.process, "primary");
    fill_all();
    FAR_CHECK_OK(fari_lartpc_create(path, &frame, &writer));
    for (int i = 0; i < 2; i++) {
        const fari_lartpc_event event = { { 1, 2, 3 + i }, events[i], &particle, i };
        FAR_CHECK_OK(fari_lartpc_append(writer, &event));
    }
    FAR_CHECK_OK(fari_lartpc_finish(writer));
}

void lartpc_want(int64_t idx, float *image_out, int32_t *label_out)
{
    fill_all();
    memset(image_out, 0, LARTPC_PIXELS * 3 * sizeof *image_out);
    memset(label_out, 0, LARTPC_PIXELS * 3 * sizeof *label_out);
    for (int p = 0; p < 3; p++) {
        const fari_lartpc_plane *plane = &events[idx][p];
        for (int64_t i = 0; i < plane->count; i++) {
            const int64_t x = plane->ids[i] / LARTPC_HEIGHT, y = plane->ids[i] % LARTPC_HEIGHT;
            image_out[(y * LARTPC_WIDTH + x) * 3 + p] = plane->values[i];
            label_out[(y * LARTPC_WIDTH + x) * 3 + p] = plane->labels[i];
        }
    }
}

/* --- spoiling --- */

void lartpc_poke(const char *path, const char *table, int64_t row, const char *field, double value)
{
    const double values[8] = { value, value, value, value, value, value, value, value };
    const hsize_t start = (hsize_t)row, one = 1;
    const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), set = H5Dopen2(file, table, H5P_DEFAULT);
    const hid_t in_file = H5Dget_type(set), space = H5Dget_space(set), memory = H5Screate_simple(1, &one, NULL);
    const int idx = H5Tget_member_index(in_file, field);
    FAR_CHECK(file >= 0 && set >= 0 && idx >= 0);
    const hid_t member = H5Tget_member_type(in_file, (unsigned)idx);
    hsize_t extent = 0;
    hid_t number = H5Tcopy(H5T_NATIVE_DOUBLE);
    if (H5Tget_class(member) == H5T_ARRAY) {
        FAR_CHECK(H5Tget_array_dims2(member, &extent) == 1 && extent <= 8);
        number = H5Tarray_create2(H5T_NATIVE_DOUBLE, 1, &extent);
    }
    const hid_t type = H5Tcreate(H5T_COMPOUND, H5Tget_size(number));
    FAR_CHECK(H5Tinsert(type, field, 0, number) >= 0);
    FAR_CHECK(H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &one, NULL) >= 0);
    FAR_CHECK(H5Dwrite(set, type, memory, space, H5P_DEFAULT, values) >= 0);
    (void)H5Tclose(type);
    (void)H5Tclose(number);
    (void)H5Tclose(member);
    (void)H5Sclose(memory);
    (void)H5Sclose(space);
    (void)H5Tclose(in_file);
    (void)H5Dclose(set);
    FAR_CHECK(H5Fclose(file) >= 0);
}

void lartpc_remove(const char *path, const char *name)
{
    const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    FAR_CHECK(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
    FAR_CHECK(H5Fclose(file) >= 0);
}

void lartpc_replace(const char *path, const char *name, const char *kind)
{
    const hsize_t two[2] = { 4, 4 }, many = (hsize_t)1 << 50, chunk = 1000, few = 4;
    const bool is_plane = strcmp(kind, "plane") == 0, is_void = strcmp(kind, "void") == 0;
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE),
                type = H5Tcreate(H5T_COMPOUND, strcmp(kind, "wide") == 0 ? 1 << 20 : 16);
    (void)H5Tinsert(type, "id", 0, H5T_STD_U64LE);
    (void)H5Tinsert(type, "value", 8, H5T_IEEE_F32LE);
    const hid_t space = is_plane ? H5Screate_simple(2, two, NULL) : H5Screate_simple(1, is_void ? &many : &few, NULL);
    if (is_void) (void)H5Pset_chunk(list, 1, &chunk);
    if (strcmp(kind, "elsewhere") == 0) (void)H5Pset_external(list, "/etc/hostname", 0, H5F_UNLIMITED);
    lartpc_remove(path, name);
    const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    const hid_t set = H5Dcreate2(file, name, strcmp(kind, "floats") == 0 ? H5T_IEEE_F32LE : type, space, H5P_DEFAULT,
                                 list, H5P_DEFAULT);
    FAR_CHECK(set >= 0);
    (void)H5Dclose(set);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    (void)H5Pclose(list);
    FAR_CHECK(H5Fclose(file) >= 0);
}

void lartpc_flip_chunk(const char *path, const char *table)
{
    haddr_t offset = 0;
    hsize_t bytes = 0;
    const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, table, H5P_DEFAULT);
    const hid_t space = H5Dget_space(set);
    FAR_CHECK(H5Dget_chunk_info(set, space, 0, NULL, NULL, &offset, &bytes) >= 0);
    (void)H5Sclose(space);
    (void)H5Dclose(set);
    (void)H5Fclose(file);
    FILE *stream = fopen(path, "r+b");
    FAR_CHECK(stream != NULL && fseek(stream, (long)(offset + bytes / 2), SEEK_SET) == 0);
    const int byte = fgetc(stream);
    FAR_CHECK(fseek(stream, (long)(offset + bytes / 2), SEEK_SET) == 0 && fputc(byte ^ 0x55, stream) != EOF);
    FAR_CHECK(fclose(stream) == 0);
}

/* --- the same data, laid out by somebody else --- */

static hid_t styled_field(const fari_h5_field *field, const lartpc_style *style)
{
    const bool is_float = field->type == FARI_H5_F32 || field->type == FARI_H5_F64;
    const hid_t number = style->is_big_endian ? (is_float ? H5T_IEEE_F64BE : H5T_STD_I64BE)
                         : is_float           ? H5T_IEEE_F32LE
                         : style->is_signed   ? H5T_STD_I64LE
                                              : H5T_STD_U64LE;
    const hsize_t extent = (hsize_t)field->count;
    return field->count > 0 ? H5Tarray_create2(number, 1, &extent) : H5Tcopy(number);
}

static hid_t styled_type(const fari_h5_record *record, const lartpc_style *style)
{
    size_t offset = style->is_reversed ? 5 : 0;
    const hid_t type = H5Tcreate(H5T_COMPOUND, 400);
    if (style->is_reversed) FAR_CHECK(H5Tinsert(type, "comment", 0, H5T_STD_U8LE) >= 0);
    for (int32_t i = 0; i < record->field_count; i++) {
        const fari_h5_field *field = &record->fields[style->is_reversed ? record->field_count - 1 - i : i];
        const hid_t member = styled_field(field, style);
        FAR_CHECK(H5Tinsert(type, field->name, offset, member) >= 0);
        offset += H5Tget_size(member) + (style->is_reversed ? 3 : 0);
        (void)H5Tclose(member);
    }
    FAR_CHECK(H5Tset_size(type, offset) >= 0);
    return type;
}

/* The type in memory of the records that our reader makes. */
static hid_t plain_type(const fari_h5_record *record)
{
    const hid_t type = H5Tcreate(H5T_COMPOUND, record->bytes);
    for (int32_t i = 0; i < record->field_count; i++) {
        const fari_h5_field *field = &record->fields[i];
        const hid_t number = field->type == FARI_H5_F32   ? H5T_NATIVE_FLOAT
                             : field->type == FARI_H5_F64 ? H5T_NATIVE_DOUBLE
                             : field->type == FARI_H5_U8  ? H5T_NATIVE_UINT8
                             : field->type == FARI_H5_U32 ? H5T_NATIVE_UINT32
                                                          : H5T_NATIVE_UINT64;
        const hsize_t extent = (hsize_t)field->count;
        const hid_t member = field->count > 0 ? H5Tarray_create2(number, 1, &extent) : H5Tcopy(number);
        FAR_CHECK(H5Tinsert(type, field->name, field->offset, member) >= 0);
        (void)H5Tclose(member);
    }
    return type;
}

static void restyle_table(const fari_h5_file *from, hid_t to, const char *name, const fari_h5_record *record,
                          const lartpc_style *style)
{
    fari_h5_table table;
    void *records = NULL;
    FAR_CHECK_OK(fari_h5_table_open(from, name, record, &table));
    FAR_CHECK_OK(fari_h5_table_load(&table, &records));
    const hsize_t rows = (hsize_t)table.rows, chunk = (hsize_t)style->chunk, unlimited = H5S_UNLIMITED;
    const hid_t space = H5Screate_simple(1, &rows, chunk > 0 ? &unlimited : NULL), list = H5Pcreate(H5P_DATASET_CREATE);
    const hid_t links = H5Pcreate(H5P_LINK_CREATE), type = styled_type(record, style), memory = plain_type(record);
    (void)H5Pset_create_intermediate_group(links, 1);
    if (chunk > 0) (void)H5Pset_chunk(list, 1, &chunk);
    if (style->shuffle) (void)H5Pset_shuffle(list);
    if (style->deflate > 0) (void)H5Pset_deflate(list, (unsigned)style->deflate);
    if (style->checked) (void)H5Pset_fletcher32(list);
    const hid_t set = H5Dcreate2(to, name, type, space, links, list, H5P_DEFAULT);
    FAR_CHECK(set >= 0 && H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, records) >= 0);
    (void)H5Dclose(set);
    (void)H5Tclose(memory);
    (void)H5Tclose(type);
    (void)H5Pclose(links);
    (void)H5Pclose(list);
    (void)H5Sclose(space);
    fari_free(records);
    fari_h5_table_close(&table);
}

void lartpc_restyle(const char *from, const char *to, const lartpc_style *style)
{
    static const char *const groups[] = { LARTPC_IMAGE, LARTPC_LABEL };
    char name[160];
    fari_h5_file *file = NULL;
    fari_h5_lock();
    FAR_CHECK_OK(fari_h5_open(from, &file));
    const hid_t out = H5Fcreate(to, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    for (int g = 0; g < 2; g++) {
        const struct {
            const char *name;
            const fari_h5_record *record;
        } tables[] = {
            { "extents", &fari_lartpc_extents },
            { "voxel_extents", &fari_lartpc_id_extents },
            { "image_meta", &fari_lartpc_image_meta },
            { "voxels", &fari_lartpc_voxel },
        };
        for (size_t i = 0; i < FAR_COUNT(tables); i++) {
            (void)snprintf(name, sizeof name, "%s/%s", groups[g], tables[i].name);
            restyle_table(file, out, name, tables[i].record, style);
        }
    }
    FAR_CHECK(H5Fclose(out) >= 0);
    FAR_CHECK_OK(fari_h5_close(file));
    fari_h5_unlock();
}
