/* Reverse-mode differentiation as a graph transform: walks the forward nodes backwards and lets each op's gradient rule emit the
   nodes that compute its inputs' gradients. Contributions of several users of a value are summed in the order of those users. */
#include "graph/autodiff.h"
#include "base/mem.h"
#include <string.h>

/* The gradient contributions of one value, in the order they came (last user first). */
typedef struct contribution {
    far_value value;
    int32_t next; /* index of the one before, -1 at the end */
} contribution;

typedef struct differ {
    far_graph *graph;
    bool *wanted;  /* [tensors] a gradient is needed for it or for something before it */
    int32_t *head; /* [tensors] first contribution, -1 */
    contribution *contributions;
    int64_t contribution_count, contribution_cap;
    int64_t tensor_count; /* of the forward graph */
} differ;

static far_status contribution_add(differ *d, far_value of, far_value value)
{
    if (!fari_reserve((void **)&d->contributions, &d->contribution_cap, d->contribution_count + 1,
                      sizeof(contribution)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory to differentiate");
    d->contributions[d->contribution_count] = (contribution){ value, d->head[of] };
    d->head[of] = (int32_t)d->contribution_count++;
    return FAR_OK;
}

/* The contributions to a value's gradient, at most FARI_IN_MAX - 1: more are added up. Earliest user first: by walking the list from the
   latest addition, which is the earliest user. */
static int32_t gradient_terms(differ *d, far_value of, far_value terms[FARI_IN_MAX])
{
    int32_t count = 0;
    far_graph *graph = d->graph;
    for (int32_t i = d->head[of]; i >= 0; i = d->contributions[i].next) {
        terms[count++] = d->contributions[i].value;
        if (count == FARI_IN_MAX) {
            terms[0] = fari_emit(graph, &fari_op_add_n, fari_tensor_of(graph, of)->name, NULL, count, terms);
            count = 1;
        }
    }
    return count;
}

/* Their sum; FAR_NO_VALUE when there are none. */
static far_value terms_sum(differ *d, far_value of, int32_t count, const far_value *terms)
{
    if (count == 0) return FAR_NO_VALUE;
    if (count == 1) return terms[0];
    return fari_emit(d->graph, &fari_op_add_n, fari_tensor_of(d->graph, of)->name, NULL, count, terms);
}

static far_value gradient_sum(differ *d, far_value of)
{
    far_value terms[FARI_IN_MAX];
    const int32_t count = gradient_terms(d, of, terms);
    return terms_sum(d, of, count, terms);
}

/* A gradient flows only where something that wants one lies before, and only through floating-point tensors. */
static void mark_wanted(differ *d, int64_t node_count)
{
    far_graph *graph = d->graph;
    for (int64_t n = 0; n < node_count; n++) {
        const fari_node *node = graph->nodes[n];
        bool any = false;
        if (node->op->gradient == NULL || node->mutates) continue;
        for (int32_t i = 0; i < node->in_count; i++) any = any || d->wanted[node->in[i]];
        for (int32_t i = 0; any && i < node->out_count; i++) {
            const far_dtype dtype = fari_tensor_of(graph, node->out[i])->dtype;
            d->wanted[node->out[i]] = dtype == FAR_F32 || dtype == FAR_F64;
        }
    }
}

/* The gradient of output `idx`, as the node's own rule wants it. */
static far_value output_gradient(differ *d, const fari_grad *grad, int32_t idx)
{
    const fari_node *node = grad->node;
    far_value terms[FARI_IN_MAX];
    const int32_t count = gradient_terms(d, node->out[idx], terms);
    if (node->op->gather != NULL && count > 0) {
        const far_value gathered = node->op->gather(grad, count, terms);
        if (gathered >= 0) return gathered; /* not the tensor's gradient, which nobody computes */
    }
    return fari_tensor_of(d->graph, node->out[idx])->grad = terms_sum(d, node->out[idx], count, terms);
}

static far_status node_differentiate(differ *d, const fari_node *original)
{
    far_graph *graph = d->graph;
    const fari_node node = *original; /* the list may move while nodes are added */
    far_value d_out[FARI_OUT_MAX], d_in[FARI_IN_MAX];
    bool need[FARI_IN_MAX] = { false }, any_out = false, any_in = false;
    if (node.op->gradient == NULL || node.mutates) return FAR_OK;
    for (int32_t i = 0; i < node.in_count; i++) any_in = (need[i] = d->wanted[node.in[i]]) || any_in;
    if (!any_in) return FAR_OK;
    fari_grad grad = { graph, &node, node.in, node.out, d_out, need, d_in };
    for (int32_t i = 0; i < node.out_count; i++) {
        d_out[i] = output_gradient(d, &grad, i);
        any_out = any_out || d_out[i] >= 0;
    }
    if (!any_out) return FAR_OK;
    for (int32_t i = 0; i < FARI_IN_MAX; i++) d_in[i] = FAR_NO_VALUE;
    FAR_TRY(node.op->gradient(&grad));
    FAR_TRY(far_graph_status(graph));
    for (int32_t i = 0; i < node.in_count; i++)
        if (need[i] && d_in[i] >= 0) FAR_TRY(contribution_add(d, node.in[i], d_in[i]));
    return FAR_OK;
}

static far_status seed_loss(differ *d, far_value loss)
{
    far_graph *graph = d->graph;
    const fari_tensor *tensor = fari_tensor_of(graph, loss);
    if (far_shape_elems(&tensor->shape) != 1 || tensor->batch_of != 0)
        return FAR_FAIL(FAR_E_SHAPE, "the loss '%s' must be one number over the whole batch", tensor->name);
    const fari_fill_attr one = { tensor->shape, 1.0, tensor->dtype };
    const far_value seed = fari_emit(graph, &fari_op_fill, "d_loss", &one, 0, NULL);
    FAR_TRY(far_graph_status(graph));
    return contribution_add(d, loss, seed);
}

static far_status differ_run(differ *d, far_value loss, int32_t extra_count, const far_value *extra)
{
    far_graph *graph = d->graph;
    const int64_t node_count = graph->node_count;
    for (int64_t i = 0; i < d->tensor_count; i++) {
        d->head[i] = -1;
        d->wanted[i] = graph->tensors[i]->role == FARI_ROLE_PARAM && !graph->tensors[i]->frozen;
    }
    for (int32_t i = 0; i < extra_count; i++) d->wanted[extra[i]] = true;
    mark_wanted(d, node_count);
    graph->phase = FARI_BACKWARD;
    FAR_TRY(seed_loss(d, loss));
    for (int64_t n = node_count; n-- > 0;) FAR_TRY(node_differentiate(d, graph->nodes[n]));
    for (int64_t i = 0; i < d->tensor_count; i++)
        if (graph->tensors[i]->producer < 0 && d->head[i] >= 0) graph->tensors[i]->grad = gradient_sum(d, (far_value)i);
    graph->loss = loss;
    graph->phase = FARI_UPDATE;
    return far_graph_status(graph);
}

far_status fari_graph_backward_wrt(far_graph *graph, far_value loss, int32_t extra_count, const far_value *extra)
{
    FAR_TRY(far_graph_status(graph));
    if (loss < 0 || loss >= graph->tensor_count) return FAR_FAIL(FAR_E_ARG, "no loss to differentiate");
    if (graph->loss >= 0) return FAR_FAIL(FAR_E_ARG, "the graph was differentiated before");
    differ d = { .graph = graph, .tensor_count = graph->tensor_count };
    far_status st = FAR_E_NOMEM;
    d.wanted = fari_calloc((size_t)d.tensor_count, sizeof *d.wanted);
    d.head = fari_calloc((size_t)d.tensor_count, sizeof *d.head);
    if (d.wanted == NULL || d.head == NULL) (void)FAR_FAIL(FAR_E_NOMEM, "no memory to differentiate");
    else st = differ_run(&d, loss, extra_count, extra);
    fari_free(d.wanted);
    fari_free(d.head);
    fari_free(d.contributions);
    if (st != FAR_OK) (void)fari_graph_fail(graph, st);
    return st;
}

far_status far_graph_backward(far_graph *graph, far_value loss)
{
    return fari_graph_backward_wrt(graph, loss, 0, NULL);
}
