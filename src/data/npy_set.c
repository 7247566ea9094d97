/* The data set of NumPy arrays: samples are read from the files when they are needed. */
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/dataset.h"
#include "data/npy.h"
#include <inttypes.h>
#include <string.h>

#define HEADER_BYTES 65536
#define PIECE_ELEMS 2048

typedef struct array {
    char *path;
    int fd;
    fari_npy npy;
    int64_t sample_elems;
} array;

typedef struct npy_set {
    array images, labels;
    bool channels_first, is_volume;
    int64_t channels, pixels, width; /* of volumes: voxels; width: of a row */
    int32_t class_count;
    bool is_map;
    int32_t *classes; /* one label a sample: kept in memory; maps are read from the file */
    float table[256];
} npy_set;

static far_status array_open(const char *path, array *array_out)
{
    int64_t bytes = 0;
    far_status st;
    char *head = fari_alloc(HEADER_BYTES);
    array_out->path = fari_strdup(path);
    if (head == NULL || array_out->path == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", path);
        goto free_head;
    }
    FAR_TRY_GOTO(fari_file_open(path, &array_out->fd, &bytes), free_head);
    const size_t head_bytes = bytes < HEADER_BYTES ? (size_t)bytes : HEADER_BYTES;
    FAR_TRY_GOTO(fari_file_read_at(array_out->fd, path, 0, head, head_bytes), free_head);
    FAR_TRY_GOTO(fari_npy_parse(path, head, head_bytes, bytes, &array_out->npy), free_head);
    array_out->sample_elems = 1;
    for (int32_t axis = 1; axis < array_out->npy.ndim; axis++) array_out->sample_elems *= array_out->npy.dim[axis];
free_head:
    fari_free(head);
    return st;
}

static double element(fari_npy_type type, const char *from)
{
    switch (type) {
    case FARI_NPY_U8: return (double)*(const unsigned char *)from;
    case FARI_NPY_I32: {
        int32_t value;
        memcpy(&value, from, sizeof value);
        return (double)value;
    }
    case FARI_NPY_I64: {
        int64_t value;
        memcpy(&value, from, sizeof value);
        return (double)value;
    }
    case FARI_NPY_F32: {
        float value;
        memcpy(&value, from, sizeof value);
        return (double)value;
    }
    case FARI_NPY_F64: {
        double value;
        memcpy(&value, from, sizeof value);
        return value;
    }
    }
    return 0.0;
}

/* Elements [lo, hi) of a sample, as the file has them. */
typedef struct span {
    int64_t lo, hi;
} span;

/* Calls `put` with runs of elements of a sample, in the order of the file; `first` counts from the span's beginning. */
typedef far_status (*put_fn)(const npy_set *set, const char *piece, int64_t first, int64_t count, void *out);

static far_status for_each_piece(const npy_set *set, const array *from, int64_t idx, span of, put_fn put, void *out)
{
    char piece[PIECE_ELEMS * 8];
    const int64_t bytes = from->npy.elem_bytes, elems = of.hi - of.lo;
    const int64_t start = from->npy.first_byte + (idx * from->sample_elems + of.lo) * bytes;
    for (int64_t done = 0; done < elems; done += PIECE_ELEMS) {
        const int64_t count = elems - done < PIECE_ELEMS ? elems - done : PIECE_ELEMS;
        FAR_TRY(fari_file_read_at(from->fd, from->path, start + done * bytes, piece, (size_t)(count * bytes)));
        FAR_TRY(put(set, piece, done, count, out));
    }
    return FAR_OK;
}

static span all_of(const array *from)
{
    return (span){ 0, from->sample_elems };
}

static far_status put_pixels(const npy_set *set, const char *piece, int64_t first, int64_t count, void *out)
{
    float *image = out;
    const fari_npy *npy = &set->images.npy;
    for (int64_t i = 0; i < count; i++) {
        const char *from = piece + i * npy->elem_bytes;
        image[(first + i) * (set->channels_first ? set->channels : 1)] = /* one channel after the other */
            npy->type == FARI_NPY_U8 ? set->table[*(const unsigned char *)from] : (float)element(npy->type, from);
    }
    return FAR_OK;
}

static far_status put_labels(const npy_set *set, const char *piece, int64_t first, int64_t count, void *out)
{
    int32_t *labels = out;
    const fari_npy *npy = &set->labels.npy;
    for (int64_t i = 0; i < count; i++) {
        const double label = element(npy->type, piece + i * npy->elem_bytes);
        /* class_count 0: still being found out */
        if (!(label >= FAR_LABEL_IGNORE) || label > INT32_MAX - 1 ||
            (set->class_count > 0 && label >= set->class_count))
            return FAR_FAIL(FAR_E_FORMAT, "%s: label %g in element %" PRId64 " of a sample; expected %d to %d",
                            set->labels.path, label, first + i, FAR_LABEL_IGNORE, set->class_count - 1);
        labels[first + i] = (int32_t)label;
    }
    return FAR_OK;
}

static far_status read_image(const npy_set *set, int64_t idx, span pixels, float *image_out)
{
    const int64_t channels = set->channels, runs = set->channels_first ? channels : 1;
    if (!set->channels_first) pixels = (span){ pixels.lo * channels, pixels.hi * channels };
    for (int64_t c = 0; c < runs; c++)
        FAR_TRY(for_each_piece(set, &set->images, idx,
                               (span){ c * set->pixels + pixels.lo, c * set->pixels + pixels.hi }, put_pixels,
                               image_out + c));
    return FAR_OK;
}

static far_status set_read_rows(void *context, int64_t idx, int64_t row, int64_t count, float *image_out,
                                int32_t *label_out)
{
    const npy_set *set = context;
    const span pixels = { row * set->width, (row + count) * set->width };
    far_status st = read_image(set, idx, pixels, image_out);
    if (st == FAR_OK && label_out != NULL && set->classes != NULL) *label_out = set->classes[idx];
    else if (st == FAR_OK && label_out != NULL)
        st = for_each_piece(set, &set->labels, idx, pixels, put_labels, label_out);
    return st == FAR_OK ? st : fari_error_prefix(st, "sample %" PRId64 ": ", idx);
}

static far_status set_read(void *context, int64_t idx, float *image_out, int32_t *label_out)
{
    const npy_set *set = context;
    return set_read_rows(context, idx, 0, set->pixels / set->width, image_out, label_out);
}

static int64_t set_bytes(const void *context)
{
    const npy_set *set = context;
    return (int64_t)sizeof *set + (set->classes == NULL ? 0 : 4 * set->labels.npy.dim[0]);
}

static void set_close(void *context)
{
    npy_set *set = context;
    fari_file_close(set->images.fd);
    fari_file_close(set->labels.fd);
    fari_free(set->images.path);
    fari_free(set->labels.path);
    fari_free(set->classes);
    fari_free(set);
}

static far_status wrong_axes(const npy_set *set)
{
    return FAR_FAIL(FAR_E_FORMAT, "%s has %d axes; %s", set->images.path, set->images.npy.ndim,
                    set->is_volume ? "volumes need 4 (N, D, H, W) or 5 (N, D, H, W, C)"
                                   : "images need 3 (N, H, W) or 4 (N, H, W, C), volumes 5 (N, D, H, W, C)");
}

/* Axes are N, [C,] [D,] H, W [, C]. */
static far_status check_images(npy_set *set, far_dataset_info *info)
{
    const fari_npy *npy = &set->images.npy;
    const int32_t space = set->is_volume ? 3 : 2;
    if (npy->ndim != space + 1 && npy->ndim != space + 2) return wrong_axes(set);
    const bool has_channels = npy->ndim == space + 2;
    set->channels_first = set->channels_first && has_channels;
    const int64_t *extent = &npy->dim[set->channels_first ? 2 : 1];
    info->sample_count = npy->dim[0];
    info->depth = set->is_volume ? extent[0] : 1;
    if (extent[space - 2] > INT32_MAX / (info->depth > 0 ? info->depth : 1))
        return FAR_FAIL(FAR_E_FORMAT, "%s: volumes of %" PRId64 " slices of %" PRId64 " rows are too large",
                        set->images.path, info->depth, extent[space - 2]);
    info->height = info->depth * extent[space - 2];
    info->width = extent[space - 1];
    info->channels = has_channels ? npy->dim[set->channels_first ? 1 : space + 1] : 1;
    info->is_integer = npy->type == FARI_NPY_U8;
    set->channels = info->channels;
    set->pixels = info->height * info->width;
    set->width = info->width;
    return FAR_OK;
}

/* Labels of one axis are read whole; of maps, the largest label is looked for where nobody said it. */
static far_status load_labels(npy_set *set, far_dataset_info *info)
{
    int32_t least = 0, largest = 0;
    const int64_t elems = set->labels.sample_elems;
    far_status st = FAR_OK;
    int32_t *one = NULL;
    if (!set->is_map) {
        set->classes = fari_calloc((size_t)info->sample_count, sizeof *set->classes);
        if (set->classes == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the labels of %s", set->labels.path);
    } else if (info->class_count > 0) {
        set->class_count = info->class_count;
        return FAR_OK; /* checked as they are read */
    } else if ((one = fari_calloc((size_t)elems, sizeof *one)) == NULL) {
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the labels of %s", set->labels.path);
    }
    for (int64_t i = 0; i < info->sample_count; i++) {
        int32_t *labels = set->is_map ? one : &set->classes[i];
        FAR_TRY_GOTO(for_each_piece(set, &set->labels, i, all_of(&set->labels), put_labels, labels), free_one);
        for (int64_t k = 0; k < elems; k++) {
            if (labels[k] < least) least = labels[k];
            if (labels[k] > largest) largest = labels[k];
        }
    }
    st = fari_label_range(set->labels.path, least, largest, &info->class_count);
    set->class_count = info->class_count;
free_one:
    fari_free(one);
    return st;
}

static far_status check_labels(npy_set *set, far_dataset_info *info)
{
    const fari_npy *npy = &set->labels.npy;
    if (npy->type == FARI_NPY_F32 || npy->type == FARI_NPY_F64)
        return FAR_FAIL(FAR_E_UNSUPPORTED, "%s: labels have to be whole numbers (u1, i4 or i8)", set->labels.path);
    if (npy->dim[0] != info->sample_count)
        return FAR_FAIL(FAR_E_FORMAT, "%s has %" PRId64 " labels for %" PRId64 " images", set->labels.path, npy->dim[0],
                        info->sample_count);
    const int64_t rows = info->height / info->depth;
    if (set->is_volume)
        set->is_map = npy->ndim == 4 && npy->dim[1] == info->depth && npy->dim[2] == rows && npy->dim[3] == info->width;
    else set->is_map = npy->ndim == 3 && npy->dim[1] == info->height && npy->dim[2] == info->width;
    if (!set->is_map && npy->ndim != 1 && set->is_volume)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s: labels of neither one axis (N) nor the volumes' N x %" PRId64 " x %" PRId64 " x %" PRId64,
                        set->labels.path, info->depth, rows, info->width);
    if (!set->is_map && npy->ndim != 1)
        return FAR_FAIL(FAR_E_FORMAT, "%s: labels of neither one axis (N) nor the images' N x %" PRId64 " x %" PRId64,
                        set->labels.path, info->height, info->width);
    info->label = set->is_map ? FAR_LABEL_MAP : FAR_LABEL_CLASS;
    return load_labels(set, info);
}

static far_status open_arrays(const char *images_path, const char *labels_path, bool channels_first, bool is_volume,
                              int32_t class_count, far_dataset **dataset_out)
{
    static const far_dataset_ops ops = {
        .read = set_read, .bytes = set_bytes, .close = set_close, .read_rows = set_read_rows
    };
    far_dataset_info info = { .class_count = class_count };
    far_status st;
    npy_set *set = fari_calloc(1, sizeof *set);
    if (set == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", images_path);
    set->images.fd = set->labels.fd = -1;
    fari_pixel_table(set->table);
    FAR_TRY_GOTO(array_open(images_path, &set->images), close_set);
    set->is_volume = is_volume || set->images.npy.ndim == 5;
    set->channels_first = channels_first;
    FAR_TRY_GOTO(check_images(set, &info), close_set);
    if (labels_path != NULL) {
        FAR_TRY_GOTO(array_open(labels_path, &set->labels), close_set);
        FAR_TRY_GOTO(check_labels(set, &info), close_set);
    }
    FAR_TRY(far_dataset_create(&ops, set, &info, dataset_out));
    return FAR_OK;
close_set:
    set_close(set);
    return st;
}

far_status far_dataset_open_npy(const char *images_path, const char *labels_path, bool channels_first,
                                int32_t class_count, far_dataset **dataset_out)
{
    return open_arrays(images_path, labels_path, channels_first, false, class_count, dataset_out);
}

far_status far_dataset_open_volumes(const char *images_path, const char *labels_path, bool channels_first,
                                    int32_t class_count, far_dataset **dataset_out)
{
    return open_arrays(images_path, labels_path, channels_first, true, class_count, dataset_out);
}
