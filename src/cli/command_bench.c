/* farandole bench */
#include "cli.h"
#include "progress.h"
#include "stop.h"
#include <farandole/run.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURN_MAX 1000 /* steps */

static cli_exit opts_of(const cli_args *args, far_bench_opts *opts_out)
{
    const char *steps = cli_value(args, "--steps"), *seconds = cli_value(args, "--seconds");
    char *end = NULL;
    *opts_out = (far_bench_opts){ 0 };
    if (steps != NULL) opts_out->steps = strtol(steps, &end, 10);
    if (steps != NULL && (*end != '\0' || opts_out->steps < 1))
        return cli_usage_error(args->command, "--steps %s: expected a number of steps, from 1 on", steps);
    if (seconds != NULL) opts_out->seconds = strtod(seconds, &end);
    if (seconds != NULL && (*end != '\0' || !(opts_out->seconds > 0.0) || !isfinite(opts_out->seconds)))
        return cli_usage_error(args->command, "--seconds %s: expected a time above 0", seconds);
    return CLI_OK;
}

/* Numbers of steps on standard input, one a line, until it ends; for each a line with the seconds of its steps. */
static cli_exit take_turns(const cli_args *args, far_run *run)
{
    double seconds[TURN_MAX];
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *end = NULL;
        const long steps = strtol(line, &end, 10);
        if (end == line || (*end != '\n' && *end != '\0') || steps < 1 || steps > TURN_MAX)
            return cli_usage_error(args->command,
                                   "--turns: expected a number of steps from 1 to %d on a line, not '%.*s'", TURN_MAX,
                                   (int)strcspn(line, "\n"), line);
        const far_status st = far_run_time_steps(run, steps, seconds);
        if (st != FAR_OK) return cli_fail(args, st, CLI_RUNNING);
        for (long i = 0; i < steps; i++) (void)printf("%s%.9f", i > 0 ? ", " : "[", seconds[i]);
        (void)printf("]\n");
        if (fflush(stdout) != 0) return CLI_FAILED; /* cli_flush will say so */
    }
    return CLI_OK;
}

static cli_exit bench(const cli_args *args, const far_config *config, const far_bench_opts *bench_opts)
{
    far_run *run = NULL;
    char *text = NULL;
    cli_progress progress;
    cli_phase phase = CLI_OPENING;
    cli_exit code = CLI_OK;
    const bool is_in_turns = cli_has(args, "--turns");
    cli_progress_begin(&progress, is_in_turns || cli_has(args, "--quiet"));
    cli_stop_watch();
    const far_run_opts opts = { .purpose = FAR_RUN_BENCH,
                                .progress = cli_progress_show,
                                .progress_context = &progress,
                                .should_stop = cli_stop_asked };
    far_status st = far_run_open(config, &opts, &run);
    if (st == FAR_OK && !is_in_turns) {
        phase = CLI_RUNNING;
        st = far_run_bench(run, bench_opts, cli_has(args, "--json"), &text);
    }
    cli_progress_end(&progress);
    if (st != FAR_OK) code = cli_fail(args, st, phase);
    else if (is_in_turns) code = take_turns(args, run);
    else (void)fputs(text, stdout);
    far_config_text_free(text);
    far_run_close(run);
    return code;
}

static cli_exit run_bench(const cli_args *args)
{
    far_config *config = NULL;
    far_bench_opts opts;
    if (args->word_count == 0) return cli_usage_error(args->command, "time what? name a config file or a run folder");
    cli_exit code = opts_of(args, &opts);
    if (code == CLI_OK) code = cli_config_open(args, args->words[0], &config);
    if (code != CLI_OK) return code;
    code = bench(args, config, &opts);
    far_config_destroy(config);
    return code;
}

static const cli_option options[] = {
    { "--seconds", "S", "time steps for about so long; default: 10", NULL },
    { "--steps", "N", "time so many steps instead", NULL },
    { "--turns", NULL, "time steps when asked: lines on standard input say how many, JSON lists of seconds answer",
      NULL },
    { "--threads", "N", "threads that compute; default: all cores this process may use", "threads" },
    { "--memory", "SIZE", "memory it may use, as 512M or 16G; default: what there is", "memory" },
    { "--quiet", NULL, "no progress", NULL },
    { "--json", NULL, "the figures as JSON", NULL },
};

const cli_command cli_bench = {
    .name = "bench",
    .sentence = "time the training steps of an experiment, and say where the time goes",
    .usage = "CONFIG.yaml|RUN [key=value ...] [options]",
    .about =
        "Trains for some seconds without writing anything, and prints samples a second, the share of what this machine\n"
        "can do at most (measured too), time by kind of operation, memory, and the three things that cost most with what\n"
        "could be done about each. Other programs on the same cores spoil the figures.",
    .examples = "farandole bench examples/lenet5.yaml data.path=data/mnist\n"
                "    how fast this experiment trains here\n"
                "farandole bench runs/cells batch=4 --json\n"
                "    a run's experiment with another batch, for a program to read\n",
    .exits = "3 data cannot be read, 4 does not fit in memory, 75 stopped on request",
    .options = options,
    .option_count = CLI_COUNT(options),
    .word_max = 1,
    .has_assignments = true,
    .run = run_bench,
};
