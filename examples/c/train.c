/* An experiment from C: configuration, training, evaluation. What `farandole train` does, in one page.

       cc train.c $(pkg-config --cflags --libs farandole) -o train
       ./train experiment.yaml train.epochs=3 model.name=resnet18 */
#include <farandole/config.h>
#include <farandole/run.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void on_progress(void *context, const far_progress *progress)
{
    (void)context;
    if (strcmp(progress->phase, "train") == 0)
        printf("step %" PRId64 " of %" PRId64 ", loss %.4f, %.1f samples/s\n", progress->step, progress->step_total,
               progress->loss, progress->samples_per_s);
}

static far_status print_scores(far_run *run)
{
    const far_score *scores = NULL;
    int64_t count = 0;
    const far_status st = far_run_evaluate(run, &scores, &count);
    for (int64_t i = 0; st == FAR_OK && i < count; i++) printf("%-20s %.4f\n", scores[i].name, scores[i].value);
    return st;
}

static far_status train(const far_config *config)
{
    const far_run_opts opts = { .purpose = FAR_RUN_TRAIN, .progress = on_progress };
    far_run *run = NULL;
    far_status st = far_run_open(config, &opts, &run);
    if (st != FAR_OK) return st;
    printf("%.1f MB planned, results in %s\n", (double)far_run_planned_bytes(run) * 1e-6, far_run_folder(run));
    st = far_run_train(run);
    if (st == FAR_OK) st = print_scores(run);
    far_run_close(run);
    return st;
}

/* A file, or "key=value"; later ones win. */
static far_status configure(far_config *config, const char *argument)
{
    return strchr(argument, '=') != NULL ? far_config_set(config, argument) : far_config_load(config, argument);
}

int main(int argc, char **argv)
{
    far_config *config = NULL;
    far_status st = far_config_create(&config);
    for (int i = 1; i < argc && st == FAR_OK; i++) st = configure(config, argv[i]);
    if (st == FAR_OK) st = train(config);
    if (st != FAR_OK) (void)fprintf(stderr, "%s: %s\n", far_status_name(st), far_error_message());
    far_config_destroy(config);
    return st == FAR_OK ? 0 : 1;
}
