#include "data/region.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/dataset.h"
#include <inttypes.h>
#include <string.h>

static far_status check_region(const far_region *r, int64_t idx, int64_t height, int64_t width)
{
    if (r->y >= 0 && r->x >= 0 && r->height >= 1 && r->width >= 1 && r->height <= height && r->width <= width &&
        r->y <= height - r->height && r->x <= width - r->width && r->out_height >= 1 && r->out_width >= 1)
        return FAR_OK;
    return FAR_FAIL(FAR_E_ARG,
                    "region of %" PRId64 " x %" PRId64 " at (%" PRId64 ", %" PRId64 "), wanted as %" PRId64
                    " x %" PRId64 ", of sample %" PRId64 " with %" PRId64 " x %" PRId64 " pixels",
                    r->height, r->width, r->y, r->x, r->out_height, r->out_width, idx, height, width);
}

static bool is_whole(const far_region *r, int64_t height, int64_t width)
{
    return r->height == height && r->width == width && r->out_height == height && r->out_width == width;
}

/* Rows of a region in its own size. */
static void cut(const void *whole, int64_t whole_width, const far_region *r, size_t pixel_bytes, void *part_out)
{
    const char *from = whole;
    char *to = part_out;
    const size_t row = (size_t)r->width * pixel_bytes;
    for (int64_t y = 0; y < r->height; y++)
        memcpy(to + (size_t)y * row, from + (size_t)((r->y + y) * whole_width + r->x) * pixel_bytes, row);
}

void fari_region_scratch_elems(const far_dataset *dataset, int64_t *image_out, int64_t *labels_out)
{
    const far_dataset_info *info = &dataset->info;
    const bool is_needed = dataset->ops.read_region == NULL;
    *image_out = is_needed ? info->height * info->width * info->channels : 0;
    *labels_out = is_needed && info->label == FAR_LABEL_MAP ? fari_label_elems(info, info->height, info->width) : 0;
}

far_status fari_region_read(far_dataset *dataset, int64_t idx, const far_region *region,
                            const fari_region_scratch *scratch, float *image_out, int32_t *label_out)
{
    const far_dataset_info *info = &dataset->info;
    const bool has_map = info->label == FAR_LABEL_MAP;
    int64_t height, width;
    FAR_TRY(far_dataset_extent(dataset, idx, &height, &width));
    FAR_TRY(check_region(region, idx, height, width));
    if (is_whole(region, height, width)) return far_dataset_read(dataset, idx, image_out, label_out);
    if (dataset->ops.read_region != NULL)
        return dataset->ops.read_region(dataset->context, idx, region, image_out,
                                        info->label == FAR_LABEL_NONE ? NULL : label_out);
    if (region->out_height != region->height || region->out_width != region->width)
        return FAR_FAIL(FAR_E_UNSUPPORTED, "resizing of samples is not there yet");
    FAR_TRY(far_dataset_read(dataset, idx, scratch->image, has_map ? scratch->labels : label_out));
    cut(scratch->image, width, region, sizeof *image_out * (size_t)info->channels, image_out);
    if (has_map) cut(scratch->labels, width, region, sizeof *label_out * (size_t)info->label_planes, label_out);
    return FAR_OK;
}

far_status far_dataset_read_region(far_dataset *dataset, int64_t idx, const far_region *region, float *image_out,
                                   int32_t *label_out)
{
    int64_t images = 0, labels = 0;
    far_status st;
    fari_region_scratch_elems(dataset, &images, &labels);
    const fari_region_scratch scratch = { fari_calloc((size_t)images + 1, sizeof(float)),
                                          fari_calloc((size_t)labels + 1, sizeof(int32_t)) };
    if (scratch.image == NULL || scratch.labels == NULL)
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for a whole sample: %" PRId64 " elements", images);
    else st = fari_region_read(dataset, idx, region, &scratch, image_out, label_out);
    fari_free(scratch.labels);
    fari_free(scratch.image);
    return st;
}
