/* Any bytes as a JPEG file: its header, and a region of it. */
#include "fuzz/picture_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fari_picture_file file;
    if (open_input(data, bytes, FARI_PICTURE_JPEG, &file)) decode_input(&file);
    if (fari_alloc_live() != 0) abort();
    return 0;
}
