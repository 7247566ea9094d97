/* Writing tiled BigTIFFs from rows that come from top to bottom: a row of tiles is held, nothing else of the picture. */
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include <farandole/picture.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#ifdef FARI_HAS_TIFF
#include <tiffio.h>

#define TILE_DEFAULT 256
#define TILE_UNIT 16 /* sides are multiples of it, as the format asks for */
#define TILE_MAX 4096
#define CHANNELS_MAX 65535
#define WORDS 200

struct far_tiff {
    char *path, *temporary;
    int fd;
    int64_t at, end; /* of the file that is written */
    TIFF *tiff;
    far_tiff_opts o;
    int64_t sample_bytes, rows; /* rows: taken so far */
    uint8_t *band, *tile;       /* [tile][width][channels], [tile][tile][channels] */
    far_status status;          /* of the first thing that failed */
    char words[WORDS];          /* libtiff's own */
};

static const struct {
    int64_t bytes;
    uint16_t format, predictor;
} types[] = {
    [FAR_TIFF_U8] = { 1, SAMPLEFORMAT_UINT, PREDICTOR_NONE },
    [FAR_TIFF_U16] = { 2, SAMPLEFORMAT_UINT, PREDICTOR_HORIZONTAL },
    [FAR_TIFF_I32] = { 4, SAMPLEFORMAT_INT, PREDICTOR_NONE },
    [FAR_TIFF_F32] = { 4, SAMPLEFORMAT_IEEEFP, PREDICTOR_FLOATINGPOINT },
};

/* --- through which libtiff writes --- */

static tmsize_t no_read(thandle_t handle, void *out, tmsize_t bytes)
{
    (void)handle;
    (void)out;
    (void)bytes;
    return -1;
}

static tmsize_t put(thandle_t handle, void *data, tmsize_t bytes)
{
    far_tiff *t = handle;
    const far_status st = fari_file_write_at(t->fd, t->temporary, t->at, data, (size_t)bytes);
    if (st != FAR_OK) {
        if (t->status == FAR_OK) t->status = st;
        return -1;
    }
    t->at += bytes;
    if (t->at > t->end) t->end = t->at;
    return bytes;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence)
{
    far_tiff *t = handle;
    const int64_t from = whence == SEEK_CUR ? t->at : whence == SEEK_END ? t->end : 0;
    t->at = from + (int64_t)offset;
    return (toff_t)t->at;
}

static int no_close(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t size(thandle_t handle)
{
    const far_tiff *t = handle;
    return (toff_t)t->end;
}

__attribute__((format(printf, 4, 0))) static int keep_words(TIFF *tiff, void *context, const char *module,
                                                            const char *format, va_list list)
{
    far_tiff *t = context;
    (void)tiff;
    (void)module;
    if (t->words[0] == '\0') (void)vsnprintf(t->words, sizeof t->words, format, list);
    return 1;
}

/* --- beginning --- */

static far_status check_opts(const char *path, const far_tiff_opts *o)
{
    const bool has_type = (size_t)o->type < FAR_COUNT(types);
    if (has_type && o->height >= 1 && o->width >= 1 && o->height <= INT32_MAX && o->width <= INT32_MAX &&
        o->channels >= 1 && o->channels <= CHANNELS_MAX && o->tile >= TILE_UNIT && o->tile <= TILE_MAX &&
        o->tile % TILE_UNIT == 0 && o->width <= INT64_MAX / 8 / o->tile / o->channels)
        return FAR_OK;
    return FAR_FAIL(FAR_E_ARG,
                    "%s: a TIFF of %" PRId64 " x %" PRId64
                    " x %d in tiles of %d; sides of tiles are multiples of 16 up to %d",
                    path, o->height, o->width, o->channels, o->tile, TILE_MAX);
}

static void set_colours(far_tiff *t)
{
    static const int32_t count = 256;
    uint16_t rgb[3][256];
    if (!t->o.is_classes || t->o.type != FAR_TIFF_U8 || t->o.channels != 1) {
        (void)TIFFSetField(t->tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        uint8_t colour[3];
        far_class_colour(i, colour);
        for (int c = 0; c < 3; c++) rgb[c][i] = (uint16_t)(colour[c] * 257);
    }
    (void)TIFFSetField(t->tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_PALETTE);
    (void)TIFFSetField(t->tiff, TIFFTAG_COLORMAP, rgb[0], rgb[1], rgb[2]);
}

static bool set_tags(far_tiff *t)
{
    const far_tiff_opts *o = &t->o;
    TIFF *tiff = t->tiff;
    bool is_set = TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, (uint32_t)o->height) != 0 &&
                  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, (uint32_t)o->width) != 0 &&
                  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, o->channels) != 0 &&
                  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, (int)(8 * t->sample_bytes)) != 0 &&
                  TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, types[o->type].format) != 0 &&
                  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) != 0 &&
                  TIFFSetField(tiff, TIFFTAG_TILELENGTH, (uint32_t)o->tile) != 0 &&
                  TIFFSetField(tiff, TIFFTAG_TILEWIDTH, (uint32_t)o->tile) != 0;
    set_colours(t);
    if (o->channels > 1) {
        uint16_t *extra = fari_calloc((size_t)o->channels, sizeof *extra); /* 0: channels of no kind */
        if (extra == NULL) return false;
        is_set = TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, o->channels - 1, extra) != 0 && is_set;
        fari_free(extra);
    }
    if (TIFFIsCODECConfigured(COMPRESSION_ADOBE_DEFLATE) == 0) return is_set;
    is_set = TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE) != 0 && is_set;
    is_set = TIFFSetField(tiff, TIFFTAG_ZIPQUALITY, 1) != 0 && is_set; /* quick: maps of classes pack well anyhow */
    return TIFFSetField(tiff, TIFFTAG_PREDICTOR, types[o->type].predictor) != 0 && is_set;
}

static far_status open_library(far_tiff *t)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (options == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to write %s", t->path);
    TIFFOpenOptionsSetErrorHandlerExtR(options, keep_words, t);
    TIFFOpenOptionsSetWarningHandlerExtR(options, keep_words, t);
    t->tiff = TIFFClientOpenExt(t->temporary, "w8", t, no_read, put, seek, no_close, size, NULL, NULL, options);
    TIFFOpenOptionsFree(options);
    if (t->tiff != NULL && set_tags(t)) return FAR_OK;
    if (t->status != FAR_OK) return t->status;
    return FAR_FAIL(FAR_E_IO, "cannot write %s: %s", t->path, t->words[0] != '\0' ? t->words : "no memory");
}

static void tiff_free(far_tiff *t, bool is_removed)
{
    if (t->fd >= 0) (void)close(t->fd);
    if (is_removed && t->temporary != NULL) (void)unlink(t->temporary);
    fari_free(t->band);
    fari_free(t->tile);
    fari_free(t->path);
    fari_free(t->temporary);
    fari_free(t);
}

int64_t far_tiff_memory(const far_tiff_opts *opts)
{
    const int64_t tile = opts->tile > 0 ? opts->tile : TILE_DEFAULT;
    return tile * (opts->width + tile) * opts->channels * types[opts->type].bytes;
}

far_status far_tiff_create(const char *path, const far_tiff_opts *opts, far_tiff **tiff_out)
{
    far_tiff_opts o = *opts;
    if (o.tile == 0) o.tile = TILE_DEFAULT;
    FAR_TRY(check_opts(path, &o));
    far_tiff *t = fari_calloc(1, sizeof *t);
    if (t == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to write %s", path);
    t->fd = -1;
    t->o = o;
    t->sample_bytes = types[o.type].bytes;
    t->path = fari_strdup(path);
    t->temporary = fari_printf("%s.tmp%ld", path, (long)getpid());
    t->band = fari_calloc((size_t)(o.tile * o.width), (size_t)(o.channels * t->sample_bytes));
    t->tile = fari_calloc((size_t)o.tile * (size_t)o.tile, (size_t)(o.channels * t->sample_bytes));
    const bool has_all = t->path != NULL && t->temporary != NULL && t->band != NULL && t->tile != NULL;
    far_status st = has_all ? FAR_OK : FAR_FAIL(FAR_E_NOMEM, "no memory to write %s", path);
    if (st == FAR_OK) st = fari_file_create(t->temporary, &t->fd);
    if (st == FAR_OK) st = open_library(t);
    if (st != FAR_OK) {
        const bool is_created = t->fd >= 0;
        if (t->tiff != NULL) TIFFClose(t->tiff);
        tiff_free(t, is_created);
        return st;
    }
    *tiff_out = t;
    return FAR_OK;
}

/* --- rows --- */

static far_status write_failed(far_tiff *t)
{
    if (t->status != FAR_OK) return t->status;
    return FAR_FAIL(FAR_E_IO, "cannot write %s: %s", t->path,
                    t->words[0] != '\0' ? t->words : "libtiff gives no reason");
}

/* The band's tiles; of the last band the lower rows may be missing, and are zeros. */
static far_status write_band(far_tiff *t, int64_t first, int64_t count)
{
    const int64_t tile = t->o.tile, pixel = t->o.channels * t->sample_bytes;
    for (int64_t x = 0; x < t->o.width; x += tile) {
        const int64_t columns = t->o.width - x < tile ? t->o.width - x : tile;
        if (columns < tile || count < tile) memset(t->tile, 0, (size_t)(tile * tile * pixel));
        for (int64_t y = 0; y < count; y++)
            memcpy(t->tile + y * tile * pixel, t->band + (y * t->o.width + x) * pixel, (size_t)(columns * pixel));
        const uint32_t number = TIFFComputeTile(t->tiff, (uint32_t)x, (uint32_t)first, 0, 0);
        if (TIFFWriteEncodedTile(t->tiff, number, t->tile, (tmsize_t)(tile * tile * pixel)) < 0) return write_failed(t);
    }
    return FAR_OK;
}

far_status far_tiff_add(far_tiff *t, const void *rows, int64_t count)
{
    const int64_t row = t->o.width * t->o.channels * t->sample_bytes, tile = t->o.tile;
    if (t->status == FAR_OK && (count < 0 || count > t->o.height - t->rows))
        t->status = FAR_FAIL(FAR_E_ARG, "%s: %" PRId64 " rows after %" PRId64 " of %" PRId64, t->path, count, t->rows,
                             t->o.height);
    const uint8_t *from = rows;
    while (count > 0 && t->status == FAR_OK) {
        const int64_t at = t->rows % tile, free_rows = tile - at, more = count < free_rows ? count : free_rows;
        memcpy(t->band + at * row, from, (size_t)(more * row));
        from += more * row;
        count -= more;
        t->rows += more;
        if (t->rows % tile == 0) t->status = write_band(t, t->rows - tile, tile);
        else if (t->rows == t->o.height) t->status = write_band(t, t->rows / tile * tile, t->rows % tile);
    }
    return t->status;
}

far_status far_tiff_close(far_tiff *t, bool is_kept)
{
    if (t == NULL) return FAR_OK;
    if (t->status == FAR_OK && is_kept && t->rows < t->o.height)
        t->status =
            FAR_FAIL(FAR_E_ARG, "%s: %" PRId64 " rows of %" PRId64 " were written", t->path, t->rows, t->o.height);
    t->words[0] = '\0';
    if (t->status == FAR_OK && is_kept && TIFFWriteDirectory(t->tiff) == 0) t->status = write_failed(t);
    far_status st = t->status;
    const bool is_whole = st == FAR_OK && is_kept;
    TIFFCleanup(t->tiff); /* writes nothing more */
    if (is_whole) {
        st = fari_file_close_synced(t->fd, t->temporary);
        t->fd = -1;
        if (st == FAR_OK) st = fari_rename(t->temporary, t->path);
    }
    tiff_free(t, !is_whole || st != FAR_OK);
    return st;
}

#else

int64_t far_tiff_memory(const far_tiff_opts *opts)
{
    (void)opts;
    return 0;
}

far_status far_tiff_create(const char *path, const far_tiff_opts *opts, far_tiff **tiff_out)
{
    (void)opts;
    (void)tiff_out;
    return FAR_FAIL(
        FAR_E_UNSUPPORTED,
        "%s: this farandole was built without libtiff: install libtiff 4.5 or newer (Debian: libtiff-dev) and "
        "build again, or write another format",
        path);
}

far_status far_tiff_add(far_tiff *tiff, const void *rows, int64_t count)
{
    (void)tiff;
    (void)rows;
    (void)count;
    return FAR_E_UNSUPPORTED;
}

far_status far_tiff_close(far_tiff *tiff, bool is_kept)
{
    (void)tiff;
    (void)is_kept;
    return FAR_OK;
}

#endif
