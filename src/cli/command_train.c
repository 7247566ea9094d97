/* farandole train */
#include "cli.h"
#include "progress.h"
#include "stop.h"
#include <farandole/run.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METRICS_LINE_BYTES 65536 /* an evaluation of many classes is a long line */
#define METRICS_TAIL_BYTES 262144L

/* The last evaluation in metrics.jsonl, as {"accuracy": 0.9, ...}; NULL: there is none in the file's last part. */
static json_t *last_scores(const char *folder)
{
    char line[METRICS_LINE_BYTES];
    json_t *scores = NULL;
    char *path = cli_path(folder, "metrics.jsonl");
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    free(path);
    if (file != NULL && fseek(file, -METRICS_TAIL_BYTES, SEEK_END) != 0) rewind(file); /* shorter than that */
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        json_t *row = strstr(line, "\"eval/") != NULL ? json_loads(line, 0, NULL) : NULL;
        if (row == NULL) continue; /* also where the tail begins inside a line */
        json_decref(scores);
        scores = json_object();
        for (void *it = json_object_iter(row); it != NULL; it = json_object_iter_next(row, it)) {
            const char *key = json_object_iter_key(it);
            if (strncmp(key, "eval/", 5) == 0) (void)json_object_set(scores, key + 5, json_object_iter_value(it));
        }
        json_decref(row);
    }
    if (file != NULL) (void)fclose(file); /* read-only */
    return scores;
}

/* Of interest at a glance: figures of single classes have a slash in their names. */
static bool is_headline(const char *name, const json_t *value)
{
    return json_is_number(value) && strchr(name, '/') == NULL;
}

/* --- while it runs --- */

typedef struct watch {
    cli_progress progress;
    const far_run *run; /* NULL while it is being opened */
    bool is_scored;     /* an evaluation has gone by whose scores have not been told */
} watch;

/* "eval  step 938  loss 0.31  accuracy 0.912" */
static void tell_scores(watch *seen, int64_t step)
{
    char line[512];
    json_t *scores = last_scores(far_run_folder(seen->run));
    int used = snprintf(line, sizeof line, "eval  step %" PRId64, step);
    for (void *it = json_object_iter(scores); it != NULL; it = json_object_iter_next(scores, it)) {
        const char *key = json_object_iter_key(it);
        const json_t *value = json_object_iter_value(it);
        if (is_headline(key, value) && used > 0 && (size_t)used < sizeof line)
            used += snprintf(line + used, sizeof line - (size_t)used, "  %s %.4g", key, json_number_value(value));
    }
    if (scores != NULL) cli_progress_say(&seen->progress, line);
    json_decref(scores);
}

static void watch_progress(void *context, const far_progress *now)
{
    watch *seen = context;
    if (strcmp(now->phase, "eval") == 0) {
        seen->is_scored = true;
    } else if (seen->is_scored && seen->run != NULL) {
        seen->is_scored = false;
        tell_scores(seen, now->step - (strcmp(now->phase, "train") == 0)); /* the step before this one was scored */
    }
    cli_progress_show(&seen->progress, now);
}

/* --- at the end --- */

typedef struct summary {
    const char *folder, *ending;
    int64_t step, steps; /* in all; in this life of the run */
    double seconds, loss;
    char digest[65];
    json_t *scores; /* NULL: never evaluated */
} summary;

static void print_json(const summary *sum)
{
    json_t *all = json_pack("{s:s, s:s, s:I, s:I, s:f, s:s}", "run", sum->folder, "ending", sum->ending, "step",
                            (json_int_t)sum->step, "steps", (json_int_t)sum->steps, "seconds", sum->seconds, "digest",
                            sum->digest);
    (void)json_object_set_new(all, "loss", isfinite(sum->loss) ? json_real(sum->loss) : json_null());
    (void)json_object_set(all, "scores", sum->scores != NULL ? sum->scores : json_null());
    (void)json_dumpf(all, stdout, JSON_INDENT(2));
    (void)fputc('\n', stdout);
    json_decref(all);
}

static void print_text(FILE *file, const summary *sum)
{
    char steps[32], time[32];
    (void)fprintf(file, "%s: %s steps in %s\n", strcmp(sum->ending, "early") == 0 ? "done early" : sum->ending,
                  cli_count_text(sum->steps, steps), cli_seconds_text(sum->seconds, time));
    if (isfinite(sum->loss)) (void)fprintf(file, "  %-20s %.6g\n", "last step's loss", sum->loss);
    for (void *it = json_object_iter(sum->scores); it != NULL; it = json_object_iter_next(sum->scores, it)) {
        const char *key = json_object_iter_key(it);
        const json_t *value = json_object_iter_value(it);
        if (is_headline(key, value)) (void)fprintf(file, "  %-20s %.6g\n", key, json_number_value(value));
    }
    (void)fprintf(file, "  %-20s %s\n", "digest", sum->digest);
    (void)fprintf(file, "  %-20s %s\n", "run", sum->folder);
    (void)fprintf(file, "  %-20s %s/report.html\n", "report", sum->folder);
    (void)fprintf(file, "next\n");
    if (strcmp(sum->ending, "stopped") == 0) (void)fprintf(file, "  farandole train --resume %s\n", sum->folder);
    else if (sum->scores != NULL) (void)fprintf(file, "  farandole eval %s\n", sum->folder);
    else (void)fprintf(file, "  farandole predict %s --images FOLDER\n", sum->folder);
}

static void print_summary(const cli_args *args, const far_run *run, const cli_progress *progress, bool is_done)
{
    summary sum = { .folder = far_run_folder(run),
                    .ending = far_run_is_early(run) ? "early"
                              : is_done             ? "done"
                                                    : "stopped",
                    .step = far_run_step(run),
                    .steps = progress->steps,
                    .seconds = cli_clock_s() - progress->began_s,
                    .loss = progress->loss };
    far_run_digest(run, sum.digest);
    sum.scores = last_scores(sum.folder);
    if (cli_has(args, "--json")) print_json(&sum);
    else if (!cli_has(args, "--quiet")) print_text(stdout, &sum);
    if (progress->log != NULL) print_text(progress->log, &sum);
    json_decref(sum.scores);
}

/* --flip RANK:STEP */
static bool flip_of(const cli_args *args, int32_t *rank_out, int64_t *step_out)
{
    const char *text = cli_value(args, "--flip");
    int used = 0;
    if (text == NULL) return true;
    return sscanf(text, "%" SCNd32 ":%" SCNd64 "%n", rank_out, step_out, &used) == 2 && text[used] == '\0' &&
           *rank_out >= 0 && *step_out >= 1;
}

static cli_exit train(const cli_args *args, const far_config *config, far_ranks *ranks)
{
    far_run *run = NULL;
    watch seen = { .is_scored = false };
    const int32_t rank = ranks != NULL ? far_ranks_rank(ranks) : 0;
    cli_progress_begin(&seen.progress, cli_has(args, "--quiet"));
    cli_stop_watch();
    far_run_opts opts = { .purpose = FAR_RUN_TRAIN,
                          .resume = cli_value(args, "--resume"),
                          .weights = cli_value(args, "--weights"),
                          .progress = rank == 0 ? watch_progress : NULL,
                          .progress_context = &seen,
                          .should_stop = cli_stop_asked,
                          .layout = cli_value(args, "--layout"),
                          .joined = ranks,
                          .timeline = cli_value(args, "--timeline"),
                          .has_flip = cli_has(args, "--flip"),
                          .accept_other_bits = cli_has(args, "--accept-other-bits") };
    (void)flip_of(args, &opts.flip_rank, &opts.flip_step); /* checked before */
    far_status st = far_run_open(config, &opts, &run);
    if (st != FAR_OK) {
        cli_progress_end(&seen.progress);
        return cli_ranks_end(args, ranks, st, CLI_OPENING);
    }
    seen.run = run;
    cli_progress_keep(&seen.progress, far_run_folder(run), rank);
    if (!cli_has(args, "--quiet") && rank == 0)
        (void)fprintf(stderr, "farandole: run folder %s\n", far_run_folder(run));
    seen.progress.began_s = cli_clock_s();
    st = far_run_train(run);
    if (st != FAR_OK && seen.progress.log != NULL) (void)fprintf(seen.progress.log, "%s\n", far_error_message());
    cli_progress_end(&seen.progress);
    const cli_exit code = cli_ranks_end(args, ranks, st, CLI_RUNNING);
    if (rank == 0 && (code == CLI_OK || code == CLI_STOPPED)) print_summary(args, run, &seen.progress, code == CLI_OK);
    cli_progress_close(&seen.progress);
    far_run_close(run);
    return code;
}

/* What to train: a config, or a run to go on with; CLI_OK: one of them is named, and nothing that contradicts it. */
static cli_exit check_words(const cli_args *args, const char *resume)
{
    int32_t flip_rank;
    int64_t flip_step;
    if (resume == NULL && cli_has(args, "--accept-other-bits"))
        return cli_usage_error(args->command, "--accept-other-bits belongs to --resume");
    if (resume == NULL && args->word_count == 0)
        return cli_usage_error(args->command, "train what? name a config file, or --resume RUN");
    if (resume != NULL && args->word_count > 0)
        return cli_usage_error(
            args->command, "--resume goes on with the run's own config; change keys with key=value, or leave out %s",
            args->words[0]);
    if (resume != NULL && !cli_is_folder(resume))
        return cli_usage_error(args->command, "--resume %s: no such folder", resume);
    if (resume == NULL && cli_is_folder(args->words[0]))
        return cli_usage_error(args->command, "%s is a folder; to go on with a run: farandole train --resume %s",
                               args->words[0], args->words[0]);
    if (!flip_of(args, &flip_rank, &flip_step))
        return cli_usage_error(args->command, "--flip needs a rank and a step, as 1:100, not %s",
                               cli_value(args, "--flip"));
    if (resume != NULL && cli_has(args, "--weights"))
        return cli_usage_error(args->command,
                               "--resume takes the weights from the run's last checkpoint; leave out --weights");
    return CLI_OK;
}

static cli_exit run_train(const cli_args *args)
{
    const char *resume = cli_value(args, "--resume");
    far_config *config = NULL;
    cli_ranks ranks = { 0 };
    cli_exit code = cli_ranks_begin(args, &ranks);
    if (code != CLI_OK) return code;
    code = check_words(args, resume);
    if (code == CLI_OK) code = cli_config_open(args, resume != NULL ? resume : args->words[0], &config);
    if (code != CLI_OK && ranks.joined != NULL) (void)far_ranks_part(ranks.joined, FAR_E_CONFIG, NULL);
    if (code == CLI_OK)
        code = ranks.launched == 1 && ranks.wanted > 1 ? cli_launch_lives(args, config, &ranks)
                                                       : train(args, config, ranks.joined);
    far_config_destroy(config);
    far_ranks_leave(ranks.joined);
    return code;
}

static const cli_option options[] = {
    { "--resume", "RUN", "go on with a run where its last checkpoint left off", NULL },
    { "--accept-other-bits", NULL, "resume although instruction set or library versions have changed since", NULL },
    { "--weights", "PATH", "start from these weights: a checkpoint folder or a safetensors file", "model.weights" },
    { "--threads", "N", "threads that compute; default: all cores this process may use", "threads" },
    { "--ranks", "N", "N processes on this machine train together, with the same result", NULL },
    { "--restarts", "N", "of --ranks: start again so often, from the last checkpoint, where a rank dies or hangs",
      NULL },
    { "--layout", "data=D,spatial=S", "what ranks share out: samples, rows; default: samples", NULL },
    { "--memory", "SIZE", "memory the run may use, as 512M or 16G; default: what there is", "memory" },
    { "--flip", "RANK:STEP", "after that step one bit on that rank is wrong: train.compare_every has to find it",
      NULL },
    { "--timeline", "FILE", "write where the time of three steps goes: a Chrome trace, for ui.perfetto.dev", NULL },
    { "--quiet", NULL, "no progress and no summary, only warnings and errors", NULL },
    { "--json", NULL, "the summary as JSON", NULL },
};

const cli_command cli_train = {
    .name = "train",
    .sentence = "train a network",
    .usage = "CONFIG.yaml [key=value ...] [options]\n--resume RUN [key=value ...] [options]",
    .about =
        "Trains the network that CONFIG.yaml describes and writes a run folder: config, plan, metrics and checkpoints.\n"
        "Any config key can be given as key=value; `farandole help config` lists them. Ctrl-C or SIGTERM checkpoints and\n"
        "ends with exit code 75; --resume then gives the very numbers that an undisturbed run would have given.\n"
        "Several processes (--ranks N here; mpirun -n N farandole train ..., srun farandole train ... on a cluster) give the\n"
        "same bits as one; the batch is that of all together.",
    .examples = "farandole train examples/synthetic.yaml\n"
                "    a small network on images made up on the fly: needs no data, takes seconds\n"
                "farandole train examples/fashion-mnist.yaml data.path=data/fashion-mnist train.epochs=5 --threads 4\n"
                "    five epochs on four threads\n"
                "farandole train examples/unet-synthetic.yaml --ranks 4 --layout data=2,spatial=2\n"
                "    four processes: two halves of the samples, each in two halves of the rows\n",
    .exits = "3 data or checkpoints cannot be read, 4 does not fit in memory, 75 stopped and resumable",
    .options = options,
    .option_count = CLI_COUNT(options),
    .word_max = 1,
    .has_assignments = true,
    .run = run_train,
};
