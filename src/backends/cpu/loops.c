#include "backends/cpu/loops.h"

#define LOOPS(suffix)                                                     \
    void fari_add_f32##suffix(float *, const float *, int64_t);           \
    void fari_add_row##suffix(float *, const float *, int64_t, int64_t);  \
    void fari_fill_row##suffix(float *, const float *, int64_t, int64_t); \
    static const fari_cpu_loops loops##suffix = { fari_add_f32##suffix, fari_add_row##suffix, fari_fill_row##suffix }

LOOPS(_base);
#if defined(FARI_ISA_X86)
LOOPS(_avx2);
LOOPS(_avx512);
#endif

const fari_cpu_loops *fari_cpu_loops_of(fari_isa isa)
{
#if defined(FARI_ISA_X86)
    if (isa == FARI_ISA_AVX512) return &loops_avx512;
    if (isa == FARI_ISA_AVX2) return &loops_avx2;
#endif
    (void)isa;
    return &loops_base;
}
