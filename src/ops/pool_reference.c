/* Windowed pooling by its definition, in double. Positions are those of the whole image: pieces may start at any row. */
#include "ops/pool.h"
#include "ops/spatial.h"
#include <math.h>

static const int64_t origin[3] = { 0, 0, 0 };

typedef struct box {
    fari_pool_window axis[3];
    int64_t count[3];
} box;

/* The window of y's element `whole`, a position of the whole image. */
static box box_of(const fari_pool_attr *attr, const int64_t whole[3])
{
    box b;
    for (int d = 0; d < 3; d++) {
        b.axis[d] = fari_pool_window_of(attr, d, whole[d]);
        b.count[d] = b.axis[d].count;
    }
    return b;
}

/* Position of a tap in the piece of x; false outside the image. */
static bool tap_in_x(const fari_pool_attr *attr, const fari_volume *x, const box *b, const int64_t tap[3],
                     int64_t piece_out[3])
{
    for (int d = 0; d < 3; d++) {
        const int64_t pos = b->axis[d].start + tap[d] * b->axis[d].step;
        if (pos < 0 || pos >= attr->in_extent[d]) return false;
        piece_out[d] = pos - (d == 0 ? x->row0 : 0);
        FAR_ASSERT(piece_out[d] >= 0 && piece_out[d] < x->extent[d]);
    }
    return true;
}

static int64_t tap_number(const box *b, const int64_t tap[3])
{
    return (tap[0] * b->count[1] + tap[1]) * b->count[2] + tap[2];
}

/* Number of the winning tap; the maximum in *max_out. */
static int64_t max_tap(const fari_pool_attr *attr, const fari_volume *x, int64_t n, int64_t c, const box *b,
                       double *max_out)
{
    int64_t tap[3] = { 0, 0, 0 }, at[3], winner = -1;
    *max_out = -(double)INFINITY;
    do {
        if (!tap_in_x(attr, x, b, tap, at)) continue;
        const double value = fari_volume_get(x, fari_volume_at(x, n, c, at));
        if (winner >= 0 && !(value > *max_out) && !isnan(value)) continue;
        *max_out = value;
        winner = tap_number(b, tap);
    } while (fari_pos_next(tap, origin, b->count));
    return winner < 0 ? 0 : winner;
}

far_status fari_max_pool_reference(const fari_call *call)
{
    const fari_pool_attr *attr = call->attr;
    const fari_volume x = fari_volume_of(&call->in[0]), y = fari_volume_of(&call->out[0]),
                      arg = fari_volume_of(&call->out[1]);
    for (int64_t n = 0; n < y.samples; n++) {
        for (int64_t c = 0; c < y.channels; c++) {
            int64_t pos[3] = { 0, 0, 0 };
            do {
                const box b = box_of(attr, (const int64_t[3]){ pos[0] + y.row0, pos[1], pos[2] });
                double max = 0.0;
                const int64_t tap = max_tap(attr, &x, n, c, &b, &max);
                fari_volume_set(&y, fari_volume_at(&y, n, c, pos), max);
                fari_volume_set(&arg, fari_volume_at(&arg, n, c, pos), (double)tap);
            } while (fari_pos_next(pos, origin, y.extent));
        }
    }
    return FAR_OK;
}

/* Divisor of a window's sum: taps inside the image, or inside the padded image. */
static double divisor(const fari_pool_attr *attr, const box *b)
{
    double taps = 1.0;
    for (int d = 0; d < 3; d++) {
        const int64_t pad = attr->count_include_pad && !attr->is_adaptive ? attr->pad[d] : 0;
        int64_t lo = b->axis[d].start, hi = lo + b->axis[d].count;
        if (lo < -pad) lo = -pad;
        if (hi > attr->in_extent[d] + pad) hi = attr->in_extent[d] + pad;
        taps *= (double)(hi - lo);
    }
    return taps;
}

far_status fari_avg_pool_reference(const fari_call *call)
{
    const fari_pool_attr *attr = call->attr;
    const fari_volume x = fari_volume_of(&call->in[0]), y = fari_volume_of(&call->out[0]);
    for (int64_t n = 0; n < y.samples; n++) {
        for (int64_t c = 0; c < y.channels; c++) {
            int64_t pos[3] = { 0, 0, 0 };
            do {
                const box b = box_of(attr, (const int64_t[3]){ pos[0] + y.row0, pos[1], pos[2] });
                int64_t tap[3] = { 0, 0, 0 }, at[3];
                double sum = 0.0;
                do {
                    if (tap_in_x(attr, &x, &b, tap, at)) sum += fari_volume_get(&x, fari_volume_at(&x, n, c, at));
                } while (fari_pos_next(tap, origin, b.count));
                fari_volume_set(&y, fari_volume_at(&y, n, c, pos), sum / divisor(attr, &b));
            } while (fari_pos_next(pos, origin, y.extent));
        }
    }
    return FAR_OK;
}

/* Tap number of x's element `whole` in a window; -1 when it is none. */
static int64_t tap_of(const box *b, const int64_t whole[3])
{
    int64_t tap[3];
    for (int d = 0; d < 3; d++) {
        const int64_t off = whole[d] - b->axis[d].start;
        if (off < 0 || off % b->axis[d].step != 0 || off / b->axis[d].step >= b->axis[d].count) return -1;
        tap[d] = off / b->axis[d].step;
    }
    return tap_number(b, tap);
}

/* Sum over the windows that hold an element of x, in ascending order. `arg` is NULL for the average. */
static double gather(const fari_pool_attr *attr, const fari_volume *dy, const fari_volume *arg, int64_t n, int64_t c,
                     const int64_t whole[3])
{
    int64_t lo[3], hi[3], pos[3];
    double sum = 0.0;
    for (int d = 0; d < 3; d++) {
        fari_pool_rows_dy(attr, d, whole[d], whole[d] + 1, &lo[d], &hi[d]);
        if (lo[d] < 0) lo[d] = 0;
        if (hi[d] > attr->out_extent[d]) hi[d] = attr->out_extent[d];
        pos[d] = lo[d];
    }
    do {
        const box b = box_of(attr, pos);
        const int64_t tap = tap_of(&b, whole), at[3] = { pos[0] - dy->row0, pos[1], pos[2] };
        if (tap < 0) continue;
        FAR_ASSERT(at[0] >= 0 && at[0] < dy->extent[0]);
        const double value = fari_volume_get(dy, fari_volume_at(dy, n, c, at));
        if (arg == NULL) sum += value / divisor(attr, &b);
        else if ((int64_t)fari_volume_get(arg, fari_volume_at(arg, n, c, at)) == tap) sum += value;
    } while (fari_pos_next(pos, lo, hi));
    return sum;
}

static far_status pool_dx(const fari_call *call, const fari_volume *arg)
{
    const fari_volume dy = fari_volume_of(&call->in[0]), dx = fari_volume_of(&call->out[0]);
    for (int64_t n = 0; n < dx.samples; n++) {
        for (int64_t c = 0; c < dx.channels; c++) {
            int64_t pos[3] = { 0, 0, 0 };
            do {
                const int64_t whole[3] = { pos[0] + dx.row0, pos[1], pos[2] };
                fari_volume_set(&dx, fari_volume_at(&dx, n, c, pos), gather(call->attr, &dy, arg, n, c, whole));
            } while (fari_pos_next(pos, origin, dx.extent));
        }
    }
    return FAR_OK;
}

far_status fari_max_pool_dx_reference(const fari_call *call)
{
    const fari_volume arg = fari_volume_of(&call->in[1]);
    return pool_dx(call, &arg);
}

far_status fari_avg_pool_dx_reference(const fari_call *call)
{
    return pool_dx(call, NULL);
}
