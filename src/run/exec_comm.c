#include "run/exec_comm.h"
#include "base/arena.h"
#include "base/doing.h"
#include "base/mem.h"
#include <pthread.h>

#define IDLE_LOOKS 64 /* some milliseconds */

struct fari_exec_comm {
    const fari_plan *plan;
    fari_comm *comm;
    fari_comm_binding *binding;
    fari_comm_message *messages; /* [message_count] */
    fari_comm_part *parts;       /* [part_count] */
    fari_message_done_fn done;
    void *ctx;
    pthread_t thread;
    bool is_started;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* under lock */
    int32_t *queue; /* [message_count] to be started, a ring */
    int64_t queue_head, queue_count;
    bool is_stopping, is_abandoned;
    /* the thread's own */
    int64_t *finished; /* [message_count] */
    bool *is_open;     /* [message_count] started, not done */
    int64_t in_flight, idle_looks;
};

/* Under lock: waits until there is something to start or to wait for. */
static void await_work(fari_exec_comm *ec)
{
    while (!ec->is_stopping && ec->queue_count == 0 && ec->in_flight == 0)
        (void)pthread_cond_wait(&ec->wake, &ec->lock);
}

/* Under lock: the next message to start, -1: none. */
static int32_t queue_take(fari_exec_comm *ec)
{
    if (ec->queue_count == 0) return -1;
    const int32_t message = ec->queue[ec->queue_head];
    ec->queue_head = (ec->queue_head + 1) % ec->plan->part->message_count;
    ec->queue_count--;
    return message;
}

/* Once nothing has come for a while: what this rank waits for, the first in the order that all ranks share; others can name who holds
   them up. A receive where there is one. */
static void tell_awaited(const fari_exec_comm *ec)
{
    const fari_plan *plan = ec->plan;
    int64_t found = -1;
    for (int64_t i = plan->part->message_count - 1; i >= 0; i--)
        if (ec->is_open[i] && (found < 0 || !ec->messages[i].is_send || ec->messages[found].is_send)) found = i;
    if (found < 0) return;
    const fari_node *node = plan->graph->nodes[plan->order[plan->part->messages[found].turn]];
    fari_doing(FARI_DOING_AWAIT_RANK, ec->messages[found].peer, node->op->name, node->name);
}

/* Without lock: nothing is done. */
static void idle(fari_exec_comm *ec)
{
    if (++ec->idle_looks == IDLE_LOOKS) tell_awaited(ec);
    ec->comm->ops->pause(ec->comm);
}

static void gets_on(fari_exec_comm *ec)
{
    if (ec->idle_looks >= IDLE_LOOKS) fari_doing(FARI_DOING_NOTHING, 0, NULL, NULL);
    ec->idle_looks = 0;
}

/* Without lock: starts one, or sees what is done. */
static far_status progress(fari_exec_comm *ec, int32_t message)
{
    const fari_comm_ops *ops = ec->comm->ops;
    int64_t count = 0;
    if (message >= 0) {
        FAR_TRY(ops->start(ec->comm, ec->binding, message));
        ec->is_open[message] = true;
        gets_on(ec);
        ec->in_flight++;
        return FAR_OK;
    }
    FAR_TRY(ops->poll(ec->comm, ec->binding, ec->finished, ec->plan->part->message_count, &count));
    ec->in_flight -= count;
    for (int64_t i = 0; i < count; i++) {
        ec->is_open[ec->finished[i]] = false;
        ec->done(ec->ctx, (int32_t)ec->finished[i], FAR_OK);
    }
    if (count == 0) idle(ec);
    else gets_on(ec);
    return FAR_OK;
}

static void *comm_main(void *arg)
{
    fari_exec_comm *ec = arg;
    fari_thread_touch();
    (void)pthread_mutex_lock(&ec->lock);
    for (;;) {
        await_work(ec);
        if (ec->is_stopping) break;
        const int32_t message = queue_take(ec);
        const bool is_abandoned = ec->is_abandoned;
        (void)pthread_mutex_unlock(&ec->lock);
        const far_status st = is_abandoned ? FAR_OK : progress(ec, message);
        if (st != FAR_OK) ec->done(ec->ctx, message, st);
        (void)pthread_mutex_lock(&ec->lock);
        if (st != FAR_OK) ec->is_abandoned = true;
        if (ec->is_abandoned) ec->in_flight = 0;
    }
    (void)pthread_mutex_unlock(&ec->lock);
    return NULL;
}

static far_status messages_make(fari_exec_comm *ec, char *const *buffer_data)
{
    const fari_plan *plan = ec->plan;
    const fari_part *part = plan->part;
    const size_t count = (size_t)part->message_count + 1;
    ec->messages = fari_calloc(count, sizeof *ec->messages);
    ec->parts = fari_calloc((size_t)part->part_count + 1, sizeof *ec->parts);
    ec->queue = fari_calloc(count, sizeof *ec->queue);
    ec->finished = fari_calloc(count, sizeof *ec->finished);
    ec->is_open = fari_calloc(count, sizeof *ec->is_open);
    if (ec->messages == NULL || ec->parts == NULL || ec->queue == NULL || ec->finished == NULL || ec->is_open == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the messages of a rank");
    for (int64_t i = 0; i < part->message_count; i++) {
        const fari_message *m = &part->messages[i];
        const fari_instr *instr = &plan->instrs[m->instr];
        const bool is_send = m->from == plan->opts.rank;
        for (int32_t p = 0; p < m->part_count; p++) {
            const int64_t view = instr->view0 + p;
            ec->parts[m->part0 + p].data = buffer_data[plan->view_buffer[view]] + (uintptr_t)plan->views[view].data;
            ec->parts[m->part0 + p].bytes = (size_t)plan->views[view].dim[0];
        }
        ec->messages[i] = (fari_comm_message){ .is_send = is_send,
                                               .peer = is_send ? m->to : m->from,
                                               .tag = m->tag,
                                               .part_count = m->part_count,
                                               .parts = &ec->parts[m->part0] };
    }
    return FAR_OK;
}

far_status fari_exec_comm_create(const fari_plan *plan, char *const *buffer_data, fari_comm *comm,
                                 fari_message_done_fn done, void *ctx, fari_exec_comm **exec_comm_out)
{
    far_status st = FAR_OK;
    if (comm == NULL || comm->world_size != fari_mesh_ranks(&plan->opts.mesh) || comm->rank != plan->opts.rank)
        return FAR_FAIL(FAR_E_ARG, "a plan for rank %d of %d needs a communicator of that rank", (int)plan->opts.rank,
                        (int)fari_mesh_ranks(&plan->opts.mesh));
    fari_exec_comm *ec = fari_calloc(1, sizeof *ec);
    if (ec == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the messages of a rank");
    ec->plan = plan;
    ec->comm = comm;
    ec->done = done;
    ec->ctx = ctx;
    (void)pthread_mutex_init(&ec->lock, NULL);
    (void)pthread_cond_init(&ec->wake, NULL);
    FAR_TRY_GOTO(messages_make(ec, buffer_data), failed);
    FAR_TRY_GOTO(comm->ops->bind(comm, ec->messages, plan->part->message_count, &ec->binding), failed);
    if (pthread_create(&ec->thread, NULL, comm_main, ec) != 0) {
        st = FAR_FAIL(FAR_E_NOMEM, "the system gave no thread for messages");
        goto failed;
    }
    ec->is_started = true;
    *exec_comm_out = ec;
    return FAR_OK;
failed:
    fari_exec_comm_destroy(ec);
    return st;
}

void fari_exec_comm_destroy(fari_exec_comm *ec)
{
    if (ec == NULL) return;
    (void)pthread_mutex_lock(&ec->lock);
    ec->is_stopping = true;
    (void)pthread_cond_signal(&ec->wake);
    (void)pthread_mutex_unlock(&ec->lock);
    if (ec->is_started) (void)pthread_join(ec->thread, NULL);
    if (ec->binding != NULL) ec->comm->ops->unbind(ec->comm, ec->binding);
    fari_free(ec->messages);
    fari_free(ec->parts);
    fari_free(ec->queue);
    fari_free(ec->finished);
    fari_free(ec->is_open);
    (void)pthread_cond_destroy(&ec->wake);
    (void)pthread_mutex_destroy(&ec->lock);
    fari_free(ec);
}

void fari_exec_comm_start(fari_exec_comm *ec, int32_t message)
{
    (void)pthread_mutex_lock(&ec->lock);
    ec->queue[(ec->queue_head + ec->queue_count++) % ec->plan->part->message_count] = message;
    (void)pthread_cond_signal(&ec->wake);
    (void)pthread_mutex_unlock(&ec->lock);
}

void fari_exec_comm_abandon(fari_exec_comm *ec, far_status status)
{
    (void)pthread_mutex_lock(&ec->lock);
    const bool is_first = !ec->is_abandoned;
    ec->is_abandoned = true;
    (void)pthread_cond_signal(&ec->wake);
    (void)pthread_mutex_unlock(&ec->lock);
    if (is_first) ec->comm->ops->abandon(ec->comm, status, far_error_message());
}

int64_t fari_exec_comm_own_bytes(const fari_plan *plan)
{
    if (plan->part == NULL) return 0;
    return plan->part->message_count *
               (int64_t)(sizeof(fari_comm_message) + sizeof(int32_t) + sizeof(int64_t) + sizeof(bool)) +
           plan->part->part_count * (int64_t)sizeof(fari_comm_part);
}
