/* Which part of a tensor a call sees: whole, some samples, some rows of one, a run of elements. */
#include "plan/lower.h"
#include <string.h>

fari_view fari_lower_view_whole(const fari_plan *plan, far_value value)
{
    const fari_tensor *t = fari_tensor_of(plan->graph, value);
    fari_view view = {
        .dtype = fari_plan_dtype(plan, value), .order = t->order, .ndim = t->shape.ndim, .rows_total = 1
    };
    memcpy(view.dim, t->shape.dim, sizeof view.dim);
    if (t->shape.ndim >= 3) view.rows_total = t->shape.dim[2];
    return view;
}

/* Indices [lo, hi) of axis 0 and rows [row_lo, row_hi): contiguous, because rows are cut only with one sample at a time. */
fari_view fari_lower_view_piece(const fari_plan *plan, far_value value, int64_t lo, int64_t hi, int64_t row_lo,
                                int64_t row_hi)
{
    fari_view view = fari_lower_view_whole(plan, value);
    const int64_t index_elems = fari_view_elems(&view) / view.dim[0];
    int64_t offset = lo * index_elems;
    view.dim[0] = hi - lo;
    view.sample0 = lo;
    if (view.ndim >= 3 && row_hi - row_lo < view.dim[2]) {
        FAR_ASSERT(hi - lo == 1);
        offset += row_lo * (index_elems / view.dim[2]);
        view.dim[2] = row_hi - row_lo;
        view.row0 = row_lo;
    }
    view.data =
        (void *)(uintptr_t)(offset * far_dtype_bytes(view.dtype)); /* NOLINT: an offset until the plan is bound */
    return view;
}

/* Elements [lo, hi) of a tensor seen as flat. */
fari_view fari_lower_view_flat(const fari_plan *plan, far_value value, int64_t lo, int64_t hi)
{
    fari_view view = {
        .dtype = fari_plan_dtype(plan, value), .ndim = 1, .dim = { hi - lo }, .rows_total = 1, .elem0 = lo
    };
    view.data = (void *)(uintptr_t)(lo * far_dtype_bytes(view.dtype)); /* NOLINT */
    return view;
}

int64_t fari_lower_view_bytes(const fari_view *view)
{
    return fari_view_elems(view) * far_dtype_bytes(view->dtype);
}

int64_t fari_lower_elems(const fari_plan *plan, far_value value)
{
    return far_shape_elems(&fari_tensor_of(plan->graph, value)->shape);
}

int64_t fari_lower_rows(const fari_tensor *t)
{
    return t->shape.ndim >= 3 ? t->shape.dim[2] : 1;
}

/* The part of tensor `value` that belongs to samples [lo, hi) with the given rows. */
fari_view fari_lower_view_of_samples(const fari_plan *plan, far_value value, const fari_grain_range *r)
{
    const fari_tensor *t = fari_tensor_of(plan->graph, value);
    if (t->batch_of == 0) return fari_lower_view_whole(plan, value);
    const int64_t lo = r->sample_lo / t->batch_of, hi = (r->sample_hi + t->batch_of - 1) / t->batch_of;
    return fari_lower_view_piece(plan, value, lo, hi < t->shape.dim[0] ? hi : t->shape.dim[0], r->row_lo, r->row_hi);
}

/* What a call on `range` of the domain reads of input `i`. */
fari_view fari_lower_window(const fari_lowering *low, int32_t i, const fari_tensor *domain,
                            const fari_grain_range *range)
{
    const fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    const fari_tensor *t = fari_tensor_of(plan->graph, node->in[i]);
    const fari_tensor *in[FARI_IN_MAX] = { NULL };
    fari_grain_range need = *range;
    const int64_t rows = fari_lower_rows(t);
    need.row_lo = 0;
    need.row_hi = rows;
    if (fari_tensor_has_row_windows(t) && range->sample_hi - range->sample_lo == 1 && domain->shape.ndim >= 3) {
        for (int32_t k = 0; k < node->in_count; k++) in[k] = fari_tensor_of(plan->graph, node->in[k]);
        if (node->op->rows != NULL)
            node->op->rows(node, in, i, range->row_lo, range->row_hi, &need.row_lo, &need.row_hi);
        else if (rows == fari_lower_rows(domain)) {
            need.row_lo = range->row_lo;
            need.row_hi = range->row_hi;
        }
        if (need.row_lo < 0) need.row_lo = 0;
        if (need.row_hi > rows) need.row_hi = rows;
        FAR_ASSERT(need.row_lo < need.row_hi);
    }
    return fari_lower_view_of_samples(plan, node->in[i], &need);
}

fari_grain_range fari_lower_grain(const fari_plan *plan, far_value value, int64_t index_piece, int64_t row_piece)
{
    const fari_grains *g = &plan->grains[value];
    const fari_tensor *t = fari_tensor_of(plan->graph, value);
    fari_grain_range r = { 0, plan->batch, 0, fari_lower_rows(t) };
    if (t->batch_of > 0) {
        const int64_t lo = index_piece * g->index_step;
        const int64_t hi = lo + g->index_step < g->index_total ? lo + g->index_step : g->index_total;
        r.sample_lo = lo * t->batch_of;
        r.sample_hi = hi * t->batch_of < plan->batch ? hi * t->batch_of : plan->batch;
    }
    if (g->row_count > 1) {
        r.row_lo = g->row_start[row_piece];
        r.row_hi = g->row_start[row_piece + 1];
    }
    return r;
}
