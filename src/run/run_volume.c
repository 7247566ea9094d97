/* Volumes: sets whose samples are slices, one below the other. Loaders and pictures see tall images; the network sees [N, C, D, H, W]. */
#include "run/run_priv.h"
#include <inttypes.h>

far_shape run_image_shape(const far_run *run, const run_side *side)
{
    const int64_t depth = run->data.info.depth, channels = run->data.info.channels;
    if (depth <= 1) return (far_shape){ 4, { side->batch, channels, side->height, side->width } };
    return (far_shape){ 5, { side->batch, channels, depth, side->height / depth, side->width } };
}

bool run_is_pixelwise(const far_run *run, const run_side *side, const far_shape *shape)
{
    const far_shape image = run_image_shape(run, side);
    bool is_same = shape->ndim == image.ndim;
    for (int32_t i = 2; is_same && i < image.ndim; i++) is_same = shape->dim[i] == image.dim[i];
    return is_same;
}

/* What would not stop at the border between two slices. */
far_status run_volume_check(const far_run *run)
{
    const far_config *config = run->config;
    static const char *const lists[] = { "data.size", "data.augment.crop" };
    static const char *const switches[] = { "data.augment.resized_crop", "data.augment.vflip", "data.augment.turns" };
    static const char *const numbers[] = { "data.downsample", "data.augment.crop_pad", "data.augment.cutout" };
    const char *key = NULL;
    if (run->data.info.depth <= 1) return FAR_OK;
    for (size_t i = 0; i < FAR_COUNT(lists); i++)
        if (far_config_list_count(config, lists[i]) > 0) key = lists[i];
    for (size_t i = 0; i < FAR_COUNT(switches); i++)
        if (far_config_bool(config, switches[i])) key = switches[i];
    for (size_t i = 0; i < FAR_COUNT(numbers); i++)
        if (far_config_i64(config, numbers[i]) > 0) key = numbers[i];
    if (far_config_f64(config, "data.augment.erase") > 0.0) key = "data.augment.erase";
    if (key == NULL) return FAR_OK;
    return far_config_fail(config, key, "it works on images, not on volumes (of %" PRId64 " slices)",
                           run->data.info.depth);
}
