/* Fully connected layers: y = x W^T + b over the last axis. Every tensor is row-major; no op here has an attribute.
 * P is the number of positions: the product of all axes of x but the last. */
#ifndef FARI_OPS_LINEAR_H
#define FARI_OPS_LINEAR_H
#include "graph/op.h"

/* MAP. in: x [N, ..., F], weight [O, F], optionally bias [O]; out: y [N, ..., O]. */
extern const fari_op fari_op_linear;
/* MAP. in: d_y [N, ..., O], weight [O, F]; out: d_x [N, ..., F] = d_y W. */
extern const fari_op fari_op_linear_dx;
/* REDUCE over the grains of d_y. in: x [N, ..., F], d_y [N, ..., O]; out: d_w [O, F] = d_y^T x. */
extern const fari_op fari_op_linear_dw;
/* The gradient of the bias is fari_op_column_sum of d_y (ops/reduce.h). */
#endif
