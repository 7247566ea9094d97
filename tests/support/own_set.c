#include "own_set.h"
#include "base/rng.h"
#include "base/status.h"
#include "test.h"

static uint64_t place_key(int64_t idx, int64_t y, int64_t x)
{
    return fari_rng_key(99, (uint64_t)idx, (uint64_t)y, (uint64_t)x);
}

void own_set_extent(const own_set *own, int64_t idx, int64_t *height_out, int64_t *width_out)
{
    const uint64_t span = (uint64_t)(own->most - own->least) + 1;
    *height_out = own->least + (int64_t)fari_rng_below(place_key(idx, 0, 0), 100, span);
    *width_out = own->least + (int64_t)fari_rng_below(place_key(idx, 0, 0), 101, span);
}

float own_set_pixel(const own_set *own, int64_t idx, int64_t y, int64_t x, int64_t c)
{
    if (own->is_unit) return fari_rng_unit(place_key(idx, y, x), (uint64_t)c);
    return (float)(((idx * 256 + y) * 256 + x) * 4 + c + 1);
}

int32_t own_set_label(const own_set *own, int64_t idx, int64_t y, int64_t x, int64_t p)
{
    if (own->label == FAR_LABEL_CLASS) return (int32_t)(idx % own->classes);
    return (int32_t)fari_rng_below(place_key(idx, y, x), (uint64_t)(1000 + p), (uint64_t)own->classes);
}

static far_status extent(void *context, int64_t idx, int64_t *height_out, int64_t *width_out)
{
    own_set_extent(context, idx, height_out, width_out);
    return FAR_OK;
}

static far_status read(void *context, int64_t idx, float *image_out, int32_t *label_out)
{
    const own_set *own = context;
    int64_t height, width;
    const bool is_bad = idx >= own->bad && idx < own->bad + own->bad_count;
    if (is_bad && own->bad_label == 0) return FAR_FAIL(FAR_E_FORMAT, "picture-%" PRId64 ".jpg is damaged", idx);
    own_set_extent(own, idx, &height, &width);
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            for (int64_t c = 0; c < own->channels; c++) *image_out++ = own_set_pixel(own, idx, y, x, c);
            for (int64_t p = 0; own->label == FAR_LABEL_MAP && p < own->planes; p++)
                *label_out++ = is_bad && y == 1 && x == 2 ? own->bad_label : own_set_label(own, idx, y, x, p);
        }
    if (own->label == FAR_LABEL_CLASS) *label_out = is_bad ? own->bad_label : own_set_label(own, idx, 0, 0, 0);
    return FAR_OK;
}

static const char *name(const void *context, int64_t idx)
{
    static _Thread_local char text[32];
    const own_set *own = context;
    (void)snprintf(text, sizeof text, "name-%" PRId64, idx + own->first_name);
    return text;
}

far_dataset *own_set_open(own_set *own)
{
    far_dataset *set = NULL;
    const far_dataset_ops ops = { .read = read, .extent = extent, .sample_name = own->has_names ? name : NULL };
    if (own->label == FAR_LABEL_MAP && own->planes == 0) own->planes = 1;
    const far_dataset_info info = { .sample_count = own->samples,
                                    .height = own->most,
                                    .width = own->most,
                                    .channels = own->channels,
                                    .label = own->label,
                                    .class_count = own->classes,
                                    .label_planes = own->label == FAR_LABEL_MAP ? own->planes : 0,
                                    .varies = own->least < own->most };
    FAR_CHECK_OK(far_dataset_create(&ops, own, &info, &set));
    return set;
}
