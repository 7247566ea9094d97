/* Dropout: builder, table row, reference kernel. */
#include "ops/dropout.h"
#include "base/rng.h"
#include "graph/graph.h"
#include "ops/cost.h"
#include <farandole/activation.h>

static far_status dropout_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)out, (void)out_count;
    if (in[0]->dtype != FAR_F32 || in[0]->batch_of != 1 || in[0]->shape.ndim < 1)
        return fari_shape_error(node, in[0], NULL, "expects f32 with a batch axis");
    return FAR_OK;
}

static far_status dropout_gradient(fari_grad *grad)
{
    if (grad->need[0])
        grad->d_in[0] =
            fari_emit(grad->graph, &fari_op_dropout, grad->node->name, grad->node->attr, 1, &grad->d_out[0]);
    return FAR_OK;
}

/* Number of the element in the row-major sample of the whole tensor. */
static uint64_t element_of(const fari_view *view, const int64_t *idx)
{
    int64_t elem = 0;
    for (int32_t i = 1; i < view->ndim; i++)
        elem = i == 2 ? elem * view->rows_total + view->row0 + idx[i] : elem * view->dim[i] + idx[i];
    return (uint64_t)elem;
}

static far_status dropout_reference(const fari_call *call)
{
    const fari_dropout_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *y = &call->out[0];
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    do {
        const int64_t sample = call->step->sample_ids[y->sample0 + idx[0]];
        const uint64_t key = fari_rng_key(call->step->seed, FARI_RNG_DROPOUT + 64 * attr->stream,
                                          (uint64_t)call->step->step, (uint64_t)sample);
        const bool keep = (double)fari_rng_unit(key, element_of(y, idx)) >= attr->p;
        fari_view_set(y, idx, keep ? fari_view_get(x, idx) / (1.0 - attr->p) : 0.0);
    } while (fari_idx_next(idx, y->dim, y->ndim));
    return FAR_OK;
}

static fari_cost dropout_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 10.0);
}

const fari_op fari_op_dropout = {
    .name = "dropout",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ANY,
    .attr_bytes = sizeof(fari_dropout_attr),
    .infer = dropout_infer,
    .gradient = dropout_gradient,
    .cost = dropout_cost,
    .reference = dropout_reference,
    .is_light = true,
};

far_value far_dropout(far_graph *graph, const char *name, far_value x, double p)
{
    /* Every dropout has a stream of its own, also where layers share a name: the place it was built at. */
    const fari_dropout_attr attr = { p, (uint64_t)graph->node_count };
    if (!(p >= 0.0 && p < 1.0))
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_ARG, "dropout '%s': p %g is outside [0, 1)", name, p));
    return far_graph_is_training(graph) && p > 0.0 ? fari_emit(graph, &fari_op_dropout, name, &attr, 1, &x) : x;
}
