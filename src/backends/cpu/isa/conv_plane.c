/* A convolution from one channel, forward: conv_plane.h. Blocks of some vectors of pixels, all output channels of which stay in
   registers. */
#include "backends/cpu/isa/conv_plane_vec.h"

/* Vectors a block by output channels: so many that the sums hide the units' latency and leave room for operands. */
#if defined(__AVX512F__)
#define BLOCK_VECTORS(channels) ((channels) <= 6 ? 4 : 3)
#else
#define BLOCK_VECTORS(channels) ((channels) <= 6 ? 2 : 1)
#endif
#define BLOCK_VECTORS_MOST 4

/* Where a call's output goes. */
typedef struct target {
    float *out, *end; /* of the sample; behind the last one */
} target;

/* Turned vectors as pixels. Each is stored with what is too much, which the next one overwrites. */
FARI_INLINE void put_pixels(float *out, int64_t count, int channels, const wide v[PLANE_CHANNELS])
{
    WIDE_UNROLL
    for (int i = 0; i < PIXELS; i++) {
        if (i >= count) break;
        turn_store_one(out + i * channels, v, i);
    }
}

/* One vector of pixels of each channel, the first `count` of which are there. At the very end there is no room for what is too much. */
FARI_INLINE void put(const target *to, int64_t pixel, int64_t count, int channels, wide v[PLANE_CHANNELS])
{
    float *out = to->out + pixel * channels;
    turn(v);
    if (to->end - out >= (count - 1) * channels + PLANE_CHANNELS) {
        put_pixels(out, count, channels, v);
        return;
    }
    float all[PIXELS * PLANE_CHANNELS];
    put_pixels(all, count, channels, v);
    memcpy(out, all, (size_t)(count * channels) * sizeof *out);
}

/* A vector of pixels of a strip. */
typedef struct place {
    int64_t row, col;
} place;

FARI_INLINE place place_after(place at, int64_t cols)
{
    at.col += PIXELS;
    if (at.col >= cols) at = (place){ at.row + 1, 0 };
    return at;
}

/* Sums of `vectors` vectors for all channels, each from its place in the copied input. Constants: channels and vectors. */
FARI_INLINE void block(const fari_thin_conv *conv, const float *const *in, const float *weight, const float *bias,
                       int channels, int vectors, wide *sum)
{
    const int64_t in_cols = fari_plane_in_cols(conv);
    WIDE_UNROLL
    for (int i = 0; i < channels * vectors; i++) sum[i] = wide_all(bias != NULL ? bias[i / vectors] : 0.0f);
    for (int64_t r = 0; r < conv->kernel_rows; r++)
        for (int64_t k = 0; k < conv->kernel_cols; k++, weight += channels) {
            wide x[BLOCK_VECTORS_MOST];
            WIDE_UNROLL
            for (int i = 0; i < vectors; i++) x[i] = wide_load(in[i] + r * in_cols + k);
            WIDE_UNROLL
            for (int c = 0; c < channels; c++) {
                const wide w = wide_all(weight[c]);
                WIDE_UNROLL
                for (int i = 0; i < vectors; i++) sum[c * vectors + i] = wide_fma(x[i], w, sum[c * vectors + i]);
            }
        }
}

/* weight: [kernel_rows][kernel_cols][channels] */
FARI_INLINE void strip_of(const fari_thin_conv *conv, const plane_strip *strip, const target *to, const float *plane,
                          const float *weight, const float *bias, int channels)
{
    const int vectors = BLOCK_VECTORS(channels);
    const int64_t cols = conv->out_cols, in_cols = fari_plane_in_cols(conv);
    for (place next = { 0, 0 }; next.row < strip->rows;) {
        const float *in[BLOCK_VECTORS_MOST];
        place at[BLOCK_VECTORS_MOST];
        wide sum[PLANE_CHANNELS * BLOCK_VECTORS_MOST];
        WIDE_UNROLL
        for (int i = 0; i < vectors; i++) {
            at[i] = next;
            in[i] = plane + (next.row < strip->rows ? next.row * in_cols + next.col : 0);
            next = place_after(next, cols);
        }
        block(conv, in, weight, bias, channels, vectors, sum);
        WIDE_UNROLL
        for (int i = 0; i < vectors; i++) {
            const int64_t left = cols - at[i].col;
            wide one[PLANE_CHANNELS];
            if (at[i].row >= strip->rows) break;
            WIDE_UNROLL
            for (int c = 0; c < PLANE_CHANNELS; c++) one[c] = c < channels ? sum[c * vectors + i] : wide_all(0.0f);
            put(to, (strip->row + at[i].row) * cols + at[i].col, left < PIXELS ? left : PIXELS, channels, one);
        }
    }
}

typedef void (*strip_fn)(const fari_thin_conv *, const plane_strip *, const target *, const float *, const float *,
                         const float *);

#define STRIP_FN(channels)                                                                               \
    static void strip_##channels(const fari_thin_conv *conv, const plane_strip *strip, const target *to, \
                                 const float *plane, const float *weight, const float *bias)             \
    {                                                                                                    \
        strip_of(conv, strip, to, plane, weight, bias, channels);                                        \
    }
STRIP_FN(1)
STRIP_FN(2)
STRIP_FN(3)
STRIP_FN(4)
STRIP_FN(5)
STRIP_FN(6)
STRIP_FN(7)
STRIP_FN(8)

static const strip_fn strip_fns[] = { NULL, strip_1, strip_2, strip_3, strip_4, strip_5, strip_6, strip_7, strip_8 };

void FARI_ISA(fari_plane_forward)(const fari_thin_conv *conv, const fari_conv_operands *operands)
{
    const int64_t in_elems = conv->in_rows * conv->in_cols, taps = conv->kernel_rows * conv->kernel_cols;
    const int64_t channels = conv->out_channels, out_elems = conv->out_rows * conv->out_cols * channels;
    const int64_t most = fari_plane_strip_rows(conv);
    float *plane = operands->scratch, *weight = plane + fari_plane_in_elems(conv);
    for (int64_t i = 0; i < taps * channels; i++) weight[i] = operands->weight[i % channels * taps + i / channels];
    for (int64_t n = 0; n < conv->samples; n++) {
        const target to = { operands->out + n * out_elems, operands->out + conv->samples * out_elems };
        for (int64_t row = 0; row < conv->out_rows; row += most) {
            const int64_t left = conv->out_rows - row;
            const plane_strip strip = { operands->in + n * in_elems, row, left < most ? left : most };
            plane_copy(conv, &strip, n > 0 && most == conv->out_rows, plane);
            strip_fns[channels](conv, &strip, &to, plane, weight, operands->bias);
        }
    }
}
