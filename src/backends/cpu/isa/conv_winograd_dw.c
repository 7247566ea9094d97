/* Weight gradients of convolutions of 3 x 3 by Winograd's way: conv_winograd.h. */
#include "backends/cpu/isa/conv_wide.h"
#include "backends/cpu/isa/winograd.h"
#include <string.h>

/* Sums in registers: so many channels of the input times two vectors of the output's. */
#if WIDE == 16
#define TILE_IN 8
#else
#define TILE_IN 4
#endif
#define VECTORS 2
#define OUT FARI_WINOGRAD_OUT
#define PLACES FARI_WINOGRAD_PLACES
#define EDGE FARI_WIDE_EDGE /* of a partial's tile */

/* A block of tiles and of channels of the input: `turned` holds them as [place][tile][step], `dy` OUT channels of the output's gradient as
   [place][tile][OUT], `sums` as [place][channel][OUT]. */
typedef struct block {
    const fari_thin_conv *conv;
    const float *in_image, *dy_image;
    float *turned, *dy, *sums, *zeros;
    int64_t step;
    int64_t first, tiles;
    int64_t in, channels; /* of the input */
} block;

/* ---- turning ---- */

static void turn_in(const block *b)
{
    for (int64_t i = 0; i < b->tiles; i++) {
        const float *from[PLACES];
        winograd_pixels(b->conv, winograd_tile_of(b->conv, b->first + i), b->in_image, b->zeros, from);
        for (int p = 0; p < PLACES; p++) from[p] += b->in;
        winograd_turn_tile(from, b->channels, b->tiles * b->step, b->turned + i * b->step);
    }
}

/* Channels [out, out + OUT) of the gradient of the output. */
static void turn_dy(const block *b, int64_t out)
{
    const fari_thin_conv *conv = b->conv;
    const int64_t col = conv->out_channels, row = conv->out_cols * col;
    for (int64_t i = 0; i < b->tiles; i++) {
        const winograd_tile at = winograd_tile_of(conv, b->first + i);
        const bool has_row = at.row + 1 < conv->out_rows, has_col = at.col + 1 < conv->out_cols;
        const float *from = b->dy_image + (at.sample * conv->out_rows + at.row) * row + at.col * col + out;
        float *to = b->dy + i * OUT;
        for (int64_t c = 0; c < OUT; c += WIDE) {
            wide y[4], d[PLACES];
            y[0] = wide_load(from + c);
            y[1] = has_col ? wide_load(from + col + c) : wide_all(0.0F);
            y[2] = has_row ? wide_load(from + row + c) : wide_all(0.0F);
            y[3] = has_row && has_col ? wide_load(from + row + col + c) : wide_all(0.0F);
            winograd_turn_dy(y, d);
            WIDE_UNROLL
            for (int p = 0; p < PLACES; p++) wide_store(to + p * b->tiles * OUT + c, d[p]);
        }
    }
}

/* ---- sums over tiles ---- */

FARI_INLINE void tile_sum(const float *in, int64_t step, const float *dy, int64_t tiles, float *to)
{
    wide sum[TILE_IN * VECTORS];
    WIDE_UNROLL
    for (int i = 0; i < TILE_IN * VECTORS; i++) sum[i] = wide_all(0.0F);
    for (int64_t t = 0; t < tiles; t++, in += step, dy += OUT) {
        wide d[VECTORS];
        WIDE_UNROLL
        for (int v = 0; v < VECTORS; v++) {
            d[v] = wide_load(dy + v * WIDE);
            WIDE_KEEP(d[v]);
        }
        WIDE_UNROLL
        for (int i = 0; i < TILE_IN; i++) {
            const wide x = wide_all(in[i]);
            WIDE_UNROLL
            for (int v = 0; v < VECTORS; v++) sum[i * VECTORS + v] = wide_fma(x, d[v], sum[i * VECTORS + v]);
        }
    }
    WIDE_UNROLL
    for (int i = 0; i < TILE_IN * VECTORS; i++) wide_store(to + i / VECTORS * OUT + i % VECTORS * WIDE, sum[i]);
}

static void place_sum(const block *b, int64_t place)
{
    const float *in = b->turned + place * b->tiles * b->step, *dy = b->dy + place * b->tiles * OUT;
    float *to = b->sums + place * b->channels * OUT;
    for (int64_t half = 0; half < OUT; half += VECTORS * WIDE)
        for (int64_t c = 0; c < b->channels; c += TILE_IN)
            tile_sum(in + c, b->step, dy + half, b->tiles, to + c * OUT + half);
}

/* ---- the gradient ---- */

static void turn_sums(const block *b, int64_t out, bool is_added, float *partial)
{
    const int64_t taps = 9, tile = EDGE * EDGE, out_edge = b->conv->in_channels / EDGE * taps * tile,
                  place = b->channels * OUT;
    for (int64_t c = 0; c < b->channels; c++)
        for (int64_t o = 0; o < OUT; o += WIDE) {
            const int64_t in = b->in + c, at = out + o;
            float *to = partial + at / EDGE * out_edge + in / EDGE * taps * tile + in % EDGE * EDGE + at % EDGE;
            wide m[PLACES], g[9];
            WIDE_UNROLL
            for (int p = 0; p < PLACES; p++) m[p] = wide_load(b->sums + p * place + c * OUT + o);
            winograd_turn_dw(m, g);
            WIDE_UNROLL
            for (int t = 0; t < 9; t++)
                wide_store(to + t * tile, is_added ? wide_add(wide_load(to + t * tile), g[t]) : g[t]);
        }
}

static void block_add(block *b, bool is_added, float *partial)
{
    const fari_thin_conv *conv = b->conv;
    const int64_t most = fari_winograd_dw_in(conv);
    for (b->in = 0; b->in < conv->in_channels; b->in += most) {
        const int64_t left = conv->in_channels - b->in;
        b->channels = left < most ? left : most;
        turn_in(b);
        for (int64_t out = 0; out < conv->out_channels; out += OUT) {
            turn_dy(b, out);
            for (int64_t place = 0; place < PLACES; place++) place_sum(b, place);
            if (is_added) turn_sums(b, out, true, partial);
            else turn_sums(b, out, false, partial);
        }
    }
}

void FARI_ISA(fari_winograd_dw)(const fari_thin_conv *conv, const float *in, const float *dy, bool is_added,
                                float *partial, float *scratch)
{
    const int64_t all = fari_winograd_tiles(conv), room = fari_winograd_dw_block(conv);
    block b = { .conv = conv, .in_image = in, .dy_image = dy, .turned = scratch };
    b.step = fari_winograd_dw_in(conv) + 16;
    b.dy = b.turned + PLACES * room * b.step;
    b.sums = b.dy + PLACES * room * OUT;
    b.zeros = b.sums + PLACES * fari_winograd_dw_in(conv) * OUT;
    memset(b.zeros, 0, (size_t)conv->in_channels * sizeof(float));
    for (b.first = 0; b.first < all; b.first += room) {
        b.tiles = all - b.first < room ? all - b.first : room;
        block_add(&b, is_added || b.first > 0, partial);
    }
}
