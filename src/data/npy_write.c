/* Writing NumPy arrays (format 1.0) that grow along their first axis: the header's room is kept, and filled in at the end. */
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include <farandole/picture.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define HEADER_BYTES 256 /* a multiple of 64, as the format asks for; room for any shape */

struct far_npy {
    char *path, *temporary;
    int fd;
    far_npy_type type;
    far_shape item;
    bool is_single;
    int64_t item_bytes, count;
    far_status status; /* of the first write that failed */
};

static const struct {
    const char *name;
    int64_t bytes;
} types[] = { { "|u1", 1 }, { "<i4", 4 }, { "<f4", 4 } };

static far_status write_header(const far_npy *npy)
{
    char header[HEADER_BYTES + 1], shape[160] = "";
    size_t used = 0;
    if (!npy->is_single) used += (size_t)snprintf(shape, sizeof shape, "%" PRId64 ", ", npy->count);
    for (int32_t i = 0; i < npy->item.ndim; i++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%" PRId64 ", ", npy->item.dim[i]);
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)(uint8_t)((HEADER_BYTES - 10) & 0xFF);
    header[9] = (char)(uint8_t)((HEADER_BYTES - 10) >> 8);
    const int length =
        snprintf(header + 10, sizeof header - 10, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
                 types[npy->type].name, shape);
    FAR_ASSERT(length > 0 && length < HEADER_BYTES - 11);
    header[10 + length] = ' ';
    header[HEADER_BYTES - 1] = '\n';
    if (lseek(npy->fd, 0, SEEK_SET) != 0) return FAR_FAIL(FAR_E_IO, "cannot go back to the beginning of %s", npy->path);
    return fari_file_write(npy->fd, npy->temporary, header, HEADER_BYTES);
}

static void npy_free(far_npy *npy)
{
    fari_free(npy->path);
    fari_free(npy->temporary);
    fari_free(npy);
}

far_status far_npy_create(const char *path, far_npy_type type, const far_shape *item, bool is_single, far_npy **npy_out)
{
    far_npy *npy = fari_calloc(1, sizeof *npy);
    if (npy == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to write %s", path);
    npy->fd = -1;
    npy->type = type;
    npy->item = *item;
    npy->is_single = is_single;
    npy->item_bytes = types[type].bytes;
    for (int32_t i = 0; i < item->ndim; i++) npy->item_bytes *= item->dim[i];
    npy->path = fari_strdup(path);
    npy->temporary = fari_printf("%s.tmp%ld", path, (long)getpid());
    far_status st =
        npy->path != NULL && npy->temporary != NULL ? FAR_OK : FAR_FAIL(FAR_E_NOMEM, "no memory to write %s", path);
    if (st == FAR_OK) st = fari_file_create(npy->temporary, &npy->fd);
    if (st == FAR_OK) st = write_header(npy);
    if (st != FAR_OK) {
        if (npy->fd >= 0) {
            (void)close(npy->fd);
            (void)unlink(npy->temporary);
        }
        npy_free(npy);
        return st;
    }
    *npy_out = npy;
    return FAR_OK;
}

far_status far_npy_add(far_npy *npy, const void *items, int64_t count)
{
    if (npy->status == FAR_OK)
        npy->status = fari_file_write(npy->fd, npy->temporary, items, (size_t)(count * npy->item_bytes));
    npy->count += count;
    return npy->status;
}

far_status far_npy_close(far_npy *npy, bool is_kept)
{
    if (npy == NULL) return FAR_OK;
    far_status st = npy->status;
    if (st == FAR_OK && is_kept) st = write_header(npy);
    if (st == FAR_OK && is_kept) st = fari_file_close_synced(npy->fd, npy->temporary);
    else (void)close(npy->fd);
    if (st == FAR_OK && is_kept) st = fari_rename(npy->temporary, npy->path);
    if (st != FAR_OK || !is_kept) (void)unlink(npy->temporary);
    npy_free(npy);
    return st;
}
