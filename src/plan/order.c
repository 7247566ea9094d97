/* The canonical order of nodes: as the graph was built, but each parameter update as early as its operands allow, so that gradients
   live no longer than they must. Over several ranks, branches that do not depend on each other (the planes of an image) go side by
   side, so that what they have to say at one level goes in one message. */
#include "plan/order.h"
#include "base/mem.h"

typedef struct ordering {
    fari_plan *plan;
    int32_t *sequence; /* [node_count] nodes but updates, in their order */
    int64_t count;
    int64_t *place;       /* [node_count] where a node stands in the sequence */
    int64_t *last_touch;  /* [tensor_count] place of the last node of the sequence that reads or writes it */
    int64_t *slot;        /* [node_count] of updates: the place after which they come */
    int32_t *head, *next; /* [count + 1], [node_count] updates of each place */
    int32_t *level;       /* [node_count] */
    bool *is_last;        /* [node_count] comes after the others of its level */
    int32_t *written;     /* [tensor_count] level of the last node that overwrote it so far; 0: none */
    int32_t *touched;     /* [tensor_count] largest level of those that read or wrote it so far */
    int32_t *wanted;      /* [tensor_count] smallest level of those that read it */
} ordering;

/* ---- branches side by side ---- */

/* The level of a node: one above everything that it has to follow. */
static int32_t level_of(const ordering *o, const fari_node *node)
{
    const far_graph *graph = o->plan->graph;
    int32_t level = 0;
    for (int32_t i = 0; i < node->in_count; i++) {
        const int32_t producer = fari_tensor_of(graph, node->in[i])->producer;
        if (producer >= 0 && o->level[producer] > level) level = o->level[producer];
        if (o->written[node->in[i]] > level) level = o->written[node->in[i]];
    }
    for (int32_t i = 0; i < node->out_count && node->mutates; i++)
        if (o->touched[node->out[i]] > level) level = o->touched[node->out[i]];
    return level + 1;
}

/* Gives the number of levels. */
static int32_t find_levels(ordering *o)
{
    const far_graph *graph = o->plan->graph;
    int32_t levels = 0;
    for (int64_t n = 0; n < graph->node_count; n++) {
        const fari_node *node = graph->nodes[n];
        if (node->phase == FARI_UPDATE) continue;
        const int32_t level = o->level[n] = level_of(o, node);
        for (int32_t i = 0; i < node->in_count; i++)
            if (level > o->touched[node->in[i]]) o->touched[node->in[i]] = level;
        for (int32_t i = 0; i < node->out_count && node->mutates; i++)
            o->written[node->out[i]] = o->touched[node->out[i]] = level;
        if (level > levels) levels = level;
    }
    return levels;
}

/* What is run again has its inputs since the forward pass: it comes just before what wants it, not as soon as it may. */
static void put_off_copies(ordering *o)
{
    const far_graph *graph = o->plan->graph;
    for (int64_t i = 0; i < graph->tensor_count; i++) o->wanted[i] = INT32_MAX;
    for (int64_t n = graph->node_count; n-- > 0;) {
        const fari_node *node = graph->nodes[n];
        int32_t before = INT32_MAX;
        if (node->phase == FARI_UPDATE) continue;
        for (int32_t i = 0; i < node->out_count; i++)
            if (o->wanted[node->out[i]] < before) before = o->wanted[node->out[i]];
        if (node->is_again && before != INT32_MAX) o->level[n] = before - 1;
        for (int32_t i = 0; i < node->in_count; i++)
            if (o->level[n] < o->wanted[node->in[i]]) o->wanted[node->in[i]] = o->level[n];
    }
}

/* Nodes by level, and as built within one, but those at the end that are put off. */
static far_status sequence_by_level(ordering *o)
{
    const far_graph *graph = o->plan->graph;
    const int32_t levels = find_levels(o);
    put_off_copies(o);
    FAR_TRY(fari_order_put_off_sums(graph, levels, o->written, o->level, o->is_last));
    int64_t *begin = fari_calloc((size_t)levels + 2, sizeof *begin);
    if (begin == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to order %lld nodes", (long long)graph->node_count);
    for (int64_t n = 0; n < graph->node_count; n++)
        if (o->level[n] > 0) begin[o->level[n] + 1]++;
    for (int32_t l = 1; l <= levels; l++) begin[l + 1] += begin[l];
    for (int32_t last = 0; last < 2; last++)
        for (int64_t n = 0; n < graph->node_count; n++)
            if (o->level[n] > 0 && o->is_last[n] == (last == 1)) o->sequence[begin[o->level[n]]++] = (int32_t)n;
    fari_free(begin);
    return FAR_OK;
}

/* ---- updates ---- */

/* The place after which an update may run: after everything that makes its inputs and everything that reads what it overwrites. */
static int64_t earliest(const ordering *o, const fari_node *node)
{
    const far_graph *graph = o->plan->graph;
    int64_t at = -1;
    for (int32_t i = 0; i < node->in_count; i++) {
        const int32_t producer = fari_tensor_of(graph, node->in[i])->producer;
        if (producer >= 0 && graph->nodes[producer]->phase != FARI_UPDATE && o->place[producer] > at)
            at = o->place[producer];
    }
    for (int32_t i = 0; i < node->out_count && node->mutates; i++)
        if (o->last_touch[node->out[i]] > at) at = o->last_touch[node->out[i]];
    return at;
}

/* Whether the later of two updates reads or writes what the earlier one wrote, or writes what it read. */
static bool must_follow(const fari_node *before, const fari_node *node)
{
    bool touches = false;
    for (int32_t i = 0; i < before->out_count; i++) {
        for (int32_t k = 0; k < node->in_count; k++) touches = touches || before->out[i] == node->in[k];
        for (int32_t k = 0; k < node->out_count; k++) touches = touches || before->out[i] == node->out[k];
    }
    for (int32_t i = 0; i < before->in_count; i++)
        for (int32_t k = 0; k < node->out_count; k++) touches = touches || before->in[i] == node->out[k];
    return touches;
}

static void place_updates(ordering *o)
{
    const far_graph *graph = o->plan->graph;
    for (int64_t n = 0; n < graph->node_count; n++) {
        const fari_node *node = graph->nodes[n];
        if (node->phase != FARI_UPDATE) continue;
        o->slot[n] = earliest(o, node);
        while (o->plan->part != NULL && o->slot[n] >= 0 && o->slot[n] + 1 < o->count && /* not amid a level */
               o->level[o->sequence[o->slot[n] + 1]] == o->level[o->sequence[o->slot[n]]])
            o->slot[n]++;
        for (int64_t m = n; m-- > 0;) {
            const fari_node *before = graph->nodes[m];
            if (before->phase != FARI_UPDATE || o->slot[m] <= o->slot[n]) continue;
            if (must_follow(before, node)) o->slot[n] = o->slot[m];
        }
    }
    for (int64_t i = 0; i <= o->count; i++) o->head[i] = -1;
    for (int64_t n = graph->node_count; n-- > 0;) { /* backwards, so that each list is in graph order */
        if (graph->nodes[n]->phase != FARI_UPDATE) continue;
        o->next[n] = o->head[o->slot[n] + 1];
        o->head[o->slot[n] + 1] = (int32_t)n;
    }
}

/* ---- all of it ---- */

static void note_places(ordering *o)
{
    const far_graph *graph = o->plan->graph;
    for (int64_t i = 0; i < graph->tensor_count; i++) o->last_touch[i] = -1;
    for (int64_t at = 0; at < o->count; at++) {
        const fari_node *node = graph->nodes[o->sequence[at]];
        o->place[o->sequence[at]] = at;
        for (int32_t i = 0; i < node->in_count; i++) o->last_touch[node->in[i]] = at;
        for (int32_t i = 0; i < node->out_count; i++) o->last_touch[node->out[i]] = at;
    }
}

static void emit_order(const ordering *o)
{
    fari_plan *plan = o->plan;
    int32_t turn = 0;
    for (int64_t at = -1; at < o->count; at++) {
        if (at >= 0) plan->order[turn++] = o->sequence[at];
        for (int32_t u = o->head[at + 1]; u >= 0; u = o->next[u]) plan->order[turn++] = u;
    }
    FAR_ASSERT(turn == plan->graph->node_count);
    for (int32_t t = 0; t < turn; t++) plan->turn[plan->order[t]] = t;
}

static far_status order_allocate(ordering *o)
{
    const size_t nodes = (size_t)o->plan->graph->node_count + 1, tensors = (size_t)o->plan->graph->tensor_count + 1;
    o->sequence = fari_calloc(nodes, sizeof *o->sequence);
    o->place = fari_calloc(nodes, sizeof *o->place);
    o->last_touch = fari_calloc(tensors, sizeof *o->last_touch);
    o->slot = fari_calloc(nodes, sizeof *o->slot);
    o->head = fari_calloc(nodes, sizeof *o->head);
    o->next = fari_calloc(nodes, sizeof *o->next);
    o->level = fari_calloc(nodes, sizeof *o->level);
    o->is_last = fari_calloc(nodes, sizeof *o->is_last);
    o->written = fari_calloc(tensors, sizeof *o->written);
    o->touched = fari_calloc(tensors, sizeof *o->touched);
    o->wanted = fari_calloc(tensors, sizeof *o->wanted);
    o->plan->order = fari_calloc(nodes, sizeof *o->plan->order);
    o->plan->turn = fari_calloc(nodes, sizeof *o->plan->turn);
    if (o->sequence == NULL || o->place == NULL || o->last_touch == NULL || o->slot == NULL || o->head == NULL ||
        o->next == NULL || o->level == NULL || o->is_last == NULL || o->written == NULL || o->touched == NULL ||
        o->wanted == NULL || o->plan->order == NULL || o->plan->turn == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory to order %lld nodes", (long long)o->plan->graph->node_count);
    return FAR_OK;
}

static far_status order_all(ordering *o)
{
    const far_graph *graph = o->plan->graph;
    FAR_TRY(order_allocate(o));
    for (int64_t n = 0; n < graph->node_count; n++)
        if (graph->nodes[n]->phase != FARI_UPDATE) o->sequence[o->count++] = (int32_t)n;
    if (o->plan->part != NULL) FAR_TRY(sequence_by_level(o));
    note_places(o);
    place_updates(o);
    emit_order(o);
    return FAR_OK;
}

far_status fari_plan_order_nodes(fari_plan *plan)
{
    ordering o = { .plan = plan };
    const far_status st = order_all(&o);
    fari_free(o.sequence);
    fari_free(o.place);
    fari_free(o.last_touch);
    fari_free(o.slot);
    fari_free(o.head);
    fari_free(o.next);
    fari_free(o.level);
    fari_free(o.is_last);
    fari_free(o.written);
    fari_free(o.touched);
    fari_free(o.wanted);
    return st;
}
