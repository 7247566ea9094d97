/* Losses that are a sum of one term an element: binary cross-entropy from logits and squared error.
 * x, target -> sum F64 scalar -> sum * factor. Backward: d_x = d_sum * term'(x). */
#ifndef FARI_OPS_LOSS_POINTWISE_H
#define FARI_OPS_LOSS_POINTWISE_H
#include "graph/op.h"
#include <farandole/loss.h>

typedef enum fari_pointwise_kind {
    FARI_POINTWISE_BCE, /* (1 - t) x + (1 + (pos_weight - 1) t) (log(1 + exp(-|x|)) + max(-x, 0)) */
    FARI_POINTWISE_MSE  /* (x - t)^2 */
} fari_pointwise_kind;

typedef struct fari_pointwise_attr {
    fari_pointwise_kind kind;
    double pos_weight; /* BCE */
    double sign;       /* backward: 1, or -1 for the gradient with respect to MSE's target */
} fari_pointwise_attr;

typedef struct fari_loss_scale_attr {
    double factor;
} fari_loss_scale_attr;

/* Both inputs lie in memory in the same way; target may be f32, i32 or u8 (BCE). */
extern const fari_op fari_op_pointwise_sum; /* REDUCE  x, target -> scalar F64 */
extern const fari_op fari_op_pointwise_dx;  /* MAP     x, target, d_sum -> d_x */
extern const fari_op fari_op_loss_scale;    /* GLOBAL  scalar F64 -> scalar F64 times factor; its own gradient */
#endif
