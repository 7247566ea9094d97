/* Rows of PNG files, by libspng. */
#ifndef FARI_DATA_PNG_READ_H
#define FARI_DATA_PNG_READ_H
#include "data/picture.h"

typedef struct fari_png_reader fari_png_reader;

typedef enum fari_png_form {
    FARI_PNG_U8, /* [width, channels] bytes; fewer bits are stretched to 0..255, palettes looked up, transparency dropped */
    FARI_PNG_U16,    /* [width, channels], for pictures of 16 bits */
    FARI_PNG_VALUES, /* [width] i32: grey values as stored, indices of the palette, or 0xRRGGBB (16 bits: the upper 8) */
    FARI_PNG_COLOURS /* [width] i32: 0xRRGGBB, also of palettes and grey */
} fari_png_form;

far_status fari_png_create(fari_png_reader **reader_out);
void fari_png_destroy(fari_png_reader *reader); /* NULL is allowed */
/* Memory of ours that begin would take for this picture. */
int64_t fari_png_room(const fari_picture *picture);
far_status fari_png_reserve(fari_png_reader *reader, const fari_picture *picture);

/* Rows from `first` on; `channels` 1 (grey pictures only) or 3, for values and colours without meaning. */
far_status fari_png_begin(fari_png_reader *reader, const fari_picture_file *file, fari_png_form form, int32_t channels,
                          int64_t first);
far_status fari_png_next(fari_png_reader *reader, void *row_out);
void fari_png_end(fari_png_reader *reader);
#endif
