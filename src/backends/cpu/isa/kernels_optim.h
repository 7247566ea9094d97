/* The fast kernels of optim.c, compiled once per instruction set: one each for the ops sgd, adam, rmsprop, lars, lamb_moments,
 * lamb, ema (updates in place) and sumsq, norms, lamb_norms (f64 sums). The scalar ops between them are the reference's.
 * Each takes every call of its op; f64 parameters it hands to the reference kernel. No scratch, no `prepared`. The variants give
 * equal bits; squares are summed in lanes (lanes.h) within blocks that divide a chunk, blocks are added in order. */
#ifndef FARI_CPU_ISA_KERNELS_OPTIM_H
#define FARI_CPU_ISA_KERNELS_OPTIM_H
#include "backends/cpu/isa/kernels.h" /* FARI_ISA_DECLARE */

#define FARI_ISA_KERNELS_OPTIM(X) \
    X(fari_sgd)                   \
    X(fari_adam)                  \
    X(fari_rmsprop)               \
    X(fari_lars)                  \
    X(fari_lamb_moments)          \
    X(fari_lamb_norms)            \
    X(fari_lamb)                  \
    X(fari_ema)                   \
    X(fari_sumsq)                 \
    X(fari_norms)

FARI_ISA_KERNELS_OPTIM(FARI_ISA_DECLARE)
#endif
