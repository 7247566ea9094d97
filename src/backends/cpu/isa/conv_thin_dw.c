/* Gradient of the weight of a thin convolution: conv_thin.h. For a run of columns of one row of dy its channels are doubled into
   scratch; blocks of steps then go along the run, their sums in registers, and are added to the partial. */
#include "backends/cpu/isa/conv_thin.h"
#include "backends/cpu/isa/conv_thin_window.h"
#include "backends/cpu/isa/pairs.h"

/* Steps a block by vectors of dy a pixel. They divide 12, of which all widths of 3 and channels of 8 have a multiple. */
#if defined(__AVX512F__)
#define STEPS_1 12
#define STEPS_2 6
#define STEPS_3 6
#define STEPS_4 6
#define STEPS_5 4
#elif defined(__AVX2__)
#define STEPS_1 6
#define STEPS_2 3
#define STEPS_3 2
#define STEPS_4 1
#define STEPS_5 1
#else
#define STEPS_1 1
#define STEPS_2 1
#define STEPS_3 1
#define STEPS_4 1
#define STEPS_5 1
#endif

#define STEM_ROWS 5 /* all of them fit the registers */

/* A run of columns. */
typedef struct stretch {
    const float *in; /* the window of the first pixel, from its first row */
    int64_t row_elems, cols;
    const float *dy;                  /* [cols][vectors][16], channels doubled */
    const float *in_ahead, *dy_ahead; /* what later runs will be the first to read, a pixel each for each here */
} stretch;

#define ANY_LAST 1024 /* the run of floats is even: no step overlaps another */

/* Lines of memory to be fetched meanwhile, one a pixel. */
typedef struct fetch {
    const float *line;
    int64_t elems; /* from pixel to pixel */
} fetch;

/* What the k-th block of a run fetches: the blocks' lines together are the pixels of in_ahead and of dy_ahead. */
FARI_INLINE fetch fetch_of(const stretch *run, int64_t k, int64_t channels, int64_t dy_channels)
{
    const int64_t in_lines = (channels + THIN_LINE - 1) / THIN_LINE,
                  dy_lines = (dy_channels + THIN_LINE - 1) / THIN_LINE;
    if (k < in_lines) return (fetch){ run->in_ahead + k * THIN_LINE, channels };
    if (k - in_lines < dy_lines) return (fetch){ run->dy_ahead + (k - in_lines) * THIN_LINE, dy_channels };
    return (fetch){ run->dy_ahead, 0 };
}

/* `rows` of the kernel by `steps`: their sums over the columns. The last step begins at `last`. Constants but for channels. */
FARI_INLINE void block(const stretch *run, fetch from, int64_t channels, int vectors, int rows, int steps, int last,
                       float *partial, int64_t partial_row)
{
    const float *in = run->in, *dy = run->dy;
    pairs sum[32];
    PAIRS_UNROLL
    for (int i = 0; i < rows * steps * vectors; i++) sum[i] = pairs_zero();
    for (int64_t p = 0; p < run->cols; p++, in += channels, dy += vectors * PAIR_LANES) {
        pairs d[8];
        __builtin_prefetch(from.line + p * from.elems, 0, 2);
        PAIRS_UNROLL
        for (int v = 0; v < vectors; v++) d[v] = pairs_load(dy + v * PAIR_LANES);
        PAIRS_UNROLL
        for (int i = 0; i < rows * steps; i++) {
            const int at = 2 * (i % steps) < last ? 2 * (i % steps) : last;
            const pairs x = pairs_both(in + i / steps * run->row_elems + at);
            PAIRS_UNROLL
            for (int v = 0; v < vectors; v++) sum[i * vectors + v] = pairs_fma(x, d[v], sum[i * vectors + v]);
        }
    }
    PAIRS_UNROLL
    for (int i = 0; i < rows * steps * vectors; i++) {
        float *to = partial + i / (steps * vectors) * partial_row + i % (steps * vectors) * PAIR_LANES;
        pairs_store(to, pairs_add(pairs_load(to), sum[i]));
    }
}

FARI_INLINE void blocks(const fari_thin_conv *conv, stretch run, int64_t rows, int64_t channels, int vectors, int steps,
                        float *partial)
{
    const int64_t all = fari_thin_steps(conv);
    int64_t k = 0;
    for (int64_t r = 0; r < rows; r++, run.in += run.row_elems - 2 * all)
        for (int64_t s = 0; s < all; s += steps, run.in += 2 * steps, partial += (int64_t)steps * vectors * PAIR_LANES)
            block(&run, fetch_of(&run, k++, channels, (int64_t)vectors * PAIR_CHANNELS), channels, vectors, 1, steps,
                  ANY_LAST, partial, 0);
}

#define BLOCKS_FN(name, channels, vectors, steps)                                                  \
    static void name(const fari_thin_conv *conv, const stretch *run, int64_t rows, float *partial) \
    {                                                                                              \
        blocks(conv, *run, rows, channels, vectors, steps, partial);                               \
    }
BLOCKS_FN(blocks_1_of_8, 8, 1, STEPS_1)
BLOCKS_FN(blocks_1, conv->in_channels, 1, STEPS_1)
BLOCKS_FN(blocks_2, conv->in_channels, 2, STEPS_2)
BLOCKS_FN(blocks_3, conv->in_channels, 3, STEPS_3)
BLOCKS_FN(blocks_4, conv->in_channels, 4, STEPS_4)
BLOCKS_FN(blocks_5, conv->in_channels, 5, STEPS_5)

/* 5 x 5 of one channel: a row is three steps, of five floats. */
static void blocks_stem(const fari_thin_conv *conv, const stretch *whole, int64_t rows, float *partial)
{
    const int64_t partial_row = FARI_THIN_STEM_STEPS * PAIR_LANES;
    stretch run = *whole;
    const fetch dy = { run.dy_ahead, PAIR_CHANNELS };
    if (rows == STEM_ROWS) {
        block(&run, dy, 1, 1, STEM_ROWS, FARI_THIN_STEM_STEPS, FARI_THIN_STEM_LAST, partial, partial_row);
        return;
    }
    for (int64_t r = 0; r < rows; r++, run.in += run.row_elems, partial += partial_row)
        block(&run, dy, 1, 1, 1, FARI_THIN_STEM_STEPS, FARI_THIN_STEM_LAST, partial, partial_row);
    (void)conv;
}

typedef void (*blocks_fn)(const fari_thin_conv *, const stretch *, int64_t, float *);

static blocks_fn blocks_fn_of(const fari_thin_conv *conv)
{
    static const blocks_fn fns[] = { NULL, blocks_1, blocks_2, blocks_3, blocks_4, blocks_5 };
    const int64_t vectors = conv->out_channels / PAIR_CHANNELS;
    if (conv->in_channels == 1) return blocks_stem;
    return vectors == 1 && conv->in_channels == 8 ? blocks_1_of_8 : fns[vectors];
}

/* ---- rows and runs of columns ---- */

typedef struct dw_call {
    const fari_thin_conv *conv;
    blocks_fn blocks;
    float *doubled, *copy; /* scratch */
} dw_call;

/* Columns [lo, hi) of a row of dy. */
static void run_add(const dw_call *call, const thin_rows *rows, const float *dy, int64_t lo, int64_t hi, float *partial)
{
    const fari_thin_conv *conv = call->conv;
    const int64_t vectors = conv->out_channels / PAIR_CHANNELS, first = lo - conv->pad_cols;
    const int64_t need = hi - lo + conv->kernel_cols - 1;
    stretch run = { .in = rows->in + first * conv->in_channels,
                    .row_elems = conv->in_cols * conv->in_channels,
                    .cols = hi - lo,
                    .dy = call->doubled,
                    .in_ahead = rows->ahead + first * conv->in_channels,
                    .dy_ahead = dy + hi * conv->out_channels };
    if (first < 0 || first + need > conv->in_cols) {
        thin_copy(conv, rows, first, need, call->copy);
        run.in = call->copy;
        run.row_elems = need * conv->in_channels;
    }
    for (int64_t i = 0; i < (hi - lo) * vectors; i++)
        pairs_store(call->doubled + i * PAIR_LANES, pairs_each(dy + (lo * vectors + i) * PAIR_CHANNELS));
    call->blocks(conv, &run, rows->count, partial);
}

/* Pixels whose windows stick out at the left, those inside in runs, those that stick out at the right. */
static void row_add(const dw_call *call, const thin_rows *rows, const float *dy, float *partial)
{
    const fari_thin_conv *conv = call->conv;
    const int64_t cols = conv->out_cols, most = fari_thin_run_cols(conv);
    const int64_t left = conv->pad_cols, right = conv->in_cols - conv->kernel_cols + 1 + conv->pad_cols;
    if (left > 0) run_add(call, rows, dy, 0, left, partial);
    for (int64_t at = left; at < right; at += most)
        run_add(call, rows, dy, at, at + most < right ? at + most : right, partial);
    if (right < cols) run_add(call, rows, dy, right, cols, partial);
}

void FARI_ISA(fari_thin_dw)(const fari_thin_conv *conv, const float *in, const float *dy, float *partial,
                            float *scratch)
{
    const int64_t in_row = conv->in_cols * conv->in_channels, dy_row = conv->out_cols * conv->out_channels;
    const int64_t weight_row = fari_thin_weight_elems(conv) / conv->kernel_rows;
    const dw_call call = { conv, blocks_fn_of(conv), scratch,
                           scratch + 2 * conv->out_channels * fari_thin_run_cols(conv) };
    for (int64_t n = 0; n < conv->samples; n++)
        for (int64_t j = 0; j < conv->out_rows; j++) {
            const thin_rows rows = thin_rows_of(conv, in + n * conv->in_rows * in_row, j);
            if (rows.count > 0)
                row_add(&call, &rows, dy + (n * conv->out_rows + j) * dy_row, partial + rows.skip * weight_row);
        }
}
