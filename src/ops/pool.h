/* Pooling: maximum, average, adaptive and global, in one, two and three dimensions.
 *
 * A window of output i along one axis is taps start + t step, t in [0, count): start = i stride - pad, count = kernel, step = dilation;
 * adaptive: start = floor(i in / out), end = ceil((i + 1) in / out), step 1. Taps outside the image do not exist.
 * Maximum: the first in scan order wins, a NaN wins over all before it (PyTorch's rule: v > max or v is NaN).
 * Average: the sum divided by the taps inside the image, or with count_include_pad by those inside the padded image. */
#ifndef FARI_OPS_POOL_H
#define FARI_OPS_POOL_H
#include "graph/op.h"

/* Axis 0 of the arrays is the first spatial axis (rows); unused axes hold 1 (kernel, stride, dilation, extents) and 0 (pad). */
typedef struct fari_pool_attr {
    int32_t spatial_ndim;
    int64_t kernel[3], stride[3], dilation[3], pad[3]; /* kernel.. 1 and pad 0 where adaptive */
    int64_t in_extent[3], out_extent[3];               /* of x and y, in all four ops alike */
    bool is_adaptive;
    bool count_include_pad; /* average only */
} fari_pool_attr;

/* MAP: x -> y, argmax. argmax is the tap's number ((t0 K1) + t1) K2 + t2 in the window of extents K; u8 while that fits, else i32.
   0 where a window has no tap inside the image: y is -infinity there. */
extern const fari_op fari_op_max_pool;
extern const fari_op fari_op_max_pool_dx; /* MAP: dy, argmax -> dx */
extern const fari_op fari_op_avg_pool;    /* MAP: x -> y */
extern const fari_op fari_op_avg_pool_dx; /* MAP: dy -> dx */

extern const fari_op fari_op_global_sum; /* REDUCE: x [N, C, ..] -> sum over space, [N, C] f64; no attr */
extern const fari_op
    fari_op_global_max; /* REDUCE: x -> maximum [N, C], its position in the flat image [N, C] f64; no attr */
typedef struct fari_global_attr {
    int32_t spatial_ndim;
    int64_t extent[3]; /* of dx */
} fari_global_attr;
extern const fari_op fari_op_global_sum_dx; /* MAP: d [N, C] f64 -> dx [N, C, ..] f32: d everywhere */
extern const fari_op fari_op_global_max_dx; /* MAP: d [N, C] f32, position -> dx: d at the position, else 0 */
typedef struct fari_scale_cast_attr {
    double scale;
    int32_t dtype; /* far_dtype of the output: f32 or f64 */
} fari_scale_cast_attr;
extern const fari_op fari_op_scale_cast; /* MAP: x -> scale x in another type, elementwise, any shape */

/* The window of output i along axis d, not clipped. */
typedef struct fari_pool_window {
    int64_t start, count, step;
} fari_pool_window;
fari_pool_window fari_pool_window_of(const fari_pool_attr *attr, int d, int64_t i);
/* Outputs along axis d whose windows may hold inputs [x_lo, x_hi), not clipped, at least one. */
void fari_pool_rows_dy(const fari_pool_attr *attr, int d, int64_t x_lo, int64_t x_hi, int64_t *lo, int64_t *hi);
far_dtype fari_pool_argmax_dtype(const fari_pool_attr *attr);

/* pool_reference.c, pool_global.c */
far_status fari_max_pool_reference(const fari_call *call);
far_status fari_max_pool_dx_reference(const fari_call *call);
far_status fari_avg_pool_reference(const fari_call *call);
far_status fari_avg_pool_dx_reference(const fari_call *call);
#endif
