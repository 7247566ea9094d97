/* Convolutions with kernels of one pixel: conv_pixel.h. */
#include "backends/cpu/isa/conv_pixel.h"
#include "backends/cpu/isa/wide.h"
#include <string.h>

#if WIDE == 16
#define PIXELS 8
#else
#define PIXELS 4 /* a tile's sums fill half of sixteen registers */
#endif
#define VECTORS 2
#define CHAIN 256 /* channels of the input at a time: their weights stay in a first-level cache */

/* What a tile reads and writes. */
typedef struct tile {
    const float *in; /* the first pixel, at the first channel of the chain */
    int64_t in_step; /* floats to the next pixel */
    const float *weight;
    int64_t channels;   /* of the chain */
    const float *bias;  /* of the tile's channels; NULL: the sums go on from what the output holds */
    float *out[8];      /* its pixels */
    const char *ahead;  /* what the next block will read: fetched meanwhile, ... */
    int64_t ahead_step; /* ... so many bytes a channel */
} tile;

FARI_INLINE void tile_run(const tile *t, int pixels)
{
    wide sum[PIXELS * VECTORS];
    const float *weight = t->weight, *in = t->in;
    const char *ahead = t->ahead;
    const int64_t step = t->in_step;
    WIDE_UNROLL
    for (int p = 0; p < pixels; p++) {
        WIDE_UNROLL
        for (int v = 0; v < VECTORS; v++)
            sum[p * VECTORS + v] = wide_load((t->bias != NULL ? t->bias : t->out[p]) + v * WIDE);
    }
    for (int64_t c = 0; c < t->channels; c++, weight += FARI_PIXEL_OUT, in++, ahead += t->ahead_step) {
        wide w[VECTORS];
        __builtin_prefetch(ahead, 0, 2);
        WIDE_UNROLL
        for (int v = 0; v < VECTORS; v++) w[v] = wide_load(weight + v * WIDE);
        WIDE_UNROLL
        for (int p = 0; p < pixels; p++) {
            const wide x = wide_all(in[p * step]);
            WIDE_UNROLL
            for (int v = 0; v < VECTORS; v++) sum[p * VECTORS + v] = wide_fma(x, w[v], sum[p * VECTORS + v]);
        }
    }
    WIDE_UNROLL
    for (int p = 0; p < pixels; p++) {
        WIDE_UNROLL
        for (int v = 0; v < VECTORS; v++) wide_store(t->out[p] + v * WIDE, sum[p * VECTORS + v]);
    }
}

static void tile_of(const tile *t, int64_t pixels)
{
    switch (pixels) {
#if PIXELS == 8
    case 8: tile_run(t, 8); break;
    case 7: tile_run(t, 7); break;
    case 6: tile_run(t, 6); break;
    case 5: tile_run(t, 5); break;
#endif
    case 4: tile_run(t, 4); break;
    case 3: tile_run(t, 3); break;
    case 2: tile_run(t, 2); break;
    default: tile_run(t, 1); break;
    }
}

/* Pixels by number: row by row, sample by sample. */
static const float *in_at(const fari_pixel_conv *conv, const float *in, int64_t pixel)
{
    const int64_t col = pixel % conv->cols, line = pixel / conv->cols, row = line % conv->rows;
    const int64_t in_row = line / conv->rows * conv->in_rows + conv->in_row0 + row * conv->in_stride;
    return in + (in_row * conv->in_cols + col * conv->in_stride) * conv->in_channels;
}

static float *out_at(const fari_pixel_conv *conv, float *out, int64_t pixel)
{
    const int64_t col = pixel % conv->cols, line = pixel / conv->cols, row = line % conv->rows;
    const int64_t out_row = line / conv->rows * conv->out_rows + conv->out_row0 + row * conv->out_stride;
    return out + (out_row * conv->out_cols + col * conv->out_stride) * conv->out_channels;
}

/* One block of pixels. */
typedef struct block {
    const fari_pixel_conv *conv;
    const fari_conv_operands *operands;
    const float *in; /* side by side */
    int64_t first, pixels;
    const char *ahead;
    int64_t ahead_left, ahead_step; /* bytes */
} block;

static void fetch_ahead(block *b, tile *t)
{
    const int64_t bytes = b->ahead_step * t->channels;
    t->ahead = b->ahead;
    t->ahead_step = b->ahead_left > 0 ? b->ahead_step : 0;
    b->ahead += bytes;
    b->ahead_left -= bytes;
}

/* `width` channels of the output from `out` on, of all pixels of the block, for one chain of channels of the input. */
static void chain_run(block *b, const float *bias, int64_t out, int64_t chain)
{
    const fari_pixel_conv *conv = b->conv;
    const int64_t left = conv->in_channels - chain;
    tile t = { .in_step = conv->in_channels,
               .channels = left < CHAIN ? left : CHAIN,
               .bias = chain == 0 ? bias : NULL };
    t.weight = b->operands->weight + (out / FARI_PIXEL_OUT * conv->in_channels + chain) * FARI_PIXEL_OUT +
               out % FARI_PIXEL_OUT;
    const bool is_even = conv->out_stride == 1 && (conv->samples == 1 || conv->out_rows == conv->rows);
    float *even = out_at(conv, b->operands->out, b->first) + out;
    for (int64_t at = 0; at < b->pixels; at += PIXELS) {
        const int64_t pixels = at + PIXELS < b->pixels ? PIXELS : b->pixels - at;
        t.in = b->in + at * conv->in_channels + chain;
        if (is_even) {
            for (int64_t p = 0; p < pixels; p++) t.out[p] = even + (at + p) * conv->out_channels;
        } else {
            for (int64_t p = 0; p < pixels; p++) t.out[p] = out_at(conv, b->operands->out, b->first + at + p) + out;
        }
        fetch_ahead(b, &t);
        tile_of(&t, pixels);
    }
}

static void block_run(block *b)
{
    static const float none[FARI_PIXEL_OUT] = { 0.0F };
    const fari_pixel_conv *conv = b->conv;
    for (int64_t out = 0; out < conv->out_channels; out += VECTORS * WIDE)
        for (int64_t chain = 0; chain < conv->in_channels; chain += CHAIN)
            chain_run(b, b->operands->bias != NULL ? b->operands->bias + out : none, out, chain);
}

static void copy_in(block *b)
{
    const fari_pixel_conv *conv = b->conv;
    float *to = b->operands->scratch;
    for (int64_t i = 0; i < b->pixels; i++, to += conv->in_channels)
        memcpy(to, in_at(conv, b->operands->in, b->first + i), (size_t)conv->in_channels * sizeof *to);
    b->in = b->operands->scratch;
}

/* Fetches what the next block reads while this one is worked on. */
static void plan_ahead(block *b, int64_t next_pixels)
{
    const fari_pixel_conv *conv = b->conv;
    const int64_t tiles = (b->pixels + PIXELS - 1) / PIXELS * (conv->out_channels / (VECTORS * WIDE));
    b->ahead = (const char *)b->in;
    b->ahead_left = b->ahead_step = 0;
    if (next_pixels <= 0 || !fari_pixel_is_dense(conv)) return;
    b->ahead = (const char *)(b->in + b->pixels * conv->in_channels);
    b->ahead_left = next_pixels * conv->in_channels * (int64_t)sizeof(float);
    b->ahead_step = b->ahead_left / (tiles * conv->in_channels) + 1;
}

static void fill(float *to, int64_t pixels, int64_t channels, const float *bias)
{
    if (bias == NULL) memset(to, 0, (size_t)(pixels * channels) * sizeof *to);
    else
        for (int64_t i = 0; i < pixels; i++) memcpy(to + i * channels, bias, (size_t)channels * sizeof *to);
}

/* The bias, where no pixel of the input comes in. */
static void fill_around(const fari_pixel_conv *conv, const fari_conv_operands *operands)
{
    const int64_t row_elems = conv->out_cols * conv->out_channels;
    if (conv->out_stride == 1 && conv->out_rows == conv->rows) return;
    for (int64_t n = 0; n < conv->samples; n++)
        for (int64_t row = 0; row < conv->out_rows; row++) {
            float *to = operands->out + (n * conv->out_rows + row) * row_elems;
            const int64_t from = row - conv->out_row0;
            const bool is_read = from >= 0 && from % conv->out_stride == 0 && from / conv->out_stride < conv->rows;
            int64_t col = 0;
            for (; is_read && col < conv->cols; col++) {
                const int64_t next = (col + 1) * conv->out_stride, end = next < conv->out_cols ? next : conv->out_cols;
                fill(to + (col * conv->out_stride + 1) * conv->out_channels, end - col * conv->out_stride - 1,
                     conv->out_channels, operands->bias);
            }
            const int64_t done = is_read ? col * conv->out_stride : 0;
            if (done < conv->out_cols)
                fill(to + done * conv->out_channels, conv->out_cols - done, conv->out_channels, operands->bias);
        }
}

void FARI_ISA(fari_pixel_run)(const fari_pixel_conv *conv, const fari_conv_operands *operands)
{
    const int64_t all = conv->samples * conv->rows * conv->cols, most = fari_pixel_block(conv);
    block b = { .conv = conv, .operands = operands };
    fill_around(conv, operands);
    for (b.first = 0; b.first < all; b.first += most) {
        const int64_t left = all - b.first;
        b.pixels = left < most ? left : most;
        if (fari_pixel_is_dense(conv)) b.in = in_at(conv, operands->in, b.first);
        else copy_in(&b);
        plan_ahead(&b, left - most < most ? left - most : most);
        block_run(&b);
    }
}
