/* Arrays that lie in a file as they are, read at offsets: .npy, and raw bytes with a description beside them. */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/array.h"
#include <inttypes.h>
#include <string.h>

#define HEADER_BYTES 65536
#define DESCRIPTION_BYTES (1 << 20)

typedef struct plain {
    int fd;
} plain;

static far_status plain_read(const fari_array *array, int64_t first, int64_t count, void *out)
{
    const plain *p = array->state;
    const int64_t bytes = array->npy.elem_bytes;
    return fari_file_read_at(p->fd, array->path, array->npy.first_byte + first * bytes, out, (size_t)(count * bytes));
}

static void plain_close(fari_array *array)
{
    const plain *p = array->state;
    fari_file_close(p->fd);
    fari_free(array->state);
}

/* Opened as one of this kind from here on: closing it closes the file. */
static far_status plain_open(fari_array *array, int64_t *bytes_out)
{
    static const fari_array_kind kind = { .read = plain_read, .close = plain_close };
    plain *p = fari_calloc(1, sizeof *p);
    if (p == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", array->path);
    p->fd = -1;
    array->state = p;
    array->kind = &kind;
    return fari_file_open(array->path, &p->fd, bytes_out);
}

far_status array_open_npy(fari_array *array)
{
    int64_t bytes = 0;
    far_status st;
    char *head = fari_alloc(HEADER_BYTES);
    if (head == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", array->path);
    FAR_TRY_GOTO(plain_open(array, &bytes), free_head);
    const size_t head_bytes = bytes < HEADER_BYTES ? (size_t)bytes : HEADER_BYTES;
    FAR_TRY_GOTO(fari_file_read_at(((plain *)array->state)->fd, array->path, 0, head, head_bytes), free_head);
    FAR_TRY_GOTO(fari_npy_parse(array->path, head, head_bytes, bytes, &array->npy), free_head);
free_head:
    fari_free(head);
    return st;
}

/* --- raw bytes --- */

static far_status take_shape(const char *what, const json_t *root, fari_npy *npy)
{
    json_t *shape = NULL;
    FAR_TRY(fari_json_array(what, root, "shape", &shape));
    const size_t count = json_array_size(shape);
    if (count < 1 || count > FARI_NPY_AXES)
        return FAR_FAIL(FAR_E_FORMAT, "%s: \"shape\" has %zu numbers; 1 to %d are read", what, count, FARI_NPY_AXES);
    npy->ndim = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        const json_t *extent = json_array_get(shape, i);
        npy->dim[i] = json_is_integer(extent) ? (int64_t)json_integer_value(extent) : 0;
        if (npy->dim[i] < 1) return FAR_FAIL(FAR_E_FORMAT, "%s: \"shape\" has to be whole numbers from 1 on", what);
    }
    return FAR_OK;
}

static far_status take_description(const char *what, const json_t *root, fari_npy *npy)
{
    static const char *const known[] = { "shape", "type", "byte_order", "offset" };
    const char *type = NULL, *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)root, key, value)
    {
        size_t i = 0;
        while (i < FAR_COUNT(known) && strcmp(known[i], key) != 0) i++;
        if (i == FAR_COUNT(known))
            return FAR_FAIL(FAR_E_FORMAT, "%s: unknown key \"%s\"; known are shape, type, byte_order and offset", what,
                            key);
    }
    FAR_TRY(take_shape(what, root, npy));
    FAR_TRY(fari_json_text(what, root, "type", &type));
    FAR_TRY(fari_npy_type_named(what, type, npy));
    if (json_object_get(root, "byte_order") != NULL) {
        const char *order = NULL;
        FAR_TRY(fari_json_text(what, root, "byte_order", &order));
        if (strcmp(order, "big") != 0 && strcmp(order, "little") != 0)
            return FAR_FAIL(FAR_E_FORMAT, "%s: \"byte_order\" is \"%s\"; expected little or big", what, order);
        npy->is_swapped = npy->elem_bytes > 1 && strcmp(order, "big") == 0;
    }
    if (json_object_get(root, "offset") != NULL) FAR_TRY(fari_json_i64(what, root, "offset", &npy->first_byte));
    if (npy->first_byte < 0) return FAR_FAIL(FAR_E_FORMAT, "%s: \"offset\" is below 0", what);
    return FAR_OK;
}

static far_status read_description(const char *path, const char *of, fari_npy *npy)
{
    char *text = NULL;
    size_t bytes = 0;
    json_t *root = NULL;
    if (!fari_path_exists(path))
        return FAR_FAIL(
            FAR_E_NOTFOUND,
            "%s: raw bytes are described in a file beside them, and there is no %s; write one, as "
            "{\"shape\": [1, 21600, 43200], \"type\": \"uint16\", \"byte_order\": \"big\", \"offset\": 512}",
            of, path);
    FAR_TRY(fari_file_read(path, DESCRIPTION_BYTES, &text, &bytes));
    far_status st = fari_json_parse(path, 0, text, bytes, &root);
    if (st == FAR_OK && !json_is_object(root)) st = FAR_FAIL(FAR_E_FORMAT, "%s: expected an object in braces", path);
    if (st == FAR_OK) st = take_description(path, root, npy);
    json_decref(root);
    fari_free(text);
    return st;
}

/* More bytes after the array are allowed: what else the file holds is the business of who described it. */
static far_status check_raw_bytes(const fari_array *array, int64_t bytes)
{
    const fari_npy *npy = &array->npy;
    int64_t want = npy->elem_bytes;
    for (int32_t axis = 0; axis < npy->ndim; axis++) {
        if (npy->dim[axis] > INT64_MAX / 2 / want)
            return FAR_FAIL(FAR_E_FORMAT, "%s.json: the shape has more elements than any file", array->path);
        want *= npy->dim[axis];
    }
    if (npy->first_byte <= bytes && want <= bytes - npy->first_byte) return FAR_OK;
    return FAR_FAIL(FAR_E_FORMAT,
                    "%s has %" PRId64 " bytes, but %s.json says that %" PRId64 " of data begin at byte %" PRId64
                    ": the file is cut short, or shape, type or offset are wrong",
                    array->path, bytes, array->path, want, npy->first_byte);
}

far_status array_open_raw(fari_array *array)
{
    int64_t bytes = 0;
    char *beside = fari_printf("%s.json", array->path);
    if (beside == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", array->path);
    far_status st = plain_open(array, &bytes);
    if (st == FAR_OK) st = read_description(beside, array->path, &array->npy);
    if (st == FAR_OK) st = check_raw_bytes(array, bytes);
    fari_free(beside);
    return st;
}
