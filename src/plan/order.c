/* The canonical order of nodes: as the graph was built, but each parameter update as early as its operands allow, so that gradients
   live no longer than they must. */
#include "base/mem.h"
#include "plan/plan.h"

/* Turn after which an update node may run: after everything that makes its inputs and everything that reads what it overwrites. */
static int64_t earliest(const far_graph *graph, const fari_node *node, const int64_t *last_touch)
{
    int64_t at = -1;
    for (int32_t i = 0; i < node->in_count; i++) {
        const int32_t producer = fari_tensor_of(graph, node->in[i])->producer;
        if (producer > at && graph->nodes[producer]->phase != FARI_UPDATE) at = producer;
    }
    for (int32_t i = 0; i < node->out_count && node->mutates; i++)
        if (last_touch[node->out[i]] > at) at = last_touch[node->out[i]];
    return at;
}

/* slot[n]: the non-update node after which update node n is placed; updates that read other updates follow those. */
static void place_updates(const far_graph *graph, const int64_t *last_touch, int64_t *slot)
{
    for (int64_t n = 0; n < graph->node_count; n++) {
        const fari_node *node = graph->nodes[n];
        if (node->phase != FARI_UPDATE) continue;
        slot[n] = earliest(graph, node, last_touch);
        for (int64_t m = n;
             m-- > 0;) { /* what an earlier update wrote or read and this one reads or writes keeps its order */
            const fari_node *before = graph->nodes[m];
            if (before->phase != FARI_UPDATE || slot[m] <= slot[n]) continue;
            bool touches = false;
            for (int32_t i = 0; i < before->out_count; i++) {
                for (int32_t k = 0; k < node->in_count; k++) touches = touches || before->out[i] == node->in[k];
                for (int32_t k = 0; k < node->out_count; k++) touches = touches || before->out[i] == node->out[k];
            }
            for (int32_t i = 0; i < before->in_count; i++)
                for (int32_t k = 0; k < node->out_count; k++) touches = touches || before->in[i] == node->out[k];
            if (touches) slot[n] = slot[m];
        }
    }
}

static void emit_order(fari_plan *plan, const int64_t *slot, const int32_t *slot_head, const int32_t *slot_next)
{
    const far_graph *graph = plan->graph;
    int32_t turn = 0;
    (void)slot;
    for (int64_t n = -1; n < graph->node_count; n++) {
        if (n >= 0 && graph->nodes[n]->phase != FARI_UPDATE) plan->order[turn++] = (int32_t)n;
        for (int32_t u = slot_head[n + 1]; u >= 0; u = slot_next[u]) plan->order[turn++] = u;
    }
    FAR_ASSERT(turn == graph->node_count);
    for (int32_t t = 0; t < turn; t++) plan->turn[plan->order[t]] = t;
}

far_status fari_plan_order_nodes(fari_plan *plan)
{
    const far_graph *graph = plan->graph;
    const size_t nodes = (size_t)graph->node_count, tensors = (size_t)graph->tensor_count;
    int64_t *last_touch = fari_calloc(tensors, sizeof *last_touch);
    int64_t *slot = fari_calloc(nodes + 1, sizeof *slot);
    int32_t *head = fari_calloc(nodes + 1, sizeof *head), *next = fari_calloc(nodes + 1, sizeof *next);
    plan->order = fari_calloc(nodes + 1, sizeof *plan->order);
    plan->turn = fari_calloc(nodes + 1, sizeof *plan->turn);
    far_status st = FAR_OK;
    if (last_touch == NULL || slot == NULL || head == NULL || next == NULL || plan->order == NULL ||
        plan->turn == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to order %lld nodes", (long long)graph->node_count);
        goto done;
    }
    for (size_t i = 0; i < tensors; i++) last_touch[i] = -1;
    for (int64_t n = 0; n < graph->node_count; n++) {
        const fari_node *node = graph->nodes[n];
        if (node->phase == FARI_UPDATE) continue;
        for (int32_t i = 0; i < node->in_count; i++) last_touch[node->in[i]] = n;
        for (int32_t i = 0; i < node->out_count; i++) last_touch[node->out[i]] = n;
    }
    place_updates(graph, last_touch, slot);
    for (size_t i = 0; i <= nodes; i++) head[i] = -1;
    for (int64_t n = graph->node_count; n-- > 0;) { /* backwards, so that each list is in graph order */
        if (graph->nodes[n]->phase != FARI_UPDATE) continue;
        next[n] = head[slot[n] + 1];
        head[slot[n] + 1] = (int32_t)n;
    }
    emit_order(plan, slot, head, next);
done:
    fari_free(last_touch);
    fari_free(slot);
    fari_free(head);
    fari_free(next);
    return st;
}
