/* Average pooling on channels-last f32.
 *   fari_avg_pool     op avg_pool     in: x; out: y. No scratch.
 *   fari_avg_pool_dx  op avg_pool_dx  in: dy; out: dx. No scratch. */
#include "backends/cpu/isa/kernels.h"
#include "backends/cpu/isa/pool_window.h"
#include "backends/cpu/isa/vec.h"
#include <string.h>

#if VEC_WIDEST >= 16
#define V 16
#include "backends/cpu/isa/pool_avg_block.h"
#endif
#if VEC_WIDEST >= 8
#define V 8
#include "backends/cpu/isa/pool_avg_block.h"
#endif
#define V 4
#include "backends/cpu/isa/pool_avg_block.h"
#define V 1
#include "backends/cpu/isa/pool_avg_block.h"

typedef struct avg_ctx {
    pool_axis axis[3];
    piece_axes x, y;
    bool count_include_pad;
} avg_ctx;

static avg_ctx ctx_of(const fari_pool_attr *attr, const fari_view *x, const fari_view *y)
{
    avg_ctx ctx = { .x = piece_axes_of(x), .y = piece_axes_of(y), .count_include_pad = attr->count_include_pad };
    pool_axes_of(attr, ctx.axis);
    return ctx;
}

/* ---- forward ---- */

/* One line of y; x is the sample's. */
static void avg_line(const avg_ctx *ctx, const pool_taps *taps0, const pool_taps *taps1, const float *x, float *y)
{
    const int64_t channels = ctx->y.channels, line = ctx->x.count[2] * channels, plane = ctx->x.count[1] * line;
    const int64_t stride[3] = { plane, line, channels }; /* averages take no dilation */
    const int64_t around = pool_divisor(&ctx->axis[0], taps0, ctx->count_include_pad) *
                           pool_divisor(&ctx->axis[1], taps1, ctx->count_include_pad);
    x += (taps0->start + taps0->lo - ctx->x.first[0]) * plane + (taps1->start + taps1->lo - ctx->x.first[1]) * line;
    for (int64_t o = 0; o < ctx->y.count[2]; o++, y += channels) {
        const pool_taps taps2 = pool_taps_of(&ctx->axis[2], o + ctx->y.first[2]);
        const int64_t count[3] = { taps0->hi - taps0->lo, taps1->hi - taps1->lo, taps2.hi - taps2.lo };
        const float *from = x + (taps2.start + taps2.lo - ctx->x.first[2]) * channels;
        const float divisor = (float)(around * pool_divisor(&ctx->axis[2], &taps2, ctx->count_include_pad));
        FOR_CHANNELS(c, channels, avg_block, count, stride, from + c, divisor, y + c);
    }
}

far_status FARI_ISA(fari_avg_pool)(const fari_call *call)
{
    const avg_ctx ctx = ctx_of(call->attr, &call->in[0], &call->out[0]);
    const float *x = call->in[0].data;
    float *y = call->out[0].data;
    for (int64_t n = 0; n < ctx.y.samples; n++, x += axes_pixels(&ctx.x) * ctx.x.channels) {
        for (int64_t o0 = 0; o0 < ctx.y.count[0]; o0++) {
            const pool_taps taps0 = pool_taps_of(&ctx.axis[0], o0 + ctx.y.first[0]);
            for (int64_t o1 = 0; o1 < ctx.y.count[1]; o1++, y += ctx.y.count[2] * ctx.y.channels) {
                const pool_taps taps1 = pool_taps_of(&ctx.axis[1], o1 + ctx.y.first[1]);
                avg_line(&ctx, &taps0, &taps1, x, y);
            }
        }
    }
    return FAR_OK;
}

/* ---- backward ---- */

/* Adds to a line of dx what flows back from one line of dy; `around` is the divisor's part of the other axes. */
static void spread_line(const avg_ctx *ctx, int64_t around, const float *dy, float *dx)
{
    const int64_t channels = ctx->x.channels, first = ctx->x.first[2], end = first + ctx->x.count[2];
    for (int64_t o = 0; o < ctx->y.count[2]; o++, dy += channels) {
        const pool_taps taps = pool_taps_of(&ctx->axis[2], o + ctx->y.first[2]);
        const float divisor = (float)(around * pool_divisor(&ctx->axis[2], &taps, ctx->count_include_pad));
        int64_t lo = taps.start + taps.lo, hi = taps.start + taps.hi;
        if (lo < first) lo = first; /* in 1-D the window may reach into another piece */
        if (hi > end) hi = end;
        FOR_CHANNELS(c, channels, spread_block, hi - lo, channels, dy + c, divisor, dx + (lo - first) * channels + c);
    }
}

/* One line of dx at (p0, p1) of the whole image; dy is the sample's. Windows come in ascending order. */
static void avg_dx_line(const avg_ctx *ctx, int64_t p0, int64_t p1, const float *dy, float *dx)
{
    const int64_t line = ctx->y.count[2] * ctx->y.channels;
    int64_t lo0, hi0, lo1, hi1;
    pool_outputs_of(&ctx->axis[0], p0, ctx->y.first[0], ctx->y.count[0], &lo0, &hi0);
    pool_outputs_of(&ctx->axis[1], p1, ctx->y.first[1], ctx->y.count[1], &lo1, &hi1);
    memset(dx, 0, (size_t)(ctx->x.count[2] * ctx->x.channels) * sizeof *dx);
    for (int64_t o0 = lo0; o0 < hi0; o0++) {
        const pool_taps taps0 = pool_taps_of(&ctx->axis[0], o0);
        for (int64_t o1 = lo1; o1 < hi1 && pool_tap_at(&taps0, p0) >= 0; o1++) {
            const pool_taps taps1 = pool_taps_of(&ctx->axis[1], o1);
            const int64_t around = pool_divisor(&ctx->axis[0], &taps0, ctx->count_include_pad) *
                                   pool_divisor(&ctx->axis[1], &taps1, ctx->count_include_pad);
            const int64_t at = (o0 - ctx->y.first[0]) * ctx->y.count[1] + o1 - ctx->y.first[1];
            if (pool_tap_at(&taps1, p1) >= 0) spread_line(ctx, around, dy + at * line, dx);
        }
    }
}

far_status FARI_ISA(fari_avg_pool_dx)(const fari_call *call)
{
    const avg_ctx ctx = ctx_of(call->attr, &call->out[0], &call->in[0]);
    const float *dy = call->in[0].data;
    float *dx = call->out[0].data;
    for (int64_t n = 0; n < ctx.x.samples; n++, dy += axes_pixels(&ctx.y) * ctx.y.channels)
        for (int64_t p0 = 0; p0 < ctx.x.count[0]; p0++)
            for (int64_t p1 = 0; p1 < ctx.x.count[1]; p1++, dx += ctx.x.count[2] * ctx.x.channels)
                avg_dx_line(&ctx, p0 + ctx.x.first[0], p1 + ctx.x.first[1], dy, dx);
    return FAR_OK;
}
