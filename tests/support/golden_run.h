/* Runs a golden case on the CPU backend through graph, plan and executor: 20 steps of SGD on one batch, and the network as used for
   evaluation with the statistics of the first step and the weights before it. */
#ifndef FAR_TESTS_GOLDEN_RUN_H
#define FAR_TESTS_GOLDEN_RUN_H
#include "plan/plan.h"
#include "support/golden_data.h"

/* Sees each tensor of step 0 once, row-major. idx: its place in golden.tensors[kind]. */
typedef void (*golden_visit_fn)(void *ctx, golden_kind kind, int32_t idx, const float *elems, int64_t count);

typedef struct golden_variant {
    const char *label;
    fari_grain_config grain;
    int32_t steps;                        /* of GOLDEN_STEPS; 0: all */
    const char *isa;                      /* NULL: the best here; else "base", "avx2", "avx512" */
    void (*change_plan)(fari_plan *plan); /* a mistake, to see it found; NULL: none */
} golden_variant;

typedef struct golden_run_info {
    double loss[GOLDEN_STEPS];
    int32_t steps;
    int64_t sample_grains, row_grains; /* of the input */
} golden_run_info;

void golden_run(const golden *g, const golden_variant *variant, golden_visit_fn visit, void *ctx,
                golden_run_info *info_out);
#endif
