#include "data/array.h"
#include "base/mem.h"
#include "base/status.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef enum ending { OTHER = 0, NPY, NPZ, RAW, HDF5 } ending;

static ending ending_of(const char *path)
{
    static const struct {
        const char *text;
        ending is;
    } endings[] = { { ".npy", NPY }, { ".npz", NPZ }, { ".raw", RAW },  { ".bin", RAW },
                    { ".dat", RAW }, { ".h5", HDF5 }, { ".hdf5", HDF5 } };
    const size_t length = strlen(path);
    for (size_t i = 0; i < FAR_COUNT(endings); i++) {
        const size_t bytes = strlen(endings[i].text);
        if (length > bytes && strcmp(path + length - bytes, endings[i].text) == 0) return endings[i].is;
    }
    return OTHER;
}

bool fari_array_is_named(const char *path)
{
    return ending_of(path) != OTHER;
}

bool fari_array_has_names(const char *path)
{
    const ending kind = ending_of(path);
    return kind == NPZ || kind == HDF5;
}

static far_status open_kind(fari_array *array, ending kind, const char *name)
{
    switch (kind) {
    case OTHER: break;
    case NPY: break;
    case NPZ: return array_open_npz(array, name);
    case RAW: return array_open_raw(array);
    case HDF5: return array_open_h5(array, name);
    }
    return array_open_npy(array); /* which says so where it is none */
}

far_status fari_array_open(const char *path, const char *name, fari_array *array_out)
{
    const ending kind = ending_of(path);
    fari_array array = { .path = fari_strdup(path) };
    array.label = fari_array_has_names(path) ? fari_printf("%s: %s", path, name) : fari_strdup(path);
    far_status st =
        array.path != NULL && array.label != NULL ? FAR_OK : FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", path);
    if (st == FAR_OK) st = open_kind(&array, kind, name);
    if (st != FAR_OK) {
        fari_array_close(&array);
        return st;
    }
    array.elems = 1;
    for (int32_t axis = 0; axis < array.npy.ndim; axis++) array.elems *= array.npy.dim[axis];
    *array_out = array;
    return FAR_OK;
}

void fari_array_close(fari_array *array)
{
    if (array->kind != NULL) array->kind->close(array);
    fari_free(array->path);
    fari_free(array->label);
    *array = (fari_array){ 0 };
}

static void swap(char *data, int64_t count, int64_t bytes)
{
    for (int64_t i = 0; i < count; i++, data += bytes)
        for (int64_t low = 0, high = bytes - 1; low < high; low++, high--) {
            const char kept = data[low];
            data[low] = data[high];
            data[high] = kept;
        }
}

far_status fari_array_read(const fari_array *array, int64_t first, int64_t count, void *out)
{
    FAR_ASSERT(first >= 0 && count >= 0 && first <= array->elems - count);
    FAR_TRY(array->kind->read(array, first, count, out));
    if (array->npy.is_swapped) swap(out, count, array->npy.elem_bytes);
    return FAR_OK;
}

double fari_array_element(fari_npy_type type, const char *from)
{
    union {
        int16_t i16;
        uint16_t u16;
        int32_t i32;
        uint32_t u32;
        int64_t i64;
        float f32;
        double f64;
    } v = { 0 };
    switch (type) {
    case FARI_NPY_U8: return (double)*(const unsigned char *)from;
    case FARI_NPY_I8: return (double)*(const signed char *)from;
    case FARI_NPY_U16: memcpy(&v, from, 2); return (double)v.u16;
    case FARI_NPY_I16: memcpy(&v, from, 2); return (double)v.i16;
    case FARI_NPY_U32: memcpy(&v, from, 4); return (double)v.u32;
    case FARI_NPY_I32: memcpy(&v, from, 4); return (double)v.i32;
    case FARI_NPY_I64: memcpy(&v, from, 8); return (double)v.i64;
    case FARI_NPY_F32: memcpy(&v, from, 4); return (double)v.f32;
    case FARI_NPY_F64: memcpy(&v, from, 8); return v.f64;
    }
    return 0.0;
}
