/* Loaders over samples of varying size: what comes out is what a plain reading of the rules gives, on any number of threads. */
#include "base/mem.h"
#include "base/rng.h"
#include "data/frame.h"
#include "own_set.h"
#include "test.h"
#include <farandole/log.h>

enum { HEIGHT = 12, WIDTH = 16, PLANES = 2, CHANNELS = 3, BATCH = 5 };

static own_set maps_of(int64_t samples)
{
    return (own_set){ .samples = samples,
                      .channels = CHANNELS,
                      .least = 5,
                      .most = 40,
                      .label = FAR_LABEL_MAP,
                      .planes = PLANES,
                      .classes = 7,
                      .is_unit = true };
}

static far_loader *open_loader(far_dataset *set, const far_frame *frame, int32_t threads, const far_augment *more)
{
    far_loader_opts opts = {
        .batch = BATCH, .shuffle = true, .seed = 4, .threads = threads, .ahead = 2, .augment = *more
    };
    far_loader *loader = NULL;
    opts.augment.frame = *frame;
    FAR_CHECK_OK(far_loader_open(set, &opts, &loader));
    return loader;
}

/* A crop at its place, pixel by pixel, and padding around. */
static void check_crop(const own_set *own, const far_frame *frame, const far_batch *batch, int64_t at)
{
    const int64_t sample = batch->sample_ids[at];
    const uint64_t key = fari_rng_key(4, FARI_RNG_AUGMENT, (uint64_t)batch->epoch, (uint64_t)sample);
    int64_t height, width, padded = 0;
    own_set_extent(own, sample, &height, &width);
    const far_region r = fari_frame_place(frame, key, height, width).region;
    for (int64_t y = 0; y < HEIGHT; y++)
        for (int64_t x = 0; x < WIDTH; x++) {
            const float *pixel = batch->images + ((at * HEIGHT + y) * WIDTH + x) * CHANNELS;
            const int32_t *label = batch->labels + ((at * HEIGHT + y) * WIDTH + x) * PLANES;
            const bool is_inside = y < r.height && x < r.width;
            padded += !is_inside;
            for (int64_t c = 0; c < CHANNELS; c++)
                FAR_CHECK(pixel[c] ==
                          (is_inside ? (own_set_pixel(own, sample, r.y + y, r.x + x, c) - 0.5f) / 2.0f : 0.0f));
            for (int64_t p = 0; p < PLANES; p++)
                FAR_CHECK_EQ_I64(label[p],
                                 is_inside ? own_set_label(own, sample, r.y + y, r.x + x, p) : FAR_LABEL_IGNORE);
        }
    FAR_CHECK_EQ_I64(padded, HEIGHT * WIDTH - (height < HEIGHT ? height : HEIGHT) * (width < WIDTH ? width : WIDTH));
}

FAR_TEST(crops_are_cut_padded_and_normalised)
{
    static const float mean[CHANNELS] = { 0.5f, 0.5f, 0.5f }, deviation[CHANNELS] = { 2.0f, 2.0f, 2.0f };
    const far_augment more = { .mean = mean, .std = deviation };
    const far_fit fits[] = { FAR_FIT_CROP, FAR_FIT_RANDOM_CROP };
    own_set own = maps_of(30);
    far_dataset *set = own_set_open(&own);
    for (size_t f = 0; f < FAR_COUNT(fits); f++) {
        const far_frame frame = { .fit = fits[f], .height = HEIGHT, .width = WIDTH };
        far_loader *loader = open_loader(set, &frame, 2, &more);
        far_batch batch;
        const far_dataset_info info = far_loader_info(loader);
        FAR_CHECK(info.height == HEIGHT && info.width == WIDTH);
        for (int i = 0; i < 14; i++) {
            FAR_CHECK_OK(far_loader_next(loader, &batch));
            for (int64_t at = 0; at < BATCH; at++) check_crop(&own, &frame, &batch, at);
        }
        far_loader_close(loader);
    }
    far_dataset_close(set);
}

static uint64_t digest(const far_batch *batch)
{
    uint64_t hash = (uint64_t)(batch->epoch * 1000 + batch->idx);
    for (int64_t i = 0; i < BATCH * HEIGHT * HEIGHT * CHANNELS; i++) {
        uint32_t bits;
        memcpy(&bits, &batch->images[i], sizeof bits);
        hash = fari_mix64(hash ^ bits);
    }
    for (int64_t i = 0; i < BATCH * HEIGHT * HEIGHT * PLANES; i++) hash = fari_mix64(hash ^ (uint32_t)batch->labels[i]);
    for (int64_t i = 0; i < BATCH; i++) hash = fari_mix64(hash ^ (uint64_t)batch->sample_ids[i]);
    return hash;
}

/* Everything at once: purity over threads and places in the epoch, no allocation, no leak. */
FAR_TEST(resized_crops_depend_on_nothing_but_seed_epoch_and_sample)
{
    const far_fit fits[] = { FAR_FIT_RANDOM_RESIZED_CROP, FAR_FIT_RANDOM_CROP, FAR_FIT_RESIZE };
    const far_augment more = {
        .flip = true, .vflip = true, .turns = true, .brightness = 0.4, .hue = 0.2, .contrast = 0.3
    };
    own_set own = maps_of(23);
    for (size_t f = 0; f < FAR_COUNT(fits); f++) {
        uint64_t want[12];
        const int64_t before = fari_alloc_live();
        far_dataset *set = own_set_open(&own);
        const far_frame frame = { .fit = fits[f], .height = HEIGHT, .width = HEIGHT };
        for (int32_t threads = -1; threads < 5; threads++) {
            far_loader *loader = open_loader(set, &frame, threads, &more);
            far_batch batch;
            fari_alloc_forbid(true);
            for (int i = 0; i < 12; i++) {
                FAR_CHECK_OK(far_loader_next(loader, &batch));
                if (threads < 0) want[i] = digest(&batch);
                FAR_CHECK_EQ_U64(digest(&batch), want[i]);
            }
            for (int i = 11; i >= 0; i -= 3) { /* from the middle of an epoch */
                FAR_CHECK_OK(far_loader_seek(loader, i / 4, i % 4));
                FAR_CHECK_OK(far_loader_next(loader, &batch));
                FAR_CHECK_EQ_U64(digest(&batch), want[i]);
            }
            fari_alloc_forbid(false);
            FAR_CHECK_EQ_I64(fari_alloc_forbidden_count(), 0);
            far_loader_close(loader);
        }
        FAR_CHECK(want[0] != want[4]); /* another epoch, other crops */
        far_dataset_close(set);
        FAR_CHECK_EQ_I64(fari_alloc_live(), before);
    }
}

/* A region through the loader is the region through the data set. */
FAR_TEST(resized_crops_are_regions)
{
    own_set own = maps_of(20);
    own.label = FAR_LABEL_CLASS;
    far_dataset *set = own_set_open(&own);
    const far_augment none = { 0 };
    const far_frame frame = { .fit = FAR_FIT_RANDOM_RESIZED_CROP, .height = HEIGHT, .width = WIDTH };
    far_frame whole;
    const far_dataset_info info = far_dataset_info_of(set);
    far_loader *loader = open_loader(set, &frame, 2, &none);
    far_batch batch;
    FAR_CHECK_OK(fari_frame_check(&frame, &info, &whole));
    for (int i = 0; i < 8; i++) {
        FAR_CHECK_OK(far_loader_next(loader, &batch));
        for (int64_t at = 0; at < BATCH; at++) {
            static float image[HEIGHT * WIDTH * CHANNELS];
            int32_t label = -5;
            const int64_t sample = batch.sample_ids[at];
            const uint64_t key = fari_rng_key(4, FARI_RNG_AUGMENT, (uint64_t)batch.epoch, (uint64_t)sample);
            int64_t height, width;
            own_set_extent(&own, sample, &height, &width);
            const fari_placing placing = fari_frame_place(&whole, key, height, width);
            FAR_CHECK_OK(far_dataset_read_region(set, sample, &placing.region, image, &label));
            FAR_CHECK_BITS("image", batch.images + at * HEIGHT * WIDTH * CHANNELS, image, HEIGHT * WIDTH * CHANNELS);
            FAR_CHECK_EQ_I64(batch.labels[at], sample % 7);
        }
    }
    far_loader_close(loader);
    far_dataset_close(set);
}

FAR_TEST(samples_larger_than_their_padding_are_refused)
{
    own_set own = maps_of(20);
    far_dataset *set = own_set_open(&own);
    far_loader *loader = NULL;
    far_loader_opts opts = { .batch = 1, .augment = { .frame = { .fit = FAR_FIT_PAD, .height = 40, .width = 39 } } };
    int64_t small[20], count = 0;
    FAR_CHECK_STATUS(far_loader_open(set, &opts, &loader), FAR_E_ARG);
    FAR_CHECK_HAS(far_error_message(), "larger than 40 x 39");
    FAR_CHECK_EQ_I64(far_loader_bytes(set, &opts), 0);
    for (int64_t i = 0; i < 20; i++) { /* only samples that are used count */
        int64_t height, width;
        own_set_extent(&own, i, &height, &width);
        if (width < 40) small[count++] = i;
    }
    opts.sample_ids = small;
    opts.sample_count = count;
    FAR_CHECK_OK(far_loader_open(set, &opts, &loader));
    far_loader_close(loader);
    opts = (far_loader_opts){ .batch = 1 };
    FAR_CHECK_STATUS(far_loader_open(set, &opts, &loader), FAR_E_ARG);
    FAR_CHECK_HAS(far_error_message(), "sizes of their own");
    far_dataset_close(set);
}

/* Resized as a whole, then the middle; flipped images come from the same middle. */
FAR_TEST(resized_images_give_their_middle)
{
    enum { SIDE = 11 };
    own_set own = maps_of(12);
    far_dataset *set = own_set_open(&own);
    const far_dataset_info info = far_dataset_info_of(set);
    const far_frame frame = { .fit = FAR_FIT_RESIZE, .height = SIDE, .width = SIDE, .share = 0.7 };
    far_frame whole;
    FAR_CHECK_OK(fari_frame_check(&frame, &info, &whole));
    for (int flips = 0; flips < 2; flips++) {
        const far_augment more = { .flip = flips == 1 };
        far_loader *loader = open_loader(set, &frame, 2, &more);
        far_batch batch;
        int64_t flipped = 0;
        for (int i = 0; i < 4 * BATCH; i++) {
            static float image[200 * 200 * CHANNELS];
            static int32_t map[200 * 200 * PLANES];
            const int64_t at = i % BATCH;
            int64_t height, width;
            if (at == 0) FAR_CHECK_OK(far_loader_next(loader, &batch));
            const int64_t sample = batch.sample_ids[at];
            own_set_extent(&own, sample, &height, &width);
            const fari_placing p = fari_frame_place(&whole, 0, height, width);
            FAR_CHECK(p.region.out_height < 200 && p.region.out_width < 200);
            FAR_CHECK_OK(far_dataset_read_region(set, sample, &p.region, image, map));
            const float *got = batch.images + at * SIDE * SIDE * CHANNELS;
            const int32_t *labels = batch.labels + at * SIDE * SIDE * PLANES;
            bool is_plain = true, is_flipped = true;
            for (int64_t y = 0; y < SIDE; y++)
                for (int64_t x = 0; x < SIDE; x++) {
                    const int64_t row = (p.y + y) * p.region.out_width + p.x;
                    const int64_t here = row + x, there = row + SIDE - 1 - x, to = y * SIDE + x;
                    is_plain = is_plain && got[to * CHANNELS + 1] == image[here * CHANNELS + 1] &&
                               labels[to * PLANES + 1] == map[here * PLANES + 1];
                    is_flipped = is_flipped && got[to * CHANNELS + 1] == image[there * CHANNELS + 1] &&
                                 labels[to * PLANES + 1] == map[there * PLANES + 1];
                }
            FAR_CHECK(is_plain || (flips == 1 && is_flipped));
            flipped += is_flipped;
        }
        FAR_CHECK(flips == 1 ? flipped > 2 && flipped < 18 : flipped == 0);
        far_loader_close(loader);
    }
    far_dataset_close(set);
}

/* --- samples that cannot be read --- */

FAR_TEST(damaged_samples_are_left_out_and_counted)
{
    own_set own = maps_of(40);
    own.has_names = true;
    own.bad = 11;
    own.bad_count = 3;
    far_dataset *set = own_set_open(&own);
    for (int way = 0; way < 3; way++) { /* unreadable; labels of no class, both sides */
        own.bad_label = way == 0 ? 0 : way == 1 ? 7 : -2;
        for (int32_t threads = -1; threads < 4; threads++) {
            far_loader_opts opts = { .batch = 8,
                                     .threads = threads,
                                     .shuffle = true,
                                     .on_error = FAR_ON_ERROR_SKIP,
                                     .augment = { .flip = true,
                                                  .frame = { .fit = FAR_FIT_CROP, .height = 40, .width = 40 } } };
            far_loader *loader = NULL;
            far_batch batch;
            far_log_set_level(FAR_LOG_ERROR);
            FAR_CHECK_OK(far_loader_open(set, &opts, &loader));
            for (int epoch = 0; epoch < 2; epoch++) {
                int64_t skipped = 0, seen = 0;
                for (int b = 0; b < 5; b++) {
                    FAR_CHECK_OK(far_loader_next(loader, &batch));
                    skipped += batch.skipped;
                    FAR_CHECK_EQ_I64(batch.count, 8);
                    for (int64_t at = 0; at < 8; at++) {
                        const int64_t sample = batch.sample_ids[at];
                        seen += sample >= 0;
                        FAR_CHECK(sample < 11 || sample > 13);
                        if (sample >= 0) continue;
                        for (int64_t i = 0; i < 1600 * CHANNELS; i++)
                            FAR_CHECK(batch.images[at * 1600 * CHANNELS + i] == 0.0f);
                        for (int64_t i = 0; i < 1600 * PLANES; i++)
                            FAR_CHECK_EQ_I64(batch.labels[at * 1600 * PLANES + i], FAR_LABEL_IGNORE);
                    }
                }
                FAR_CHECK(skipped == 3 && seen == 37);
            }
            far_loader_close(loader);
            opts.on_error = FAR_ON_ERROR_STOP;
            FAR_CHECK_OK(far_loader_open(set, &opts, &loader));
            far_status st = FAR_OK;
            for (int b = 0; b < 5 && st == FAR_OK; b++) st = far_loader_next(loader, &batch);
            FAR_CHECK_STATUS(st, FAR_E_FORMAT);
            FAR_CHECK_HAS(far_error_message(), "sample 1");
            FAR_CHECK_HAS(far_error_message(), "(name-1");
            FAR_CHECK_HAS(far_error_message(), way == 0   ? "picture-1"
                                               : way == 1 ? "label 7, but there are 7 classes"
                                                          : "label -2");
            far_loader_close(loader);
        }
    }
    far_dataset_close(set);
}

FAR_TEST(many_damaged_samples_are_an_error)
{
    static const struct {
        int64_t samples, bad;
        bool is_fine;
    } cases[] = { { 40, 8, true },    { 40, 9, false }, { 200, 20, true },
                  { 200, 21, false }, { 5, 4, true },   { 5, 5, false } };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        own_set own = maps_of(cases[i].samples);
        own.bad_count = cases[i].bad;
        far_dataset *set = own_set_open(&own);
        const far_loader_opts opts = { .batch = 3,
                                       .epochs = 2,
                                       .threads = 2,
                                       .last = FAR_LAST_PAD,
                                       .on_error = FAR_ON_ERROR_SKIP,
                                       .augment = { .frame = { .fit = FAR_FIT_CROP, .height = 4, .width = 4 } } };
        far_loader *loader = NULL;
        far_batch batch;
        far_status st;
        far_log_set_level(FAR_LOG_ERROR);
        FAR_CHECK_OK(far_loader_open(set, &opts, &loader));
        while ((st = far_loader_next(loader, &batch)) == FAR_OK) {}
        FAR_CHECK_STATUS(st, cases[i].is_fine ? FAR_END : FAR_E_FORMAT);
        if (!cases[i].is_fine) FAR_CHECK_STATUS(far_loader_next(loader, &batch), FAR_E_FORMAT);
        far_loader_close(loader);
        far_dataset_close(set);
    }
}
