/* Arithmetic element by element. Operands have one order, the first's; repeated second operands are described by their kind. */
#ifndef FARI_OPS_ELEMENTWISE_H
#define FARI_OPS_ELEMENTWISE_H
#include "graph/op.h"

typedef enum fari_binary_kind {
    FARI_BINARY_ADD,
    FARI_BINARY_SUB,
    FARI_BINARY_MUL,
    FARI_BINARY_DIV,
    FARI_BINARY_MAX,
    FARI_BINARY_MIN,
    FARI_BINARY_COUNT
} fari_binary_kind;

/* How the second operand is repeated. */
typedef enum fari_repeat {
    FARI_REPEAT_NONE,           /* equal shapes */
    FARI_REPEAT_SCALAR,         /* one element */
    FARI_REPEAT_CHANNEL,        /* [C]: axis 1 */
    FARI_REPEAT_SAMPLE_CHANNEL, /* [N, C] or [N, C, 1, ..], batched as the first operand */
    FARI_REPEAT_OVER_SAMPLES    /* the first operand's shape without axis 0, global */
} fari_repeat;

typedef struct fari_binary_attr {
    fari_binary_kind kind;
    fari_repeat repeat;
} fari_binary_attr;

/* MAP. in: a, b; out: a kind b, shaped as a. */
extern const fari_op fari_op_binary;
/* MAP, fari_binary_attr with kind MAX or MIN. in: d_y, a, b; out: d_y where a was taken, half of it where both were. */
extern const fari_op fari_op_binary_select;

typedef enum fari_unary_kind {
    FARI_UNARY_AFFINE, /* alpha x + beta */
    FARI_UNARY_CLAMP,  /* to [alpha, beta] */
    FARI_UNARY_EXP,
    FARI_UNARY_LOG,
    FARI_UNARY_LOG1P,
    FARI_UNARY_SQRT,
    FARI_UNARY_ABS,
    FARI_UNARY_SQUARE,
    FARI_UNARY_COUNT
} fari_unary_kind;

typedef struct fari_unary_attr {
    fari_unary_kind kind;
    double alpha, beta;
} fari_unary_attr;

/* MAP. in: x; out: f(x). */
extern const fari_op fari_op_unary;
/* MAP, fari_unary_attr. in: d_y and x (y instead for EXP and SQRT); out: d_x = d_y f'(x). Not for AFFINE. */
extern const fari_op fari_op_unary_dx;
#endif
