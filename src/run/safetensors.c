#include "run/safetensors.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors files are little-endian; this reader copies numbers as they are"
#endif

#define PIECE_BYTES 65536 /* read and converted at a time */

static const struct {
    const char *name;
    int64_t bytes;
} dtypes[FARI_ST_DTYPE_COUNT] = {
    [FARI_ST_F64] = { "F64", 8 },   [FARI_ST_F32] = { "F32", 4 }, [FARI_ST_F16] = { "F16", 2 },
    [FARI_ST_BF16] = { "BF16", 2 }, [FARI_ST_I64] = { "I64", 8 }, [FARI_ST_U64] = { "U64", 8 },
    [FARI_ST_I32] = { "I32", 4 },   [FARI_ST_U32] = { "U32", 4 }, [FARI_ST_I16] = { "I16", 2 },
    [FARI_ST_U16] = { "U16", 2 },   [FARI_ST_I8] = { "I8", 1 },   [FARI_ST_U8] = { "U8", 1 },
    [FARI_ST_BOOL] = { "BOOL", 1 },
};

struct fari_st_file {
    char *path;
    int fd;             /* -1: in memory */
    const char *memory; /* borrowed */
    int64_t file_bytes, data_first;
    json_t *header;      /* owns the names */
    fari_st_info *infos; /* in the order of the data */
    int64_t count;
    int64_t *by_name; /* numbers of infos, sorted by name */
};

const char *fari_st_dtype_name(fari_st_dtype dtype)
{
    return (unsigned)dtype < FARI_ST_DTYPE_COUNT ? dtypes[dtype].name : "?";
}

int64_t fari_st_dtype_bytes(fari_st_dtype dtype)
{
    FAR_ASSERT((unsigned)dtype < FARI_ST_DTYPE_COUNT);
    return dtypes[dtype].bytes;
}

/* --- opening: the bytes --- */

static far_status read_at(const fari_st_file *file, int64_t offset, void *data_out, size_t bytes)
{
    if (bytes == 0) return FAR_OK;
    if (file->fd >= 0) return fari_file_read_at(file->fd, file->path, offset, data_out, bytes);
    if (offset < 0 || offset > file->file_bytes || (uint64_t)(file->file_bytes - offset) < bytes)
        return FAR_FAIL(FAR_E_FORMAT, "%s ends at byte %" PRId64 ": it is cut short", file->path, file->file_bytes);
    memcpy(data_out, file->memory + offset, bytes);
    return FAR_OK;
}

static far_status read_header(fari_st_file *file)
{
    unsigned char lead[8];
    uint64_t length = 0;
    if (file->file_bytes < 8)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s is no safetensors file: it has %" PRId64 " bytes, the length of its header takes 8",
                        file->path, file->file_bytes);
    FAR_TRY(read_at(file, 0, lead, sizeof lead));
    for (int i = 7; i >= 0; i--) length = length << 8 | lead[i];
    if (length > (uint64_t)FARI_ST_HEADER_MAX &&
        (memcmp(lead, "PK\3\4", 4) == 0 || (lead[0] == 0x80 && lead[1] <= 5))) /* a zip archive, or a pickle itself */
        return FAR_FAIL(
            FAR_E_FORMAT,
            "%s is a PyTorch file of another kind (a pickle, which can run code); turn it into safetensors: python3 -c "
            "\"import sys, torch; from safetensors.torch import save_file; save_file(torch.load(sys.argv[1], "
            "map_location='cpu'), sys.argv[2])\" %s weights.safetensors",
            file->path, file->path);
    if (length > (uint64_t)FARI_ST_HEADER_MAX)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s is no safetensors file, or damaged at byte 0: a header of %" PRIu64
                        " bytes; at most %" PRId64 " are allowed",
                        file->path, length, FARI_ST_HEADER_MAX);
    if (length > (uint64_t)(file->file_bytes - 8))
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s is cut short: its header is said (byte 0) to have %" PRIu64
                        " bytes, the file ends at byte %" PRId64,
                        file->path, length, file->file_bytes);
    char *text = fari_alloc((size_t)length + 1);
    if (text == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the header of %s", file->path);
    far_status st;
    FAR_TRY_GOTO(read_at(file, 8, text, (size_t)length), free_text);
    FAR_TRY_GOTO(fari_json_parse(file->path, 8, text, (size_t)length, &file->header), free_text);
    if (!json_is_object(file->header))
        st = FAR_FAIL(FAR_E_FORMAT, "%s: the header (byte 8) is not a JSON object", file->path);
    file->data_first = 8 + (int64_t)length;
free_text:
    fari_free(text);
    return st;
}

/* --- opening: what the header says --- */

static far_status parse_dtype(const fari_st_file *file, const char *name, const json_t *value, fari_st_dtype *dtype_out)
{
    if (!json_is_string(value)) return FAR_FAIL(FAR_E_FORMAT, "%s: tensor \"%s\" has no dtype", file->path, name);
    for (int i = 0; i < FARI_ST_DTYPE_COUNT; i++) {
        if (strcmp(json_string_value(value), dtypes[i].name) != 0) continue;
        *dtype_out = (fari_st_dtype)i;
        return FAR_OK;
    }
    return FAR_FAIL(FAR_E_UNSUPPORTED, "%s: tensor \"%s\" has dtype \"%s\", which is not read here", file->path, name,
                    json_string_value(value));
}

static far_status parse_shape(const fari_st_file *file, fari_st_info *info, const json_t *value)
{
    if (!json_is_array(value)) return FAR_FAIL(FAR_E_FORMAT, "%s: tensor \"%s\" has no shape", file->path, info->name);
    const size_t ndim = json_array_size(value);
    if (ndim > FAR_NDIM_MAX)
        return FAR_FAIL(FAR_E_UNSUPPORTED, "%s: tensor \"%s\" has %zu axes; at most %d are read here", file->path,
                        info->name, ndim, FAR_NDIM_MAX);
    info->shape.ndim = (int32_t)ndim;
    info->elems = 1;
    bool is_empty = false;
    for (size_t axis = 0; axis < ndim; axis++) {
        const json_t *extent = json_array_get(value, axis);
        const int64_t dim = json_is_integer(extent) ? json_integer_value(extent) : -1;
        if (dim < 0)
            return FAR_FAIL(FAR_E_FORMAT, "%s: tensor \"%s\": axis %zu of its shape is not a count", file->path,
                            info->name, axis);
        info->shape.dim[axis] = dim;
        if (dim == 0) is_empty = true;
        else if (info->elems > INT64_MAX / 8 / dim)
            return FAR_FAIL(FAR_E_FORMAT, "%s: tensor \"%s\": its shape has more elements than any file", file->path,
                            info->name);
        else info->elems *= dim;
    }
    if (is_empty) info->elems = 0;
    return FAR_OK;
}

static far_status parse_offsets(const fari_st_file *file, fari_st_info *info, const json_t *value)
{
    int64_t place[2];
    if (!json_is_array(value) || json_array_size(value) != 2)
        return FAR_FAIL(FAR_E_FORMAT, "%s: tensor \"%s\" has no pair of data_offsets", file->path, info->name);
    for (size_t i = 0; i < 2; i++) {
        const json_t *offset = json_array_get(value, i);
        place[i] = json_is_integer(offset) ? json_integer_value(offset) : -1;
    }
    const int64_t data_bytes = file->file_bytes - file->data_first;
    if (place[0] < 0 || place[1] < place[0])
        return FAR_FAIL(FAR_E_FORMAT, "%s: tensor \"%s\": data_offsets are not a range", file->path, info->name);
    if (place[1] > data_bytes)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s: tensor \"%s\" should end at byte %" PRIu64 ", but the file ends at byte %" PRId64
                        ": it is cut short",
                        file->path, info->name, (uint64_t)place[1] + (uint64_t)file->data_first, file->file_bytes);
    info->first_byte = file->data_first + place[0];
    info->bytes = place[1] - place[0];
    if (info->bytes != info->elems * dtypes[info->dtype].bytes) {
        char shape[128];
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s: tensor \"%s\" at byte %" PRId64 " has %" PRId64 " bytes, but %s of %s takes %" PRId64,
                        file->path, info->name, info->first_byte, info->bytes, far_shape_text(&info->shape, shape),
                        dtypes[info->dtype].name, info->elems * dtypes[info->dtype].bytes);
    }
    return FAR_OK;
}

static far_status parse_metadata(const fari_st_file *file, json_t *metadata)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata)) return FAR_FAIL(FAR_E_FORMAT, "%s: __metadata__ is not a JSON object", file->path);
    json_object_foreach(metadata, key, value) if (!json_is_string(value)) return FAR_FAIL(
        FAR_E_FORMAT, "%s: __metadata__ \"%s\" is not a text", file->path, key);
    return FAR_OK;
}

static int compare_places(const void *a, const void *b)
{
    const fari_st_info *x = a, *y = b;
    if (x->first_byte != y->first_byte) return x->first_byte < y->first_byte ? -1 : 1;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Sorts by place; then each tensor has to begin where the one before ends. */
static far_status check_places(fari_st_file *file)
{
    int64_t next = file->data_first;
    if (file->count > 1) qsort(file->infos, (size_t)file->count, sizeof *file->infos, compare_places);
    for (int64_t i = 0; i < file->count; i++) {
        const fari_st_info *info = &file->infos[i];
        if (info->first_byte < next)
            return FAR_FAIL(FAR_E_FORMAT, "%s: tensors \"%s\" and \"%s\" overlap at byte %" PRId64, file->path,
                            file->infos[i - 1].name, info->name, info->first_byte);
        if (info->first_byte > next)
            return FAR_FAIL(FAR_E_FORMAT,
                            "%s: bytes %" PRId64 " to %" PRId64 " before tensor \"%s\" belong to no tensor", file->path,
                            next, info->first_byte, info->name);
        next += info->bytes;
    }
    if (next != file->file_bytes)
        return FAR_FAIL(FAR_E_FORMAT, "%s: its tensors end at byte %" PRId64 ", the file at byte %" PRId64, file->path,
                        next, file->file_bytes);
    return FAR_OK;
}

/* qsort has no argument, and by_name is only numbers: a heap sort of our own. */
static void sift(const fari_st_info *infos, int64_t *heap, int64_t root, int64_t count)
{
    for (int64_t child = 2 * root + 1; child < count; root = child, child = 2 * root + 1) {
        if (child + 1 < count && strcmp(infos[heap[child]].name, infos[heap[child + 1]].name) < 0) child++;
        if (strcmp(infos[heap[root]].name, infos[heap[child]].name) >= 0) return;
        const int64_t held = heap[root];
        heap[root] = heap[child];
        heap[child] = held;
    }
}

static void sort_by_name(fari_st_file *file)
{
    int64_t *order = file->by_name;
    for (int64_t i = 0; i < file->count; i++) order[i] = i;
    for (int64_t i = file->count / 2 - 1; i >= 0; i--) sift(file->infos, order, i, file->count);
    for (int64_t last = file->count - 1; last > 0; last--) {
        const int64_t held = order[0];
        order[0] = order[last];
        order[last] = held;
        sift(file->infos, order, 0, last);
    }
}

static far_status parse_tensors(fari_st_file *file)
{
    const char *name;
    json_t *entry;
    const size_t members = json_object_size(file->header);
    file->infos = fari_calloc(members + 1, sizeof *file->infos);
    file->by_name = fari_calloc(members + 1, sizeof *file->by_name);
    if (file->infos == NULL || file->by_name == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the header of %s", file->path);
    json_object_foreach(file->header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) {
            FAR_TRY(parse_metadata(file, entry));
            continue;
        }
        fari_st_info *info = &file->infos[file->count++];
        info->name = name;
        if (!json_is_object(entry))
            return FAR_FAIL(FAR_E_FORMAT, "%s: what the header says of tensor \"%s\" is not a JSON object", file->path,
                            name);
        FAR_TRY(parse_dtype(file, name, json_object_get(entry, "dtype"), &info->dtype));
        FAR_TRY(parse_shape(file, info, json_object_get(entry, "shape")));
        FAR_TRY(parse_offsets(file, info, json_object_get(entry, "data_offsets")));
    }
    FAR_TRY(check_places(file));
    sort_by_name(file);
    return FAR_OK;
}

static far_status open_any(const char *path, const void *memory, size_t memory_bytes, fari_st_file **file_out)
{
    far_status st;
    fari_st_file *file = fari_calloc(1, sizeof *file);
    if (file == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", path);
    file->fd = -1;
    file->memory = memory;
    file->file_bytes = (int64_t)memory_bytes;
    file->path = fari_strdup(path);
    if (file->path == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", path);
        goto close_file;
    }
    if (memory == NULL) FAR_TRY_GOTO(fari_file_open(path, &file->fd, &file->file_bytes), close_file);
    FAR_TRY_GOTO(read_header(file), close_file);
    FAR_TRY_GOTO(parse_tensors(file), close_file);
    *file_out = file;
    return FAR_OK;
close_file:
    fari_st_close(file);
    return st;
}

far_status fari_st_open(const char *path, fari_st_file **file_out)
{
    return open_any(path, NULL, 0, file_out);
}

far_status fari_st_open_memory(const char *label, const void *data, size_t bytes, fari_st_file **file_out)
{
    return open_any(label, data == NULL ? "" : data, bytes, file_out);
}

void fari_st_close(fari_st_file *file)
{
    if (file == NULL) return;
    fari_free(file->by_name);
    fari_free(file->infos);
    json_decref(file->header);
    fari_file_close(file->fd);
    fari_free(file->path);
    fari_free(file);
}

/* --- questions --- */

int64_t fari_st_count(const fari_st_file *file)
{
    return file->count;
}

const fari_st_info *fari_st_at(const fari_st_file *file, int64_t idx)
{
    FAR_ASSERT(idx >= 0 && idx < file->count);
    return &file->infos[idx];
}

int64_t fari_st_find(const fari_st_file *file, const char *name)
{
    int64_t low = 0, high = file->count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        const int order = strcmp(file->infos[file->by_name[middle]].name, name);
        if (order == 0) return file->by_name[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return -1;
}

const char *fari_st_nearest(const fari_st_file *file, const char *name)
{
    const char *nearest = NULL;
    int least = 0;
    for (int64_t i = 0; i < file->count; i++) {
        const int distance = fari_edit_distance(name, file->infos[i].name);
        if (nearest != NULL && distance >= least) continue;
        nearest = file->infos[i].name;
        least = distance;
    }
    return nearest;
}

const char *fari_st_metadata(const fari_st_file *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

const char *fari_st_path(const fari_st_file *file)
{
    return file->path;
}

/* --- reading numbers --- */

/* IEEE binary16: 5 bits of exponent, bias 15. */
static float from_f16(uint16_t half)
{
    const int exponent = half >> 10 & 31;
    const float sign = half & 0x8000 ? -1.0f : 1.0f;
    const float fraction = (float)(half & 1023);
    if (exponent == 31) return fraction > 0.0f ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * fraction * 0x1p-24f;
    return sign * ldexpf(1024.0f + fraction, exponent - 25);
}

static float from_bf16(uint16_t brain)
{
    const uint32_t bits = (uint32_t)brain << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* One element, as double where that is exact, and as int64_t for the whole numbers. */
typedef struct number {
    bool is_whole; /* whole holds it */
    int64_t whole;
    double real;
} number;

#define LOAD(type, from) \
    type value;          \
    memcpy(&value, (from), sizeof value)
#define WHOLE(type, from)         \
    do {                          \
        LOAD(type, from);         \
        n.is_whole = true;        \
        n.whole = (int64_t)value; \
        n.real = (double)value;   \
    } while (0)

static number load_number(fari_st_dtype dtype, const char *from)
{
    number n = { false, 0, 0.0 };
    switch (dtype) {
    case FARI_ST_F64: memcpy(&n.real, from, sizeof n.real); break;
    case FARI_ST_F32: {
        LOAD(float, from);
        n.real = (double)value;
        break;
    }
    case FARI_ST_F16: {
        LOAD(uint16_t, from);
        n.real = (double)from_f16(value);
        break;
    }
    case FARI_ST_BF16: {
        LOAD(uint16_t, from);
        n.real = (double)from_bf16(value);
        break;
    }
    case FARI_ST_I64: WHOLE(int64_t, from); break;
    case FARI_ST_U64: {
        LOAD(uint64_t, from);
        n.is_whole = value <= INT64_MAX;
        n.whole = n.is_whole ? (int64_t)value : 0;
        n.real = (double)value;
        break;
    }
    case FARI_ST_I32: WHOLE(int32_t, from); break;
    case FARI_ST_U32: WHOLE(uint32_t, from); break;
    case FARI_ST_I16: WHOLE(int16_t, from); break;
    case FARI_ST_U16: WHOLE(uint16_t, from); break;
    case FARI_ST_I8: WHOLE(int8_t, from); break;
    case FARI_ST_U8:
    case FARI_ST_BOOL: WHOLE(uint8_t, from); break;
    case FARI_ST_DTYPE_COUNT: break;
    }
    return n;
}

/* False: the number does not fit. */
static bool store_number(far_dtype dtype, number n, void *data_out, int64_t idx)
{
    if ((dtype == FAR_I32 || dtype == FAR_U8) && !n.is_whole) {
        if (!(n.real == floor(n.real) && fabs(n.real) < 0x1p62)) return false;
        n.whole = (int64_t)n.real;
    }
    switch (dtype) {
    case FAR_F32: ((float *)data_out)[idx] = (float)n.real; return true;
    case FAR_F64: ((double *)data_out)[idx] = n.real; return true;
    case FAR_I32: ((int32_t *)data_out)[idx] = (int32_t)n.whole; return n.whole >= INT32_MIN && n.whole <= INT32_MAX;
    case FAR_U8: ((uint8_t *)data_out)[idx] = (uint8_t)n.whole; return n.whole >= 0 && n.whole <= UINT8_MAX;
    case FAR_DTYPE_COUNT: break;
    }
    return false;
}

static bool is_same_type(fari_st_dtype stored, far_dtype wanted)
{
    return (stored == FARI_ST_F32 && wanted == FAR_F32) || (stored == FARI_ST_F64 && wanted == FAR_F64) ||
           (stored == FARI_ST_I32 && wanted == FAR_I32) ||
           ((stored == FARI_ST_U8 || stored == FARI_ST_BOOL) && wanted == FAR_U8);
}

far_status fari_st_read(const fari_st_file *file, int64_t idx, int64_t first, int64_t count, far_dtype dtype,
                        void *data_out)
{
    const fari_st_info *info = fari_st_at(file, idx);
    const int64_t elem_bytes = dtypes[info->dtype].bytes;
    if (first < 0 || count < 0 || first > info->elems || count > info->elems - first)
        return FAR_FAIL(FAR_E_ARG, "%s: elements %" PRId64 " + %" PRId64 " of tensor \"%s\", which has %" PRId64,
                        file->path, first, count, info->name, info->elems);
    if (is_same_type(info->dtype, dtype))
        return read_at(file, info->first_byte + first * elem_bytes, data_out, (size_t)(count * elem_bytes));

    char *piece = fari_alloc(PIECE_BYTES);
    if (piece == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", file->path);
    const int64_t piece_elems = PIECE_BYTES / elem_bytes;
    far_status st = FAR_OK;
    for (int64_t done = 0; done < count && st == FAR_OK; done += piece_elems) {
        const int64_t elems = count - done < piece_elems ? count - done : piece_elems;
        FAR_TRY_GOTO(read_at(file, info->first_byte + (first + done) * elem_bytes, piece, (size_t)(elems * elem_bytes)),
                     free_piece);
        for (int64_t i = 0; i < elems && st == FAR_OK; i++) {
            const number n = load_number(info->dtype, piece + i * elem_bytes);
            if (!store_number(dtype, n, data_out, done + i))
                st = FAR_FAIL(FAR_E_FORMAT, "%s: tensor \"%s\", byte %" PRId64 ": %.17g does not fit %s", file->path,
                              info->name, info->first_byte + (first + done + i) * elem_bytes, n.real,
                              far_dtype_name(dtype));
        }
    }
free_piece:
    fari_free(piece);
    return st;
}

far_status fari_st_read_raw(const fari_st_file *file, int64_t idx, void *data_out)
{
    const fari_st_info *info = fari_st_at(file, idx);
    return read_at(file, info->first_byte, data_out, (size_t)info->bytes);
}

static far_status hash_range(const fari_st_file *file, int64_t offset, int64_t bytes, char hex_out[33])
{
    enum { HASH_PIECE_BYTES = 1 << 20 };
    far_status st = FAR_OK;
    fari_xxh128 *xxh = fari_xxh128_create();
    char *piece = fari_alloc(HASH_PIECE_BYTES);
    if (xxh == NULL || piece == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to check %s", file->path);
        goto free_both;
    }
    for (int64_t done = 0; done < bytes; done += HASH_PIECE_BYTES) {
        const int64_t take = bytes - done < HASH_PIECE_BYTES ? bytes - done : HASH_PIECE_BYTES;
        FAR_TRY_GOTO(read_at(file, offset + done, piece, (size_t)take), free_both);
        fari_xxh128_add(xxh, piece, (size_t)take);
    }
    fari_xxh128_end(xxh, hex_out);
free_both:
    fari_free(piece);
    fari_xxh128_destroy(xxh);
    return st;
}

far_status fari_st_hash(const fari_st_file *file, int64_t idx, char hex_out[33])
{
    const fari_st_info *info = fari_st_at(file, idx);
    return hash_range(file, info->first_byte, info->bytes, hex_out);
}

far_status fari_st_hash_range(const fari_st_file *file, int64_t idx, int64_t first, int64_t bytes, char hex_out[33])
{
    return hash_range(file, fari_st_at(file, idx)->first_byte + first, bytes, hex_out);
}

far_status fari_st_hash_head(const fari_st_file *file, char hex_out[33])
{
    return hash_range(file, 0, file->data_first, hex_out);
}
