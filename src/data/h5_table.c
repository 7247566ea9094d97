#include "data/h5_table.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/h5_priv.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define RECORD_BYTES_MAX 65536 /* the library takes room for whole records while it converts them */
#define CACHE_CHUNKS 3
#define CACHE_SLOTS 13 /* a prime, as the library asks for */

static pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;

void fari_h5_lock(void)
{
    static bool is_begun;
    (void)pthread_mutex_lock(&library_lock);
    /* At the end of the process the library would write to files that a full disk kept it from closing, and crash. Ours are all closed. */
    if (!is_begun) (void)H5dont_atexit();
    is_begun = true;
    (void)H5Eset_auto2(H5E_DEFAULT, NULL,
                       NULL); /* it would print; we word errors ourselves. The setting is a thread's own */
}

void fari_h5_unlock(void)
{
    (void)pthread_mutex_unlock(&library_lock);
}

/* --- what the library says --- */

static herr_t keep_innermost(unsigned depth, const H5E_error2_t *error, void *context)
{
    (void)depth;
    if (error->desc != NULL) (void)snprintf(context, 200, "%s", error->desc);
    return 0;
}

const char *h5_library_words(char text_out[200])
{
    (void)snprintf(text_out, 200, "no reason given");
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_innermost, text_out);
    return text_out;
}

/* --- files --- */

static far_status file_wrap(const char *path, hid_t id, fari_h5_file **file_out)
{
    fari_h5_file *file = fari_calloc(1, sizeof *file);
    char *copy = fari_strdup(path);
    if (file == NULL || copy == NULL) {
        fari_free(copy);
        fari_free(file);
        (void)H5Fclose(id);
        return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", path);
    }
    *file = (fari_h5_file){ copy, id };
    *file_out = file;
    return FAR_OK;
}

/* Files on network disks often cannot be locked, and nobody writes what we read. */
static hid_t access_list(bool is_locked)
{
    const hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    if (list < 0) return list;
    (void)H5Pset_fclose_degree(list, H5F_CLOSE_STRONG);
#if H5_VERSION_GE(1, 10, 7)
    if (!is_locked) (void)H5Pset_file_locking(list, false, true);
#endif
    return list;
}

far_status fari_h5_open(const char *path, fari_h5_file **file_out)
{
    char words[200];
    int fd = -1;
    int64_t bytes = 0;
    FAR_TRY(fari_file_open(path, &fd, &bytes)); /* words what is missing, a folder, forbidden */
    fari_file_close(fd);
    if (H5Fis_hdf5(path) <= 0)
        return FAR_FAIL(FAR_E_FORMAT, "%s: no HDF5 file, or one whose beginning is damaged (%" PRId64 " bytes)", path,
                        bytes);
    const hid_t list = access_list(false), id = H5Fopen(path, H5F_ACC_RDONLY, list);
    if (id < 0) (void)h5_library_words(words); /* before the next call forgets them; so everywhere here */
    (void)H5Pclose(list);
    if (id < 0) return FAR_FAIL(FAR_E_FORMAT, "%s: HDF5 cannot open it: %s", path, words);
    return file_wrap(path, id, file_out);
}

far_status fari_h5_create(const char *path, fari_h5_file **file_out)
{
    char words[200];
    const hid_t list = access_list(true), id = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, list);
    if (id < 0) (void)h5_library_words(words);
    (void)H5Pclose(list);
    if (id < 0) return FAR_FAIL(FAR_E_IO, "cannot create %s: %s", path, words);
    return file_wrap(path, id, file_out);
}

far_status fari_h5_close(fari_h5_file *file)
{
    char words[200];
    far_status st = FAR_OK;
    if (file == NULL) return FAR_OK;
    unsigned intent = H5F_ACC_RDONLY;
    (void)H5Fget_intent(file->id, &intent);
    if (intent != H5F_ACC_RDONLY && H5Fflush(file->id, H5F_SCOPE_GLOBAL) < 0)
        st = FAR_FAIL(FAR_E_IO, "cannot write %s: %s", file->path, h5_library_words(words));
    if (H5Fclose(file->id) < 0 && st == FAR_OK)
        st = FAR_FAIL(FAR_E_IO, "cannot close %s: %s", file->path, h5_library_words(words));
    fari_free(file->path);
    fari_free(file);
    return st;
}

const char *fari_h5_path(const fari_h5_file *file)
{
    return file->path;
}

bool fari_h5_has(const fari_h5_file *file, const char *name)
{
    char part[160];
    const size_t length = strlen(name);
    if (length == 0 || length >= sizeof part) return false;
    for (size_t end = 1; end <= length; end++) {
        H5L_info_t link;
        if (end < length && name[end] != '/') continue;
        memcpy(part, name, end);
        part[end] = '\0';
        /* a link out of the file could name any file of its reader's */
        if (H5Lget_info(file->id, part, &link, H5P_DEFAULT) < 0 || link.type == H5L_TYPE_EXTERNAL) return false;
    }
    return true;
}

typedef struct name_list {
    const char *prefix;
    char *text;
    size_t bytes;
} name_list;

static herr_t add_name(hid_t group, const char *name, const H5L_info_t *link, void *context)
{
    const name_list *list = context;
    const size_t used = strlen(list->text);
    (void)group;
    (void)link;
    if (strncmp(name, list->prefix, strlen(list->prefix)) == 0 && used < list->bytes)
        (void)snprintf(list->text + used, list->bytes - used, "%s%s", used > 0 ? ", " : "", name);
    return 0;
}

void fari_h5_list(const fari_h5_file *file, const char *group, const char *prefix, char *text_out, size_t bytes)
{
    name_list list = { prefix, text_out, bytes };
    text_out[0] = '\0';
    if (strcmp(group, "/") == 0 || fari_h5_has(file, group))
        (void)H5Literate_by_name(file->id, group, H5_INDEX_NAME, H5_ITER_INC, NULL, add_name, &list, H5P_DEFAULT);
}

far_status fari_h5_make_group(fari_h5_file *file, const char *name)
{
    char words[200];
    const hid_t id = H5Gcreate2(file->id, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (id < 0) return FAR_FAIL(FAR_E_IO, "%s: cannot create group %s: %s", file->path, name, h5_library_words(words));
    (void)H5Gclose(id);
    return FAR_OK;
}

/* --- types --- */

/* A new type, to be closed; < 0 where the library has no memory. */
static hid_t vertex_type(hid_t number)
{
    const hid_t type = H5Tcreate(H5T_COMPOUND, 32);
    static const char *const axes[] = { "x", "y", "z", "t" };
    for (size_t i = 0; i < FAR_COUNT(axes) && type >= 0; i++) (void)H5Tinsert(type, axes[i], 8 * i, number);
    return type;
}

static hid_t number_type(fari_h5_type type, bool is_in_file)
{
    switch (type) {
    case FARI_H5_U8: return is_in_file ? H5T_STD_U8LE : H5T_NATIVE_UINT8;
    case FARI_H5_U16: return is_in_file ? H5T_STD_U16LE : H5T_NATIVE_UINT16;
    case FARI_H5_I16: return is_in_file ? H5T_STD_I16LE : H5T_NATIVE_INT16;
    case FARI_H5_U32: return is_in_file ? H5T_STD_U32LE : H5T_NATIVE_UINT32;
    case FARI_H5_I32: return is_in_file ? H5T_STD_I32LE : H5T_NATIVE_INT32;
    case FARI_H5_U64: return is_in_file ? H5T_STD_U64LE : H5T_NATIVE_UINT64;
    case FARI_H5_I64: return is_in_file ? H5T_STD_I64LE : H5T_NATIVE_INT64;
    case FARI_H5_F32: return is_in_file ? H5T_IEEE_F32LE : H5T_NATIVE_FLOAT;
    default: return is_in_file ? H5T_IEEE_F64LE : H5T_NATIVE_DOUBLE;
    }
}

static hid_t field_type(const fari_h5_field *field, bool is_in_file)
{
    const hid_t number = number_type(field->type, is_in_file);
    const hsize_t count = (hsize_t)field->count;
    if (field->type == FARI_H5_VERTEX) return vertex_type(number);
    if (field->type == FARI_H5_TEXT) {
        const hid_t text = H5Tcopy(H5T_C_S1);
        (void)H5Tset_size(text, (size_t)count);
        return text;
    }
    return field->count > 0 ? H5Tarray_create2(number, 1, &count) : H5Tcopy(number);
}

static hid_t record_type(const fari_h5_record *record, bool is_in_file)
{
    const hid_t type = H5Tcreate(H5T_COMPOUND, record->bytes);
    for (int32_t i = 0; i < record->field_count && type >= 0; i++) {
        const hid_t field = field_type(&record->fields[i], is_in_file);
        (void)H5Tinsert(type, record->fields[i].name, record->fields[i].offset, field);
        (void)H5Tclose(field);
    }
    return type;
}

static far_status bad(const fari_h5_table *table, const char *what)
{
    return FAR_FAIL(FAR_E_FORMAT, "%s: %s %s", table->file->path, table->name, what);
}

/* The library reads fields where the file says they are, inside the record or not. */
static bool is_inside(hid_t type, int idx, hid_t member)
{
    const size_t record = H5Tget_size(type), offset = H5Tget_member_offset(type, (unsigned)idx),
                 bytes = H5Tget_size(member);
    return bytes > 0 && offset <= record && bytes <= record - offset;
}

/* The field of the file that a field of ours is read from: there, and of a kind that converts. */
static far_status check_field(const fari_h5_table *table, hid_t type, const fari_h5_field *field)
{
    char what[200];
    const int idx = H5Tget_member_index(type, field->name);
    if (idx < 0) {
        (void)snprintf(what, sizeof what, "has no field \"%s\"", field->name);
        return bad(table, what);
    }
    const hid_t member = H5Tget_member_type(type, (unsigned)idx);
    hid_t number = member;
    bool is_right = true;
    if (field->count > 0) {
        hsize_t extent = 0;
        is_right = H5Tget_class(member) == H5T_ARRAY && H5Tget_array_ndims(member) == 1 &&
                   H5Tget_array_dims2(member, &extent) == 1 && extent == (hsize_t)field->count;
        if (is_right) number = H5Tget_super(member);
    }
    const H5T_class_t kind = is_right ? H5Tget_class(number) : H5T_NO_CLASS;
    const bool is_float = field->type == FARI_H5_F32 || field->type == FARI_H5_F64;
    is_right = is_right && is_inside(type, idx, member) && (kind == H5T_INTEGER || (is_float && kind == H5T_FLOAT)) &&
               H5Tget_size(number) <= 16;
    if (number != member) (void)H5Tclose(number);
    (void)H5Tclose(member);
    if (is_right) return FAR_OK;
    (void)snprintf(what, sizeof what, "field \"%s\" is not %s%s", field->name, is_float ? "a number" : "a whole number",
                   field->count > 0 ? " for each of two axes" : "");
    return bad(table, what);
}

/* --- reading --- */

static far_status check_type(const fari_h5_table *table, const fari_h5_record *record)
{
    far_status st = FAR_OK;
    const hid_t type = H5Dget_type(table->dataset);
    if (type < 0 || H5Tget_class(type) != H5T_COMPOUND) st = bad(table, "is no table: its elements are no records");
    for (int32_t i = 0; i < record->field_count && st == FAR_OK; i++) st = check_field(table, type, &record->fields[i]);
    if (type >= 0) (void)H5Tclose(type);
    return st;
}

static far_status check_space(fari_h5_table *table)
{
    hsize_t rows = 0;
    const hid_t space = H5Dget_space(table->dataset), type = H5Dget_type(table->dataset);
    const bool is_line = space >= 0 && H5Sget_simple_extent_ndims(space) == 1;
    if (is_line) (void)H5Sget_simple_extent_dims(space, &rows, NULL);
    const uint64_t stored = H5Dget_storage_size(table->dataset), record = type >= 0 ? H5Tget_size(type) : 0;
    if (space >= 0) (void)H5Sclose(space);
    if (type >= 0) (void)H5Tclose(type);
    if (!is_line) return bad(table, "is no table: it has not one axis");
    if (record > RECORD_BYTES_MAX) return bad(table, "has records of more than 65,536 bytes, which are not served");
    if (record > 0 && rows / H5_PACKED_MAX > stored / record) {
        char what[120];
        (void)snprintf(what, sizeof what, "claims %" PRIu64 " rows, but stores %" PRIu64 " bytes", (uint64_t)rows,
                       stored);
        return bad(table, what);
    }
    table->rows = (int64_t)rows;
    return FAR_OK;
}

far_status h5_check_filters(const char *path, const char *table, hid_t list)
{
    const int count = list >= 0 ? H5Pget_nfilters(list) : 0;
    for (int i = 0; i < count; i++) {
        unsigned flags = 0, config = 0;
        size_t values = 0;
        char name[40] = "";
        const H5Z_filter_t id = H5Pget_filter2(list, (unsigned)i, &flags, &values, NULL, sizeof name, name, &config);
        if (id >= 0 && H5Zfilter_avail(id) > 0) continue;
        name[sizeof name - 1] = '\0';
        return FAR_FAIL(
            FAR_E_FORMAT,
            "%s: %s is packed by a filter that this HDF5 library has not, number %d \"%s\"; h5repack -f GZIP=1 "
            "where it has makes a file that can be read",
            path, table, (int)id, name);
    }
    return FAR_OK;
}

/* What the data lie in: no other file, and chunks that are neither read twice nor larger than sense. */
static far_status check_layout(fari_h5_table *table, hid_t access)
{
    hsize_t chunk = 0;
    const hid_t list = H5Dget_create_plist(table->dataset), type = H5Dget_type(table->dataset);
    const H5D_layout_t layout = list >= 0 ? H5Pget_layout(list) : H5D_LAYOUT_ERROR;
    const bool is_outside = layout == H5D_VIRTUAL || (list >= 0 && H5Pget_external_count(list) > 0);
    if (layout == H5D_CHUNKED) (void)H5Pget_chunk(list, 1, &chunk);
    const uint64_t record = type >= 0 ? H5Tget_size(type) : 0;
    const far_status st = h5_check_filters(table->file->path, table->name, list);
    if (list >= 0) (void)H5Pclose(list);
    if (type >= 0) (void)H5Tclose(type);
    if (st != FAR_OK) return st;
    if (is_outside) return bad(table, "keeps its data in other files, which is not served");
    if (record > 0 && chunk > (uint64_t)H5_CHUNK_BYTES_MAX / record)
        return bad(table, "has chunks of more than 256 MiB, which are not served");
    table->cache_bytes = CACHE_CHUNKS * (int64_t)(chunk * record);
    (void)H5Pset_chunk_cache(access, CACHE_SLOTS, (size_t)table->cache_bytes, H5_CACHE_WHOLE_FIRST);
    return FAR_OK;
}

far_status fari_h5_table_open(const fari_h5_file *file, const char *name, const fari_h5_record *record,
                              fari_h5_table *table_out)
{
    char words[200];
    far_status st;
    fari_h5_table table = { .file = file, .record_bytes = (int64_t)record->bytes, .dataset = -1, .memory_type = -1 };
    (void)snprintf(table.name, sizeof table.name, "%s", name);
    if (!fari_h5_has(file, name)) return FAR_FAIL(FAR_E_FORMAT, "%s: there is no table %s", file->path, name);
    const hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    table.dataset = H5Dopen2(file->id, name, H5P_DEFAULT);
    if (table.dataset < 0) {
        st = FAR_FAIL(FAR_E_FORMAT, "%s: cannot open %s: %s", file->path, name, h5_library_words(words));
        goto close_table;
    }
    FAR_TRY_GOTO(check_type(&table, record), close_table);
    FAR_TRY_GOTO(check_space(&table), close_table);
    FAR_TRY_GOTO(check_layout(&table, access), close_table);
    (void)H5Dclose(table.dataset); /* once more, with a cache that fits its chunks */
    table.dataset = H5Dopen2(file->id, name, access);
    table.memory_type = record_type(record, false);
    if (table.dataset < 0 || table.memory_type < 0) {
        st = FAR_FAIL(FAR_E_FORMAT, "%s: cannot open %s: %s", file->path, name, h5_library_words(words));
        goto close_table;
    }
    (void)H5Pclose(access);
    *table_out = table;
    return FAR_OK;
close_table:
    (void)H5Pclose(access);
    fari_h5_table_close(&table);
    return st;
}

/* Rows [first, first + count) of the file, and as many in memory. */
static far_status select_rows(const fari_h5_table *table, int64_t first, int64_t count, hid_t *file_out,
                              hid_t *memory_out)
{
    const hsize_t start = (hsize_t)first, extent = (hsize_t)count;
    *file_out = H5Dget_space(table->dataset);
    *memory_out = H5Screate_simple(1, &extent, NULL);
    if (*file_out >= 0 && *memory_out >= 0 &&
        H5Sselect_hyperslab(*file_out, H5S_SELECT_SET, &start, NULL, &extent, NULL) >= 0)
        return FAR_OK;
    if (*file_out >= 0) (void)H5Sclose(*file_out);
    if (*memory_out >= 0) (void)H5Sclose(*memory_out);
    return FAR_FAIL(FAR_E_NOMEM, "%s: no memory to choose rows of %s", table->file->path, table->name);
}

/* Files may have wider or signed numbers. The library would turn a row -1 into a row 0, silently; a float that is too large becomes infinite, which
   those who read it see. */
static H5T_conv_ret_t refuse_range(H5T_conv_except_t what, hid_t from, hid_t to, void *in, void *out, void *context)
{
    (void)from;
    (void)in;
    (void)out;
    if ((what != H5T_CONV_EXCEPT_RANGE_HI && what != H5T_CONV_EXCEPT_RANGE_LOW) || H5Tget_class(to) != H5T_INTEGER)
        return H5T_CONV_UNHANDLED;
    *(bool *)context = true;
    return H5T_CONV_ABORT;
}

far_status fari_h5_table_read(const fari_h5_table *table, int64_t first, int64_t count, void *records_out)
{
    char words[200];
    hid_t in_file, in_memory;
    bool is_out_of_range = false;
    if (count == 0) return FAR_OK;
    if (first < 0 || count < 0 || first > table->rows - count)
        return FAR_FAIL(FAR_E_FORMAT, "%s: rows %" PRId64 " to %" PRId64 " of %s, which has %" PRId64,
                        table->file->path, first, first + count - 1, table->name, table->rows);
    FAR_TRY(select_rows(table, first, count, &in_file, &in_memory));
    const hid_t list = H5Pcreate(H5P_DATASET_XFER);
    (void)H5Pset_type_conv_cb(list, refuse_range, &is_out_of_range);
    const herr_t error = H5Dread(table->dataset, table->memory_type, in_memory, in_file, list, records_out);
    if (error < 0) (void)h5_library_words(words);
    (void)H5Pclose(list);
    (void)H5Sclose(in_file);
    (void)H5Sclose(in_memory);
    if (is_out_of_range)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s: %s, between rows %" PRId64 " and %" PRId64
                        ": a number that is negative, or larger than any that belongs there",
                        table->file->path, table->name, first, first + count - 1);
    if (error < 0)
        return FAR_FAIL(FAR_E_FORMAT, "%s: cannot read %s from row %" PRId64 " on: %s", table->file->path, table->name,
                        first, words);
    return FAR_OK;
}

far_status fari_h5_table_load(const fari_h5_table *table, void **records_out)
{
    void *records = fari_calloc((size_t)table->rows + 1, (size_t)table->record_bytes);
    if (records == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "%s: no memory for the %" PRId64 " rows of %s", table->file->path, table->rows,
                        table->name);
    const far_status st = fari_h5_table_read(table, 0, table->rows, records);
    if (st == FAR_OK) *records_out = records;
    else fari_free(records);
    return st;
}

/* --- writing --- */

far_status fari_h5_table_create(fari_h5_file *file, const char *name, const fari_h5_record *record, int64_t chunk_rows,
                                fari_h5_table *table_out)
{
    char words[200] = "no memory";
    fari_h5_table table = { .file = file, .record_bytes = (int64_t)record->bytes };
    const hsize_t none = 0, unlimited = H5S_UNLIMITED, chunk = (hsize_t)chunk_rows;
    const hid_t space = H5Screate_simple(1, &none, &unlimited), type = record_type(record, true);
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    (void)snprintf(table.name, sizeof table.name, "%s", name);
    (void)H5Pset_chunk(list, 1, &chunk);
    (void)H5Pset_deflate(list, 1);
    (void)H5Pset_obj_track_times(list, false); /* the same events give the same bytes, whenever */
    table.dataset = H5Dcreate2(file->id, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    if (table.dataset < 0) (void)h5_library_words(words);
    table.memory_type = record_type(record, false);
    (void)H5Pclose(list);
    (void)H5Tclose(type);
    (void)H5Sclose(space);
    if (table.dataset < 0 || table.memory_type < 0) {
        const far_status st = FAR_FAIL(FAR_E_IO, "%s: cannot create table %s: %s", file->path, name, words);
        fari_h5_table_close(&table);
        return st;
    }
    *table_out = table;
    return FAR_OK;
}

far_status fari_h5_table_append(fari_h5_table *table, const void *records, int64_t count)
{
    char words[200];
    hid_t in_file, in_memory;
    const hsize_t rows = (hsize_t)(table->rows + count);
    if (count == 0) return FAR_OK;
    if (H5Dset_extent(table->dataset, &rows) < 0)
        return FAR_FAIL(FAR_E_IO, "%s: cannot extend %s: %s", table->file->path, table->name, h5_library_words(words));
    FAR_TRY(select_rows(table, table->rows, count, &in_file, &in_memory));
    const herr_t error = H5Dwrite(table->dataset, table->memory_type, in_memory, in_file, H5P_DEFAULT, records);
    if (error < 0) (void)h5_library_words(words);
    (void)H5Sclose(in_file);
    (void)H5Sclose(in_memory);
    if (error < 0) return FAR_FAIL(FAR_E_IO, "%s: cannot write %s: %s", table->file->path, table->name, words);
    table->rows += count;
    return FAR_OK;
}

void fari_h5_table_close(fari_h5_table *table)
{
    if (table->dataset > 0) (void)H5Dclose(table->dataset);
    if (table->memory_type > 0) (void)H5Tclose(table->memory_type);
    table->dataset = table->memory_type = 0;
}
