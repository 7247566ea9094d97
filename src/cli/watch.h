/* Watching the ranks of one machine over the board that they share with this process: who is gone, who hangs. */
#ifndef FARI_CLI_WATCH_H
#define FARI_CLI_WATCH_H
#include <farandole/ranks.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum cli_loss { CLI_LOSS_NONE = 0, CLI_LOSS_DEAD, CLI_LOSS_HUNG } cli_loss;

/* What is known of one rank. */
typedef struct cli_watched {
    int32_t rank;
    int64_t pid;
    int pidfd; /* -1: this kernel has none */
    int64_t words;
    double quiet_s;   /* since it has said something new */
    double left_s;    /* since its last word */
    int32_t asked;    /* signals passed on to it */
    int32_t ended_by; /* signal; 0: none, or not known */
    bool is_gone;
} cli_watched;

typedef struct cli_watch {
    const far_ranks_watch *board; /* borrowed */
    bool is_whole;                /* every rank runs here: one that has not begun has ended before it could */
    cli_watched *each;            /* [count] those that have begun here */
    int32_t world, count;
    double looked_s, rescan_s; /* clock */
    double longest_quiet_s;    /* of ranks that went on */

    cli_loss loss; /* the first one: told once, by cli_watch_tell_loss */
    int32_t lost;  /* the rank */
    int64_t lost_step;
    int32_t lost_signal; /* that it was ended by; 0: none, or not known */
    bool has_begun;      /* the lost one */
    double lost_s;       /* clock; and how long it had been quiet: */
    double lost_quiet_s;
    far_rank_doing *doing; /* [world] at that moment */

    int32_t suspect; /* in each: a rank that is gone, but perhaps because of another one; -1: none */
    double suspect_s;

    int32_t stopped; /* a rank that a signal has stopped, -1: none */
    double stopped_s;
    bool has_told_stopped;
} cli_watch;

/* False: no memory. */
bool cli_watch_begin(cli_watch *watch, const far_ranks_watch *board);
void cli_watch_end(cli_watch *watch);
/* Looks at everyone; what it finds is in watch->loss. Says where a rank stands still because of a signal. */
void cli_watch_look(cli_watch *watch);
/* Nothing more will come: what has not been decided is. has_failed: somebody says that ranks have failed, though none is known to. */
void cli_watch_settle(cli_watch *watch, bool has_failed);
/* Sleeps a tenth of a second, less where a rank ends. */
void cli_watch_pause(const cli_watch *watch);
/* A signal to every rank that lives and has not left. */
void cli_watch_signal(const cli_watch *watch, int number);
/* The same for a person who has asked `times` times: who begins later is told as often. */
void cli_watch_pass_on(cli_watch *watch, int number, int32_t times);
bool cli_watch_all_gone(const cli_watch *watch); /* all that have begun */
bool cli_watch_has_left(const cli_watch *watch); /* somebody has: it has told what it failed with */

/* watch_tell.c */
/* Of the watchers of several machines one tells: where one rank is lost the launcher ends the others, which looks alike from there. The run's
   folder decides, in which the first one leaves lost.txt; without a folder everyone is the first. */
bool cli_watch_is_first_to_tell(const cli_watch *watch);
void cli_watch_tell_stopped(const cli_watch *watch, int32_t rank, int64_t step, int64_t pid);
/* "rank 2 of 4 on node7 was ended by signal 9 (Killed) in step 17", and what each was doing. ending: what becomes of the others. */
void cli_watch_tell_loss(const cli_watch *watch, const char *ending);
#endif
