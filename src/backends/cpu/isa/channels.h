/* How the kernels that work on channels walk channels-last data, [pixels][C].
 *
 * Few channels would leave vectors half empty, so pixels are taken together: a row is a run of C * k floats, and what belongs to
 * channels (means, scales, sums) is written out k times beside it. Many channels are taken in tiles. Either way the inner loop runs
 * over `len` <= CHANNELS_ROW floats that lie side by side in data and parameters. */
#ifndef FARI_CPU_ISA_CHANNELS_H
#define FARI_CPU_ISA_CHANNELS_H
#include "backends/cpu/isa/isa.h"
#include "graph/op.h"

#define CHANNELS_ROW 512
#define CHANNELS_ROW_WANTED 256
#define CHANNELS_ROW_SUMS 32 /* of kernels that sum: a row is what they hold in registers */
#define CHANNELS_LANES 16    /* rows are a multiple of it where they can be: 512 bits */

typedef struct channel_tile {
    int64_t channel0, channels; /* of this tile */
    int64_t len;                /* floats a row: channels times repeats */
    int64_t stride;             /* floats from row to row */
    int64_t rows;               /* full rows of a segment */
    int64_t tail;               /* floats of a last, shorter row */
} channel_tile;

static inline int64_t pixels_of(const fari_view *view)
{
    int64_t pixels = 1;
    for (int32_t i = 2; i < view->ndim; i++) pixels *= view->dim[i];
    return pixels;
}

/* Pixels a row: as many as fit `wanted` floats and make whole vectors. */
static inline int64_t channel_repeats(int64_t channels, int64_t wanted)
{
    int64_t step = 1;
    while (step < CHANNELS_LANES && channels * step % CHANNELS_LANES != 0) step *= 2;
    int64_t repeats = wanted / channels / step * step;
    if (repeats < 1) repeats = channels * step <= CHANNELS_ROW ? step : CHANNELS_ROW_WANTED / channels;
    return repeats < 1 ? 1 : repeats;
}

/* The tile that starts at channel0, for a run of `pixels` pixels, with rows of some `wanted` floats. */
static inline channel_tile channel_tile_at(int64_t channels, int64_t channel0, int64_t pixels, int64_t wanted)
{
    channel_tile tile = { .channel0 = channel0, .channels = channels - channel0, .stride = channels };
    if (channels > CHANNELS_ROW_WANTED) {
        if (tile.channels > CHANNELS_ROW) tile.channels = CHANNELS_ROW;
        tile.len = tile.channels;
        tile.rows = pixels;
        return tile;
    }
    tile.len = tile.stride = channels * channel_repeats(channels, wanted);
    tile.rows = pixels * channels / tile.len;
    tile.tail = pixels * channels % tile.len;
    return tile;
}

/* Writes the tile's part of a vector over channels once for each pixel of a row. */
static inline void channel_spread(const channel_tile *tile, const float *restrict vector, float *restrict row)
{
    for (int64_t at = 0; at < tile->len; at += tile->channels)
        for (int64_t c = 0; c < tile->channels; c++) row[at + c] = vector[tile->channel0 + c];
}

static inline void channel_fill(const channel_tile *tile, float value, float *row)
{
    for (int64_t i = 0; i < tile->len; i++) row[i] = value;
}

/* Sums of a row's lanes for channel c of the tile, in order. */
static inline double channel_fold(const channel_tile *tile, const double *lanes, int64_t c)
{
    double sum = 0.0;
    for (int64_t at = c; at < tile->len; at += tile->channels) sum += lanes[at];
    return sum;
}
#endif
