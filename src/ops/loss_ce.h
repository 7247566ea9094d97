/* Cross-entropy and focal loss over channels.
 *
 * logits -> sums [3, K] F64 -> scalar F64. Row 0 of sums: sum of w ce over pixels whose label is k; row 1: sum of w;
 * row 2: pixels. Kept per class because balanced weights are known only after all pixels are counted.
 * Backward: d_sums [3, K] (row 0 only, the weights are detached), then d_logits pixel by pixel. */
#ifndef FARI_OPS_LOSS_CE_H
#define FARI_OPS_LOSS_CE_H
#include "graph/op.h"
#include <farandole/loss.h>

/* Shared by the four ops. */
typedef struct fari_ce_attr {
    far_class_loss kind;
    double smoothing;
    double focal_gamma; /* 0: none */
    double scale;       /* resolved: never 0 for "default" */
    far_ce_norm norm;
    int32_t ignore; /* the ignored label, resolved */
    bool has_weights;
    float weight[FAR_CLASS_WEIGHTS_MAX]; /* [K] when has_weights */
} fari_ce_attr;

extern const fari_op
    fari_op_ce_sums; /* REDUCE  logits (channels-last or [N, K]), labels (one channel) -> sums [3, K] */
extern const fari_op fari_op_ce_loss;    /* GLOBAL  sums -> scalar */
extern const fari_op fari_op_ce_loss_dx; /* GLOBAL  sums, d_loss -> d_sums */
extern const fari_op fari_op_ce_dx;      /* MAP     logits, labels, d_sums -> d_logits */
#endif
