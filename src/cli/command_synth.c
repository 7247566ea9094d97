/* farandole synth */
#include "cli.h"
#include "progress.h"
#include "stop.h"
#include <errno.h>
#include <farandole/lartpc.h>
#include <farandole/run.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A whole number that is all of the text; at least `least`. */
static bool parse(const char *text, int64_t least, int64_t *value_out)
{
    char *end = NULL;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < least) return false;
    *value_out = value;
    return true;
}

/* "1280x2048": height, then width. */
static bool parse_size(const char *text, int64_t *height_out, int64_t *width_out)
{
    char height[24] = "";
    const char *cross = strchr(text, 'x');
    if (cross == NULL || cross == text || (size_t)(cross - text) >= sizeof height) return false;
    memcpy(height, text, (size_t)(cross - text));
    return parse(height, 1, height_out) && parse(cross + 1, 1, width_out);
}

static cli_exit read_options(const cli_args *args, far_lartpc_sim_opts *opts_out)
{
    int64_t seed = 0, planes = 0;
    const struct {
        const char *option;
        int64_t least, *value;
    } numbers[] = {
        { "--events", 1, &opts_out->event_count },
        { "--first", 0, &opts_out->first },
        { "--planes", 1, &planes },
    };
    for (int32_t i = 0; i < CLI_COUNT(numbers); i++) {
        const char *text = cli_value(args, numbers[i].option);
        if (text != NULL && !parse(text, numbers[i].least, numbers[i].value))
            return cli_usage_error(args->command, "%s %s: a whole number from %" PRId64 " on is wanted",
                                   numbers[i].option, text, numbers[i].least);
    }
    const char *seed_text = cli_value(args, "--seed"), *size = cli_value(args, "--size");
    if (seed_text != NULL && !parse(seed_text, 0, &seed))
        return cli_usage_error(args->command, "--seed %s: a whole number is wanted", seed_text);
    opts_out->seed = (uint64_t)seed;
    if (planes > 3) return cli_usage_error(args->command, "--planes %" PRId64 ": the detector has 3", planes);
    opts_out->plane_count = (int32_t)planes;
    if (size != NULL && !parse_size(size, &opts_out->height, &opts_out->width))
        return cli_usage_error(args->command, "--size %s: height and width are wanted, as 1280x2048", size);
    return CLI_OK;
}

static bool show(void *context, int64_t done, int64_t total)
{
    cli_progress *progress = context;
    const double seconds = cli_clock_s() - progress->began_s;
    const double rate = seconds > 0.0 ? (double)done / seconds : 0.0;
    const far_progress now = { .phase = "events",
                               .step = done,
                               .step_total = total,
                               .loss = NAN,
                               .samples_per_s = rate,
                               .eta_s = rate > 0.0 ? (double)(total - done) / rate : -1.0 };
    cli_progress_show(progress, &now);
    return !cli_stop_asked(NULL);
}

static cli_exit run_synth(const cli_args *args)
{
    far_lartpc_sim_opts opts = { .progress = show };
    cli_progress progress;
    char count[32], time[32];
    const char *path = cli_value(args, "--out");
    if (args->word_count == 0) return cli_usage_error(args->command, "what is to be simulated? There is: lartpc");
    if (strcmp(args->words[0], "lartpc") != 0)
        return cli_usage_error(args->command, "cannot simulate \"%s\"; there is: lartpc", args->words[0]);
    if (path == NULL) return cli_usage_error(args->command, "--out FILE is missing: where the events go");
    const cli_exit code = read_options(args, &opts);
    if (code != CLI_OK) return code;
    cli_stop_watch();
    cli_progress_begin(&progress, cli_has(args, "--quiet"));
    opts.context = &progress;
    const far_status st = far_lartpc_simulate(&opts, path);
    cli_progress_end(&progress);
    if (st != FAR_OK) return cli_fail(args, st, CLI_RUNNING);
    (void)printf("%s: %s event%s in %s\n", path, cli_count_text(opts.event_count > 0 ? opts.event_count : 1, count),
                 opts.event_count > 1 ? "s" : "", cli_seconds_text(cli_clock_s() - progress.began_s, time));
    return CLI_OK;
}

static const cli_option options[] = {
    { "--events", "N", "how many (1)", NULL },
    { "--first", "N", "number of the first event (0); an event is a function of seed and number", NULL },
    { "--size", "HxW", "pixels of each plane's image (1280x2048): the same detector, seen coarser or finer", NULL },
    { "--planes", "N",
      "the last N of the three planes (3); 1: only the one with upright wires, an image of one channel", NULL },
    { "--seed", "S", "another seed, other events (0)", NULL },
    { "--out", "FILE", "where they go: an HDF5 file; overwritten", NULL },
    { "--quiet", NULL, "no progress", NULL },
};

const cli_command cli_synth = {
    .name = "synth",
    .sentence = "simulate data to train on",
    .usage = "lartpc --events N [--size HxW] [--planes N] [--seed S] [--first N] --out FILE",
    .about =
        "lartpc: events in a liquid-argon detector, as three planes of wires see them: cosmic muons and one neutrino's\n"
        "interaction each, with a label for every pixel (0 background, 1 cosmic, 2 neutrino). The file has the sparse HDF5\n"
        "layout of CosmicTagger's data sets. docs/lartpc.md says what is simulated and what is not.",
    .examples = "farandole synth lartpc --events 200 --seed 1 --out train.h5\n"
                "    training data; `data.path: train.h5` in a config reads it\n"
                "farandole synth lartpc --events 50 --seed 2 --size 640x1024 --out small.h5\n"
                "    other events, at half the resolution\n"
                "farandole synth lartpc --planes 1 --size 65536x4096 --out tall.h5\n"
                "    one channel of any height: events are sparse, and simulated a strip of columns at a time\n",
    .exits = "75 stopped on request; nothing is kept",
    .options = options,
    .option_count = CLI_COUNT(options),
    .word_max = 1,
    .run = run_synth,
};
