/* Softmax and log-softmax along contiguous lines: channels of a channels-last tensor, or the last axis of a row-major one. */
#ifndef FARI_OPS_SOFTMAX_H
#define FARI_OPS_SOFTMAX_H
#include "graph/op.h"

typedef struct fari_softmax_attr {
    bool is_log;
} fari_softmax_attr;

extern const fari_op fari_op_softmax_channels;    /* MAP, channels-last  x -> y over axis 1 */
extern const fari_op fari_op_softmax_channels_dx; /* MAP  y, dy -> dx */
/* As above over the last axis of row-major tensors. Should a plan cut that axis ([N, T, F]: axis 2), inputs come whole. */
extern const fari_op fari_op_softmax_last;    /* MAP, row-major  x -> y */
extern const fari_op fari_op_softmax_last_dx; /* MAP  y, dy -> dx */
#endif
