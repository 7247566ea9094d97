/* Short lines, as the few classes of a pixel, would leave vectors half empty: a block holds 64 lines turned by 90 degrees, so that
   vectors run across lines and loops along them. */
#ifndef FARI_CPU_ISA_BLOCKS_H
#define FARI_CPU_ISA_BLOCKS_H
#include "backends/cpu/isa/isa.h"
#include <stdint.h>

#define BLOCK 64
#define BLOCK_CLASSES 32 /* longer lines are worked on along the line */

typedef struct block {
    float v[BLOCK_CLASSES][BLOCK]; /* [element of the line][line] */
} block;

/* With a constant length the inner loop unrolls and the compiler turns lines with shuffles. */
FARI_INLINE void block_read_of(block *b, const float *restrict x, int64_t n, int64_t length)
{
    for (int64_t j = 0; j < n; j++)
        for (int64_t k = 0; k < length; k++) b->v[k][j] = x[j * length + k];
}

FARI_INLINE void block_write_of(const block *b, float *restrict y, int64_t n, int64_t length)
{
    for (int64_t j = 0; j < n; j++)
        for (int64_t k = 0; k < length; k++) y[j * length + k] = b->v[k][j];
}

/* Lines 0..n of x; the block's others become zeros. */
static inline void block_read(block *b, const float *restrict x, int64_t n, int64_t length)
{
    for (int64_t k = 0; k < length; k++)
        for (int64_t j = n; j < BLOCK; j++) b->v[k][j] = 0.0f;
    if (n < BLOCK || length > 4) block_read_of(b, x, n, length);
    else if (length == 1) block_read_of(b, x, BLOCK, 1);
    else if (length == 2) block_read_of(b, x, BLOCK, 2);
    else if (length == 3) block_read_of(b, x, BLOCK, 3);
    else block_read_of(b, x, BLOCK, 4);
}

static inline void block_write(const block *b, float *restrict y, int64_t n, int64_t length)
{
    if (n < BLOCK || length > 4) block_write_of(b, y, n, length);
    else if (length == 1) block_write_of(b, y, BLOCK, 1);
    else if (length == 2) block_write_of(b, y, BLOCK, 2);
    else if (length == 3) block_write_of(b, y, BLOCK, 3);
    else block_write_of(b, y, BLOCK, 4);
}

/* Largest element of each line; a NaN shows in the sum of exponentials. */
FARI_INLINE void block_top(const block *b, int64_t length, float *restrict top)
{
    for (int j = 0; j < BLOCK; j++) top[j] = b->v[0][j];
    for (int64_t k = 1; k < length; k++)
        for (int j = 0; j < BLOCK; j++) top[j] = b->v[k][j] > top[j] ? b->v[k][j] : top[j];
}

/* The same for one long line. */
static inline float block_line_top(const float *restrict x, int64_t length)
{
    float top[16];
    for (int j = 0; j < 16; j++) top[j] = x[0];
    int64_t base = 0;
    for (; base + 16 <= length; base += 16)
        for (int j = 0; j < 16; j++) top[j] = x[base + j] > top[j] ? x[base + j] : top[j];
    for (; base < length; base++) top[0] = x[base] > top[0] ? x[base] : top[0];
    for (int j = 1; j < 16; j++) top[0] = top[j] > top[0] ? top[j] : top[0];
    return top[0];
}
#endif
