/* Float functions of plain arithmetic, which the compiler turns into vector code and which give the same bits in every lane,
   tail and instruction set: no library calls, no contraction, no branches. NaN in gives NaN out.
   Coefficients: minimax fits of ours (Lawson's reweighting, 40 digits), rounded to float. */
#ifndef FARI_CPU_ISA_VEC_MATH_H
#define FARI_CPU_ISA_VEC_MATH_H
#include "backends/cpu/isa/isa.h"
#include <stdint.h>
#include <string.h>

FARI_INLINE uint32_t vec_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

FARI_INLINE float vec_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

FARI_INLINE float vec_max(float a, float b)
{
    return a > b ? a : b;
}

FARI_INLINE float vec_abs(float x)
{
    return vec_float(vec_bits(x) & UINT32_C(0x7FFFFFFF));
}

/* e^x within 2 ulp where the result is normal; 0 below -87, infinity above 88.72.
   x = n log 2 + r; log 2 in two parts, the first of 9 bits so that its products are exact. */
FARI_INLINE float vec_exp(float x)
{
    const float round = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, whose bits then stand lowest */
    const float low = x < -87.3f ? -87.3f : x, clamped = low > 89.0f ? 89.0f : low;
    const float shifted = clamped * 1.44269504f + round, n = shifted - round;
    const float r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
    const float q = (((0.0013813140f * r + 0.0083694197f) * r + 0.041668456f) * r + 0.16666515f) * r + 0.49999994f;
    const float p = (q * (r * r) + r) + 1.0f;
    const uint32_t k = vec_bits(shifted) - UINT32_C(0x4B400000); /* n in two's complement, -126 to 128 */
    return (2.0f * p) * vec_float((k + 126u) << 23); /* 2^(n - 1): all of them normal, but -127, which is 0 */
}

/* log x for normal x > 0, within 2 ulp; subnormals and 0 count as the smallest normal. */
FARI_INLINE float vec_log(float x)
{
    const float tiny = 1.17549435e-38f, y = x < tiny ? tiny : x;
    const uint32_t from_half =
        vec_bits(y) - UINT32_C(0x3F3504F3); /* sqrt(1/2): the mantissa goes to [sqrt(1/2), sqrt(2)) */
    const int32_t e = (int32_t)(from_half & UINT32_C(0xFF800000)); /* 2^23 times the exponent */
    const float n = (float)e * 0x1p-23f, f = vec_float(vec_bits(y) - (uint32_t)e) - 1.0f;
    float p = 0.067465514f;
    p = p * f - 0.11675628f;
    p = p * f + 0.1188819f;
    p = p * f - 0.12405594f;
    p = p * f + 0.14219549f;
    p = p * f - 0.16667995f;
    p = p * f + 0.20002119f;
    p = p * f - 0.25000009f;
    p = p * f + 0.33333313f;
    const float square = f * f, small = f * square * p + n * -2.12194440e-4f;
    return ((small - 0.5f * square) + f) + n * 0.693359375f + (y - y);
}

/* log(1 + x) for x >= 0; what rounding 1 + x lost is put back. */
FARI_INLINE float vec_log1p(float x)
{
    const float u = 1.0f + x;
    return vec_log(u) + (x - (u - 1.0f)) / u;
}

FARI_INLINE float vec_sigmoid(float x)
{
    return 1.0f / (1.0f + vec_exp(-x));
}

FARI_INLINE float vec_tanh(float x)
{
    const float a = vec_abs(x), z = x * x, e = vec_exp(-2.0f * a);
    const float far = (1.0f - e) / (1.0f + e);
    float p = -0.005782418f;
    p = p * z + 0.020704514f;
    p = p * z - 0.05375855f;
    p = p * z + 0.13331653f;
    p = p * z - 0.3333329f;
    const float near = x * z * p + x, signed_far = x < 0.0f ? -far : far;
    return a < 0.6f ? near : signed_far;
}

/* Normal distribution: *cdf_out = Phi(x), *pdf_out = its density. Upper tail: exp(-x^2 / 2) times a polynomial in t - 5/8, where
   t = 1 / (1 + |x| / 4); centred, so that its terms do not cancel. */
FARI_INLINE void vec_normal(float x, float *cdf_out, float *pdf_out)
{
    const float a = vec_abs(x) > 14.0f ? 14.0f : vec_abs(x), u = 1.0f / (1.0f + 0.25f * a) - 0.625f,
                e = vec_exp(-0.5f * a * a);
    float p = 0.033947185f;
    p = p * u - 0.0052267704f;
    p = p * u - 0.108509496f;
    p = p * u - 0.054854486f;
    p = p * u + 0.2647737f;
    p = p * u + 0.66498643f;
    p = p * u + 0.86354125f;
    p = p * u + 0.76430625f;
    p = p * u + 0.49625835f;
    p = p * u + 0.14603314f;
    const float tail = e * p;
    *cdf_out = x < 0.0f ? tail : 1.0f - tail;
    *pdf_out = e * 0.3989422804f;
}
#endif
