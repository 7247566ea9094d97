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

/* What a rank of several took, a step. */
typedef struct run_bench_rank {
    double step_s, cpu_s;
    double exposed_s; /* waiting for other ranks with nothing to compute */
    double data_s;    /* waiting for its batch */
    int64_t messages, message_bytes;
    int64_t planned_bytes, peak_bytes, arena_bytes;
} run_bench_rank;

typedef struct run_bench {
    int32_t threads;
    int64_t steps;
    double step_s, least_s, most_s; /* of steps: median, extremes */
    double waiting_s, wall_s;       /* for data, a step; of a step with all that is around it */
    double cpu_s;                   /* of all threads of the process, a step: those that prepare batches too */
    double exposed_s;               /* as of run_bench_rank; 0 where one process runs */
    double disk_s;                  /* waiting for tensors on disk with nothing to compute */
    double profiled_s, busy_s;      /* of the steps that were timed by instruction: their length; all threads' work */
    double peak_flops, peak_bandwidth; /* of the machine, on as many threads */
    int64_t peak_bytes;                /* of the process */
    fari_family families[FARI_FAMILIES_MAX];
    int32_t family_count;
    run_expense expenses[RUN_EXPENSES];
    int32_t expense_count;
    run_bench_rank *ranks; /* [rank_count]; NULL where one process runs */
    int32_t rank_count;
} run_bench;

const char *run_time_text(double seconds, char text_out[32]); /* run_bench.c: "1.2 ms" */
/* bench_ranks.c. Of several ranks collective; of one they do nothing. */
far_status run_agree(const far_run *run, int64_t *value_io); /* the first rank's, to all */
far_status run_bench_ranks(const far_run *run, run_bench *bench);
void run_bench_ranks_text(const far_run *run, const run_bench *bench, fari_text *text);
void run_bench_ranks_json(const far_run *run, const run_bench *bench, fari_text *text);
/* bench_advice.c */
void run_expenses_find(const far_run *run, run_bench *bench);
#endif
