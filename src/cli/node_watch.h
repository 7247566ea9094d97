/* Where mpirun or srun started the ranks, a small process of ours watches those of each machine: the first rank there starts it, and a new
 * one where it was killed. It outlives its rank, so it can tell what became of it. */
#ifndef FARI_CLI_NODE_WATCH_H
#define FARI_CLI_NODE_WATCH_H
#include <farandole/ranks.h>

#define CLI_WATCH_WORD "watch-ranks" /* farandole watch-ranks BOARD LAUNCHER: not for people, so in no help */

/* The board of this machine's `count` ranks, where this is the first of them and nobody watches yet; else NULL. */
const far_ranks_watch *cli_node_watch_start(int32_t count);
/* Now and then, from the thread that started it: sees to it that the watcher lives. */
void cli_node_watch_care(void);
/* The watcher itself; its exit code. */
int cli_node_watch_main(const char *board, const char *launcher);
#endif
