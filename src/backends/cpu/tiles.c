#include "backends/cpu/tiles.h"

static inline int64_t at_most(int64_t value, int64_t limit)
{
    return value < limit ? value : limit;
}

/* One tile column: `rows` of O by `columns` of C, all taps. `stride`: elements of plain between outputs. */
static void tile_to_plain(const float *restrict tile, float *restrict plain, int64_t edge, int64_t taps, int64_t rows,
                          int64_t columns, int64_t stride)
{
    for (int64_t o = 0; o < rows; o++)
        for (int64_t c = 0; c < columns; c++)
            for (int64_t t = 0; t < taps; t++) plain[o * stride + c * taps + t] = tile[(t * edge + c) * edge + o];
}

void fari_tiles_to_plain(const fari_tiles *tiles, const float *tiled, float *plain)
{
    const int64_t edge = tiles->edge, taps = tiles->taps, stride = tiles->in_channels * taps;
    for (int64_t g = 0; g < tiles->groups; g++, plain += tiles->out_channels * stride)
        for (int64_t o = 0; o < tiles->out_channels; o += edge)
            for (int64_t c = 0; c < tiles->in_channels; c += edge, tiled += edge * edge * taps)
                tile_to_plain(tiled, plain + o * stride + c * taps, edge, taps, at_most(tiles->out_channels - o, edge),
                              at_most(tiles->in_channels - c, edge), stride);
}
