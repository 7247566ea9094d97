/* Sums, means and maxima, and what their gradients need. */
#ifndef FARI_OPS_REDUCE_H
#define FARI_OPS_REDUCE_H
#include "graph/op.h"
#include <farandole/elementwise.h>

typedef struct fari_reduce_attr {
    far_reduce_kind kind;
    uint32_t axes;  /* bit i: axis i is reduced */
    bool keep_axes; /* reduced axes stay with extent 1 */
} fari_reduce_attr;

/* MAP. in: x of any order; out: x reduced; row-major unless axes are kept. Reads all rows where axis 2 does not stay in place. */
extern const fari_op fari_op_reduce;
/* MAP, fari_reduce_attr. in: x, y, d_y; out: d_x of a maximum: d_y shared evenly by the maxima. */
extern const fari_op fari_op_reduce_max_dx;

/* The shape and cut of an output that no input tells. */
typedef struct fari_spread_attr {
    fari_reduce_attr reduce; /* of the forward op; all axes for fari_op_reduce_all */
    double scale;
    far_shape shape;
    far_dtype dtype;
    fari_order order;
    int64_t batch_of;
    bool has_rows;
} fari_spread_attr;

/* MAP. in: d_y; out: d_x = scale d_y repeated over the reduced axes. */
extern const fari_op fari_op_spread;

/* REDUCE, no attribute. in: x; out: the sum of all elements, a scalar f64. */
extern const fari_op fari_op_reduce_all;

typedef struct fari_column_sum_attr {
    int32_t axis;      /* the axis that stays; -1: none, one sum */
    bool per_sample;   /* axis 0 stays as well: one sum a sample and index of the axis, batched as x */
    bool over_samples; /* instead of all that: only axis 0 is summed */
    far_shape shape;   /* of the output: what stays, in any dress, as [C], [N, C] or [N, C, 1, 1] */
} fari_column_sum_attr;

/* REDUCE over x's grains. in: x of any order; out: sums in x's dtype: gradients of biases and of operands that were repeated.
   Fast where the axis is innermost in memory: axis 1 of channels-last, the last of row-major. */
extern const fari_op fari_op_column_sum;
/* Emits it for the last axis: the gradient of a linear layer's bias, d_y [N, ..., O] to [O]. */
far_value fari_emit_bias_gradient(far_graph *graph, const char *name, far_value d_y);
#endif
