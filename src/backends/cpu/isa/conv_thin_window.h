/* The rows of a thin convolution's input that one row of its output reads, and copies of them at the image's edge. */
#ifndef FARI_CPU_ISA_CONV_THIN_WINDOW_H
#define FARI_CPU_ISA_CONV_THIN_WINDOW_H
#include "backends/cpu/isa/conv_thin.h"
#include "backends/cpu/isa/isa.h"
#include <stdbool.h>
#include <string.h>

#define THIN_LINE 16 /* floats of a cache line */

typedef struct thin_rows {
    const float *in;     /* the first of them */
    const float *ahead;  /* one more, which the next row of the output will read; where there is none, some other row */
    int64_t count, skip; /* rows of the kernel that lie above the first */
} thin_rows;

/* `in`: the sample. */
FARI_INLINE thin_rows thin_rows_of(const fari_thin_conv *conv, const float *in, int64_t out_row)
{
    const int64_t row = conv->in_cols * conv->in_channels;
    const int64_t top = out_row - conv->pad_rows, lo = top < 0 ? -top : 0, below = top + conv->kernel_rows;
    const int64_t hi = below > conv->in_rows ? conv->in_rows - top : conv->kernel_rows;
    if (lo >= hi) return (thin_rows){ in, in, 0, 0 };
    return (thin_rows){ in + (top + lo) * row, in + (below < conv->in_rows ? below : 0) * row, hi - lo, lo };
}

/* Columns [first, first + cols) of the rows, with zeros where the input has none. */
static inline void thin_copy(const fari_thin_conv *conv, const thin_rows *rows, int64_t first, int64_t cols,
                             float *copy)
{
    const int64_t channels = conv->in_channels, lo = first < 0 ? -first : 0;
    const int64_t hi = first + cols > conv->in_cols ? conv->in_cols - first : cols;
    const float *in = rows->in + first * channels;
    for (int64_t r = 0; r < rows->count; r++, in += conv->in_cols * channels, copy += cols * channels) {
        memset(copy, 0, (size_t)(cols * channels) * sizeof *copy);
        if (lo < hi) memcpy(copy + lo * channels, in + lo * channels, (size_t)((hi - lo) * channels) * sizeof *copy);
    }
}
#endif
