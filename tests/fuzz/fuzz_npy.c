/* Any bytes as the header of a NumPy array. */
#include "data/npy.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fari_npy npy;
    if (fari_npy_parse("fuzz", (const char *)data, bytes, (int64_t)bytes, &npy) == FAR_OK) {
        int64_t need = npy.first_byte, elems = npy.elem_bytes;
        for (int32_t axis = 0; axis < npy.ndim; axis++) elems *= npy.dim[axis];
        need += elems;
        if (npy.ndim < 1 || npy.ndim > FARI_NPY_AXES || need != (int64_t)bytes) abort();
    } else if (far_error_message()[0] == '\0') {
        abort();
    }
    return 0;
}
