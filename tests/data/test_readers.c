/* Readers: IDX, NumPy arrays, synthetic sets; folders; every kind of damage. */
#include "base/file.h"
#include "base/mem.h"
#include "data/dataset.h"
#include "data/idx.h"
#include "data/npy.h"
#include "support/temp_folder.h"
#include "test.h"
#include <unistd.h>
#include <zlib.h>

static void put(const char *name, const void *data, size_t bytes)
{
    FAR_CHECK_OK(fari_file_write_atomic(test_path(name), data, bytes));
}

static void put_gzip(const char *name, const void *data, size_t bytes)
{
    gzFile file = gzopen(test_path(name), "wb");
    FAR_CHECK(file != NULL && gzwrite(file, data, (unsigned)bytes) == (int)bytes && gzclose(file) == Z_OK);
}

/* 3 images of 2 x 4, and labels. */
static const uint8_t images[16 + 24] = {
    0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 4, 0, 51, 255, 3, 4, 5, 6, 7, 8, 9
};
static const uint8_t labels[8 + 3] = { 0, 0, 8, 1, 0, 0, 0, 3, 2, 0, 1 };

static void put_set(void)
{
    put("images", images, sizeof images);
    put("labels", labels, sizeof labels);
}

static void check_set(far_dataset *set)
{
    const far_dataset_info info = far_dataset_info_of(set);
    float image[8];
    int32_t label = -5;
    FAR_CHECK(info.sample_count == 3 && info.height == 2 && info.width == 4 && info.channels == 1);
    FAR_CHECK(info.label == FAR_LABEL_CLASS && info.class_count == 3 && info.is_integer);
    FAR_CHECK_OK(far_dataset_read(set, 0, image, &label));
    FAR_CHECK(image[0] == 0.0f && image[1] == 51.0f / 255.0f && image[2] == 1.0f && image[3] == 3.0f / 255.0f);
    FAR_CHECK_EQ_I64(label, 2);
    FAR_CHECK_OK(far_dataset_read(set, 1, image, &label));
    FAR_CHECK(image[0] == 8.0f / 255.0f && label == 0);
    FAR_CHECK_STATUS(far_dataset_read(set, 3, image, &label), FAR_E_ARG);
    FAR_CHECK_STATUS(far_dataset_read(set, -1, image, &label), FAR_E_ARG);
    FAR_CHECK(far_dataset_bytes(set) >= 27 && far_dataset_class_name(set, 0) == NULL);
}

FAR_TEST(idx_plain_and_gzip)
{
    far_dataset *set = NULL;
    put_set();
    put_gzip("images.gz", images, sizeof images);
    put_gzip("labels.gz", labels, sizeof labels);
    FAR_CHECK_OK(far_dataset_open_idx(test_path("images"), test_path("labels"), 0, &set));
    check_set(set);
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_idx(test_path("images.gz"), test_path("labels.gz"), 0, &set));
    check_set(set);
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_idx(test_path("images"), NULL, 0, &set));
    FAR_CHECK(far_dataset_info_of(set).label == FAR_LABEL_NONE);
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_idx(test_path("images"), test_path("labels"), 7, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).class_count, 7);
    far_dataset_close(set);
    far_dataset_close(NULL);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(idx_four_axes_and_maps)
{
    static const uint8_t colour[20 + 12] = { 0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0,  0,  2,
                                             0, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
    static const uint8_t map[16 + 4] = { 0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 2, 3 };
    far_dataset *set = NULL;
    float image[12];
    int32_t label[4];
    put("colour", colour, sizeof colour);
    put("map", map, sizeof map);
    FAR_CHECK_OK(far_dataset_open_idx(test_path("colour"), test_path("map"), 0, &set));
    FAR_CHECK(far_dataset_info_of(set).label == FAR_LABEL_MAP && far_dataset_info_of(set).channels == 3);
    FAR_CHECK_OK(far_dataset_read(set, 0, image, label));
    FAR_CHECK(image[5] == 6.0f / 255.0f && label[3] == 3);
    far_dataset_close(set);
}

static void check_bad_images(const void *data, size_t bytes, far_status status, const char *part)
{
    far_dataset *set = NULL;
    put("bad", data, bytes);
    FAR_CHECK_STATUS(far_dataset_open_idx(test_path("bad"), NULL, 0, &set), status);
    FAR_CHECK_HAS(far_error_message(), part);
    FAR_CHECK_HAS(far_error_message(), "/bad");
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(idx_damage_is_named)
{
    uint8_t copy[64];
    far_dataset *set = NULL;
    for (size_t cut = 0; cut < sizeof images; cut++)
        check_bad_images(images, cut, FAR_E_FORMAT, cut < 16 ? "" : "cut short");
    memcpy(copy, images, sizeof images);
    copy[sizeof images] = 1;
    check_bad_images(copy, sizeof images + 1, FAR_E_FORMAT, "should end at byte 40");
    copy[0] = 0x50;
    check_bad_images(copy, sizeof images, FAR_E_FORMAT, "no IDX file: it begins with 50 00 08 03");
    copy[0] = 0, copy[2] = 0x0D;
    check_bad_images(copy, sizeof images, FAR_E_UNSUPPORTED, "0x0d");
    copy[2] = 8, copy[3] = 9;
    check_bad_images(copy, sizeof images, FAR_E_FORMAT, "9 axes");
    copy[3] = 3, copy[7] = 0;
    check_bad_images(copy, sizeof images, FAR_E_FORMAT, "no elements");
    memset(copy + 4, 0xFF, 12);
    check_bad_images(copy, sizeof images, FAR_E_FORMAT, "more elements than any file");
    memset(copy + 4, 0, 12);
    copy[4] = 0x7F, copy[11] = 1, copy[15] = 1;
    check_bad_images(copy, sizeof images, FAR_E_FORMAT, "cut short"); /* before two gigabytes are asked for */
    check_bad_images(labels, sizeof labels, FAR_E_FORMAT, "1 axes; images need 3");

    put_set();
    FAR_CHECK_STATUS(far_dataset_open_idx(test_path("images"), test_path("labels"), 2, &set), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "label 2, but there are 2 classes");
    memcpy(copy, labels, sizeof labels);
    copy[7] = 2;
    put("fewer", copy, sizeof labels - 1);
    FAR_CHECK_STATUS(far_dataset_open_idx(test_path("images"), test_path("fewer"), 0, &set), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "2 labels for 3 images");
    FAR_CHECK_STATUS(far_dataset_open_idx(test_path("none"), NULL, 0, &set), FAR_E_NOTFOUND);
    FAR_CHECK_STATUS(far_dataset_open_idx(test_path(""), NULL, 0, &set), FAR_E_IO);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(gzip_damage_is_named)
{
    char *packed = NULL;
    size_t bytes = 0;
    put_gzip("good", images, sizeof images);
    FAR_CHECK_OK(fari_file_read(test_path("good"), 1 << 20, &packed, &bytes));
    char *copy = malloc(bytes);
    int unnoticed = 0;
    put_set();
    FAR_CHECK(copy != NULL);
    for (size_t i = 2; i < bytes; i++) {
        far_dataset *set = NULL;
        put("bad", packed, i);
        FAR_CHECK_STATUS(far_dataset_open_idx(test_path("bad"), NULL, 0, &set), FAR_E_FORMAT);
        memcpy(copy, packed, bytes);
        copy[i] ^= 0x04;
        put("bad", copy, bytes);
        /* the time may be anything, and a run of zeros may be copied from other zeros: then all is as it was */
        const far_status st = far_dataset_open_idx(test_path("bad"), test_path("labels"), 0, &set);
        FAR_CHECK_MSG(st == FAR_E_FORMAT || st == FAR_E_UNSUPPORTED || st == FAR_OK, "bit flipped in byte %zu: %s", i,
                      far_status_name(st));
        if (st == FAR_OK) check_set(set);
        if (st == FAR_OK) unnoticed++;
        if (st == FAR_OK) far_dataset_close(set);
    }
    FAR_CHECK(unnoticed < 15);
    free(copy);
    fari_free(packed);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(usual_names_in_a_folder)
{
    far_dataset *set = NULL;
    put("train-images-idx3-ubyte", images, sizeof images);
    put("train-labels-idx1-ubyte", labels, sizeof labels);
    put_gzip("t10k-images-idx3-ubyte.gz", images, sizeof images);
    put_gzip("t10k-labels-idx1-ubyte.gz", labels, sizeof labels);
    FAR_CHECK_OK(far_dataset_open_folder(test_path(""), FAR_DATA_AUTO, FAR_DATA_TRAIN, false, 0, &set));
    check_set(set);
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_folder(test_path(""), FAR_DATA_IDX, FAR_DATA_TEST, false, 0, &set));
    check_set(set);
    far_dataset_close(set);
    FAR_CHECK_STATUS(far_dataset_open_folder(test_path(""), FAR_DATA_NPY, FAR_DATA_TEST, false, 0, &set),
                     FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "test-images.npy");
    FAR_CHECK_STATUS(far_dataset_open_folder(test_path("none"), FAR_DATA_AUTO, FAR_DATA_TEST, false, 0, &set),
                     FAR_E_NOTFOUND);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* --- NumPy --- */

/* Writes a file as numpy.save does, version 1. */
static void put_npy(const char *name, const char *descr, const char *shape, const void *data, size_t bytes)
{
    char file[4096];
    memcpy(file, "\x93NUMPY\x01", 8);
    const int length = snprintf(file + 10, 256, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
    memset(file + 10 + length, ' ', 128);
    const size_t head = ((size_t)length + 10 + 64) / 64 * 64;
    file[head - 1] = '\n';
    file[8] = (char)(head - 10);
    file[9] = 0;
    memcpy(file + head, data, bytes);
    put(name, file, head + bytes);
}

FAR_TEST(npy_types_and_layouts)
{
    static const float f32[12] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };
    static const double f64[4] = { 0.5, -1.5, 2.5, 1e10 };
    static const int64_t i64[4] = { 0, 1, -1, 2 };
    static const int32_t i32[2] = { 1, 0 };
    float image[12];
    int32_t label[4];
    far_dataset *set = NULL;
    put_npy("images", "<f4", "(2, 1, 2, 3)", f32, sizeof f32); /* [N, H, W, C] */
    put_npy("labels", "<i4", "(2,)", i32, sizeof i32);
    FAR_CHECK_OK(far_dataset_open_npy(test_path("images"), test_path("labels"), false, 0, &set));
    far_dataset_info info = far_dataset_info_of(set);
    FAR_CHECK(info.height == 1 && info.width == 2 && info.channels == 3 && info.class_count == 2 && !info.is_integer);
    FAR_CHECK_OK(far_dataset_read(set, 1, image, label));
    FAR_CHECK(image[0] == 6.0f && image[5] == 11.0f && label[0] == 0);
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_npy(test_path("images"), NULL, true, 0, &set)); /* [N, C, H, W]: one channel, 2 x 3 */
    info = far_dataset_info_of(set);
    FAR_CHECK(info.height == 2 && info.width == 3 && info.channels == 1);
    far_dataset_close(set);
    put_npy("images", "<f4", "(1, 3, 2, 2)", f32, sizeof f32);
    FAR_CHECK_OK(far_dataset_open_npy(test_path("images"), NULL, true, 0, &set));
    FAR_CHECK_OK(far_dataset_read(set, 0, image, NULL));
    FAR_CHECK(image[0] == 0.0f && image[1] == 4.0f && image[2] == 8.0f && image[3] == 1.0f && image[11] == 11.0f);
    far_dataset_close(set);
    put_npy("images", "<f8", "(1, 2, 2)", f64, sizeof f64);
    put_npy("labels", "<i8", "(1, 2, 2)", i64, sizeof i64);
    FAR_CHECK_OK(far_dataset_open_npy(test_path("images"), test_path("labels"), false, 0, &set));
    FAR_CHECK(far_dataset_info_of(set).label == FAR_LABEL_MAP && far_dataset_info_of(set).class_count == 3);
    FAR_CHECK_OK(far_dataset_read(set, 0, image, label));
    FAR_CHECK(image[3] == 1e10f && label[2] == FAR_LABEL_IGNORE && label[3] == 2);
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_npy(test_path("images"), test_path("labels"), false, 2, &set));
    FAR_CHECK_STATUS(far_dataset_read(set, 0, image, label), FAR_E_FORMAT); /* label 2 of 2 classes, seen when read */
    FAR_CHECK_HAS(far_error_message(), "sample 0");
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

static const struct {
    const char *header; /* version 1, padded */
    far_status status;
    const char *part;
} bad_headers[] = {
    { "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2, 2), }", FAR_E_UNSUPPORTED, "Fortran" },
    { "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2, 2), }", FAR_E_UNSUPPORTED, "<f2" },
    { "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", FAR_E_FORMAT, "text in quotes" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 3), }", FAR_E_FORMAT, "its shape needs 48" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", FAR_E_FORMAT, "too large" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", FAR_E_FORMAT, "more elements" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4), }", FAR_E_FORMAT, "no elements" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", FAR_E_FORMAT, "single number" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,8), }", FAR_E_UNSUPPORTED, "5 axes" },
    { "{'descr': '<f4', 'fortran_order': False, }", FAR_E_FORMAT, "missing" },
    { "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, }", FAR_E_FORMAT, "doubled" },
    { "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (8,), }", FAR_E_FORMAT, "True or False" },
    { "{'descr", FAR_E_FORMAT, "without its end" },
    { "", FAR_E_FORMAT, "dictionary" },
};

FAR_TEST(npy_damage_is_named)
{
    for (size_t i = 0; i < FAR_COUNT(bad_headers); i++) {
        char file[160];
        fari_npy npy;
        memset(file, ' ', sizeof file);
        memcpy(file, "\x93NUMPY\x01\x00\x76\x00", 10); /* data begin at byte 128 */
        memcpy(file + 10, bad_headers[i].header, strlen(bad_headers[i].header));
        const far_status st = fari_npy_parse("x.npy", file, sizeof file, 160, &npy);
        FAR_CHECK_MSG(st == bad_headers[i].status, "%s: %s %s", bad_headers[i].header, far_status_name(st),
                      far_error_message());
        FAR_CHECK_HAS(far_error_message(), bad_headers[i].part);
    }
    far_dataset *set = NULL;
    put("short", "\x93NUM", 4);
    FAR_CHECK_STATUS(far_dataset_open_npy(test_path("short"), NULL, false, 0, &set), FAR_E_FORMAT);
    put("other", "PK\x03\x04 and so on", 14);
    FAR_CHECK_STATUS(far_dataset_open_npy(test_path("other"), NULL, false, 0, &set), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "no NumPy file");
    static const float data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    static const int32_t negative[2] = { 0, -2 };
    put_npy("images", "<f4", "(2, 2, 2)", data, sizeof data);
    put_npy("labels", "<i4", "(2,)", negative, sizeof negative);
    FAR_CHECK_STATUS(far_dataset_open_npy(test_path("images"), test_path("labels"), false, 0, &set), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "label -2");
    put_npy("labels", "<f4", "(2,)", data, 8);
    FAR_CHECK_STATUS(far_dataset_open_npy(test_path("images"), test_path("labels"), false, 0, &set), FAR_E_UNSUPPORTED);
    /* cut after it was opened: noticed when read */
    FAR_CHECK_OK(far_dataset_open_npy(test_path("images"), NULL, false, 0, &set));
    FAR_CHECK(truncate(test_path("images"), 150) == 0);
    float image[4];
    FAR_CHECK_STATUS(far_dataset_read(set, 1, image, NULL), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "cut short");
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* --- synthetic --- */

FAR_TEST(synthetic_is_a_pure_function)
{
    const far_synthetic_opts opts = {
        .sample_count = 50, .height = 6, .width = 5, .channels = 2, .class_count = 4, .seed = 9
    };
    far_synthetic_opts later = opts;
    far_dataset *set = NULL, *again = NULL;
    float a[60], b[60];
    int32_t label = 0, label_again = 0;
    int64_t seen[4] = { 0 };
    later.first = 20;
    FAR_CHECK_OK(far_dataset_open_synthetic(&opts, &set));
    FAR_CHECK_OK(far_dataset_open_synthetic(&later, &again));
    for (int64_t i = 0; i < 50; i++) {
        FAR_CHECK_OK(far_dataset_read(set, i, a, &label));
        FAR_CHECK(label >= 0 && label < 4);
        seen[label]++;
        for (int k = 0; k < 60; k++) FAR_CHECK(a[k] >= 0.0f && a[k] < 1.0f);
        if (i < 20) continue;
        FAR_CHECK_OK(far_dataset_read(again, i - 20, b, &label_again));
        FAR_CHECK_BITS("sample", b, a, 60);
        FAR_CHECK_EQ_I64(label_again, label);
    }
    for (int c = 0; c < 4; c++) FAR_CHECK(seen[c] > 3);
    far_dataset_close(set);
    far_dataset_close(again);
    later = (far_synthetic_opts){
        .label = FAR_LABEL_MAP, .class_count = 3, .height = 32, .width = 48, .sample_count = 4, .channels = 3
    };
    FAR_CHECK_OK(far_dataset_open_synthetic(&later, &set));
    static float image[32 * 48 * 3];
    static int32_t map[32 * 48];
    int64_t of_class[3] = { 0 };
    for (int64_t i = 0; i < 4; i++) {
        FAR_CHECK_OK(far_dataset_read(set, i, image, map));
        for (int k = 0; k < 32 * 48; k++) {
            FAR_CHECK(map[k] >= 0 && map[k] < 3);
            of_class[map[k]]++;
        }
    }
    FAR_CHECK(of_class[0] > 0 && of_class[1] > 0 && of_class[2] > 0);
    far_dataset_close(set);
    later.class_count = -1;
    FAR_CHECK_STATUS(far_dataset_open_synthetic(&later, &set), FAR_E_ARG);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(moments)
{
    static const float f32[12] = { 1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60 }; /* 3 samples of 1 x 2 x 2 channels */
    static const int64_t some[2] = { 2, 0 };
    far_dataset *set = NULL;
    double mean[2], deviation[2];
    put_npy("images", "<f4", "(3, 1, 2, 2)", f32, sizeof f32);
    FAR_CHECK_OK(far_dataset_open_npy(test_path("images"), NULL, false, 0, &set));
    FAR_CHECK_OK(far_dataset_moments(set, NULL, 3, mean, deviation));
    FAR_CHECK_NEAR(mean[0], 3.5, 1e-15);
    FAR_CHECK_NEAR(mean[1], 35.0, 1e-14);
    FAR_CHECK_NEAR(deviation[0], sqrt(35.0 / 12.0), 1e-15);
    FAR_CHECK_OK(far_dataset_moments(set, some, 2, mean, deviation));
    FAR_CHECK_NEAR(mean[0], 3.5, 1e-15);
    FAR_CHECK_NEAR(deviation[1], sqrt(425.0), 1e-13);
    far_dataset_close(set);
}

FAR_TEST(a_set_of_ones_own_is_closed_once)
{
    const far_dataset_info nothing = { .sample_count = 0, .height = 1, .width = 1, .channels = 1 };
    const far_dataset_ops ops = { .close = fari_free };
    far_dataset *set = NULL;
    FAR_CHECK_STATUS(far_dataset_create(&ops, fari_alloc(8), &nothing, &set), FAR_E_ARG);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(each_allocation_may_fail)
{
    static const float f32[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    static const int32_t i32[2] = { 1, 0 };
    far_status st = FAR_E_NOMEM;
    put_set();
    put_gzip("images.gz", images, sizeof images);
    put_npy("i.npy", "<f4", "(2, 2, 2)", f32, sizeof f32);
    put_npy("l.npy", "<i4", "(2,)", i32, sizeof i32);
    for (int64_t nth = 0; st == FAR_E_NOMEM && nth < 500; nth++) {
        far_dataset *idx = NULL, *npy = NULL, *synthetic = NULL;
        int64_t kept[3], held[3];
        double mean[1], deviation[1];
        const far_synthetic_opts opts = { 0 };
        fari_alloc_fail_after(nth);
        st = far_dataset_open_idx(test_path("images.gz"), test_path("labels"), 0, &idx);
        if (st == FAR_OK) st = far_dataset_moments(idx, NULL, 3, mean, deviation);
        if (st == FAR_OK) st = far_dataset_open_npy(test_path("i.npy"), test_path("l.npy"), false, 0, &npy);
        if (st == FAR_OK) st = far_dataset_open_synthetic(&opts, &synthetic);
        if (st == FAR_OK) st = far_sample_split(3, 1, 5, kept, held);
        fari_alloc_fail_after(-1);
        far_dataset_close(idx);
        far_dataset_close(npy);
        far_dataset_close(synthetic);
        FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
    }
    FAR_CHECK_OK(st);
}

FAR_TEST(fashion_mnist)
{
    char path[600];
    const char *data = getenv("FAR_SHARED_DATA");
    (void)snprintf(path, sizeof path, "%s/fashion-mnist", data != NULL ? data : FAR_TEST_SOURCE_DIR "/../shared/data");
    if (!fari_path_is_folder(path)) FAR_SKIP("no shared data (FAR_SHARED_DATA)");
    far_dataset *set = NULL;
    double mean[1], deviation[1];
    int64_t per_class[10] = { 0 };
    FAR_CHECK_OK(far_dataset_open_folder(path, FAR_DATA_AUTO, FAR_DATA_TRAIN, false, 0, &set));
    const far_dataset_info info = far_dataset_info_of(set);
    FAR_CHECK(info.sample_count == 60000 && info.height == 28 && info.width == 28 && info.class_count == 10);
    for (int64_t i = 0; i < info.sample_count; i++) {
        float image[28 * 28];
        int32_t label = -1;
        FAR_CHECK_OK(far_dataset_read(set, i, image, &label));
        per_class[label]++;
    }
    for (int c = 0; c < 10; c++) FAR_CHECK_EQ_I64(per_class[c], 6000);
    FAR_CHECK_OK(far_dataset_moments(set, NULL, 60000, mean, deviation));
    FAR_CHECK_NEAR(mean[0], 0.2860, 5e-5); /* the published figures */
    FAR_CHECK_NEAR(deviation[0], 0.3530, 5e-5);
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_folder(path, FAR_DATA_AUTO, FAR_DATA_TEST, false, 0, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).sample_count, 10000);
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}
