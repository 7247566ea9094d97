/* Cross-entropy and focal loss: builders, table rows, reference kernels. */
#include "ops/loss_ce.h"
#include "ops/cost.h"
#include "ops/labels.h"
#include <math.h>

/* ---- the loss of one pixel ---- */

typedef struct pixel {
    int64_t label;
    double weight; /* w: the class weight of the label times the focal factor */
    double ce;     /* -sum_k q_k log p_k, class weights and smoothing within, divided by nothing */
    double focal;  /* (1 - p_label)^gamma */
    double top, log_sum;
} pixel;

static double class_weight(const fari_ce_attr *attr, int64_t k)
{
    return attr->has_weights ? (double)attr->weight[k] : 1.0;
}

/* Target of class k before division: (1 - s) w_t on the label, s w_k / K on all (PyTorch's cross_entropy_loss_label_smoothing). */
static double target(const fari_ce_attr *attr, int64_t label, int64_t k, int64_t classes)
{
    const double even = attr->smoothing / (double)classes * class_weight(attr, k);
    return k == label ? (1.0 - attr->smoothing) * class_weight(attr, k) + even : even;
}

/* Sigmoid and square: target of class k, and one class's term and its slope. */
static double plain_target(const fari_ce_attr *attr, int64_t label, int64_t k, int64_t classes)
{
    return (k == label ? 1.0 - attr->smoothing : 0.0) + attr->smoothing / (double)classes;
}

static double each_term(const fari_ce_attr *attr, double x, double t)
{
    if (attr->kind == FAR_CLASS_SQUARE) return (x - t) * (x - t);
    return fmax(x, 0.0) - x * t + log1p(exp(-fabs(x)));
}

static double each_slope(const fari_ce_attr *attr, double x, double t)
{
    return attr->kind == FAR_CLASS_SQUARE ? 2.0 * (x - t) : 1.0 / (1.0 + exp(-x)) - t;
}

static pixel each_pixel_at(const fari_ce_attr *attr, const fari_view *logits, int64_t *idx, int64_t label)
{
    const int64_t classes = logits->dim[1];
    pixel p = { .label = label, .weight = class_weight(attr, label), .focal = 1.0 };
    for (int64_t k = 0; k < classes; k++)
        p.ce += each_term(attr, fari_logit_at(logits, idx, k), plain_target(attr, label, k, classes));
    p.ce *= p.weight / (double)classes;
    return p;
}

static pixel pixel_at(const fari_ce_attr *attr, const fari_view *logits, int64_t *idx, int64_t label)
{
    if (attr->kind != FAR_CLASS_SOFTMAX) return each_pixel_at(attr, logits, idx, label);
    const int64_t classes = logits->dim[1];
    pixel p = { .label = label, .top = -INFINITY };
    double sum = 0.0;
    for (int64_t k = 0; k < classes; k++) p.top = fmax(p.top, fari_logit_at(logits, idx, k));
    for (int64_t k = 0; k < classes; k++) sum += exp(fari_logit_at(logits, idx, k) - p.top);
    p.log_sum = log(sum);
    for (int64_t k = 0; k < classes; k++)
        p.ce += target(attr, label, k, classes) * (p.log_sum - (fari_logit_at(logits, idx, k) - p.top));
    p.focal = attr->focal_gamma > 0.0
                  ? pow(1.0 - exp(fari_logit_at(logits, idx, label) - p.top - p.log_sum), attr->focal_gamma)
                  : 1.0;
    p.weight = p.focal * class_weight(attr, label);
    return p;
}

/* ---- sums over pixels ---- */

static far_status sums_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                             fari_tensor *out, int32_t *out_count)
{
    const fari_ce_attr *attr = node->attr;
    (void)graph, (void)out_count;
    FAR_TRY(fari_labels_check(node, in[0], in[1]));
    if (attr->has_weights && in[0]->shape.dim[1] > FAR_CLASS_WEIGHTS_MAX)
        return fari_shape_error(node, in[0], NULL, "class weights are given for at most 1024 classes");
    out[0] = fari_class_sums(in[0]);
    return FAR_OK;
}

static far_status sums_gradient(fari_grad *grad)
{
    const far_value in[] = { grad->in[0], grad->in[1], grad->d_out[0] };
    if (grad->need[0])
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_ce_dx, grad->node->name, grad->node->attr, 3, in);
    return FAR_OK;
}

static far_status sums_reference(const fari_call *call)
{
    const fari_ce_attr *attr = call->attr;
    const fari_view *logits = &call->in[0], *sums = &call->out[0];
    const int64_t classes = logits->dim[1];
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    for (int64_t k = 0; k < 3 * classes && !call->accumulate; k++) fari_view_set_flat(sums, k, 0.0);
    do {
        const int64_t label = fari_label_at(&call->in[1], idx);
        if (label == attr->ignore) continue;
        if (label < 0 || label >= classes) return fari_label_error(call, label, classes);
        const pixel p = pixel_at(attr, logits, idx, label);
        fari_class_sums_add(sums, 0, label, p.focal * p.ce);
        fari_class_sums_add(sums, 1, label, p.weight);
        fari_class_sums_add(sums, 2, label, 1.0);
    } while (fari_pixel_next(idx, logits));
    return FAR_OK;
}

static fari_cost sums_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 20.0);
}

const fari_op fari_op_ce_sums = {
    .name = "ce_sums",
    .kind = FARI_REDUCE,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_ce_attr),
    .infer = sums_infer,
    .gradient = sums_gradient,
    .cost = sums_cost,
    .reference = sums_reference,
};

/* ---- from sums to the loss ---- */

/* What class k's pixels are multiplied by, beside their weight w. */
static double balance(const fari_ce_attr *attr, const fari_view *sums, int64_t k)
{
    const int64_t classes = sums->dim[1];
    return attr->norm == FAR_CE_BALANCED ? 1.0 / ((double)classes * (fari_view_get_flat(sums, 2 * classes + k) + 1.0))
                                         : 1.0;
}

static double divisor(const fari_ce_attr *attr, const fari_view *sums)
{
    const int64_t classes = sums->dim[1];
    double weights = 0.0, pixels = 0.0;
    if (attr->norm == FAR_CE_SUM) return 1.0;
    for (int64_t k = 0; k < classes; k++) {
        weights += balance(attr, sums, k) * fari_view_get_flat(sums, classes + k);
        pixels += fari_view_get_flat(sums, 2 * classes + k);
    }
    return attr->norm == FAR_CE_PIXELS ? (double)classes * pixels : weights;
}

/* Factor of row 0's element k in the loss; 0 where nothing was counted. */
static double factor(const fari_ce_attr *attr, const fari_view *sums, int64_t k)
{
    const double by = divisor(attr, sums);
    return by > 0.0 ? attr->scale * balance(attr, sums, k) / by : 0.0;
}

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
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_ce_loss_dx, grad->node->name, grad->node->attr, 2, in);
    return FAR_OK;
}

static far_status loss_reference(const fari_call *call)
{
    const fari_view *sums = &call->in[0];
    double loss = 0.0;
    for (int64_t k = 0; k < sums->dim[1]; k++) loss += factor(call->attr, sums, k) * fari_view_get_flat(sums, k);
    fari_view_set_flat(&call->out[0], 0, loss);
    return FAR_OK;
}

const fari_op fari_op_ce_loss = {
    .name = "ce_loss",
    .kind = FARI_GLOBAL,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_ce_attr),
    .infer = loss_infer,
    .gradient = loss_gradient,
    .reference = loss_reference,
};

/* Weights and counts are constants to the gradient. */
static far_status loss_dx_reference(const fari_call *call)
{
    const fari_view *sums = &call->in[0];
    const int64_t classes = sums->dim[1];
    const double d_loss = fari_view_get_flat(&call->in[1], 0);
    for (int64_t k = 0; k < classes; k++) {
        fari_view_set_flat(&call->out[0], k, d_loss * factor(call->attr, sums, k));
        fari_view_set_flat(&call->out[0], classes + k, 0.0);
        fari_view_set_flat(&call->out[0], 2 * classes + k, 0.0);
    }
    return FAR_OK;
}

const fari_op fari_op_ce_loss_dx = {
    .name = "ce_loss_dx",
    .kind = FARI_GLOBAL,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_ce_attr),
    .reference = loss_dx_reference,
};

/* ---- gradient of the logits ---- */

/* d ce / d x_k = p_k sum_j q_j - q_k, for sigmoid and square the slope of one class. */
static double pixel_slope(const fari_ce_attr *attr, const pixel *p, double x, int64_t k, double targets,
                          int64_t classes)
{
    if (attr->kind != FAR_CLASS_SOFTMAX)
        return p->weight / (double)classes * each_slope(attr, x, plain_target(attr, p->label, k, classes));
    return exp(x - p->top - p->log_sum) * targets - target(attr, p->label, k, classes);
}

/* Times the focal factor (detached) and what the label's sum is multiplied by. */
static far_status dx_reference(const fari_call *call)
{
    const fari_ce_attr *attr = call->attr;
    const fari_view *logits = &call->in[0], *d_sums = &call->in[2];
    const int64_t classes = logits->dim[1];
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    do {
        const int64_t label = fari_label_at(&call->in[1], idx);
        const bool is_ignored = label == attr->ignore;
        if (!is_ignored && (label < 0 || label >= classes)) return fari_label_error(call, label, classes);
        const pixel p = pixel_at(attr, logits, idx, is_ignored ? 0 : label);
        const double by = is_ignored ? 0.0 : p.focal * fari_view_get_flat(d_sums, label);
        double targets = 0.0;
        for (int64_t k = 0; k < classes; k++) targets += target(attr, p.label, k, classes);
        for (int64_t k = 0; k < classes; k++) {
            const double d =
                is_ignored ? 0.0 : by * pixel_slope(attr, &p, fari_logit_at(logits, idx, k), k, targets, classes);
            idx[1] = k;
            fari_view_set(&call->out[0], idx, d);
            idx[1] = 0;
        }
    } while (fari_pixel_next(idx, logits));
    return FAR_OK;
}

const fari_op fari_op_ce_dx = {
    .name = "ce_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_ce_attr),
    .cost = sums_cost,
    .reference = dx_reference,
};

/* ---- builders ---- */

static far_status read_opts(const char *name, const far_ce_opts *opts, int64_t classes, fari_ce_attr *attr)
{
    *attr = (fari_ce_attr){
        .kind = opts->kind,
        .smoothing = opts->label_smoothing,
        .focal_gamma = opts->focal_gamma,
        .scale = opts->scale == 0.0 ? 1.0 : opts->scale,
        .norm = opts->norm,
        .ignore = opts->use_ignore_label ? opts->ignore_label : FAR_IGNORE_LABEL,
        .has_weights = opts->class_weight != NULL,
    };
    if (!(attr->smoothing >= 0.0 && attr->smoothing < 1.0))
        return FAR_FAIL(FAR_E_ARG, "cross-entropy '%s': label smoothing %g is outside [0, 1)", name, attr->smoothing);
    if (!(attr->focal_gamma >= 0.0))
        return FAR_FAIL(FAR_E_ARG, "cross-entropy '%s': gamma %g is negative", name, attr->focal_gamma);
    if ((unsigned)attr->kind >= FAR_CLASS_LOSS_COUNT)
        return FAR_FAIL(FAR_E_ARG, "cross-entropy '%s': unknown kind %d", name, (int)attr->kind);
    if (attr->kind != FAR_CLASS_SOFTMAX && attr->focal_gamma > 0.0)
        return FAR_FAIL(FAR_E_ARG, "cross-entropy '%s': the focal loss goes with softmax only", name);
    if ((unsigned)attr->norm >= FAR_CE_NORM_COUNT)
        return FAR_FAIL(FAR_E_ARG, "cross-entropy '%s': unknown norm %d", name, (int)attr->norm);
    for (int64_t k = 0; attr->has_weights && k < classes && k < FAR_CLASS_WEIGHTS_MAX; k++) {
        attr->weight[k] = (float)opts->class_weight[k];
        if (!(attr->weight[k] >= 0.0f))
            return FAR_FAIL(FAR_E_ARG, "cross-entropy '%s': weight %g of class %d is negative", name,
                            opts->class_weight[k], (int)k);
    }
    return FAR_OK;
}

far_value far_cross_entropy(far_graph *graph, const char *name, far_value logits, far_value labels,
                            const far_ce_opts *opts)
{
    static const far_ce_opts defaults;
    fari_ce_attr attr;
    const far_status st =
        read_opts(name, opts == NULL ? &defaults : opts, far_graph_shape(graph, logits).dim[1], &attr);
    if (st != FAR_OK) return fari_graph_fail(graph, st);
    const far_value in[] = { fari_labels_logits(graph, logits), labels };
    const far_value sums = fari_emit(graph, &fari_op_ce_sums, name, &attr, 2, in);
    return fari_emit(graph, &fari_op_ce_loss, name, &attr, 1, &sums);
}

far_value far_focal_loss(far_graph *graph, const char *name, far_value logits, far_value labels,
                         const far_ce_opts *opts)
{
    far_ce_opts focal = opts == NULL ? (far_ce_opts){ 0 } : *opts;
    if (focal.focal_gamma == 0.0) focal.focal_gamma = 2.0;
    return far_cross_entropy(graph, name, logits, labels, &focal);
}
