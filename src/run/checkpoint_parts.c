#include "run/checkpoint_parts.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "run/checkpoint_priv.h"
#include "run/safetensors.h"
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static const char *const file_names[FARI_CKPT_FILES] = { FARI_CKPT_MODEL, FARI_CKPT_OPTIMIZER };

static int64_t tensor_bytes(const fari_ckpt_tensor *tensor)
{
    return far_shape_elems(&tensor->shape) * far_dtype_bytes(tensor->dtype);
}

/* Also of a tensor without elements, so that it has a hash. */
static int64_t tensor_pieces(const fari_ckpt_tensor *tensor)
{
    const int64_t bytes = tensor_bytes(tensor);
    return bytes > 0 ? (bytes + FARI_CKPT_PIECE - 1) / FARI_CKPT_PIECE : 1;
}

/* ---- the cut ---- */

/* Head and size of one file, its tensors' pieces behind those there are. */
static far_status cut_file(fari_ckpt_parts *parts, int32_t file)
{
    static const fari_st_meta meta[] = { { "format",
                                           "pt" } }; /* what PyTorch's own writer puts; some readers ask for it */
    const int64_t count = parts->tensor_count[file];
    far_status st = FAR_OK;
    fari_st_tensor *list = fari_calloc((size_t)count, sizeof *list);
    int64_t *at = fari_calloc((size_t)count, sizeof *at);
    if (list == NULL || at == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for the tensors of %s", file_names[file]);
        goto done;
    }
    for (int64_t i = 0; i < count; i++) {
        const fari_ckpt_tensor *tensor = &parts->tensors[file][i];
        list[i] = (fari_st_tensor){ tensor->name, tensor->dtype, tensor->shape, NULL };
    }
    FAR_TRY_GOTO(fari_st_head(list, count, meta, FAR_COUNT(meta), at, &parts->heads[file], &parts->head_bytes[file],
                              &parts->file_bytes[file]),
                 done);
    for (int64_t i = 0; i < count; i++) {
        const int64_t bytes = tensor_bytes(&parts->tensors[file][i]), pieces = tensor_pieces(&parts->tensors[file][i]);
        for (int64_t p = 0; p < pieces; p++) {
            const int64_t first = p * FARI_CKPT_PIECE, left = bytes - first;
            parts->pieces[parts->piece_count++] =
                (fari_ckpt_piece){ file, i, first, left < FARI_CKPT_PIECE ? left : FARI_CKPT_PIECE, at[i] + first };
        }
    }
done:
    fari_free(at);
    fari_free(list);
    return st;
}

int64_t fari_ckpt_parts_first(const fari_ckpt_parts *parts, int32_t rank)
{
    int64_t total = 0, before = 0, p = 0;
    for (int64_t i = 0; i < parts->piece_count; i++) total += parts->pieces[i].bytes;
    if (rank >= parts->world_size) return parts->piece_count;
    const int64_t from = total / parts->world_size * rank + total % parts->world_size * rank / parts->world_size;
    while (rank > 0 && p < parts->piece_count && before < from) before += parts->pieces[p++].bytes;
    return p;
}

static void deal(fari_ckpt_parts *parts)
{
    parts->own_first = fari_ckpt_parts_first(parts, parts->rank);
    parts->own_count = fari_ckpt_parts_first(parts, parts->rank + 1) - parts->own_first;
    for (int64_t p = 0; p < parts->own_count; p++) parts->own_bytes += parts->pieces[parts->own_first + p].bytes;
    for (int32_t r = 0; r < parts->world_size; r++) {
        const int64_t count = fari_ckpt_parts_first(parts, r + 1) - fari_ckpt_parts_first(parts, r);
        if (count > parts->most_count) parts->most_count = count;
    }
}

static far_status copy_lists(fari_ckpt_parts *parts, const fari_ckpt_tensor *const lists[FARI_CKPT_FILES])
{
    int64_t pieces = 0;
    for (int32_t f = 0; f < FARI_CKPT_FILES; f++) {
        const size_t count = (size_t)parts->tensor_count[f];
        parts->tensors[f] = fari_calloc(count + 1, sizeof *parts->tensors[f]);
        if (parts->tensors[f] == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the tensors of a checkpoint");
        if (count > 0) memcpy(parts->tensors[f], lists[f], count * sizeof *lists[f]);
        for (size_t i = 0; i < count; i++) pieces += tensor_pieces(&lists[f][i]);
    }
    parts->pieces = fari_calloc((size_t)pieces + 1, sizeof *parts->pieces);
    return parts->pieces != NULL ? FAR_OK : FAR_FAIL(FAR_E_NOMEM, "no memory for the pieces of a checkpoint");
}

far_status fari_ckpt_parts_create(const fari_ckpt_tensor *model, int64_t model_count, const fari_ckpt_tensor *optimizer,
                                  int64_t optimizer_count, int32_t rank, int32_t world_size,
                                  fari_ckpt_parts **parts_out)
{
    const fari_ckpt_tensor *const lists[] = { model, optimizer };
    far_status st = FAR_OK;
    fari_ckpt_parts *parts = fari_calloc(1, sizeof *parts);
    if (parts == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the pieces of a checkpoint");
    parts->tensor_count[0] = model_count;
    parts->tensor_count[1] = optimizer_count;
    parts->rank = rank;
    parts->world_size = world_size;
    FAR_TRY_GOTO(copy_lists(parts, lists), failed);
    for (int32_t f = 0; f < FARI_CKPT_FILES; f++) FAR_TRY_GOTO(cut_file(parts, f), failed);
    deal(parts);
    *parts_out = parts;
    return FAR_OK;
failed:
    fari_ckpt_parts_destroy(parts);
    return st;
}

void fari_ckpt_parts_destroy(fari_ckpt_parts *parts)
{
    if (parts == NULL) return;
    for (int32_t f = 0; f < FARI_CKPT_FILES; f++) {
        fari_free(parts->tensors[f]);
        fari_free(parts->heads[f]);
    }
    fari_free(parts->pieces);
    fari_free(parts);
}

/* ---- one rank's share ---- */

static const char *piece_data(const fari_ckpt_parts *parts, const fari_ckpt_piece *piece)
{
    return (const char *)parts->tensors[piece->file][piece->tensor].data + piece->first;
}

void fari_ckpt_parts_copy(const fari_ckpt_parts *parts, void *copy_out)
{
    char *to = copy_out;
    for (int64_t p = 0; p < parts->own_count; p++) {
        const fari_ckpt_piece *piece = &parts->pieces[parts->own_first + p];
        if (piece->bytes > 0) memcpy(to, piece_data(parts, piece), (size_t)piece->bytes);
        to += piece->bytes;
    }
}

/* The share of one file: of the first rank also its head. */
static far_status write_file(const fari_ckpt_parts *parts, const char *temporary, int32_t file, const char *copy,
                             char (*hashes_out)[FARI_XXH128_HEX])
{
    int fd = -1;
    bool has_some = parts->rank == 0;
    far_status st = FAR_OK;
    for (int64_t p = 0; p < parts->own_count; p++) has_some |= parts->pieces[parts->own_first + p].file == file;
    if (!has_some) return FAR_OK;
    char *path = fari_path_join(temporary, file_names[file]);
    if (path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to write into %s", temporary);
    FAR_TRY_GOTO(fari_file_create_shared(path, &fd), free_path);
    if (parts->rank == 0)
        FAR_TRY_GOTO(fari_file_write_at(fd, path, 0, parts->heads[file], (size_t)parts->head_bytes[file]), close_file);
    for (int64_t p = 0; p < parts->own_count; p++) {
        const fari_ckpt_piece *piece = &parts->pieces[parts->own_first + p];
        const char *data = copy != NULL ? copy : piece_data(parts, piece);
        if (copy != NULL) copy += piece->bytes;
        if (piece->file != file) continue;
        fari_xxh128_hex(data, (size_t)piece->bytes, hashes_out[p]);
        FAR_TRY_GOTO(fari_file_write_at(fd, path, piece->at, data, (size_t)piece->bytes), close_file);
    }
    st = fari_file_close_synced(fd, path);
    fd = -1;
close_file:
    if (fd >= 0) (void)close(fd); /* the write had failed already */
free_path:
    fari_free(path);
    return st;
}

far_status fari_ckpt_parts_write(const fari_ckpt_parts *parts, const char *folder, int64_t step, const void *copy,
                                 char (*hashes_out)[FARI_XXH128_HEX])
{
    far_status st;
    char *temporary = fari_ckpt_temporary(folder, step);
    if (temporary == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to write checkpoint %" PRId64, step);
    st = fari_folder_make(temporary);
    for (int32_t f = 0; f < FARI_CKPT_FILES && st == FAR_OK; f++)
        st = write_file(parts, temporary, f, copy, hashes_out);
    fari_free(temporary);
    if (st != FAR_OK) return fari_error_prefix(st, "checkpoint %" PRId64 " was not written: ", step);
    return FAR_OK;
}
