/* Writing pictures as PNG. Equal pixels give equal bytes (with one version of libspng and zlib): no times, no names of programs. */
#ifndef FARI_BASE_PNG_H
#define FARI_BASE_PNG_H
#include <farandole/status.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fari_png {
    const uint8_t *pixels; /* [height, width, channels], dense */
    int64_t height, width;
    int32_t channels;            /* 1: grey, or indices where there is a palette; 3: RGB */
    const uint8_t (*palette)[3]; /* NULL: none. Each index has to be below palette_count, at most 256. */
    int32_t palette_count;
} fari_png;

/* *data_out is allocated: fari_free. FAR_E_ARG (extents below 1 or too large, channels, an index without a colour), FAR_E_NOMEM. */
far_status fari_png_encode(const fari_png *png, uint8_t **data_out, size_t *bytes_out);
/* Writes the file as fari_file_write_atomic does. As above; FAR_E_NOTFOUND (no such folder), FAR_E_IO. */
far_status fari_png_write(const char *path, const fari_png *png);
#endif
