/* Rows written past the caches. An ordinary store first reads the line that it overwrites: of an image larger than the caches this
   costs as much as the store itself, and pushes out what will be read again sooner. */
#ifndef FARI_CPU_ISA_STREAM_H
#define FARI_CPU_ISA_STREAM_H
#include "backends/cpu/isa/channels.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define STREAM_BYTES (INT64_C(2) << 20) /* smaller images stay in a cache until they are read */
#define STREAM_ALIGN 64
#define STREAM_FLOATS 16

/* Whether this output is large, and element `first` of it at a cache line. */
static inline bool stream_pays(const fari_view *out, int64_t first)
{
#if defined(__SSE2__)
    int64_t bytes = (int64_t)sizeof(float) * (out->ndim >= 3 ? out->rows_total : 1);
    for (int32_t i = 0; i < out->ndim; i++) bytes *= i == 2 ? 1 : out->dim[i];
    return bytes >= STREAM_BYTES && ((uintptr_t)out->data + (uintptr_t)first * sizeof(float)) % STREAM_ALIGN == 0;
#else
    (void)out, (void)first;
    return false;
#endif
}

/* The same of a tile's rows. */
static inline bool stream_pays_rows(const fari_view *out, int64_t first, const channel_tile *tile)
{
    return stream_pays(out, first) && tile->len % STREAM_FLOATS == 0 && tile->stride % STREAM_FLOATS == 0;
}

/* The same of pixels, which are written in the widest vectors (vec.h): each of them begins where such a one may. */
static inline bool stream_pays_pixels(const fari_view *out)
{
    return stream_pays(out, 0) && (out->dim[1] == 8 || out->dim[1] % STREAM_FLOATS == 0);
}

/* Vectors of 16, 8 and 4 floats to addresses aligned to their size; narrower instruction sets never call the wide ones. */
#if defined(__AVX512F__)
#define STREAM_16(to, v) _mm512_stream_ps(to, (__m512)(v))
#endif
#if defined(__AVX__)
#define STREAM_8(to, v) _mm256_stream_ps(to, (__m256)(v))
#endif
#if defined(__SSE2__)
#define STREAM_4(to, v) _mm_stream_ps(to, (__m128)(v))
#else
#define STREAM_4(to, v) (*(vec_f_4 *)(to) = (v))
#endif

/* to: aligned to 64 bytes; len: a multiple of 16. */
FARI_INLINE void stream_row(float *to, const float *from, int64_t len)
{
#if defined(__AVX512F__)
    for (int64_t i = 0; i < len; i += 16) _mm512_stream_ps(to + i, _mm512_loadu_ps(from + i));
#elif defined(__AVX__)
    for (int64_t i = 0; i < len; i += 8) _mm256_stream_ps(to + i, _mm256_loadu_ps(from + i));
#elif defined(__SSE2__)
    for (int64_t i = 0; i < len; i += 4) _mm_stream_ps(to + i, _mm_loadu_ps(from + i));
#else
    for (int64_t i = 0; i < len; i++) to[i] = from[i];
#endif
}

/* Other threads may read from here on. */
static inline void stream_end(void)
{
#if defined(__SSE2__)
    _mm_sfence();
#endif
}
#endif
