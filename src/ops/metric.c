/* Counts for metrics: builders, table rows, reference kernels. */
#include "ops/metric.h"
#include "ops/cost.h"
#include "ops/labels.h"
#include <farandole/loss.h>

static fari_cost metric_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 2.0);
}

/* ---- top-k ---- */

static far_status topk_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                             fari_tensor *out, int32_t *out_count)
{
    const fari_metric_attr *attr = node->attr;
    (void)graph, (void)out_count;
    FAR_TRY(fari_labels_check(node, in[0], in[1]));
    if (attr->top < 1 || attr->top > in[0]->shape.dim[1])
        return fari_shape_error(node, in[0], NULL, "top must be between 1 and the number of classes");
    out[0] = (fari_tensor){ .dtype = FAR_F64, .shape = { .ndim = 1, .dim = { 2 } } };
    return FAR_OK;
}

/* Fewer than `top` classes come before the label: a larger logit, or an equal one of a lower class. A NaN is never right. */
static bool is_in_top(const fari_view *logits, int64_t *idx, int64_t label, int64_t top)
{
    const double own = fari_logit_at(logits, idx, label);
    int64_t before = 0;
    for (int64_t k = 0; k < logits->dim[1]; k++) {
        const double other = fari_logit_at(logits, idx, k);
        before += k != label && (k < label ? !(other < own) : !(other <= own));
    }
    return own == own && before < top;
}

static far_status topk_reference(const fari_call *call)
{
    const fari_metric_attr *attr = call->attr;
    const fari_view *logits = &call->in[0], *out = &call->out[0];
    double right = call->accumulate ? fari_view_get_flat(out, 0) : 0.0,
           counted = call->accumulate ? fari_view_get_flat(out, 1) : 0.0;
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    do {
        const int64_t label = fari_label_at(&call->in[1], idx);
        if (label == attr->ignore) continue;
        if (label < 0 || label >= logits->dim[1]) return fari_label_error(call, label, logits->dim[1]);
        right += is_in_top(logits, idx, label, attr->top);
        counted += 1.0;
    } while (fari_pixel_next(idx, logits));
    fari_view_set_flat(out, 0, right);
    fari_view_set_flat(out, 1, counted);
    return FAR_OK;
}

const fari_op fari_op_topk = {
    .name = "topk",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_metric_attr),
    .infer = topk_infer,
    .cost = metric_cost,
    .reference = topk_reference,
};

/* ---- confusion ---- */

static far_status confusion_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                  fari_tensor *out, int32_t *out_count)
{
    const fari_metric_attr *attr = node->attr;
    const int64_t samples = in[0]->shape.dim[0], classes = in[0]->shape.dim[1];
    (void)graph, (void)out_count;
    FAR_TRY(fari_labels_check(node, in[0], in[1]));
    out[0] = (fari_tensor){ .dtype = FAR_F64 };
    out[0].shape = attr->each ? (far_shape){ .ndim = 3, .dim = { samples, classes, classes } }
                              : (far_shape){ .ndim = 2, .dim = { classes, classes } };
    out[0].batch_of = attr->each ? 1 : 0;
    return FAR_OK;
}

static int64_t prediction_at(const fari_view *logits, int64_t *idx)
{
    int64_t best = 0;
    for (int64_t k = 1; k < logits->dim[1]; k++)
        if (fari_logit_at(logits, idx, k) > fari_logit_at(logits, idx, best)) best = k;
    return best;
}

static far_status confusion_reference(const fari_call *call)
{
    const fari_metric_attr *attr = call->attr;
    const fari_view *logits = &call->in[0], *counts = &call->out[0];
    const int64_t classes = logits->dim[1], all = fari_view_elems(counts);
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    for (int64_t k = 0; k < all && !call->accumulate; k++) fari_view_set_flat(counts, k, 0.0);
    do {
        const int64_t label = fari_label_at(&call->in[1], idx);
        if (label == attr->ignore) continue;
        if (label < 0 || label >= classes) return fari_label_error(call, label, classes);
        const int64_t at = ((attr->each ? idx[0] : 0) * classes + label) * classes + prediction_at(logits, idx);
        fari_view_set_flat(counts, at, fari_view_get_flat(counts, at) + 1.0);
    } while (fari_pixel_next(idx, logits));
    return FAR_OK;
}

const fari_op fari_op_confusion = {
    .name = "confusion",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_metric_attr),
    .infer = confusion_infer,
    .cost = metric_cost,
    .reference = confusion_reference,
};

/* ---- builders ---- */

static far_value build(far_graph *graph, const fari_op *op, const char *name, far_value logits, far_value labels,
                       int64_t top, bool each, const far_metric_opts *opts)
{
    const fari_metric_attr attr = { top, opts != NULL && opts->use_ignore_label ? opts->ignore_label : FAR_IGNORE_LABEL,
                                    each };
    const far_value in[] = { fari_labels_logits(graph, logits), labels };
    return fari_emit(graph, op, name, &attr, 2, in);
}

far_value far_metric_topk(far_graph *graph, const char *name, far_value logits, far_value labels, int64_t top,
                          const far_metric_opts *opts)
{
    return build(graph, &fari_op_topk, name, logits, labels, top, false, opts);
}

far_value far_metric_confusion(far_graph *graph, const char *name, far_value logits, far_value labels,
                               const far_metric_opts *opts)
{
    return build(graph, &fari_op_confusion, name, logits, labels, 0, false, opts);
}

far_value far_metric_confusion_each(far_graph *graph, const char *name, far_value logits, far_value labels,
                                    const far_metric_opts *opts)
{
    return build(graph, &fari_op_confusion, name, logits, labels, 0, true, opts);
}
