/* Soft Dice: dice_sums and dice_dx of src/ops/loss_dice.h, logits f32, channels-last or [N, K]. Blocks of 64 pixels up to 32 classes,
   else along each pixel's classes. */
#include "ops/loss_dice.h"
#include "backends/cpu/isa/kernels_norm.h"
#include "backends/cpu/isa/lanes.h"
#include "backends/cpu/isa/pixel_labels.h"
#include "backends/cpu/isa/vec_math.h"
#include <string.h>

/* One channel is a sigmoid against labels 0 and 1. */
static int64_t label_count(int64_t channels)
{
    return channels == 1 ? 2 : channels;
}

/* ---- few classes ---- */

/* Logits become probabilities. */
static void probabilities(block *b, int64_t channels)
{
    float top[BLOCK], sum[BLOCK];
    if (channels == 1) {
        for (int j = 0; j < BLOCK; j++) b->v[0][j] = vec_sigmoid(b->v[0][j]);
        return;
    }
    block_top(b, channels, top);
    for (int j = 0; j < BLOCK; j++) sum[j] = 0.0f;
    for (int64_t k = 0; k < channels; k++)
        for (int j = 0; j < BLOCK; j++) {
            b->v[k][j] = vec_exp(b->v[k][j] - top[j]);
            sum[j] += b->v[k][j];
        }
    for (int j = 0; j < BLOCK; j++) sum[j] = 1.0f / sum[j];
    for (int64_t k = 0; k < channels; k++)
        for (int j = 0; j < BLOCK; j++) b->v[k][j] *= sum[j];
}

/* Lanes of p are taken in turn; labels count in whole numbers. */
typedef struct dice_lanes {
    double both[LANES], each[LANES];
    int64_t labels;
} dice_lanes;

/* The label that makes g_k 1: with one channel it is label 1. */
static int32_t label_of_channel(int64_t channels, int64_t k)
{
    return channels == 1 ? 1 : (int32_t)k;
}

static void dice_add(dice_lanes *lanes, const float *restrict p, const int32_t *restrict label, int32_t own,
                     bool is_square)
{
    int32_t labels = 0;
    for (int at = 0; at < BLOCK; at += LANES)
        for (int j = 0; j < LANES; j++) {
            const float counted = label[at + j] < 0 ? 0.0f : p[at + j];
            lanes->each[j] += (double)(is_square ? counted * counted : counted);
            lanes->both[j] += (double)(label[at + j] == own ? counted : 0.0f);
        }
    for (int j = 0; j < BLOCK; j++) labels += label[j] == own;
    lanes->labels += labels;
}

static far_status sums_few(const fari_call *call, int64_t channels)
{
    const fari_dice_attr *attr = call->attr;
    const int64_t pixels = label_pixels(&call->in[0]);
    double *sums = call->out[0].data;
    dice_lanes lanes[BLOCK_CLASSES];
    block b;
    int32_t label[BLOCK];
    memset(lanes, 0, (size_t)channels * sizeof lanes[0]);
    for (int64_t p = 0; p < pixels; p += BLOCK) {
        const int64_t n = pixels - p < BLOCK ? pixels - p : BLOCK;
        FAR_TRY(labels_read(call, p, n, label_count(channels), attr->ignore, label));
        block_read(&b, (const float *)call->in[0].data + p * channels, n, channels);
        probabilities(&b, channels);
        for (int64_t k = 0; k < channels; k++)
            dice_add(&lanes[k], b.v[k], label, label_of_channel(channels, k), attr->square);
    }
    for (int64_t k = 0; k < channels; k++) {
        sums[k] += lanes_fold(lanes[k].both);
        sums[channels + k] += lanes_fold(lanes[k].each);
        sums[2 * channels + k] += (double)lanes[k].labels;
    }
    return FAR_OK;
}

/* v = d loss / d p. */
FARI_INLINE float d_prob(float d_both, float d_each, float p, bool is_own, bool is_square)
{
    return (is_own ? d_both : 0.0f) + (is_square ? d_each * (2.0f * p) : d_each);
}

/* d x_k = p_k (v_k - sum_j p_j v_j). */
static far_status dx_few(const fari_call *call, int64_t channels)
{
    const fari_dice_attr *attr = call->attr;
    const int64_t pixels = label_pixels(&call->in[0]);
    const double *d_sums = call->in[2].data;
    block b;
    int32_t label[BLOCK];
    float mean[BLOCK];
    for (int64_t p = 0; p < pixels; p += BLOCK) {
        const int64_t n = pixels - p < BLOCK ? pixels - p : BLOCK;
        FAR_TRY(labels_read(call, p, n, label_count(channels), attr->ignore, label));
        block_read(&b, (const float *)call->in[0].data + p * channels, n, channels);
        probabilities(&b, channels);
        for (int j = 0; j < BLOCK; j++) mean[j] = 0.0f;
        for (int64_t k = 0; k < channels; k++) {
            const float d_both = (float)d_sums[k], d_each = (float)d_sums[channels + k];
            const int32_t own = label_of_channel(channels, k);
            for (int j = 0; j < BLOCK; j++)
                mean[j] += b.v[k][j] * d_prob(d_both, d_each, b.v[k][j], label[j] == own, attr->square);
        }
        for (int64_t k = 0; k < channels; k++) {
            const float d_both = (float)d_sums[k], d_each = (float)d_sums[channels + k];
            const int32_t own = label_of_channel(channels, k);
            for (int j = 0; j < BLOCK; j++) {
                const float prob = b.v[k][j],
                            d = prob * (d_prob(d_both, d_each, prob, label[j] == own, attr->square) - mean[j]);
                b.v[k][j] = label[j] < 0 ? 0.0f : d;
            }
        }
        block_write(&b, (float *)call->out[0].data + p * channels, n, channels);
    }
    return FAR_OK;
}

/* ---- many classes ---- */

static far_status sums_many(const fari_call *call, int64_t classes)
{
    const fari_dice_attr *attr = call->attr;
    const int64_t pixels = label_pixels(&call->in[0]);
    double *both = call->out[0].data, *restrict each = both + classes, *labels = both + 2 * classes;
    for (int64_t p = 0; p < pixels; p++) {
        const int64_t label = label_of(&call->in[1], p);
        const float *restrict x = (const float *)call->in[0].data + p * classes;
        if (label == attr->ignore) continue;
        if (label < 0 || label >= classes) return fari_label_error(call, label, classes);
        const float top = block_line_top(x, classes);
        double sum;
        LANES_SUM(sum, classes, (double)vec_exp(x[i] - top));
        const float by = (float)(1.0 / sum);
        for (int64_t k = 0; k < classes; k++) {
            const float prob = vec_exp(x[k] - top) * by;
            each[k] += (double)(attr->square ? prob * prob : prob);
        }
        both[label] += (double)(vec_exp(x[label] - top) * by);
        labels[label] += 1.0;
    }
    return FAR_OK;
}

static far_status dx_many(const fari_call *call, int64_t classes)
{
    const fari_dice_attr *attr = call->attr;
    const int64_t pixels = label_pixels(&call->in[0]);
    const double *restrict d_both = call->in[2].data, *restrict d_each = d_both + classes;
    for (int64_t p = 0; p < pixels; p++) {
        const int64_t label = label_of(&call->in[1], p);
        const float *restrict x = (const float *)call->in[0].data + p * classes;
        float *restrict dx = (float *)call->out[0].data + p * classes;
        if (label == attr->ignore) {
            memset(dx, 0, (size_t)classes * sizeof *dx);
            continue;
        }
        if (label < 0 || label >= classes) return fari_label_error(call, label, classes);
        const float top = block_line_top(x, classes);
        double sum, mean;
        LANES_SUM(sum, classes, (double)vec_exp(x[i] - top));
        const float by = (float)(1.0 / sum);
        for (int64_t k = 0; k < classes; k++) dx[k] = vec_exp(x[k] - top) * by;
        LANES_SUM(mean, classes,
                  (double)(dx[i] * d_prob((float)d_both[i], (float)d_each[i], dx[i], i == label, attr->square)));
        for (int64_t k = 0; k < classes; k++)
            dx[k] *= d_prob((float)d_both[k], (float)d_each[k], dx[k], k == label, attr->square) - (float)mean;
    }
    return FAR_OK;
}

far_status FARI_ISA(fari_dice_sums)(const fari_call *call)
{
    const int64_t channels = call->in[0].dim[1];
    if (!call->accumulate) memset(call->out[0].data, 0, (size_t)(3 * channels) * sizeof(double));
    return channels <= BLOCK_CLASSES ? sums_few(call, channels) : sums_many(call, channels);
}

far_status FARI_ISA(fari_dice_dx)(const fari_call *call)
{
    const int64_t channels = call->in[0].dim[1];
    return channels <= BLOCK_CLASSES ? dx_few(call, channels) : dx_many(call, channels);
}
