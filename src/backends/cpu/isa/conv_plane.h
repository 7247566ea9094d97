/* Convolutions from one channel to few, stride 1: pixels lie in the lanes of a vector, as in the image of one channel they lie side by
 * side. What comes out (or, for weight gradients, goes in) is channels-last and is turned in registers, eight channels of 8 or 16 pixels at
 * a time.
 *
 * An image is worked on in strips of rows, each copied with zeros around it, so that every vector of pixels has its whole windows.
 *
 * Order of a sum: forward the bias, then rows of the window, then its columns, in one chain. Of a weight gradient: of a strip, pixels of
 * equal column modulo 16 in one chain, rows in order; strips are added to that, then the 16 sums are folded in halves. The bits do not
 * depend on the instruction set. */
#ifndef FARI_CPU_ISA_CONV_PLANE_H
#define FARI_CPU_ISA_CONV_PLANE_H
#include "backends/cpu/isa/conv_thin.h"
#include <stdbool.h>

#define FARI_PLANE_OUT_MAX 8 /* channels of the output */
#define FARI_PLANE_KERNEL_MAX 5
#define FARI_PLANE_COLS_MIN 12 /* columns of the output, at least: else vectors are mostly empty */
#define FARI_PLANE_LANES 16
#define FARI_PLANE_STRIP 1024 /* floats of an output channel in a strip, or one row */

/* Columns of a channel in a strip: whole vectors. */
static inline int64_t fari_plane_cols(const fari_thin_conv *conv)
{
    return (conv->out_cols + FARI_PLANE_LANES - 1) / FARI_PLANE_LANES * FARI_PLANE_LANES;
}

/* Floats from row to row of the copied input. */
static inline int64_t fari_plane_in_cols(const fari_thin_conv *conv)
{
    return fari_plane_cols(conv) + conv->kernel_cols - 1;
}

/* Rows of the output in a strip. */
static inline int64_t fari_plane_strip_rows(const fari_thin_conv *conv)
{
    const int64_t rows = FARI_PLANE_STRIP / fari_plane_cols(conv);
    return rows < 1 ? 1 : rows < conv->out_rows ? rows : conv->out_rows;
}

static inline int64_t fari_plane_in_elems(const fari_thin_conv *conv)
{
    return (fari_plane_strip_rows(conv) + conv->kernel_rows - 1) * fari_plane_in_cols(conv);
}

/* Floats of scratch that the kernels below need, the same for all instruction sets. */
static inline int64_t fari_plane_forward_scratch(const fari_thin_conv *conv)
{
    return fari_plane_in_elems(conv) + conv->kernel_rows * conv->kernel_cols * conv->out_channels;
}

static inline int64_t fari_plane_dw_scratch(const fari_thin_conv *conv)
{
    return fari_plane_in_elems(conv) + conv->out_channels * fari_plane_strip_rows(conv) * fari_plane_cols(conv) +
           conv->out_channels * conv->kernel_rows * conv->kernel_cols * FARI_PLANE_LANES;
}

/* The kernels of one instruction set, of images from one channel; weights and their gradients are plain, [out_channels][rows][cols]. */
typedef struct fari_plane_kernels {
    const char *impl; /* "farandole plane:avx512" */
    void (*forward)(const fari_thin_conv *conv, const fari_conv_operands *operands);
    /* d_weight = the gradient of the weight, dy being the output's; += with `accumulate` */
    void (*dw)(const fari_thin_conv *conv, const float *in, const float *dy, bool accumulate, float *d_weight,
               float *scratch);
} fari_plane_kernels;

#define FARI_PLANE_DECLARE(suffix)                                                       \
    void fari_plane_forward##suffix(const fari_thin_conv *, const fari_conv_operands *); \
    void fari_plane_dw##suffix(const fari_thin_conv *, const float *, const float *, bool, float *, float *);
FARI_PLANE_DECLARE(_base)
FARI_PLANE_DECLARE(_avx2)
FARI_PLANE_DECLARE(_avx512)
#endif
