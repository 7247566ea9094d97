/* What is done to one sample on its way into a batch. */
#ifndef FARI_DATA_AUGMENT_H
#define FARI_DATA_AUGMENT_H
#include "data/frame.h"

/* Extents of every sample in a batch: those of the frame, halved. */
typedef struct fari_augment_sizes {
    int64_t height, width, channels;
    int64_t map_planes;           /* label maps of a sample; 0: none */
    far_frame frame;              /* checked */
    int64_t row_first, row_count; /* the rows that are made, of `height` */
} fari_augment_sizes;

/* A sample as read, in memory that may be changed. */
typedef struct fari_raw {
    float *image;
    int32_t *map; /* NULL without label maps */
    int64_t height, width;
    int64_t y, x;                /* where in it the frame begins: fari_placing */
    int64_t first, whole_height; /* of which it has rows [first, first + height); whole_height 0: all of them */
} fari_raw;

/* FAR_E_ARG: what the options ask for does not fit the images. */
far_status fari_augment_check(const far_augment *augment, const far_dataset_info *info, fari_augment_sizes *sizes_out);
/* Which rows of a sample as read, placed so, the rows that are made come from; whole_height: of the sample as read. At least one. */
void fari_augment_rows(const far_augment *augment, const fari_augment_sizes *sizes, uint64_t key, int64_t y,
                       int64_t whole_height, int64_t *first_out, int64_t *count_out);
/* True: making some rows takes all of a sample. */
bool fari_augment_wants_whole(const far_augment *augment);
/* True: nothing moves, so a sample can be read into its place in the batch. */
bool fari_augment_in_place(const far_augment *augment);
/* Blocks of 2^halvings x 2^halvings labels of a map [height, width, planes] become their maximum, in place. */
void fari_augment_downsample_map(int64_t height, int64_t width, int64_t planes, int32_t halvings, int32_t *map);
/* From the sample as read to its place in the batch, which is that of the rows that are made. as_read->image is `image_out` where it was read
   straight into its place, which fari_augment_in_place allows; maps likewise. Image or map may be NULL, as read and out: not wanted.
   key: fari_rng_key(seed, FARI_RNG_AUGMENT, epoch, sample number). */
void fari_augment_apply(const far_augment *augment, const fari_augment_sizes *sizes, uint64_t key,
                        const fari_raw *as_read, float *image_out, int32_t *map_out);
#endif
