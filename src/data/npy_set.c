/* The data set of arrays, of NumPy and others: samples are read from the files when they are needed. */
#include "base/mem.h"
#include "base/status.h"
#include "data/array.h"
#include "data/dataset.h"
#include <inttypes.h>
#include <string.h>

#define PIECE_ELEMS 2048

typedef struct npy_set {
    fari_array images, labels;
    bool has_labels, channels_first, is_volume;
    int64_t channels, pixels, width; /* of volumes: voxels; width: of a row */
    int32_t class_count;
    bool is_map;
    int32_t *classes; /* one label a sample: kept in memory; maps are read from the file */
    float table[256];
} npy_set;

static int64_t sample_elems(const fari_array *array)
{
    return array->elems / array->npy.dim[0];
}

/* Elements [lo, hi) of a sample, as the file has them. */
typedef struct span {
    int64_t lo, hi;
} span;

/* Calls `put` with runs of elements of a sample, in the order of the file; `first` counts from the span's beginning. */
typedef far_status (*put_fn)(const npy_set *set, const char *piece, int64_t first, int64_t count, void *out);

static far_status for_each_piece(const npy_set *set, const fari_array *from, int64_t idx, span of, put_fn put,
                                 void *out)
{
    char piece[PIECE_ELEMS * 8];
    const int64_t elems = of.hi - of.lo, start = idx * sample_elems(from) + of.lo;
    for (int64_t done = 0; done < elems; done += PIECE_ELEMS) {
        const int64_t count = elems - done < PIECE_ELEMS ? elems - done : PIECE_ELEMS;
        FAR_TRY(fari_array_read(from, start + done, count, piece));
        FAR_TRY(put(set, piece, done, count, out));
    }
    return FAR_OK;
}

static span all_of(const fari_array *from)
{
    return (span){ 0, sample_elems(from) };
}

static far_status put_pixels(const npy_set *set, const char *piece, int64_t first, int64_t count, void *out)
{
    float *image = out;
    const fari_npy *npy = &set->images.npy;
    for (int64_t i = 0; i < count; i++) {
        const char *from = piece + i * npy->elem_bytes;
        image[(first + i) * (set->channels_first ? set->channels : 1)] = /* one channel after the other */
            npy->type == FARI_NPY_U8 ? set->table[*(const unsigned char *)from]
                                     : (float)fari_array_element(npy->type, from);
    }
    return FAR_OK;
}

static far_status label_of(const npy_set *set, const char *from, int64_t at, int32_t *label_out)
{
    const double label = fari_array_element(set->labels.npy.type, from);
    /* class_count 0: still being found out */
    if (!(label >= FAR_LABEL_IGNORE) || label > INT32_MAX - 1 || (set->class_count > 0 && label >= set->class_count))
        return FAR_FAIL(FAR_E_FORMAT, "%s: label %g in element %" PRId64 " of a sample; expected %d to %d",
                        set->labels.label, label, at, FAR_LABEL_IGNORE, set->class_count - 1);
    *label_out = (int32_t)label;
    return FAR_OK;
}

static far_status put_labels(const npy_set *set, const char *piece, int64_t first, int64_t count, void *out)
{
    int32_t *labels = out;
    for (int64_t i = 0; i < count; i++)
        FAR_TRY(label_of(set, piece + i * set->labels.npy.elem_bytes, first + i, &labels[first + i]));
    return FAR_OK;
}

typedef struct range {
    int32_t least, largest;
} range;

static void take_in(range *r, int32_t label)
{
    if (label < r->least) r->least = label;
    if (label > r->largest) r->largest = label;
}

/* Of a label map that is not kept. */
static far_status put_range(const npy_set *set, const char *piece, int64_t first, int64_t count, void *out)
{
    int32_t label = 0;
    for (int64_t i = 0; i < count; i++) {
        FAR_TRY(label_of(set, piece + i * set->labels.npy.elem_bytes, first + i, &label));
        take_in(out, label);
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
    far_status st = image_out != NULL ? read_image(set, idx, pixels, image_out) : FAR_OK;
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
    return (int64_t)sizeof *set + set->images.bytes + set->labels.bytes +
           (set->classes == NULL ? 0 : 4 * set->labels.npy.dim[0]);
}

static void set_close(void *context)
{
    npy_set *set = context;
    fari_array_close(&set->images);
    fari_array_close(&set->labels);
    fari_free(set->classes);
    fari_free(set);
}

static far_status wrong_axes(const npy_set *set)
{
    return FAR_FAIL(FAR_E_FORMAT, "%s has %d axes; %s", set->images.label, set->images.npy.ndim,
                    set->is_volume ? "volumes need 4 (N, D, H, W) or 5 (N, D, H, W, C)"
                                   : "images need 2 (H, W), 3 (N, H, W) or 4 (N, H, W, C), volumes 5 (N, D, H, W, C)");
}

/* One picture alone is a set of one. */
static void add_axis(fari_npy *npy)
{
    memmove(npy->dim + 1, npy->dim, 2 * sizeof npy->dim[0]);
    npy->dim[0] = 1;
    npy->ndim = 3;
}

/* Axes are [N,] [C,] [D,] H, W [, C]. */
static far_status check_images(npy_set *set, far_dataset_info *info)
{
    const fari_npy *npy = &set->images.npy;
    const int32_t space = set->is_volume ? 3 : 2;
    if (!set->is_volume && npy->ndim == 2) add_axis(&set->images.npy);
    if (npy->ndim != space + 1 && npy->ndim != space + 2) return wrong_axes(set);
    const bool has_channels = npy->ndim == space + 2;
    set->channels_first = set->channels_first && has_channels;
    const int64_t *extent = &npy->dim[set->channels_first ? 2 : 1];
    info->sample_count = npy->dim[0];
    info->depth = set->is_volume ? extent[0] : 1;
    if (extent[space - 2] > INT32_MAX / (info->depth > 0 ? info->depth : 1))
        return FAR_FAIL(FAR_E_FORMAT, "%s: volumes of %" PRId64 " slices of %" PRId64 " rows are too large",
                        set->images.label, info->depth, extent[space - 2]);
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
    range all = { 0, 0 };
    if (set->is_map && info->class_count > 0) {
        set->class_count = info->class_count;
        return FAR_OK; /* checked as they are read */
    }
    if (!set->is_map) {
        set->classes = fari_calloc((size_t)info->sample_count, sizeof *set->classes);
        if (set->classes == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the labels of %s", set->labels.label);
        const span every = { 0, info->sample_count }; /* as if of one sample */
        FAR_TRY(for_each_piece(set, &set->labels, 0, every, put_labels, set->classes));
        for (int64_t i = 0; i < info->sample_count; i++) take_in(&all, set->classes[i]);
    }
    for (int64_t i = 0; set->is_map && i < info->sample_count; i++)
        FAR_TRY(for_each_piece(set, &set->labels, i, all_of(&set->labels), put_range, &all));
    FAR_TRY(fari_label_range(set->labels.label, all.least, all.largest, &info->class_count));
    set->class_count = info->class_count;
    return FAR_OK;
}

static far_status check_labels(npy_set *set, far_dataset_info *info)
{
    const fari_npy *npy = &set->labels.npy;
    if (info->sample_count == 1 && npy->ndim == 2 && !set->is_volume && npy->dim[0] == info->height &&
        npy->dim[1] == info->width)
        add_axis(&set->labels.npy);
    if (npy->type == FARI_NPY_F32 || npy->type == FARI_NPY_F64)
        return FAR_FAIL(FAR_E_UNSUPPORTED, "%s: labels have to be whole numbers", set->labels.label);
    if (npy->dim[0] != info->sample_count)
        return FAR_FAIL(FAR_E_FORMAT, "%s has %" PRId64 " labels for %" PRId64 " images", set->labels.label,
                        npy->dim[0], info->sample_count);
    const int64_t rows = info->height / info->depth;
    if (set->is_volume)
        set->is_map = npy->ndim == 4 && npy->dim[1] == info->depth && npy->dim[2] == rows && npy->dim[3] == info->width;
    else set->is_map = npy->ndim == 3 && npy->dim[1] == info->height && npy->dim[2] == info->width;
    if (!set->is_map && npy->ndim != 1 && set->is_volume)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s: labels of neither one axis (N) nor the volumes' N x %" PRId64 " x %" PRId64 " x %" PRId64,
                        set->labels.label, info->depth, rows, info->width);
    if (!set->is_map && npy->ndim != 1)
        return FAR_FAIL(FAR_E_FORMAT, "%s: labels of neither one axis (N) nor the images' N x %" PRId64 " x %" PRId64,
                        set->labels.label, info->height, info->width);
    info->label = set->is_map ? FAR_LABEL_MAP : FAR_LABEL_CLASS;
    return load_labels(set, info);
}

/* Where both are in one file and only the images' place was said, labels may be missing. */
static far_status open_labels(npy_set *set, const far_arrays_opts *o)
{
    const char *name = o->labels_name != NULL ? o->labels_name : "labels";
    if (o->labels_path != NULL) {
        FAR_TRY(fari_array_open(o->labels_path, name, &set->labels));
        set->has_labels = true;
        return FAR_OK;
    }
    if (o->labels_name == NULL || !fari_array_has_names(o->images_path)) return FAR_OK;
    const far_status st = fari_array_open(o->images_path, name, &set->labels);
    set->has_labels = st == FAR_OK;
    if (st != FAR_E_NOTFOUND) return st;
    far_error_clear();
    return FAR_OK;
}

far_status far_dataset_open_arrays(const far_arrays_opts *o, far_dataset **dataset_out)
{
    far_dataset_ops ops = {
        .read = set_read, .bytes = set_bytes, .close = set_close, .read_rows = set_read_rows, .reads_apart = true
    };
    far_dataset_info info = { .class_count = o->class_count };
    far_status st;
    npy_set *set = fari_calloc(1, sizeof *set);
    if (set == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", o->images_path);
    fari_pixel_table(set->table);
    FAR_TRY_GOTO(fari_array_open(o->images_path, o->images_name != NULL ? o->images_name : "images", &set->images),
                 close_set);
    set->is_volume = o->is_volume || set->images.npy.ndim == 5;
    set->channels_first = o->channels_first;
    FAR_TRY_GOTO(check_images(set, &info), close_set);
    FAR_TRY_GOTO(open_labels(set, o), close_set);
    if (set->has_labels) FAR_TRY_GOTO(check_labels(set, &info), close_set);
    ops.wants_order = set->images.is_stream || set->labels.is_stream;
    FAR_TRY(far_dataset_create(&ops, set, &info, dataset_out));
    return FAR_OK;
close_set:
    set_close(set);
    return st;
}

far_status far_dataset_open_npy(const char *images_path, const char *labels_path, bool channels_first,
                                int32_t class_count, far_dataset **dataset_out)
{
    return far_dataset_open_arrays(&(far_arrays_opts){ .images_path = images_path,
                                                       .labels_path = labels_path,
                                                       .channels_first = channels_first,
                                                       .class_count = class_count },
                                   dataset_out);
}

far_status far_dataset_open_volumes(const char *images_path, const char *labels_path, bool channels_first,
                                    int32_t class_count, far_dataset **dataset_out)
{
    return far_dataset_open_arrays(&(far_arrays_opts){ .images_path = images_path,
                                                       .labels_path = labels_path,
                                                       .channels_first = channels_first,
                                                       .is_volume = true,
                                                       .class_count = class_count },
                                   dataset_out);
}
