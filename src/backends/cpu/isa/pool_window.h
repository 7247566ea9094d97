/* Windows of the fast pooling kernels, on three axes, innermost last. */
#ifndef FARI_CPU_ISA_POOL_WINDOW_H
#define FARI_CPU_ISA_POOL_WINDOW_H
#include "backends/cpu/isa/spatial_axes.h"
#include "ops/pool.h"

/* One axis's pooling parameters. */
typedef struct pool_axis {
    int64_t kernel, stride, dilation, pad, in, out;
    bool is_adaptive;
} pool_axis;

FARI_INLINE void pool_axes_of(const fari_pool_attr *attr, pool_axis axis_out[3])
{
    const int32_t lead = 3 - attr->spatial_ndim;
    for (int32_t d = 0; d < 3; d++) {
        const int32_t k = d - lead;
        axis_out[d] = d < lead ? (pool_axis){ 1, 1, 1, 0, 1, 1, false }
                               : (pool_axis){ attr->kernel[k],    attr->stride[k],     attr->dilation[k], attr->pad[k],
                                              attr->in_extent[k], attr->out_extent[k], attr->is_adaptive };
    }
}

/* Taps of one window along one axis: [lo, hi) of [0, count) are inside the image. */
typedef struct pool_taps {
    int64_t start, step, count, lo, hi;
} pool_taps;

FARI_INLINE pool_taps pool_taps_of(const pool_axis *axis, int64_t o)
{
    pool_taps taps;
    if (axis->is_adaptive) {
        taps.start = o * axis->in / axis->out;
        taps.count = ((o + 1) * axis->in + axis->out - 1) / axis->out - taps.start;
        taps.step = 1;
        taps.lo = 0;
        taps.hi = taps.count;
        return taps;
    }
    taps.start = o * axis->stride - axis->pad;
    taps.step = axis->dilation;
    taps.count = taps.hi = axis->kernel;
    taps.lo = 0;
    while (taps.lo < taps.hi && taps.start + taps.lo * taps.step < 0) taps.lo++;
    while (taps.hi > taps.lo && taps.start + (taps.hi - 1) * taps.step >= axis->in) taps.hi--;
    return taps;
}

/* Elements that count for the average along one axis. */
FARI_INLINE int64_t pool_divisor(const pool_axis *axis, const pool_taps *taps, bool count_include_pad)
{
    const int64_t pad = count_include_pad && !axis->is_adaptive ? axis->pad : 0;
    const int64_t lo = taps->start < -pad ? -pad : taps->start;
    const int64_t end = taps->start + taps->count, hi = end > axis->in + pad ? axis->in + pad : end;
    return hi - lo;
}

/* Outputs [*lo, *hi) of the piece of y whose windows may hold position `pos` of the whole image. */
FARI_INLINE void pool_outputs_of(const pool_axis *axis, int64_t pos, int64_t first, int64_t count, int64_t *lo,
                                 int64_t *hi)
{
    int64_t from, to;
    if (axis->is_adaptive) {
        from = pos * axis->out / axis->in;
        to = ((pos + 1) * axis->out + axis->in - 1) / axis->in;
    } else {
        const int64_t reach = pos + axis->pad - (axis->kernel - 1) * axis->dilation;
        from = reach <= 0 ? 0 : (reach + axis->stride - 1) / axis->stride;
        to = (pos + axis->pad) / axis->stride + 1;
    }
    *lo = from < first ? first : from;
    *hi = to > first + count ? first + count : to;
}

/* Number of the tap that reads `pos`, -1 when none does. */
FARI_INLINE int64_t pool_tap_at(const pool_taps *taps, int64_t pos)
{
    const int64_t off = pos - taps->start;
    if (off < 0 || off % taps->step != 0 || off / taps->step >= taps->count) return -1;
    return off / taps->step;
}
#endif
