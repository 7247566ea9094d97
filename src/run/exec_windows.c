#include "run/exec_windows.h"
#include "base/arena.h"
#include "base/mem.h"
#include "base/status.h"
#include <stdatomic.h>

struct fari_exec_windows {
    const fari_plan *plan;
    void **alias;          /* [buffer_count] NULL: at the arena's own addresses */
    int32_t *uses;         /* [buffer_count] in a step */
    _Atomic int32_t *left; /* [buffer_count] of the uses, in this step */
};

static bool has_own_addresses(const fari_buffer *b)
{
    return b->base == FARI_BASE_ARENA && b->is_paged && b->bytes > 0;
}

far_status fari_exec_windows_create(const fari_plan *plan, char *arena, char **buffer_data,
                                    fari_exec_windows **windows_out)
{
    far_status st = FAR_OK;
    const size_t buffers = (size_t)plan->buffer_count + 1;
    fari_exec_windows *w = fari_calloc(1, sizeof *w);
    if (w == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for windows of rows");
    w->plan = plan;
    w->alias = fari_calloc(buffers, sizeof *w->alias);
    w->uses = fari_calloc(buffers, sizeof *w->uses);
    w->left = fari_calloc(buffers, sizeof *w->left);
    if (w->alias == NULL || w->uses == NULL || w->left == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for windows of rows");
        goto failed;
    }
    for (int64_t b = 0; b < plan->buffer_count; b++) {
        const fari_buffer *buffer = &plan->buffers[b];
        if (!has_own_addresses(buffer)) continue;
        FAR_TRY_GOTO(fari_arena_alias(arena + buffer->offset, buffer->bytes, buffer->ring_of > 0, &w->alias[b]),
                     failed);
        buffer_data[b] = w->alias[b];
    }
    for (int64_t a = 0; a < plan->access_count; a++) w->uses[plan->accesses[a].buffer]++;
    *windows_out = w;
    return FAR_OK;
failed:
    fari_exec_windows_destroy(w);
    return st;
}

void fari_exec_windows_destroy(fari_exec_windows *w)
{
    if (w == NULL) return;
    for (int64_t b = 0; w->alias != NULL && b < w->plan->buffer_count; b++)
        fari_arena_unalias(w->alias[b], w->plan->buffers[b].bytes, w->plan->buffers[b].ring_of > 0);
    fari_free(w->alias);
    fari_free(w->uses);
    fari_free(w->left);
    fari_free(w);
}

void fari_exec_windows_begin(fari_exec_windows *w)
{
    for (int64_t b = 0; b < w->plan->buffer_count; b++)
        atomic_store_explicit(&w->left[b], w->uses[b], memory_order_relaxed);
}

void fari_exec_windows_done(fari_exec_windows *w, int32_t instr)
{
    const fari_plan *plan = w->plan;
    for (int64_t a = plan->access0[instr]; a < plan->access0[instr + 1]; a++) {
        const int32_t b = plan->accesses[a].buffer;
        if (w->alias[b] == NULL || atomic_fetch_sub_explicit(&w->left[b], 1, memory_order_acq_rel) > 1) continue;
        fari_arena_rest(w->alias[b], plan->buffers[b].bytes * (plan->buffers[b].ring_of > 0 ? 2 : 1));
    }
}

int64_t fari_exec_windows_own_bytes(const fari_plan *plan)
{
    if (plan->sweep_count == 0) return 0;
    return plan->buffer_count * (int64_t)(sizeof(void *) + 2 * sizeof(int32_t)) + (int64_t)sizeof(fari_exec_windows);
}
