/* What the targets of JPEG, PNG and TIFF share: a picture from any bytes, and a region of it that the last bytes choose. */
#ifndef TESTS_FUZZ_PICTURE_INPUT_H
#define TESTS_FUZZ_PICTURE_INPUT_H
#include "base/mem.h"
#include "data/picture.h"
#include <stdlib.h>
#include <string.h>

#define SIDE_MAX 48

static inline far_status read_input(const void *context, int64_t offset, void *out, size_t bytes)
{
    memcpy(out, (const uint8_t *)context + offset, bytes);
    return FAR_OK;
}

/* False: the header is refused, with words. */
static inline bool open_input(const uint8_t *data, size_t bytes, fari_picture_kind kind, fari_picture_file *file_out)
{
    const fari_head_source source = { read_input, data, (int64_t)bytes, "fuzz" };
    *file_out = (fari_picture_file){ .label = "fuzz", .data = data, .bytes = bytes };
    far_error_clear();
    if (fari_picture_probe(&source, &file_out->picture) == FAR_OK) return file_out->picture.kind == (int8_t)kind;
    if (far_error_message()[0] == '\0') abort();
    return false;
}

static inline int64_t pick(const fari_picture_file *file, size_t from_end, int64_t below)
{
    return below <= 1 ? 0 : (int64_t)(file->data[file->bytes - 1 - from_end] * UINT64_C(257)) % below;
}

/* The number of elements of the region; 0: it is refused. */
static inline int64_t decode_region(const fari_picture_file *file, float out[SIDE_MAX * SIDE_MAX * 4])
{
    fari_decoder *decoder = NULL;
    const int64_t height = fari_picture_height(&file->picture), width = fari_picture_width(&file->picture);
    far_region r = { pick(file, 0, height),       pick(file, 1, width),       0, 0,
                     1 + pick(file, 2, SIDE_MAX), 1 + pick(file, 3, SIDE_MAX) };
    r.height = 1 + pick(file, 4, height - r.y);
    r.width = 1 + pick(file, 5, width - r.x);
    if (fari_decoder_create(&decoder) != FAR_OK) abort();
    far_error_clear();
    const far_status st = fari_decode_region(decoder, file, &r, file->picture.channels, out);
    if (st != FAR_OK && strstr(far_error_message(), "fuzz") == NULL) abort();
    fari_decoder_destroy(decoder);
    return st == FAR_OK ? r.out_height * r.out_width * file->picture.channels : 0;
}

static inline void decode_input(const fari_picture_file *file)
{
    static float out[SIDE_MAX * SIDE_MAX * 4];
    const int64_t elems = decode_region(file, out);
    for (int64_t i = 0; i < elems; i++)
        if (!(out[i] >= 0.0f && out[i] <= 1.00001f)) abort();
}
#endif
