/* IDX: magic 0 0 type axes, big-endian extents, then the elements; the format of MNIST. Only unsigned bytes are read. */
#ifndef FARI_DATA_IDX_H
#define FARI_DATA_IDX_H
#include "data/source.h"

#define FARI_IDX_AXES 4

typedef struct fari_idx {
    int32_t ndim; /* 1 to 4 */
    int64_t dim[FARI_IDX_AXES];
    int64_t bytes;
    uint8_t *data; /* owned: fari_free */
} fari_idx;

far_status fari_idx_read(fari_source *source, fari_idx *idx_out);
#endif
