/* What our own kernels of convolutions are asked, and the piece of a convolution that a call is of. */
#ifndef FARI_CPU_THIN_PIECE_H
#define FARI_CPU_THIN_PIECE_H
#include "backends/cpu/isa/conv_thin.h"
#include "graph/op.h"
#include "ops/conv.h"

/* Images, stride 1, one group; paddings below the kernel's width, so that every window meets the image. */
static inline bool fari_thin_is_simple(const fari_conv_attr *attr)
{
    if (attr->spatial_ndim != 2 || attr->groups != 1) return false;
    for (int d = 0; d < 2; d++)
        if (attr->stride[d] != 1 || attr->dilation[d] != 1) return false;
    return attr->pad_lo[1] < attr->kernel[1] && attr->pad_hi[1] < attr->kernel[1];
}

static inline fari_thin_conv fari_thin_forward_piece(const fari_conv_attr *attr, const fari_view *x, const fari_view *y)
{
    return (fari_thin_conv){ .samples = y->dim[0],
                             .in_channels = attr->in_channels,
                             .out_channels = attr->out_channels,
                             .in_rows = x->dim[2],
                             .in_cols = x->dim[3],
                             .out_rows = y->dim[2],
                             .out_cols = y->dim[3],
                             .kernel_rows = attr->kernel[0],
                             .kernel_cols = attr->kernel[1],
                             .pad_rows = attr->pad_lo[0] + x->row0 - y->row0,
                             .pad_cols = attr->pad_lo[1] };
}

/* Row i of dx reads rows i + pad - t of dy, t a row of the kernel: a convolution again, with the kernel turned around. */
static inline fari_thin_conv fari_thin_dx_piece(const fari_conv_attr *attr, const fari_view *x, const fari_view *y)
{
    return (fari_thin_conv){ .samples = x->dim[0],
                             .in_channels = attr->out_channels,
                             .out_channels = attr->in_channels,
                             .in_rows = y->dim[2],
                             .in_cols = y->dim[3],
                             .out_rows = x->dim[2],
                             .out_cols = x->dim[3],
                             .kernel_rows = attr->kernel[0],
                             .kernel_cols = attr->kernel[1],
                             .pad_rows = attr->kernel[0] - 1 - attr->pad_lo[0] + y->row0 - x->row0,
                             .pad_cols = attr->kernel[1] - 1 - attr->pad_lo[1] };
}
#endif
