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
/* Bytes that fari_resize_f32 and _u8 use as `scratch`, 8-byte aligned. Grows with in_width, out_width, channels and width / out_width. */
int64_t fari_resize_scratch_bytes(const fari_resize *resize);
/* No box of a picture of at most these extents, wanted at most out_width wide, takes more. */
int64_t fari_resize_scratch_most(int64_t in_height, int64_t in_width, int64_t channels, int64_t out_width);
/* The rows [first, first + count) of the picture that count for anything in the box. */
void fari_resize_rows(const fari_resize *resize, int64_t *first_out, int64_t *count_out);
void fari_resize_columns(const fari_resize *resize, int64_t *first_out, int64_t *count_out);

/* out: [out_height, out_width, channels]. A box of its own size at whole pixels is copied exactly. */
void fari_resize_f32(const fari_resize *resize, const float *in, void *scratch, float *out);
/* From bytes; gives value / 255. */
void fari_resize_u8(const fari_resize *resize, const uint8_t *in, void *scratch, float *out);

/* The same from rows that come one after the other, as a decoder gives them; no whole picture is needed. */
typedef enum fari_row_type {
    FARI_ROW_U8 = 0,
    FARI_ROW_U16,
    FARI_ROW_F32
} fari_row_type; /* values / 255, / 65535, as they are */
typedef struct fari_row_source {
    far_status (*next)(void *context,
                       void *row_out); /* [in_width, channels]; first that of fari_resize_rows, then each one below */
    void *context;
    fari_row_type type;
} fari_row_source;
int64_t fari_resize_stream_bytes(const fari_resize *resize, fari_row_type type);
/* Pixel (y, x) goes to out + y * row_step + x * pixel_step: turned and mirrored pictures are written in place. */
far_status fari_resize_stream(const fari_resize *resize, const fari_row_source *source, void *scratch, float *out,
                              int64_t row_step, int64_t pixel_step);

/* Labels [height, width, planes] to [out_height, out_width, planes]; the pixel under the middle of each new one. */
void fari_resize_labels(int64_t in_width, int64_t planes, const far_region *region, const int32_t *in, int32_t *out);
/* Which of `in` rows (or columns) is nearest to `idx` of `out`. */
int64_t fari_resize_nearest(int64_t in, int64_t out, int64_t idx);
#endif
