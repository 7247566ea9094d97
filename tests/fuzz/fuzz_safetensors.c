/* Any bytes as a safetensors file: opened or refused, and what is opened can be read. */
#include "base/mem.h"
#include "run/safetensors.h"
#include <farandole/status.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fari_st_file *file = NULL;
    if (fari_st_open_memory("fuzz", data, bytes, &file) == FAR_OK) {
        for (int64_t i = 0; i < fari_st_count(file); i++) {
            const fari_st_info *info = fari_st_at(file, i);
            if (fari_st_find(file, info->name) != i) abort();
            if (info->elems > (int64_t)bytes) abort(); /* an element has at least one byte */
            double *values = fari_calloc((size_t)info->elems, sizeof *values);
            if (values != NULL && fari_st_read(file, i, 0, info->elems, FAR_F64, values) != FAR_OK) abort();
            if (values != NULL) (void)fari_st_read(file, i, 0, info->elems, FAR_I32, values); /* may not fit */
            fari_free(values);
        }
        (void)fari_st_metadata(file, "format");
        fari_st_close(file);
    } else if (file != NULL || far_error_message()[0] == '\0') {
        abort();
    }
    if (fari_alloc_live() != 0) abort();
    return 0;
}
