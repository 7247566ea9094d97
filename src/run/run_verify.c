/* farandole verify: steps on several ranks beside the same steps on one, held against each other call by call. Every rank runs the whole
   step alone as well, so no results travel, only who found what. */
#include "base/arena.h"
#include "base/mem.h"
#include "plan/print.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 3
#define WORDS_BYTES 400

/* What a call makes, by which both plans know it. */
typedef struct call_key {
    int32_t node, instr;
    int64_t sample, row, elem;
} call_key;

/* The step as one rank alone runs it. */
typedef struct alone {
    run_side side; /* its graph is that of run->train */
    fari_store *store;
    far_loader *loader;
    void *planes;
    int64_t planes_bytes;
    int32_t *twin;  /* [instr_count of the rank's plan] the same call of this plan, -1: none */
    int32_t middle; /* a call of the rank that has one, about in the middle of the step; -1: none has */
} alone;

/* What a rank found in a step. */
typedef struct finding {
    int64_t at;       /* in the order of one rank, INT64_MAX: nothing */
    int64_t compared; /* results */
    char words[WORDS_BYTES];
} finding;

/* ---- which call is which ---- */

/* Results that are whole when their call has run: not the parts of a sum. */
static bool is_comparable(const fari_plan *plan, const fari_instr *instr)
{
    if (instr->kind != FARI_INSTR_CALL || instr->out_count == 0) return false;
    const fari_op_kind kind = plan->graph->nodes[instr->node]->op->kind;
    return kind == FARI_MAP || kind == FARI_GLOBAL || kind == FARI_CHUNK;
}

static call_key key_of(const fari_plan *plan, int32_t idx)
{
    const fari_instr *instr = &plan->instrs[idx];
    const fari_view *view = &plan->views[instr->view0 + instr->in_count];
    return (call_key){ instr->node, idx, view->sample0, view->row0, view->elem0 };
}

static int compare_keys(const void *left, const void *right)
{
    const call_key *l = left, *r = right;
    if (l->node != r->node) return l->node < r->node ? -1 : 1;
    if (l->sample != r->sample) return l->sample < r->sample ? -1 : 1;
    if (l->row != r->row) return l->row < r->row ? -1 : 1;
    return l->elem < r->elem ? -1 : l->elem > r->elem;
}

static far_status find_twins(const fari_plan *own, alone *one)
{
    const fari_plan *whole = one->side.plan;
    call_key *keys = fari_calloc((size_t)whole->instr_count + 1, sizeof *keys);
    int64_t count = 0;
    one->twin = fari_calloc((size_t)own->instr_count + 1, sizeof *one->twin);
    if (keys == NULL || one->twin == NULL) {
        fari_free(keys);
        return FAR_FAIL(FAR_E_NOMEM, "no memory to compare %" PRId64 " instructions", whole->instr_count);
    }
    for (int32_t i = 0; i < whole->instr_count; i++)
        if (is_comparable(whole, &whole->instrs[i])) keys[count++] = key_of(whole, i);
    qsort(keys, (size_t)count, sizeof *keys, compare_keys);
    one->middle = -1;
    for (int32_t i = 0; i < own->instr_count; i++) {
        one->twin[i] = -1;
        if (!is_comparable(own, &own->instrs[i])) continue;
        const call_key key = key_of(own, i);
        const call_key *found = bsearch(&key, keys, (size_t)count, sizeof *keys, compare_keys);
        if (found == NULL) continue;
        one->twin[i] = found->instr;
        if (one->middle < 0 || i <= own->instr_count / 2) one->middle = i;
    }
    fari_free(keys);
    return FAR_OK;
}

/* ---- one rank alone ---- */

static far_status check_fit(const far_run *run, const alone *one)
{
    char need[32], have[32];
    const int64_t bytes = far_run_planned_bytes(run) + fari_plan_run_bytes(one->side.plan) +
                          one->side.plan->store_bytes + one->planes_bytes;
    const int64_t limit = run_memory_limit(run);
    if (bytes <= limit) return FAR_OK;
    return FAR_FAIL(
        FAR_E_NOFIT,
        "verify runs each step on one rank, too, beside the others: that takes %s on each rank, and there are %s. "
        "Take a smaller batch or image of the same network",
        fari_bytes_text(bytes, need), fari_bytes_text(limit, have));
}

static far_status alone_open(far_run *run, alone *one)
{
    one->side.graph = run->train.graph;
    one->side.image = run->train.image;
    one->side.model = run->train.model;
    one->side.loss = run->train.loss;
    one->side.batch = run->train.batch;
    one->side.height = run->train.height;
    one->side.width = run->train.width;
    one->side.spill = run->train.spill; /* it takes more than a rank's part: then as little as can be */
    FAR_TRY(run_side_plan_alone(run, &one->side));
    one->planes_bytes = run_plane_labels_bytes(run, &one->side);
    FAR_TRY(check_fit(run, one));
    if (one->planes_bytes > 0) FAR_TRY(fari_arena_map(one->planes_bytes, &one->planes));
    FAR_TRY(fari_store_create(one->side.graph, false, (uint64_t)far_config_i64(run->config, "seed"), &one->store));
    memcpy(one->store->data, run->store->data, (size_t)run->store->bytes); /* weights may have been loaded */
    fari_exec_opts opts = run_exec_opts(run);
    opts.shared_arena = NULL;
    opts.is_hashed = true;
    FAR_TRY(fari_executor_create(one->side.plan, one->store, &opts, &one->side.exec));
    FAR_TRY(run_spill_open_side(run, &one->side));
    const far_loader_opts loader = run_train_loader_opts(run, &one->side);
    FAR_TRY(far_loader_open(run->data.train, &loader, &one->loader));
    FAR_TRY(far_loader_seek(one->loader, 0, 0));
    return find_twins(run->train.plan, one);
}

static void alone_close(alone *one)
{
    far_loader_close(one->loader);
    fari_executor_destroy(one->side.exec);
    fari_plan_destroy(one->side.plan);
    fari_store_destroy(one->store);
    fari_arena_unmap(one->planes, one->planes_bytes);
    fari_free(one->twin);
}

/* ---- a step ---- */

/* One step of a side, from its own batch. */
static far_status side_step(far_run *run, const run_side *side, far_loader *loader, fari_step step)
{
    far_batch batch;
    void *feed[2];
    FAR_TRY(run_sample_failed(run, far_loader_next(loader, &batch)));
    run_feed(run, side, &batch, feed);
    step.sample_ids = batch.sample_ids;
    step.feed = feed;
    return fari_executor_step(side->exec, &step);
}

static far_status both_step(far_run *run, const alone *one)
{
    double hyper[(RUN_GROUPS_MAX + 1) * FAR_HYPER_COUNT];
    int32_t *planes = run->plane_labels;
    const double lr = far_schedule_lr(&run->schedule, run->step, run->steps_total, run->steps_per_epoch);
    far_optim_hyper(&run->optim, run->step, lr, run->step > 0 ? run->last_lr : lr, hyper);
    const fari_step step = {
        .seed = (uint64_t)far_config_i64(run->config, "seed"), .step = run->step, .epoch = run->epoch, .hyper = hyper
    };
    FAR_TRY(side_step(run, &run->train, run->loader, step));
    run->plane_labels = one->planes;
    const far_status st = side_step(run, &one->side, one->loader, step);
    run->plane_labels = planes;
    FAR_TRY(st);
    run->last_lr = lr;
    run->step++;
    run->epoch = run->step / run->steps_per_epoch;
    return FAR_OK;
}

/* ---- comparing ---- */

static void word_call(const far_run *run, const fari_plan *plan, int32_t idx, char words[WORDS_BYTES])
{
    const fari_instr *instr = &plan->instrs[idx];
    const fari_view *view = &plan->views[instr->view0 + instr->in_count];
    const fari_node *node = plan->graph->nodes[instr->node];
    size_t used = (size_t)snprintf(words, WORDS_BYTES, "rank %d on %.60s, %.40s \"%.100s\"", (int)run->comm->rank,
                                   run->comm->hosts[run->comm->rank], node->op->name, node->name);
    if (node->op->kind == FARI_MAP && view->ndim > 0)
        used += (size_t)snprintf(words + used, WORDS_BYTES - used, ", samples %" PRId64 " to %" PRId64, view->sample0,
                                 view->sample0 + view->dim[0] - 1);
    if (node->op->kind == FARI_MAP && view->ndim >= 3)
        (void)snprintf(words + used, WORDS_BYTES - used, ", rows %" PRId64 " to %" PRId64, view->row0,
                       view->row0 + view->dim[2] - 1);
}

/* The first of this rank's calls, in the order of one rank, that made something else. */
static void compare_calls(const far_run *run, const alone *one, finding *found)
{
    const fari_plan *plan = run->train.plan;
    const uint64_t *own = fari_executor_hashes(run->train.exec), *want = fari_executor_hashes(one->side.exec);
    int32_t first = -1;
    for (int32_t i = 0; i < plan->instr_count; i++) {
        if (one->twin[i] < 0) continue;
        found->compared++;
        if (own[i] == want[one->twin[i]] || one->twin[i] >= found->at) continue;
        found->at = one->twin[i];
        first = i;
    }
    if (first >= 0) word_call(run, plan, first, found->words);
}

/* Where no call differs: what is left after the step. */
static void compare_stores(const far_run *run, const alone *one, finding *found)
{
    for (int64_t i = 0; i < run->store->kept_count; i++) {
        const fari_kept *kept = &run->store->kept[i], *twin = fari_store_find(one->store, kept->role, kept->name);
        found->compared++;
        if (twin != NULL &&
            memcmp(fari_store_data(run->store, kept), fari_store_data(one->store, twin), (size_t)kept->bytes) == 0)
            continue;
        if (found->at != INT64_MAX) return;
        found->at = INT64_MAX - 1;
        (void)snprintf(found->words, WORDS_BYTES, "rank %d on %.60s, \"%.100s\" after the step", (int)run->comm->rank,
                       run->comm->hosts[run->comm->rank], kept->name);
    }
}

/* Collective: what all ranks found, the first of it; compared: by all of them. */
static far_status agree(const far_run *run, finding *found_io)
{
    const finding own = *found_io, *all;
    void *gathered = NULL;
    FAR_TRY(run_shared_gather(run, &own, sizeof own, &gathered));
    all = gathered;
    *found_io = all[0];
    for (int32_t r = 1; r < run->comm->world_size; r++) {
        const int64_t compared = found_io->compared + all[r].compared;
        if (all[r].at < found_io->at) *found_io = all[r];
        found_io->compared = compared;
    }
    fari_free(gathered);
    return FAR_OK;
}

static far_status steps(far_run *run, alone *one, int64_t count, finding *found, int64_t *compared_out)
{
    *compared_out = 0;
    *found = (finding){ .at = INT64_MAX };
    while (run->step < count && found->at == INT64_MAX) {
        *found = (finding){ .at = INT64_MAX };
        FAR_TRY(both_step(run, one));
        compare_calls(run, one, found);
        compare_stores(run, one, found);
        FAR_TRY(agree(run, found));
        *compared_out += found->compared;
    }
    return FAR_OK;
}

static far_status report(const far_run *run, const finding *found, int64_t compared, char **text_out)
{
    fari_text text = { 0 };
    fari_text_add(&text,
                  "%s %d ranks, data=%d, spatial=%d, and one rank: %" PRId64 " steps, %" PRId64 " results compared\n",
                  found->at == INT64_MAX ? "equal   " : "differs ", (int)run->comm->world_size, (int)run->mesh.data,
                  (int)run->mesh.spatial, run->step, compared);
    if (found->at != INT64_MAX) fari_text_add(&text, "first    step %" PRId64 ", %s\n", run->step, found->words);
    if (text.failed) {
        fari_text_free(&text);
        return FAR_FAIL(FAR_E_NOMEM, "no memory to say what was compared");
    }
    *text_out = text.data;
    return FAR_OK;
}

far_status far_run_verify(far_run *run, const far_verify_opts *opts, bool *is_equal_out, char **text_out)
{
    const far_verify_opts defaults = { 0 };
    finding found;
    int64_t compared = 0;
    alone one = { .middle = -1 };
    far_status st = FAR_OK;
    if (opts == NULL) opts = &defaults;
    if (run->opts.purpose != FAR_RUN_VERIFY || run->comm == NULL)
        return FAR_FAIL(FAR_E_ARG, "several ranks are held against one: there is only one");
    FAR_TRY_GOTO(alone_open(run, &one), done);
    FAR_TRY_GOTO(far_loader_seek(run->loader, 0, 0), done);
    if (opts->has_flip && opts->flip_rank == run->comm->rank) fari_executor_flip(run->train.exec, one.middle);
    FAR_TRY_GOTO(steps(run, &one, opts->steps > 0 ? opts->steps : STEPS, &found, &compared), done);
    *is_equal_out = found.at == INT64_MAX;
    st = report(run, &found, compared, text_out);
done:
    alone_close(&one);
    return st;
}
