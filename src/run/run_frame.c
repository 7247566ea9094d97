/* The sizes in which samples are trained on and evaluated: from data.size, data.fit and data.augment.crop. */
#include "run/run_priv.h"
#include <inttypes.h>
#include <string.h>

/* A key of two numbers, height and width; one stands for both. Zeros where it is not given. */
static far_status read_size(const far_config *config, const char *key, int64_t *height_out, int64_t *width_out)
{
    const int64_t count = far_config_list_count(config, key);
    *height_out = *width_out = 0;
    if (count == 0) return FAR_OK;
    if (count > 2) return far_config_fail(config, key, "%" PRId64 " numbers; expected height and width", count);
    *height_out = far_config_list_i64(config, key, 0);
    *width_out = far_config_list_i64(config, key, count - 1);
    return FAR_OK;
}

/* How samples come to a fixed size without chance: as configured, else as is usual for their labels. */
static far_fit fixed_fit(const far_run *run)
{
    const char *fit = far_config_text(run->config, "data.fit");
    if (strcmp(fit, "resize") == 0) return FAR_FIT_RESIZE;
    if (strcmp(fit, "crop") == 0) return FAR_FIT_CROP;
    if (strcmp(fit, "pad") == 0) return FAR_FIT_PAD;
    return run_wants_maps(run) ? FAR_FIT_PAD : FAR_FIT_RESIZE;
}

static far_frame fixed_frame(const far_run *run, int64_t height, int64_t width)
{
    double share = far_config_f64(run->config, "data.fit_share");
    if (share == 0.0) share = run_wants_maps(run) ? 1.0 : 0.875; /* 256 to 224 */
    return (far_frame){ .fit = fixed_fit(run), .height = height, .width = width, .share = share };
}

static far_status random_resized_frame(const far_run *run, int64_t height, int64_t width, far_frame *frame_out)
{
    const far_config *config = run->config;
    static const char *const keys[] = { "data.augment.resized_area", "data.augment.resized_ratio" };
    for (size_t i = 0; i < FAR_COUNT(keys); i++)
        if (far_config_list_count(config, keys[i]) != 2 ||
            far_config_list_f64(config, keys[i], 0) > far_config_list_f64(config, keys[i], 1))
            return far_config_fail(config, keys[i], "expected the least and the largest");
    *frame_out = (far_frame){ .fit = FAR_FIT_RANDOM_RESIZED_CROP,
                              .height = height,
                              .width = width,
                              .area_min = far_config_list_f64(config, keys[0], 0),
                              .area_max = far_config_list_f64(config, keys[0], 1),
                              .ratio_min = far_config_list_f64(config, keys[1], 0),
                              .ratio_max = far_config_list_f64(config, keys[1], 1) };
    return FAR_OK;
}

static far_status no_size(const far_run *run)
{
    return far_config_fail(
        run->config, "data.size",
        "the images have sizes of their own, up to %" PRId64 " x %" PRId64
        ": set data.size (as 224; data.fit says how) to bring them to one, or data.augment.crop to train on parts",
        run->data.info.height, run->data.info.width);
}

/* Images may be padded first, so that halves of halves still divide; whatever cuts or resizes chooses a size by itself. */
static far_status check_halving(const far_run *run)
{
    const far_config *config = run->config;
    const far_frame *frame = &run->data.train_frame;
    const int64_t halvings = far_config_i64(config, "data.downsample"), blocks = INT64_C(1) << halvings;
    if (halvings == 0 || frame->fit == FAR_FIT_AS_IS) return FAR_OK;
    if (strcmp(far_config_text(config, "eval.size"), "native") == 0)
        return far_config_fail(config, "eval.size", "native leaves sizes as they are, data.downsample halves them");
    if (frame->fit != FAR_FIT_PAD || run->data.info.varies)
        return far_config_fail(config, "data.downsample",
                               "images cannot both be halved and be cut or resized, nor halved where they have sizes "
                               "of their own: leave out data.downsample, or pad (data.size with data.fit=pad)");
    if (frame->height % blocks == 0 && frame->width % blocks == 0) return FAR_OK;
    return far_config_fail(config, "data.size",
                           "%" PRId64 " x %" PRId64 " does not divide into blocks of %" PRId64 " (data.downsample)",
                           frame->height, frame->width, blocks);
}

far_status run_frames_choose(far_run *run)
{
    const far_config *config = run->config;
    run_data *data = &run->data;
    int64_t size_h, size_w, crop_h, crop_w;
    FAR_TRY(read_size(config, "data.size", &size_h, &size_w));
    FAR_TRY(read_size(config, "data.augment.crop", &crop_h, &crop_w));
    const bool is_resized = far_config_bool(config, "data.augment.resized_crop");
    int64_t height = crop_h > 0 ? crop_h : size_h, width = crop_h > 0 ? crop_w : size_w;
    if (height == 0 && data->info.varies) return no_size(run);
    if (height == 0 && is_resized) {
        height = data->info.height;
        width = data->info.width;
    }
    if (is_resized) FAR_TRY(random_resized_frame(run, height, width, &data->train_frame));
    else if (crop_h > 0)
        data->train_frame = (far_frame){ .fit = FAR_FIT_RANDOM_CROP, .height = height, .width = width };
    else if (size_h > 0) data->train_frame = fixed_frame(run, height, width);
    if (size_h > 0) data->eval_frame = fixed_frame(run, size_h, size_w);
    else if (crop_h > 0) data->eval_frame = fixed_frame(run, crop_h, crop_w);
    return check_halving(run);
}

/* Width and height of what a frame gives, of sets of one size without a frame their own; halved. */
void run_frame_size(const far_run *run, const far_frame *frame, int64_t *height_out, int64_t *width_out)
{
    const int64_t halvings = far_config_i64(run->config, "data.downsample");
    const bool is_as_is = frame->fit == FAR_FIT_AS_IS;
    *height_out = (is_as_is ? run->data.info.height : frame->height) >> halvings;
    *width_out = (is_as_is ? run->data.info.width : frame->width) >> halvings;
}
