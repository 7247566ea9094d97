/* farandole eval */
#include "cli.h"
#include "progress.h"
#include <farandole/run.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_json(const char *weights, const far_score *scores, int64_t count)
{
    json_t *all = json_object(), *list = json_object();
    (void)json_object_set_new(all, "weights", json_string(weights));
    for (int64_t i = 0; i < count; i++)
        (void)json_object_set_new(list, scores[i].name,
                                  isfinite(scores[i].value) ? json_real(scores[i].value) : json_null());
    (void)json_object_set_new(all, "scores", list);
    (void)json_dumpf(all, stdout, JSON_INDENT(2));
    (void)fputc('\n', stdout);
    json_decref(all);
}

/* The class that "recall/2" is of; NULL: of none, or without a name. */
static const char *class_of(const json_t *classes, const char *score)
{
    const char *slash = strrchr(score, '/');
    char *end = NULL;
    const unsigned long idx = slash != NULL && slash[1] >= '0' && slash[1] <= '9' ? strtoul(slash + 1, &end, 10) : 0;
    return end != NULL && *end == '\0' ? json_string_value(json_array_get(classes, idx)) : NULL;
}

static void print_text(const char *weights, const far_score *scores, int64_t count, const json_t *classes)
{
    (void)printf("weights              %s\n", weights);
    for (int64_t i = 0; i < count; i++) {
        const char *name = class_of(classes, scores[i].name);
        (void)printf("%-20s %.6g", scores[i].name, scores[i].value);
        (void)printf("%s%s\n", name != NULL ? "  " : "", name != NULL ? name : "");
    }
}

static void tell(const cli_args *args, const char *weights, const char *folder, const far_score *scores, int64_t count)
{
    if (cli_is_silent()) return;
    if (cli_has(args, "--json")) {
        print_json(weights, scores, count);
        return;
    }
    json_t *classes = cli_class_names(folder);
    print_text(weights, scores, count, classes);
    json_decref(classes);
}

/* Ends together with the other ranks. */
static cli_exit evaluate(const cli_args *args, const cli_weights *weights, far_ranks *ranks)
{
    far_run *run = NULL;
    const far_score *scores = NULL;
    int64_t count = 0;
    cli_progress progress;
    cli_progress_begin(&progress, cli_has(args, "--quiet"));
    const far_run_opts opts = { .purpose = FAR_RUN_EVALUATE,
                                .weights = weights->path,
                                .progress = cli_is_silent() ? NULL : cli_progress_show,
                                .progress_context = &progress,
                                .layout = cli_value(args, "--layout"),
                                .joined = ranks };
    cli_phase phase = CLI_OPENING;
    far_status st = far_run_open(weights->config, &opts, &run);
    if (st == FAR_OK) {
        phase = CLI_RUNNING;
        st = far_run_evaluate(run, &scores, &count);
    }
    cli_progress_end(&progress);
    const cli_exit code = cli_ranks_end(args, ranks, st, phase);
    const char *used = weights->path != NULL ? weights->path : far_config_text(weights->config, "model.weights");
    if (code == CLI_OK) tell(args, used, weights->run, scores, count);
    far_run_close(run);
    return code;
}

static cli_exit run_eval(const cli_args *args)
{
    cli_weights weights;
    cli_ranks ranks = { 0 };
    cli_exit code = cli_ranks_begin(args, &ranks);
    if (code == CLI_OK && args->word_count == 0)
        code = cli_usage_error(args->command, "evaluate what? name a run folder or a config file");
    if (code == CLI_OK) code = cli_weights_open(args, args->words[0], &weights);
    if (code != CLI_OK) return cli_ranks_refuse(&ranks, code);
    code = ranks.launched == 1 && ranks.wanted > 1 ? cli_launch(args, ranks.wanted)
                                                   : evaluate(args, &weights, ranks.joined);
    cli_weights_close(&weights);
    far_ranks_leave(ranks.joined);
    return code;
}

static const cli_option options[] = {
    { "--weights", "PATH", "a checkpoint folder or a safetensors file", NULL },
    { "--checkpoint", "WHICH", "of a run: best, last or a step; default: best", NULL },
    { "--threads", "N", "threads that compute; default: all cores this process may use", "threads" },
    { "--ranks", "N", "N processes on this machine share the work, with the same scores", NULL },
    { "--layout", "data=D,spatial=S", "what ranks share out: samples, rows; default: samples", NULL },
    { "--memory", "SIZE", "memory it may use, as 512M or 16G; default: what there is", "memory" },
    { "--quiet", NULL, "no progress", NULL },
    { "--json", NULL, "the scores as JSON", NULL },
};

const cli_command cli_eval = {
    .name = "eval",
    .sentence = "score a trained network on the test data",
    .usage = "RUN|CHECKPOINT [key=value ...] [options]\nCONFIG.yaml --weights PATH [key=value ...] [options]",
    .about =
        "Runs the network over the test part of the data and prints its scores: accuracy for classes, intersection over\n"
        "union for label maps. RUN is a folder that `farandole train` wrote; its config and its best checkpoint are taken, or the\n"
        "CHECKPOINT that is named instead.",
    .examples = "farandole eval runs/lenet5-20250101-120000\n"
                "    the best checkpoint of a run\n"
                "farandole eval runs/lenet5-20250101-120000 --checkpoint last --json data.path=other-data\n"
                "    the last checkpoint, on other data, for a program to read\n"
                "farandole eval runs/lenet5-20250101-120000 --ranks 4 --layout spatial=4\n"
                "    four processes: each has a quarter of the rows of every image, and needs the memory for these\n",
    .exits = "3 data or weights cannot be read, 4 does not fit in memory",
    .options = options,
    .option_count = CLI_COUNT(options),
    .word_max = 1,
    .has_assignments = true,
    .run = run_eval,
};
