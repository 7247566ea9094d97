#include "report/html.h"
#include "base/file.h"
#include "base/status.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLUSH_BYTES 65536
#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

far_status fari_html_open(const char *path, fari_html *html_out)
{
    *html_out = (fari_html){ .fd = -1, .path = path };
    return fari_file_create(path, &html_out->fd);
}

static void flush(fari_html *html, int64_t at_least)
{
    if (html->status != FAR_OK || html->text.failed || html->text.bytes < at_least) return;
    html->status = fari_file_write(html->fd, html->path, html->text.data, (size_t)html->text.bytes);
    html->text.bytes = 0;
}

far_status fari_html_close(fari_html *html)
{
    flush(html, 1);
    far_status st = html->status;
    if (st == FAR_OK && html->text.failed) st = FAR_FAIL(FAR_E_NOMEM, "no memory to write %s", html->path);
    if (st == FAR_OK) st = fari_file_close_synced(html->fd, html->path);
    else (void)close(html->fd);
    fari_text_free(&html->text);
    return st;
}

void fari_html_add(fari_html *html, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    const int length = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    FAR_ASSERT(length >= 0 && (size_t)length < sizeof text); /* long texts are not ours: fari_html_text */
    fari_text_put(&html->text, text, (size_t)length);
    flush(html, FLUSH_BYTES);
}

void fari_html_put(fari_html *html, const char *markup)
{
    fari_text_put(&html->text, markup, strlen(markup));
    flush(html, FLUSH_BYTES);
}

static const char *entity(unsigned char byte)
{
    switch (byte) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F ? REPLACEMENT : NULL;
    }
}

void fari_html_text(fari_html *html, const char *string)
{
    const unsigned char *next = (const unsigned char *)string;
    size_t left = strlen(string);
    while (left > 0) {
        const int count = fari_utf8_bytes(next, left);
        const char *instead = count == 0 ? REPLACEMENT : entity(*next);
        if (instead != NULL) fari_text_put(&html->text, instead, strlen(instead));
        else fari_text_put(&html->text, next, (size_t)count);
        next += count > 0 ? count : 1;
        left -= count > 0 ? (size_t)count : 1;
        flush(html, FLUSH_BYTES);
    }
}

void fari_html_base64(fari_html *html, const void *data, size_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = data;
    for (size_t i = 0; i < bytes; i += 3) {
        const size_t left = bytes - i;
        const uint32_t bits =
            (uint32_t)at[i] << 16 | (left > 1 ? (uint32_t)at[i + 1] << 8 : 0) | (left > 2 ? at[i + 2] : 0);
        const char four[4] = { digits[bits >> 18], digits[bits >> 12 & 63], left > 1 ? digits[bits >> 6 & 63] : '=',
                               left > 2 ? digits[bits & 63] : '=' };
        fari_text_put(&html->text, four, sizeof four);
        flush(html, FLUSH_BYTES);
    }
}

void fari_html_at(fari_html *html, double value)
{
    const long tenths = isfinite(value) ? lround(fmin(fmax(value, -1e6), 1e6) * 10.0) : 0;
    const long whole = labs(tenths) / 10, rest = labs(tenths) % 10;
    fari_html_add(html, rest != 0 ? "%s%ld.%ld" : "%s%ld", tenths < 0 ? "-" : "", whole, rest);
}

/* ---- numbers ---- */

const char *fari_short_text(double value, int digits, char text_out[FARI_SHORT_TEXT])
{
    if (!isfinite(value)) {
        (void)snprintf(text_out, FARI_SHORT_TEXT, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
        return text_out;
    }
    (void)snprintf(text_out, FARI_SHORT_TEXT, "%.*g", digits, value);
    for (char *c = text_out; *c != '\0'; c++)
        if (*c == ',') *c = '.'; /* the decimal point of the host program's locale */
    return text_out;
}

const char *fari_count_text(int64_t count, char text_out[FARI_SHORT_TEXT])
{
    char digits[24];
    const int length = snprintf(digits, sizeof digits, "%" PRIu64, count < 0 ? 0 - (uint64_t)count : (uint64_t)count);
    char *out = text_out;
    if (count < 0) *out++ = '-';
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return text_out;
}

static const char *with_unit(double value, const char *unit, char text_out[FARI_SHORT_TEXT])
{
    const size_t used = strlen(fari_short_text(value, 3, text_out));
    (void)snprintf(text_out + used, FARI_SHORT_TEXT - used, "%s", unit);
    return text_out;
}

/* With a unit for every three digits. */
static const char *scaled(double value, double base, const char *const *units, size_t count,
                          char text_out[FARI_SHORT_TEXT])
{
    size_t unit = 0;
    while (fabs(value) >= base && unit + 1 < count) {
        value /= 1000.0;
        unit++;
    }
    return with_unit(value, units[unit], text_out);
}

const char *fari_rough_text(double value, char text_out[FARI_SHORT_TEXT])
{
    static const char *const units[] = { "", "k", "M", "G", "T" };
    return fabs(value) < 1.0 ? fari_short_text(value, 3, text_out)
                             : scaled(value, 999.5, units, FAR_COUNT(units), text_out);
}

const char *fari_size_text(double bytes, char text_out[FARI_SHORT_TEXT])
{
    static const char *const units[] = { " B", " kB", " MB", " GB", " TB", " PB" };
    return scaled(bytes, 999.5, units, FAR_COUNT(units), text_out);
}

const char *fari_time_text(double seconds, char text_out[FARI_SHORT_TEXT])
{
    const double size = fabs(seconds);
    if (!isfinite(seconds) || size >= 1e9) return fari_short_text(seconds, 3, text_out);
    if (size < 1e-3) return with_unit(seconds * 1e6, " \xC2\xB5s", text_out);
    if (size < 0.9995) return with_unit(seconds * 1e3, " ms", text_out);
    if (size < 99.5) return with_unit(seconds, " s", text_out);
    const long whole = lround(size);
    if (whole < 3600) (void)snprintf(text_out, FARI_SHORT_TEXT, "%ld min %02ld s", whole / 60, whole % 60);
    else (void)snprintf(text_out, FARI_SHORT_TEXT, "%ld h %02ld min", whole / 3600, whole % 3600 / 60);
    return text_out;
}
