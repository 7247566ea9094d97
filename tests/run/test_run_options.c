/* What the keys of a configuration do to a run: the score that makes a checkpoint the best, options of recipes. */
#include "base/file.h"
#include "base/mem.h"
#include "run/checkpoint.h"
#include "test.h"
#include <farandole/recipe.h>
#include <farandole/run.h>
#include <unistd.h>

static const char *const classes[] = {
    "data={kind: synthetic, synthetic.samples: 64, synthetic.test_samples: 32, synthetic.classes: 7}",
    "data.synthetic.shape=[1, 12, 12]",
    "model={name: layers, layers: [{op: flatten}, {op: linear, out_features: 7}]}",
    "batch=16",
    "train={epochs: 4, eval_every: 2, keep: 0}",
    "optim.lr=0.1",
    NULL
};
static const char *const maps[] = {
    "data={kind: synthetic, synthetic.samples: 32, synthetic.test_samples: 16, synthetic.classes: 3}",
    "data.synthetic={shape: [1, 16, 16], label: map}",
    "model={name: layers, layers: [{op: conv, out_channels: 3, kernel: 3, pad: 1}]}",
    "batch=8",
    "train={epochs: 2, eval_every: 2, keep: 0}",
    "optim.lr=0.1",
    NULL
};

static far_config *config_of(const char *const *settings, const char *const *more)
{
    far_config *config = NULL;
    char folder[600];
    FAR_CHECK_OK(far_config_create(&config));
    for (; *settings != NULL; settings++) FAR_CHECK_OK(far_config_set(config, *settings));
    for (; *more != NULL; more++) FAR_CHECK_OK(far_config_set(config, *more));
    (void)snprintf(folder, sizeof folder, "run.dir=%s/options-%d", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp",
                   (int)getpid());
    FAR_CHECK_OK(far_config_set(config, folder));
    return config;
}

/* The largest (or smallest) value of eval/NAME in metrics.jsonl. */
static double extreme(const char *folder, const char *name, bool is_least, int64_t *count_out)
{
    char line[16384], key[64];
    double found = NAN;
    char *path = fari_path_join(folder, "metrics.jsonl");
    FILE *file = fopen(path, "r");
    FAR_CHECK(file != NULL);
    *count_out = 0;
    (void)snprintf(key, sizeof key, "\"eval/%s\":", name);
    while (fgets(line, sizeof line, file) != NULL) {
        const char *at = strstr(line, key);
        if (at == NULL) continue;
        const double value = strtod(at + strlen(key), NULL);
        if (isnan(found) || (is_least ? value < found : value > found)) found = value;
        ++*count_out;
    }
    (void)fclose(file);
    fari_free(path);
    return found;
}

static double best_of(const char *folder)
{
    fari_ckpt *ckpt = NULL;
    char *checkpoints = fari_path_join(folder, "checkpoints");
    FAR_CHECK_OK(fari_ckpt_open(checkpoints, "best", &ckpt));
    const double best = fari_ckpt_state_of(ckpt)->best_metric;
    fari_ckpt_close(ckpt);
    fari_free(checkpoints);
    return best;
}

static void check_best(const char *const *settings, const char *metric, const char *score, bool is_least)
{
    char assignment[128];
    far_run *run = NULL;
    int64_t evaluations = 0;
    (void)snprintf(assignment, sizeof assignment, "eval.metric=%s", metric);
    far_config *config = config_of(settings, (const char *const[]){ assignment, NULL });
    FAR_CHECK_OK(far_run_open(config, NULL, &run));
    FAR_CHECK_OK(far_run_train(run));
    const double want = extreme(far_run_folder(run), score, is_least, &evaluations),
                 best = best_of(far_run_folder(run));
    FAR_CHECK(evaluations >= 4);
    FAR_CHECK_MSG(best == want, "eval.metric=%s: best %g, expected %s %g of %d evaluations", metric, best, score, want,
                  (int)evaluations);
    FAR_CHECK_OK(fari_remove_tree(far_run_folder(run)));
    far_run_close(run);
    far_config_destroy(config);
}

FAR_TEST(best_goes_by_the_named_score)
{
    check_best(classes, "auto", "accuracy", false);
    check_best(classes, "accuracy", "accuracy", false);
    check_best(classes, "top5", "top5", false);
    check_best(classes, "recall/2", "recall/2", false);
    check_best(classes, "loss", "loss", true);
}

FAR_TEST(best_of_label_maps)
{
    check_best(maps, "auto", "miou", false);
    check_best(maps, "iou/1", "iou/1", false);
    check_best(maps, "loss", "loss", true);
}

static void check_refused(const char *const *settings, const char *assignment, const char *part, const char *more)
{
    far_run *run = NULL;
    const far_run_opts opts = { .purpose = FAR_RUN_PLAN };
    far_config *config = config_of(settings, (const char *const[]){ assignment, NULL });
    FAR_CHECK_STATUS(far_run_open(config, &opts, &run), FAR_E_CONFIG);
    FAR_CHECK_HAS(far_error_message(), part);
    FAR_CHECK_HAS(far_error_message(), more);
    far_config_destroy(config);
}

FAR_TEST(scores_that_nobody_gives_are_refused)
{
    check_refused(classes, "eval.metric=acuracy", "command line: eval.metric: ", "nearest: \"accuracy\"");
    check_refused(classes, "eval.metric=miou", "there are loss, accuracy", "balanced_accuracy");
    check_refused(maps, "eval.metric=top5", "there are loss, accuracy", "miou");
}

FAR_TEST(options_of_recipes_come_from_the_configuration)
{
    far_run *run = NULL;
    const far_score *scores = NULL;
    int64_t count = 0, tops = 0, named = 0;
    far_config *config =
        config_of(classes, (const char *const[]){ "loss.top=[2, 3]", "loss.class_names=[a, b, c, d, e, f, g]",
                                                  "eval.metric=top3", "loss.confusion=yes", NULL });
    FAR_CHECK_OK(far_run_open(config, NULL, &run));
    FAR_CHECK_OK(far_run_evaluate(run, &scores, &count));
    for (int64_t i = 0; i < count; i++) {
        tops += strcmp(scores[i].name, "top2") == 0 || strcmp(scores[i].name, "top3") == 0;
        named += strcmp(scores[i].name, "recall/g") == 0;
        FAR_CHECK(strcmp(scores[i].name, "top5") != 0);
    }
    FAR_CHECK(tops == 2 && named == 1);
    FAR_CHECK_OK(fari_remove_tree(far_run_folder(run)));
    far_run_close(run);
    far_config_destroy(config);
    check_refused(classes, "loss.class_names=[a, b]", "class_names", "2 names for 7 classes");
    check_refused(classes, "loss.dice=1", "recipe 'classify' has no option 'dice'", "command line");
    check_refused(maps, "loss.top=[2]", "recipe 'segment' has no option 'top'", "command line");
}

/* Losses that are ops but no recipe has are not offered either. */
FAR_TEST(every_loss_that_is_offered_trains)
{
    for (int32_t r = 0; r < far_recipe_count(); r++) {
        const far_recipe *recipe = far_recipe_at(r);
        for (int32_t i = 0; i < recipe->option_count; i++) {
            char words[256], *rest = words;
            if (strcmp(recipe->options[i].name, "name") != 0) continue;
            (void)snprintf(words, sizeof words, "%s", recipe->options[i].values);
            for (char *word = strsep(&rest, "|"); word != NULL; word = strsep(&rest, "|")) {
                char name[64], choice[64];
                far_run *run = NULL;
                (void)snprintf(name, sizeof name, "loss.name=%s", word);
                (void)snprintf(choice, sizeof choice, "loss.recipe=%s", recipe->name);
                far_config *config = config_of(strcmp(recipe->name, "classify") == 0 ? classes : maps,
                                               (const char *const[]){ name, choice, NULL });
                FAR_CHECK_OK(far_run_open(config, NULL, &run));
                FAR_CHECK_OK(far_run_train(run));
                FAR_CHECK_OK(fari_remove_tree(far_run_folder(run)));
                far_run_close(run);
                far_config_destroy(config);
            }
        }
    }
    check_refused(classes, "loss.name=bse", "'bse' is not one of", "cross_entropy|focal|bce|mse");
}

/* ---- schedules ---- */

/* train/lr of each step in metrics.jsonl. */
static void read_rates(const char *folder, double *rates_out, int64_t steps)
{
    char line[16384];
    char *path = fari_path_join(folder, "metrics.jsonl");
    FILE *file = fopen(path, "r");
    FAR_CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        int64_t step = 0;
        const char *at = strstr(line, "\"train/lr\":");
        if (at == NULL || sscanf(line, "{\"step\": %" SCNd64, &step) != 1) continue;
        FAR_CHECK(step >= 1 && step <= steps);
        rates_out[step - 1] = strtod(at + strlen("\"train/lr\":"), NULL);
    }
    (void)fclose(file);
    fari_free(path);
}

#define RATES 16 /* four epochs of four steps */

static void check_rates(const char *schedule, const double *want)
{
    double rates[RATES] = { 0.0 };
    char *complete = NULL;
    far_config *config =
        config_of(classes, (const char *const[]){ schedule, "optim.lr=1", "train.eval_every=100", NULL });
    for (int pass = 0; pass < 2; pass++) { /* again from the complete configuration that the run wrote */
        far_run *run = NULL;
        FAR_CHECK_OK(far_run_open(config, NULL, &run));
        FAR_CHECK_OK(far_run_train(run));
        read_rates(far_run_folder(run), rates, RATES);
        for (int i = 0; i < RATES; i++)
            FAR_CHECK_MSG(fabs(rates[i] - want[i]) < 1e-12, "%s: step %d has %g, not %g", schedule, i, rates[i],
                          want[i]);
        FAR_CHECK_OK(fari_remove_tree(far_run_folder(run)));
        far_run_close(run);
        if (pass > 0) break;
        FAR_CHECK_OK(far_config_dump(config, &complete));
        far_config_destroy(config);
        FAR_CHECK_OK(far_config_create(&config));
        FAR_CHECK_OK(far_config_parse(config, "complete", complete, strlen(complete)));
    }
    far_config_text_free(complete);
    far_config_destroy(config);
}

FAR_TEST(times_of_schedules)
{
    double want[RATES];
    for (int i = 0; i < RATES; i++) want[i] = i < 4 ? 1.0 : i < 12 ? 0.1 : 0.01;
    check_rates("schedule={name: multistep, milestones: [1, 3]}", want);
    check_rates("schedule={name: multistep, unit: steps, milestones: [4, 12]}", want);
    for (int i = 0; i < RATES; i++) want[i] = i < 2 ? 0.5 * i : i < 4 ? 1.0 : i < 12 ? 0.1 : 0.01;
    check_rates("schedule={name: multistep, warmup_steps: 2, milestones: [1, 3]}", want);
    check_rates("schedule={name: multistep, unit: steps, warmup_epochs: 0.5, milestones: [4, 12]}", want);
    for (int i = 0; i < RATES; i++) want[i] = i < 8 ? 1.0 - i / 8.0 : 0.0;
    check_rates("schedule={name: linear, decay: 2}", want);
    check_rates("schedule={name: linear, unit: steps, decay: 8}", want);
    for (int i = 0; i < RATES; i++) want[i] = 1.0; /* 30 epochs, 20 epochs */
    check_rates("schedule.name=step", want);
    check_rates("schedule={name: step, unit: steps}", want);
    for (int i = 0; i < RATES; i++) want[i] = i < 4 ? 1e-4 + 0.25 * i * (1.0 - 1e-4) : 1.0;
    check_rates("schedule.name=cosmictagger", want);
}
