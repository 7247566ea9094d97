/* Dropout, any order. Element e of sample s is kept when
 *     fari_rng_bits(fari_rng_key(seed, FARI_RNG_DROPOUT + 64 stream, step, sample_ids[s]), e) >> 40  >=  p 2^24
 * with e the element's number in the row-major sample (C, D, H, W of the whole tensor), so no grain or order matters. */
#ifndef FARI_OPS_DROPOUT_H
#define FARI_OPS_DROPOUT_H
#include "graph/op.h"

typedef struct fari_dropout_attr {
    double p;        /* in [0, 1) */
    uint64_t stream; /* the layer's own, fixed when it is built; its gradient has the same */
} fari_dropout_attr;

extern const fari_op fari_op_dropout; /* MAP  x -> y; the gradient is the same op on dy */
#endif
