/* What readers share; the public side is <farandole/data.h>. */
#ifndef FARI_DATA_DATASET_H
#define FARI_DATA_DATASET_H
#include <farandole/data.h>

#define FARI_TOLD_MAX 20

struct far_dataset {
    far_dataset_ops ops;
    void *context;         /* owned */
    far_dataset_info info; /* label maps have at least one plane */
    int64_t window_elems;  /* 0: the usual; see fari_dataset_window_rows */
    _Atomic int32_t told_count;
    _Atomic int64_t told[FARI_TOLD_MAX]; /* samples that could not be read, plus 1 */
};

/* Whether to tell that this sample cannot be read: each once, however often it is met, and no more than FARI_TOLD_MAX. Any thread. */
bool fari_dataset_tells(far_dataset *dataset, int64_t sample);

/* Label maps of a sample; 0 where labels are no maps. */
int64_t fari_label_planes(const far_dataset_info *info);
/* Labels of one sample of this size. */
int64_t fari_label_elems(const far_dataset_info *info, int64_t height, int64_t width);

/* So many rows of an image, a multiple of `multiple` but for the last ones, are read at once where something is counted over all of its pixels: all
   of them, or of images so large that they may not fit into memory, some. */
int64_t fari_dataset_window_rows(const far_dataset *dataset, int64_t multiple);
/* A window of that many rows over a sample's whole width, in its own size. Allocates nothing of ours. */
far_status fari_dataset_read_window(far_dataset *dataset, int64_t sample, const far_region *window, float *image_out,
                                    int32_t *label_out);

/* Reading a sample is work beyond copying: its reader cuts or resizes, or samples have sizes of their own. */
bool fari_dataset_decodes(const far_dataset *dataset);

/* A failure that is the fault of one file, not what every sample would meet. */
bool fari_is_damage(far_status st);

typedef struct fari_moments_opts {
    bool log1p;        /* of log(1 + x) */
    bool skips_damage; /* samples that cannot be read count for nothing */
} fari_moments_opts;
/* far_dataset_moments, with options. */
far_status fari_dataset_moments(far_dataset *dataset, const int64_t *sample_ids, int64_t count,
                                const fari_moments_opts *opts, double *mean_out, double *std_out);

/* far_dataset_count_labels; of maps whose blocks of 2^halvings x 2^halvings become their maximum, as downsampling makes them. */
far_status fari_label_counts(far_dataset *dataset, const int64_t *sample_ids, int64_t count, int32_t halvings,
                             bool skips_damage, int64_t *counts_out, int64_t *among_out);

/* far_loader_bytes, with the reason why a loader cannot be opened. */
far_status fari_loader_bytes(far_dataset *dataset, const far_loader_opts *opts, int64_t *bytes_out);

/* FAR_E_FORMAT: more samples of an epoch could not be read than may be left out. */
far_status fari_loader_may_skip(int64_t skipped, int64_t samples);

/* Pixels of 0..255 as floats: x / 255 in single precision, the division that torchvision's ToTensor does. */
void fari_pixel_table(float table_out[256]);
/* Many of them: divided by vectors, which is quicker than looking them up. The same numbers. */
void fari_pixels_of(const uint8_t *pixels, int64_t count, float *restrict out);

/* Labels in [0, class_count): otherwise FAR_E_FORMAT names file, sample and label. class_count 0 becomes the largest label plus one. */
far_status fari_label_range(const char *path, int32_t least, int32_t largest, int32_t *class_count_io);
#endif
