/* Any bytes as a NumPy archive, of which all arrays that can be found are read. */
#include "base/file.h"
#include "base/mem.h"
#include "data/array.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ELEMS 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char path[64], piece[ELEMS * 8];
    fari_array array;
    const int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data, bytes) != (ssize_t)bytes) abort();
    const int link = snprintf(path, sizeof path, "/proc/self/fd/%d.npz", fd);
    path[link - 4] = '\0'; /* the ending is what array_open_npz is called for */
    array = (fari_array){ .path = fari_strdup(path), .label = fari_strdup(path) };
    if (array.path == NULL || array.label == NULL) abort();
    far_error_clear();
    if (array_open_npz(&array, "a") == FAR_OK) {
        array.elems = 1;
        for (int32_t axis = 0; axis < array.npy.ndim; axis++) array.elems *= array.npy.dim[axis];
        const int64_t count = array.elems < ELEMS ? array.elems : ELEMS;
        if (fari_array_read(&array, array.elems - count, count, piece) == FAR_OK)
            (void)fari_array_read(&array, 0, count, piece);
    } else if (far_error_message()[0] == '\0') {
        abort();
    }
    fari_array_close(&array);
    (void)close(fd);
    if (fari_alloc_live() != 0) abort();
    return 0;
}
