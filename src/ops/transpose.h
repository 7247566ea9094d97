/* Axes in another order. Row-major. */
#ifndef FARI_OPS_TRANSPOSE_H
#define FARI_OPS_TRANSPOSE_H
#include "graph/op.h"

typedef struct fari_transpose_attr {
    int32_t perm[FAR_NDIM_MAX]; /* axis i of the output is axis perm[i] of the input */
} fari_transpose_attr;

/* MAP. in: x; out: x permuted. Pieces are whole samples. */
extern const fari_op fari_op_transpose;
#endif
