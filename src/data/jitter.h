/* Random changes of colour, the formulas of torchvision's ColorJitter on floating-point images. */
#ifndef FARI_DATA_JITTER_H
#define FARI_DATA_JITTER_H
#include <farandole/data.h>

/* FAR_E_ARG: ranges, or images that are neither grey nor RGB. */
far_status fari_jitter_check(const far_augment *augment, int64_t channels);
bool fari_jitter_is_on(const far_augment *augment);
/* Changes `pixels` pixels of 1 or 3 channels in [0, 1], in place. key: as in augment.h. */
void fari_jitter_apply(const far_augment *augment, uint64_t key, int64_t channels, int64_t pixels, float *image);

/* The four changes by themselves. */
void fari_jitter_brightness(double factor, int64_t channels, int64_t pixels, float *image);
void fari_jitter_contrast(double factor, int64_t channels, int64_t pixels, float *image);
void fari_jitter_saturation(double factor, int64_t channels, int64_t pixels, float *image);
void fari_jitter_hue(double turns, int64_t channels, int64_t pixels, float *image);
#endif
