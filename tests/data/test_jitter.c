/* Changes of colour, against the same formulas written another way, in double. */
#include "base/rng.h"
#include "data/jitter.h"
#include "test.h"

enum { PIXELS = 500 };

static float image[3 * PIXELS], before[3 * PIXELS];
static double want[3 * PIXELS];

static void fill(void)
{
    static const float edges[][3] = {
        { 0, 0, 0 }, { 1, 1, 1 }, { 0.5f, 0.5f, 0.5f }, { 1, 0, 0 }, { 0, 1, 0 },
        { 0, 0, 1 }, { 1, 1, 0 }, { 0, 1, 1 },          { 1, 0, 1 }, { 0.25f, 0.25f, 0.75f }
    };
    for (int i = 0; i < 3 * PIXELS; i++) image[i] = fari_rng_unit(7, (uint64_t)i);
    memcpy(image, edges, sizeof edges);
    memcpy(before, image, sizeof before);
}

static double limited(double x)
{
    return x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x;
}

static double grey(const float *p)
{
    return 0.2989 * (double)p[0] + 0.587 * (double)p[1] + 0.114 * (double)p[2];
}

/* Hue as an angle of the colour hexagon, from the projection on its plane: no cases for the largest colour. */
static void want_hue(const float *p, double turns, double *out)
{
    const double most = fmax(fmax((double)p[0], (double)p[1]), (double)p[2]),
                 least = fmin(fmin((double)p[0], (double)p[1]), (double)p[2]);
    double hue = 0.0;
    if (most > least) {
        const double r = ((double)p[0] - least) / (most - least), g = ((double)p[1] - least) / (most - least),
                     b = ((double)p[2] - least) / (most - least);
        hue = r == 1.0 ? g - b : g == 1.0 ? 2.0 + b - r : 4.0 + r - g;
    }
    hue = fmod(hue + 6.0 * turns + 12.0, 6.0);
    for (int c = 0; c < 3; c++) { /* each colour is a trapezoid of the hue */
        const double away = fabs(fmod(hue - 2.0 * c + 9.0, 6.0) - 3.0);
        out[c] = least + (most - least) * limited(2.0 - away);
    }
}

FAR_TEST(brightness_contrast_saturation)
{
    static const double factors[] = { 0.0, 0.3, 1.0, 1.7 };
    for (size_t f = 0; f < FAR_COUNT(factors); f++) {
        const double factor = factors[f];
        double mean = 0.0;
        fill();
        for (int i = 0; i < PIXELS; i++) mean += grey(before + 3 * i) / PIXELS;
        for (int i = 0; i < 3 * PIXELS; i++) want[i] = limited(factor * (double)before[i]);
        fari_jitter_brightness(factor, 3, PIXELS, image);
        FAR_CHECK_CLOSE("brightness", image, want, 3 * PIXELS, 1e-6);
        fill();
        for (int i = 0; i < 3 * PIXELS; i++) want[i] = limited(factor * (double)before[i] + (1.0 - factor) * mean);
        fari_jitter_contrast(factor, 3, PIXELS, image);
        FAR_CHECK_CLOSE("contrast", image, want, 3 * PIXELS, 1e-6);
        fill();
        for (int i = 0; i < 3 * PIXELS; i++)
            want[i] = limited(factor * (double)before[i] + (1.0 - factor) * grey(before + i / 3 * 3));
        fari_jitter_saturation(factor, 3, PIXELS, image);
        FAR_CHECK_CLOSE("saturation", image, want, 3 * PIXELS, 1e-6);
    }
}

FAR_TEST(hue)
{
    static const double turns[] = { 0.0, 0.1, -0.1, 0.5, -0.5, 1.0 / 3.0, 0.49 };
    for (size_t t = 0; t < FAR_COUNT(turns); t++) {
        fill();
        for (int i = 0; i < PIXELS; i++) want_hue(before + 3 * i, turns[t], want + 3 * i);
        fari_jitter_hue(turns[t], 3, PIXELS, image);
        FAR_CHECK_CLOSE("hue", image, want, 3 * PIXELS, 3e-6);
    }
    /* Python's colorsys: (0.2, 0.4, 0.9) turned by 0.25 */
    float one[3] = { 0.2f, 0.4f, 0.9f };
    fari_jitter_hue(0.25, 3, 1, one);
    FAR_CHECK_NEAR(one[0], 0.9, 1e-6);
    FAR_CHECK_NEAR(one[1], 0.2, 1e-6);
    FAR_CHECK_NEAR(one[2], 0.75, 1e-6);
}

FAR_TEST(grey_images_keep_their_colour)
{
    fill();
    fari_jitter_hue(0.3, 1, 3 * PIXELS, image);
    fari_jitter_saturation(0.3, 1, 3 * PIXELS, image);
    FAR_CHECK_BITS("grey", image, before, 3 * PIXELS);
    double mean = 0.0;
    for (int i = 0; i < 3 * PIXELS; i++) mean += (double)before[i] / (3 * PIXELS);
    for (int i = 0; i < 3 * PIXELS; i++) want[i] = limited(0.6 * (double)before[i] + 0.4 * mean);
    fari_jitter_contrast(0.6, 1, 3 * PIXELS, image);
    FAR_CHECK_CLOSE("contrast", image, want, 3 * PIXELS, 1e-6);
}

FAR_TEST(orders_and_factors_are_drawn_evenly)
{
    /* brightness then saturation, or the other way round, give different images: both have to occur, and so do all factors */
    const far_augment both = { .brightness = 0.5, .saturation = 0.9 }, one = { .brightness = 0.5 };
    double least = 9.0, most = 0.0, sum = 0.0;
    int64_t first = 0;
    enum { SAMPLES = 2000 };
    for (uint64_t sample = 0; sample < SAMPLES; sample++) {
        const uint64_t key = fari_rng_key(3, FARI_RNG_AUGMENT, 0, sample);
        float pixel[3] = { 0.5f, 0.5f, 0.5f };
        fari_jitter_apply(&one, key, 3, 1, pixel);
        const double factor = 2.0 * (double)pixel[0];
        least = fmin(least, factor);
        most = fmax(most, factor);
        sum += factor;
        float red[3] = { 0.9f, 0.1f, 0.1f }, again[3] = { 0.9f, 0.1f, 0.1f }, b[3] = { 0.9f, 0.1f, 0.1f };
        fari_jitter_apply(&both, key, 3, 1, red);
        fari_jitter_apply(&both, key, 3, 1, again);
        FAR_CHECK_BITS("again", again, red, 3);
        const double s = 0.1 + 1.8 * fari_rng_unit_f64(key, 67);
        fari_jitter_brightness(factor, 3, 1, b);
        fari_jitter_saturation(s, 3, 1, b);
        first += fabsf(b[0] - red[0]) + fabsf(b[1] - red[1]) < 1e-5f;
    }
    FAR_CHECK(least >= 0.5 && least < 0.51 && most > 1.49 && most <= 1.5);
    FAR_CHECK_MSG(fabs(sum / SAMPLES - 1.0) < 0.03, "mean factor %g", sum / SAMPLES);
    FAR_CHECK_MSG(first > SAMPLES / 2 && first < SAMPLES, "brightness first in %" PRId64, first);
}

FAR_TEST(images_are_inverted_as_often_as_asked)
{
    const far_augment some = { .invert = 0.3 }, always = { .invert = 1.0 };
    enum { SAMPLES = 2000 };
    int64_t inverted = 0;
    for (uint64_t sample = 0; sample < SAMPLES; sample++) {
        const uint64_t key = fari_rng_key(4, FARI_RNG_AUGMENT, 0, sample);
        float a[3] = { 0.25f, 0.5f, 1.0f }, b[3] = { 0.25f, 0.5f, 1.0f };
        const float as_it_was[3] = { 0.25f, 0.5f, 1.0f }, other[3] = { 0.75f, 0.5f, 0.0f };
        fari_jitter_apply(&some, key, 1, 3, a);
        fari_jitter_apply(&always, key, 3, 1, b);
        FAR_CHECK_BITS("some", a, a[2] == 0.0f ? other : as_it_was, 3);
        FAR_CHECK_BITS("always", b, other, 3);
        inverted += a[2] == 0.0f;
    }
    FAR_CHECK_MSG(inverted > SAMPLES / 4 && inverted < SAMPLES * 7 / 20, "inverted: %" PRId64, inverted);
}

FAR_TEST(ranges_are_checked)
{
    const far_augment bad[] = {
        { .hue = 0.6 }, { .invert = 1.1 }, { .invert = -0.1 }, { .brightness = -0.1 }, { .contrast = NAN }
    };
    const far_augment good = { .brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.5 }, none = { 0 };
    for (size_t i = 0; i < FAR_COUNT(bad); i++) FAR_CHECK_STATUS(fari_jitter_check(&bad[i], 3), FAR_E_ARG);
    FAR_CHECK_OK(fari_jitter_check(&good, 3));
    FAR_CHECK_OK(fari_jitter_check(&good, 1));
    FAR_CHECK_STATUS(fari_jitter_check(&good, 4), FAR_E_ARG);
    FAR_CHECK_OK(fari_jitter_check(&none, 4));
}
