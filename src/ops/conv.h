/* Convolution in one, two and three dimensions, its gradients, and the sum over channels that is a bias's gradient.
 *
 * Extents along one spatial axis (PyTorch's formula): y = floor((x + pad_lo + pad_hi - dilation (k - 1) - 1) / stride) + 1.
 * y[n, o, i] = bias[o] + sum over c, t of weight[o, c, t] x[n, group(o) C/groups + c, i stride - pad_lo + t dilation]
 * A transposed convolution is conv_dx as a forward op: the adjoint of the conv whose weight [O = its input channels, C/groups, k..] it has. */
#ifndef FARI_OPS_CONV_H
#define FARI_OPS_CONV_H
#include "graph/op.h"

/* Axis 0 of the arrays is the first spatial axis (tensor axis 2: rows); unused axes hold 1 (kernel, stride, dilation, in_extent) and 0 (pads). */
typedef struct fari_conv_attr {
    int32_t spatial_ndim; /* 1, 2 or 3 */
    int64_t kernel[3], stride[3], dilation[3];
    int64_t pad_lo[3], pad_hi[3]; /* zeros before the first and after the last element */
    int64_t groups;
    int64_t in_extent[3];              /* of x, the convolution's input: conv_dx's output */
    int64_t in_channels, out_channels; /* of the convolution (x's C, y's O), in all four ops alike */
} fari_conv_attr;

extern const fari_op fari_op_conv;        /* MAP: x, weight, optional bias [O] -> y */
extern const fari_op fari_op_conv_dx;     /* MAP: dy, weight, optional bias [C] -> dx of in_extent, gather form */
extern const fari_op fari_op_conv_dw;     /* REDUCE over dy's grains: x, dy -> dW [O, C/groups, k..] */
extern const fari_op fari_op_channel_sum; /* REDUCE: dy [N, C, ..] -> [C]; no attr */

/* Rows of the other operand, not clipped; d is the axis (0: rows). */
void fari_conv_rows_x(const fari_conv_attr *attr, int d, int64_t y_lo, int64_t y_hi, int64_t *lo, int64_t *hi);
/* As above for conv_dx: rows of dy that rows [x_lo, x_hi) of dx read. Where none does, one neighbouring row. */
void fari_conv_rows_dy(const fari_conv_attr *attr, int d, int64_t x_lo, int64_t x_hi, int64_t *lo, int64_t *hi);
/* Extent of y along axis d; 0 or less: the kernel does not fit. */
int64_t fari_conv_out_extent(const fari_conv_attr *attr, int d);
/* Window of k taps along axis d, dilation counted: dilation (k - 1) + 1. */
static inline int64_t fari_conv_span(const fari_conv_attr *attr, int d)
{
    return attr->dilation[d] * (attr->kernel[d] - 1) + 1;
}

/* conv_reference.c: the formulas above, tap by tap, in double. */
far_status fari_conv_reference(const fari_call *call);
far_status fari_conv_dx_reference(const fari_call *call);
far_status fari_conv_dw_reference(const fari_call *call);
far_status fari_channel_sum_reference(const fari_call *call);
#endif
