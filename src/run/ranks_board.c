#include "run/ranks_board.h"
#include "base/mem.h"
#include "base/status.h"
#include <errno.h>
#include <farandole/ranks.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define VARIABLE "FARANDOLE_BOARD"
#define FOLDER_BYTES 1024

typedef struct board_row {
    _Atomic int64_t pid, step, has_left;
} board_row;

struct fari_board {
    int64_t count;
    _Atomic int64_t has_folder;
    char folder[FOLDER_BYTES];
    board_row rows[]; /* [count] */
};

struct far_ranks_watch {
    fari_board *board;
    int32_t count;
    int fd;
};

static size_t bytes_of(int64_t count)
{
    return sizeof(fari_board) + (size_t)count * sizeof(board_row);
}

/* ---- the ranks' side ---- */

fari_board *fari_board_attach(int32_t count)
{
    const char *path = getenv(VARIABLE);
    struct stat info;
    if (path == NULL) return NULL;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return NULL; /* another machine, another user: then nobody watches */
    void *data = MAP_FAILED;
    if (fstat(fd, &info) == 0 && info.st_size == (off_t)bytes_of(count))
        data = mmap(NULL, bytes_of(count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    return data != MAP_FAILED ? data : NULL;
}

void fari_board_detach(fari_board *board)
{
    if (board != NULL) (void)munmap(board, bytes_of(board->count));
}

void fari_board_begin(fari_board *board, int32_t rank)
{
    atomic_store(&board->rows[rank].pid, (int64_t)getpid());
}

void fari_board_step(fari_board *board, int32_t rank, int64_t step)
{
    atomic_store(&board->rows[rank].step, step);
}

void fari_board_folder(fari_board *board, const char *folder)
{
    (void)snprintf(board->folder, sizeof board->folder, "%s", folder);
    atomic_store(&board->has_folder, 1);
}

void fari_board_leave(fari_board *board, int32_t rank)
{
    atomic_store(&board->rows[rank].has_left, 1);
}

bool far_ranks_are_watched(void)
{
    return getenv(VARIABLE) != NULL;
}

/* ---- the starter's side ---- */

far_status far_ranks_watch_open(int32_t count, far_ranks_watch **watch_out)
{
    char path[64];
    far_status st = FAR_OK;
    far_ranks_watch *watch = fari_calloc(1, sizeof *watch);
    if (watch == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to watch %d ranks", (int)count);
    watch->count = count;
    watch->fd = memfd_create("farandole-ranks", MFD_CLOEXEC);
    if (watch->fd < 0 || ftruncate(watch->fd, (off_t)bytes_of(count)) != 0) {
        st = FAR_FAIL(FAR_E_IO, "no shared memory to watch %d ranks: %s", (int)count, strerror(errno));
        goto failed;
    }
    void *data = mmap(NULL, bytes_of(count), PROT_READ | PROT_WRITE, MAP_SHARED, watch->fd, 0);
    if (data == MAP_FAILED) {
        st = FAR_FAIL(FAR_E_NOMEM, "no shared memory to watch %d ranks: %s", (int)count, strerror(errno));
        goto failed;
    }
    watch->board = data;
    watch->board->count = count;
    (void)snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)getpid(), watch->fd);
    (void)setenv(VARIABLE, path, 1);
    *watch_out = watch;
    return FAR_OK;
failed:
    far_ranks_watch_close(watch);
    return st;
}

far_rank_state far_ranks_watch_state(const far_ranks_watch *watch, int32_t rank)
{
    const board_row *row = &watch->board->rows[rank];
    return (far_rank_state){ atomic_load(&row->pid), atomic_load(&row->step), atomic_load(&row->has_left) != 0 };
}

const char *far_ranks_watch_folder(const far_ranks_watch *watch)
{
    return atomic_load(&watch->board->has_folder) != 0 ? watch->board->folder : "";
}

void far_ranks_watch_close(far_ranks_watch *watch)
{
    if (watch == NULL) return;
    fari_board_detach(watch->board);
    if (watch->fd >= 0) (void)close(watch->fd);
    (void)unsetenv(VARIABLE);
    fari_free(watch);
}
