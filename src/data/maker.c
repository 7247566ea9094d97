#include "data/maker.h"
#include "base/rng.h"
#include "base/status.h"
#include "data/dataset.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static far_status take_rows(fari_maker *maker, fari_maker_rows rows)
{
    fari_augment_sizes *sizes = &maker->sizes;
    if (rows.count == 0) return FAR_OK;
    if (rows.first < 0 || rows.count < 0 || rows.first > sizes->height - rows.count)
        return FAR_FAIL(FAR_E_ARG, "rows %" PRId64 " and the next %" PRId64 " of images of %" PRId64, rows.first,
                        rows.count, sizes->height);
    sizes->row_first = rows.first;
    sizes->row_count = rows.count;
    return FAR_OK;
}

static void count_elems(fari_maker *maker)
{
    const fari_augment_sizes *sizes = &maker->sizes;
    maker->image_elems = sizes->row_count * sizes->width * sizes->channels;
    maker->label_elems = fari_label_elems(&maker->dataset->info, sizes->row_count, sizes->width);
}

far_status fari_maker_init(far_dataset *dataset, const far_augment *augment, uint64_t seed, fari_maker_rows rows,
                           fari_maker *maker_out)
{
    const far_dataset_info *info = &dataset->info;
    fari_maker m = { .dataset = dataset, .augment = *augment, .seed = seed };
    FAR_TRY(fari_augment_check(augment, info, &m.sizes));
    FAR_TRY(take_rows(&m, rows));
    m.augment.frame = m.sizes.frame;
    m.wants_whole = rows.wants_whole || fari_augment_wants_whole(augment) ||
                    (m.sizes.row_count == m.sizes.height && !rows.is_on_demand);
    m.is_in_place = fari_augment_in_place(augment) && (!m.wants_whole || m.sizes.row_count == m.sizes.height);
    count_elems(&m);
    *maker_out = m;
    return FAR_OK;
}

fari_maker fari_maker_of_rows(const fari_maker *maker, int64_t first, int64_t count)
{
    fari_maker m = *maker;
    m.sizes.row_first = first;
    m.sizes.row_count = count;
    count_elems(&m);
    return m;
}

/* Pixels and width of the largest region that is read of any sample. Where sizes vary, each sample is asked for its own. */
static far_status largest_region(const fari_maker *maker, const int64_t *sample_ids, int64_t sample_count,
                                 int64_t *pixels_out, int64_t *width_out)
{
    const far_dataset_info *info = &maker->dataset->info;
    const far_frame *frame = &maker->sizes.frame;
    const bool is_known = !info->varies || fari_frame_is_exact(frame);
    const int64_t count = is_known ? 1 : sample_ids != NULL ? sample_count : info->sample_count;
    *pixels_out = *width_out = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t height = info->height, width = info->width;
        if (!is_known)
            FAR_TRY(far_dataset_extent(maker->dataset, sample_ids != NULL ? sample_ids[i] : i, &height, &width));
        FAR_TRY(fari_frame_takes(frame, height, width));
        const far_region region = fari_frame_place(frame, 0, height, width).region;
        if (region.out_height * region.out_width > *pixels_out) *pixels_out = region.out_height * region.out_width;
        if (region.out_width > *width_out) *width_out = region.out_width;
    }
    return FAR_OK;
}

far_status fari_maker_needs_of(const fari_maker *maker, const int64_t *sample_ids, int64_t sample_count,
                               fari_maker_needs *needs_out)
{
    const fari_augment_sizes *sizes = &maker->sizes;
    fari_maker_needs needs = { 0 };
    int64_t pixels = 0, width = 0;
    FAR_TRY(largest_region(maker, sample_ids, sample_count, &pixels, &width));
    const int64_t made = sizes->row_count << maker->augment.downsample; /* rows that are read at most */
    if (sizes->frame.fit != FAR_FIT_AS_IS || !maker->wants_whole)
        needs.whole = fari_region_needs_of(maker->dataset, maker->wants_whole ? 0 : made, width);
    if (!maker->wants_whole && made * width < pixels) pixels = made * width;
    if (!maker->is_in_place) {
        needs.raw = pixels * sizes->channels * (int64_t)sizeof(float);
        needs.raw_map = pixels * sizes->map_planes * (int64_t)sizeof(int32_t);
    }
    *needs_out = needs;
    return FAR_OK;
}

void fari_maker_blank(const fari_maker *maker, float *image_out, int32_t *label_out)
{
    if (image_out != NULL) memset(image_out, 0, sizeof *image_out * (size_t)maker->image_elems);
    for (int64_t i = 0; i < maker->label_elems && label_out != NULL; i++) label_out[i] = FAR_LABEL_IGNORE;
}

/* No kernel may see a label of no class. */
static far_status check_labels(const fari_maker *maker, const int32_t *labels)
{
    int32_t least = 0, most = 0;
    for (int64_t i = 0; i < maker->label_elems && labels != NULL; i++) {
        least = labels[i] < least ? labels[i] : least;
        most = labels[i] > most ? labels[i] : most;
    }
    if (labels == NULL || (least >= FAR_LABEL_IGNORE && most < maker->dataset->info.class_count)) return FAR_OK;
    return FAR_FAIL(FAR_E_FORMAT, "label %d, but there are %d classes (labels count from 0, %d is ignored)",
                    least < FAR_LABEL_IGNORE ? least : most, maker->dataset->info.class_count, FAR_LABEL_IGNORE);
}

/* Of a placed sample the rows that are wanted: a smaller part, which raw->first places. */
static void narrow(const fari_maker *maker, uint64_t key, fari_placing *placing, fari_raw *raw)
{
    far_region *region = &placing->region;
    int64_t count = 0;
    raw->whole_height = region->out_height;
    if (maker->wants_whole) return;
    fari_augment_rows(&maker->augment, &maker->sizes, key, placing->y, region->out_height, &raw->first, &count);
    region->y += raw->first;
    region->height = region->out_height = count;
}

/* The part that the frame shows, in raw memory or straight in its place. */
static far_status read_raw(const fari_maker *maker, const fari_maker_scratch *scratch, uint64_t key, int64_t sample,
                           int32_t *label, fari_raw *raw)
{
    const far_frame *frame = &maker->sizes.frame;
    int64_t height, width;
    int32_t *const labels = raw->map != NULL ? raw->map : label;
    FAR_TRY(far_dataset_extent(maker->dataset, sample, &height, &width));
    FAR_TRY(fari_frame_takes(frame, height, width));
    fari_placing placing = fari_frame_place(frame, key, height, width);
    if (frame->fit == FAR_FIT_AS_IS) /* before downsampling */
        placing.region = (far_region){ 0, 0, height, width, height, width };
    narrow(maker, key, &placing, raw);
    FAR_TRY(fari_region_read(maker->dataset, sample, &placing.region, &scratch->whole, raw->image, labels));
    raw->height = placing.region.out_height;
    raw->width = placing.region.out_width;
    raw->y = placing.y;
    raw->x = placing.x;
    return FAR_OK;
}

/* The sample's number before the message, and its name where the message does not have it. */
static far_status name_sample(const fari_maker *maker, int64_t sample, far_status st)
{
    char number[32];
    const char *name = far_dataset_sample_name(maker->dataset, sample);
    const int length = snprintf(number, sizeof number, "sample %" PRId64 ":", sample);
    if (strncmp(far_error_message(), number, (size_t)length) == 0) return st; /* the reader has said it */
    if (name == NULL || strstr(far_error_message(), name) != NULL)
        return fari_error_prefix(st, "sample %" PRId64 ": ", sample);
    return fari_error_prefix(st, "sample %" PRId64 " (%s): ", sample, name);
}

/* Where reading is to put what is wanted. */
static fari_raw raw_of(const fari_maker *maker, const fari_maker_scratch *scratch, float *image, int32_t *label)
{
    const bool is_placed = maker->is_in_place, reads_apart = maker->dataset->ops.reads_apart;
    fari_raw raw = { 0 };
    if (image != NULL) raw.image = is_placed ? image : scratch->raw;
    else if (!reads_apart) raw.image = scratch->raw; /* read all the same */
    if (maker->sizes.map_planes == 0) return raw;
    if (label != NULL) raw.map = is_placed ? label : scratch->raw_map;
    else if (!reads_apart) raw.map = scratch->raw_map;
    return raw;
}

far_status fari_maker_make(const fari_maker *maker, const fari_maker_scratch *scratch, int64_t epoch, int64_t sample,
                           float *image_out, int32_t *label_out)
{
    const uint64_t key = fari_rng_key(maker->seed, FARI_RNG_AUGMENT, (uint64_t)epoch, (uint64_t)sample);
    int32_t unwanted;
    int32_t *const label = label_out == NULL && !maker->dataset->ops.reads_apart ? &unwanted : label_out;
    fari_raw raw = raw_of(maker, scratch, image_out, label_out);
    const far_status st = read_raw(maker, scratch, key, sample, label, &raw);
    if (st != FAR_OK) return name_sample(maker, sample, st);
    if (image_out == NULL) raw.image = NULL;
    if (label_out == NULL) raw.map = NULL;
    fari_augment_apply(&maker->augment, &maker->sizes, key, &raw, image_out, label_out);
    const far_status checked = check_labels(maker, label_out);
    return checked == FAR_OK ? FAR_OK : name_sample(maker, sample, checked);
}
