/* Vectors of WIDE floats: 16 with AVX-512, else 8. Multiplications are fused with additions in every instruction set (fmaf where the
   processor cannot), so all of them give the same bits. */
#ifndef FARI_CPU_ISA_WIDE_H
#define FARI_CPU_ISA_WIDE_H
#include "backends/cpu/isa/isa.h"
#include <math.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

/* Loops over arrays of vectors: unrolled before anything else is done, so that the arrays become registers. */
#if defined(__clang__)
#define WIDE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define WIDE_UNROLL _Pragma("GCC unroll 32")
#endif

/* A vector that is used several times: gcc 12 would load it anew for each. */
#if defined(__AVX2__)
#define WIDE_KEEP(v) __asm__("" : "+v"(v))
#else
#define WIDE_KEEP(v) (void)(v)
#endif

#if defined(__AVX512F__)

#define WIDE 16
typedef __m512 wide;

FARI_INLINE wide wide_all(float x)
{
    return _mm512_set1_ps(x);
}

FARI_INLINE wide wide_load(const float *from)
{
    return _mm512_loadu_ps(from);
}

FARI_INLINE void wide_store(float *to, wide a)
{
    _mm512_storeu_ps(to, a);
}

FARI_INLINE wide wide_add(wide a, wide b)
{
    return _mm512_add_ps(a, b);
}

FARI_INLINE wide wide_sub(wide a, wide b)
{
    return _mm512_sub_ps(a, b);
}

FARI_INLINE wide wide_mul(wide a, wide b)
{
    return _mm512_mul_ps(a, b);
}

/* a b + c */
FARI_INLINE wide wide_fma(wide a, wide b, wide c)
{
    return _mm512_fmadd_ps(a, b, c);
}

#elif defined(__AVX2__)

#define WIDE 8
typedef __m256 wide;

FARI_INLINE wide wide_all(float x)
{
    return _mm256_set1_ps(x);
}

FARI_INLINE wide wide_load(const float *from)
{
    return _mm256_loadu_ps(from);
}

FARI_INLINE void wide_store(float *to, wide a)
{
    _mm256_storeu_ps(to, a);
}

FARI_INLINE wide wide_add(wide a, wide b)
{
    return _mm256_add_ps(a, b);
}

FARI_INLINE wide wide_sub(wide a, wide b)
{
    return _mm256_sub_ps(a, b);
}

FARI_INLINE wide wide_mul(wide a, wide b)
{
    return _mm256_mul_ps(a, b);
}

FARI_INLINE wide wide_fma(wide a, wide b, wide c)
{
    return _mm256_fmadd_ps(a, b, c);
}

#else

#define WIDE 8
typedef struct wide {
    float f[WIDE];
} wide;

FARI_INLINE wide wide_all(float x)
{
    wide a;
    for (int i = 0; i < WIDE; i++) a.f[i] = x;
    return a;
}

FARI_INLINE wide wide_load(const float *from)
{
    wide a;
    for (int i = 0; i < WIDE; i++) a.f[i] = from[i];
    return a;
}

FARI_INLINE void wide_store(float *to, wide a)
{
    for (int i = 0; i < WIDE; i++) to[i] = a.f[i];
}

FARI_INLINE wide wide_add(wide a, wide b)
{
    for (int i = 0; i < WIDE; i++) a.f[i] += b.f[i];
    return a;
}

FARI_INLINE wide wide_sub(wide a, wide b)
{
    for (int i = 0; i < WIDE; i++) a.f[i] -= b.f[i];
    return a;
}

FARI_INLINE wide wide_mul(wide a, wide b)
{
    for (int i = 0; i < WIDE; i++) a.f[i] *= b.f[i];
    return a;
}

FARI_INLINE wide wide_fma(wide a, wide b, wide c)
{
    for (int i = 0; i < WIDE; i++) c.f[i] = fmaf(a.f[i], b.f[i], c.f[i]);
    return c;
}

#endif
#endif
