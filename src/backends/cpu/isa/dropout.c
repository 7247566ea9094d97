/* dropout of src/ops/dropout.h, f32, both orders. */
#include "ops/dropout.h"
#include "backends/cpu/isa/kernels_norm.h"
#include "base/rng.h"
#include "graph/graph.h"
#include <math.h>

#define ROW 256

/* What is the same for all elements of a call. Numbers have 24 bits; those from `threshold` up are kept. */
typedef struct rule {
    uint32_t threshold;
    float scale;
} rule;

FARI_INLINE float drop(float x, uint64_t key, uint64_t elem, rule r)
{
    return (uint32_t)(fari_rng_bits(key, elem) >> 40) >= r.threshold ? x * r.scale : 0.0f;
}

/* n elements numbered from `first`. */
static void drop_run(const float *restrict x, float *restrict y, int64_t n, uint64_t key, uint64_t first, rule r)
{
    for (int64_t i = 0; i < n; i++) y[i] = drop(x[i], key, first + (uint64_t)i, r);
}

/* Channels-last: pixels in memory order, channel c of pixel p numbered first + p + c plane. Pixels are taken together, with the
   distances of their elements from the first pixel's number in a row. */
static void drop_pixels(const float *restrict x, float *restrict y, int64_t pixels, int64_t channels, uint64_t key,
                        uint64_t first, uint64_t plane, rule r)
{
    uint64_t away[ROW] = { 0 };
    const int64_t together = channels < ROW ? ROW / channels : 1, wide = channels < ROW ? channels : ROW;
    for (int64_t p = 0; p < together; p++)
        for (int64_t c = 0; c < wide; c++) away[p * wide + c] = (uint64_t)p + (uint64_t)c * plane;
    for (int64_t p = 0; p < pixels; p += together) {
        const int64_t here = (pixels - p < together ? pixels - p : together) * channels;
        for (int64_t c0 = 0; c0 < here; c0 += together * wide) { /* once, unless a pixel is longer than a row */
            const int64_t n = here - c0 < together * wide ? here - c0 : together * wide, at = p * channels + c0;
            const uint64_t base = first + (uint64_t)p + (uint64_t)c0 * plane;
            for (int64_t i = 0; i < n; i++) y[at + i] = drop(x[at + i], key, base + away[i], r);
        }
    }
}

far_status FARI_ISA(fari_dropout)(const fari_call *call)
{
    const fari_dropout_attr *attr = call->attr;
    const fari_view *v = &call->out[0];
    const rule r = { (uint32_t)ceil(attr->p * 0x1p24), (float)(1.0 / (1.0 - attr->p)) };
    int64_t inner = 1, sample = 1; /* elements of a row of one channel; elements of a sample of the piece */
    for (int32_t i = 1; i < v->ndim; i++) {
        sample *= v->dim[i];
        inner *= i > 2 ? v->dim[i] : 1;
    }
    const bool has_rows = v->ndim >= 3;
    const int64_t plane = has_rows ? v->rows_total * inner : 0, here = has_rows ? v->dim[2] * inner : sample;
    const int64_t start = has_rows ? v->row0 * inner : 0, channels = sample / here;
    for (int64_t n = 0; n < v->dim[0]; n++) {
        const uint64_t key = fari_rng_key(call->step->seed, FARI_RNG_DROPOUT + 64 * attr->stream,
                                          (uint64_t)call->step->step, (uint64_t)call->step->sample_ids[v->sample0 + n]);
        const float *x = (const float *)call->in[0].data + n * sample;
        float *y = (float *)call->out[0].data + n * sample;
        if (has_rows && v->order == FARI_CHANNELS_LAST) {
            drop_pixels(x, y, here, channels, key, (uint64_t)start, (uint64_t)plane, r);
        } else {
            for (int64_t c = 0; c < channels; c++)
                drop_run(x + c * here, y + c * here, here, key, (uint64_t)(c * plane + start), r);
        }
    }
    return FAR_OK;
}
