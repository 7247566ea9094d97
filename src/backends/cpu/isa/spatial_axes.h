/* What the fast spatial kernels share: the pieces' extents as three axes, innermost last, and channels in blocks.
   A 1-D image has its rows on axis 2, a 2-D one on axis 1, a volume on axis 0; the axes before have extent 1. */
#ifndef FARI_CPU_ISA_SPATIAL_AXES_H
#define FARI_CPU_ISA_SPATIAL_AXES_H
#include "backends/cpu/isa/isa.h"
#include "graph/op.h"

typedef struct piece_axes {
    int64_t samples, channels;
    int64_t first[3]; /* of this piece in the whole image */
    int64_t count[3];
} piece_axes;

FARI_INLINE piece_axes piece_axes_of(const fari_view *view)
{
    piece_axes axes = { view->dim[0], view->dim[1], { 0, 0, 0 }, { 1, 1, 1 } };
    const int32_t lead = 5 - view->ndim; /* of our axes, those the image lacks */
    for (int32_t d = lead; d < 3; d++) axes.count[d] = view->dim[d - lead + 2];
    if (lead < 3) axes.first[lead] = view->row0;
    return axes;
}

FARI_INLINE int64_t axes_pixels(const piece_axes *axes)
{
    return axes->count[0] * axes->count[1] * axes->count[2];
}

FARI_INLINE int64_t axes_elems(const piece_axes *axes)
{
    return axes->samples * axes_pixels(axes) * axes->channels;
}

#endif
