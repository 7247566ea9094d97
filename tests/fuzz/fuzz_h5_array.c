/* Any bytes as an HDF5 file, of which two arrays are read: their ends, and runs that begin and end anywhere. */
#include "data/array.h"
#include "fuzz/h5_input.h"

#define ELEMS 4096
/* Of so many every chunk is tried first. HDF5 steps out of its memory where a chunk unpacks to too few bytes, as any of a larger array may. */
#define TRIED_ELEMS 16384

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t most, unsigned seed)
{
    return mutate_in_place(data, bytes, most, seed);
}

static bool read_run(const fari_array *array, const char *path, int64_t first, int64_t count)
{
    static char out[ELEMS * 8];
    far_error_clear();
    const far_status st = fari_array_read(array, first, count, out);
    if (st != FAR_OK && (st == FAR_E_NOMEM || strstr(far_error_message(), path) == NULL)) abort();
    return st == FAR_OK;
}

static void read_array(const char *path, const char *name)
{
    fari_array array;
    far_error_clear();
    const far_status st = fari_array_open(path, name, &array);
    if (st != FAR_OK) {
        count_refusal(st, path);
        return;
    }
    tally.opened++;
    if (array.elems < 1 || array.npy.ndim < 1 || array.npy.ndim > FARI_NPY_AXES) abort();
    const int64_t most = array.elems <= TRIED_ELEMS ? ELEMS : 1;
    const int64_t count = array.elems < most ? array.elems : most, third = count / 3;
    bool is_read = read_run(&array, path, array.elems - count, count);
    is_read = read_run(&array, path, 0, count) && is_read;
    is_read = read_run(&array, path, array.elems / 2 - third / 2, third) && is_read;
    if (is_read) tally.read++;
    fari_array_close(&array);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const char *path = input_file(data, bytes);
    count_input();
    far_error_clear();
    const bool has = fari_array_in_h5(path, "images");
    if (far_error_message()[0] != '\0') abort();
    if (has) read_array(path, "images");
    read_array(path, "/g/labels");
    if (fari_alloc_live() != 0) abort();
    return 0;
}
