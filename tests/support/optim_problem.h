/* Small problems for optimizers, and the optimizers' formulas in double, written down apart from the library's. The loss is the sum
   over all parameters of c w^2 / 2 with fixed c, so the gradient is c w and changes as w does. */
#ifndef FAR_TESTS_OPTIM_PROBLEM_H
#define FAR_TESTS_OPTIM_PROBLEM_H
#include "graph/graph.h"
#include <farandole/optim.h>

#define OPTIM_STEPS 6
#define OPTIM_PARAMS 15

typedef struct optim_param {
    const char *name;
    far_shape shape;
    far_init init, slope; /* of w and c */
    bool is_norm, is_bias_norm;
} optim_param;

extern const optim_param optim_params[OPTIM_PARAMS];

/* Numbers of every parameter; NULL where there are none. */
typedef struct optim_numbers {
    double *w[OPTIM_PARAMS], *ema[OPTIM_PARAMS], *slope[OPTIM_PARAMS];
} optim_numbers;

void optim_numbers_free(optim_numbers *numbers);
/* "<param>.slope": the state that holds c. */
void optim_slope_name(const char *param, char name[64]);
/* The problem, differentiated, with its updates. */
far_graph *optim_problem_make(const far_optim_opts *opts);
/* The learning rate of a step: it falls, as momenta then show where the rate enters. */
double optim_lr_at(int64_t step);

typedef struct optim_model optim_model;
/* One step of one parameter; t from 1. */
typedef void (*optim_formula_fn)(const far_optim_opts *o, optim_model *p, int64_t t, double lr, double lr_last);
void optim_formula_sgd(const far_optim_opts *o, optim_model *p, int64_t t, double lr, double lr_last);
void optim_formula_adam(const far_optim_opts *o, optim_model *p, int64_t t, double lr, double lr_last);
void optim_formula_rmsprop(const far_optim_opts *o, optim_model *p, int64_t t, double lr, double lr_last);
void optim_formula_lars(const far_optim_opts *o, optim_model *p, int64_t t, double lr, double lr_last);
void optim_formula_lamb(const far_optim_opts *o, optim_model *p, int64_t t, double lr, double lr_last);

/* OPTIM_STEPS steps from start's w and slope; end receives w and ema. */
void optim_formula_run(const far_optim_opts *o, optim_formula_fn formula, const optim_numbers *start,
                       optim_numbers *end);
#endif
