/* Writing log lines; the public side is <farandole/log.h>. */
#ifndef FARI_BASE_LOG_H
#define FARI_BASE_LOG_H
#include <farandole/log.h>
#include <stdbool.h>

bool fari_log_on(far_log_level level); /* to skip costly preparation */
/* One line: lower case, exact cause, no newline. Allocates nothing; longer than 1,000 bytes is cut. */
void fari_log(far_log_level level, const char *fmt, ...) FAR_PRINTF(2, 3);
#endif
