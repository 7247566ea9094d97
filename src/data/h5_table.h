/* Tables in HDF5 files: one-dimensional data sets of compound records, as larcv3 writes them. This and array_h5.c are the files that include hdf5.h.

   HDF5's serial library keeps global state and need not be built thread safe: every call here wants the lock held, which is one for
   the whole process. A program that uses HDF5 itself beside us has to see to its own calls. */
#ifndef FARI_DATA_H5_TABLE_H
#define FARI_DATA_H5_TABLE_H
#include <farandole/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum fari_h5_type {
    FARI_H5_U8,
    FARI_H5_U16,
    FARI_H5_I16,
    FARI_H5_U32,
    FARI_H5_I32,
    FARI_H5_U64,
    FARI_H5_I64,
    FARI_H5_F32,
    FARI_H5_F64,
    FARI_H5_TEXT,  /* `count` bytes */
    FARI_H5_VERTEX /* a compound of four f64: x, y, z, t */
} fari_h5_type;

typedef struct fari_h5_field {
    const char *name;
    fari_h5_type type;
    int32_t count; /* 0: one; else an array of so many */
    size_t offset; /* in the record in memory; when writing also in the file */
} fari_h5_field;

typedef struct fari_h5_record {
    const fari_h5_field *fields;
    int32_t field_count;
    size_t bytes;
} fari_h5_record;

typedef struct fari_h5_file fari_h5_file;

typedef struct fari_h5_table {
    const fari_h5_file *file;
    char name[160]; /* "/Data/sparse2d_sbndwire_group/voxels" */
    int64_t rows;
    int64_t record_bytes;
    int64_t cache_bytes; /* that the library may hold for it */
    int64_t dataset, memory_type;
} fari_h5_table;

void fari_h5_lock(void);
void fari_h5_unlock(void);

/* FAR_E_NOTFOUND, FAR_E_IO, FAR_E_FORMAT (no HDF5 file, or a damaged one). */
far_status fari_h5_open(const char *path, fari_h5_file **file_out);
/* Creates or empties a file. */
far_status fari_h5_create(const char *path, fari_h5_file **file_out);
/* What the library still held is written here: errors of writing may come as late as this. NULL is allowed. */
far_status fari_h5_close(fari_h5_file *file);
const char *fari_h5_path(const fari_h5_file *file);

/* Whether there is a group or table of this absolute name; every part of it is a plain link within the file. */
bool fari_h5_has(const fari_h5_file *file, const char *name);
/* The names in a group that begin with `prefix`, in one line, for messages; "" where there are none. */
void fari_h5_list(const fari_h5_file *file, const char *group, const char *prefix, char *text_out, size_t bytes);
far_status fari_h5_make_group(fari_h5_file *file, const char *name);

/* Opens a table for reading. Its fields are found by name; order, offsets, sizes and byte order are the file's own business. FAR_E_FORMAT: no such
   table or field, another kind of field, more than one axis, more rows than the file can hold. */
far_status fari_h5_table_open(const fari_h5_file *file, const char *name, const fari_h5_record *record,
                              fari_h5_table *table_out);
/* Rows [first, first + count) as records; names the first row where it fails. */
far_status fari_h5_table_read(const fari_h5_table *table, int64_t first, int64_t count, void *records_out);
/* All rows, allocated. */
far_status fari_h5_table_load(const fari_h5_table *table, void **records_out);

/* Creates an empty table that grows: chunks of so many rows, deflated at level 1, little-endian. */
far_status fari_h5_table_create(fari_h5_file *file, const char *name, const fari_h5_record *record, int64_t chunk_rows,
                                fari_h5_table *table_out);
far_status fari_h5_table_append(fari_h5_table *table, const void *records, int64_t count);

/* Zeros are allowed. Before the file is closed. */
void fari_h5_table_close(fari_h5_table *table);
#endif
