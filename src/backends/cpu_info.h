/* What the CPU backend can tell about itself without being created. */
#ifndef FARI_BACKENDS_CPU_INFO_H
#define FARI_BACKENDS_CPU_INFO_H
#include "graph/op.h"
#include <stddef.h>

/* The best instruction set of our own kernels that this machine runs: "base", "avx2", "avx512". */
const char *fari_cpu_isa(void);
/* Who has a fast kernel for some geometries of the op: "oneDNN", "farandole", "both"; NULL: nobody, the reference runs. */
const char *fari_cpu_kernel_of(const fari_op *op);
/* Version of the oneDNN that is loaded, "2.6.3". */
void fari_cpu_library_version(char *text_out, size_t text_bytes);
/* Measures, in a third of a second: floating-point operations and bytes of memory (read or written) a second that `threads` threads reach
   together. Holds 384 MiB meanwhile, more from 13 threads on. */
far_status fari_cpu_peak(int32_t threads, double *flops_out, double *bytes_out);
#endif
