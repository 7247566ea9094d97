/* The same elements under another shape. Row-major. */
#ifndef FARI_OPS_RESHAPE_H
#define FARI_OPS_RESHAPE_H
#include "graph/op.h"

typedef struct fari_reshape_attr {
    far_shape shape; /* of the output, complete */
} fari_reshape_attr;

/* MAP. in: x [N, ...]; out: the same bytes. Pieces are whole samples. */
extern const fari_op fari_op_reshape;
#endif
