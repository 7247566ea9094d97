/* A grain of a convolution (or of its gradients) seen as a whole small convolution with paddings of its own.
 *
 * Let rows [a, b) of y (of the whole image) and rows [r, q) of x be in the call's views. Row a + j of y reads rows
 * (a + j) s - p + t d of x, so of the view rows j s - pad + t d with pad = r + p - a s: the same formula for the forward call, for the
 * gradient of the input and for that of the weights. Rows that meet nothing on the other side are left out of the piece: a row of y
 * whose window lies in the padding (its value is the bias), a row of x that no window reads (its gradient is zero). */
#ifndef FARI_CPU_CONV_PIECE_H
#define FARI_CPU_CONV_PIECE_H
#include "ops/conv.h"

/* Axis 0 of the arrays: rows. All members are int64_t: the struct is part of a cache key. */
typedef struct fari_conv_piece {
    int64_t spatial_ndim, samples, groups;
    int64_t in_channels, out_channels; /* x's and y's */
    int64_t x[3], y[3];                /* extents of the piece */
    int64_t kernel[3], stride[3], dilation[3];
    int64_t pad_lo[3], pad_hi[3];
    int64_t x_lead, x_tail; /* rows of x's view before and after the piece */
    int64_t y_lead, y_tail; /* rows of y's view before and after the piece */
    int64_t is_empty;       /* no row of y meets a row of x */
} fari_conv_piece;

void fari_conv_piece_of(const fari_conv_attr *attr, const fari_view *x, const fari_view *y, fari_conv_piece *piece_out);

/* The samples of a piece do not follow each other without gaps: one call a sample. */
static inline bool fari_conv_piece_by_sample(const fari_conv_piece *piece)
{
    return piece->samples > 1 && (piece->x_lead | piece->x_tail | piece->y_lead | piece->y_tail) != 0;
}

/* Elements of a row of x or y: the axes after the first, and the channels. */
static inline int64_t fari_conv_piece_row_x(const fari_conv_piece *piece)
{
    return piece->x[1] * piece->x[2] * piece->in_channels;
}

static inline int64_t fari_conv_piece_row_y(const fari_conv_piece *piece)
{
    return piece->y[1] * piece->y[2] * piece->out_channels;
}
#endif
