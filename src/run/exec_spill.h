/* WRITE and READ of an executor: threads that move pieces of buffers to disk and back while kernels run. */
#ifndef FARI_RUN_EXEC_SPILL_H
#define FARI_RUN_EXEC_SPILL_H
#include "plan/plan.h"

struct fari_spill_file;
typedef struct fari_exec_spill fari_exec_spill;

#define FARI_SPILL_THREADS \
    4 /* pieces on their way at once: what disks want to be fast. They sleep in the system, and take no core */

/* The piece of instruction `instr` is moved, since `begin_s`; else the thread's error says why not. Called on thread `lane` of these. */
typedef void (*fari_piece_done_fn)(void *ctx, int32_t instr, far_status status, int32_t lane, double begin_s);

/* Starts the threads. buffer_data: [plan->buffer_count], and a file of at least plan->spill_bytes: borrowed. Plans that never run at once may
   share one. */
far_status fari_exec_spill_create(const fari_plan *plan, char *const *buffer_data, struct fari_spill_file *file,
                                  fari_piece_done_fn done, void *ctx, fari_exec_spill **spill_out);
void fari_exec_spill_destroy(fari_exec_spill *spill);
void fari_exec_spill_begin(fari_exec_spill *spill); /* a step */
/* Everything that an instruction waited for is done: an entry as in ready_heap.h, the smallest goes first. */
void fari_exec_spill_start(fari_exec_spill *spill, uint64_t entry);
/* The step has failed: no piece is begun any more. */
void fari_exec_spill_abandon(fari_exec_spill *spill);
/* Waits until no piece is on its way. */
void fari_exec_spill_settle(fari_exec_spill *spill);
/* On the calling thread, as if it were thread 0 of these. */
far_status fari_exec_spill_move(fari_exec_spill *spill, int32_t instr);
/* The most bytes of disk that the pieces of a step have taken. */
int64_t fari_exec_spill_most_bytes(const fari_exec_spill *spill);
int64_t fari_exec_spill_own_bytes(const fari_plan *plan);
#endif
