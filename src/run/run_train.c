/* The loop over steps: batch, step, metrics; evaluation and checkpoints when they are due. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/doing.h"
#include "base/log.h"
#include "base/mem.h"
#include "run/run_priv.h"
#include <farandole/report.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define LINES_MAX 10000

void run_report(const far_run *run, const char *phase, int64_t at, int64_t total, double loss, double rate,
                const char *message)
{
    if (run->opts.progress == NULL) return;
    const double left = (double)(total - at) * (double)run->train.batch;
    const far_progress progress = { .phase = phase,
                                    .step = at,
                                    .step_total = total,
                                    .epoch = run->epoch,
                                    .loss = loss,
                                    .samples_per_s = rate,
                                    .eta_s = rate > 0.0 ? left / rate : -1.0,
                                    .message = message };
    run->opts.progress(run->opts.progress_context, &progress);
}

static bool is_due(int64_t every, int64_t step)
{
    return every > 0 && step % every == 0;
}

/* The step, timed; now and then instruction by instruction. */
static far_status timed_step(far_run *run, const fari_step *step, double waited_s)
{
    const bool is_traced = run_timeline_is_due(run);
    const bool is_profiled = run_is_profiled(run);
    fari_executor_time(run->train.exec, is_profiled);
    fari_executor_trace(run->train.exec, is_traced);
    const double began_s = fari_clock_s();
    FAR_TRY(fari_executor_step(run->train.exec, step));
    const double ended_s = fari_clock_s(), took_s = ended_s - began_s;
    if (is_traced) fari_timeline_add(run->timeline, run->train.exec, run->step, began_s - waited_s, began_s, ended_s);
    run_clock_step(run, waited_s, took_s);
    run->clocks.exposed_s += fari_executor_idle_s(run->train.exec);
    run->clocks.disk_s += fari_executor_disk_idle_s(run->train.exec);
    if (is_profiled) fari_profile_add(run->profile, run->step, fari_executor_seconds(run->train.exec), took_s);
    return FAR_OK;
}

far_status run_step(far_run *run, double *loss_out)
{
    double hyper[(RUN_GROUPS_MAX + 1) * FAR_HYPER_COUNT];
    far_batch batch;
    const double asked_s = fari_clock_s();
    fari_doing(FARI_DOING_OTHER, 0, "begins a step", NULL);
    FAR_TRY(run_sample_failed(run, far_loader_next(run->loader, &batch)));
    const double waited_s = fari_clock_s() - asked_s;
    const double lr = far_schedule_lr(&run->schedule, run->step, run->steps_total, run->steps_per_epoch);
    far_optim_hyper(&run->optim, run->step, lr, run->step > 0 ? run->last_lr : lr, hyper);
    void *feed[2];
    fari_step step = {
        .seed = (uint64_t)far_config_i64(run->config, "seed"), .step = run->step, .epoch = run->epoch, .hyper = hyper
    };
    run_input_feed(run, &run->train, &batch, feed, &step);
    FAR_TRY(run_shared_step_begin(run, batch.skipped));
    const far_status st = timed_step(run, &step, waited_s);
    if (st == FAR_E_NONFINITE) return run_explain_nonfinite(run, &step);
    FAR_TRY(st);
    const double computed_s = fari_clock_s();
    FAR_TRY(run_shared_step_end(run));
    if (run->comm != NULL) run->clocks.exposed_s += fari_clock_s() - computed_s;
    FAR_TRY(run_timeline_flush(run));
    FAR_TRY(fari_executor_read_f64(run->train.exec, run->train.loss, loss_out));
    run->last_lr = lr;
    run->step++;
    run->batch_idx++;
    if (run->batch_idx == run->steps_per_epoch) {
        run->batch_idx = 0;
        run->epoch++;
    }
    return FAR_OK;
}

/* Seconds since training began, over all lives of the run. */
static double trained_s(const far_run *run)
{
    return fari_metrics_log_before_s(run->metrics) + fari_clock_s() - run->started_s;
}

static far_status log_step(far_run *run, double loss, double rate)
{
    if (run_is_follower(run)) return FAR_OK;
    fari_metrics_log_begin(run->metrics, run->step);
    fari_metrics_log_i64(run->metrics, "epoch", run->epoch);
    fari_metrics_log_f64(run->metrics, "time_s", trained_s(run));
    fari_metrics_log_f64(run->metrics, "train/loss", loss);
    fari_metrics_log_f64(run->metrics, "train/lr", run->last_lr);
    fari_metrics_log_f64(run->metrics, "train/samples_per_s", rate);
    if (run->skipped > 0) fari_metrics_log_i64(run->metrics, "train/skipped", run->skipped);
    return fari_metrics_log_end(run->metrics);
}

/* Scores the held-back samples (without any, the test set) and says whether this is the best so far. */
static far_status evaluate_now(far_run *run, bool *is_best_out)
{
    char key[128];
    const run_data *data = &run->data;
    const run_part held = { data->train, data->held, data->held_count }, test = { data->test, NULL, 0 };
    FAR_TRY(run_score(run, data->held_count > 0 ? &held : &test));
    *is_best_out = run_metric_take(run);
    if (run_is_follower(run)) return FAR_OK;
    fari_metrics_log_begin(run->metrics, run->step);
    fari_metrics_log_i64(run->metrics, "epoch", run->epoch);
    fari_metrics_log_f64(run->metrics, "time_s", trained_s(run));
    for (int64_t i = 0; i < run->score_count; i++) {
        (void)snprintf(key, sizeof key, "eval/%s", run->scores[i].name);
        fari_metrics_log_f64(run->metrics, key, run->scores[i].value);
    }
    if (run->eval_skipped > 0) fari_metrics_log_i64(run->metrics, "eval/skipped", run->eval_skipped);
    return fari_metrics_log_end(run->metrics);
}

/* Steps between lines of metrics; auto: every step, as long as that makes no more than LINES_MAX of them. */
static int64_t log_every(const far_run *run)
{
    const int64_t set = far_config_i64(run->config, "train.log_every");
    return set > 0 ? set : (run->steps_total + LINES_MAX - 1) / LINES_MAX;
}

/* Steps between two events: config counts in steps, or 0 for once an epoch. */
static int64_t every(const far_run *run, const char *key)
{
    const int64_t steps = far_config_i64(run->config, key);
    return steps > 0 ? steps : run->steps_per_epoch;
}

static bool has_evaluation(const far_run *run)
{
    return run->eval.exec != NULL && (run->data.held_count > 0 || run->data.test != NULL);
}

/* Evaluation and checkpoint, where they are due. `is_over_out`: patience is used up. */
static far_status after_step(far_run *run, bool *is_over_out)
{
    bool is_best = false, is_last = run->step == run->steps_total;
    FAR_TRY(run_save_go_on(run));
    run_replicas_flip(run);
    if (is_due(far_config_i64(run->config, "train.compare_every"), run->step)) FAR_TRY(run_replicas_compare(run));
    const double began_s = fari_clock_s();
    if (has_evaluation(run) && (is_last || is_due(every(run, "train.eval_every"), run->step))) {
        FAR_TRY(evaluate_now(run, &is_best));
        is_last = run_patience_ends(run) || is_last;
    }
    *is_over_out = is_last;
    const double evaluated_s = fari_clock_s();
    if (is_best || is_last || is_due(every(run, "train.checkpoint_every"), run->step)) FAR_TRY(run_save(run, is_best));
    run->clocks.eval_s += evaluated_s - began_s;
    run->clocks.save_s += fari_clock_s() - evaluated_s;
    return FAR_OK;
}

static far_status stop_now(far_run *run)
{
    if (run->saved_step != run->step) FAR_TRY(run_save(run, false));
    return FAR_FAIL(FAR_E_STOPPED,
                    "stopped on request at step %" PRId64 " of %" PRId64 "; go on with: farandole train --resume %s",
                    run->step, run->steps_total, run->folder);
}

static far_status all_steps(far_run *run)
{
    double window_s, loss = NAN, rate = 0.0;
    int64_t window_step;
    bool is_first_window = true, is_over = run_patience_ends(run); /* of a resumed run that had ended so */
    run->started_s = fari_clock_s();
    FAR_TRY(far_loader_seek(run->loader, run->epoch, run->batch_idx));
    fari_thread_touch(); /* again: opening the run took from the heap what was touched before */
    if (run->step > 0)
        run->last_lr = far_schedule_lr(&run->schedule, run->step - 1, run->steps_total, run->steps_per_epoch);
    window_s = run->started_s;
    window_step = run->step;
    while (run->step < run->steps_total && !is_over) {
        FAR_TRY(run_step(run, &loss));
        const double now = fari_clock_s();
        const bool is_full = now - window_s > 1.0;
        if (is_full || is_first_window)
            rate = (double)((run->step - window_step) * run->train.batch) / (now - window_s);
        if (is_full) {
            is_first_window = false;
            window_s = now;
            window_step = run->step;
        }
        if (is_due(log_every(run), run->step) || run->step == run->steps_total) FAR_TRY(log_step(run, loss, rate));
        run_report(run, "train", run->step, run->steps_total, loss, rate, NULL);
        FAR_TRY(after_step(run, &is_over));
        window_s += fari_clock_s() - now; /* evaluations and checkpoints are no part of the rate */
        if (!is_over && run_wants_stop(run)) return stop_now(run);
    }
    return FAR_OK;
}

/* run.json and report.html, whatever the ending. A page that cannot be written ends no training. */
static far_status write_report(const far_run *run, far_status ending)
{
    const char *const folders[] = { run->folder };
    if (run_is_follower(run)) return FAR_OK;
    const char *word = run->is_early             ? "early"
                       : ending == FAR_OK        ? "done"
                       : ending == FAR_E_STOPPED ? "stopped"
                                                 : "failed";
    far_status st = run->clocks.steps > 0 ? run_facts_write(run, word) : FAR_OK;
    if (st == FAR_OK) st = far_report_write(folders, 1, NULL);
    if (st == FAR_OK || st == FAR_E_NOMEM) return st; /* without memory nothing goes on */
    fari_log(FAR_LOG_WARN, "no report was written: %s", far_error_message());
    return FAR_OK;
}

/* A checkpoint under way is waited for, however training has ended; of several ranks that have failed it cannot be. */
static far_status finish_saving(far_run *run, far_status ending)
{
    fari_error_copy error;
    far_status st = FAR_OK;
    fari_error_save(&error);
    if (ending == FAR_OK || ending == FAR_E_STOPPED || run->comm == NULL) st = run_save_finish(run);
    if (st != FAR_OK && (ending == FAR_OK || ending == FAR_E_STOPPED)) return st;
    if (st != FAR_OK) fari_log(FAR_LOG_WARN, "%s", far_error_message());
    fari_error_restore(&error);
    return ending;
}

far_status far_run_train(far_run *run)
{
    fari_error_copy error;
    if (run->train.exec == NULL || run->opts.purpose != FAR_RUN_TRAIN)
        return FAR_FAIL(FAR_E_ARG, "this run was not opened for training");
    if (far_config_i64(run->config, "train.patience") > 0 && !has_evaluation(run))
        return far_config_fail(run->config, "train.patience",
                               "there is nothing to evaluate on: the data has no test part; set data.holdout");
    if (!has_evaluation(run) && run->step == 0)
        fari_log(FAR_LOG_WARN,
                 "there is nothing to evaluate on, so no scores and no best checkpoint: the data has no test part; "
                 "data.holdout=0.2 sets a fifth of it apart");
    if (!run_is_follower(run)) run_advise(run);
    const far_status st = finish_saving(run, all_steps(run));
    fari_error_save(&error);
    if (run->comm != NULL && st != FAR_OK && st != FAR_E_STOPPED) /* the others need not wait for the report */
        run->comm->ops->abandon(run->comm, st, error.message);
    if (run->skipped > 0)
        fari_log(
            FAR_LOG_WARN,
            "training could not read %" PRId64
            " samples and did without (data.on_error: skip; each counts once an epoch); the first ones are named above",
            run->skipped);
    const far_status reported = write_report(run, st);
    if (st == FAR_OK) return reported;
    fari_error_restore(&error);
    return st;
}
