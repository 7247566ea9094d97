/* farandole verify */
#include "cli.h"
#include "progress.h"
#include "stop.h"
#include <farandole/run.h>
#include <stdio.h>

/* Ends together with the other ranks. */
static cli_exit verify(const cli_args *args, const far_config *config, far_ranks *ranks,
                       const far_verify_opts *verify_opts)
{
    far_run *run = NULL;
    char *text = NULL;
    bool is_equal = false;
    cli_progress progress;
    cli_phase phase = CLI_OPENING;
    cli_progress_begin(&progress, false);
    const far_run_opts opts = { .purpose = FAR_RUN_VERIFY,
                                .weights = cli_value(args, "--weights"),
                                .layout = cli_value(args, "--layout"),
                                .joined = ranks };
    far_status st = far_run_open(config, &opts, &run);
    if (st == FAR_OK) {
        phase = CLI_RUNNING;
        st = far_run_verify(run, verify_opts, &is_equal, &text);
    }
    cli_progress_end(&progress);
    cli_exit code = cli_ranks_end(args, ranks, st, phase);
    if (code == CLI_OK && !cli_is_silent()) (void)fputs(text, stdout);
    if (code == CLI_OK && !is_equal) code = CLI_FAILED;
    far_config_text_free(text);
    far_run_close(run);
    return code;
}

static cli_exit check_words(const cli_args *args, const cli_ranks *ranks, far_verify_opts *opts_out)
{
    int32_t steps = 0, flip = 0;
    if (args->word_count == 0) return cli_usage_error(args->command, "verify what? name a config file or a run folder");
    if (!cli_whole_number(args, "--steps", 3, &steps) || steps < 1)
        return cli_usage_error(args->command, "--steps %s: expected a number of steps, from 1 on",
                               cli_value(args, "--steps"));
    if (!cli_whole_number(args, "--flip", 0, &flip))
        return cli_usage_error(args->command, "--flip needs the number of a rank, not %s", cli_value(args, "--flip"));
    if (ranks->launched == 1 && ranks->wanted < 2)
        return cli_usage_error(args->command,
                               "several ranks are held against one: how many? --ranks N, or mpirun -n N");
    *opts_out = (far_verify_opts){ .steps = steps, .has_flip = cli_has(args, "--flip"), .flip_rank = flip };
    return CLI_OK;
}

static cli_exit run_verify(const cli_args *args)
{
    far_config *config = NULL;
    cli_ranks ranks = { 0 };
    far_verify_opts opts;
    cli_exit code = cli_ranks_begin(args, &ranks);
    if (code != CLI_OK) return code;
    code = check_words(args, &ranks, &opts);
    if (code == CLI_OK) code = cli_config_open(args, args->words[0], &config);
    if (code != CLI_OK && ranks.joined != NULL) (void)far_ranks_part(ranks.joined, FAR_E_CONFIG, NULL);
    if (code == CLI_OK)
        code = ranks.launched == 1 ? cli_launch(args, ranks.wanted) : verify(args, config, ranks.joined, &opts);
    far_config_destroy(config);
    far_ranks_leave(ranks.joined);
    return code;
}

static const cli_option options[] = {
    { "--ranks", "N", "N processes on this machine", NULL },
    { "--layout", "data=D,spatial=S", "what they share out: samples, rows; default: samples", NULL },
    { "--steps", "N", "training steps; default: 3", NULL },
    { "--weights", "PATH", "start from these weights: a checkpoint folder or a safetensors file", "model.weights" },
    { "--flip", "RANK", "one bit of a result of that rank is wrong: the check has to find it", NULL },
    { "--threads", "N", "threads of each process; default: its share of the cores", "threads" },
    { "--memory", "SIZE", "memory a process may use, as 512M or 16G; default: its share of what there is", "memory" },
};

const cli_command cli_verify = {
    .name = "verify",
    .sentence = "hold a training on several processes against one, bit by bit",
    .usage = "CONFIG.yaml|RUN [key=value ...] --ranks N [options]",
    .about =
        "Trains a few steps of the experiment on several processes and, on each of them, the same steps once more alone.\n"
        "Compares what every process computes, piece by piece, and parameters and optimizer state after each step. The\n"
        "first operation that gives other bits is named. Nothing is written.",
    .examples = "farandole verify examples/unet-synthetic.yaml --ranks 4 --layout data=2,spatial=2\n"
                "    does this layout compute what one process does?\n"
                "mpirun -n 8 farandole verify examples/unet-synthetic.yaml\n"
                "    the same on a cluster, before a long job\n",
    .exits = "1 bits differ, 3 data cannot be read, 4 does not fit in memory",
    .options = options,
    .option_count = CLI_COUNT(options),
    .word_max = 1,
    .has_assignments = true,
    .run = run_verify,
};
