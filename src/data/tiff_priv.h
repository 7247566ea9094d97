/* Inside of the TIFF reader: an open file (tiff_file.c) and its rows (tiff_read.c). */
#ifndef FARI_DATA_TIFF_PRIV_H
#define FARI_DATA_TIFF_PRIV_H
#include "data/tiff_read.h"

#define TIFF_PLANES_MAX 8 /* samples a pixel, transparency among them */
#define TIFF_WORDS 200

/* What libtiff reads through, and what it says. Stays where it is while the file is open. */
typedef struct tiff_port {
    fari_head_source source;
    int64_t at;
    far_status st;          /* of reading: worded already */
    char words[TIFF_WORDS]; /* libtiff's first complaint since they were cleared; "" none */
} tiff_port;

typedef enum tiff_sample { TIFF_OF_UINT, TIFF_OF_INT, TIFF_OF_FLOAT } tiff_sample;

typedef struct tiff_layout {
    int64_t height, width;
    int32_t stored;   /* samples a pixel in the file */
    int32_t channels; /* of those, without transparency */
    int32_t bits;     /* 1, 8, 16, 32 or 64 */
    tiff_sample sample;
    bool is_tiled, is_planar;             /* planar: one channel after the other */
    bool is_inverted;                     /* 0 is white */
    bool has_palette, is_lossy, is_plain; /* plain: not compressed */
    int8_t orientation;
    int64_t tile_height, tile_width; /* of strips: their rows, and the picture's width */
    int64_t tile_bytes;              /* decoded, of one plane where planar; of strips: of one row */
} tiff_layout;

/* A TIFF *, opened through `port`. FAR_E_FORMAT and others say what is wrong. */
far_status tiff_file_open(tiff_port *port, const fari_head_source *source, void **tiff_out);
void tiff_file_close(void *tiff); /* NULL is allowed */
/* Checks everything that the rest relies on. */
far_status tiff_layout_of(void *tiff, const tiff_port *port, tiff_layout *layout_out);
/* Bytes of a sample when it is decoded. */
int64_t tiff_sample_bytes(const tiff_layout *l);
#endif
