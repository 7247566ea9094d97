/* Coordinates of the fast resampling kernels, as tables in scratch; formulas in ops/upsample.h. */
#ifndef FARI_CPU_ISA_UPSAMPLE_TAPS_H
#define FARI_CPU_ISA_UPSAMPLE_TAPS_H
#include "backends/cpu/isa/spatial_axes.h"
#include "ops/upsample.h"

/* What an output of the piece reads along one axis: inputs of the piece, i1 with weight w, i0 with 1 - w. */
typedef struct up_tap {
    int64_t i0, i1;
    double w;
} up_tap;

FARI_INLINE up_tap up_tap_of(const fari_upsample_attr *attr, int64_t in, int64_t out, int64_t o)
{
    int64_t num = (2 * o + 1) * in - out, den = 2 * out;
    if (!attr->is_linear || attr->align_corners) {
        num = attr->is_linear ? o * (in - 1) : o * in;
        den = attr->is_linear ? out - 1 : out;
    }
    if (num < 0 || den == 0) {
        num = 0;
        den = 1;
    }
    const int64_t i0 = num / den;
    if (!attr->is_linear) return (up_tap){ i0, i0, 0.0 };
    return (up_tap){ i0, i0 + 1 < in ? i0 + 1 : i0, (double)(num - i0 * den) / (double)den };
}

/* The same along the innermost axis: offsets in floats within a line. */
typedef struct up_pair {
    int64_t a, b;
    float weight_a, weight_b;
} up_pair;

/* Taps of y's piece along our axis d. */
FARI_INLINE void up_taps_fill(const fari_upsample_attr *attr, const piece_axes *x, const piece_axes *y, int d,
                              up_tap *taps_out)
{
    const int32_t k = d - (3 - attr->spatial_ndim);
    const int64_t in = k < 0 ? 1 : attr->in_extent[k], out = k < 0 ? 1 : attr->out_extent[k];
    for (int64_t o = 0; o < y->count[d]; o++) {
        up_tap tap = up_tap_of(attr, in, out, o + y->first[d]);
        tap.i0 -= x->first[d];
        tap.i1 -= x->first[d];
        taps_out[o] = tap;
    }
}

/* Scratch is handed out in lines of 64 bytes. */
FARI_INLINE size_t up_round(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

FARI_INLINE void *up_take(char **scratch_io, size_t bytes)
{
    void *taken = *scratch_io;
    *scratch_io += up_round(bytes);
    return taken;
}

/* ---- what a kernel needs, for kernels.h ---- */

static inline size_t up_scratch_forward(const fari_call *call)
{
    const piece_axes x = piece_axes_of(&call->in[0]), y = piece_axes_of(&call->out[0]);
    size_t bytes = up_round((size_t)(x.count[2] * x.channels) * sizeof(float));
    for (int d = 0; d < 3; d++) bytes += up_round((size_t)y.count[d] * sizeof(up_tap));
    return bytes + up_round((size_t)y.count[2] * sizeof(up_pair));
}

/* Where one element of dx gathers from along the innermost axis: `count` outputs from `first`, weights from `weight`. */
typedef struct up_gather {
    int32_t first, count, weight;
} up_gather;

static inline size_t up_scratch_backward(const fari_call *call)
{
    const piece_axes x = piece_axes_of(&call->out[0]), y = piece_axes_of(&call->in[0]);
    size_t bytes = up_round((size_t)(y.count[2] * y.channels) * sizeof(float));
    for (int d = 0; d < 3; d++) bytes += up_round((size_t)y.count[d] * sizeof(up_tap));
    bytes += up_round((size_t)x.count[2] * sizeof(up_gather));
    return bytes + up_round((size_t)(2 * y.count[2]) * sizeof(float));
}
#endif
