/* Rows of samples as they lie in a batch, made when they are asked for: of images that are larger than memory no batch is ever whole. What is done to
   a sample is a pure function of seed, epoch and sample number, so rows have the bits that they would have in a batch.
   Threads: any number may ask at once; more than `readers` wait for each other. */
#ifndef FARI_DATA_ROW_FEED_H
#define FARI_DATA_ROW_FEED_H
#include <farandole/data.h>

typedef struct fari_row_feed fari_row_feed;

typedef struct fari_row_feed_opts {
    far_augment augment;
    uint64_t seed;
    const int64_t *sample_ids; /* that will be asked for; NULL: all. Read when it is opened */
    int64_t sample_count;      /* of sample_ids */
    int32_t readers;           /* that ask at once */
    int64_t piece_bytes;       /* that are made of a sample at once, as read, where pixels move; 0: the usual */
} fari_row_feed_opts;

/* Whether rows can be made without the rest of a sample. FAR_E_UNSUPPORTED says why not. */
far_status fari_row_feed_check(const far_dataset *dataset, const far_augment *augment);
/* Bytes of memory that it will hold, with what the reader makes for it. */
far_status fari_row_feed_bytes(far_dataset *dataset, const fari_row_feed_opts *opts, int64_t *bytes_out);
/* All memory is taken here. The data set stays borrowed; what opts->augment points to is copied. */
far_status fari_row_feed_open(far_dataset *dataset, const fari_row_feed_opts *opts, fari_row_feed **feed_out);
void fari_row_feed_close(fari_row_feed *feed); /* NULL is allowed */

/* Rows [row_lo, row_hi) of sample `sample` (-1: one that fills up a batch and counts for nothing). A failure names the sample.
   image_out [rows, W, C]; labels_out [rows, W, planes], each label of a map `times` times, or of a class the one label, whatever the rows. */
far_status fari_row_feed_image(fari_row_feed *feed, int64_t epoch, int64_t sample, int64_t row_lo, int64_t row_hi,
                               float *image_out);
far_status fari_row_feed_labels(fari_row_feed *feed, int64_t epoch, int64_t sample, int64_t row_lo, int64_t row_hi,
                                int64_t times, int32_t *labels_out);
#endif
