/* A graph run by several ranks in one process: a plan, a store and an executor each, messages through a mailbox that delivers in random
   order. */
#ifndef FAR_TESTS_RANK_SET_H
#define FAR_TESTS_RANK_SET_H
#include "comm/mailbox.h"
#include "plan/part.h"
#include "run/executor.h"
#include <pthread.h>

#define RANK_SET_MAX 64
#define RANK_INPUTS_MAX 4

typedef struct rank_run {
    fari_plan *plan;
    fari_store *store;
    fari_comm *comm;
    fari_executor *exec;
    void *feed[RANK_INPUTS_MAX]; /* the boxes that this rank reads */
    const fari_step *step;
    bool looks_for_bad;
    fari_bad_tensor bad;
    far_status status;
    char message[512];
    pthread_t thread;
} rank_run;

typedef struct rank_set {
    const far_graph *graph; /* borrowed */
    int32_t count;
    fari_mailbox *box;
    rank_run runs[RANK_SET_MAX];
} rank_set;

typedef struct rank_set_opts {
    fari_plan_opts plan;
    fari_exec_opts exec;
    uint64_t seed;                        /* of the stores */
    uint64_t arrival_seed;                /* of the order in which messages arrive */
    bool is_unchecked;                    /* the plans are not held against each other: where a mutant is run */
    void (*change_plan)(fari_plan *plan); /* NULL, or called with every rank's plan */
} rank_set_opts;

/* The plans of all ranks of opts->mesh; the caller's. */
void rank_plans(const far_graph *graph, const fari_plan_opts *opts, fari_plan **plans_out);
void rank_set_open(const far_graph *graph, const rank_set_opts *opts, rank_set *set_out);
void rank_set_close(rank_set *set);
/* One step; step->feed: whole inputs, of which each rank gets its boxes. Failures fail the test. */
void rank_set_step(rank_set *set, const fari_step *step);
/* A step whose loss has to be no number; bad_out: the first tensor of all ranks that is not finite. */
void rank_set_find_bad(rank_set *set, const fari_step *step, fari_bad_tensor *bad_out);
/* Digest of rank 0's store, after a look whether all ranks have the same. */
void rank_set_digest(const rank_set *set, char hex_out[65]);
/* A tensor that outlives the step, put together from what the ranks hold; where several hold a byte they must agree. Free it. */
void *rank_set_gather(const rank_set *set, far_value value, int64_t *bytes_out);
/* The loss, which every rank must know; 0 where the graph has none. */
double rank_set_loss(const rank_set *set);
#endif
