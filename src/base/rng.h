/* Counter-based random numbers: a draw is named by what it is for, so every rank, thread and order draws the same.
   The mixer is SplitMix64's finaliser (Steele, Lea, Flood, OOPSLA 2014) over a Weyl sequence from a keyed start. */
#ifndef FARI_BASE_RNG_H
#define FARI_BASE_RNG_H
#include <math.h>
#include <stdint.h>

#define FARI_RNG_WEYL UINT64_C(0x9E3779B97F4A7C15)

/* What a stream of numbers is for. Never renumber: bits of old runs depend on it. */
typedef enum fari_purpose {
    FARI_RNG_INIT = 1,
    FARI_RNG_DROPOUT = 16, /* the node's number is mixed into the key */
    FARI_RNG_SHUFFLE = 17,
    FARI_RNG_AUGMENT = 18,
    FARI_RNG_SPLIT = 19,
    FARI_RNG_SYNTH = 20,
    FARI_RNG_ORDER = 21,  /* execution order of ready grains, for tests */
    FARI_RNG_LARTPC = 22, /* simulated events */
    FARI_RNG_FLIP = 23    /* where a bit is made wrong on purpose */
} fari_purpose;

static inline uint64_t fari_mix64(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline uint64_t fari_rng_key(uint64_t seed, uint64_t purpose, uint64_t epoch, uint64_t sample)
{
    uint64_t key = fari_mix64(seed + FARI_RNG_WEYL);
    key = fari_mix64(key + FARI_RNG_WEYL * (purpose + 1));
    key = fari_mix64(key + FARI_RNG_WEYL * (epoch + 1));
    return fari_mix64(key + FARI_RNG_WEYL * (sample + 1));
}

static inline uint64_t fari_rng_bits(uint64_t key, uint64_t idx)
{
    return fari_mix64(key + FARI_RNG_WEYL * (idx + 1));
}

/* In [0, 1), 24 bits: exact in float. */
static inline float fari_rng_unit(uint64_t key, uint64_t idx)
{
    return (float)(fari_rng_bits(key, idx) >> 40) * 0x1p-24f;
}

/* In [0, 1), 53 bits. */
static inline double fari_rng_unit_f64(uint64_t key, uint64_t idx)
{
    return (double)(fari_rng_bits(key, idx) >> 11) * 0x1p-53;
}

__extension__ typedef unsigned __int128 fari_u128;

/* In [0, bound): multiply-shift (Lemire 2019), bias below bound / 2^64. */
static inline uint64_t fari_rng_below(uint64_t key, uint64_t idx, uint64_t bound)
{
    return (uint64_t)(((fari_u128)fari_rng_bits(key, idx) * bound) >> 64);
}

/* Standard normal (Box and Muller 1958), two draws an element. */
static inline double fari_rng_normal(uint64_t key, uint64_t idx)
{
    const double u = 1.0 - fari_rng_unit_f64(key, 2 * idx), v = fari_rng_unit_f64(key, 2 * idx + 1);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}
#endif
