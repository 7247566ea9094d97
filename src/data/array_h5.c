/* Arrays in HDF5 files: a data set of 1 to 5 axes of plain numbers, chunked or not. Only the chunks that hold what is wanted are read; those over
   the width of a row are kept by the library, so that rows read in order unpack each chunk once. */
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/array.h"
#include "data/h5_priv.h"
#include "data/probe.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CACHE_BYTES_MAX (INT64_C(1) << 30)
#define CACHE_SLOTS_EACH 10             /* slots a chunk, as the library advises */
#define OVERHANG 64                     /* chunks of so many times what an array holds have no use */
#define TRIAL_BYTES (INT64_C(16) << 20) /* what is read of an array before it is trusted */
#define TRIAL_CHUNKS 16384

typedef struct h5_array {
    fari_h5_file *file;
    hid_t dataset, memory_type;
    fari_npy shape; /* as the file has it: the array's own may get an axis more */
    bool is_chunked;
    hsize_t chunk[FARI_NPY_AXES]; /* of what is not: all of it */
    int64_t file_bytes, data_bytes, chunk_bytes;
    char name[160];
} h5_array;

static far_status bad(const fari_array *array, const char *what)
{
    return FAR_FAIL(FAR_E_FORMAT, "%s %s", array->label, what);
}

/* --- what it is --- */

static far_status take_type(fari_array *array, h5_array *h)
{
    static const struct {
        bool is_float, is_signed;
        size_t bytes;
        fari_npy_type type;
    } types[] = {
        { false, false, 1, FARI_NPY_U8 }, { false, true, 1, FARI_NPY_I8 },   { false, false, 2, FARI_NPY_U16 },
        { false, true, 2, FARI_NPY_I16 }, { false, false, 4, FARI_NPY_U32 }, { false, true, 4, FARI_NPY_I32 },
        { false, true, 8, FARI_NPY_I64 }, { true, true, 4, FARI_NPY_F32 },   { true, true, 8, FARI_NPY_F64 },
    };
    hid_t type = H5Dget_type(h->dataset), number = type;
    if (type >= 0 && H5Tget_class(type) == H5T_ENUM) number = H5Tget_super(type); /* h5py's truth values: 0 and 1 */
    const H5T_class_t kind = number >= 0 ? H5Tget_class(number) : H5T_NO_CLASS;
    const bool is_float = kind == H5T_FLOAT,
               is_signed = is_float || (kind == H5T_INTEGER && H5Tget_sign(number) == H5T_SGN_2);
    const size_t bytes = number >= 0 ? H5Tget_size(number) : 0;
    size_t i = 0;
    while (i < FAR_COUNT(types) &&
           (types[i].is_float != is_float || types[i].is_signed != is_signed || types[i].bytes != bytes))
        i++;
    const bool is_known = (is_float || kind == H5T_INTEGER) && i < FAR_COUNT(types);
    if (is_known) {
        array->npy.type = types[i].type;
        array->npy.elem_bytes = (int64_t)bytes;
        h->memory_type = H5Tget_native_type(type, H5T_DIR_ASCEND);
    }
    if (number != type && number >= 0) (void)H5Tclose(number);
    if (type >= 0) (void)H5Tclose(type);
    if (!is_known)
        return FAR_FAIL(
            FAR_E_UNSUPPORTED,
            "%s: elements of a type that is not read; whole numbers of 8 to 32 bits and signed ones of 64, and floating "
            "point of 32 and 64 are",
            array->label);
    return h->memory_type >= 0 ? FAR_OK : bad(array, "has a type of elements that is damaged");
}

static far_status take_shape(fari_array *array, h5_array *h)
{
    hsize_t dim[H5S_MAX_RANK] = { 0 };
    const hid_t space = H5Dget_space(h->dataset);
    const int ndim = space >= 0 ? H5Sget_simple_extent_dims(space, dim, NULL) : -1;
    const uint64_t stored = H5Dget_storage_size(h->dataset);
    if (space >= 0) (void)H5Sclose(space);
    if (ndim < 1 || ndim > FARI_NPY_AXES)
        return FAR_FAIL(FAR_E_UNSUPPORTED, "%s has %d axes; arrays of 1 to %d are read", array->label, ndim,
                        FARI_NPY_AXES);
    uint64_t bytes = (uint64_t)array->npy.elem_bytes;
    for (int i = 0; i < ndim; i++) {
        if (dim[i] < 1) return bad(array, "has an axis without elements");
        if (dim[i] > (uint64_t)INT64_MAX / bytes) return bad(array, "claims more elements than any file holds");
        bytes *= dim[i];
        array->npy.dim[i] = (int64_t)dim[i];
        h->chunk[i] = dim[i];
    }
    array->npy.ndim = ndim;
    h->data_bytes = h->chunk_bytes = (int64_t)bytes;
    if (bytes / H5_PACKED_MAX > stored)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s claims %" PRIu64 " bytes of numbers, but stores %" PRIu64 ": it was not written to its end",
                        array->label, bytes, stored);
    return FAR_OK;
}

static int64_t chunk_count(const h5_array *h)
{
    int64_t count = 1;
    for (int32_t i = 0; i < h->shape.ndim; i++) count *= (h->shape.dim[i] - 1) / (int64_t)h->chunk[i] + 1;
    return count;
}

/* Chunks, and the cache that holds those side by side: over all axes behind the rows' one. */
static far_status take_layout(fari_array *array, h5_array *h, hid_t access)
{
    hsize_t chunk[H5S_MAX_RANK] = { 0 };
    const fari_npy *npy = &array->npy;
    const hid_t list = H5Dget_create_plist(h->dataset);
    const H5D_layout_t layout = list >= 0 ? H5Pget_layout(list) : H5D_LAYOUT_ERROR;
    const bool is_outside = layout == H5D_VIRTUAL || (list >= 0 && H5Pget_external_count(list) > 0);
    const int ndim = layout == H5D_CHUNKED ? H5Pget_chunk(list, H5S_MAX_RANK, chunk) : 0;
    const far_status st = h5_check_filters(h->file->path, h->name, list);
    if (list >= 0) (void)H5Pclose(list);
    FAR_TRY(st);
    if (is_outside) return bad(array, "keeps its data in other files, which is not served");
    if (ndim == 0) return FAR_OK;
    if (ndim != npy->ndim) return bad(array, "has chunks of another number of axes");
    int64_t chunk_bytes = npy->elem_bytes, beside = 1;
    for (int i = 0; i < ndim; i++) {
        if (chunk[i] < 1 || chunk[i] > (uint64_t)(H5_CHUNK_BYTES_MAX / chunk_bytes))
            return bad(array, "has chunks of more than 256 MiB, which are not served; h5repack -l makes smaller ones");
        chunk_bytes *= (int64_t)chunk[i];
        /* the width is the last axis, or the last but one before channels */
        if (i >= 1 && i >= ndim - (ndim > 3 ? 2 : 1))
            beside *= (npy->dim[i] + (int64_t)chunk[i] - 1) / (int64_t)chunk[i];
    }
    h->is_chunked = true;
    h->chunk_bytes = chunk_bytes;
    memcpy(h->chunk, chunk, sizeof h->chunk);
    h->shape = *npy;
    if (chunk_count(h) > 1 + OVERHANG * (h->data_bytes / chunk_bytes) + H5_CHUNK_BYTES_MAX / chunk_bytes)
        return bad(array, "has chunks far larger than what it holds: its description is damaged");
    array->bytes = beside > CACHE_BYTES_MAX / chunk_bytes ? CACHE_BYTES_MAX : beside * chunk_bytes;
    const int64_t held = array->bytes / chunk_bytes;
    (void)H5Pset_chunk_cache(access, (size_t)(held * CACHE_SLOTS_EACH + 13), (size_t)array->bytes,
                             H5_CACHE_WHOLE_FIRST);
    return FAR_OK;
}

/* --- reading --- */

/* The largest block of whole inner axes that begins at `first` and is no longer than `count`: one hyperslab. Its elements. */
static int64_t slab_of(const fari_npy *npy, int64_t first, int64_t count, hsize_t *start, hsize_t *extent)
{
    int64_t inner = 1, rest = first;
    int32_t axis = npy->ndim - 1;
    while (axis > 0 && first % (inner * npy->dim[axis]) == 0 && inner * npy->dim[axis] <= count)
        inner *= npy->dim[axis--];
    for (int32_t i = npy->ndim - 1; i >= 0; i--) {
        start[i] = (hsize_t)(rest % npy->dim[i]);
        rest /= npy->dim[i];
        extent[i] = i > axis ? (hsize_t)npy->dim[i] : 1;
    }
    const int64_t left = npy->dim[axis] - (int64_t)start[axis], fit = count / inner;
    extent[axis] = (hsize_t)(fit < left ? fit : left);
    return inner * (int64_t)extent[axis];
}

/* The library takes as much memory for a chunk as the file says that it is stored in, before it looks whether it is there. */
static far_status check_chunks(const fari_array *array, const h5_array *h, const hsize_t *start, const hsize_t *extent)
{
    hsize_t at[FARI_NPY_AXES], stored = 0;
    for (int32_t i = 0; i < h->shape.ndim; i++) at[i] = start[i] / h->chunk[i] * h->chunk[i];
    for (int32_t axis = 0; axis >= 0;) {
        if (H5Dget_chunk_storage_size(h->dataset, at, &stored) >= 0 && stored > (hsize_t)h->file_bytes)
            return FAR_FAIL(FAR_E_FORMAT, "%s has a chunk that claims to be stored in %" PRIu64 " bytes: it is damaged",
                            array->label, (uint64_t)stored);
        for (axis = h->shape.ndim - 1; axis >= 0; axis--) {
            at[axis] += h->chunk[axis];
            if (at[axis] < start[axis] + extent[axis]) break;
            at[axis] = start[axis] / h->chunk[axis] * h->chunk[axis];
        }
    }
    return FAR_OK;
}

static far_status read_slab(const fari_array *array, const h5_array *h, const hsize_t *start, const hsize_t *extent,
                            int64_t elems, void *out)
{
    char words[200] = "no memory";
    far_status st = FAR_OK;
    const hsize_t count = (hsize_t)elems;
    const hid_t in_file = H5Dget_space(h->dataset), in_memory = H5Screate_simple(1, &count, NULL);
    herr_t error = -1;
    if (h->is_chunked) FAR_TRY_GOTO(check_chunks(array, h, start, extent), close_spaces);
    if (in_file >= 0 && in_memory >= 0 && H5Sselect_hyperslab(in_file, H5S_SELECT_SET, start, NULL, extent, NULL) >= 0)
        error = H5Dread(h->dataset, h->memory_type, in_memory, in_file, H5P_DEFAULT, out);
    if (error < 0) (void)h5_library_words(words);
close_spaces:
    if (in_file >= 0) (void)H5Sclose(in_file);
    if (in_memory >= 0) (void)H5Sclose(in_memory);
    if (st != FAR_OK || error >= 0) return st;
    char place[120] = "";
    for (int32_t i = 0; i < h->shape.ndim; i++) {
        const size_t used = strlen(place);
        (void)snprintf(place + used, sizeof place - used, "%s%" PRIu64, i > 0 ? ", " : "", (uint64_t)start[i]);
    }
    return FAR_FAIL(FAR_E_FORMAT,
                    "%s: cannot read from element [%s] on: %s; a chunk is damaged, or the file is cut short",
                    array->label, place, words);
}

static far_status read_run(const fari_array *array, const h5_array *h, int64_t first, int64_t count, void *out)
{
    hsize_t start[FARI_NPY_AXES], extent[FARI_NPY_AXES];
    while (count > 0) {
        const int64_t elems = slab_of(&h->shape, first, count, start, extent);
        FAR_TRY(read_slab(array, h, start, extent, elems, out));
        first += elems;
        count -= elems;
        out = (char *)out + elems * array->npy.elem_bytes;
    }
    return FAR_OK;
}

static far_status h5_array_read(const fari_array *array, int64_t first, int64_t count, void *out)
{
    fari_h5_lock();
    const far_status st = read_run(array, array->state, first, count, out);
    fari_h5_unlock();
    return st;
}

/* --- life --- */

static void h5_array_close(fari_array *array)
{
    h5_array *h = array->state;
    fari_h5_lock();
    if (h->dataset >= 0) (void)H5Dclose(h->dataset);
    if (h->memory_type >= 0) (void)H5Tclose(h->memory_type);
    (void)fari_h5_close(h->file); /* read only */
    fari_h5_unlock();
    fari_free(h);
}

static far_status open_dataset(fari_array *array, h5_array *h)
{
    char words[200], have[300];
    far_status st;
    FAR_TRY(fari_file_bytes(array->path, &h->file_bytes));
    FAR_TRY(fari_h5_open(array->path, &h->file));
    if (!fari_h5_has(h->file, h->name)) {
        fari_h5_list(h->file, "/", "", have, sizeof have);
        return FAR_FAIL(FAR_E_NOTFOUND, "%s has no array %s; at its top it has %s", array->path, h->name,
                        have[0] != '\0' ? have : "nothing");
    }
    const hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    h->dataset = H5Dopen2(h->file->id, h->name, H5P_DEFAULT);
    if (h->dataset < 0) {
        st = FAR_FAIL(FAR_E_FORMAT, "%s cannot be opened: %s", array->label, h5_library_words(words));
        goto close_access;
    }
    FAR_TRY_GOTO(take_type(array, h), close_access);
    FAR_TRY_GOTO(take_shape(array, h), close_access);
    FAR_TRY_GOTO(take_layout(array, h, access), close_access);
    (void)H5Dclose(h->dataset); /* once more, with a cache that fits its chunks */
    h->dataset = H5Dopen2(h->file->id, h->name, access);
    if (h->dataset < 0) st = FAR_FAIL(FAR_E_FORMAT, "%s cannot be opened: %s", array->label, h5_library_words(words));
close_access:
    (void)H5Pclose(access);
    h->shape = array->npy;
    return st;
}

/* --- trial --- */

/* Its last element: where a chunk unpacks to too little, that lies farthest out. */
static void try_chunk(const fari_array *array, const h5_array *h, int64_t idx)
{
    hsize_t at[FARI_NPY_AXES], one[FARI_NPY_AXES];
    double out;
    for (int32_t i = h->shape.ndim - 1; i >= 0; i--) {
        const int64_t chunk = (int64_t)h->chunk[i], dim = h->shape.dim[i], chunks = (dim - 1) / chunk + 1;
        const int64_t place = idx % chunks;
        idx /= chunks;
        at[i] = (hsize_t)(place + 1 < chunks ? (place + 1) * chunk - 1 : dim - 1);
        one[i] = 1;
    }
    (void)read_slab(array, h, at, one, 1, &out);
}

/* HDF5 1.10 crashes on some damaged files, most of them with a wrong description, some with a chunk that unpacks to too few bytes. So an array is first opened
   where a crash does no harm, and of a small one all chunks are unpacked there, of a large one those at its ends. */
static void try_out(void *context)
{
    fari_array *array = context;
    h5_array *h = array->state;
    if (open_dataset(array, h) != FAR_OK) return;
    const int64_t count = chunk_count(h), fit = TRIAL_BYTES / 2 / h->chunk_bytes + 1;
    const bool is_small = count <= TRIAL_CHUNKS && h->data_bytes <= TRIAL_BYTES;
    const int64_t ends = is_small ? count : fit < TRIAL_CHUNKS / 2 ? fit : TRIAL_CHUNKS / 2;
    for (int64_t i = 0; i < count; i++) {
        if (i == ends && i < count - ends) i = count - ends;
        try_chunk(array, h, i);
    }
}

far_status array_open_h5(fari_array *array, const char *name)
{
    static const fari_array_kind kind = { .read = h5_array_read, .close = h5_array_close };
    h5_array *h = fari_calloc(1, sizeof *h);
    if (h == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", array->path);
    h->dataset = h->memory_type = -1;
    array->state = h;
    array->kind = &kind;
    array->is_stream = true; /* chunks are unpacked whole */
    if ((size_t)snprintf(h->name, sizeof h->name, "%s%s", name[0] == '/' ? "" : "/", name) >= sizeof h->name)
        return FAR_FAIL(FAR_E_ARG, "%s: the name of an array is too long: %.40s...", array->path, name);
    fari_h5_lock();
    far_status st = fari_probe(array->path, try_out, array);
    if (st == FAR_OK) st = open_dataset(array, h);
    fari_h5_unlock();
    return st;
}

typedef struct question {
    const char *path, *name;
} question;

static void try_question(void *context)
{
    const question *q = context;
    fari_h5_file *file = NULL;
    if (fari_h5_open(q->path, &file) == FAR_OK) (void)fari_h5_has(file, q->name);
}

bool fari_array_in_h5(const char *path, const char *name)
{
    char full[160];
    fari_h5_file *file = NULL;
    if ((size_t)snprintf(full, sizeof full, "%s%s", name[0] == '/' ? "" : "/", name) >= sizeof full) return false;
    question q = { path, full };
    fari_h5_lock();
    const bool has =
        fari_probe(path, try_question, &q) == FAR_OK && fari_h5_open(path, &file) == FAR_OK && fari_h5_has(file, full);
    if (file == NULL) far_error_clear();
    (void)fari_h5_close(file);
    fari_h5_unlock();
    return has;
}
