/* PNG written by us: read back by libspng, equal bytes for equal pixels, what is refused, each allocation failing. */
#include "base/file.h"
#include "base/mem.h"
#include "base/png.h"
#include "support/temp_folder.h"
#include "test.h"
#include <spng.h>

enum { H = 13, W = 7 };

static uint8_t pixels[H * W * 3];

static void fill(int32_t bound)
{
    for (int i = 0; i < H * W * 3; i++) pixels[i] = (uint8_t)((i * 37 + i / 5) % bound);
}

static void decode(const uint8_t *data, size_t bytes, int format, struct spng_ihdr *head_out, uint8_t *out, size_t room)
{
    spng_ctx *ctx = spng_ctx_new(0);
    FAR_CHECK_EQ_I64(spng_set_png_buffer(ctx, data, bytes), 0);
    FAR_CHECK_EQ_I64(spng_get_ihdr(ctx, head_out), 0);
    FAR_CHECK_EQ_I64(spng_decode_image(ctx, out, room, format, 0), 0);
    spng_ctx_free(ctx);
}

FAR_TEST(grey_and_rgb_come_back)
{
    for (int32_t channels = 1; channels <= 3; channels += 2) {
        uint8_t *data = NULL, *again = NULL, back[sizeof pixels];
        size_t bytes = 0, bytes_again = 0;
        struct spng_ihdr head;
        fill(251);
        const fari_png png = { .pixels = pixels, .height = H, .width = W, .channels = channels };
        FAR_CHECK_OK(fari_png_encode(&png, &data, &bytes));
        FAR_CHECK_OK(fari_png_encode(&png, &again, &bytes_again));
        FAR_CHECK_EQ_U64(bytes, bytes_again);
        FAR_CHECK(memcmp(data, again, bytes) == 0);
        decode(data, bytes, SPNG_FMT_RAW, &head, back, (size_t)(H * W * channels));
        FAR_CHECK(head.height == H && head.width == W && head.bit_depth == 8);
        FAR_CHECK_EQ_I64(head.color_type, channels == 3 ? SPNG_COLOR_TYPE_TRUECOLOR : SPNG_COLOR_TYPE_GRAYSCALE);
        FAR_CHECK(memcmp(back, pixels, (size_t)(H * W * channels)) == 0);
        fari_free(data);
        fari_free(again);
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(palette_comes_back)
{
    static const uint8_t colours[3][3] = { { 0, 0, 0 }, { 200, 10, 30 }, { 1, 2, 255 } };
    uint8_t *data = NULL, back[H * W * 3];
    size_t bytes = 0;
    struct spng_ihdr head;
    fill(3);
    const fari_png png = {
        .pixels = pixels, .height = H, .width = W, .channels = 1, .palette = colours, .palette_count = 3
    };
    FAR_CHECK_OK(fari_png_encode(&png, &data, &bytes));
    decode(data, bytes, SPNG_FMT_RGB8, &head, back, sizeof back);
    FAR_CHECK_EQ_I64(head.color_type, SPNG_COLOR_TYPE_INDEXED);
    for (int i = 0; i < H * W; i++) FAR_CHECK(memcmp(back + 3 * i, colours[pixels[i]], 3) == 0);
    fari_free(data);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(a_file_is_written)
{
    char *content = NULL;
    uint8_t *data = NULL;
    size_t bytes = 0, content_bytes = 0;
    const char *path = test_path("x.png");
    fill(251);
    const fari_png png = { .pixels = pixels, .height = H, .width = W, .channels = 3 };
    FAR_CHECK_OK(fari_png_encode(&png, &data, &bytes));
    FAR_CHECK_OK(fari_png_write(path, &png));
    FAR_CHECK_OK(fari_file_read(path, 1 << 20, &content, &content_bytes));
    FAR_CHECK_EQ_U64(content_bytes, bytes);
    FAR_CHECK(memcmp(content, data, bytes) == 0);
    fari_free(content);
    fari_free(data);
    FAR_CHECK_STATUS(fari_png_write("/nowhere/at/all.png", &png), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "/nowhere/at/all.png");
}

FAR_TEST(what_is_refused)
{
    static const uint8_t colours[2][3] = { { 0, 0, 0 }, { 9, 9, 9 } };
    uint8_t *data = NULL;
    size_t bytes = 0;
    fill(3);
    fari_png png = { .pixels = pixels, .height = H, .width = W, .channels = 2 };
    FAR_CHECK_STATUS(fari_png_encode(&png, &data, &bytes), FAR_E_ARG);
    png.channels = 1;
    png.width = 0;
    FAR_CHECK_STATUS(fari_png_encode(&png, &data, &bytes), FAR_E_ARG);
    png.width = INT64_C(1) << 31;
    FAR_CHECK_STATUS(fari_png_encode(&png, &data, &bytes), FAR_E_ARG);
    png.width = W;
    png.palette = colours;
    png.palette_count = 2;
    FAR_CHECK_STATUS(fari_png_encode(&png, &data, &bytes), FAR_E_ARG);
    FAR_CHECK_HAS(far_error_message(), "index 2 in a palette of 2 colours");
    png.palette_count = 257;
    FAR_CHECK_STATUS(fari_png_encode(&png, &data, &bytes), FAR_E_ARG);
    FAR_CHECK(data == NULL);
}

FAR_TEST(each_allocation_may_fail)
{
    uint8_t *data = NULL;
    size_t bytes = 0;
    far_status st = FAR_E_NOMEM;
    fill(251);
    const fari_png png = { .pixels = pixels, .height = H, .width = W, .channels = 3 };
    for (int64_t nth = 0; st != FAR_OK; nth++) {
        fari_alloc_fail_after(nth);
        st = fari_png_encode(&png, &data, &bytes);
        fari_alloc_fail_after(-1);
        if (st != FAR_OK) FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
    }
    fari_free(data);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}
