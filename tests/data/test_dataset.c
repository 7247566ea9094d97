/* Data sets of one's own: samples of varying size, several label planes, regions, names. */
#include "data/region.h"
#include "own_set.h"
#include "test.h"
#include <farandole/data.h>

enum { SAMPLES = 5, CHANNELS = 2, PLANES = 3, HEIGHT_MAX = 9, WIDTH_MAX = 11 };

/* What a sample holds tells where it was read: sample, row, column, channel or plane. */
static float pixel(int64_t idx, int64_t y, int64_t x, int64_t c)
{
    return (float)(((idx * 16 + y) * 16 + x) * 4 + c);
}

typedef struct small_set {
    bool is_bad;
    int64_t closed;
} small_set;

static far_status own_extent(void *context, int64_t idx, int64_t *height_out, int64_t *width_out)
{
    const small_set *own = context;
    *height_out = own->is_bad && idx == 2 ? HEIGHT_MAX + 1 : idx == 0 ? HEIGHT_MAX : 3 + idx;
    *width_out = idx == 1 ? WIDTH_MAX : 7 - idx;
    return FAR_OK;
}

static far_status own_read(void *context, int64_t idx, float *image_out, int32_t *label_out)
{
    int64_t height, width;
    (void)own_extent(context, idx, &height, &width);
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            for (int64_t c = 0; c < CHANNELS; c++) *image_out++ = pixel(idx, y, x, c);
            for (int64_t p = 0; p < PLANES; p++) *label_out++ = (int32_t)pixel(idx, y, x, p);
        }
    return FAR_OK;
}

static const char *own_name(const void *context, int64_t idx)
{
    static const char *const names[] = { "a", "b", "c", "d", "e" };
    (void)context;
    return names[idx];
}

static void own_close(void *context)
{
    ((small_set *)context)->closed++;
}

static const far_dataset_ops own_ops = {
    .read = own_read, .close = own_close, .extent = own_extent, .sample_name = own_name
};
static const far_dataset_info own_info = { .sample_count = SAMPLES,
                                           .height = HEIGHT_MAX,
                                           .width = WIDTH_MAX,
                                           .channels = CHANNELS,
                                           .label = FAR_LABEL_MAP,
                                           .class_count = 10000,
                                           .label_planes = PLANES,
                                           .varies = true };

FAR_TEST(extents_and_names)
{
    small_set own = { 0 };
    far_dataset *set = NULL;
    int64_t height = 0, width = 0;
    FAR_CHECK_OK(far_dataset_create(&own_ops, &own, &own_info, &set));
    FAR_CHECK_OK(far_dataset_extent(set, 1, &height, &width));
    FAR_CHECK(height == 4 && width == WIDTH_MAX);
    FAR_CHECK_STATUS(far_dataset_extent(set, SAMPLES, &height, &width), FAR_E_ARG);
    FAR_CHECK_STR(far_dataset_sample_name(set, 3), "d");
    FAR_CHECK(far_dataset_sample_name(set, -1) == NULL && far_dataset_sample_name(set, SAMPLES) == NULL);
    own.is_bad = true; /* larger than the set says */
    FAR_CHECK_STATUS(far_dataset_extent(set, 2, &height, &width), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "sample 2 has 10 x 5 pixels");
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(own.closed, 1);
}

FAR_TEST(what_a_set_says_of_itself_is_checked)
{
    static const struct {
        far_label_kind label;
        int64_t planes;
        bool has_extent;
        far_status want;
    } cases[] = {
        { FAR_LABEL_MAP, 3, true, FAR_OK },          { FAR_LABEL_MAP, 0, true, FAR_OK },
        { FAR_LABEL_CLASS, 0, true, FAR_OK },        { FAR_LABEL_CLASS, 1, true, FAR_E_ARG },
        { FAR_LABEL_NONE, 2, true, FAR_E_ARG },      { FAR_LABEL_MAP, -1, true, FAR_E_ARG },
        { FAR_LABEL_MAP, 1000000, true, FAR_E_ARG }, { FAR_LABEL_MAP, 3, false, FAR_E_ARG },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        small_set own = { 0 };
        far_dataset *set = NULL;
        far_dataset_info info = own_info;
        far_dataset_ops ops = own_ops;
        info.label = cases[i].label;
        info.label_planes = cases[i].planes;
        if (!cases[i].has_extent) ops.extent = NULL;
        FAR_CHECK_STATUS(far_dataset_create(&ops, &own, &info, &set), cases[i].want);
        if (cases[i].want == FAR_OK)
            FAR_CHECK_EQ_I64(far_dataset_info_of(set).label_planes, cases[i].label != FAR_LABEL_MAP ? 0
                                                                    : cases[i].planes == 0          ? 1
                                                                                                    : cases[i].planes);
        far_dataset_close(set);
        FAR_CHECK_EQ_I64(own.closed, 1); /* also when the set was refused */
    }
}

FAR_TEST(regions_are_cut_from_the_right_place)
{
    small_set own = { 0 };
    far_dataset *set = NULL;
    float image[HEIGHT_MAX * WIDTH_MAX * CHANNELS];
    int32_t labels[HEIGHT_MAX * WIDTH_MAX * PLANES];
    FAR_CHECK_OK(far_dataset_create(&own_ops, &own, &own_info, &set));
    for (int64_t idx = 0; idx < SAMPLES; idx++) {
        int64_t height = 0, width = 0;
        FAR_CHECK_OK(far_dataset_extent(set, idx, &height, &width));
        const far_region cases[] = { { 0, 0, height, width, height, width },
                                     { 1, 1, height - 1, width - 1, height - 1, width - 1 },
                                     { height - 1, 0, 1, width, 1, width } };
        for (size_t i = 0; i < FAR_COUNT(cases); i++) {
            const far_region *r = &cases[i];
            FAR_CHECK_OK(far_dataset_read_region(set, idx, r, image, labels));
            for (int64_t y = 0; y < r->height; y++)
                for (int64_t x = 0; x < r->width; x++) {
                    const float *at = image + (y * r->width + x) * CHANNELS;
                    const int32_t *label = labels + (y * r->width + x) * PLANES;
                    FAR_CHECK(at[1] == pixel(idx, r->y + y, r->x + x, 1));
                    FAR_CHECK(label[2] == (int32_t)pixel(idx, r->y + y, r->x + x, 2));
                }
        }
        const far_region outside[] = { { 0, 0, height + 1, width, 1, 1 },
                                       { 1, 0, height, width, height, width },
                                       { -1, 0, 1, 1, 1, 1 },
                                       { 0, INT64_MAX, 1, 1, 1, 1 },
                                       { 0, 0, 0, 1, 1, 1 },
                                       { 0, 0, 1, 1, 0, 1 } };
        for (size_t i = 0; i < FAR_COUNT(outside); i++)
            FAR_CHECK_STATUS(far_dataset_read_region(set, idx, &outside[i], image, labels), FAR_E_ARG);
    }
    far_dataset_close(set);
}

FAR_TEST(moments_of_varying_samples)
{
    small_set own = { 0 };
    far_dataset *set = NULL;
    double mean[CHANNELS], deviation[CHANNELS], sum = 0.0, squares = 0.0, count = 0.0;
    FAR_CHECK_OK(far_dataset_create(&own_ops, &own, &own_info, &set));
    for (int64_t idx = 0; idx < SAMPLES; idx++) {
        int64_t height = 0, width = 0;
        FAR_CHECK_OK(far_dataset_extent(set, idx, &height, &width));
        for (int64_t i = 0; i < height * width; i++, count += 1.0) {
            const double value = (double)pixel(idx, i / width, i % width, 1);
            sum += value;
            squares += value * value;
        }
    }
    FAR_CHECK_OK(far_dataset_moments(set, NULL, SAMPLES, mean, deviation));
    FAR_CHECK_NEAR(mean[1], sum / count, 1e-9);
    FAR_CHECK_NEAR(deviation[1], sqrt(squares / count - sum / count * (sum / count)), 1e-6);
    far_dataset_close(set);
}

FAR_TEST(named_samples_are_split_by_their_names)
{
    enum { MANY = 2000, MORE = 500 };
    static int64_t ids[MANY + MORE], again[MANY + MORE];
    static bool is_held[MANY + MORE];
    own_set few = { .samples = MANY,
                    .channels = 1,
                    .least = 1,
                    .most = 1,
                    .classes = 2,
                    .label = FAR_LABEL_CLASS,
                    .has_names = true },
            more = few, shifted = few;
    int64_t kept = 0, kept_again = 0;
    more.samples = MANY + MORE;
    shifted.first_name = 100; /* sample i has the name of sample i + 100 */
    far_dataset *a = own_set_open(&few), *b = own_set_open(&more), *c = own_set_open(&shifted);
    FAR_CHECK_OK(far_dataset_split(a, 0.2, 1, ids, &kept));
    FAR_CHECK_MSG(kept > 1520 && kept < 1680, "%" PRId64 " of 2000 kept", kept); /* 1600 and 4 deviations of 18 */
    for (int64_t i = 1; i < MANY; i++) FAR_CHECK(ids[i] > ids[i - 1] || i == kept);
    for (int64_t i = kept; i < MANY; i++) is_held[ids[i]] = true;
    /* neither the seed nor other samples change anything */
    FAR_CHECK_OK(far_dataset_split(b, 0.2, 2, again, &kept_again));
    for (int64_t i = 0; i < MANY + MORE; i++)
        if (again[i] < MANY) FAR_CHECK(is_held[again[i]] == (i >= kept_again));
    FAR_CHECK_OK(far_dataset_split(c, 0.2, 3, again, &kept_again));
    for (int64_t i = 0; i < MANY; i++)
        if (again[i] + 100 < MANY) FAR_CHECK(is_held[again[i] + 100] == (i >= kept_again));
    /* python3: int.from_bytes(hashlib.sha256(b"name-0").digest()[:8], "big") / 2**64 */
    static const int64_t low[] = { 22, 26, 30, 41, 43, 46 }, high[] = { 0, 1, 2, 3, 4, 5 }; /* below 0.2, and not */
    for (size_t i = 0; i < FAR_COUNT(low); i++) FAR_CHECK(is_held[low[i]] && !is_held[high[i]]);
    /* counts are exact, and the larger hold-out contains the smaller */
    FAR_CHECK_OK(far_dataset_split(a, 100.0, 1, ids, &kept));
    FAR_CHECK_EQ_I64(kept, MANY - 100);
    for (int64_t i = kept; i < MANY; i++) FAR_CHECK(is_held[ids[i]]);
    FAR_CHECK_OK(far_dataset_split(a, 0.0, 1, ids, &kept));
    FAR_CHECK_EQ_I64(kept, MANY);
    FAR_CHECK_STATUS(far_dataset_split(a, 2001.0, 1, ids, &kept), FAR_E_ARG);
    FAR_CHECK_STATUS(far_dataset_split(a, 1.5, 1, ids, &kept), FAR_E_ARG);
    FAR_CHECK_STATUS(far_dataset_split(a, -0.1, 1, ids, &kept), FAR_E_ARG);
    FAR_CHECK_STATUS(far_dataset_split(a, NAN, 1, ids, &kept), FAR_E_ARG);
    far_dataset_close(a);
    far_dataset_close(b);
    far_dataset_close(c);
}

FAR_TEST(samples_without_names_are_split_by_seed_and_number)
{
    enum { MANY = 1000 };
    static int64_t ids[MANY], again[MANY], kept_ids[MANY], held_ids[MANY];
    own_set own = { .samples = MANY, .channels = 1, .least = 1, .most = 1, .classes = 2, .label = FAR_LABEL_CLASS };
    far_dataset *set = own_set_open(&own);
    int64_t kept = 0, kept_again = 0;
    FAR_CHECK_OK(far_dataset_split(set, 50.0, 3, ids, &kept));
    FAR_CHECK_OK(far_sample_split(MANY, 50, 3, kept_ids, held_ids));
    FAR_CHECK(memcmp(ids, kept_ids, 950 * sizeof *ids) == 0 && memcmp(ids + 950, held_ids, 50 * sizeof *ids) == 0);
    FAR_CHECK_OK(far_dataset_split(set, 0.3, 3, ids, &kept));
    FAR_CHECK_OK(far_dataset_split(set, 0.3, 4, again, &kept_again));
    FAR_CHECK(kept > 630 && kept < 770 && (kept != kept_again || memcmp(ids, again, sizeof ids) != 0));
    far_dataset_close(set);
}
