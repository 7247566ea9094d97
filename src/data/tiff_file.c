/* TIFF files by libtiff: opened through our own reading, everything that is relied on checked, nothing printed. */
#include "base/status.h"
#include "data/tiff_priv.h"
#include <inttypes.h>
#include <string.h>

bool fari_tiff_is_marked(const uint8_t *data)
{
    static const char marks[4][4] = {
        { 'I', 'I', 42, 0 }, { 'M', 'M', 0, 42 }, { 'I', 'I', 43, 0 }, { 'M', 'M', 0, 43 }
    };
    for (size_t i = 0; i < FAR_COUNT(marks); i++)
        if (memcmp(data, marks[i], 4) == 0) return true;
    return false;
}

fari_row_type fari_tiff_row_type(const fari_picture *picture)
{
    return picture->is_plain_values ? FARI_ROW_F32 : picture->bits == 16 ? FARI_ROW_U16 : FARI_ROW_U8;
}

#ifdef FARI_HAS_TIFF
#include <tiffio.h>

#define TILE_BYTES_MAX (INT64_C(256) << 20)
#define LIBRARY_BLOCK_MAX (INT64_C(1) << 30)
#define PIXELS_MAX (INT64_C(1) << 44)
#define PACKED_MAX 4096    /* LZW packs at most 2,731 to one, deflate 1,032 */
#define PACKED_LOOSE 65536 /* other schemes have no such bound */

/* --- through which libtiff reads --- */

static tmsize_t port_read(thandle_t handle, void *out, tmsize_t bytes)
{
    tiff_port *port = handle;
    const int64_t left = port->source.bytes - port->at;
    if (bytes > left) bytes = left > 0 ? (tmsize_t)left : 0;
    if (bytes <= 0) return 0;
    const far_status st = port->source.read(port->source.context, port->at, out, (size_t)bytes);
    if (st != FAR_OK) {
        port->st = st;
        return -1;
    }
    port->at += bytes;
    return bytes;
}

static tmsize_t port_write(thandle_t handle, void *data, tmsize_t bytes)
{
    (void)handle;
    (void)data;
    (void)bytes;
    return -1;
}

static toff_t port_seek(thandle_t handle, toff_t offset, int whence)
{
    tiff_port *port = handle;
    const int64_t from = whence == SEEK_CUR ? port->at : whence == SEEK_END ? port->source.bytes : 0;
    if (offset > (toff_t)(INT64_MAX / 2)) return (toff_t)-1;
    port->at = from + (int64_t)offset;
    return (toff_t)port->at;
}

static int port_close(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t port_size(thandle_t handle)
{
    const tiff_port *port = handle;
    return (toff_t)port->source.bytes;
}

/* --- what it says --- */

__attribute__((format(printf, 4, 0))) static int keep_words(TIFF *tiff, void *context, const char *module,
                                                            const char *format, va_list list)
{
    tiff_port *port = context;
    (void)tiff;
    if (port->words[0] != '\0') return 1;
    const int used = snprintf(port->words, sizeof port->words, "%s: ", module != NULL ? module : "libtiff");
    if (used > 0 && (size_t)used < sizeof port->words)
        (void)vsnprintf(port->words + used, sizeof port->words - (size_t)used, format, list);
    return 1;
}

static int drop_words(TIFF *tiff, void *context, const char *module, const char *format, va_list list)
{
    (void)tiff;
    (void)context;
    (void)module;
    (void)format;
    (void)list;
    return 1;
}

/* --- opening --- */

far_status tiff_file_open(tiff_port *port, const fari_head_source *source, void **tiff_out)
{
    *port = (tiff_port){ .source = *source };
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (options == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", source->label);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, LIBRARY_BLOCK_MAX);
    TIFFOpenOptionsSetErrorHandlerExtR(options, keep_words, port);
    TIFFOpenOptionsSetWarningHandlerExtR(options, drop_words, NULL);
    /* c: strips as they are; O: places of tiles are read as they are needed; m: nothing is mapped */
    TIFF *tiff = TIFFClientOpenExt(source->label, "rcOm", port, port_read, port_write, port_seek, port_close, port_size,
                                   NULL, NULL, options);
    TIFFOpenOptionsFree(options);
    if (tiff == NULL && port->st != FAR_OK) return port->st;
    if (tiff == NULL)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s: the TIFF's header or directory is damaged or cut short (%s); write the file again",
                        source->label, port->words);
    *tiff_out = tiff;
    return FAR_OK;
}

void tiff_file_close(void *tiff)
{
    if (tiff != NULL) TIFFClose(tiff);
}

/* --- what it holds --- */

int64_t tiff_sample_bytes(const tiff_layout *l)
{
    return l->bits < 8 ? 1 : l->bits / 8;
}

static uint16_t tag_u16(TIFF *tiff, uint32_t tag)
{
    uint16_t value = 0;
    (void)TIFFGetFieldDefaulted(tiff, tag, &value);
    return value;
}

static far_status take_extents(TIFF *tiff, const char *label, tiff_layout *l)
{
    uint32_t height = 0, width = 0, tile_height = 0, tile_width = 0;
    (void)TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
    (void)TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
    if (height < 1 || width < 1 || height > INT32_MAX || width > INT32_MAX || (int64_t)height * width > PIXELS_MAX)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s: a TIFF of %u x %u pixels (height x width); at least 1 and at most 2^44 are read", label,
                        height, width);
    *l = (tiff_layout){ .height = height, .width = width, .is_tiled = TIFFIsTiled(tiff) != 0 };
    if (l->is_tiled) {
        (void)TIFFGetField(tiff, TIFFTAG_TILELENGTH, &tile_height);
        (void)TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &tile_width);
    } else {
        (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &tile_height);
        if (tile_height > height) tile_height = height;
        tile_width = width;
    }
    if (tile_height < 1 || tile_width < 1 || tile_height > INT32_MAX || tile_width > INT32_MAX)
        return FAR_FAIL(FAR_E_FORMAT, "%s: a TIFF in %s of %u x %u pixels: its directory is damaged", label,
                        l->is_tiled ? "tiles" : "strips", tile_height, tile_width);
    l->tile_height = tile_height;
    l->tile_width = tile_width;
    return FAR_OK;
}

static far_status take_samples(TIFF *tiff, const char *label, tiff_layout *l)
{
    const uint16_t bits = tag_u16(tiff, TIFFTAG_BITSPERSAMPLE), format = tag_u16(tiff, TIFFTAG_SAMPLEFORMAT);
    uint16_t extra_count = 0, *extra = NULL;
    l->stored = tag_u16(tiff, TIFFTAG_SAMPLESPERPIXEL);
    l->bits = bits;
    l->sample = format == SAMPLEFORMAT_IEEEFP ? TIFF_OF_FLOAT : format == SAMPLEFORMAT_INT ? TIFF_OF_INT : TIFF_OF_UINT;
    const bool is_known = format == SAMPLEFORMAT_UINT || format == SAMPLEFORMAT_INT || format == SAMPLEFORMAT_IEEEFP ||
                          format == SAMPLEFORMAT_VOID;
    const bool is_read = l->sample == TIFF_OF_FLOAT ? bits == 32 || bits == 64
                                                    : bits == 8 || bits == 16 || bits == 32 ||
                                                          (bits == 1 && l->stored == 1 && l->sample == TIFF_OF_UINT);
    if (!is_known || !is_read)
        return FAR_FAIL(
            FAR_E_UNSUPPORTED,
            "%s: a TIFF with samples of %u bits (%s); read are whole numbers of 8, 16 and 32 bits, floating "
            "point of 32 and 64, and one channel of 1 bit",
            label, bits, l->sample == TIFF_OF_FLOAT ? "floating point" : "whole numbers");
    l->channels = l->stored;
    if (TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &extra_count, &extra) != 0 && extra_count > 0 &&
        (extra[extra_count - 1] == EXTRASAMPLE_ASSOCALPHA || extra[extra_count - 1] == EXTRASAMPLE_UNASSALPHA))
        l->channels--; /* transparency is dropped, as of PNG */
    if (l->channels < 1 || l->channels > 4 || l->stored > TIFF_PLANES_MAX)
        return FAR_FAIL(FAR_E_UNSUPPORTED, "%s: a TIFF with %d channels; 1 to 4 are read", label, l->channels);
    l->is_planar = l->stored > 1 && tag_u16(tiff, TIFFTAG_PLANARCONFIG) == PLANARCONFIG_SEPARATE;
    const uint16_t orientation = tag_u16(tiff, TIFFTAG_ORIENTATION);
    l->orientation = orientation >= 1 && orientation <= 8 ? (int8_t)orientation : 1;
    return FAR_OK;
}

static far_status take_colours(TIFF *tiff, const char *label, tiff_layout *l)
{
    uint16_t photometric = PHOTOMETRIC_MINISBLACK;
    const uint16_t compression = tag_u16(tiff, TIFFTAG_COMPRESSION);
    (void)TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric);
    if (compression == COMPRESSION_OJPEG || TIFFIsCODECConfigured(compression) == 0)
        return FAR_FAIL(
            FAR_E_UNSUPPORTED,
            "%s: a TIFF packed by scheme %u, which the libtiff of this machine cannot unpack; write it again, "
            "as with tiffcp -c lzw",
            label, compression);
    l->is_plain = compression == COMPRESSION_NONE;
    l->is_lossy = compression == COMPRESSION_JPEG || compression == COMPRESSION_WEBP;
    if (compression == COMPRESSION_JPEG && photometric == PHOTOMETRIC_YCBCR) {
        (void)TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        photometric = PHOTOMETRIC_RGB;
    }
    l->has_palette = photometric == PHOTOMETRIC_PALETTE;
    l->is_inverted = photometric == PHOTOMETRIC_MINISWHITE && l->sample == TIFF_OF_UINT && l->bits <= 16;
    const bool is_known = photometric == PHOTOMETRIC_MINISWHITE || photometric == PHOTOMETRIC_MINISBLACK ||
                          photometric == PHOTOMETRIC_MASK || (photometric == PHOTOMETRIC_RGB && l->channels >= 3) ||
                          (l->has_palette && l->channels == 1 && l->bits == 8 && l->sample == TIFF_OF_UINT);
    if (is_known) return FAR_OK;
    return FAR_FAIL(
        FAR_E_UNSUPPORTED,
        "%s: a TIFF whose colours are of kind %u with %d channels of %d bits; grey, RGB, palettes of 8 bits and "
        "plain channels are read: write it again as RGB",
        label, photometric, l->channels, l->bits);
}

/* Decoded bytes against what the file can hold, so that a small file cannot ask for much memory. */
static far_status check_bytes(TIFF *tiff, const tiff_port *port, tiff_layout *l)
{
    const char *label = port->source.label;
    const uint16_t compression = tag_u16(tiff, TIFFTAG_COMPRESSION);
    const bool is_bound = l->is_plain || compression == COMPRESSION_LZW || compression == COMPRESSION_PACKBITS ||
                          compression == COMPRESSION_ADOBE_DEFLATE || compression == COMPRESSION_DEFLATE;
    const uint64_t bytes = l->is_tiled ? TIFFTileSize64(tiff) : TIFFScanlineSize64(tiff);
    if (bytes < 1 || bytes > TILE_BYTES_MAX)
        return FAR_FAIL(FAR_E_UNSUPPORTED,
                        "%s: a TIFF whose %s of %" PRId64 " x %" PRId64 " pixels takes %" PRIu64
                        " bytes; at most 2^28 are read: write it again in tiles, as with tiffcp -t -w 512 -l 512",
                        label, l->is_tiled ? "tile" : "row", l->is_tiled ? l->tile_height : 1, l->tile_width, bytes);
    l->tile_bytes = (int64_t)bytes;
    const double whole = (double)l->height * (double)l->width * l->stored * l->bits / 8;
    if (whole <= (double)port->source.bytes * (is_bound ? PACKED_MAX : PACKED_LOOSE)) return FAR_OK;
    return FAR_FAIL(FAR_E_FORMAT,
                    "%s says it has %" PRId64 " x %" PRId64 " pixels, more than its %" PRId64
                    " bytes can hold: it is cut short or made to fill the memory",
                    label, l->height, l->width, port->source.bytes);
}

far_status tiff_layout_of(void *tiff, const tiff_port *port, tiff_layout *layout_out)
{
    tiff_layout l;
    FAR_TRY(take_extents(tiff, port->source.label, &l));
    FAR_TRY(take_samples(tiff, port->source.label, &l));
    FAR_TRY(take_colours(tiff, port->source.label, &l));
    FAR_TRY(check_bytes(tiff, port, &l));
    *layout_out = l;
    return FAR_OK;
}

/* Further pages: smaller views of the picture and masks are passed over; a stack of pictures is another thing than a picture. */
static far_status check_pages(TIFF *tiff, const char *label, const tiff_layout *l)
{
    uint32_t height = 0, width = 0, kind = 0;
    if (TIFFReadDirectory(tiff) == 0) return FAR_OK;
    (void)TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
    (void)TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
    (void)TIFFGetField(tiff, TIFFTAG_SUBFILETYPE, &kind);
    if (height != l->height || width != l->width || (kind & (FILETYPE_REDUCEDIMAGE | FILETYPE_MASK)) != 0)
        return FAR_OK;
    return FAR_FAIL(
        FAR_E_UNSUPPORTED,
        "%s: a stack of several pages of one size; pictures have one page: cut it up, as with tiffsplit, or save "
        "it as a volume (farandole help data)",
        label);
}

static fari_picture picture_of(const tiff_layout *l)
{
    const int64_t rows = l->is_tiled ? (l->tile_height < l->height ? l->tile_height : l->height) : 1;
    return (fari_picture){ .height = (int32_t)l->height,
                           .width = (int32_t)l->width,
                           .kind = FARI_PICTURE_TIFF,
                           .channels = (int8_t)(l->has_palette ? 3 : l->channels),
                           .bits = (int8_t)l->bits,
                           .orientation = l->orientation,
                           .has_palette = l->has_palette,
                           .is_lossy = l->is_lossy,
                           .is_float = l->sample == TIFF_OF_FLOAT,
                           .is_plain_values = l->sample != TIFF_OF_UINT || l->bits > 16,
                           .band_bytes = rows * l->width * l->stored * tiff_sample_bytes(l),
                           .tile_bytes = l->tile_bytes };
}

far_status fari_tiff_probe(const fari_head_source *source, fari_picture *picture_out)
{
    tiff_port port;
    tiff_layout layout;
    void *tiff = NULL;
    FAR_TRY(tiff_file_open(&port, source, &tiff));
    far_status st = tiff_layout_of(tiff, &port, &layout);
    if (st == FAR_OK) st = check_pages(tiff, source->label, &layout);
    if (st == FAR_OK) *picture_out = picture_of(&layout);
    tiff_file_close(tiff);
    return st;
}

#else

far_status fari_tiff_probe(const fari_head_source *source, fari_picture *picture_out)
{
    (void)picture_out;
    return FAR_FAIL(FAR_E_UNSUPPORTED,
                    "%s is a TIFF, and this farandole was built without libtiff: install libtiff 4.5 or newer (Debian: "
                    "libtiff-dev) and build again, or convert it to PNG",
                    source->label);
}

#endif
