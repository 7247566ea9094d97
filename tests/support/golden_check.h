/* Collects how far each number of a golden run is from float64, in parts of what the contract allows, and says it in one line. */
#ifndef FAR_TESTS_GOLDEN_CHECK_H
#define FAR_TESTS_GOLDEN_CHECK_H
#include "support/golden_run.h"

typedef struct golden_outcome {
    const golden *g;
    const char *variant;
    int32_t steps; /* whose losses were compared */
    int32_t checked[GOLDEN_KIND_COUNT];
    int32_t zero;   /* gradients excluded: truly zero */
    int32_t kinked; /* gradients beyond their limit, but within it and what the kinks near zero can change */
    int32_t beyond;
    double worst_loss;
    double worst[GOLDEN_KIND_COUNT]; /* distance / limit */
    const char *worst_name[GOLDEN_KIND_COUNT];
    char first_failure[320];
} golden_outcome;

void golden_outcome_begin(golden_outcome *o, const golden *g, const char *variant);
/* A tensor's distance from float64. d32: PyTorch's; norm: of the float64 tensor; allowance: 1, more for estimates of the distance. */
void golden_outcome_add(golden_outcome *o, golden_kind kind, int32_t idx, double distance, double norm, double d32,
                        double allowance);
/* Compares the losses, checks that nothing was left out, prints. */
void golden_outcome_end(golden_outcome *o, const golden_run_info *info);
#endif
