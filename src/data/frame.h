/* How a sample of any size comes to the size of a batch: which part is read, in which size, and where it lies in the frame. */
#ifndef FARI_DATA_FRAME_H
#define FARI_DATA_FRAME_H
#include <farandole/data.h>

/* A sample's way into its frame. Pixel (y, x) of the frame is pixel (y + this y, x + this x) of the region as read; what has none is padding. */
typedef struct fari_placing {
    far_region region;
    int64_t y, x; /* negative never */
} fari_placing;

/* Options in range. FAR_E_ARG says what is not. Zero fields become their defaults; AS_IS takes the set's own size. */
far_status fari_frame_check(const far_frame *frame, const far_dataset_info *info, far_frame *frame_out);
/* Whether samples of this size can be brought into the frame; FAR_E_ARG where they are larger than FAR_FIT_PAD allows. */
far_status fari_frame_takes(const far_frame *frame, int64_t height, int64_t width);
/* The frame may hold padding. */
bool fari_frame_pads(const far_frame *frame);
/* A region is read straight into the frame's size: nothing to cut, nothing to pad. */
bool fari_frame_is_exact(const far_frame *frame);
/* Of a sample of this size. key names the draws, as in augment.h; `frame` has been checked. */
fari_placing fari_frame_place(const far_frame *frame, uint64_t key, int64_t height, int64_t width);
#endif
