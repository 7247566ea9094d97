/* Which of the instruction sets that src/backends/cpu/isa is compiled for this processor and operating system can run. */
#ifndef FARI_CPU_ISA_SELECT_H
#define FARI_CPU_ISA_SELECT_H
#include <farandole/status.h>

typedef enum fari_isa {
    FARI_ISA_BASE = 0, /* what the compiler targets without flags: SSE2 on x86-64 */
    FARI_ISA_AVX2,     /* with FMA and F16C */
    FARI_ISA_AVX512,   /* F, VL, BW, DQ */
    FARI_ISA_COUNT
} fari_isa;

/* The best one, no better than `limit` ("base", "avx2", "avx512"; NULL: no limit). FAR_E_ARG: there is no such limit. */
far_status fari_isa_select(const char *limit, fari_isa *isa_out);
const char *fari_isa_name(fari_isa isa);
#endif
