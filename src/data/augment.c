#include "data/augment.h"
#include "base/rng.h"
#include "base/status.h"
#include "data/dataset.h"
#include "data/draws.h"
#include "data/jitter.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define ERASE_TRIES 10
#define ERASE_RATIO 0.3

static bool can_be_halved(int64_t height, int64_t width, int32_t times)
{
    return times >= 0 && times <= 30 && height % (INT64_C(1) << times) == 0 && width % (INT64_C(1) << times) == 0;
}

/* Halving leaves pixels in whole blocks, of the image as of the padding. */
static far_status check_downsample(const far_augment *augment, const far_dataset_info *info)
{
    const int32_t k = augment->downsample;
    if (k == 0) return FAR_OK;
    const far_frame *frame = &augment->frame;
    if ((frame->fit != FAR_FIT_AS_IS && frame->fit != FAR_FIT_PAD) || info->varies)
        return FAR_FAIL(FAR_E_ARG, "images cannot both be halved %d times and be cut, resized or of several sizes", k);
    if (!can_be_halved(info->height, info->width, k))
        return FAR_FAIL(FAR_E_ARG, "images of %" PRId64 " x %" PRId64 " cannot be halved %d times", info->height,
                        info->width, k);
    if (frame->fit == FAR_FIT_PAD && !can_be_halved(frame->height, frame->width, k))
        return FAR_FAIL(FAR_E_ARG, "images padded to %" PRId64 " x %" PRId64 " cannot be halved %d times",
                        frame->height, frame->width, k);
    return FAR_OK;
}

far_status fari_augment_check(const far_augment *augment, const far_dataset_info *info, fari_augment_sizes *sizes_out)
{
    far_frame frame;
    FAR_TRY(check_downsample(augment, info));
    FAR_TRY(fari_frame_check(&augment->frame, info, &frame));
    FAR_TRY(fari_jitter_check(augment, info->channels));
    const int64_t height = frame.height >> augment->downsample, width = frame.width >> augment->downsample;
    if (augment->crop_pad < 0 || augment->cutout < 0)
        return FAR_FAIL(FAR_E_ARG, "augmentation: crop_pad %d, cutout %d", augment->crop_pad, augment->cutout);
    if (augment->crop_pad > 0 && fari_frame_pads(&frame))
        return FAR_FAIL(FAR_E_ARG, "augmentation: crop_pad beside another crop or padding");
    if (augment->turns && height != width)
        return FAR_FAIL(FAR_E_ARG, "augmentation by quarter turns needs square images, not %" PRId64 " x %" PRId64,
                        height, width);
    if (!(augment->erase >= 0.0 && augment->erase <= 1.0) ||
        !(augment->erase_area_min >= 0.0 && augment->erase_area_min <= augment->erase_area_max &&
          augment->erase_area_max <= 1.0))
        return FAR_FAIL(FAR_E_ARG, "augmentation: erase %g of areas %g to %g", augment->erase, augment->erase_area_min,
                        augment->erase_area_max);
    *sizes_out = (fari_augment_sizes){ .height = height,
                                       .width = width,
                                       .channels = info->channels,
                                       .map_planes = fari_label_planes(info),
                                       .frame = frame,
                                       .row_count = height };
    return FAR_OK;
}

bool fari_augment_in_place(const far_augment *augment)
{
    return fari_frame_is_exact(&augment->frame) && augment->downsample == 0 && augment->crop_pad == 0 &&
           !augment->flip && !augment->vflip && !augment->turns;
}

/* --- downsampling, in place: a block's result lies at or before its first pixel --- */

static void downsample_image(int64_t height, int64_t width, int64_t channels, int32_t halvings, float *image)
{
    const int64_t side = INT64_C(1) << halvings, out_height = height >> halvings, out_width = width >> halvings;
    const double area = (double)(side * side);
    for (int64_t y = 0; y < out_height; y++)
        for (int64_t x = 0; x < out_width; x++)
            for (int64_t c = 0; c < channels; c++) {
                double sum = 0.0;
                for (int64_t dy = 0; dy < side; dy++)
                    for (int64_t dx = 0; dx < side; dx++)
                        sum += (double)image[((y * side + dy) * width + x * side + dx) * channels + c];
                image[(y * out_width + x) * channels + c] = (float)(sum / area);
            }
}

void fari_augment_downsample_map(int64_t height, int64_t width, int64_t planes, int32_t halvings, int32_t *map)
{
    const int64_t side = INT64_C(1) << halvings, out_height = height >> halvings, out_width = width >> halvings;
    for (int64_t y = 0; y < out_height; y++)
        for (int64_t x = 0; x < out_width; x++)
            for (int64_t p = 0; p < planes; p++) {
                int32_t largest = FAR_LABEL_IGNORE;
                for (int64_t dy = 0; dy < side; dy++)
                    for (int64_t dx = 0; dx < side; dx++) {
                        const int64_t at = (y * side + dy) * width + x * side + dx;
                        if (map[at * planes + p] > largest) largest = map[at * planes + p];
                    }
                map[(y * out_width + x) * planes + p] = largest;
            }
}

/* --- moving pixels --- */

/* Output pixel (y, x) comes from pixel (y0 + y yy + x yx, x0 + y xy + x xx) of the frame: crop_pad, flips and turn in one. */
typedef struct movement {
    int64_t y0, x0;
    int64_t yy, yx, xy, xx; /* -1, 0, 1 */
} movement;

static bool coin(uint64_t key, uint64_t draw)
{
    return fari_rng_bits(key, draw) >> 63 != 0;
}

static movement draw_movement(const far_augment *augment, const fari_augment_sizes *sizes, uint64_t key)
{
    const int64_t bottom = sizes->height - 1, right = sizes->width - 1;
    movement m = { 0, 0, 1, 0, 0, 1 };
    /* the turn comes last, so it is undone first: (y, x) of the turned image from (y, x), (x, W-1-y), (H-1-y, W-1-x), (H-1-x, y) */
    const uint64_t turn = augment->turns ? fari_rng_below(key, FARI_DRAW_TURN, 4) : 0;
    if (turn == 1) m = (movement){ 0, right, 0, 1, -1, 0 };
    if (turn == 2) m = (movement){ bottom, right, -1, 0, 0, -1 };
    if (turn == 3) m = (movement){ bottom, 0, 0, -1, 1, 0 };
    if (augment->vflip && coin(key, FARI_DRAW_VFLIP)) m = (movement){ bottom - m.y0, m.x0, -m.yy, -m.yx, m.xy, m.xx };
    if (augment->flip && coin(key, FARI_DRAW_FLIP)) m = (movement){ m.y0, right - m.x0, m.yy, m.yx, -m.xy, -m.xx };
    if (augment->crop_pad > 0) {
        const uint64_t places = 2 * (uint64_t)augment->crop_pad + 1;
        m.y0 += (int64_t)fari_rng_below(key, FARI_DRAW_CROP_Y, places) - augment->crop_pad;
        m.x0 += (int64_t)fari_rng_below(key, FARI_DRAW_CROP_X, places) - augment->crop_pad;
    }
    return m;
}

void fari_augment_rows(const far_augment *augment, const fari_augment_sizes *sizes, uint64_t key, int64_t y,
                       int64_t whole_height, int64_t *first_out, int64_t *count_out)
{
    const movement m = draw_movement(augment, sizes, key);
    const int32_t k = augment->downsample;
    const int64_t inside = (whole_height >> k) - y, height = inside < sizes->height ? inside : sizes->height;
    const int64_t one = m.y0 + sizes->row_first * m.yy, other = one + (sizes->row_count - 1) * m.yy;
    int64_t lo = one < other ? one : other, hi = (one < other ? other : one) + 1;
    FAR_ASSERT(m.yx == 0); /* fari_augment_wants_whole */
    if (lo < 0) lo = 0;
    if (hi > height) hi = height;
    if (lo >= hi) { /* all of them are padding: whether there is a sample is still asked */
        lo = 0;
        hi = 1;
    }
    *first_out = (y + lo) << k;
    *count_out = (hi - lo) << k;
}

bool fari_augment_wants_whole(const far_augment *augment)
{
    const far_fit fit = augment->frame.fit;
    return augment->turns || augment->contrast > 0.0 || fit == FAR_FIT_RESIZE || fit == FAR_FIT_RANDOM_RESIZED_CROP;
}

/* Pixels of `bytes` each, most often four. */
static inline void copy_pixel(char *to, const char *from, size_t bytes)
{
    if (bytes == 4) memcpy(to, from, 4); /* one instruction instead of a call */
    else memcpy(to, from, bytes);
}

/* What a frame is filled from: the pixels of the sample that lie in it, from its top left. */
typedef struct source {
    const char *pixels;
    int64_t first;                /* the row that `pixels` begin with */
    int64_t height, width, pitch; /* pixels; pitch: from row to row */
    size_t bytes;                 /* of a pixel */
    int fill;                     /* the bytes outside */
} source;

/* A row of the frame that comes from one row of the source, from its pixel sx on to the right: one copy. */
static void copy_run(const source *from, int64_t sy, int64_t sx, int64_t width, char *to)
{
    const int64_t end = from->width - sx;
    const int64_t first = sx >= 0       ? 0
                          : -sx < width ? -sx
                                        : width,
                  last = end < first   ? first
                         : end < width ? end
                                       : width;
    memset(to, from->fill, (size_t)first * from->bytes);
    if (last > first)
        memcpy(to + (size_t)first * from->bytes,
               from->pixels + (size_t)((sy - from->first) * from->pitch + sx + first) * from->bytes,
               (size_t)(last - first) * from->bytes);
    memset(to + (size_t)last * from->bytes, from->fill, (size_t)(width - last) * from->bytes);
}

static void move_pixels(const fari_augment_sizes *sizes, movement m, const source *from, char *to)
{
    const int64_t end = sizes->row_first + sizes->row_count, width = sizes->width;
    for (int64_t y = sizes->row_first; y < end; y++, to += (size_t)width * from->bytes) {
        int64_t sy = m.y0 + y * m.yy, sx = m.x0 + y * m.xy;
        if (m.yx == 0 && (sy < 0 || sy >= from->height)) {
            memset(to, from->fill, (size_t)width * from->bytes);
            continue;
        }
        if (m.yx == 0 && m.xx == 1) {
            copy_run(from, sy, sx, width, to);
            continue;
        }
        char *pixel = to;
        for (int64_t x = 0; x < width; x++, sy += m.yx, sx += m.xx, pixel += from->bytes) {
            if (sy < 0 || sy >= from->height || sx < 0 || sx >= from->width) memset(pixel, from->fill, from->bytes);
            else
                copy_pixel(pixel, from->pixels + (size_t)((sy - from->first) * from->pitch + sx) * from->bytes,
                           from->bytes);
        }
    }
}

/* Image and map of the raw sample into the frame; NULL: not wanted. */
static void move_sample(const fari_augment_sizes *sizes, movement m, const fari_raw *raw, float *image_out,
                        int32_t *map_out)
{
    const int64_t height = raw->whole_height - raw->y, width = raw->width - raw->x;
    source from = { .first = raw->first - raw->y,
                    .height = height < sizes->height ? height : sizes->height,
                    .width = width < sizes->width ? width : sizes->width,
                    .pitch = raw->width,
                    .bytes = sizeof *raw->image * (size_t)sizes->channels,
                    .pixels = (const char *)(raw->image + raw->x * sizes->channels) };
    if (image_out != NULL) move_pixels(sizes, m, &from, (char *)image_out);
    if (sizes->map_planes == 0 || map_out == NULL) return;
    from.bytes = sizeof *raw->map * (size_t)sizes->map_planes;
    from.pixels = (const char *)(raw->map + raw->x * sizes->map_planes);
    from.fill = 0xFF; /* all bits set: FAR_LABEL_IGNORE */
    move_pixels(sizes, m, &from, (char *)map_out);
}

/* --- values --- */

static void take_log(float *image, int64_t elems)
{
    for (int64_t i = 0; i < elems; i++) image[i] = log1pf(image[i]);
}

#define NORM_BLOCK 12 /* whole pixels of 1, 2, 3 and 4 channels */

/* (x - mean) / std in single precision, two operations an element as torchvision's Normalize does. */
static void normalise(const far_augment *augment, int64_t channels, int64_t pixels, float *image)
{
    const int64_t elems = pixels * channels;
    const int64_t block = NORM_BLOCK % channels == 0 ? NORM_BLOCK : 0;
    float mean[NORM_BLOCK], std[NORM_BLOCK];
    int64_t i = 0;
    if (augment->mean == NULL && augment->std == NULL) return;
    for (int64_t k = 0; k < block; k++) {
        mean[k] = augment->mean != NULL ? augment->mean[k % channels] : 0.0f;
        std[k] = augment->std != NULL ? augment->std[k % channels] : 1.0f;
    }
    for (; block > 0 && i + NORM_BLOCK <= elems; i += NORM_BLOCK)
        for (int64_t k = 0; k < NORM_BLOCK; k++) image[i + k] = (image[i + k] - mean[k]) / std[k];
    for (; i < elems; i++) {
        const int64_t c = i % channels;
        image[i] = (image[i] - (augment->mean != NULL ? augment->mean[c] : 0.0f)) /
                   (augment->std != NULL ? augment->std[c] : 1.0f);
    }
}

static void clear_rectangle(const fari_augment_sizes *sizes, float *image, int64_t y, int64_t x, int64_t height,
                            int64_t width)
{
    const int64_t first = sizes->row_first, end = first + sizes->row_count;
    const int64_t top = y < first ? first : y, left = x < 0 ? 0 : x;
    const int64_t bottom = y + height < end ? y + height : end;
    const int64_t right = x + width < sizes->width ? x + width : sizes->width;
    for (int64_t row = top; row < bottom && left < right; row++)
        memset(image + ((row - first) * sizes->width + left) * sizes->channels, 0,
               sizeof *image * (size_t)((right - left) * sizes->channels));
}

/* Random erasing (Zhong et al. 2017) as torchvision draws it: up to ten tries for a rectangle that fits. */
static void erase(const far_augment *augment, const fari_augment_sizes *sizes, uint64_t key, float *image)
{
    const bool is_default = augment->erase_area_max == 0.0;
    const double least = is_default ? 0.02 : augment->erase_area_min,
                 most = is_default ? 0.33 : augment->erase_area_max;
    const double area = (double)(sizes->height * sizes->width);
    if (!(fari_rng_unit_f64(key, FARI_DRAW_ERASE) < augment->erase)) return;
    for (uint64_t draw = FARI_DRAW_RECTANGLES; draw < FARI_DRAW_RECTANGLES + 4 * ERASE_TRIES; draw += 4) {
        const double part = area * (least + (most - least) * fari_rng_unit_f64(key, draw));
        const double ratio = exp(log(ERASE_RATIO) * (1.0 - 2.0 * fari_rng_unit_f64(key, draw + 1)));
        const int64_t height = (int64_t)llround(sqrt(part * ratio)), width = (int64_t)llround(sqrt(part / ratio));
        if (height < 1 || width < 1 || height >= sizes->height || width >= sizes->width) continue;
        const uint64_t y = fari_rng_below(key, draw + 2, (uint64_t)(sizes->height - height + 1));
        const uint64_t x = fari_rng_below(key, draw + 3, (uint64_t)(sizes->width - width + 1));
        clear_rectangle(sizes, image, (int64_t)y, (int64_t)x, height, width);
        return;
    }
}

static void downsample(const far_augment *augment, const fari_augment_sizes *sizes, fari_raw *raw)
{
    const int32_t k = augment->downsample;
    if (raw->image != NULL) downsample_image(raw->height, raw->width, sizes->channels, k, raw->image);
    if (sizes->map_planes > 0 && raw->map != NULL)
        fari_augment_downsample_map(raw->height, raw->width, sizes->map_planes, k, raw->map);
    raw->height >>= k;
    raw->width >>= k;
    raw->first >>= k;
    raw->whole_height >>= k;
}

/* What comes before pixels are moved. */
static void change_values(const far_augment *augment, const fari_augment_sizes *sizes, uint64_t key,
                          const fari_raw *raw)
{
    const int64_t channels = sizes->channels, pixels = raw->height * raw->width;
    if (raw->image == NULL) return;
    if (augment->log1p) take_log(raw->image, pixels * channels);
    fari_jitter_apply(augment, key, channels, pixels, raw->image);
    /* padding is 0 after normalisation, so that comes first */
    if (fari_frame_pads(&sizes->frame)) normalise(augment, channels, pixels, raw->image);
}

/* What comes after it. */
static void finish_image(const far_augment *augment, const fari_augment_sizes *sizes, uint64_t key, float *image)
{
    if (!fari_frame_pads(&sizes->frame)) normalise(augment, sizes->channels, sizes->row_count * sizes->width, image);
    if (augment->erase > 0.0) erase(augment, sizes, key, image);
    if (augment->cutout == 0) return;
    const int64_t y = (int64_t)fari_rng_below(key, FARI_DRAW_CUTOUT_Y, (uint64_t)sizes->height);
    const int64_t x = (int64_t)fari_rng_below(key, FARI_DRAW_CUTOUT_X, (uint64_t)sizes->width);
    clear_rectangle(sizes, image, y - augment->cutout / 2, x - augment->cutout / 2, augment->cutout, augment->cutout);
}

void fari_augment_apply(const far_augment *augment, const fari_augment_sizes *sizes, uint64_t key,
                        const fari_raw *as_read, float *image_out, int32_t *map_out)
{
    fari_raw raw = *as_read;
    const bool is_placed = raw.image != NULL ? raw.image == image_out : raw.map == map_out;
    if (raw.whole_height == 0) raw.whole_height = raw.height;
    if (augment->downsample > 0) downsample(augment, sizes, &raw);
    change_values(augment, sizes, key, &raw);
    if (!is_placed) move_sample(sizes, draw_movement(augment, sizes, key), &raw, image_out, map_out);
    if (image_out != NULL) finish_image(augment, sizes, key, image_out);
}
