/* Functions of the simulator's own, from additions, multiplications, divisions and square roots alone: the same bits on every machine with IEEE
   arithmetic, whatever its mathematical library. Good to about 1e-14. */
#ifndef FARI_SIM_MATH_H
#define FARI_SIM_MATH_H
#include <stdint.h>

double fari_sim_log(double x); /* x > 0, normal */
double fari_sim_exp(double x); /* |x| < 700 */
/* Of 2 pi u, for u in [0, 1). */
void fari_sim_sincos(double u, double *sin_out, double *cos_out);

/* The integral of the standard normal density up to t, from a table: good to 1e-6. */
typedef struct fari_sim_normal_table {
    float phi[2049]; /* from -8 to 8 in steps of 1/128 */
} fari_sim_normal_table;
void fari_sim_normal_fill(fari_sim_normal_table *table_out);
static inline float fari_sim_phi(const fari_sim_normal_table *table, float t)
{
    const float at = (t + 8.0f) * 128.0f;
    if (at <= 0.0f) return 0.0f;
    if (at >= 2048.0f) return 1.0f;
    const int32_t i = (int32_t)at;
    return table->phi[i] + (at - (float)i) * (table->phi[i + 1] - table->phi[i]);
}
#endif
