/**
 * @file farandole/log.h
 * What the library says while it works. Errors are returned, not logged; see <farandole/status.h>.
 * Threads     all calls are safe from any thread; lines of different threads never mix.
 * Collective  no call communicates.
 */
#ifndef FAR_LOG_H
#define FAR_LOG_H
#include <farandole/status.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef enum far_log_level {
    FAR_LOG_ERROR = 0, /**< given up */
    FAR_LOG_WARN,      /**< odd, but going on; the default */
    FAR_LOG_INFO,      /**< a few lines a run */
    FAR_LOG_DEBUG,     /**< a line an object */
    FAR_LOG_TRACE      /**< a line a step */
} far_log_level;

/** Lines of a level up to this one are written. */
FAR_API void far_log_set_level(far_log_level level);
FAR_API far_log_level far_log_get_level(void);
/** @return FAR_OK, or FAR_E_ARG when `name` is none of error, warn, info, debug, trace. */
FAR_API far_status far_log_level_parse(const char *name, far_log_level *level_out);
/**
 * Sends lines to `sink` instead of stderr; NULL: to stderr again. A line has no newline and is valid during the call only. Set it
 * before other threads log.
 */
FAR_API void far_log_set_sink(void (*sink)(far_log_level level, const char *line, void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif /* FAR_LOG_H */
