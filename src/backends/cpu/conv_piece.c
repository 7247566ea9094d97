#include "backends/cpu/conv_piece.h"
#include <string.h>

static int64_t span(const fari_conv_piece *piece, int d)
{
    return piece->dilation[d] * (piece->kernel[d] - 1) + 1;
}

/* Leaves out rows at the start; then pad_lo is in [0, span). */
static void trim_start(fari_conv_piece *piece)
{
    for (; piece->y[0] > 0 && piece->pad_lo[0] >= span(piece, 0); piece->y[0]--) {
        piece->pad_lo[0] -= piece->stride[0];
        piece->y_lead++;
    }
    if (piece->pad_lo[0] < 0) {
        piece->x_lead = -piece->pad_lo[0] < piece->x[0] ? -piece->pad_lo[0] : piece->x[0];
        piece->x[0] -= piece->x_lead;
        piece->pad_lo[0] += piece->x_lead;
    }
}

/* Leaves out rows at the end: windows that start after x, and rows of x beyond the last window. */
static void trim_end(fari_conv_piece *piece)
{
    while (piece->y[0] > 0 && (piece->y[0] - 1) * piece->stride[0] - piece->pad_lo[0] >= piece->x[0]) {
        piece->y[0]--;
        piece->y_tail++;
    }
    const int64_t read = (piece->y[0] - 1) * piece->stride[0] - piece->pad_lo[0] + span(piece, 0);
    if (piece->y[0] > 0 && piece->x[0] - read >= piece->stride[0]) {
        piece->x_tail = piece->x[0] - read;
        piece->x[0] = read;
    }
}

/* Padding that makes the extents fit. Fewer than `stride` elements at the end may stay unread: none is needed for them. */
static int64_t pad_after(const fari_conv_piece *piece, int d)
{
    const int64_t pad = (piece->y[d] - 1) * piece->stride[d] - piece->pad_lo[d] + span(piece, d) - piece->x[d];
    return pad > 0 ? pad : 0;
}

void fari_conv_piece_of(const fari_conv_attr *attr, const fari_view *x, const fari_view *y, fari_conv_piece *piece_out)
{
    memset(piece_out, 0, sizeof *piece_out);
    piece_out->spatial_ndim = attr->spatial_ndim;
    piece_out->samples = y->dim[0];
    piece_out->groups = attr->groups;
    piece_out->in_channels = attr->in_channels;
    piece_out->out_channels = attr->out_channels;
    for (int d = 0; d < 3; d++) {
        const bool is_used = d < attr->spatial_ndim;
        piece_out->x[d] = is_used ? x->dim[d + 2] : 1;
        piece_out->y[d] = is_used ? y->dim[d + 2] : 1;
        piece_out->kernel[d] = is_used ? attr->kernel[d] : 1;
        piece_out->stride[d] = is_used ? attr->stride[d] : 1;
        piece_out->dilation[d] = is_used ? attr->dilation[d] : 1;
        piece_out->pad_lo[d] = is_used ? attr->pad_lo[d] : 0;
    }
    piece_out->pad_lo[0] += x->row0 - y->row0 * piece_out->stride[0];
    trim_start(piece_out);
    trim_end(piece_out);
    piece_out->is_empty = piece_out->x[0] <= 0 || piece_out->y[0] <= 0;
    for (int d = 0; d < 3; d++) piece_out->pad_hi[d] = pad_after(piece_out, d);
}
