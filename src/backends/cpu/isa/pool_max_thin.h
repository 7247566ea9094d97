/* Maximum pooling over windows of 2 x 2 that lie side by side, on images of few channels: a pixel fills no vector, a line does.
   Every place of a line is taken for the corner of a window, then the pixels that are one are put together. Tie, NaN and number of a tap
   are those of pool_max_block.h. For pool_max.c. */
#ifndef FARI_CPU_ISA_POOL_MAX_THIN_H
#define FARI_CPU_ISA_POOL_MAX_THIN_H
#include <string.h>

#define THIN_MOST 16    /* channels */
#define THIN_ELEMS 1024 /* of two lines at work at a time */

FARI_INLINE bool thin_pays(int64_t channels)
{
    return channels < THIN_MOST && channels % 8 != 0;
}

/* THIN_MOST elements are moved whatever the channels: what is too much is overwritten by the next pixel, or is room behind the last. */
FARI_INLINE void thin_move(float *to, const float *from, uint8_t *arg_to, const uint8_t *arg_from)
{
    memcpy(to, from, THIN_MOST * sizeof *to);
    memcpy(arg_to, arg_from, THIN_MOST);
}

/* `pixels` of y from lines x0 and x1 of twice as many. */
static void thin_max(const float *x0, const float *x1, int64_t pixels, int64_t channels, float *y, uint8_t *arg_out)
{
    float all[THIN_ELEMS + THIN_MOST], max[THIN_ELEMS + THIN_MOST];
    uint8_t all_arg[THIN_ELEMS + THIN_MOST], arg[THIN_ELEMS + THIN_MOST];
    const int64_t most = THIN_ELEMS / (2 * channels);
    for (int64_t done = 0; done < pixels; done += most) {
        const int64_t now = pixels - done < most ? pixels - done : most, elems = now * channels;
        /* the last pixel of a line is no corner: its neighbour would be the next line's */
        FOR_CHANNELS(i, 2 * elems - channels, max_square, x0 + i, x1 + i, channels, all + i, all_arg + i);
        memset(all + 2 * elems - channels, 0, THIN_MOST * sizeof *all);
        memset(all_arg + 2 * elems - channels, 0, THIN_MOST);
        for (int64_t o = 0; o < now; o++)
            thin_move(max + o * channels, all + 2 * o * channels, arg + o * channels, all_arg + 2 * o * channels);
        memcpy(y, max, (size_t)elems * sizeof *y);
        memcpy(arg_out, arg, (size_t)elems);
        x0 += 2 * elems;
        x1 += 2 * elems;
        y += elems;
        arg_out += elems;
    }
}
#endif
