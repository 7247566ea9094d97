#include "data/jitter.h"
#include "base/rng.h"
#include "base/status.h"
#include "data/draws.h"
#include <inttypes.h>
#include <math.h>

#define CHANGES 4
#define ORDERS 24 /* of four changes */

static float unit(float x)
{
    return x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x;
}

/* ITU-R 601 luma as torchvision rounds its factors. */
static float grey(const float *pixel)
{
    return 0.2989f * pixel[0] + 0.587f * pixel[1] + 0.114f * pixel[2];
}

far_status fari_jitter_check(const far_augment *augment, int64_t channels)
{
    const double changes[] = { augment->brightness, augment->contrast, augment->saturation, augment->hue };
    for (int i = 0; i < CHANGES; i++)
        if (!(changes[i] >= 0.0 && changes[i] <= (i == 3 ? 0.5 : 1e3)))
            return FAR_FAIL(FAR_E_ARG,
                            "brightness %g, contrast %g, saturation %g, hue %g: expected at least 0, hue at most 0.5",
                            changes[0], changes[1], changes[2], changes[3]);
    if (!(augment->invert >= 0.0 && augment->invert <= 1.0))
        return FAR_FAIL(FAR_E_ARG, "inverted with probability %g: expected 0 to 1", augment->invert);
    if (fari_jitter_is_on(augment) && channels != 1 && channels != 3)
        return FAR_FAIL(FAR_E_ARG, "changes of colour need grey or RGB images, not %" PRId64 " channels", channels);
    return FAR_OK;
}

bool fari_jitter_is_on(const far_augment *augment)
{
    return augment->brightness > 0.0 || augment->contrast > 0.0 || augment->saturation > 0.0 || augment->hue > 0.0 ||
           augment->invert > 0.0;
}

void fari_jitter_brightness(double factor, int64_t channels, int64_t pixels, float *image)
{
    const float f = (float)factor;
    for (int64_t i = 0; i < pixels * channels; i++) image[i] = unit(f * image[i]);
}

void fari_jitter_contrast(double factor, int64_t channels, int64_t pixels, float *image)
{
    double sum = 0.0;
    for (int64_t i = 0; i < pixels; i++) sum += (double)(channels == 3 ? grey(image + 3 * i) : image[i]);
    const float f = (float)factor, rest = (float)(1.0 - factor) * (float)(sum / (double)pixels);
    for (int64_t i = 0; i < pixels * channels; i++) image[i] = unit(f * image[i] + rest);
}

void fari_jitter_saturation(double factor, int64_t channels, int64_t pixels, float *image)
{
    const float f = (float)factor, g = (float)(1.0 - factor);
    if (channels != 3) return;
    for (float *pixel = image; pixel < image + 3 * pixels; pixel += 3) {
        const float rest = g * grey(pixel);
        for (int c = 0; c < 3; c++) pixel[c] = unit(f * pixel[c] + rest);
    }
}

#define TILE 64 /* pixels, their colours apart, so that loops over them become vector code */

static float least_of(float a, float b)
{
    return a < b ? a : b;
}

static float most_of(float a, float b)
{
    return a > b ? a : b;
}

/* One of three colours at a hue in [0, 6), red at 0, green at 2, blue at 4: full within 1 of its own, nothing from 2 on. */
static float share_at(float hue, float own)
{
    const float away = fabsf(hue - own), around = away > 3.0f ? 6.0f - away : away;
    return unit(2.0f - around);
}

/* torchvision goes through HSV and back; this is the same with the sectors of the colour circle as one formula. */
static void turn_tile(float sixths, float *restrict r, float *restrict g, float *restrict b)
{
    for (int i = 0; i < TILE; i++) {
        const float most = most_of(most_of(r[i], g[i]), b[i]), least = least_of(least_of(r[i], g[i]), b[i]);
        const float span = most - least;
        const float first = most == r[i] ? 0.0f : most == g[i] ? 2.0f : 4.0f;
        const float beside = most == r[i] ? g[i] - b[i] : most == g[i] ? b[i] - r[i] : r[i] - g[i];
        float hue = first + beside / (span > 0.0f ? span : 1.0f) + sixths; /* in [-4, 8] */
        hue += hue < 0.0f ? 6.0f : 0.0f;
        hue -= hue >= 6.0f ? 6.0f : 0.0f;
        r[i] = least + span * share_at(hue, 0.0f);
        g[i] = least + span * share_at(hue, 2.0f);
        b[i] = least + span * share_at(hue, 4.0f);
    }
}

void fari_jitter_hue(double turns, int64_t channels, int64_t pixels, float *image)
{
    float colour[3][TILE] = { { 0.0f } };
    if (channels != 3) return;
    for (int64_t first = 0; first < pixels; first += TILE) {
        const int64_t count = pixels - first < TILE ? pixels - first : TILE;
        float *tile = image + 3 * first;
        for (int64_t i = 0; i < count; i++)
            for (int c = 0; c < 3; c++) colour[c][i] = tile[3 * i + c];
        turn_tile((float)(6.0 * turns), colour[0], colour[1], colour[2]);
        for (int64_t i = 0; i < count; i++)
            for (int c = 0; c < 3; c++) tile[3 * i + c] = colour[c][i];
    }
}

static void invert(int64_t elems, float *image)
{
    for (int64_t i = 0; i < elems; i++) image[i] = 1.0f - image[i];
}

/* Order number `n` of four things: the next of those left is picked by n modulo their count. */
static void order_of(uint64_t n, int order_out[CHANGES])
{
    int left[CHANGES] = { 0, 1, 2, 3 };
    for (int i = 0; i < CHANGES; i++) {
        const int count = CHANGES - i, pick = (int)(n % (uint64_t)count);
        n /= (uint64_t)count;
        order_out[i] = left[pick];
        for (int k = pick; k + 1 < count; k++) left[k] = left[k + 1];
    }
}

static double factor(uint64_t key, uint64_t draw, double change)
{
    const double low = change < 1.0 ? 1.0 - change : 0.0, high = 1.0 + change;
    return low + (high - low) * fari_rng_unit_f64(key, draw);
}

void fari_jitter_apply(const far_augment *augment, uint64_t key, int64_t channels, int64_t pixels, float *image)
{
    static void (*const scaled[])(double, int64_t, int64_t, float *) = { fari_jitter_brightness, fari_jitter_contrast,
                                                                         fari_jitter_saturation };
    const double changes[] = { augment->brightness, augment->contrast, augment->saturation };
    int order[CHANGES];
    if (!fari_jitter_is_on(augment)) return;
    order_of(fari_rng_below(key, FARI_DRAW_JITTER_ORDER, ORDERS), order);
    for (int i = 0; i < CHANGES; i++) {
        const int k = order[i];
        if (k < 3 && changes[k] > 0.0)
            scaled[k](factor(key, (uint64_t)FARI_DRAW_BRIGHTNESS + (uint64_t)k, changes[k]), channels, pixels, image);
        if (k == 3 && augment->hue > 0.0)
            fari_jitter_hue(augment->hue * (2.0 * fari_rng_unit_f64(key, FARI_DRAW_HUE) - 1.0), channels, pixels,
                            image);
    }
    if (fari_rng_unit_f64(key, FARI_DRAW_INVERT) < augment->invert) invert(pixels * channels, image);
}
