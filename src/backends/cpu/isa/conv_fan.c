/* Convolutions to few channels from the input's pixels: conv_fan.h. Blocks of some columns of the input, all of whose fans stay in
   registers. */
#include "backends/cpu/isa/conv_fan.h"
#include "backends/cpu/isa/conv_thin_window.h"
#include "backends/cpu/isa/wide.h"

/* Vectors of FARI_FAN_LANES as vectors of the processor. */
#define PARTS (FARI_FAN_LANES / WIDE)

/* Columns a block by vectors of FARI_FAN_LANES a fan: a few choices, of which the one that fits the image best is taken. */
#if defined(__AVX512F__)
#define COLS_1(X) X(1, 12) X(1, 10) X(1, 8) X(1, 6)
#define COLS_2(X) X(2, 12) X(2, 10) X(2, 8) X(2, 6)
#define COLS_3(X) X(3, 8) X(3, 6) X(3, 5)
#elif defined(__AVX2__)
#define COLS_1(X) X(1, 6) X(1, 5) X(1, 4)
#define COLS_2(X) X(2, 3) X(2, 2)
#define COLS_3(X) X(3, 2) X(3, 1)
#else
#define COLS_1(X) X(1, 1)
#define COLS_2(X) X(2, 1)
#define COLS_3(X) X(3, 1)
#endif
#define COLS_MOST 12

/* The fans of `cols` columns from `in` on, a row's, to their places in the lines. Constants: vectors and cols. */
FARI_INLINE void block(const fari_thin_conv *conv, const thin_rows *rows, const float *weight, const float *in,
                       int vectors, int cols, float *const *to)
{
    const int64_t channels = conv->in_channels, row = conv->in_cols * channels;
    const int parts = vectors * PARTS;
    wide sum[COLS_MOST * 3 * PARTS];
    WIDE_UNROLL
    for (int i = 0; i < cols * parts; i++) sum[i] = wide_all(0.0f);
    for (int64_t r = 0; r < rows->count; r++, in += row) {
        const float *pixel = in;
        for (int64_t s = 0; s < channels; s++, pixel++, weight += vectors * FARI_FAN_LANES) {
            wide w[3 * PARTS];
            WIDE_UNROLL
            for (int v = 0; v < parts; v++) w[v] = wide_load(weight + v * WIDE);
            WIDE_UNROLL
            for (int i = 0; i < cols; i++) {
                const wide x = wide_all(pixel[i * channels]);
                WIDE_UNROLL
                for (int v = 0; v < parts; v++) sum[i * parts + v] = wide_fma(x, w[v], sum[i * parts + v]);
            }
        }
    }
    WIDE_UNROLL
    for (int i = 0; i < cols; i++) {
        WIDE_UNROLL
        for (int v = 0; v < parts; v++) wide_store(to[i] + v * WIDE, sum[i * parts + v]);
    }
}

/* A row's fans. Where the last block would stick out it begins earlier: what it writes again is the same. */
FARI_INLINE void fans(const fari_thin_conv *conv, const thin_rows *rows, const float *weight, int vectors, int cols,
                      float *lines)
{
    const int64_t line = fari_fan_line_elems(conv);
    for (int64_t at = 0; at < conv->in_cols; at += cols) {
        float *to[COLS_MOST];
        if (at + cols > conv->in_cols) at = conv->in_cols - cols;
        int64_t k = at % conv->kernel_cols;
        for (int i = 0; i < cols; i++, k = k + 1 < conv->kernel_cols ? k + 1 : 0)
            to[i] = lines + k * line + (at + i) * conv->out_channels;
        block(conv, rows, weight, rows->in + at * conv->in_channels, vectors, cols, to);
    }
}

typedef void (*fans_fn)(const fari_thin_conv *, const thin_rows *, const float *, float *);

#define FANS_FN(vectors, cols)                                                                                  \
    static void fans_##vectors##_##cols(const fari_thin_conv *conv, const thin_rows *rows, const float *weight, \
                                        float *lines)                                                           \
    {                                                                                                           \
        fans(conv, rows, weight, vectors, cols, lines);                                                         \
    }
COLS_1(FANS_FN)
COLS_2(FANS_FN)
COLS_3(FANS_FN)

typedef struct choice {
    int64_t vectors, cols;
    fans_fn fn;
} choice;

/* Which computes the fewest columns; of equals the widest. */
static fans_fn fans_fn_of(const fari_thin_conv *conv)
{
#define CHOICE(vectors, cols) { vectors, cols, fans_##vectors##_##cols },
    static const choice choices[] = { COLS_1(CHOICE) COLS_2(CHOICE) COLS_3(CHOICE) };
    const int64_t vectors = fari_fan_elems(conv) / FARI_FAN_LANES;
    fans_fn best = NULL;
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const int64_t cols = choices[i].cols, all = (conv->in_cols + cols - 1) / cols * cols;
        if (choices[i].vectors != vectors || cols > conv->in_cols || all >= least) continue;
        least = all;
        best = choices[i].fn;
    }
    return best;
}

/* bias, then lines in order: [from, from + WIDE) of a row. `lines` begin with the row's first column. */
FARI_INLINE void add_lines(const fari_thin_conv *conv, const float *lines, const float *bias, int64_t from, float *out)
{
    const int64_t line = fari_fan_line_elems(conv);
    wide sum = wide_load(bias + from);
    for (int64_t k = 0; k < conv->kernel_cols; k++) sum = wide_add(sum, wide_load(lines + k * line + from));
    wide_store(out + from, sum);
}

static void row_out(const fari_thin_conv *conv, const float *lines, const float *bias, float *out)
{
    const int64_t elems = conv->out_cols * conv->out_channels;
    const float *first = lines + (conv->kernel_cols - 1 - conv->pad_cols) * conv->out_channels;
    int64_t i = 0;
    for (; i + WIDE <= elems; i += WIDE) add_lines(conv, first, bias, i, out);
    if (i == elems) return;
    if (elems >= WIDE) {
        add_lines(conv, first, bias, elems - WIDE, out);
        return;
    }
    for (; i < elems; i++) {
        out[i] = bias[i];
        for (int64_t k = 0; k < conv->kernel_cols; k++) out[i] += first[k * fari_fan_line_elems(conv) + i];
    }
}

void FARI_ISA(fari_fan)(const fari_thin_conv *conv, const fari_conv_operands *operands)
{
    const int64_t in_elems = conv->in_rows * conv->in_cols * conv->in_channels;
    const int64_t out_row = conv->out_cols * conv->out_channels;
    const int64_t weight_row = conv->in_channels * fari_fan_elems(conv);
    const int64_t line_elems = conv->kernel_cols * fari_fan_line_elems(conv);
    float *lines = operands->scratch, *bias = lines + line_elems;
    const fans_fn run = fans_fn_of(conv);
    memset(lines, 0, (size_t)line_elems * sizeof *lines); /* where no fan reaches it stays so */
    for (int64_t i = 0; i < out_row; i++)
        bias[i] = operands->bias != NULL ? operands->bias[i % conv->out_channels] : 0.0f;
    for (int64_t n = 0; n < conv->samples; n++)
        for (int64_t j = 0; j < conv->out_rows; j++) {
            const thin_rows rows = thin_rows_of(conv, operands->in + n * in_elems, j);
            run(conv, &rows, operands->weight + rows.skip * weight_row, lines);
            row_out(conv, lines, bias, operands->out + (n * conv->out_rows + j) * out_row);
        }
}
