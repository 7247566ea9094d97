/* Evaluation: every sample once, counts added up exactly, scores by name. Of several ranks each computes its share of every batch; results
   over a batch are on all of them, those of single samples are added up in the end. */
#include "base/log.h"
#include "base/mem.h"
#include "data/dataset.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <string.h>

#define OUTPUTS_MAX 64

/* The evaluation graph's outputs as doubles, one array each. */
typedef struct eval_outputs {
    far_value value[OUTPUTS_MAX];
    double *elems[OUTPUTS_MAX];
    const double *borrowed[OUTPUTS_MAX];
    int64_t entries[OUTPUTS_MAX];
    int32_t count;
} eval_outputs;

static void outputs_free(eval_outputs *out)
{
    for (int32_t i = 0; i < out->count; i++) fari_free(out->elems[i]);
}

static far_status outputs_open(const run_side *side, const far_meter *meter, eval_outputs *out)
{
    memset(out, 0, sizeof *out);
    const int32_t count = far_meter_output_count(meter);
    FAR_ASSERT(count <= OUTPUTS_MAX);
    for (; out->count < count; out->count++) {
        const int32_t i = out->count;
        out->value[i] = far_graph_find(side->graph, far_meter_output_name(meter, i));
        const far_shape shape = far_graph_shape(side->graph, out->value[i]);
        out->elems[i] = fari_alloc((size_t)far_shape_elems(&shape) * sizeof(double));
        if (out->elems[i] == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the results of an evaluation");
        out->borrowed[i] = out->elems[i];
    }
    return FAR_OK;
}

/* --- batches --- */

static int64_t batches_of(int64_t samples, int64_t batch)
{
    return (samples + batch - 1) / batch;
}

/* Batches of the given samples (ids NULL: all) in their order, the last one filled up. */
static far_loader_opts loader_opts(const far_run *run, const run_side *side, const int64_t *ids, int64_t count)
{
    far_loader_opts opts = { .batch = side->batch,
                             .sample_ids = ids,
                             .sample_count = count,
                             .last = FAR_LAST_PAD,
                             .epochs = 1,
                             .threads = run_loader_threads(run),
                             .ahead = 2,
                             .augment = run_augment(run, false),
                             .on_error = run_on_error(run) };
    if (side->graph != NULL) run_side_loader(side, &opts);
    return opts;
}

static far_loader_opts native_opts(const far_run *run, const run_side *side, const run_extent *extent,
                                   const int64_t *ids, int64_t count)
{
    far_loader_opts opts = loader_opts(run, side, ids, count);
    opts.augment.frame = run_native_frame(extent);
    return opts;
}

static far_status step_side(far_run *run, const run_side *side, const far_batch *batch)
{
    void *feed[2];
    fari_step step = { .seed = 0 };
    run_input_feed(run, side, batch, feed, &step);
    return fari_executor_step(side->exec, &step);
}

/* What any rank could not read, all leave out. ids [batch]: becomes batch->sample_ids. */
static far_status agree_unread(const far_run *run, const run_side *side, far_batch *batch, int64_t *ids,
                               int64_t *skipped_io)
{
    if (run->comm == NULL || run_on_error(run) != FAR_ON_ERROR_SKIP) return FAR_OK;
    memcpy(ids, batch->sample_ids, (size_t)side->batch * sizeof *ids);
    FAR_TRY(run_shared_unread(run, ids, side->batch));
    batch->sample_ids = ids;
    batch->skipped = 0;
    for (int64_t i = 0; i < batch->count; i++) batch->skipped += ids[i] < 0;
    *skipped_io += batch->skipped;
    return FAR_OK;
}

/* All batches of a loader through one side; `done_io` counts those of all sides. */
static far_status side_batches(far_run *run, run_side *side, far_dataset *set, const far_loader_opts *opts,
                               const run_visitor *visitor, int64_t *done_io, int64_t total)
{
    far_loader *loader = NULL;
    far_batch batch;
    far_status st = FAR_OK;
    int64_t skipped = 0;
    int64_t *ids = fari_alloc((size_t)side->batch * sizeof *ids);
    if (ids == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for %" PRId64 " sample numbers", side->batch);
    if (run_is_taken(run, side)) FAR_TRY_GOTO(run_taken_open(run, side), done);
    FAR_TRY_GOTO(visitor->begin(visitor->context, side), done);
    FAR_TRY_GOTO(run_input_open(run, side, set, opts, &loader), done);
    while ((st = run_sample_failed(run, far_loader_next(loader, &batch))) == FAR_OK) {
        FAR_TRY_GOTO(agree_unread(run, side, &batch, ids, &skipped), done);
        FAR_TRY_GOTO(fari_loader_may_skip(skipped, far_loader_info(loader).sample_count), done);
        FAR_TRY_GOTO(step_side(run, side, &batch), done);
        FAR_TRY_GOTO(visitor->batch(visitor->context, side, &batch, ++*done_io, total), done);
    }
    if (st == FAR_END) st = FAR_OK;
done:
    far_loader_close(loader);
    run_rows_close(side);
    run_taken_close(side);
    fari_free(ids);
    return st;
}

static int64_t part_size(const run_part *part)
{
    return part->ids != NULL ? part->count : far_dataset_info_of(part->set).sample_count;
}

/* One size after the other, ascending; within a size the samples keep their order. */
static far_status native_batches(far_run *run, const run_part *part, const int64_t *ids, const int64_t *first,
                                 const run_visitor *visitor)
{
    const run_native *native = &run->native;
    int64_t done = 0, total = 0;
    for (int64_t e = 0; e < native->count; e++) total += batches_of(first[e + 1] - first[e], native->extents[e].batch);
    for (int64_t e = 0; e < native->count; e++) {
        run_side *side = NULL;
        if (first[e + 1] == first[e]) continue;
        FAR_TRY(run_native_side(run, &native->extents[e], &side));
        const far_loader_opts opts =
            native_opts(run, side, &native->extents[e], ids + first[e], first[e + 1] - first[e]);
        FAR_TRY(side_batches(run, side, part->set, &opts, visitor, &done, total));
    }
    run_side_close(&run->native.other);
    return FAR_OK;
}

/* Samples by their size; both arrays are the caller's to free. */
static far_status group(const far_run *run, const run_part *part, int64_t **ids_out, int64_t **first_out)
{
    int64_t *ids = fari_alloc((size_t)part_size(part) * sizeof *ids),
            *first = fari_alloc((size_t)(run->native.count + 1) * sizeof *first);
    far_status st = ids == NULL || first == NULL
                        ? FAR_FAIL(FAR_E_NOMEM, "no memory for %" PRId64 " sample numbers", part_size(part))
                        : run_native_group(run, part, ids, first);
    if (st != FAR_OK) {
        fari_free(ids);
        fari_free(first);
        return st;
    }
    *ids_out = ids;
    *first_out = first;
    return FAR_OK;
}

far_status run_each_batch(far_run *run, const run_part *part, const run_visitor *visitor)
{
    int64_t *ids = NULL, *first = NULL, done = 0;
    if (!run->native.is_on) {
        const far_loader_opts opts = loader_opts(run, &run->eval, part->ids, part->count);
        return side_batches(run, &run->eval, part->set, &opts, visitor, &done,
                            batches_of(part_size(part), run->eval.batch));
    }
    FAR_TRY(group(run, part, &ids, &first));
    const far_status st = native_batches(run, part, ids, first, visitor);
    fari_free(ids);
    fari_free(first);
    return st;
}

static int64_t share_of(int64_t whole, int64_t part, int64_t total)
{
    return (whole * part + total - 1) / total;
}

/* What a rank's loader is asked for at a size: as large a share as at the largest, whose plan is the only one that is there. */
static far_loader_opts native_opts_like(const far_run *run, const run_side *largest, const run_extent *extent,
                                        const int64_t *ids, int64_t count)
{
    const run_side side = { .batch = extent->batch };
    far_loader_opts opts = native_opts(run, &side, extent, ids, count);
    opts.own_count = share_of(extent->batch, largest->own_count, largest->batch);
    opts.row_count = share_of(extent->height, largest->row_count, run_side_rows(largest));
    return opts;
}

static far_status native_loader_bytes(const far_run *run, const run_side *largest, const run_part *part,
                                      int64_t *bytes_io)
{
    int64_t *ids = NULL, *first = NULL;
    far_status st = FAR_OK;
    FAR_TRY(group(run, part, &ids, &first));
    for (int64_t e = 0; e < run->native.count && st == FAR_OK; e++) {
        int64_t bytes = 0;
        if (first[e + 1] == first[e]) continue;
        const far_loader_opts opts =
            native_opts_like(run, largest, &run->native.extents[e], ids + first[e], first[e + 1] - first[e]);
        st = run_input_bytes(run, largest, part->set, &opts, &bytes);
        bytes += part_size(part) * (int64_t)sizeof *ids;
        if (bytes > *bytes_io) *bytes_io = bytes;
    }
    fari_free(ids);
    fari_free(first);
    return st;
}

/* Bytes of the largest loader an evaluation opens, beside that of training; 0 where there is nothing to evaluate on. */
far_status run_eval_loader_bytes(const far_run *run, const run_side *largest, int64_t *bytes_out)
{
    const run_data *data = &run->data;
    const run_part parts[] = { { data->train, data->held, data->held_count }, { data->test, NULL, 0 } };
    *bytes_out = 0;
    for (size_t i = 0; i < FAR_COUNT(parts); i++) {
        int64_t bytes = 0;
        if (parts[i].set == NULL || part_size(&parts[i]) == 0) continue;
        if (run->native.is_on) {
            FAR_TRY(native_loader_bytes(run, largest, &parts[i], bytes_out));
            continue;
        }
        const far_loader_opts opts = loader_opts(run, largest, parts[i].ids, parts[i].count);
        FAR_TRY(run_input_bytes(run, largest, parts[i].set, &opts, &bytes));
        if (bytes > *bytes_out) *bytes_out = bytes;
    }
    return FAR_OK;
}

/* --- scores --- */

static void take_scores(far_run *run, const far_meter *meter)
{
    const int32_t count = far_meter_score_count(meter);
    run->score_count = count < RUN_SCORES_MAX ? count : RUN_SCORES_MAX;
    for (int32_t i = 0; i < run->score_count; i++) {
        (void)snprintf(run->scores[i].name, sizeof run->scores[i].name, "%s", far_meter_score_name(meter, i));
        run->scores[i].value = far_meter_score(meter, i);
    }
}

typedef struct scoring {
    far_run *run;
    far_meter *meter;
    eval_outputs out;
} scoring;

static far_status score_begin(void *context, const run_side *side)
{
    scoring *s = context;
    outputs_free(&s->out);
    FAR_TRY(outputs_open(side, s->meter, &s->out));
    return run_samples_side(s->run, side);
}

/* Entries of single samples: those that this rank has, one after the other. */
static far_status read_entries(const run_side *side, const far_batch *batch, far_value value, int64_t entry_elems,
                               double *elems_out, int64_t *count_out)
{
    const fari_part *part = side->plan->part;
    const int64_t bytes = entry_elems * (int64_t)sizeof *elems_out;
    *count_out = 0;
    for (int64_t i = 0; i < part->result_count; i++) {
        const fari_result *r = &part->results[i];
        const int32_t rank = r->rank == FARI_EVERY_RANK ? 0 : r->rank;
        if (r->value != value || rank != side->plan->opts.rank) continue;
        if (r->lo % bytes != 0 || r->hi % bytes != 0)
            return FAR_FAIL(FAR_E_INTERNAL, "the counts of a sample lie on two ranks");
        for (int64_t sample = r->lo / bytes; sample < r->hi / bytes && sample < batch->count; sample++)
            memcpy(elems_out + (*count_out)++ * entry_elems, fari_executor_data_at(side->exec, value, sample * bytes),
                   (size_t)bytes);
    }
    return FAR_OK;
}

static far_status score_batch(void *context, const run_side *side, const far_batch *batch, int64_t done, int64_t total)
{
    scoring *s = context;
    for (int32_t i = 0; i < s->out.count; i++) {
        s->out.entries[i] = batch->count;
        if (side->plan->part != NULL && far_meter_output_is_each(s->meter, i))
            FAR_TRY(read_entries(side, batch, s->out.value[i], far_meter_output_elems(s->meter, i), s->out.elems[i],
                                 &s->out.entries[i]));
        else FAR_TRY(fari_executor_read_f64(side->exec, s->out.value[i], s->out.elems[i]));
    }
    far_meter_add(s->meter, batch->count - batch->skipped, s->out.borrowed, s->out.entries);
    s->run->eval_skipped += batch->skipped;
    FAR_TRY(run_samples_take(s->run, batch));
    run_report(s->run, "eval", done, total, far_meter_score(s->meter, 0), 0.0, NULL);
    return FAR_OK;
}

static far_status share_sums(const far_run *run, far_meter *meter)
{
    int64_t count = 0;
    double *sums = far_meter_partial(meter, &count);
    return run_shared_sum(run, sums, count);
}

far_status run_score(far_run *run, const run_part *part)
{
    scoring s = { .run = run };
    const run_visitor visitor = { score_begin, score_batch, &s };
    run->eval_skipped = 0;
    FAR_TRY(far_meter_create(run->eval.graph, run->recipe_opts, &s.meter));
    far_status st = run_samples_begin(run, part, part_size(part));
    if (st == FAR_OK) st = run_each_batch(run, part, &visitor);
    if (st == FAR_OK) st = share_sums(run, s.meter);
    if (st == FAR_OK) take_scores(run, s.meter);
    const far_status pictured = run_samples_end(run, st == FAR_OK);
    if (st == FAR_OK) st = pictured;
    if (st == FAR_OK && run->eval_skipped > 0 && !run_is_follower(run))
        fari_log(FAR_LOG_WARN, "evaluation left out %" PRId64 " samples that could not be read (data.on_error: skip)",
                 run->eval_skipped);
    outputs_free(&s.out);
    far_meter_destroy(s.meter);
    return st;
}

far_status run_part_of(const far_run *run, run_part *part_out)
{
    const run_data *data = &run->data;
    if (run->eval.exec == NULL) return FAR_FAIL(FAR_E_ARG, "this run was opened only to plan");
    if (data->test == NULL && data->held_count == 0)
        return far_config_fail(run->config, "data.path",
                               "nothing to evaluate on: the data has no test part; set data.holdout");
    *part_out = data->test != NULL ? (run_part){ .set = data->test }
                                   : (run_part){ .set = data->train, .ids = data->held, .count = data->held_count };
    return FAR_OK;
}

far_status far_run_evaluate(far_run *run, const far_score **scores_out, int64_t *score_count_out)
{
    run_part part = { 0 };
    FAR_TRY(run_part_of(run, &part));
    FAR_TRY(run_score(run, &part));
    *scores_out = run->scores;
    *score_count_out = run->score_count;
    return FAR_OK;
}
