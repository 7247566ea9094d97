/* Checks kernels call by call, without plan or executor: every MAP and REDUCE node of a graph is computed
     whole in double by its reference kernel (the oracle),
     whole and in random pieces of samples and rows in f32, by the reference and by our own kernel of each instruction set here,
   from windows that hold exactly the rows the op's rule asks for, each in a block of its own, so that the sanitizer sees a step outside.
   Pieces must equal the whole bit for bit (MAP), instruction sets each other, and all the oracle within `limit`. */
#ifndef FAR_TESTS_PIECE_CHECK_H
#define FAR_TESTS_PIECE_CHECK_H
#include "graph/graph.h"

/* Adds the gradient nodes of every node there is, each fed by a new input in place of its first output's gradient. */
void piece_add_gradients(far_graph *graph);
/* Inputs and parameters are drawn from [-1, 1), or where `is_coarse` from seven values and NaN, so that there are ties. `limit`: relative to
   the largest value of each tensor. */
void piece_check(const char *label, const far_graph *graph, uint64_t seed, bool is_coarse, double limit);
#endif
