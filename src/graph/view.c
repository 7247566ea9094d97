/* Element access through views: what reference kernels stand on. Slow on purpose, and the only place that knows both orders. */
#include "graph/graph.h"

int64_t fari_view_elems(const fari_view *view)
{
    int64_t elems = 1;
    for (int32_t i = 0; i < view->ndim; i++) elems *= view->dim[i];
    return elems;
}

int64_t fari_view_offset(const fari_view *view, const int64_t *idx)
{
    int64_t offset = 0;
    if (view->order == FARI_ROW_MAJOR || view->ndim < 3) {
        for (int32_t i = 0; i < view->ndim; i++) offset = offset * view->dim[i] + idx[i];
        return offset;
    }
    offset = idx[0];
    for (int32_t i = 2; i < view->ndim; i++) offset = offset * view->dim[i] + idx[i];
    return offset * view->dim[1] + idx[1];
}

double fari_view_get_flat(const fari_view *view, int64_t elem)
{
    switch (view->dtype) {
    case FAR_F32: return (double)((const float *)view->data)[elem];
    case FAR_F64: return ((const double *)view->data)[elem];
    case FAR_I32: return (double)((const int32_t *)view->data)[elem];
    case FAR_U8: return (double)((const uint8_t *)view->data)[elem];
    case FAR_DTYPE_COUNT: break;
    }
    FAR_ASSERT(!"dtype");
    return 0.0;
}

void fari_view_set_flat(const fari_view *view, int64_t elem, double value)
{
    switch (view->dtype) {
    case FAR_F32: ((float *)view->data)[elem] = (float)value; return;
    case FAR_F64: ((double *)view->data)[elem] = value; return;
    case FAR_I32: ((int32_t *)view->data)[elem] = (int32_t)value; return;
    case FAR_U8: ((uint8_t *)view->data)[elem] = (uint8_t)value; return;
    case FAR_DTYPE_COUNT: break;
    }
    FAR_ASSERT(!"dtype");
}

double fari_view_get(const fari_view *view, const int64_t *idx)
{
    return fari_view_get_flat(view, fari_view_offset(view, idx));
}

void fari_view_set(const fari_view *view, const int64_t *idx, double value)
{
    fari_view_set_flat(view, fari_view_offset(view, idx), value);
}

bool fari_idx_next(int64_t *idx, const int64_t *dim, int32_t ndim)
{
    for (int32_t i = ndim - 1; i >= 0; i--) {
        if (++idx[i] < dim[i]) return true;
        idx[i] = 0;
    }
    return false;
}
