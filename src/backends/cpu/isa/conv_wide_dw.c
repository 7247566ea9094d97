/* Weight gradients of convolutions between many channels: conv_wide.h. */
#include "backends/cpu/isa/conv_wide.h"
#include "backends/cpu/isa/wide.h"

/* A tile in registers: so many channels of x times so many vectors of dy. */
#if WIDE == 16
#define TILE_IN 8
#else
#define TILE_IN 4
#endif
#define TILE_VECTORS 2
#define TILE_OUT (TILE_VECTORS * WIDE)
#define PER_EDGE (FARI_WIDE_EDGE / WIDE) /* vectors a row of a partial's tile */

/* What a tile adds up: `cols` pixels of each of `rows` rows. */
typedef struct run {
    const float *in, *dy; /* of the panels: the first pixel that is read */
    int64_t rows, cols;
    int64_t in_row, in_col, dy_row; /* floats to the next */
    const char *ahead;              /* what will be copied next: fetched meanwhile, ... */
    int64_t ahead_step;             /* ... so many bytes a pixel */
} run;

FARI_INLINE void tile_add(const run *r, bool is_added, int64_t out_edge, float *partial)
{
    wide sum[TILE_IN * TILE_VECTORS];
    const float *in_row = r->in, *dy_row = r->dy;
    const char *ahead = r->ahead;
    WIDE_UNROLL
    for (int i = 0; i < TILE_IN * TILE_VECTORS; i++) sum[i] = wide_all(0.0F);
    WIDE_UNROLL
    for (int i = 0; i < TILE_IN; i++) {
        __builtin_prefetch(partial + i * FARI_WIDE_EDGE, 1, 3);
        if (TILE_OUT > FARI_WIDE_EDGE) __builtin_prefetch(partial + out_edge + i * FARI_WIDE_EDGE, 1, 3);
    }
    for (int64_t row = 0; row < r->rows; row++, in_row += r->in_row, dy_row += r->dy_row) {
        const float *in = in_row, *dy = dy_row;
        for (int64_t col = 0; col < r->cols; col++, in += r->in_col, dy += TILE_OUT, ahead += r->ahead_step) {
            wide d[TILE_VECTORS];
            __builtin_prefetch(ahead, 0, 2);
            WIDE_UNROLL
            for (int v = 0; v < TILE_VECTORS; v++) d[v] = wide_load(dy + v * WIDE);
            WIDE_UNROLL
            for (int i = 0; i < TILE_IN; i++) {
                const wide x = wide_all(in[i]);
                WIDE_UNROLL
                for (int v = 0; v < TILE_VECTORS; v++)
                    sum[i * TILE_VECTORS + v] = wide_fma(x, d[v], sum[i * TILE_VECTORS + v]);
            }
        }
    }
    WIDE_UNROLL
    for (int i = 0; i < TILE_IN; i++) {
        WIDE_UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) {
            float *to = partial + v / PER_EDGE * out_edge + i * FARI_WIDE_EDGE + v % PER_EDGE * WIDE;
            const wide s = sum[i * TILE_VECTORS + v];
            wide_store(to, is_added ? wide_add(wide_load(to), s) : s);
        }
    }
}

/* Pixels of `channels` floats into panels of `width` channels, `panel` floats from one to the next. */
FARI_INLINE void copy_pixels(const float *from, int64_t step, int64_t pixels, int64_t channels, int width,
                             int64_t panel, float *to)
{
    for (int64_t p = 0; p < pixels; p++, from += step, to += width) {
        float *at = to;
        for (int64_t c = 0; c < channels; c += width, at += panel)
            __builtin_memcpy(at, from + c, (size_t)width * sizeof(float));
    }
}

/* Memory that the next block will copy: fetched bit by bit while this one is summed. */
typedef struct ahead {
    const char *at[2];
    int64_t left[2]; /* bytes: x's, dy's */
    int64_t step;    /* bytes a pixel of a tile, so that it is all there in the end */
} ahead;

/* One block of pixels that were copied: rows [row_lo, row_hi) of some samples. */
typedef struct copied {
    const fari_wide_conv *conv;
    const fari_wide_blocks *blocks;
    float *in, *dy; /* panels */
    int64_t samples, row_lo, row_hi;
    int64_t in_row_lo, in_rows; /* rows of x in the panels */
    ahead next;
} copied;

static void copy_in(const copied *c, const float *in)
{
    const fari_wide_conv *conv = c->conv;
    const int64_t row_elems = conv->in_cols * conv->in_channels, panel = c->blocks->panel_in * TILE_IN;
    float *to = c->in;
    for (int64_t n = 0; n < c->samples; n++, in += conv->in_rows * row_elems) {
        if (!c->blocks->is_gathered) {
            copy_pixels(in + c->in_row_lo * row_elems, conv->in_channels, c->in_rows * conv->in_cols, conv->in_channels,
                        TILE_IN, panel, to);
            to += c->in_rows * conv->in_cols * TILE_IN;
            continue;
        }
        for (int64_t row = c->row_lo; row < c->row_hi; row++, to += conv->out_cols * TILE_IN)
            copy_pixels(in + (row * conv->stride_rows - conv->pad_rows) * row_elems,
                        conv->stride_cols * conv->in_channels, conv->out_cols, conv->in_channels, TILE_IN, panel, to);
    }
}

static void copy_dy(const copied *c, const float *dy)
{
    const fari_wide_conv *conv = c->conv;
    const int64_t row_elems = conv->out_cols * conv->out_channels, pixels = (c->row_hi - c->row_lo) * conv->out_cols;
    for (int64_t n = 0; n < c->samples; n++, dy += conv->out_rows * row_elems)
        copy_pixels(dy + c->row_lo * row_elems, conv->out_channels, pixels, conv->out_channels, TILE_OUT,
                    c->blocks->panel_out * TILE_OUT, c->dy + n * pixels * TILE_OUT);
}

/* Rows or columns [*lo_io, *hi_io) of the output of which tap `tap` lies inside the input. */
static void inside(int64_t stride, int64_t offset, int64_t extent, int64_t *lo_io, int64_t *hi_io)
{
    while (*lo_io < *hi_io && *lo_io * stride + offset < 0) (*lo_io)++;
    while (*hi_io > *lo_io && (*hi_io - 1) * stride + offset >= extent) (*hi_io)--;
}

typedef struct chain {
    int64_t sample; /* in the block */
    int64_t row_lo, row_hi, col_lo, col_hi;
    int64_t in_panel, out_panel; /* number of the panel */
    bool is_added;
} chain;

static run run_gathered(const copied *c, const chain *ch)
{
    const fari_wide_conv *conv = c->conv;
    const int64_t rows = c->row_hi - c->row_lo;
    const int64_t first = (ch->sample * rows + ch->row_lo - c->row_lo) * conv->out_cols + ch->col_lo;
    return (run){ .in = c->in + (ch->in_panel * c->blocks->panel_in + first) * TILE_IN,
                  .dy = c->dy + (ch->out_panel * c->blocks->panel_out + first) * TILE_OUT,
                  .rows = ch->row_hi - ch->row_lo,
                  .cols = ch->col_hi - ch->col_lo,
                  .in_row = conv->out_cols * TILE_IN,
                  .in_col = TILE_IN,
                  .dy_row = conv->out_cols * TILE_OUT };
}

static run run_of_tap(const copied *c, const chain *ch, int64_t tap_row, int64_t tap_col)
{
    const fari_wide_conv *conv = c->conv;
    if (c->blocks->is_gathered) return run_gathered(c, ch);
    const int64_t row_at = tap_row - conv->pad_rows, col_at = tap_col - conv->pad_cols;
    int64_t row_lo = ch->row_lo, row_hi = ch->row_hi, col_lo = ch->col_lo, col_hi = ch->col_hi;
    inside(conv->stride_rows, row_at, conv->in_rows, &row_lo, &row_hi);
    inside(conv->stride_cols, col_at, conv->in_cols, &col_lo, &col_hi);
    const int64_t in_row = ch->sample * c->in_rows + row_lo * conv->stride_rows + row_at - c->in_row_lo;
    const int64_t in_first = in_row * conv->in_cols + col_lo * conv->stride_cols + col_at;
    const int64_t dy_row = ch->sample * (c->row_hi - c->row_lo) + row_lo - c->row_lo;
    return (run){ .in = c->in + (ch->in_panel * c->blocks->panel_in + in_first) * TILE_IN,
                  .dy = c->dy + (ch->out_panel * c->blocks->panel_out + dy_row * conv->out_cols + col_lo) * TILE_OUT,
                  .rows = row_hi - row_lo,
                  .cols = col_hi - col_lo,
                  .in_row = conv->stride_rows * conv->in_cols * TILE_IN,
                  .in_col = conv->stride_cols * TILE_IN,
                  .dy_row = conv->out_cols * TILE_OUT };
}

/* Rows that follow each other without a gap are one. */
static void join_rows(run *r)
{
    if (r->rows < 1 || r->cols * r->in_col != r->in_row || r->cols * TILE_OUT != r->dy_row) return;
    r->cols *= r->rows;
    r->rows = 1;
}

static void fetch_ahead(ahead *next, run *r)
{
    const int which = next->left[0] > 0 ? 0 : 1;
    const int64_t bytes = r->rows * r->cols * next->step;
    r->ahead = next->at[which];
    r->ahead_step = next->left[which] > 0 ? next->step : 0;
    next->at[which] += bytes;
    next->left[which] -= bytes;
}

static void taps_add(copied *c, const chain *ch, float *partial)
{
    const fari_wide_conv *conv = c->conv;
    const int64_t taps = conv->kernel_rows * conv->kernel_cols, in = ch->in_panel * TILE_IN,
                  out = ch->out_panel * TILE_OUT, edges = conv->in_channels / FARI_WIDE_EDGE,
                  tile = FARI_WIDE_EDGE * FARI_WIDE_EDGE, out_edge = edges * taps * tile;
    float *to = partial + out / FARI_WIDE_EDGE * out_edge + in / FARI_WIDE_EDGE * taps * tile +
                in % FARI_WIDE_EDGE * FARI_WIDE_EDGE + out % FARI_WIDE_EDGE;
    for (int64_t tap = 0; tap < taps; tap++, to += tile) {
        run r = run_of_tap(c, ch, tap / conv->kernel_cols, tap % conv->kernel_cols);
        join_rows(&r);
        fetch_ahead(&c->next, &r);
        if (ch->is_added) tile_add(&r, true, out_edge, to);
        else tile_add(&r, false, out_edge, to);
    }
}

/* All tiles of a block: those of one panel of dy and one chain of pixels follow each other, so that its part of the panel stays near. */
static void block_add(copied *c, bool is_added, float *partial)
{
    const fari_wide_conv *conv = c->conv;
    const fari_wide_blocks *b = c->blocks;
    chain ch = { 0 };
    for (ch.out_panel = 0; ch.out_panel < conv->out_channels / TILE_OUT; ch.out_panel++) {
        ch.is_added = is_added;
        for (ch.sample = 0; ch.sample < c->samples; ch.sample++)
            for (ch.row_lo = c->row_lo; ch.row_lo < c->row_hi; ch.row_lo = ch.row_hi) {
                ch.row_hi = ch.row_lo + b->chain_rows < c->row_hi ? ch.row_lo + b->chain_rows : c->row_hi;
                for (ch.col_lo = 0; ch.col_lo < conv->out_cols; ch.col_lo = ch.col_hi, ch.is_added = true) {
                    ch.col_hi = ch.col_lo + b->chain_cols < conv->out_cols ? ch.col_lo + b->chain_cols : conv->out_cols;
                    for (ch.in_panel = 0; ch.in_panel < conv->in_channels / TILE_IN; ch.in_panel++)
                        taps_add(c, &ch, partial);
                }
            }
    }
}

/* The rows of block number `idx`, in order of samples and rows; false: there are no more. */
static bool block_of(copied *c, int64_t idx, int64_t *sample_out)
{
    const fari_wide_conv *conv = c->conv;
    const fari_wide_blocks *b = c->blocks;
    const int64_t row_blocks = (conv->out_rows + b->rows - 1) / b->rows;
    *sample_out = idx / row_blocks * b->samples;
    if (*sample_out >= conv->samples) return false;
    c->samples = *sample_out + b->samples < conv->samples ? b->samples : conv->samples - *sample_out;
    c->row_lo = idx % row_blocks * b->rows;
    c->row_hi = c->row_lo + b->rows < conv->out_rows ? c->row_lo + b->rows : conv->out_rows;
    const int64_t lo = c->row_lo * conv->stride_rows - conv->pad_rows,
                  hi = (c->row_hi - 1) * conv->stride_rows - conv->pad_rows + conv->kernel_rows;
    c->in_row_lo = lo < 0 ? 0 : lo < conv->in_rows ? lo : conv->in_rows;
    c->in_rows = (hi < c->in_row_lo ? c->in_row_lo : hi < conv->in_rows ? hi : conv->in_rows) - c->in_row_lo;
    return true;
}

static ahead ahead_of(const copied *now, int64_t next_idx, const float *in, const float *dy)
{
    const fari_wide_conv *conv = now->conv;
    copied next = *now;
    int64_t sample = 0;
    if (!block_of(&next, next_idx, &sample)) return (ahead){ .at = { (const char *)dy, (const char *)dy } };
    const int64_t in_row = conv->in_cols * conv->in_channels, dy_row = conv->out_cols * conv->out_channels,
                  float_bytes = (int64_t)sizeof(float);
    const float *in_at = in + (sample * conv->in_rows + next.in_row_lo) * in_row,
                *dy_at = dy + (sample * conv->out_rows + next.row_lo) * dy_row;
    ahead next_bytes = { { (const char *)in_at, (const char *)dy_at },
                         { next.samples * next.in_rows * in_row * float_bytes,
                           next.samples * (next.row_hi - next.row_lo) * dy_row * float_bytes },
                         0 };
    const int64_t pixels = now->samples * (now->row_hi - now->row_lo) * conv->out_cols * (conv->in_channels / TILE_IN) *
                           (conv->out_channels / TILE_OUT) * conv->kernel_rows * conv->kernel_cols;
    next_bytes.step = (next_bytes.left[0] + next_bytes.left[1]) / pixels + 1;
    return next_bytes;
}

void FARI_ISA(fari_wide_dw)(const fari_wide_conv *conv, const float *in, const float *dy, bool is_added, float *partial,
                            float *scratch)
{
    const fari_wide_blocks blocks = fari_wide_blocks_of(conv);
    const int64_t in_sample = conv->in_rows * conv->in_cols * conv->in_channels,
                  dy_sample = conv->out_rows * conv->out_cols * conv->out_channels;
    copied c = { .conv = conv, .blocks = &blocks, .in = scratch };
    c.dy = scratch + conv->in_channels * blocks.panel_in;
    int64_t sample = 0;
    for (int64_t idx = 0; block_of(&c, idx, &sample); idx++) {
        copy_in(&c, in + sample * in_sample);
        copy_dy(&c, dy + sample * dy_sample);
        c.next = ahead_of(&c, idx + 1, in, dy);
        block_add(&c, is_added || idx > 0, partial);
    }
}
