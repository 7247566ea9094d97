/* Weight gradients of convolutions between many channels, channels-last: our own kernels, bit-equal between instruction sets.
 *
 * Of dy and x a block of pixels is copied into panels, a few channels of all pixels side by side, so that a tile of the gradient (some
 * channels of x times some of dy) reads two short runs of memory while it stays in registers. x is copied once for all taps of the kernel.
 *
 * A partial lies in tiles of 16 x 16: [out / 16][in / 16][taps][16 in][16 out], as fari_tiles_to_plain reads them (tiles.h).
 *
 * Order of a sum: one chain over the pixels of a block of some rows of one sample, whose window lies inside the image; these blocks
 * then in order. */
#ifndef FARI_CPU_ISA_CONV_WIDE_H
#define FARI_CPU_ISA_CONV_WIDE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FARI_WIDE_EDGE 16 /* of a tile of a partial */
#define FARI_WIDE_OUT 32  /* out_channels is a multiple of it, in_channels of FARI_WIDE_EDGE */

/* Row j, column i of the output reads rows j stride - pad_rows + [0, kernel_rows) of the input, and columns likewise; the input is 0
   outside of its rows and columns. Of a kernel of one pixel (no padding) all windows lie inside. */
typedef struct fari_wide_conv {
    int64_t samples;
    int64_t in_channels, out_channels;
    int64_t in_rows, in_cols, out_rows, out_cols;
    int64_t kernel_rows, kernel_cols;
    int64_t stride_rows, stride_cols;
    int64_t pad_rows, pad_cols; /* pad_rows may be negative: the input has more rows than are read */
} fari_wide_conv;

static inline int64_t fari_wide_weight_elems(const fari_wide_conv *conv)
{
    return conv->out_channels * conv->in_channels * conv->kernel_rows * conv->kernel_cols;
}

/* Floats of scratch that the kernel needs, the same for all instruction sets. */
int64_t fari_wide_dw_scratch(const fari_wide_conv *conv);

/* Blocks of pixels: how many are summed in one chain, how many are copied at once. The bits rest on the first. */
typedef struct fari_wide_blocks {
    int64_t chain_rows, chain_cols; /* of the output, at most */
    int64_t rows, samples;       /* copied: rows of one sample, a multiple of chain_rows; or all rows of some samples */
    int64_t panel_in, panel_out; /* pixels a panel holds, with room to spare */
    bool is_gathered;            /* x is copied as the pixels that are read alone: a kernel of one pixel */
} fari_wide_blocks;

fari_wide_blocks fari_wide_blocks_of(const fari_wide_conv *conv);

/* The kernels of one instruction set. */
typedef struct fari_wide_kernels {
    const char *impl; /* "farandole wide:avx512" */
    /* partial = the gradient of the weight of `conv`, dy being its output's; or += it. */
    void (*dw)(const fari_wide_conv *conv, const float *in, const float *dy, bool is_added, float *partial,
               float *scratch);
} fari_wide_kernels;

#define FARI_WIDE_DECLARE(suffix) \
    void fari_wide_dw##suffix(const fari_wide_conv *, const float *, const float *, bool, float *, float *);
FARI_WIDE_DECLARE(_base)
FARI_WIDE_DECLARE(_avx2)
FARI_WIDE_DECLARE(_avx512)
#endif
