#include "data/dataset.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/array.h"
#include "data/region.h"
#include <farandole/lartpc.h>
#include <farandole/pictures.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define PLANES_MAX 64

void fari_pixel_table(float table_out[256])
{
    for (int i = 0; i < 256; i++) table_out[i] = (float)i / 255.0f;
}

void fari_pixels_of(const uint8_t *pixels, int64_t count, float *restrict out)
{
    for (int64_t i = 0; i < count; i++) out[i] = (float)pixels[i] / 255.0f;
}

far_status fari_label_range(const char *path, int32_t least, int32_t largest, int32_t *class_count_io)
{
    if (least < FAR_LABEL_IGNORE)
        return FAR_FAIL(FAR_E_FORMAT, "%s: label %d; labels count from 0, %d is ignored", path, least,
                        FAR_LABEL_IGNORE);
    if (*class_count_io == 0) *class_count_io = largest < 0 ? 1 : largest + 1;
    if (largest >= *class_count_io)
        return FAR_FAIL(FAR_E_FORMAT, "%s: label %d, but there are %d classes (labels count from 0)", path, largest,
                        *class_count_io);
    return FAR_OK;
}

static far_status check_info(const far_dataset_info *info)
{
    if (info->sample_count < 1 || info->height < 1 || info->width < 1 || info->channels < 1)
        return FAR_FAIL(FAR_E_ARG, "a data set of %" PRId64 " images of %" PRId64 " x %" PRId64 " x %" PRId64,
                        info->sample_count, info->height, info->width, info->channels);
    if (info->height > INT32_MAX || info->width > INT32_MAX || info->channels > INT32_MAX ||
        info->height * info->width > INT64_MAX / 64 / info->channels)
        return FAR_FAIL(FAR_E_ARG, "images of %" PRId64 " x %" PRId64 " x %" PRId64 " are too large", info->height,
                        info->width, info->channels);
    if (info->depth < 0 || (info->depth > 1 && (info->height % info->depth != 0 || info->varies)))
        return FAR_FAIL(FAR_E_ARG, "volumes of %" PRId64 " slices in %" PRId64 " rows%s", info->depth, info->height,
                        info->varies ? ", of varying size" : "");
    if (info->label != FAR_LABEL_NONE && info->class_count < 1)
        return FAR_FAIL(FAR_E_ARG, "a data set with labels of no class");
    if (info->label_planes < 0 || info->label_planes > PLANES_MAX ||
        (info->label != FAR_LABEL_MAP && info->label_planes > 0) ||
        info->height * info->width > INT64_MAX / 64 / (info->label_planes + 1))
        return FAR_FAIL(FAR_E_ARG, "%" PRId64 " label planes; only label maps have any, and at most %d",
                        info->label_planes, PLANES_MAX);
    return FAR_OK;
}

far_status far_dataset_create(const far_dataset_ops *ops, void *context, const far_dataset_info *info,
                              far_dataset **dataset_out)
{
    far_status st;
    far_dataset *dataset = NULL;
    FAR_TRY_GOTO(check_info(info), close_context);
    if (info->varies && ops->extent == NULL) {
        st = FAR_FAIL(FAR_E_ARG, "a data set of samples of varying size needs a call that tells their extents");
        goto close_context;
    }
    dataset = fari_alloc(sizeof *dataset);
    if (dataset == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for a data set");
        goto close_context;
    }
    *dataset = (far_dataset){ .ops = *ops, .context = context, .info = *info };
    dataset->info.label_planes = fari_label_planes(info);
    if (info->depth == 0) dataset->info.depth = 1;
    *dataset_out = dataset;
    return FAR_OK;
close_context:
    if (ops->close != NULL) ops->close(context);
    return st;
}

void far_dataset_close(far_dataset *dataset)
{
    if (dataset == NULL) return;
    if (dataset->ops.close != NULL) dataset->ops.close(dataset->context);
    fari_free(dataset);
}

far_dataset_info far_dataset_info_of(const far_dataset *dataset)
{
    return dataset->info;
}

static far_status check_sample(const far_dataset *dataset, int64_t idx)
{
    if (idx >= 0 && idx < dataset->info.sample_count) return FAR_OK;
    return FAR_FAIL(FAR_E_ARG, "sample %" PRId64 " of a data set of %" PRId64, idx, dataset->info.sample_count);
}

far_status far_dataset_read(far_dataset *dataset, int64_t idx, float *image_out, int32_t *label_out)
{
    FAR_TRY(check_sample(dataset, idx));
    return dataset->ops.read(dataset->context, idx, image_out,
                             dataset->info.label == FAR_LABEL_NONE ? NULL : label_out);
}

far_status far_dataset_extent(far_dataset *dataset, int64_t idx, int64_t *height_out, int64_t *width_out)
{
    const far_dataset_info *info = &dataset->info;
    int64_t height = info->height, width = info->width;
    FAR_TRY(check_sample(dataset, idx));
    if (info->varies) FAR_TRY(dataset->ops.extent(dataset->context, idx, &height, &width));
    if (height < 1 || width < 1 || height > info->height || width > info->width)
        return FAR_FAIL(FAR_E_FORMAT,
                        "sample %" PRId64 " has %" PRId64 " x %" PRId64 " pixels, the data set at most %" PRId64
                        " x %" PRId64,
                        idx, height, width, info->height, info->width);
    *height_out = height;
    *width_out = width;
    return FAR_OK;
}

const char *far_dataset_sample_name(const far_dataset *dataset, int64_t idx)
{
    if (idx < 0 || idx >= dataset->info.sample_count || dataset->ops.sample_name == NULL) return NULL;
    return dataset->ops.sample_name(dataset->context, idx);
}

bool fari_is_damage(far_status st)
{
    return st == FAR_E_FORMAT || st == FAR_E_IO || st == FAR_E_NOTFOUND || st == FAR_E_UNSUPPORTED;
}

bool fari_dataset_tells(far_dataset *dataset, int64_t sample)
{
    for (int32_t i = 0; i < FARI_TOLD_MAX; i++)
        if (atomic_load(&dataset->told[i]) == sample + 1) return false;
    const int32_t place =
        atomic_load(&dataset->told_count) < FARI_TOLD_MAX ? atomic_fetch_add(&dataset->told_count, 1) : FARI_TOLD_MAX;
    if (place >= FARI_TOLD_MAX) return false;
    atomic_store(&dataset->told[place], sample + 1);
    return true;
}

bool fari_dataset_decodes(const far_dataset *dataset)
{
    return dataset->ops.read_region != NULL || dataset->info.varies;
}

int64_t fari_label_planes(const far_dataset_info *info)
{
    if (info->label != FAR_LABEL_MAP) return 0;
    return info->label_planes > 0 ? info->label_planes : 1;
}

int64_t fari_label_elems(const far_dataset_info *info, int64_t height, int64_t width)
{
    if (info->label == FAR_LABEL_NONE) return 0;
    return info->label == FAR_LABEL_MAP ? height * width * fari_label_planes(info) : 1;
}

const char *far_dataset_class_name(const far_dataset *dataset, int32_t class_idx)
{
    return dataset->ops.class_name == NULL ? NULL : dataset->ops.class_name(dataset->context, class_idx);
}

int64_t far_dataset_bytes(const far_dataset *dataset)
{
    return (int64_t)sizeof *dataset + (dataset->ops.bytes == NULL ? 0 : dataset->ops.bytes(dataset->context));
}

/* --- moments --- */

/* Count, mean and sum of squared deviations; merged pairwise (Chan, Golub, LeVeque 1983). */
typedef struct moments {
    double count, mean, m2;
} moments;

static void merge(moments *all, moments more)
{
    const double count = all->count + more.count, delta = more.mean - all->mean;
    if (more.count == 0.0) return;
    all->mean += delta * (more.count / count);
    all->m2 += more.m2 + delta * delta * (all->count * more.count / count);
    all->count = count;
}

static moments moments_of(const float *image, int64_t pixels, int64_t channels, int64_t channel)
{
    double sum = 0.0, m2 = 0.0;
    for (int64_t i = 0; i < pixels; i++) sum += (double)image[i * channels + channel];
    const double mean = sum / (double)pixels;
    for (int64_t i = 0; i < pixels; i++) {
        const double delta = (double)image[i * channels + channel] - mean;
        m2 += delta * delta;
    }
    return (moments){ (double)pixels, mean, m2 };
}

/* Rows of a sample that are read at once: all, but of images so large that they may not fit into memory. */
#define WINDOW_ELEMS (INT64_C(1) << 24)

int64_t fari_dataset_window_rows(const far_dataset *dataset, int64_t multiple)
{
    const far_dataset_info *info = &dataset->info;
    const int64_t row = info->width * (info->channels > info->label_planes ? info->channels : info->label_planes);
    const int64_t most = dataset->window_elems > 0 ? dataset->window_elems : WINDOW_ELEMS;
    if ((dataset->ops.read_rows == NULL && dataset->ops.read_region == NULL) || row * info->height <= most)
        return info->height;
    const int64_t rows = most / row / multiple * multiple;
    return rows < multiple ? multiple : rows < info->height ? rows : info->height;
}

far_status fari_dataset_read_window(far_dataset *dataset, int64_t sample, const far_region *window, float *image_out,
                                    int32_t *label_out)
{
    static const fari_region_scratch none = { 0 };
    return fari_region_read(dataset, sample, window, &none, image_out, label_out);
}

/* What a walk over images in windows works in. */
typedef struct walk {
    far_dataset *dataset;
    const fari_moments_opts *opts;
    int64_t rows; /* of a window */
    float *image;
    int32_t *labels; /* NULL: images are read apart */
} walk;

static far_status add_window(const walk *w, int64_t sample, const far_region *window, moments *all)
{
    const int64_t channels = w->dataset->info.channels, pixels = window->height * window->width;
    FAR_TRY(fari_dataset_read_window(w->dataset, sample, window, w->image, w->labels));
    for (int64_t i = 0; w->opts->log1p && i < pixels * channels; i++) w->image[i] = log1pf(w->image[i]);
    for (int64_t c = 0; c < channels; c++) merge(&all[c], moments_of(w->image, pixels, channels, c));
    return FAR_OK;
}

/* One sample's part; a sample that cannot be read counts for nothing where it may be left out. */
static far_status add_moments(const walk *w, int64_t sample, moments *own, moments *all)
{
    const int64_t channels = w->dataset->info.channels;
    int64_t height = 0, width = 0;
    far_status st = FAR_OK;
    FAR_TRY(far_dataset_extent(w->dataset, sample, &height, &width));
    memset(own, 0, sizeof *own * (size_t)channels);
    for (int64_t row = 0; row < height && st == FAR_OK; row += w->rows) {
        const int64_t count = height - row < w->rows ? height - row : w->rows;
        st = add_window(w, sample, &(far_region){ row, 0, count, width, count, width }, own);
    }
    if (st != FAR_OK && w->opts->skips_damage && fari_is_damage(st)) {
        far_error_clear();
        return FAR_OK;
    }
    for (int64_t c = 0; c < channels && st == FAR_OK; c++) merge(&all[c], own[c]);
    return st;
}

far_status fari_dataset_moments(far_dataset *dataset, const int64_t *sample_ids, int64_t count,
                                const fari_moments_opts *opts, double *mean_out, double *std_out)
{
    const far_dataset_info info = dataset->info;
    far_status st = FAR_OK;
    walk w = { .dataset = dataset, .opts = opts, .rows = fari_dataset_window_rows(dataset, 1) };
    w.image = fari_calloc((size_t)(w.rows * info.width * info.channels), sizeof *w.image);
    if (!dataset->ops.reads_apart)
        w.labels = fari_calloc((size_t)fari_label_elems(&info, w.rows, info.width) + 1, sizeof *w.labels);
    moments *all = fari_calloc(2 * (size_t)info.channels, sizeof *all);
    if (w.image == NULL || (w.labels == NULL && !dataset->ops.reads_apart) || all == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for the moments of a data set");
        goto free_all;
    }
    for (int64_t i = 0; i < count; i++)
        FAR_TRY_GOTO(add_moments(&w, sample_ids == NULL ? i : sample_ids[i], all + info.channels, all), free_all);
    for (int64_t c = 0; c < info.channels; c++) {
        mean_out[c] = all[c].mean;
        std_out[c] = all[c].count > 0.0 ? sqrt(all[c].m2 / all[c].count) : 0.0;
    }
free_all:
    fari_free(all);
    fari_free(w.labels);
    fari_free(w.image);
    return st;
}

far_status far_dataset_moments(far_dataset *dataset, const int64_t *sample_ids, int64_t count, double *mean_out,
                               double *std_out)
{
    const fari_moments_opts opts = { 0 };
    return fari_dataset_moments(dataset, sample_ids, count, &opts, mean_out, std_out);
}

/* --- the usual names in a folder --- */

static const struct {
    far_data_kind kind;
    far_data_part part;
    const char *images, *labels;
} usual[] = {
    { FAR_DATA_IDX, FAR_DATA_TRAIN, "train-images-idx3-ubyte", "train-labels-idx1-ubyte" },
    { FAR_DATA_IDX, FAR_DATA_TRAIN, "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz" },
    { FAR_DATA_IDX, FAR_DATA_TEST, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte" },
    { FAR_DATA_IDX, FAR_DATA_TEST, "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz" },
    { FAR_DATA_IDX, FAR_DATA_TEST, "test-images-idx3-ubyte", "test-labels-idx1-ubyte" },
    { FAR_DATA_IDX, FAR_DATA_TEST, "test-images-idx3-ubyte.gz", "test-labels-idx1-ubyte.gz" },
    { FAR_DATA_NPY, FAR_DATA_TRAIN, "train-images.npy", "train-labels.npy" },
    { FAR_DATA_NPY, FAR_DATA_TEST, "test-images.npy", "test-labels.npy" },
    { FAR_DATA_VOLUMES, FAR_DATA_TRAIN, "train-images.npy", "train-labels.npy" },
    { FAR_DATA_VOLUMES, FAR_DATA_TEST, "test-images.npy", "test-labels.npy" },
    { FAR_DATA_LARTPC, FAR_DATA_TRAIN, "train.h5", "train.h5" },
    { FAR_DATA_LARTPC, FAR_DATA_TEST, "test.h5", "test.h5" },
    { FAR_DATA_ARRAYS, FAR_DATA_TRAIN, "train.npz", "train.npz" },
    { FAR_DATA_ARRAYS, FAR_DATA_TEST, "test.npz", "test.npz" },
    { FAR_DATA_ARRAYS, FAR_DATA_TRAIN, "train.h5", "train.h5" },
    { FAR_DATA_ARRAYS, FAR_DATA_TEST, "test.h5", "test.h5" },
    { FAR_DATA_ARRAYS, FAR_DATA_TRAIN, "train-images.raw", "train-labels.raw" },
    { FAR_DATA_ARRAYS, FAR_DATA_TEST, "test-images.raw", "test-labels.raw" },
};

static far_status nothing_there(const char *path, far_data_kind kind, far_data_part part)
{
    char looked[600] = "";
    for (size_t i = 0; i < FAR_COUNT(usual); i++) {
        if (usual[i].part != part || (kind != FAR_DATA_AUTO && usual[i].kind != kind)) continue;
        const size_t used = strlen(looked);
        (void)snprintf(looked + used, sizeof looked - used, "%s%s", used > 0 ? ", " : "", usual[i].images);
    }
    return FAR_FAIL(FAR_E_NOTFOUND, "no %s images in %s; looked for %s%s", part == FAR_DATA_TRAIN ? "training" : "test",
                    path, looked, kind == FAR_DATA_AUTO ? ", and for folders with pictures" : "");
}

static bool is_pictures(const char *path, far_data_kind *kind_io)
{
    if (*kind_io == FAR_DATA_AUTO) {
        const far_pictures_kind found = far_pictures_kind_of(path);
        if (found == FAR_PICTURES_CLASSES) *kind_io = FAR_DATA_IMAGES;
        if (found == FAR_PICTURES_LABEL_MAPS) *kind_io = FAR_DATA_SEGMENTATION;
    }
    return *kind_io == FAR_DATA_IMAGES || *kind_io == FAR_DATA_SEGMENTATION;
}

static far_status open_usual_arrays(const char *images, const char *labels, bool channels_first, int32_t class_count,
                                    far_dataset **dataset_out)
{
    const bool is_one = strcmp(images, labels) == 0; /* file for both */
    const far_arrays_opts opts = { .images_path = images,
                                   .labels_path = is_one || !fari_path_exists(labels) ? NULL : labels,
                                   .labels_name = is_one ? "labels" : NULL,
                                   .channels_first = channels_first,
                                   .class_count = class_count };
    return far_dataset_open_arrays(&opts, dataset_out);
}

far_status far_dataset_open_folder(const char *path, far_data_kind kind, far_data_part part, bool channels_first,
                                   int32_t class_count, far_dataset **dataset_out)
{
    const far_pictures_opts pictures = { .part = part, .class_count = class_count };
    if (!fari_path_exists(path)) return FAR_FAIL(FAR_E_NOTFOUND, "data.path: there is no file or folder %s", path);
    for (size_t i = 0; i < FAR_COUNT(usual); i++) {
        if (usual[i].part != part || (kind != FAR_DATA_AUTO && usual[i].kind != kind)) continue;
        far_status st = FAR_E_NOMEM;
        char *images = fari_path_join(path, usual[i].images), *labels = fari_path_join(path, usual[i].labels);
        const bool is_there =
            images != NULL && labels != NULL && fari_path_exists(images) &&
            (kind != FAR_DATA_AUTO || usual[i].kind != FAR_DATA_LARTPC || !fari_array_in_h5(images, "images"));
        if (images == NULL || labels == NULL) st = FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", path);
        else if (is_there && usual[i].kind == FAR_DATA_IDX)
            st = far_dataset_open_idx(images, labels, class_count, dataset_out);
        else if (is_there && usual[i].kind == FAR_DATA_LARTPC)
            st = far_dataset_open_lartpc(images, &(far_lartpc_opts){ .class_count = class_count }, dataset_out);
        else if (is_there && usual[i].kind == FAR_DATA_ARRAYS)
            st = open_usual_arrays(images, labels, channels_first, class_count, dataset_out);
        else if (is_there && usual[i].kind == FAR_DATA_VOLUMES)
            st = far_dataset_open_volumes(images, labels, channels_first, class_count, dataset_out);
        else if (is_there) st = far_dataset_open_npy(images, labels, channels_first, class_count, dataset_out);
        const bool is_decided = is_there || images == NULL || labels == NULL;
        fari_free(labels);
        fari_free(images);
        if (is_decided) return st;
    }
    if (is_pictures(path, &kind))
        return kind == FAR_DATA_IMAGES ? far_dataset_open_images(path, &pictures, dataset_out)
                                       : far_dataset_open_label_maps(path, &pictures, dataset_out);
    return nothing_there(path, kind, part);
}
