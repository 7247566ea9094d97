/* Arrays in files, read a run of elements at a time, nothing of them held: NumPy's .npy, members of .npz, raw bytes with a description beside
   them, and HDF5. Threads: after opening any number may read. */
#ifndef FARI_DATA_ARRAY_H
#define FARI_DATA_ARRAY_H
#include "data/npy.h"
#include <stdbool.h>

typedef struct fari_array fari_array;

/* What reads one kind of file; `state` is its own. Implemented once a kind, in array_<kind>.c. */
typedef struct fari_array_kind {
    /* Elements [first, first + count) in C order, as they lie in the file but for NumPy's types: array->npy says which. */
    far_status (*read)(const fari_array *array, int64_t first, int64_t count, void *out);
    void (*close)(fari_array *array);
} fari_array_kind;

struct fari_array {
    char *path, *label; /* label: with the name inside of the file, for messages */
    fari_npy npy;
    const fari_array_kind *kind;
    void *state;
    int64_t elems, bytes; /* bytes: of memory held */
    bool is_stream;       /* packed: reading on costs less than jumping about */
};

/* Which kind it is, the ending says: .npz, .raw (.bin, .dat), .h5 (.hdf5), any other .npy. name: of the array in an .npz or HDF5 file; in an .npz
   with one array any. FAR_E_NOTFOUND, FAR_E_IO, FAR_E_FORMAT, FAR_E_UNSUPPORTED, FAR_E_NOMEM. */
far_status fari_array_open(const char *path, const char *name, fari_array *array_out);
void fari_array_close(fari_array *array); /* zeros are allowed */
/* Whether a path ends as one of these kinds does, and as one that holds arrays with names. */
bool fari_array_is_named(const char *path);
bool fari_array_has_names(const char *path);
/* Whether an HDF5 file has an array, or anything else, of this name; false where it cannot be opened. Words no error. */
bool fari_array_in_h5(const char *path, const char *name);
/* `count` elements in this machine's byte order. */
far_status fari_array_read(const fari_array *array, int64_t first, int64_t count, void *out);
/* Bytes of a packed .npz that were unpacked since it was opened: for tests of how often it began again. No other thread may read. */
int64_t fari_array_unpacked(const fari_array *array);
/* An element as fari_array_read gives them. */
double fari_array_element(fari_npy_type type, const char *from);

/* The kinds: fill in npy, kind and state of an array whose path and label are there. */
far_status array_open_npy(fari_array *array);
far_status array_open_raw(fari_array *array);
far_status array_open_npz(fari_array *array, const char *name);
far_status array_open_h5(fari_array *array, const char *name);
#endif
