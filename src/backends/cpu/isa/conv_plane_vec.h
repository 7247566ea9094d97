/* Vectors of pixels for conv_plane.c and conv_plane_dw.c. */
#ifndef FARI_CPU_ISA_CONV_PLANE_VEC_H
#define FARI_CPU_ISA_CONV_PLANE_VEC_H
#include "backends/cpu/isa/conv_plane.h"
#include "backends/cpu/isa/wide.h"
#include <string.h>

#define PIXELS WIDE      /* of a vector */
#define PLANE_CHANNELS 8 /* that are turned at a time */

#if defined(__AVX512F__)

/* Each half of eight vectors is a square of 8 x 8 floats: turned, rows become columns. */
FARI_INLINE void pixels_turn(wide v[PLANE_CHANNELS])
{
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13),
                  high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    __m512 a[8];
    __m512d b[8];
    WIDE_UNROLL
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
    WIDE_UNROLL
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm512_castps_pd(_mm512_shuffle_ps(a[i], a[i + 2], 0x44));
        b[i + 1] = _mm512_castps_pd(_mm512_shuffle_ps(a[i], a[i + 2], 0xee));
        b[i + 2] = _mm512_castps_pd(_mm512_shuffle_ps(a[i + 1], a[i + 3], 0x44));
        b[i + 3] = _mm512_castps_pd(_mm512_shuffle_ps(a[i + 1], a[i + 3], 0xee));
    }
    WIDE_UNROLL
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_castpd_ps(_mm512_permutex2var_pd(b[i], low, b[i + 4]));
        v[i + 4] = _mm512_castpd_ps(_mm512_permutex2var_pd(b[i], high, b[i + 4]));
    }
}

/* Of turned vectors: the channels of one pixel, all eight. */
FARI_INLINE void pixels_store_one(float *to, const wide v[PLANE_CHANNELS], int pixel)
{
    if (pixel < 8) _mm256_storeu_ps(to, _mm512_castps512_ps256(v[pixel]));
    else _mm256_storeu_ps(to, _mm512_extractf32x8_ps(v[pixel - 8], 1));
}

/* The i-th vector that pixels_turn wants: eight channels of pixels i and i + 8, a pixel having `channels`. */
FARI_INLINE wide pixels_load_one(const float *from, int channels, int i)
{
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(from + i * channels)),
                              _mm256_loadu_ps(from + (i + 8) * channels), 1);
}

/* The first `count` of a. */
FARI_INLINE wide pixels_first(wide a, int64_t count)
{
    return _mm512_maskz_mov_ps((__mmask16)((1U << count) - 1), a);
}

#elif defined(__AVX2__)

FARI_INLINE void pixels_turn(wide v[PLANE_CHANNELS])
{
    __m256 a[8], b[8];
    WIDE_UNROLL
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    WIDE_UNROLL
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
        b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
        b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
    WIDE_UNROLL
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
        v[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
    }
}

FARI_INLINE void pixels_store_one(float *to, const wide v[PLANE_CHANNELS], int pixel)
{
    _mm256_storeu_ps(to, v[pixel]);
}

FARI_INLINE wide pixels_load_one(const float *from, int channels, int i)
{
    return _mm256_loadu_ps(from + i * channels);
}

FARI_INLINE wide pixels_first(wide a, int64_t count)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lane)));
}

#else

FARI_INLINE void pixels_turn(wide v[PLANE_CHANNELS])
{
    wide turned[PLANE_CHANNELS];
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++) turned[i].f[j] = v[j].f[i];
    for (int i = 0; i < 8; i++) v[i] = turned[i];
}

FARI_INLINE void pixels_store_one(float *to, const wide v[PLANE_CHANNELS], int pixel)
{
    wide_store(to, v[pixel]);
}

FARI_INLINE wide pixels_load_one(const float *from, int channels, int i)
{
    return wide_load(from + i * channels);
}

FARI_INLINE wide pixels_first(wide a, int64_t count)
{
    for (int64_t i = count; i < PIXELS; i++) a.f[i] = 0.0f;
    return a;
}

#endif

/* Rows of the output, of one sample. */
typedef struct plane_strip {
    const float *in; /* the sample */
    int64_t row, rows;
} plane_strip;

/* memcpy calls cost more than a short row. */
FARI_INLINE void plane_copy_row(float *to, const float *from, int64_t count)
{
    int64_t i = 0;
    for (; i + PIXELS <= count; i += PIXELS) wide_store(to + i, wide_load(from + i));
    if (i < count && count >= PIXELS) wide_store(to + count - PIXELS, wide_load(from + count - PIXELS));
    else
        for (; i < count; i++) to[i] = from[i];
}

/* The strip's input with zeros around it. `is_clean`: the zeros are there, from a strip of the same place in another sample. */
static inline void plane_copy(const fari_thin_conv *conv, const plane_strip *strip, bool is_clean, float *plane)
{
    const int64_t cols = fari_plane_in_cols(conv), rows = strip->rows + conv->kernel_rows - 1;
    const int64_t top = strip->row - conv->pad_rows, room = cols - conv->pad_cols;
    const int64_t count = conv->in_cols < room ? conv->in_cols : room;
    if (!is_clean) memset(plane, 0, (size_t)(rows * cols) * sizeof *plane);
    for (int64_t i = 0; i < rows; i++)
        if (top + i >= 0 && top + i < conv->in_rows)
            plane_copy_row(plane + i * cols + conv->pad_cols, strip->in + (top + i) * conv->in_cols, count);
}
#endif
