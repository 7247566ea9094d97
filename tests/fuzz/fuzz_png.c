/* Any bytes as a PNG file: its header, a region of it, and rows of it as a label map. Half of the mutations have their checksums put right, so that
   more than the checks of checksums is tried. */
#include "fuzz/picture_input.h"
#include <zlib.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t bytes, size_t most); /* of libFuzzer */

static void put_checksums_right(uint8_t *data, size_t bytes)
{
    for (size_t at = 8; at + 12 <= bytes;) {
        const size_t length =
            (size_t)data[at] << 24 | (size_t)data[at + 1] << 16 | (size_t)data[at + 2] << 8 | data[at + 3];
        if (length > bytes - at - 12) return;
        const uLong sum = crc32(0, data + at + 4, (uInt)length + 4);
        for (int i = 0; i < 4; i++) data[at + 8 + length + (size_t)i] = (uint8_t)(sum >> (24 - 8 * i));
        at += 12 + length;
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t most, unsigned seed)
{
    const size_t mutated = LLVMFuzzerMutate(data, bytes, most);
    if (seed % 2 == 0) put_checksums_right(data, mutated);
    return mutated;
}

static void decode_values(const fari_picture_file *file)
{
    fari_decoder *decoder = NULL;
    int32_t *row = malloc((size_t)file->picture.width * sizeof *row);
    if (row == NULL || fari_decoder_create(&decoder) != FAR_OK) abort();
    const fari_values_part part = { pick(file, 6, 2) == 1, pick(file, 0, file->picture.height), 0,
                                    file->picture.width };
    if (fari_decode_values(decoder, file, &part) == FAR_OK) {
        if (fari_decode_values_next(decoder, row) == FAR_OK)
            for (int32_t x = 0; x < file->picture.width; x++)
                if (row[x] < 0 || row[x] > 0xFFFFFF) abort();
        fari_decode_values_end(decoder);
    }
    fari_decoder_destroy(decoder);
    free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fari_picture_file file;
    if (open_input(data, bytes, FARI_PICTURE_PNG, &file)) {
        decode_input(&file);
        decode_values(&file);
    }
    if (fari_alloc_live() != 0) abort();
    return 0;
}
