/* Any bytes as an HDF5 file of liquid-argon images. */
#include "fuzz/lartpc_input.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t most, unsigned seed)
{
    return mutate_in_place(data, bytes, most, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    read_lartpc(input_file(data, bytes), "i", "l", 3);
    return 0;
}
