/**
 * @file farandole/extend.h
 * For those who write layers, models or recipes of their own on top of the public builders: wording errors.
 * Threads     as farandole/status.h and farandole/graph.h.
 * Collective  no call communicates.
 */
#ifndef FAR_EXTEND_H
#define FAR_EXTEND_H
#include <farandole/graph.h>
#include <farandole/status.h>
#ifdef __cplusplus
extern "C" {
#endif

/** Words the calling thread's error, see far_error_message. @return `status`, so that callers can `return far_fail(...)`. */
FAR_API far_status far_fail(far_status status, const char *fmt, ...) FAR_PRINTF(2, 3);

/**
 * Fails the graph, as a builder does: the first failure stays, later builder calls do nothing.
 * @return FAR_NO_VALUE, so that a builder can `return far_graph_fail(...)`.
 */
FAR_API far_value far_graph_fail(far_graph *graph, far_status status, const char *fmt, ...) FAR_PRINTF(3, 4);
/** The same with the words of the calling thread's last error. */
FAR_API far_value far_graph_fail_last(far_graph *graph, far_status status);
/** Puts words before a failed graph's message: which layer of which file it was about. Nothing happens to a sound graph. */
FAR_API void far_graph_fail_prefix(far_graph *graph, const char *fmt, ...) FAR_PRINTF(2, 3);

/** @return how far two words are apart, for "did you mean": 2 an edit, 1 for a letter in the other case, 0 when equal. */
FAR_API int far_word_distance(const char *a, const char *b);

#ifdef __cplusplus
}
#endif
#endif /* FAR_EXTEND_H */
