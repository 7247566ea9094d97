/* A box of a picture in another size. Images: antialiased bilinear, the arithmetic of Pillow's BILINEAR with box= and of torchvision with
   antialias=True, in single precision without rounding to bytes. Labels: the nearest pixel. */
#ifndef FARI_DATA_RESIZE_H
#define FARI_DATA_RESIZE_H
#include <farandole/data.h>

/* What is wanted of a picture [in_height, in_width, channels], dense. The box lies inside it and may begin and end between pixels; pixels
   around it count where the filter reaches over its edge, as in Pillow. */
typedef struct fari_resize {
    int64_t in_height, in_width, channels;
    double y, x, height, width;
    int64_t out_height, out_width;
} fari_resize;

fari_resize fari_resize_of(int64_t in_height, int64_t in_width, int64_t channels, const far_region *region);
/* Bytes that the calls below use as `scratch`, at 4-byte alignment. Grows with in_width, out_width, channels and width / out_width. */
int64_t fari_resize_scratch_bytes(const fari_resize *resize);
/* The rows [first, first + count) of the picture that count for anything in the box. */
void fari_resize_rows(const fari_resize *resize, int64_t *first_out, int64_t *count_out);
void fari_resize_columns(const fari_resize *resize, int64_t *first_out, int64_t *count_out);

/* out: [out_height, out_width, channels]. A box of its own size at whole pixels is copied exactly. */
void fari_resize_f32(const fari_resize *resize, const float *in, void *scratch, float *out);
/* From bytes; gives value / 255. */
void fari_resize_u8(const fari_resize *resize, const uint8_t *in, void *scratch, float *out);
/* Labels [height, width, planes] to [out_height, out_width, planes]; the pixel under the middle of each new one. */
void fari_resize_labels(int64_t in_width, int64_t planes, const far_region *region, const int32_t *in, int32_t *out);
/* Which of `in` rows (or columns) is nearest to `idx` of `out`. */
int64_t fari_resize_nearest(int64_t in, int64_t out, int64_t idx);
#endif
