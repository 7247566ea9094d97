/* A box cut out of a tensor. */
#ifndef FARI_OPS_SLICE_H
#define FARI_OPS_SLICE_H
#include "graph/op.h"

typedef struct fari_slice_attr {
    int64_t start[FAR_NDIM_MAX], count[FAR_NDIM_MAX]; /* in elements along each axis of the whole tensor */
    bool cut_rows; /* the output may be cut by rows though the input is not: gradients of a join along rows */
} fari_slice_attr;

/* MAP. in: x; out: x[start : start + count) along every axis. Rows by number: out row r is in row r + start[2]. */
extern const fari_op fari_op_slice;
#endif
