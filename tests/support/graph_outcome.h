/* What some steps of a random graph give, to hold one way of running it against another. */
#ifndef FAR_TESTS_GRAPH_OUTCOME_H
#define FAR_TESTS_GRAPH_OUTCOME_H
#include "support/random_graph.h"
#include "support/rank_set.h"

typedef struct graph_outcome {
    char digest[65];  /* of the weights */
    char outputs[65]; /* of the graph's outputs */
    double loss;
} graph_outcome;

/* Pixels anywhere, labels in every class that a random graph has. Free them. */
void graph_inputs(const far_graph *graph, dice *d, void *feed_out[2]);
/* Two steps of SGD with the seed of opts. */
graph_outcome run_graph(const far_graph *graph, const rank_set_opts *opts, void *const *feed);

/* A random graph with what it is fed, and one way of running it on one rank; seeds its dice, which may be rolled further. */
typedef struct graph_case {
    dice d;
    far_graph *graph;
    fari_backend *backend; /* the CPU's */
    void *feed[2];
    rank_set_opts opts;
} graph_case;
void graph_case_open(uint64_t seed, graph_case *case_out);
void graph_case_close(graph_case *one);
#endif
