/* The convolution's formulas, tap by tap, in double. Positions are those of the whole image: pieces may start at any row. */
#include "ops/conv.h"
#include "ops/spatial.h"

static const int64_t origin[3] = { 0, 0, 0 };

/* Turns a position of the whole image into one of the piece. False: in the padding. A row of the image that the piece lacks is a
   mistake of the row rules. */
static bool to_piece(const fari_volume *vol, const int64_t whole[3], const int64_t extent[3], int64_t piece_out[3])
{
    for (int d = 0; d < 3; d++) {
        if (whole[d] < 0 || whole[d] >= extent[d]) return false;
        piece_out[d] = whole[d] - (d == 0 ? vol->row0 : 0);
        FAR_ASSERT(piece_out[d] >= 0 && piece_out[d] < vol->extent[d]);
    }
    return true;
}

/* Position in x of tap t of y's element `pos` (of its piece). */
static bool tap_in_x(const fari_conv_attr *attr, const fari_volume *x, const fari_volume *y, const int64_t pos[3],
                     const int64_t tap[3], int64_t piece_out[3])
{
    int64_t whole[3];
    for (int d = 0; d < 3; d++)
        whole[d] = (pos[d] + (d == 0 ? y->row0 : 0)) * attr->stride[d] - attr->pad_lo[d] + tap[d] * attr->dilation[d];
    return to_piece(x, whole, attr->in_extent, piece_out);
}

/* Position in y of the element whose tap t is x's element `pos`. False: there is none. */
static bool tap_in_y(const fari_conv_attr *attr, const fari_volume *x, const fari_volume *y, const int64_t pos[3],
                     const int64_t tap[3], int64_t piece_out[3])
{
    int64_t whole[3], extent[3];
    for (int d = 0; d < 3; d++) {
        const int64_t shifted = pos[d] + (d == 0 ? x->row0 : 0) + attr->pad_lo[d] - tap[d] * attr->dilation[d];
        if (shifted < 0 || shifted % attr->stride[d] != 0) return false;
        whole[d] = shifted / attr->stride[d];
        extent[d] = fari_conv_out_extent(attr, d);
    }
    return to_piece(y, whole, extent, piece_out);
}

/* One element of y: sum over the group's channels and the taps. */
static double conv_at(const fari_conv_attr *attr, const fari_volume *x, const fari_volume *w, const fari_volume *y,
                      int64_t n, int64_t o, const int64_t pos[3])
{
    const int64_t group_in = attr->in_channels / attr->groups,
                  first = o / (attr->out_channels / attr->groups) * group_in;
    int64_t tap[3] = { 0, 0, 0 }, at[3];
    double sum = 0.0;
    do {
        if (!tap_in_x(attr, x, y, pos, tap, at)) continue;
        for (int64_t c = 0; c < group_in; c++)
            sum += fari_volume_get(x, fari_volume_at(x, n, first + c, at)) *
                   fari_volume_get(w, fari_volume_at(w, o, c, tap));
    } while (fari_pos_next(tap, origin, attr->kernel));
    return sum;
}

far_status fari_conv_reference(const fari_call *call)
{
    const fari_conv_attr *attr = call->attr;
    const fari_volume x = fari_volume_of(&call->in[0]), w = fari_volume_of(&call->in[1]),
                      y = fari_volume_of(&call->out[0]);
    for (int64_t n = 0; n < y.samples; n++) {
        for (int64_t o = 0; o < y.channels; o++) {
            const double bias = call->in_count > 2 ? fari_view_get_flat(&call->in[2], o) : 0.0;
            int64_t pos[3] = { 0, 0, 0 };
            do fari_volume_set(&y, fari_volume_at(&y, n, o, pos), bias + conv_at(attr, &x, &w, &y, n, o, pos));
            while (fari_pos_next(pos, origin, y.extent));
        }
    }
    return FAR_OK;
}

/* One element of dx: sum over the outputs that read it. */
static double conv_dx_at(const fari_conv_attr *attr, const fari_volume *dy, const fari_volume *w, const fari_volume *dx,
                         int64_t n, int64_t c, const int64_t pos[3])
{
    const int64_t group_in = attr->in_channels / attr->groups, group_out = attr->out_channels / attr->groups;
    const int64_t first = c / group_in * group_out;
    int64_t tap[3] = { 0, 0, 0 }, at[3];
    double sum = 0.0;
    do {
        if (!tap_in_y(attr, dx, dy, pos, tap, at)) continue;
        for (int64_t o = first; o < first + group_out; o++)
            sum += fari_volume_get(dy, fari_volume_at(dy, n, o, at)) *
                   fari_volume_get(w, fari_volume_at(w, o, c % group_in, tap));
    } while (fari_pos_next(tap, origin, attr->kernel));
    return sum;
}

far_status fari_conv_dx_reference(const fari_call *call)
{
    const fari_conv_attr *attr = call->attr;
    const fari_volume dy = fari_volume_of(&call->in[0]), w = fari_volume_of(&call->in[1]),
                      dx = fari_volume_of(&call->out[0]);
    for (int64_t n = 0; n < dx.samples; n++) {
        for (int64_t c = 0; c < dx.channels; c++) {
            const double bias = call->in_count > 2 ? fari_view_get_flat(&call->in[2], c) : 0.0;
            int64_t pos[3] = { 0, 0, 0 };
            do fari_volume_set(&dx, fari_volume_at(&dx, n, c, pos), bias + conv_dx_at(attr, &dy, &w, &dx, n, c, pos));
            while (fari_pos_next(pos, origin, dx.extent));
        }
    }
    return FAR_OK;
}

/* One element of dW: dy's piece against x shifted by the tap. */
static double conv_dw_at(const fari_conv_attr *attr, const fari_volume *x, const fari_volume *dy, int64_t o, int64_t c,
                         const int64_t tap[3])
{
    int64_t pos[3] = { 0, 0, 0 }, at[3];
    double sum = 0.0;
    do {
        if (!tap_in_x(attr, x, dy, pos, tap, at)) continue;
        for (int64_t n = 0; n < dy->samples; n++)
            sum += fari_volume_get(x, fari_volume_at(x, n, c, at)) * fari_volume_get(dy, fari_volume_at(dy, n, o, pos));
    } while (fari_pos_next(pos, origin, dy->extent));
    return sum;
}

far_status fari_conv_dw_reference(const fari_call *call)
{
    const fari_conv_attr *attr = call->attr;
    const fari_volume x = fari_volume_of(&call->in[0]), dy = fari_volume_of(&call->in[1]),
                      dw = fari_volume_of(&call->out[0]);
    const int64_t group_in = attr->in_channels / attr->groups, group_out = attr->out_channels / attr->groups;
    for (int64_t o = 0; o < dw.samples; o++) {
        for (int64_t c = 0; c < dw.channels; c++) {
            int64_t tap[3] = { 0, 0, 0 };
            do {
                const int64_t elem = fari_volume_at(&dw, o, c, tap);
                const double old = call->accumulate ? fari_volume_get(&dw, elem) : 0.0;
                fari_volume_set(&dw, elem, old + conv_dw_at(attr, &x, &dy, o, o / group_out * group_in + c, tap));
            } while (fari_pos_next(tap, origin, attr->kernel));
        }
    }
    return FAR_OK;
}

far_status fari_channel_sum_reference(const fari_call *call)
{
    const fari_volume dy = fari_volume_of(&call->in[0]);
    for (int64_t c = 0; c < dy.channels; c++) {
        double sum = call->accumulate ? fari_view_get_flat(&call->out[0], c) : 0.0;
        for (int64_t n = 0; n < dy.samples; n++) {
            int64_t pos[3] = { 0, 0, 0 };
            do sum += fari_volume_get(&dy, fari_volume_at(&dy, n, c, pos));
            while (fari_pos_next(pos, origin, dy.extent));
        }
        fari_view_set_flat(&call->out[0], c, sum);
    }
    return FAR_OK;
}
