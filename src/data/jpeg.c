#include "data/jpeg.h"
#include "base/mem.h"
#include "base/status.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h> /* after stdio.h */

#include <jerror.h>

#define SCANS_MAX 200 /* of a progressive picture; encoders make about ten */
/* Pixels beside the part that smoothing of the coarser channels looks at. */
#define MARGIN 4
#define BLOCK_MAX 32 /* widest unit of blocks that are coded together, pixels */

struct fari_jpeg {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    const char *label;
    bool is_damaged; /* libjpeg would go on with grey pixels */
    char why[JMSG_LENGTH_MAX];
    bool is_cmyk, is_inverted;
    uint8_t *cmyk; /* one row */
    int64_t cmyk_bytes;
};

/* --- libjpeg's messages --- */

static void on_error(j_common_ptr info)
{
    fari_jpeg *jpeg = info->client_data;
    info->err->format_message(info, jpeg->why);
    longjmp(jpeg->jump, 1);
}

/* Warnings: those after which pixels are made up are damage. Bytes too many between segments are not. */
static void on_warning(j_common_ptr info, int level)
{
    fari_jpeg *jpeg = info->client_data;
    const int code = info->err->msg_code;
    if (level >= 0 || jpeg->is_damaged) return;
    const bool is_end =
        code == JWRN_JPEG_EOF && jpeg_has_multiple_scans(&jpeg->info); /* else: just the end mark is missing */
    if (code != JWRN_HIT_MARKER && code != JWRN_HUFF_BAD_CODE && code != JWRN_ARITH_BAD_CODE &&
        code != JWRN_MUST_RESYNC && !is_end)
        return;
    jpeg->is_damaged = true;
    info->err->format_message(info, jpeg->why);
}

static void on_output(j_common_ptr info)
{
    (void)info; /* libjpeg would write to stderr */
}

static void on_progress(j_common_ptr info)
{
    fari_jpeg *jpeg = info->client_data;
    if (jpeg->info.input_scan_number <= SCANS_MAX) return;
    (void)snprintf(jpeg->why, sizeof jpeg->why, "more than %d scans", SCANS_MAX);
    longjmp(jpeg->jump, 1);
}

static far_status fail(const fari_jpeg *jpeg)
{
    const struct jpeg_error_mgr *errors = &jpeg->errors;
    if (errors->msg_code == JERR_OUT_OF_MEMORY) return FAR_FAIL(FAR_E_NOMEM, "no memory to decode %s", jpeg->label);
    return FAR_FAIL(FAR_E_FORMAT, "%s: the JPEG is damaged or cut short: %s", jpeg->label, jpeg->why);
}

/* --- life --- */

static far_status create_info(fari_jpeg *jpeg)
{
    jpeg->label = "JPEG decoder";
    if (setjmp(jpeg->jump) != 0) return fail(jpeg);
    jpeg_create_decompress(&jpeg->info);
    jpeg->info.client_data = jpeg;
    jpeg->info.progress = &jpeg->progress;
    return FAR_OK;
}

far_status fari_jpeg_create(fari_jpeg **jpeg_out)
{
    fari_jpeg *jpeg = fari_calloc(1, sizeof *jpeg);
    if (jpeg == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a JPEG decoder");
    jpeg->info.err = jpeg_std_error(&jpeg->errors);
    jpeg->info.client_data = jpeg;
    jpeg->errors.error_exit = on_error;
    jpeg->errors.emit_message = on_warning;
    jpeg->errors.output_message = on_output;
    jpeg->progress.progress_monitor = on_progress;
    const far_status st = create_info(jpeg);
    if (st != FAR_OK) {
        fari_jpeg_destroy(jpeg);
        return st;
    }
    *jpeg_out = jpeg;
    return FAR_OK;
}

void fari_jpeg_destroy(fari_jpeg *jpeg)
{
    if (jpeg == NULL) return;
    jpeg_destroy_decompress(&jpeg->info);
    fari_free(jpeg->cmyk);
    fari_free(jpeg);
}

/* --- decoding --- */

int32_t fari_jpeg_reduced(int32_t extent, int32_t eighths)
{
    return (int32_t)(((int64_t)extent * eighths + 7) / 8);
}

int32_t fari_jpeg_slack(void)
{
    return BLOCK_MAX + 2 * MARGIN;
}

int64_t fari_jpeg_room(const fari_picture *picture)
{
    return 4 * (int64_t)picture->width;
}

far_status fari_jpeg_reserve(fari_jpeg *jpeg, const fari_picture *picture)
{
    const int64_t need = fari_jpeg_room(picture);
    if (need <= jpeg->cmyk_bytes) return FAR_OK;
    uint8_t *row = fari_alloc((size_t)need);
    if (row == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to decode a JPEG %d pixels wide", picture->width);
    fari_free(jpeg->cmyk);
    jpeg->cmyk = row;
    jpeg->cmyk_bytes = need;
    return FAR_OK;
}

static J_COLOR_SPACE output_space(const fari_jpeg *jpeg, int32_t channels)
{
    const J_COLOR_SPACE stored = jpeg->info.jpeg_color_space;
    if (stored == JCS_CMYK || stored == JCS_YCCK) return JCS_CMYK;
    return channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
}

/* Opens the cut around the part: whole units of blocks across, any rows. */
static void cut(fari_jpeg *jpeg, fari_jpeg_part *part)
{
    const int32_t width = (int32_t)jpeg->info.output_width;
    int32_t first = part->column > MARGIN ? part->column - MARGIN : 0;
    int32_t end = part->column + part->columns + MARGIN < width ? part->column + part->columns + MARGIN : width;
    if (first > 0 || end < width) {
        JDIMENSION at = (JDIMENSION)first, columns = (JDIMENSION)(end - first);
        jpeg_crop_scanline(&jpeg->info, &at, &columns);
        first = (int32_t)at;
        end = first + (int32_t)columns;
    }
    part->column = first;
    part->columns = end - first;
    if (part->row > 0) (void)jpeg_skip_scanlines(&jpeg->info, (JDIMENSION)part->row);
}

static far_status begin(fari_jpeg *jpeg, const fari_picture_file *file, int32_t channels, fari_jpeg_part *part)
{
    if (setjmp(jpeg->jump) != 0) return fail(jpeg);
    jpeg_abort_decompress(&jpeg->info);
    jpeg_mem_src(&jpeg->info, file->data, (unsigned long)file->bytes);
    (void)jpeg_read_header(&jpeg->info, TRUE);
    if ((int32_t)jpeg->info.image_height != file->picture.height ||
        (int32_t)jpeg->info.image_width != file->picture.width)
        return FAR_FAIL(FAR_E_FORMAT, "%s has %u x %u pixels; when the data set was opened it had %d x %d", file->label,
                        jpeg->info.image_height, jpeg->info.image_width, file->picture.height, file->picture.width);
    jpeg->info.out_color_space = output_space(jpeg, channels);
    jpeg->is_cmyk = jpeg->info.out_color_space == JCS_CMYK;
    jpeg->is_inverted = jpeg->info.saw_Adobe_marker;
    jpeg->info.scale_num = (unsigned)part->eighths;
    jpeg->info.scale_denom = 8;
    (void)jpeg_start_decompress(&jpeg->info);
    cut(jpeg, part);
    return FAR_OK;
}

far_status fari_jpeg_begin(fari_jpeg *jpeg, const fari_picture_file *file, int32_t channels, fari_jpeg_part *part_io)
{
    jpeg->label = file->label;
    jpeg->is_damaged = false;
    FAR_TRY(begin(jpeg, file, channels, part_io));
    if (jpeg->is_damaged) return fail(jpeg);
    if (jpeg->is_cmyk) FAR_TRY(fari_jpeg_reserve(jpeg, &file->picture));
    return FAR_OK;
}

/* As Pillow's convert("RGB"): what is left of the black's complement; Adobe's files hold complements. */
static void rgb_of_cmyk(const uint8_t *cmyk, int32_t pixels, bool is_inverted, uint8_t *rgb_out)
{
    const int flip = is_inverted ? 255 : 0;
    for (int32_t i = 0; i < pixels; i++) {
        const int white = 255 - (cmyk[4 * i + 3] ^ flip);
        for (int c = 0; c < 3; c++) {
            const int product = (cmyk[4 * i + c] ^ flip) * white + 128;
            const int left = white - (((product >> 8) + product) >> 8);
            rgb_out[3 * i + c] = (uint8_t)(left > 0 ? left : 0);
        }
    }
}

static far_status read_row(fari_jpeg *jpeg, uint8_t *row)
{
    if (setjmp(jpeg->jump) != 0) return fail(jpeg);
    if (jpeg_read_scanlines(&jpeg->info, &row, 1) != 1)
        return FAR_FAIL(FAR_E_FORMAT, "%s: the JPEG ends early", jpeg->label);
    return FAR_OK;
}

far_status fari_jpeg_next(fari_jpeg *jpeg, uint8_t *row_out)
{
    FAR_TRY(read_row(jpeg, jpeg->is_cmyk ? jpeg->cmyk : row_out));
    if (jpeg->is_damaged) return fail(jpeg);
    if (jpeg->is_cmyk) rgb_of_cmyk(jpeg->cmyk, (int32_t)jpeg->info.output_width, jpeg->is_inverted, row_out);
    return FAR_OK;
}
