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

/* The number on a line; 0: it is none. */
static int64_t turn_of(const char *line)
{
    char *end = NULL;
    const long steps = strtol(line, &end, 10);
    return end == line || (*end != '\n' && *end != '\0') || steps < 1 || steps > TURN_MAX ? 0 : steps;
}

/* Numbers of steps on standard input, one a line, until it ends; for each a line with the seconds of its steps. Of several ranks the first
   reads and answers. */
static far_status take_turns(const cli_args *args, far_run *run, far_ranks *ranks, cli_exit *code_out)
{
    double seconds[TURN_MAX];
    char line[64] = "";
    const bool is_first = ranks == NULL || far_ranks_rank(ranks) == 0;
    for (;;) {
        int64_t steps = is_first && fgets(line, sizeof line, stdin) != NULL ? turn_of(line) : -1;
        if (steps == 0)
            *code_out =
                cli_usage_error(args->command, "--turns: expected a number of steps from 1 to %d on a line, not '%.*s'",
                                TURN_MAX, (int)strcspn(line, "\n"), line);
        far_status st = ranks != NULL ? far_ranks_agree(ranks, &steps) : FAR_OK;
        if (st != FAR_OK || steps < 1) return st;
        st = far_run_time_steps(run, steps, seconds);
        if (st != FAR_OK) return st;
        for (int64_t i = 0; is_first && i < steps; i++) (void)printf("%s%.9f", i > 0 ? ", " : "[", seconds[i]);
        if (is_first) (void)printf("]\n");
        if (fflush(stdout) != 0) *code_out = CLI_FAILED; /* cli_flush will say so */
    }
}

/* Ends together with the other ranks. */
static cli_exit bench(const cli_args *args, const far_config *config, far_ranks *ranks,
                      const far_bench_opts *bench_opts)
{
    far_run *run = NULL;
    char *text = NULL;
    cli_progress progress;
    cli_phase phase = CLI_OPENING;
    cli_exit turns_code = CLI_OK;
    const bool is_in_turns = cli_has(args, "--turns"), is_first = ranks == NULL || far_ranks_rank(ranks) == 0;
    cli_progress_begin(&progress, is_in_turns || cli_has(args, "--quiet"));
    cli_stop_watch();
    const far_run_opts opts = { .purpose = FAR_RUN_BENCH,
                                .progress = is_first ? cli_progress_show : NULL,
                                .progress_context = &progress,
                                .should_stop = cli_stop_asked,
                                .layout = cli_value(args, "--layout"),
                                .joined = ranks,
                                .timeline = cli_value(args, "--timeline") };
    far_status st = far_run_open(config, &opts, &run);
    if (st == FAR_OK) {
        phase = CLI_RUNNING;
        st = is_in_turns ? take_turns(args, run, ranks, &turns_code)
                         : far_run_bench(run, bench_opts, cli_has(args, "--json"), &text);
    }
    cli_progress_end(&progress);
    cli_exit code = cli_ranks_end(args, ranks, st, phase);
    if (code == CLI_OK) code = turns_code;
    if (code == CLI_OK && text != NULL && is_first) (void)fputs(text, stdout);
    far_config_text_free(text);
    far_run_close(run);
    return code;
}

static cli_exit run_bench(const cli_args *args)
{
    far_config *config = NULL;
    far_bench_opts opts;
    cli_ranks ranks = { 0 };
    cli_exit code = cli_ranks_begin(args, &ranks);
    if (code != CLI_OK) return code;
    if (args->word_count == 0) code = cli_usage_error(args->command, "time what? name a config file or a run folder");
    if (code == CLI_OK) code = opts_of(args, &opts);
    if (code == CLI_OK) code = cli_config_open(args, args->words[0], &config);
    if (code != CLI_OK && ranks.joined != NULL) (void)far_ranks_part(ranks.joined, FAR_E_CONFIG, NULL);
    if (code == CLI_OK)
        code = ranks.launched == 1 && ranks.wanted > 1 ? cli_launch(args, ranks.wanted)
                                                       : bench(args, config, ranks.joined, &opts);
    far_config_destroy(config);
    far_ranks_leave(ranks.joined);
    return code;
}

static const cli_option options[] = {
    { "--seconds", "S", "time steps for about so long; default: 10", NULL },
    { "--steps", "N", "time so many steps instead", NULL },
    { "--turns", NULL, "time steps when asked: lines on standard input say how many, JSON lists of seconds answer",
      NULL },
    { "--ranks", "N", "N processes on this machine: what each takes, sends and waits for the others", NULL },
    { "--layout", "data=D,spatial=S", "what ranks share out: samples, rows; default: samples", NULL },
    { "--timeline", "FILE", "write where the time of three steps goes: a Chrome trace, for ui.perfetto.dev", NULL },
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
                "    a run's experiment with another batch, for a program to read\n"
                "farandole bench examples/unet-synthetic.yaml --ranks 2 --timeline steps.json\n"
                "    two processes: how long they wait for each other, and a picture of it\n",
    .exits = "3 data cannot be read, 4 does not fit in memory, 75 stopped on request",
    .options = options,
    .option_count = CLI_COUNT(options),
    .word_max = 1,
    .has_assignments = true,
    .run = run_bench,
};
