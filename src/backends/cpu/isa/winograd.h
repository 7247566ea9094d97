/* Winograd's F(2 x 2, 3 x 3), vectors of channels: tiles, kernels, and what they give turned (conv_winograd.h). Rows first, then columns. */
#ifndef FARI_CPU_ISA_WINOGRAD_H
#define FARI_CPU_ISA_WINOGRAD_H
#include "backends/cpu/isa/conv_winograd.h"
#include "backends/cpu/isa/wide.h"

/* Bt of four, `step` apart. */
FARI_INLINE void winograd_in_line(wide *d, int step)
{
    const wide a = d[0], b = d[step], c = d[2 * step], e = d[3 * step];
    d[0] = wide_sub(a, c);
    d[step] = wide_add(b, c);
    d[2 * step] = wide_sub(c, b);
    d[3 * step] = wide_sub(b, e);
}

/* 4 x 4 of the input: Bt d B. */
FARI_INLINE void winograd_turn_in(wide d[16])
{
    WIDE_UNROLL
    for (int i = 0; i < 4; i++) winograd_in_line(d + i, 4);
    WIDE_UNROLL
    for (int i = 0; i < 4; i++) winograd_in_line(d + 4 * i, 1);
}

/* 2 x 2 of the output from sums: At m A. */
FARI_INLINE void winograd_turn_out(const wide m[16], wide y[4])
{
    wide s[8];
    WIDE_UNROLL
    for (int j = 0; j < 4; j++) {
        s[j] = wide_add(wide_add(m[j], m[4 + j]), m[8 + j]);
        s[4 + j] = wide_sub(wide_sub(m[4 + j], m[8 + j]), m[12 + j]);
    }
    WIDE_UNROLL
    for (int i = 0; i < 2; i++) {
        y[2 * i] = wide_add(wide_add(s[4 * i], s[4 * i + 1]), s[4 * i + 2]);
        y[2 * i + 1] = wide_sub(wide_sub(s[4 * i + 1], s[4 * i + 2]), s[4 * i + 3]);
    }
}

/* G of three. */
FARI_INLINE void winograd_weight_line(wide a, wide b, wide c, wide *to, int step)
{
    const wide half = wide_all(0.5F), even = wide_add(a, c);
    to[0] = a;
    to[step] = wide_mul(half, wide_add(even, b));
    to[2 * step] = wide_mul(half, wide_sub(even, b));
    to[3 * step] = c;
}

/* A kernel of 3 x 3: G g Gt. */
FARI_INLINE void winograd_turn_weight(const wide g[9], wide u[16])
{
    wide rows[12];
    WIDE_UNROLL
    for (int j = 0; j < 3; j++) winograd_weight_line(g[j], g[3 + j], g[6 + j], rows + j, 3);
    WIDE_UNROLL
    for (int i = 0; i < 4; i++) winograd_weight_line(rows[3 * i], rows[3 * i + 1], rows[3 * i + 2], u + 4 * i, 1);
}

/* 2 x 2 of the output's gradient: A dy At. */
FARI_INLINE void winograd_turn_dy(const wide y[4], wide d[16])
{
    const wide zero = wide_all(0.0F);
    wide rows[8];
    WIDE_UNROLL
    for (int j = 0; j < 2; j++) {
        rows[j] = y[j];
        rows[2 + j] = wide_add(y[j], y[2 + j]);
        rows[4 + j] = wide_sub(y[j], y[2 + j]);
        rows[6 + j] = wide_sub(zero, y[2 + j]);
    }
    WIDE_UNROLL
    for (int i = 0; i < 4; i++) {
        d[4 * i] = rows[2 * i];
        d[4 * i + 1] = wide_add(rows[2 * i], rows[2 * i + 1]);
        d[4 * i + 2] = wide_sub(rows[2 * i], rows[2 * i + 1]);
        d[4 * i + 3] = wide_sub(zero, rows[2 * i + 1]);
    }
}

/* Gt of four. */
FARI_INLINE void winograd_dw_line(wide a, wide b, wide c, wide e, wide *to, int step)
{
    const wide half = wide_all(0.5F), even = wide_mul(half, wide_add(b, c));
    to[0] = wide_add(a, even);
    to[step] = wide_mul(half, wide_sub(b, c));
    to[2 * step] = wide_add(even, e);
}

/* The gradient of a kernel of 3 x 3 from sums: Gt m G. */
FARI_INLINE void winograd_turn_dw(const wide m[16], wide g[9])
{
    wide rows[12];
    WIDE_UNROLL
    for (int j = 0; j < 4; j++) winograd_dw_line(m[j], m[4 + j], m[8 + j], m[12 + j], rows + j, 4);
    WIDE_UNROLL
    for (int i = 0; i < 3; i++)
        winograd_dw_line(rows[4 * i], rows[4 * i + 1], rows[4 * i + 2], rows[4 * i + 3], g + 3 * i, 1);
}

/* ---- tiles of an image ---- */

typedef struct winograd_tile {
    int64_t sample, row, col; /* of the output */
} winograd_tile;

static inline winograd_tile winograd_tile_of(const fari_thin_conv *conv, int64_t tile)
{
    const int64_t cols = (conv->out_cols + 1) / 2, rows = (conv->out_rows + 1) / 2;
    return (winograd_tile){ tile / cols / rows, tile / cols % rows * 2, tile % cols * 2 };
}

/* The 4 x 4 pixels of the input that a tile reads; `zeros` where they lie outside of it. */
static inline void winograd_pixels(const fari_thin_conv *conv, winograd_tile at, const float *in, const float *zeros,
                                   const float *from_out[16])
{
    for (int64_t i = 0; i < 16; i++) {
        const int64_t row = at.row - conv->pad_rows + i / 4, col = at.col - conv->pad_cols + i % 4;
        const bool is_inside = row >= 0 && row < conv->in_rows && col >= 0 && col < conv->in_cols;
        const int64_t pixel = (at.sample * conv->in_rows + row) * conv->in_cols + col;
        from_out[i] = is_inside ? in + pixel * conv->in_channels : zeros;
    }
}

/* Turns a tile of so many channels; to: its first place, `place` floats from one to the next. */
static inline void winograd_turn_tile(const float *const from[16], int64_t channels, int64_t place, float *to)
{
    for (int64_t c = 0; c < channels; c += WIDE) {
        wide d[16];
        WIDE_UNROLL
        for (int i = 0; i < 16; i++) d[i] = wide_load(from[i] + c);
        winograd_turn_in(d);
        WIDE_UNROLL
        for (int i = 0; i < 16; i++) wide_store(to + i * place + c, d[i]);
    }
}
#endif
