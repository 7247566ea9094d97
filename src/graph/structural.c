/* The three ops the graph itself needs: change of memory order, sum of equal shapes, constants. */
#include "graph/graph.h"
#include <string.h>

/* ---- reorder ---- */

static far_status reorder_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)in, (void)out_count;
    out[0].order = (fari_order) * (const int32_t *)node->attr;
    return FAR_OK;
}

static far_status reorder_gradient(fari_grad *grad)
{
    const int32_t back = *(const int32_t *)grad->node->attr == FARI_ROW_MAJOR ? FARI_CHANNELS_LAST : FARI_ROW_MAJOR;
    if (grad->need[0])
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_reorder, grad->node->name, &back, 1, &grad->d_out[0]);
    return FAR_OK;
}

/* The input may come with more rows than the output grain: row-major tensors are never cut. */
static far_status copy_reference(const fari_call *call)
{
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    const int64_t shift = call->out[0].ndim >= 3 ? call->out[0].row0 - call->in[0].row0 : 0;
    do {
        int64_t from[FAR_NDIM_MAX];
        memcpy(from, idx, sizeof from);
        if (call->out[0].ndim >= 3) from[2] += shift;
        fari_view_set(&call->out[0], idx, fari_view_get(&call->in[0], from));
    } while (fari_idx_next(idx, call->out[0].dim, call->out[0].ndim));
    return FAR_OK;
}

const fari_op fari_op_reorder = {
    .name = "reorder",
    .kind = FARI_MAP,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(int32_t),
    .infer = reorder_infer,
    .gradient = reorder_gradient,
    .reference = copy_reference,
    .is_light = true,
};

/* ---- sum of equal shapes ---- */

static far_status add_n_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                              fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)out, (void)out_count;
    for (int32_t i = 1; i < node->in_count; i++)
        if (in[i]->shape.ndim != in[0]->shape.ndim || in[i]->dtype != in[0]->dtype ||
            memcmp(in[i]->shape.dim, in[0]->shape.dim, (size_t)in[0]->shape.ndim * sizeof(int64_t)) != 0)
            return fari_shape_error(node, in[0], in[i], "all inputs must have one shape and type");
    return FAR_OK;
}

static far_status add_n_gradient(fari_grad *grad)
{
    for (int32_t i = 0; i < grad->node->in_count; i++)
        if (grad->need[i]) grad->d_in[i] = grad->d_out[0];
    return FAR_OK;
}

static far_status add_n_reference(const fari_call *call)
{
    const int64_t elems = fari_view_elems(&call->out[0]);
    for (int64_t k = 0; k < elems; k++) {
        double sum = 0.0;
        for (int32_t i = 0; i < call->in_count; i++) sum += fari_view_get_flat(&call->in[i], k);
        fari_view_set_flat(&call->out[0], k, sum);
    }
    return FAR_OK;
}

const fari_op fari_op_add_n = {
    .name = "add_n",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ANY,
    .infer = add_n_infer,
    .gradient = add_n_gradient,
    .reference = add_n_reference,
    .is_light = true,
};

/* ---- constants ---- */

static far_status fill_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                             fari_tensor *out, int32_t *out_count)
{
    const fari_fill_attr *attr = node->attr;
    (void)graph, (void)in, (void)out_count;
    out[0] = (fari_tensor){ .dtype = attr->dtype, .shape = attr->shape };
    return FAR_OK;
}

static far_status fill_reference(const fari_call *call)
{
    const fari_fill_attr *attr = call->attr;
    const int64_t elems = fari_view_elems(&call->out[0]);
    for (int64_t k = 0; k < elems; k++) fari_view_set_flat(&call->out[0], k, attr->value);
    return FAR_OK;
}

const fari_op fari_op_fill = {
    .name = "fill",
    .kind = FARI_GLOBAL,
    .order = FARI_ORDER_FREE,
    .attr_bytes = sizeof(fari_fill_attr),
    .infer = fill_infer,
    .reference = fill_reference,
};
