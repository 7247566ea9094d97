/* Makes samples as they lie in a batch: read, brought to size, augmented, checked. */
#ifndef FARI_DATA_MAKER_H
#define FARI_DATA_MAKER_H
#include "data/augment.h"
#include "data/region.h"

typedef struct fari_maker {
    far_dataset *dataset; /* borrowed, as what augment points to */
    far_augment augment;
    fari_augment_sizes sizes;
    uint64_t seed;
    bool is_in_place;                 /* samples are read straight into their place */
    bool wants_whole;                 /* rows cannot be made of a part of a sample */
    int64_t image_elems, label_elems; /* of one sample in a batch: of the rows that are made */
} fari_maker;

/* What one thread needs; NULL where it does not. */
typedef struct fari_maker_scratch {
    float *raw; /* a sample as read */
    int32_t *raw_map;
    fari_region_scratch whole;
} fari_maker_scratch;

/* Bytes of each of them. */
typedef struct fari_maker_needs {
    int64_t raw, raw_map;
    fari_region_needs whole;
} fari_maker_needs;

/* Which rows of a sample are made; count 0: all. wants_whole: all of a sample is to be read all the same. is_on_demand: others will be, too
   (fari_maker_of_rows), so no more than they need is read even where these are all. */
typedef struct fari_maker_rows {
    int64_t first, count;
    bool wants_whole, is_on_demand;
} fari_maker_rows;

far_status fari_maker_init(far_dataset *dataset, const far_augment *augment, uint64_t seed, fari_maker_rows rows,
                           fari_maker *maker_out);
/* The same for other rows, no more of them. */
fari_maker fari_maker_of_rows(const fari_maker *maker, int64_t first, int64_t count);
/* For these samples (NULL: all). FAR_E_ARG where one cannot be brought to size. */
far_status fari_maker_needs_of(const fari_maker *maker, const int64_t *sample_ids, int64_t sample_count,
                               fari_maker_needs *needs_out);
/* A failure names the sample. label_out: NULL without labels. Image or label may be NULL: not wanted; where the set does not read apart, scratch has
   to have raw and raw_map then. */
far_status fari_maker_make(const fari_maker *maker, const fari_maker_scratch *scratch, int64_t epoch, int64_t sample,
                           float *image_out, int32_t *label_out);
/* A sample that counts for nothing. */
void fari_maker_blank(const fari_maker *maker, float *image_out, int32_t *label_out);
#endif
