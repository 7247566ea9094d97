/* Labels of a block of pixels. */
#ifndef FARI_CPU_ISA_PIXEL_LABELS_H
#define FARI_CPU_ISA_PIXEL_LABELS_H
#include "backends/cpu/isa/blocks.h"
#include "ops/labels.h"

#define LABEL_NONE (-1) /* an ignored pixel, or no pixel */

static inline int64_t label_of(const fari_view *labels, int64_t pixel)
{
    return labels->dtype == FAR_U8 ? ((const uint8_t *)labels->data)[pixel] : ((const int32_t *)labels->data)[pixel];
}

/* Labels of pixels [pixel, pixel + n) of input 1; the block's others are LABEL_NONE. Fails on a label outside [0, classes). */
static inline far_status labels_read(const fari_call *call, int64_t pixel, int64_t n, int64_t classes, int32_t ignore,
                                     int32_t label[BLOCK])
{
    const fari_view *labels = &call->in[1];
    int32_t lowest = 0, highest = 0;
    if (labels->dtype == FAR_U8)
        for (int64_t j = 0; j < n; j++) label[j] = ((const uint8_t *)labels->data)[pixel + j];
    else
        for (int64_t j = 0; j < n; j++) label[j] = ((const int32_t *)labels->data)[pixel + j];
    for (int64_t j = n; j < BLOCK; j++) label[j] = ignore;
    for (int j = 0; j < BLOCK; j++) {
        const int32_t checked = label[j] == ignore ? 0 : label[j];
        lowest = checked < lowest ? checked : lowest;
        highest = checked > highest ? checked : highest;
        label[j] = label[j] == ignore ? LABEL_NONE : label[j];
    }
    if (lowest < 0) return fari_label_error(call, lowest, classes);
    if (highest >= classes) return fari_label_error(call, highest, classes);
    return FAR_OK;
}

/* Pixels of the logits' piece. */
static inline int64_t label_pixels(const fari_view *logits)
{
    return fari_view_elems(logits) / logits->dim[1];
}
#endif
