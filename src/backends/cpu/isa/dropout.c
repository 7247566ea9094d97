/* dropout of src/ops/dropout.h, f32, both orders. */
#include "backends/cpu/isa/kernels_norm.h"
#include "base/rng.h"
#include "graph/graph.h"
#include "ops/dropout.h"
#include <math.h>

/* n elements numbered first, first + step, ... of the sample; 24 random bits each, kept from `threshold` up. */
static void dropout_run(const float *restrict x, float *restrict y, int64_t n, uint64_t key, uint64_t first, uint64_t step,
                        uint32_t threshold, float scale)
{
    for (int64_t i = 0; i < n; i++) {
        const uint32_t draw = (uint32_t)(fari_rng_bits(key, first + (uint64_t)i * step) >> 40);
        y[i] = draw >= threshold ? x[i] * scale : 0.0f;
    }
}

/* A piece is runs of contiguous elements whose numbers go up evenly: channels of a pixel (channels-last), or rows of a channel. */
far_status FARI_ISA(fari_dropout)(const fari_call *call)
{
    const fari_dropout_attr *attr = call->attr;
    const fari_view *v = &call->out[0];
    const bool is_last = v->order == FARI_CHANNELS_LAST && v->ndim >= 3;
    const uint32_t threshold = (uint32_t)ceil(attr->p * 0x1p24);
    const float scale = (float)(1.0 / (1.0 - attr->p));
    int64_t inner = 1, sample = 1; /* elements of a row of one channel; elements of a sample of the piece */
    for (int32_t i = 1; i < v->ndim; i++) {
        sample *= v->dim[i];
        inner *= i > 2 ? v->dim[i] : 1;
    }
    const int64_t rows = v->ndim >= 3 ? v->dim[2] : 1, total = v->ndim >= 3 ? v->rows_total : 1;
    const int64_t plane = total * inner, here = rows * inner, start = v->row0 * inner, channels = sample / here;
    for (int64_t n = 0; n < v->dim[0]; n++) {
        const uint64_t key = fari_rng_key(call->step->seed, FARI_RNG_DROPOUT + 64 * attr->stream, (uint64_t)call->step->step,
                                          (uint64_t)call->step->sample_ids[v->sample0 + n]);
        const float *x = (const float *)call->in[0].data + n * sample;
        float *y = (float *)call->out[0].data + n * sample;
        if (v->ndim < 3) { /* [N, F] */
            dropout_run(x, y, sample, key, 0, 1, threshold, scale);
        } else if (is_last) {
            for (int64_t p = 0; p < here; p++)
                dropout_run(x + p * channels, y + p * channels, channels, key, (uint64_t)(start + p), (uint64_t)plane, threshold, scale);
        } else {
            for (int64_t c = 0; c < channels; c++)
                dropout_run(x + c * here, y + c * here, here, key, (uint64_t)(c * plane + start), 1, threshold, scale);
        }
    }
    return FAR_OK;
}
