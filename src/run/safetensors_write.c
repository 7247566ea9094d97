#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"
#include "run/safetensors.h"
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static const char *const names[FAR_DTYPE_COUNT] = {
    [FAR_F32] = "F32",
    [FAR_F64] = "F64",
    [FAR_I32] = "I32",
    [FAR_U8] = "U8",
};

static int64_t tensor_bytes(const fari_st_tensor *tensor)
{
    return far_shape_elems(&tensor->shape) * far_dtype_bytes(tensor->dtype);
}

/* Calls for each tensor in the order of the file: by width of element, then as given. */
#define FOR_EACH_PLACED(i, tensors, count)            \
    for (int64_t width_ = 8; width_ > 0; width_ /= 2) \
        for (int64_t i = 0; i < (count); i++)         \
            if (far_dtype_bytes((tensors)[i].dtype) == width_)

static void add_entry(fari_text *text, const fari_st_tensor *tensor, int64_t offset)
{
    fari_text_json(text, tensor->name);
    fari_text_add(text, ":{\"dtype\":\"%s\",\"shape\":[", names[tensor->dtype]);
    for (int32_t axis = 0; axis < tensor->shape.ndim; axis++)
        fari_text_add(text, "%s%" PRId64, axis > 0 ? "," : "", tensor->shape.dim[axis]);
    fari_text_add(text, "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}", offset, offset + tensor_bytes(tensor));
}

far_status fari_st_head(const fari_st_tensor *tensors, int64_t count, const fari_st_meta *meta, int64_t meta_count,
                        int64_t *offsets_out, char **head_out, int64_t *head_bytes_out, int64_t *file_bytes_out)
{
    fari_text text = { 0 };
    int64_t offset = 0;
    const char *comma = "";
    fari_text_put(&text, "01234567{", 9); /* the length comes last */
    if (meta_count > 0) {
        fari_text_add(&text, "\"__metadata__\":{");
        for (int64_t i = 0; i < meta_count; i++) {
            if (i > 0) fari_text_add(&text, ",");
            fari_text_json(&text, meta[i].key);
            fari_text_add(&text, ":");
            fari_text_json(&text, meta[i].value);
        }
        fari_text_add(&text, "}");
        comma = ",";
    }
    FOR_EACH_PLACED(i, tensors, count)
    {
        fari_text_add(&text, "%s", comma);
        comma = ",";
        add_entry(&text, &tensors[i], offset);
        if (offsets_out != NULL) offsets_out[i] = offset;
        offset += tensor_bytes(&tensors[i]);
    }
    fari_text_add(&text, "}");
    while (!text.failed && text.bytes % 8 != 0) fari_text_put(&text, " ", 1);
    if (text.failed) {
        fari_text_free(&text);
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the header of a safetensors file");
    }
    if (text.bytes - 8 > FARI_ST_HEADER_MAX) {
        fari_text_free(&text);
        return FAR_FAIL(FAR_E_UNSUPPORTED,
                        "too many tensors for one safetensors file: a header of more than %" PRId64 " bytes",
                        FARI_ST_HEADER_MAX);
    }
    for (int i = 0; i < 8; i++) text.data[i] = (char)((uint64_t)(text.bytes - 8) >> (8 * i) & 255);
    for (int64_t i = 0; offsets_out != NULL && i < count; i++) offsets_out[i] += text.bytes;
    *head_out = text.data;
    *head_bytes_out = text.bytes;
    *file_bytes_out = text.bytes + offset;
    return FAR_OK;
}

static far_status write_part(int fd, const char *path, fari_xxh128 *xxh, const void *data, int64_t bytes)
{
    if (xxh != NULL) fari_xxh128_add(xxh, data, (size_t)bytes);
    return fari_file_write(fd, path, data, (size_t)bytes);
}

far_status fari_st_write(const char *path, const fari_st_tensor *tensors, int64_t count, const fari_st_meta *meta,
                         int64_t meta_count, int64_t *file_bytes_out, char *xxh128_hex_out)
{
    char *head = NULL;
    int64_t head_bytes, file_bytes;
    int fd = -1;
    far_status st;
    fari_xxh128 *xxh = NULL;
    FAR_TRY(fari_st_head(tensors, count, meta, meta_count, NULL, &head, &head_bytes, &file_bytes));
    if (xxh128_hex_out != NULL && (xxh = fari_xxh128_create()) == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to write %s", path);
        goto free_head;
    }
    FAR_TRY_GOTO(fari_file_create(path, &fd), free_head);
    FAR_TRY_GOTO(write_part(fd, path, xxh, head, head_bytes), close_file);
    FOR_EACH_PLACED(i, tensors, count)
    {
        FAR_TRY_GOTO(write_part(fd, path, xxh, tensors[i].data, tensor_bytes(&tensors[i])), close_file);
    }
    st = fari_file_close_synced(fd, path);
    fd = -1;
    if (st != FAR_OK) goto close_file;
    if (xxh != NULL) fari_xxh128_end(xxh, xxh128_hex_out);
    if (file_bytes_out != NULL) *file_bytes_out = file_bytes;
close_file:
    if (fd >= 0) (void)close(fd); /* the write had failed already */
free_head:
    fari_xxh128_destroy(xxh);
    fari_free(head);
    return st;
}

far_status fari_st_write_atomic(const char *path, const fari_st_tensor *tensors, int64_t count,
                                const fari_st_meta *meta, int64_t meta_count)
{
    char *temporary = fari_printf("%s.tmp-%ld", path, (long)getpid());
    if (temporary == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to write %s", path);
    far_status st = fari_st_write(temporary, tensors, count, meta, meta_count, NULL, NULL);
    if (st == FAR_OK) st = fari_rename(temporary, path);
    if (st != FAR_OK) (void)unlink(temporary);
    fari_free(temporary);
    return st;
}
