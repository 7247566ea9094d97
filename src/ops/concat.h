/* Joins tensors along one axis. */
#ifndef FARI_OPS_CONCAT_H
#define FARI_OPS_CONCAT_H
#include "graph/op.h"

typedef struct fari_concat_attr {
    int32_t axis;
} fari_concat_attr;

/* MAP. in: up to FARI_IN_MAX tensors of one order; out: joined along attr.axis. Along axis 2 pieces are whole samples. */
extern const fari_op fari_op_concat;
#endif
