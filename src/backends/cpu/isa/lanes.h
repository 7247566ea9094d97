/* Sums of floats in double over 16 lanes: element i goes to lane i mod 16, lanes are then folded in halves. The order depends on the
   number of elements alone. */
#ifndef FARI_CPU_ISA_LANES_H
#define FARI_CPU_ISA_LANES_H
#include "backends/cpu/isa/isa.h"
#include <stdint.h>

#define LANES 16

FARI_INLINE double lanes_fold(double *lanes)
{
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    return lanes[0];
}

/* sum over i < n of term(i), an expression of type double in i. */
#define LANES_SUM(result, n, term)                                         \
    do {                                                                   \
        double lanes_[LANES] = { 0.0 };                                    \
        int64_t base_ = 0;                                                 \
        for (; base_ + LANES <= (n); base_ += LANES)                       \
            for (int lane_ = 0; lane_ < LANES; lane_++) {                  \
                const int64_t i = base_ + lane_;                           \
                lanes_[lane_] += (term);                                   \
            }                                                              \
        for (int64_t i = base_; i < (n); i++) lanes_[i - base_] += (term); \
        (result) = lanes_fold(lanes_);                                     \
    } while (0)
#endif
