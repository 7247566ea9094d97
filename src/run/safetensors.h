/* safetensors files (huggingface.co/docs/safetensors): u64 length of a JSON header, the header
 * {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__": {"key": "text"}}, then the data,
 * little-endian, row-major, without gaps. A file holds no time, host or rank count: equal tensors give equal bytes. */
#ifndef FARI_RUN_SAFETENSORS_H
#define FARI_RUN_SAFETENSORS_H
#include <farandole/tensor.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FARI_ST_HEADER_MAX ((int64_t)100 * 1000 * 1000) /* the reference reader's limit */

/* What a file may hold; any number is read as f32, f64 or i32. */
typedef enum fari_st_dtype {
    FARI_ST_F64 = 0,
    FARI_ST_F32,
    FARI_ST_F16,
    FARI_ST_BF16,
    FARI_ST_I64,
    FARI_ST_U64,
    FARI_ST_I32,
    FARI_ST_U32,
    FARI_ST_I16,
    FARI_ST_U16,
    FARI_ST_I8,
    FARI_ST_U8,
    FARI_ST_BOOL,
    FARI_ST_DTYPE_COUNT
} fari_st_dtype;

const char *fari_st_dtype_name(fari_st_dtype dtype); /* "F32" */
int64_t fari_st_dtype_bytes(fari_st_dtype dtype);

/* --- writing --- */

typedef struct fari_st_tensor {
    const char *name;
    far_dtype dtype;
    far_shape shape;
    const void *data; /* row-major */
} fari_st_tensor;

typedef struct fari_st_meta {
    const char *key, *value;
} fari_st_meta;

/* Builds the file's first part: length, header, padding to 8 bytes. Wider element types come first (readers want aligned data), otherwise the
   order given. offsets_out[i], when not NULL, gets the place of tensor i counted from the file's start; *file_bytes_out the whole. So
   several ranks can write their parts of one file. *head_out is allocated. */
far_status fari_st_head(const fari_st_tensor *tensors, int64_t count, const fari_st_meta *meta, int64_t meta_count,
                        int64_t *offsets_out, char **head_out, int64_t *head_bytes_out, int64_t *file_bytes_out);

/* Writes and syncs the file. Not atomic: a checkpoint writes into a folder that is renamed; fari_st_write_atomic is. When not NULL,
   xxh128_hex_out (33 characters) gets the XXH3-128 of the file. */
far_status fari_st_write(const char *path, const fari_st_tensor *tensors, int64_t count, const fari_st_meta *meta,
                         int64_t meta_count, int64_t *file_bytes_out, char *xxh128_hex_out);
far_status fari_st_write_atomic(const char *path, const fari_st_tensor *tensors, int64_t count,
                                const fari_st_meta *meta, int64_t meta_count);

/* --- reading --- */

typedef struct fari_st_file fari_st_file;

typedef struct fari_st_info {
    const char *name; /* borrowed from the file */
    fari_st_dtype dtype;
    far_shape shape;
    int64_t elems;
    int64_t first_byte, bytes; /* in the file */
} fari_st_info;

/* Checks everything but the numbers: header, offsets in range, no gap, no overlap, sizes fit dtype and shape, no name twice. Messages name
   file, tensor and byte. FAR_E_NOTFOUND, FAR_E_IO, FAR_E_FORMAT, FAR_E_UNSUPPORTED (dtype, more than six axes), FAR_E_NOMEM. */
far_status fari_st_open(const char *path, fari_st_file **file_out);
/* The same on bytes in memory, which stay the caller's and have to outlive the file. */
far_status fari_st_open_memory(const char *label, const void *data, size_t bytes, fari_st_file **file_out);
void fari_st_close(fari_st_file *file); /* NULL is allowed */

int64_t fari_st_count(const fari_st_file *file);
const fari_st_info *fari_st_at(const fari_st_file *file, int64_t idx); /* in the order of the data */
int64_t fari_st_find(const fari_st_file *file, const char *name);      /* -1 when absent */
/* "name (closest: ...)": the stored name nearest to `name`, NULL in an empty file; for messages. */
const char *fari_st_nearest(const fari_st_file *file, const char *name);
const char *fari_st_metadata(const fari_st_file *file, const char *key); /* NULL when absent */
const char *fari_st_path(const fari_st_file *file);

/* Reads elements [first, first + count) of a tensor, converted to `dtype` (f32, f64, i32 or u8; to i32 and u8 only from whole numbers that fit). */
far_status fari_st_read(const fari_st_file *file, int64_t idx, int64_t first, int64_t count, far_dtype dtype,
                        void *data_out);
/* The tensor's bytes as they are stored. */
far_status fari_st_read_raw(const fari_st_file *file, int64_t idx, void *data_out);
/* XXH3-128 of a tensor's bytes, and of the part before the data. */
far_status fari_st_hash(const fari_st_file *file, int64_t idx, char hex_out[33]);
/* The same of bytes [first, first + bytes) of a tensor, which it has. */
far_status fari_st_hash_range(const fari_st_file *file, int64_t idx, int64_t first, int64_t bytes, char hex_out[33]);
far_status fari_st_hash_head(const fari_st_file *file, char hex_out[33]);
#endif
