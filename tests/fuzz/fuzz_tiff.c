/* Any bytes as a TIFF: its header, a region of it, and rows of it as a label map. */
#include "data/tiff_read.h"
#include "fuzz/picture_input.h"

#define COLUMNS_MAX 256

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
    static float out[SIDE_MAX * SIDE_MAX * 4];
    fari_picture_file file;
    if (open_input(data, bytes, FARI_PICTURE_TIFF, &file)) {
        (void)decode_region(&file, out);
        decode_values(&file);
    }
    if (fari_alloc_live() != 0) abort();
    return 0;
}
