/* Evaluation: every sample once, counts added up exactly, scores by name. */
#include "base/mem.h"
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

static far_status outputs_open(const far_run *run, const far_meter *meter, eval_outputs *out)
{
    memset(out, 0, sizeof *out);
    const int32_t count = far_meter_output_count(meter);
    FAR_ASSERT(count <= OUTPUTS_MAX);
    for (; out->count < count; out->count++) {
        const int32_t i = out->count;
        out->value[i] = far_graph_find(run->eval.graph, far_meter_output_name(meter, i));
        const far_shape shape = far_graph_shape(run->eval.graph, out->value[i]);
        out->elems[i] = fari_alloc((size_t)far_shape_elems(&shape) * sizeof(double));
        if (out->elems[i] == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the results of an evaluation");
        out->borrowed[i] = out->elems[i];
    }
    return FAR_OK;
}

far_status run_eval_step(far_run *run, const far_batch *batch)
{
    void *feed[2];
    run_feed(run, &run->eval, batch, feed);
    const fari_step step = { .seed = 0, .sample_ids = batch->sample_ids, .feed = feed };
    return fari_executor_step(run->eval.exec, &step);
}

static far_status add_batch(far_run *run, const far_batch *batch, eval_outputs *out, far_meter *meter)
{
    FAR_TRY(run_eval_step(run, batch));
    for (int32_t i = 0; i < out->count; i++) {
        FAR_TRY(fari_executor_read_f64(run->eval.exec, out->value[i], out->elems[i]));
        out->entries[i] = batch->count;
    }
    far_meter_add(meter, batch->count, out->borrowed, out->entries);
    return FAR_OK;
}

static void take_scores(far_run *run, const far_meter *meter)
{
    const int32_t count = far_meter_score_count(meter);
    run->score_count = count < RUN_SCORES_MAX ? count : RUN_SCORES_MAX;
    for (int32_t i = 0; i < run->score_count; i++) {
        (void)snprintf(run->scores[i].name, sizeof run->scores[i].name, "%s", far_meter_score_name(meter, i));
        run->scores[i].value = far_meter_score(meter, i);
    }
}

/* All batches of the loader through the network. */
static far_status all_batches(far_run *run, far_loader *loader, far_meter *meter)
{
    eval_outputs out;
    far_batch batch;
    far_status st = FAR_OK;
    const int64_t total = far_loader_batch_count(loader);
    int64_t done = 0;
    FAR_TRY_GOTO(outputs_open(run, meter, &out), close);
    while ((st = far_loader_next(loader, &batch)) == FAR_OK) {
        FAR_TRY_GOTO(add_batch(run, &batch, &out, meter), close);
        done++;
        run_report(run, "eval", done, total, far_meter_score(meter, 0), 0.0, NULL);
    }
    if (st == FAR_END) st = FAR_OK;
    if (st == FAR_OK) take_scores(run, meter);
close:
    outputs_free(&out);
    return st;
}

/* Batches of the given samples (ids NULL: all) in their order, the last one filled up. */
static far_loader_opts loader_opts(const far_run *run, const int64_t *ids, int64_t count)
{
    return (far_loader_opts){ .batch = run->eval.batch,
                              .sample_ids = ids,
                              .sample_count = count,
                              .last = FAR_LAST_PAD,
                              .epochs = 1,
                              .threads = run_loader_threads(run),
                              .ahead = 2,
                              .augment = run_augment(run, false) };
}

far_status run_score(far_run *run, far_dataset *set, const int64_t *ids, int64_t count)
{
    far_loader *loader = NULL;
    far_meter *meter = NULL;
    far_status st = FAR_OK;
    const far_loader_opts opts = loader_opts(run, ids, count);
    FAR_TRY_GOTO(far_meter_create(run->eval.graph, run->recipe_opts, &meter), done);
    FAR_TRY_GOTO(far_loader_open(set, &opts, &loader), done);
    FAR_TRY_GOTO(all_batches(run, loader, meter), done);
done:
    far_loader_close(loader);
    far_meter_destroy(meter);
    return st;
}

/* What evaluation from outside goes over: the test part, without one the samples held back. */
typedef struct eval_part {
    far_dataset *set;
    const int64_t *ids; /* NULL: all */
    int64_t count;
} eval_part;

static far_status part_of(const far_run *run, eval_part *part_out)
{
    const run_data *data = &run->data;
    if (run->eval.exec == NULL) return FAR_FAIL(FAR_E_ARG, "this run was opened only to plan");
    if (data->test == NULL && data->held_count == 0)
        return far_config_fail(run->config, "data.path",
                               "nothing to evaluate on: the data has no test part; set data.holdout");
    *part_out = data->test != NULL ? (eval_part){ .set = data->test }
                                   : (eval_part){ .set = data->train, .ids = data->held, .count = data->held_count };
    return FAR_OK;
}

/* Bytes of the largest loader an evaluation opens, beside that of training; 0 where there is nothing to evaluate on. */
far_status run_eval_loader_bytes(const far_run *run, int64_t *bytes_out)
{
    const run_data *data = &run->data;
    const far_loader_opts held = loader_opts(run, data->held, data->held_count), test = loader_opts(run, NULL, 0);
    int64_t of_held = 0, of_test = 0;
    if (data->held_count > 0) FAR_TRY(run_loader_need(data->train, &held, &of_held));
    if (data->test != NULL) FAR_TRY(run_loader_need(data->test, &test, &of_test));
    *bytes_out = of_held > of_test ? of_held : of_test;
    return FAR_OK;
}

far_status run_eval_loader(const far_run *run, far_loader **loader_out)
{
    eval_part part = { 0 };
    FAR_TRY(part_of(run, &part));
    const far_loader_opts opts = loader_opts(run, part.ids, part.count);
    return far_loader_open(part.set, &opts, loader_out);
}

far_status far_run_evaluate(far_run *run, const far_score **scores_out, int64_t *score_count_out)
{
    eval_part part = { 0 };
    FAR_TRY(part_of(run, &part));
    FAR_TRY(run_score(run, part.set, part.ids, part.count));
    *scores_out = run->scores;
    *score_count_out = run->score_count;
    return FAR_OK;
}
