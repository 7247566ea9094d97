#include "base/text.h"
#include "base/mem.h"
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool text_room(fari_text *text, size_t more)
{
    if (text->failed) return false;
    if (more >= (size_t)(INT64_MAX - text->bytes) ||
        !fari_reserve((void **)&text->data, &text->cap, text->bytes + (int64_t)more + 1, 1))
        text->failed = true;
    return !text->failed;
}

void fari_text_add(fari_text *text, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (length < 0) text->failed = true;
    if (length >= 0 && text_room(text, (size_t)length)) {
        (void)vsnprintf(text->data + text->bytes, (size_t)length + 1, fmt, again);
        text->bytes += length;
    }
    va_end(again);
}

void fari_text_put(fari_text *text, const void *data, size_t bytes)
{
    if (!text_room(text, bytes)) return;
    if (bytes > 0) memcpy(text->data + text->bytes, data, bytes);
    text->bytes += (int64_t)bytes;
    text->data[text->bytes] = '\0';
}

int fari_utf8_bytes(const unsigned char *text, size_t bytes)
{
    if (bytes == 0) return 0;
    const unsigned lead = text[0];
    if (lead < 0x80) return 1;
    const int count = lead >= 0xC2 && lead <= 0xDF   ? 2
                      : lead >= 0xE0 && lead <= 0xEF ? 3
                      : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                     : 0;
    if (count == 0 || (size_t)count > bytes) return 0;
    for (int i = 1; i < count; i++)
        if ((text[i] & 0xC0) != 0x80) return 0;
    /* overlong forms, surrogates, beyond U+10FFFF */
    if ((lead == 0xE0 && text[1] < 0xA0) || (lead == 0xED && text[1] > 0x9F)) return 0;
    if ((lead == 0xF0 && text[1] < 0x90) || (lead == 0xF4 && text[1] > 0x8F)) return 0;
    return count;
}

void fari_text_json(fari_text *text, const char *string)
{
    const unsigned char *next = (const unsigned char *)string;
    size_t left = strlen(string);
    fari_text_put(text, "\"", 1);
    while (left > 0) {
        const int count = fari_utf8_bytes(next, left);
        if (count == 0) fari_text_put(text, "\xEF\xBF\xBD", 3);
        else if (*next == '"' || *next == '\\') fari_text_add(text, "\\%c", *next);
        else if (*next < 0x20 || *next == 0x7F) fari_text_add(text, "\\u%04x", *next);
        else fari_text_put(text, next, (size_t)count);
        next += count > 0 ? count : 1;
        left -= count > 0 ? (size_t)count : 1;
    }
    fari_text_put(text, "\"", 1);
}

void fari_text_free(fari_text *text)
{
    fari_free(text->data);
    *text = (fari_text){ 0 };
}

/* --- numbers --- */

/* printf and strtod use the host program's locale: its decimal point is taken out and put in here. */
static void point_from_locale(char *text)
{
    const char *point = localeconv()->decimal_point;
    const size_t length = strlen(point);
    char *found = strcmp(point, ".") == 0 ? NULL : strstr(text, point);
    if (found == NULL) return;
    *found = '.';
    memmove(found + 1, found + length, strlen(found + length) + 1);
}

static bool point_to_locale(const char *text, char *text_out, size_t bytes)
{
    const char *point = localeconv()->decimal_point;
    const char *found = strchr(text, '.');
    int length;
    if (found == NULL || strcmp(point, ".") == 0) length = snprintf(text_out, bytes, "%s", text);
    else length = snprintf(text_out, bytes, "%.*s%s%s", (int)(found - text), text, point, found + 1);
    return length >= 0 && (size_t)length < bytes;
}

const char *fari_f64_text(double value, char text_out[FARI_NUMBER_TEXT])
{
    if (!isfinite(value)) {
        (void)snprintf(text_out, FARI_NUMBER_TEXT, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
        return text_out;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text_out, FARI_NUMBER_TEXT, "%.*g", digits, value);
        if (strtod(text_out, NULL) == value) break;
    }
    point_from_locale(text_out);
    return text_out;
}

const char *fari_f32_text(float value, char text_out[FARI_NUMBER_TEXT])
{
    if (!isfinite(value)) return fari_f64_text((double)value, text_out);
    for (int digits = 6; digits <= 9; digits++) {
        (void)snprintf(text_out, FARI_NUMBER_TEXT, "%.*g", digits, (double)value);
        if (strtof(text_out, NULL) == value) break;
    }
    point_from_locale(text_out);
    return text_out;
}

bool fari_parse_f64(const char *text, double *value_out)
{
    static const char *const words[] = { "inf", "+inf", "-inf", ".inf", "+.inf", "-.inf", "nan", ".nan" };
    char local[128];
    char *end;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i]) != 0) continue;
        *value_out = i >= 6 ? (double)NAN : text[0] == '-' ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    if (text[strspn(text, "0123456789+-.eE")] != '\0' || text[0] == '\0') return false;
    if (!point_to_locale(text, local, sizeof local)) return false;
    errno = 0;
    const double value = strtod(local, &end);
    if (*end != '\0' || end == local) return false;
    if (errno == ERANGE && (value > 1 || value < -1)) return false; /* too large; too small is zero or nearly so */
    *value_out = value;
    return true;
}

bool fari_parse_i64(const char *text, int64_t *value_out)
{
    char plain[32];
    size_t used = 0;
    char *end;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '_' && c > text && isdigit((unsigned char)c[-1]) && isdigit((unsigned char)c[1])) continue;
        if (used + 1 >= sizeof plain || isspace((unsigned char)*c)) return false;
        plain[used++] = *c;
    }
    plain[used] = '\0';
    if (used == 0) return false;
    errno = 0;
    const long long whole = strtoll(plain, &end, 10);
    if (*end == '\0' && end != plain) {
        if (errno == ERANGE) return false;
        *value_out = whole;
        return true;
    }
    double real;
    if (!fari_parse_f64(plain, &real) || !(fabs(real) <= 9007199254740992.0) || real != floor(real)) return false;
    *value_out = (int64_t)real;
    return true;
}

/* --- nearness --- */

static int substitute_cost(char a, char b)
{
    if (a == b) return 0;
    return tolower((unsigned char)a) == tolower((unsigned char)b) ? 1 : 2;
}

int fari_edit_distance(const char *a, const char *b)
{
    enum { MAX = 96 };
    int rows[3][MAX + 1]; /* before last, last, this */
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > MAX) a_length = MAX;
    if (b_length > MAX) b_length = MAX;
    for (size_t j = 0; j <= b_length; j++) rows[1][j] = 2 * (int)j;
    for (size_t i = 1; i <= a_length; i++) {
        rows[2][0] = 2 * (int)i;
        for (size_t j = 1; j <= b_length; j++) {
            int best = rows[1][j - 1] + substitute_cost(a[i - 1], b[j - 1]);
            if (rows[1][j] + 2 < best) best = rows[1][j] + 2;
            if (rows[2][j - 1] + 2 < best) best = rows[2][j - 1] + 2;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && rows[0][j - 2] + 2 < best)
                best = rows[0][j - 2] + 2;
            rows[2][j] = best;
        }
        memcpy(rows[0], rows[1], sizeof rows[0]);
        memcpy(rows[1], rows[2], sizeof rows[1]);
    }
    return rows[1][b_length];
}

bool fari_patterns_match(const char *patterns, const char *name)
{
    char one[256];
    for (const char *at = patterns; *at != '\0';) {
        at += strspn(at, ", ");
        const size_t length = strcspn(at, ", ");
        if (length > 0 && length < sizeof one) {
            memcpy(one, at, length);
            one[length] = '\0';
            if (fnmatch(one, name, 0) == 0) return true;
        }
        at += length;
    }
    return false;
}
