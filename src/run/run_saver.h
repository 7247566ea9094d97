/* A run's checkpoints on their way to disk. Each rank writes its share (run/checkpoint_parts.h) on a thread of its own while training goes on,
 * from a copy; when all have told that theirs is there, in the words of a step, the first rank gives the checkpoint its name, on that thread
 * too. One at a time. */
#ifndef FARI_RUN_RUN_SAVER_H
#define FARI_RUN_RUN_SAVER_H
#include "graph/graph.h"
#include "run/checkpoint.h"
#include "run/store.h"

typedef struct run_saver run_saver;

/* What a checkpoint of this graph's parameters and states consists of, for rank `rank` of `world_size`. Names stay borrowed. */
far_status run_saver_create(const far_graph *graph, int32_t rank, int32_t world_size, run_saver **saver_out);
/* Waits for what is being written. NULL is allowed. */
void run_saver_destroy(run_saver *saver);
int64_t run_saver_share_bytes(const run_saver *saver, int32_t rank); /* that a rank writes */
int64_t run_saver_most_bytes(const run_saver *saver);                /* the largest share of a rank */
int64_t run_saver_bytes(const run_saver *saver);                     /* held beside the graph; NULL: 0 */
/* Before allocate: whether shares are copied, so that training goes on. */
void run_saver_set_background(run_saver *saver, bool is_background);
bool run_saver_is_background(const run_saver *saver);
/* The copy, and where the tensors are. */
far_status run_saver_allocate(run_saver *saver, const fari_store *store);

/* Begins checkpoint `state->step`; none may be under way. In the foreground, and of one rank, it is there when this returns. */
far_status run_saver_begin(run_saver *saver, const char *folder, const fari_ckpt_state *state, bool is_best,
                           int64_t keep);
/* Whether this rank's share of the checkpoint under way is on disk; at once. FAR_E_IO and others: it cannot be written. */
far_status run_saver_poll(run_saver *saver, bool *is_written_out);
/* Waits for that. */
far_status run_saver_wait(run_saver *saver);
/* Whether shares are still to be brought together: the same on all ranks. */
bool run_saver_has_shares(const run_saver *saver);
/* Checksums of this rank's share, once written, and of all: [world_size][bytes]. */
const void *run_saver_own_hashes(const run_saver *saver, size_t *bytes_out);
/* Of all ranks: the shares are on disk. The first gives the checkpoint its name, in the background where is_background. */
far_status run_saver_publish(run_saver *saver, const void *all_hashes, bool is_background);
/* After a failure: waits, and removes what has no name yet (the first rank). */
void run_saver_give_up(run_saver *saver);
#endif
