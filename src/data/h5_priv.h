/* What the files that call HDF5 share: h5_table.c and array_h5.c, which alone include hdf5.h. */
#ifndef FARI_DATA_H5_PRIV_H
#define FARI_DATA_H5_PRIV_H
#include "data/h5_table.h"
#include <hdf5.h>

/* Deflate packs at most 1,032 to one; other filters more. What claims to be denser than this is no data. */
#define H5_PACKED_MAX 4096
#define H5_CHUNK_BYTES_MAX (INT64_C(256) << 20)
/* A cache of chunks gives up first those that were read whole, then the others. With 1.0 HDF5 1.10 never comes to the others, and keeps ten times what
   it was allowed. */
#define H5_CACHE_WHOLE_FIRST 0.75

struct fari_h5_file {
    char *path;
    hid_t id;
};

/* The innermost of the library's own words: "inflate() failed", "file has been truncated: ...". */
const char *h5_library_words(char text_out[200]);
/* All filters that the chunks of `name` went through are there to undo them. list: its creation properties. */
far_status h5_check_filters(const char *path, const char *name, hid_t list);
#endif
