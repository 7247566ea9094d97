#include "data/picture.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/jpeg.h"
#include "data/png_read.h"
#include "data/resize.h"
#include "data/tiff_read.h"
#include <inttypes.h>
#include <string.h>

struct fari_decoder {
    fari_jpeg *jpeg;
    fari_png_reader *png;
    fari_tiff_reader *tiff;      /* of images */
    fari_tiff_reader *tiff_maps; /* of label maps: both stay open beside each other */
    int64_t values_column;       /* of a TIFF's label map; -1: a PNG is being read */
    char *scratch;
    int64_t scratch_bytes;
};

far_status fari_decoder_create(fari_decoder **decoder_out)
{
    far_status st;
    fari_decoder *decoder = fari_calloc(1, sizeof *decoder);
    if (decoder == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a decoder");
    FAR_TRY_GOTO(fari_jpeg_create(&decoder->jpeg), destroy);
    FAR_TRY_GOTO(fari_png_create(&decoder->png), destroy);
    FAR_TRY_GOTO(fari_tiff_create(&decoder->tiff), destroy);
    FAR_TRY_GOTO(fari_tiff_create(&decoder->tiff_maps), destroy);
    *decoder_out = decoder;
    return FAR_OK;
destroy:
    fari_decoder_destroy(decoder);
    return st;
}

void fari_decoder_destroy(fari_decoder *decoder)
{
    if (decoder == NULL) return;
    fari_jpeg_destroy(decoder->jpeg);
    fari_png_destroy(decoder->png);
    fari_tiff_destroy(decoder->tiff);
    fari_tiff_destroy(decoder->tiff_maps);
    fari_free(decoder->scratch);
    fari_free(decoder);
}

static far_status reserve_scratch(fari_decoder *decoder, int64_t bytes)
{
    if (bytes <= decoder->scratch_bytes) return FAR_OK;
    char *scratch = fari_alloc((size_t)bytes);
    if (scratch == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to resize pictures: %" PRId64 " bytes", bytes);
    fari_free(decoder->scratch);
    decoder->scratch = scratch;
    decoder->scratch_bytes = bytes;
    return FAR_OK;
}

/* --- what is wanted, in the picture as it is stored --- */

/* Where pixels go: (y, x) of the stored picture's output to out[first + y * row_step + x * pixel_step]. */
typedef struct way {
    int64_t first, row_step, pixel_step;
} way;

/* EXIF: 2 mirrored, 3 turned by 180 degrees, 4 upside down; 5 to 8 the same with rows and columns exchanged before. */
static far_region stored_region(const fari_picture *picture, const far_region *seen, int64_t channels, way *way_out)
{
    const int turn = picture->orientation;
    const bool is_exchanged = turn > 4;
    const bool from_right =
        turn == 2 || turn == 3 || turn == 7 || turn == 8; /* stored columns run against what is seen */
    const bool from_below = turn == 3 || turn == 4 || turn == 6 || turn == 7;
    far_region r = *seen;
    if (is_exchanged)
        r = (far_region){ seen->x, seen->y, seen->width, seen->height, seen->out_width, seen->out_height };
    if (from_right) r.x = picture->width - r.x - r.width;
    if (from_below) r.y = picture->height - r.y - r.height;
    way w = { 0, is_exchanged ? channels : r.out_width * channels, is_exchanged ? r.out_height * channels : channels };
    if (from_right) {
        w.first += (r.out_width - 1) * w.pixel_step;
        w.pixel_step = -w.pixel_step;
    }
    if (from_below) {
        w.first += (r.out_height - 1) * w.row_step;
        w.row_step = -w.row_step;
    }
    *way_out = w;
    return r;
}

/* How far JPEG's transform reduces: to no less than twice what is wanted. What is left to the resizing then keeps photographs within 0.6 / 255
   of what resizing the whole gives, on average; reduced to the very size it would be 2 / 255. */
static int32_t eighths_for(const far_region *r)
{
    int32_t eighths = 8;
    while (eighths > 1 && r->height * eighths >= r->out_height * 32 && r->width * eighths >= r->out_width * 32)
        eighths /= 2;
    return eighths;
}

/* The box in a picture reduced so. */
static fari_resize resize_for(const fari_picture *picture, const far_region *r, int64_t channels, int32_t eighths)
{
    const double share = eighths / 8.0;
    fari_resize resize = fari_resize_of(fari_jpeg_reduced(picture->height, eighths),
                                        fari_jpeg_reduced(picture->width, eighths), channels, r);
    resize.y *= share;
    resize.x *= share;
    resize.height *= share;
    resize.width *= share;
    return resize;
}

/* --- rows of the decoders --- */

static far_status next_of_jpeg(void *context, void *row_out)
{
    return fari_jpeg_next(context, row_out);
}

static far_status next_of_png(void *context, void *row_out)
{
    return fari_png_next(context, row_out);
}

static far_status next_of_tiff(void *context, void *row_out)
{
    return fari_tiff_next(context, row_out);
}

/* Of the tiles only those that count. */
static far_status open_tiff(fari_decoder *decoder, const fari_picture_file *file, int32_t channels,
                            fari_resize *resize_io)
{
    int64_t rows;
    fari_tiff_part part;
    fari_resize_rows(resize_io, &part.row, &rows);
    fari_resize_columns(resize_io, &part.column, &part.columns);
    resize_io->x -= (double)part.column;
    resize_io->in_width = part.columns;
    return fari_tiff_begin(decoder->tiff, file, FARI_TIFF_ROWS, channels, &part);
}

static far_status open_jpeg(fari_decoder *decoder, const fari_picture_file *file, int32_t channels, int32_t eighths,
                            fari_resize *resize_io)
{
    int64_t row, rows, column, columns;
    fari_resize_rows(resize_io, &row, &rows);
    fari_resize_columns(resize_io, &column, &columns);
    fari_jpeg_part part = { eighths, (int32_t)row, (int32_t)rows, (int32_t)column, (int32_t)columns };
    FAR_TRY(fari_jpeg_begin(decoder->jpeg, file, channels, &part));
    resize_io->x -= part.column;
    resize_io->in_width = part.columns;
    return FAR_OK;
}

static far_status open_rows(fari_decoder *decoder, const fari_picture_file *file, int32_t channels, int32_t eighths,
                            fari_resize *resize_io, fari_row_source *source_out)
{
    int64_t row, rows;
    if (file->picture.kind == FARI_PICTURE_JPEG) {
        *source_out = (fari_row_source){ next_of_jpeg, decoder->jpeg, FARI_ROW_U8 };
        return open_jpeg(decoder, file, channels, eighths, resize_io);
    }
    if (file->picture.kind == FARI_PICTURE_TIFF) {
        *source_out = (fari_row_source){ next_of_tiff, decoder->tiff, fari_tiff_row_type(&file->picture) };
        return open_tiff(decoder, file, channels, resize_io);
    }
    const bool is_wide = file->picture.bits == 16;
    *source_out = (fari_row_source){ next_of_png, decoder->png, is_wide ? FARI_ROW_U16 : FARI_ROW_U8 };
    fari_resize_rows(resize_io, &row, &rows);
    return fari_png_begin(decoder->png, file, is_wide ? FARI_PNG_U16 : FARI_PNG_U8, channels, row);
}

far_status fari_decode_region(fari_decoder *decoder, const fari_picture_file *file, const far_region *region,
                              int32_t channels, float *out)
{
    way w;
    fari_row_source source;
    const far_region stored = stored_region(&file->picture, region, channels, &w);
    const int32_t eighths = file->picture.kind == FARI_PICTURE_JPEG ? eighths_for(&stored) : 8;
    fari_resize resize = resize_for(&file->picture, &stored, channels, eighths);
    FAR_TRY(open_rows(decoder, file, channels, eighths, &resize, &source));
    far_status st = reserve_scratch(decoder, fari_resize_stream_bytes(&resize, source.type));
    if (st == FAR_OK)
        st = fari_resize_stream(&resize, &source, decoder->scratch, out + w.first, w.row_step, w.pixel_step);
    fari_png_end(decoder->png);
    return st;
}

far_status fari_decode_values(fari_decoder *decoder, const fari_picture_file *file, const fari_values_part *part)
{
    decoder->values_column = -1;
    if (file->picture.kind == FARI_PICTURE_PNG)
        return fari_png_begin(decoder->png, file, part->as_colours ? FARI_PNG_COLOURS : FARI_PNG_VALUES, 1, part->row);
    if (file->picture.kind != FARI_PICTURE_TIFF)
        return FAR_FAIL(FAR_E_UNSUPPORTED, "%s: label maps in JPEG are not exact; store them as PNG or TIFF",
                        file->label);
    const fari_tiff_part of = { part->row, part->column, part->columns };
    FAR_TRY(fari_tiff_begin(decoder->tiff_maps, file, part->as_colours ? FARI_TIFF_COLOURS : FARI_TIFF_VALUES, 1, &of));
    decoder->values_column = part->column;
    return FAR_OK;
}

far_status fari_decode_values_next(fari_decoder *decoder, int32_t *row_out)
{
    if (decoder->values_column < 0) return fari_png_next(decoder->png, row_out);
    return fari_tiff_next(decoder->tiff_maps, row_out + decoder->values_column);
}

void fari_decode_values_end(fari_decoder *decoder)
{
    fari_png_end(decoder->png);
}

/* --- memory beforehand --- */

/* Of parts in the size wanted, either way round, and of wide regions that are only copied. */
static int64_t scratch_room(const fari_picture *largest, int32_t channels, int64_t out_height, int64_t out_width)
{
    const int64_t height = largest->height, width = largest->width + fari_jpeg_slack();
    const int64_t side = out_height < out_width ? out_height : out_width,
                  long_side = out_height < out_width ? out_width : out_height;
    const far_region reduced = { 0, 0, height, width, side, side };
    const far_region same = { 0, 0, height, width, height, width > long_side ? width : long_side };
    const fari_row_type type = largest->is_plain_values ? FARI_ROW_F32
                               : largest->bits >= 16    ? FARI_ROW_U16
                                                        : FARI_ROW_U8;
    const fari_resize first = fari_resize_of(height, width, channels, &reduced),
                      second = fari_resize_of(height, width, channels, &same);
    return fari_resize_stream_bytes(&first, type) + fari_resize_stream_bytes(&second, type);
}

int64_t fari_decoder_room(const fari_picture *largest, int32_t channels, int64_t out_height, int64_t out_width)
{
    return scratch_room(largest, channels, out_height, out_width) + fari_tiff_room(largest) +
           (largest->kind == FARI_PICTURE_PNG ? fari_png_room(largest) : 0);
}

far_status fari_decoder_reserve(fari_decoder *decoder, const fari_picture *largest, int32_t channels,
                                int64_t out_height, int64_t out_width)
{
    FAR_TRY(reserve_scratch(decoder, scratch_room(largest, channels, out_height, out_width)));
    if (largest->is_cmyk) FAR_TRY(fari_jpeg_reserve(decoder->jpeg, largest));
    FAR_TRY(fari_tiff_reserve(decoder->tiff, largest));
    return largest->kind == FARI_PICTURE_PNG ? fari_png_reserve(decoder->png, largest) : FAR_OK;
}

int64_t fari_decoder_values_room(const fari_picture *largest)
{
    return fari_tiff_room(largest);
}

far_status fari_decoder_values_reserve(fari_decoder *decoder, const fari_picture *largest)
{
    return fari_tiff_reserve(decoder->tiff_maps, largest);
}
