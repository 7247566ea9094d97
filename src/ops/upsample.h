/* Resampling of images: nearest and linear (bilinear, trilinear) to any extents, with PyTorch's coordinates.
 *
 * Along one axis output o reads i0 with weight 1 - w and i1 = min(i0 + 1, in - 1) with weight w:
 *   nearest         i0 = floor(o in / out), w = 0
 *   linear          s = max(0, (o + 1/2) in / out - 1/2), i0 = floor(s), w = s - i0
 *   align_corners   s = o (in - 1) / (out - 1), 0 where out = 1
 * Coordinates are ratios of integers and are computed as such, so that every kernel reads the rows that the row rules name. */
#ifndef FARI_OPS_UPSAMPLE_H
#define FARI_OPS_UPSAMPLE_H
#include "graph/op.h"

/* Axis 0 of the arrays is the first spatial axis (rows); unused axes hold 1. */
typedef struct fari_upsample_attr {
    int32_t spatial_ndim;
    bool is_linear, align_corners;
    int64_t in_extent[3], out_extent[3]; /* of x and y, in both ops alike */
} fari_upsample_attr;

extern const fari_op fari_op_upsample;    /* MAP: x -> y */
extern const fari_op fari_op_upsample_dx; /* MAP: dy -> dx, gather form */

/* What output o reads along axis d. */
typedef struct fari_upsample_tap {
    int64_t i0, i1;
    double w; /* of i1; i0 has 1 - w */
} fari_upsample_tap;
fari_upsample_tap fari_upsample_tap_of(const fari_upsample_attr *attr, int d, int64_t o);
/* Outputs along axis d that read any of the inputs [x_lo, x_hi); at least one. */
void fari_upsample_rows_dy(const fari_upsample_attr *attr, int d, int64_t x_lo, int64_t x_hi, int64_t *lo, int64_t *hi);

far_status fari_upsample_reference(const fari_call *call);
far_status fari_upsample_dx_reference(const fari_call *call);
#endif
