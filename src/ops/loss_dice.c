/* Soft Dice: builder, table rows, reference kernels. */
#include "ops/loss_dice.h"
#include "ops/cost.h"
#include "ops/labels.h"
#include <math.h>

#define SMOOTH_DEFAULT 1e-5

/* One channel of logits is a sigmoid against labels 0 and 1. */
static int64_t label_count(int64_t channels)
{
    return channels == 1 ? 2 : channels;
}

/* The softmax's maximum and sum at a pixel; for one channel (0 and 1 + exp(-x)) such that prob_at gives the sigmoid. */
typedef struct soft {
    double top, sum;
} soft;

static soft soft_at(const fari_view *logits, int64_t *idx)
{
    soft s = { -INFINITY, 0.0 };
    for (int64_t k = 0; k < logits->dim[1]; k++) s.top = fmax(s.top, fari_logit_at(logits, idx, k));
    for (int64_t k = 0; k < logits->dim[1]; k++) s.sum += exp(fari_logit_at(logits, idx, k) - s.top);
    return s;
}

static double prob_at(const fari_view *logits, int64_t *idx, const soft *s, int64_t k)
{
    if (logits->dim[1] == 1) return 1.0 / (1.0 + exp(-fari_logit_at(logits, idx, 0)));
    return exp(fari_logit_at(logits, idx, k) - s->top) / s->sum;
}

static double one_hot(int64_t channels, int64_t label, int64_t k)
{
    return channels == 1 ? (double)label : (double)(label == k);
}

/* ---- sums over pixels ---- */

static far_status sums_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                             fari_tensor *out, int32_t *out_count)
{
    const fari_dice_attr *attr = node->attr;
    (void)graph, (void)out_count;
    FAR_TRY(fari_labels_check(node, in[0], in[1]));
    if (attr->skip_background && in[0]->shape.dim[1] < 2)
        return fari_shape_error(node, in[0], NULL, "leaving out the background needs two classes or more");
    out[0] = fari_class_sums(in[0]);
    return FAR_OK;
}

static far_status sums_gradient(fari_grad *grad)
{
    const far_value in[] = { grad->in[0], grad->in[1], grad->d_out[0] };
    if (grad->need[0])
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_dice_dx, grad->node->name, grad->node->attr, 3, in);
    return FAR_OK;
}

static far_status sums_reference(const fari_call *call)
{
    const fari_dice_attr *attr = call->attr;
    const fari_view *logits = &call->in[0], *sums = &call->out[0];
    const int64_t channels = logits->dim[1];
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    for (int64_t k = 0; k < 3 * channels && !call->accumulate; k++) fari_view_set_flat(sums, k, 0.0);
    do {
        const int64_t label = fari_label_at(&call->in[1], idx);
        if (label == attr->ignore) continue;
        if (label < 0 || label >= label_count(channels)) return fari_label_error(call, label, label_count(channels));
        const soft s = soft_at(logits, idx);
        for (int64_t k = 0; k < channels; k++) {
            const double p = prob_at(logits, idx, &s, k), g = one_hot(channels, label, k);
            fari_class_sums_add(sums, 0, k, p * g);
            fari_class_sums_add(sums, 1, k, attr->square ? p * p : p);
            fari_class_sums_add(sums, 2, k, g);
        }
    } while (fari_pixel_next(idx, logits));
    return FAR_OK;
}

static fari_cost sums_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 20.0);
}

const fari_op fari_op_dice_sums = {
    .name = "dice_sums",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_dice_attr),
    .infer = sums_infer,
    .gradient = sums_gradient,
    .cost = sums_cost,
    .reference = sums_reference,
};

/* ---- from sums to the loss ---- */

static far_status loss_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                             fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)node, (void)in, (void)out_count;
    out[0].shape = (far_shape){ 0 };
    return FAR_OK;
}

static far_status loss_gradient(fari_grad *grad)
{
    const far_value in[] = { grad->in[0], grad->d_out[0] };
    if (grad->need[0])
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_dice_loss_dx, grad->node->name, grad->node->attr, 2, in);
    return FAR_OK;
}

static far_status loss_reference(const fari_call *call)
{
    const fari_dice_attr *attr = call->attr;
    const fari_view *sums = &call->in[0];
    const int64_t channels = sums->dim[1], first = attr->skip_background ? 1 : 0;
    double total = 0.0;
    for (int64_t k = first; k < channels; k++) {
        const double both = fari_view_get_flat(sums, k);
        const double each = fari_view_get_flat(sums, channels + k) + fari_view_get_flat(sums, 2 * channels + k);
        total += (2.0 * both + attr->smooth) / (each + attr->smooth);
    }
    fari_view_set_flat(&call->out[0], 0, attr->scale * (1.0 - total / (double)(channels - first)));
    return FAR_OK;
}

const fari_op fari_op_dice_loss = {
    .name = "dice_loss",
    .kind = FARI_GLOBAL,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_dice_attr),
    .infer = loss_infer,
    .gradient = loss_gradient,
    .reference = loss_reference,
};

static far_status loss_dx_reference(const fari_call *call)
{
    const fari_dice_attr *attr = call->attr;
    const fari_view *sums = &call->in[0], *d_sums = &call->out[0];
    const int64_t channels = sums->dim[1], first = attr->skip_background ? 1 : 0;
    const double by = -attr->scale * fari_view_get_flat(&call->in[1], 0) / (double)(channels - first);
    for (int64_t k = 0; k < channels; k++) {
        const double top = 2.0 * fari_view_get_flat(sums, k) + attr->smooth;
        const double below =
            fari_view_get_flat(sums, channels + k) + fari_view_get_flat(sums, 2 * channels + k) + attr->smooth;
        const bool counts = k >= first;
        fari_view_set_flat(d_sums, k, counts ? by * 2.0 / below : 0.0);
        fari_view_set_flat(d_sums, channels + k, counts ? -by * top / (below * below) : 0.0);
        fari_view_set_flat(d_sums, 2 * channels + k, 0.0); /* labels are constants */
    }
    return FAR_OK;
}

const fari_op fari_op_dice_loss_dx = {
    .name = "dice_loss_dx",
    .kind = FARI_GLOBAL,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_dice_attr),
    .reference = loss_dx_reference,
};

/* ---- gradient of the logits ---- */

static double d_prob_at(const fari_dice_attr *attr, const fari_view *d_sums, int64_t channels, int64_t label, int64_t k,
                        double p)
{
    const double d_both = fari_view_get_flat(d_sums, k), d_each = fari_view_get_flat(d_sums, channels + k);
    return d_both * one_hot(channels, label, k) + d_each * (attr->square ? 2.0 * p : 1.0);
}

/* d x_k = p_k (v_k - sum_j p_j v_j) with v = d loss / d p; for the sigmoid p (1 - p) v. */
static far_status dx_reference(const fari_call *call)
{
    const fari_dice_attr *attr = call->attr;
    const fari_view *logits = &call->in[0], *d_sums = &call->in[2];
    const int64_t channels = logits->dim[1];
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    do {
        const int64_t label = fari_label_at(&call->in[1], idx);
        const bool is_ignored = label == attr->ignore;
        const soft s = soft_at(logits, idx);
        double mean = 0.0;
        if (!is_ignored && (label < 0 || label >= label_count(channels)))
            return fari_label_error(call, label, label_count(channels));
        for (int64_t k = 0; k < channels; k++) {
            const double p = prob_at(logits, idx, &s, k), v = d_prob_at(attr, d_sums, channels, label, k, p);
            mean += p * v; /* with one channel p v (1 - p) is p (v - p v) as well */
        }
        for (int64_t k = 0; k < channels; k++) {
            const double p = prob_at(logits, idx, &s, k), v = d_prob_at(attr, d_sums, channels, label, k, p);
            idx[1] = k;
            fari_view_set(&call->out[0], idx, is_ignored ? 0.0 : p * (v - mean));
            idx[1] = 0;
        }
    } while (fari_pixel_next(idx, logits));
    return FAR_OK;
}

const fari_op fari_op_dice_dx = {
    .name = "dice_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_dice_attr),
    .cost = sums_cost,
    .reference = dx_reference,
};

far_value far_dice_loss(far_graph *graph, const char *name, far_value logits, far_value labels,
                        const far_dice_opts *opts)
{
    static const far_dice_opts defaults;
    if (opts == NULL) opts = &defaults;
    const fari_dice_attr attr = {
        .smooth = opts->smooth == 0.0 ? SMOOTH_DEFAULT : opts->smooth,
        .scale = opts->scale == 0.0 ? 1.0 : opts->scale,
        .ignore = opts->use_ignore_label ? opts->ignore_label : FAR_IGNORE_LABEL,
        .square = opts->square,
        .skip_background = opts->skip_background,
    };
    if (!(attr.smooth > 0.0))
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_ARG, "dice '%s': smooth %g is negative", name, attr.smooth));
    const far_value in[] = { fari_labels_logits(graph, logits), labels };
    const far_value sums = fari_emit(graph, &fari_op_dice_sums, name, &attr, 2, in);
    return fari_emit(graph, &fari_op_dice_loss, name, &attr, 1, &sums);
}
