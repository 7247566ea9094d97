/* What farandole bench measures, and what it says about the dearest things. */
#ifndef FARI_RUN_BENCH_H
#define FARI_RUN_BENCH_H
#include "run/profile.h"
#include <farandole/run.h>

#define RUN_EXPENSES 3

typedef struct run_expense {
    const char *name; /* static */
    double share;     /* of a step's time, waiting for data included */
    char what[256];   /* how it stands; "" where there is nothing to say */
    char advice[512];
} run_expense;

typedef struct run_bench {
    int32_t threads;
    int64_t steps;
    double step_s, least_s, most_s; /* of steps: median, extremes */
    double waiting_s, wall_s;       /* for data, a step; of a step with all that is around it */
    double cpu_s;                   /* of all threads of the process, a step: those that prepare batches too */
    double profiled_s, busy_s;      /* of the steps that were timed by instruction: their length; all threads' work */
    double peak_flops, peak_bandwidth; /* of the machine, on as many threads */
    int64_t peak_bytes;                /* of the process */
    fari_family families[FARI_FAMILIES_MAX];
    int32_t family_count;
    run_expense expenses[RUN_EXPENSES];
    int32_t expense_count;
} run_bench;

/* bench_advice.c */
void run_expenses_find(const far_run *run, run_bench *bench);
#endif
