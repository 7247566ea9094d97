/* What reference kernels of spatial ops share: a view seen as N, C and three spatial axes, read and written in double.
   Missing axes have extent 1. Fast kernels use none of this. */
#ifndef FARI_OPS_SPATIAL_H
#define FARI_OPS_SPATIAL_H
#include "base/status.h"
#include "graph/graph.h"

typedef struct fari_volume {
    void *data;
    far_dtype dtype;
    int64_t samples, channels, extent[3];
    int64_t stride_n, stride_c, stride[3]; /* in elements */
    int64_t row0;                          /* of axis 0 in the whole tensor */
} fari_volume;

static inline fari_volume fari_volume_of(const fari_view *view)
{
    fari_volume vol = { .data = view->data,
                        .dtype = view->dtype,
                        .samples = view->dim[0],
                        .channels = view->dim[1],
                        .extent = { 1, 1, 1 },
                        .row0 = view->ndim > 2 ? view->row0 : 0 };
    int64_t run = view->order == FARI_CHANNELS_LAST ? vol.channels : 1;
    for (int32_t d = view->ndim - 3; d >= 0; d--) {
        vol.extent[d] = view->dim[d + 2];
        vol.stride[d] = run;
        run *= vol.extent[d];
    }
    vol.stride_c = view->order == FARI_CHANNELS_LAST ? 1 : run;
    vol.stride_n = view->order == FARI_CHANNELS_LAST ? run : run * vol.channels;
    return vol;
}

/* Indices are relative to the piece. */
static inline int64_t fari_volume_at(const fari_volume *vol, int64_t n, int64_t c, const int64_t pos[3])
{
    return n * vol->stride_n + c * vol->stride_c + pos[0] * vol->stride[0] + pos[1] * vol->stride[1] +
           pos[2] * vol->stride[2];
}

static inline double fari_volume_get(const fari_volume *vol, int64_t elem)
{
    switch (vol->dtype) {
    case FAR_F32: return (double)((const float *)vol->data)[elem];
    case FAR_F64: return ((const double *)vol->data)[elem];
    case FAR_I32: return (double)((const int32_t *)vol->data)[elem];
    case FAR_U8: return (double)((const uint8_t *)vol->data)[elem];
    default: FAR_ASSERT(!"element type"); return 0.0;
    }
}

static inline void fari_volume_set(const fari_volume *vol, int64_t elem, double value)
{
    switch (vol->dtype) {
    case FAR_F32: ((float *)vol->data)[elem] = (float)value; break;
    case FAR_F64: ((double *)vol->data)[elem] = value; break;
    case FAR_I32: ((int32_t *)vol->data)[elem] = (int32_t)value; break;
    case FAR_U8: ((uint8_t *)vol->data)[elem] = (uint8_t)value; break;
    default: FAR_ASSERT(!"element type");
    }
}

/* Steps pos over lo[] <= pos < hi[] in row-major order; false after the last. Start from lo. */
static inline bool fari_pos_next(int64_t pos[3], const int64_t lo[3], const int64_t hi[3])
{
    for (int d = 2; d >= 0; d--) {
        if (++pos[d] < hi[d]) return true;
        pos[d] = lo[d];
    }
    return false;
}

/* Bytes of all operands of a call. */
static inline double fari_call_bytes(const fari_call *call)
{
    double bytes = 0.0;
    for (int32_t i = 0; i < call->in_count; i++)
        bytes += (double)(fari_view_elems(&call->in[i]) * far_dtype_bytes(call->in[i].dtype));
    for (int32_t i = 0; i < call->out_count; i++)
        bytes += (double)(fari_view_elems(&call->out[i]) * far_dtype_bytes(call->out[i].dtype));
    return bytes;
}
#endif
