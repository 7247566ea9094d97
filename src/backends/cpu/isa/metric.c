/* Counts: topk and confusion of src/ops/metric.h, logits f32, channels-last or [N, K]. Whole numbers, so any order is exact. */
#include "ops/metric.h"
#include "backends/cpu/isa/kernels_norm.h"
#include "backends/cpu/isa/pixel_labels.h"
#include <string.h>

/* Classes that come before the label: larger, or equal and lower. A NaN comes before everything. */
static int64_t before(const float *restrict x, int64_t classes, int64_t label)
{
    const float own = x[label];
    int64_t count = 0;
    for (int64_t k = 0; k < label; k++) count += !(x[k] < own);
    for (int64_t k = label + 1; k < classes; k++) count += !(x[k] <= own);
    return count;
}

far_status FARI_ISA(fari_topk)(const fari_call *call)
{
    const fari_metric_attr *attr = call->attr;
    const int64_t classes = call->in[0].dim[1], pixels = label_pixels(&call->in[0]);
    int64_t right = 0, counted = 0;
    double *out = call->out[0].data;
    for (int64_t p = 0; p < pixels; p++) {
        const int64_t label = label_of(&call->in[1], p);
        const float *x = (const float *)call->in[0].data + p * classes;
        if (label == attr->ignore) continue;
        if (label < 0 || label >= classes) return fari_label_error(call, label, classes);
        right += x[label] == x[label] && before(x, classes, label) < attr->top;
        counted++;
    }
    out[0] = (call->accumulate ? out[0] : 0.0) + (double)right;
    out[1] = (call->accumulate ? out[1] : 0.0) + (double)counted;
    return FAR_OK;
}

/* The lowest class of the largest logit, for a block of pixels. */
static void predictions(const block *b, int64_t classes, int32_t which[BLOCK])
{
    float top[BLOCK];
    for (int j = 0; j < BLOCK; j++) {
        top[j] = b->v[0][j];
        which[j] = 0;
    }
    for (int32_t k = 1; k < classes; k++)
        for (int j = 0; j < BLOCK; j++) {
            const bool is_larger = b->v[k][j] > top[j];
            top[j] = is_larger ? b->v[k][j] : top[j];
            which[j] = is_larger ? k : which[j];
        }
}

static far_status confusion_few(const fari_call *call, int64_t first, int64_t pixels, int64_t classes, double *counts)
{
    const fari_metric_attr *attr = call->attr;
    int64_t here[BLOCK_CLASSES * BLOCK_CLASSES]; /* stores of equal cells wait for each other: two tables, in turn */
    int64_t other[BLOCK_CLASSES * BLOCK_CLASSES];
    int32_t label[BLOCK], which[BLOCK];
    block b;
    memset(here, 0, (size_t)(classes * classes) * sizeof here[0]);
    memset(other, 0, (size_t)(classes * classes) * sizeof other[0]);
    for (int64_t p = 0; p < pixels; p += BLOCK) {
        const int64_t n = pixels - p < BLOCK ? pixels - p : BLOCK;
        FAR_TRY(labels_read(call, first + p, n, classes, attr->ignore, label));
        block_read(&b, (const float *)call->in[0].data + (first + p) * classes, n, classes);
        predictions(&b, classes, which);
        for (int j = 0; j < BLOCK; j += 2) {
            if (label[j] >= 0) here[label[j] * classes + which[j]]++;
            if (label[j + 1] >= 0) other[label[j + 1] * classes + which[j + 1]]++;
        }
    }
    for (int64_t k = 0; k < classes * classes; k++) counts[k] += (double)(here[k] + other[k]);
    return FAR_OK;
}

static far_status confusion_many(const fari_call *call, int64_t first, int64_t pixels, int64_t classes, double *counts)
{
    const fari_metric_attr *attr = call->attr;
    for (int64_t p = first; p < first + pixels; p++) {
        const int64_t label = label_of(&call->in[1], p);
        const float *x = (const float *)call->in[0].data + p * classes;
        int64_t best = 0;
        if (label == attr->ignore) continue;
        if (label < 0 || label >= classes) return fari_label_error(call, label, classes);
        for (int64_t k = 1; k < classes; k++) best = x[k] > x[best] ? k : best;
        counts[label * classes + best] += 1.0;
    }
    return FAR_OK;
}

far_status FARI_ISA(fari_confusion)(const fari_call *call)
{
    const fari_metric_attr *attr = call->attr;
    const int64_t classes = call->in[0].dim[1], tables = attr->each ? call->in[0].dim[0] : 1;
    const int64_t pixels = label_pixels(&call->in[0]) / tables;
    double *counts = call->out[0].data;
    if (!call->accumulate) memset(counts, 0, (size_t)(tables * classes * classes) * sizeof *counts);
    for (int64_t s = 0; s < tables; s++, counts += classes * classes) {
        if (classes <= BLOCK_CLASSES) FAR_TRY(confusion_few(call, s * pixels, pixels, classes, counts));
        else FAR_TRY(confusion_many(call, s * pixels, pixels, classes, counts));
    }
    return FAR_OK;
}
