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

static cli_exit evaluate(const cli_args *args, const far_config *config, const char *weights, const char *folder)
{
    far_run *run = NULL;
    const far_score *scores = NULL;
    int64_t count = 0;
    cli_progress progress;
    cli_progress_begin(&progress, cli_has(args, "--quiet"));
    const far_run_opts opts = {
        .purpose = FAR_RUN_EVALUATE, .weights = weights, .progress = cli_progress_show, .progress_context = &progress
    };
    cli_phase phase = CLI_OPENING;
    far_status st = far_run_open(config, &opts, &run);
    if (st == FAR_OK) {
        phase = CLI_RUNNING;
        st = far_run_evaluate(run, &scores, &count);
    }
    cli_progress_end(&progress);
    const char *used = weights != NULL ? weights : far_config_text(config, "model.weights");
    if (st == FAR_OK && cli_has(args, "--json")) print_json(used, scores, count);
    else if (st == FAR_OK) {
        json_t *classes = cli_class_names(folder);
        print_text(used, scores, count, classes);
        json_decref(classes);
    }
    const cli_exit code = st == FAR_OK ? CLI_OK : cli_fail(args, st, phase);
    far_run_close(run);
    return code;
}

static cli_exit run_eval(const cli_args *args)
{
    cli_weights weights;
    if (args->word_count == 0)
        return cli_usage_error(args->command, "evaluate what? name a run folder or a config file");
    cli_exit code = cli_weights_open(args, args->words[0], &weights);
    if (code != CLI_OK) return code;
    code = evaluate(args, weights.config, weights.path, weights.run);
    cli_weights_close(&weights);
    return code;
}

static const cli_option options[] = {
    { "--weights", "PATH", "a checkpoint folder or a safetensors file", NULL },
    { "--checkpoint", "WHICH", "of a run: best, last or a step; default: best", NULL },
    { "--threads", "N", "threads that compute; default: all cores this process may use", "threads" },
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
                "    the last checkpoint, on other data, for a program to read\n",
    .exits = "3 data or weights cannot be read, 4 does not fit in memory",
    .options = options,
    .option_count = CLI_COUNT(options),
    .word_max = 1,
    .has_assignments = true,
    .run = run_eval,
};
