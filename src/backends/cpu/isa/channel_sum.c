/* Sums of channels-last f32 over pixels, in double.
 *   fari_channel_sum    op channel_sum    in: dy; out: [C] f32. No scratch.
 *   fari_global_sum     op global_sum     in: x; out: [N, C] f64. No scratch.
 *   fari_global_sum_dx  op global_sum_dx  in: d [N, C] f64; out: dx f32. No scratch.
 *   fari_scale_cast     op scale_cast     f64 or f32 to f32 or f64, any shape. No scratch. */
#include "backends/cpu/isa/kernels.h"
#include "backends/cpu/isa/spatial_axes.h"
#include "backends/cpu/isa/strips.h"
#include "backends/cpu/isa/vec.h"
#include "ops/pool.h"
#include <string.h>

#if VEC_WIDEST >= 16
#define V 16
#define HALF 8
#include "backends/cpu/isa/channel_sum_block.h"
#endif
#if VEC_WIDEST >= 8
#define V 8
#define HALF 4
#include "backends/cpu/isa/channel_sum_block.h"
#endif
#define V 4
#define HALF 2
#include "backends/cpu/isa/channel_sum_block.h"

FARI_INLINE void sum_block_1(const float *x, int64_t pixels, int64_t stride, double *sum)
{
    for (int64_t p = 0; p < pixels; p++) *sum += (double)x[p * stride];
}

/* ---- channel_sum: a sum for each float of a row (channels.h), these then folded, so that few channels fill vectors ---- */

FARI_INLINE void row_strip(int64_t width, const float *x, int64_t stride, int64_t rows, double *sum)
{
    const int64_t parts = width / STRIP_LANES;
    strip_d s[STRIP_PARTS];
    STRIP_UNROLL for (int64_t k = 0; k < parts; k++) s[k] = *(const strip_d *)(sum + k * STRIP_LANES);
    for (int64_t r = 0; r < rows; r++, x += stride) {
        strip_prefetch(x, width);
        STRIP_UNROLL for (int64_t k = 0; k < parts; k++) s[k] += strip_widen(*(const strip_f *)(x + k * STRIP_LANES));
    }
    STRIP_UNROLL for (int64_t k = 0; k < parts; k++) * (strip_d *)(sum + k * STRIP_LANES) = s[k];
}

/* What fills no strip. */
static void row_rest(const float *restrict x, int64_t len, double *restrict sum)
{
    for (int64_t i = 0; i < len; i++) sum[i] += (double)x[i];
}

static void rows_add(const float *x, const channel_tile *tile, double *sum)
{
    const int64_t step = strip_rows(tile);
    for (int64_t first = 0; first < tile->rows; first += step) {
        const int64_t rows = tile->rows - first < step ? tile->rows - first : step;
        const float *from = x + first * tile->stride;
        int64_t at = 0;
        for (int64_t width = strip_width(tile->len); width > 0; width = strip_width(tile->len - at)) {
            STRIP_CALL(width, row_strip, from + at, tile->stride, rows, sum + at);
            at += width;
        }
        for (int64_t r = 0; r < rows && at < tile->len; r++)
            row_rest(from + r * tile->stride + at, tile->len - at, sum + at);
    }
    row_rest(x + tile->rows * tile->stride, tile->tail, sum);
}

far_status FARI_ISA(fari_channel_sum)(const fari_call *call)
{
    const fari_view *dy = &call->in[0];
    const int64_t channels = dy->dim[1], pixels = pixels_of(dy) * dy->dim[0];
    const float *x = dy->data;
    float *out = call->out[0].data;
    double sum[CHANNELS_ROW];
    for (int64_t c0 = 0; c0 < channels; c0 += CHANNELS_ROW) {
        const channel_tile tile = channel_tile_at(channels, c0, pixels, CHANNELS_ROW_SUMS);
        memset(sum, 0, (size_t)tile.len * sizeof *sum);
        rows_add(x + c0, &tile, sum);
        for (int64_t c = 0; c < tile.channels; c++) {
            const double before = call->accumulate ? (double)out[c0 + c] : 0.0;
            out[c0 + c] = (float)(before + channel_fold(&tile, sum, c));
        }
    }
    return FAR_OK;
}

far_status FARI_ISA(fari_global_sum)(const fari_call *call)
{
    const fari_view *x = &call->in[0];
    const int64_t channels = x->dim[1], pixels = pixels_of(x);
    const float *from = x->data;
    double *sum = call->out[0].data;
    if (!call->accumulate) memset(sum, 0, (size_t)(x->dim[0] * channels) * sizeof *sum);
    for (int64_t n = 0; n < x->dim[0]; n++, from += pixels * channels, sum += channels)
        FOR_CHANNELS(c, channels, sum_block, from + c, pixels, channels, sum + c);
    return FAR_OK;
}

far_status FARI_ISA(fari_global_sum_dx)(const fari_call *call)
{
    const fari_view *dx = &call->out[0];
    const int64_t channels = dx->dim[1], pixels = pixels_of(dx);
    const double *d = call->in[0].data;
    float *to = dx->data;
    for (int64_t n = 0; n < dx->dim[0]; n++, d += channels) {
        const float *first = to;
        for (int64_t c = 0; c < channels; c++) to[c] = (float)d[c];
        to += channels;
        for (int64_t p = 1; p < pixels; p++, to += channels) memcpy(to, first, (size_t)channels * sizeof *to);
    }
    return FAR_OK;
}

/* One line for each pair of types; the product is taken in double. */
far_status FARI_ISA(fari_scale_cast)(const fari_call *call)
{
    const double scale = ((const fari_scale_cast_attr *)call->attr)->scale;
    const bool from_f64 = call->in[0].dtype == FAR_F64, to_f64 = call->out[0].dtype == FAR_F64;
    const void *in = call->in[0].data;
    void *out = call->out[0].data;
    int64_t elems = 1;
    for (int32_t i = 0; i < call->out[0].ndim; i++) elems *= call->out[0].dim[i];
    for (int64_t k = 0; k < elems && from_f64 && !to_f64; k++)
        ((float *)out)[k] = (float)(scale * ((const double *)in)[k]);
    for (int64_t k = 0; k < elems && !from_f64 && to_f64; k++)
        ((double *)out)[k] = scale * (double)((const float *)in)[k];
    for (int64_t k = 0; k < elems && from_f64 && to_f64; k++) ((double *)out)[k] = scale * ((const double *)in)[k];
    for (int64_t k = 0; k < elems && !from_f64 && !to_f64; k++)
        ((float *)out)[k] = (float)(scale * (double)((const float *)in)[k]);
    return FAR_OK;
}
