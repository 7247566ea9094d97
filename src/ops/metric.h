/* Counts for metrics: f64 whole numbers. Logits channels-last or [N, K], labels of one channel. No gradient. */
#ifndef FARI_OPS_METRIC_H
#define FARI_OPS_METRIC_H
#include "graph/op.h"
#include <farandole/metric.h>

typedef struct fari_metric_attr {
    int64_t top;    /* top-k: k */
    int32_t ignore; /* the ignored label, resolved */
    bool each;      /* confusion: [N, K, K] with batch_of 1, else [K, K] with batch_of 0 */
} fari_metric_attr;

extern const fari_op fari_op_topk;      /* REDUCE  logits, labels -> [2]: right, counted */
extern const fari_op fari_op_confusion; /* REDUCE  logits, labels -> [K, K] or [N, K, K]: (label, prediction) */
#endif
