/* Ranks that are processes, over MPI: the module farandole-mpi.so, and the only file that knows mpi.h.
 *
 * A plan's messages are persistent requests on a communicator of their own, one for each binding, so they meet nobody else's; the parts
 * of a message are one datatype of absolute addresses, so nothing is copied together by us. Last words travel on a communicator of
 * their own, too: each rank always has a receive open for them. No call blocks inside MPI: who waits tests, and sleeps in between, as
 * MPI's own waiting keeps a core busy that another rank may need.
 * Threads: calls come from the communication thread and, between steps, from the thread of the run; the lock lets one in at a time. */
#include "comm/mpi_module.h"
#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define HOST_BYTES 64
#define WORDS_BYTES 1020
#define PIECE_BYTES ((size_t)1 << 30) /* MPI counts in int */
#define SHARED_PIECE_BYTES "1048576"
#define NAP_LEAST_NS 20000
#define NAP_MOST_NS 200000
#define NAP_LONG_NS 2000000 /* of waits outside of steps */
#define LATE_S 0.5          /* in which a failed rank's earlier messages arrive */
#define TAG_WORDS 1

/* The last word of a rank. */
typedef struct farewell {
    int32_t status;
    char words[WORDS_BYTES];
} farewell;

typedef struct place {
    char host[HOST_BYTES];
    uint64_t cores; /* a hash of those that the process may use */
} place;

typedef struct mpi_comm {
    fari_comm comm;
    MPI_Comm messages, words, gathers;
    MPI_Comm
        *spare; /* of bindings that are gone, the last on top: the same on all ranks, which bind and unbind alike */
    int64_t spare_count;
    pthread_mutex_t lock;
    /* under lock */
    farewell heard, said;
    MPI_Request hears; /* open as long as the communicator lives */
    MPI_Request *says; /* [world_size] of our own last word */
    int32_t *parted;   /* [world_size] the status each rank has left with, FARI_COMM_SILENT: not yet */
    farewell failed;   /* of the first rank that failed */
    int32_t failed_rank;
    MPI_Request gather;
    int64_t nap_ns; /* of pause; the communication thread's */
    place *places;  /* [world_size] */
    const char **hosts;
} mpi_comm;

struct fari_comm_binding {
    MPI_Comm comm;
    const fari_comm_message *messages;
    int64_t count;
    MPI_Request *requests; /* [count] persistent */
    MPI_Request *active;   /* [count] those that are started, dense */
    int64_t *active_idx;   /* [count] whose */
    int *done;             /* [count] as MPI tells them */
    int64_t active_count;
};

static const fari_mpi_host *host;

#define FAIL(status, ...) host->fail((status), __FILE__, __LINE__, __func__, __VA_ARGS__)

static far_status mpi_failed(int code, const char *what)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    (void)MPI_Error_string(code, text, &length);
    return FAIL(FAR_E_PEER, "MPI cannot %s: %s", what, text);
}

#define MPI_TRY(call, what)                                         \
    do {                                                            \
        const int code_ = (call);                                   \
        if (code_ != MPI_SUCCESS) return mpi_failed(code_, (what)); \
    } while (0)

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void nap(int64_t ns)
{
    const struct timespec time = { .tv_nsec = (long)ns };
    (void)nanosleep(&time, NULL);
}

/* ---- last words ---- */

/* Under lock: takes in what ranks have said. */
static far_status hear(mpi_comm *own)
{
    for (;;) {
        int is_there = 0;
        MPI_Status status;
        MPI_TRY(MPI_Test(&own->hears, &is_there, &status), "hear from other ranks");
        if (!is_there) return FAR_OK;
        const int32_t from = status.MPI_SOURCE;
        own->parted[from] = own->heard.status;
        const bool is_failure = own->heard.status != FAR_OK && own->heard.status != FAR_E_STOPPED;
        /* who only follows another's failure is less telling than that one */
        if (is_failure && (own->failed_rank < 0 || own->failed.status == FAR_E_PEER)) {
            own->failed = own->heard;
            own->failed_rank = from;
        }
        MPI_TRY(MPI_Irecv(&own->heard, (int)sizeof own->heard, MPI_BYTE, MPI_ANY_SOURCE, TAG_WORDS, own->words,
                          &own->hears),
                "listen to other ranks");
    }
}

/* Under lock: fails where another rank has. */
static far_status check_peers(mpi_comm *own)
{
    const far_status st = hear(own);
    if (st != FAR_OK) return st;
    if (own->failed_rank < 0) return FAR_OK;
    return FAIL(FAR_E_PEER, "rank %d of %d on %s: %s", (int)own->failed_rank, (int)own->comm.world_size,
                own->hosts[own->failed_rank], own->failed.words);
}

/* Under lock: our own, once. */
static void say(mpi_comm *own, far_status status, const char *why)
{
    const int32_t rank = own->comm.rank;
    if (own->parted[rank] != FARI_COMM_SILENT) return;
    own->parted[rank] = (int32_t)status;
    own->said.status = (int32_t)status;
    (void)snprintf(own->said.words, sizeof own->said.words, "%s", why);
    for (int32_t r = 0; r < own->comm.world_size; r++)
        if (r != rank)
            (void)MPI_Isend(&own->said, (int)sizeof own->said, MPI_BYTE, r, TAG_WORDS, own->words, &own->says[r]);
}

static void mpi_abandon(fari_comm *comm, far_status status, const char *why)
{
    mpi_comm *own = (mpi_comm *)comm;
    (void)pthread_mutex_lock(&own->lock);
    say(own, status, why);
    (void)pthread_mutex_unlock(&own->lock);
}

static bool have_all_parted(const mpi_comm *own)
{
    for (int32_t r = 0; r < own->comm.world_size; r++)
        if (own->parted[r] == FARI_COMM_SILENT) return false;
    return true;
}

static far_status mpi_part(fari_comm *comm, far_status status, const char *why, double seconds, int32_t *statuses_out)
{
    mpi_comm *own = (mpi_comm *)comm;
    const double until = seconds_now() + seconds;
    int is_said = 0;
    (void)pthread_mutex_lock(&own->lock);
    say(own, status, why);
    while (hear(own) == FAR_OK) {
        (void)MPI_Testall(comm->world_size, own->says, &is_said, MPI_STATUSES_IGNORE);
        if ((is_said && have_all_parted(own)) || (seconds >= 0.0 && seconds_now() > until)) break;
        (void)pthread_mutex_unlock(&own->lock);
        nap(NAP_LONG_NS);
        (void)pthread_mutex_lock(&own->lock);
    }
    memcpy(statuses_out, own->parted, (size_t)comm->world_size * sizeof *statuses_out);
    const far_status st = check_peers(own);
    (void)pthread_mutex_unlock(&own->lock);
    return st;
}

/* ---- waiting ---- */

/* Without lock: until the request is done, or a peer has failed. One that has done its share of it before it failed, and waits for us to part, is
   no reason to give up: what it sent is on its way. */
static far_status await(mpi_comm *own, MPI_Request *request, const char *what)
{
    double failed_s = 0.0; /* when the failure was first heard of */
    for (int64_t ns = NAP_LEAST_NS;; ns = 2 * ns < NAP_LONG_NS ? 2 * ns : NAP_LONG_NS) {
        int is_done = 0;
        bool is_late = false;
        (void)pthread_mutex_lock(&own->lock);
        const int code = MPI_Test(request, &is_done, MPI_STATUS_IGNORE);
        far_status st = code != MPI_SUCCESS ? mpi_failed(code, what) : FAR_OK;
        if (st == FAR_OK && !is_done) {
            st = check_peers(own);
            if (st != FAR_OK && failed_s == 0.0) failed_s = seconds_now();
            is_late = st != FAR_OK && seconds_now() - failed_s < LATE_S;
        }
        (void)pthread_mutex_unlock(&own->lock);
        if (is_done || (st != FAR_OK && !is_late)) return st;
        nap(ns);
    }
}

static far_status gather_begin(fari_comm *comm, const void *data, size_t bytes, void *all_out)
{
    mpi_comm *own = (mpi_comm *)comm;
    (void)pthread_mutex_lock(&own->lock);
    const int code =
        MPI_Iallgather(data, (int)bytes, MPI_BYTE, all_out, (int)bytes, MPI_BYTE, own->gathers, &own->gather);
    const far_status st = code != MPI_SUCCESS ? mpi_failed(code, "gather from all ranks") : FAR_OK;
    (void)pthread_mutex_unlock(&own->lock);
    return st;
}

static far_status gather_end(fari_comm *comm)
{
    mpi_comm *own = (mpi_comm *)comm;
    return await(own, &own->gather, "gather from all ranks");
}

/* ---- binding ---- */

/* The parts as one type of absolute addresses, parts beyond 1 GiB in pieces. */
static far_status type_of(const fari_comm_message *m, MPI_Datatype *type_out)
{
    int pieces = 0, at = 0;
    for (int32_t p = 0; p < m->part_count; p++) pieces += (int)((m->parts[p].bytes + PIECE_BYTES - 1) / PIECE_BYTES);
    int *lengths = host->calloc((size_t)pieces + 1, sizeof *lengths);
    MPI_Aint *places = host->calloc((size_t)pieces + 1, sizeof *places);
    far_status st = FAR_OK;
    if (lengths == NULL || places == NULL) {
        st = FAIL(FAR_E_NOMEM, "no memory for a message of %d parts", (int)m->part_count);
        goto done;
    }
    for (int32_t p = 0; p < m->part_count; p++)
        for (size_t from = 0; from < m->parts[p].bytes; from += PIECE_BYTES, at++) {
            const size_t left = m->parts[p].bytes - from;
            lengths[at] = (int)(left < PIECE_BYTES ? left : PIECE_BYTES);
            (void)MPI_Get_address((char *)m->parts[p].data + from, &places[at]);
        }
    int code = MPI_Type_create_hindexed(pieces, lengths, places, MPI_BYTE, type_out);
    if (code == MPI_SUCCESS) code = MPI_Type_commit(type_out);
    if (code != MPI_SUCCESS) st = mpi_failed(code, "describe a message");
done:
    host->free(lengths);
    host->free(places);
    return st;
}

/* Under lock. */
static far_status message_init(const fari_comm *comm, fari_comm_binding *binding, int64_t i)
{
    const fari_comm_message *m = &binding->messages[i];
    MPI_Datatype type;
    if (m->peer < 0 || m->peer >= comm->world_size || m->peer == comm->rank)
        return FAIL(FAR_E_ARG, "rank %d has no partner %d among %d", (int)comm->rank, (int)m->peer,
                    (int)comm->world_size);
    if (m->part_count == 1 && m->parts[0].bytes <= PIECE_BYTES) {
        const int bytes = (int)m->parts[0].bytes;
        MPI_TRY(m->is_send ? MPI_Send_init(m->parts[0].data, bytes, MPI_BYTE, m->peer, m->tag, binding->comm,
                                           &binding->requests[i])
                           : MPI_Recv_init(m->parts[0].data, bytes, MPI_BYTE, m->peer, m->tag, binding->comm,
                                           &binding->requests[i]),
                "prepare a message");
        return FAR_OK;
    }
    const far_status st = type_of(m, &type);
    if (st != FAR_OK) return st;
    const int code = m->is_send
                         ? MPI_Send_init(MPI_BOTTOM, 1, type, m->peer, m->tag, binding->comm, &binding->requests[i])
                         : MPI_Recv_init(MPI_BOTTOM, 1, type, m->peer, m->tag, binding->comm, &binding->requests[i]);
    (void)MPI_Type_free(&type); /* lives on in the request */
    return code == MPI_SUCCESS ? FAR_OK : mpi_failed(code, "prepare a message");
}

static void mpi_unbind(fari_comm *comm, fari_comm_binding *binding)
{
    mpi_comm *own = (mpi_comm *)comm;
    if (binding == NULL) return;
    (void)pthread_mutex_lock(&own->lock);
    for (int64_t a = 0; a < binding->active_count; a++) /* of a step that failed */
        if (!binding->messages[binding->active_idx[a]].is_send) (void)MPI_Cancel(&binding->active[a]);
    for (int64_t i = 0; i < binding->count && binding->requests != NULL; i++)
        if (binding->requests[i] != MPI_REQUEST_NULL) (void)MPI_Request_free(&binding->requests[i]);
    /* freeing its communicator is collective, and ranks end executors when they like: the next binding takes it over. Whatever was sent over it
       has been received, or is before what comes, so nobody takes one for the other. After a failed step there is no next */
    if (binding->comm != MPI_COMM_NULL && binding->active_count == 0) {
        MPI_Comm *more = host->calloc((size_t)own->spare_count + 1, sizeof *more);
        for (int64_t i = 0; more != NULL && i < own->spare_count; i++) more[i] = own->spare[i];
        if (more != NULL) {
            more[own->spare_count++] = binding->comm;
            host->free(own->spare);
            own->spare = more;
        }
    }
    (void)pthread_mutex_unlock(&own->lock);
    host->free(binding->requests);
    host->free(binding->active);
    host->free(binding->active_idx);
    host->free(binding->done);
    host->free(binding);
}

static far_status binding_make(mpi_comm *own, fari_comm_binding *binding)
{
    MPI_Request request;
    far_status st = FAR_OK;
    const size_t count = (size_t)binding->count + 1;
    binding->requests = host->calloc(count, sizeof *binding->requests);
    binding->active = host->calloc(count, sizeof *binding->active);
    binding->active_idx = host->calloc(count, sizeof *binding->active_idx);
    binding->done = host->calloc(count, sizeof *binding->done);
    if (binding->requests == NULL || binding->active == NULL || binding->active_idx == NULL || binding->done == NULL)
        return FAIL(FAR_E_NOMEM, "no memory for %lld messages", (long long)binding->count);
    for (int64_t i = 0; i < binding->count; i++) binding->requests[i] = MPI_REQUEST_NULL;
    (void)pthread_mutex_lock(&own->lock);
    if (own->spare_count > 0) {
        binding->comm = own->spare[--own->spare_count];
    } else {
        const int code = MPI_Comm_idup(own->messages, &binding->comm, &request);
        (void)pthread_mutex_unlock(&own->lock);
        if (code != MPI_SUCCESS) return mpi_failed(code, "make a communicator");
        st = await(own, &request, "make a communicator");
        if (st != FAR_OK) return st;
        (void)pthread_mutex_lock(&own->lock);
    }
    (void)MPI_Comm_set_errhandler(binding->comm, MPI_ERRORS_RETURN);
    for (int64_t i = 0; i < binding->count && st == FAR_OK; i++) st = message_init(&own->comm, binding, i);
    (void)pthread_mutex_unlock(&own->lock);
    return st;
}

static far_status mpi_bind(fari_comm *comm, const fari_comm_message *messages, int64_t count,
                           fari_comm_binding **binding_out)
{
    fari_comm_binding *binding = host->calloc(1, sizeof *binding);
    if (binding == NULL) return FAIL(FAR_E_NOMEM, "no memory for the messages of a plan");
    binding->comm = MPI_COMM_NULL;
    binding->messages = messages;
    binding->count = count;
    const far_status st = binding_make((mpi_comm *)comm, binding);
    if (st != FAR_OK) {
        mpi_unbind(comm, binding);
        return st;
    }
    *binding_out = binding;
    return FAR_OK;
}

/* ---- a step ---- */

static far_status mpi_start(fari_comm *comm, fari_comm_binding *binding, int64_t idx)
{
    mpi_comm *own = (mpi_comm *)comm;
    (void)pthread_mutex_lock(&own->lock);
    const int code = MPI_Start(&binding->requests[idx]);
    binding->active[binding->active_count] = binding->requests[idx];
    binding->active_idx[binding->active_count] = idx;
    if (code == MPI_SUCCESS) binding->active_count++;
    own->nap_ns = NAP_LEAST_NS;
    const far_status st = code == MPI_SUCCESS ? FAR_OK : mpi_failed(code, "start a message");
    (void)pthread_mutex_unlock(&own->lock);
    return st;
}

/* Under lock: what is done leaves the list of the active. */
static void take_done(fari_comm_binding *binding, int count, int64_t *done_out)
{
    for (int i = 0; i < count; i++) {
        done_out[i] = binding->active_idx[binding->done[i]];
        binding->active_idx[binding->done[i]] = -1;
    }
    int64_t kept = 0;
    for (int64_t a = 0; a < binding->active_count; a++) {
        if (binding->active_idx[a] < 0) continue;
        binding->active[kept] = binding->active[a];
        binding->active_idx[kept++] = binding->active_idx[a];
    }
    binding->active_count = kept;
}

static far_status mpi_poll(fari_comm *comm, fari_comm_binding *binding, int64_t *done_out, int64_t max,
                           int64_t *count_out)
{
    mpi_comm *own = (mpi_comm *)comm;
    const int asked = (int)(binding->active_count < max ? binding->active_count : max);
    int count = 0;
    (void)pthread_mutex_lock(&own->lock);
    const int code = MPI_Testsome(asked, binding->active, &count, binding->done, MPI_STATUSES_IGNORE);
    far_status st = code != MPI_SUCCESS ? mpi_failed(code, "exchange messages") : FAR_OK;
    if (st == FAR_OK && count > 0 && count != MPI_UNDEFINED) {
        take_done(binding, count, done_out);
        own->nap_ns = NAP_LEAST_NS;
    } else {
        count = 0;
        if (st == FAR_OK) st = check_peers(own);
    }
    *count_out = count;
    (void)pthread_mutex_unlock(&own->lock);
    return st;
}

static void mpi_pause(fari_comm *comm)
{
    mpi_comm *own = (mpi_comm *)comm;
    nap(own->nap_ns);
    own->nap_ns = 2 * own->nap_ns < NAP_MOST_NS ? 2 * own->nap_ns : NAP_MOST_NS;
}

/* ---- life ---- */

/* MPI ends only where every rank has said its last word: it would wait for one that is gone. */
static void mpi_destroy(fari_comm *comm)
{
    mpi_comm *own = (mpi_comm *)comm;
    if (have_all_parted(own)) {
        if (own->hears != MPI_REQUEST_NULL) { /* nobody will say more */
            (void)MPI_Cancel(&own->hears);
            (void)MPI_Wait(&own->hears, MPI_STATUS_IGNORE);
        }
        (void)MPI_Finalize();
    }
    host->free(own->spare); /* MPI_Finalize frees what they name */
    host->free(own->says);
    host->free(own->parted);
    host->free(own->places);
    host->free(own->hosts);
    (void)pthread_mutex_destroy(&own->lock);
    host->free(own);
}

static const fari_comm_ops mpi_ops = {
    .name = "mpi",
    .bind = mpi_bind,
    .unbind = mpi_unbind,
    .start = mpi_start,
    .poll = mpi_poll,
    .pause = mpi_pause,
    .abandon = mpi_abandon,
    .destroy = mpi_destroy,
    .gather_begin = gather_begin,
    .gather_end = gather_end,
    .part = mpi_part,
};

/* FNV-1a. */
static uint64_t hash_of(const void *data, size_t bytes)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ ((const unsigned char *)data)[i]) * UINT64_C(1099511628211);
    return hash;
}

/* Who runs where, and how many share this rank's cores. */
static far_status places_gather(mpi_comm *own)
{
    place here = { .cores = 0 };
    cpu_set_t cores;
    CPU_ZERO(&cores);
    (void)gethostname(here.host, sizeof here.host - 1);
    (void)sched_getaffinity(0, sizeof cores, &cores);
    here.cores = hash_of(&cores, sizeof cores);
    MPI_TRY(MPI_Allgather(&here, (int)sizeof here, MPI_BYTE, own->places, (int)sizeof here, MPI_BYTE, own->gathers),
            "learn where ranks run");
    own->comm.local_size = 0;
    for (int32_t r = 0; r < own->comm.world_size; r++) {
        own->hosts[r] = own->places[r].host;
        own->comm.local_size += strcmp(own->places[r].host, here.host) == 0 && own->places[r].cores == here.cores;
    }
    return FAR_OK;
}

static far_status comm_open(mpi_comm *own)
{
    MPI_Comm *const comms[] = { &own->messages, &own->words, &own->gathers };
    const size_t ranks = (size_t)own->comm.world_size;
    own->says = host->calloc(ranks, sizeof *own->says);
    own->parted = host->calloc(ranks, sizeof *own->parted);
    own->places = host->calloc(ranks, sizeof *own->places);
    own->hosts = host->calloc(ranks, sizeof *own->hosts);
    if (own->says == NULL || own->parted == NULL || own->places == NULL || own->hosts == NULL)
        return FAIL(FAR_E_NOMEM, "no memory for a communicator of %d ranks", (int)own->comm.world_size);
    for (size_t r = 0; r < ranks; r++) {
        own->says[r] = MPI_REQUEST_NULL;
        own->parted[r] = FARI_COMM_SILENT;
    }
    own->comm.hosts = own->hosts;
    for (size_t i = 0; i < sizeof comms / sizeof comms[0]; i++) {
        MPI_TRY(MPI_Comm_dup(MPI_COMM_WORLD, comms[i]), "make a communicator");
        (void)MPI_Comm_set_errhandler(*comms[i], MPI_ERRORS_RETURN);
    }
    MPI_TRY(
        MPI_Irecv(&own->heard, (int)sizeof own->heard, MPI_BYTE, MPI_ANY_SOURCE, TAG_WORDS, own->words, &own->hears),
        "listen to other ranks");
    return places_gather(own);
}

/* Open MPI copies messages between processes of a machine through shared memory, by default 32 KB at a time, and each piece waits for a look of
   both sides: as we sleep between looks, gradients took 45 ms for 5 MB. Under any launcher; what the person has set stays. Versions 4, then 5. */
static void settings_make(void)
{
    static const char *const names[] = { "OMPI_MCA_btl_vader_max_send_size", "OMPI_MCA_btl_sm_max_send_size" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) (void)setenv(names[i], SHARED_PIECE_BYTES, 0);
}

static far_status join(const fari_mpi_host *given, fari_comm **comm_out)
{
    int level = MPI_THREAD_SINGLE, rank = 0, size = 1;
    host = given;
    settings_make();
    const int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level);
    if (code != MPI_SUCCESS) return mpi_failed(code, "start");
    if (level < MPI_THREAD_SERIALIZED)
        return FAIL(FAR_E_LIBRARY,
                    "this MPI lets only one thread use it; Farandole's messages have a thread of their own");
    (void)MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    (void)MPI_Comm_size(MPI_COMM_WORLD, &size);
    mpi_comm *own = host->calloc(1, sizeof *own);
    if (own == NULL) return FAIL(FAR_E_NOMEM, "no memory for a communicator");
    *own = (mpi_comm){ .comm = { .ops = &mpi_ops, .rank = rank, .world_size = size, .local_size = 1 },
                       .failed_rank = -1,
                       .nap_ns = NAP_LEAST_NS,
                       .hears = MPI_REQUEST_NULL,
                       .gather = MPI_REQUEST_NULL };
    (void)pthread_mutex_init(&own->lock, NULL);
    const far_status st = comm_open(own);
    if (st != FAR_OK) {
        if (own->parted != NULL) mpi_destroy(&own->comm);
        return st;
    }
    *comm_out = &own->comm;
    return FAR_OK;
}

static void version(char *text_out, size_t bytes)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    (void)MPI_Get_library_version(text, &length);
    text[strcspn(text, ",\n")] = '\0';
    (void)snprintf(text_out, bytes, "%s", text);
}

EXPORT extern const fari_mpi_module fari_mpi_entry;
const fari_mpi_module fari_mpi_entry = {
    .abi = FARI_MPI_MODULE_ABI,
    .comm_bytes = sizeof(fari_comm),
    .ops_bytes = sizeof(fari_comm_ops),
    .join = join,
    .version = version,
};
