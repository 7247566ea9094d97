/* Order and augmentation are pure functions of seed, epoch and sample; loaders give the same whatever the threads. */
#include "base/mem.h"
#include "base/rng.h"
#include "data/augment.h"
#include "data/shuffle.h"
#include "test.h"
#include <farandole/data.h>
#include <unistd.h>

/* --- permutations and splits --- */

FAR_TEST(shuffles_are_permutations)
{
    static bool seen[70000];
    static const int64_t counts[] = { 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 100, 101, 1000, 65536, 65537 };
    for (size_t i = 0; i < FAR_COUNT(counts); i++)
        for (int64_t epoch = 0; epoch < 3; epoch++) {
            memset(seen, 0, sizeof seen);
            for (int64_t pos = 0; pos < counts[i]; pos++) {
                const int64_t sample = far_shuffle(7, epoch, counts[i], pos);
                FAR_CHECK(sample >= 0 && sample < counts[i] && !seen[sample]);
                seen[sample] = true;
            }
        }
    FAR_CHECK(far_shuffle(1, 2, INT64_C(1) << 40, 12345) < INT64_C(1) << 40);
}

FAR_TEST(shuffles_are_even)
{
    /* each sample at each place equally often: chi-squared over places x samples, 81 degrees of freedom; 150 has p < 1e-5 */
    enum { N = 10, EPOCHS = 20000 };
    static int64_t hits[N][N];
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++)
        for (int64_t pos = 0; pos < N; pos++) hits[pos][far_shuffle(3, epoch, N, pos)]++;
    double chi2 = 0.0;
    const double want = (double)EPOCHS / N;
    for (int p = 0; p < N; p++)
        for (int s = 0; s < N; s++) chi2 += ((double)hits[p][s] - want) * ((double)hits[p][s] - want) / want;
    FAR_CHECK_MSG(chi2 < 150.0 && chi2 > 35.0, "chi-squared %g", chi2);
    /* all orders of four, 24, equally often: 23 degrees of freedom */
    static int64_t orders[256];
    int64_t kinds = 0;
    for (int64_t epoch = 0; epoch < 24000; epoch++) {
        int64_t code = 0;
        for (int64_t pos = 0; pos < 4; pos++) code = 4 * code + far_shuffle(11, epoch, 4, pos);
        orders[code]++;
    }
    chi2 = 0.0;
    for (int i = 0; i < 256; i++) {
        if (orders[i] == 0) continue;
        kinds++;
        chi2 += ((double)orders[i] - 1000.0) * ((double)orders[i] - 1000.0) / 1000.0;
    }
    FAR_CHECK_EQ_I64(kinds, 24);
    FAR_CHECK_MSG(chi2 < 60.0, "chi-squared of orders %g", chi2);
}

FAR_TEST(neighbours_are_parted)
{
    int64_t adjacent = 0;
    for (int64_t pos = 0; pos + 1 < 60000; pos++)
        adjacent += far_shuffle(5, 1, 60000, pos + 1) == far_shuffle(5, 1, 60000, pos) + 1;
    FAR_CHECK_MSG(adjacent < 10, "%" PRId64 " samples follow their neighbours", adjacent); /* one is expected */
}

FAR_TEST(splits_are_exact_and_stable)
{
    enum { N = 6000, HELD = 500 };
    static int64_t kept[N], held[N], kept_again[N], held_again[N];
    int64_t overlap = 0;
    FAR_CHECK_OK(far_sample_split(N, HELD, 4, kept, held));
    FAR_CHECK_OK(far_sample_split(N, HELD, 4, kept_again, held_again));
    FAR_CHECK(memcmp(held, held_again, HELD * sizeof *held) == 0 &&
              memcmp(kept, kept_again, (N - HELD) * sizeof *kept) == 0);
    for (int64_t i = 0, k = 0, h = 0; i < N; i++) { /* both ascend, and together they are all */
        const bool is_held = h < HELD && held[h] == i;
        FAR_CHECK(is_held || kept[k] == i);
        if (is_held) h++;
        else k++;
    }
    FAR_CHECK_OK(far_sample_split(N, 2 * HELD, 4, kept_again, held_again)); /* a larger hold-out contains the smaller */
    for (int64_t i = 0, k = 0; i < HELD; i++, overlap++) {
        while (k < 2 * HELD && held_again[k] < held[i]) k++;
        FAR_CHECK(k < 2 * HELD && held_again[k] == held[i]);
    }
    FAR_CHECK_OK(far_sample_split(N, HELD, 5, kept_again, held_again)); /* another seed, other samples */
    for (int64_t i = 0, k = 0; i < HELD; i++) {
        while (k < HELD && held_again[k] < held[i]) k++;
        overlap -= k < HELD && held_again[k] == held[i];
    }
    FAR_CHECK(overlap > HELD / 2);
    FAR_CHECK_OK(far_sample_split(N, 0, 4, kept, held));
    FAR_CHECK_OK(far_sample_split(N, N, 4, kept, held));
    FAR_CHECK_OK(far_sample_split(0, 0, 4, NULL, NULL));
    FAR_CHECK_STATUS(far_sample_split(N, N + 1, 4, kept, held), FAR_E_ARG);
    FAR_CHECK_STATUS(far_sample_split(N, -1, 4, kept, held), FAR_E_ARG);
}

/* --- augmentation, against a plain one --- */

enum { H = 6, W = 6, C = 2 };

/* One step after the other, each on a whole image: slow on purpose. */
static void crop(float (*image)[W][C], int64_t dy, int64_t dx)
{
    float out[H][W][C];
    for (int64_t y = 0; y < H; y++)
        for (int64_t x = 0; x < W; x++)
            for (int c = 0; c < C; c++) {
                const bool inside = y + dy >= 0 && y + dy < H && x + dx >= 0 && x + dx < W;
                out[y][x][c] = inside ? image[y + dy][x + dx][c] : 0.0f;
            }
    memcpy(image, out, sizeof out);
}

static void mirror(float (*image)[W][C], bool is_vertical)
{
    float out[H][W][C];
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            memcpy(out[y][x], is_vertical ? image[H - 1 - y][x] : image[y][W - 1 - x], sizeof out[y][x]);
    memcpy(image, out, sizeof out);
}

static void turn(float (*image)[W][C]) /* counterclockwise, numpy.rot90 */
{
    float out[H][W][C];
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) memcpy(out[y][x], image[x][W - 1 - y], sizeof out[y][x]);
    memcpy(image, out, sizeof out);
}

FAR_TEST(movements_match_step_by_step)
{
    const far_dataset_info info = {
        .sample_count = 1, .height = H, .width = W, .channels = C, .label = FAR_LABEL_MAP, .class_count = 100
    };
    int64_t turned = 0, flipped = 0;
    for (uint64_t sample = 0; sample < 400; sample++) {
        const far_augment augment = { .crop_pad = sample % 4 == 3 ? 0 : 2,
                                      .flip = sample % 3 != 0,
                                      .vflip = sample % 5 != 0,
                                      .turns = sample % 7 != 0 };
        const uint64_t key = fari_rng_key(1, FARI_RNG_AUGMENT, 0, sample);
        float raw[H][W][C], want[H][W][C], got[H][W][C];
        int32_t raw_map[H * W], map[H * W];
        fari_augment_sizes sizes;
        FAR_CHECK_OK(fari_augment_check(&augment, &info, &sizes));
        for (int i = 0; i < H * W * C; i++) ((float *)raw)[i] = (float)(i + 1);
        for (int i = 0; i < H * W; i++) raw_map[i] = i;
        memcpy(want, raw, sizeof want);
        if (augment.crop_pad > 0)
            crop(want, (int64_t)fari_rng_below(key, 0, 5) - 2, (int64_t)fari_rng_below(key, 1, 5) - 2);
        const bool flip = augment.flip && fari_rng_bits(key, 2) >> 63,
                   vflip = augment.vflip && fari_rng_bits(key, 3) >> 63;
        const uint64_t turns = augment.turns ? fari_rng_below(key, 4, 4) : 0;
        if (flip) mirror(want, false);
        if (vflip) mirror(want, true);
        for (uint64_t k = 0; k < turns; k++) turn(want);
        flipped += flip;
        turned += turns > 0;
        if (fari_augment_in_place(&augment)) continue;
        const fari_raw as_read = { (float *)raw, raw_map, H, W, .y = 0 };
        fari_augment_apply(&augment, &sizes, key, &as_read, (float *)got, map);
        FAR_CHECK_BITS("image", (float *)got, (float *)want, H * W * C);
        for (int i = 0; i < H * W; i++) { /* the map went the same way: pixel i had values 2 i + 1 and 2 i + 2 */
            const int32_t from =
                ((float *)want)[2 * i] == 0.0f ? FAR_LABEL_IGNORE : (int32_t)((float *)want)[2 * i] / 2;
            FAR_CHECK_EQ_I64(map[i], from);
        }
    }
    FAR_CHECK(turned > 100 && flipped > 50);
}

FAR_TEST(values_are_normalised_and_erased)
{
    const far_dataset_info info = {
        .sample_count = 1, .height = 20, .width = 30, .channels = 3, .label = FAR_LABEL_CLASS, .class_count = 10
    };
    const float mean[3] = { 0.5f, 1.0f, 2.0f }, deviation[3] = { 2.0f, 4.0f, 0.5f };
    far_augment augment = { .mean = mean, .std = deviation, .log1p = true };
    fari_augment_sizes sizes;
    static float image[20 * 30 * 3];
    FAR_CHECK_OK(fari_augment_check(&augment, &info, &sizes));
    FAR_CHECK(fari_augment_in_place(&augment));
    for (int i = 0; i < 1800; i++) image[i] = (float)i;
    const fari_raw raw = { image, NULL, 20, 30, .y = 0 };
    fari_augment_apply(&augment, &sizes, 1, &raw, image, NULL);
    for (int i = 0; i < 1800; i++) FAR_CHECK(image[i] == (log1pf((float)i) - mean[i % 3]) / deviation[i % 3]);

    augment = (far_augment){ .erase = 0.5 };
    int64_t erased_images = 0, erased_pixels = 0;
    for (uint64_t sample = 0; sample < 2000; sample++) {
        int64_t zeros = 0, top = 99, bottom = -1, left = 99, right = -1;
        for (int i = 0; i < 1800; i++) image[i] = 1.0f;
        fari_augment_apply(&augment, &sizes, fari_rng_key(1, FARI_RNG_AUGMENT, 0, sample), &raw, image, NULL);
        for (int64_t i = 0; i < 600; i++) {
            if (image[3 * i] != 0.0f) continue;
            zeros++;
            top = i / 30 < top ? i / 30 : top;
            bottom = i / 30 > bottom ? i / 30 : bottom;
            left = i % 30 < left ? i % 30 : left;
            right = i % 30 > right ? i % 30 : right;
        }
        if (zeros == 0) continue;
        FAR_CHECK_EQ_I64(zeros, (bottom - top + 1) * (right - left + 1)); /* one rectangle */
        erased_images++;
        erased_pixels += zeros;
    }
    FAR_CHECK(erased_images > 900 && erased_images < 1100);
    FAR_CHECK_NEAR((double)erased_pixels / (double)erased_images / 600.0, 0.17,
                   0.02); /* mean of 2 % to 33 %, tall ones rejected */
    augment = (far_augment){ .cutout = 8 };
    for (int i = 0; i < 1800; i++) image[i] = 1.0f;
    fari_augment_apply(&augment, &sizes, 5, &raw, image, NULL);
    int64_t zeros = 0;
    for (int i = 0; i < 1800; i++) zeros += image[i] == 0.0f;
    FAR_CHECK(zeros >= 3 * 16 && zeros <= 3 * 64);
}

FAR_TEST(blocks_become_mean_and_largest_label)
{
    const far_dataset_info info = {
        .sample_count = 1, .height = 4, .width = 8, .channels = 1, .label = FAR_LABEL_MAP, .class_count = 10
    };
    const far_augment augment = { .downsample = 1 };
    fari_augment_sizes sizes;
    float image[32], out[8];
    int32_t map[32], out_map[8];
    FAR_CHECK_OK(fari_augment_check(&augment, &info, &sizes));
    for (int i = 0; i < 32; i++) image[i] = (float)i;
    for (int i = 0; i < 32; i++) map[i] = i % 8 == 5 ? 7 : FAR_LABEL_IGNORE;
    const fari_raw raw = { image, map, 4, 8, .y = 0 };
    fari_augment_apply(&augment, &sizes, 0, &raw, out, out_map);
    for (int y = 0; y < 2; y++)
        for (int x = 0; x < 4; x++) {
            FAR_CHECK(out[y * 4 + x] == (float)(16 * y + 2 * x) + 4.5f);
            FAR_CHECK_EQ_I64(out_map[y * 4 + x], x == 2 ? 7 : FAR_LABEL_IGNORE);
        }
}

FAR_TEST(padding_is_halved_with_the_image)
{
    const far_dataset_info info = {
        .sample_count = 1, .height = 4, .width = 6, .channels = 1, .label = FAR_LABEL_MAP, .class_count = 30
    };
    const float mean = 1.0f;
    const far_augment augment = { .downsample = 1,
                                  .frame = { .fit = FAR_FIT_PAD, .height = 6, .width = 8 },
                                  .mean = &mean };
    fari_augment_sizes sizes;
    float image[24], out[12];
    int32_t map[24], out_map[12];
    FAR_CHECK_OK(fari_augment_check(&augment, &info, &sizes));
    FAR_CHECK(sizes.height == 3 && sizes.width == 4);
    for (int i = 0; i < 24; i++) image[i] = (float)(map[i] = i);
    const fari_raw raw = { image, map, 4, 6, .y = 0 };
    fari_augment_apply(&augment, &sizes, 0, &raw, out, out_map);
    for (int y = 0; y < 3; y++)
        for (int x = 0; x < 4; x++) {
            const bool is_own = y < 2 && x < 3;
            FAR_CHECK(out[y * 4 + x] == (is_own ? (float)(12 * y + 2 * x) + 3.5f - mean : 0.0f));
            FAR_CHECK_EQ_I64(out_map[y * 4 + x], is_own ? 12 * y + 2 * x + 7 : FAR_LABEL_IGNORE);
        }
}

FAR_TEST(what_does_not_fit_is_refused)
{
    const far_dataset_info info = {
        .sample_count = 1, .height = 6, .width = 8, .channels = 1, .label = FAR_LABEL_CLASS, .class_count = 10
    };
    const far_augment bad[] = { { .turns = true },
                                { .downsample = 2 },
                                { .crop_pad = -1 },
                                { .erase = 1.5 },
                                { .erase_area_min = 0.5, .erase_area_max = 0.2 },
                                { .cutout = -3 },
                                { .downsample = 1, .frame = { .fit = FAR_FIT_PAD, .height = 9, .width = 8 } },
                                { .downsample = 1, .frame = { .fit = FAR_FIT_CROP, .height = 4, .width = 4 } },
                                { .downsample = 60 } };
    fari_augment_sizes sizes;
    for (size_t i = 0; i < FAR_COUNT(bad); i++) FAR_CHECK_STATUS(fari_augment_check(&bad[i], &info, &sizes), FAR_E_ARG);
}

/* --- loaders --- */

static far_dataset *synthetic(int64_t samples, far_label_kind label)
{
    const far_synthetic_opts opts = {
        .sample_count = samples, .height = 8, .width = 8, .channels = 2, .class_count = 5, .label = label
    };
    far_dataset *set = NULL;
    FAR_CHECK_OK(far_dataset_open_synthetic(&opts, &set));
    return set;
}

/* Hash of a batch. */
static uint64_t digest(const far_batch *batch, int64_t places, int64_t label_elems)
{
    uint64_t hash = (uint64_t)(batch->epoch * 1000 + batch->idx * 10 + batch->count);
    for (int64_t i = 0; i < places * 128; i++) {
        uint32_t bits;
        memcpy(&bits, &batch->images[i], sizeof bits);
        hash = fari_mix64(hash ^ bits);
    }
    for (int64_t i = 0; i < places * label_elems; i++) hash = fari_mix64(hash ^ (uint32_t)batch->labels[i]);
    for (int64_t i = 0; i < places; i++) hash = fari_mix64(hash ^ (uint64_t)batch->sample_ids[i]);
    return hash;
}

FAR_TEST(batches_do_not_depend_on_threads)
{
    static const struct {
        int32_t threads, ahead;
    } ways[] = { { -1, 0 }, { 1, 1 }, { 1, 4 }, { 3, 2 }, { 8, 5 } };
    uint64_t want[40];
    for (int kind = 0; kind < 2; kind++)
        for (size_t w = 0; w < FAR_COUNT(ways); w++) {
            far_dataset *set = synthetic(50, kind == 0 ? FAR_LABEL_CLASS : FAR_LABEL_MAP);
            const far_loader_opts opts = { .batch = 7,
                                           .shuffle = true,
                                           .seed = 3,
                                           .threads = ways[w].threads,
                                           .ahead = ways[w].ahead,
                                           .last = kind == 0 ? FAR_LAST_DROP : FAR_LAST_PAD,
                                           .epochs = 4,
                                           .augment = {
                                               .flip = true, .crop_pad = 1, .erase = 0.5, .turns = kind == 1 } };
            far_loader *loader = NULL;
            far_batch batch;
            far_status st;
            int64_t count = 0;
            const int64_t before = fari_alloc_live();
            FAR_CHECK_OK(far_loader_open(set, &opts, &loader));
            FAR_CHECK(far_loader_batch_count(loader) == (kind == 0 ? 7 : 8));
            const int64_t live = fari_alloc_live();
            fari_alloc_forbid(true);
            for (; (st = far_loader_next(loader, &batch)) == FAR_OK; count++) {
                FAR_CHECK(batch.epoch == count / far_loader_batch_count(loader) &&
                          batch.idx == count % far_loader_batch_count(loader));
                const uint64_t hash = digest(&batch, 7, kind == 0 ? 1 : 64);
                if (w == 0) want[count] = hash;
                FAR_CHECK_EQ_U64(hash, want[count]);
            }
            fari_alloc_forbid(false);
            FAR_CHECK_EQ_I64(fari_alloc_live(), live);
            FAR_CHECK_STATUS(st, FAR_END);
            FAR_CHECK_STATUS(far_loader_next(loader, &batch), FAR_END);
            FAR_CHECK_EQ_I64(count, kind == 0 ? 28 : 32);
            far_loader_close(loader);
            FAR_CHECK_EQ_I64(fari_alloc_live(), before);
            far_dataset_close(set);
        }
}

/* Of several ranks each makes some places of a batch: the very samples that one would have made, and no others. */
FAR_TEST(a_part_of_a_batch_is_that_part)
{
    static const int64_t first[] = { 0, 2, 5, 6 }, count[] = { 2, 3, 1, 1 };
    far_dataset *set = synthetic(50, FAR_LABEL_MAP);
    far_loader_opts opts = {
        .batch = 7, .shuffle = true, .seed = 3, .last = FAR_LAST_PAD, .epochs = 2, .augment = { .flip = true }
    };
    for (int32_t threads = -1; threads < 4; threads += 2)
        for (size_t p = 0; p < FAR_COUNT(first); p++) {
            far_loader *whole = NULL, *own = NULL;
            far_batch want, got;
            far_status st;
            opts.threads = threads;
            opts.own_first = opts.own_count = 0;
            FAR_CHECK_OK(far_loader_open(set, &opts, &whole));
            opts.own_first = first[p];
            opts.own_count = count[p];
            FAR_CHECK_OK(far_loader_open(set, &opts, &own));
            while ((st = far_loader_next(whole, &want)) == FAR_OK) {
                FAR_CHECK_OK(far_loader_next(own, &got));
                FAR_CHECK_EQ_I64(got.count, want.count);
                FAR_CHECK(memcmp(got.sample_ids, want.sample_ids, 7 * sizeof *got.sample_ids) == 0);
                FAR_CHECK(memcmp(got.images, want.images + first[p] * 128, (size_t)count[p] * 128 * sizeof(float)) ==
                          0);
                FAR_CHECK(memcmp(got.labels, want.labels + first[p] * 64, (size_t)count[p] * 64 * sizeof(int32_t)) ==
                          0);
            }
            FAR_CHECK_STATUS(far_loader_next(own, &got), FAR_END);
            far_loader_close(own);
            far_loader_close(whole);
        }
    opts.own_first = 6;
    opts.own_count = 2;
    far_loader *none = NULL;
    FAR_CHECK_STATUS(far_loader_open(set, &opts, &none), FAR_E_ARG);
    far_dataset_close(set);
}

FAR_TEST(an_epoch_has_each_sample_once)
{
    static const int64_t ids[] = { 40, 3, 17, 22, 9, 31, 2, 11, 49, 5 };
    far_dataset *set = synthetic(50, FAR_LABEL_CLASS);
    const far_loader_opts opts = {
        .batch = 4, .sample_ids = ids, .sample_count = 10, .shuffle = true, .last = FAR_LAST_PAD
    };
    far_loader *loader = NULL;
    far_batch batch;
    int64_t order[3][10];
    FAR_CHECK_OK(far_loader_open(set, &opts, &loader));
    FAR_CHECK_EQ_I64(far_loader_info(loader).sample_count, 10);
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        int64_t seen[50] = { 0 }, at = 0;
        for (int64_t idx = 0; idx < 3; idx++) {
            FAR_CHECK_OK(far_loader_next(loader, &batch));
            FAR_CHECK_EQ_I64(batch.epoch, epoch);
            FAR_CHECK_EQ_I64(batch.count, idx == 2 ? 2 : 4);
            for (int64_t i = 0; i < 4; i++) {
                if (i >= batch.count) {
                    FAR_CHECK(batch.sample_ids[i] == -1 && batch.labels[i] == FAR_LABEL_IGNORE);
                    for (int64_t k = 0; k < 128; k++) FAR_CHECK(batch.images[i * 128 + k] == 0.0f);
                    continue;
                }
                float image[128];
                int32_t label = -1;
                order[epoch][at++] = batch.sample_ids[i];
                seen[batch.sample_ids[i]]++;
                FAR_CHECK_OK(far_dataset_read(set, batch.sample_ids[i], image, &label));
                FAR_CHECK_BITS("image", batch.images + i * 128, image, 128);
                FAR_CHECK_EQ_I64(batch.labels[i], label);
            }
        }
        for (size_t i = 0; i < FAR_COUNT(ids); i++) FAR_CHECK_EQ_I64(seen[ids[i]], 1);
    }
    FAR_CHECK(memcmp(order[0], order[1], sizeof order[0]) != 0 && memcmp(order[1], order[2], sizeof order[0]) != 0);
    far_loader_close(loader);
    far_dataset_close(set);
}

FAR_TEST(seeking_goes_on_where_it_was)
{
    far_dataset *set = synthetic(50, FAR_LABEL_CLASS);
    const far_loader_opts opts = { .batch = 8, .shuffle = true, .seed = 1, .threads = 2, .augment = { .flip = true } };
    far_loader *loader = NULL;
    far_batch batch;
    uint64_t want[24];
    FAR_CHECK_OK(far_loader_open(set, &opts, &loader));
    for (int i = 0; i < 24; i++) {
        FAR_CHECK_OK(far_loader_next(loader, &batch));
        want[i] = digest(&batch, 8, 1);
    }
    for (int i = 0; i < 50; i++) { /* also while workers are busy */
        const int64_t target = i * 7 % 24;
        FAR_CHECK_OK(far_loader_seek(loader, target / 6, target % 6));
        for (int64_t k = target; k < 24 && k < target + i % 4; k++) {
            FAR_CHECK_OK(far_loader_next(loader, &batch));
            FAR_CHECK_EQ_U64(digest(&batch, 8, 1), want[k]);
        }
    }
    FAR_CHECK_OK(far_loader_seek(loader, 1, 6)); /* behind the last of an epoch: the first of the next */
    FAR_CHECK_OK(far_loader_next(loader, &batch));
    FAR_CHECK(batch.epoch == 2 && batch.idx == 0);
    FAR_CHECK_STATUS(far_loader_seek(loader, 0, 7), FAR_E_ARG);
    FAR_CHECK_STATUS(far_loader_seek(loader, -1, 0), FAR_E_ARG);
    far_loader_close(loader);
    far_dataset_close(set);
}

/* A set whose sample 13 cannot be read. */
static far_status read_bad(void *context, int64_t idx, float *image_out, int32_t *label_out)
{
    (void)context;
    if (idx == 13) {
        far_dataset *none = NULL;
        return far_dataset_open_idx("/no/such/file", NULL, 0, &none); /* for its message */
    }
    (void)usleep(100);
    image_out[0] = (float)idx;
    *label_out = (int32_t)idx;
    return FAR_OK;
}

FAR_TEST(a_bad_sample_stops_at_its_batch)
{
    const far_dataset_ops ops = { .read = read_bad };
    const far_dataset_info info = {
        .sample_count = 20, .height = 1, .width = 1, .channels = 1, .label = FAR_LABEL_CLASS, .class_count = 20
    };
    far_dataset *set = NULL;
    FAR_CHECK_OK(far_dataset_create(&ops, NULL, &info, &set));
    for (int32_t threads = -1; threads < 4; threads++) {
        const far_loader_opts opts = { .batch = 5, .threads = threads, .ahead = 3 };
        far_loader *loader = NULL;
        far_batch batch;
        FAR_CHECK_OK(far_loader_open(set, &opts, &loader));
        for (int64_t i = 0; i < 2; i++) {
            FAR_CHECK_OK(far_loader_next(loader, &batch));
            for (int64_t k = 0; k < 5; k++)
                FAR_CHECK(batch.labels[k] == 5 * i + k && batch.images[k] == (float)(5 * i + k));
        }
        for (int again = 0; again < 2; again++) {
            far_error_clear();
            FAR_CHECK_STATUS(far_loader_next(loader, &batch), FAR_E_NOTFOUND);
            FAR_CHECK_HAS(far_error_message(), "/no/such/file");
        }
        FAR_CHECK_OK(far_loader_seek(loader, 0, 3));
        FAR_CHECK_OK(far_loader_next(loader, &batch));
        FAR_CHECK_EQ_I64(batch.labels[0], 15);
        far_loader_close(loader);
    }
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(arguments_are_checked)
{
    static const int64_t outside[] = { 0, 50 };
    static const float zero[2] = { 1.0f, 0.0f };
    const far_loader_opts bad[] = { { .batch = 0 },
                                    { .batch = 51 },
                                    { .batch = 1, .sample_ids = outside, .sample_count = 2 },
                                    { .batch = 1, .sample_ids = outside },
                                    { .batch = 1, .ahead = -1 },
                                    { .batch = 1, .augment = { .std = zero } },
                                    { .batch = 1, .augment = { .downsample = 4 } } };
    far_dataset *set = synthetic(50, FAR_LABEL_CLASS);
    far_loader *loader = NULL;
    for (size_t i = 0; i < FAR_COUNT(bad); i++) FAR_CHECK_STATUS(far_loader_open(set, &bad[i], &loader), FAR_E_ARG);
    FAR_CHECK(loader == NULL);
    far_loader_close(NULL);
    far_dataset_close(set);
}

FAR_TEST(bytes_are_as_told)
{
    far_dataset *set = synthetic(50, FAR_LABEL_MAP);
    far_loader_opts opts = { .batch = 10, .ahead = 2, .threads = 1 };
    const int64_t plain = far_loader_bytes(set, &opts);
    const int64_t payload = 3 * 10 * (8 * 8 * 2 * 4 + 8 * 8 * 4 + 8);
    FAR_CHECK(plain >= payload && plain < payload + 20000);
    opts.ahead = 3;
    FAR_CHECK(far_loader_bytes(set, &opts) - plain >= payload / 3);
    opts.augment.flip = true; /* needs scratch */
    FAR_CHECK(far_loader_bytes(set, &opts) > plain + payload / 3);
    far_dataset_close(set);
}

FAR_TEST(each_allocation_may_fail)
{
    far_dataset *set = synthetic(50, FAR_LABEL_CLASS);
    const far_loader_opts opts = { .batch = 10, .augment = { .flip = true } };
    const int64_t before = fari_alloc_live();
    far_status st = FAR_E_NOMEM;
    for (int64_t nth = 0; st == FAR_E_NOMEM && nth < 100; nth++) {
        far_loader *loader = NULL;
        fari_alloc_fail_after(nth);
        st = far_loader_open(set, &opts, &loader);
        fari_alloc_fail_after(-1);
        far_loader_close(loader);
        FAR_CHECK_EQ_I64(fari_alloc_live(), before);
    }
    FAR_CHECK_OK(st);
    far_dataset_close(set);
}

/* The same samples in the same order, nothing read, next to no memory; the last batch filled up as ever. */
FAR_TEST(batches_without_pixels)
{
    far_dataset *set = NULL;
    far_loader *loader = NULL, *bare = NULL;
    far_batch want, got;
    const far_synthetic_opts data = { .sample_count = 7, .height = 64, .width = 64, .label = FAR_LABEL_MAP };
    far_loader_opts opts = { .batch = 3, .shuffle = true, .seed = 5, .epochs = 2, .last = FAR_LAST_PAD, .threads = -1 };
    FAR_CHECK_OK(far_dataset_open_synthetic(&data, &set));
    const int64_t bytes = far_loader_bytes(set, &opts);
    FAR_CHECK_OK(far_loader_open(set, &opts, &loader));
    opts.without_pixels = true;
    FAR_CHECK(far_loader_bytes(set, &opts) * 20 < bytes);
    for (int32_t threads = -1; threads < 3; threads += 3) {
        opts.threads = threads;
        FAR_CHECK_OK(far_loader_open(set, &opts, &bare));
        FAR_CHECK_OK(far_loader_seek(loader, 0, 0));
        for (int i = 0; i < 6; i++) {
            FAR_CHECK_OK(far_loader_next(loader, &want));
            FAR_CHECK_OK(far_loader_next(bare, &got));
            FAR_CHECK(got.images == NULL && got.labels == NULL);
            FAR_CHECK(got.count == want.count && got.epoch == want.epoch && got.idx == want.idx);
            for (int k = 0; k < 3; k++) FAR_CHECK_EQ_I64(got.sample_ids[k], want.sample_ids[k]);
        }
        FAR_CHECK_STATUS(far_loader_next(bare, &got), FAR_END);
        far_loader_close(bare);
    }
    far_loader_close(loader);
    far_dataset_close(set);
}
