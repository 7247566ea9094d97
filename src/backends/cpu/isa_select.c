#include "backends/cpu/isa_select.h"
#include "base/status.h"
#include <stdbool.h>
#include <string.h>

static const char *const isa_names[FARI_ISA_COUNT] = { "base", "avx2", "avx512" };

const char *fari_isa_name(fari_isa isa)
{
    return isa_names[isa];
}

/* __builtin_cpu_supports reads CPUID and, through XGETBV, whether the system saves the wide registers. */
static fari_isa isa_of_machine(void)
{
#if defined(FARI_ISA_X86)
    __builtin_cpu_init();
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    if (has_avx2 && has_avx512) return FARI_ISA_AVX512;
    if (has_avx2) return FARI_ISA_AVX2;
#endif
    return FARI_ISA_BASE;
}

far_status fari_isa_select(const char *limit, fari_isa *isa_out)
{
    const fari_isa best = isa_of_machine();
    if (limit == NULL) {
        *isa_out = best;
        return FAR_OK;
    }
    for (int isa = 0; isa < FARI_ISA_COUNT; isa++) {
        if (strcmp(limit, isa_names[isa]) != 0) continue;
        *isa_out = (fari_isa)isa < best ? (fari_isa)isa : best;
        return FAR_OK;
    }
    return FAR_FAIL(FAR_E_ARG, "no instruction set \"%s\": base, avx2 or avx512", limit);
}
