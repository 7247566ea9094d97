/* Resampling of channels-last f32, backward, as a gather: each line of dx sums the lines of dy that read it, then each pixel the
 * pixels of that sum that read it.
 *   fari_upsample_dx  op upsample_dx  in: dy; out: dx. Scratch: fari_upsample_dx_scratch. */
#include "backends/cpu/isa/kernels.h"
#include "backends/cpu/isa/stream.h"
#include "backends/cpu/isa/upsample_lines.h"
#include "backends/cpu/isa/upsample_taps.h"
#include "backends/cpu/isa/vec.h"
#include <string.h>

#if VEC_WIDEST >= 16
#define V 16
#include "backends/cpu/isa/upsample_block.h"
#endif
#if VEC_WIDEST >= 8
#define V 8
#include "backends/cpu/isa/upsample_block.h"
#endif
#define V 4
#include "backends/cpu/isa/upsample_block.h"
#define V 1
#include "backends/cpu/isa/upsample_block.h"

typedef struct dx_ctx {
    piece_axes x, y;
    up_tap *taps[3];   /* of y's piece */
    up_gather *gather; /* of each pixel of a line of dx */
    float *weight;
    float *line; /* a weighted sum of lines of dy */
} dx_ctx;

static double weight_of(const up_tap *tap, int64_t i)
{
    return (tap->i0 == i ? 1.0 - tap->w : 0.0) + (tap->i1 == i ? tap->w : 0.0);
}

/* Moves [*lo, *hi) on to the outputs that read input i; i only ever grows. */
static void range_move(const up_tap *taps, int64_t count, int64_t i, int64_t *lo_io, int64_t *hi_io)
{
    while (*lo_io < count && taps[*lo_io].i1 < i) ++*lo_io;
    if (*hi_io < *lo_io) *hi_io = *lo_io;
    while (*hi_io < count && taps[*hi_io].i0 <= i) ++*hi_io;
}

/* Every output has at most two inputs, so there are at most 2 * outputs weights. */
static void gather_fill(const dx_ctx *ctx)
{
    const up_tap *taps = ctx->taps[2];
    int64_t lo = 0, hi = 0;
    int32_t used = 0;
    for (int64_t i = 0; i < ctx->x.count[2]; i++) {
        range_move(taps, ctx->y.count[2], i, &lo, &hi);
        int64_t first = lo, end = hi;
        while (first < end && weight_of(&taps[first], i) == 0.0) first++;
        while (first < end && weight_of(&taps[end - 1], i) == 0.0) end--;
        ctx->gather[i] = (up_gather){ (int32_t)first, (int32_t)(end - first), used };
        for (int64_t o = first; o < end; o++) ctx->weight[used++] = (float)weight_of(&taps[o], i);
    }
}

/* The weighted sum of dy's lines [lo0, hi0) x [lo1, hi1) for input line (i0, i1); NULL when there are none. */
static const float *summed_line(const dx_ctx *ctx, const float *dy, int64_t i0, int64_t i1, const int64_t lo[2],
                                const int64_t hi[2])
{
    const int64_t floats = ctx->y.count[2] * ctx->y.channels;
    line_mix mix = { .count = 0 };
    bool adds = false;
    for (int64_t o0 = lo[0]; o0 < hi[0]; o0++) {
        for (int64_t o1 = lo[1]; o1 < hi[1]; o1++) {
            const double weight = weight_of(&ctx->taps[0][o0], i0) * weight_of(&ctx->taps[1][o1], i1);
            if (weight == 0.0) continue;
            mix.line[mix.count] = dy + (o0 * ctx->y.count[1] + o1) * floats;
            mix.weight[mix.count++] = (float)weight;
            if (mix.count < LINES_MAX) continue;
            lines_mix(&mix, adds, floats, ctx->line);
            adds = true;
            mix.count = 0;
        }
    }
    if (!adds && mix.count == 0) return NULL;
    if (!adds && mix.count == 1 && mix.weight[0] == 1.0f) return mix.line[0];
    if (mix.count > 0) lines_mix(&mix, adds, floats, ctx->line);
    return ctx->line;
}

FARI_INLINE void gather_line_of(const dx_ctx *ctx, const float *line, float *dx, int64_t channels)
{
    for (int64_t i = 0; i < ctx->x.count[2]; i++, dx += channels) {
        const up_gather gather = ctx->gather[i];
        const float *from = line + gather.first * channels, *weight = ctx->weight + gather.weight;
        FOR_CHANNELS(c, channels, gather_block, from + c, channels, weight, gather.count, dx + c);
    }
}

/* Few channels as a constant: the loops over them would cost more than what they do. */
static void gather_line(const dx_ctx *ctx, const float *line, float *dx)
{
    const int64_t channels = ctx->x.channels;
    if (channels == 8) gather_line_of(ctx, line, dx, 8);
    else if (channels == 16) gather_line_of(ctx, line, dx, 16);
    else if (channels == 24) gather_line_of(ctx, line, dx, 24);
    else if (channels == 32) gather_line_of(ctx, line, dx, 32);
    else gather_line_of(ctx, line, dx, channels);
}

/* One sample. */
static void upsample_dx_image(const dx_ctx *ctx, const float *dy, float *dx)
{
    const int64_t floats = ctx->x.count[2] * ctx->x.channels;
    int64_t lo[2] = { 0, 0 }, hi[2] = { 0, 0 };
    for (int64_t i0 = 0; i0 < ctx->x.count[0]; i0++) {
        range_move(ctx->taps[0], ctx->y.count[0], i0, &lo[0], &hi[0]);
        lo[1] = hi[1] = 0;
        for (int64_t i1 = 0; i1 < ctx->x.count[1]; i1++, dx += floats) {
            range_move(ctx->taps[1], ctx->y.count[1], i1, &lo[1], &hi[1]);
            const float *line = summed_line(ctx, dy, i0, i1, lo, hi);
            if (line == NULL) memset(dx, 0, (size_t)floats * sizeof *dx);
            else gather_line(ctx, line, dx);
        }
    }
}

far_status FARI_ISA(fari_upsample_dx)(const fari_call *call)
{
    dx_ctx ctx = { .x = piece_axes_of(&call->out[0]), .y = piece_axes_of(&call->in[0]) };
    char *scratch = call->scratch;
    const float *dy = call->in[0].data;
    float *dx = call->out[0].data;
    ctx.line = up_take(&scratch, (size_t)(ctx.y.count[2] * ctx.y.channels) * sizeof(float));
    for (int d = 0; d < 3; d++) {
        ctx.taps[d] = up_take(&scratch, (size_t)ctx.y.count[d] * sizeof(up_tap));
        up_taps_fill(call->attr, &ctx.x, &ctx.y, d, ctx.taps[d]);
    }
    ctx.gather = up_take(&scratch, (size_t)ctx.x.count[2] * sizeof(up_gather));
    ctx.weight = up_take(&scratch, (size_t)(2 * ctx.y.count[2]) * sizeof(float));
    gather_fill(&ctx);
    for (int64_t n = 0; n < ctx.x.samples; n++)
        upsample_dx_image(&ctx, dy + n * axes_pixels(&ctx.y) * ctx.y.channels,
                          dx + n * axes_pixels(&ctx.x) * ctx.x.channels);
    return FAR_OK;
}
