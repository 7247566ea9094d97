/* An HTML file as it grows: text that is escaped, numbers as people read them. Failure is sticky; look at it once, at the end. */
#ifndef FARI_REPORT_HTML_H
#define FARI_REPORT_HTML_H
#include "base/text.h"
#include <farandole/status.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct fari_html {
    fari_text text; /* not yet in the file */
    int fd;
    const char *path;
    far_status status; /* of the file */
} fari_html;

/* The file is emptied. The path is borrowed. */
far_status fari_html_open(const char *path, fari_html *html_out);
/* All of it on disk, or why not. */
far_status fari_html_close(fari_html *html);

/* Markup of ours, as it is. fari_html_add: at most 1,023 bytes, and no floating-point numbers, which would follow the locale. */
void fari_html_add(fari_html *html, const char *fmt, ...) FAR_PRINTF(2, 3);
void fari_html_put(fari_html *html, const char *markup);
/* Somebody else's text: names, paths, configurations. Whatever it holds shows as text, in elements and in quoted attributes. */
void fari_html_text(fari_html *html, const char *string);
/* Bytes as base64, for data: addresses. */
void fari_html_base64(fari_html *html, const void *data, size_t bytes);
/* A place in a drawing, to a tenth. */
void fari_html_at(fari_html *html, double value);

/* ---- numbers for people, whatever the locale ---- */
#define FARI_SHORT_TEXT 40
const char *fari_short_text(double value, int digits, char text_out[FARI_SHORT_TEXT]); /* "0.0123", "1.2e-05" */
const char *fari_count_text(int64_t count, char text_out[FARI_SHORT_TEXT]);            /* "1,234,567" */
const char *fari_rough_text(double value, char text_out[FARI_SHORT_TEXT]);             /* "950", "12k", "3.4M" */
const char *fari_size_text(double bytes, char text_out[FARI_SHORT_TEXT]);              /* "3.81 MB" */
const char *fari_time_text(double seconds, char text_out[FARI_SHORT_TEXT]); /* "1.2 ms", "4.2 s", "3 min 05 s" */
#endif
