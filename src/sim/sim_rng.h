/* A stream of random numbers: the next number is a function of the stream's key and of how many were taken. */
#ifndef FARI_SIM_RNG_H
#define FARI_SIM_RNG_H
#include "base/rng.h"
#include "sim/sim_math.h"
#include <math.h>

typedef struct fari_sim_rng {
    uint64_t key, taken;
} fari_sim_rng;

/* A stream beside others: what one particle draws never moves what another does. */
static inline fari_sim_rng fari_sim_rng_branch(uint64_t key, uint64_t number)
{
    return (fari_sim_rng){ fari_mix64(key + FARI_RNG_WEYL * (number + 1)), 0 };
}

/* In [0, 1). */
static inline double fari_sim_unit(fari_sim_rng *rng)
{
    return fari_rng_unit_f64(rng->key, rng->taken++);
}

static inline double fari_sim_between(fari_sim_rng *rng, double low, double high)
{
    return low + (high - low) * fari_sim_unit(rng);
}

/* Of mean 1. */
static inline double fari_sim_exponential(fari_sim_rng *rng)
{
    return -fari_sim_log(1.0 - fari_sim_unit(rng));
}

/* Box and Muller, both of the pair. */
static inline void fari_sim_normals(fari_sim_rng *rng, double *a_out, double *b_out)
{
    const double radius = sqrt(2.0 * fari_sim_exponential(rng));
    double s, c;
    fari_sim_sincos(fari_sim_unit(rng), &s, &c);
    *a_out = radius * c;
    *b_out = radius * s;
}

/* By multiplication of uniforms (Knuth); large means in parts, as sums of Poisson numbers are Poisson numbers. */
static inline int64_t fari_sim_poisson(fari_sim_rng *rng, double mean)
{
    int64_t count = 0;
    for (; mean > 0.0; mean -= 100.0) {
        const double limit = fari_sim_exp(mean < 100.0 ? -mean : -100.0);
        for (double product = fari_sim_unit(rng); product > limit; product *= fari_sim_unit(rng)) count++;
    }
    return count;
}
#endif
