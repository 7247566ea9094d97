/* Inside recompute: the model of what a choice of copies costs, shared by the files that choose and that make them. */
#ifndef FARI_GRAPH_RECOMPUTE_PRIV_H
#define FARI_GRAPH_RECOMPUTE_PRIV_H
#include "graph/recompute.h"

#define FARI_NEVER INT32_MAX

typedef struct fari_reads {
    int32_t first, last; /* nodes; FARI_NEVER, -1: none */
} fari_reads;

typedef struct fari_chooser {
    far_graph *graph;
    int32_t node_count, forward_count; /* forward nodes come first */
    int64_t tensor_count;
    int64_t *bytes;         /* [tensor_count] 0: it takes no place among those that come and go */
    int32_t *last_forward;  /* [tensor_count] the last forward node that makes or reads it */
    fari_reads *going_back; /* [tensor_count] by the graph's own backward nodes */
    fari_reads *wanted;     /* [tensor_count] the same and by copies, in the case that is looked at */
    bool *is_again;         /* [forward_count] nodes to be copied, in that case */
    int32_t *at;     /* [forward_count] the backward node before which the copy stands; FARI_NEVER: nobody wants it */
    double *effort;  /* [node_count] of running it once */
    int64_t *change; /* [node_count + 2] bytes that come alive at a node, less those that went before it */
} fari_chooser;

/* ---- recompute_model.c ---- */
far_status fari_chooser_open(far_graph *graph, fari_chooser *chooser_out);
void fari_chooser_close(fari_chooser *chooser);
/* The most that is alive at any node, if the nodes marked are copied; sets `at`. */
int64_t fari_chooser_peak(fari_chooser *chooser);
/* Of all copies that somebody wants, as `at` says. */
double fari_chooser_effort(const fari_chooser *chooser);
/* The results of a node, in bytes. */
int64_t fari_chooser_result_bytes(const fari_chooser *chooser, int32_t node);

/* ---- recompute_choose.c ---- */
/* Marks the nodes to be copied; gives the peak with them. */
far_status fari_chooser_choose(fari_chooser *chooser, fari_recompute_mode mode, int64_t peak_before, int64_t *peak_out);
#endif
