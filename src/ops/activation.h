/* Elementwise activations, any order. */
#ifndef FARI_OPS_ACTIVATION_H
#define FARI_OPS_ACTIVATION_H
#include "graph/op.h"
#include <farandole/activation.h>

typedef struct fari_activation_attr {
    far_act act;
    double slope; /* of leaky ReLU */
} fari_activation_attr;

extern const fari_op fari_op_activation; /* MAP  x -> y */
/* MAP  t, dy, dy.. -> dx, of the sum of all dy. t is y for ReLU, leaky ReLU, sigmoid, tanh (x may then be freed) and x for GELU and SiLU. */
extern const fari_op fari_op_activation_dx;

/* True where the gradient is taken from y. */
bool fari_act_grad_from_y(far_act act);
#endif
