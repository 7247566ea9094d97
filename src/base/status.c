#include "base/status.h"
#include <stdarg.h>
#include <string.h>

static _Thread_local fari_error_copy last;

static const char *const names[] = {
    [FAR_OK] = "FAR_OK",
    [FAR_END] = "FAR_END",
    [FAR_E_TIMEOUT] = "FAR_E_TIMEOUT",
    [FAR_E_STOPPED] = "FAR_E_STOPPED",
    [FAR_E_ARG] = "FAR_E_ARG",
    [FAR_E_CONFIG] = "FAR_E_CONFIG",
    [FAR_E_SHAPE] = "FAR_E_SHAPE",
    [FAR_E_NOTFOUND] = "FAR_E_NOTFOUND",
    [FAR_E_FORMAT] = "FAR_E_FORMAT",
    [FAR_E_VERSION] = "FAR_E_VERSION",
    [FAR_E_UNSUPPORTED] = "FAR_E_UNSUPPORTED",
    [FAR_E_IO] = "FAR_E_IO",
    [FAR_E_NONFINITE] = "FAR_E_NONFINITE",
    [FAR_E_NOFIT] = "FAR_E_NOFIT",
    [FAR_E_NOMEM] = "FAR_E_NOMEM",
    [FAR_E_LIBRARY] = "FAR_E_LIBRARY",
    [FAR_E_PEER] = "FAR_E_PEER",
    [FAR_E_INTERNAL] = "FAR_E_INTERNAL",
};

const char *far_status_name(far_status status)
{
    if ((size_t)status >= FAR_COUNT(names)) return "FAR_E_?";
    return names[status];
}

const char *far_error_message(void)
{
    return last.message;
}

const char *far_error_trace(void)
{
    return last.trace;
}

void far_error_clear(void)
{
    last.message[0] = '\0';
    last.trace[0] = '\0';
}

far_status fari_fail(far_status status, const char *file, int line, const char *func, const char *fmt, ...)
{
    va_list args;
    last.trace[0] = '\0';
    va_start(args, fmt);
    (void)vsnprintf(last.message, sizeof last.message, fmt, args);
    va_end(args);
    return fari_trace_push(status, file, line, func);
}

far_status fari_trace_push(far_status status, const char *file, int line, const char *func)
{
    const size_t used = strlen(last.trace);
    const char *base = strstr(file, "src/");
    (void)snprintf(last.trace + used, sizeof last.trace - used, "%s%s:%d %s", used > 0 ? "\n" : "",
                   base != NULL ? base : file, line, func);
    return status;
}

far_status fari_error_prefix(far_status status, const char *fmt, ...)
{
    fari_error_copy old = last;
    va_list args;
    va_start(args, fmt);
    int used = vsnprintf(last.message, sizeof last.message, fmt, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof last.message)
        (void)snprintf(last.message + used, sizeof last.message - (size_t)used, "%s", old.message);
    return status;
}

void fari_error_save(fari_error_copy *copy_out)
{
    *copy_out = last;
}

void fari_error_restore(const fari_error_copy *copy)
{
    last = *copy;
}

void fari_assert_failed(const char *expr, const char *file, int line)
{
    (void)fprintf(stderr, "farandole: internal error: %s does not hold at %s:%d; please report it\n", expr, file, line);
    abort();
}
