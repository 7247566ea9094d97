/* Checkpoints of a run, and going on from one. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <string.h>

/* The store's tensors of some roles, as the checkpoint wants them. */
static far_status collect(const fari_store *store, bool is_optimizer, fari_ckpt_tensor **tensors_out,
                          int64_t *count_out)
{
    fari_ckpt_tensor *tensors = fari_calloc((size_t)store->kept_count + 1, sizeof *tensors);
    int64_t count = 0;
    if (tensors == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to list %" PRId64 " tensors", store->kept_count);
    for (int64_t i = 0; i < store->kept_count; i++) {
        const fari_kept *kept = &store->kept[i];
        if ((kept->role == FARI_ROLE_OPT_STATE) != is_optimizer) continue;
        tensors[count++] = (fari_ckpt_tensor){ kept->name, kept->dtype, kept->shape, fari_store_data(store, kept) };
    }
    *tensors_out = tensors;
    *count_out = count;
    return FAR_OK;
}

static far_status checkpoint_folder(const far_run *run, char **folder_out)
{
    *folder_out = fari_path_join(run->folder, "checkpoints");
    return *folder_out != NULL ? FAR_OK : FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
}

static far_status describe(const far_run *run, fari_ckpt_state *state)
{
    char hash[65];
    memset(state, 0, sizeof *state);
    state->step = run->step;
    state->epoch = run->epoch;
    state->position = run->batch_idx * run->train.batch;
    state->seed = (uint64_t)far_config_i64(run->config, "seed");
    state->best_metric = run->best;
    state->patience_metric = run->patience_metric;
    state->patience_used = run->patience_used;
    FAR_TRY(far_config_hash(run->config, hash));
    (void)snprintf(state->config_hash, sizeof state->config_hash, "%s", hash);
    return run_bits_describe(run, state);
}

#define COPY_SHARE 10 /* of one rank: the copy is at most so small a part of its memory, or there is none */

far_status run_saver_plan(far_run *run)
{
    const char *set = far_config_text(run->config, "train.checkpoint_background");
    const int32_t ranks = fari_mesh_ranks(&run->mesh);
    if (run->opts.purpose != FAR_RUN_TRAIN && run->opts.purpose != FAR_RUN_PLAN) return FAR_OK;
    FAR_TRY(run_saver_create(run->train.graph, run->comm != NULL ? run->comm->rank : 0, ranks, &run->saver));
    const bool is_small = COPY_SHARE * run_saver_share_bytes(run->saver, 0) <= far_run_planned_bytes(run);
    run_saver_set_background(run->saver,
                             strcmp(set, "true") == 0 || (strcmp(set, "auto") == 0 && (ranks > 1 || is_small)));
    return FAR_OK;
}

/* Collective: the shares of all ranks are on disk. */
static far_status bring_together(far_run *run, bool is_background)
{
    size_t bytes = 0;
    void *all = NULL;
    const void *own = run_saver_own_hashes(run->saver, &bytes);
    FAR_TRY(run_shared_gather(run, own, bytes, &all));
    const far_status st = run_saver_publish(run->saver, all, is_background);
    fari_free(all);
    return st;
}

far_status run_save_go_on(far_run *run)
{
    bool is_written = false, have_all = true;
    FAR_TRY(run_saver_poll(run->saver, &is_written)); /* also of one rank, and of the first where it gives the name */
    if (!run_saver_has_shares(run->saver)) return FAR_OK;
    for (int32_t r = 0; r < run->comm->world_size; r++) have_all &= run->words[r].is_written != 0;
    return have_all ? bring_together(run, true) : FAR_OK;
}

far_status run_save_finish(far_run *run)
{
    FAR_TRY(run_saver_wait(run->saver));
    return run_saver_has_shares(run->saver) ? bring_together(run, false) : FAR_OK;
}

far_status run_save(far_run *run, bool is_best)
{
    char *folder = NULL;
    fari_ckpt_state state;
    far_status st = FAR_OK;
    FAR_TRY(run_replicas_compare(run));
    FAR_TRY(run_save_finish(run)); /* also where nothing more is written: it is called good */
    FAR_TRY(run_check_finite(run));
    FAR_TRY(describe(run, &state));
    FAR_TRY_GOTO(checkpoint_folder(run, &folder), done);
    FAR_TRY_GOTO(run_saver_begin(run->saver, folder, &state, is_best, far_config_i64(run->config, "train.keep")), done);
    run->saved_step = run->step;
    if (!run_saver_is_background(run->saver)) st = run_save_finish(run);
done:
    fari_free(folder);
    return st;
}

static far_status restore_from(far_run *run, const fari_ckpt *ckpt)
{
    fari_ckpt_tensor *model = NULL, *optimizer = NULL;
    int64_t model_count = 0, optimizer_count = 0;
    const fari_ckpt_state *state = fari_ckpt_state_of(ckpt);
    far_status st = FAR_OK;
    FAR_TRY_GOTO(run_bits_check(run, state, fari_ckpt_path(ckpt)), done);
    FAR_TRY_GOTO(collect(run->store, false, &model, &model_count), done);
    FAR_TRY_GOTO(collect(run->store, true, &optimizer, &optimizer_count), done);
    FAR_TRY_GOTO(fari_ckpt_read_model(ckpt, model, model_count, true), done);
    FAR_TRY_GOTO(fari_ckpt_read_optimizer(ckpt, optimizer, optimizer_count, true), done);
    run->step = state->step;
    run->epoch = state->epoch;
    run->batch_idx = state->position / run->train.batch;
    run->best = state->best_metric;
    run->patience_metric = state->patience_metric;
    run->patience_used = state->patience_used;
    run->saved_step = run->step;
done:
    fari_free(model);
    fari_free(optimizer);
    return st;
}

far_status run_restore(far_run *run, const char *which)
{
    char *folder = NULL;
    fari_ckpt *ckpt = NULL;
    far_status st = FAR_OK;
    FAR_TRY_GOTO(checkpoint_folder(run, &folder), done);
    FAR_TRY_GOTO(fari_ckpt_open(folder, which, &ckpt), done);
    FAR_TRY_GOTO(restore_from(run, ckpt), done);
    fari_log(FAR_LOG_INFO, "resumed from %s at step %" PRId64, fari_ckpt_path(ckpt), run->step);
done:
    fari_ckpt_close(ckpt);
    fari_free(folder);
    return st;
}
