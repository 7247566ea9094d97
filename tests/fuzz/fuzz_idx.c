/* Any bytes as an IDX file, plain or gzip. */
#include "base/mem.h"
#include "data/idx.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fari_source *source = NULL;
    fari_idx idx = { 0 };
    if (fari_source_open_memory("fuzz", data, bytes, &source) != FAR_OK) abort();
    if (fari_idx_read(source, &idx) == FAR_OK) {
        int64_t elems = 1;
        for (int32_t axis = 0; axis < idx.ndim; axis++) elems *= idx.dim[axis];
        if (elems != idx.bytes || idx.bytes < 1) abort();
        volatile unsigned sum = 0;
        for (int64_t i = 0; i < idx.bytes; i++) sum += idx.data[i];
        (void)sum;
        fari_free(idx.data);
    } else if (far_error_message()[0] == '\0') {
        abort();
    }
    fari_source_close(source);
    if (fari_alloc_live() != 0) abort();
    return 0;
}
