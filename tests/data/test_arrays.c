/* Arrays of all kinds of files: every type and byte order, rows and label maps, .npz packed and not, HDF5 in chunks; and what is wrong with files.
   test_arrays_numpy.py has files that NumPy and h5py wrote. */
#include "base/file.h"
#include "base/mem.h"
#include "data/array.h"
#include "data/dataset.h"
#include "support/temp_folder.h"
#include "test.h"
#include <farandole/data.h>
#include <hdf5.h>
#include <inttypes.h>
#include <malloc.h>
#include <zlib.h>

static const char *put(const char *name, const void *data, size_t bytes)
{
    const char *path = test_path(name);
    FILE *file = fopen(path, "wb"); /* not synced: there are hundreds */
    FAR_CHECK(file != NULL && fwrite(data, 1, bytes, file) == bytes && fclose(file) == 0);
    return path;
}

static void put_text(const char *name, const char *text)
{
    (void)put(name, text, strlen(text));
}

/* --- raw bytes --- */

FAR_TEST(raw_types_and_byte_orders)
{
    static const struct {
        const char *type;
        uint8_t bytes[16]; /* two elements, little-endian */
        int size;
        double first, second;
    } cases[] = {
        { "uint8", { 7, 255 }, 1, 7, 255 },
        { "int8", { 7, 255 }, 1, 7, -1 },
        { "uint16", { 1, 2, 255, 255 }, 2, 513, 65535 },
        { "int16", { 1, 2, 255, 255 }, 2, 513, -1 },
        { "uint32", { 1, 0, 0, 1, 255, 255, 255, 255 }, 4, 16777217, 4294967295.0 },
        { "int32", { 1, 0, 0, 1, 255, 255, 255, 255 }, 4, 16777217, -1 },
        { "int64", { 1, 0, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255 }, 8, 4294967297.0, -1 },
        { "float32", { 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0 }, 4, 1, -2 },
        { "float64", { 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0 }, 8, 1, -2 },
        { "bool", { 0, 1 }, 1, 0, 1 },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++)
        for (int is_big = 0; is_big < 2; is_big++) {
            uint8_t file[3 + 16] = { 9, 9, 9 };
            char description[200], elems[16];
            fari_array array;
            const int size = cases[i].size;
            for (int e = 0; e < 2; e++)
                for (int b = 0; b < size; b++)
                    file[3 + e * size + b] = cases[i].bytes[e * size + (is_big ? size - 1 - b : b)];
            (void)put("x.raw", file, 3 + 2 * (size_t)size);
            (void)snprintf(description, sizeof description,
                           "{\"shape\": [1, 2], \"type\": \"%s\", \"byte_order\": \"%s\", \"offset\": 3}",
                           cases[i].type, is_big ? "big" : "little");
            put_text("x.raw.json", description);
            FAR_CHECK_OK(fari_array_open(test_path("x.raw"), "", &array));
            FAR_CHECK_OK(fari_array_read(&array, 0, 2, elems));
            FAR_CHECK(fari_array_element(array.npy.type, elems) == cases[i].first);
            FAR_CHECK(fari_array_element(array.npy.type, elems + size) == cases[i].second);
            fari_array_close(&array);
        }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(raw_descriptions_that_are_wrong)
{
    static const struct {
        const char *text, *why;
        far_status status;
    } cases[] = {
        { "{\"shape\": [2, 3], \"type\": \"uint16\"}", "12 of data begin at byte 0: the file is cut short",
          FAR_E_FORMAT },
        { "{\"shape\": [2, 3], \"type\": \"uint8\", \"offset\": 5}", "6 of data begin at byte 5", FAR_E_FORMAT },
        { "{\"shape\": [2, 0], \"type\": \"uint8\"}", "whole numbers from 1 on", FAR_E_FORMAT },
        { "{\"shape\": [2, 2.5], \"type\": \"uint8\"}", "whole numbers from 1 on", FAR_E_FORMAT },
        { "{\"shape\": [1,1,1,1,1,1], \"type\": \"uint8\"}", "has 6 numbers", FAR_E_FORMAT },
        { "{\"shape\": [9223372036854775807, 9], \"type\": \"uint8\"}", "more elements than any file", FAR_E_FORMAT },
        { "{\"shape\": [2], \"type\": \"u2\"}", "\"u2\"; read are uint8", FAR_E_UNSUPPORTED },
        { "{\"shape\": [2], \"type\": \"uint8\", \"order\": \"big\"}", "unknown key \"order\"", FAR_E_FORMAT },
        { "{\"shape\": [2], \"type\": \"uint8\", \"byte_order\": \"middle\"}", "little or big", FAR_E_FORMAT },
        { "{\"shape\": [2], \"type\": \"uint8\", \"offset\": -1}", "below 0", FAR_E_FORMAT },
        { "{\"type\": \"uint8\"}", "shape", FAR_E_FORMAT },
        { "[1]", "expected an object", FAR_E_FORMAT },
        { "{", "x.raw.json", FAR_E_FORMAT },
    };
    fari_array array;
    (void)put("x.raw", "0123456789", 10);
    FAR_CHECK_STATUS(fari_array_open(test_path("x.raw"), "", &array), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "write one, as {\"shape\"");
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        put_text("x.raw.json", cases[i].text);
        FAR_CHECK_STATUS(fari_array_open(test_path("x.raw"), "", &array), cases[i].status);
        FAR_CHECK_HAS(far_error_message(), cases[i].why);
        FAR_CHECK_HAS(far_error_message(), "x.raw");
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* --- sets --- */

enum { N = 3, H = 11, W = 13, C = 2 };

/* u16 images [N, H, W, C] and u8 maps [N, H, W]. */
static uint16_t pixels[N * H * W * C];
static uint8_t maps[N * H * W];

static void fill(void)
{
    for (int64_t i = 0; i < (int64_t)FAR_COUNT(pixels); i++) pixels[i] = (uint16_t)(i * 2654435761U >> 7);
    for (int64_t i = 0; i < (int64_t)FAR_COUNT(maps); i++) maps[i] = (uint8_t)(i * 7 % 5);
}

/* Samples whole and in windows of rows, in order and against it. */
static void check_set(far_dataset *set)
{
    static float image[H * W * C], rows[H * W * C];
    static int32_t labels[H * W], label_rows[H * W];
    const far_dataset_info info = far_dataset_info_of(set);
    FAR_CHECK(info.sample_count == N && info.height == H && info.width == W && info.channels == C);
    FAR_CHECK(info.class_count == 5 && info.label == FAR_LABEL_MAP && !info.is_integer);
    for (int64_t n = N; n-- > 0;) {
        FAR_CHECK_OK(far_dataset_read(set, n, image, labels));
        for (int64_t i = 0; i < H * W * C; i++) FAR_CHECK(image[i] == (float)pixels[n * H * W * C + i]);
        for (int64_t i = 0; i < H * W; i++) FAR_CHECK_EQ_I64(labels[i], maps[n * H * W + i]);
        for (int64_t row = 0; row + 3 <= H; row += 2) {
            const far_region r = { row, 0, 3, W, 3, W };
            FAR_CHECK_OK(far_dataset_read_region(set, n, &r, rows, label_rows));
            FAR_CHECK(memcmp(rows, image + row * W * C, sizeof(float) * 3 * W * C) == 0);
            FAR_CHECK(memcmp(label_rows, labels + row * W, sizeof(int32_t) * 3 * W) == 0);
        }
    }
}

static void put_images(const char *name)
{
    char beside[64];
    (void)put(name, pixels, sizeof pixels);
    (void)snprintf(beside, sizeof beside, "%s.json", name);
    put_text(beside, "{\"shape\": [3, 11, 13, 2], \"type\": \"uint16\"}");
}

static far_dataset *open_raw(void)
{
    far_dataset *set = NULL;
    fill();
    put_images("train-images.raw");
    (void)put("train-labels.raw", maps, sizeof maps);
    put_text("train-labels.raw.json", "{\"shape\": [3, 11, 13], \"type\": \"uint8\"}");
    FAR_CHECK_OK(far_dataset_open_folder(test_path(""), FAR_DATA_AUTO, FAR_DATA_TRAIN, false, 0, &set));
    return set;
}

FAR_TEST(raw_sets)
{
    far_dataset *set = open_raw();
    check_set(set);
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* As of images that may not fit into memory; here few elements count as many. */
FAR_TEST(large_images_are_counted_in_windows)
{
    double mean[2][C], deviation[2][C];
    int64_t counts[2][5], among[2][5];
    far_dataset *set = open_raw();
    for (int i = 0; i < 2; i++) {
        set->window_elems = i == 0 ? 0 : 4 * W * C;
        FAR_CHECK_EQ_I64(fari_dataset_window_rows(set, 1), i == 0 ? H : 4);
        FAR_CHECK_EQ_I64(fari_dataset_window_rows(set, 8), i == 0 ? H : 8); /* whole blocks, be they more */
        FAR_CHECK_OK(far_dataset_moments(set, NULL, N, mean[i], deviation[i]));
        FAR_CHECK_OK(far_dataset_count_labels(set, NULL, N, counts[i], among[i]));
    }
    for (int c = 0; c < C; c++) {
        FAR_CHECK_NEAR(mean[1][c], mean[0][c], 1e-9);
        FAR_CHECK_NEAR(deviation[1][c], deviation[0][c], 1e-9);
    }
    FAR_CHECK(memcmp(counts[0], counts[1], sizeof counts[0]) == 0 && memcmp(among[0], among[1], sizeof among[0]) == 0);
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* --- .npz --- */

typedef struct zip {
    uint8_t data[1 << 22], directory[1024];
    size_t bytes, directory_bytes;
    int count;
} zip;

static void put_number(uint8_t *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> (8 * i));
}

static size_t npy_of(const char *descr, const char *shape, const void *data, size_t bytes, uint8_t *out)
{
    memcpy(out, "\x93NUMPY\x01\x00\x76\x00", 10);
    memset(out + 10, ' ', 118);
    const int used =
        snprintf((char *)out + 10, 118, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape);
    out[10 + used] = ' ';
    out[127] = '\n';
    memcpy(out + 128, data, bytes);
    return 128 + bytes;
}

/* large: sizes in the extra field, as of archives beyond 4 GiB. */
static void zip_add(zip *z, const char *name, const uint8_t *data, size_t bytes, bool is_packed, bool is_large)
{
    static uint8_t packed[1 << 22];
    const size_t name_length = strlen(name);
    uint8_t *head = z->data + z->bytes, *entry = z->directory + z->directory_bytes;
    size_t packed_bytes = bytes;
    const uint8_t *from = data;
    if (is_packed) {
        z_stream s = { 0 };
        FAR_CHECK(deflateInit2(&s, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
        s.next_in = (Bytef *)(uintptr_t)data;
        s.avail_in = (uInt)bytes;
        s.next_out = packed;
        s.avail_out = sizeof packed;
        FAR_CHECK(deflate(&s, Z_FINISH) == Z_STREAM_END);
        packed_bytes = s.total_out;
        (void)deflateEnd(&s);
        from = packed;
    }
    memset(head, 0, 30);
    memcpy(head, "PK\3\4", 4);
    put_number(head + 26, name_length, 2);
    memcpy(head + 30, name, name_length);
    memcpy(head + 30 + name_length, from, packed_bytes);
    memset(entry, 0, 46);
    memcpy(entry, "PK\1\2", 4);
    put_number(entry + 10, is_packed ? 8 : 0, 2);
    put_number(entry + 16, crc32(0, data, (uInt)bytes), 4);
    put_number(entry + 20, is_large ? UINT32_MAX : packed_bytes, 4);
    put_number(entry + 24, is_large ? UINT32_MAX : bytes, 4);
    put_number(entry + 28, name_length, 2);
    put_number(entry + 30, is_large ? 20 : 0, 2);
    put_number(entry + 42, z->bytes, 4);
    memcpy(entry + 46, name, name_length);
    if (is_large) {
        uint8_t *extra = entry + 46 + name_length;
        put_number(extra, 1, 2);
        put_number(extra + 2, 16, 2);
        put_number(extra + 4, bytes, 8);
        put_number(extra + 12, packed_bytes, 8);
    }
    z->bytes += 30 + name_length + packed_bytes;
    z->directory_bytes += 46 + name_length + (is_large ? 20 : 0);
    z->count++;
}

static void zip_end(zip *z)
{
    uint8_t *end = z->data + z->bytes + z->directory_bytes;
    memcpy(z->data + z->bytes, z->directory, z->directory_bytes);
    memset(end, 0, 22);
    memcpy(end, "PK\5\6", 4);
    put_number(end + 8, (uint64_t)z->count, 2);
    put_number(end + 10, (uint64_t)z->count, 2);
    put_number(end + 12, z->directory_bytes, 4);
    put_number(end + 16, z->bytes, 4);
    z->bytes += z->directory_bytes + 22;
}

static void put_npz(const char *name, bool is_packed, bool is_large)
{
    static uint8_t npy[1 << 13];
    static zip z;
    z = (zip){ 0 };
    fill();
    zip_add(&z, "images.npy", npy, npy_of("<u2", "3, 11, 13, 2", pixels, sizeof pixels, npy), is_packed, is_large);
    zip_add(&z, "note.txt", (const uint8_t *)"hello", 5, false, false);
    zip_add(&z, "labels.npy", npy, npy_of("|u1", "3, 11, 13", maps, sizeof maps, npy), is_packed, is_large);
    zip_end(&z);
    (void)put(name, z.data, z.bytes);
}

FAR_TEST(npz_packed_and_not)
{
    for (int i = 0; i < 4; i++) {
        far_dataset *set = NULL;
        put_npz("train.npz", (i & 1) != 0, (i & 2) != 0);
        FAR_CHECK_OK(far_dataset_open_folder(test_path(""), FAR_DATA_AUTO, FAR_DATA_TRAIN, false, 0, &set));
        check_set(set);
        far_dataset_close(set);
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* ---- a packed array of several marks ---- */

enum { TALL = 3000, BROAD = 4000, BAND = 90 };

static uint8_t tall_value(int64_t y, int64_t x)
{
    return (uint8_t)((y * 37 + x / 3 + y * x / 50) % 97 % 13);
}

static void put_tall_npz(const char *name)
{
    static zip z;
    uint8_t *data = malloc((size_t)TALL * BROAD), *npy = malloc((size_t)TALL * BROAD + 128);
    FAR_CHECK(data != NULL && npy != NULL);
    for (int64_t i = 0; i < (int64_t)TALL * BROAD; i++) data[i] = tall_value(i / BROAD, i % BROAD);
    z = (zip){ 0 };
    zip_add(&z, "images.npy", npy, npy_of("|u1", "3000, 4000", data, (size_t)TALL * BROAD, npy), true, false);
    zip_end(&z);
    (void)put(name, z.data, z.bytes);
    free(data);
    free(npy);
}

static void check_band(const fari_array *array, int64_t row)
{
    static uint8_t got[BAND * BROAD];
    const int64_t rows = row + BAND < TALL ? BAND : TALL - row;
    for (int64_t at = 0; at < rows * BROAD; at += 2048) { /* as data sets read */
        const int64_t left = rows * BROAD - at;
        FAR_CHECK_OK(fari_array_read(array, row * BROAD + at, left < 2048 ? left : 2048, got + at));
    }
    for (int64_t i = 0; i < rows * BROAD; i++) FAR_CHECK_EQ_I64(got[i], tall_value(row + i / BROAD, i % BROAD));
}

/* Bands from the bottom to the top, as a backward pass wants them, take little more than those from the top. */
FAR_TEST(npz_packed_backwards)
{
    const int64_t bytes = (int64_t)TALL * BROAD;
    fari_array array;
    put_tall_npz("tall.npz");
    FAR_CHECK_OK(fari_array_open(test_path("tall.npz"), "images", &array));
    for (int64_t row = 0; row < TALL; row += BAND) check_band(&array, row);
    const int64_t once = fari_array_unpacked(&array);
    FAR_CHECK(once >= bytes && once < bytes + bytes / 10);
    for (int64_t row = (TALL - 1) / BAND * BAND; row >= 0; row -= BAND) check_band(&array, row);
    FAR_CHECK(fari_array_unpacked(&array) - once < 5 * bytes); /* from the beginning each time: 17 times */
    const int64_t twice = fari_array_unpacked(&array);
    check_band(&array, TALL - BAND); /* far ahead, where it has been before */
    FAR_CHECK(fari_array_unpacked(&array) - twice < bytes / 4);
    fari_array_close(&array);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(npz_names)
{
    far_dataset *set = NULL;
    put_npz("a.npz", true, false);
    FAR_CHECK_STATUS(
        far_dataset_open_arrays(&(far_arrays_opts){ .images_path = test_path("a.npz"), .images_name = "x" }, &set),
        FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "has no array x; it has images, labels");
    FAR_CHECK_OK(far_dataset_open_arrays(&(far_arrays_opts){ .images_path = test_path("a.npz") }, &set));
    FAR_CHECK(far_dataset_info_of(set).label == FAR_LABEL_NONE);
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_arrays(
        &(far_arrays_opts){ .images_path = test_path("a.npz"), .labels_path = test_path("a.npz"), .class_count = 9 },
        &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).class_count, 9);
    far_dataset_close(set);
}

/* Every byte: either all is as it was, or an error names the file. */
FAR_TEST(npz_damage_is_named)
{
    static float image[H * W * C];
    char *data = NULL;
    size_t bytes = 0;
    int unnoticed = 0;
    put_npz("good.npz", true, false);
    FAR_CHECK_OK(fari_file_read(test_path("good.npz"), 1 << 20, &data, &bytes));
    for (size_t i = 0; i < 2 * bytes; i += 3) {
        far_dataset *set = NULL;
        const far_arrays_opts opts = { .images_path = test_path("bad.npz"), .class_count = 5 };
        char *copy = malloc(bytes);
        memcpy(copy, data, bytes);
        if (i < bytes) copy[i] ^= 0x10;
        (void)put("bad.npz", copy, i < bytes ? bytes : i - bytes);
        far_status st = far_dataset_open_arrays(&opts, &set);
        int wrong = 0; /* what comes before the damage shows at its end, with the checksum */
        for (int64_t n = 0; n < N && st == FAR_OK; n++) {
            st = far_dataset_read(set, n, image, NULL);
            for (int64_t k = 0; k < H * W * C && st == FAR_OK; k++)
                wrong += image[k] != (float)pixels[n * H * W * C + k];
        }
        if (st == FAR_OK) unnoticed += wrong;
        if (st != FAR_OK) FAR_CHECK_HAS(far_error_message(), "bad.npz");
        far_dataset_close(set);
        free(copy);
    }
    FAR_CHECK_EQ_I64(unnoticed, 0);
    fari_free(data);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* --- HDF5 --- */

static void h5_put(hid_t file, const char *name, hid_t type, int ndim, const hsize_t *dim, const hsize_t *chunk,
                   const void *data)
{
    const hid_t space = H5Screate_simple(ndim, dim, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
    if (chunk != NULL) (void)H5Pset_chunk(list, ndim, chunk);
    if (chunk != NULL) (void)H5Pset_deflate(list, 1);
    const hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    FAR_CHECK(set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    (void)H5Dclose(set);
    (void)H5Pclose(list);
    (void)H5Sclose(space);
}

static void put_h5(const char *name, const hsize_t *chunk, const hsize_t *map_chunk)
{
    const hsize_t dim[] = { N, H, W, C };
    fill();
    const hid_t file = H5Fcreate(test_path(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    h5_put(file, "images", H5T_NATIVE_UINT16, 4, dim, chunk, pixels);
    h5_put(file, "labels", H5T_NATIVE_UINT8, 3, dim, map_chunk, maps);
    (void)H5Fclose(file);
}

FAR_TEST(hdf5_in_chunks_and_not)
{
    static const hsize_t chunks[][4] = { { 1, 4, 5, 2 }, { 3, 11, 13, 2 }, { 2, 3, 13, 1 }, { 1, 1, 1, 1 } };
    far_dataset *set = NULL;
    for (size_t i = 0; i <= FAR_COUNT(chunks); i++) {
        put_h5("train.h5", i < FAR_COUNT(chunks) ? chunks[i] : NULL, i < FAR_COUNT(chunks) ? chunks[i] : NULL);
        FAR_CHECK_OK(far_dataset_open_folder(test_path(""), FAR_DATA_AUTO, FAR_DATA_TRAIN, false, 0, &set));
        check_set(set);
        far_dataset_close(set);
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* [N, C, H, W], and one image alone, [H, W]. */
FAR_TEST(hdf5_shapes)
{
    static uint16_t first[N * C * H * W];
    static float image[H * W * C];
    static int32_t labels[H * W];
    const hsize_t dim[] = { N, C, H, W }, chunk[] = { 1, 1, 4, 4 }, flat[] = { H, W };
    far_dataset *set = NULL;
    fill();
    for (int64_t i = 0; i < N * C * H * W; i++) {
        const int64_t n = i / (C * H * W), c = i / (H * W) % C, p = i % (H * W);
        first[i] = pixels[(n * H * W + p) * C + c];
    }
    const hid_t file = H5Fcreate(test_path("a.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    (void)H5Gclose(H5Gcreate2(file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    h5_put(file, "g/x", H5T_NATIVE_UINT16, 4, dim, chunk, first);
    h5_put(file, "one", H5T_NATIVE_UINT16, 2, flat, NULL, pixels);
    h5_put(file, "map", H5T_NATIVE_UINT8, 2, flat, NULL, maps);
    (void)H5Fclose(file);
    fari_array array; /* runs that begin and end anywhere */
    uint16_t run[500];
    FAR_CHECK_OK(fari_array_open(test_path("a.h5"), "g/x", &array));
    for (int64_t from = 0; from < 380; from += 17) {
        FAR_CHECK_OK(fari_array_read(&array, from, from + 90, run));
        FAR_CHECK(memcmp(run, first + from, (size_t)(from + 90) * sizeof *run) == 0);
    }
    fari_array_close(&array);
    const far_arrays_opts opts = { .images_path = test_path("a.h5"), .images_name = "g/x", .channels_first = true };
    FAR_CHECK_OK(far_dataset_open_arrays(&opts, &set));
    FAR_CHECK_OK(far_dataset_read(set, 1, image, NULL));
    for (int64_t i = 0; i < H * W * C; i++) FAR_CHECK(image[i] == (float)pixels[H * W * C + i]);
    far_dataset_close(set);
    const far_arrays_opts one = { .images_path = test_path("a.h5"), .images_name = "one", .labels_name = "map" };
    FAR_CHECK_OK(far_dataset_open_arrays(&one, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).sample_count, 1);
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).height, H);
    FAR_CHECK_OK(far_dataset_read(set, 0, image, labels));
    FAR_CHECK(image[17] == (float)pixels[17] && labels[17] == maps[17]);
    far_dataset_close(set);
    FAR_CHECK_STATUS(far_dataset_open_arrays(&(far_arrays_opts){ .images_path = test_path("a.h5") }, &set),
                     FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "has no array /images; at its top it has g, map, one");
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* Chunks of which only some rows were read go like others. */
FAR_TEST(hdf5_keeps_as_many_chunks_as_it_says)
{
    enum { SIDE = 512, BLOCK = 256, COUNT = 24 };
    static uint8_t images[COUNT * SIDE * SIDE], row[SIDE];
    const hsize_t dim[] = { COUNT, SIDE, SIDE }, chunk[] = { 1, BLOCK, SIDE };
    fari_array array;
    const hid_t file = H5Fcreate(test_path("a.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    h5_put(file, "images", H5T_NATIVE_UINT8, 3, dim, chunk, images);
    (void)H5Fclose(file);
    FAR_CHECK_OK(fari_array_open(test_path("a.h5"), "images", &array));
    FAR_CHECK_EQ_I64(array.bytes, BLOCK * SIDE);
    const struct mallinfo2 before = mallinfo2();
    for (int64_t y = 0; y < COUNT * SIDE; y += BLOCK) FAR_CHECK_OK(fari_array_read(&array, y * SIDE, SIDE, row));
    const struct mallinfo2 after = mallinfo2();
    const int64_t held = (int64_t)(after.uordblks + after.hblkhd) - (int64_t)(before.uordblks + before.hblkhd);
    FAR_CHECK_MSG(held < 4 * array.bytes, "%" PRId64 " bytes are held, not %" PRId64, held, array.bytes);
    fari_array_close(&array);
}

/* A fuzzer found that the library takes memory for whatever size the index names. */
FAR_TEST(hdf5_chunks_larger_than_the_file)
{
    const hsize_t chunk[] = { 1, 4, 5, 2 };
    const uint32_t wrong = 0x7FFFFFFF;
    static uint16_t out[N * H * W * C];
    char *data = NULL;
    size_t bytes = 0;
    fari_array array;
    put_h5("a.h5", chunk, NULL);
    FAR_CHECK_OK(fari_file_read(test_path("a.h5"), 1 << 20, &data, &bytes));
    char *index = memmem(data, bytes, "TREE\1", 5); /* of chunks; its first key begins with the first's stored size */
    FAR_CHECK(index != NULL);
    memcpy(index + 24, &wrong, sizeof wrong);
    (void)put("a.h5", data, bytes);
    fari_free(data);
    FAR_CHECK_OK(fari_array_open(test_path("a.h5"), "images", &array));
    FAR_CHECK_STATUS(fari_array_read(&array, 0, N * H * W * C, out), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "a.h5: images has a chunk that claims to be stored in 2147483647 bytes");
    FAR_CHECK_OK(fari_array_read(&array, 4 * W * C, W * C, out));
    fari_array_close(&array);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* The library would read on behind what it has unpacked: where it does so is a process apart. */
FAR_TEST(hdf5_chunks_that_unpack_to_too_little)
{
    enum { ROWS = 2048, COLS = 4096 };
    static uint8_t whole[ROWS * COLS], packed[64];
    const hsize_t dim[] = { 2, ROWS, COLS }, chunk[] = { 1, ROWS, COLS }, at[][3] = { { 0, 0, 0 }, { 1, 0, 0 } };
    uLongf bytes = sizeof packed;
    fari_array array;
    FAR_CHECK(compress(packed, &bytes, whole, 24) == Z_OK);
    const hid_t file = H5Fcreate(test_path("a.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(3, dim, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
    FAR_CHECK(H5Pset_chunk(list, 3, chunk) >= 0 && H5Pset_deflate(list, 1) >= 0);
    const hid_t set = H5Dcreate2(file, "images", H5T_STD_U8LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    FAR_CHECK(H5Dwrite_chunk(set, H5P_DEFAULT, 0, at[0], bytes, packed) >= 0);
    FAR_CHECK(H5Dwrite_chunk(set, H5P_DEFAULT, 1, at[1], sizeof whole, whole) >= 0); /* not packed */
    (void)H5Dclose(set);
    (void)H5Fclose(file);
    FAR_CHECK_STATUS(fari_array_open(test_path("a.h5"), "images", &array), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "a.h5: damaged: the HDF5 library");
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* What a damaged extent leads to: rows that seconds go into. */
FAR_TEST(hdf5_chunks_larger_than_all)
{
    const hsize_t dim[] = { 2, 9, 600 }, most[] = { H5S_UNLIMITED, 9, 600 }, chunk[] = { 1 << 20, 4, 3 };
    fari_array array;
    static uint8_t all[2 * 9 * 600];
    const hid_t file = H5Fcreate(test_path("a.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(3, dim, most), list = H5Pcreate(H5P_DATASET_CREATE);
    FAR_CHECK(H5Pset_chunk(list, 3, chunk) >= 0 && H5Pset_deflate(list, 1) >= 0);
    const hid_t set = H5Dcreate2(file, "images", H5T_STD_U8LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    const hsize_t start[] = { 0, 0, 0 }, extent[] = { 1, 1, 3 };
    FAR_CHECK(H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, extent, NULL) >= 0);
    FAR_CHECK(H5Dwrite(set, H5T_STD_U8LE, space, space, H5P_DEFAULT, all) >= 0);
    (void)H5Dclose(set);
    (void)H5Fclose(file);
    FAR_CHECK_STATUS(fari_array_open(test_path("a.h5"), "images", &array), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "a.h5: images has chunks far larger than what it holds");
}

/* A bit of every so many bytes, and as many places where the file is cut. */
static void damage_hdf5(size_t stride)
{
    static float image[H * W * C];
    const hsize_t chunk[] = { 1, 4, 5, 2 };
    char *data = NULL;
    size_t bytes = 0;
    put_h5("good.h5", chunk, chunk);
    FAR_CHECK_OK(fari_file_read(test_path("good.h5"), 1 << 20, &data, &bytes));
    for (size_t i = 0; i < 2 * bytes; i += stride) {
        far_dataset *set = NULL;
        char *copy = malloc(bytes);
        const far_arrays_opts opts = { .images_path = test_path("bad.h5"), .labels_name = "labels", .class_count = 5 };
        memcpy(copy, data, bytes);
        if (i < bytes) copy[i] = (char)(copy[i] ^ (1 << i % 8));
        (void)put("bad.h5", copy, i < bytes ? bytes : i - bytes);
        far_status st = far_dataset_open_arrays(&opts, &set);
        /* a shape that is damaged, yet a shape, is another picture */
        const far_dataset_info info = st == FAR_OK ? far_dataset_info_of(set) : (far_dataset_info){ 0 };
        const bool is_same = info.height == H && info.width == W && info.channels == C;
        for (int64_t n = 0; n < info.sample_count && n < N && st == FAR_OK && is_same; n++)
            st = far_dataset_read(set, n, image, NULL);
        if (st != FAR_OK) FAR_CHECK_HAS(far_error_message(), "bad.h5");
        far_dataset_close(set);
        free(copy);
    }
    fari_free(data);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(hdf5_damage_is_named)
{
    damage_hdf5(41);
}

FAR_TEST_TORTURE(hdf5_damage_anywhere_is_named)
{
    damage_hdf5(1);
}

/* --- memory --- */

FAR_TEST(each_allocation_may_fail)
{
    static const char *const names[] = { "a.npz", "a.h5", "a.raw" };
    const hsize_t chunk[] = { 1, 4, 5, 2 };
    put_npz("a.npz", true, false);
    put_h5("a.h5", chunk, chunk);
    put_images("a.raw");
    for (size_t i = 0; i < FAR_COUNT(names); i++) {
        far_status st = FAR_E_NOMEM;
        for (int64_t nth = 0; st != FAR_OK; nth++) {
            far_dataset *set = NULL;
            fari_alloc_fail_after(nth);
            st = far_dataset_open_arrays(&(far_arrays_opts){ .images_path = test_path(names[i]) }, &set);
            fari_alloc_fail_after(-1);
            far_dataset_close(set);
            if (st != FAR_OK) FAR_CHECK_EQ_I64(st, FAR_E_NOMEM);
            FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
        }
    }
}

/* Of test_arrays_numpy.py: FAR_ARRAY_FILE, whose images and labels go to FAR_ARRAY_FILE.raw as f32 and i32. */
FAR_TEST(dump)
{
    const char *path = getenv("FAR_ARRAY_FILE");
    char out[1024];
    far_dataset *set = NULL;
    if (path == NULL) FAR_SKIP("FAR_ARRAY_FILE names no file; test_arrays_numpy.py does");
    const far_arrays_opts opts = { .images_path = path,
                                   .images_name = getenv("FAR_ARRAY_IMAGES"),
                                   .labels_name = getenv("FAR_ARRAY_LABELS"),
                                   .channels_first = getenv("FAR_ARRAY_CHANNELS_FIRST") != NULL };
    FAR_CHECK_OK(far_dataset_open_arrays(&opts, &set));
    const far_dataset_info info = far_dataset_info_of(set);
    const size_t pixels_of = (size_t)(info.height * info.width), elems = pixels_of * (size_t)info.channels;
    const size_t label_elems = info.label == FAR_LABEL_MAP ? pixels_of : info.label == FAR_LABEL_CLASS ? 1 : 0;
    float *image = malloc(elems * sizeof *image);
    int32_t *labels = malloc((pixels_of + 1) * sizeof *labels);
    (void)snprintf(out, sizeof out, "%s.raw", path);
    FILE *file = fopen(out, "wb");
    for (int64_t i = 0; i < info.sample_count; i++) {
        FAR_CHECK_OK(far_dataset_read(set, i, image, labels));
        FAR_CHECK(fwrite(image, sizeof *image, elems, file) == elems);
        FAR_CHECK(fwrite(labels, sizeof *labels, label_elems, file) == label_elems);
    }
    FAR_CHECK(fclose(file) == 0);
    free(image);
    free(labels);
    far_dataset_close(set);
}
