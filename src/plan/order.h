/* Parts of the canonical order of nodes: order.c. */
#ifndef FARI_PLAN_ORDER_H
#define FARI_PLAN_ORDER_H
#include "plan/plan.h"

/* Of several ranks: sums of the backward pass that only updates read, as weight gradients, are put off to where a sum is that others wait for, as the
   statistics of a norm: while that travels there is something to compute. level: [node_count], 0 of updates, changed; is_last: [node_count] set
   where a node comes after the others of its level; written: [tensor_count] nonzero where a node of the sequence overwrites the tensor.
   From the graph alone: all ranks get the same. Nothing is put off that raises the most that is alive at any level. */
far_status fari_order_put_off_sums(const far_graph *graph, int32_t levels, const int32_t *written, int32_t *level,
                                   bool *is_last);

#endif
