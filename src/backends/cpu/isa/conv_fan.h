/* Convolutions to few channels, channels-last, stride 1, that go from the input's pixels: the floats of a row of the output that a pixel
 * of the input reaches, kernel_cols x C of them, lie side by side and fill vectors where C alone would not. For gradients of the input of
 * layers that have few channels, such as 6.
 *
 * A row of the output: for each column of the input its fan, a sum over rows of the window and channels, in that order, in one chain an
 * element. Fans of columns that are kernel_cols apart do not meet: they are written to one of kernel_cols lines. Then bias (or 0) and
 * lines are added in order. Bits do not depend on the instruction set. */
#ifndef FARI_CPU_ISA_CONV_FAN_H
#define FARI_CPU_ISA_CONV_FAN_H
#include "backends/cpu/isa/conv_thin.h"

#define FARI_FAN_LANES 16
#define FARI_FAN_MAX 48     /* floats of a fan, at most */
#define FARI_FAN_COLS_MIN 6 /* columns of the input, at least */

/* Floats of a fan, whole vectors. */
static inline int64_t fari_fan_elems(const fari_thin_conv *conv)
{
    const int64_t elems = conv->kernel_cols * conv->out_channels;
    return (elems + FARI_FAN_LANES - 1) / FARI_FAN_LANES * FARI_FAN_LANES;
}

/* Of a packed weight, [kernel_rows][in_channels][fari_fan_elems]; in a fan columns of the output ascend. */
static inline int64_t fari_fan_weight_elems(const fari_thin_conv *conv)
{
    return conv->kernel_rows * conv->in_channels * fari_fan_elems(conv);
}

/* Floats of one line. */
static inline int64_t fari_fan_line_elems(const fari_thin_conv *conv)
{
    return (conv->in_cols + conv->kernel_cols) * conv->out_channels + FARI_FAN_MAX;
}

/* Floats of scratch, the same for all instruction sets: lines, a row of bias. */
static inline int64_t fari_fan_scratch(const fari_thin_conv *conv)
{
    return conv->kernel_cols * fari_fan_line_elems(conv) + conv->out_cols * conv->out_channels;
}

/* The kernel of one instruction set. operands: as of conv_thin.h, weight packed as above. */
typedef struct fari_fan_kernels {
    const char *impl; /* "farandole fan:avx512" */
    void (*run)(const fari_thin_conv *conv, const fari_conv_operands *operands);
} fari_fan_kernels;

#define FARI_FAN_DECLARE(suffix) void fari_fan##suffix(const fari_thin_conv *, const fari_conv_operands *);
FARI_FAN_DECLARE(_base)
FARI_FAN_DECLARE(_avx2)
FARI_FAN_DECLARE(_avx512)
#endif
