#include "data/frame.h"
#include "base/rng.h"
#include "base/status.h"
#include "data/draws.h"
#include <inttypes.h>
#include <math.h>

#define SIDE_MAX (INT64_C(1) << 24)
#define TRIES 10
#define RESIZED_MAX 1e9 /* pixels of a resized sample before its middle is cut out */

static double or_default(double value, double usual)
{
    return value != 0.0 ? value : usual;
}

static bool is_range(double low, double high, double most)
{
    return low > 0.0 && low <= high && high <= most;
}

far_status fari_frame_check(const far_frame *frame, const far_dataset_info *info, far_frame *frame_out)
{
    far_frame f = *frame;
    f.share = or_default(f.share, 1.0);
    f.area_min = or_default(f.area_min, 0.08);
    f.area_max = or_default(f.area_max, 1.0);
    f.ratio_min = or_default(f.ratio_min, 3.0 / 4.0);
    f.ratio_max = or_default(f.ratio_max, 4.0 / 3.0);
    if (f.fit == FAR_FIT_AS_IS && info->varies)
        return FAR_FAIL(FAR_E_ARG,
                        "samples have sizes of their own, up to %" PRId64 " x %" PRId64
                        ": say which size they are brought to, and how",
                        info->height, info->width);
    if (f.fit == FAR_FIT_AS_IS) {
        f.height = info->height;
        f.width = info->width;
    }
    if (f.height < 1 || f.width < 1 || f.height > SIDE_MAX || f.width > SIDE_MAX)
        return FAR_FAIL(FAR_E_ARG, "samples cannot be brought to %" PRId64 " x %" PRId64 " pixels", f.height, f.width);
    if (!is_range(f.share, 1.0, 1.0)) return FAR_FAIL(FAR_E_ARG, "share %g of an image; expected (0, 1]", f.share);
    if (!is_range(f.area_min, f.area_max, 1.0) || !is_range(f.ratio_min, f.ratio_max, 1e6))
        return FAR_FAIL(FAR_E_ARG, "parts of %g to %g of the area with ratios %g to %g", f.area_min, f.area_max,
                        f.ratio_min, f.ratio_max);
    *frame_out = f;
    return FAR_OK;
}

far_status fari_frame_takes(const far_frame *frame, int64_t height, int64_t width)
{
    const double scale = fmax((double)frame->height / (double)height, (double)frame->width / (double)width);
    if (frame->fit == FAR_FIT_RESIZE &&
        scale * scale * (double)height * (double)width > RESIZED_MAX * frame->share * frame->share)
        return FAR_FAIL(FAR_E_ARG,
                        "a sample of %" PRId64 " x %" PRId64 " pixels is too long and thin to be resized to %" PRId64
                        " x %" PRId64,
                        height, width, frame->height, frame->width);
    if (frame->fit != FAR_FIT_PAD || (height <= frame->height && width <= frame->width)) return FAR_OK;
    return FAR_FAIL(FAR_E_ARG,
                    "a sample of %" PRId64 " x %" PRId64 " pixels is larger than %" PRId64 " x %" PRId64
                    ", to which samples are padded",
                    height, width, frame->height, frame->width);
}

bool fari_frame_pads(const far_frame *frame)
{
    return frame->fit == FAR_FIT_CROP || frame->fit == FAR_FIT_PAD || frame->fit == FAR_FIT_RANDOM_CROP;
}

bool fari_frame_is_exact(const far_frame *frame)
{
    return frame->fit == FAR_FIT_AS_IS || frame->fit == FAR_FIT_RANDOM_RESIZED_CROP;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Half of what is over, a half rounded to even: as Python's round in torchvision's center_crop. */
static int64_t middle(int64_t over)
{
    return over / 2 + (over % 2 != 0 && over / 2 % 2 != 0 ? 1 : 0);
}

/* The sides after resizing, at least the frame's: one is target, the other keeps the image's ratio, rounded down (torchvision's resize). */
static void covering(const far_frame *frame, int64_t height, int64_t width, int64_t *height_out, int64_t *width_out)
{
    const int64_t target_h = (int64_t)((double)frame->height / frame->share + 1e-6),
                  target_w = (int64_t)((double)frame->width / frame->share + 1e-6);
    const bool by_height = (double)target_h * (double)width >= (double)target_w * (double)height;
    *height_out = by_height ? target_h : (int64_t)((double)target_w * (double)height / (double)width);
    *width_out = by_height ? (int64_t)((double)target_h * (double)width / (double)height) : target_w;
    if (*height_out < target_h) *height_out = target_h;
    if (*width_out < target_w) *width_out = target_w;
}

static fari_placing place_resized(const far_frame *frame, int64_t height, int64_t width)
{
    fari_placing p = { .region = { 0, 0, height, width, 0, 0 } };
    covering(frame, height, width, &p.region.out_height, &p.region.out_width);
    p.y = middle(p.region.out_height - frame->height);
    p.x = middle(p.region.out_width - frame->width);
    return p;
}

/* In its own resolution: what of the sample lies in the frame when the frame begins at (y, x) of it. */
static fari_placing place_cropped(const far_frame *frame, int64_t height, int64_t width, int64_t y, int64_t x)
{
    const int64_t h = smaller(height, frame->height), w = smaller(width, frame->width);
    return (fari_placing){ .region = { y, x, h, w, h, w } };
}

/* The part that is taken when no random one fits: as much as the ratios allow, from the middle. */
static far_region fallback_part(const far_frame *frame, int64_t height, int64_t width)
{
    const double ratio = (double)width / (double)height;
    int64_t h = height, w = width;
    if (ratio < frame->ratio_min) h = llround((double)w / frame->ratio_min);
    else if (ratio > frame->ratio_max) w = llround((double)h * frame->ratio_max);
    h = h < 1 ? 1 : smaller(h, height);
    w = w < 1 ? 1 : smaller(w, width);
    return (far_region){ (height - h) / 2, (width - w) / 2, h, w, frame->height, frame->width };
}

/* torchvision's RandomResizedCrop.get_params: area uniform, ratio uniform in its logarithm, up to ten tries for a part that fits. */
static far_region random_part(const far_frame *frame, uint64_t key, int64_t height, int64_t width)
{
    const double area = (double)height * (double)width, low = log(frame->ratio_min), high = log(frame->ratio_max);
    for (uint64_t draw = FARI_DRAW_REGIONS; draw < FARI_DRAW_REGIONS + 4 * TRIES; draw += 4) {
        const double part =
            area * (frame->area_min + (frame->area_max - frame->area_min) * fari_rng_unit_f64(key, draw));
        const double ratio = exp(low + (high - low) * fari_rng_unit_f64(key, draw + 1));
        const int64_t w = llround(sqrt(part * ratio)), h = llround(sqrt(part / ratio));
        if (h < 1 || w < 1 || h > height || w > width) continue;
        const uint64_t y = fari_rng_below(key, draw + 2, (uint64_t)(height - h + 1));
        const uint64_t x = fari_rng_below(key, draw + 3, (uint64_t)(width - w + 1));
        return (far_region){ (int64_t)y, (int64_t)x, h, w, frame->height, frame->width };
    }
    return fallback_part(frame, height, width);
}

static int64_t over(int64_t extent, int64_t frame)
{
    return extent > frame ? extent - frame : 0;
}

fari_placing fari_frame_place(const far_frame *frame, uint64_t key, int64_t height, int64_t width)
{
    const int64_t over_y = over(height, frame->height), over_x = over(width, frame->width);
    switch (frame->fit) {
    case FAR_FIT_AS_IS:
    case FAR_FIT_PAD: return place_cropped(frame, height, width, 0, 0);
    case FAR_FIT_RESIZE: return place_resized(frame, height, width);
    case FAR_FIT_CROP: return place_cropped(frame, height, width, middle(over_y), middle(over_x));
    case FAR_FIT_RANDOM_CROP:
        return place_cropped(frame, height, width, (int64_t)fari_rng_below(key, FARI_DRAW_CROP_Y, (uint64_t)over_y + 1),
                             (int64_t)fari_rng_below(key, FARI_DRAW_CROP_X, (uint64_t)over_x + 1));
    case FAR_FIT_RANDOM_RESIZED_CROP: return (fari_placing){ .region = random_part(frame, key, height, width) };
    }
    return place_cropped(frame, height, width, 0, 0);
}
