/* Resampling of channels-last f32, forward: lines are blended first, whole, then pixels along the line.
 *   fari_upsample  op upsample  in: x; out: y. Scratch: fari_upsample_scratch. */
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

typedef struct up_ctx {
    piece_axes x, y;
    up_tap *taps[3];
    up_pair *pairs; /* taps[2] as the inner loop wants them */
    float *line;    /* a blended line of x */
    bool is_linear;
    bool is_far; /* linear, and written past the caches */
} up_ctx;

/* Adds the one or two lines that a tap reads, `stride` floats apart, each with weight. */
static int32_t tap_lines(const up_tap *tap, double weight, int64_t offset, int64_t stride, int64_t at_out[2],
                         double weight_out[2])
{
    at_out[0] = offset + tap->i0 * stride;
    at_out[1] = offset + tap->i1 * stride;
    weight_out[0] = weight * (1.0 - tap->w);
    weight_out[1] = weight * tap->w;
    if (tap->i0 != tap->i1) return 2;
    weight_out[0] = weight;
    return 1;
}

/* The line of x that output line (o0, o1) is made of: up to four blended, or the only one as it is. */
static const float *blended_line(const up_ctx *ctx, const float *x, int64_t o0, int64_t o1)
{
    const int64_t line = ctx->x.count[2] * ctx->x.channels;
    int64_t plane_at[2], line_at[2];
    double plane_weight[2], line_weight[2];
    line_mix mix = { .count = 0 };
    const int32_t planes = tap_lines(&ctx->taps[0][o0], 1.0, 0, ctx->x.count[1] * line, plane_at, plane_weight);
    for (int32_t i = 0; i < planes; i++) {
        const int32_t lines = tap_lines(&ctx->taps[1][o1], plane_weight[i], plane_at[i], line, line_at, line_weight);
        for (int32_t k = 0; k < lines; k++) {
            mix.line[mix.count] = x + line_at[k];
            mix.weight[mix.count++] = (float)line_weight[k];
        }
    }
    if (mix.count == 1) return mix.line[0]; /* its weight is 1 */
    lines_mix(&mix, false, line, ctx->line);
    return ctx->line;
}

FARI_INLINE void mix_line_of(const up_ctx *ctx, const float *line, float *y, int64_t channels)
{
    const int64_t count = ctx->y.count[2];
    for (int64_t o = 0; o < count; o++, y += channels) {
        const up_pair pair = ctx->pairs[o];
        FOR_CHANNELS(c, channels, mix_block, line + pair.a + c, line + pair.b + c, pair.weight_a, pair.weight_b, y + c);
    }
}

/* Past the caches. */
FARI_INLINE void mix_line_far_of(const up_ctx *ctx, const float *line, float *y, int64_t channels)
{
    const int64_t count = ctx->y.count[2];
    for (int64_t o = 0; o < count; o++, y += channels) {
        const up_pair pair = ctx->pairs[o];
        FOR_FULL_CHANNELS(c, channels, mix_block_far, line + pair.a + c, line + pair.b + c, pair.weight_a,
                          pair.weight_b, y + c);
    }
}

/* Few channels as a constant: the loops over them would cost more than what they do. */
static void mix_line(const up_ctx *ctx, const float *line, float *y)
{
    const int64_t channels = ctx->y.channels;
    if (channels == 8) mix_line_of(ctx, line, y, 8);
    else if (channels == 16) mix_line_of(ctx, line, y, 16);
    else if (channels == 24) mix_line_of(ctx, line, y, 24);
    else if (channels == 32) mix_line_of(ctx, line, y, 32);
    else mix_line_of(ctx, line, y, channels);
}

static void mix_line_far(const up_ctx *ctx, const float *line, float *y)
{
    const int64_t channels = ctx->y.channels;
    if (channels == 8) mix_line_far_of(ctx, line, y, 8);
    else if (channels == 16) mix_line_far_of(ctx, line, y, 16);
    else if (channels == 32) mix_line_far_of(ctx, line, y, 32);
    else mix_line_far_of(ctx, line, y, channels);
}

static void copy_line(const up_ctx *ctx, const float *line, float *y)
{
    const int64_t channels = ctx->y.channels;
    for (int64_t o = 0; o < ctx->y.count[2]; o++, y += channels) {
        const float *from = line + ctx->taps[2][o].i0 * channels;
        FOR_CHANNELS(c, channels, copy_block, from + c, y + c);
    }
}

/* One sample. */
static void upsample_image(const up_ctx *ctx, const float *x, float *y)
{
    const int64_t floats = ctx->y.count[2] * ctx->y.channels;
    const float *before = NULL; /* the line of x that the line of y before was copied from */
    for (int64_t o0 = 0; o0 < ctx->y.count[0]; o0++) {
        for (int64_t o1 = 0; o1 < ctx->y.count[1]; o1++, y += floats) {
            const float *line = blended_line(ctx, x, o0, o1);
            if (ctx->is_far) mix_line_far(ctx, line, y);
            else if (ctx->is_linear) mix_line(ctx, line, y);
            else if (line == before) memcpy(y, y - floats, (size_t)floats * sizeof *y);
            else copy_line(ctx, line, y);
            before = line;
        }
    }
}

far_status FARI_ISA(fari_upsample)(const fari_call *call)
{
    const fari_upsample_attr *attr = call->attr;
    up_ctx ctx = { .x = piece_axes_of(&call->in[0]), .y = piece_axes_of(&call->out[0]), .is_linear = attr->is_linear };
    char *scratch = call->scratch;
    const float *x = call->in[0].data;
    float *y = call->out[0].data;
    ctx.is_far = ctx.is_linear && stream_pays_pixels(&call->out[0]);
    ctx.line = up_take(&scratch, (size_t)(ctx.x.count[2] * ctx.x.channels) * sizeof(float));
    for (int d = 0; d < 3; d++) {
        ctx.taps[d] = up_take(&scratch, (size_t)ctx.y.count[d] * sizeof(up_tap));
        up_taps_fill(attr, &ctx.x, &ctx.y, d, ctx.taps[d]);
    }
    ctx.pairs = up_take(&scratch, (size_t)ctx.y.count[2] * sizeof(up_pair));
    for (int64_t o = 0; o < ctx.y.count[2]; o++) {
        const up_tap tap = ctx.taps[2][o];
        ctx.pairs[o] =
            (up_pair){ tap.i0 * ctx.x.channels, tap.i1 * ctx.x.channels, (float)(1.0 - tap.w), (float)tap.w };
    }
    for (int64_t n = 0; n < ctx.y.samples; n++)
        upsample_image(&ctx, x + n * axes_pixels(&ctx.x) * ctx.x.channels,
                       y + n * axes_pixels(&ctx.y) * ctx.y.channels);
    stream_end();
    return FAR_OK;
}
