#include "cli.h"
#include <inttypes.h>
#include <stdio.h>

const char *cli_seconds_text(double seconds, char text_out[32])
{
    const int64_t whole = seconds < 9e15 ? (int64_t)(seconds + 0.5) : INT64_C(9000000000000000);
    if (seconds < 9.95) (void)snprintf(text_out, 32, "%.1f s", seconds);
    else if (whole < 60) (void)snprintf(text_out, 32, "%" PRId64 " s", whole);
    else if (whole < 3600) (void)snprintf(text_out, 32, "%" PRId64 " min %02" PRId64 " s", whole / 60, whole % 60);
    else if (whole < 48 * 3600)
        (void)snprintf(text_out, 32, "%" PRId64 " h %02" PRId64 " min", whole / 3600, whole / 60 % 60);
    else (void)snprintf(text_out, 32, "%" PRId64 " days %" PRId64 " h", whole / 86400, whole / 3600 % 24);
    return text_out;
}

const char *cli_count_text(int64_t count, char text_out[32])
{
    char digits[32];
    const int length = snprintf(digits, sizeof digits, "%" PRId64, count);
    int used = 0;
    for (int i = 0; i < length && used < 30; i++) {
        if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-') text_out[used++] = ',';
        text_out[used++] = digits[i];
    }
    text_out[used] = '\0';
    return text_out;
}
