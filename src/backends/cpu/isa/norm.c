/* Batch, group, instance and channel layer norm: norm_stats and norm_apply of src/ops/norm.h, f32, channels-last.
   Sums are taken in double, one for each float of a row (channels.h), so their order depends on C alone. */
#include "backends/cpu/isa/kernels_norm.h"
#include "backends/cpu/isa/norm_rows.h"
#include "backends/cpu/isa/stream.h"
#include "backends/cpu/isa/strips.h"
#include <string.h>

/* ---- statistics ---- */

/* Squares of floats are exact in double; what cancels in sum(x^2) - sum(x)^2 / n is (mean / deviation)^2 * 1e-16. */
FARI_INLINE void moments_strip(int64_t width, const float *x, int64_t stride, int64_t rows, double *sum, double *square)
{
    const int64_t parts = width / STRIP_LANES;
    strip_d s[STRIP_PARTS], q[STRIP_PARTS];
    STRIP_UNROLL for (int64_t k = 0; k < parts; k++) s[k] = *(const strip_d *)(sum + k * STRIP_LANES);
    STRIP_UNROLL for (int64_t k = 0; k < parts; k++) q[k] = *(const strip_d *)(square + k * STRIP_LANES);
    for (int64_t r = 0; r < rows; r++, x += stride) {
        strip_prefetch(x, width);
        STRIP_UNROLL for (int64_t k = 0; k < parts; k++)
        {
            const strip_d v = strip_widen(*(const strip_f *)(x + k * STRIP_LANES));
            s[k] += v;
            q[k] = strip_add_product(q[k], v, v);
        }
    }
    STRIP_UNROLL for (int64_t k = 0; k < parts; k++) * (strip_d *)(sum + k * STRIP_LANES) = s[k];
    STRIP_UNROLL for (int64_t k = 0; k < parts; k++) * (strip_d *)(square + k * STRIP_LANES) = q[k];
}

/* What fills no strip. */
static void moments_rest(const float *restrict x, int64_t len, double *restrict sum, double *restrict square)
{
    for (int64_t i = 0; i < len; i++) {
        const double v = (double)x[i];
        sum[i] += v;
        square[i] += v * v;
    }
}

static void moments_add(norm_lanes *lanes, const float *x, const channel_tile *tile)
{
    const int64_t step = strip_rows(tile);
    for (int64_t first = 0; first < tile->rows; first += step) {
        const int64_t rows = tile->rows - first < step ? tile->rows - first : step;
        const float *from = x + first * tile->stride;
        int64_t at = 0;
        for (int64_t width = strip_width(tile->len); width > 0; width = strip_width(tile->len - at)) {
            STRIP_CALL(width, moments_strip, from + at, tile->stride, rows, lanes->sum + at, lanes->product + at);
            at += width;
        }
        for (int64_t r = 0; r < rows && at < tile->len; r++)
            moments_rest(from + r * tile->stride + at, tile->len - at, lanes->sum + at, lanes->product + at);
    }
    moments_rest(x + tile->rows * tile->stride, tile->tail, lanes->sum, lanes->product);
}

/* Chan's merge of (mean, M2, count) into *stat, rows of which are `channels` apart. */
static void moments_merge(double *stat, int64_t channels, double mean, double m2, double count)
{
    const double have = stat[2 * channels], all = have + count, delta = mean - stat[0];
    stat[0] += delta * (count / all);
    stat[channels] += m2 + delta * delta * (have * count / all);
    stat[2 * channels] = all;
}

far_status FARI_ISA(fari_norm_stats)(const fari_call *call)
{
    const norm_runs r = norm_runs_of(call->attr, &call->in[0]);
    norm_lanes lanes;
    for (int64_t s = 0; s < r.count; s++) {
        const float *x = (const float *)call->in[0].data + s * r.pixels * r.channels;
        double *stat = (double *)call->out[0].data + s * 3 * r.channels;
        if (!call->accumulate) memset(stat, 0, (size_t)(3 * r.channels) * sizeof *stat);
        for (int64_t c0 = 0; c0 < r.channels; c0 += CHANNELS_ROW) {
            const channel_tile tile = channel_tile_at(r.channels, c0, r.pixels, CHANNELS_ROW_SUMS);
            norm_lanes_clear(&lanes, tile.len);
            moments_add(&lanes, x + c0, &tile);
            for (int64_t c = 0; c < tile.channels; c++) {
                const double n = (double)r.pixels, sum = channel_fold(&tile, lanes.sum, c), mean = sum / n;
                const double m2 = channel_fold(&tile, lanes.product, c) - sum * mean;
                moments_merge(stat + c0 + c, r.channels, mean, m2 < 0.0 ? 0.0 : m2, n);
            }
        }
    }
    return FAR_OK;
}

/* ---- y = act(gamma (x - mean) rstd + beta + residual) ---- */

FARI_INLINE float act_of(float z, far_act act, float slope)
{
    if (act == FAR_ACT_RELU) return z < 0.0f ? 0.0f : z; /* NaN stays NaN */
    if (act == FAR_ACT_LEAKY_RELU) return z < 0.0f ? slope * z : z;
    return z;
}

typedef struct apply_piece {
    const float *x, *residual; /* residual NULL: none */
    float *y;
    bool streams;
} apply_piece;

FARI_INLINE void apply_tile(const channel_tile *tile, const norm_affine *p, const apply_piece *piece, far_act act,
                            float slope, bool has_residual)
{
    float line[CHANNELS_ROW];
    for (int64_t r = 0; r <= tile->rows; r++) {
        const bool is_full = r < tile->rows, streams = is_full && piece->streams;
        const int64_t len = is_full ? tile->len : tile->tail, at = r * tile->stride;
        const float *restrict xr = piece->x + at, *restrict rr = has_residual ? piece->residual + at : xr;
        float *restrict yr = streams ? line : piece->y + at;
        for (int64_t i = 0; i < len; i++) {
            float z = (xr[i] - p->mean[i]) * p->scale[i] + p->beta[i];
            if (has_residual) z += rr[i];
            yr[i] = act_of(z, act, slope);
        }
        if (streams) stream_row(piece->y + at, line, len);
    }
}

static void apply_choose(const channel_tile *tile, const norm_affine *p, const apply_piece *piece,
                         const fari_norm_attr *attr)
{
    const float slope = (float)attr->slope;
    if (attr->has_residual) {
        if (attr->act == FAR_ACT_NONE) apply_tile(tile, p, piece, FAR_ACT_NONE, slope, true);
        if (attr->act == FAR_ACT_RELU) apply_tile(tile, p, piece, FAR_ACT_RELU, slope, true);
        if (attr->act == FAR_ACT_LEAKY_RELU) apply_tile(tile, p, piece, FAR_ACT_LEAKY_RELU, slope, true);
    } else {
        if (attr->act == FAR_ACT_NONE) apply_tile(tile, p, piece, FAR_ACT_NONE, slope, false);
        if (attr->act == FAR_ACT_RELU) apply_tile(tile, p, piece, FAR_ACT_RELU, slope, false);
        if (attr->act == FAR_ACT_LEAKY_RELU) apply_tile(tile, p, piece, FAR_ACT_LEAKY_RELU, slope, false);
    }
}

far_status FARI_ISA(fari_norm_apply)(const fari_call *call)
{
    const fari_norm_attr *attr = call->attr;
    const norm_runs r = norm_runs_of(attr, &call->in[0]);
    const float *gamma = attr->has_affine ? call->in[2].data : NULL, *beta = attr->has_affine ? call->in[3].data : NULL;
    const float *residual = attr->has_residual ? call->in[attr->has_affine ? 4 : 2].data : NULL;
    norm_affine p;
    for (int64_t s = 0; s < r.count; s++)
        for (int64_t c0 = 0; c0 < r.channels; c0 += CHANNELS_ROW) {
            const channel_tile tile = channel_tile_at(r.channels, c0, r.pixels, CHANNELS_ROW_WANTED);
            const int64_t at = s * r.pixels * r.channels + c0;
            const apply_piece piece = { .x = (const float *)call->in[0].data + at,
                                        .residual = residual != NULL ? residual + at : NULL,
                                        .y = (float *)call->out[0].data + at,
                                        .streams = stream_pays_rows(&call->out[0], at, &tile) };
            norm_affine_spread(&tile, norm_meanrstd(&call->in[1], s, r.channels), r.channels, gamma, beta, &p);
            apply_choose(&tile, &p, &piece, attr);
        }
    stream_end();
    return FAR_OK;
}
