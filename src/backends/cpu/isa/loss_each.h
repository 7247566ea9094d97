/* Losses that look at each class by itself: binary cross-entropy or squares against a one-hot target, mean over the classes. Used by
   loss_ce.c, which has the sums over pixels in common with them. */
#ifndef FARI_CPU_ISA_LOSS_EACH_H
#define FARI_CPU_ISA_LOSS_EACH_H
#include "backends/cpu/isa/lanes.h"
#include "backends/cpu/isa/pixel_labels.h"
#include "backends/cpu/isa/vec_math.h"
#include "ops/loss_ce.h"
#include <string.h>

/* Targets of the label's class and of the others, and the mean's divisor. */
typedef struct each_targets {
    float on, off, share;
    bool is_square;
} each_targets;

static inline each_targets each_targets_of(const fari_ce_attr *attr, int64_t classes)
{
    const double even = attr->smoothing / (double)classes;
    return (each_targets){ (float)(1.0 - attr->smoothing + even), (float)even, (float)(1.0 / (double)classes),
                           attr->kind == FAR_CLASS_SQUARE };
}

static inline float each_weight(const fari_ce_attr *attr, int64_t label)
{
    return attr->has_weights ? attr->weight[label] : 1.0f;
}

FARI_INLINE float each_square(float x, float t)
{
    return (x - t) * (x - t);
}

FARI_INLINE float each_binary(float x, float t)
{
    return (x > 0.0f ? x : 0.0f) - x * t + vec_log1p(vec_exp(-vec_abs(x)));
}

FARI_INLINE float each_square_dx(float x, float t)
{
    return 2.0f * (x - t);
}

/* The sigmoid from the exponential of -|x|, which never overflows. */
FARI_INLINE float each_binary_dx(float x, float t)
{
    const float e = vec_exp(-vec_abs(x)), low = e / (1.0f + e);
    return (x < 0.0f ? low : 1.0f / (1.0f + e)) - t;
}

/* ---- few classes: vectors across pixels ---- */

static far_status each_sums_few(const fari_call *call, int64_t classes, const each_targets *t)
{
    const fari_ce_attr *attr = call->attr;
    const int64_t pixels = label_pixels(&call->in[0]);
    const float on = t->on, off = t->off;
    double *sums = call->out[0].data;
    block b;
    int32_t label[BLOCK];
    float term[BLOCK];
    for (int64_t p = 0; p < pixels; p += BLOCK) {
        const int64_t n = pixels - p < BLOCK ? pixels - p : BLOCK;
        FAR_TRY(labels_read(call, p, n, classes, attr->ignore, label));
        block_read(&b, (const float *)call->in[0].data + p * classes, n, classes);
        for (int j = 0; j < BLOCK; j++) term[j] = 0.0f;
        for (int32_t k = 0; k < classes; k++) {
            const float *restrict v = b.v[k];
            if (t->is_square)
                for (int j = 0; j < BLOCK; j++) term[j] += each_square(v[j], label[j] == k ? on : off);
            else
                for (int j = 0; j < BLOCK; j++) term[j] += each_binary(v[j], label[j] == k ? on : off);
        }
        for (int j = 0; j < BLOCK; j++) {
            if (label[j] < 0) continue;
            const double weight = (double)each_weight(attr, label[j]);
            sums[label[j]] += weight * (double)(t->share * term[j]);
            sums[classes + label[j]] += weight;
            sums[2 * classes + label[j]] += 1.0;
        }
    }
    return FAR_OK;
}

static far_status each_dx_few(const fari_call *call, int64_t classes, const each_targets *t)
{
    const fari_ce_attr *attr = call->attr;
    const int64_t pixels = label_pixels(&call->in[0]);
    const float on = t->on, off = t->off;
    const double *d_sums = call->in[2].data;
    block b;
    int32_t label[BLOCK];
    float by[BLOCK];
    for (int64_t p = 0; p < pixels; p += BLOCK) {
        const int64_t n = pixels - p < BLOCK ? pixels - p : BLOCK;
        FAR_TRY(labels_read(call, p, n, classes, attr->ignore, label));
        block_read(&b, (const float *)call->in[0].data + p * classes, n, classes);
        for (int j = 0; j < BLOCK; j++)
            by[j] = label[j] < 0 ? 0.0f : t->share * each_weight(attr, label[j]) * (float)d_sums[label[j]];
        for (int32_t k = 0; k < classes; k++) {
            float *restrict v = b.v[k];
            if (t->is_square)
                for (int j = 0; j < BLOCK; j++) v[j] = by[j] * each_square_dx(v[j], label[j] == k ? on : off);
            else
                for (int j = 0; j < BLOCK; j++) v[j] = by[j] * each_binary_dx(v[j], label[j] == k ? on : off);
            for (int j = 0; j < BLOCK; j++) v[j] = label[j] < 0 ? 0.0f : v[j]; /* 0 even where a NaN lies below */
        }
        block_write(&b, (float *)call->out[0].data + p * classes, n, classes);
    }
    return FAR_OK;
}

/* ---- many classes: vectors along a pixel's classes ---- */

static far_status each_sums_many(const fari_call *call, int64_t classes, const each_targets *t)
{
    const fari_ce_attr *attr = call->attr;
    const int64_t pixels = label_pixels(&call->in[0]);
    const float on = t->on, off = t->off;
    double *sums = call->out[0].data;
    for (int64_t p = 0; p < pixels; p++) {
        const int64_t label = label_of(&call->in[1], p);
        const float *restrict x = (const float *)call->in[0].data + p * classes;
        double term;
        if (label == attr->ignore) continue;
        if (label < 0 || label >= classes) return fari_label_error(call, label, classes);
        if (t->is_square) {
            LANES_SUM(term, classes, (double)each_square(x[i], off));
            term += (double)each_square(x[label], on) - (double)each_square(x[label], off);
        } else {
            LANES_SUM(term, classes, (double)each_binary(x[i], off));
            term += (double)each_binary(x[label], on) - (double)each_binary(x[label], off);
        }
        const double weight = (double)each_weight(attr, label);
        sums[label] += weight * (term / (double)classes);
        sums[classes + label] += weight;
        sums[2 * classes + label] += 1.0;
    }
    return FAR_OK;
}

static far_status each_dx_many(const fari_call *call, int64_t classes, const each_targets *t)
{
    const fari_ce_attr *attr = call->attr;
    const int64_t pixels = label_pixels(&call->in[0]);
    const float on = t->on, off = t->off;
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
        const float by = t->share * each_weight(attr, label) * (float)d_sums[label];
        if (t->is_square)
            for (int64_t k = 0; k < classes; k++) dx[k] = by * each_square_dx(x[k], off);
        else
            for (int64_t k = 0; k < classes; k++) dx[k] = by * each_binary_dx(x[k], off);
        dx[label] = by * (t->is_square ? each_square_dx(x[label], on) : each_binary_dx(x[label], on));
    }
    return FAR_OK;
}

static far_status each_sums(const fari_call *call)
{
    const int64_t classes = call->in[0].dim[1];
    const each_targets t = each_targets_of(call->attr, classes);
    return classes <= BLOCK_CLASSES ? each_sums_few(call, classes, &t) : each_sums_many(call, classes, &t);
}

static far_status each_dx(const fari_call *call)
{
    const int64_t classes = call->in[0].dim[1];
    const each_targets t = each_targets_of(call->attr, classes);
    return classes <= BLOCK_CLASSES ? each_dx_few(call, classes, &t) : each_dx_many(call, classes, &t);
}
#endif
