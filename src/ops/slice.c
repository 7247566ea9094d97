/* Slices and splits: builders, shapes, gradient and reference kernel. */
#include "ops/slice.h"
#include "base/mem.h"
#include "graph/graph.h"
#include "ops/pad.h"
#include "ops/window.h"
#include <farandole/shape.h>
#include <inttypes.h>

/* ---- builders ---- */

far_value far_slice(far_graph *graph, const char *name, far_value x, int32_t axis, int64_t start, int64_t count)
{
    fari_slice_attr attr = { .cut_rows = false };
    if (far_graph_status(graph) != FAR_OK) return FAR_NO_VALUE;
    const far_shape shape = far_graph_shape(graph, x);
    if (axis < 0) axis += shape.ndim;
    if (axis < 0 || axis >= shape.ndim)
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_ARG, "slice '%s': no such axis among %d", name, (int)shape.ndim));
    for (int32_t i = 0; i < shape.ndim; i++) attr.count[i] = shape.dim[i];
    attr.start[axis] = start;
    attr.count[axis] = count;
    return fari_emit(graph, &fari_op_slice, name, &attr, 1, &x);
}

void far_split_axis(far_graph *graph, const char *name, far_value x, int32_t axis, int32_t count, const int64_t *sizes,
                    far_value *parts_out)
{
    int64_t start = 0, total = 0;
    for (int32_t i = 0; i < count; i++) parts_out[i] = FAR_NO_VALUE;
    if (far_graph_status(graph) != FAR_OK) return;
    const far_shape shape = far_graph_shape(graph, x);
    const int32_t at = axis < 0 ? axis + shape.ndim : axis;
    for (int32_t i = 0; i < count; i++) total += sizes[i];
    if (at < 0 || at >= shape.ndim || total != shape.dim[at]) {
        (void)fari_graph_fail(
            graph, FAR_FAIL(FAR_E_ARG, "split '%s': sizes add up to %" PRId64 ", not to the extent of axis %" PRId32,
                            name, total, axis));
        return;
    }
    for (int32_t i = 0; i < count; start += sizes[i], i++) {
        char *part = fari_printf("%s.%" PRId32, name, i);
        if (part == NULL) {
            (void)fari_graph_fail(graph, FAR_FAIL(FAR_E_NOMEM, "no memory for a name"));
            return;
        }
        parts_out[i] = far_slice(graph, part, x, at, start, sizes[i]);
        fari_free(part);
    }
}

/* ---- the op ---- */

static far_status slice_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                              fari_tensor *out, int32_t *out_count)
{
    const fari_slice_attr *attr = node->attr;
    const far_shape *x = &in[0]->shape;
    char words[160];
    (void)graph, (void)out_count;
    for (int32_t i = 0; i < x->ndim; i++) {
        if (attr->start[i] < 0 || attr->count[i] < 1 || attr->start[i] > x->dim[i] - attr->count[i]) {
            (void)snprintf(words, sizeof words, "[%" PRId64 ", +%" PRId64 ") is not inside axis %" PRId32,
                           attr->start[i], attr->count[i], i);
            (void)fari_shape_error(node, in[0], NULL, words);
            return FAR_E_ARG;
        }
        out[0].shape.dim[i] = attr->count[i];
    }
    if (in[0]->batch_of != 0 && attr->count[0] != x->dim[0])
        return fari_shape_error(node, in[0], NULL, "axis 0 is the batch and cannot be cut");
    out[0].has_rows = x->ndim > 2 && (in[0]->has_rows || attr->cut_rows);
    return FAR_OK;
}

static void slice_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                       int64_t out_hi, int64_t *lo, int64_t *hi)
{
    const fari_slice_attr *attr = node->attr;
    const int64_t start = in[input_idx]->shape.ndim > 2 ? attr->start[2] : 0;
    *lo = out_lo + start;
    *hi = out_hi + start;
}

static far_status slice_gradient(fari_grad *grad)
{
    const fari_slice_attr *attr = grad->node->attr;
    const far_shape shape = far_graph_shape(grad->graph, grad->in[0]);
    fari_pad_attr back = { .value = 0.0 };
    for (int32_t i = 0; i < shape.ndim; i++) {
        back.before[i] = attr->start[i];
        back.after[i] = shape.dim[i] - attr->start[i] - attr->count[i];
    }
    if (grad->need[0])
        grad->d_in[0] = fari_emit(grad->graph, &fari_op_pad, grad->node->name, &back, 1, &grad->d_out[0]);
    return FAR_OK;
}

static far_status slice_reference(const fari_call *call)
{
    const fari_slice_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *y = &call->out[0];
    int64_t y_idx[FAR_NDIM_MAX] = { 0 }, x_idx[FAR_NDIM_MAX] = { 0 };
    do {
        for (int32_t i = 0; i < y->ndim; i++) x_idx[i] = y_idx[i] + attr->start[i];
        if (y->ndim > 2) x_idx[2] += y->row0 - x->row0;
        fari_view_set(y, y_idx, fari_view_get(x, x_idx));
    } while (fari_idx_next(y_idx, y->dim, y->ndim));
    return FAR_OK;
}

const fari_op fari_op_slice = {
    .name = "slice",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ANY,
    .attr_bytes = sizeof(fari_slice_attr),
    .infer = slice_infer,
    .gradient = slice_gradient,
    .rows = slice_rows,
    .reference = slice_reference,
    .is_light = true,
};
