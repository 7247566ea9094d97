/* Sixteen floats as eight pairs: lanes 2i and 2i + 1 both belong to output channel i, and what they hold is added up in the end. With
   them eight channels fill a vector of 512 bits, which would be half empty with a lane a channel.
 *
 * Multiplications are fused with additions in every instruction set (fmaf where the processor cannot), so all of them give the same
 * bits. */
#ifndef FARI_CPU_ISA_PAIRS_H
#define FARI_CPU_ISA_PAIRS_H
#include "backends/cpu/isa/isa.h"
#include <math.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define PAIR_LANES 16
#define PAIR_CHANNELS 8

/* Loops over arrays of vectors: unrolled before anything else is done, so that the arrays become registers. */
#if defined(__clang__)
#define PAIRS_UNROLL _Pragma("clang loop unroll(full)")
#else
#define PAIRS_UNROLL _Pragma("GCC unroll 32")
#endif

/* A load that gcc must not keep for the next round of a loop: it would move eight bytes from round to round in registers of their
   own, and spread them by the unit that multiplies. Sanitizers do not see it. */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PAIRS_BOTH(result, two) \
    __asm__("vbroadcastsd %1, %0" : "=v"(result) : "m"(*(const struct { float f[2]; } *)(two)))
#endif

#if defined(__AVX512F__)

typedef __m512 pairs;

FARI_INLINE pairs pairs_zero(void)
{
    return _mm512_setzero_ps();
}

FARI_INLINE pairs pairs_load(const float *sixteen)
{
    return _mm512_loadu_ps(sixteen);
}

FARI_INLINE void pairs_store(float *sixteen, pairs a)
{
    _mm512_storeu_ps(sixteen, a);
}

FARI_INLINE pairs pairs_add(pairs a, pairs b)
{
    return _mm512_add_ps(a, b);
}

/* a b + c */
FARI_INLINE pairs pairs_fma(pairs a, pairs b, pairs c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* two[0], two[1], two[0], two[1], .. */
FARI_INLINE pairs pairs_both(const float *two)
{
#if defined(PAIRS_BOTH)
    pairs result;
    PAIRS_BOTH(result, two);
    return result;
#else
    double d;
    __builtin_memcpy(&d, two, sizeof d);
    return _mm512_castpd_ps(_mm512_set1_pd(d));
#endif
}

/* eight[0], eight[0], eight[1], eight[1], .. */
FARI_INLINE pairs pairs_each(const float *eight)
{
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(eight)));
}

FARI_INLINE __m512 pairs_sums(pairs a, pairs b)
{
    const __m512 sum = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    return _mm512_castpd_ps(_mm512_permutexvar_pd(order, _mm512_castps_pd(sum)));
}

/* y[0..7] = the sums of a's pairs, y[8..15] = b's */
FARI_INLINE void pairs_fold2(float *y, pairs a, pairs b)
{
    _mm512_storeu_ps(y, pairs_sums(a, b));
}

FARI_INLINE void pairs_fold(float *y, pairs a)
{
    _mm256_storeu_ps(y, _mm512_castps512_ps256(pairs_sums(a, a)));
}

#elif defined(__AVX2__)

typedef struct pairs {
    __m256 lo, hi;
} pairs;

FARI_INLINE pairs pairs_zero(void)
{
    return (pairs){ _mm256_setzero_ps(), _mm256_setzero_ps() };
}

FARI_INLINE pairs pairs_load(const float *sixteen)
{
    return (pairs){ _mm256_loadu_ps(sixteen), _mm256_loadu_ps(sixteen + 8) };
}

FARI_INLINE void pairs_store(float *sixteen, pairs a)
{
    _mm256_storeu_ps(sixteen, a.lo);
    _mm256_storeu_ps(sixteen + 8, a.hi);
}

FARI_INLINE pairs pairs_add(pairs a, pairs b)
{
    return (pairs){ _mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi) };
}

FARI_INLINE pairs pairs_fma(pairs a, pairs b, pairs c)
{
    return (pairs){ _mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi) };
}

FARI_INLINE pairs pairs_both(const float *two)
{
#if defined(PAIRS_BOTH)
    __m256 result;
    PAIRS_BOTH(result, two);
#else
    double d;
    __builtin_memcpy(&d, two, sizeof d);
    const __m256 result = _mm256_castpd_ps(_mm256_set1_pd(d));
#endif
    return (pairs){ result, result };
}

FARI_INLINE pairs pairs_each(const float *eight)
{
    const __m256 all = _mm256_loadu_ps(eight);
    return (pairs){ _mm256_permutevar8x32_ps(all, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3)),
                    _mm256_permutevar8x32_ps(all, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7)) };
}

FARI_INLINE void pairs_fold(float *y, pairs a)
{
    const __m256 sum = _mm256_add_ps(_mm256_shuffle_ps(a.lo, a.hi, 0x88), _mm256_shuffle_ps(a.lo, a.hi, 0xdd));
    _mm256_storeu_ps(y, _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(sum), 0xd8)));
}

#else

typedef struct pairs {
    float f[PAIR_LANES];
} pairs;

FARI_INLINE pairs pairs_zero(void)
{
    return (pairs){ { 0.0f } };
}

FARI_INLINE pairs pairs_load(const float *sixteen)
{
    pairs a;
    for (int i = 0; i < PAIR_LANES; i++) a.f[i] = sixteen[i];
    return a;
}

FARI_INLINE void pairs_store(float *sixteen, pairs a)
{
    for (int i = 0; i < PAIR_LANES; i++) sixteen[i] = a.f[i];
}

FARI_INLINE pairs pairs_add(pairs a, pairs b)
{
    for (int i = 0; i < PAIR_LANES; i++) a.f[i] += b.f[i];
    return a;
}

FARI_INLINE pairs pairs_fma(pairs a, pairs b, pairs c)
{
    for (int i = 0; i < PAIR_LANES; i++) c.f[i] = fmaf(a.f[i], b.f[i], c.f[i]);
    return c;
}

FARI_INLINE pairs pairs_both(const float *two)
{
    pairs a;
    for (int i = 0; i < PAIR_LANES; i++) a.f[i] = two[i % 2];
    return a;
}

FARI_INLINE pairs pairs_each(const float *eight)
{
    pairs a;
    for (int i = 0; i < PAIR_LANES; i++) a.f[i] = eight[i / 2];
    return a;
}

FARI_INLINE void pairs_fold(float *y, pairs a)
{
    for (int i = 0; i < PAIR_CHANNELS; i++) y[i] = a.f[2 * i] + a.f[2 * i + 1];
}

#endif

#if !defined(__AVX512F__)
FARI_INLINE void pairs_fold2(float *y, pairs a, pairs b)
{
    pairs_fold(y, a);
    pairs_fold(y + PAIR_CHANNELS, b);
}
#endif
#endif
