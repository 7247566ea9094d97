/* Opening and closing a run, and what it tells about itself. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "plan/print.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Without run.dir: runs/<model>-<date>-<time>. */
static far_status choose_folder(far_run *run)
{
    const char *set = far_config_text(run->config, "run.dir");
    const char *preset = far_config_text(run->config, "model.preset");
    char stamp[32];
    struct tm local;
    const time_t now = time(NULL);
    if (run->opts.resume != NULL) run->folder = fari_strdup(run->opts.resume);
    else if (set[0] != '\0') run->folder = fari_strdup(set);
    else {
        (void)localtime_r(&now, &local);
        (void)strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &local);
        run->folder =
            fari_printf("runs/%s-%s", preset[0] != '\0' ? preset : far_config_text(run->config, "model.name"), stamp);
    }
    return run->folder != NULL ? FAR_OK : FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
}

static far_status write_text(const far_run *run, const char *name, const char *text)
{
    char *path = fari_path_join(run->folder, name);
    if (path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
    const far_status st = fari_file_write_atomic(path, text, strlen(text));
    fari_free(path);
    return st;
}

typedef struct open_file {
    int fd;
    const char *path;
} open_file;

static far_status write_piece(void *ctx, const char *data, size_t bytes)
{
    const open_file *file = ctx;
    return fari_file_write(file->fd, file->path, data, bytes);
}

/* plan.json, piece by piece: as one text it would be the largest block beside the arena. */
static far_status write_plan(const far_run *run)
{
    open_file file = { -1, NULL };
    far_status st = FAR_OK;
    char *path = fari_path_join(run->folder, "plan.json"), *temporary = fari_path_join(run->folder, ".plan.json");
    if (path == NULL || temporary == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
        goto done;
    }
    file.path = temporary;
    FAR_TRY_GOTO(fari_file_create(temporary, &file.fd), done);
    st = fari_plan_write_json(run->train.plan, write_piece, &file);
    if (st == FAR_OK) st = fari_file_close_synced(file.fd, temporary);
    else (void)close(file.fd);
    if (st == FAR_OK) st = fari_rename(temporary, path);
    if (st != FAR_OK) (void)unlink(temporary);
done:
    fari_free(temporary);
    fari_free(path);
    return st;
}

/* config.yaml, plan.json and run.json: what this run is. */
static far_status write_papers(far_run *run)
{
    char *config = NULL;
    FAR_TRY(run_config_resolved(run, &config));
    const far_status st = write_text(run, "config.yaml", config);
    far_config_text_free(config);
    if (st == FAR_OK) FAR_TRY(write_plan(run));
    if (st == FAR_OK && run->step < run->steps_total) FAR_TRY(run_facts_write(run, "running"));
    return st;
}

static far_status has_checkpoints(const char *checkpoints, bool *has_out)
{
    int64_t *steps = NULL, count = 0;
    FAR_TRY(fari_ckpt_list(checkpoints, &steps, &count));
    fari_free(steps);
    *has_out = count > 0;
    return FAR_OK;
}

/* Of a rank but the first: it only reads. */
static far_status folder_follow(far_run *run)
{
    bool is_used = false;
    FAR_TRY(run_shared_folder(run, &is_used));
    return is_used ? run_restore(run, "last") : FAR_OK;
}

/* The folder, its papers, metrics; weights from where they are asked for. */
static far_status folder_open(far_run *run)
{
    char *checkpoints = NULL, *metrics = NULL;
    fari_tfevents *events = NULL;
    bool is_used = false;
    far_status st = FAR_OK;
    if (run_is_follower(run)) return folder_follow(run);
    FAR_TRY(choose_folder(run));
    FAR_TRY(fari_folder_make(run->folder));
    checkpoints = fari_path_join(run->folder, "checkpoints");
    metrics = fari_path_join(run->folder, "metrics.jsonl");
    if (checkpoints == NULL || metrics == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
        goto done;
    }
    FAR_TRY_GOTO(fari_ckpt_prepare(checkpoints), done);
    FAR_TRY_GOTO(has_checkpoints(checkpoints, &is_used), done);
    if (is_used && run->opts.resume == NULL) {
        st = FAR_FAIL(FAR_E_ARG,
                      "run folder %s already holds checkpoints: go on with --resume %s, or choose another run.dir",
                      run->folder, run->folder);
        goto done;
    }
    FAR_TRY_GOTO(run_shared_folder(run, &is_used), done);
    if (is_used) FAR_TRY_GOTO(run_restore(run, "last"), done); /* killed before the first checkpoint: begins anew */
    FAR_TRY_GOTO(fari_metrics_log_open(metrics, is_used ? run->step : -1, &run->metrics), done);
    FAR_TRY_GOTO(fari_tfevents_open(run->folder, is_used ? run->step : -1, &events), done);
    fari_metrics_log_mirror(run->metrics, events);
    FAR_TRY_GOTO(write_papers(run), done);
done:
    fari_free(checkpoints);
    fari_free(metrics);
    return st;
}

static far_status run_prepare(far_run *run)
{
    const char *start = run->opts.weights != NULL ? run->opts.weights : far_config_text(run->config, "model.weights");
    FAR_TRY(run_ranks_layout(run));
    FAR_TRY(run_data_open(run));
    FAR_TRY(run_build(run));
    if (run->opts.purpose == FAR_RUN_PLAN) return FAR_OK;
    if (start[0] != '\0' && run->opts.resume == NULL)
        FAR_TRY(run_load_weights(run, start)); /* a resumed run has its own */
    const far_run_purpose purpose = run->opts.purpose;
    if (start[0] == '\0' && purpose != FAR_RUN_TRAIN && purpose != FAR_RUN_VERIFY && purpose != FAR_RUN_BENCH)
        return FAR_FAIL(FAR_E_ARG, "%s weights: name a run, a checkpoint or a safetensors file",
                        purpose == FAR_RUN_PREDICT ? "predictions need" : "evaluation needs");
    if (purpose == FAR_RUN_TRAIN) {
        FAR_TRY(folder_open(run));
        run->compared_step = run->step;
    }
    FAR_TRY(run_spill_open(run));
    return run_shared_weights(run);
}

far_status far_run_open(const far_config *config, const far_run_opts *opts, far_run **run_out)
{
    far_run *run = fari_calloc(1, sizeof *run);
    if (run == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a run");
    run->config = config;
    if (opts != NULL) run->opts = *opts;
    run->best = run->patience_metric = NAN;
    run->saved_step = -1;
    const far_status st = run_prepare(run);
    if (st != FAR_OK) {
        far_run_close(run);
        return st;
    }
    *run_out = run;
    return FAR_OK;
}

void far_run_close(far_run *run)
{
    if (run == NULL) return;
    run_unbuild(run);
    run_data_close(&run->data);
    far_config_destroy(run->own_config);
    fari_metrics_log_close(run->metrics);
    fari_free(run->folder);
    fari_free(run->words);
    fari_free(run);
}

/* How long a step of the training takes, by what was measured on this machine and estimates for the rest. */
far_status run_predict_step(const far_run *run, fari_prediction *prediction_out)
{
    fari_calibration *cal = NULL;
    *prediction_out = (fari_prediction){ 0 };
    if (run->train.plan == NULL) return FAR_OK;
    FAR_TRY(fari_calibration_open(NULL, &cal));
    const far_status st = fari_predict(cal, run->train.plan, prediction_out, NULL);
    fari_calibration_close(cal);
    return st;
}

static void prediction_text(const far_run *run, const fari_prediction *prediction, fari_text *text)
{
    fari_text_add(text, "step             %.3g s predicted on %d threads (%.0f %% of it from kernels measured here)\n",
                  prediction->step_s, (int)run->threads, 100.0 * prediction->measured_share);
    if (prediction->disk_s > 0.0)
        fari_text_add(text, "disk             %.3g s of a step, %.3g s of them waited for, if it moves %.1f GB/s\n",
                      prediction->disk_s, prediction->disk_adds_s, 1e-9 * FARI_DISK_BYTES_A_SECOND);
    if (run->steps_total > 0)
        fari_text_add(text, "training         %" PRId64 " steps, %.1f minutes without evaluation\n", run->steps_total,
                      prediction->step_s * (double)run->steps_total / 60.0);
}

far_status far_run_calibrate(far_run *run)
{
    fari_calibration *cal = NULL;
    if (run->train.plan == NULL) return FAR_FAIL(FAR_E_ARG, "this run has no plan of training");
    FAR_TRY(fari_calibration_open(NULL, &cal));
    const far_status st = fari_calibration_measure(cal, run->train.plan);
    if (st == FAR_OK) fari_calibration_save(cal);
    fari_calibration_close(cal);
    return st;
}

/* Of parameters and optimizer state, for checkpoints in the background. */
static int64_t copy_bytes(const far_run *run)
{
    const bool has_copy = run->saver != NULL && run_saver_is_background(run->saver);
    return has_copy ? run_saver_most_bytes(run->saver) : 0;
}

/* The plan's JSON with the run's own figures in front. */
static void plan_json(const far_run *run, const fari_plan *plan, const fari_prediction *prediction, fari_text *text)
{
    fari_text inner = { 0 };
    char number[FARI_NUMBER_TEXT];
    fari_plan_print_json(plan, &inner);
    fari_text_add(text,
                  "{\n  \"process_bytes\": %" PRId64 ",\n  \"data_bytes\": %" PRId64 ",\n  \"parameters\": %" PRId64
                  ",\n  \"steps\": %" PRId64 ",\n  \"checkpoint_copy_bytes\": %" PRId64 ",\n",
                  far_run_planned_bytes(run), run->loader_bytes + run->eval_loader_bytes + run->data.bytes,
                  far_graph_param_elems(plan->graph), run->steps_total, copy_bytes(run));
    fari_text_add(text,
                  "  \"predicted_step_s\": %s,\n  \"measured_share\": ", fari_f64_text(prediction->step_s, number));
    fari_text_add(text, "%s,\n", fari_f64_text(prediction->measured_share, number));
    if (prediction->disk_s > 0.0) {
        fari_text_add(text, "  \"predicted_disk_s\": %s,\n", fari_f64_text(prediction->disk_s, number));
        fari_text_add(text, "  \"predicted_disk_wait_s\": %s,\n", fari_f64_text(prediction->disk_adds_s, number));
    }
    if (inner.failed) text->failed = true;
    else fari_text_put(text, inner.data + 2, (size_t)inner.bytes - 2); /* after its own opening brace and newline */
    fari_text_free(&inner);
}

static far_status give_text(fari_text *text, char **text_out)
{
    if (text->failed) {
        fari_text_free(text);
        return FAR_FAIL(FAR_E_NOMEM, "no memory to print the plan");
    }
    *text_out = text->data;
    return FAR_OK;
}

far_status far_run_plan_text(far_run *run, bool is_json, char **text_out)
{
    fari_text text = { 0 };
    char bytes[32];
    fari_prediction prediction;
    const fari_plan *plan = run->train.plan != NULL ? run->train.plan : run->eval.plan;
    if (fari_mesh_ranks(&run->mesh) > 1) {
        const far_status st = run_ranks_text(run, is_json, &text);
        if (st != FAR_OK) {
            fari_text_free(&text);
            return st;
        }
        return give_text(&text, text_out);
    }
    FAR_TRY(run_predict_step(run, &prediction));
    if (is_json) {
        plan_json(run, plan, &prediction, &text);
    } else {
        fari_text_add(&text, "model            %s%s%s, %" PRId64 " parameters\n",
                      far_config_text(run->config, "model.name"),
                      far_config_text(run->config, "model.preset")[0] != '\0' ? " " : "",
                      far_config_text(run->config, "model.preset"), far_graph_param_elems(plan->graph));
        if (run->frozen_elems > 0)
            fari_text_add(&text, "frozen           %" PRId64 " of them, without gradients\n", run->frozen_elems);
        fari_plan_print_text(plan, &text);
        run_native_report(run, &text);
        fari_text_add(&text, "input            %s for data and batches made ahead\n",
                      fari_bytes_text(run->loader_bytes + run->eval_loader_bytes + run->data.bytes, bytes));
        if (copy_bytes(run) > 0)
            fari_text_add(&text, "checkpoints      %s for a copy that is written while training goes on\n",
                          fari_bytes_text(copy_bytes(run), bytes));
        fari_text_add(&text, "process          %s in all, with at most 40 MB for code and libraries on top\n",
                      fari_bytes_text(far_run_planned_bytes(run), bytes));
        if (run->train.plan != NULL) prediction_text(run, &prediction, &text);
    }
    return give_text(&text, text_out);
}

void far_run_digest(const far_run *run, char hex_out[65])
{
    fari_store_digest(run->store, false, hex_out);
}

const char *far_run_folder(const far_run *run)
{
    return run->folder != NULL ? run->folder : "";
}

bool far_run_is_early(const far_run *run)
{
    return run->is_early;
}

int64_t far_run_step(const far_run *run)
{
    return run->step;
}
