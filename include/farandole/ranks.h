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
/** Whether the process that started this one watches it, and speaks for it: it has said so in the environment, FARANDOLE_BOARD. */
FAR_API bool far_ranks_are_watched(void);
typedef struct far_ranks_watch far_ranks_watch; /**< opaque */
/**
 * Loads MPI and finds the others. At most once in the life of a process.
 * @param own  NULL, or the board that this rank has opened for all ranks of its machine: they find it by its rank. Borrowed till
 *             far_ranks_leave. Not looked at where far_ranks_are_watched.
 * @return FAR_OK; FAR_E_NOTFOUND: built without MPI; FAR_E_LIBRARY: MPI cannot be loaded, or started with another one; FAR_E_NOMEM.
 */
FAR_API far_status far_ranks_join(const far_ranks_watch *own, far_ranks **ranks_out);
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

/* --- for a program that watches the ranks of its own machine --- */

/** What a rank has last told of itself. */
typedef struct far_rank_state {
    int64_t pid;        /**< 0: it has not begun yet, or not here */
    int64_t step;       /**< training steps done, in all lives of the run */
    int64_t steps_seen; /**< training steps begun in this life */
    int64_t words;      /**< that its threads have said: as long as it grows the rank gets on, or has begun to wait */
    bool has_left;      /**< it ends by itself: what it failed with, if so, it has told */
} far_rank_state;

#define FAR_RANK_AWAITS_NONE (-1) /**< it works */
#define FAR_RANK_AWAITS_ALL (-2)

/** What a rank is at. */
typedef struct far_rank_doing {
    int32_t awaits; /**< a rank, FAR_RANK_AWAITS_NONE or FAR_RANK_AWAITS_ALL */
    char text[160]; /**< "computes conv stem", "waits for rank 3 (conv_dw stem)" */
} far_rank_doing;

/**
 * A board on which ranks write what they do: those that find its path in FARANDOLE_BOARD, or that this process joins.
 * @return FAR_OK, FAR_E_NOMEM, FAR_E_IO.
 */
FAR_API far_status far_ranks_watch_open(int32_t count, far_ranks_watch **watch_out);
/** One that another process of this machine has opened. @return FAR_OK, FAR_E_NOTFOUND, FAR_E_NOMEM. */
FAR_API far_status far_ranks_watch_attach(const char *path, far_ranks_watch **watch_out);
FAR_API void far_ranks_watch_close(far_ranks_watch *watch);
FAR_API const char *far_ranks_watch_path(const far_ranks_watch *watch);
FAR_API int32_t far_ranks_watch_count(const far_ranks_watch *watch);
FAR_API far_rank_state far_ranks_watch_state(const far_ranks_watch *watch, int32_t rank);
FAR_API far_rank_doing far_ranks_watch_doing(const far_ranks_watch *watch, int32_t rank);
/** @return the folder of the ranks' run; "" as long as it is not known. */
FAR_API const char *far_ranks_watch_folder(const far_ranks_watch *watch);
/** @return run.hang_s in milliseconds; 0: auto, or not known yet; -1: never. */
FAR_API int64_t far_ranks_watch_patience_ms(const far_ranks_watch *watch);

#ifdef __cplusplus
}
#endif
#endif /* FAR_RANKS_H */
