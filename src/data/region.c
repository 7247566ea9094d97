#include "data/region.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/dataset.h"
#include "data/resize.h"
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
static void copy_rows(const void *whole, int64_t whole_width, const far_region *r, size_t pixel_bytes, void *part_out)
{
    const char *from = whole;
    char *to = part_out;
    const size_t row = (size_t)r->width * pixel_bytes;
    for (int64_t y = 0; y < r->height; y++)
        memcpy(to + (size_t)y * row, from + (size_t)((r->y + y) * whole_width + r->x) * pixel_bytes, row);
}

fari_region_needs fari_region_needs_of(const far_dataset *dataset, int64_t rows, int64_t out_width)
{
    const far_dataset_info *info = &dataset->info;
    const bool has_rows = dataset->ops.read_rows != NULL && rows > 0;
    if (dataset->ops.read_region != NULL || (has_rows && out_width == info->width && !info->varies))
        return (fari_region_needs){ 0 };
    const int64_t pixels = (has_rows && rows < info->height ? rows : info->height) * info->width;
    return (fari_region_needs){ pixels * info->channels * (int64_t)sizeof(float),
                                pixels * info->label_planes * (int64_t)sizeof(int32_t),
                                fari_resize_scratch_most(info->height, info->width, info->channels, out_width) };
}

/* From the whole sample in scratch to the region; what is NULL is not wanted. */
static void cut(const far_dataset_info *info, int64_t height, int64_t width, const far_region *region,
                const fari_region_scratch *scratch, float *image_out, int32_t *map_out)
{
    const fari_resize resize = fari_resize_of(height, width, info->channels, region);
    const bool is_unresized = region->out_height == region->height && region->out_width == region->width;
    if (image_out != NULL && is_unresized)
        copy_rows(scratch->image, width, region, sizeof *image_out * (size_t)info->channels, image_out);
    if (image_out != NULL && !is_unresized) {
        FAR_ASSERT(fari_resize_scratch_bytes(&resize) <= scratch->resize_bytes);
        fari_resize_f32(&resize, scratch->image, scratch->resize, image_out);
    }
    if (info->label_planes > 0 && map_out != NULL)
        fari_resize_labels(width, info->label_planes, region, scratch->labels, map_out);
}

far_status fari_region_read(far_dataset *dataset, int64_t idx, const far_region *region,
                            const fari_region_scratch *scratch, float *image_out, int32_t *label_out)
{
    const far_dataset_info *info = &dataset->info;
    int64_t height, width;
    FAR_TRY(far_dataset_extent(dataset, idx, &height, &width));
    FAR_TRY(check_region(region, idx, height, width));
    if (is_whole(region, height, width)) return far_dataset_read(dataset, idx, image_out, label_out);
    int32_t *labels = info->label == FAR_LABEL_NONE ? NULL : label_out;
    const bool is_unresized = region->out_height == region->height && region->out_width == region->width;
    if (dataset->ops.read_rows != NULL && is_unresized && region->width == width)
        return dataset->ops.read_rows(dataset->context, idx, region->y, region->height, image_out, labels);
    if (dataset->ops.read_region != NULL)
        return dataset->ops.read_region(dataset->context, idx, region, image_out, labels);
    if (info->label_planes > 0 && label_out != NULL) labels = scratch->labels;
    float *const image = image_out != NULL ? scratch->image : NULL;
    if (dataset->ops.read_rows != NULL && is_unresized) { /* only columns are left to be cut */
        far_region part = *region;
        part.y = 0;
        FAR_TRY(dataset->ops.read_rows(dataset->context, idx, region->y, region->height, image, labels));
        cut(info, part.height, width, &part, scratch, image_out, label_out);
        return FAR_OK;
    }
    FAR_TRY(far_dataset_read(dataset, idx, image, labels));
    cut(info, height, width, region, scratch, image_out, label_out);
    return FAR_OK;
}

far_status far_dataset_read_region(far_dataset *dataset, int64_t idx, const far_region *region, float *image_out,
                                   int32_t *label_out)
{
    const bool is_unresized = region->out_height == region->height && region->out_width == region->width;
    const int64_t rows = is_unresized && region->height > 0 ? region->height : 0;
    const fari_region_needs needs = fari_region_needs_of(dataset, rows, region->out_width > 0 ? region->out_width : 0);
    const fari_region_scratch scratch = { fari_alloc((size_t)needs.image_bytes), fari_alloc((size_t)needs.label_bytes),
                                          fari_alloc((size_t)needs.resize_bytes), needs.resize_bytes };
    far_status st;
    if (scratch.image == NULL || scratch.labels == NULL || scratch.resize == NULL)
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for a whole sample: %" PRId64 " bytes", needs.image_bytes);
    else st = fari_region_read(dataset, idx, region, &scratch, image_out, label_out);
    fari_free(scratch.resize);
    fari_free(scratch.labels);
    fari_free(scratch.image);
    return st;
}
