/* A thin convolution, forward and for the gradient of the input: conv_thin.h. Blocks of some pixels of one row, all output channels of
   which stay in registers. */
#include "backends/cpu/isa/conv_thin.h"
#include "backends/cpu/isa/conv_thin_window.h"
#include "backends/cpu/isa/pairs.h"

/* Pixels a block by vectors a pixel, 1 to 5: so many that the sums fill the registers and hide the units' latency, and that they
   divide the widths that images have. */
#if defined(__AVX512F__)
#define PIXELS_1 16
#define PIXELS_2 8 /* or 10 */
#define PIXELS_3 8
#define PIXELS_4 4
#define PIXELS_5 4
#elif defined(__AVX2__)
#define PIXELS_1 6
#define PIXELS_2 3
#define PIXELS_3 2
#define PIXELS_4 1
#define PIXELS_5 1
#else
#define PIXELS_1 1
#define PIXELS_2 1
#define PIXELS_3 1
#define PIXELS_4 1
#define PIXELS_5 1
#endif

/* What a block of pixels reads. */
typedef struct window {
    const float *in; /* the first row and column of the first pixel's window */
    int64_t row_elems, rows, steps, last_at;
    const float *weight; /* of the first row */
    const float *bias;   /* [vectors][16] */
    const float *ahead;  /* what the next row of the output will be the first to read here */
} window;

/* The constants are known to every caller: the loops over vectors and pixels unroll, sums are registers. */
FARI_INLINE void block(const window *win, int64_t channels, int vectors, int pixels, float *out)
{
    const float *weight = win->weight, *row = win->in;
    pairs sum[32];
    for (int64_t i = 0; i < pixels * channels; i += THIN_LINE) __builtin_prefetch(win->ahead + i, 0, 2);
    PAIRS_UNROLL
    for (int i = 0; i < pixels * vectors; i++) sum[i] = pairs_load(win->bias + i % vectors * PAIR_LANES);
    for (int64_t r = 0; r < win->rows; r++, row += win->row_elems) {
        for (int64_t s = 0; s < win->steps; s++, weight += vectors * PAIR_LANES) {
            const float *in = row + (2 * s < win->last_at ? 2 * s : win->last_at);
            pairs w[8];
            PAIRS_UNROLL
            for (int v = 0; v < vectors; v++) w[v] = pairs_load(weight + v * PAIR_LANES);
            PAIRS_UNROLL
            for (int p = 0; p < pixels; p++) {
                const pairs x = pairs_both(in + p * channels);
                PAIRS_UNROLL
                for (int v = 0; v < vectors; v++) sum[p * vectors + v] = pairs_fma(x, w[v], sum[p * vectors + v]);
            }
        }
    }
    PAIRS_UNROLL
    for (int i = 0; i + 1 < pixels * vectors; i += 2) pairs_fold2(out + i * PAIR_CHANNELS, sum[i], sum[i + 1]);
    if (pixels * vectors % 2 != 0) pairs_fold(out + (pixels * vectors - 1) * PAIR_CHANNELS, sum[pixels * vectors - 1]);
}

/* One row of the output. Where the last block would stick out it begins earlier: what it writes again is the same. */
FARI_INLINE void row_of(const fari_thin_conv *conv, window win, const thin_rows *rows, float *copy, int64_t channels,
                        int vectors, int pixels, float *out)
{
    const int64_t need = pixels + conv->kernel_cols - 1;
    for (int64_t at = 0; at < conv->out_cols; at += pixels) {
        if (at + pixels > conv->out_cols) at = conv->out_cols - pixels;
        const int64_t first = at - conv->pad_cols;
        const bool is_inside = first >= 0 && first + need <= conv->in_cols;
        if (!is_inside) thin_copy(conv, rows, first, need, copy);
        win.in = is_inside ? rows->in + first * channels : copy;
        win.ahead = rows->ahead + at * channels;
        win.row_elems = (is_inside ? conv->in_cols : need) * channels;
        block(&win, channels, vectors, pixels, out + at * vectors * PAIR_CHANNELS);
    }
}

#define ROW_FN(name, channels, vectors, pixels)                                                                     \
    static void name(const fari_thin_conv *conv, const window *win, const thin_rows *rows, float *copy, float *out) \
    {                                                                                                               \
        row_of(conv, *win, rows, copy, channels, vectors, pixels, out);                                             \
    }

/* With one vector a pixel its address is worth a constant. */
static void row_stem(const fari_thin_conv *conv, const window *win, const thin_rows *rows, float *copy, float *out)
{
    window stem = *win;
    stem.steps = FARI_THIN_STEM_STEPS;
    stem.last_at = FARI_THIN_STEM_LAST;
    row_of(conv, stem, rows, copy, 1, 1, PIXELS_1, out);
}

ROW_FN(row_1_of_8, 8, 1, PIXELS_1)
ROW_FN(row_1, conv->in_channels, 1, PIXELS_1)
ROW_FN(row_2, conv->in_channels, 2, PIXELS_2)
#if defined(__AVX512F__)
ROW_FN(row_2_by_10, conv->in_channels, 2, 10)
#endif
ROW_FN(row_3, conv->in_channels, 3, PIXELS_3)
ROW_FN(row_4, conv->in_channels, 4, PIXELS_4)
ROW_FN(row_5, conv->in_channels, 5, PIXELS_5)

typedef void (*row_fn)(const fari_thin_conv *, const window *, const thin_rows *, float *, float *);

static row_fn row_fn_of(const fari_thin_conv *conv)
{
    static const row_fn fns[] = { NULL, row_1, row_2, row_3, row_4, row_5 };
    const int64_t vectors = conv->out_channels / PAIR_CHANNELS;
    if (conv->in_channels == 1) return row_stem;
    if (vectors == 1 && conv->in_channels == 8) return row_1_of_8;
#if defined(__AVX512F__)
    if (vectors == 2 && conv->out_cols % PIXELS_2 != 0 && conv->out_cols % 10 == 0) return row_2_by_10;
#endif
    return fns[vectors];
}

void FARI_ISA(fari_thin_forward)(const fari_thin_conv *conv, const fari_conv_operands *operands)
{
    const int64_t in_row = conv->in_cols * conv->in_channels, out_row = conv->out_cols * conv->out_channels;
    const int64_t weight_row = fari_thin_weight_elems(conv) / conv->kernel_rows;
    float *bias = operands->scratch, *copy = bias + 2 * conv->out_channels;
    const row_fn run = row_fn_of(conv);
    window win = { .steps = fari_thin_steps(conv), .bias = bias };
    win.last_at = fari_thin_step_at(conv, win.steps - 1);
    for (int64_t o = 0; o < conv->out_channels; o++) {
        bias[2 * o] = operands->bias != NULL ? operands->bias[o] : 0.0f;
        bias[2 * o + 1] = 0.0f;
    }
    for (int64_t n = 0; n < conv->samples; n++)
        for (int64_t j = 0; j < conv->out_rows; j++) {
            const thin_rows rows = thin_rows_of(conv, operands->in + n * conv->in_rows * in_row, j);
            win.rows = rows.count;
            win.weight = operands->weight + rows.skip * weight_row;
            run(conv, &win, &rows, copy, operands->out + (n * conv->out_rows + j) * out_row);
        }
}
