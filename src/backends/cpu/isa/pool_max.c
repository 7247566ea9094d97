/* Maximum pooling on channels-last f32.
 *   fari_max_pool     op max_pool     in: x; out: y, argmax (u8 or i32). No scratch.
 *   fari_max_pool_dx  op max_pool_dx  in: dy, argmax; out: dx. No scratch. */
#include "backends/cpu/isa/kernels.h"
#include "backends/cpu/isa/pool_window.h"
#include "backends/cpu/isa/stream.h"
#include "backends/cpu/isa/vec.h"
#include <math.h>
#include <string.h>

/* The taps of a window that lie inside the image, as a box of pixels of x. */
typedef struct tap_box {
    const float *x; /* first tap, first channel */
    int64_t count[3];
    int64_t stride[3];  /* in floats */
    int32_t number;     /* of the first tap */
    int32_t numbers[3]; /* how the number grows along each axis */
} tap_box;

#if VEC_WIDEST >= 16
#define V 16
#include "backends/cpu/isa/pool_max_block.h"
#endif
#if VEC_WIDEST >= 8
#define V 8
#include "backends/cpu/isa/pool_max_block.h"
#endif
#define V 4
#include "backends/cpu/isa/pool_max_block.h"
#define V 1
#include "backends/cpu/isa/pool_max_block.h"
#include "backends/cpu/isa/pool_max_thin.h"

/* Windows of two along an axis that neither overlap nor leave gaps nor hang over. */
FARI_INLINE bool is_halving(const pool_axis *axis)
{
    return !axis->is_adaptive && axis->kernel == 2 && axis->stride == 2 && axis->dilation == 1 && axis->pad == 0 &&
           axis->out == axis->in / 2;
}

FARI_INLINE void max_pixel(const tap_box *box, int64_t n0, int64_t n1, int64_t n2, int64_t channels, float *y,
                           void *argmax, bool is_wide, int64_t at)
{
    FOR_CHANNELS(c, channels, max_block, box, n0, n1, n2, box->x + c, y, argmax, is_wide, at + c);
}

/* ---- forward ---- */

typedef struct max_ctx {
    pool_axis axis[3];
    piece_axes x, y;
    const float *x_data; /* of this sample */
    float *y_data;
    uint8_t *arg_data;
    const float *x_end, *y_end; /* of the call */
    bool is_wide;
} max_ctx;

/* The box of y's pixel (pos of the whole image), but for axis 2. */
static tap_box line_box(const max_ctx *ctx, const pool_taps *taps0, const pool_taps *taps1)
{
    const int64_t pixel = ctx->x.channels, line = ctx->x.count[2] * pixel, plane = ctx->x.count[1] * line;
    tap_box box = { .count = { taps0->hi - taps0->lo, taps1->hi - taps1->lo, 0 },
                    .stride = { taps0->step * plane, taps1->step * line, ctx->axis[2].dilation * pixel } };
    box.x = ctx->x_data + (taps0->start + taps0->lo * taps0->step - ctx->x.first[0]) * plane +
            (taps1->start + taps1->lo * taps1->step - ctx->x.first[1]) * line;
    return box;
}

FARI_INLINE void max_line_of(const max_ctx *ctx, const pool_taps *taps0, const pool_taps *taps1, int64_t at,
                             int64_t channels)
{
    const tap_box line = line_box(ctx, taps0, taps1);
    for (int64_t o = 0; o < ctx->y.count[2]; o++, at += channels) {
        const pool_taps taps = pool_taps_of(&ctx->axis[2], o + ctx->y.first[2]);
        tap_box box = line;
        box.count[2] = taps.hi - taps.lo;
        box.x += (taps.start + taps.lo * taps.step - ctx->x.first[2]) * channels;
        box.numbers[0] = (int32_t)(taps1->count * taps.count);
        box.numbers[1] = (int32_t)taps.count;
        box.numbers[2] = 1;
        box.number = (int32_t)((taps0->lo * taps1->count + taps1->lo) * taps.count + taps.lo);
        if (box.count[0] * box.count[1] * box.count[2] == 0) box.count[0] = box.number = 0;
        if (box.count[0] == 1 && box.count[1] == 2 && box.count[2] == 2 && !ctx->is_wide)
            max_pixel(&box, 1, 2, 2, channels, ctx->y_data, ctx->arg_data, false, at);
        else if (box.count[0] == 1 && box.count[1] == 3 && box.count[2] == 3 && !ctx->is_wide)
            max_pixel(&box, 1, 3, 3, channels, ctx->y_data, ctx->arg_data, false, at);
        else
            max_pixel(&box, box.count[0], box.count[1], box.count[2], channels, ctx->y_data, ctx->arg_data,
                      ctx->is_wide, at);
    }
}

/* By pool_max_thin.h, if that can: all of the line, and windows of 2 x 2. */
static bool max_line_thin(const max_ctx *ctx, const pool_taps *taps0, const pool_taps *taps1, int64_t at)
{
    const pool_axis *last = &ctx->axis[2];
    const int64_t channels = ctx->y.channels, pixels = ctx->y.count[2];
    if (thin_width(channels) == 0 || ctx->is_wide || taps0->count != 1 || taps1->count != 2 || !is_halving(last) ||
        ctx->x.count[2] != last->in || pixels != last->out)
        return false;
    const tap_box line = line_box(ctx, taps0, taps1);
    const float *below = line.x + line.stride[1];
    if (!thin_has_room(below, ctx->x_end, 2 * pixels, channels) ||
        !thin_has_room(ctx->y_data + at, ctx->y_end, pixels, channels))
        return false;
    thin_max(line.x, below, pixels, channels, ctx->y_data + at, ctx->arg_data + at);
    return true;
}

/* One line of y. */
static void max_line(const max_ctx *ctx, const pool_taps *taps0, const pool_taps *taps1, int64_t at)
{
    const int64_t channels = ctx->y.channels;
    if (max_line_thin(ctx, taps0, taps1, at)) return;
    if (channels == 8) max_line_of(ctx, taps0, taps1, at, 8);
    else if (channels == 16) max_line_of(ctx, taps0, taps1, at, 16);
    else max_line_of(ctx, taps0, taps1, at, channels);
}

far_status FARI_ISA(fari_max_pool)(const fari_call *call)
{
    max_ctx ctx = { .x = piece_axes_of(&call->in[0]),
                    .y = piece_axes_of(&call->out[0]),
                    .is_wide = call->out[1].dtype == FAR_I32 };
    const int64_t line = ctx.y.count[2] * ctx.y.channels;
    pool_axes_of(call->attr, ctx.axis);
    ctx.x_end = (const float *)call->in[0].data + axes_elems(&ctx.x);
    ctx.y_end = (const float *)call->out[0].data + axes_elems(&ctx.y);
    for (int64_t n = 0; n < ctx.y.samples; n++) {
        const int64_t y_elem = n * axes_pixels(&ctx.y) * ctx.y.channels;
        ctx.x_data = (const float *)call->in[0].data + n * axes_pixels(&ctx.x) * ctx.x.channels;
        ctx.y_data = (float *)call->out[0].data + y_elem;
        ctx.arg_data = (uint8_t *)call->out[1].data + y_elem * (ctx.is_wide ? 4 : 1);
        for (int64_t o0 = 0; o0 < ctx.y.count[0]; o0++) {
            const pool_taps taps0 = pool_taps_of(&ctx.axis[0], o0 + ctx.y.first[0]);
            for (int64_t o1 = 0; o1 < ctx.y.count[1]; o1++) {
                const pool_taps taps1 = pool_taps_of(&ctx.axis[1], o1 + ctx.y.first[1]);
                max_line(&ctx, &taps0, &taps1, (o0 * ctx.y.count[1] + o1) * line);
            }
        }
    }
    return FAR_OK;
}

/* ---- backward ---- */

typedef struct dx_ctx {
    pool_axis axis[3];
    piece_axes x, y;
    const float *dy_data; /* of this sample */
    const uint8_t *arg_data;
    const float *dy_end, *dx_end; /* of the call */
    bool is_wide;
    bool is_far; /* pairs are written past the caches */
} dx_ctx;

FARI_INLINE void dx_pairs_of(const dx_ctx *ctx, int32_t number, int64_t at, float *restrict dx, int64_t channels)
{
    for (int64_t o = 0; o < ctx->x.count[2] / 2; o++, at += channels, dx += 2 * channels) {
        FOR_CHANNELS(c, channels, dx_pair, dx + c, channels, ctx->dy_data, ctx->arg_data, at + c, number);
    }
}

FARI_INLINE void dx_pairs_far_of(const dx_ctx *ctx, int32_t number, int64_t at, float *restrict dx, int64_t channels)
{
    for (int64_t o = 0; o < ctx->x.count[2] / 2; o++, at += channels, dx += 2 * channels) {
        FOR_FULL_CHANNELS(c, channels, dx_pair_far, dx + c, channels, ctx->dy_data, ctx->arg_data, at + c, number);
    }
}

/* By pool_max_thin.h, if that can. */
static bool dx_line_thin(const dx_ctx *ctx, int32_t number, int64_t at, float *dx)
{
    const int64_t channels = ctx->x.channels, pixels = ctx->x.count[2] / 2;
    if (thin_width(channels) == 0 || !thin_has_room(ctx->dy_data + at, ctx->dy_end, pixels, channels) ||
        !thin_has_room(dx, ctx->dx_end, 2 * pixels, channels))
        return false;
    thin_dx(ctx->dy_data + at, ctx->arg_data + at, pixels, channels, number, dx);
    return true;
}

/* Windows of two along axis 2 that neither overlap nor leave gaps nor hang over: each pixel of dx is set once. Few channels as a
   constant: the loops over them would cost more than what they do. */
static void dx_line_pairs(const dx_ctx *ctx, int32_t number, int64_t at, float *restrict dx)
{
    const int64_t channels = ctx->x.channels, pixels = ctx->x.count[2];
    const bool is_done = !ctx->is_far && dx_line_thin(ctx, number, at, dx);
    if (ctx->is_far && channels == 8) dx_pairs_far_of(ctx, number, at, dx, 8);
    else if (ctx->is_far && channels == 16) dx_pairs_far_of(ctx, number, at, dx, 16);
    else if (ctx->is_far) dx_pairs_far_of(ctx, number, at, dx, channels);
    else if (channels == 24) dx_pairs_of(ctx, number, at, dx, 24);
    else if (channels == 32) dx_pairs_of(ctx, number, at, dx, 32);
    else if (!is_done) dx_pairs_of(ctx, number, at, dx, channels);
    if (pixels % 2 != 0) memset(dx + (pixels - 1) * channels, 0, (size_t)channels * sizeof *dx);
}

/* Adds what flows back from one line of dy, through tap t0, t1 of its windows. Windows come in ascending order. */
static void dx_line_add(const dx_ctx *ctx, int64_t t0, int64_t t1, int64_t count1, int64_t at, float *restrict dx)
{
    const int64_t channels = ctx->x.channels;
    for (int64_t o = 0; o < ctx->y.count[2]; o++, at += channels) {
        const pool_taps taps = pool_taps_of(&ctx->axis[2], o + ctx->y.first[2]);
        const int32_t number = (int32_t)((t0 * count1 + t1) * taps.count);
        for (int64_t t2 = taps.lo; t2 < taps.hi; t2++) {
            const int64_t pos = taps.start + t2 * taps.step - ctx->x.first[2];
            if (pos < 0 || pos >= ctx->x.count[2]) continue; /* another piece's row, in 1-D */
            float *to = dx + pos * channels;
            if (ctx->is_wide)
                FOR_CHANNELS(c, channels, dx_tap, to + c, ctx->dy_data, ctx->arg_data, true, at + c,
                             number + (int32_t)t2);
            else
                FOR_CHANNELS(c, channels, dx_tap, to + c, ctx->dy_data, ctx->arg_data, false, at + c,
                             number + (int32_t)t2);
        }
    }
}

/* One line of dx at (p0, p1) of the whole image. */
static void dx_line(const dx_ctx *ctx, int64_t p0, int64_t p1, float *dx)
{
    const pool_axis *last = &ctx->axis[2];
    const bool is_pairs = is_halving(last) && ctx->x.count[2] == last->in && !ctx->is_wide;
    int64_t lo0, hi0, lo1, hi1;
    bool is_set = false;
    pool_outputs_of(&ctx->axis[0], p0, ctx->y.first[0], ctx->y.count[0], &lo0, &hi0);
    pool_outputs_of(&ctx->axis[1], p1, ctx->y.first[1], ctx->y.count[1], &lo1, &hi1);
    for (int64_t o0 = lo0; o0 < hi0; o0++) {
        const pool_taps taps0 = pool_taps_of(&ctx->axis[0], o0);
        const int64_t t0 = pool_tap_at(&taps0, p0);
        for (int64_t o1 = lo1; o1 < hi1 && t0 >= 0; o1++) {
            const pool_taps taps1 = pool_taps_of(&ctx->axis[1], o1);
            const int64_t t1 = pool_tap_at(&taps1, p1);
            const int64_t at =
                ((o0 - ctx->y.first[0]) * ctx->y.count[1] + o1 - ctx->y.first[1]) * ctx->y.count[2] * ctx->y.channels;
            if (t1 < 0) continue;
            if (!is_set && is_pairs) {
                dx_line_pairs(ctx, (int32_t)((t0 * taps1.count + t1) * 2), at, dx);
            } else {
                if (!is_set) memset(dx, 0, (size_t)(ctx->x.count[2] * ctx->x.channels) * sizeof *dx);
                dx_line_add(ctx, t0, t1, taps1.count, at, dx);
            }
            is_set = true;
        }
    }
    if (!is_set) memset(dx, 0, (size_t)(ctx->x.count[2] * ctx->x.channels) * sizeof *dx);
}

far_status FARI_ISA(fari_max_pool_dx)(const fari_call *call)
{
    dx_ctx ctx = { .x = piece_axes_of(&call->out[0]),
                   .y = piece_axes_of(&call->in[0]),
                   .is_wide = call->in[1].dtype == FAR_I32 };
    const int64_t line = ctx.x.count[2] * ctx.x.channels;
    float *dx = call->out[0].data;
    ctx.is_far = stream_pays_pixels(&call->out[0]);
    ctx.dy_end = (const float *)call->in[0].data + axes_elems(&ctx.y);
    ctx.dx_end = dx + axes_elems(&ctx.x);
    pool_axes_of(call->attr, ctx.axis);
    for (int64_t n = 0; n < ctx.x.samples; n++) {
        const int64_t y_elem = n * axes_pixels(&ctx.y) * ctx.y.channels;
        ctx.dy_data = (const float *)call->in[0].data + y_elem;
        ctx.arg_data = (const uint8_t *)call->in[1].data + y_elem * (ctx.is_wide ? 4 : 1);
        for (int64_t p0 = 0; p0 < ctx.x.count[0]; p0++)
            for (int64_t p1 = 0; p1 < ctx.x.count[1]; p1++, dx += line)
                dx_line(&ctx, p0 + ctx.x.first[0], p1 + ctx.x.first[1], dx);
    }
    stream_end();
    return FAR_OK;
}
