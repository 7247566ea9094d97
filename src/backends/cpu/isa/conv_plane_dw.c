/* Gradient of the weight of a convolution from one channel: conv_plane.h. dy is turned into planes of its channels; blocks of some
   channels and one row of the kernel then go over the strip, their sums in registers. */
#include "backends/cpu/isa/conv_plane_vec.h"

/* Channels a block, at most: with 5 columns of the kernel the sums fill the registers. */
#if defined(__AVX512F__)
#define GROUP_MOST 4
#else
#define GROUP_MOST 2
#endif

/* Eight channels of a vector of pixels from dy on, by channel. A pixel is loaded with what lies behind it, and pixels behind the row's
   with it: nobody looks at the former, turn_first leaves out the latter. `end`: of all dy, beyond which nothing is read. */
FARI_INLINE void get(const float *dy, const float *end, int channels, wide v[PLANE_CHANNELS])
{
    float last[PIXELS * PLANE_CHANNELS];
    if (end - dy < (PIXELS - 1) * channels + PLANE_CHANNELS) {
        memset(last, 0, sizeof last);
        memcpy(last, dy, (size_t)(end - dy) * sizeof *dy);
        dy = last;
    }
    WIDE_UNROLL
    for (int i = 0; i < PLANE_CHANNELS; i++) v[i] = turn_load(dy, channels, i);
    turn(v);
}

/* dy's strip as planes, [channels][rows][whole vectors]. */
FARI_INLINE void turn_of(const fari_thin_conv *conv, const float *dy, const float *end, int64_t rows, int channels,
                         float *planes)
{
    const int64_t cols = fari_plane_cols(conv), plane = rows * cols;
    for (int64_t j = 0; j < rows; j++, dy += conv->out_cols * channels)
        for (int64_t col = 0; col < cols; col += PIXELS) {
            const int64_t left = conv->out_cols - col, count = left < 0 ? 0 : left < PIXELS ? left : PIXELS;
            wide v[PLANE_CHANNELS];
            if (count > 0) get(dy + col * channels, end, channels, v);
            WIDE_UNROLL
            for (int c = 0; c < channels; c++)
                wide_store(planes + c * plane + j * cols + col, count == PIXELS ? v[c]
                                                                : count > 0     ? turn_first(v[c], count)
                                                                                : wide_all(0.0f));
        }
}

typedef void (*turn_fn)(const fari_thin_conv *, const float *, const float *, int64_t, float *);

#define TURN_FN(channels)                                                                                    \
    static void turn_##channels(const fari_thin_conv *conv, const float *dy, const float *end, int64_t rows, \
                                float *planes)                                                               \
    {                                                                                                        \
        turn_of(conv, dy, end, rows, channels, planes);                                                      \
    }
TURN_FN(1)
TURN_FN(2)
TURN_FN(3)
TURN_FN(4)
TURN_FN(5)
TURN_FN(6)
TURN_FN(7)
TURN_FN(8)

static const turn_fn turn_fns[] = { NULL, turn_1, turn_2, turn_3, turn_4, turn_5, turn_6, turn_7, turn_8 };

/* ---- sums ---- */

/* Adds to sums [channels][..][16], one row of the kernel, what `group` channels give with it. in: the copied input from that row on.
   sum_channel: floats from channel to channel of sums. Constants: group and cols of the kernel. */
FARI_INLINE void block(const fari_thin_conv *conv, int64_t rows, const float *in, const float *dy, int group,
                       int kernel, float *sums, int64_t sum_channel)
{
    const int64_t cols = fari_plane_cols(conv), in_cols = fari_plane_in_cols(conv), plane = rows * cols;
    for (int64_t lane = 0; lane < FARI_PLANE_LANES; lane += PIXELS) {
        wide sum[GROUP_MOST * FARI_PLANE_KERNEL_MAX];
        WIDE_UNROLL
        for (int i = 0; i < group * kernel; i++) sum[i] = wide_all(0.0f);
        for (int64_t j = 0; j < rows; j++)
            for (int64_t col = lane; col < cols; col += FARI_PLANE_LANES) {
                wide d[GROUP_MOST];
                WIDE_UNROLL
                for (int c = 0; c < group; c++) d[c] = wide_load(dy + c * plane + j * cols + col);
                WIDE_UNROLL
                for (int k = 0; k < kernel; k++) {
                    wide x = wide_load(in + j * in_cols + col + k);
                    WIDE_KEEP(x);
                    WIDE_UNROLL
                    for (int c = 0; c < group; c++) sum[c * kernel + k] = wide_fma(x, d[c], sum[c * kernel + k]);
                }
            }
        WIDE_UNROLL
        for (int i = 0; i < group * kernel; i++) {
            float *to = sums + i / kernel * sum_channel + i % kernel * FARI_PLANE_LANES + lane;
            wide_store(to, wide_add(wide_load(to), sum[i]));
        }
    }
}

typedef void (*block_fn)(const fari_thin_conv *, int64_t, const float *, const float *, float *, int64_t);

#define BLOCK_FN(group, kernel)                                                                                      \
    static void block_##group##_##kernel(const fari_thin_conv *conv, int64_t rows, const float *in, const float *dy, \
                                         float *sums, int64_t sum_channel)                                           \
    {                                                                                                                \
        block(conv, rows, in, dy, group, kernel, sums, sum_channel);                                                 \
    }
BLOCK_FN(1, 3)
BLOCK_FN(1, 5)
BLOCK_FN(2, 3)
BLOCK_FN(2, 5)
#if GROUP_MOST > 2
BLOCK_FN(3, 3)
BLOCK_FN(3, 5)
BLOCK_FN(4, 3)
BLOCK_FN(4, 5)
#endif

static const block_fn block_fns[GROUP_MOST + 1][2] = {
    { NULL, NULL },           { block_1_3, block_1_5 }, { block_2_3, block_2_5 },
#if GROUP_MOST > 2
    { block_3_3, block_3_5 }, { block_4_3, block_4_5 },
#endif
};

static void strip_add(const fari_thin_conv *conv, int64_t rows, const float *plane, const float *planes, float *sums)
{
    const int64_t dy_plane = rows * fari_plane_cols(conv), channels = conv->out_channels;
    const int64_t sum_row = conv->kernel_cols * FARI_PLANE_LANES, sum_channel = conv->kernel_rows * sum_row;
    const int64_t groups = (channels + GROUP_MOST - 1) / GROUP_MOST, even = (channels + groups - 1) / groups;
    for (int64_t r = 0; r < conv->kernel_rows; r++)
        for (int64_t c = 0; c < channels; c += even) {
            const int64_t group = channels - c < even ? channels - c : even;
            block_fns[group][conv->kernel_cols == 5](conv, rows, plane + r * fari_plane_in_cols(conv),
                                                     planes + c * dy_plane, sums + c * sum_channel + r * sum_row,
                                                     sum_channel);
        }
}

static float fold(float *lanes)
{
    for (int width = FARI_PLANE_LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    return lanes[0];
}

void FARI_ISA(fari_plane_dw)(const fari_thin_conv *conv, const float *in, const float *dy, bool accumulate,
                             float *d_weight, float *scratch)
{
    const int64_t in_elems = conv->in_rows * conv->in_cols, most = fari_plane_strip_rows(conv);
    const int64_t dy_row = conv->out_cols * conv->out_channels, dy_elems = conv->out_rows * dy_row;
    const int64_t weights = conv->out_channels * conv->kernel_rows * conv->kernel_cols;
    float *plane = scratch, *planes = plane + fari_plane_in_elems(conv);
    float *sums = planes + conv->out_channels * most * fari_plane_cols(conv);
    memset(sums, 0, (size_t)(weights * FARI_PLANE_LANES) * sizeof *sums);
    for (int64_t n = 0; n < conv->samples; n++)
        for (int64_t row = 0; row < conv->out_rows; row += most) {
            const int64_t left = conv->out_rows - row;
            const plane_strip strip = { in + n * in_elems, row, left < most ? left : most };
            plane_copy(conv, &strip, n > 0 && most == conv->out_rows, plane);
            turn_fns[conv->out_channels](conv, dy + n * dy_elems + row * dy_row, dy + conv->samples * dy_elems,
                                         strip.rows, planes);
            strip_add(conv, strip.rows, plane, planes, sums);
        }
    for (int64_t i = 0; i < weights; i++) {
        const float sum = fold(sums + i * FARI_PLANE_LANES);
        d_weight[i] = accumulate ? d_weight[i] + sum : sum;
    }
}
