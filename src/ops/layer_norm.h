/* Layer norm over the last axis of a row-major [N, ..., F]: y = gamma (x - mean) rstd + beta, statistics of each line.
 * Backward takes the statistics again from x: a line is short and in cache.
 * Where x is [N, T, F] its axis 2 is the normalised one: should a plan cut it, x comes whole and only the cut is written. */
#ifndef FARI_OPS_LAYER_NORM_H
#define FARI_OPS_LAYER_NORM_H
#include "graph/op.h"

typedef struct fari_layer_norm_attr {
    double eps;
    bool has_affine;
} fari_layer_norm_attr;

extern const fari_op fari_op_layer_norm;       /* MAP     x, [gamma, beta] -> y */
extern const fari_op fari_op_layer_norm_dx;    /* MAP     x, dy, [gamma] -> dx */
extern const fari_op fari_op_layer_norm_dsums; /* REDUCE  x, dy -> [1, 2F] F64: sum dy, sum dy xhat; then norm_dparam */
#endif
