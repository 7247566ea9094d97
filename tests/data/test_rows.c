/* Rows of samples alone, as a rank of several over rows reads them: the rows of whole samples, bit for bit, whatever is done to them, and
   no more read than they need. */
#include "base/file.h"
#include "base/mem.h"
#include "data/row_feed.h"
#include "lartpc_file.h"
#include "support/temp_folder.h"
#include "test.h"
#include <farandole/lartpc.h>
#include <farandole/pictures.h>

#define BATCHES 3

/* ---- loaders ---- */

static far_loader *open_rows(far_dataset *set, const far_augment *augment, int64_t first, int64_t count)
{
    const far_loader_opts opts = { .batch = 2,
                                   .last = FAR_LAST_PAD,
                                   .seed = 9,
                                   .threads = -1,
                                   .augment = *augment,
                                   .row_first = first,
                                   .row_count = count };
    far_loader *loader = NULL;
    FAR_CHECK_OK(far_loader_open(set, &opts, &loader));
    return loader;
}

/* Rows of a batch beside those of whole samples. */
static void check_batch(const far_dataset_info *info, int64_t first, int64_t count, const far_batch *whole,
                        const far_batch *rows)
{
    const int64_t planes = info->label == FAR_LABEL_MAP ? (info->label_planes > 1 ? info->label_planes : 1) : 0;
    const int64_t row = info->width * info->channels, map_row = info->width * planes;
    FAR_CHECK_EQ_I64(rows->count, whole->count);
    for (int64_t i = 0; i < 2; i++) {
        FAR_CHECK_EQ_I64(rows->sample_ids[i], whole->sample_ids[i]);
        FAR_CHECK(memcmp(rows->images + i * count * row, whole->images + (i * info->height + first) * row,
                         (size_t)(count * row) * sizeof(float)) == 0);
        if (planes > 0)
            FAR_CHECK(memcmp(rows->labels + i * count * map_row, whole->labels + (i * info->height + first) * map_row,
                             (size_t)(count * map_row) * sizeof(int32_t)) == 0);
        else if (info->label == FAR_LABEL_CLASS) FAR_CHECK_EQ_I64(rows->labels[i], whole->labels[i]);
    }
}

static void check_window(far_dataset *set, const far_augment *augment, int64_t first, int64_t count)
{
    far_loader *whole = open_rows(set, augment, 0, 0), *rows = open_rows(set, augment, first, count);
    const far_dataset_info info = far_loader_info(whole);
    far_batch all, own;
    for (int i = 0; i < BATCHES; i++) {
        FAR_CHECK_OK(far_loader_next(whole, &all));
        FAR_CHECK_OK(far_loader_next(rows, &own));
        check_batch(&info, first, count, &all, &own);
    }
    far_loader_close(rows);
    far_loader_close(whole);
}

/* ---- rows that are asked for when they are needed ---- */

/* Each label for three planes of a network. */
static void check_repeated(fari_row_feed *feed, int64_t epoch, int64_t sample, int64_t lo, int64_t hi,
                           const int32_t *labels, int64_t count)
{
    int32_t *many = malloc((size_t)(3 * count) * sizeof *many);
    FAR_CHECK(many != NULL);
    FAR_CHECK_OK(fari_row_feed_labels(feed, epoch, sample, lo, hi, 3, many));
    for (int64_t i = 0; i < 3 * count; i++) FAR_CHECK_EQ_I64(many[i], labels[i / 3]);
    free(many);
}

static void check_fed_sample(const far_dataset_info *info, fari_row_feed *feed, const far_batch *whole, int64_t i,
                             int64_t lo, int64_t hi)
{
    const int64_t planes = info->label == FAR_LABEL_MAP ? (info->label_planes > 1 ? info->label_planes : 1) : 0;
    const int64_t row = info->width * info->channels, map_row = info->width * planes, sample = whole->sample_ids[i];
    float *image = malloc((size_t)((hi - lo) * row) * sizeof *image);
    int32_t *labels = malloc((size_t)((hi - lo) * map_row + 1) * sizeof *labels);
    FAR_CHECK(image != NULL && labels != NULL);
    FAR_CHECK_OK(fari_row_feed_image(feed, whole->epoch, sample, lo, hi, image));
    FAR_CHECK(memcmp(image, whole->images + (i * info->height + lo) * row, (size_t)((hi - lo) * row) * sizeof *image) ==
              0);
    if (info->label != FAR_LABEL_NONE)
        FAR_CHECK_OK(fari_row_feed_labels(feed, whole->epoch, sample, lo, hi, 1, labels));
    if (planes > 0) check_repeated(feed, whole->epoch, sample, lo, hi, labels, (hi - lo) * map_row);
    if (planes > 0)
        FAR_CHECK(memcmp(labels, whole->labels + (i * info->height + lo) * map_row,
                         (size_t)((hi - lo) * map_row) * sizeof *labels) == 0);
    else if (info->label == FAR_LABEL_CLASS) FAR_CHECK_EQ_I64(labels[0], whole->labels[i]);
    free(image);
    free(labels);
}

static bool is_whole_wanted(const far_augment *augment)
{
    return augment->turns || augment->contrast > 0.0 || augment->frame.fit == FAR_FIT_RESIZE ||
           augment->frame.fit == FAR_FIT_RANDOM_RESIZED_CROP;
}

/* Image and labels apart, from top to bottom and once more from the bottom. */
static void check_fed(far_dataset *set, const far_augment *augment)
{
    far_loader *loader = open_rows(set, augment, 0, 0);
    const far_dataset_info info = far_loader_info(loader);
    const fari_row_feed_opts opts = { .augment = *augment, .seed = 9, .readers = 2, .piece_bytes = 1000 };
    fari_row_feed *feed = NULL;
    far_batch whole;
    int64_t bytes = 0;
    if (is_whole_wanted(augment)) {
        FAR_CHECK_STATUS(fari_row_feed_open(set, &opts, &feed), FAR_E_UNSUPPORTED);
        far_loader_close(loader);
        return;
    }
    FAR_CHECK_OK(fari_row_feed_bytes(set, &opts, &bytes));
    FAR_CHECK_OK(fari_row_feed_open(set, &opts, &feed));
    const int64_t allocations = fari_alloc_forbidden_count();
    fari_alloc_forbid(true); /* as in a step */
    for (int b = 0; b < BATCHES; b++) {
        FAR_CHECK_OK(far_loader_next(loader, &whole));
        for (int64_t i = 0; i < 2; i++) { /* the last place of the last batch is no sample */
            for (int64_t lo = 0; lo < info.height; lo += 7)
                check_fed_sample(&info, feed, &whole, i, lo, lo + 7 < info.height ? lo + 7 : info.height);
            check_fed_sample(&info, feed, &whole, i, info.height / 2, info.height);
            check_fed_sample(&info, feed, &whole, i, 0, info.height);
        }
    }
    fari_alloc_forbid(false);
    FAR_CHECK_EQ_I64(fari_alloc_forbidden_count(), allocations);
    fari_row_feed_close(feed);
    far_loader_close(loader);
}

/* First, inner and last rows, and a single one. */
static void check_windows(far_dataset *set, const far_augment *augment)
{
    far_loader *loader = open_rows(set, augment, 0, 0);
    const int64_t height = far_loader_info(loader).height;
    far_loader_close(loader);
    check_window(set, augment, 0, height / 2);
    check_window(set, augment, height / 3, height / 3);
    check_window(set, augment, height - 3, 3);
    check_window(set, augment, height / 2, 1);
    check_window(set, augment, 0, height);
    if (far_dataset_sample_name(set, 0) == NULL) check_fed(set, augment);
}

static const float mean[] = { 0.4f, 0.5f, 0.6f }, deviation[] = { 0.2f, 0.3f, 0.4f };

/* What may be done to images of one size, with three channels or one. */
static void check_augmented(far_dataset *set)
{
    const far_augment cases[] = {
        { .log1p = true },
        { .mean = mean, .std = deviation, .flip = true, .vflip = true },
        { .mean = mean, .std = deviation, .crop_pad = 3, .vflip = true, .cutout = 4 },
        { .brightness = 0.3, .saturation = 0.3, .hue = 0.1, .invert = 0.5, .erase = 1.0, .vflip = true },
        { .contrast = 0.5 },
        { .frame = { .fit = FAR_FIT_CROP, .height = 9, .width = 7 }, .vflip = true },
        { .frame = { .fit = FAR_FIT_RANDOM_CROP, .height = 30, .width = 11 }, .mean = mean, .std = deviation },
        { .frame = { .fit = FAR_FIT_PAD, .height = 32, .width = 40 }, .vflip = true, .cutout = 9 },
        { .frame = { .fit = FAR_FIT_RESIZE, .height = 9, .width = 10 } },
        { .frame = { .fit = FAR_FIT_RANDOM_RESIZED_CROP, .height = 12, .width = 8 }, .flip = true },
        { .frame = { .fit = FAR_FIT_CROP, .height = 8, .width = 8 }, .turns = true },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        printf("case %d\n", (int)i);
        check_windows(set, &cases[i]);
    }
}

FAR_TEST(made_up_images)
{
    far_dataset *set = NULL;
    far_synthetic_opts opts = {
        .sample_count = 5, .height = 24, .width = 16, .channels = 3, .class_count = 4, .label = FAR_LABEL_MAP
    };
    FAR_CHECK_OK(far_dataset_open_synthetic(&opts, &set));
    check_augmented(set);
    check_windows(set, &(far_augment){ .downsample = 1, .vflip = true });
    far_dataset_close(set);
    opts.label = FAR_LABEL_CLASS;
    FAR_CHECK_OK(far_dataset_open_synthetic(&opts, &set));
    check_augmented(set);
    far_dataset_close(set);
    opts.vary = 0.5;
    opts.label = FAR_LABEL_MAP;
    FAR_CHECK_OK(far_dataset_open_synthetic(&opts, &set));
    check_windows(set, &(far_augment){ .frame = { .fit = FAR_FIT_PAD, .height = 24, .width = 16 }, .vflip = true });
    check_windows(set, &(far_augment){ .frame = { .fit = FAR_FIT_RANDOM_CROP, .height = 20, .width = 12 } });
    far_dataset_close(set);
}

/* ---- files ---- */

static void put_npy(const char *name, const char *shape, size_t bytes)
{
    char head[128];
    FILE *file = fopen(test_path(name), "wb");
    FAR_CHECK(file != NULL);
    const int used =
        snprintf(head + 10, sizeof head - 10, "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }", shape);
    memset(head + 10 + used, ' ', sizeof head - 10 - (size_t)used);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    head[127] = '\n';
    FAR_CHECK(fwrite(head, 1, sizeof head, file) == sizeof head);
    for (size_t i = 0; i < bytes; i++) FAR_CHECK(fputc((int)((i * i + 7 * i) % 31), file) != EOF);
    FAR_CHECK(fclose(file) == 0);
}

static void put_idx(const char *name, int axes, const int *dim, size_t bytes)
{
    FILE *file = fopen(test_path(name), "wb");
    FAR_CHECK(file != NULL && fwrite((const char[]){ 0, 0, 8, (char)axes }, 1, 4, file) == 4);
    for (int i = 0; i < axes; i++) FAR_CHECK(fwrite((const char[]){ 0, 0, 0, (char)dim[i] }, 1, 4, file) == 4);
    for (size_t i = 0; i < bytes; i++) FAR_CHECK(fputc((int)((i * i + 7 * i) % 31), file) != EOF);
    FAR_CHECK(fclose(file) == 0);
}

FAR_TEST(arrays)
{
    far_dataset *set = NULL;
    put_npy("first", "(5, 3, 20, 14)", 5 * 3 * 20 * 14);
    put_npy("last", "(5, 20, 14, 3)", 5 * 3 * 20 * 14);
    put_npy("maps", "(5, 20, 14)", 5 * 20 * 14);
    put_npy("classes", "(5,)", 5);
    FAR_CHECK_OK(far_dataset_open_npy(test_path("first"), test_path("maps"), true, 31, &set));
    check_augmented(set);
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_npy(test_path("last"), test_path("classes"), false, 31, &set));
    check_augmented(set);
    far_dataset_close(set);
    put_npy("volumes", "(5, 2, 6, 10, 14)", 5 * 2 * 6 * 10 * 14);
    put_npy("inside", "(5, 6, 10, 14)", 5 * 6 * 10 * 14);
    FAR_CHECK_OK(far_dataset_open_volumes(test_path("volumes"), test_path("inside"), true, 31, &set));
    check_windows(set, &(far_augment){ .flip = true });
    far_dataset_close(set);
    put_idx("images.idx", 4, (const int[]){ 5, 20, 14, 3 }, 5 * 3 * 20 * 14);
    put_idx("maps.idx", 3, (const int[]){ 5, 20, 14 }, 5 * 20 * 14);
    FAR_CHECK_OK(far_dataset_open_idx(test_path("images.idx"), test_path("maps.idx"), 31, &set));
    check_augmented(set);
    far_dataset_close(set);
}

FAR_TEST(liquid_argon_events)
{
    far_dataset *set = NULL;
    lartpc_put(test_path("rows.h5"));
    FAR_CHECK_OK(far_dataset_open_lartpc(test_path("rows.h5"), NULL, &set));
    check_windows(set, &(far_augment){ .vflip = true, .log1p = true });
    check_windows(set, &(far_augment){ .frame = { .fit = FAR_FIT_PAD, .height = 8, .width = 8 }, .vflip = true });
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_lartpc(test_path("rows.h5"), &(far_lartpc_opts){ .keep_bytes = 1 }, &set));
    check_windows(set, &(far_augment){ .crop_pad = 1 });
    far_dataset_close(set);
}

/* Decoded from the top, kept from the first row wanted on: of each kind of JPEG and PNG. */
FAR_TEST(pictures)
{
    static const char *const names[] = { "jpeg_420.jpg",         "jpeg_422.jpg",   "jpeg_444.jpg",   "jpeg_cmyk.jpg",
                                         "jpeg_progressive.jpg", "jpeg_turn3.jpg", "jpeg_turn6.jpg", "jpeg_grey.jpg" };
    far_dataset *set = NULL;
    FAR_CHECK_OK(fari_folder_make(test_path("a")));
    for (size_t i = 0; i < FAR_COUNT(names); i++) {
        char from[200], to[100], *data = NULL;
        size_t bytes = 0;
        (void)snprintf(from, sizeof from, FAR_TEST_SOURCE_DIR "/tests/data/pictures/%s", names[i]);
        (void)snprintf(to, sizeof to, "a/%s", names[i]);
        FAR_CHECK_OK(fari_file_read(from, 1 << 20, &data, &bytes));
        FAR_CHECK_OK(fari_file_write_atomic(test_path(to), data, bytes));
        fari_free(data);
    }
    FAR_CHECK_OK(far_dataset_open_images(test_path(""), &(far_pictures_opts){ .channels = 3 }, &set));
    const far_dataset_info info = far_dataset_info_of(set);
    check_windows(
        set, &(far_augment){ .frame = { FAR_FIT_PAD, .height = info.height, .width = info.width }, .vflip = true });
    check_windows(set, &(far_augment){ .frame = { FAR_FIT_RANDOM_CROP, .height = 40, .width = 33 }, .vflip = true });
    check_windows(set, &(far_augment){ .frame = { FAR_FIT_RESIZE, .height = 16, .width = 16 } });
    const fari_row_feed_opts opts = { .augment.frame = { FAR_FIT_RANDOM_CROP, .height = 40, .width = 33 } };
    fari_row_feed *feed = NULL;
    FAR_CHECK_STATUS(fari_row_feed_open(set, &opts, &feed), FAR_E_UNSUPPORTED);
    FAR_CHECK_HAS(far_error_message(), "JPEG and PNG pictures are decoded from their first row");
    far_dataset_close(set);
}

/* ---- what is asked of a reader ---- */

typedef struct asked {
    int64_t first, end, whole; /* rows; how often for all of a sample */
} asked;

enum { HEIGHT = 32, WIDTH = 256 };

static far_status read_whole(void *context, int64_t idx, float *image_out, int32_t *label_out)
{
    asked *seen = context;
    (void)idx;
    (void)label_out;
    seen->whole++;
    memset(image_out, 0, HEIGHT * WIDTH * sizeof *image_out);
    return FAR_OK;
}

static far_status read_rows(void *context, int64_t idx, int64_t row, int64_t count, float *image_out,
                            int32_t *label_out)
{
    asked *seen = context;
    (void)idx;
    (void)label_out;
    if (row < seen->first) seen->first = row;
    if (row + count > seen->end) seen->end = row + count;
    memset(image_out, 0, (size_t)count * WIDTH * sizeof *image_out);
    return FAR_OK;
}

static asked ask(const far_augment *augment, int64_t first, int64_t count, far_on_error on_error, int64_t *bytes_out)
{
    asked seen = { .first = HEIGHT };
    far_dataset *set = NULL;
    far_loader *loader = NULL;
    far_batch batch;
    const far_dataset_info info = { .sample_count = 8, .height = HEIGHT, .width = WIDTH, .channels = 1 };
    const far_dataset_ops ops = { .read = read_whole, .read_rows = read_rows };
    const far_loader_opts opts = {
        .batch = 8, .threads = -1, .augment = *augment, .on_error = on_error, .row_first = first, .row_count = count
    };
    FAR_CHECK_OK(far_dataset_create(&ops, &seen, &info, &set));
    FAR_CHECK_OK(far_loader_open(set, &opts, &loader));
    *bytes_out = far_loader_bytes(set, &opts);
    FAR_CHECK_OK(far_loader_next(loader, &batch));
    far_loader_close(loader);
    far_dataset_close(set);
    return seen;
}

FAR_TEST(no_more_is_read_than_wanted)
{
    int64_t bytes = 0, all_bytes = 0;
    asked seen = ask(&(far_augment){ 0 }, 0, 0, FAR_ON_ERROR_STOP, &all_bytes);
    FAR_CHECK_EQ_I64(seen.whole, 8);
    seen = ask(&(far_augment){ 0 }, 8, 4, FAR_ON_ERROR_STOP, &bytes);
    FAR_CHECK(seen.whole == 0 && seen.first == 8 && seen.end == 12);
    FAR_CHECK(bytes < all_bytes / 4);
    seen = ask(&(far_augment){ .downsample = 1 }, 4, 4, FAR_ON_ERROR_STOP, &bytes);
    FAR_CHECK(seen.whole == 0 && seen.first == 8 && seen.end == 16);
    seen = ask(&(far_augment){ .vflip = true }, 0, 4, FAR_ON_ERROR_STOP, &bytes); /* of some samples the last rows */
    FAR_CHECK(seen.whole == 0 && seen.first == 0 && seen.end == HEIGHT);
    seen = ask(&(far_augment){ .frame = { .fit = FAR_FIT_CROP, .height = 16, .width = WIDTH } }, 0, 4,
               FAR_ON_ERROR_STOP, &bytes);
    FAR_CHECK(seen.whole == 0 && seen.first == 8 && seen.end == 12);
    /* where all of a sample counts */
    FAR_CHECK_EQ_I64(ask(&(far_augment){ .contrast = 0.5 }, 8, 4, FAR_ON_ERROR_STOP, &bytes).whole, 8);
    FAR_CHECK_EQ_I64(ask(&(far_augment){ 0 }, 8, 4, FAR_ON_ERROR_SKIP, &bytes).whole, 8);
}

FAR_TEST(rows_that_are_not_there)
{
    static const int64_t bad[][2] = { { -1, 4 }, { 30, 4 }, { 0, 33 }, { 4, -1 } };
    far_dataset *set = NULL;
    far_loader *loader = NULL;
    FAR_CHECK_OK(far_dataset_open_synthetic(&(far_synthetic_opts){ 0 }, &set));
    for (size_t i = 0; i < FAR_COUNT(bad); i++) {
        const far_loader_opts opts = { .batch = 2, .row_first = bad[i][0], .row_count = bad[i][1] };
        FAR_CHECK_STATUS(far_loader_open(set, &opts, &loader), FAR_E_ARG);
    }
    far_dataset_close(set);
}
