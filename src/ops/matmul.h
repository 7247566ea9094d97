/* Products of matrices, one an index of the leading axes. Row-major. */
#ifndef FARI_OPS_MATMUL_H
#define FARI_OPS_MATMUL_H
#include "graph/op.h"

typedef struct fari_matmul_attr {
    bool transpose_a, transpose_b;
} fari_matmul_attr;

/* MAP. in: a [B.., M, K] ([B.., K, M] when transpose_a), b [B.., K, N] ([B.., N, K] when transpose_b); out: [B.., M, N].
   a and b have the same leading axes. A view's leading extents are those of the grain. */
extern const fari_op fari_op_matmul;
#endif
