/* Resizing against what Pillow made (tests/data/make_pictures.py), and properties of it. */
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/npy.h"
#include "data/resize.h"
#include "test.h"

#define FOLDER "tests/data/pictures/"

/* The picture of make_pictures.py. */
static int pixel(int64_t y, int64_t x, int64_t c)
{
    return (int)((y * 37 + x * 101 + c * 59 + (y * x) % 17 * 13) % 256);
}

typedef struct resize_case {
    int64_t height, width, channels;
    far_region region;
    int64_t pixels, elems, out_elems;
    float *image;
    int32_t *labels;
    uint8_t *bytes;
} resize_case;

static void fill(resize_case *c)
{
    c->pixels = c->height * c->width;
    c->elems = c->pixels * c->channels;
    c->out_elems = c->region.out_height * c->region.out_width * c->channels;
    c->image = malloc((size_t)c->elems * sizeof *c->image);
    c->labels = malloc((size_t)c->elems * sizeof *c->labels);
    c->bytes = malloc((size_t)c->elems);
    for (int64_t i = 0; i < c->elems; i++) {
        const int64_t at = i / c->channels;
        c->labels[i] = pixel(at / c->width, at % c->width, i % c->channels);
        c->image[i] = (float)c->labels[i];
        c->bytes[i] = (uint8_t)c->labels[i];
    }
}

static void drop(resize_case *c)
{
    free(c->image);
    free(c->labels);
    free(c->bytes);
}

/* The data of a .npy file in `file`. */
static const void *array(const char *kind, int idx, int64_t elems, char **file)
{
    char path[256];
    size_t bytes = 0;
    fari_npy npy;
    (void)snprintf(path, sizeof path, FOLDER "%s_%d.npy", kind, idx);
    FAR_CHECK_OK(fari_file_read(path, 1 << 20, file, &bytes));
    FAR_CHECK_OK(fari_npy_parse(path, *file, bytes, (int64_t)bytes, &npy));
    FAR_CHECK_EQ_I64(bytes, npy.first_byte + elems * 4);
    return *file + npy.first_byte;
}

static void check_case(int idx, resize_case *c)
{
    char *file = NULL;
    const fari_resize resize = fari_resize_of(c->height, c->width, c->channels, &c->region);
    void *scratch = malloc((size_t)fari_resize_scratch_bytes(&resize));
    float *out = malloc((size_t)c->out_elems * sizeof *out), *of_bytes = malloc((size_t)c->out_elems * sizeof *out);
    int32_t *labels = malloc((size_t)c->out_elems * sizeof *labels);
    fari_resize_f32(&resize, c->image, scratch, out);
    fari_resize_u8(&resize, c->bytes, scratch, of_bytes);
    fari_resize_labels(c->width, c->channels, &c->region, c->labels, labels);
    const float *want = array("resize", idx, c->out_elems, &file);
    for (int64_t i = 0; i < c->out_elems; i++) {
        /* a few roundings at 2^-24 of 255 */
        FAR_CHECK_MSG(fabsf(out[i] - want[i]) <= 1e-4f, "case %d element %" PRId64 ": %.9g, Pillow %.9g", idx, i,
                      (double)out[i], (double)want[i]);
        FAR_CHECK(of_bytes[i] == out[i] / 255.0f);
    }
    fari_free(file);
    FAR_CHECK(memcmp(labels, array("nearest", idx, c->out_elems, &file), (size_t)c->out_elems * sizeof *labels) == 0);
    fari_free(file);
    free(labels);
    free(of_bytes);
    free(out);
    free(scratch);
}

FAR_TEST(as_pillow_does)
{
    FILE *list = fopen(FOLDER "resizes.txt", "r");
    FAR_CHECK(list != NULL);
    int idx = 0;
    for (resize_case c;
         fscanf(list,
                "%" SCNd64 "%" SCNd64 "%" SCNd64 "%" SCNd64 "%" SCNd64 "%" SCNd64 "%" SCNd64 "%" SCNd64 "%" SCNd64,
                &c.height, &c.width, &c.channels, &c.region.y, &c.region.x, &c.region.height, &c.region.width,
                &c.region.out_height, &c.region.out_width) == 9;
         idx++) {
        fill(&c);
        check_case(idx, &c);
        drop(&c);
    }
    (void)fclose(list);
    FAR_CHECK_EQ_I64(idx, 10);
}

/* A decoder that gives only the rows and columns that count has to give the same numbers. */
FAR_TEST(rows_and_columns_outside_the_reach_do_not_count)
{
    for (int64_t out = 1; out <= 40; out += 3) {
        resize_case c = { .height = 31, .width = 29, .channels = 3, .region = { 6, 9, 13, 11, out, out } };
        int64_t first_row, rows, first_column, columns;
        fill(&c);
        const fari_resize resize = fari_resize_of(c.height, c.width, 3, &c.region);
        void *scratch = malloc((size_t)fari_resize_scratch_bytes(&resize));
        float *whole = malloc((size_t)c.out_elems * sizeof *whole), *part = malloc((size_t)c.out_elems * sizeof *part);
        fari_resize_rows(&resize, &first_row, &rows);
        fari_resize_columns(&resize, &first_column, &columns);
        FAR_CHECK(first_row >= 0 && rows >= 13 && first_row + rows <= 31);
        fari_resize_f32(&resize, c.image, scratch, whole);
        for (int64_t y = 0; y < 31; y++)
            for (int64_t x = 0; x < 29; x++) {
                if (y >= first_row && y < first_row + rows && x >= first_column && x < first_column + columns) continue;
                for (int64_t k = 0; k < 3; k++) c.image[(y * 29 + x) * 3 + k] = NAN;
            }
        fari_resize_f32(&resize, c.image, scratch, part);
        FAR_CHECK_BITS("without what is outside", part, whole, c.out_elems);
        free(part);
        free(whole);
        free(scratch);
        drop(&c);
    }
}

FAR_TEST(no_box_takes_more_scratch_than_the_most)
{
    for (uint64_t i = 0; i < 20000; i++) {
        int64_t draw[8];
        static const uint64_t bounds[] = { 70, 70, 4, 90, 90, 1000, 1000, 3 };
        for (uint64_t k = 0; k < 8; k++) draw[k] = 1 + (int64_t)fari_rng_below(3, 8 * i + k, bounds[k]);
        const int64_t height = draw[0], width = draw[1], h = 1 + draw[5] % height, w = 1 + draw[6] % width;
        const far_region region = { 0, 0, h, w, draw[3], draw[4] };
        const fari_resize resize = fari_resize_of(height, width, draw[2], &region);
        FAR_CHECK(fari_resize_scratch_bytes(&resize) <=
                  fari_resize_scratch_most(height + draw[7] - 1, width + draw[7] - 1, draw[2], draw[4] + draw[7] - 1));
    }
}
