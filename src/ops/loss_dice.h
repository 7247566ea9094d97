/* Soft Dice over channels. sums [3, K] F64: sum p g, sum p (or p^2), sum g over batch and image. */
#ifndef FARI_OPS_LOSS_DICE_H
#define FARI_OPS_LOSS_DICE_H
#include "graph/op.h"
#include <farandole/loss.h>

typedef struct fari_dice_attr {
    double smooth, scale; /* resolved */
    int32_t ignore;       /* the ignored label, resolved */
    bool square, skip_background;
} fari_dice_attr;

extern const fari_op fari_op_dice_sums;    /* REDUCE  logits (channels-last or [N, K]), labels -> sums */
extern const fari_op fari_op_dice_loss;    /* GLOBAL  sums -> scalar */
extern const fari_op fari_op_dice_loss_dx; /* GLOBAL  sums, d_loss -> d_sums */
extern const fari_op fari_op_dice_dx;      /* MAP     logits, labels, d_sums -> d_logits */
#endif
