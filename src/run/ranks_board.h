/* Memory that the ranks of one machine share with the process that watches them: who lives, where each stands, what its threads do. It
 * has no name in any file system: it is reached through the open file of the process that made it. */
#ifndef FARI_RUN_RANKS_BOARD_H
#define FARI_RUN_RANKS_BOARD_H
#include "base/doing.h"
#include "base/status.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FARI_BOARD_VARIABLE "FARANDOLE_BOARD" /* in the environment of ranks: where the board of who started them is */
#define FARI_BOARD_PATH 64
#define FARI_BOARD_FOLDER 1024

typedef struct fari_board_row {
    _Atomic int64_t pid, step, steps_seen, has_left;
} fari_board_row;

typedef struct fari_board {
    int64_t count;
    _Atomic int64_t is_folder_taken, has_folder;
    _Atomic int64_t patience_ms; /* 0: not told, or as the watcher thinks fit; -1: without end */
    char folder[FARI_BOARD_FOLDER];
    fari_board_row rows[]; /* [count], and after them fari_doing_slot [count][FARI_DOING_SLOTS] */
} fari_board;

/* A new one, in a file that lives as long as someone has it open: close(*fd_out) beside fari_board_detach. */
far_status fari_board_create(int32_t count, fari_board **board_out, int *fd_out);
/* The board behind `path`, NULL: it cannot be had, or is for another number of ranks (count 0: whatever it is for). */
fari_board *fari_board_attach(const char *path, int32_t count);
void fari_board_detach(fari_board *board);
fari_doing_slot *fari_board_slots(fari_board *board, int32_t rank); /* [FARI_DOING_SLOTS] */

/* What a rank says. From the first one on its threads tell what they do; till the last one. */
void fari_board_begin(fari_board *board, int32_t rank);
void fari_board_step(fari_board *board, int32_t rank, int64_t step);
void fari_board_patience(fari_board *board, int64_t ms);
void fari_board_folder(fari_board *board, const char *folder);
void fari_board_leave(fari_board *board, int32_t rank);
#endif
