/* Tensors that wait on disk: how many, so that a run fits, and where. */
#include "base/log.h"
#include "plan/print.h"
#include "run/run_priv.h"
#include "run/spill_file.h"
#include <inttypes.h>
#include <string.h>

#define TRIALS 4
#define ROOM_BYTES (INT64_C(1) << 20) /* for the instructions that a trial may add */

/* Whether tensors of a side may be there in windows. Of evaluations in many sizes only one is planned now, and the others' windows would have to be the same. */
static bool may_band(const far_run *run, const run_side *side)
{
    return side->plan != NULL && !(side == &run->eval && run->native.is_on);
}

/* Of its instructions, beside the arena. */
static int64_t own_bytes(const run_side *side)
{
    return fari_plan_own_bytes(side->plan) + fari_executor_own_bytes(side->plan);
}

/* What a side wants of the arena: of evaluations in many sizes any of them. */
static int64_t need_of(const far_run *run, const run_side *side)
{
    const int64_t bytes = fari_plan_run_bytes(side->plan);
    return side == &run->eval && run->arena_others > bytes ? run->arena_others : bytes;
}

static far_status plan_again(far_run *run, run_side *side, int64_t arena_limit)
{
    const int64_t own = side->plan != NULL ? own_bytes(side) : 0;
    fari_plan_destroy(side->plan);
    side->plan = NULL;
    side->spill.mode = FARI_SPILL_AUTO;
    side->spill.arena_limit = arena_limit > 0 ? arena_limit : 1;
    FAR_TRY(run_side_plan(run, side));
    if (side == &run->eval && run->native.is_on) FAR_TRY(run_native_measure(run));
    if (side == &run->eval && run->native.count > 1) run->other_bytes += own_bytes(side) - own;
    FAR_TRY(run_inputs_measure(run)); /* in bands no batch lies in memory */
    run_sum_sides(run);
    return FAR_OK;
}

/* Brings what running a side takes within what the rest of the run leaves, where that can be. */
static far_status fit_side(far_run *run, run_side *side, int64_t limit)
{
    const int64_t left = limit - (run_bytes_in_all(run) - run->arena_bytes) - ROOM_BYTES;
    if (side->plan == NULL || need_of(run, side) <= left) return FAR_OK;
    if (side->spill.mode == FARI_SPILL_AUTO && side->plan->arena_bytes > side->spill.arena_limit)
        return FAR_OK; /* less cannot be had */
    const int64_t scratch = fari_plan_run_bytes(side->plan) - side->plan->arena_bytes;
    return plan_again(run, side, left - scratch);
}

/* Instructions for the disk take memory themselves: who has more of them has less for the arena. */
static far_status spill_within(far_run *run, int64_t limit)
{
    for (int32_t i = 0; i < TRIALS && run_bytes_in_all(run) > limit; i++) {
        FAR_TRY(fit_side(run, &run->train, limit));
        FAR_TRY(fit_side(run, &run->eval, limit));
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
    if (run->saver != NULL) { /* it borrows names from the graph */
        run_saver_destroy(run->saver);
        run->saver = NULL;
        FAR_TRY(run_saver_plan(run));
    }
    FAR_TRY(plan_again(run, side, side->spill.arena_limit));
    return spill_within(run, limit);
}

static bool key_is(const far_run *run, const char *key, const char *value)
{
    return strcmp(far_config_text(run->config, key), value) == 0;
}

/* What waits on disk, and what is made again. */
static far_status fit_whole(far_run *run, int64_t limit)
{
    FAR_TRY(spill_within(run, limit));
    const int64_t bytes = run_bytes_in_all(run);
    if (bytes <= limit || !key_is(run, "exec.recompute", "auto") || run->train.spill.mode == FARI_SPILL_NONE)
        return FAR_OK;
    FAR_TRY(recompute(run, true, limit));
    return run_bytes_in_all(run) <= bytes ? FAR_OK : recompute(run, false, limit); /* the least is what is told */
}

static far_status band_sides(far_run *run, bool is_banded, int64_t limit)
{
    run_side *sides[] = { &run->train, &run->eval };
    for (size_t i = 0; i < FAR_COUNT(sides); i++) {
        if (!may_band(run, sides[i])) continue;
        sides[i]->spill.is_banded = is_banded;
        FAR_TRY(plan_again(run, sides[i], INT64_MAX)); /* what there is for it depends on both */
    }
    return spill_within(run, limit);
}

/* In bands, if that takes less. */
static far_status fit_bands(far_run *run, int64_t limit)
{
    const int64_t bytes = run_bytes_in_all(run);
    if (!key_is(run, "exec.bands", "auto") || fari_mesh_ranks(&run->mesh) > 1) return FAR_OK;
    FAR_TRY(band_sides(run, true, limit));
    return run_bytes_in_all(run) < bytes ? FAR_OK : band_sides(run, false, limit);
}

static far_status fit(far_run *run)
{
    const int64_t limit = run_memory_limit(run);
    if (!key_is(run, "exec.spill", "auto")) return FAR_OK;
    if (fari_mesh_ranks(&run->mesh) > 1 && run->comm == NULL) return FAR_OK; /* plans of others: each for itself */
    if (run_bytes_in_all(run) <= limit) return FAR_OK;
    FAR_TRY(fit_whole(run, limit));
    return run_bytes_in_all(run) <= limit ? FAR_OK : fit_bands(run, limit);
}

const char *run_spill_folder(const far_run *run)
{
    const char *set = far_config_text(run->config, "run.spill_dir");
    if (set[0] != '\0') return set;
    return run->folder != NULL ? run->folder : ".";
}

/* Packed where it would not go on the disk as it is: auto. How much it takes then is known once it is there. */
static void choose_packing(far_run *run)
{
    run_side *sides[] = { &run->train, &run->eval };
    const int64_t there = fari_folder_free_bytes(run_spill_folder(run)),
                  free_bytes = there >= 0 ? there : fari_folder_free_bytes(".");
    for (size_t i = 0; i < FAR_COUNT(sides); i++) {
        run_side *side = sides[i];
        if (side->plan == NULL) continue;
        const bool is_too_large = free_bytes >= 0 && side->plan->spill_bytes > free_bytes;
        side->spill.is_packed =
            key_is(run, "exec.pack", "always") || (key_is(run, "exec.pack", "auto") && is_too_large);
        side->plan->opts.spill.is_packed = side->spill.is_packed;
    }
}

far_status run_spill_fit(far_run *run)
{
    FAR_TRY(fit(run));
    choose_packing(run);
    return FAR_OK;
}

static void warn_of_folder(const char *folder)
{
    if (fari_folder_is_in_memory(folder))
        fari_log(FAR_LOG_WARN,
                 "tensors wait in %s, which lies in memory: that saves none; run.spill_dir names a folder on a disk",
                 folder);
}

far_status run_spill_open_side(const far_run *run, const run_side *side)
{
    if (side->exec == NULL || side->plan->spill_bytes == 0) return FAR_OK;
    warn_of_folder(run_spill_folder(run));
    return fari_executor_open_spill(side->exec, run_spill_folder(run));
}

far_status run_spill_share(const far_run *run, const run_side *side)
{
    char text[32];
    const int64_t bytes = side->plan->spill_bytes;
    const bool has_room = run->spill_file != NULL && bytes <= fari_spill_file_bytes(run->spill_file);
    if (bytes == 0) return FAR_OK;
    fari_log(FAR_LOG_DEBUG, "%s for tensors of %" PRId64 " x %" PRId64 " that wait on disk, in %s",
             fari_bytes_text(bytes, text), side->height, side->width, has_room ? "the run's file" : "one of their own");
    return has_room ? fari_executor_use_spill(side->exec, run->spill_file) : run_spill_open_side(run, side);
}

far_status run_spill_open(far_run *run)
{
    const run_side *sides[] = { &run->train, &run->eval };
    char text[32];
    int64_t bytes = 0;
    bool is_packed = false;
    for (size_t i = 0; i < FAR_COUNT(sides); i++) {
        if (sides[i]->exec == NULL) continue;
        if (sides[i]->plan->spill_bytes > bytes) bytes = sides[i]->plan->spill_bytes;
        is_packed = is_packed || sides[i]->plan->opts.spill.is_packed;
    }
    if (bytes == 0) return FAR_OK;
    warn_of_folder(run_spill_folder(run));
    FAR_TRY(fari_spill_file_open(run_spill_folder(run), bytes, is_packed, &run->spill_file));
    fari_log(FAR_LOG_DEBUG, "%s%s of disk in %s for tensors that wait there", is_packed ? "up to " : "",
             fari_bytes_text(bytes, text), run_spill_folder(run));
    for (size_t i = 0; i < FAR_COUNT(sides); i++)
        if (sides[i]->exec != NULL) FAR_TRY(fari_executor_use_spill(sides[i]->exec, run->spill_file));
    return FAR_OK;
}
