/* Softmax and log-softmax: builders, table rows, reference kernels. */
#include "ops/softmax.h"
#include "graph/graph.h"
#include "ops/cost.h"
#include "ops/lines.h"
#include <farandole/activation.h>
#include <math.h>

static far_status softmax_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)out, (void)out_count;
    if (in[0]->dtype != FAR_F32) return fari_shape_error(node, in[0], NULL, "expects f32");
    return FAR_OK;
}

static far_status emit_dx(fari_grad *grad, const fari_op *op)
{
    const far_value in[] = { grad->out[0], grad->d_out[0] };
    if (grad->need[0]) grad->d_in[0] = fari_emit(grad->graph, op, grad->node->name, grad->node->attr, 2, in);
    return FAR_OK;
}

static far_status channels_gradient(fari_grad *grad)
{
    return emit_dx(grad, &fari_op_softmax_channels_dx);
}

static far_status last_gradient(fari_grad *grad)
{
    return emit_dx(grad, &fari_op_softmax_last_dx);
}

/* Elements base, base + step, ... of x become the softmax; elements [first, first + part) of it are written to y. */
typedef struct line {
    int64_t length, first, part;
    int64_t x_base, x_step, y_base, y_step;
} line;

static void softmax_line(const fari_view *x, const fari_view *y, const line *l, bool is_log)
{
    double top = -INFINITY, sum = 0.0;
    for (int64_t k = 0; k < l->length; k++) top = fmax(top, fari_view_get_flat(x, l->x_base + k * l->x_step));
    for (int64_t k = 0; k < l->length; k++) sum += exp(fari_view_get_flat(x, l->x_base + k * l->x_step) - top);
    for (int64_t k = 0; k < l->part; k++) {
        const double shifted = fari_view_get_flat(x, l->x_base + (l->first + k) * l->x_step) - top;
        fari_view_set_flat(y, l->y_base + k * l->y_step, is_log ? shifted - log(sum) : exp(shifted) / sum);
    }
}

/* softmax: dx = y (dy - sum(y dy)); log-softmax: dx = dy - exp(y) sum(dy). */
static void softmax_dx_line(const fari_view *y, const fari_view *dy, const fari_view *dx, const line *l, bool is_log)
{
    double sum = 0.0;
    for (int64_t k = 0; k < l->length; k++) {
        const int64_t at = l->x_base + k * l->x_step;
        sum += fari_view_get_flat(dy, at) * (is_log ? 1.0 : fari_view_get_flat(y, at));
    }
    for (int64_t k = 0; k < l->part; k++) {
        const int64_t at = l->x_base + (l->first + k) * l->x_step;
        const double p = is_log ? exp(fari_view_get_flat(y, at)) : fari_view_get_flat(y, at),
                     d = fari_view_get_flat(dy, at);
        fari_view_set_flat(dx, l->y_base + k * l->y_step, is_log ? d - p * sum : p * (d - sum));
    }
}

/* Offset of channel 1 from channel 0: 1 in channels-last, the size of a plane in row-major. */
static int64_t channel_step(const fari_view *view)
{
    int64_t one[FAR_NDIM_MAX] = { 0, 1 };
    return fari_view_offset(view, one);
}

static far_status channels_reference(const fari_call *call, bool is_dx)
{
    const fari_softmax_attr *attr = call->attr;
    const fari_view *out = &call->out[0];
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    do {
        if (idx[1] != 0) continue;
        const int64_t base = fari_view_offset(out, idx), step = channel_step(out);
        const line l = { out->dim[1], 0, out->dim[1], base, step, base, step };
        if (is_dx) softmax_dx_line(&call->in[0], &call->in[1], out, &l, attr->is_log);
        else softmax_line(&call->in[0], out, &l, attr->is_log);
    } while (fari_idx_next(idx, out->dim, out->ndim));
    return FAR_OK;
}

static far_status last_reference(const fari_call *call, bool is_dx)
{
    const fari_softmax_attr *attr = call->attr;
    const fari_view *out = &call->out[0];
    const fari_lines lines = fari_lines_of(&call->in[0], out);
    for (int64_t i = 0; i < lines.count; i++) {
        const line l = { lines.length, lines.first, lines.part, i * lines.length, 1, i * lines.part, 1 };
        if (is_dx) softmax_dx_line(&call->in[0], &call->in[1], out, &l, attr->is_log);
        else softmax_line(&call->in[0], out, &l, attr->is_log);
    }
    return FAR_OK;
}

static far_status softmax_channels_reference(const fari_call *call)
{
    return channels_reference(call, false);
}

static far_status softmax_channels_dx_reference(const fari_call *call)
{
    return channels_reference(call, true);
}

static far_status softmax_last_reference(const fari_call *call)
{
    return last_reference(call, false);
}

static far_status softmax_last_dx_reference(const fari_call *call)
{
    return last_reference(call, true);
}

static fari_cost softmax_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 20.0);
}

static fari_cost softmax_dx_cost(const fari_call *call)
{
    return fari_cost_per_elem(call, 4.0);
}

const fari_op fari_op_softmax_channels = {
    .name = "softmax_channels",
    .kind = FARI_MAP,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_softmax_attr),
    .infer = softmax_infer,
    .gradient = channels_gradient,
    .cost = softmax_cost,
    .reference = softmax_channels_reference,
};

const fari_op fari_op_softmax_channels_dx = {
    .name = "softmax_channels_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_CL,
    .attr_bytes = sizeof(fari_softmax_attr),
    .infer = softmax_infer,
    .cost = softmax_dx_cost,
    .reference = softmax_channels_dx_reference,
};

const fari_op fari_op_softmax_last = {
    .name = "softmax_last",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ROW_MAJOR,
    .attr_bytes = sizeof(fari_softmax_attr),
    .infer = softmax_infer,
    .gradient = last_gradient,
    .rows = fari_lines_rows,
    .cost = softmax_cost,
    .reference = softmax_last_reference,
};

const fari_op fari_op_softmax_last_dx = {
    .name = "softmax_last_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ROW_MAJOR,
    .attr_bytes = sizeof(fari_softmax_attr),
    .infer = softmax_infer,
    .rows = fari_lines_rows,
    .cost = softmax_dx_cost,
    .reference = softmax_last_dx_reference,
};

static far_value softmax_build(far_graph *graph, const char *name, far_value x, int32_t axis, bool is_log)
{
    const fari_softmax_attr attr = { is_log };
    const far_shape shape = far_graph_shape(graph, x);
    char text[128];
    if (graph->status != FAR_OK || x < 0) return fari_emit(graph, &fari_op_softmax_last, name, &attr, 1, &x);
    if (axis == -1) axis = shape.ndim - 1;
    if (shape.ndim < 2 || (axis != 1 && axis != shape.ndim - 1))
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_ARG,
                                               "softmax '%s': axis %d is neither channels nor the last axis of [%s]",
                                               name, (int)axis, far_shape_text(&shape, text)));
    return fari_emit(graph, axis == 1 ? &fari_op_softmax_channels : &fari_op_softmax_last, name, &attr, 1, &x);
}

far_value far_softmax(far_graph *graph, const char *name, far_value x, int32_t axis)
{
    return softmax_build(graph, name, x, axis, false);
}

far_value far_log_softmax(far_graph *graph, const char *name, far_value x, int32_t axis)
{
    return softmax_build(graph, name, x, axis, true);
}
