/* The inside of an executor, shared by executor.c and executor_check.c. */
#ifndef FARI_RUN_EXECUTOR_PRIV_H
#define FARI_RUN_EXECUTOR_PRIV_H
#include "run/executor.h"
#include <pthread.h>
#include <stdatomic.h>

typedef struct fari_worker {
    fari_executor *exec;
    pthread_t thread;
    int32_t idx;
    char *scratch;
} fari_worker;

struct fari_executor {
    const fari_plan *plan;
    fari_exec_opts opts;
    char *arena;
    bool owns_arena;
    char **buffer_data;     /* [buffer_count] */
    double *seconds;        /* [instr_count] or NULL */
    uint64_t *hashes;       /* [instr_count] or NULL */
    int32_t flipped;        /* a call whose result is spoilt, -1: none */
    bool is_timing;         /* changes between steps only */
    fari_instr_time *times; /* [instr_count] or NULL */
    bool is_tracing;        /* changes between steps only */
    fari_worker *workers;   /* [threads]; worker 0 is the caller's thread */
    int32_t threads, started;
    struct fari_exec_comm *comm;        /* messages; NULL where the plan is for one rank */
    struct fari_exec_spill *spill;      /* NULL where nothing waits on disk */
    struct fari_spill_file *spill_file; /* its own, or NULL */
    struct fari_exec_windows *windows;  /* NULL where the plan is not in bands */

    pthread_mutex_t lock;
    pthread_cond_t wake, finished;
    /* under lock */
    uint64_t *heap; /* ready instructions: key in the high half, instruction in the low half */
    int64_t heap_count;
    int32_t *waits; /* [instr_count] dependences not yet done */
    int64_t remaining;
    int64_t generation; /* step number of the pool */
    int32_t busy;       /* workers inside the step */
    int32_t warm;       /* workers that have touched their memory */
    bool is_stopping;
    far_status status;
    fari_error_copy error;
    const fari_step *step;
    int32_t running;            /* instructions at work */
    double idle_s;              /* of this step: nothing to compute, until a message came or went */
    double disk_idle_s;         /* the same, until a piece was on disk or back */
    double idle_since_s;        /* negative: something is */
    fari_exec_wait *idle_waits; /* [messages] or NULL */
    int64_t idle_wait_count;
    bool is_checking; /* executor_check.c is at work, an instruction at a time */
    int32_t awaited;  /* the message that it waits for, -1: none */
    /* read without the lock, to spin a little before sleeping */
    _Atomic int64_t ready;
    _Atomic bool is_void; /* of several ranks: the loss of this step is no number, so nothing is updated */
    int32_t spins;
};

/* executor_trace.c. Under lock: nothing runs and nothing is ready; message or piece `instr` has changed that. */
void fari_exec_idle_begin(fari_executor *exec);
void fari_exec_idle_end(fari_executor *exec, int32_t instr);
void *fari_exec_view_data(const fari_executor *exec, int64_t view);
void fari_exec_hash(fari_executor *exec, int32_t idx); /* executor_hash.c */
/* executor_trace.c: run_instr, told to who watches, timed and traced where that is asked for. */
far_status fari_exec_run_told(fari_executor *exec, int32_t idx, const fari_worker *self);
far_status fari_exec_run_instr(fari_executor *exec, int32_t idx, char *scratch);
#endif
