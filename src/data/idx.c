#include "data/idx.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/dataset.h"
#include <farandole/data.h>
#include <inttypes.h>
#include <string.h>

static far_status read_extents(fari_source *source, fari_idx *idx)
{
    const char *label = fari_source_label(source);
    unsigned char word[4];
    FAR_TRY(fari_source_read(source, word, sizeof word));
    if (word[0] != 0 || word[1] != 0 || word[2] < 8 || word[2] > 14)
        return FAR_FAIL(FAR_E_FORMAT, "%s is no IDX file: it begins with %02x %02x %02x %02x instead of 00 00 08",
                        label, word[0], word[1], word[2], word[3]);
    if (word[2] != 8)
        return FAR_FAIL(FAR_E_UNSUPPORTED, "%s: elements of type 0x%02x; only unsigned bytes (0x08) are read", label,
                        word[2]);
    if (word[3] < 1 || word[3] > FARI_IDX_AXES)
        return FAR_FAIL(FAR_E_FORMAT, "%s: byte 3 says %d axes; expected 1 to %d", label, word[3], FARI_IDX_AXES);
    idx->ndim = word[3];
    idx->bytes = 1;
    for (int32_t axis = 0; axis < idx->ndim; axis++) {
        FAR_TRY(fari_source_read(source, word, sizeof word));
        const int64_t dim = (int64_t)word[0] << 24 | (int64_t)word[1] << 16 | (int64_t)word[2] << 8 | (int64_t)word[3];
        if (dim < 1) return FAR_FAIL(FAR_E_FORMAT, "%s: axis %d (byte %d) has no elements", label, axis, 4 + 4 * axis);
        if (dim > INT64_MAX / idx->bytes)
            return FAR_FAIL(FAR_E_FORMAT, "%s: its header says more elements than any file has", label);
        idx->dim[axis] = dim;
        idx->bytes *= dim;
    }
    if (idx->bytes > fari_source_bytes_left(source))
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s is cut short: its header says %" PRId64 " elements, at most %" PRId64 " can follow", label,
                        idx->bytes, fari_source_bytes_left(source));
    return FAR_OK;
}

far_status fari_idx_read(fari_source *source, fari_idx *idx_out)
{
    fari_idx idx = { 0 };
    far_status st;
    FAR_TRY(read_extents(source, &idx));
    idx.data = fari_alloc((size_t)idx.bytes);
    if (idx.data == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the %" PRId64 " bytes of %s", idx.bytes, fari_source_label(source));
    FAR_TRY_GOTO(fari_source_read(source, idx.data, (size_t)idx.bytes), free_data);
    FAR_TRY_GOTO(fari_source_expect_end(source), free_data);
    *idx_out = idx;
    return FAR_OK;
free_data:
    fari_free(idx.data);
    return st;
}

/* --- the data set --- */

typedef struct idx_set {
    fari_idx images, labels;          /* labels.data NULL: without */
    int64_t image_bytes, label_bytes; /* of one sample */
    int64_t height;
} idx_set;

static far_status set_read_rows(void *context, int64_t idx, int64_t row, int64_t count, float *image_out,
                                int32_t *label_out)
{
    const idx_set *set = context;
    const int64_t row_bytes = set->image_bytes / set->height;
    const uint8_t *pixels = set->images.data + idx * set->image_bytes + row * row_bytes;
    if (image_out != NULL) fari_pixels_of(pixels, count * row_bytes, image_out);
    if (label_out == NULL) return FAR_OK;
    const bool is_map = set->label_bytes > 1;
    const int64_t of_row = is_map ? set->label_bytes / set->height : 0, labels = is_map ? count * of_row : 1;
    const uint8_t *from = set->labels.data + idx * set->label_bytes + row * of_row;
    for (int64_t i = 0; i < labels; i++) label_out[i] = from[i];
    return FAR_OK;
}

static far_status set_read(void *context, int64_t idx, float *image_out, int32_t *label_out)
{
    const idx_set *set = context;
    return set_read_rows(context, idx, 0, set->height, image_out, label_out);
}

static int64_t set_bytes(const void *context)
{
    const idx_set *set = context;
    return (int64_t)sizeof *set + set->images.bytes + set->labels.bytes;
}

static void set_close(void *context)
{
    idx_set *set = context;
    fari_free(set->images.data);
    fari_free(set->labels.data);
    fari_free(set);
}

static far_status read_file(const char *path, fari_idx *idx_out)
{
    fari_source *source = NULL;
    FAR_TRY(fari_source_open(path, &source));
    const far_status st = fari_idx_read(source, idx_out);
    fari_source_close(source);
    return st;
}

static far_status check_images(const char *path, const fari_idx *images, far_dataset_info *info)
{
    if (images->ndim < 3)
        return FAR_FAIL(FAR_E_FORMAT, "%s has %d axes; images need 3 (N, H, W) or 4 (N, H, W, C)", path, images->ndim);
    info->sample_count = images->dim[0];
    info->height = images->dim[1];
    info->width = images->dim[2];
    info->channels = images->ndim == 4 ? images->dim[3] : 1;
    info->is_integer = true;
    return FAR_OK;
}

static far_status check_labels(const char *path, const fari_idx *labels, far_dataset_info *info)
{
    int32_t largest = 0;
    if (labels->dim[0] != info->sample_count)
        return FAR_FAIL(FAR_E_FORMAT, "%s has %" PRId64 " labels for %" PRId64 " images", path, labels->dim[0],
                        info->sample_count);
    if (labels->ndim == 1) info->label = FAR_LABEL_CLASS;
    else if (labels->ndim == 3 && labels->dim[1] == info->height && labels->dim[2] == info->width)
        info->label = FAR_LABEL_MAP;
    else
        return FAR_FAIL(FAR_E_FORMAT, "%s: labels of neither one axis (N) nor the images' N x %" PRId64 " x %" PRId64,
                        path, info->height, info->width);
    for (int64_t i = 0; i < labels->bytes; i++)
        if (labels->data[i] > largest) largest = labels->data[i];
    return fari_label_range(path, 0, largest, &info->class_count);
}

far_status far_dataset_open_idx(const char *images_path, const char *labels_path, int32_t class_count,
                                far_dataset **dataset_out)
{
    static const far_dataset_ops ops = {
        .read = set_read, .bytes = set_bytes, .close = set_close, .read_rows = set_read_rows, .reads_apart = true
    };
    far_dataset_info info = { .class_count = class_count };
    far_status st;
    idx_set *set = fari_calloc(1, sizeof *set);
    if (set == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", images_path);
    FAR_TRY_GOTO(read_file(images_path, &set->images), close_set);
    FAR_TRY_GOTO(check_images(images_path, &set->images, &info), close_set);
    set->image_bytes = info.height * info.width * info.channels;
    set->height = info.height;
    if (labels_path != NULL) {
        FAR_TRY_GOTO(read_file(labels_path, &set->labels), close_set);
        FAR_TRY_GOTO(check_labels(labels_path, &set->labels, &info), close_set);
        set->label_bytes = info.label == FAR_LABEL_MAP ? info.height * info.width : 1;
    }
    FAR_TRY(far_dataset_create(&ops, set, &info, dataset_out));
    return FAR_OK;
close_set:
    set_close(set);
    return st;
}
