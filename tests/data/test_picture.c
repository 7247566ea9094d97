/* JPEG and PNG against what Pillow shows (tests/data/make_pictures.py), parts against the whole, and damage. */
#include "data/pictures.h"
#include "data/resize.h"

#define PICTURE_COUNT 27

static float *decode(const loaded *l, const far_region *region, int32_t channels)
{
    fari_decoder *decoder = NULL;
    float *out = malloc((size_t)(region->out_height * region->out_width * channels) * sizeof *out);
    const fari_picture_file file = file_of(l);
    FAR_CHECK_OK(fari_decoder_create(&decoder));
    FAR_CHECK_OK(fari_decode_region(decoder, &file, region, channels, out));
    fari_decoder_destroy(decoder);
    return out;
}

static void check_whole(const loaded *l)
{
    const far_region all = { 0, 0, l->height, l->width, l->height, l->width };
    FAR_CHECK_EQ_I64(fari_picture_height(&l->picture), l->height);
    FAR_CHECK_EQ_I64(fari_picture_width(&l->picture), l->width);
    FAR_CHECK_EQ_I64(l->picture.channels, l->channels);
    float *out = decode(l, &all, (int32_t)l->channels);
    FAR_CHECK_BITS(l->name, out, l->want, l->height * l->width * l->channels);
    free(out);
}

FAR_TEST(whole_pictures_are_as_pillow_shows_them)
{
    FAR_CHECK_EQ_I64(each_picture(check_whole), PICTURE_COUNT);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

static void check_grey_as_rgb(const loaded *l)
{
    if (l->channels != 1) return;
    const far_region all = { 0, 0, l->height, l->width, l->height, l->width };
    float *out = decode(l, &all, 3);
    for (int64_t i = 0; i < l->height * l->width; i++)
        FAR_CHECK(out[3 * i] == l->want[i] && out[3 * i + 1] == l->want[i] && out[3 * i + 2] == l->want[i]);
    free(out);
}

FAR_TEST(grey_has_three_equal_channels_where_three_are_wanted)
{
    (void)each_picture(check_grey_as_rgb);
}

/* Every cut decodes to the very pixels of the whole: cuts at block borders, beside them, of one pixel, at the edges. */
static void check_cuts(const loaded *l)
{
    static const int64_t starts[] = { 0, 1, 7, 8, 15, 16, 17, 24 }, sizes[] = { 1, 2, 9, 16 };
    fari_decoder *decoder = NULL;
    const fari_picture_file file = file_of(l);
    float out[16 * 16 * 3];
    FAR_CHECK_OK(fari_decoder_create(&decoder));
    for (size_t a = 0; a < FAR_COUNT(starts); a++)
        for (size_t b = 0; b < FAR_COUNT(starts); b++)
            for (size_t s = 0; s < FAR_COUNT(sizes); s++) {
                far_region r = { starts[a], starts[b], sizes[s], sizes[FAR_COUNT(sizes) - 1 - s], 0, 0 };
                if (a == 7) r.y = l->height - r.height;
                if (b == 7) r.x = l->width - r.width;
                if (r.y + r.height > l->height || r.x + r.width > l->width) continue;
                r.out_height = r.height;
                r.out_width = r.width;
                FAR_CHECK_OK(fari_decode_region(decoder, &file, &r, (int32_t)l->channels, out));
                for (int64_t y = 0; y < r.height; y++) {
                    const float *want = l->want + ((r.y + y) * l->width + r.x) * l->channels;
                    const float *got = out + y * r.width * l->channels;
                    FAR_CHECK_MSG(memcmp(got, want, (size_t)(r.width * l->channels) * sizeof *got) == 0,
                                  "%s: row %" PRId64 " of %" PRId64 " x %" PRId64 " at (%" PRId64 ", %" PRId64 ")",
                                  l->name, y, r.height, r.width, r.y, r.x);
                }
            }
    fari_decoder_destroy(decoder);
}

FAR_TEST(cuts_are_the_pixels_of_the_whole)
{
    FAR_CHECK_EQ_I64(each_picture(check_cuts), PICTURE_COUNT);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* Down to a quarter of the size nothing is reduced before resizing, and a region is what resizing the whole gives. */
static void check_resized(const loaded *l)
{
    const far_region regions[] = { { 0, 0, l->height, l->width, 23, 17 },
                                   { 3, 5, 19, 17, 14, 40 },
                                   { l->height - 9, l->width - 11, 9, 11, 5, 6 } };
    for (size_t i = 0; i < FAR_COUNT(regions); i++) {
        const far_region *r = &regions[i];
        const fari_resize resize = fari_resize_of(l->height, l->width, l->channels, r);
        const int64_t elems = r->out_height * r->out_width * l->channels;
        void *scratch = malloc((size_t)fari_resize_scratch_bytes(&resize));
        double *want = malloc((size_t)elems * sizeof *want);
        float *of_whole = malloc((size_t)elems * sizeof *of_whole);
        float *out = decode(l, r, (int32_t)l->channels);
        fari_resize_f32(&resize, l->want, scratch, of_whole);
        const bool is_reduced = r->height >= 4 * r->out_height && r->width >= 4 * r->out_width && l->name[0] == 'j';
        for (int64_t k = 0; k < elems; k++) want[k] = (double)of_whole[k];
        if (!is_reduced) FAR_CHECK_CLOSE(l->name, out, want, elems, 2e-6);
        free(out);
        free(of_whole);
        free(want);
        free(scratch);
    }
}

FAR_TEST(regions_are_resized_as_the_whole_would_be)
{
    (void)each_picture(check_resized);
}

/* Reduced by the transform, pixels may differ from a reduction of the whole, but little: of smooth pictures by some 255ths. */
static void check_reduced(const loaded *l)
{
    if (l->name[0] != 'j') return;
    const far_region regions[] = { { 0, 0, l->height, l->width, 11, 13 },
                                   { 2, 3, 26, 25, 3, 3 },
                                   { 0, 0, 24, 24, 3, 3 } };
    for (size_t i = 0; i < FAR_COUNT(regions); i++) {
        const far_region *r = &regions[i];
        if (r->y + r->height > l->height || r->x + r->width > l->width) continue;
        const fari_resize resize = fari_resize_of(l->height, l->width, l->channels, r);
        const int64_t elems = r->out_height * r->out_width * l->channels;
        void *scratch = malloc((size_t)fari_resize_scratch_bytes(&resize));
        float *want = malloc((size_t)elems * sizeof *want), *out = decode(l, r, (int32_t)l->channels);
        double sum = 0.0;
        fari_resize_f32(&resize, l->want, scratch, want);
        for (int64_t k = 0; k < elems; k++) sum += fabs((double)out[k] - (double)want[k]);
        const bool is_reduced = r->height >= 4 * r->out_height && r->width >= 4 * r->out_width;
        FAR_CHECK((sum > 1e-3) == is_reduced);
        FAR_CHECK_MSG(sum / (double)elems < 5.0 / 255.0, "%s: region %zu differs by %g on average", l->name, i,
                      sum / (double)elems);
        free(out);
        free(want);
        free(scratch);
    }
}

FAR_TEST(reduced_by_the_transform_nearly_the_same)
{
    (void)each_picture(check_reduced);
}

/* --- values: labels --- */

static void decode_values(fari_decoder *decoder, const fari_picture_file *file, int64_t first, int64_t count,
                          int32_t *out)
{
    FAR_CHECK_OK(fari_decode_values(decoder, file, &(fari_values_part){ false, first, 0, file->picture.width }));
    for (int64_t y = 0; y < count; y++) FAR_CHECK_OK(fari_decode_values_next(decoder, out + y * file->picture.width));
    fari_decode_values_end(decoder);
}

FAR_TEST(values_are_exact)
{
    loaded l;
    fari_decoder *decoder = NULL;
    int32_t values[45 * 61];
    FAR_CHECK_OK(fari_decoder_create(&decoder));
    static const struct {
        const char *name;
        double factor; /* value to what is shown */
    } cases[] = { { "png_grey16.png", 65535.0 },
                  { "png_grey8.png", 255.0 },
                  { "png_grey1.png", 1.0 },
                  { "png_interlaced16.png", 65535.0 } };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        load_picture(cases[i].name, &l);
        const fari_picture_file file = file_of(&l);
        decode_values(decoder, &file, 3, 40, values);
        for (int64_t k = 0; k < 40 * 61; k++)
            FAR_CHECK_EQ_I64(values[k], lround((double)l.want[3 * 61 + k] * cases[i].factor));
        drop_picture(&l);
    }
    load_picture("png_rgb.png", &l);
    const fari_picture_file rgb = file_of(&l);
    decode_values(decoder, &rgb, 0, 45, values);
    for (int64_t k = 0; k < 45 * 61; k++)
        for (int c = 0; c < 3; c++)
            FAR_CHECK_EQ_I64(values[k] >> (16 - 8 * c) & 255, lround((double)l.want[3 * k + c] * 255.0));
    drop_picture(&l);
    load_picture("png_palette4.png", &l); /* indices: equal where colours are */
    const fari_picture_file palette = file_of(&l);
    decode_values(decoder, &palette, 0, 45, values);
    for (int64_t k = 1; k < 45 * 61; k++) {
        const bool same_colour = memcmp(&l.want[3 * k], &l.want[3 * k - 3], 3 * sizeof(float)) == 0;
        FAR_CHECK(values[k] >= 0 && values[k] < 16);
        FAR_CHECK((values[k] == values[k - 1]) == same_colour);
    }
    drop_picture(&l);
    load_picture("png_palette_clear.png", &l);
    const fari_picture_file colours = file_of(&l);
    FAR_CHECK_OK(fari_decode_values(decoder, &colours, &(fari_values_part){ true, 44, 0, 61 }));
    FAR_CHECK_OK(fari_decode_values_next(decoder, values));
    fari_decode_values_end(decoder);
    for (int64_t k = 0; k < 61; k++)
        for (int c = 0; c < 3; c++)
            FAR_CHECK_EQ_I64(values[k] >> (16 - 8 * c) & 255, lround((double)l.want[3 * (44 * 61 + k) + c] * 255.0));
    drop_picture(&l);
    load_picture("jpeg_grey.jpg", &l);
    const fari_picture_file jpeg = file_of(&l);
    FAR_CHECK_STATUS(fari_decode_values(decoder, &jpeg, &(fari_values_part){ false, 0, 0, 61 }), FAR_E_UNSUPPORTED);
    FAR_CHECK_HAS(far_error_message(), "store them as PNG");
    drop_picture(&l);
    fari_decoder_destroy(decoder);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* --- damage --- */

static void check_cut_short(const loaded *l)
{
    static float out[61 * 61 * 3];
    fari_decoder *decoder = NULL;
    FAR_CHECK_OK(fari_decoder_create(&decoder));
    const far_region all = { 0, 0, l->height, l->width, l->height, l->width };
    for (size_t bytes = 0; bytes < l->bytes - 40; bytes += 1 + l->bytes / 60) {
        fari_picture_file file = file_of(l);
        fari_picture picture;
        char *part = malloc(bytes + 1); /* exactly: a sanitizer sees reads beyond */
        memcpy(part, l->data, bytes);
        file.data = (const uint8_t *)part;
        file.bytes = bytes;
        far_status st = probe_memory(l->name, part, bytes, &picture);
        if (st == FAR_OK) st = fari_decode_region(decoder, &file, &all, (int32_t)l->channels, out);
        FAR_CHECK_MSG(st == FAR_E_FORMAT, "%s cut at %zu of %zu: %s", l->name, bytes, l->bytes, far_status_name(st));
        FAR_CHECK_HAS(far_error_message(), l->name);
        free(part);
    }
    fari_decoder_destroy(decoder);
}

FAR_TEST(cut_short_is_named)
{
    (void)each_picture(check_cut_short);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

static void check_flips(const loaded *l)
{
    static float out[61 * 61 * 3];
    fari_decoder *decoder = NULL;
    FAR_CHECK_OK(fari_decoder_create(&decoder));
    const far_region r = { 3, 2, 9, 17, 11, 13 };
    for (size_t i = 0; i < l->bytes; i += 1 + l->bytes / 200) {
        fari_picture_file file = file_of(l);
        char *copy = malloc(l->bytes);
        memcpy(copy, l->data, l->bytes);
        copy[i] ^= (char)(1 << i % 8);
        file.data = (const uint8_t *)copy;
        far_error_clear();
        /* whatever comes out: no crash, and a failure is worded */
        if (fari_decode_region(decoder, &file, &r, (int32_t)l->channels, out) != FAR_OK)
            FAR_CHECK_HAS(far_error_message(), l->name);
        free(copy);
    }
    fari_decoder_destroy(decoder);
}

FAR_TEST(any_flipped_bit_is_survived)
{
    (void)each_picture(check_flips);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* 45 x 61 in units of 16 x 16: 3 x 4 of them, six blocks each of 64 numbers. */
FAR_TEST(what_progressive_pictures_take_is_known)
{
    loaded l;
    load_picture("jpeg_progressive.jpg", &l);
    FAR_CHECK_EQ_I64(l.picture.coefficients, 3 * 4 * 6 * 64 * 2);
    drop_picture(&l);
    load_picture("jpeg_420.jpg", &l);
    FAR_CHECK_EQ_I64(l.picture.coefficients, 0);
    drop_picture(&l);
}

FAR_TEST(what_is_no_picture_is_refused)
{
    static const struct {
        const char *bytes;
        size_t count;
        far_status status;
        const char *says;
    } cases[] = {
        { "", 0, FAR_E_FORMAT, "0 bytes" },
        { "GIF89a\1\0\1\0", 10, FAR_E_FORMAT, "neither JPEG nor PNG nor TIFF: it begins with 47 49 46 38" },
        { "\xFF\xD8\xFF\xD9\0\0\0\0\0", 9, FAR_E_FORMAT, "without a frame header" },
        { "\xFF\xD8\xFF\xC0\0\x0B\x08\0\0\0\5\1\0\0\0", 15, FAR_E_FORMAT, "0 x 5 pixels: an empty picture" },
        { "\xFF\xD8\xFF\xC0\0\x0B\x0C\0\5\0\5\1\0\0\0", 15, FAR_E_UNSUPPORTED, "12 bits" },
        { "\xFF\xD8\xFF\xC0\0\x0B\x08\0\5\0\5\2\0\0\0", 15, FAR_E_UNSUPPORTED, "2 channels" },
        { "\xFF\xD8\xFF\xC0\0\x0B\x08\xFF\xFF\xFF\xFF\3\0\0\0", 15, FAR_E_UNSUPPORTED,
          "65535 x 65535 pixels; at most 2^30" },
        { "\xFF\xD8\xFF\xC0\0\x0B\x08\x10\0\x10\0\3\0\0\0", 15, FAR_E_FORMAT, "more than its 15 bytes can hold" },
        { "\xFF\xD8\xFF\xE0\xFF\xFF\0\0\0\0", 10, FAR_E_FORMAT, "ends at byte 65539 of 10" },
        { "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0\0\0\0\1\x08\0\0\0\0", 29, FAR_E_FORMAT, "1 x 0 pixels" },
        { "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\5\0\0\0", 29, FAR_E_FORMAT, "colour type 5" },
        { "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x40\0\0\0\x40\0\x01\0\0\0\0", 29, FAR_E_FORMAT, "more than its 29 bytes" },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        fari_picture picture;
        char *exact = malloc(cases[i].count + 1);
        memcpy(exact, cases[i].bytes, cases[i].count);
        FAR_CHECK_STATUS(probe_memory("x.jpg", exact, cases[i].count, &picture), cases[i].status);
        FAR_CHECK_HAS(far_error_message(), cases[i].says);
        FAR_CHECK_HAS(far_error_message(), "x.jpg");
        free(exact);
    }
}

static void check_allocations(const loaded *l)
{
    static float out[61 * 61 * 3];
    const far_region r = { 3, 2, 9, 17, 11, 13 };
    const fari_picture_file file = file_of(l);
    far_status st = FAR_E_NOMEM;
    for (int64_t nth = 0; st != FAR_OK && nth < 100; nth++) {
        fari_decoder *decoder = NULL;
        fari_alloc_fail_after(nth);
        st = fari_decoder_create(&decoder);
        if (st == FAR_OK) st = fari_decode_region(decoder, &file, &r, (int32_t)l->channels, out);
        fari_alloc_fail_after(-1);
        fari_decoder_destroy(decoder);
        if (st != FAR_OK) FAR_CHECK_EQ_I64(st, FAR_E_NOMEM);
    }
    FAR_CHECK_OK(st);
}

FAR_TEST(each_allocation_may_fail)
{
    (void)each_picture(check_allocations);
}
