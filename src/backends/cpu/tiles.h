/* Weights in tiles, as oneDNN keeps most weight gradients: [G] [O/b] [C/b] [taps] [b of C] [b of O], to row-major.
 * Its own reorder takes ten times as long where a row of C is a multiple of 4 KiB (7.7 ms for 512 x 2048, 13 ms for 512 x 1024 x 9):
 * the rows of a tile then fall into one cache set. Here each cache line is written whole before the next is begun. */
#ifndef FARI_CPU_TILES_H
#define FARI_CPU_TILES_H
#include <stdint.h>

typedef struct fari_tiles {
    int64_t edge;                              /* b; 0: not a layout of tiles */
    int64_t groups, out_channels, in_channels; /* of one group; not padded */
    int64_t taps;
} fari_tiles;

void fari_tiles_to_plain(const fari_tiles *tiles, const float *tiled, float *plain);
#endif
