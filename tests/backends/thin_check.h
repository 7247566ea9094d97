/* What tests of our own kernels of thin convolutions have in common: convolutions with stride 1 and a square kernel, and whether there is an
   instruction set. */
#ifndef FAR_TESTS_THIN_CHECK_H
#define FAR_TESTS_THIN_CHECK_H
#include "backends/cpu/loops.h"
#include "conv_check.h"

static inline fari_thin_conv thin_conv(int64_t samples, int64_t in_channels, int64_t out_channels, int64_t kernel,
                                       int64_t rows, int64_t cols, int64_t pad)
{
    return (fari_thin_conv){ .samples = samples,
                             .in_channels = in_channels,
                             .out_channels = out_channels,
                             .in_rows = rows,
                             .in_cols = cols,
                             .out_rows = rows + 2 * pad - kernel + 1,
                             .out_cols = cols + 2 * pad - kernel + 1,
                             .kernel_rows = kernel,
                             .kernel_cols = kernel,
                             .pad_rows = pad,
                             .pad_cols = pad };
}

static inline int64_t thin_in_elems(const fari_thin_conv *conv)
{
    return conv->samples * conv->in_rows * conv->in_cols * conv->in_channels;
}

static inline int64_t thin_out_elems(const fari_thin_conv *conv)
{
    return conv->samples * conv->out_rows * conv->out_cols * conv->out_channels;
}

static inline bool has_isa(fari_isa isa)
{
    fari_isa best = FARI_ISA_BASE;
    FAR_CHECK_OK(fari_isa_select(NULL, &best));
    return best >= isa;
}
#endif
