/* Tensors that wait on disk: how many, so that a training fits, and where. */
#include "base/log.h"
#include "plan/print.h"
#include "run/run_priv.h"
#include "run/spill_file.h"
#include <string.h>

#define TRIALS 4
#define ROOM_BYTES (INT64_C(1) << 20) /* for the instructions that a trial may add */

/* Plans the training anew, for an arena of at most so many bytes where that can be. */
static far_status plan_again(far_run *run, int64_t arena_limit)
{
    fari_plan_destroy(run->train.plan);
    run->train.plan = NULL;
    run->train.spill = (fari_spill_config){ .mode = FARI_SPILL_AUTO, .arena_limit = arena_limit > 0 ? arena_limit : 1 };
    FAR_TRY(run_side_plan(run, &run->train));
    run_sum_sides(run);
    return FAR_OK;
}

/* Bytes of the arena that leave the run within `limit`. */
static int64_t arena_within(const far_run *run, int64_t limit)
{
    const fari_plan *plan = run->train.plan;
    const int64_t scratch = fari_plan_run_bytes(plan) - plan->arena_bytes;
    return limit - (run_bytes_in_all(run) - run->arena_bytes) - scratch - ROOM_BYTES;
}

/* Instructions for the disk take memory themselves: who has more of them has less for the arena. */
static far_status spill_within(far_run *run, int64_t limit)
{
    int64_t arena_limit = arena_within(run, limit);
    for (int32_t i = 0; i < TRIALS; i++) {
        FAR_TRY(plan_again(run, arena_limit));
        if (run_bytes_in_all(run) <= limit) return FAR_OK;
        const int64_t less = arena_within(run, limit);
        if (run->train.plan->arena_bytes > arena_limit || less >= arena_limit) return FAR_OK; /* less cannot be had */
        arena_limit = less;
    }
    return FAR_OK;
}

/* The training from its graph on, with all made again going back that saves any memory, or with what exec.recompute says. */
static far_status recompute(far_run *run, bool is_most, int64_t limit)
{
    run_side *side = &run->train;
    run->is_recomputing_most = is_most;
    fari_plan_destroy(side->plan);
    far_graph_destroy(side->graph);
    side->plan = NULL;
    side->graph = NULL;
    FAR_TRY(run_graph_build(run, true, side));
    FAR_TRY(plan_again(run, side->spill.arena_limit));
    return run_bytes_in_all(run) <= limit ? FAR_OK : spill_within(run, limit);
}

far_status run_spill_fit(far_run *run)
{
    const int64_t limit = run_memory_limit(run);
    if (!run_is_training(run) || strcmp(far_config_text(run->config, "exec.spill"), "auto") != 0) return FAR_OK;
    if (fari_mesh_ranks(&run->mesh) > 1 && run->comm == NULL) return FAR_OK; /* plans of others: each for itself */
    if (run_bytes_in_all(run) <= limit) return FAR_OK;
    FAR_TRY(spill_within(run, limit));
    const int64_t bytes = run_bytes_in_all(run);
    if (bytes <= limit || strcmp(far_config_text(run->config, "exec.recompute"), "auto") != 0) return FAR_OK;
    FAR_TRY(recompute(run, true, limit));
    return run_bytes_in_all(run) <= bytes ? FAR_OK : recompute(run, false, limit); /* the least is what is told */
}

static const char *folder_of(const far_run *run)
{
    const char *set = far_config_text(run->config, "run.spill_dir");
    if (set[0] != '\0') return set;
    return run->folder != NULL ? run->folder : ".";
}

far_status run_spill_open(const far_run *run, const run_side *side)
{
    char bytes[32];
    const char *folder = folder_of(run);
    if (side->exec == NULL || side->plan->spill_bytes == 0) return FAR_OK;
    FAR_TRY(fari_executor_open_spill(side->exec, folder));
    fari_log(FAR_LOG_DEBUG, "%s of disk in %s for tensors that wait there",
             fari_bytes_text(side->plan->spill_bytes, bytes), folder);
    if (fari_folder_is_in_memory(folder))
        fari_log(FAR_LOG_WARN,
                 "tensors wait in %s, which lies in memory: that saves none; run.spill_dir names a folder on a disk",
                 folder);
    return FAR_OK;
}
