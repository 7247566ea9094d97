/* How often each class occurs: what class weights are made of. */
#include "base/mem.h"
#include "base/status.h"
#include "data/augment.h"
#include "data/dataset.h"
#include <inttypes.h>
#include <string.h>

/* Room for one sample, or for a window of one that is too large. */
typedef struct counting {
    far_dataset *dataset;
    float *image; /* where labels are only read with it; NULL: they are read apart */
    int32_t *labels;
    int64_t *own; /* [class_count] of one sample */
    int64_t rows; /* of a window; the largest height: whole samples */
    int32_t halvings;
} counting;

static void close_counting(counting *c)
{
    fari_free(c->image);
    fari_free(c->labels);
    fari_free(c->own);
}

static bool is_windowed(const counting *c)
{
    return c->rows < c->dataset->info.height;
}

static far_status open_counting(far_dataset *dataset, int32_t halvings, counting *c)
{
    const far_dataset_info *info = &dataset->info;
    *c = (counting){ .dataset = dataset, .halvings = info->label == FAR_LABEL_MAP ? halvings : 0 };
    c->rows =
        info->label == FAR_LABEL_MAP ? fari_dataset_window_rows(dataset, INT64_C(1) << c->halvings) : info->height;
    const bool has_image = !dataset->ops.reads_apart && (dataset->ops.read_label == NULL || is_windowed(c));
    const int64_t pixels = has_image ? c->rows * info->width * info->channels : 0;
    if (!dataset->ops.reads_apart) c->image = fari_calloc((size_t)pixels + 1, sizeof *c->image);
    c->labels = fari_calloc((size_t)fari_label_elems(info, c->rows, info->width) + 1, sizeof *c->labels);
    c->own = fari_calloc((size_t)info->class_count + 1, sizeof *c->own);
    const bool is_all = (c->image != NULL || dataset->ops.reads_apart) && c->labels != NULL && c->own != NULL;
    if (is_all) return FAR_OK;
    close_counting(c);
    return FAR_FAIL(FAR_E_NOMEM, "no memory to count labels");
}

/* Labels of rows [row, row + rows) of a sample, downsampled. */
static far_status read_labels(const counting *c, int64_t sample, const far_region *window, int64_t *elems_out)
{
    far_dataset *set = c->dataset;
    int64_t height = window->height, width = window->width;
    if (is_windowed(c)) FAR_TRY(fari_dataset_read_window(set, sample, window, c->image, c->labels));
    else if (set->ops.read_label != NULL) FAR_TRY(set->ops.read_label(set->context, sample, c->labels));
    else FAR_TRY(far_dataset_read(set, sample, c->image, c->labels));
    if (c->halvings > 0) {
        fari_augment_downsample_map(height, width, set->info.label_planes, c->halvings, c->labels);
        height >>= c->halvings;
        width >>= c->halvings;
    }
    *elems_out = fari_label_elems(&set->info, height, width);
    return FAR_OK;
}

static far_status count_window(const counting *c, int64_t sample, int64_t elems, int64_t *counted_io)
{
    const int32_t classes = c->dataset->info.class_count;
    for (int64_t i = 0; i < elems; i++) {
        const int32_t label = c->labels[i];
        if (label == FAR_LABEL_IGNORE) continue;
        if (label < 0 || label >= classes)
            return FAR_FAIL(FAR_E_FORMAT, "sample %" PRId64 ": label %d, but there are %d classes", sample, label,
                            classes);
        c->own[label]++;
        ++*counted_io;
    }
    return FAR_OK;
}

static far_status add_sample(const counting *c, int64_t sample, int64_t *counts, int64_t *among)
{
    const int32_t classes = c->dataset->info.class_count;
    int64_t height = 0, width = 0, elems = 0, counted = 0;
    FAR_TRY(far_dataset_extent(c->dataset, sample, &height, &width));
    memset(c->own, 0, sizeof *c->own * (size_t)classes);
    for (int64_t row = 0; row < height; row += c->rows) {
        const int64_t rows = height - row < c->rows ? height - row : c->rows;
        FAR_TRY(read_labels(c, sample, &(far_region){ row, 0, rows, width, rows, width }, &elems));
        FAR_TRY(count_window(c, sample, elems, &counted));
    }
    for (int32_t k = 0; k < classes; k++) {
        counts[k] += c->own[k];
        if (among != NULL && c->own[k] > 0) among[k] += counted;
    }
    return FAR_OK;
}

far_status fari_label_counts(far_dataset *dataset, const int64_t *sample_ids, int64_t count, int32_t halvings,
                             bool skips_damage, int64_t *counts_out, int64_t *among_out)
{
    const far_dataset_info *info = &dataset->info;
    const size_t bytes = sizeof *counts_out * (size_t)info->class_count;
    counting c;
    far_status st = FAR_OK;
    if (info->label == FAR_LABEL_NONE) return FAR_FAIL(FAR_E_ARG, "a data set without labels");
    FAR_TRY(open_counting(dataset, halvings, &c));
    memset(counts_out, 0, bytes);
    if (among_out != NULL) memset(among_out, 0, bytes);
    for (int64_t i = 0; i < count && st == FAR_OK; i++) {
        st = add_sample(&c, sample_ids != NULL ? sample_ids[i] : i, counts_out, among_out);
        if (st == FAR_OK || !skips_damage || !fari_is_damage(st)) continue;
        far_error_clear();
        st = FAR_OK;
    }
    close_counting(&c);
    return st;
}

far_status far_dataset_count_labels(far_dataset *dataset, const int64_t *sample_ids, int64_t count, int64_t *counts_out,
                                    int64_t *among_out)
{
    return fari_label_counts(dataset, sample_ids, count, 0, false, counts_out, among_out);
}
