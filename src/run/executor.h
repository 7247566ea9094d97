/* Runs a plan: one arena, a pool of threads, ready instructions in a chosen order. Knows neither layers nor optimizers. */
#ifndef FARI_RUN_EXECUTOR_H
#define FARI_RUN_EXECUTOR_H
#include "comm/comm.h"
#include "plan/part.h"
#include "plan/plan.h"
#include "run/store.h"

/* Which of the ready instructions runs next. The result does not depend on it; tests show that. */
typedef enum fari_exec_order { FARI_EXEC_FORWARD = 0, FARI_EXEC_REVERSED, FARI_EXEC_RANDOM } fari_exec_order;

typedef struct fari_exec_opts {
    fari_exec_order order;
    uint64_t order_seed;
    int32_t threads; /* 0: as planned */
    const char *
        spill_folder; /* where tensors wait on disk, if the plan has such; NULL: fari_executor_open_spill says it later */
    fari_comm *comm; /* of a plan for one of several ranks: borrowed; else NULL */
    const fari_feed_box
        *boxes;     /* [inputs] what step->feed will hold, where that is more than plan->part->feeds say; borrowed */
    bool is_hashed; /* keeps a hash of what every call has made: fari_executor_hashes */
    bool is_timed;  /* can keep the seconds of every instruction: fari_executor_seconds; switched on at first */
    bool is_traced; /* can keep when every instruction ran: fari_executor_times; switched off at first */
    void *
        shared_arena; /* NULL: own; else a block of at least fari_plan_run_bytes, shared with plans that never run at once */
} fari_exec_opts;

typedef struct fari_executor fari_executor;

/* Allocates the arena, starts the threads, touches the memory. plan, store stay borrowed. */
far_status fari_executor_create(const fari_plan *plan, const fari_store *store, const fari_exec_opts *opts,
                                fari_executor **exec_out);
/* Before the first step of a plan with plan->spill_bytes: takes them of the disk on which `folder` lies, in a file that has no name. Does nothing
   where there is one, or where none is needed. FAR_E_IO. */
far_status fari_executor_open_spill(fari_executor *exec, const char *folder);
/* The same with a file that is borrowed, of at least plan->spill_bytes: executors that never run at once may share one. */
struct fari_spill_file;
far_status fari_executor_use_spill(fari_executor *exec, struct fari_spill_file *file);
/* The most bytes of disk that a step has taken so far, of packed pieces; else what is planned. 0: nothing waits on disk. */
int64_t fari_executor_disk_bytes(const fari_executor *exec);
/* Bytes an executor of the plan holds beside arena and scratch. */
int64_t fari_executor_own_bytes(const fari_plan *plan);
void fari_executor_destroy(fari_executor *exec);
/* One step; collective where the plan is for one of several ranks: step->feed then holds the boxes of plan->part->feeds, or those of the options. Allocates nothing
   of ours. On failure the first error stands and the step's results are void. FAR_E_NONFINITE: the loss is not a number; parameters and
   optimizer state are as before the step. */
far_status fari_executor_step(fari_executor *exec, const fari_step *step);

/* Where a step went wrong. */
typedef struct fari_bad_tensor {
    const char *op;         /* that computed it: "conv"; "input", "parameter" for what was there before the step */
    const char *name;       /* of the layer, the input or the parameter. Borrowed from the graph */
    far_shape shape;        /* of the whole tensor */
    int64_t count;          /* elements that are not finite, in the piece where the first was found */
    int64_t sample;         /* in the batch, of the first of them; -1: the tensor has no samples */
    int64_t row_lo, row_hi; /* that the piece has; row_hi 0: all of them */
    double value;           /* nan, inf or -inf */
    int64_t place[4]; /* in the order of a step, the first number first: to compare what several ranks have found */
} fari_bad_tensor;
/* Runs the step again, one instruction after the other in the canonical order, and finds the first tensor that has an element that is not
   finite. For a step that fari_executor_step called FAR_E_NONFINITE, with the same feed. Collective where the plan is for one of several
   ranks: then it is the first that this rank has made; `place` says who found the first of all. FAR_E_NOTFOUND: there is none. Slow;
   allocates nothing. */
far_status fari_executor_find_bad(fari_executor *exec, const fari_step *step, fari_bad_tensor *bad_out);
/* Where a tensor lies after a step (an output, a kept gradient): dense, in the tensor's own order; NULL when it was never made. One of
   several ranks has parts of it: fari_part_whole_offset. */
const void *fari_executor_data(const fari_executor *exec, far_value value);
/* The same of byte `at` of the tensor and what this rank has behind it: ranges of plan->part->results. NULL when it was never made. */
const void *fari_executor_data_at(const fari_executor *exec, far_value value, int64_t at);
/* Copies a tensor as row-major doubles. */
far_status fari_executor_read_f64(const fari_executor *exec, far_value value, double *elems_out);
/* [instr_count] seconds of the last step's instructions; NULL when not timed. */
const double *fari_executor_seconds(const fari_executor *exec);
/* [instr_count] XXH3 of the outputs of the last step's calls; NULL when not asked for. */
const uint64_t *fari_executor_hashes(const fari_executor *exec);
/* Between steps: from now on a bit of what that call makes is wrong, to see that it is found; -1: of none. Of a hashed executor. */
void fari_executor_flip(fari_executor *exec, int32_t instr);
/* Between steps: whether the next ones are timed. Two looks at the clock an instruction are seen where instructions are short. */
void fari_executor_time(fari_executor *exec, bool is_on);

/* executor_trace.c. Times are those of fari_clock_s. */

#define FARI_THREAD_OF_DISK (-2) /* less the number of the thread that moves pieces to disk and back */

/* When an instruction of the last step ran; of a message, from when it was handed over until it was there. */
typedef struct fari_instr_time {
    double begin_s, end_s;
    int32_t thread; /* -1: a message; FARI_THREAD_OF_DISK and below: a piece that went to disk or came back */
} fari_instr_time;
/* While the rank had nothing to compute: until a message arrived, or the last one had gone. */
typedef struct fari_exec_wait {
    double begin_s, end_s;
    int32_t instr; /* the SEND or RECV that ended it */
} fari_exec_wait;
/* Of the last step: the waits together. 0 where one rank runs alone: something is always ready there. */
double fari_executor_idle_s(const fari_executor *exec);
/* Of the last step: while threads had nothing to compute until a tensor was written to disk, or had come back. */
double fari_executor_disk_idle_s(const fari_executor *exec);
/* [instr_count]; NULL when not traced. */
const fari_instr_time *fari_executor_times(const fari_executor *exec);
const fari_exec_wait *fari_executor_waits(const fari_executor *exec, int64_t *count_out);
/* Between steps: whether the next ones are traced. */
void fari_executor_trace(fari_executor *exec, bool is_on);
#endif
