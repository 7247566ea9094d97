/* TIFF: every layout that is read, pixel for pixel; no tile decoded that is not needed; label maps; and what is wrong with files. */
#include "base/file.h"
#include "base/mem.h"
#include "data/picture.h"
#include "data/tiff_read.h"
#include "support/temp_folder.h"
#include "test.h"
#include <farandole/pictures.h>
#include <fcntl.h>
#include <unistd.h>

static far_status read_memory(const void *context, int64_t offset, void *out, size_t bytes)
{
    memcpy(out, (const char *)context + offset, bytes);
    return FAR_OK;
}

static far_status probe(const char *data, size_t bytes, fari_picture *picture_out)
{
    const fari_head_source source = { read_memory, data, (int64_t)bytes, "x.tif" };
    return fari_picture_probe(&source, picture_out);
}

#ifndef FARI_HAS_TIFF

FAR_TEST(built_without_libtiff)
{
    fari_picture picture;
    FAR_CHECK_STATUS(probe("II*\0\10\0\0\0", 8, &picture), FAR_E_UNSUPPORTED);
    FAR_CHECK_HAS(far_error_message(), "libtiff-dev");
    FAR_SKIP("built without libtiff");
}

#else
#include <tiffio.h>

/* --- files --- */

typedef struct kind {
    const char *name, *mode;                        /* b, l: byte order; 8: BigTIFF */
    int32_t height, width, tile_height, tile_width; /* tile_width 0: strips of tile_height rows */
    uint16_t stored, bits, format, compression, predictor;
    bool is_planar, is_inverted;
    int alpha; /* of the last sample: 0 none, 1 yes */
} kind;

enum { UINT = SAMPLEFORMAT_UINT, INT = SAMPLEFORMAT_INT, FP = SAMPLEFORMAT_IEEEFP };

static const kind kinds[] = {
    { "u8 tiles", "w", 100, 130, 32, 48, 1, 8, UINT, COMPRESSION_NONE, 1, false, false, 0 },
    { "u8 rgb tiles, lzw, big", "w8", 70, 90, 16, 32, 3, 8, UINT, COMPRESSION_LZW, 2, false, false, 0 },
    { "u8 rgb planes, deflate", "wb", 70, 90, 32, 16, 3, 8, UINT, COMPRESSION_ADOBE_DEFLATE, 1, true, false, 0 },
    { "u16 strips, packbits", "wl", 61, 45, 7, 0, 1, 16, UINT, COMPRESSION_PACKBITS, 1, false, false, 0 },
    { "u16 big-endian strips", "wb", 61, 45, 7, 0, 3, 16, UINT, COMPRESSION_NONE, 1, false, false, 0 },
    { "u16 rgba, transparency", "w", 40, 50, 16, 16, 4, 16, UINT, COMPRESSION_LZW, 2, false, false, 1 },
    { "u16 four channels, planes", "w8b", 40, 50, 9, 0, 4, 16, UINT, COMPRESSION_ADOBE_DEFLATE, 1, true, false, 0 },
    { "i16, one strip", "w", 33, 21, 33, 0, 1, 16, INT, COMPRESSION_LZW, 1, false, false, 0 },
    { "i8", "w", 33, 21, 5, 0, 1, 8, INT, COMPRESSION_NONE, 1, false, false, 0 },
    { "u32, two channels", "wb", 33, 21, 16, 16, 2, 32, UINT, COMPRESSION_NONE, 1, false, false, 0 },
    { "i32, planes in strips, big-endian", "w8b", 33, 21, 6, 0, 3, 32, INT, COMPRESSION_NONE, 1, true, false, 0 },
    { "f32 tiles, predictor 3", "w8", 50, 64, 16, 64, 1, 32, FP, COMPRESSION_ADOBE_DEFLATE, 3, false, false, 0 },
    { "f32 strips, big-endian", "wb", 50, 64, 11, 0, 2, 32, FP, COMPRESSION_NONE, 1, false, false, 0 },
    { "f64", "w", 20, 30, 4, 0, 1, 64, FP, COMPRESSION_LZW, 1, false, false, 0 },
    { "one bit, tiles", "w", 40, 53, 16, 32, 1, 1, UINT, COMPRESSION_PACKBITS, 1, false, false, 0 },
    { "one bit, strips", "w", 40, 53, 3, 0, 1, 1, UINT, COMPRESSION_NONE, 1, false, false, 0 },
    { "0 is white", "w", 20, 20, 20, 0, 1, 8, UINT, COMPRESSION_NONE, 1, false, true, 0 },
    { "0 is white, 16 bits", "wb", 20, 20, 16, 16, 1, 16, UINT, COMPRESSION_LZW, 1, false, true, 0 },
};

/* What is stored at a place. */
static double stored_value(const kind *k, int64_t y, int64_t x, int64_t c)
{
    const int64_t v = y * 7919 + x * 104729 + c * 1299709 + y * x % 251 * 65537;
    if (k->format == FP) return (double)(v % 100003) / 8.0 - 5000.0;
    if (k->bits == 1) return (double)(v / 3 % 2);
    if (k->bits == 32) return (double)(v % 2000000011) - (k->format == INT ? 1000000000.0 : 0.0);
    const int64_t span = INT64_C(1) << k->bits;
    return (double)(v % span) - (k->format == INT ? (double)(span / 2) : 0.0);
}

/* What is to be read. */
static float shown_value(const kind *k, int64_t y, int64_t x, int64_t c)
{
    const double v = stored_value(k, y, x, c);
    if (k->format != UINT || k->bits > 16) return (float)v;
    const float most = k->bits == 1 ? 1.0f : k->bits == 8 ? 255.0f : 65535.0f, value = (float)v;
    return (k->is_inverted ? most - value : value) / most;
}

static void put_sample(const kind *k, double v, uint8_t *to, int64_t at_sample)
{
    const int8_t i8 = (int8_t)v;
    const uint8_t u8 = k->bits == 8 && k->format == UINT ? (uint8_t)v : 0;
    const uint16_t u16 = k->bits == 16 ? (uint16_t)(int32_t)v : 0;
    const uint32_t u32 = k->bits == 32 && k->format != FP ? (uint32_t)(int64_t)v : 0;
    const float f32 = (float)v;
    if (k->bits == 1) to[at_sample / 8] |= (uint8_t)((v != 0.0) << (7 - at_sample % 8));
    if (k->bits == 8) memcpy(to + at_sample, k->format == INT ? (const void *)&i8 : &u8, 1);
    if (k->bits == 16) memcpy(to + 2 * at_sample, &u16, 2);
    if (k->bits == 32) memcpy(to + 4 * at_sample, k->format == FP ? (const void *)&f32 : &u32, 4);
    if (k->bits == 64) memcpy(to + 8 * at_sample, &v, 8);
}

static void set_tags(TIFF *tiff, const kind *k)
{
    (void)TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, k->height);
    (void)TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, k->width);
    (void)TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, k->stored);
    (void)TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, k->bits);
    (void)TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, k->format);
    (void)TIFFSetField(tiff, TIFFTAG_COMPRESSION, k->compression);
    (void)TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, k->is_planar ? PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG);
    (void)TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC,
                       k->is_inverted   ? PHOTOMETRIC_MINISWHITE
                       : k->stored >= 3 ? PHOTOMETRIC_RGB
                                        : PHOTOMETRIC_MINISBLACK);
    if (k->predictor > 1) (void)TIFFSetField(tiff, TIFFTAG_PREDICTOR, k->predictor);
    const uint16_t extra = k->alpha != 0 ? EXTRASAMPLE_UNASSALPHA : EXTRASAMPLE_UNSPECIFIED;
    if (k->stored == 2 || k->stored == 4) (void)TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &extra);
    if (k->tile_width > 0) {
        (void)TIFFSetField(tiff, TIFFTAG_TILELENGTH, k->tile_height);
        (void)TIFFSetField(tiff, TIFFTAG_TILEWIDTH, k->tile_width);
    } else {
        (void)TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, k->tile_height);
    }
}

/* Samples of rows and columns from (top, left) on, of plane `plane` or all, as libtiff takes them. */
static void fill(const kind *k, int64_t top, int64_t left, int64_t rows, int64_t columns, int64_t plane,
                 size_t row_bytes, uint8_t *out)
{
    memset(out, 0, row_bytes * (size_t)rows);
    for (int64_t y = 0; y < rows; y++)
        for (int64_t x = 0; x < columns; x++)
            for (int64_t c = 0; c < (k->is_planar ? 1 : k->stored); c++)
                put_sample(k, stored_value(k, top + y, left + x, k->is_planar ? plane : c), out + (size_t)y * row_bytes,
                           x * (k->is_planar ? 1 : k->stored) + c);
}

static void write_tiff(const char *path, const kind *k)
{
    TIFF *tiff = TIFFOpen(path, k->mode);
    FAR_CHECK(tiff != NULL);
    set_tags(tiff, k);
    const int64_t planes = k->is_planar ? k->stored : 1;
    const bool is_tiled = k->tile_width > 0;
    const tmsize_t bytes = is_tiled ? TIFFTileSize(tiff) : TIFFStripSize(tiff);
    const size_t row = (size_t)(is_tiled ? TIFFTileRowSize(tiff) : TIFFScanlineSize(tiff));
    uint8_t *block = malloc((size_t)bytes);
    for (int64_t p = 0; p < planes; p++)
        for (int32_t y = 0; y < k->height; y += k->tile_height)
            for (int32_t x = 0; x < k->width; x += is_tiled ? k->tile_width : k->width) {
                const int32_t rows = !is_tiled && y + k->tile_height > k->height ? k->height - y : k->tile_height;
                fill(k, y, x, rows, is_tiled ? k->tile_width : k->width, p, row, block);
                const tmsize_t size = (tmsize_t)(row * (size_t)rows);
                const tmsize_t put =
                    is_tiled
                        ? TIFFWriteEncodedTile(tiff, TIFFComputeTile(tiff, (uint32_t)x, (uint32_t)y, 0, (uint16_t)p),
                                               block, size)
                        : TIFFWriteEncodedStrip(tiff, TIFFComputeStrip(tiff, (uint32_t)y, (uint16_t)p), block, size);
                FAR_CHECK_EQ_I64(put, size);
            }
    free(block);
    TIFFClose(tiff);
}

/* --- reading --- */

typedef struct opened {
    char *data;
    fari_picture_file file;
} opened;

static opened open_tiff(const char *path)
{
    opened o = { .file = { .label = "x.tif" } };
    FAR_CHECK_OK(fari_file_read(path, 1 << 24, &o.data, &o.file.bytes));
    o.file.data = (const uint8_t *)o.data;
    FAR_CHECK_OK(probe(o.data, o.file.bytes, &o.file.picture));
    return o;
}

static void check_region(const kind *k, fari_decoder *decoder, const fari_picture_file *file, const far_region *r)
{
    const int32_t channels = file->picture.channels;
    float *out = malloc((size_t)(r->height * r->width * channels) * sizeof *out);
    FAR_CHECK_OK(fari_decode_region(decoder, file, r, channels, out));
    for (int64_t y = 0; y < r->height; y++)
        for (int64_t x = 0; x < r->width; x++)
            for (int64_t c = 0; c < channels; c++) {
                const float got = out[(y * r->width + x) * channels + c], want = shown_value(k, r->y + y, r->x + x, c);
                FAR_CHECK_MSG(got == want, "%s: %.9g at (%" PRId64 ", %" PRId64 ", %" PRId64 "), not %.9g", k->name,
                              (double)got, r->y + y, r->x + x, c, (double)want);
            }
    free(out);
}

static far_region part(int64_t y, int64_t x, int64_t height, int64_t width)
{
    return (far_region){ y, x, height, width, height, width };
}

static void check_kind(const kind *k)
{
    fari_decoder *decoder = NULL;
    write_tiff(test_path("x.tif"), k);
    const opened o = open_tiff(test_path("x.tif"));
    FAR_CHECK_EQ_I64(o.file.picture.kind, FARI_PICTURE_TIFF);
    FAR_CHECK_EQ_I64(o.file.picture.height, k->height);
    FAR_CHECK_EQ_I64(o.file.picture.width, k->width);
    FAR_CHECK_EQ_I64(o.file.picture.channels, k->stored - k->alpha);
    FAR_CHECK_OK(fari_decoder_create(&decoder));
    const far_region regions[] = { part(0, 0, k->height, k->width), part(3, 2, 1, 1),
                                   part(k->height - 5, 0, 5, k->width), part(7, 9, 10, 8),
                                   part(2, 1, 9, k->width - 1) };
    fari_picture_file kept = o.file;
    kept.id = 5; /* the file stays open, rows are read in any order */
    for (size_t i = 0; i < FAR_COUNT(regions); i++) {
        check_region(k, decoder, &o.file, &regions[i]);
        check_region(k, decoder, &kept, &regions[i]);
        check_region(k, decoder, &kept, &regions[0]);
    }
    fari_decoder_destroy(decoder);
    fari_free(o.data);
}

FAR_TEST(every_layout_pixel_for_pixel)
{
    for (size_t i = 0; i < FAR_COUNT(kinds); i++) check_kind(&kinds[i]);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* --- only what is needed --- */

static int64_t decoded_for(const fari_picture_file *file, fari_tiff_reader *reader, const fari_tiff_part *p,
                           int64_t rows)
{
    float *row = malloc((size_t)(p->columns * 4) * sizeof *row);
    const int64_t before = fari_tiff_decoded(reader);
    FAR_CHECK_OK(fari_tiff_begin(reader, file, FARI_TIFF_ROWS, file->picture.channels, p));
    for (int64_t y = 0; y < rows; y++) FAR_CHECK_OK(fari_tiff_next(reader, row));
    free(row);
    return fari_tiff_decoded(reader) - before;
}

FAR_TEST(only_the_tiles_that_are_needed)
{
    fari_tiff_reader *reader = NULL;
    write_tiff(test_path("x.tif"), &kinds[0]); /* 100 x 130 in tiles of 32 x 48: 4 x 3 */
    opened o = open_tiff(test_path("x.tif"));
    o.file.id = 1;
    FAR_CHECK_OK(fari_tiff_create(&reader));
    FAR_CHECK_EQ_I64(decoded_for(&o.file, reader, &(fari_tiff_part){ 33, 50, 10 }, 20), 1);
    FAR_CHECK_EQ_I64(decoded_for(&o.file, reader, &(fari_tiff_part){ 40, 0, 130 }, 24), 3);
    FAR_CHECK_EQ_I64(decoded_for(&o.file, reader, &(fari_tiff_part){ 40, 0, 130 }, 24), 0); /* still there */
    FAR_CHECK_EQ_I64(decoded_for(&o.file, reader, &(fari_tiff_part){ 63, 0, 130 }, 2), 3);  /* one band of two */
    FAR_CHECK_EQ_I64(decoded_for(&o.file, reader, &(fari_tiff_part){ 0, 47, 2 }, 100), 8);
    fari_tiff_destroy(reader);
    fari_free(o.data);
}

/* 51,200 x 51,200 pixels of which one tile was ever written: the memory is that of a band, the rest zeros. */
FAR_TEST(a_picture_larger_than_memory)
{
    enum { SIDE = 51200, TILE = 512 };
    static uint8_t tile[TILE * TILE];
    static float window[8 * 64];
    far_dataset *set = NULL;
    TIFF *tiff = TIFFOpen(test_path("big.tif"), "w8");
    FAR_CHECK(tiff != NULL);
    const kind k = { "big", "w8", SIDE, SIDE, TILE, TILE, 1, 8, UINT, COMPRESSION_ADOBE_DEFLATE, 1, false, false, 0 };
    set_tags(tiff, &k);
    for (size_t i = 0; i < sizeof tile; i++) tile[i] = (uint8_t)(i % 251);
    FAR_CHECK(TIFFWriteEncodedTile(tiff, TIFFComputeTile(tiff, 1024, 40448, 0, 0), tile, sizeof tile) > 0);
    TIFFClose(tiff);
    /* bytes at the end that make it as large as its pixels, packed, could be */
    FAR_CHECK_EQ_I64(truncate(test_path("big.tif"), 8 << 20), 0);
    FAR_CHECK_OK(far_dataset_open_images(test_path("big.tif"), NULL, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).height, SIDE);
    FAR_CHECK_OK(far_dataset_read_region(set, 0, &(far_region){ 40450, 1000, 8, 64, 8, 64 }, window, NULL));
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 64; x++)
            FAR_CHECK(window[64 * y + x] == (x < 24 ? 0.0f : (float)(((y + 2) * TILE + x - 24) % 251) / 255.0f));
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* --- sets --- */

static void put_kind(const char *name, const kind *k)
{
    char parent[TEMP_FOLDER_BYTES + 64];
    (void)snprintf(parent, sizeof parent, "%s", test_path(name));
    *strrchr(parent, '/') = '\0';
    FAR_CHECK_OK(fari_folder_make(parent));
    write_tiff(test_path(name), k);
}

/* Classes are the values of a u8 map: 0 to 255. */
FAR_TEST(images_with_label_maps)
{
    const kind image = kinds[1];
    kind map = kinds[0];
    static float want[70 * 90 * 3], got[70 * 90 * 3];
    static int32_t want_labels[70 * 90], labels[70 * 90];
    far_dataset *set = NULL;
    map.height = 70;
    map.width = 90;
    put_kind("images/a.tif", &image);
    put_kind("labels/a.tiff", &map);
    FAR_CHECK_EQ_I64(far_pictures_kind_of(test_path("")), FAR_PICTURES_LABEL_MAPS);
    FAR_CHECK_OK(far_dataset_open_label_maps(test_path(""), NULL, &set));
    const far_dataset_info info = far_dataset_info_of(set);
    FAR_CHECK(info.height == 70 && info.width == 90 && info.channels == 3 && info.class_count == 256 &&
              info.is_integer);
    FAR_CHECK_OK(far_dataset_read(set, 0, want, want_labels));
    for (int64_t i = 0; i < 70 * 90; i++) {
        FAR_CHECK_EQ_I64(want_labels[i], (int64_t)stored_value(&map, i / 90, i % 90, 0));
        for (int64_t c = 0; c < 3; c++) FAR_CHECK(want[3 * i + c] == shown_value(&image, i / 90, i % 90, c));
    }
    for (int64_t row = 0; row < 70; row += 7) { /* windows from top to bottom, as streaming wants them */
        FAR_CHECK_OK(far_dataset_read_region(set, 0, &(far_region){ row, 0, 7, 90, 7, 90 }, got, labels));
        FAR_CHECK(memcmp(got, want + row * 90 * 3, sizeof(float) * 7 * 90 * 3) == 0);
        FAR_CHECK(memcmp(labels, want_labels + row * 90, sizeof(int32_t) * 7 * 90) == 0);
    }
    FAR_CHECK_OK(far_dataset_read_region(set, 0, &(far_region){ 11, 13, 30, 40, 30, 40 }, got, labels));
    for (int64_t i = 0; i < 30 * 40; i++) FAR_CHECK_EQ_I64(labels[i], want_labels[(11 + i / 40) * 90 + 13 + i % 40]);
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(label_maps_of_objects)
{
    kind map = kinds[0], image = kinds[0];
    static int32_t whole[100 * 130], labels[100 * 130];
    static float pixels[100 * 130];
    far_dataset *set = NULL;
    const far_pictures_opts opts = { .labels_are_instances = true, .boundary = 2 };
    map.bits = 16;
    put_kind("images/a.tif", &image);
    put_kind("masks/a.tif", &map);
    FAR_CHECK_OK(far_dataset_open_label_maps(test_path(""), &opts, &set));
    FAR_CHECK_OK(far_dataset_read(set, 0, pixels, whole));
    FAR_CHECK_OK(far_dataset_read_region(set, 0, &(far_region){ 31, 47, 40, 50, 40, 50 }, pixels, labels));
    for (int64_t i = 0; i < 40 * 50; i++) FAR_CHECK_EQ_I64(labels[i], whole[(31 + i / 50) * 130 + 47 + i % 50]);
    far_dataset_close(set);
}

FAR_TEST(maps_that_are_no_label_maps)
{
    static const struct {
        kind map;
        const char *why;
    } cases[] = {
        { { "f", "w", 100, 130, 16, 16, 1, 32, FP, COMPRESSION_NONE, 1, false, false, 0 }, "floating-point" },
        { { "2", "w", 100, 130, 16, 16, 2, 8, UINT, COMPRESSION_NONE, 1, false, false, 0 }, "several channels" },
        { { "i", "w", 100, 130, 16, 16, 3, 16, INT, COMPRESSION_NONE, 1, false, false, 0 }, "several channels" },
        { { "s", "w", 99, 130, 16, 16, 1, 8, UINT, COMPRESSION_NONE, 1, false, false, 0 }, "but its label map" },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        far_dataset *set = NULL;
        put_kind("images/a.tif", &kinds[0]);
        put_kind("labels/a.tif", &cases[i].map);
        FAR_CHECK(far_dataset_open_label_maps(test_path(""), NULL, &set) != FAR_OK);
        FAR_CHECK_HAS(far_error_message(), cases[i].why);
        FAR_CHECK_HAS(far_error_message(), "labels/a.tif");
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* Signed samples are no colours: a fuzzer found that they were taken for such. */
FAR_TEST(colours_are_unsigned)
{
    fari_tiff_reader *reader = NULL;
    const fari_tiff_part all = { 0, 0, 21 };
    int32_t row[21];
    write_tiff(test_path("x.tif"), &kinds[8]);
    const opened o = open_tiff(test_path("x.tif"));
    FAR_CHECK_OK(fari_tiff_create(&reader));
    FAR_CHECK_STATUS(fari_tiff_begin(reader, &o.file, FARI_TIFF_COLOURS, 1, &all), FAR_E_UNSUPPORTED);
    FAR_CHECK_HAS(far_error_message(), "x.tif: a label map of colours with 8 bits");
    FAR_CHECK_OK(fari_tiff_begin(reader, &o.file, FARI_TIFF_VALUES, 1, &all));
    FAR_CHECK_OK(fari_tiff_next(reader, row));
    for (int64_t x = 0; x < 21; x++) FAR_CHECK_EQ_I64(row[x], (int64_t)stored_value(&kinds[8], 0, x, 0));
    fari_tiff_destroy(reader);
    fari_free(o.data);
}

/* Channels have to be alike; grey ones may be beside RGB. */
FAR_TEST(channels_of_a_set)
{
    far_dataset *set = NULL;
    put_kind("c/two.tif", &kinds[9]);
    FAR_CHECK_OK(far_dataset_open_images(test_path(""), NULL, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).channels, 2);
    FAR_CHECK(!far_dataset_info_of(set).is_integer);
    far_dataset_close(set);
    put_kind("c/rgb.tif", &kinds[1]);
    FAR_CHECK_STATUS(far_dataset_open_images(test_path(""), NULL, &set), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "two.tif has 2 channels");
    FAR_CHECK_EQ_I64(unlink(test_path("c/two.tif")), 0);
    put_kind("c/grey.tif", &kinds[0]);
    FAR_CHECK_OK(far_dataset_open_images(test_path(""), NULL, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).channels, 3);
    far_dataset_close(set);
}

FAR_TEST(a_stack_of_pages_is_refused)
{
    kind k = kinds[0];
    fari_picture picture;
    char *data = NULL;
    size_t bytes = 0;
    write_tiff(test_path("x.tif"), &k);
    k.mode = "a";
    write_tiff(test_path("x.tif"), &k);
    FAR_CHECK_OK(fari_file_read(test_path("x.tif"), 1 << 20, &data, &bytes));
    FAR_CHECK_STATUS(probe(data, bytes, &picture), FAR_E_UNSUPPORTED);
    FAR_CHECK_HAS(far_error_message(), "stack of several pages");
    fari_free(data);
    k.height = 50; /* a smaller view is none */
    write_tiff(test_path("y.tif"), &kinds[0]);
    write_tiff(test_path("y.tif"), &k);
    FAR_CHECK_OK(fari_file_read(test_path("y.tif"), 1 << 20, &data, &bytes));
    FAR_CHECK_OK(probe(data, bytes, &picture));
    FAR_CHECK_EQ_I64(picture.height, 100);
    fari_free(data);
}

/* --- damage --- */

/* Whatever is read, it ends, with words that name the file, and libtiff says nothing by itself. */
static void read_damaged(fari_decoder *decoder, const char *data, size_t bytes)
{
    static float out[100 * 130 * 4];
    fari_picture_file file = { .label = "x.tif", .data = (const uint8_t *)data, .bytes = bytes };
    far_error_clear();
    far_status st = probe(data, bytes, &file.picture);
    if (st == FAR_OK &&
        (int64_t)file.picture.height * file.picture.width * file.picture.channels <= (int64_t)FAR_COUNT(out)) {
        const far_region all = part(0, 0, fari_picture_height(&file.picture), fari_picture_width(&file.picture));
        st = fari_decode_region(decoder, &file, &all, file.picture.channels, out);
    }
    if (st != FAR_OK) FAR_CHECK_HAS(far_error_message(), "x.tif");
    if (st != FAR_OK) FAR_CHECK(st == FAR_E_FORMAT || st == FAR_E_UNSUPPORTED);
}

static void check_damage(const kind *k)
{
    fari_decoder *decoder = NULL;
    char *data = NULL;
    size_t bytes = 0;
    write_tiff(test_path("x.tif"), k);
    FAR_CHECK_OK(fari_file_read(test_path("x.tif"), 1 << 20, &data, &bytes));
    FAR_CHECK_OK(fari_decoder_create(&decoder));
    for (size_t cut = 0; cut < bytes; cut += 1 + bytes / 301) {
        char *less = malloc(cut + 1); /* exactly so many, for the sanitizer */
        memcpy(less, data, cut);
        read_damaged(decoder, less, cut);
        free(less);
    }
    for (size_t i = 0; i < bytes; i += 1 + bytes / 997) {
        const char kept = data[i];
        data[i] = (char)(kept ^ (1 << i % 8));
        read_damaged(decoder, data, bytes);
        data[i] = (char)0xFF;
        read_damaged(decoder, data, bytes);
        data[i] = kept;
    }
    fari_decoder_destroy(decoder);
    fari_free(data);
}

FAR_TEST(damage_is_named_and_nothing_is_printed)
{
    static const int chosen[] = { 0, 1, 2, 3, 6, 11, 12, 14 };
    struct {
        int fd, kept;
    } err;
    err.fd = open(test_path("printed"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    err.kept = dup(STDERR_FILENO);
    FAR_CHECK(err.fd >= 0 && err.kept >= 0 && dup2(err.fd, STDERR_FILENO) >= 0);
    for (size_t i = 0; i < FAR_COUNT(chosen); i++) check_damage(&kinds[chosen[i]]);
    FAR_CHECK(dup2(err.kept, STDERR_FILENO) >= 0);
    FAR_CHECK_EQ_I64(lseek(err.fd, 0, SEEK_END), 0);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* The words of the usual kinds of damage. */
FAR_TEST(damaged_tiles_and_cut_files)
{
    static float out[70 * 90 * 3];
    fari_decoder *decoder = NULL;
    write_tiff(test_path("x.tif"), &kinds[2]); /* the directory follows the tiles */
    opened o = open_tiff(test_path("x.tif"));
    TIFF *tiff = TIFFOpen(test_path("x.tif"), "r");
    const uint64_t tile_7 = TIFFGetStrileOffset(tiff, 7);
    TIFFClose(tiff);
    FAR_CHECK_OK(fari_decoder_create(&decoder));
    memset(o.data + tile_7, 0x55, 16);
    const far_region all = part(0, 0, 70, 90), above = part(0, 0, 10, 90);
    FAR_CHECK_STATUS(fari_decode_region(decoder, &o.file, &all, 3, out), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(),
                  "x.tif: tile 7 of the TIFF (32 x 16 pixels from row 32, column 16 on) is damaged");
    FAR_CHECK_OK(fari_decode_region(decoder, &o.file, &above, 3, out)); /* does not need it */
    fari_free(o.data);
    write_tiff(test_path("big.tif"), &kinds[5]); /* cut where BigTIFF and tiles are: offsets beyond the end */
    o = open_tiff(test_path("big.tif"));
    o.file.bytes = 0;
    FAR_CHECK_STATUS(probe(o.data, 4, &o.file.picture), FAR_E_FORMAT);
    fari_free(o.data);
    fari_decoder_destroy(decoder);
}

/* A tile that lies beyond the end, as in a download that broke off where the directory comes first. */
FAR_TEST(a_file_without_its_end)
{
    static float out[100 * 130];
    fari_decoder *decoder = NULL;
    int found = 0;
    write_tiff(test_path("x.tif"), &kinds[0]);
    const opened o = open_tiff(test_path("x.tif"));
    TIFF *tiff = TIFFOpen(test_path("x.tif"), "r");
    const uint32_t last = (uint32_t)TIFFGetStrileOffset(tiff, 11), end = (uint32_t)o.file.bytes - 100;
    TIFFClose(tiff);
    for (size_t i = last; i + 4 <= o.file.bytes; i++) /* the table follows the tiles */
        if (memcmp(o.data + i, &last, 4) == 0 && found++ == 0) memcpy(o.data + i, &end, 4);
    FAR_CHECK_EQ_I64(found, 1);
    FAR_CHECK_OK(fari_decoder_create(&decoder));
    const far_region all = part(0, 0, 100, 130), above = part(0, 0, 96, 130);
    FAR_CHECK_STATUS(fari_decode_region(decoder, &o.file, &all, 1, out), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "x.tif: tile 11 of the TIFF should lie at bytes");
    FAR_CHECK_HAS(far_error_message(), "but the file ends at byte");
    FAR_CHECK_OK(fari_decode_region(decoder, &o.file, &above, 1, out)); /* does not need it */
    fari_decoder_destroy(decoder);
    fari_free(o.data);
}

FAR_TEST(what_is_not_read_is_said)
{
    static const struct {
        kind k;
        const char *why;
    } cases[] = {
        { { "u64", "w", 20, 20, 16, 16, 1, 64, UINT, COMPRESSION_NONE, 1, false, false, 0 }, "samples of 64 bits" },
        { { "5", "w", 20, 20, 16, 16, 5, 8, UINT, COMPRESSION_NONE, 1, false, false, 0 }, "5 channels; 1 to 4" },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        fari_picture picture;
        char *data = NULL;
        size_t bytes = 0;
        TIFF *tiff = TIFFOpen(test_path("x.tif"), "w");
        uint8_t tile[16 * 16 * 8] = { 0 };
        set_tags(tiff, &cases[i].k);
        (void)TIFFWriteEncodedTile(tiff, 0, tile, TIFFTileSize(tiff));
        TIFFClose(tiff);
        FAR_CHECK_OK(fari_file_read(test_path("x.tif"), 1 << 20, &data, &bytes));
        FAR_CHECK_STATUS(probe(data, bytes, &picture), FAR_E_UNSUPPORTED);
        FAR_CHECK_HAS(far_error_message(), cases[i].why);
        fari_free(data);
    }
}

/* --- memory --- */

FAR_TEST(each_allocation_may_fail)
{
    static float out[70 * 90 * 3];
    far_status st = FAR_E_NOMEM;
    put_kind("a/x.tif", &kinds[1]);
    for (int64_t nth = 0; st != FAR_OK; nth++) {
        far_dataset *set = NULL;
        fari_alloc_fail_after(nth);
        st = far_dataset_open_images(test_path(""), NULL, &set);
        if (st == FAR_OK) st = far_dataset_read(set, 0, out, NULL);
        fari_alloc_fail_after(-1);
        far_dataset_close(set);
        if (st != FAR_OK) FAR_CHECK_EQ_I64(st, FAR_E_NOMEM);
        FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
    }
}

/* After prepare nothing of ours is allocated. */
FAR_TEST(reading_allocates_nothing)
{
    static float out[70 * 90 * 3];
    static int32_t labels[70 * 90];
    kind map = kinds[0];
    far_dataset *set = NULL;
    far_loader *loader = NULL;
    far_batch batch;
    map.height = 70;
    map.width = 90;
    put_kind("images/a.tif", &kinds[1]);
    put_kind("labels/a.tif", &map);
    FAR_CHECK_OK(far_dataset_open_label_maps(test_path(""), &(far_pictures_opts){ .class_count = 256 }, &set));
    const far_loader_opts opts = { .batch = 1, .last = FAR_LAST_PAD, .threads = -1 };
    FAR_CHECK_OK(far_loader_open(set, &opts, &loader));
    const int64_t before = fari_alloc_live();
    FAR_CHECK_OK(far_loader_next(loader, &batch));
    FAR_CHECK_EQ_I64(fari_alloc_live(), before);
    FAR_CHECK_OK(far_dataset_read(set, 0, out, labels));
    FAR_CHECK(memcmp(out, batch.images, sizeof out) == 0 && memcmp(labels, batch.labels, sizeof labels) == 0);
    far_loader_close(loader);
    far_dataset_close(set);
}
#endif
