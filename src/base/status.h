/* Making and passing on errors; the public side is <farandole/status.h>. */
#ifndef FARI_BASE_STATUS_H
#define FARI_BASE_STATUS_H
#include <farandole/status.h>
#include <stdio.h>
#include <stdlib.h>

/* Words the calling thread's error and gives back `status`. Needs no memory. */
far_status fari_fail(far_status status, const char *file, int line, const char *func, const char *fmt, ...)
    FAR_PRINTF(5, 6);
/* Adds a frame to the trace and gives back `status`. */
far_status fari_trace_push(far_status status, const char *file, int line, const char *func);
/* Puts words before the message: which file, node or key it was about. */
far_status fari_error_prefix(far_status status, const char *fmt, ...) FAR_PRINTF(2, 3);
/* Takes a thread's error over to another thread: the first copies out, the second sets. */
typedef struct fari_error_copy {
    char message[1024];
    char trace[1024];
} fari_error_copy;
void fari_error_save(fari_error_copy *copy_out);
void fari_error_restore(const fari_error_copy *copy);
_Noreturn void fari_assert_failed(const char *expr, const char *file, int line);

#define FAR_FAIL(status, ...) fari_fail((status), __FILE__, __LINE__, __func__, __VA_ARGS__)
#define FAR_TRY(call)                                                                         \
    do {                                                                                      \
        far_status try_st_ = (call);                                                          \
        if (try_st_ != FAR_OK) return fari_trace_push(try_st_, __FILE__, __LINE__, __func__); \
    } while (0)
/* As FAR_TRY where something is held: jumps to the one exit that undoes. Needs a local `far_status st`. */
#define FAR_TRY_GOTO(call, label)                                    \
    do {                                                             \
        st = (call);                                                 \
        if (st != FAR_OK) {                                          \
            (void)fari_trace_push(st, __FILE__, __LINE__, __func__); \
            goto label;                                              \
        }                                                            \
    } while (0)
/* For our own invariants only; never for files, shapes, peers or memory. */
#define FAR_ASSERT(expr) ((expr) ? (void)0 : fari_assert_failed(#expr, __FILE__, __LINE__))
#define FAR_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#endif
