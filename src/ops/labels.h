/* What losses and metrics over class labels share: logits [N, K] or [N, K, spatial] with labels [N] or [N, 1, spatial]. */
#ifndef FARI_OPS_LABELS_H
#define FARI_OPS_LABELS_H
#include "graph/graph.h"

/* Checks logits (input 0) against labels (input 1). */
far_status fari_labels_check(const fari_node *node, const fari_tensor *logits, const fari_tensor *labels);
/* Logits as such ops want them: channels-last. Labels need no order: one channel. Gives FAR_NO_VALUE as it came. */
far_value fari_labels_logits(far_graph *graph, far_value logits);

/* The label of the pixel at idx of the logits; channel ignored. */
static inline int64_t fari_label_at(const fari_view *labels, const int64_t *idx)
{
    int64_t at[FAR_NDIM_MAX];
    for (int32_t i = 0; i < labels->ndim; i++) at[i] = i == 1 ? 0 : idx[i];
    return (int64_t)fari_view_get(labels, at);
}

/* The logit of class k at the pixel idx, whose channel is 0 before and after. */
static inline double fari_logit_at(const fari_view *logits, int64_t *idx, int64_t k)
{
    idx[1] = k;
    const double value = fari_view_get(logits, idx);
    idx[1] = 0;
    return value;
}

/* Three sums over pixels for each class, [3, K] in double: what losses are made of. */
static inline fari_tensor fari_class_sums(const fari_tensor *logits)
{
    return (fari_tensor){ .dtype = FAR_F64, .shape = { .ndim = 2, .dim = { 3, logits->shape.dim[1] } } };
}

static inline void fari_class_sums_add(const fari_view *sums, int64_t row, int64_t k, double value)
{
    const int64_t at = row * sums->dim[1] + k;
    fari_view_set_flat(sums, at, fari_view_get_flat(sums, at) + value);
}

/* A label outside [0, classes): words the error. */
far_status fari_label_error(const fari_call *call, int64_t label, int64_t classes);

/* Steps idx over the pixels of a view: all axes but the channels, whose index stays 0. */
static inline bool fari_pixel_next(int64_t *idx, const fari_view *view)
{
    int64_t dim[FAR_NDIM_MAX];
    for (int32_t i = 0; i < view->ndim; i++) dim[i] = i == 1 ? 1 : view->dim[i];
    return fari_idx_next(idx, dim, view->ndim);
}
#endif
