/* farandole plan for several ranks: the plan of each made in turn, what it takes and says, and the check of all together. */
#include "base/mem.h"
#include "plan/part.h"
#include "plan/print.h"
#include "run/ranks.h"
#include "run/run_config.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <string.h>

#define CHECKED_MAX 32 /* up to so many ranks all plans are kept and held against each other */
#define PRINTED_MAX 16 /* text names so many; JSON all */

far_status run_ranks_layout(far_run *run)
{
    const char *layout = run->opts.layout, *configured = far_config_text(run->config, "layout");
    int32_t ranks = run->opts.ranks;
    run->comm = run->opts.joined != NULL ? fari_ranks_comm(run->opts.joined) : NULL;
    if (run->opts.purpose != FAR_RUN_PLAN) ranks = run->comm != NULL ? run->comm->world_size : 1;
    if (layout == NULL && ranks > 1 && configured[0] != '\0') layout = configured;
    return fari_mesh_parse(layout, ranks, &run->mesh);
}

/* What all ranks come to. */
typedef struct ranks_sum {
    int64_t memory_most, memory_least, messages, bytes, idle;
    int64_t copy;              /* of what a rank writes of a checkpoint */
    int64_t evaluation, input; /* the most of a rank: arena of a step of evaluation; batches made ahead */
    int32_t most_rank;
} ranks_sum;

/* What a rank takes beside its part of the training: its part of the evaluation, its batches. */
typedef struct rank_rest {
    int64_t evaluation, input;
} rank_rest;

/* A side of the run planned for one of the ranks; its graph stays the run's. */
static far_status plan_side(const far_run *run, const run_side *like, int32_t rank, run_side *side_out)
{
    *side_out = (run_side){
        .graph = like->graph, .image = like->image, .batch = like->batch, .height = like->height, .width = like->width
    };
    side_out->spill = like->spill;
    return run_side_plan_rank(run, side_out, rank);
}

/* own: the rank's side of what is planned first, the training's if there is one. */
static far_status measure_rest(const far_run *run, const run_side *own, rank_rest *rest_out)
{
    const int32_t rank = own->plan->opts.rank;
    run_side eval;
    int64_t bytes = 0;
    *rest_out = (rank_rest){ 0 };
    if (run->train.graph != NULL) {
        const far_loader_opts opts = run_train_loader_opts(run, own);
        FAR_TRY(run_loader_need(run->data.train, &opts, &rest_out->input));
    }
    if (run->eval.graph == NULL) return FAR_OK;
    FAR_TRY(plan_side(run, &run->eval, rank, &eval));
    rest_out->evaluation = fari_plan_run_bytes(eval.plan);
    const far_status st = run_eval_loader_bytes(run, &eval, &bytes);
    rest_out->input += bytes;
    fari_plan_destroy(eval.plan);
    return st;
}

/* Training and evaluation never run at once. */
static int64_t memory_of(const fari_plan *plan, const rank_rest *rest)
{
    const int64_t run_bytes = fari_plan_run_bytes(plan);
    return (run_bytes > rest->evaluation ? run_bytes : rest->evaluation) + plan->store_bytes;
}

/* As the rank would itself: what does not fit in `memory` waits on disk. */
static far_status spill_within(const far_run *run, run_side *own, const rank_rest *rest, int64_t copy)
{
    const int64_t limit = far_config_i64(run->config, "memory");
    const int64_t need = memory_of(own->plan, rest) + rest->input + copy;
    const bool is_auto = strcmp(far_config_text(run->config, "exec.spill"), "auto") == 0;
    if (limit <= 0 || need <= limit || !is_auto || run->train.plan == NULL) return FAR_OK;
    const int64_t arena = limit - (need - own->plan->arena_bytes);
    const int32_t rank = own->plan->opts.rank;
    fari_plan_destroy(own->plan);
    own->plan = NULL;
    own->spill = (fari_spill_config){ .mode = FARI_SPILL_AUTO, .arena_limit = arena > 0 ? arena : 1 };
    return run_side_plan_rank(run, own, rank);
}

static void sum_add(ranks_sum *sum, const fari_plan *plan, const rank_rest *rest)
{
    const int64_t memory = memory_of(plan, rest);
    if (rest->evaluation > sum->evaluation) sum->evaluation = rest->evaluation;
    if (rest->input > sum->input) sum->input = rest->input;
    const bool is_first = plan->opts.rank == 0;
    if (is_first || memory > sum->memory_most) {
        sum->memory_most = memory;
        sum->most_rank = plan->opts.rank;
    }
    if (is_first || memory < sum->memory_least) sum->memory_least = memory;
    sum->idle += fari_plan_grain_calls(plan) == 0;
    for (int64_t i = 0; plan->part != NULL && i < plan->part->message_count; i++) {
        if (plan->part->messages[i].from != plan->opts.rank) continue;
        sum->messages++;
        sum->bytes += plan->part->messages[i].bytes;
    }
}

static void print_rank(const fari_plan *plan, bool is_json, int32_t ranks, fari_text *text)
{
    const int32_t rank = plan->opts.rank;
    if (is_json) {
        fari_text_add(text, "    ");
        fari_plan_print_rank_json(plan, text);
        fari_text_add(text, rank + 1 < ranks ? ",\n" : "\n");
    } else if (rank < PRINTED_MAX) {
        fari_plan_print_rank_text(plan, text);
    } else if (rank == PRINTED_MAX) {
        fari_text_add(text, "...              %d more ranks: --json names all\n", (int)(ranks - PRINTED_MAX));
    }
}

static far_status each_rank(const far_run *run, const run_side *side, bool is_json, fari_text *text, ranks_sum *sum)
{
    fari_plan *plans[CHECKED_MAX] = { NULL };
    const int32_t ranks = fari_mesh_ranks(&run->mesh);
    const bool is_checked = ranks <= CHECKED_MAX;
    far_status st = FAR_OK;
    for (int32_t r = 0; r < ranks && st == FAR_OK; r++) {
        run_side own;
        rank_rest rest = { 0 };
        st = plan_side(run, side, r, &own);
        if (st != FAR_OK) break;
        st = measure_rest(run, &own, &rest);
        if (st == FAR_OK) st = spill_within(run, &own, &rest, sum->copy);
        if (st != FAR_OK) {
            fari_plan_destroy(own.plan);
            break;
        }
        sum_add(sum, own.plan, &rest);
        print_rank(own.plan, is_json, ranks, text);
        if (is_checked) plans[r] = own.plan;
        else fari_plan_destroy(own.plan);
    }
    if (st == FAR_OK && is_checked) st = fari_plan_check_ranks((const fari_plan *const *)plans, ranks);
    for (int32_t r = 0; r < CHECKED_MAX; r++) fari_plan_destroy(plans[r]);
    return st;
}

static far_status check_memory(const far_run *run, const ranks_sum *sum)
{
    char need[32], have[32];
    const int64_t limit = far_config_i64(run->config, "memory");
    const int64_t most = sum->memory_most + sum->copy + sum->input;
    if (limit <= 0 || most <= limit) return FAR_OK;
    return FAR_FAIL(FAR_E_NOFIT, "rank %d needs %s and memory is %s: more ranks, or a layout that cuts what is large",
                    (int)sum->most_rank, fari_bytes_text(most, need), fari_bytes_text(limit, have));
}

far_status run_ranks_text(const far_run *run, bool is_json, fari_text *text)
{
    const run_side *side = run->train.plan != NULL ? &run->train : &run->eval;
    const int32_t ranks = fari_mesh_ranks(&run->mesh);
    char bytes[32], least[32];
    ranks_sum sum = { 0 };
    if (run->saver != NULL && run_saver_is_background(run->saver)) sum.copy = run_saver_most_bytes(run->saver);
    if (is_json)
        fari_text_add(text, "{\n  \"ranks\": %d,\n  \"layout\": {\"data\": %d, \"spatial\": %d},\n  \"each\": [\n",
                      (int)ranks, (int)run->mesh.data, (int)run->mesh.spatial);
    else
        fari_text_add(text, "layout           %d ranks: data=%d, spatial=%d\n", (int)ranks, (int)run->mesh.data,
                      (int)run->mesh.spatial);
    FAR_TRY(each_rank(run, side, is_json, text, &sum));
    if (is_json)
        fari_text_add(text,
                      "  ],\n  \"memory_bytes_most\": %" PRId64 ",\n  \"messages\": %" PRId64
                      ",\n  \"message_bytes\": %" PRId64 ",\n  \"idle_ranks\": %" PRId64
                      ",\n  \"checkpoint_copy_bytes\": %" PRId64 ",\n  \"evaluation_bytes_most\": %" PRId64
                      ",\n  \"input_bytes_most\": %" PRId64 "\n}\n",
                      sum.memory_most, sum.messages, sum.bytes, sum.idle, sum.copy, sum.evaluation, sum.input);
    else
        fari_text_add(text, "all ranks        %" PRId64 " messages a step, %s; memory from %s to ", sum.messages,
                      fari_bytes_text(sum.bytes, bytes), fari_bytes_text(sum.memory_least, least));
    if (!is_json) {
        fari_text_add(text, "%s a rank\n", fari_bytes_text(sum.memory_most, bytes));
        if (sum.evaluation > 0)
            fari_text_add(text,
                          "evaluation       by all ranks, in the same memory: a step takes up to %s of a rank's\n",
                          fari_bytes_text(sum.evaluation, bytes));
        fari_text_add(text, "input            up to %s a rank for batches made ahead\n",
                      fari_bytes_text(sum.input, bytes));
        if (sum.copy > 0)
            fari_text_add(text, "checkpoints      a rank copies and writes up to %s of each while training goes on\n",
                          fari_bytes_text(sum.copy, bytes));
        if (sum.idle > 0)
            fari_text_add(text, "idle             %" PRId64 " ranks have no grain: smaller grains, or fewer ranks\n",
                          sum.idle);
    }
    if (!is_json && run->mesh.spatial > 1 && side->plan->grain_rows >= side->plan->rows_at_input)
        fari_text_add(text, "rows             are not cut: spatial ranks share samples; grain.rows cuts them\n");
    return check_memory(run, &sum);
}

far_status far_run_plan_rank_json(far_run *run, int32_t rank, char **text_out)
{
    const run_side *side = run->train.plan != NULL ? &run->train : &run->eval;
    fari_text text = { 0 };
    run_side own;
    if (rank < 0 || rank >= fari_mesh_ranks(&run->mesh))
        return FAR_FAIL(FAR_E_ARG, "there is no rank %d: ranks are 0 to %d", (int)rank,
                        (int)fari_mesh_ranks(&run->mesh) - 1);
    FAR_TRY(plan_side(run, side, rank, &own));
    fari_plan_print_json(own.plan, &text);
    fari_plan_destroy(own.plan);
    if (text.failed) {
        fari_text_free(&text);
        return FAR_FAIL(FAR_E_NOMEM, "no memory to print the plan");
    }
    *text_out = text.data;
    return FAR_OK;
}
