/* The networks of net_run.h trained by several ranks in one process. */
#ifndef FAR_TESTS_NET_RANKS_H
#define FAR_TESTS_NET_RANKS_H
#include "net_run.h"
#include "rank_set.h"

typedef struct net_ranks_result {
    char digest[65]; /* of every rank's store: they are equal */
    double loss;
    int64_t messages, bytes;       /* of all steps */
    int64_t written_bytes;         /* to disk, by all ranks in a step */
    int64_t idle;                  /* ranks that compute no grain */
    int64_t arena_most, arena_one; /* bytes: the largest of a rank; for comparison that of one rank alone */
} net_ranks_result;

/* change_plan of the variant is called with the plan of every rank. */
void net_run_ranks(const net_case *net, const net_variant *variant, fari_mesh mesh, uint64_t arrival_seed,
                   int64_t steps, net_ranks_result *result_out);
#endif
