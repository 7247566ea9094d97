/* Which score makes a checkpoint the best one: eval.metric, or the recipe's usual one. */
#include "base/text.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Tried in this order where eval.metric does not say: label maps have an accuracy too, but background makes it blind. */
static const char *const usual[] = { "miou", "accuracy", "top1", "loss" };

static bool has_score(const far_meter *meter, const char *name)
{
    for (int32_t i = 0; i < far_meter_score_count(meter); i++)
        if (strcmp(far_meter_score_name(meter, i), name) == 0) return true;
    return false;
}

static far_status no_such_score(const far_run *run, const far_meter *meter, const char *wanted)
{
    const char *nearest = far_meter_score_name(meter, 0);
    char names[400] = "";
    for (int32_t i = 0; i < far_meter_score_count(meter); i++) {
        const char *name = far_meter_score_name(meter, i);
        const size_t used = strlen(names);
        if (fari_edit_distance(wanted, name) < fari_edit_distance(wanted, nearest)) nearest = name;
        if (strchr(name, '/') == NULL)
            (void)snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? ", " : "", name);
    }
    return far_config_fail(run->config, "eval.metric",
                           "no evaluation gives a score \"%s\"; nearest: \"%s\"; there are %s", wanted, nearest, names);
}

far_status run_metric_choose(far_run *run)
{
    const char *wanted = far_config_text(run->config, "eval.metric");
    far_meter *meter = NULL;
    far_status st = FAR_OK;
    FAR_TRY(far_meter_create(run->eval.graph, run->recipe_opts, &meter));
    const bool is_auto = strcmp(wanted, "auto") == 0;
    for (size_t i = 0; is_auto && i < FAR_COUNT(usual) && !has_score(meter, wanted); i++) wanted = usual[i];
    if (has_score(meter, wanted)) {
        (void)snprintf(run->metric, sizeof run->metric, "%s", wanted);
        run->is_less_better = strcmp(wanted, "loss") == 0;
    } else {
        st = no_such_score(run, meter, wanted);
    }
    far_meter_destroy(meter);
    return st;
}

/* By how much `score` is better than `than`; NaN for scores that are none. */
static double gain(const far_run *run, double score, double than)
{
    return run->is_less_better ? than - score : score - than;
}

bool run_metric_take(far_run *run)
{
    double score = NAN;
    for (int64_t i = 0; i < run->score_count; i++)
        if (strcmp(run->scores[i].name, run->metric) == 0) score = run->scores[i].value;
    const bool is_best = isnan(run->best) || gain(run, score, run->best) > 0.0;
    if (is_best) run->best = score;
    run->patience_used++;
    if (isnan(run->patience_metric) ||
        gain(run, score, run->patience_metric) > far_config_f64(run->config, "train.min_delta")) {
        run->patience_metric = score;
        run->patience_used = 0;
    }
    return is_best;
}

bool run_patience_ends(far_run *run)
{
    char line[256], best[FARI_NUMBER_TEXT], delta[FARI_NUMBER_TEXT];
    const int64_t patience = far_config_i64(run->config, "train.patience");
    if (patience == 0 || run->patience_used < patience) return false;
    run->is_early = run->step < run->steps_total;
    (void)snprintf(line, sizeof line,
                   "ends early at step %" PRId64 " of %" PRId64
                   ": %s has not got better than %s by more than %s for %" PRId64 " evaluations (train.patience)",
                   run->step, run->steps_total, run->metric, fari_f64_text(run->patience_metric, best),
                   fari_f64_text(far_config_f64(run->config, "train.min_delta"), delta), run->patience_used);
    if (run->is_early) run_report(run, "train", run->step, run->steps_total, NAN, 0.0, line);
    return true;
}
