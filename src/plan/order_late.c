/* Weight gradients wait for sums to travel. */
#include "base/mem.h"
#include "plan/order.h"

#define LEVELS_MOST 4 /* that a sum is put off */

typedef struct putting_off {
    const far_graph *graph;
    int32_t levels;
    const int32_t *written;
    int32_t *level;
    int32_t *last_read; /* [tensor_count] level of the last node of the sequence that reads it; 0: none */
    int64_t *alive;     /* [levels + 1] bytes of what is made in the sequence and read later */
    bool *has_sum;      /* [levels + 1] of a sum that others of the backward pass wait for */
} putting_off;

static int64_t bytes_of(const putting_off *p, far_value tensor)
{
    const fari_tensor *t = fari_tensor_of(p->graph, tensor);
    const bool is_made = t->producer >= 0 && p->level[t->producer] > 0;
    return is_made ? far_shape_elems(&t->shape) * far_dtype_bytes(t->dtype) : 0;
}

static bool is_sum(const putting_off *p, const fari_node *node)
{
    return p->level[node->id] > 0 && node->phase == FARI_BACKWARD && node->op->kind == FARI_REDUCE &&
           fari_tensor_of(p->graph, node->out[0])->batch_of == 0;
}

static bool is_read(const putting_off *p, const fari_node *node)
{
    bool found = false;
    for (int32_t i = 0; i < node->out_count; i++) found = found || p->last_read[node->out[i]] > 0;
    return found;
}

static void look(putting_off *p)
{
    for (int64_t n = 0; n < p->graph->node_count; n++) {
        const fari_node *node = p->graph->nodes[n];
        for (int32_t i = 0; i < node->in_count; i++)
            if (p->level[n] > p->last_read[node->in[i]]) p->last_read[node->in[i]] = p->level[n];
    }
    for (int64_t n = 0; n < p->graph->node_count; n++) {
        const fari_node *node = p->graph->nodes[n];
        if (is_sum(p, node) && is_read(p, node)) p->has_sum[p->level[n]] = true;
        for (int32_t i = 0; i < node->out_count && !node->mutates; i++)
            for (int32_t l = p->level[n]; l > 0 && l <= p->last_read[node->out[i]]; l++)
                p->alive[l] += bytes_of(p, node->out[i]);
    }
}

static bool may_wait(const putting_off *p, const fari_node *node)
{
    bool may = !node->mutates && is_sum(p, node) && !is_read(p, node);
    for (int32_t i = 0; i < node->in_count; i++) may = may && p->written[node->in[i]] == 0;
    return may;
}

/* What its inputs add where it runs at level `to`: all of them are alive at `from`. */
static int64_t change_at(const putting_off *p, const fari_node *node, int32_t at)
{
    int64_t bytes = 0;
    for (int32_t i = 0; i < node->in_count; i++)
        if (p->last_read[node->in[i]] < at) bytes += bytes_of(p, node->in[i]);
    return bytes;
}

static void put_off(putting_off *p, const fari_node *node, int64_t peak, bool *is_last)
{
    const int32_t from = p->level[node->id];
    int32_t to = from + 1;
    while (to < p->levels && to < from + LEVELS_MOST && !p->has_sum[to]) to++;
    if (to > p->levels || !p->has_sum[to]) return;
    for (int32_t l = from + 1; l <= to; l++)
        if (p->alive[l] + change_at(p, node, l) > peak) return;
    for (int32_t l = from + 1; l <= to; l++) p->alive[l] += change_at(p, node, l);
    for (int32_t i = 0; i < node->in_count; i++)
        if (p->last_read[node->in[i]] < to) p->last_read[node->in[i]] = to;
    p->level[node->id] = to;
    is_last[node->id] = true;
}

far_status fari_order_put_off_sums(const far_graph *graph, int32_t levels, const int32_t *written, int32_t *level,
                                   bool *is_last)
{
    putting_off p = { .graph = graph, .levels = levels, .written = written, .level = level };
    far_status st = FAR_OK;
    int64_t peak = 0;
    p.last_read = fari_calloc((size_t)graph->tensor_count + 1, sizeof *p.last_read);
    p.alive = fari_calloc((size_t)levels + 1, sizeof *p.alive);
    p.has_sum = fari_calloc((size_t)levels + 1, sizeof *p.has_sum);
    if (p.last_read == NULL || p.alive == NULL || p.has_sum == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to order %lld nodes", (long long)graph->node_count);
        goto done;
    }
    look(&p);
    for (int32_t l = 1; l <= levels; l++)
        if (p.alive[l] > peak) peak = p.alive[l];
    for (int64_t n = 0; n < graph->node_count; n++)
        if (may_wait(&p, graph->nodes[n])) put_off(&p, graph->nodes[n], peak, is_last);
done:
    fari_free(p.last_read);
    fari_free(p.alive);
    fari_free(p.has_sum);
    return st;
}
