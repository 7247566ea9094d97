/* Files of this folder are compiled once per instruction set, each time with -DFARI_ISA_SUFFIX=_base, _avx2 or _avx512: functions
   that leave a file are named FARI_ISA(fari_x), which becomes fari_x_avx2. Everything else is static. */
#ifndef FARI_CPU_ISA_ISA_H
#define FARI_CPU_ISA_ISA_H

#ifndef FARI_ISA_SUFFIX
#define FARI_ISA_SUFFIX _base
#endif
#define FARI_ISA_PASTE2(name, suffix) name##suffix
#define FARI_ISA_PASTE(name, suffix) FARI_ISA_PASTE2(name, suffix)
#define FARI_ISA(name) FARI_ISA_PASTE(name, FARI_ISA_SUFFIX)

/* For bodies that take a constant, such as the channel count, so that each caller gets its own unrolled copy. */
#define FARI_INLINE static inline __attribute__((always_inline))
#endif
