/* The networks of net_run.h trained by several ranks in one process: a plan, a store and an executor each, messages through a mailbox
   that delivers in random order. */
#ifndef FAR_TESTS_NET_RANKS_H
#define FAR_TESTS_NET_RANKS_H
#include "net_run.h"
#include "plan/part.h"

#define NET_RANKS_MAX 64

typedef struct net_ranks_result {
    char digest[65]; /* of every rank's store: they must be equal, which is checked */
    double loss;
    int64_t messages, bytes;       /* of all steps */
    int64_t calls[NET_RANKS_MAX];  /* kernel calls a step of each rank */
    int64_t idle;                  /* ranks that compute no grain */
    int64_t arena_most, arena_one; /* bytes: the largest of a rank; for comparison that of one rank alone */
} net_ranks_result;

/* change_plan of the variant is called with the plan of every rank. */
void net_run_ranks(const net_case *net, const net_variant *variant, fari_mesh mesh, uint64_t arrival_seed,
                   int64_t steps, net_ranks_result *result_out);
/* The plans of all ranks of a mesh; the caller's. */
void net_plans(const far_graph *graph, const fari_plan_opts *opts, fari_plan **plans_out);
#endif
