/* Rows of TIFF files: bands of tiles, cut to the columns that are wanted. Strips are read row by row, so that a strip may be as large as the
   picture; rows of strips that are not compressed are read where they lie. */
#include "data/tiff_read.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/tiff_priv.h"
#include <inttypes.h>
#include <string.h>

int64_t fari_tiff_room(const fari_picture *picture)
{
    return picture->band_bytes + picture->tile_bytes;
}

#ifdef FARI_HAS_TIFF
#include <tiffio.h>

/* One way into the file; strips that hold one plane each have one for each plane, so that decoding goes on where it was. */
typedef struct way_in {
    tiff_port port;
    TIFF *tiff;
    int64_t next_row; /* of strips: that is decoded next; -1: none */
} way_in;

/* Decoded samples: rows [row, row + rows), columns [column, column + columns). [rows][columns][stored]. */
typedef struct band {
    uint8_t *data;
    int64_t bytes; /* of the block */
    int64_t row, rows, column, columns;
} band;

struct fari_tiff_reader {
    const fari_picture_file *file; /* being read */
    fari_head_source source;       /* its bytes */
    int64_t id;                    /* of the file that is open; 0: unknown */
    way_in in[TIFF_PLANES_MAX];
    tiff_layout layout;
    uint8_t palette[256][3];
    band band;
    uint8_t *tile;
    int64_t tile_bytes;
    fari_tiff_form form;
    int32_t channels;
    fari_tiff_part part;
    int64_t next, decoded;
};

/* --- life --- */

far_status fari_tiff_create(fari_tiff_reader **reader_out)
{
    fari_tiff_reader *reader = fari_calloc(1, sizeof *reader);
    if (reader == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a TIFF decoder");
    *reader_out = reader;
    return FAR_OK;
}

static void close_file(fari_tiff_reader *r)
{
    for (int i = 0; i < TIFF_PLANES_MAX; i++) {
        tiff_file_close(r->in[i].tiff);
        r->in[i].tiff = NULL;
    }
    r->id = 0;
    r->band.rows = 0;
}

void fari_tiff_destroy(fari_tiff_reader *reader)
{
    if (reader == NULL) return;
    close_file(reader);
    fari_free(reader->band.data);
    fari_free(reader->tile);
    fari_free(reader);
}

int64_t fari_tiff_decoded(const fari_tiff_reader *reader)
{
    return reader->decoded;
}

static far_status grow(const char *label, uint8_t **block_io, int64_t *have_io, int64_t need)
{
    if (need <= *have_io) return FAR_OK;
    uint8_t *block = fari_alloc((size_t)need);
    if (block == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory to decode %s: %" PRId64 " bytes for its tiles", label, need);
    fari_free(*block_io);
    *block_io = block;
    *have_io = need;
    return FAR_OK;
}

far_status fari_tiff_reserve(fari_tiff_reader *reader, const fari_picture *picture)
{
    reader->band.rows = 0; /* its block may become another */
    FAR_TRY(grow("TIFF pictures", &reader->band.data, &reader->band.bytes, picture->band_bytes));
    return grow("TIFF pictures", &reader->tile, &reader->tile_bytes, picture->tile_bytes);
}

/* --- opening --- */

static far_status take_palette(fari_tiff_reader *r)
{
    uint16_t *red = NULL, *green = NULL, *blue = NULL;
    if (TIFFGetField(r->in[0].tiff, TIFFTAG_COLORMAP, &red, &green, &blue) == 0)
        return FAR_FAIL(FAR_E_FORMAT, "%s: a TIFF with a palette that is not there", r->file->label);
    for (int i = 0; i < 256; i++) {
        r->palette[i][0] = (uint8_t)(red[i] >> 8);
        r->palette[i][1] = (uint8_t)(green[i] >> 8);
        r->palette[i][2] = (uint8_t)(blue[i] >> 8);
    }
    return FAR_OK;
}

/* The picture is still what it was when it was looked at. */
static bool is_as_probed(const tiff_layout *l, const fari_picture *picture)
{
    const int32_t channels = l->has_palette ? 3 : l->channels;
    return l->height == picture->height && l->width == picture->width && l->bits == picture->bits &&
           channels == picture->channels && l->has_palette == picture->has_palette &&
           (l->sample == TIFF_OF_FLOAT) == picture->is_float && l->orientation == picture->orientation &&
           (l->sample != TIFF_OF_UINT || l->bits > 16) == picture->is_plain_values;
}

static far_status open_way(fari_tiff_reader *r, int32_t plane)
{
    way_in *in = &r->in[plane];
    tiff_layout layout;
    if (in->tiff != NULL) return FAR_OK;
    void *tiff = NULL;
    FAR_TRY(tiff_file_open(&in->port, &r->source, &tiff));
    in->tiff = tiff;
    in->next_row = -1;
    FAR_TRY(tiff_layout_of(tiff, &in->port, &layout));
    if (plane == 0) r->layout = layout;
    if (layout.tile_bytes == r->layout.tile_bytes && layout.tile_height == r->layout.tile_height &&
        is_as_probed(&layout, &r->file->picture))
        return FAR_OK;
    return FAR_FAIL(FAR_E_FORMAT, "%s is another picture than when the data set was opened", r->file->label);
}

static far_status open_file(fari_tiff_reader *r)
{
    if (r->in[0].tiff != NULL && r->id != 0 && r->id == r->file->id) return FAR_OK;
    close_file(r);
    far_status st = open_way(r, 0);
    if (st == FAR_OK && r->layout.has_palette) st = take_palette(r);
    if (st == FAR_OK) st = grow(r->file->label, &r->tile, &r->tile_bytes, r->layout.tile_bytes);
    if (st != FAR_OK) close_file(r);
    else r->id = r->file->id;
    return st;
}

/* --- tiles and strips --- */

static far_status damaged(const fari_tiff_reader *r, const way_in *in, int64_t number, int64_t row, int64_t column)
{
    const tiff_layout *l = &r->layout;
    const char *what = l->is_tiled ? "tile" : "strip";
    if (in->port.st != FAR_OK) return in->port.st;
    return FAR_FAIL(FAR_E_FORMAT,
                    "%s: %s %" PRId64 " of the TIFF (%" PRId64 " x %" PRId64 " pixels from row %" PRId64
                    ", column %" PRId64 " on) is damaged: %s; write the file again",
                    r->file->label, what, number, l->tile_height, l->tile_width, row, column,
                    in->port.words[0] != '\0' ? in->port.words : "it holds less than it should");
}

/* Where a tile lies; *bytes_out 0: nowhere, it is all zeros. */
static far_status place_of(fari_tiff_reader *r, way_in *in, int64_t number, int64_t *at_out, int64_t *bytes_out)
{
    int failed = 0;
    const uint64_t at = TIFFGetStrileOffsetWithErr(in->tiff, (uint32_t)number, &failed);
    const uint64_t bytes = failed != 0 ? 0 : TIFFGetStrileByteCountWithErr(in->tiff, (uint32_t)number, &failed);
    const uint64_t end = (uint64_t)r->source.bytes;
    const char *what = r->layout.is_tiled ? "tile" : "strip";
    *at_out = *bytes_out = 0;
    if (in->port.st != FAR_OK) return in->port.st;
    if (failed != 0)
        return FAR_FAIL(
            FAR_E_FORMAT, "%s: the TIFF does not say where its %s %" PRId64 " lies (%s); write the file again",
            r->file->label, what, number, in->port.words[0] != '\0' ? in->port.words : "its table is cut short");
    if (at == 0 && bytes == 0) return FAR_OK;
    if (at > end || bytes > end - at)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s: %s %" PRId64 " of the TIFF should lie at bytes %" PRIu64 " to %" PRIu64
                        ", but the file ends at byte %" PRIu64 ": it is cut short or damaged; copy or write it again",
                        r->file->label, what, number, at, at + bytes, end);
    if (bytes == 0)
        return FAR_FAIL(FAR_E_FORMAT, "%s: %s %" PRId64 " of the TIFF is empty: the file was not written to its end",
                        r->file->label, what, number);
    *at_out = (int64_t)at;
    *bytes_out = (int64_t)bytes;
    return FAR_OK;
}

/* --- into the band --- */

/* Columns [column, column + columns) of a decoded row, one plane or all samples, to a row of the band. */
static void put_row(const fari_tiff_reader *r, const uint8_t *from, int64_t column, int64_t columns, int32_t plane,
                    uint8_t *to)
{
    const tiff_layout *l = &r->layout;
    const size_t sample = (size_t)tiff_sample_bytes(l), pixel = sample * (size_t)l->stored;
    if (l->bits == 1) {
        for (int64_t x = 0; x < columns; x++) to[x] = from[(column + x) / 8] >> (7 - (column + x) % 8) & 1;
    } else if (!l->is_planar) {
        memcpy(to, from + (size_t)column * pixel, (size_t)columns * pixel);
    } else {
        from += (size_t)column * sample;
        to += (size_t)plane * sample;
        for (int64_t x = 0; x < columns; x++) memcpy(to + (size_t)x * pixel, from + (size_t)x * sample, sample);
    }
}

static size_t decoded_row_bytes(const tiff_layout *l)
{
    const int64_t bits = l->tile_width * l->bits * (l->is_planar ? 1 : l->stored);
    return (size_t)((bits + 7) / 8);
}

static far_status decode_tile(fari_tiff_reader *r, int64_t row, int64_t column, int32_t plane)
{
    const tiff_layout *l = &r->layout;
    way_in *in = &r->in[0];
    int64_t at = 0, bytes = 0;
    const uint32_t number = TIFFComputeTile(in->tiff, (uint32_t)column, (uint32_t)row, 0, (uint16_t)plane);
    in->port.words[0] = '\0';
    FAR_TRY(place_of(r, in, number, &at, &bytes));
    r->decoded++;
    if (bytes == 0) memset(r->tile, 0, (size_t)l->tile_bytes);
    else if (TIFFReadEncodedTile(in->tiff, number, r->tile, (tmsize_t)l->tile_bytes) != (tmsize_t)l->tile_bytes)
        return damaged(r, in, number, row, column);
    return FAR_OK;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* One tile, its part inside the band. */
static far_status fill_from_tile(fari_tiff_reader *r, int64_t tile_column, int32_t plane)
{
    const tiff_layout *l = &r->layout;
    band *b = &r->band;
    const size_t row_bytes = decoded_row_bytes(l), pixel = (size_t)(tiff_sample_bytes(l) * l->stored);
    const int64_t left = tile_column > b->column ? tile_column : b->column;
    const int64_t right = least(tile_column + l->tile_width, b->column + b->columns);
    FAR_TRY(decode_tile(r, b->row, tile_column, plane));
    for (int64_t y = 0; y < b->rows; y++)
        put_row(r, r->tile + (size_t)y * row_bytes, left - tile_column, right - left, plane,
                b->data + ((size_t)(y * b->columns) + (size_t)(left - b->column)) * pixel);
    return FAR_OK;
}

static far_status fill_tiles(fari_tiff_reader *r, int64_t row)
{
    const tiff_layout *l = &r->layout;
    band *b = &r->band;
    const int32_t planes = l->is_planar ? l->channels : 1;
    b->row = row / l->tile_height * l->tile_height;
    const int64_t rows = least(l->tile_height, l->height - b->row);
    b->rows = rows;
    far_status st = FAR_OK;
    for (int64_t x = b->column / l->tile_width * l->tile_width; x < b->column + b->columns; x += l->tile_width)
        for (int32_t p = 0; p < planes && st == FAR_OK; p++) st = fill_from_tile(r, x, p);
    if (st != FAR_OK) b->rows = 0;
    return st;
}

/* --- strips --- */

static void swap_bytes(uint8_t *data, int64_t samples, int64_t bytes)
{
    if (bytes == 2) TIFFSwabArrayOfShort((void *)data, (tmsize_t)samples);
    if (bytes == 4) TIFFSwabArrayOfLong((void *)data, (tmsize_t)samples);
    if (bytes == 8) TIFFSwabArrayOfLong8((void *)data, (tmsize_t)samples);
}

/* Columns of a row that lie in the file as they are. 1 bit: the whole row. */
static far_status read_plain_row(fari_tiff_reader *r, way_in *in, int64_t number, int64_t row, int32_t plane)
{
    const tiff_layout *l = &r->layout;
    band *b = &r->band;
    const int64_t first = number % ((l->height + l->tile_height - 1) / l->tile_height) * l->tile_height;
    const int64_t row_bytes = (int64_t)decoded_row_bytes(l), sample = tiff_sample_bytes(l);
    const int64_t pixel = sample * (l->is_planar ? 1 : l->stored);
    const int64_t skip = l->bits == 1 ? 0 : b->column * pixel, want = l->bits == 1 ? row_bytes : b->columns * pixel;
    int64_t at = 0, bytes = 0;
    FAR_TRY(place_of(r, in, number, &at, &bytes));
    const int64_t from = (row - first) * row_bytes + skip;
    if (bytes == 0) memset(r->tile, 0, (size_t)want);
    else if (from + want > bytes) return damaged(r, in, number, first, 0);
    else FAR_TRY(r->source.read(r->source.context, at + from, r->tile, (size_t)want));
    if (TIFFIsByteSwapped(in->tiff) != 0) swap_bytes(r->tile, want / sample, sample);
    put_row(r, r->tile, l->bits == 1 ? b->column : 0, b->columns, plane, b->data);
    return FAR_OK;
}

/* A row of a compressed strip: decoding goes on, or begins at the strip's first row. */
static far_status read_packed_row(fari_tiff_reader *r, way_in *in, int64_t number, int64_t row, int32_t plane)
{
    const tiff_layout *l = &r->layout;
    band *b = &r->band;
    const int64_t first = row / l->tile_height * l->tile_height;
    int64_t at = 0, bytes = 0;
    if (in->next_row <= first || in->next_row > row) {
        FAR_TRY(place_of(r, in, number, &at, &bytes));
        in->next_row = bytes > 0 ? first : -1;
    }
    if (in->next_row < 0) memset(r->tile, 0, (size_t)l->tile_bytes); /* all zeros */
    else
        for (; in->next_row <= row; in->next_row++) {
            if (TIFFReadScanline(in->tiff, r->tile, (uint32_t)in->next_row, (uint16_t)plane) == 1) continue;
            in->next_row = -1;
            return damaged(r, in, number, first, 0);
        }
    put_row(r, r->tile, b->column, b->columns, plane, b->data);
    return FAR_OK;
}

static far_status fill_row(fari_tiff_reader *r, int64_t row)
{
    const tiff_layout *l = &r->layout;
    const int32_t planes = l->is_planar ? l->channels : 1;
    r->band.rows = 0;
    for (int32_t p = 0; p < planes; p++) {
        FAR_TRY(open_way(r, p));
        way_in *in = &r->in[p];
        const uint32_t number = TIFFComputeStrip(in->tiff, (uint32_t)row, (uint16_t)p);
        in->port.words[0] = '\0';
        uint16_t fill = FILLORDER_MSB2LSB;
        (void)TIFFGetFieldDefaulted(in->tiff, TIFFTAG_FILLORDER, &fill);
        if (l->is_plain && fill == FILLORDER_MSB2LSB) FAR_TRY(read_plain_row(r, in, number, row, p));
        else FAR_TRY(read_packed_row(r, in, number, row, p));
        r->decoded++;
    }
    r->band.row = row;
    r->band.rows = 1;
    return FAR_OK;
}

/* --- samples to what is wanted --- */

static double sample_of(const tiff_layout *l, const uint8_t *from)
{
    union {
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        float f32;
        double f64;
    } v = { 0 };
    memcpy(&v, from, (size_t)tiff_sample_bytes(l));
    if (l->bits <= 8) return l->sample == TIFF_OF_INT ? (double)(int8_t)from[0] : (double)from[0];
    if (l->bits == 16) return l->sample == TIFF_OF_INT ? (double)v.i16 : (double)v.u16;
    if (l->bits == 64) return v.f64;
    return l->sample == TIFF_OF_FLOAT ? (double)v.f32 : l->sample == TIFF_OF_INT ? (double)v.i32 : (double)v.u32;
}

static void to_bytes(const fari_tiff_reader *r, const uint8_t *from, uint8_t *out)
{
    const tiff_layout *l = &r->layout;
    const uint8_t turned = l->is_inverted ? 255 : 0, factor = l->bits == 1 ? 255 : 1;
    if (l->bits == 8 && !l->has_palette && l->stored == r->channels && !l->is_inverted) {
        memcpy(out, from, (size_t)(r->part.columns * r->channels));
        return;
    }
    for (int64_t x = 0; x < r->part.columns; x++, from += l->stored)
        for (int32_t c = 0; c < r->channels; c++)
            *out++ = l->has_palette ? r->palette[from[0]][c]
                                    : (uint8_t)((uint8_t)(from[l->channels == 1 ? 0 : c] * factor) ^ turned);
}

static void to_words(const fari_tiff_reader *r, const uint8_t *from, uint16_t *out)
{
    const tiff_layout *l = &r->layout;
    const uint16_t turned = l->is_inverted ? 65535 : 0;
    for (int64_t x = 0; x < r->part.columns; x++, from += 2 * l->stored)
        for (int32_t c = 0; c < r->channels; c++) {
            uint16_t word;
            memcpy(&word, from + (l->channels == 1 ? 0 : 2 * c), sizeof word);
            *out++ = word ^ turned;
        }
}

static void to_floats(const fari_tiff_reader *r, const uint8_t *from, float *out)
{
    const tiff_layout *l = &r->layout;
    const int64_t bytes = tiff_sample_bytes(l);
    if (l->sample == TIFF_OF_FLOAT && l->bits == 32 && l->stored == r->channels) {
        memcpy(out, from, (size_t)(r->part.columns * r->channels) * sizeof *out);
        return;
    }
    for (int64_t x = 0; x < r->part.columns; x++, from += bytes * l->stored)
        for (int32_t c = 0; c < r->channels; c++)
            *out++ = (float)sample_of(l, from + (l->channels == 1 ? 0 : bytes * c));
}

static int32_t colour_of(const fari_tiff_reader *r, const uint8_t *from)
{
    const tiff_layout *l = &r->layout;
    int32_t colour = 0; /* samples are unsigned and of at most 16 bits: check_form */
    for (int32_t c = 0; c < 3; c++) {
        int32_t part = l->has_palette ? r->palette[from[0]][c]
                                      : (int32_t)sample_of(l, from + (l->channels < 3 ? 0 : tiff_sample_bytes(l) * c));
        if (l->bits == 1) part *= 255;
        colour = colour << 8 | (l->bits == 16 ? part >> 8 : part);
    }
    return colour;
}

static far_status to_labels(const fari_tiff_reader *r, const uint8_t *from, int32_t *out)
{
    const tiff_layout *l = &r->layout;
    const int64_t pixel = tiff_sample_bytes(l) * l->stored;
    const bool is_colour = r->form == FARI_TIFF_COLOURS || l->channels >= 3;
    for (int64_t x = 0; x < r->part.columns; x++, from += pixel) {
        const double value = is_colour ? colour_of(r, from) : sample_of(l, from);
        if (value > INT32_MAX)
            return FAR_FAIL(FAR_E_FORMAT,
                            "%s: label %.0f at row %" PRId64 ", column %" PRId64 " is too large for a class",
                            r->file->label, value, r->next, r->part.column + x);
        out[x] = (int32_t)value;
    }
    return FAR_OK;
}

/* --- rows --- */

static far_status prepare_band(fari_tiff_reader *r, const fari_tiff_part *part)
{
    const tiff_layout *l = &r->layout;
    band *b = &r->band;
    const int64_t rows = l->is_tiled ? least(l->tile_height, l->height) : 1;
    const uint8_t *before = b->data;
    FAR_TRY(grow(r->file->label, &b->data, &b->bytes, rows * part->columns * l->stored * tiff_sample_bytes(l)));
    if (b->data == before && b->column == part->column && b->columns == part->columns) return FAR_OK;
    b->rows = 0;
    b->column = part->column;
    b->columns = part->columns;
    return FAR_OK;
}

/* Label maps hold whole numbers, or colours of the usual kinds. */
static far_status check_form(const fari_tiff_reader *r, fari_tiff_form form)
{
    const tiff_layout *l = &r->layout;
    const bool is_colour = form == FARI_TIFF_COLOURS || (form == FARI_TIFF_VALUES && l->channels >= 3);
    if (form == FARI_TIFF_ROWS || (!is_colour && l->sample != TIFF_OF_FLOAT) ||
        (is_colour && l->sample == TIFF_OF_UINT && l->bits <= 16))
        return FAR_OK;
    return FAR_FAIL(FAR_E_UNSUPPORTED,
                    "%s: a label map of %s with %d bits; colours have unsigned 8 or 16, classes are whole numbers",
                    r->file->label, is_colour ? "colours" : "floating-point numbers", l->bits);
}

static far_status read_memory(const void *context, int64_t offset, void *out, size_t bytes)
{
    memcpy(out, (const uint8_t *)context + offset, bytes); /* inside of it: checked by those who ask */
    return FAR_OK;
}

far_status fari_tiff_begin(fari_tiff_reader *r, const fari_picture_file *file, fari_tiff_form form, int32_t channels,
                           const fari_tiff_part *part)
{
    r->file = file;
    r->source = file->source;
    if (r->source.read == NULL)
        r->source = (fari_head_source){ read_memory, file->data, (int64_t)file->bytes, file->label };
    FAR_TRY(open_file(r));
    for (int i = 0; i < TIFF_PLANES_MAX; i++) r->in[i].port.st = FAR_OK;
    FAR_TRY(check_form(r, form));
    FAR_TRY(prepare_band(r, part));
    r->form = form;
    r->channels = channels;
    r->part = *part;
    r->next = part->row;
    return FAR_OK;
}

far_status fari_tiff_next(fari_tiff_reader *r, void *row_out)
{
    const tiff_layout *l = &r->layout;
    const band *b = &r->band;
    if (r->next < b->row || r->next >= b->row + b->rows)
        FAR_TRY(l->is_tiled ? fill_tiles(r, r->next) : fill_row(r, r->next));
    const uint8_t *from =
        b->data + (size_t)((r->next - b->row) * b->columns) * (size_t)(tiff_sample_bytes(l) * l->stored);
    if (r->form != FARI_TIFF_ROWS) FAR_TRY(to_labels(r, from, row_out));
    else if (fari_tiff_row_type(&r->file->picture) == FARI_ROW_F32) to_floats(r, from, row_out);
    else if (l->bits == 16) to_words(r, from, row_out);
    else to_bytes(r, from, row_out);
    r->next++;
    return FAR_OK;
}

#else

struct fari_tiff_reader {
    int none;
};

far_status fari_tiff_create(fari_tiff_reader **reader_out)
{
    *reader_out = NULL;
    return FAR_OK;
}

void fari_tiff_destroy(fari_tiff_reader *reader)
{
    (void)reader;
}

far_status fari_tiff_reserve(fari_tiff_reader *reader, const fari_picture *picture)
{
    (void)reader;
    (void)picture;
    return FAR_OK;
}

/* No picture of this kind comes through fari_tiff_probe. */
far_status fari_tiff_begin(fari_tiff_reader *reader, const fari_picture_file *file, fari_tiff_form form,
                           int32_t channels, const fari_tiff_part *part)
{
    fari_picture picture;
    (void)reader;
    (void)form;
    (void)channels;
    (void)part;
    return fari_tiff_probe(&file->source, &picture);
}

far_status fari_tiff_next(fari_tiff_reader *reader, void *row_out)
{
    (void)reader;
    (void)row_out;
    return FAR_FAIL(FAR_E_UNSUPPORTED, "built without libtiff");
}

int64_t fari_tiff_decoded(const fari_tiff_reader *reader)
{
    (void)reader;
    return 0;
}

#endif
