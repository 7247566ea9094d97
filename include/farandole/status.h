/**
 * @file farandole/status.h
 * Status codes and the error trace: the place that detects an error words it, callers add a frame.
 * Threads     the message belongs to the calling thread; work run on the pool hands its message to the thread that waits.
 * Collective  no call communicates.
 */
#ifndef FAR_STATUS_H
#define FAR_STATUS_H
#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FAR_API __attribute__((visibility("default")))
#define FAR_PRINTF(fmt_idx, arg_idx) __attribute__((format(printf, fmt_idx, arg_idx)))
#else
#define FAR_API
#define FAR_PRINTF(fmt_idx, arg_idx)
#endif

/** Ordered: a larger code is worse, so that ranks can agree by a maximum. */
typedef enum far_status {
    FAR_OK = 0,
    FAR_END,        /**< nothing more to read; not an error */
    FAR_E_TIMEOUT,  /**< call again */
    FAR_E_STOPPED,  /**< stopped on request; resumable */
    FAR_E_ARG,      /**< a caller's argument is out of range */
    FAR_E_CONFIG,   /**< a config key or value is wrong */
    FAR_E_SHAPE,    /**< shapes do not fit */
    FAR_E_NOTFOUND, /**< a name, tensor or file does not exist */
    FAR_E_FORMAT,   /**< a file's contents are wrong */
    FAR_E_VERSION,  /**< made by another version */
    FAR_E_UNSUPPORTED,
    FAR_E_IO,        /**< the system refused to read or write */
    FAR_E_NONFINITE, /**< NaN or infinity where a number was due */
    FAR_E_NOFIT,     /**< does not fit the memory given */
    FAR_E_NOMEM,     /**< the system gave no memory */
    FAR_E_LIBRARY,   /**< a library failed */
    FAR_E_PEER,      /**< another rank failed */
    FAR_E_INTERNAL   /**< a bug of ours */
} far_status;

/** @return a static name such as "FAR_E_SHAPE". */
FAR_API const char *far_status_name(far_status status);

/** @return the calling thread's last error: what happened, where, what to do; "" when there was none. Valid until the thread's next error. */
FAR_API const char *far_error_message(void);

/** @return the frames the error passed, one "file:line function" a line, innermost first; "" when there are none. */
FAR_API const char *far_error_trace(void);

/** Forgets the calling thread's last error. */
FAR_API void far_error_clear(void);

#ifdef __cplusplus
}
#endif
#endif /* FAR_STATUS_H */
