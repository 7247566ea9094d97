/* Results that the backward pass makes again instead of keeping them. A graph transform, after differentiation and before updates. */
#ifndef FARI_GRAPH_RECOMPUTE_H
#define FARI_GRAPH_RECOMPUTE_H
#include "graph/graph.h"

typedef enum fari_recompute_mode {
    FARI_RECOMPUTE_AUTO, /* within a few percent of a step's effort */
    FARI_RECOMPUTE_MOST, /* for the least peak, at any effort */
    FARI_RECOMPUTE_ALL   /* the same, of convolutions and whatever else is made grain by grain as well */
} fari_recompute_mode;

typedef struct fari_recompute_report {
    int64_t nodes;             /* forward nodes that are run once more */
    int64_t bytes;             /* what they write in doing so */
    int64_t peak_before, peak; /* bytes of tensors alive at once, without and with it, about */
    double effort;             /* of running them, as a share of the step's without it, roughly */
} fari_recompute_report;

/* Chooses forward nodes that are a light pass over memory (op->is_light; ALL: any that maps grains to grains) and whose results the backward pass reads, and gives the
   backward pass copies of them, each before the first node that wants it: the originals' memory is free in between. Chosen are as few
   as give the least peak, less those whose saving is dearest where all would take too long; none where the peak falls by less than a
   twentieth. Results are the same bits: a copy is the same op on the same inputs. To be called once, after far_graph_backward;
   `report_out` may be NULL. */
far_status fari_graph_recompute(far_graph *graph, fari_recompute_mode mode, fari_recompute_report *report_out);
#endif
