/* --ranks N: the command again as N processes, by mpirun. */
#ifndef FARI_CLI_LAUNCH_H
#define FARI_CLI_LAUNCH_H
#include "cli.h"
#include "watch.h"

/* What ranks are started with, and what became of them. */
typedef struct cli_life {
    int32_t ranks;
    const char *resume; /* go on with this run instead of what the command line says; NULL: as it says */
    const char *layout; /* instead of the command line's; NULL: that */
    bool is_last;       /* what is lost will not be started again */

    cli_loss loss;     /* a rank was lost without a word: to be started again */
    char folder[1024]; /* of the run; "" where it never came to be known */
} cli_life;

/* What the launcher is told once for all lives: how mpirun is to treat ranks, who is signalled. */
void cli_launch_prepare(void);
/* Starts ranks and sees to it that they end together; says what was lost. */
cli_exit cli_launch_once(const cli_args *args, cli_life *life_io);
/* How to go on with that run, where it has begun. */
void cli_tell_resume(const char *folder);
bool cli_launch_is_asked_to_stop(void); /* by a signal to this process */
#endif
