/* Any bytes as a TIFF: its header, a region of it, and rows of it as a label map. */
#include "data/tiff_read.h"
#include "fuzz/picture_input.h"

#define COLUMNS_MAX 256

static void decode_region(const fari_picture_file *file)
{
    static float out[SIDE_MAX * SIDE_MAX * 4];
    fari_decoder *decoder = NULL;
    const int64_t height = fari_picture_height(&file->picture), width = fari_picture_width(&file->picture);
    far_region r = { pick(file, 0, height),       pick(file, 1, width),       0, 0,
                     1 + pick(file, 2, SIDE_MAX), 1 + pick(file, 3, SIDE_MAX) };
    r.height = 1 + pick(file, 4, height - r.y);
    r.width = 1 + pick(file, 5, width - r.x);
    if (fari_decoder_create(&decoder) != FAR_OK) abort();
    far_error_clear();
    const far_status st = fari_decode_region(decoder, file, &r, file->picture.channels, out);
    if (st != FAR_OK && far_error_message()[0] == '\0') abort();
    fari_decoder_destroy(decoder);
}

static void decode_values(const fari_picture_file *file)
{
    int32_t row[COLUMNS_MAX];
    fari_tiff_reader *reader = NULL;
    const int64_t left = pick(file, 5, file->picture.width), most = file->picture.width - left;
    const fari_tiff_part part = { pick(file, 0, file->picture.height), left, most < COLUMNS_MAX ? most : COLUMNS_MAX };
    const fari_tiff_form form = pick(file, 6, 2) == 1 ? FARI_TIFF_COLOURS : FARI_TIFF_VALUES;
    if (fari_tiff_create(&reader) != FAR_OK) abort();
    if (fari_tiff_begin(reader, file, form, 1, &part) == FAR_OK)
        for (int64_t y = part.row; y < file->picture.height && y < part.row + 3; y++)
            if (fari_tiff_next(reader, row) != FAR_OK) break;
    fari_tiff_destroy(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fari_picture_file file;
    if (open_input(data, bytes, FARI_PICTURE_TIFF, &file)) {
        decode_region(&file);
        decode_values(&file);
    }
    if (fari_alloc_live() != 0) abort();
    return 0;
}
