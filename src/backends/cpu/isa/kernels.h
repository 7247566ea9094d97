/* Our own spatial kernels, for every instruction set: X(name) gives `far_status name_avx2(const fari_call *)` and so on.
   All take channels-last f32 and are bit-equal between instruction sets. The comment atop each file tells the op and the scratch. */
#ifndef FARI_CPU_ISA_KERNELS_H
#define FARI_CPU_ISA_KERNELS_H
#include "backends/cpu/isa/upsample_taps.h"
#include "graph/op.h"

/* pool_max.c, pool_avg.c, channel_sum.c, upsample.c, upsample_dx.c */
#define FARI_ISA_KERNELS_SPATIAL(X) \
    X(fari_max_pool)                \
    X(fari_max_pool_dx)             \
    X(fari_avg_pool)                \
    X(fari_avg_pool_dx)             \
    X(fari_global_sum)              \
    X(fari_global_sum_dx)           \
    X(fari_scale_cast)              \
    X(fari_upsample)                \
    X(fari_upsample_dx)             \
    X(fari_channel_sum)

#define FARI_ISA_DECLARE(name)                 \
    far_status name##_base(const fari_call *); \
    far_status name##_avx2(const fari_call *); \
    far_status name##_avx512(const fari_call *);

FARI_ISA_KERNELS_SPATIAL(FARI_ISA_DECLARE)

/* Scratch in bytes, the same for all instruction sets; the call's views need no data. The other kernels take none. */
static inline size_t fari_upsample_scratch(const fari_call *call)
{
    return up_scratch_forward(call);
}

static inline size_t fari_upsample_dx_scratch(const fari_call *call)
{
    return up_scratch_backward(call);
}
#endif
