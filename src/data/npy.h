/* NumPy's .npy header, versions 1 to 3. */
#ifndef FARI_DATA_NPY_H
#define FARI_DATA_NPY_H
#include <farandole/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FARI_NPY_AXES 5

typedef enum fari_npy_type {
    FARI_NPY_U8 = 0,
    FARI_NPY_I8,
    FARI_NPY_U16,
    FARI_NPY_I16,
    FARI_NPY_U32,
    FARI_NPY_I32,
    FARI_NPY_I64,
    FARI_NPY_F32,
    FARI_NPY_F64
} fari_npy_type;

typedef struct fari_npy {
    fari_npy_type type;
    int64_t elem_bytes;
    bool is_swapped; /* the file's bytes are in the other order than this machine's */
    int32_t ndim;    /* 1 to FARI_NPY_AXES */
    int64_t dim[FARI_NPY_AXES];
    int64_t first_byte; /* of the data */
} fari_npy;

/* The header at the start of `data`, of a file of `file_bytes`, whose data have to reach its end. */
far_status fari_npy_parse(const char *label, const char *data, size_t bytes, int64_t file_bytes, fari_npy *npy_out);
/* The type called as numpy.dtype calls it: "uint8", "int16", "float32", "bool"... Sets type and elem_bytes. */
far_status fari_npy_type_named(const char *label, const char *name, fari_npy *npy);
#endif
