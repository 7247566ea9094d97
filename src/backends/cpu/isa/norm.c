/* Batch, group, instance and channel layer norm: norm_stats, norm_apply, norm_dstats, norm_dx of src/ops/norm.h, f32, channels-last.
   Sums are taken in double, one accumulator for each float of a row (channels.h), so their order depends on C alone. */
#include "ops/norm.h"
#include "backends/cpu/isa/channels.h"
#include "backends/cpu/isa/kernels_norm.h"
#include <string.h>

/* The samples of a piece as runs that share statistics: each sample for itself, or all as one. */
typedef struct runs {
    int64_t count, pixels; /* pixels of each */
    int64_t channels;
} runs;

static runs runs_of(const fari_norm_attr *attr, const fari_view *x)
{
    const int64_t pixels = pixels_of(x);
    if (attr->group_samples == 1) return (runs){ x->dim[0], pixels, x->dim[1] };
    return (runs){ 1, x->dim[0] * pixels, x->dim[1] };
}

/* ---- statistics ---- */

typedef struct moment_lanes {
    double sum[CHANNELS_ROW], square[CHANNELS_ROW];
} moment_lanes;

/* Four rows at a time, for fewer visits to the accumulators. Squares of floats are exact in double; what cancels in
   sum(x^2) - sum(x)^2 / n is (mean / deviation)^2 * 1e-16. */
static void moments_add(moment_lanes *lanes, const float *x, const channel_tile *tile)
{
    double *restrict sum = lanes->sum, *restrict square = lanes->square;
    int64_t r = 0;
    for (; r + 4 <= tile->rows; r += 4) {
        const float *restrict a = x + r * tile->stride, *restrict b = a + tile->stride;
        const float *restrict c = b + tile->stride, *restrict d = c + tile->stride;
        for (int64_t i = 0; i < tile->len; i++) {
            const double av = (double)a[i], bv = (double)b[i], cv = (double)c[i], dv = (double)d[i];
            sum[i] += (av + bv) + (cv + dv);
            square[i] += (av * av + bv * bv) + (cv * cv + dv * dv);
        }
    }
    for (; r <= tile->rows; r++) {
        const float *restrict a = x + r * tile->stride;
        const int64_t len = r < tile->rows ? tile->len : tile->tail;
        for (int64_t i = 0; i < len; i++) {
            const double av = (double)a[i];
            sum[i] += av;
            square[i] += av * av;
        }
    }
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
    const runs r = runs_of(call->attr, &call->in[0]);
    moment_lanes lanes;
    for (int64_t s = 0; s < r.count; s++) {
        const float *x = (const float *)call->in[0].data + s * r.pixels * r.channels;
        double *stat = (double *)call->out[0].data + s * 3 * r.channels;
        if (!call->accumulate) memset(stat, 0, (size_t)(3 * r.channels) * sizeof *stat);
        for (int64_t c0 = 0; c0 < r.channels; c0 += CHANNELS_ROW) {
            const channel_tile tile = channel_tile_at(r.channels, c0, r.pixels);
            memset(lanes.sum, 0, (size_t)tile.len * sizeof lanes.sum[0]);
            memset(lanes.square, 0, (size_t)tile.len * sizeof lanes.square[0]);
            moments_add(&lanes, x + c0, &tile);
            for (int64_t c = 0; c < tile.channels; c++) {
                const double n = (double)r.pixels, sum = channel_fold(&tile, lanes.sum, c), mean = sum / n;
                const double m2 = channel_fold(&tile, lanes.square, c) - sum * mean;
                moments_merge(stat + c0 + c, r.channels, mean, m2 < 0.0 ? 0.0 : m2, n);
            }
        }
    }
    return FAR_OK;
}

/* ---- y = act(gamma (x - mean) rstd + beta + residual) ---- */

typedef struct apply_rows {
    float mean[CHANNELS_ROW], scale[CHANNELS_ROW], beta[CHANNELS_ROW];
} apply_rows;

FARI_INLINE float act_of(float z, far_act act, float slope)
{
    if (act == FAR_ACT_RELU) return z < 0.0f ? 0.0f : z; /* NaN stays NaN */
    if (act == FAR_ACT_LEAKY_RELU) return z < 0.0f ? slope * z : z;
    return z;
}

FARI_INLINE void apply_tile(const channel_tile *tile, const apply_rows *p, const float *x, const float *residual,
                            float *y, far_act act, float slope, bool has_residual)
{
    for (int64_t r = 0; r <= tile->rows; r++) {
        const int64_t len = r < tile->rows ? tile->len : tile->tail, at = r * tile->stride;
        const float *restrict xr = x + at, *restrict rr = residual + (has_residual ? at : 0);
        float *restrict yr = y + at;
        for (int64_t i = 0; i < len; i++) {
            float z = (xr[i] - p->mean[i]) * p->scale[i] + p->beta[i];
            if (has_residual) z += rr[i];
            yr[i] = act_of(z, act, slope);
        }
    }
}

static void apply_choose(const channel_tile *tile, const apply_rows *p, const float *x, const float *residual, float *y,
                         const fari_norm_attr *attr)
{
    const float slope = (float)attr->slope;
    if (attr->has_residual) {
        if (attr->act == FAR_ACT_NONE) apply_tile(tile, p, x, residual, y, FAR_ACT_NONE, slope, true);
        if (attr->act == FAR_ACT_RELU) apply_tile(tile, p, x, residual, y, FAR_ACT_RELU, slope, true);
        if (attr->act == FAR_ACT_LEAKY_RELU) apply_tile(tile, p, x, residual, y, FAR_ACT_LEAKY_RELU, slope, true);
    } else {
        if (attr->act == FAR_ACT_NONE) apply_tile(tile, p, x, x, y, FAR_ACT_NONE, slope, false);
        if (attr->act == FAR_ACT_RELU) apply_tile(tile, p, x, x, y, FAR_ACT_RELU, slope, false);
        if (attr->act == FAR_ACT_LEAKY_RELU) apply_tile(tile, p, x, x, y, FAR_ACT_LEAKY_RELU, slope, false);
    }
}

/* Mean and rstd of run s: a tensor without segments serves all. */
static const float *meanrstd_of(const fari_view *meanrstd, int64_t s, int64_t channels)
{
    return (const float *)meanrstd->data + (meanrstd->dim[0] > 1 ? s : 0) * 2 * channels;
}

/* scale = rstd gamma. */
static void scale_spread(const channel_tile *tile, const float *rstd, const float *gamma, float *restrict scale)
{
    channel_spread(tile, rstd, scale);
    if (gamma == NULL) return;
    for (int64_t at = 0; at < tile->len; at += tile->channels)
        for (int64_t c = 0; c < tile->channels; c++) scale[at + c] *= gamma[tile->channel0 + c];
}

far_status FARI_ISA(fari_norm_apply)(const fari_call *call)
{
    const fari_norm_attr *attr = call->attr;
    const runs r = runs_of(attr, &call->in[0]);
    const float *gamma = attr->has_affine ? call->in[2].data : NULL;
    const float *residual = attr->has_residual ? call->in[attr->has_affine ? 4 : 2].data : NULL;
    apply_rows p;
    for (int64_t s = 0; s < r.count; s++) {
        const float *meanrstd = meanrstd_of(&call->in[1], s, r.channels);
        for (int64_t c0 = 0; c0 < r.channels; c0 += CHANNELS_ROW) {
            const channel_tile tile = channel_tile_at(r.channels, c0, r.pixels);
            const int64_t at = s * r.pixels * r.channels + c0;
            channel_spread(&tile, meanrstd, p.mean);
            scale_spread(&tile, meanrstd + r.channels, gamma, p.scale);
            if (gamma != NULL) channel_spread(&tile, call->in[3].data, p.beta);
            else channel_fill(&tile, 0.0f, p.beta);
            apply_choose(&tile, &p, (const float *)call->in[0].data + at, residual != NULL ? residual + at : NULL,
                         (float *)call->out[0].data + at, attr);
        }
    }
    return FAR_OK;
}

/* ---- sum dz, sum dz xhat ---- */

/* dy act'(z); y > 0 where z > 0. */
FARI_INLINE float dz_of(float dy, float y, far_act act, float slope)
{
    if (act == FAR_ACT_RELU) return y > 0.0f ? dy : 0.0f;
    if (act == FAR_ACT_LEAKY_RELU) return y > 0.0f ? dy : slope * dy;
    return dy;
}

FARI_INLINE void dstats_tile(const channel_tile *tile, moment_lanes *lanes, const float *mean, const float *x,
                             const float *dy, const float *y, far_act act, float slope)
{
    double *restrict sum = lanes->sum, *restrict product = lanes->square;
    const float *restrict m = mean;
    int64_t r = 0;
    for (; r + 2 <= tile->rows; r += 2) {
        const int64_t at = r * tile->stride, next = at + tile->stride;
        const float *restrict xa = x + at, *restrict da = dy + at, *restrict ya = y + at;
        const float *restrict xb = x + next, *restrict db = dy + next, *restrict yb = y + next;
        for (int64_t i = 0; i < tile->len; i++) {
            const double za = (double)dz_of(da[i], ya[i], act, slope), zb = (double)dz_of(db[i], yb[i], act, slope);
            sum[i] += za + zb;
            product[i] += za * (double)(xa[i] - m[i]) + zb * (double)(xb[i] - m[i]);
        }
    }
    for (; r <= tile->rows; r++) {
        const int64_t len = r < tile->rows ? tile->len : tile->tail, at = r * tile->stride;
        const float *restrict xa = x + at, *restrict da = dy + at, *restrict ya = y + at;
        for (int64_t i = 0; i < len; i++) {
            const double za = (double)dz_of(da[i], ya[i], act, slope);
            sum[i] += za;
            product[i] += za * (double)(xa[i] - m[i]);
        }
    }
}

far_status FARI_ISA(fari_norm_dstats)(const fari_call *call)
{
    const fari_norm_attr *attr = call->attr;
    const runs r = runs_of(attr, &call->in[0]);
    const float slope = (float)attr->slope;
    moment_lanes lanes;
    float mean[CHANNELS_ROW];
    for (int64_t s = 0; s < r.count; s++) {
        const float *meanrstd = meanrstd_of(&call->in[1], s, r.channels);
        double *dstat = (double *)call->out[0].data + s * 2 * r.channels;
        if (!call->accumulate) memset(dstat, 0, (size_t)(2 * r.channels) * sizeof *dstat);
        for (int64_t c0 = 0; c0 < r.channels; c0 += CHANNELS_ROW) {
            const channel_tile tile = channel_tile_at(r.channels, c0, r.pixels);
            const int64_t at = s * r.pixels * r.channels + c0;
            const float *x = (const float *)call->in[0].data + at, *dy = (const float *)call->in[2].data + at;
            const float *y = attr->act != FAR_ACT_NONE ? (const float *)call->in[3].data + at : x;
            memset(lanes.sum, 0, (size_t)tile.len * sizeof lanes.sum[0]);
            memset(lanes.square, 0, (size_t)tile.len * sizeof lanes.square[0]);
            channel_spread(&tile, meanrstd, mean);
            if (attr->act == FAR_ACT_NONE) dstats_tile(&tile, &lanes, mean, x, dy, y, FAR_ACT_NONE, slope);
            if (attr->act == FAR_ACT_RELU) dstats_tile(&tile, &lanes, mean, x, dy, y, FAR_ACT_RELU, slope);
            if (attr->act == FAR_ACT_LEAKY_RELU) dstats_tile(&tile, &lanes, mean, x, dy, y, FAR_ACT_LEAKY_RELU, slope);
            for (int64_t c = 0; c < tile.channels; c++) {
                dstat[c0 + c] += channel_fold(&tile, lanes.sum, c);
                dstat[r.channels + c0 + c] +=
                    channel_fold(&tile, lanes.square, c) * (double)meanrstd[r.channels + c0 + c];
            }
        }
    }
    return FAR_OK;
}

/* ---- dx = scale dz - (offset + slope (x - mean)) ---- */

typedef struct dx_rows {
    float mean[CHANNELS_ROW], scale[CHANNELS_ROW], offset[CHANNELS_ROW], tilt[CHANNELS_ROW];
} dx_rows;

/* From dx = rstd (gamma dz - A - xhat B), A and B the means of gamma dz and gamma dz xhat over what shares a statistic:
   offset = rstd A, tilt = rstd^2 B. */
static void dx_coefficients(const fari_norm_attr *attr, const channel_tile *tile, int64_t channels, const float *rstd,
                            const float *gamma, const double *dstat, dx_rows *p)
{
    const int64_t width = channels / attr->groups;
    const double share = 1.0 / ((double)attr->count * (double)width);
    int64_t group = -1;
    double mean = 0.0, mean_xhat = 0.0;
    for (int64_t c = 0; c < tile->channels; c++) {
        const int64_t channel = tile->channel0 + c;
        if (channel / width != group) {
            group = channel / width;
            mean = mean_xhat = 0.0;
            for (int64_t k = group * width; k < (group + 1) * width; k++) {
                const double g = gamma != NULL ? (double)gamma[k] : 1.0;
                mean += g * dstat[k];
                mean_xhat += g * dstat[channels + k];
            }
            mean *= share;
            mean_xhat *= share;
        }
        const double inverse = (double)rstd[channel];
        for (int64_t at = c; at < tile->len; at += tile->channels) {
            p->offset[at] = (float)(inverse * mean);
            p->tilt[at] = (float)(inverse * inverse * mean_xhat);
        }
    }
}

FARI_INLINE void dx_tile(const channel_tile *tile, const dx_rows *p, const float *x, const float *dy, const float *y,
                         float *dx, float *dz, far_act act, float slope, bool has_stats, bool has_dz)
{
    for (int64_t r = 0; r <= tile->rows; r++) {
        const int64_t len = r < tile->rows ? tile->len : tile->tail, at = r * tile->stride;
        const float *restrict xr = x + at, *restrict dyr = dy + at, *restrict yr = y + at;
        float *restrict dxr = dx + at, *restrict dzr = dz + (has_dz ? at : 0);
        for (int64_t i = 0; i < len; i++) {
            const float z = dz_of(dyr[i], yr[i], act, slope);
            if (has_dz) dzr[i] = z;
            dxr[i] = has_stats ? p->scale[i] * z - (p->tilt[i] * (xr[i] - p->mean[i]) + p->offset[i]) : p->scale[i] * z;
        }
    }
}

/* One unrolled copy for each activation, with statistics; without them (fixed ones) or with dz as second output, others. */
static void dx_choose(const channel_tile *tile, const dx_rows *p, const float *x, const float *dy, const float *y,
                      float *dx, float *dz, const fari_norm_attr *attr)
{
    const float slope = (float)attr->slope;
    const bool has_dz = dz != NULL, is_relu = attr->act == FAR_ACT_RELU, is_leaky = attr->act == FAR_ACT_LEAKY_RELU;
    float *const no_dz = dx;
    if (attr->batch_stats && !has_dz) {
        if (is_relu) dx_tile(tile, p, x, dy, y, dx, no_dz, FAR_ACT_RELU, slope, true, false);
        if (is_leaky) dx_tile(tile, p, x, dy, y, dx, no_dz, FAR_ACT_LEAKY_RELU, slope, true, false);
        if (!is_relu && !is_leaky) dx_tile(tile, p, x, dy, y, dx, no_dz, FAR_ACT_NONE, slope, true, false);
    } else if (attr->batch_stats) {
        if (is_relu) dx_tile(tile, p, x, dy, y, dx, dz, FAR_ACT_RELU, slope, true, true);
        if (is_leaky) dx_tile(tile, p, x, dy, y, dx, dz, FAR_ACT_LEAKY_RELU, slope, true, true);
    } else if (!has_dz) {
        dx_tile(tile, p, x, dy, y, dx, no_dz, attr->act, slope, false, false);
    } else {
        dx_tile(tile, p, x, dy, y, dx, dz, attr->act, slope, false, true);
    }
}

far_status FARI_ISA(fari_norm_dx)(const fari_call *call)
{
    const fari_norm_attr *attr = call->attr;
    const runs r = runs_of(attr, &call->in[0]);
    int32_t next = 3;
    const float *y = attr->act != FAR_ACT_NONE ? call->in[next++].data : call->in[0].data;
    const float *gamma = attr->has_affine ? call->in[next++].data : NULL;
    const double *dstats = attr->batch_stats ? call->in[next].data : NULL;
    dx_rows p;
    for (int64_t s = 0; s < r.count; s++) {
        const float *meanrstd = meanrstd_of(&call->in[1], s, r.channels);
        for (int64_t c0 = 0; c0 < r.channels; c0 += CHANNELS_ROW) {
            const channel_tile tile = channel_tile_at(r.channels, c0, r.pixels);
            const int64_t at = s * r.pixels * r.channels + c0;
            channel_spread(&tile, meanrstd, p.mean);
            scale_spread(&tile, meanrstd + r.channels, gamma, p.scale);
            if (dstats != NULL)
                dx_coefficients(attr, &tile, r.channels, meanrstd + r.channels, gamma, dstats + s * 2 * r.channels, &p);
            dx_choose(&tile, &p, (const float *)call->in[0].data + at, (const float *)call->in[2].data + at, y + at,
                      (float *)call->out[0].data + at, call->out_count > 1 ? (float *)call->out[1].data + at : NULL,
                      attr);
        }
    }
    return FAR_OK;
}
