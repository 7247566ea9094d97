#include "sim/sim_math.h"
#include <string.h>

#define LN2 0.693147180559945309417
#define HALF_PI 1.57079632679489661923

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x = 2^e m with m in [0.70, 1.42); log m = 2 artanh((m - 1) / (m + 1)) by its series. */
double fari_sim_log(double x)
{
    const uint64_t bits = bits_of(x);
    int64_t e = (int64_t)(bits >> 52) - 1023;
    double m = double_of((bits & UINT64_C(0xFFFFFFFFFFFFF)) | UINT64_C(0x3FF0000000000000));
    if (m > 1.41421356237309505) {
        m *= 0.5;
        e++;
    }
    const double s = (m - 1.0) / (m + 1.0), s2 = s * s;
    double sum = 0.0;
    for (int k = 21; k >= 1; k -= 2) sum = sum * s2 + 1.0 / (double)k;
    return (double)e * LN2 + 2.0 * s * sum;
}

/* x = k ln 2 + r; exp r by its series. */
double fari_sim_exp(double x)
{
    const double scaled = x / LN2;
    const int64_t k = (int64_t)(scaled + (scaled < 0.0 ? -0.5 : 0.5));
    const double r = x - (double)k * LN2;
    double sum = 1.0;
    for (int n = 14; n >= 1; n--) sum = 1.0 + sum * r / (double)n;
    return sum * double_of((uint64_t)(k + 1023) << 52);
}

void fari_sim_sincos(double u, double *sin_out, double *cos_out)
{
    const int quadrant = (int)(4.0 * u + 0.5); /* 0 to 4 */
    const double r = (4.0 * u - (double)quadrant) * HALF_PI, r2 = r * r;
    double s = 0.0, c = 0.0;
    for (int n = 17; n >= 1; n -= 2) s = 1.0 - s * r2 / (double)((n + 1) * (n + 2));
    for (int n = 16; n >= 0; n -= 2) c = 1.0 - c * r2 / (double)((n + 1) * (n + 2));
    s *= r;
    const double sines[4] = { s, c, -s, -c };
    *sin_out = sines[quadrant % 4];
    *cos_out = sines[(quadrant + 1) % 4];
}

/* Simpson's rule from one place of the table to the next. */
void fari_sim_normal_fill(fari_sim_normal_table *table_out)
{
    const double step = 1.0 / 128.0, scale = 0.398942280401432678;
    double sum = 0.0;
    table_out->phi[0] = 0.0f;
    for (int i = 1; i <= 2048; i++) {
        const double b = -8.0 + (double)i * step, a = b - step, mid = b - 0.5 * step;
        sum += step / 6.0 * scale *
               (fari_sim_exp(-0.5 * a * a) + 4.0 * fari_sim_exp(-0.5 * mid * mid) + fari_sim_exp(-0.5 * b * b));
        table_out->phi[i] = (float)sum;
    }
}
