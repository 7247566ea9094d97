/**
 * @file farandole/ranks.h
 * The processes that train together. They were started by mpirun or srun; here they find each other.
 * Life cycle  far_ranks_launched; where there are several far_ranks_join, runs with far_run_opts.joined, far_ranks_part, far_ranks_leave.
 * Threads     one thread at a time.
 * Collective  far_ranks_join, far_ranks_part and far_ranks_leave: every rank calls them.
 */
#ifndef FAR_RANKS_H
#define FAR_RANKS_H
#include <farandole/status.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct far_ranks far_ranks; /**< opaque */

/**
 * What the environment says: how many processes a launcher started together with this one, and which of them this is.
 * Loads and initialises nothing. @return FAR_OK; FAR_E_ARG: several tasks of srun that cannot find each other.
 */
FAR_API far_status far_ranks_launched(int32_t *count_out, int32_t *rank_out);
/** Whether this build has the module that ranks need; does not load it. */
FAR_API bool far_ranks_are_supported(void);
/** Whether a far_ranks_watch_open of the process that started this one is asked for: who started it then speaks for it. */
FAR_API bool far_ranks_are_watched(void);
/**
 * Loads MPI and finds the others. At most once in the life of a process.
 * @return FAR_OK; FAR_E_NOTFOUND: built without MPI; FAR_E_LIBRARY: MPI cannot be loaded, or started with another one; FAR_E_NOMEM.
 */
FAR_API far_status far_ranks_join(far_ranks **ranks_out);
FAR_API int32_t far_ranks_count(const far_ranks *ranks);
FAR_API int32_t far_ranks_rank(const far_ranks *ranks);
/** Collective. What the first rank has in *value_io, to all. @return FAR_OK, FAR_E_PEER: a rank has failed; FAR_E_NOMEM. */
FAR_API far_status far_ranks_agree(far_ranks *ranks, int64_t *value_io);
/**
 * The last word of this rank: `status` with the calling thread's error message. Waits for the others': where all are well without limit,
 * after a failure for some seconds.
 * @param worst_out  NULL, or receives what a rank failed with that did not merely follow another; FAR_OK: none did.
 * @return `status` where it is a failure; FAR_E_PEER: another rank has failed, and the message names it; FAR_OK.
 */
FAR_API far_status far_ranks_part(far_ranks *ranks, far_status status, far_status *worst_out);
/** Ends MPI, where all ranks have parted, and frees. NULL is allowed. */
FAR_API void far_ranks_leave(far_ranks *ranks);

/* --- for a program that starts ranks on its own machine --- */

/** What a rank has last told of itself. */
typedef struct far_rank_state {
    int64_t pid;   /**< 0: it has not begun yet */
    int64_t step;  /**< training steps done */
    bool has_left; /**< it ends by itself: what it failed with, if so, it has told */
} far_rank_state;
typedef struct far_ranks_watch far_ranks_watch; /**< opaque */
/**
 * A board on which ranks that are started after this call write what they do. They find it by the environment, which this sets.
 * @return FAR_OK, FAR_E_NOMEM, FAR_E_IO.
 */
FAR_API far_status far_ranks_watch_open(int32_t count, far_ranks_watch **watch_out);
FAR_API far_rank_state far_ranks_watch_state(const far_ranks_watch *watch, int32_t rank);
/** @return the folder of the ranks' run; "" as long as it is not known. */
FAR_API const char *far_ranks_watch_folder(const far_ranks_watch *watch);
FAR_API void far_ranks_watch_close(far_ranks_watch *watch);

#ifdef __cplusplus
}
#endif
#endif /* FAR_RANKS_H */
