/* What norm.c and norm_backward.c share: how the norm family walks a piece, and its parameters a row. */
#ifndef FARI_CPU_ISA_NORM_ROWS_H
#define FARI_CPU_ISA_NORM_ROWS_H
#include "backends/cpu/isa/channels.h"
#include "ops/norm.h"

/* The samples of a piece as runs that share statistics: each sample for itself, or all as one. */
typedef struct norm_runs {
    int64_t count, pixels; /* pixels of each */
    int64_t channels;
} norm_runs;

static inline norm_runs norm_runs_of(const fari_norm_attr *attr, const fari_view *x)
{
    const int64_t pixels = pixels_of(x);
    if (attr->group_samples == 1) return (norm_runs){ x->dim[0], pixels, x->dim[1] };
    return (norm_runs){ 1, x->dim[0] * pixels, x->dim[1] };
}

/* Two sums for each float of a row. */
typedef struct norm_lanes {
    double sum[CHANNELS_ROW], product[CHANNELS_ROW];
} norm_lanes;

static inline void norm_lanes_clear(norm_lanes *lanes, int64_t len)
{
    for (int64_t i = 0; i < len; i++) lanes->sum[i] = lanes->product[i] = 0.0;
}

/* z = (x - mean) scale + beta; scale = rstd gamma. */
typedef struct norm_affine {
    float mean[CHANNELS_ROW], scale[CHANNELS_ROW], beta[CHANNELS_ROW];
} norm_affine;

/* Mean and rstd of run s: a tensor without segments serves all. */
static inline const float *norm_meanrstd(const fari_view *meanrstd, int64_t s, int64_t channels)
{
    return (const float *)meanrstd->data + (meanrstd->dim[0] > 1 ? s : 0) * 2 * channels;
}

/* gamma NULL: ones; beta NULL: zeros. */
static inline void norm_affine_spread(const channel_tile *tile, const float *meanrstd, int64_t channels,
                                      const float *gamma, const float *beta, norm_affine *p)
{
    channel_spread(tile, meanrstd, p->mean);
    channel_spread(tile, meanrstd + channels, p->scale);
    if (gamma != NULL)
        for (int64_t at = 0; at < tile->len; at += tile->channels)
            for (int64_t c = 0; c < tile->channels; c++) p->scale[at + c] *= gamma[tile->channel0 + c];
    if (beta != NULL) channel_spread(tile, beta, p->beta);
    else channel_fill(tile, 0.0f, p->beta);
}
#endif
