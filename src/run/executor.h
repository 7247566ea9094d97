/* Runs a plan: one arena, a pool of threads, ready instructions in a chosen order. Knows neither layers nor optimizers. */
#ifndef FARI_RUN_EXECUTOR_H
#define FARI_RUN_EXECUTOR_H
#include "comm/comm.h"
#include "plan/plan.h"
#include "run/store.h"

/* Which of the ready instructions runs next. The result does not depend on it; tests show that. */
typedef enum fari_exec_order { FARI_EXEC_FORWARD = 0, FARI_EXEC_REVERSED, FARI_EXEC_RANDOM } fari_exec_order;

typedef struct fari_exec_opts {
    fari_exec_order order;
    uint64_t order_seed;
    int32_t threads; /* 0: as planned */
    fari_comm *comm; /* of a plan for one of several ranks: borrowed; else NULL */
    bool is_timed;   /* keeps the seconds of every instruction: fari_executor_seconds */
    void *
        shared_arena; /* NULL: own; else a block of at least fari_plan_run_bytes, shared with plans that never run at once */
} fari_exec_opts;

typedef struct fari_executor fari_executor;

/* Allocates the arena, starts the threads, touches the memory. plan, store stay borrowed. */
far_status fari_executor_create(const fari_plan *plan, const fari_store *store, const fari_exec_opts *opts,
                                fari_executor **exec_out);
/* Bytes an executor of the plan holds beside arena and scratch. */
int64_t fari_executor_own_bytes(const fari_plan *plan);
void fari_executor_destroy(fari_executor *exec);
/* One step; collective where the plan is for one of several ranks: step->feed then holds the boxes of plan->part->feeds. Allocates nothing of ours. On failure the first error stands and the step's results are void. */
far_status fari_executor_step(fari_executor *exec, const fari_step *step);
/* Where a tensor lies after a step (an output, a kept gradient): dense, in the tensor's own order; NULL when it was never made. One of
   several ranks has parts of it: fari_part_whole_offset. */
const void *fari_executor_data(const fari_executor *exec, far_value value);
/* Copies a tensor as row-major doubles. */
far_status fari_executor_read_f64(const fari_executor *exec, far_value value, double *elems_out);
/* [instr_count] seconds of the last step's instructions; NULL when not timed. */
const double *fari_executor_seconds(const fari_executor *exec);
#endif
