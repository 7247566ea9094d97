#include "run/run_saver.h"
#include "base/arena.h"
#include "base/doing.h"
#include "base/mem.h"
#include "base/status.h"
#include "run/checkpoint_parts.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* Where the checkpoint under way stands. */
typedef enum saver_phase {
    NOTHING = 0,
    SHARES, /* ranks write theirs */
    NAMING  /* of the first rank */
} saver_phase;

struct run_saver {
    fari_ckpt_parts *parts;
    bool is_background;
    void *copy;                      /* [parts->own_bytes] in the background */
    char (*hashes)[FARI_XXH128_HEX]; /* [parts->piece_count] of all ranks */
    char (*own)[FARI_XXH128_HEX];    /* [parts->most_count] of this one's share */
    saver_phase phase;

    pthread_t thread;
    bool has_thread;
    atomic_bool is_done; /* the thread is about to end */
    /* the thread's as long as there is one */
    far_status status;
    fari_error_copy error;
    fari_ckpt_state state;
    char *folder;
    bool is_best;
    int64_t keep;
};

/* ---- what there is to write ---- */

static bool is_kept_role(fari_role role, int32_t file)
{
    if (file == 1) return role == FARI_ROLE_OPT_STATE;
    return role == FARI_ROLE_PARAM || role == FARI_ROLE_STATE;
}

static int64_t list_tensors(const far_graph *graph, int32_t file, fari_ckpt_tensor *tensors)
{
    int64_t count = 0;
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        const fari_tensor *t = graph->tensors[i];
        if (is_kept_role(t->role, file)) tensors[count++] = (fari_ckpt_tensor){ t->name, t->dtype, t->shape, NULL };
    }
    return count;
}

far_status run_saver_create(const far_graph *graph, int32_t rank, int32_t world_size, run_saver **saver_out)
{
    far_status st = FAR_OK;
    run_saver *saver = fari_calloc(1, sizeof *saver);
    fari_ckpt_tensor *model = fari_calloc((size_t)graph->tensor_count + 1, sizeof *model);
    fari_ckpt_tensor *optimizer = fari_calloc((size_t)graph->tensor_count + 1, sizeof *optimizer);
    if (saver == NULL || model == NULL || optimizer == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to list %" PRId64 " tensors", graph->tensor_count);
        goto done;
    }
    const int64_t model_count = list_tensors(graph, 0, model), optimizer_count = list_tensors(graph, 1, optimizer);
    FAR_TRY_GOTO(
        fari_ckpt_parts_create(model, model_count, optimizer, optimizer_count, rank, world_size, &saver->parts), done);
    *saver_out = saver;
    saver = NULL;
done:
    fari_free(optimizer);
    fari_free(model);
    fari_free(saver);
    return st;
}

int64_t run_saver_share_bytes(const run_saver *saver, int32_t rank)
{
    const int64_t end = fari_ckpt_parts_first(saver->parts, rank + 1);
    int64_t bytes = 0;
    for (int64_t p = fari_ckpt_parts_first(saver->parts, rank); p < end; p++) bytes += saver->parts->pieces[p].bytes;
    return bytes;
}

int64_t run_saver_most_bytes(const run_saver *saver)
{
    int64_t most = 0;
    for (int32_t r = 0; r < saver->parts->world_size; r++) {
        const int64_t bytes = run_saver_share_bytes(saver, r);
        if (bytes > most) most = bytes;
    }
    return most;
}

void run_saver_set_background(run_saver *saver, bool is_background)
{
    saver->is_background = is_background;
}

bool run_saver_is_background(const run_saver *saver)
{
    return saver->is_background;
}

int64_t run_saver_bytes(const run_saver *saver)
{
    if (saver == NULL) return 0;
    return (saver->is_background ? saver->parts->own_bytes : 0) +
           (saver->parts->piece_count + saver->parts->most_count) * (int64_t)sizeof *saver->hashes;
}

far_status run_saver_allocate(run_saver *saver, const fari_store *store)
{
    fari_ckpt_parts *parts = saver->parts;
    int64_t at[FARI_CKPT_FILES] = { 0 };
    for (int64_t i = 0; i < store->kept_count; i++) {
        const fari_kept *kept = &store->kept[i];
        const int32_t file = kept->role == FARI_ROLE_OPT_STATE;
        fari_ckpt_tensor *tensor = &parts->tensors[file][at[file]++];
        FAR_ASSERT(strcmp(tensor->name, kept->name) == 0 && tensor->dtype == kept->dtype);
        tensor->data = fari_store_data(store, kept);
    }
    saver->hashes = fari_calloc((size_t)parts->piece_count + 1, sizeof *saver->hashes);
    saver->own = fari_calloc((size_t)parts->most_count + 1, sizeof *saver->own);
    if (saver->hashes == NULL || saver->own == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the checksums of a checkpoint");
    if (!saver->is_background) return FAR_OK;
    FAR_TRY(fari_arena_map(parts->own_bytes, &saver->copy));
    fari_arena_touch(saver->copy, parts->own_bytes);
    return FAR_OK;
}

void run_saver_destroy(run_saver *saver)
{
    if (saver == NULL) return;
    run_saver_give_up(saver);
    fari_arena_unmap(saver->copy, saver->parts->own_bytes);
    fari_free(saver->hashes);
    fari_free(saver->own);
    fari_free(saver->folder);
    fari_ckpt_parts_destroy(saver->parts);
    fari_free(saver);
}

/* ---- the work ---- */

static far_status name_it(run_saver *saver)
{
    return fari_ckpt_parts_publish(saver->parts, saver->folder, &saver->state,
                                   (const char(*)[FARI_XXH128_HEX])saver->hashes, saver->is_best, saver->keep);
}

/* This rank's share; of one rank the whole checkpoint. */
static far_status write_share(run_saver *saver)
{
    fari_error_copy error;
    const bool is_alone = saver->parts->world_size == 1;
    far_status st = fari_ckpt_parts_write(saver->parts, saver->folder, saver->state.step, saver->copy,
                                          is_alone ? saver->hashes : saver->own);
    if (!is_alone) return st;
    if (st == FAR_OK) return name_it(saver);
    fari_error_save(&error);
    (void)fari_ckpt_parts_discard(saver->folder, saver->state.step);
    fari_error_restore(&error);
    return st;
}

static void *thread_main(void *arg)
{
    run_saver *saver = arg;
    fari_alloc_exempt(true); /* steps go on meanwhile */
    saver->status = saver->phase == NAMING ? name_it(saver) : write_share(saver);
    if (saver->status != FAR_OK) fari_error_save(&saver->error);
    fari_alloc_exempt(false);
    atomic_store_explicit(&saver->is_done, true, memory_order_release);
    return NULL;
}

static far_status start(run_saver *saver)
{
    atomic_store_explicit(&saver->is_done, false, memory_order_relaxed);
    if (pthread_create(&saver->thread, NULL, thread_main, saver) != 0)
        return FAR_FAIL(FAR_E_NOMEM, "the system gave no thread to write a checkpoint with");
    saver->has_thread = true;
    return FAR_OK;
}

far_status run_saver_wait(run_saver *saver)
{
    if (!saver->has_thread) return FAR_OK;
    fari_doing(FARI_DOING_AWAIT_OWN, FARI_DOING_WRITE, NULL, NULL);
    (void)pthread_join(saver->thread, NULL);
    saver->has_thread = false;
    if (saver->phase == NAMING || saver->parts->world_size == 1) saver->phase = NOTHING;
    if (saver->status == FAR_OK) return FAR_OK;
    fari_error_restore(&saver->error);
    return saver->status;
}

far_status run_saver_begin(run_saver *saver, const char *folder, const fari_ckpt_state *state, bool is_best,
                           int64_t keep)
{
    FAR_ASSERT(saver->phase == NOTHING && !saver->has_thread);
    if (saver->folder == NULL) saver->folder = fari_strdup(folder);
    if (saver->folder == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
    saver->state = *state;
    saver->is_best = is_best;
    saver->keep = keep;
    saver->phase = SHARES;
    if (saver->is_background) {
        fari_ckpt_parts_copy(saver->parts, saver->copy);
        return start(saver);
    }
    if (saver->parts->world_size == 1) saver->phase = NOTHING;
    return write_share(saver);
}

far_status run_saver_poll(run_saver *saver, bool *is_written_out)
{
    *is_written_out = false;
    if (saver->has_thread && atomic_load_explicit(&saver->is_done, memory_order_acquire))
        FAR_TRY(run_saver_wait(saver));
    *is_written_out = saver->phase == SHARES && !saver->has_thread;
    return FAR_OK;
}

/* ---- of several ranks ---- */

bool run_saver_has_shares(const run_saver *saver)
{
    return saver->phase == SHARES && saver->parts->world_size > 1;
}

const void *run_saver_own_hashes(const run_saver *saver, size_t *bytes_out)
{
    *bytes_out = (size_t)saver->parts->most_count * sizeof *saver->own;
    return saver->own;
}

far_status run_saver_publish(run_saver *saver, const void *all_hashes, bool is_background)
{
    const fari_ckpt_parts *parts = saver->parts;
    const size_t row_bytes = (size_t)parts->most_count * sizeof *saver->hashes;
    saver->phase = NOTHING;
    if (parts->rank != 0) return FAR_OK;
    for (int32_t r = 0; r < parts->world_size; r++) {
        const int64_t first = fari_ckpt_parts_first(parts, r), count = fari_ckpt_parts_first(parts, r + 1) - first;
        if (count > 0)
            memcpy(saver->hashes[first], (const char *)all_hashes + (size_t)r * row_bytes,
                   (size_t)count * sizeof *saver->hashes);
    }
    if (!is_background) return name_it(saver);
    saver->phase = NAMING;
    return start(saver);
}

void run_saver_give_up(run_saver *saver)
{
    fari_error_copy error; /* of why */
    if (saver == NULL || (saver->phase == NOTHING && !saver->has_thread)) return;
    fari_error_save(&error);
    (void)run_saver_wait(saver);
    if (saver->phase == SHARES && saver->parts->rank == 0)
        (void)fari_ckpt_parts_discard(saver->folder, saver->state.step);
    saver->phase = NOTHING;
    fari_error_restore(&error);
}
