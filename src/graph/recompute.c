/* Copies of the forward nodes that were chosen, each before the first backward node that wants it, and the backward nodes made to read
   their results. */
#include "base/mem.h"
#include "graph/recompute_priv.h"

typedef struct rewriter {
    far_graph *graph;
    const fari_chooser *choice;
    fari_node **nodes; /* the new list */
    int64_t count;
    far_value *copy_of; /* [tensor_count] the tensor that the backward pass reads instead; FAR_NO_VALUE: itself */
    int32_t *head,
        *next; /* [node_count], [forward_count] copies before each backward node, in forward order; -1: none */
} rewriter;

static void redirect_inputs(const rewriter *r, fari_node *node)
{
    for (int32_t i = 0; i < node->in_count; i++)
        if (r->copy_of[node->in[i]] != FAR_NO_VALUE) node->in[i] = r->copy_of[node->in[i]];
}

static void append(rewriter *r, fari_node *node)
{
    node->id = (int32_t)r->count;
    for (int32_t k = 0; k < node->out_count && !node->mutates; k++)
        fari_tensor_of(r->graph, node->out[k])->producer = node->id;
    r->nodes[r->count++] = node;
}

static far_status append_copy(rewriter *r, const fari_node *original)
{
    fari_node *node = fari_graph_node_copy(r->graph, original);
    if (node == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to run node %s again", original->name);
    node->phase = FARI_BACKWARD;
    node->is_again = true;
    redirect_inputs(r, node);
    append(r, node);
    for (int32_t k = 0; k < node->out_count; k++) r->copy_of[original->out[k]] = node->out[k];
    return FAR_OK;
}

static void list_copies(rewriter *r)
{
    const fari_chooser *c = r->choice;
    for (int32_t n = 0; n < c->node_count; n++) r->head[n] = -1;
    for (int32_t n = c->forward_count; n-- > 0;) {
        if (!c->is_again[n] || c->at[n] == FARI_NEVER) continue;
        r->next[n] = r->head[c->at[n]];
        r->head[c->at[n]] = n;
    }
}

/* Every node of the old list gets into the new one even if a copy fails, so that the graph can be destroyed. */
static far_status rewrite_nodes(rewriter *r)
{
    const fari_chooser *c = r->choice;
    far_status st = FAR_OK;
    list_copies(r);
    for (int32_t n = 0; n < c->node_count; n++) {
        for (int32_t m = r->head[n]; m >= 0 && st == FAR_OK; m = r->next[m]) st = append_copy(r, r->graph->nodes[m]);
        if (n >= c->forward_count) redirect_inputs(r, r->graph->nodes[n]);
        append(r, r->graph->nodes[n]);
    }
    return st;
}

static far_status rewrite(fari_chooser *c, int64_t copies)
{
    far_graph *graph = c->graph;
    rewriter r = { .graph = graph, .choice = c };
    far_status st = FAR_E_NOMEM;
    r.nodes = fari_alloc((size_t)(c->node_count + copies) * sizeof(fari_node *));
    r.copy_of = fari_alloc((size_t)c->tensor_count * sizeof *r.copy_of);
    r.head = fari_alloc((size_t)c->node_count * sizeof *r.head);
    r.next = fari_alloc((size_t)c->forward_count * sizeof *r.next);
    if (r.nodes == NULL || r.copy_of == NULL || r.head == NULL || r.next == NULL) {
        (void)FAR_FAIL(FAR_E_NOMEM, "no memory to plan what is run again");
        fari_free(r.nodes);
    } else {
        for (int64_t i = 0; i < c->tensor_count; i++) r.copy_of[i] = FAR_NO_VALUE;
        st = rewrite_nodes(&r);
        fari_free(graph->nodes);
        graph->nodes = r.nodes;
        graph->node_count = r.count;
        graph->node_cap = c->node_count + copies;
    }
    fari_free(r.copy_of);
    fari_free(r.head);
    fari_free(r.next);
    return st;
}

static far_status choose_and_rewrite(fari_chooser *c, fari_recompute_mode mode, fari_recompute_report *report)
{
    double step = 0.0;
    report->peak_before = fari_chooser_peak(c);
    FAR_TRY(fari_chooser_choose(c, mode, report->peak_before, &report->peak));
    for (int32_t n = 0; n < c->node_count; n++) step += c->effort[n];
    report->effort = step > 0.0 ? fari_chooser_effort(c) / step : 0.0;
    for (int32_t n = 0; n < c->forward_count; n++) {
        if (!c->is_again[n] || c->at[n] == FARI_NEVER) continue;
        report->nodes++;
        report->bytes += fari_chooser_result_bytes(c, n);
    }
    return report->nodes > 0 ? rewrite(c, report->nodes) : FAR_OK;
}

far_status fari_graph_recompute(far_graph *graph, fari_recompute_mode mode, fari_recompute_report *report_out)
{
    fari_recompute_report report = { 0 };
    fari_chooser c;
    FAR_TRY(far_graph_status(graph));
    if (graph->loss < 0) return FAR_FAIL(FAR_E_ARG, "the graph was not differentiated: nothing is read going back");
    far_status st = fari_chooser_open(graph, &c);
    if (st == FAR_OK) st = choose_and_rewrite(&c, mode, &report);
    fari_chooser_close(&c);
    if (st != FAR_OK) (void)fari_graph_fail(graph, st);
    else if (report_out != NULL) *report_out = report;
    return st;
}
