/* Reshape and flatten: builders, shapes, gradient and reference kernel. */
#include "ops/reshape.h"
#include "graph/graph.h"
#include <farandole/shape.h>
#include <inttypes.h>

/* ---- builders ---- */

/* Fills in the extent given as -1. */
static far_status shape_complete(const char *name, int64_t elems, far_shape *shape_io)
{
    int64_t known = 1;
    int32_t open_axis = -1;
    if (shape_io->ndim < 1 || shape_io->ndim > FAR_NDIM_MAX)
        return FAR_FAIL(FAR_E_ARG, "reshape '%s': %" PRId32 " axes, possible are 1 to %d", name, shape_io->ndim,
                        FAR_NDIM_MAX);
    for (int32_t i = 0; i < shape_io->ndim; i++) {
        if (shape_io->dim[i] == -1 && open_axis < 0) open_axis = i;
        else if (shape_io->dim[i] < 1 || __builtin_mul_overflow(known, shape_io->dim[i], &known))
            return FAR_FAIL(FAR_E_ARG,
                            "reshape '%s': extent %" PRId64 " of axis %" PRId32
                            " is not positive, overflows or is a second -1",
                            name, shape_io->dim[i], i);
    }
    if (open_axis >= 0) shape_io->dim[open_axis] = elems / known; /* a remainder is found by infer */
    return FAR_OK;
}

far_value far_reshape(far_graph *graph, const char *name, far_value x, const far_shape *shape)
{
    fari_reshape_attr attr = { *shape };
    if (far_graph_status(graph) != FAR_OK) return FAR_NO_VALUE;
    const far_shape from = far_graph_shape(graph, x);
    const far_status st = shape_complete(name, far_shape_elems(&from), &attr.shape);
    if (st != FAR_OK) return fari_graph_fail(graph, st);
    return fari_emit(graph, &fari_op_reshape, name, &attr, 1, &x);
}

far_value far_flatten(far_graph *graph, const char *name, far_value x)
{
    const far_shape from = far_graph_shape(graph, x);
    return far_reshape(graph, name, x, &(far_shape){ 2, { from.dim[0], -1 } });
}

/* ---- the op ---- */

static far_status reshape_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                fari_tensor *out, int32_t *out_count)
{
    const fari_reshape_attr *attr = node->attr;
    const fari_tensor want = { .name = node->name, .shape = attr->shape };
    (void)graph, (void)out_count;
    if (far_shape_elems(&attr->shape) != far_shape_elems(&in[0]->shape))
        return fari_shape_error(node, in[0], &want, "the number of elements differs");
    if (in[0]->batch_of != 0 && attr->shape.dim[0] != in[0]->shape.dim[0])
        return fari_shape_error(node, in[0], &want, "axis 0 is the batch and must stay");
    out[0].order = FARI_ROW_MAJOR;
    out[0].has_rows = false; /* a row of the result may lie anywhere in the sample */
    out[0].shape = attr->shape;
    return FAR_OK;
}

static void reshape_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                         int64_t out_hi, int64_t *lo, int64_t *hi)
{
    (void)node, (void)out_lo, (void)out_hi;
    *lo = 0;
    *hi = in[input_idx]->shape.ndim > 2 ? in[input_idx]->shape.dim[2] : 1;
}

static far_status reshape_gradient(fari_grad *grad)
{
    const fari_reshape_attr back = { far_graph_shape(grad->graph, grad->in[0]) };
    if (grad->need[0])
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_reshape, grad->node->name, &back, 1, &grad->d_out[0]);
    return FAR_OK;
}

static far_status reshape_reference(const fari_call *call)
{
    const int64_t elems = fari_view_elems(&call->out[0]);
    for (int64_t k = 0; k < elems; k++) fari_view_set_flat(&call->out[0], k, fari_view_get_flat(&call->in[0], k));
    return FAR_OK;
}

const fari_op fari_op_reshape = {
    .name = "reshape",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ROW_MAJOR,
    .attr_bytes = sizeof(fari_reshape_attr),
    .infer = reshape_infer,
    .gradient = reshape_gradient,
    .rows = reshape_rows,
    .reference = reshape_reference,
};
