/* Vectors of pixels for conv_plane.c and conv_plane_dw.c. */
#ifndef FARI_CPU_ISA_CONV_PLANE_VEC_H
#define FARI_CPU_ISA_CONV_PLANE_VEC_H
#include "backends/cpu/isa/conv_plane.h"
#include "backends/cpu/isa/turn.h"
#include <string.h>

#define PIXELS WIDE              /* of a vector */
#define PLANE_CHANNELS TURN_ROWS /* that are turned at a time */

/* Rows of the output, of one sample. */
typedef struct plane_strip {
    const float *in; /* the sample */
    int64_t row, rows;
} plane_strip;

/* memcpy calls cost more than a short row. */
FARI_INLINE void plane_copy_row(float *to, const float *from, int64_t count)
{
    int64_t i = 0;
    for (; i + PIXELS <= count; i += PIXELS) wide_store(to + i, wide_load(from + i));
    if (i < count && count >= PIXELS) wide_store(to + count - PIXELS, wide_load(from + count - PIXELS));
    else
        for (; i < count; i++) to[i] = from[i];
}

/* The strip's input with zeros around it. `is_clean`: the zeros are there, from a strip of the same place in another sample. */
static inline void plane_copy(const fari_thin_conv *conv, const plane_strip *strip, bool is_clean, float *plane)
{
    const int64_t cols = fari_plane_in_cols(conv), rows = strip->rows + conv->kernel_rows - 1;
    const int64_t top = strip->row - conv->pad_rows, room = cols - conv->pad_cols;
    const int64_t count = conv->in_cols < room ? conv->in_cols : room;
    if (!is_clean) memset(plane, 0, (size_t)(rows * cols) * sizeof *plane);
    for (int64_t i = 0; i < rows; i++)
        if (top + i >= 0 && top + i < conv->in_rows)
            plane_copy_row(plane + i * cols + conv->pad_cols, strip->in + (top + i) * conv->in_cols, count);
}
#endif
