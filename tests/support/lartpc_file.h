/* A small file of liquid-argon images for tests, and ways to spoil it. */
#ifndef FAR_TESTS_LARTPC_FILE_H
#define FAR_TESTS_LARTPC_FILE_H
#include "data/lartpc.h"

#define LARTPC_HEIGHT 5
#define LARTPC_WIDTH 7
#define LARTPC_PIXELS (LARTPC_HEIGHT * LARTPC_WIDTH)
#define LARTPC_IMAGE "/Data/sparse2d_sbndwire_group"
#define LARTPC_LABEL "/Data/sparse2d_sbnd_cosmicseg_group"

/* Two events of three planes: 4, 0, 1 and 1, 4, all 35 pixels. */
void lartpc_put(const char *path);
/* What such a file must give: image and label of event `idx`, [y][x][plane]. */
void lartpc_want(int64_t idx, float *image_out, int32_t *label_out);

/* Sets a field in one row of a table; where the field is an array, all of its elements. */
void lartpc_poke(const char *path, const char *table, int64_t row, const char *field, double value);
void lartpc_remove(const char *path, const char *name);
/* Copies a table's rows into a new file or under a new layout: see the C file. */
typedef struct lartpc_style {
    bool is_reversed;      /* fields in the other order, with gaps between them and one more in front */
    bool is_big_endian;    /* and other sizes of numbers: i64 ids, f64 values */
    bool is_signed;        /* little-endian i64 */
    int64_t chunk;         /* rows; 0: one block */
    int32_t deflate;       /* level; 0: none */
    bool shuffle, checked; /* filters */
} lartpc_style;
/* Writes all tables of `from` into `to` in another style. */
void lartpc_restyle(const char *from, const char *to, const lartpc_style *style);
/* Makes `name` a data set of other kind: "floats" (no records), "plane" (two axes), "elsewhere" (data in another file), "void" (claims 2^50 rows),
   "wide" (records of a MiB). */
void lartpc_replace(const char *path, const char *name, const char *kind);
/* Turns one byte in the middle of the first chunk of a table. */
void lartpc_flip_chunk(const char *path, const char *table);
#endif
