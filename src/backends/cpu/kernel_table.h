/* Which kernel of ours runs which op: one row an op, one column an instruction set. */
#ifndef FARI_CPU_KERNEL_TABLE_H
#define FARI_CPU_KERNEL_TABLE_H
#include "backends/cpu/isa_select.h"
#include "graph/op.h"

typedef struct fari_kernel_row {
    const fari_op *op;
    const char *impl[FARI_ISA_COUNT]; /* "farandole:avx2" */
    fari_kernel_fn kernel[FARI_ISA_COUNT];
    bool (*supports)(const fari_call *call);  /* data is NULL */
    size_t (*scratch)(const fari_call *call); /* NULL: none */
} fari_kernel_row;

/* NULL: we have no kernel for the op. */
const fari_kernel_row *fari_kernel_find(const fari_op *op);
#endif
