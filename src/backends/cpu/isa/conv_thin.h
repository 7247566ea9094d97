/* Convolutions between few channels, channels-last, stride 1: our own kernels, bit-equal between instruction sets.
 *
 * What a window of the input has in one of its rows lies in memory as one run of kernel_cols x C floats. The run is taken two floats
 * at a time ("steps"), each pair of output lanes (pairs.h) multiplying one of the two. So a weight is packed as
 *     [kernel_rows][steps][out_channels / 8][8 channels][2 floats of the step]
 * and a partial weight gradient lies in the same way. Where the run is odd, its last step overlaps the one before by a float: the
 * packed weight of that is 0, and the partial's is not read.
 *
 * Order of a sum: the bias (in the first lane of a pair), then rows of the window, then steps, in one chain a lane; then the two lanes
 * are added. Of a weight gradient: one chain a lane over a run of columns of one row of dy, these runs then in order. */
#ifndef FARI_CPU_ISA_CONV_THIN_H
#define FARI_CPU_ISA_CONV_THIN_H
#include "backends/cpu/isa/conv_operands.h"
#include <stddef.h>
#include <stdint.h>

#define FARI_THIN_IN_MAX 64    /* channels of the input, at most */
#define FARI_THIN_OUT_MAX 40   /* of the output */
#define FARI_THIN_STEM_STEPS 3 /* of a row of 5 x 5 from one channel, the only kernel from so few */
#define FARI_THIN_STEM_LAST 3  /* where the last of them begins */
#define FARI_THIN_COLS_MIN 16  /* columns of the output, at least */

/* Row j, column i of the output reads rows j - pad_rows + [0, kernel_rows) and columns i - pad_cols + [0, kernel_cols) of the input,
   which is 0 outside of its rows and columns. An input gradient is this too, with dy as input and weights turned around. */
typedef struct fari_thin_conv {
    int64_t samples;
    int64_t in_channels, out_channels; /* out: a multiple of 8 */
    int64_t in_rows, in_cols, out_rows, out_cols;
    int64_t kernel_rows, kernel_cols;
    int64_t pad_rows, pad_cols; /* pad_rows may be negative: the input has more rows than are read */
} fari_thin_conv;

static inline int64_t fari_thin_steps(const fari_thin_conv *conv)
{
    return (conv->kernel_cols * conv->in_channels + 1) / 2;
}

/* Where a step begins in the run. */
static inline int64_t fari_thin_step_at(const fari_thin_conv *conv, int64_t step)
{
    const int64_t last = conv->kernel_cols * conv->in_channels - 2;
    return 2 * step < last ? 2 * step : last;
}

/* Floats of a packed weight or a partial. */
static inline int64_t fari_thin_weight_elems(const fari_thin_conv *conv)
{
    return conv->kernel_rows * fari_thin_steps(conv) * conv->out_channels * 2;
}

/* Columns of dy whose products are added in one chain; their doubled channels stay in the first cache. */
static inline int64_t fari_thin_run_cols(const fari_thin_conv *conv)
{
    return conv->out_channels <= 8 ? 256 : conv->out_channels <= 24 ? 128 : 64;
}

/* Floats of scratch that the kernels below need, the same for all instruction sets. */
static inline int64_t fari_thin_forward_scratch(const fari_thin_conv *conv)
{
    const int64_t cols = FARI_THIN_COLS_MIN + conv->kernel_cols; /* of a block at the image's edge, copied */
    return 2 * conv->out_channels + conv->kernel_rows * cols * conv->in_channels;
}

static inline int64_t fari_thin_dw_scratch(const fari_thin_conv *conv)
{
    const int64_t cols = 2 * conv->kernel_cols; /* of the pixels at an edge, copied */
    return 2 * conv->out_channels * fari_thin_run_cols(conv) + conv->kernel_rows * cols * conv->in_channels;
}

/* The kernels of one instruction set. */
typedef struct fari_thin_kernels {
    const char *impl; /* "farandole thin:avx512" */
    void (*forward)(const fari_thin_conv *conv, const fari_conv_operands *operands);
    /* partial += the gradient of the weight of `conv`, dy being its output's. */
    void (*dw)(const fari_thin_conv *conv, const float *in, const float *dy, float *partial, float *scratch);
} fari_thin_kernels;

#define FARI_THIN_DECLARE(suffix)                                                       \
    void fari_thin_forward##suffix(const fari_thin_conv *, const fari_conv_operands *); \
    void fari_thin_dw##suffix(const fari_thin_conv *, const float *, const float *, float *, float *);
FARI_THIN_DECLARE(_base)
FARI_THIN_DECLARE(_avx2)
FARI_THIN_DECLARE(_avx512)
#endif
