/* Tiled BigTIFFs from rows: read back by libtiff and by our reader, equal bytes for equal rows, what is wrong, each allocation failing. */
#include "base/file.h"
#include "base/mem.h"
#include "support/temp_folder.h"
#include "test.h"
#include <farandole/picture.h>
#include <farandole/pictures.h>
#include <signal.h>
#include <sys/resource.h>

#ifndef FARI_HAS_TIFF

FAR_TEST(built_without_libtiff)
{
    far_tiff *tiff = NULL;
    FAR_CHECK_STATUS(far_tiff_create("x.tif", &(far_tiff_opts){ .height = 1, .width = 1, .channels = 1 }, &tiff),
                     FAR_E_UNSUPPORTED);
    FAR_CHECK_HAS(far_error_message(), "libtiff-dev");
    FAR_SKIP("built without libtiff");
}

#else
#include <tiffio.h>

enum { H = 83, W = 70, C = 3 };

/* Bytes of a row of any type: every bit pattern that is a number. */
static void fill_row(far_tiff_type type, int64_t y, int64_t elems, void *row)
{
    for (int64_t i = 0; i < elems; i++) {
        const int64_t v = y * 7919 + i * 104729;
        if (type == FAR_TIFF_U8) ((uint8_t *)row)[i] = (uint8_t)(v % 251);
        if (type == FAR_TIFF_U16) ((uint16_t *)row)[i] = (uint16_t)v;
        if (type == FAR_TIFF_I32) ((int32_t *)row)[i] = (int32_t)(v * 65537) - 1000;
        if (type == FAR_TIFF_F32) ((float *)row)[i] = (float)v / 8.0f - 100.0f;
    }
}

static size_t bytes_of(far_tiff_type type)
{
    return type == FAR_TIFF_U8 ? 1 : type == FAR_TIFF_U16 ? 2 : 4;
}

/* Rows in runs of 1, 2, 3... */
static void write_rows(const char *path, const far_tiff_opts *o)
{
    static uint8_t rows[H * W * C * 4];
    far_tiff *tiff = NULL;
    const int64_t elems = o->width * o->channels, row = elems * (int64_t)bytes_of(o->type);
    FAR_CHECK_OK(far_tiff_create(path, o, &tiff));
    for (int64_t y = 0, run = 1; y < o->height; y += run, run++) {
        if (run > o->height - y) run = o->height - y;
        for (int64_t i = 0; i < run; i++) fill_row(o->type, y + i, elems, rows + i * row);
        FAR_CHECK_OK(far_tiff_add(tiff, rows, run));
    }
    FAR_CHECK_OK(far_tiff_close(tiff, true));
}

static void check_by_libtiff(const char *path, const far_tiff_opts *o, int64_t tile)
{
    static uint8_t want[W * C * 4];
    TIFF *tiff = TIFFOpen(path, "r");
    FAR_CHECK(tiff != NULL && TIFFIsTiled(tiff) != 0 && TIFFIsBigTIFF(tiff) != 0);
    const size_t pixel = (size_t)o->channels * bytes_of(o->type);
    uint8_t *block = malloc((size_t)TIFFTileSize(tiff));
    FAR_CHECK_EQ_I64(TIFFTileSize(tiff), tile * tile * (int64_t)pixel);
    for (int64_t y = 0; y < o->height; y++) {
        fill_row(o->type, y, o->width * o->channels, want);
        for (int64_t x = 0; x < o->width; x += tile) {
            const int64_t columns = o->width - x < tile ? o->width - x : tile;
            FAR_CHECK(TIFFReadTile(tiff, block, (uint32_t)x, (uint32_t)y, 0, 0) > 0);
            FAR_CHECK(memcmp(block + (size_t)(y % tile * tile) * pixel, want + (size_t)x * pixel,
                             (size_t)columns * pixel) == 0);
            for (size_t i = (size_t)columns * pixel; i < (size_t)tile * pixel; i++) /* beyond the edge: zeros */
                FAR_CHECK_EQ_I64(block[(size_t)(y % tile * tile) * pixel + i], 0);
        }
    }
    free(block);
    TIFFClose(tiff);
}

FAR_TEST(read_back)
{
    for (int type = FAR_TIFF_U8; type <= FAR_TIFF_F32; type++)
        for (int32_t channels = 1; channels <= C; channels += 2)
            for (int32_t tile = 16; tile <= 96; tile += 40) {
                const far_tiff_opts o = {
                    .height = H, .width = W, .channels = channels, .type = (far_tiff_type)type, .tile = tile / 16 * 16
                };
                write_rows(test_path("x.tif"), &o);
                check_by_libtiff(test_path("x.tif"), &o, tile / 16 * 16);
            }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* Classes are label maps for our own reader, with colours. */
FAR_TEST(classes_are_label_maps)
{
    static float image[H * W];
    static int32_t labels[H * W];
    uint8_t row[W];
    far_dataset *set = NULL;
    const far_tiff_opts o = { .height = H, .width = W, .channels = 1, .is_classes = true };
    FAR_CHECK_OK(fari_folder_make(test_path("images")));
    FAR_CHECK_OK(fari_folder_make(test_path("labels")));
    write_rows(test_path("labels/a.tif"), &o);
    write_rows(test_path("images/a.tif"), &(far_tiff_opts){ .height = H, .width = W, .channels = 1 });
    FAR_CHECK_OK(far_dataset_open_label_maps(test_path(""), NULL, &set));
    FAR_CHECK_OK(far_dataset_read(set, 0, image, labels));
    for (int64_t y = 0; y < H; y++) {
        fill_row(FAR_TIFF_U8, y, W, row);
        for (int64_t x = 0; x < W; x++) FAR_CHECK_EQ_I64(labels[y * W + x], row[x]);
        for (int64_t x = 0; x < W; x++) FAR_CHECK(image[y * W + x] == (float)row[x] / 255.0f);
    }
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_images(test_path("labels/a.tif"), NULL, &set)); /* as an image: colours */
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).channels, 3);
    far_dataset_close(set);
}

FAR_TEST(equal_rows_give_equal_bytes)
{
    char *one = NULL, *two = NULL;
    size_t one_bytes = 0, two_bytes = 0;
    const far_tiff_opts o = { .height = H, .width = W, .channels = 2, .type = FAR_TIFF_F32, .tile = 32 };
    write_rows(test_path("one.tif"), &o);
    write_rows(test_path("two.tif"), &o);
    FAR_CHECK_OK(fari_file_read(test_path("one.tif"), 1 << 24, &one, &one_bytes));
    FAR_CHECK_OK(fari_file_read(test_path("two.tif"), 1 << 24, &two, &two_bytes));
    FAR_CHECK(one_bytes == two_bytes && memcmp(one, two, one_bytes) == 0);
    fari_free(one);
    fari_free(two);
}

/* Memory is that of a row of tiles: 100,000 rows or 100. */
FAR_TEST(memory_does_not_grow_with_height)
{
    const far_tiff_opts low = { .height = 100, .width = 50000, .channels = 1 };
    far_tiff_opts high = low;
    high.height = 100000;
    FAR_CHECK_EQ_I64(far_tiff_memory(&low), 256 * (50000 + 256));
    FAR_CHECK_EQ_I64(far_tiff_memory(&high), far_tiff_memory(&low));
}

FAR_TEST(what_is_wrong_is_said)
{
    static uint8_t rows[4 * 20];
    far_tiff *tiff = NULL;
    const far_tiff_opts good = { .height = 3, .width = 20, .channels = 1 };
    far_tiff_opts bad = good;
    bad.tile = 40;
    FAR_CHECK_STATUS(far_tiff_create(test_path("x.tif"), &bad, &tiff), FAR_E_ARG);
    FAR_CHECK_HAS(far_error_message(), "multiples of 16");
    FAR_CHECK_STATUS(far_tiff_create(test_path("no/x.tif"), &good, &tiff), FAR_E_NOTFOUND);
    FAR_CHECK_OK(far_tiff_create(test_path("x.tif"), &good, &tiff));
    FAR_CHECK_OK(far_tiff_add(tiff, rows, 2));
    FAR_CHECK_STATUS(far_tiff_add(tiff, rows, 2), FAR_E_ARG);
    FAR_CHECK_HAS(far_error_message(), "2 rows after 2 of 3");
    FAR_CHECK_STATUS(far_tiff_close(tiff, true), FAR_E_ARG);
    FAR_CHECK_OK(far_tiff_create(test_path("x.tif"), &good, &tiff));
    FAR_CHECK_OK(far_tiff_add(tiff, rows, 2));
    FAR_CHECK_STATUS(far_tiff_close(tiff, true), FAR_E_ARG);
    FAR_CHECK_HAS(far_error_message(), "2 rows of 3 were written");
    FAR_CHECK_OK(far_tiff_create(test_path("x.tif"), &good, &tiff));
    FAR_CHECK_OK(far_tiff_close(tiff, false));
    char **names = NULL;
    int64_t count = 0;
    FAR_CHECK_OK(fari_folder_list(test_path(""), &names, &count));
    FAR_CHECK_EQ_I64(count, 0); /* nothing is left */
    fari_names_free(names, count);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* A limit of the file's size is what a full disk is. */
FAR_TEST(a_full_disk_is_said_and_nothing_left)
{
    far_tiff *tiff = NULL;
    static uint16_t row[4000];
    const far_tiff_opts o = { .height = 64, .width = 4000, .channels = 1, .type = FAR_TIFF_U16, .tile = 16 };
    const struct rlimit small = { 20000, RLIM_INFINITY };
    struct rlimit before;
    far_status st = FAR_OK;
    FAR_CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0 && signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    FAR_CHECK_OK(far_tiff_create(test_path("x.tif"), &o, &tiff));
    FAR_CHECK_EQ_I64(setrlimit(RLIMIT_FSIZE, &small), 0);
    uint32_t random = 1;
    for (int64_t y = 0; y < 64 && st == FAR_OK; y++) {
        for (int x = 0; x < 4000; x++) row[x] = (uint16_t)((random = random * 1664525 + 1013904223) >> 16);
        st = far_tiff_add(tiff, row, 1);
    }
    FAR_CHECK_EQ_I64(st, FAR_E_IO);
    FAR_CHECK_HAS(far_error_message(), "x.tif");
    FAR_CHECK_STATUS(far_tiff_close(tiff, true), FAR_E_IO);
    FAR_CHECK_EQ_I64(setrlimit(RLIMIT_FSIZE, &before), 0);
    FAR_CHECK(!fari_path_exists(test_path("x.tif")));
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(each_allocation_may_fail)
{
    const far_tiff_opts o = { .height = 3, .width = 20, .channels = 3 };
    far_status st = FAR_E_NOMEM;
    for (int64_t nth = 0; st != FAR_OK; nth++) {
        far_tiff *tiff = NULL;
        fari_alloc_fail_after(nth);
        st = far_tiff_create(test_path("x.tif"), &o, &tiff);
        fari_alloc_fail_after(-1);
        FAR_CHECK_OK(far_tiff_close(tiff, false));
        if (st != FAR_OK) FAR_CHECK(st == FAR_E_NOMEM || st == FAR_E_IO);
        FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
    }
}
#endif
