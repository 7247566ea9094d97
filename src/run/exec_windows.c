#include "run/exec_windows.h"
#include "base/arena.h"
#include "base/mem.h"
#include "base/status.h"
#include <stdatomic.h>

struct fari_exec_windows {
    const fari_plan *plan;
    char *arena;
    void **alias;          /* [buffer_count] NULL: at the arena's own addresses */
    int32_t *uses;         /* [buffer_count] in a step */
    _Atomic int32_t *left; /* [buffer_count] of the uses, in this step */
};

static bool has_own_addresses(const fari_buffer *b)
{
    return b->base == FARI_BASE_ARENA && b->is_paged && b->bytes > 0;
}

/* Of an access to a ring: what lies behind its end, at its second addresses. Else 0. */
static int64_t bytes_over(const fari_buffer *buffer, const fari_access *access)
{
    if (buffer->ring_of == 0) return 0;
    const int64_t end = access->lo % buffer->bytes + (access->hi - access->lo);
    return end > buffer->bytes ? end - buffer->bytes : 0;
}

far_status fari_exec_windows_create(const fari_plan *plan, char *arena, char **buffer_data,
                                    fari_exec_windows **windows_out)
{
    far_status st = FAR_OK;
    const size_t buffers = (size_t)plan->buffer_count + 1;
    fari_exec_windows *w = fari_calloc(1, sizeof *w);
    if (w == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for windows of rows");
    w->plan = plan;
    w->arena = arena;
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

/* Nobody uses the buffer for the rest of the step. */
static void rest(const fari_exec_windows *w, int32_t b)
{
    const fari_buffer *buffer = &w->plan->buffers[b];
    if (w->alias[b] != NULL) {
        fari_arena_rest(w->alias[b], buffer->ring_of > 0 ? 2 * buffer->bytes : buffer->bytes);
    } else if (buffer->base == FARI_BASE_ARENA && !buffer->is_kept) { /* the pages that are its own */
        const int64_t first = (buffer->offset + FARI_PAGE_BYTES - 1) / FARI_PAGE_BYTES * FARI_PAGE_BYTES;
        const int64_t end = (buffer->offset + buffer->bytes) / FARI_PAGE_BYTES * FARI_PAGE_BYTES;
        if (end > first) fari_arena_rest(w->arena + first, end - first);
    }
}

void fari_exec_windows_done(fari_exec_windows *w, int32_t instr)
{
    const fari_plan *plan = w->plan;
    for (int64_t a = plan->access0[instr]; a < plan->access0[instr + 1]; a++) {
        const int32_t b = plan->accesses[a].buffer;
        const int64_t over = bytes_over(&plan->buffers[b], &plan->accesses[a]);
        if (over > 0) fari_arena_rest((char *)w->alias[b] + plan->buffers[b].bytes, over);
        if (atomic_fetch_sub_explicit(&w->left[b], 1, memory_order_acq_rel) <= 1) rest(w, b);
    }
}

int64_t fari_exec_windows_own_bytes(const fari_plan *plan)
{
    if (plan->sweep_count == 0) return 0;
    int64_t most = 0; /* the system counts a page once for each address in use */
    for (int64_t i = 0; i < plan->instr_count; i++) {
        int64_t over = 0;
        for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++)
            over += bytes_over(&plan->buffers[plan->accesses[a].buffer], &plan->accesses[a]);
        if (over > most) most = over;
    }
    return most * plan->opts.threads + plan->buffer_count * (int64_t)(sizeof(void *) + 2 * sizeof(int32_t)) +
           (int64_t)sizeof(fari_exec_windows);
}
