#include "backends/cpu/loops.h"

#define LOOPS(name, isa)                                                                                          \
    void fari_add_f32_##name(float *, const float *, int64_t);                                                    \
    void fari_add_row_##name(float *, const float *, int64_t, int64_t);                                           \
    void fari_fill_row_##name(float *, const float *, int64_t, int64_t);                                          \
    static const fari_thin_kernels thin_##name = { "farandole thin:" #name, fari_thin_forward_##name,             \
                                                   fari_thin_dw_##name };                                         \
    static const fari_plane_kernels plane_##name = { "farandole plane:" #name, fari_plane_forward_##name,         \
                                                     fari_plane_dw_##name };                                      \
    static const fari_fan_kernels fan_##name = { "farandole fan:" #name, fari_fan_##name };                       \
    static const fari_wide_kernels wide_##name = { "farandole wide:" #name, fari_wide_dw_##name };                \
    static const fari_pixel_kernels pixel_##name = { "farandole pixel:" #name, fari_pixel_run_##name };           \
    static const fari_winograd_kernels winograd_##name = { "farandole winograd:" #name, fari_winograd_run_##name, \
                                                           fari_winograd_pack_##name, fari_winograd_dw_##name };  \
    static const fari_cpu_loops loops_##name = {                                                                  \
        fari_add_f32_##name, fari_add_row_##name, fari_fill_row_##name, isa,           &thin_##name,              \
        &plane_##name,       &fan_##name,         &wide_##name,         &pixel_##name, &winograd_##name           \
    }

LOOPS(base, FARI_ISA_BASE);
#if defined(FARI_ISA_X86)
LOOPS(avx2, FARI_ISA_AVX2);
LOOPS(avx512, FARI_ISA_AVX512);
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
