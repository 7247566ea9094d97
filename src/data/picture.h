/* Pictures in files, JPEG, PNG and TIFF: what their headers say, and parts of them decoded row by row, so that no whole picture is ever held.
   Threads: a decoder belongs to one thread at a time; the rest is free. */
#ifndef FARI_DATA_PICTURE_H
#define FARI_DATA_PICTURE_H
#include <farandole/data.h>

typedef enum fari_picture_kind { FARI_PICTURE_JPEG = 0, FARI_PICTURE_PNG, FARI_PICTURE_TIFF } fari_picture_kind;

/* What the header says. A picture has at most 2^30 pixels, a TIFF 2^44. */
typedef struct fari_picture {
    int32_t height, width; /* as stored, before orientation */
    int8_t kind;           /* fari_picture_kind */
    int8_t
        channels; /* 1 grey, 3 colour; of TIFF 1 to 4, whatever they are. Transparency is not counted: it is dropped, as by PIL's convert("RGB") */
    int8_t bits;  /* 1, 2, 4, 8 or 16 a channel; of TIFF also 32 and 64 */
    int8_t orientation; /* EXIF's, 1 to 8; above 4: rows and columns are exchanged when it is looked at */
    bool has_palette;
    bool is_cmyk;
    int64_t coefficients; /* of a progressive JPEG: bytes that libjpeg holds of all its scans */
    bool is_whole;        /* interlaced or progressive: decoding holds all of it */
    /* TIFF: */
    bool is_lossy; /* packed as a JPEG is */
    bool is_float; /* floating point */
    bool
        is_plain_values; /* signed, floating or of more than 16 bits: values count as they are, not as shares of the largest */
    int64_t band_bytes, tile_bytes; /* of tiles side by side over the width, and of one */
} fari_picture;

/* Where a header is read from; `read` gives exactly these bytes or fails. */
typedef struct fari_head_source {
    far_status (*read)(const void *context, int64_t offset, void *out, size_t bytes);
    const void *context;
    int64_t bytes; /* of the file */
    const char *label;
} fari_head_source;

/* FAR_E_FORMAT (neither JPEG nor PNG; damaged; more pixels than its bytes can hold), FAR_E_UNSUPPORTED, FAR_E_IO. Reads no pixels. */
far_status fari_picture_probe(const fari_head_source *source, fari_picture *picture_out);

/* Of the picture as it is looked at. */
int64_t fari_picture_height(const fari_picture *picture);
int64_t fari_picture_width(const fari_picture *picture);

/* --- decoding --- */

typedef struct fari_decoder fari_decoder;

far_status fari_decoder_create(fari_decoder **decoder_out);
void fari_decoder_destroy(fari_decoder *decoder); /* NULL is allowed */

/* A file, in memory where nothing else is said, and what its header said. */
typedef struct fari_picture_file {
    const char *label;
    const uint8_t *data;
    size_t bytes;
    fari_picture picture;
    fari_head_source source; /* of a TIFF, which is not read whole, in place of data; none: it is in data */
    int64_t id;              /* which file it is: one that is read again may have been kept open; 0: not known */
} fari_picture_file;

/* The region, in the picture as it is looked at, antialiased bilinear; [out_height, out_width, channels], channels 1 (grey pictures only) or 3, of a TIFF
   its own or 3 where it has one. Values in [0, 1], but for TIFFs of plain values. JPEG is decoded no larger than needed: cut, and reduced by its transform to 1/2, 1/4 or 1/8 where that is at least twice
   what is wanted. Allocates nothing of ours once a region as large as the largest was decoded. FAR_E_FORMAT: damaged, named. */
far_status fari_decode_region(fari_decoder *decoder, const fari_picture_file *file, const far_region *region,
                              int32_t channels, float *out);
/* What is wanted of a label map: rows from `row` on, columns [column, column + columns). */
typedef struct fari_values_part {
    bool as_colours; /* always 0xRRGGBB */
    int64_t row, column, columns;
} fari_values_part;

/* A label map, PNG or TIFF, as it is stored, one i32 a pixel: whole numbers, indices of the palette, or 0xRRGGBB. Then fari_decode_values_next
   for each row, whose row_out is as wide as the picture (what lies outside of the columns may be left as it was), and _end. */
far_status fari_decode_values(fari_decoder *decoder, const fari_picture_file *file, const fari_values_part *part);
far_status fari_decode_values_next(fari_decoder *decoder, int32_t *row_out);
void fari_decode_values_end(fari_decoder *decoder);

/* So many bytes for regions of pictures up to this one in this size, and making them beforehand: decoding then allocates nothing of ours. */
int64_t fari_decoder_room(const fari_picture *largest, int32_t channels, int64_t out_height, int64_t out_width);
far_status fari_decoder_reserve(fari_decoder *decoder, const fari_picture *largest, int32_t channels,
                                int64_t out_height, int64_t out_width);
/* What label maps in TIFF take beside that; those in PNG share what images take. */
int64_t fari_decoder_values_room(const fari_picture *largest);
far_status fari_decoder_values_reserve(fari_decoder *decoder, const fari_picture *largest);
#endif
