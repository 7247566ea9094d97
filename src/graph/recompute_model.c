/* What is alive in a step, if some forward nodes are run again going back: each tensor from the node that makes it to the last that
   reads it, and partial sums while they are added; updates left out. And what running a node takes, roughly: operations and bytes. */
#include "base/mem.h"
#include "graph/recompute_priv.h"
#include <string.h>

#define PARTIALS 6 /* of a sum over grains: about as many as a plan has slots for, with its usual eight grains */
#define FLOPS_A_BYTE \
    10.0 /* that processors do while a byte comes from memory: choices are to depend on the graph alone */

static void note_read(fari_reads *r, int32_t node)
{
    if (node < r->first) r->first = node;
    if (node > r->last) r->last = node;
}

static void measure_tensors(fari_chooser *c)
{
    const far_graph *graph = c->graph;
    for (int64_t i = 0; i < c->tensor_count; i++) {
        const fari_tensor *t = graph->tensors[i];
        const bool counts = t->role == FARI_ROLE_COMPUTED || t->role == FARI_ROLE_INPUT;
        c->bytes[i] = counts ? far_shape_elems(&t->shape) * far_dtype_bytes(t->dtype) : 0;
        c->going_back[i] = (fari_reads){ FARI_NEVER, -1 };
        c->last_forward[i] = t->producer >= 0 && t->producer < c->forward_count ? t->producer : 0;
    }
    for (int32_t n = 0; n < c->node_count; n++) {
        const fari_node *node = graph->nodes[n];
        for (int32_t i = 0; i < node->in_count; i++) {
            if (n < c->forward_count) c->last_forward[node->in[i]] = n;
            else note_read(&c->going_back[node->in[i]], n);
        }
    }
    for (int64_t i = 0; i < graph->output_count; i++) /* results are still there after the last node */
        note_read(&c->going_back[graph->outputs[i].value], c->node_count);
    note_read(&c->going_back[graph->loss], c->node_count);
}

/* Where the copies stand: those of the last nodes first, as they want copies of what comes before. */
static void place_copies(fari_chooser *c)
{
    memcpy(c->wanted, c->going_back, (size_t)c->tensor_count * sizeof *c->wanted);
    for (int32_t n = c->forward_count; n-- > 0;) {
        const fari_node *node = c->graph->nodes[n];
        c->at[n] = FARI_NEVER;
        if (!c->is_again[n]) continue;
        for (int32_t k = 0; k < node->out_count; k++)
            if (c->wanted[node->out[k]].first < c->at[n]) c->at[n] = c->wanted[node->out[k]].first;
        for (int32_t i = 0; i < node->in_count && c->at[n] != FARI_NEVER; i++)
            note_read(&c->wanted[node->in[i]], c->at[n]);
    }
}

static void add_life(fari_chooser *c, int64_t bytes, int32_t first, int32_t last)
{
    c->change[first] += bytes;
    c->change[last + 1] -= bytes;
}

static void add_lives(fari_chooser *c, int64_t tensor)
{
    const int32_t producer = c->graph->tensors[tensor]->producer, first = producer > 0 ? producer : 0;
    const fari_reads back = c->wanted[tensor];
    if (c->bytes[tensor] == 0) return;
    if (producer >= 0 && producer < c->forward_count && c->at[producer] != FARI_NEVER) {
        const int32_t at = c->at[producer]; /* an output that nobody reads is written all the same */
        add_life(c, c->bytes[tensor], first, c->last_forward[tensor]);
        add_life(c, c->bytes[tensor], at, back.last > at ? back.last : at);
        return;
    }
    int32_t last = c->last_forward[tensor] > first ? c->last_forward[tensor] : first;
    if (back.last > last) last = back.last;
    add_life(c, c->bytes[tensor], first, last);
}

static void add_partials(fari_chooser *c, int32_t n)
{
    const fari_node *node = c->graph->nodes[n];
    if (node->op->kind != FARI_REDUCE) return;
    for (int32_t k = 0; k < node->out_count; k++) add_life(c, PARTIALS * c->bytes[node->out[k]], n, n);
}

int64_t fari_chooser_peak(fari_chooser *c)
{
    int64_t alive = 0, peak = 0;
    place_copies(c);
    memset(c->change, 0, (size_t)(c->node_count + 2) * sizeof *c->change);
    for (int64_t i = 0; i < c->tensor_count; i++) add_lives(c, i);
    for (int32_t n = 0; n < c->node_count; n++) add_partials(c, n);
    for (int32_t n = 0; n < c->node_count; n++) {
        alive += c->change[n];
        if (alive > peak) peak = alive;
    }
    return peak;
}

int64_t fari_chooser_result_bytes(const fari_chooser *c, int32_t n)
{
    const fari_node *node = c->graph->nodes[n];
    int64_t bytes = 0;
    for (int32_t k = 0; k < node->out_count; k++) bytes += c->bytes[node->out[k]];
    return bytes;
}

/* ---- effort ---- */

static fari_view view_of(const far_graph *graph, far_value value)
{
    const fari_tensor *t = fari_tensor_of(graph, value);
    fari_view view = { .dtype = t->dtype, .order = t->order, .ndim = t->shape.ndim, .rows_total = 1 };
    memcpy(view.dim, t->shape.dim, sizeof view.dim);
    if (t->shape.ndim >= 3) view.rows_total = t->shape.dim[2];
    return view;
}

/* In bytes that move in the same time. */
static double effort_of(const far_graph *graph, const fari_node *node)
{
    fari_call call = { .node = node, .attr = node->attr, .in_count = node->in_count, .out_count = node->out_count };
    double bytes = 0.0;
    for (int32_t i = 0; i < node->in_count; i++) {
        call.in[i] = view_of(graph, node->in[i]);
        bytes += (double)(fari_view_elems(&call.in[i]) * far_dtype_bytes(call.in[i].dtype));
    }
    for (int32_t i = 0; i < node->out_count; i++) {
        call.out[i] = view_of(graph, node->out[i]);
        bytes += (double)(fari_view_elems(&call.out[i]) * far_dtype_bytes(call.out[i].dtype));
    }
    return node->op->cost == NULL ? bytes : bytes + node->op->cost(&call).flops / FLOPS_A_BYTE;
}

double fari_chooser_effort(const fari_chooser *c)
{
    double effort = 0.0;
    for (int32_t n = 0; n < c->forward_count; n++)
        if (c->is_again[n] && c->at[n] != FARI_NEVER) effort += c->effort[n];
    return effort;
}

/* ---- life ---- */

far_status fari_chooser_open(far_graph *graph, fari_chooser *c)
{
    *c =
        (fari_chooser){ .graph = graph, .node_count = (int32_t)graph->node_count, .tensor_count = graph->tensor_count };
    while (c->forward_count < c->node_count && graph->nodes[c->forward_count]->phase == FARI_FORWARD)
        c->forward_count++;
    const size_t tensors = (size_t)c->tensor_count, forward = (size_t)c->forward_count, nodes = (size_t)c->node_count;
    c->bytes = fari_calloc(tensors, sizeof *c->bytes);
    c->last_forward = fari_calloc(tensors, sizeof *c->last_forward);
    c->going_back = fari_calloc(tensors, sizeof *c->going_back);
    c->wanted = fari_calloc(tensors, sizeof *c->wanted);
    c->is_again = fari_calloc(forward, sizeof *c->is_again);
    c->at = fari_calloc(forward, sizeof *c->at);
    c->effort = fari_calloc(nodes, sizeof *c->effort);
    c->change = fari_calloc(nodes + 2, sizeof *c->change);
    if (c->bytes == NULL || c->last_forward == NULL || c->going_back == NULL || c->wanted == NULL ||
        c->is_again == NULL || c->at == NULL || c->effort == NULL || c->change == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory to choose what is run again");
    measure_tensors(c);
    for (int32_t n = 0; n < c->node_count; n++) c->effort[n] = effort_of(graph, graph->nodes[n]);
    return FAR_OK;
}

void fari_chooser_close(fari_chooser *c)
{
    fari_free(c->bytes);
    fari_free(c->last_forward);
    fari_free(c->going_back);
    fari_free(c->wanted);
    fari_free(c->is_again);
    fari_free(c->at);
    fari_free(c->effort);
    fari_free(c->change);
}
