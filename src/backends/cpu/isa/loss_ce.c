/* Cross-entropy and focal loss: ce_sums and ce_dx of src/ops/loss_ce.h, logits f32, channels-last or [N, K].
   Up to 32 classes: blocks of 64 pixels, vectors across pixels. More: along each pixel's classes, sums in double. */
#include "ops/loss_ce.h"
#include "backends/cpu/isa/kernels_norm.h"
#include "backends/cpu/isa/lanes.h"
#include "backends/cpu/isa/loss_each.h"
#include "backends/cpu/isa/pixel_labels.h"
#include "backends/cpu/isa/vec_math.h"
#include <string.h>

#define WAYS 8 /* accumulators of a class, taken in turn, so that equal labels in a row do not wait for each other */

/* What smoothing and class weights come to; target of class k: q_k = even w_k, and q_t = sharp w_t + even w_t on the label. */
typedef struct targets {
    float sharp, even; /* 1 - s and s / K */
    float weight_sum;
    bool is_smooth;
} targets;

static float class_weight(const fari_ce_attr *attr, int64_t k)
{
    return attr->has_weights ? attr->weight[k] : 1.0f;
}

static targets targets_of(const fari_ce_attr *attr, int64_t classes)
{
    targets t = { (float)(1.0 - attr->smoothing), (float)(attr->smoothing / (double)classes), 0.0f,
                  attr->smoothing > 0.0 };
    double sum = 0.0;
    for (int64_t k = 0; k < classes; k++) sum += (double)class_weight(attr, k);
    t.weight_sum = (float)sum;
    return t;
}

/* (1 - p)^gamma from 1 - p. */
FARI_INLINE float focal_square(float wrong)
{
    return wrong * wrong;
}

FARI_INLINE float focal_power(float wrong, float gamma)
{
    const float power = vec_exp(gamma * vec_log(wrong));
    return wrong > 0.0f ? power : wrong; /* 0 stays 0, NaN stays NaN */
}

static float focal_of(float wrong, float gamma)
{
    return gamma == 2.0f ? focal_square(wrong) : focal_power(wrong, gamma);
}

/* ---- few classes ---- */

/* A block of pixels. After ce_block: v holds exp(x - top). */
typedef struct ce_pixels {
    block b;
    int32_t label[BLOCK];
    float weight[BLOCK]; /* of the label */
    float sum[BLOCK];    /* of v */
    float ce[BLOCK];
    float others[BLOCK]; /* sum of v but the label's: 1 - p times sum, without cancellation */
    float focal[BLOCK];  /* the weight, 1 without focal */
} ce_pixels;

static far_status ce_block(ce_pixels *px, const fari_call *call, int64_t pixel, int64_t n, int64_t classes,
                           const targets *t)
{
    const fari_ce_attr *attr = call->attr;
    const float gamma = (float)attr->focal_gamma, weight_sum = t->weight_sum, sharp = t->sharp, smooth = t->even;
    float top[BLOCK], rest[BLOCK], own[BLOCK], even[BLOCK];
    int32_t which[BLOCK];
    FAR_TRY(labels_read(call, pixel, n, classes, attr->ignore, px->label));
    block_read(&px->b, (const float *)call->in[0].data + pixel * classes, n, classes);
    if (attr->has_weights)
        for (int j = 0; j < BLOCK; j++) px->weight[j] = attr->weight[px->label[j] < 0 ? 0 : px->label[j]];
    else
        for (int j = 0; j < BLOCK; j++) px->weight[j] = 1.0f;
    for (int j = 0; j < BLOCK; j++) {
        top[j] = px->b.v[0][j];
        which[j] = 0;
        rest[j] = own[j] = even[j] = px->others[j] = 0.0f;
    }
    for (int32_t k = 1; k < classes; k++)
        for (int j = 0; j < BLOCK; j++) {
            const bool is_larger = px->b.v[k][j] > top[j];
            top[j] = is_larger ? px->b.v[k][j] : top[j];
            which[j] = is_larger ? k : which[j];
        }
    for (int32_t k = 0; k < classes; k++) {
        const float w = class_weight(attr, k);
        float *restrict v = px->b.v[k];
        for (int j = 0; j < BLOCK; j++) {
            const float shifted = v[j] - top[j], e = vec_exp(shifted);
            const bool is_own = px->label[j] == k;
            v[j] = e;
            rest[j] += which[j] == k ? 0.0f : e;
            own[j] += is_own ? shifted : 0.0f;
            px->others[j] += is_own ? 0.0f : e;
            even[j] += w * shifted;
        }
    }
    for (int j = 0; j < BLOCK; j++) {
        const float log_sum = vec_log1p(rest[j]); /* the largest is 1: exact where it stands nearly alone */
        px->sum[j] = 1.0f + rest[j];
        px->ce[j] = px->weight[j] * (log_sum - own[j]);
        even[j] = weight_sum * log_sum - even[j];
        px->focal[j] = 1.0f;
    }
    if (t->is_smooth)
        for (int j = 0; j < BLOCK; j++) px->ce[j] = sharp * px->ce[j] + smooth * even[j];
    if (gamma == 2.0f)
        for (int j = 0; j < BLOCK; j++) px->focal[j] = focal_square(px->others[j] / px->sum[j]);
    else if (gamma > 0.0f)
        for (int j = 0; j < BLOCK; j++) px->focal[j] = focal_power(px->others[j] / px->sum[j], gamma);
    return FAR_OK;
}

typedef struct class_lanes {
    double loss[WAYS], weight[WAYS];
    int64_t pixels;
} class_lanes;

static far_status sums_few(const fari_call *call, int64_t classes, const targets *t)
{
    class_lanes lanes[BLOCK_CLASSES];
    ce_pixels px;
    const int64_t pixels = label_pixels(&call->in[0]);
    double *sums = call->out[0].data;
    memset(lanes, 0, (size_t)classes * sizeof lanes[0]);
    for (int64_t p = 0; p < pixels; p += BLOCK) {
        FAR_TRY(ce_block(&px, call, p, pixels - p < BLOCK ? pixels - p : BLOCK, classes, t));
        for (int j = 0; j < BLOCK; j++) {
            if (px.label[j] < 0) continue;
            class_lanes *of = &lanes[px.label[j]];
            of->loss[j % WAYS] += (double)(px.focal[j] * px.ce[j]);
            of->weight[j % WAYS] += (double)(px.focal[j] * px.weight[j]);
            of->pixels++;
        }
    }
    for (int64_t k = 0; k < classes; k++)
        for (int way = 0; way < WAYS; way++) {
            sums[k] += lanes[k].loss[way];
            sums[classes + k] += lanes[k].weight[way];
            sums[2 * classes + k] += way == 0 ? (double)lanes[k].pixels : 0.0;
        }
    return FAR_OK;
}

/* d x_k = by (p_k T - q_k), T the sum of the targets; on the label (T - q_t) - (1 - p_t) T. */
static far_status dx_few(const fari_call *call, int64_t classes, const targets *t)
{
    const fari_ce_attr *attr = call->attr;
    ce_pixels px;
    float by[BLOCK], total[BLOCK], excess[BLOCK];
    const float weight_sum = t->weight_sum, sharp = t->sharp, smooth = t->even;
    const int64_t pixels = label_pixels(&call->in[0]);
    const double *d_sums = call->in[2].data;
    for (int64_t p = 0; p < pixels; p += BLOCK) {
        const int64_t n = pixels - p < BLOCK ? pixels - p : BLOCK;
        FAR_TRY(ce_block(&px, call, p, n, classes, t));
        for (int j = 0; j < BLOCK; j++) {
            by[j] = px.label[j] < 0 ? 0.0f : px.focal[j] * (float)d_sums[px.label[j]];
            total[j] = sharp * px.weight[j] + smooth * weight_sum;
            excess[j] = smooth * (weight_sum - px.weight[j]);
            px.sum[j] = 1.0f / px.sum[j];
        }
        for (int32_t k = 0; k < classes; k++) {
            const float even = smooth * class_weight(attr, k);
            for (int j = 0; j < BLOCK; j++) {
                const float on = excess[j] - total[j] * (px.others[j] * px.sum[j]),
                            off = total[j] * (px.b.v[k][j] * px.sum[j]) - even;
                const float d = by[j] * (px.label[j] == k ? on : off);
                px.b.v[k][j] = px.label[j] < 0 ? 0.0f : d; /* 0 even where a NaN lies below */
            }
        }
        block_write(&px.b, (float *)call->out[0].data + p * classes, n, classes);
    }
    return FAR_OK;
}

/* ---- many classes ---- */

typedef struct ce_line {
    float top, focal, weight;
    double sum, others, ce; /* sums of exp(x - top): of all, of all but the label */
} ce_line;

static ce_line line_of(const fari_ce_attr *attr, const float *restrict x, int64_t classes, int64_t label,
                       const targets *t)
{
    ce_line l = { .top = block_line_top(x, classes), .focal = 1.0f, .weight = class_weight(attr, label) };
    const float top = l.top, own = x[label] - top;
    LANES_SUM(l.sum, classes, (double)vec_exp(x[i] - top));
    l.others = l.sum - (double)vec_exp(own);
    const double log_sum = (double)vec_log1p((float)(l.sum - 1.0)); /* the largest is 1 */
    l.ce = (double)l.weight * (log_sum - (double)own);
    if (t->is_smooth) {
        double even;
        if (attr->has_weights) {
            const float *restrict weight = attr->weight;
            LANES_SUM(even, classes, (double)(weight[i] * (x[i] - top)));
        } else {
            LANES_SUM(even, classes, (double)(x[i] - top));
        }
        l.ce = (double)t->sharp * l.ce + (double)t->even * ((double)t->weight_sum * log_sum - even);
    }
    if (attr->focal_gamma > 0.0) l.focal = focal_of((float)(l.others / l.sum), (float)attr->focal_gamma);
    return l;
}

static far_status sums_many(const fari_call *call, int64_t classes, const targets *t)
{
    const fari_ce_attr *attr = call->attr;
    const int64_t pixels = label_pixels(&call->in[0]);
    double *sums = call->out[0].data;
    for (int64_t p = 0; p < pixels; p++) {
        const int64_t label = label_of(&call->in[1], p);
        if (label == attr->ignore) continue;
        if (label < 0 || label >= classes) return fari_label_error(call, label, classes);
        const ce_line l = line_of(attr, (const float *)call->in[0].data + p * classes, classes, label, t);
        sums[label] += (double)l.focal * l.ce;
        sums[classes + label] += (double)l.focal * (double)l.weight;
        sums[2 * classes + label] += 1.0;
    }
    return FAR_OK;
}

static far_status dx_many(const fari_call *call, int64_t classes, const targets *t)
{
    const fari_ce_attr *attr = call->attr;
    const int64_t pixels = label_pixels(&call->in[0]);
    const double *d_sums = call->in[2].data;
    for (int64_t p = 0; p < pixels; p++) {
        const int64_t label = label_of(&call->in[1], p);
        const float *restrict x = (const float *)call->in[0].data + p * classes;
        float *restrict dx = (float *)call->out[0].data + p * classes;
        if (label == attr->ignore) {
            memset(dx, 0, (size_t)classes * sizeof *dx);
            continue;
        }
        if (label < 0 || label >= classes) return fari_label_error(call, label, classes);
        const ce_line l = line_of(attr, x, classes, label, t);
        const float by = l.focal * (float)d_sums[label], total = t->sharp * l.weight + t->even * t->weight_sum,
                    top = l.top;
        const float scaled = total * (float)(1.0 / l.sum);
        if (t->is_smooth && attr->has_weights) {
            const float *restrict weight = attr->weight;
            for (int64_t k = 0; k < classes; k++) dx[k] = by * (scaled * vec_exp(x[k] - top) - t->even * weight[k]);
        } else {
            const float even = t->is_smooth ? t->even : 0.0f;
            for (int64_t k = 0; k < classes; k++) dx[k] = by * (scaled * vec_exp(x[k] - top) - even);
        }
        dx[label] = by * (t->even * (t->weight_sum - l.weight) - total * (float)(l.others / l.sum));
    }
    return FAR_OK;
}

far_status FARI_ISA(fari_ce_sums)(const fari_call *call)
{
    const int64_t classes = call->in[0].dim[1];
    const targets t = targets_of(call->attr, classes);
    if (!call->accumulate) memset(call->out[0].data, 0, (size_t)(3 * classes) * sizeof(double));
    if (((const fari_ce_attr *)call->attr)->kind != FAR_CLASS_SOFTMAX) return each_sums(call);
    return classes <= BLOCK_CLASSES ? sums_few(call, classes, &t) : sums_many(call, classes, &t);
}

far_status FARI_ISA(fari_ce_dx)(const fari_call *call)
{
    const int64_t classes = call->in[0].dim[1];
    const targets t = targets_of(call->attr, classes);
    if (((const fari_ce_attr *)call->attr)->kind != FAR_CLASS_SOFTMAX) return each_dx(call);
    return classes <= BLOCK_CLASSES ? dx_few(call, classes, &t) : dx_many(call, classes, &t);
}
