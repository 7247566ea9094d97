/* Floating-point operations at full speed, for every instruction set. */
#ifndef FARI_CPU_ISA_PEAK_H
#define FARI_CPU_ISA_PEAK_H
#include <stdint.h>

/* Does the operations whose number it gives back, a fused one counted as two. */
double fari_peak_run_base(int64_t rounds, float *result_out);
double fari_peak_run_avx2(int64_t rounds, float *result_out);
double fari_peak_run_avx512(int64_t rounds, float *result_out);
#endif
