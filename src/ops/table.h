/* All ops there are. The plan and the executor never need this list: a graph's nodes point to their ops. It is for those who ask
   what there is: `farandole ops`, and the test that no op lacks an oracle or a test. */
#ifndef FARI_OPS_TABLE_H
#define FARI_OPS_TABLE_H
#include "graph/op.h"

typedef enum fari_op_role {
    FARI_OP_LAYER, /* what networks are made of */
    FARI_OP_LOSS,
    FARI_OP_METRIC,
    FARI_OP_GRADIENT,  /* emitted by another op's gradient rule */
    FARI_OP_OPTIMIZER, /* the update of parameters */
    FARI_OP_STRUCTURE  /* what the graph itself adds */
} fari_op_role;

typedef struct fari_op_row {
    const fari_op *op;
    fari_op_role role;
    const char *tested_by; /* file below tests/, NULL: none */
} fari_op_row;

int32_t fari_op_count(void);
const fari_op_row *fari_op_row_at(int32_t idx); /* idx in [0, fari_op_count) */
#endif
