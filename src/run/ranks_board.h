/* Memory that ranks of one machine share with the process that started them: who lives, and where each stands. It has no name in any
 * file system: the ranks reach it through the starter's open file. */
#ifndef FARI_RUN_RANKS_BOARD_H
#define FARI_RUN_RANKS_BOARD_H
#include <stdint.h>

typedef struct fari_board fari_board;

/* The board that the environment names, NULL: none, or one that cannot be had. */
fari_board *fari_board_attach(int32_t count);
void fari_board_detach(fari_board *board);
void fari_board_begin(fari_board *board, int32_t rank);
void fari_board_step(fari_board *board, int32_t rank, int64_t step);
void fari_board_folder(fari_board *board, const char *folder);
void fari_board_leave(fari_board *board, int32_t rank);
#endif
