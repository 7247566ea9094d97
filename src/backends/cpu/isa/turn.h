/* Squares of 8 x 8 floats turned, rows for columns: eight vectors of WIDE floats are one such square, or two side by side. */
#ifndef FARI_CPU_ISA_TURN_H
#define FARI_CPU_ISA_TURN_H
#include "backends/cpu/isa/wide.h"
#include <stdint.h>

#define TURN_ROWS 8

#if defined(__AVX512F__)

FARI_INLINE void turn(wide v[TURN_ROWS])
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

/* Of turned vectors: eight floats of row i, of WIDE. */
FARI_INLINE void turn_store_one(float *to, const wide v[TURN_ROWS], int i)
{
    if (i < 8) _mm256_storeu_ps(to, _mm512_castps512_ps256(v[i]));
    else _mm256_storeu_ps(to, _mm512_extractf32x8_ps(v[i - 8], 1));
}

/* The i-th vector that turn wants: eight floats of rows i and i + 8, rows being `apart`. */
FARI_INLINE wide turn_load(const float *from, int64_t apart, int i)
{
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(from + i * apart)),
                              _mm256_loadu_ps(from + (i + 8) * apart), 1);
}

/* The first `count` of a. */
FARI_INLINE wide turn_first(wide a, int64_t count)
{
    return _mm512_maskz_mov_ps((__mmask16)((1U << count) - 1), a);
}

#elif defined(__AVX2__)

FARI_INLINE void turn(wide v[TURN_ROWS])
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

FARI_INLINE void turn_store_one(float *to, const wide v[TURN_ROWS], int i)
{
    _mm256_storeu_ps(to, v[i]);
}

FARI_INLINE wide turn_load(const float *from, int64_t apart, int i)
{
    return _mm256_loadu_ps(from + i * apart);
}

FARI_INLINE wide turn_first(wide a, int64_t count)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lane)));
}

#else

FARI_INLINE void turn(wide v[TURN_ROWS])
{
    wide turned[TURN_ROWS];
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++) turned[i].f[j] = v[j].f[i];
    for (int i = 0; i < 8; i++) v[i] = turned[i];
}

FARI_INLINE void turn_store_one(float *to, const wide v[TURN_ROWS], int i)
{
    wide_store(to, v[i]);
}

FARI_INLINE wide turn_load(const float *from, int64_t apart, int i)
{
    return wide_load(from + i * apart);
}

FARI_INLINE wide turn_first(wide a, int64_t count)
{
    for (int64_t i = count; i < WIDE; i++) a.f[i] = 0.0f;
    return a;
}

#endif
#endif
