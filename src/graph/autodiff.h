/* Differentiation; far_graph_backward is the public form. */
#ifndef FARI_GRAPH_AUTODIFF_H
#define FARI_GRAPH_AUTODIFF_H
#include "graph/graph.h"

/* As far_graph_backward, for the trainable parameters and also for the values in extra[] (inputs, in tests). */
far_status fari_graph_backward_wrt(far_graph *graph, far_value loss, int32_t extra_count, const far_value *extra);
#endif
