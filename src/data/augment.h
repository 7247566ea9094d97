/* What is done to one sample on its way into a batch. */
#ifndef FARI_DATA_AUGMENT_H
#define FARI_DATA_AUGMENT_H
#include <farandole/data.h>

/* Extents before (in) and after (out) downsampling. */
typedef struct fari_augment_sizes {
    int64_t in_height, in_width, height, width, channels;
    int64_t map_planes; /* label maps of a sample; 0: none */
} fari_augment_sizes;

/* FAR_E_ARG: what the options ask for does not fit the images. */
far_status fari_augment_check(const far_augment *augment, const far_dataset_info *info, fari_augment_sizes *sizes_out);
/* True: nothing moves, so a sample can be read into its place in the batch. */
bool fari_augment_in_place(const far_augment *augment);
/* From the sample as read (scratch, changed) to its place in the batch. `raw` may be `image_out` where fari_augment_in_place; maps likewise.
   key: fari_rng_key(seed, FARI_RNG_AUGMENT, epoch, sample number). */
void fari_augment_apply(const far_augment *augment, const fari_augment_sizes *sizes, uint64_t key, float *raw,
                        int32_t *raw_map, float *image_out, int32_t *map_out);
#endif
