/* Gradients of batch, group, instance and channel layer norm: norm_dstats and norm_dx of src/ops/norm.h, f32, channels-last.
   Where the activation's sign is y's alone to tell (a residual was added) y is read; else it is found anew from x, by the very
   operations that gave y: one image less to read. Sums as in norm.c. */
#include "backends/cpu/isa/kernels_norm.h"
#include "backends/cpu/isa/norm_rows.h"
#include "backends/cpu/isa/stream.h"
#include "backends/cpu/isa/strips.h"
#include <string.h>

typedef enum gate { GATE_NONE, GATE_Y, GATE_X } gate;

static gate gate_of(const fari_norm_attr *attr)
{
    if (attr->act == FAR_ACT_NONE) return GATE_NONE;
    return fari_norm_needs_y(attr) ? GATE_Y : GATE_X;
}

/* dy act'(z); above: z, or y, which is above zero where z is. */
FARI_INLINE float dz_of(float dy, float above, far_act act, float slope)
{
    if (act == FAR_ACT_RELU) return above > 0.0f ? dy : 0.0f;
    if (act == FAR_ACT_LEAKY_RELU) return above > 0.0f ? dy : slope * dy;
    return dy;
}

/* ---- sum dz, sum dz xhat ---- */

FARI_INLINE strip_f strip_dz(strip_f dy, strip_f above, far_act act, float slope)
{
    if (act == FAR_ACT_NONE) return dy;
    const strip_i is_above = above > 0.0f, kept = (strip_i)dy & is_above;
    if (act == FAR_ACT_RELU) return (strip_f)kept;
    return (strip_f)(kept | ((strip_i)(slope * dy) & ~is_above));
}

typedef struct dstats_rows {
    const float *x, *dy, *y; /* y: with GATE_Y; else x */
    norm_affine affine;
} dstats_rows;

FARI_INLINE void dstats_strip(int64_t width, const dstats_rows *p, int64_t at, int64_t stride, int64_t rows,
                              int64_t lane, norm_lanes *lanes, far_act act, float slope, gate from)
{
    const int64_t parts = width / STRIP_LANES;
    const float *x = p->x + at, *dy = p->dy + at, *y = p->y + at;
    const float *mean = p->affine.mean + lane, *scale = p->affine.scale + lane, *beta = p->affine.beta + lane;
    double *sum = lanes->sum + lane, *product = lanes->product + lane;
    strip_d s[STRIP_PARTS], q[STRIP_PARTS];
    STRIP_UNROLL for (int64_t k = 0; k < parts; k++) s[k] = *(const strip_d *)(sum + k * STRIP_LANES);
    STRIP_UNROLL for (int64_t k = 0; k < parts; k++) q[k] = *(const strip_d *)(product + k * STRIP_LANES);
    for (int64_t r = 0; r < rows; r++, x += stride, dy += stride, y += stride) {
        strip_prefetch(x, width);
        strip_prefetch(dy, width);
        if (from == GATE_Y) strip_prefetch(y, width);
        STRIP_UNROLL for (int64_t k = 0; k < parts; k++)
        {
            const int64_t i = k * STRIP_LANES;
            const strip_f centred = *(const strip_f *)(x + i) - *(const strip_f *)(mean + i);
            const strip_f above = from == GATE_Y
                                      ? *(const strip_f *)(y + i)
                                      : centred * *(const strip_f *)(scale + i) + *(const strip_f *)(beta + i);
            const strip_d z = strip_widen(strip_dz(*(const strip_f *)(dy + i), above, act, slope));
            s[k] += z;
            q[k] = strip_add_product(q[k], z, strip_widen(centred));
        }
    }
    STRIP_UNROLL for (int64_t k = 0; k < parts; k++) * (strip_d *)(sum + k * STRIP_LANES) = s[k];
    STRIP_UNROLL for (int64_t k = 0; k < parts; k++) * (strip_d *)(product + k * STRIP_LANES) = q[k];
}

/* What fills no strip. */
FARI_INLINE void dstats_rest(const dstats_rows *p, int64_t at, int64_t lane, int64_t len, norm_lanes *lanes,
                             far_act act, float slope, gate from)
{
    const norm_affine *a = &p->affine;
    for (int64_t i = 0; i < len; i++) {
        const float centred = p->x[at + i] - a->mean[lane + i];
        const float above = from == GATE_Y ? p->y[at + i] : centred * a->scale[lane + i] + a->beta[lane + i];
        const double z = (double)dz_of(p->dy[at + i], above, act, slope);
        lanes->sum[lane + i] += z;
        lanes->product[lane + i] += z * (double)centred;
    }
}

FARI_INLINE void dstats_add(const channel_tile *tile, const dstats_rows *p, norm_lanes *lanes, far_act act, float slope,
                            gate from)
{
    const int64_t step = strip_rows(tile);
    for (int64_t first = 0; first < tile->rows; first += step) {
        const int64_t rows = tile->rows - first < step ? tile->rows - first : step, begin = first * tile->stride;
        int64_t at = 0;
        for (int64_t width = strip_width(tile->len); width > 0; width = strip_width(tile->len - at)) {
            STRIP_CALL(width, dstats_strip, p, begin + at, tile->stride, rows, at, lanes, act, slope, from);
            at += width;
        }
        for (int64_t r = 0; r < rows && at < tile->len; r++)
            dstats_rest(p, begin + r * tile->stride + at, at, tile->len - at, lanes, act, slope, from);
    }
    dstats_rest(p, tile->rows * tile->stride, 0, tile->tail, lanes, act, slope, from);
}

static void dstats_choose(const channel_tile *tile, const dstats_rows *p, norm_lanes *lanes, const fari_norm_attr *attr)
{
    const float slope = (float)attr->slope;
    const bool is_relu = attr->act == FAR_ACT_RELU;
    switch (gate_of(attr)) {
    case GATE_NONE: dstats_add(tile, p, lanes, FAR_ACT_NONE, slope, GATE_NONE); break;
    case GATE_Y:
        if (is_relu) dstats_add(tile, p, lanes, FAR_ACT_RELU, slope, GATE_Y);
        else dstats_add(tile, p, lanes, FAR_ACT_LEAKY_RELU, slope, GATE_Y);
        break;
    case GATE_X:
        if (is_relu) dstats_add(tile, p, lanes, FAR_ACT_RELU, slope, GATE_X);
        else dstats_add(tile, p, lanes, FAR_ACT_LEAKY_RELU, slope, GATE_X);
        break;
    }
}

far_status FARI_ISA(fari_norm_dstats)(const fari_call *call)
{
    const fari_norm_attr *attr = call->attr;
    const norm_runs r = norm_runs_of(attr, &call->in[0]);
    const fari_norm_ins ins = fari_norm_dstats_ins(attr);
    const float *gamma = ins.gamma > 0 ? call->in[ins.gamma].data : NULL,
                *beta = ins.beta > 0 ? call->in[ins.beta].data : NULL;
    norm_lanes lanes;
    dstats_rows p;
    for (int64_t s = 0; s < r.count; s++) {
        const float *meanrstd = norm_meanrstd(&call->in[1], s, r.channels);
        double *dstat = (double *)call->out[0].data + s * 2 * r.channels;
        if (!call->accumulate) memset(dstat, 0, (size_t)(2 * r.channels) * sizeof *dstat);
        for (int64_t c0 = 0; c0 < r.channels; c0 += CHANNELS_ROW) {
            const channel_tile tile = channel_tile_at(r.channels, c0, r.pixels, CHANNELS_ROW_SUMS);
            const int64_t at = s * r.pixels * r.channels + c0;
            p.x = (const float *)call->in[0].data + at;
            p.dy = (const float *)call->in[2].data + at;
            p.y = ins.y > 0 ? (const float *)call->in[ins.y].data + at : p.x;
            norm_affine_spread(&tile, meanrstd, r.channels, gamma, beta, &p.affine);
            norm_lanes_clear(&lanes, tile.len);
            dstats_choose(&tile, &p, &lanes, attr);
            for (int64_t c = 0; c < tile.channels; c++) {
                dstat[c0 + c] += channel_fold(&tile, lanes.sum, c);
                dstat[r.channels + c0 + c] +=
                    channel_fold(&tile, lanes.product, c) * (double)meanrstd[r.channels + c0 + c];
            }
        }
    }
    return FAR_OK;
}

/* ---- dx = scale dz - (offset + tilt (x - mean)) ---- */

typedef struct dx_rows {
    norm_affine affine;
    float offset[CHANNELS_ROW], tilt[CHANNELS_ROW];
} dx_rows;

typedef struct dx_piece {
    const float *x, *dy, *y; /* y: with GATE_Y; else x */
    float *dx, *dz;          /* dz NULL: not wanted */
    bool streams;
} dx_piece;

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

FARI_INLINE void dx_tile(const channel_tile *tile, const dx_rows *p, const dx_piece *piece, far_act act, float slope,
                         gate from, bool has_stats, bool has_dz)
{
    const norm_affine *a = &p->affine;
    float line[CHANNELS_ROW], line_z[CHANNELS_ROW];
    for (int64_t r = 0; r <= tile->rows; r++) {
        const bool is_full = r < tile->rows, streams = is_full && piece->streams;
        const int64_t len = is_full ? tile->len : tile->tail, at = r * tile->stride;
        const float *restrict xr = piece->x + at, *restrict dyr = piece->dy + at, *restrict yr = piece->y + at;
        float *restrict dxr = streams ? line : piece->dx + at;
        float *restrict dzr = has_dz && !streams ? piece->dz + at : line_z;
        for (int64_t i = 0; i < len; i++) {
            const float centred = xr[i] - a->mean[i];
            const float above = from == GATE_Y ? yr[i] : centred * a->scale[i] + a->beta[i];
            const float z = dz_of(dyr[i], above, act, slope);
            if (has_dz) dzr[i] = z;
            dxr[i] = has_stats ? a->scale[i] * z - (p->tilt[i] * centred + p->offset[i]) : a->scale[i] * z;
        }
        if (streams) stream_row(piece->dx + at, line, len);
        if (streams && has_dz) stream_row(piece->dz + at, line_z, len);
    }
}

/* One unrolled copy for each activation, with statistics; without them (fixed ones) others. dz is wanted where a residual was
   added before an activation: there y is read. */
static void dx_choose(const channel_tile *tile, const dx_rows *p, const dx_piece *piece, const fari_norm_attr *attr)
{
    const float slope = (float)attr->slope;
    const bool is_relu = attr->act == FAR_ACT_RELU;
    if (!attr->batch_stats) {
        if (piece->dz != NULL) dx_tile(tile, p, piece, attr->act, slope, GATE_Y, false, true);
        else dx_tile(tile, p, piece, attr->act, slope, GATE_X, false, false);
        return;
    }
    switch (gate_of(attr)) {
    case GATE_NONE: dx_tile(tile, p, piece, FAR_ACT_NONE, slope, GATE_NONE, true, false); break;
    case GATE_Y:
        if (is_relu) dx_tile(tile, p, piece, FAR_ACT_RELU, slope, GATE_Y, true, true);
        else dx_tile(tile, p, piece, FAR_ACT_LEAKY_RELU, slope, GATE_Y, true, true);
        break;
    case GATE_X:
        if (is_relu) dx_tile(tile, p, piece, FAR_ACT_RELU, slope, GATE_X, true, false);
        else dx_tile(tile, p, piece, FAR_ACT_LEAKY_RELU, slope, GATE_X, true, false);
        break;
    }
}

far_status FARI_ISA(fari_norm_dx)(const fari_call *call)
{
    const fari_norm_attr *attr = call->attr;
    const norm_runs r = norm_runs_of(attr, &call->in[0]);
    const fari_norm_ins ins = fari_norm_dx_ins(attr);
    const float *gamma = ins.gamma > 0 ? call->in[ins.gamma].data : NULL,
                *beta = ins.beta > 0 ? call->in[ins.beta].data : NULL;
    const double *dstats = ins.dstats > 0 ? call->in[ins.dstats].data : NULL;
    dx_rows p;
    for (int64_t s = 0; s < r.count; s++) {
        const float *meanrstd = norm_meanrstd(&call->in[1], s, r.channels);
        for (int64_t c0 = 0; c0 < r.channels; c0 += CHANNELS_ROW) {
            const channel_tile tile = channel_tile_at(r.channels, c0, r.pixels, CHANNELS_ROW_WANTED);
            const int64_t at = s * r.pixels * r.channels + c0;
            dx_piece piece = { .x = (const float *)call->in[0].data + at,
                               .dy = (const float *)call->in[2].data + at,
                               .dx = (float *)call->out[0].data + at,
                               .dz = call->out_count > 1 ? (float *)call->out[1].data + at : NULL };
            piece.y = ins.y > 0 ? (const float *)call->in[ins.y].data + at : piece.x;
            piece.streams = stream_pays_rows(&call->out[0], at, &tile) &&
                            (piece.dz == NULL || stream_pays_rows(&call->out[1], at, &tile));
            norm_affine_spread(&tile, meanrstd, r.channels, gamma, beta, &p.affine);
            if (dstats != NULL)
                dx_coefficients(attr, &tile, r.channels, meanrstd + r.channels, gamma, dstats + s * 2 * r.channels, &p);
            dx_choose(&tile, &p, &piece, attr);
        }
    }
    stream_end();
    return FAR_OK;
}
