/* Checks an op through the whole machine: graph, differentiation, plan, executor. The op's result y is made a loss by a fixed random
   weighting; then forward values, the loss and the gradients of all parameters and f32 inputs are compared between
     the oracle (double, reference kernels, one grain), the f32 reference, the CPU backend in one grain, and the CPU backend in several
     grains of samples and of rows,
   and the oracle's gradients with central differences. */
#ifndef FAR_TESTS_OP_CHECK_H
#define FAR_TESTS_OP_CHECK_H
#include "graph/graph.h"

/* Builds the op: makes inputs (far_graph_input) and parameters, returns the result. Called on training graphs. */
typedef far_value (*op_build_fn)(far_graph *graph, const void *arg);

typedef struct op_check_opts {
    double forward_limit;  /* largest |ours - f64| relative to the largest |f64|; 0: 2e-5 */
    double backward_limit; /* 0: 1e-4 */
    bool has_no_gradient;
    bool is_eval;          /* a graph that is not training */
    bool is_free_of_kinks; /* not used for relu, max: central differences are checked everywhere */
    double kink_margin; /* share of elements that may miss their central difference (relu at 0, max at ties); 0: none */
    double input_scale; /* inputs uniform in [-scale, scale); 0: 1 */
    int32_t class_count; /* i32 and u8 inputs are drawn from [0, class_count); 0: 2 */
} op_check_opts;

void op_check(const char *label, op_build_fn build, const void *arg);
void op_check_with(const char *label, op_build_fn build, const void *arg, const op_check_opts *opts);
#endif
