/* Rows of TIFF files, plain and Big, by libtiff: tiles are decoded as rows come to need them, a band of them at a time, and nothing else of the
   picture is held. In a build without libtiff everything here fails with FAR_E_UNSUPPORTED and says what to install. */
#ifndef FARI_DATA_TIFF_READ_H
#define FARI_DATA_TIFF_READ_H
#include "data/picture.h"
#include "data/resize.h"

typedef struct fari_tiff_reader fari_tiff_reader;

typedef enum fari_tiff_form {
    FARI_TIFF_ROWS, /* [columns, channels] of fari_tiff_row_type */
    FARI_TIFF_VALUES, /* [columns] i32 as stored: whole numbers, indices of a palette, or 0xRRGGBB (16 bits: the upper 8) */
    FARI_TIFF_COLOURS /* [columns] i32: 0xRRGGBB, also of palettes and grey */
} fari_tiff_form;

/* What of a picture is read. */
typedef struct fari_tiff_part {
    int64_t row, column, columns;
} fari_tiff_part;

/* Whether a file begins as a TIFF does; 4 bytes. */
bool fari_tiff_is_marked(const uint8_t *data);
/* As fari_picture_probe, of the first page. Reads no pixels. */
far_status fari_tiff_probe(const fari_head_source *source, fari_picture *picture_out);
/* Of pictures whose samples are shares of the largest, bytes or 16-bit words; of others floats, as they are. */
fari_row_type fari_tiff_row_type(const fari_picture *picture);

far_status fari_tiff_create(fari_tiff_reader **reader_out);
void fari_tiff_destroy(fari_tiff_reader *reader); /* NULL is allowed */
/* Memory of ours that reading takes for a picture like this: a band of tiles over its width, and one tile. */
int64_t fari_tiff_room(const fari_picture *picture);
far_status fari_tiff_reserve(fari_tiff_reader *reader, const fari_picture *picture);

/* Rows from part->row on. The file stays open, and the band decoded, for the next time that `file->id` is the same and not 0.
   channels: those of the picture, or 3 where it has one. */
far_status fari_tiff_begin(fari_tiff_reader *reader, const fari_picture_file *file, fari_tiff_form form,
                           int32_t channels, const fari_tiff_part *part);
/* FAR_E_FORMAT: names the tile or strip that is damaged, or lies beyond the file's end. */
far_status fari_tiff_next(fari_tiff_reader *reader, void *row_out);
/* How many tiles or strips' rows were decoded since the reader was made: for tests of what is read. */
int64_t fari_tiff_decoded(const fari_tiff_reader *reader);
#endif
