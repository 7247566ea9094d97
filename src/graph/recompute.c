/* Which results of the forward pass are made again going back, by a model of what is alive: each tensor from the node that makes it
   to the last that reads it, and partial sums while they are added; updates left out. Then the copies of nodes that make them. */
#include "graph/recompute.h"
#include "base/mem.h"
#include <string.h>

#define GAIN_MIN 20       /* a share of the peak: less is not worth running anything twice */
#define CANDIDATE_MIN 500 /* the same, of a single node's results */
#define PARTIALS 6        /* of a sum over grains: about as many as a plan has slots for, with its usual eight grains */
#define NEVER INT32_MAX

typedef struct reads {
    int32_t first, last; /* nodes; NEVER, -1: none */
} reads;

typedef struct chooser {
    far_graph *graph;
    int32_t node_count, forward_count; /* forward nodes come first */
    int64_t tensor_count;
    int64_t *bytes;        /* [tensor_count] 0: it takes no place among those that come and go */
    int32_t *last_forward; /* [tensor_count] the last forward node that makes or reads it */
    reads *going_back;     /* [tensor_count] by the graph's own backward nodes */
    reads *wanted;         /* [tensor_count] the same and by copies, in the case that is looked at */
    bool *is_again;        /* [forward_count] nodes to be copied, in that case */
    int32_t *at;           /* [forward_count] the backward node before which the copy stands; NEVER: nobody wants it */
    int64_t *change;       /* [node_count + 2] bytes that come alive at a node, less those that went before it */
} chooser;

/* ---- the model ---- */

static void note_read(reads *r, int32_t node)
{
    if (node < r->first) r->first = node;
    if (node > r->last) r->last = node;
}

static void measure_tensors(chooser *c)
{
    const far_graph *graph = c->graph;
    for (int64_t i = 0; i < c->tensor_count; i++) {
        const fari_tensor *t = graph->tensors[i];
        const bool counts = t->role == FARI_ROLE_COMPUTED || t->role == FARI_ROLE_INPUT;
        c->bytes[i] = counts ? far_shape_elems(&t->shape) * far_dtype_bytes(t->dtype) : 0;
        c->going_back[i] = (reads){ NEVER, -1 };
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
static void place_copies(chooser *c)
{
    memcpy(c->wanted, c->going_back, (size_t)c->tensor_count * sizeof *c->wanted);
    for (int32_t n = c->forward_count; n-- > 0;) {
        const fari_node *node = c->graph->nodes[n];
        c->at[n] = NEVER;
        if (!c->is_again[n]) continue;
        for (int32_t k = 0; k < node->out_count; k++)
            if (c->wanted[node->out[k]].first < c->at[n]) c->at[n] = c->wanted[node->out[k]].first;
        for (int32_t i = 0; i < node->in_count && c->at[n] != NEVER; i++) note_read(&c->wanted[node->in[i]], c->at[n]);
    }
}

static void add_life(chooser *c, int64_t bytes, int32_t first, int32_t last)
{
    c->change[first] += bytes;
    c->change[last + 1] -= bytes;
}

static void add_lives(chooser *c, int64_t tensor)
{
    const int32_t producer = c->graph->tensors[tensor]->producer, first = producer > 0 ? producer : 0;
    const reads back = c->wanted[tensor];
    if (c->bytes[tensor] == 0) return;
    if (producer >= 0 && producer < c->forward_count && c->at[producer] != NEVER) {
        const int32_t at = c->at[producer]; /* an output that nobody reads is written all the same */
        add_life(c, c->bytes[tensor], first, c->last_forward[tensor]);
        add_life(c, c->bytes[tensor], at, back.last > at ? back.last : at);
        return;
    }
    int32_t last = c->last_forward[tensor] > first ? c->last_forward[tensor] : first;
    if (back.last > last) last = back.last;
    add_life(c, c->bytes[tensor], first, last);
}

static void add_partials(chooser *c, int32_t n)
{
    const fari_node *node = c->graph->nodes[n];
    if (node->op->kind != FARI_REDUCE) return;
    for (int32_t k = 0; k < node->out_count; k++) add_life(c, PARTIALS * c->bytes[node->out[k]], n, n);
}

/* The most that is alive at any node, if the nodes marked are copied. */
static int64_t peak_of(chooser *c)
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

/* ---- the choice ---- */

static bool is_candidate(const chooser *c, int32_t n, int64_t peak)
{
    const fari_node *node = c->graph->nodes[n];
    int64_t bytes = 0;
    if (!node->op->is_light || node->mutates) return false;
    for (int32_t k = 0; k < node->out_count; k++) {
        if (c->going_back[node->out[k]].last == c->node_count) return false;
        bytes += c->bytes[node->out[k]];
    }
    return bytes >= peak / CANDIDATE_MIN;
}

/* All that may be copied, then back to keeping whatever does not raise the peak, the last nodes first: they are kept for the shortest
   time. */
static int64_t choose(chooser *c, int64_t peak_before)
{
    for (int32_t n = 0; n < c->forward_count; n++) c->is_again[n] = is_candidate(c, n, peak_before);
    int64_t peak = peak_of(c);
    for (int32_t n = c->forward_count; n-- > 0;) {
        if (!c->is_again[n]) continue;
        c->is_again[n] = false;
        const int64_t kept = peak_of(c);
        if (kept > peak) c->is_again[n] = true;
        else peak = kept;
    }
    if (peak > peak_before - peak_before / GAIN_MIN) {
        memset(c->is_again, 0, (size_t)c->forward_count * sizeof *c->is_again);
        peak = peak_before;
    }
    place_copies(c);
    return peak;
}

/* ---- the copies ---- */

typedef struct rewriter {
    far_graph *graph;
    const chooser *choice;
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
    const chooser *c = r->choice;
    for (int32_t n = 0; n < c->node_count; n++) r->head[n] = -1;
    for (int32_t n = c->forward_count; n-- > 0;) {
        if (!c->is_again[n] || c->at[n] == NEVER) continue;
        r->next[n] = r->head[c->at[n]];
        r->head[c->at[n]] = n;
    }
}

/* Every node of the old list gets into the new one even if a copy fails, so that the graph can be destroyed. */
static far_status rewrite_nodes(rewriter *r)
{
    const chooser *c = r->choice;
    far_status st = FAR_OK;
    list_copies(r);
    for (int32_t n = 0; n < c->node_count; n++) {
        for (int32_t m = r->head[n]; m >= 0 && st == FAR_OK; m = r->next[m]) st = append_copy(r, r->graph->nodes[m]);
        if (n >= c->forward_count) redirect_inputs(r, r->graph->nodes[n]);
        append(r, r->graph->nodes[n]);
    }
    return st;
}

static far_status rewrite(chooser *c, int64_t copies)
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

/* ---- all of it ---- */

static far_status chooser_allocate(chooser *c)
{
    const size_t tensors = (size_t)c->tensor_count, forward = (size_t)c->forward_count, nodes = (size_t)c->node_count;
    c->bytes = fari_calloc(tensors, sizeof *c->bytes);
    c->last_forward = fari_calloc(tensors, sizeof *c->last_forward);
    c->going_back = fari_calloc(tensors, sizeof *c->going_back);
    c->wanted = fari_calloc(tensors, sizeof *c->wanted);
    c->is_again = fari_calloc(forward, sizeof *c->is_again);
    c->at = fari_calloc(forward, sizeof *c->at);
    c->change = fari_calloc(nodes + 2, sizeof *c->change);
    if (c->bytes == NULL || c->last_forward == NULL || c->going_back == NULL || c->wanted == NULL ||
        c->is_again == NULL || c->at == NULL || c->change == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory to choose what is run again");
    return FAR_OK;
}

static far_status chooser_run(chooser *c, fari_recompute_report *report)
{
    FAR_TRY(chooser_allocate(c));
    measure_tensors(c);
    report->peak_before = peak_of(c);
    report->peak = choose(c, report->peak_before);
    for (int32_t n = 0; n < c->forward_count; n++) {
        const fari_node *node = c->graph->nodes[n];
        if (!c->is_again[n] || c->at[n] == NEVER) continue;
        report->nodes++;
        for (int32_t k = 0; k < node->out_count; k++) report->bytes += c->bytes[node->out[k]];
    }
    return report->nodes > 0 ? rewrite(c, report->nodes) : FAR_OK;
}

far_status fari_graph_recompute(far_graph *graph, fari_recompute_report *report_out)
{
    fari_recompute_report report = { 0 };
    FAR_TRY(far_graph_status(graph));
    if (graph->loss < 0) return FAR_FAIL(FAR_E_ARG, "the graph was not differentiated: nothing is read going back");
    chooser c = { .graph = graph, .node_count = (int32_t)graph->node_count, .tensor_count = graph->tensor_count };
    while (c.forward_count < c.node_count && graph->nodes[c.forward_count]->phase == FARI_FORWARD) c.forward_count++;
    const far_status st = chooser_run(&c, &report);
    fari_free(c.bytes);
    fari_free(c.last_forward);
    fari_free(c.going_back);
    fari_free(c.wanted);
    fari_free(c.is_again);
    fari_free(c.at);
    fari_free(c.change);
    if (st != FAR_OK) (void)fari_graph_fail(graph, st);
    else if (report_out != NULL) *report_out = report;
    return st;
}
