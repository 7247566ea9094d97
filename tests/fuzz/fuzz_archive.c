/* Any bytes as an archive: indexed, and every member read. */
#include "base/mem.h"
#include "data/files.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fari_files *files = NULL;
    volatile unsigned sum = 0;
    far_error_clear();
    if (fari_files_open_memory("fuzz", data, bytes, &files) == FAR_OK) {
        for (int64_t i = 0; i < fari_files_count(files); i++) {
            const uint8_t *member = NULL;
            if (i > 0 && strcmp(fari_files_name(files, i - 1), fari_files_name(files, i)) >= 0) abort();
            if (fari_files_find(files, fari_files_name(files, i)) != i) abort();
            if (fari_files_room(files, i) != 0 || fari_files_get(files, i, NULL, &member) != FAR_OK) abort();
            for (int64_t k = 0; k < fari_files_bytes(files, i); k++) sum += member[k];
        }
        fari_files_close(files);
    } else if (far_error_message()[0] == '\0') {
        abort();
    }
    (void)sum;
    if (fari_alloc_live() != 0) abort();
    return 0;
}
