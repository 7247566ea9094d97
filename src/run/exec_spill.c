#include "run/exec_spill.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/doing.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/pack.h"
#include "base/status.h"
#include "run/ready_heap.h"
#include "run/spill_file.h"
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#define PERIOD_MOST 256

/* A piece on its way. */
typedef struct piece {
    int32_t number;
    int64_t offset; /* in the file */
    char *data;
    size_t bytes, period;
} piece;

typedef struct mover {
    struct fari_exec_spill *spill;
    pthread_t thread;
    int32_t lane;
} mover;

struct fari_exec_spill {
    const fari_plan *plan;
    char *const *buffer_data;
    fari_spill_file *file;
    uint64_t *sums;      /* [plan->spill_pieces] of what was written last: disks err, and files can be cut */
    uint32_t *packed;    /* [plan->spill_pieces] bytes of the packed form, 0: it is as it was */
    uint32_t *taken;     /* [plan->spill_pieces] bytes that it takes of the file */
    int32_t *reads;      /* [plan->spill_pieces] in a step, after each of which */
    int32_t *reads_left; /* so many are to come */
    void *lanes;         /* room of each thread for a packed piece; NULL: nothing is packed */
    int64_t lane_bytes;
    fari_piece_done_fn done;
    void *ctx;
    mover movers[FARI_SPILL_THREADS];
    int32_t started;

    pthread_mutex_t lock;
    pthread_cond_t wake, settled;
    /* under lock */
    uint64_t *heap; /* [moves] */
    int64_t heap_count;
    int32_t moving;
    int64_t used, most_used; /* bytes of the file */
    bool is_stopping;
};

static int64_t count_moves(const fari_plan *plan)
{
    int64_t count = 0;
    for (int64_t i = 0; i < plan->instr_count; i++) count += fari_instr_is_move(&plan->instrs[i]);
    return count;
}

/* Bytes of a pixel, after which values repeat where an image has areas of one value. */
static size_t period_of(const fari_plan *plan, far_value tensor)
{
    const fari_tensor *t = plan->graph->tensors[tensor];
    const int64_t bytes = far_dtype_bytes(fari_plan_dtype(plan, tensor));
    const int64_t pixel = bytes * (t->shape.ndim >= 3 && t->order == FARI_CHANNELS_LAST ? t->shape.dim[1] : 1);
    return pixel % 4 == 0 && pixel <= PERIOD_MOST ? (size_t)pixel : 4;
}

/* What the file takes now counts towards the most that it took. */
static void note_used(fari_exec_spill *spill, int64_t change)
{
    (void)pthread_mutex_lock(&spill->lock);
    spill->used += change;
    if (spill->used > spill->most_used) spill->most_used = spill->used;
    (void)pthread_mutex_unlock(&spill->lock);
}

static int64_t whole_pages(int64_t bytes)
{
    return (bytes + FARI_PAGE_BYTES - 1) / FARI_PAGE_BYTES * FARI_PAGE_BYTES;
}

/* Packed, if that saves an eighth. What the piece's room in the file held beyond is given back. */
static far_status write_piece(fari_exec_spill *spill, const piece *p, char *lane)
{
    size_t packed = 0;
    spill->sums[p->number] = fari_xxh3(p->data, p->bytes);
    if (lane != NULL) packed = fari_pack(p->data, p->bytes, p->period, lane, p->bytes - p->bytes / 8);
    const int64_t bytes = packed > 0 ? whole_pages((int64_t)packed) : (int64_t)p->bytes;
    const int64_t before = spill->taken[p->number];
    spill->packed[p->number] = (uint32_t)packed;
    spill->taken[p->number] = (uint32_t)bytes;
    note_used(spill, bytes - before);
    if (lane != NULL && bytes < before) fari_spill_file_drop(spill->file, p->offset + bytes, before - bytes);
    if (packed > 0) memset(lane + packed, 0, (size_t)bytes - packed);
    return fari_spill_file_write(spill->file, p->offset, packed > 0 ? lane : p->data, (size_t)bytes);
}

static far_status read_piece(fari_exec_spill *spill, const piece *p, char *lane)
{
    const size_t packed = spill->packed[p->number];
    bool is_sound = true;
    if (packed == 0) FAR_TRY(fari_spill_file_read(spill->file, p->offset, p->data, p->bytes));
    else {
        FAR_TRY(fari_spill_file_read(spill->file, p->offset, lane, (size_t)whole_pages((int64_t)packed)));
        is_sound = fari_unpack(lane, packed, p->period, p->data, p->bytes);
    }
    if (!is_sound || fari_xxh3(p->data, p->bytes) != spill->sums[p->number])
        return FAR_FAIL(FAR_E_IO,
                        "bytes %" PRId64 " to %" PRId64
                        " of the spill file did not come back as they were written: the disk errs, or somebody has "
                        "changed the file; go on from the last checkpoint, on another disk (run.spill_dir)",
                        p->offset, p->offset + (int64_t)p->bytes - 1);
    return FAR_OK;
}

/* Packed pieces leave the file as soon as nobody wants them any more. */
static void forget_piece(fari_exec_spill *spill, const piece *p)
{
    if (spill->lanes == NULL) return;
    (void)pthread_mutex_lock(&spill->lock); /* it may be read for two sweeps at once */
    const int32_t left = --spill->reads_left[p->number];
    (void)pthread_mutex_unlock(&spill->lock);
    if (left > 0) return;
    fari_spill_file_drop(spill->file, p->offset, spill->taken[p->number]);
    note_used(spill, -(int64_t)spill->taken[p->number]);
    spill->taken[p->number] = 0;
}

static far_status move_piece(fari_exec_spill *spill, int32_t idx, int32_t lane)
{
    const fari_plan *plan = spill->plan;
    const fari_instr *instr = &plan->instrs[idx];
    const bool is_write = instr->kind == FARI_INSTR_WRITE;
    const int64_t memory = instr->view0 + (is_write ? 0 : 1), disk = instr->view0 + (is_write ? 1 : 0);
    const fari_buffer *there = &plan->buffers[plan->view_buffer[memory]];
    const fari_buffer *on_disk = &plan->buffers[plan->view_buffer[disk]];
    const piece p = { .number = instr->aux,
                      .offset = on_disk->offset + (int64_t)(uintptr_t)plan->views[disk].data,
                      .data = spill->buffer_data[plan->view_buffer[memory]] +
                              fari_plan_place_in(there, &plan->views[memory]),
                      .bytes = (size_t)plan->views[memory].dim[0],
                      .period = period_of(plan, on_disk->tensor) };
    char *room = spill->lanes != NULL ? (char *)spill->lanes + lane * spill->lane_bytes : NULL;
    const char *name = plan->graph->tensors[on_disk->tensor]->name;
    fari_doing(FARI_DOING_SPILL, 0, is_write ? "writes to disk" : "reads from disk", name);
    const far_status st = is_write ? write_piece(spill, &p, room) : read_piece(spill, &p, room);
    if (st == FAR_OK && !is_write) forget_piece(spill, &p);
    return st == FAR_OK ? FAR_OK : fari_error_prefix(st, "tensor %s: ", name);
}

far_status fari_exec_spill_move(fari_exec_spill *spill, int32_t idx)
{
    return move_piece(spill, idx, 0);
}

static void *spill_main(void *arg)
{
    const mover *self = arg;
    fari_exec_spill *spill = self->spill;
    (void)pthread_mutex_lock(&spill->lock);
    while (!spill->is_stopping) {
        if (spill->heap_count == 0) {
            (void)pthread_cond_wait(&spill->wake, &spill->lock);
            continue;
        }
        const int32_t idx = fari_ready_pop(spill->heap, &spill->heap_count);
        spill->moving++;
        (void)pthread_mutex_unlock(&spill->lock);
        const double begin_s = fari_clock_s();
        const far_status st = move_piece(spill, idx, self->lane);
        spill->done(spill->ctx, idx, st, self->lane, begin_s);
        fari_doing(FARI_DOING_NOTHING, 0, NULL, NULL);
        (void)pthread_mutex_lock(&spill->lock);
        if (--spill->moving == 0) (void)pthread_cond_broadcast(&spill->settled);
    }
    (void)pthread_mutex_unlock(&spill->lock);
    return NULL;
}

static int64_t largest_piece(const fari_plan *plan)
{
    int64_t most = 0;
    for (int64_t i = 0; i < plan->instr_count; i++)
        if (fari_instr_is_move(&plan->instrs[i]) && plan->views[plan->instrs[i].view0].dim[0] > most)
            most = plan->views[plan->instrs[i].view0].dim[0];
    return most;
}

static far_status packing_open(fari_exec_spill *spill)
{
    const fari_plan *plan = spill->plan;
    const size_t pieces = (size_t)plan->spill_pieces + 1;
    spill->packed = fari_calloc(pieces, sizeof *spill->packed);
    spill->taken = fari_calloc(pieces, sizeof *spill->taken);
    spill->reads = fari_calloc(pieces, sizeof *spill->reads);
    spill->reads_left = fari_calloc(pieces, sizeof *spill->reads_left);
    if (spill->packed == NULL || spill->taken == NULL || spill->reads == NULL || spill->reads_left == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory for what moves to disk and back");
    for (int64_t i = 0; i < plan->instr_count; i++)
        if (plan->instrs[i].kind == FARI_INSTR_READ) spill->reads[plan->instrs[i].aux]++;
    if (!plan->opts.spill.is_packed) return FAR_OK;
    spill->lane_bytes = largest_piece(plan);
    FAR_TRY(fari_arena_map(spill->lane_bytes * FARI_SPILL_THREADS, &spill->lanes));
    fari_arena_touch(spill->lanes, spill->lane_bytes * FARI_SPILL_THREADS);
    return FAR_OK;
}

far_status fari_exec_spill_create(const fari_plan *plan, char *const *buffer_data, fari_spill_file *file,
                                  fari_piece_done_fn done, void *ctx, fari_exec_spill **spill_out)
{
    far_status st = FAR_OK;
    fari_exec_spill *spill = fari_calloc(1, sizeof *spill);
    if (spill == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for what moves to disk and back");
    spill->plan = plan;
    spill->buffer_data = buffer_data;
    spill->file = file;
    spill->done = done;
    spill->ctx = ctx;
    (void)pthread_mutex_init(&spill->lock, NULL);
    (void)pthread_cond_init(&spill->wake, NULL);
    (void)pthread_cond_init(&spill->settled, NULL);
    spill->heap = fari_alloc((size_t)(count_moves(plan) + 1) * sizeof *spill->heap);
    spill->sums = fari_calloc((size_t)plan->spill_pieces + 1, sizeof *spill->sums);
    if (spill->heap == NULL || spill->sums == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for what moves to disk and back");
        goto failed;
    }
    FAR_TRY_GOTO(packing_open(spill), failed);
    for (; spill->started < FARI_SPILL_THREADS; spill->started++) {
        mover *next = &spill->movers[spill->started];
        *next = (mover){ .spill = spill, .lane = spill->started };
        if (pthread_create(&next->thread, NULL, spill_main, next) != 0) {
            st = FAR_FAIL(FAR_E_NOMEM, "the system gave no thread for what moves to disk and back");
            goto failed;
        }
    }
    *spill_out = spill;
    return FAR_OK;
failed:
    fari_exec_spill_destroy(spill);
    return st;
}

void fari_exec_spill_destroy(fari_exec_spill *spill)
{
    if (spill == NULL) return;
    (void)pthread_mutex_lock(&spill->lock);
    spill->is_stopping = true;
    (void)pthread_cond_broadcast(&spill->wake);
    (void)pthread_mutex_unlock(&spill->lock);
    for (int32_t i = 0; i < spill->started; i++) (void)pthread_join(spill->movers[i].thread, NULL);
    fari_arena_unmap(spill->lanes, spill->lane_bytes * FARI_SPILL_THREADS);
    fari_free(spill->packed);
    fari_free(spill->taken);
    fari_free(spill->reads);
    fari_free(spill->reads_left);
    fari_free(spill->heap);
    fari_free(spill->sums);
    (void)pthread_cond_destroy(&spill->wake);
    (void)pthread_cond_destroy(&spill->settled);
    (void)pthread_mutex_destroy(&spill->lock);
    fari_free(spill);
}

void fari_exec_spill_start(fari_exec_spill *spill, uint64_t entry)
{
    (void)pthread_mutex_lock(&spill->lock);
    fari_ready_push(spill->heap, &spill->heap_count, entry);
    (void)pthread_cond_signal(&spill->wake);
    (void)pthread_mutex_unlock(&spill->lock);
}

void fari_exec_spill_abandon(fari_exec_spill *spill)
{
    (void)pthread_mutex_lock(&spill->lock);
    spill->heap_count = 0;
    (void)pthread_mutex_unlock(&spill->lock);
}

void fari_exec_spill_settle(fari_exec_spill *spill)
{
    (void)pthread_mutex_lock(&spill->lock);
    while (spill->moving > 0) (void)pthread_cond_wait(&spill->settled, &spill->lock);
    (void)pthread_mutex_unlock(&spill->lock);
}

void fari_exec_spill_begin(fari_exec_spill *spill)
{
    memcpy(spill->reads_left, spill->reads, (size_t)spill->plan->spill_pieces * sizeof *spill->reads);
}

int64_t fari_exec_spill_most_bytes(const fari_exec_spill *spill)
{
    return spill->lanes != NULL ? spill->most_used : spill->plan->spill_bytes;
}

int64_t fari_exec_spill_own_bytes(const fari_plan *plan)
{
    if (plan->spill_bytes == 0) return 0;
    const int64_t lanes = plan->opts.spill.is_packed ? FARI_SPILL_THREADS * largest_piece(plan) : 0;
    return lanes + count_moves(plan) * (int64_t)sizeof(uint64_t) +
           plan->spill_pieces * (int64_t)(sizeof(uint64_t) + 4 * sizeof(uint32_t)) + (int64_t)sizeof(fari_exec_spill);
}
