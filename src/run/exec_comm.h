/* The messages of an executor: a thread that starts those whose turn has come and tells which are done, so that they travel while
   kernels run. */
#ifndef FARI_RUN_EXEC_COMM_H
#define FARI_RUN_EXEC_COMM_H
#include "comm/comm.h"
#include "plan/part.h"

typedef struct fari_exec_comm fari_exec_comm;

/* Message `message` is done (status FAR_OK), or none will be any more: then the thread's error says why. Called on the thread. */
typedef void (*fari_message_done_fn)(void *ctx, int32_t message, far_status status);

/* Binds the plan's messages to places in memory and starts the thread. buffer_data: [plan->buffer_count]. Local, but every rank makes
   the executors of its plans in the same order. */
far_status fari_exec_comm_create(const fari_plan *plan, char *const *buffer_data, fari_comm *comm,
                                 fari_message_done_fn done, void *ctx, fari_exec_comm **exec_comm_out);
void fari_exec_comm_destroy(fari_exec_comm *ec);
/* Everything that a message waited for is done. */
void fari_exec_comm_start(fari_exec_comm *ec, int32_t message);
/* The step has failed, with the calling thread's error: other ranks learn of it, and nothing is touched any more. */
void fari_exec_comm_abandon(fari_exec_comm *ec, far_status status);
int64_t fari_exec_comm_own_bytes(const fari_plan *plan);
#endif
