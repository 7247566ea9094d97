#include "base/file.h"
#include "base/mem.h"
#include "base/png.h"
#include "base/status.h"
#include <inttypes.h>
#include <spng.h>
#include <string.h>

#define EXTENT_MAX INT64_C(0x7fffffff) /* of the format */

static far_status check_indices(const fari_png *png)
{
    const int64_t pixels = png->height * png->width;
    uint8_t largest = 0;
    if (png->channels != 1 || png->palette_count < 1 || png->palette_count > 256)
        return FAR_FAIL(FAR_E_ARG, "PNG with a palette of %d colours and %d channels; at most 256, and one channel",
                        png->palette_count, png->channels);
    for (int64_t i = 0; i < pixels; i++)
        if (png->pixels[i] > largest) largest = png->pixels[i];
    if (largest >= png->palette_count)
        return FAR_FAIL(FAR_E_ARG, "PNG with index %d in a palette of %d colours", largest, png->palette_count);
    return FAR_OK;
}

static far_status check(const fari_png *png)
{
    if (png->channels != 1 && png->channels != 3)
        return FAR_FAIL(FAR_E_ARG, "PNG of %d channels; 1 and 3 are written", png->channels);
    if (png->height < 1 || png->width < 1 || png->height > EXTENT_MAX || png->width > EXTENT_MAX ||
        png->height > (INT64_MAX >> 4) / png->width)
        return FAR_FAIL(FAR_E_ARG, "PNG of %" PRId64 " x %" PRId64 " pixels; each has to be in [1, 2^31)", png->height,
                        png->width);
    return png->palette != NULL ? check_indices(png) : FAR_OK;
}

/* An error of libspng as ours. zlib begins by taking memory, and fails at that for no other reason once it is linked. */
static far_status spng_status(int result)
{
    if (result == 0) return FAR_OK;
    return FAR_FAIL(result == SPNG_EMEM || result == SPNG_EZLIB_INIT ? FAR_E_NOMEM : FAR_E_LIBRARY,
                    "PNG cannot be encoded: %s", spng_strerror(result));
}

static far_status set_palette(spng_ctx *ctx, const fari_png *png)
{
    struct spng_plte colours = { .n_entries = (uint32_t)png->palette_count };
    for (int32_t i = 0; i < png->palette_count; i++) {
        colours.entries[i].red = png->palette[i][0];
        colours.entries[i].green = png->palette[i][1];
        colours.entries[i].blue = png->palette[i][2];
    }
    return spng_status(spng_set_plte(ctx, &colours));
}

static far_status encode_into(spng_ctx *ctx, const fari_png *png)
{
    struct spng_ihdr head = {
        .width = (uint32_t)png->width,
        .height = (uint32_t)png->height,
        .bit_depth = 8,
        .color_type = png->palette != NULL ? SPNG_COLOR_TYPE_INDEXED
                      : png->channels == 3 ? SPNG_COLOR_TYPE_TRUECOLOR
                                           : SPNG_COLOR_TYPE_GRAYSCALE,
    };
    const size_t bytes = (size_t)(png->height * png->width * png->channels);
    FAR_TRY(spng_status(spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1)));
    FAR_TRY(spng_status(spng_set_ihdr(ctx, &head)));
    if (png->palette != NULL) FAR_TRY(set_palette(ctx, png));
    return spng_status(spng_encode_image(ctx, png->pixels, bytes, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE));
}

far_status fari_png_encode(const fari_png *png, uint8_t **data_out, size_t *bytes_out)
{
    struct spng_alloc counted = { fari_alloc, fari_realloc, fari_calloc, fari_free };
    size_t bytes = 0;
    int result = 0;
    FAR_TRY(check(png));
    spng_ctx *ctx = spng_ctx_new2(&counted, SPNG_CTX_ENCODER);
    if (ctx == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to encode a PNG");
    far_status st = encode_into(ctx, png);
    uint8_t *data = st == FAR_OK ? spng_get_png_buffer(ctx, &bytes, &result) : NULL;
    if (st == FAR_OK && data == NULL) st = spng_status(result != 0 ? result : SPNG_EMEM);
    spng_ctx_free(ctx);
    if (st != FAR_OK) return st;
    *data_out = data;
    *bytes_out = bytes;
    return FAR_OK;
}

far_status fari_png_write(const char *path, const fari_png *png)
{
    uint8_t *data = NULL;
    size_t bytes = 0;
    far_status st = fari_png_encode(png, &data, &bytes);
    if (st != FAR_OK) return fari_error_prefix(st, "%s: ", path);
    st = fari_file_write_atomic(path, data, bytes);
    fari_free(data);
    return st;
}
