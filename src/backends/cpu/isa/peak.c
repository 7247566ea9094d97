/* As many multiplications with additions as the processor can do: what "share of peak" is measured against. */
#include "backends/cpu/isa/peak.h"
#include "backends/cpu/isa/isa.h"
#include "backends/cpu/isa/vec.h"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define CHAINS 12 /* independent ones: two units with a latency of four or five */

#if defined(__AVX512F__)
typedef __m512 lanes;
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define ALL(x) _mm512_set1_ps(x)
#elif defined(__AVX2__)
typedef __m256 lanes;
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define ALL(x) _mm256_set1_ps(x)
#else
typedef vec_f_4 lanes;
#define FMA(a, b, c) ((a) * (b) + (c))
#define ALL(x) ((lanes){ (x), (x), (x), (x) })
#endif

double FARI_ISA(fari_peak_run)(int64_t rounds, float *result_out)
{
    lanes sum[CHAINS];
    const lanes a = ALL(0.999F), b = ALL(0.001F);
    for (int k = 0; k < CHAINS; k++) sum[k] = ALL((float)k);
    for (int64_t i = 0; i < rounds; i++) {
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC unroll 12
#endif
        for (int k = 0; k < CHAINS; k++) sum[k] = FMA(sum[k], a, b);
    }
    float total = 0.0F; /* looked at, so that it has to be computed */
    for (int k = 0; k < CHAINS; k++) {
        float out[sizeof(lanes) / sizeof(float)];
        __builtin_memcpy(out, &sum[k], sizeof out);
        total += out[0];
    }
    *result_out = total;
    return 2.0 * (double)rounds * CHAINS * (double)(sizeof(lanes) / sizeof(float));
}
