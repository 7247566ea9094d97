#include "run/exec_spill.h"
#include "base/clock.h"
#include "base/doing.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "run/ready_heap.h"
#include "run/spill_file.h"
#include <inttypes.h>
#include <pthread.h>

typedef struct mover {
    struct fari_exec_spill *spill;
    pthread_t thread;
    int32_t lane;
} mover;

struct fari_exec_spill {
    const fari_plan *plan;
    char *const *buffer_data;
    fari_spill_file *file;
    uint64_t *sums; /* [plan->spill_pieces] of what was written last: disks err, and files can be cut */
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
    bool is_stopping;
};

static int64_t count_moves(const fari_plan *plan)
{
    int64_t count = 0;
    for (int64_t i = 0; i < plan->instr_count; i++) count += fari_instr_is_move(&plan->instrs[i]);
    return count;
}

far_status fari_exec_spill_move(const fari_exec_spill *spill, int32_t idx)
{
    const fari_plan *plan = spill->plan;
    const fari_instr *instr = &plan->instrs[idx];
    const bool is_write = instr->kind == FARI_INSTR_WRITE;
    const int64_t memory = instr->view0 + (is_write ? 0 : 1), disk = instr->view0 + (is_write ? 1 : 0);
    const fari_buffer *buffer = &plan->buffers[plan->view_buffer[disk]];
    const int64_t offset = buffer->offset + (int64_t)(uintptr_t)plan->views[disk].data;
    char *data = spill->buffer_data[plan->view_buffer[memory]] +
                 fari_plan_place_in(&plan->buffers[plan->view_buffer[memory]], &plan->views[memory]);
    const size_t bytes = (size_t)plan->views[memory].dim[0];
    const char *name = plan->graph->tensors[buffer->tensor]->name;
    fari_doing(FARI_DOING_SPILL, 0, is_write ? "writes to disk" : "reads from disk", name);
    far_status st = FAR_OK;
    if (is_write) {
        spill->sums[instr->aux] = fari_xxh3(data, bytes);
        st = fari_spill_file_write(spill->file, offset, data, bytes);
    } else {
        st = fari_spill_file_read(spill->file, offset, data, bytes);
        if (st == FAR_OK && fari_xxh3(data, bytes) != spill->sums[instr->aux])
            st = FAR_FAIL(FAR_E_IO,
                          "bytes %" PRId64 " to %" PRId64
                          " of the spill file did not come back as they were written: the disk errs, or somebody has "
                          "changed the file; go on from the last checkpoint, on another disk (run.spill_dir)",
                          offset, offset + (int64_t)bytes - 1);
    }
    return st == FAR_OK ? FAR_OK : fari_error_prefix(st, "tensor %s: ", name);
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
        const far_status st = fari_exec_spill_move(spill, idx);
        spill->done(spill->ctx, idx, st, self->lane, begin_s);
        fari_doing(FARI_DOING_NOTHING, 0, NULL, NULL);
        (void)pthread_mutex_lock(&spill->lock);
        if (--spill->moving == 0) (void)pthread_cond_broadcast(&spill->settled);
    }
    (void)pthread_mutex_unlock(&spill->lock);
    return NULL;
}

far_status fari_exec_spill_create(const fari_plan *plan, char *const *buffer_data, const char *folder,
                                  fari_piece_done_fn done, void *ctx, fari_exec_spill **spill_out)
{
    far_status st = FAR_OK;
    fari_exec_spill *spill = fari_calloc(1, sizeof *spill);
    if (spill == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for what moves to disk and back");
    spill->plan = plan;
    spill->buffer_data = buffer_data;
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
    FAR_TRY_GOTO(fari_spill_file_open(folder, plan->spill_bytes, &spill->file), failed);
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
    fari_spill_file_close(spill->file);
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

int64_t fari_exec_spill_own_bytes(const fari_plan *plan)
{
    if (plan->spill_bytes == 0) return 0;
    return (count_moves(plan) + plan->spill_pieces) * (int64_t)sizeof(uint64_t) + (int64_t)sizeof(fari_exec_spill);
}
