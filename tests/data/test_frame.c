/* Which part of a sample comes into a batch: torchvision's rules, for odd sizes too. */
#include "base/rng.h"
#include "data/frame.h"
#include "test.h"

static const far_dataset_info varying = { .sample_count = 1,
                                          .height = 600,
                                          .width = 600,
                                          .channels = 3,
                                          .label = FAR_LABEL_CLASS,
                                          .class_count = 2,
                                          .varies = true };

static far_frame checked(far_frame frame)
{
    far_frame out;
    FAR_CHECK_OK(fari_frame_check(&frame, &varying, &out));
    return out;
}

FAR_TEST(resize_and_centre_crop_as_torchvision)
{
    /* torchvision's Resize(int(size / share)), CenterCrop(size) on height x width: resized extents, top, left */
    static const struct {
        int64_t size, height, width, resized_h, resized_w, top, left;
        double share;
    } cases[] = {
        { 224, 533, 400, 341, 256, 58, 16, 0.875 }, /* (341 - 224) / 2 = 58.5 rounds to even */
        { 224, 400, 533, 256, 341, 16, 58, 0.875 }, { 224, 256, 256, 256, 256, 16, 16, 0.875 },
        { 224, 100, 101, 256, 258, 16, 17, 0.875 }, { 32, 33, 32, 33, 32, 0, 0, 1.0 }, /* 0.5 rounds to 0 */
        { 32, 35, 32, 35, 32, 2, 0, 1.0 },                                             /* 1.5 rounds to 2 */
        { 32, 1, 3, 32, 96, 0, 32, 1.0 },           { 1, 600, 599, 1, 1, 0, 0, 1.0 },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        const far_frame frame = checked((far_frame){
            .fit = FAR_FIT_RESIZE, .height = cases[i].size, .width = cases[i].size, .share = cases[i].share });
        const fari_placing p = fari_frame_place(&frame, 1, cases[i].height, cases[i].width);
        FAR_CHECK(p.region.y == 0 && p.region.x == 0 && p.region.height == cases[i].height &&
                  p.region.width == cases[i].width);
        FAR_CHECK_MSG(p.region.out_height == cases[i].resized_h && p.region.out_width == cases[i].resized_w,
                      "case %zu: resized to %" PRId64 " x %" PRId64, i, p.region.out_height, p.region.out_width);
        FAR_CHECK_MSG(p.y == cases[i].top && p.x == cases[i].left, "case %zu: middle at %" PRId64 ", %" PRId64, i, p.y,
                      p.x);
    }
}

FAR_TEST(resized_images_cover_their_frame)
{
    for (uint64_t i = 0; i < 20000; i++) {
        const far_frame frame = checked((far_frame){ .fit = FAR_FIT_RESIZE,
                                                     .height = 1 + (int64_t)fari_rng_below(1, 5 * i, 300),
                                                     .width = 1 + (int64_t)fari_rng_below(1, 5 * i + 1, 300),
                                                     .share = 1.0 - 0.9 * fari_rng_unit_f64(1, 5 * i + 2) });
        const int64_t height = 1 + (int64_t)fari_rng_below(1, 5 * i + 3, 600),
                      width = 1 + (int64_t)fari_rng_below(1, 5 * i + 4, 600);
        const fari_placing p = fari_frame_place(&frame, i, height, width);
        FAR_CHECK(p.y >= 0 && p.x >= 0 && p.y + frame.height <= p.region.out_height &&
                  p.x + frame.width <= p.region.out_width);
    }
}

FAR_TEST(crops_in_their_own_resolution)
{
    int64_t least_y = 99, most_y = -1, least_x = 99, most_x = -1;
    const far_frame middle = checked((far_frame){ .fit = FAR_FIT_CROP, .height = 10, .width = 20 }),
                    random = checked((far_frame){ .fit = FAR_FIT_RANDOM_CROP, .height = 10, .width = 20 }),
                    padded = checked((far_frame){ .fit = FAR_FIT_PAD, .height = 10, .width = 20 });
    fari_placing p = fari_frame_place(&middle, 1, 15, 12); /* higher, but narrower */
    FAR_CHECK(p.region.y == 2 && p.region.x == 0 && p.region.height == 10 && p.region.width == 12);
    FAR_CHECK(p.region.out_height == 10 && p.region.out_width == 12 && p.y == 0 && p.x == 0);
    p = fari_frame_place(&padded, 1, 7, 12);
    FAR_CHECK(p.region.y == 0 && p.region.x == 0 && p.region.height == 7 && p.region.width == 12);
    for (uint64_t key = 0; key < 400; key++) {
        p = fari_frame_place(&random, fari_rng_key(1, FARI_RNG_AUGMENT, 0, key), 14, 26);
        FAR_CHECK(p.region.height == 10 && p.region.width == 20 && p.region.out_width == 20);
        least_y = p.region.y < least_y ? p.region.y : least_y;
        most_y = p.region.y > most_y ? p.region.y : most_y;
        least_x = p.region.x < least_x ? p.region.x : least_x;
        most_x = p.region.x > most_x ? p.region.x : most_x;
    }
    FAR_CHECK(least_y == 0 && most_y == 4 && least_x == 0 && most_x == 6);
    FAR_CHECK_OK(fari_frame_takes(&padded, 10, 20));
    FAR_CHECK_STATUS(fari_frame_takes(&padded, 10, 21), FAR_E_ARG);
    FAR_CHECK_OK(fari_frame_takes(&middle, 500, 500));
}

FAR_TEST(random_parts_have_the_areas_and_ratios_asked_for)
{
    enum { N = 20000, HEIGHT = 400, WIDTH = 533 };
    const far_frame frame = checked((far_frame){ .fit = FAR_FIT_RANDOM_RESIZED_CROP, .height = 64, .width = 48 });
    double area = 0.0, log_ratio = 0.0, middle_y = 0.0;
    int64_t fallbacks = 0;
    for (uint64_t i = 0; i < N; i++) {
        const fari_placing p = fari_frame_place(&frame, fari_rng_key(5, FARI_RNG_AUGMENT, 2, i), HEIGHT, WIDTH);
        const far_region *r = &p.region;
        FAR_CHECK(r->y >= 0 && r->x >= 0 && r->y + r->height <= HEIGHT && r->x + r->width <= WIDTH);
        FAR_CHECK(r->out_height == 64 && r->out_width == 48 && p.y == 0 && p.x == 0);
        const double part = (double)(r->height * r->width) / (HEIGHT * WIDTH),
                     ratio = (double)r->width / (double)r->height;
        FAR_CHECK(part > 0.078 && part <= 1.0 && ratio > 0.74 && ratio < 1.35);
        area += part / N;
        log_ratio += log(ratio) / N;
        middle_y += ((double)r->y + 0.5 * (double)r->height) / HEIGHT / N;
        fallbacks += r->height == HEIGHT && r->width == 533;
    }
    /* the formula itself in Python with a million draws: area 0.4330, log ratio 0.0308 */
    FAR_CHECK_MSG(fabs(area - 0.433) < 0.01, "mean area %g", area);
    FAR_CHECK_MSG(fabs(log_ratio - 0.0308) < 0.005, "mean log ratio %g", log_ratio);
    FAR_CHECK_MSG(fabs(middle_y - 0.5) < 0.01, "mean middle %g", middle_y);
    FAR_CHECK_EQ_I64(fallbacks, 0);
}

FAR_TEST(very_long_images_give_their_middle)
{
    const far_frame frame = checked(
        (far_frame){ .fit = FAR_FIT_RANDOM_RESIZED_CROP, .height = 8, .width = 8, .area_min = 0.9, .area_max = 1.0 });
    const far_region wide = fari_frame_place(&frame, 3, 30, 600).region,
                     tall = fari_frame_place(&frame, 3, 601, 30).region;
    FAR_CHECK(wide.height == 30 && wide.width == 40 && wide.y == 0 && wide.x == 280); /* 30 x 4/3 */
    FAR_CHECK(tall.width == 30 && tall.height == 40 && tall.x == 0 && tall.y == 280);
    const far_region one = fari_frame_place(&frame, 3, 1, 1).region;
    FAR_CHECK(one.height == 1 && one.width == 1);
}

FAR_TEST(what_cannot_be_is_refused)
{
    const far_frame bad[] = {
        { .fit = FAR_FIT_AS_IS },
        { .fit = FAR_FIT_CROP, .height = 10 },
        { .fit = FAR_FIT_CROP, .height = 10, .width = INT64_MAX },
        { .fit = FAR_FIT_RESIZE, .height = 10, .width = 10, .share = 1.5 },
        { .fit = FAR_FIT_RESIZE, .height = 10, .width = 10, .share = -1.0 },
        { .fit = FAR_FIT_RANDOM_RESIZED_CROP, .height = 10, .width = 10, .area_min = 0.5, .area_max = 0.4 },
        { .fit = FAR_FIT_RANDOM_RESIZED_CROP, .height = 10, .width = 10, .area_max = 1.5 },
        { .fit = FAR_FIT_RANDOM_RESIZED_CROP, .height = 10, .width = 10, .ratio_min = -1.0 },
    };
    far_frame out;
    for (size_t i = 0; i < FAR_COUNT(bad); i++) FAR_CHECK_STATUS(fari_frame_check(&bad[i], &varying, &out), FAR_E_ARG);
    const far_frame thin = checked((far_frame){ .fit = FAR_FIT_RESIZE, .height = 5000, .width = 5000 });
    FAR_CHECK_STATUS(fari_frame_takes(&thin, 1, 600), FAR_E_ARG);
}
