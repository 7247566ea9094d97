/* Convolutions with kernels of one pixel between many channels, channels-last, forward and for the gradient of the input: our own kernels,
   bit-equal between instruction sets.
 *
 * A tile is 8 pixels times 32 channels of the output, which stays in registers while the channels of the input go by. A weight is packed as
 *     [out_channels / 32][in_channels][32 of out_channels]
 *
 * Order of a sum: the bias, then channels of the input, in one chain. */
#ifndef FARI_CPU_ISA_CONV_PIXEL_H
#define FARI_CPU_ISA_CONV_PIXEL_H
#include "backends/cpu/isa/conv_operands.h"
#include <stdbool.h>
#include <stdint.h>

#define FARI_PIXEL_OUT 32 /* out_channels is a multiple of it */

/* Pixel (in_row0 + j in_stride, i in_stride) of the input gives pixel (out_row0 + j out_stride, i out_stride) of the output, for j in [0, rows), i in
   [0, cols). Other pixels of the output get the bias alone. One of the strides is 1. */
typedef struct fari_pixel_conv {
    int64_t samples;
    int64_t in_channels, out_channels;
    int64_t rows, cols;
    int64_t in_rows, in_cols, in_row0, in_stride;
    int64_t out_rows, out_cols, out_row0, out_stride;
} fari_pixel_conv;

static inline int64_t fari_pixel_weight_elems(const fari_pixel_conv *conv)
{
    return conv->in_channels * conv->out_channels;
}

/* Whether pixels that are read lie side by side, from in_row0 of the first sample on. */
static inline bool fari_pixel_is_dense(const fari_pixel_conv *conv)
{
    return conv->in_stride == 1 && (conv->samples == 1 || conv->in_rows == conv->rows);
}

/* Pixels that are worked on together, a multiple of those of a tile: few, so that the output is written in order, unless the weight has to come from
   beyond the second-level cache each time. */
static inline int64_t fari_pixel_block(const fari_pixel_conv *conv)
{
    return fari_pixel_weight_elems(conv) * (int64_t)sizeof(float) <= (INT64_C(1) << 20) ? 16 : 128;
}

/* Floats of scratch, the same for all instruction sets: pixels copied side by side. */
static inline int64_t fari_pixel_scratch(const fari_pixel_conv *conv)
{
    return fari_pixel_is_dense(conv) ? 0 : fari_pixel_block(conv) * conv->in_channels;
}

/* The kernels of one instruction set. */
typedef struct fari_pixel_kernels {
    const char *impl; /* "farandole pixel:avx512" */
    void (*run)(const fari_pixel_conv *conv, const fari_conv_operands *operands);
} fari_pixel_kernels;

#define FARI_PIXEL_DECLARE(suffix) void fari_pixel_run##suffix(const fari_pixel_conv *, const fari_conv_operands *);
FARI_PIXEL_DECLARE(_base)
FARI_PIXEL_DECLARE(_avx2)
FARI_PIXEL_DECLARE(_avx512)
#endif
