#include "base/status.h"
#include "data/picture.h"
#include "data/tiff_read.h"
#include <inttypes.h>
#include <string.h>

#define WINDOW_BYTES 2048
#define SEGMENTS_MAX 100000
#define PIXELS_MAX (INT64_C(1) << 30)
/* Pixels that one byte can stand for at most. PNG: deflate's 1032 bytes of 1-bit pixels. JPEG: a block of 64 pixels takes two bits, and up to
   four blocks of it share one of the coarser channels; progressive: one bit. */
#define PNG_PIXELS_PER_BYTE (1032 * 8)
#define JPEG_PIXELS_PER_BYTE (8 * 64)

/* A window on the file's start, moved along. */
typedef struct window {
    const fari_head_source *source;
    int64_t at;
    size_t bytes;
    uint8_t data[WINDOW_BYTES];
} window;

/* `bytes` (at most WINDOW_BYTES) at `offset`. */
static far_status look(window *w, int64_t offset, size_t bytes, const uint8_t **data_out)
{
    const int64_t left = w->source->bytes - offset;
    if (offset < 0 || left < (int64_t)bytes)
        return FAR_FAIL(FAR_E_FORMAT, "%s is cut short: its header ends at byte %" PRId64, w->source->label,
                        w->source->bytes);
    if (offset < w->at || offset + (int64_t)bytes > w->at + (int64_t)w->bytes) {
        w->bytes = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
        w->at = offset;
        const far_status st = w->source->read(w->source->context, offset, w->data, w->bytes);
        if (st != FAR_OK) {
            w->bytes = 0;
            return st;
        }
    }
    *data_out = w->data + (offset - w->at);
    return FAR_OK;
}

static uint32_t big(const uint8_t *data, int bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) value = value << 8 | data[i];
    return value;
}

static uint32_t little(const uint8_t *data, int bytes)
{
    uint32_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | data[i];
    return value;
}

/* --- JPEG --- */

/* Tag 0x0112 in the first folder of EXIF's TIFF, which begins at `at` and ends at `end`. What is odd there means: not turned. */
static far_status read_orientation(window *w, int64_t at, int64_t end, int8_t *orientation_io)
{
    const uint8_t *data = NULL;
    if (end - at < 8) return FAR_OK;
    FAR_TRY(look(w, at, 8, &data));
    const bool is_little = data[0] == 'I';
    const int64_t folder = at + (is_little ? little(data + 4, 4) : big(data + 4, 4));
    if (folder > end - 2) return FAR_OK;
    FAR_TRY(look(w, folder, 2, &data));
    const int64_t count = is_little ? little(data, 2) : big(data, 2);
    for (int64_t i = 0; i < count && folder + 2 + 12 * (i + 1) <= end; i++) {
        FAR_TRY(look(w, folder + 2 + 12 * i, 12, &data));
        if ((is_little ? little(data, 2) : big(data, 2)) != 0x0112) continue;
        const uint32_t value = is_little ? little(data + 8, 2) : big(data + 8, 2);
        if (value >= 1 && value <= 8) *orientation_io = (int8_t)value;
        break;
    }
    return FAR_OK;
}

/* Two bytes for each pixel of each channel, in the channel's own resolution and whole units of blocks. A sampling that makes no sense is libjpeg's
   to refuse. */
static far_status count_coefficients(window *w, int64_t at, int64_t end, fari_picture *picture)
{
    const uint8_t *data = NULL;
    FAR_TRY(look(w, at, 6, &data));
    const int channels = data[5];
    if (end - at < 6 + 3 * channels) return FAR_OK;
    FAR_TRY(look(w, at + 6, 3 * (size_t)channels, &data));
    int most_across = 1, most_down = 1;
    for (int c = 0; c < channels; c++) {
        if (data[3 * c + 1] >> 4 > most_across) most_across = data[3 * c + 1] >> 4;
        if ((data[3 * c + 1] & 15) > most_down) most_down = data[3 * c + 1] & 15;
    }
    const int64_t units = (picture->height + 8 * most_down - 1) / (8 * most_down) *
                          ((picture->width + 8 * most_across - 1) / (8 * most_across));
    for (int c = 0; c < channels; c++)
        picture->coefficients +=
            units * (data[3 * c + 1] >> 4) * (data[3 * c + 1] & 15) * 64 * (int64_t)sizeof(int16_t);
    return FAR_OK;
}

static far_status read_frame(window *w, int64_t at, int64_t end, int marker, fari_picture *picture)
{
    const uint8_t *data = NULL;
    const char *label = w->source->label;
    if (end - at < 6) return FAR_FAIL(FAR_E_FORMAT, "%s: a JPEG frame header of %" PRId64 " bytes", label, end - at);
    FAR_TRY(look(w, at, 6, &data));
    if (data[0] != 8) return FAR_FAIL(FAR_E_UNSUPPORTED, "%s: JPEG with %d bits a channel; 8 are read", label, data[0]);
    picture->height = (int32_t)big(data + 1, 2);
    picture->width = (int32_t)big(data + 3, 2);
    if (data[5] != 1 && data[5] != 3 && data[5] != 4)
        return FAR_FAIL(FAR_E_UNSUPPORTED, "%s: JPEG with %d channels; 1, 3 and 4 are read", label, data[5]);
    picture->channels = data[5] == 1 ? 1 : 3;
    picture->is_cmyk = data[5] == 4;
    picture->bits = 8;
    picture->is_whole = marker == 0xC2;
    return picture->is_whole ? count_coefficients(w, at, end, picture) : FAR_OK;
}

static bool is_frame(int marker)
{
    return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

static far_status probe_jpeg(window *w, fari_picture *picture)
{
    const uint8_t *data = NULL;
    int64_t at = 2;
    picture->kind = FARI_PICTURE_JPEG;
    for (int64_t i = 0; i < SEGMENTS_MAX; i++) {
        FAR_TRY(look(w, at, 4, &data));
        const int marker = data[1];
        if (data[0] != 0xFF) {
            at++; /* as libjpeg: bytes between segments are passed over */
            continue;
        }
        if (marker == 0xFF || marker == 0x00 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7)) {
            at += marker == 0xFF ? 1 : 2; /* filling, or markers without a length */
            continue;
        }
        if (marker == 0xD9 || marker == 0xDA)
            return FAR_FAIL(FAR_E_FORMAT, "%s: JPEG without a frame header before byte %" PRId64, w->source->label, at);
        const int64_t length = big(data + 2, 2), end = at + 2 + length;
        if (length < 2 || end > w->source->bytes)
            return FAR_FAIL(FAR_E_FORMAT,
                            "%s is damaged or cut short: a JPEG segment at byte %" PRId64 " ends at byte %" PRId64
                            " of %" PRId64,
                            w->source->label, at, end, w->source->bytes);
        if (is_frame(marker)) return read_frame(w, at + 4, end, marker, picture);
        if (marker == 0xE1 && length >= 8) {
            FAR_TRY(look(w, at + 4, 6, &data));
            if (memcmp(data, "Exif\0\0", 6) == 0) FAR_TRY(read_orientation(w, at + 10, end, &picture->orientation));
        }
        at = end;
    }
    return FAR_FAIL(FAR_E_FORMAT, "%s: JPEG with more than %d segments before its picture", w->source->label,
                    SEGMENTS_MAX);
}

/* --- PNG --- */

static far_status probe_png(window *w, fari_picture *picture)
{
    const uint8_t *data = NULL;
    const char *label = w->source->label;
    FAR_TRY(look(w, 8, 21, &data));
    if (big(data, 4) != 13 || memcmp(data + 4, "IHDR", 4) != 0)
        return FAR_FAIL(FAR_E_FORMAT, "%s: PNG that does not begin with its header", label);
    const uint32_t width = big(data + 8, 4), height = big(data + 12, 4);
    const int bits = data[16], colour = data[17];
    const bool is_colour_known = colour == 0 || colour == 2 || colour == 3 || colour == 4 || colour == 6;
    const bool is_bits_known = bits == 8 || (bits == 16 && colour != 3) ||
                               ((bits == 1 || bits == 2 || bits == 4) && (colour == 0 || colour == 3));
    if (width > INT32_MAX || height > INT32_MAX || !is_colour_known || !is_bits_known || data[20] > 1)
        return FAR_FAIL(FAR_E_FORMAT, "%s: damaged PNG header: %u x %u pixels, colour type %d, %d bits", label, height,
                        width, colour, bits);
    *picture = (fari_picture){ .height = (int32_t)height,
                               .width = (int32_t)width,
                               .kind = FARI_PICTURE_PNG,
                               .channels = colour == 0 || colour == 4 ? 1 : 3,
                               .bits = (int8_t)bits,
                               .orientation = 1,
                               .has_palette = colour == 3,
                               .is_whole = data[20] == 1 };
    return FAR_OK;
}

/* --- both --- */

static far_status check_size(const fari_head_source *source, const fari_picture *picture)
{
    const int64_t pixels = (int64_t)picture->height * picture->width;
    const int64_t per_byte = picture->kind == FARI_PICTURE_JPEG ? JPEG_PIXELS_PER_BYTE : PNG_PIXELS_PER_BYTE;
    if (pixels < 1)
        return FAR_FAIL(FAR_E_FORMAT, "%s has %d x %d pixels: an empty picture", source->label, picture->height,
                        picture->width);
    if (pixels > PIXELS_MAX)
        return FAR_FAIL(FAR_E_UNSUPPORTED,
                        "%s has %d x %d pixels; at most 2^30 in one picture are read: cut it into parts, or make it a "
                        "tiled TIFF",
                        source->label, picture->height, picture->width);
    if (pixels / per_byte > source->bytes)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s says it has %d x %d pixels, more than its %" PRId64
                        " bytes can hold: it is cut short or made to fill the memory",
                        source->label, picture->height, picture->width, source->bytes);
    return FAR_OK;
}

far_status fari_picture_probe(const fari_head_source *source, fari_picture *picture_out)
{
    static const uint8_t png_mark[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n' };
    const uint8_t *data = NULL;
    window w = { .source = source };
    fari_picture picture = { .orientation = 1 };
    if (source->bytes < 8)
        return FAR_FAIL(FAR_E_FORMAT, "%s has %" PRId64 " bytes: no picture", source->label, source->bytes);
    FAR_TRY(look(&w, 0, 8, &data));
    if (data[0] == 0xFF && data[1] == 0xD8) FAR_TRY(probe_jpeg(&w, &picture));
    else if (memcmp(data, png_mark, sizeof png_mark) == 0) FAR_TRY(probe_png(&w, &picture));
    else if (fari_tiff_is_marked(data)) return fari_tiff_probe(source, picture_out);
    else
        return FAR_FAIL(FAR_E_FORMAT, "%s is neither JPEG nor PNG nor TIFF: it begins with %02x %02x %02x %02x",
                        source->label, data[0], data[1], data[2], data[3]);
    FAR_TRY(check_size(source, &picture));
    *picture_out = picture;
    return FAR_OK;
}

int64_t fari_picture_height(const fari_picture *picture)
{
    return picture->orientation > 4 ? picture->width : picture->height;
}

int64_t fari_picture_width(const fari_picture *picture)
{
    return picture->orientation > 4 ? picture->height : picture->width;
}
