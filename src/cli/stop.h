/* SIGINT and SIGTERM: the first asks the run to checkpoint and end, a second ends the process at once. */
#ifndef FARI_CLI_STOP_H
#define FARI_CLI_STOP_H
#include <stdbool.h>

void cli_stop_watch(void);
/* The words of a first signal. In a signal handler, too. */
void cli_stop_say(void);
/* The command is about to end: signals change nothing any more. */
void cli_stop_unwatch(void);
/* A far_run_opts.should_stop. */
bool cli_stop_asked(void *context);
#endif
