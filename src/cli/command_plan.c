/* farandole plan */
#include "cli.h"
#include <farandole/run.h>
#include <stdio.h>

static cli_exit print_plan(const cli_args *args, const far_config *config)
{
    far_run_opts opts = { .purpose = FAR_RUN_PLAN, .layout = cli_value(args, "--layout") };
    int32_t rank = -1;
    if (!cli_whole_number(args, "--ranks", 0, &opts.ranks))
        return cli_usage_error(args->command, "--ranks needs a number from 1 to 65536, not %s",
                               cli_value(args, "--ranks"));
    if (!cli_whole_number(args, "--rank", -1, &rank))
        return cli_usage_error(args->command, "--rank needs the number of a rank, not %s", cli_value(args, "--rank"));
    far_run *run = NULL;
    char *text = NULL;
    cli_phase phase = CLI_OPENING;
    far_status st = far_run_open(config, &opts, &run);
    if (st == FAR_OK) {
        phase = CLI_RUNNING;
        if (cli_has(args, "--measure")) st = far_run_calibrate(run);
        if (st == FAR_OK)
            st = rank >= 0 ? far_run_plan_rank_json(run, rank, &text)
                           : far_run_plan_text(run, cli_has(args, "--json"), &text);
    }
    if (st == FAR_OK) (void)fputs(text, stdout);
    const cli_exit code = st == FAR_OK ? CLI_OK : cli_fail(args, st, phase);
    far_config_text_free(text);
    far_run_close(run);
    return code;
}

static cli_exit run_plan(const cli_args *args)
{
    far_config *config = NULL;
    if (args->word_count == 0) return cli_usage_error(args->command, "plan what? name a config file or a run folder");
    const cli_exit opened = cli_config_open(args, args->words[0], &config);
    if (opened != CLI_OK) return opened;
    const cli_exit code = print_plan(args, config);
    far_config_destroy(config);
    return code;
}

static const cli_option options[] = {
    { "--json", NULL, "the whole plan: tensors, buffers, instructions", NULL },
    { "--measure", NULL, "time the plan's kernels on this machine first, for a better prediction; kept for later",
      NULL },
    { "--threads", "N", "threads to plan for; default: all cores this process may use", "threads" },
    { "--ranks", "N", "for N processes: what each does, takes and sends", NULL },
    { "--layout", "data=D,spatial=S", "what is dealt out over ranks: samples, rows; default: samples over all", NULL },
    { "--rank", "R", "the whole plan of rank R, as JSON", NULL },
    { "--memory", "SIZE", "memory to plan for, as 512M or 16G; default: what there is", "memory" },
};

const cli_command cli_plan = {
    .name = "plan",
    .sentence = "say what a training takes, without training",
    .usage = "CONFIG.yaml|RUN [key=value ...] [options]",
    .about =
        "Makes the plan of a training step and prints what it takes: memory by kind, instructions, arithmetic, predicted time.\n"
        "Nothing is trained and no memory is taken; what does not fit ends with exit code 4.",
    .examples = "farandole plan examples/resnet18-synthetic.yaml batch=256\n"
                "    would it fit with a batch of 256?\n"
                "farandole plan examples/unet-synthetic.yaml --measure\n"
                "    times the kernels for some seconds, then predicts how long a step takes\n"
                "farandole plan examples/unet-synthetic.yaml --ranks 4 --layout data=2,spatial=2\n"
                "    memory and messages of four processes, each with half of the samples and half of their rows\n",
    .exits = "3 data cannot be read, 4 does not fit in memory",
    .options = options,
    .option_count = CLI_COUNT(options),
    .word_max = 1,
    .has_assignments = true,
    .run = run_plan,
};
