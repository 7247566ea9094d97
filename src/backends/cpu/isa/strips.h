/* Sums over pixels in double, held in registers.
 *
 * Rows of a channel_tile (channels.h) are cut in strips of W floats. One strip a row is read from front to back, as the processor's
 * prefetching likes it: four rows at once ran at a quarter of the memory's speed. Of wider rows so many are taken at a time as stay in
 * the cache until the last strip has seen them. Every float of a row has a sum of its own, rows are added in order: the bits depend
 * neither on W nor on the width of vectors. */
#ifndef FARI_CPU_ISA_STRIPS_H
#define FARI_CPU_ISA_STRIPS_H
#include "backends/cpu/isa/channels.h"
#include "backends/cpu/isa/vec.h"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

/* As many doubles as fit a register, and as many floats. */
#if VEC_WIDEST == 16
typedef vec_d_8 strip_d;
typedef vec_f_8 strip_f;
typedef vec_i_8 strip_i;
#elif VEC_WIDEST == 8
typedef vec_d_4 strip_d;
typedef vec_f_4 strip_f;
typedef vec_i_4 strip_i;
#else
typedef vec_d_2 strip_d;
typedef vec_f_2 strip_f;
typedef vec_i_2 strip_i;
#endif
#define STRIP_LANES (VEC_WIDEST / 2)
#define STRIP_WIDEST 64 /* floats */
#define STRIP_PARTS (STRIP_WIDEST / STRIP_LANES)
#define STRIP_AHEAD 4096        /* bytes */
#define STRIP_BLOCK_FLOATS 4096 /* of rows that are taken together */

#if defined(__GNUC__) && !defined(__clang__)
#define STRIP_UNROLL _Pragma("GCC unroll 32")
#else
#define STRIP_UNROLL _Pragma("unroll")
#endif

/* gcc 12 takes a conversion to eight doubles in halves and puts them together. */
FARI_INLINE strip_d strip_widen(strip_f x)
{
#if VEC_WIDEST == 16
    return (strip_d)_mm512_cvtps_pd((__m256)x);
#elif VEC_WIDEST == 8
    return (strip_d)_mm256_cvtps_pd((__m128)x);
#else
    return __builtin_convertvector(x, strip_d);
#endif
}

/* Asks for what lies a page ahead, where the processor's own prefetching stops. */
FARI_INLINE void strip_prefetch(const float *x, int64_t width)
{
    STRIP_UNROLL for (int64_t i = 0; i < width; i += 16) __builtin_prefetch((const char *)(x + i) + STRIP_AHEAD, 0, 3);
}

/* sum + a b of doubles that were floats: their product is exact, so fusing changes no bit. */
FARI_INLINE strip_d strip_add_product(strip_d sum, strip_d a, strip_d b)
{
#if VEC_WIDEST == 16
    return (strip_d)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)sum);
#elif VEC_WIDEST == 8
    return (strip_d)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)sum);
#else
    return sum + a * b;
#endif
}

/* Rows that are taken together: all where a strip is a whole row. */
static inline int64_t strip_rows(const channel_tile *tile)
{
    if (tile->len <= STRIP_WIDEST && tile->len == tile->stride) return tile->rows;
    return STRIP_BLOCK_FLOATS / tile->len > 16 ? STRIP_BLOCK_FLOATS / tile->len : 16;
}

/* The widest strip that the next `len` floats of a row can be cut in; 0: none, they are fewer than 16. */
static inline int64_t strip_width(int64_t len)
{
    return len >= STRIP_WIDEST ? STRIP_WIDEST : len / 16 * 16;
}

/* name(width, ...) with the width as a constant, for an unrolled copy each. */
#define STRIP_CALL(width, name, ...)            \
    do {                                        \
        if (width == 64) name(64, __VA_ARGS__); \
        if (width == 48) name(48, __VA_ARGS__); \
        if (width == 32) name(32, __VA_ARGS__); \
        if (width == 16) name(16, __VA_ARGS__); \
    } while (0)
#endif
