/* Parts of JPEG files, row after row, by libjpeg-turbo. */
#ifndef FARI_DATA_JPEG_H
#define FARI_DATA_JPEG_H
#include "data/picture.h"

typedef struct fari_jpeg fari_jpeg; /* what decoding needs, kept from picture to picture */

far_status fari_jpeg_create(fari_jpeg **jpeg_out);
void fari_jpeg_destroy(fari_jpeg *jpeg); /* NULL is allowed */

/* Memory of ours that begin takes for a picture of CMYK; for others it takes none. */
int64_t fari_jpeg_room(const fari_picture *picture);
far_status fari_jpeg_reserve(fari_jpeg *jpeg, const fari_picture *picture);

/* In the picture reduced to eighths / 8 of its size, rounded up. */
typedef struct fari_jpeg_part {
    int32_t eighths; /* 1, 2, 4 or 8 */
    int32_t row, rows, column, columns;
} fari_jpeg_part;

int32_t fari_jpeg_reduced(int32_t extent, int32_t eighths);
/* Columns are widened to what can be decoded alone: at most fari_jpeg_slack more of them. Pixels are those of the whole picture, bit for bit. */
far_status fari_jpeg_begin(fari_jpeg *jpeg, const fari_picture_file *file, int32_t channels, fari_jpeg_part *part_io);
int32_t fari_jpeg_slack(void);
/* row_out: [columns, channels]. FAR_E_FORMAT: damaged. */
far_status fari_jpeg_next(fari_jpeg *jpeg, uint8_t *row_out);
#endif
