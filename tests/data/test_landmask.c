/* A map of land and sea: its coarse view, windows that are balanced, seeded and apart, rows. */
#include "base/file.h"
#include "base/mem.h"
#include "support/temp_folder.h"
#include "test.h"
#include <farandole/landmask.h>

enum { H = 96, W = 360, VIEW = 8 };

static char folder[TEMP_FOLDER_BYTES], path[TEMP_FOLDER_BYTES + 32];
static uint8_t sea[H * W];

/* Discs of land; the right third is all sea but for a stripe. */
static void put_map(void)
{
    char beside[TEMP_FOLDER_BYTES + 64];
    static const char text[] = "{\"shape\": [96, 360], \"type\": \"bool\"}";
    for (int64_t y = 0; y < H; y++)
        for (int64_t x = 0; x < W; x++) {
            const int64_t v = y % 32 - 16, u = x % 48 - 24;
            sea[y * W + x] = v * v + u * u > 200;
        }
    temp_folder(folder);
    (void)snprintf(path, sizeof path, "%s/map.raw", folder);
    (void)snprintf(beside, sizeof beside, "%s.json", path);
    FAR_CHECK_OK(fari_file_write_atomic(path, sea, sizeof sea));
    FAR_CHECK_OK(fari_file_write_atomic(beside, text, sizeof text - 1));
}

static far_dataset *open_map(const far_landmask_opts *opts)
{
    far_dataset *set = NULL;
    FAR_CHECK_OK(far_dataset_open_landmask(path, opts, &set));
    return set;
}

static double block(int64_t by, int64_t bx)
{
    int64_t land = 0;
    by = by < 0 ? 0 : by >= H / VIEW ? H / VIEW - 1 : by;
    bx = bx < 0 ? 0 : bx >= W / VIEW ? W / VIEW - 1 : bx;
    for (int64_t y = 0; y < VIEW; y++)
        for (int64_t x = 0; x < VIEW; x++) land += !sea[(by * VIEW + y) * W + bx * VIEW + x];
    return (double)land / (VIEW * VIEW);
}

/* As torch.nn.functional.interpolate(mode="bilinear", align_corners=False) of the blocks' means. */
static double bilinear(int64_t y, int64_t x)
{
    const double v = ((double)y + 0.5) / VIEW - 0.5, u = ((double)x + 0.5) / VIEW - 0.5;
    const int64_t v0 = (int64_t)floor(v), u0 = (int64_t)floor(u);
    const double fv = v < 0 ? 0 : v - (double)v0, fu = u < 0 ? 0 : u - (double)u0;
    const int64_t a = v0 < 0 ? 0 : v0, b = u0 < 0 ? 0 : u0;
    return (block(a, b) * (1 - fu) + block(a, b + 1) * fu) * (1 - fv) +
           (block(a + 1, b) * (1 - fu) + block(a + 1, b + 1) * fu) * fv;
}

FAR_TEST(the_whole_map)
{
    static float image[H * W], rows[5 * W];
    static int32_t labels[H * W], label_rows[5 * W];
    put_map();
    far_dataset *set = open_map(&(far_landmask_opts){ .view = VIEW, .window = -1 });
    const far_dataset_info info = far_dataset_info_of(set);
    FAR_CHECK(info.sample_count == 1 && info.height == H && info.width == W && info.class_count == 2);
    FAR_CHECK_STR(far_dataset_class_name(set, 1), "land");
    FAR_CHECK_OK(far_dataset_read(set, 0, image, labels));
    for (int64_t i = 0; i < H * W; i++) {
        FAR_CHECK_EQ_I64(labels[i], !sea[i]);
        FAR_CHECK_NEAR(image[i], bilinear(i / W, i % W), 1e-6);
    }
    for (int64_t row = 0; row + 5 <= H; row += 13) {
        FAR_CHECK_OK(far_dataset_read_region(set, 0, &(far_region){ row, 0, 5, W, 5, W }, rows, label_rows));
        FAR_CHECK(memcmp(rows, image + row * W, sizeof rows) == 0 &&
                  memcmp(label_rows, labels + row * W, sizeof label_rows) == 0);
    }
    FAR_CHECK(far_dataset_bytes(set) >= H * W / 8);
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* Where a window lies is seen by what is in it: each of its columns is somewhere in the map. */
static int64_t find_window(const int32_t *labels, int64_t side)
{
    for (int64_t y = 0; y + side <= H; y += VIEW)
        for (int64_t x = 0; x + side <= W; x += VIEW) {
            int64_t i = 0;
            while (i < side * side && labels[i] == !sea[(y + i / side) * W + x + i % side]) i++;
            if (i == side * side) return y * W + x;
        }
    return -1;
}

FAR_TEST(windows_are_balanced_seeded_and_apart)
{
    enum { SIDE = 40 };
    static float image[SIDE * SIDE], again[SIDE * SIDE];
    static int32_t labels[SIDE * SIDE], same[SIDE * SIDE];
    int64_t differ = 0;
    put_map();
    for (int64_t x = 0; x < W; x++) /* no two places alike */
        for (int64_t y = 0; y < H; y++)
            sea[y * W + x] =
                y < H / 2 || sea[y * W + x] ^ ((x * 7 + y * 13 + x * y) % 31 == 0); /* half of it open sea */
    FAR_CHECK_OK(fari_file_write_atomic(path, sea, sizeof sea));
    for (int part = 0; part < 2; part++) {
        const far_landmask_opts opts = {
            .view = VIEW, .window = SIDE, .count = 20, .part = (far_data_part)part, .west = -60, .east = 60, .seed = 3
        };
        far_landmask_opts other = opts;
        other.seed = 4;
        far_dataset *set = open_map(&opts), *twin = open_map(&opts), *third = open_map(&other);
        for (int64_t n = 0; n < 20; n++) {
            int64_t land = 0;
            FAR_CHECK_OK(far_dataset_read(set, n, image, labels));
            FAR_CHECK_OK(far_dataset_read(twin, n, again, same));
            FAR_CHECK(memcmp(image, again, sizeof image) == 0 && memcmp(labels, same, sizeof labels) == 0);
            FAR_CHECK_OK(far_dataset_read(third, n, again, same));
            differ += memcmp(labels, same, sizeof labels) != 0;
            for (int64_t i = 0; i < SIDE * SIDE; i++) land += labels[i];
            FAR_CHECK(land * 4 >= SIDE * SIDE && land * 4 <= 3 * SIDE * SIDE);
            const int64_t at = find_window(labels, SIDE), x = at % W;
            FAR_CHECK(at >= 0);
            if (part == 1) FAR_CHECK(x >= W / 3 && x + SIDE <= 2 * W / 3);
            else FAR_CHECK(x + SIDE <= W / 3 || x >= 2 * W / 3);
        }
        far_dataset_close(set);
        far_dataset_close(twin);
        far_dataset_close(third);
    }
    FAR_CHECK(differ > 20);
}

/* The parts of one map hold it once, whichever is closed first. */
FAR_TEST(a_map_is_shared)
{
    static float image[40 * 40], again[40 * 40];
    static int32_t labels[40 * 40], same[40 * 40];
    put_map();
    far_landmask_opts opts = { .view = VIEW, .window = 40, .count = 5, .west = -60, .east = 60 };
    far_dataset *train = open_map(&opts), *other = NULL;
    opts.part = FAR_DATA_TEST;
    far_dataset *alone = open_map(&opts);
    opts.other = train;
    FAR_CHECK_OK(far_dataset_open_landmask("no file", &opts, &other));
    FAR_CHECK(far_dataset_bytes(other) < H * W / 8 && far_dataset_bytes(train) > H * W / 8);
    far_dataset_close(train);
    FAR_CHECK_OK(far_dataset_read(alone, 4, image, labels));
    FAR_CHECK_OK(far_dataset_read(other, 4, again, same));
    FAR_CHECK(memcmp(image, again, sizeof image) == 0 && memcmp(labels, same, sizeof labels) == 0);
    opts.other = alone;
    opts.view = 2 * VIEW;
    opts.window = 48;
    FAR_CHECK_STATUS(far_dataset_open_landmask(path, &opts, &train), FAR_E_ARG);
    FAR_CHECK_HAS(far_error_message(), "no land mask in blocks of 16");
    far_dataset_close(alone);
    far_dataset_close(other);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(what_does_not_fit_is_said)
{
    static const struct {
        far_landmask_opts opts;
        const char *why;
    } cases[] = {
        { { .view = 7 }, "does not divide into blocks of 7" },
        { { .view = VIEW, .window = 104 }, "windows of 104 pixels" },
        { { .view = VIEW, .window = 44 }, "a multiple of 8" },
        { { .view = VIEW, .window = 40, .part = FAR_DATA_TEST, .west = 10, .east = 20 },
          "inside the longitudes 10 to 20" },
        { { .view = VIEW, .west = 20, .east = 10 }, "west before east" },
        { { .view = 300 }, "1 to 256" },
    };
    far_dataset *set = NULL;
    put_map();
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        FAR_CHECK_STATUS(far_dataset_open_landmask(path, &cases[i].opts, &set), FAR_E_ARG);
        FAR_CHECK_HAS(far_error_message(), cases[i].why);
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(each_allocation_may_fail)
{
    far_status st = FAR_E_NOMEM;
    put_map();
    for (int64_t nth = 0; st != FAR_OK; nth++) {
        far_dataset *set = NULL;
        fari_alloc_fail_after(nth);
        st = far_dataset_open_landmask(
            path, &(far_landmask_opts){ .view = VIEW, .window = 40, .west = -60, .east = 60 }, &set);
        fari_alloc_fail_after(-1);
        far_dataset_close(set);
        if (st != FAR_OK) FAR_CHECK_EQ_I64(st, FAR_E_NOMEM);
        FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
    }
}

/* The Earth, where it lies beside the sources: coasts where they are. */
FAR_TEST(the_earth)
{
    char earth[1024];
    const char *shared = getenv("FAR_SHARED_DATA");
    static const struct {
        double lat, lon;
        int32_t land;
    } known[] = { { 46.8, 8.2, 1 },  { -25.0, 135.0, 1 }, { 0.0, -30.0, 0 },
                  { -80.0, 0.0, 1 }, { 64.9, -18.0, 1 },  { 35.0, 18.0, 0 } };
    (void)snprintf(earth, sizeof earth, "%s/landmask/globe_combined_mask_compressed.npz",
                   shared != NULL ? shared : FAR_TEST_SOURCE_DIR "/../shared/data");
    if (!fari_path_exists(earth)) FAR_SKIP("no shared data (FAR_SHARED_DATA)");
    far_dataset *set = NULL;
    FAR_CHECK_OK(far_dataset_open_landmask(earth, &(far_landmask_opts){ .window = -1 }, &set));
    const far_dataset_info info = far_dataset_info_of(set);
    FAR_CHECK(info.height == 21600 && info.width == 43200);
    for (size_t i = 0; i < FAR_COUNT(known); i++) {
        const int64_t y = (int64_t)((90.0 - known[i].lat) * 120.0), x = (int64_t)((known[i].lon + 180.0) * 120.0);
        float image = 0.0f;
        int32_t label = -1;
        FAR_CHECK_OK(far_dataset_read_region(set, 0, &(far_region){ y, x, 1, 1, 1, 1 }, &image, &label));
        FAR_CHECK_EQ_I64(label, known[i].land);
    }
    far_dataset_close(set);
}
