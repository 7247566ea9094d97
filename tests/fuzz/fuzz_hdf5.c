/* Any bytes as an HDF5 file of liquid-argon images. Mutations mostly keep the places of things: a file says where everything lies, so that one byte more
   or less is a file of nothing. */
#include "fuzz/lartpc_input.h"

#define EDITS 3
#define NEAR 8 /* bytes: of the file's description; what lies farther from anything is unused room */

size_t LLVMFuzzerMutate(uint8_t *data, size_t bytes, size_t most); /* of libFuzzer */

static bool is_used(const uint8_t *data, size_t bytes, size_t at)
{
    for (size_t i = at > NEAR ? at - NEAR : 0; i < bytes && i < at + NEAR; i++)
        if (data[i] != 0) return true;
    return false;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t most, unsigned seed)
{
    uint64_t random = seed;
    if (seed % 8 == 0 || bytes == 0) return LLVMFuzzerMutate(data, bytes, most);
    const int edits = 1 + (int)(seed / 8 % EDITS);
    for (int i = 0; i < edits; i++) {
        size_t at = 0;
        for (int tries = 0; tries < 100; tries++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            at = (size_t)(random >> 33) % bytes;
            if (is_used(data, bytes, at)) break;
        }
        const size_t piece = bytes - at < 8 ? bytes - at : 8;
        (void)LLVMFuzzerMutate(data + at, random >> 20 & 1 ? 1 : piece, random >> 20 & 1 ? 1 : piece);
    }
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    read_lartpc(input_file(data, bytes), "i", "l", 3);
    return 0;
}
