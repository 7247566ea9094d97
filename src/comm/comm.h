/* What a plan's messages travel through: a table of functions, one row an engine. In one process: mailbox.c. Processes: mpi/mpi.c, a
 * module that mpi_load.c loads where there are several.
 *
 * Messages are known before the first step: fixed places in memory, fixed partners, the same in every step. So an engine may make
 * everything ready in `bind`; in a step it only starts messages and tells which are done, and allocates nothing.
 * Messages of a pair with one tag arrive in the order in which they were started; of different tags in any order.
 * Threads     one thread at a time uses a binding; that may be another than the one that made it. */
#ifndef FARI_COMM_COMM_H
#define FARI_COMM_COMM_H
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fari_comm_part {
    void *data; /* borrowed as long as the binding lives */
    size_t bytes;
} fari_comm_part;

/* As one of its two ranks sees it. The parts of both sides have the same sizes. */
typedef struct fari_comm_message {
    bool is_send;
    int32_t peer, tag;
    int32_t part_count;
    const fari_comm_part *parts; /* borrowed as long as the binding lives */
} fari_comm_message;

typedef struct fari_comm fari_comm;
typedef struct fari_comm_binding fari_comm_binding; /* an engine's own */

typedef struct fari_comm_ops {
    const char *name;
    /* Makes ready for messages that are sent again and again. Local, but all ranks bind their plans in the same order, and messages of
       different bindings never meet. `messages` stays borrowed as long as the binding lives. */
    far_status (*bind)(fari_comm *comm, const fari_comm_message *messages, int64_t count,
                       fari_comm_binding **binding_out);
    void (*unbind)(fari_comm *comm, fari_comm_binding *binding);
    /* Starts message `idx` and returns at once. Until it is done the parts of a send must not change and those of a receive not be
       touched. */
    far_status (*start)(fari_comm *comm, fari_comm_binding *binding, int64_t idx);
    /* Which of the started messages are done now, at most `max` of them; returns at once. Fails where a peer is gone. */
    far_status (*poll)(fari_comm *comm, fari_comm_binding *binding, int64_t *done_out, int64_t max, int64_t *count_out);
    /* Sleeps a little, until something may be done. */
    void (*pause)(fari_comm *comm);
    /* This rank gives up, for the reason given: everybody's poll and gather_end fail from now on. From any thread. */
    void (*abandon)(fari_comm *comm, far_status status, const char *why);
    void (*destroy)(fari_comm *comm);

    /* What follows is for whole programs; engines within one process have none of it: NULL. */

    /* Collective: all_out [world_size][bytes] gets what each rank has in `own`, once gather_end has returned; till then both stay
       borrowed. One at a time; the executor may run meanwhile. gather_end sleeps while it waits, and fails where a peer has given up. */
    far_status (*gather_begin)(fari_comm *comm, const void *own, size_t bytes, void *all_out);
    far_status (*gather_end)(fari_comm *comm);
    /* The last word of a rank, whatever its end; `abandon` has said it already. Waits for everybody's, at most so many seconds (negative:
       without limit), and gives them: statuses_out [world_size], FARI_COMM_SILENT where none came. FAR_E_PEER: one had failed; its words
       are the error's. */
    far_status (*part)(fari_comm *comm, far_status status, const char *why, double seconds, int32_t *statuses_out);
} fari_comm_ops;

#define FARI_COMM_SILENT (-1)

struct fari_comm {
    const fari_comm_ops *ops;
    int32_t rank, world_size;
    int32_t local_size;       /* ranks on this machine that share this one's cores; 1 where nothing is known */
    const char *const *hosts; /* [world_size] names of the machines; NULL where all is one process */
};
#endif
