/* What is seen of a run while it goes on, on stderr: one line that changes on a terminal, a plain line every two seconds elsewhere. */
#ifndef FARI_CLI_PROGRESS_H
#define FARI_CLI_PROGRESS_H
#include <farandole/run.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Also takes the library's log lines, so that the two do not overwrite each other. One at a time in a process. */
typedef struct cli_progress {
    bool is_terminal, is_quiet;
    bool has_line;          /* an unfinished line is on the terminal */
    double shown_s, kept_s; /* clock of the last line on the terminal; of the last plain one */
    double began_s;
    int64_t steps;              /* of training, seen so far */
    int64_t epoch, epochs_done; /* the epoch that the last step belongs to, from 1 */
    char phase[16];             /* what goes on beside training: "eval", "predict" */
    double phase_began_s;
    int64_t phase_step;
    double loss;      /* of the last step of training; NaN before the first */
    FILE *log;        /* the run's log.txt: what is printed, in plain lines; NULL: not open */
    char early[4096]; /* lines from before that */
    size_t early_bytes;
} cli_progress;

void cli_progress_begin(cli_progress *progress, bool is_quiet);
/* A far_progress_fn; `context` is the cli_progress. */
void cli_progress_show(void *context, const far_progress *told);
/* A line of its own, above the one that changes. */
void cli_progress_say(cli_progress *progress, const char *line);
/* The terminal's line goes; log lines go to stderr again. */
void cli_progress_end(cli_progress *progress);
/* Keeps all lines in FOLDER/log.txt (of another rank than 0: log.rankN.txt) from now on, those so far included; also where none are
   shown. Of another rank than 0, what anything here writes to stdout or stderr goes there, too. */
void cli_progress_keep(cli_progress *progress, const char *folder, int32_t rank);
void cli_progress_close(cli_progress *progress); /* log.txt */
double cli_clock_s(void);
#endif
