/* Sliding windows along one axis: convolution and pooling. Output i reads taps i stride - pad + t dilation, t in [0, kernel). */
#ifndef FARI_OPS_WINDOW_H
#define FARI_OPS_WINDOW_H
#include <stdint.h>

/* Rounded towards minus infinity; b > 0. */
static inline int64_t fari_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static inline int64_t fari_ceil_div(int64_t a, int64_t b)
{
    return -fari_floor_div(-a, b);
}

typedef struct fari_window {
    int64_t kernel, stride, dilation, pad;
    int64_t in_extent, out_extent;
} fari_window;

/* Clips nothing, but makes sure that something is left in [0, extent) once the caller clips: windows may lie in the padding. */
static inline void fari_window_keep_one(int64_t extent, int64_t *lo_io, int64_t *hi_io)
{
    if (*lo_io > extent - 1) *lo_io = extent - 1;
    if (*hi_io < 1) *hi_io = 1;
    if (*hi_io <= *lo_io) *hi_io = *lo_io + 1;
}

/* Input elements that outputs [out_lo, out_hi) read, not clipped. */
static inline void fari_window_rows_in(const fari_window *w, int64_t out_lo, int64_t out_hi, int64_t *lo_out,
                                       int64_t *hi_out)
{
    *lo_out = out_lo * w->stride - w->pad;
    *hi_out = (out_hi - 1) * w->stride - w->pad + (w->kernel - 1) * w->dilation + 1;
    fari_window_keep_one(w->in_extent, lo_out, hi_out);
}

/* Outputs that read any of the inputs [in_lo, in_hi), not clipped. The first is early enough that in_lo + pad - first * stride >= 0:
   a piece of the gradient can then be computed as if it were a whole image with that padding. */
static inline void fari_window_rows_out(const fari_window *w, int64_t in_lo, int64_t in_hi, int64_t *lo_out,
                                        int64_t *hi_out)
{
    const int64_t reach = fari_ceil_div(in_lo + w->pad - (w->kernel - 1) * w->dilation, w->stride);
    const int64_t local = fari_floor_div(in_lo + w->pad, w->stride);
    *lo_out = reach < local ? reach : local;
    *hi_out = fari_floor_div(in_hi - 1 + w->pad, w->stride) + 1;
    fari_window_keep_one(w->out_extent, lo_out, hi_out);
}
#endif
