/* farandole report */
#include "cli.h"
#include <farandole/report.h>
#include <stdio.h>
#include <stdlib.h>

static cli_exit run_report(const cli_args *args)
{
    const char *out = cli_value(args, "--out");
    char *own = NULL;
    if (args->word_count == 0) return cli_usage_error(args->command, "a report of what? name the folder of a run");
    if (args->word_count > FAR_REPORT_RUNS_MAX)
        return cli_usage_error(args->command, "%d runs: the curves of at most %d can be told apart on one page",
                               (int)args->word_count, FAR_REPORT_RUNS_MAX);
    for (int32_t i = 0; i < args->word_count; i++)
        if (!cli_is_folder(args->words[i]))
            return cli_usage_error(args->command, "%s: no such folder; name folders that farandole train wrote",
                                   args->words[i]);
    if (out == NULL && args->word_count > 1) out = "report.html";
    if (out == NULL) {
        own = cli_path(args->words[0], "report.html");
        out = own;
    }
    const far_status st = far_report_write(args->words, args->word_count, out);
    const cli_exit code = st == FAR_OK ? CLI_OK : cli_fail(args, st, CLI_OPENING);
    if (code == CLI_OK) (void)printf("%s\n", out);
    free(own);
    return code;
}

static const cli_option options[] = {
    { "--out", "FILE", "where to; default: RUN/report.html, of several runs report.html here", NULL },
};

const cli_command cli_report = {
    .name = "report",
    .sentence = "write a page with curves, scores and pictures of one run or several",
    .usage = "RUN [--out FILE]\nRUN RUN ... [--out FILE]",
    .about =
        "Writes one HTML file that any browser opens, without network and without other files, and prints its name.\n"
        "Of one run: curves, scores, samples with truth and prediction, time, memory, network and configuration.\n"
        "Of several: their curves on top of each other, their figures, and the settings in which they differ.\n"
        "`farandole train` writes RUN/report.html by itself when it ends.",
    .examples = "farandole report runs/lenet5-20250101-120000\n"
                "    writes runs/lenet5-20250101-120000/report.html again, also while the run goes on\n"
                "farandole report runs/a runs/b --out both.html\n"
                "    compares two runs\n",
    .exits = "3 a run cannot be read",
    .options = options,
    .option_count = CLI_COUNT(options),
    .word_max = 256,
    .run = run_report,
};
