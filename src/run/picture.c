/* What goes into a network and comes out of it, for the eye. */
#include "base/mem.h"
#include "base/png.h"
#include "base/status.h"
#include <farandole/picture.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- numbers from a prediction ---- */

int64_t far_prediction_pixels(const far_prediction *prediction)
{
    int64_t pixels = 1;
    for (int32_t i = 1; i < prediction->shape.ndim; i++) pixels *= prediction->shape.dim[i];
    return pixels;
}

void far_prediction_classes(const far_prediction *prediction, int32_t *classes_out)
{
    const int64_t pixels = far_prediction_pixels(prediction), classes = prediction->shape.dim[0];
    for (int64_t p = 0; p < pixels; p++) {
        int32_t best = classes == 1 && prediction->elems[p] > 0.0F ? 1 : 0;
        for (int64_t k = 1; k < classes; k++)
            if (prediction->elems[k * pixels + p] > prediction->elems[(int64_t)best * pixels + p]) best = (int32_t)k;
        classes_out[p] = best;
    }
}

void far_prediction_probabilities(const far_prediction *prediction, float *probabilities_out)
{
    const int64_t pixels = far_prediction_pixels(prediction), classes = prediction->shape.dim[0];
    for (int64_t p = 0; p < pixels; p++) {
        const float *logits = prediction->elems + p;
        double top = (double)logits[0], sum = 0.0;
        if (classes == 1) {
            probabilities_out[p] = (float)(1.0 / (1.0 + exp(-top)));
            continue;
        }
        for (int64_t k = 1; k < classes; k++) top = fmax(top, (double)logits[k * pixels]);
        for (int64_t k = 0; k < classes; k++) sum += exp((double)logits[k * pixels] - top);
        for (int64_t k = 0; k < classes; k++)
            probabilities_out[k * pixels + p] = (float)(exp((double)logits[k * pixels] - top) / sum);
    }
}

/* ---- colours ---- */

/* Neighbours differ in brightness: light, middle, dark, middle, dark... */
static const uint8_t colours[][3] = {
    { 0xEC, 0xEC, 0xEC }, { 0x3A, 0x86, 0xD8 }, { 0xA5, 0x0F, 0x15 }, { 0xFD, 0xB4, 0x3F }, { 0x4A, 0x2C, 0x8F },
    { 0x3F, 0xA3, 0x4D }, { 0x00, 0x4D, 0x5A }, { 0xF0, 0x9A, 0xC4 }, { 0x7A, 0x45, 0x0A }, { 0xB8, 0xD8, 0x4A },
};

void far_class_colour(int32_t class_idx, uint8_t rgb_out[3])
{
    static const uint8_t white[3] = { 255, 255, 255 };
    if (class_idx < 0 || class_idx >= FAR_PICTURE_CLASSES_MAX) memcpy(rgb_out, white, 3);
    else if ((size_t)class_idx < FAR_COUNT(colours)) memcpy(rgb_out, colours[class_idx], 3);
    else { /* around the circle of hues by the golden angle, dark and light in turn */
        const double turn = fmod(0.618034 * (double)class_idx, 1.0), light = class_idx % 3 == 0   ? 0.9
                                                                             : class_idx % 3 == 1 ? 0.45
                                                                                                  : 0.7;
        for (int32_t c = 0; c < 3; c++) {
            const double at = fabs(fmod(turn + (double)c / 3.0, 1.0) * 6.0 - 3.0) - 1.0;
            rgb_out[c] = (uint8_t)(255.0 * light * (0.25 + 0.75 * fmin(fmax(at, 0.0), 1.0)));
        }
    }
}

/* ---- images ---- */

static far_status picture_make(int64_t height, int64_t width, int32_t channels, far_picture *picture_out)
{
    size_t bytes = 0;
    *picture_out = (far_picture){ .height = height, .width = width, .channels = channels };
    if (!fari_mul_size((size_t)height, (size_t)width, &bytes) || !fari_mul_size(bytes, (size_t)channels, &bytes) ||
        (picture_out->pixels = fari_alloc(bytes)) == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory for a picture of %" PRId64 " x %" PRId64, height, width);
    return FAR_OK;
}

void far_picture_free(far_picture *picture)
{
    fari_free(picture->pixels);
    *picture = (far_picture){ 0 };
}

/* One channel of a picture: which of the image's, or the mean of all (-1); blocks of shrink x shrink become their mean. */
typedef struct reading {
    const far_prediction *p;
    int32_t shrink;
    int64_t height, width; /* of the picture */
} reading;

static double value_at(const far_prediction *p, int64_t pixel, int64_t channel)
{
    const double value = (double)p->image[pixel * p->channels + channel];
    return p->mean != NULL && p->std != NULL ? value * (double)p->std[channel] + (double)p->mean[channel] : value;
}

static double block_value(const reading *r, int64_t y, int64_t x, int64_t channel)
{
    const far_prediction *p = r->p;
    double sum = 0.0;
    int64_t count = 0;
    for (int64_t v = y * r->shrink; v < (y + 1) * r->shrink && v < p->height; v++)
        for (int64_t u = x * r->shrink; u < (x + 1) * r->shrink && u < p->width; u++) {
            if (channel >= 0) sum += value_at(p, v * p->width + u, channel);
            else
                for (int64_t c = 0; c < p->channels; c++) sum += value_at(p, v * p->width + u, c) / (double)p->channels;
            count++;
        }
    sum /= (double)count;
    return isfinite(sum) ? sum : 0.0;
}

typedef struct span {
    double low, high;
    bool is_turned; /* dark on white */
} span;

#define BINS 1024
#define SPARSE 0.8 /* of the pixels at the least value */

/* From the least value to where 99 % of the pixels that are above it lie. */
static span span_of(const reading *r, int64_t channel)
{
    int64_t bins[BINS] = { 0 }, above = 0, at_low = 0;
    span out = { INFINITY, -INFINITY, false };
    for (int64_t y = 0; y < r->height; y++)
        for (int64_t x = 0; x < r->width; x++) {
            const double value = block_value(r, y, x, channel);
            out.low = fmin(out.low, value);
            out.high = fmax(out.high, value);
        }
    if (!(out.high > out.low)) return (span){ out.low, out.low + 1.0, false };
    for (int64_t y = 0; y < r->height; y++)
        for (int64_t x = 0; x < r->width; x++) {
            const double share = (block_value(r, y, x, channel) - out.low) / (out.high - out.low);
            const int64_t bin = (int64_t)fmin((double)(BINS - 1), share * BINS);
            at_low += share <= 1e-6;
            if (share > 1e-6) bins[bin]++;
            above += share > 1e-6;
        }
    int64_t seen = 0, bin = 0;
    while (bin < BINS - 1 && (double)(seen += bins[bin]) < 0.99 * (double)above) bin++;
    out.high = out.low + (out.high - out.low) * (double)(bin + 1) / BINS;
    out.is_turned = (double)at_low > SPARSE * (double)(r->height * r->width);
    return out;
}

static uint8_t shade(double value, const span *over)
{
    const double share = fmin(fmax((value - over->low) / (over->high - over->low), 0.0), 1.0);
    /* the root lifts what is faint: a track of half the charge is no less a track */
    return (uint8_t)lround(255.0 * (over->is_turned ? 1.0 - sqrt(share) : share));
}

far_status far_picture_of_image(const far_prediction *prediction, int32_t shrink, far_picture *picture_out)
{
    const far_prediction *p = prediction;
    if (shrink < 1) return FAR_FAIL(FAR_E_ARG, "a picture shrunk by %d: at least 1", (int)shrink);
    const bool is_plane = p->map_count > 1 && p->map_count == p->channels;
    const bool is_colour = p->channels == 3 && !is_plane;
    reading r = { .p = p, .shrink = shrink };
    r.height = (p->height + shrink - 1) / shrink;
    r.width = (p->width + shrink - 1) / shrink;
    const int32_t channels = is_colour ? 3 : 1;
    FAR_TRY(picture_make(r.height, r.width, channels, picture_out));
    for (int32_t c = 0; c < channels; c++) {
        const int64_t from = is_colour ? c : is_plane ? p->map : p->channels == 1 ? 0 : -1;
        const span over = p->is_byte ? (span){ 0.0, 1.0, false } : span_of(&r, from);
        for (int64_t y = 0; y < r.height; y++)
            for (int64_t x = 0; x < r.width; x++)
                picture_out->pixels[(y * r.width + x) * channels + c] = shade(block_value(&r, y, x, from), &over);
    }
    return FAR_OK;
}

far_status far_picture_of_classes(const int32_t *labels, int64_t height, int64_t width, int32_t shrink,
                                  far_picture *picture_out)
{
    if (shrink < 1) return FAR_FAIL(FAR_E_ARG, "a picture shrunk by %d: at least 1", (int)shrink);
    FAR_TRY(picture_make((height + shrink - 1) / shrink, (width + shrink - 1) / shrink, 1, picture_out));
    picture_out->is_classes = true;
    for (int64_t y = 0; y < picture_out->height; y++)
        for (int64_t x = 0; x < picture_out->width; x++) {
            int32_t most = -1;
            for (int64_t v = y * shrink; v < (y + 1) * shrink && v < height; v++)
                for (int64_t u = x * shrink; u < (x + 1) * shrink && u < width; u++)
                    if (labels[v * width + u] > most) most = labels[v * width + u];
            const bool is_class = most >= 0 && most < FAR_PICTURE_CLASSES_MAX;
            picture_out->pixels[y * picture_out->width + x] = is_class ? (uint8_t)most : FAR_PICTURE_NO_CLASS;
        }
    return FAR_OK;
}

far_status far_picture_overlay(const far_picture *image, const far_picture *classes, far_picture *picture_out)
{
    uint8_t colour[3];
    if (image->height != classes->height || image->width != classes->width || !classes->is_classes)
        return FAR_FAIL(FAR_E_SHAPE,
                        "an image of %" PRId64 " x %" PRId64 " pixels under a map of %" PRId64 " x %" PRId64,
                        image->height, image->width, classes->height, classes->width);
    FAR_TRY(picture_make(image->height, image->width, 3, picture_out));
    for (int64_t i = 0; i < image->height * image->width; i++) {
        const uint8_t class_idx = classes->pixels[i];
        const bool is_shown = class_idx > 0 && class_idx != FAR_PICTURE_NO_CLASS;
        far_class_colour(class_idx, colour);
        for (int32_t c = 0; c < 3; c++) {
            const int32_t under = image->pixels[i * image->channels + (image->channels == 3 ? c : 0)];
            picture_out->pixels[3 * i + c] = (uint8_t)(is_shown ? (under * 2 + colour[c] * 3) / 5 : under);
        }
    }
    return FAR_OK;
}

far_status far_picture_write(const char *path, const far_picture *picture)
{
    uint8_t palette[256][3];
    fari_png png = {
        .pixels = picture->pixels, .height = picture->height, .width = picture->width, .channels = picture->channels
    };
    if (picture->is_classes) {
        for (int32_t i = 0; i < 256; i++) far_class_colour(i, palette[i]);
        png.palette = (const uint8_t(*)[3])palette;
        png.palette_count = 256;
    }
    return fari_png_write(path, &png);
}
