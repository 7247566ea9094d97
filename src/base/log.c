#include "base/log.h"
#include "base/status.h"
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static atomic_int log_level = FAR_LOG_WARN;
static void (*log_sink)(far_log_level level, const char *line, void *arg);
static void *log_arg;

static const char *const level_names[] = { "error", "warn", "info", "debug", "trace" };

void far_log_set_level(far_log_level level)
{
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

far_log_level far_log_get_level(void)
{
    return (far_log_level)atomic_load_explicit(&log_level, memory_order_relaxed);
}

far_status far_log_level_parse(const char *name, far_log_level *level_out)
{
    for (size_t i = 0; i < FAR_COUNT(level_names); i++) {
        if (strcmp(name, level_names[i]) != 0) continue;
        *level_out = (far_log_level)i;
        return FAR_OK;
    }
    return FAR_FAIL(FAR_E_ARG, "log level \"%s\": expected error, warn, info, debug or trace", name);
}

void far_log_set_sink(void (*sink)(far_log_level level, const char *line, void *arg), void *arg)
{
    log_sink = sink;
    log_arg = arg;
}

bool fari_log_on(far_log_level level)
{
    return level <= far_log_get_level();
}

void fari_log(far_log_level level, const char *fmt, ...)
{
    char line[1024];
    va_list args;
    if (!fari_log_on(level)) return;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line - 24, fmt, args);
    va_end(args);
    if (log_sink != NULL) {
        log_sink(level, line, log_arg);
        return;
    }
    /* one call, so that lines of several threads do not mix */
    (void)fprintf(stderr, "farandole: %s%s%s\n", level <= FAR_LOG_WARN ? level_names[level] : "",
                  level <= FAR_LOG_WARN ? ": " : "", line);
}
