#include "data/png_read.h"
#include "base/mem.h"
#include "base/status.h"
#include <inttypes.h>
#include <spng.h>
#include <string.h>

struct fari_png_reader {
    const fari_picture_file *file;
    spng_ctx *ctx; /* of the file being read */
    fari_png_form form;
    int32_t channels;
    int32_t stored;   /* samples a pixel in the file */
    size_t row_bytes; /* as stored */
    int64_t next;     /* row */
    uint8_t *room;    /* one row as stored; of interlaced pictures all */
    int64_t room_bytes;
    struct spng_plte palette;
};

static far_status fail(const char *label, int result)
{
    if (result == SPNG_EMEM) return FAR_FAIL(FAR_E_NOMEM, "no memory to decode %s", label);
    return FAR_FAIL(FAR_E_FORMAT, "%s: the PNG is damaged or cut short: %s", label, spng_strerror(result));
}

far_status fari_png_create(fari_png_reader **reader_out)
{
    fari_png_reader *reader = fari_calloc(1, sizeof *reader);
    if (reader == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a PNG decoder");
    *reader_out = reader;
    return FAR_OK;
}

void fari_png_destroy(fari_png_reader *reader)
{
    if (reader == NULL) return;
    fari_png_end(reader);
    fari_free(reader->room);
    fari_free(reader);
}

/* At most: four samples of two bytes. */
int64_t fari_png_room(const fari_picture *picture)
{
    const int64_t row = (int64_t)picture->width * 4 * (picture->bits == 16 ? 2 : 1);
    return picture->is_whole ? row * picture->height : row;
}

far_status fari_png_reserve(fari_png_reader *reader, const fari_picture *picture)
{
    const int64_t need = fari_png_room(picture);
    if (need <= reader->room_bytes) return FAR_OK;
    uint8_t *room = fari_alloc((size_t)need);
    if (room == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory to decode a PNG of %d x %d pixels", picture->height, picture->width);
    fari_free(reader->room);
    reader->room = room;
    reader->room_bytes = need;
    return FAR_OK;
}

/* --- samples as stored to what is wanted --- */

/* Sample `i` of a row of fewer than 8 bits a sample. */
static int packed(const uint8_t *row, int64_t i, int bits)
{
    const int64_t at = i * bits;
    return row[at / 8] >> (8 - bits - at % 8) & ((1 << bits) - 1);
}

static int sample(const uint8_t *row, int64_t i, int bits)
{
    uint16_t wide;
    if (bits < 8) return packed(row, i, bits);
    if (bits == 8) return row[i];
    memcpy(&wide, row + 2 * i, sizeof wide);
    return wide;
}

static void to_bytes(const fari_png_reader *r, int64_t width, uint8_t *out)
{
    static const uint8_t factors[9] = { [1] = 255, [2] = 85, [4] = 17, [8] = 1 };
    const int bits = r->file->picture.bits;
    const bool has_palette = r->file->picture.has_palette;
    if (bits == 8 && !has_palette && r->stored == r->channels) {
        memcpy(out, r->room, (size_t)(width * r->channels));
        return;
    }
    for (int64_t x = 0; x < width; x++) {
        uint8_t *to = out + x * r->channels;
        const int first = bits == 8 ? r->room[x * r->stored] : packed(r->room, x, bits);
        if (has_palette) {
            to[0] = r->palette.entries[first].red;
            to[1] = r->palette.entries[first].green;
            to[2] = r->palette.entries[first].blue;
        } else {
            for (int32_t c = 0; c < r->channels; c++)
                to[c] = (uint8_t)((r->stored >= 3 ? r->room[x * r->stored + c] : first) * factors[bits]);
        }
    }
}

static void to_words(const fari_png_reader *r, int64_t width, uint16_t *out)
{
    for (int64_t x = 0; x < width; x++)
        for (int32_t c = 0; c < r->channels; c++)
            out[x * r->channels + c] = (uint16_t)sample(r->room, x * r->stored + (r->stored >= 3 ? c : 0), 16);
}

static int32_t colour(int red, int green, int blue)
{
    return red << 16 | green << 8 | blue;
}

static void to_values(const fari_png_reader *r, int64_t width, int32_t *out)
{
    const int bits = r->file->picture.bits, drop = bits == 16 ? 8 : 0;
    for (int64_t x = 0; x < width; x++) {
        const int64_t at = x * r->stored;
        out[x] = sample(r->room, at, bits);
        if (r->stored >= 3)
            out[x] =
                colour(out[x] >> drop, sample(r->room, at + 1, bits) >> drop, sample(r->room, at + 2, bits) >> drop);
    }
}

static void to_colours(const fari_png_reader *r, int64_t width, int32_t *out)
{
    const int bits = r->file->picture.bits;
    to_values(r, width, out);
    if (r->stored >= 3) return;
    for (int64_t x = 0; x < width; x++) {
        const int grey = bits == 16 ? out[x] >> 8 : bits < 8 ? out[x] * 255 / ((1 << bits) - 1) : out[x];
        const struct spng_plte_entry *entry = &r->palette.entries[out[x] & 255];
        out[x] =
            r->file->picture.has_palette ? colour(entry->red, entry->green, entry->blue) : colour(grey, grey, grey);
    }
}

/* --- rows --- */

static far_status check_header(fari_png_reader *r)
{
    static const int32_t samples[7] = { 1, 0, 3, 1, 2, 0, 4 }; /* by colour type */
    const fari_picture *picture = &r->file->picture;
    struct spng_ihdr head;
    int result = spng_get_ihdr(r->ctx, &head);
    if (result != 0) return fail(r->file->label, result);
    if ((int64_t)head.height != picture->height || (int64_t)head.width != picture->width ||
        head.bit_depth != picture->bits || (head.color_type == SPNG_COLOR_TYPE_INDEXED) != picture->has_palette ||
        (head.interlace_method != 0) != picture->is_whole)
        return FAR_FAIL(FAR_E_FORMAT, "%s is another picture than when the data set was opened", r->file->label);
    r->stored = samples[head.color_type];
    r->row_bytes = (size_t)(((int64_t)head.width * r->stored * head.bit_depth + 7) / 8);
    if (!picture->has_palette) return FAR_OK;
    memset(&r->palette, 0, sizeof r->palette);
    result = spng_get_plte(r->ctx, &r->palette);
    return result == 0 ? FAR_OK : fail(r->file->label, result);
}

static far_status start(fari_png_reader *r)
{
    const bool is_whole = r->file->picture.is_whole;
    int result = spng_set_png_buffer(r->ctx, r->file->data, r->file->bytes);
    if (result != 0) return fail(r->file->label, result);
    FAR_TRY(check_header(r));
    FAR_TRY(fari_png_reserve(r, &r->file->picture));
    if (is_whole)
        result = spng_decode_image(r->ctx, r->room, r->row_bytes * (size_t)r->file->picture.height, SPNG_FMT_PNG, 0);
    else result = spng_decode_image(r->ctx, NULL, 0, SPNG_FMT_PNG, SPNG_DECODE_PROGRESSIVE);
    return result == 0 ? FAR_OK : fail(r->file->label, result);
}

static far_status take_row(fari_png_reader *r)
{
    if (r->file->picture.is_whole) {
        /* the row to the front; it and those before are not needed any more */
        if (r->next > 0) memmove(r->room, r->room + (size_t)r->next * r->row_bytes, r->row_bytes);
    } else {
        const int result = spng_decode_row(r->ctx, r->room, r->row_bytes);
        if (result != 0 && result != SPNG_EOI) return fail(r->file->label, result);
    }
    r->next++;
    return FAR_OK;
}

far_status fari_png_begin(fari_png_reader *reader, const fari_picture_file *file, fari_png_form form, int32_t channels,
                          int64_t first)
{
    far_status st;
    fari_png_end(reader);
    reader->file = file;
    reader->form = form;
    reader->channels = channels;
    reader->next = 0;
    reader->ctx = spng_ctx_new(0); /* a library's memory, as zlib's inside of it */
    if (reader->ctx == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to decode %s", file->label);
    FAR_TRY_GOTO(start(reader), end);
    if (file->picture.is_whole) reader->next = first;
    while (reader->next < first) FAR_TRY_GOTO(take_row(reader), end);
    return FAR_OK;
end:
    fari_png_end(reader);
    return st;
}

far_status fari_png_next(fari_png_reader *r, void *row_out)
{
    const int64_t width = r->file->picture.width;
    FAR_TRY(take_row(r));
    switch (r->form) {
    case FARI_PNG_U8: to_bytes(r, width, row_out); break;
    case FARI_PNG_U16: to_words(r, width, row_out); break;
    case FARI_PNG_VALUES: to_values(r, width, row_out); break;
    case FARI_PNG_COLOURS: to_colours(r, width, row_out); break;
    }
    return FAR_OK;
}

void fari_png_end(fari_png_reader *reader)
{
    if (reader->ctx != NULL) spng_ctx_free(reader->ctx);
    reader->ctx = NULL;
}
