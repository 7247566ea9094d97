#include "comm/mailbox.h"
#include "base/mem.h"
#include "base/rng.h"
#include <pthread.h>
#include <string.h>
#include <time.h>

#define NONE (-1)

/* One message of a plan, known to both its ranks: started by the sender, by the receiver, then handed over. */
typedef struct letter {
    int32_t from, to, tag;
    int64_t binding; /* number of the binding, the same on both sides */
    const fari_comm_message *send, *recv;
    fari_comm_binding *sender, *receiver;
    int64_t send_idx, recv_idx;
    bool is_sent, is_awaited; /* started */
    int64_t next;             /* of the same hash */
} letter;

struct fari_comm_binding {
    const fari_comm_message *messages;
    int64_t count;
    int64_t *letters; /* [count] */
    int64_t *done;    /* [count] done, not yet told */
    int64_t done_count;
};

typedef struct mailbox_comm {
    fari_comm comm;
    fari_mailbox *box;
    int64_t bindings; /* made so far */
} mailbox_comm;

#define BUCKETS 4096

struct fari_mailbox {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int32_t world_size;
    uint64_t seed, draws;
    letter *letters;
    int64_t letter_count, letter_cap;
    int64_t bucket[BUCKETS];
    int64_t *ready; /* letters that both sides have started; room for all */
    int64_t ready_count, ready_cap;
    int64_t messages, bytes;
    int32_t abandoned_by;
};

far_status fari_mailbox_create(int32_t world_size, uint64_t seed, fari_mailbox **mailbox_out)
{
    fari_mailbox *box = fari_calloc(1, sizeof *box);
    if (box == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a mailbox");
    (void)pthread_mutex_init(&box->lock, NULL);
    (void)pthread_cond_init(&box->changed, NULL);
    box->world_size = world_size;
    box->seed = seed;
    box->abandoned_by = NONE;
    for (int32_t i = 0; i < BUCKETS; i++) box->bucket[i] = NONE;
    *mailbox_out = box;
    return FAR_OK;
}

void fari_mailbox_destroy(fari_mailbox *mailbox)
{
    if (mailbox == NULL) return;
    (void)pthread_mutex_destroy(&mailbox->lock);
    (void)pthread_cond_destroy(&mailbox->changed);
    fari_free(mailbox->letters);
    fari_free(mailbox->ready);
    fari_free(mailbox);
}

void fari_mailbox_count(fari_mailbox *mailbox, int64_t *messages_out, int64_t *bytes_out)
{
    (void)pthread_mutex_lock(&mailbox->lock);
    *messages_out = mailbox->messages;
    *bytes_out = mailbox->bytes;
    (void)pthread_mutex_unlock(&mailbox->lock);
}

/* ---- binding ---- */

/* The letter of a message, made by whichever side names it first. */
static far_status letter_of(fari_mailbox *box, int32_t from, int32_t to, int32_t tag, int64_t binding, int64_t *idx_out)
{
    const uint64_t hash = fari_rng_key((uint64_t)from, (uint64_t)to, (uint64_t)tag, (uint64_t)binding) % BUCKETS;
    for (int64_t i = box->bucket[hash]; i != NONE; i = box->letters[i].next) {
        const letter *l = &box->letters[i];
        if (l->from == from && l->to == to && l->tag == tag && l->binding == binding) {
            *idx_out = i;
            return FAR_OK;
        }
    }
    if (!fari_reserve((void **)&box->letters, &box->letter_cap, box->letter_count + 1, sizeof(letter)) ||
        !fari_reserve((void **)&box->ready, &box->ready_cap, box->letter_count + 1, sizeof(int64_t)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for a mailbox");
    *idx_out = box->letter_count++;
    box->letters[*idx_out] =
        (letter){ .from = from, .to = to, .tag = tag, .binding = binding, .next = box->bucket[hash] };
    box->bucket[hash] = *idx_out;
    return FAR_OK;
}

static int64_t bytes_of(const fari_comm_message *message)
{
    int64_t bytes = 0;
    for (int32_t p = 0; p < message->part_count; p++) bytes += (int64_t)message->parts[p].bytes;
    return bytes;
}

/* Under lock. */
static far_status bind_message(mailbox_comm *own, fari_comm_binding *binding, int64_t i)
{
    const fari_comm_message *m = &binding->messages[i];
    const int32_t from = m->is_send ? own->comm.rank : m->peer, to = m->is_send ? m->peer : own->comm.rank;
    if (m->peer < 0 || m->peer >= own->comm.world_size || m->peer == own->comm.rank)
        return FAR_FAIL(FAR_E_ARG, "rank %d has no partner %d among %d", (int)own->comm.rank, (int)m->peer,
                        (int)own->comm.world_size);
    FAR_TRY(letter_of(own->box, from, to, m->tag, own->bindings, &binding->letters[i]));
    letter *l = &own->box->letters[binding->letters[i]];
    if ((m->is_send ? l->send : l->recv) != NULL)
        return FAR_FAIL(FAR_E_ARG, "two messages from rank %d to rank %d have tag %d", (int)from, (int)to, (int)m->tag);
    if (m->is_send) {
        l->send = m;
        l->sender = binding;
        l->send_idx = i;
    } else {
        l->recv = m;
        l->receiver = binding;
        l->recv_idx = i;
    }
    if (l->send != NULL && l->recv != NULL && bytes_of(l->send) != bytes_of(l->recv))
        return FAR_FAIL(FAR_E_ARG, "rank %d sends %lld bytes to rank %d, tag %d, which expects %lld", (int)from,
                        (long long)bytes_of(l->send), (int)to, (int)m->tag, (long long)bytes_of(l->recv));
    return FAR_OK;
}

static void binding_free(fari_comm_binding *binding)
{
    if (binding == NULL) return;
    fari_free(binding->letters);
    fari_free(binding->done);
    fari_free(binding);
}

static far_status mailbox_bind(fari_comm *comm, const fari_comm_message *messages, int64_t count,
                               fari_comm_binding **binding_out)
{
    mailbox_comm *own = (mailbox_comm *)comm;
    far_status st = FAR_OK;
    fari_comm_binding *binding = fari_calloc(1, sizeof *binding);
    if (binding == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a mailbox");
    binding->messages = messages;
    binding->count = count;
    binding->letters = fari_calloc((size_t)count + 1, sizeof *binding->letters);
    binding->done = fari_calloc((size_t)count + 1, sizeof *binding->done);
    if (binding->letters == NULL || binding->done == NULL) {
        binding_free(binding);
        return FAR_FAIL(FAR_E_NOMEM, "no memory for a mailbox");
    }
    (void)pthread_mutex_lock(&own->box->lock);
    for (int64_t i = 0; i < count && st == FAR_OK; i++) st = bind_message(own, binding, i);
    own->bindings++;
    (void)pthread_mutex_unlock(&own->box->lock);
    if (st != FAR_OK) binding_free(binding);
    else *binding_out = binding;
    return st;
}

static void mailbox_unbind(fari_comm *comm, fari_comm_binding *binding)
{
    mailbox_comm *own = (mailbox_comm *)comm;
    if (binding == NULL) return;
    (void)pthread_mutex_lock(&own->box->lock);
    for (int64_t i = 0; i < binding->count; i++) {
        letter *l = &own->box->letters[binding->letters[i]];
        if (l->sender == binding) {
            l->sender = NULL;
            l->send = NULL;
        }
        if (l->receiver == binding) {
            l->receiver = NULL;
            l->recv = NULL;
        }
    }
    (void)pthread_mutex_unlock(&own->box->lock);
    binding_free(binding);
}

/* ---- a step ---- */

/* Parts of both sides may be cut differently: copied as one stream. */
static void hand_over(const fari_comm_message *send, const fari_comm_message *recv)
{
    int32_t to = 0;
    size_t to_done = 0;
    for (int32_t from = 0; from < send->part_count; from++)
        for (size_t done = 0; done < send->parts[from].bytes;) {
            size_t bytes = send->parts[from].bytes - done;
            while (to_done == recv->parts[to].bytes) {
                to++;
                to_done = 0;
            }
            if (bytes > recv->parts[to].bytes - to_done) bytes = recv->parts[to].bytes - to_done;
            memcpy((char *)recv->parts[to].data + to_done, (const char *)send->parts[from].data + done, bytes);
            done += bytes;
            to_done += bytes;
        }
}

/* Under lock: hands over one of the letters that are ready, any. */
static void deliver_one(fari_mailbox *box)
{
    int64_t pick = 0;
    if (box->ready_count == 0) return;
    if (box->seed != 0) pick = (int64_t)fari_rng_below(box->seed, box->draws++, (uint64_t)box->ready_count);
    letter *l = &box->letters[box->ready[pick]];
    memmove(&box->ready[pick], &box->ready[pick + 1], (size_t)(box->ready_count - pick - 1) * sizeof *box->ready);
    box->ready_count--;
    hand_over(l->send, l->recv);
    l->is_sent = l->is_awaited = false;
    l->sender->done[l->sender->done_count++] = l->send_idx;
    l->receiver->done[l->receiver->done_count++] = l->recv_idx;
    box->messages++;
    box->bytes += bytes_of(l->send);
    (void)pthread_cond_broadcast(&box->changed);
}

static far_status mailbox_start(fari_comm *comm, fari_comm_binding *binding, int64_t idx)
{
    fari_mailbox *box = ((mailbox_comm *)comm)->box;
    (void)pthread_mutex_lock(&box->lock);
    letter *l = &box->letters[binding->letters[idx]];
    if (binding->messages[idx].is_send) l->is_sent = true;
    else l->is_awaited = true;
    if (l->is_sent && l->is_awaited) {
        box->ready[box->ready_count++] = binding->letters[idx];
        (void)pthread_cond_broadcast(&box->changed);
    }
    (void)pthread_mutex_unlock(&box->lock);
    return FAR_OK;
}

static far_status mailbox_poll(fari_comm *comm, fari_comm_binding *binding, int64_t *done_out, int64_t max,
                               int64_t *count_out)
{
    fari_mailbox *box = ((mailbox_comm *)comm)->box;
    far_status st = FAR_OK;
    (void)pthread_mutex_lock(&box->lock);
    /* now and then nothing arrives: late messages must do no harm either */
    if (box->seed == 0 || fari_rng_below(box->seed, box->draws++, 4) != 0) deliver_one(box);
    const int64_t count = binding->done_count < max ? binding->done_count : max;
    memcpy(done_out, binding->done, (size_t)count * sizeof *done_out);
    memmove(binding->done, binding->done + count, (size_t)(binding->done_count - count) * sizeof *binding->done);
    binding->done_count -= count;
    *count_out = count;
    if (box->abandoned_by != NONE) st = FAR_FAIL(FAR_E_PEER, "rank %d has given up", (int)box->abandoned_by);
    (void)pthread_mutex_unlock(&box->lock);
    return st;
}

static void mailbox_pause(fari_comm *comm)
{
    fari_mailbox *box = ((mailbox_comm *)comm)->box;
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 200000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    (void)pthread_mutex_lock(&box->lock);
    if (box->ready_count == 0 && box->abandoned_by == NONE)
        (void)pthread_cond_timedwait(&box->changed, &box->lock, &until);
    (void)pthread_mutex_unlock(&box->lock);
}

static void mailbox_abandon(fari_comm *comm, far_status status, const char *why)
{
    (void)status;
    (void)why;
    fari_mailbox *box = ((mailbox_comm *)comm)->box;
    (void)pthread_mutex_lock(&box->lock);
    if (box->abandoned_by == NONE) box->abandoned_by = comm->rank;
    (void)pthread_cond_broadcast(&box->changed);
    (void)pthread_mutex_unlock(&box->lock);
}

static void mailbox_comm_destroy(fari_comm *comm)
{
    fari_free(comm);
}

static const fari_comm_ops mailbox_ops = {
    .name = "mailbox",
    .bind = mailbox_bind,
    .unbind = mailbox_unbind,
    .start = mailbox_start,
    .poll = mailbox_poll,
    .pause = mailbox_pause,
    .abandon = mailbox_abandon,
    .destroy = mailbox_comm_destroy,
};

far_status fari_mailbox_comm(fari_mailbox *mailbox, int32_t rank, fari_comm **comm_out)
{
    if (rank < 0 || rank >= mailbox->world_size)
        return FAR_FAIL(FAR_E_ARG, "no rank %d among %d", (int)rank, (int)mailbox->world_size);
    mailbox_comm *own = fari_calloc(1, sizeof *own);
    if (own == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a communicator");
    *own = (mailbox_comm){ .comm = { &mailbox_ops, rank, mailbox->world_size, 1, NULL }, .box = mailbox };
    *comm_out = &own->comm;
    return FAR_OK;
}
