/* Text that grows, and numbers as text whatever the locale. */
#ifndef FARI_BASE_TEXT_H
#define FARI_BASE_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Start from zeros. Failure is sticky: add freely, look at `failed` once at the end. `data` ends in a zero that is not counted. */
typedef struct fari_text {
    char *data; /* NULL until something was added */
    int64_t bytes, cap;
    bool failed; /* there was no memory */
} fari_text;

void fari_text_add(fari_text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fari_text_put(fari_text *text, const void *data, size_t bytes);
void fari_text_json(fari_text *text,
                    const char *string); /* quoted and escaped; bytes that are no UTF-8 become U+FFFD */
void fari_text_free(fari_text *text);

/* The shortest decimal that reads back as the same number, at most 17 (9) digits: "0.1", "1e-05", "nan", "-inf". */
#define FARI_NUMBER_TEXT 32
const char *fari_f64_text(double value, char text_out[FARI_NUMBER_TEXT]);
const char *fari_f32_text(float value, char text_out[FARI_NUMBER_TEXT]);

/* The whole text as a number (decimal point whatever the locale; no blanks around, no hexadecimal). False: it is none, or out of range. */
bool fari_parse_f64(const char *text, double *value_out);
bool fari_parse_i64(const char *text, int64_t *value_out); /* also "1e6", "60_000" */

/* Whether a name matches one of the shell patterns, which are separated by commas: "conv1.*,*.bias". */
bool fari_patterns_match(const char *patterns, const char *name);

/* Length of the valid UTF-8 sequence that `text` starts with, 0 where it is none. */
int fari_utf8_bytes(const unsigned char *text, size_t bytes);
/* Insertions, deletions, substitutions and swaps of neighbours from a to b; case counts half. Times two. */
int fari_edit_distance(const char *a, const char *b);
#endif
