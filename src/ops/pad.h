/* A constant around a tensor. */
#ifndef FARI_OPS_PAD_H
#define FARI_OPS_PAD_H
#include "graph/op.h"

typedef struct fari_pad_attr {
    int64_t before[FAR_NDIM_MAX], after[FAR_NDIM_MAX]; /* elements added along each axis */
    double value;
} fari_pad_attr;

/* MAP. in: x; out: x with attr.value around it. Rows by number: out row r is in row r - before[2] where there is one; a grain
   in the padding is given one row of x, which it does not use. */
extern const fari_op fari_op_pad;
#endif
