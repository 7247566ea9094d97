#include "run/ranks_board.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Rows apart from slots: who looks for ranks touches only the pages of rows. */
static size_t slots_at(int64_t count)
{
    return (sizeof(fari_board) + (size_t)count * sizeof(fari_board_row) + 63) / 64 * 64;
}

static size_t bytes_of(int64_t count)
{
    return slots_at(count) + (size_t)count * FARI_DOING_SLOTS * sizeof(fari_doing_slot);
}

static fari_board *map(int fd, int64_t count)
{
    void *data = mmap(NULL, bytes_of(count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return data != MAP_FAILED ? data : NULL;
}

far_status fari_board_create(int32_t count, fari_board **board_out, int *fd_out)
{
    const int fd = memfd_create("farandole-ranks", MFD_CLOEXEC);
    fari_board *board = fd >= 0 && ftruncate(fd, (off_t)bytes_of(count)) == 0 ? map(fd, count) : NULL;
    if (board == NULL) {
        const int kept = errno;
        if (fd >= 0) (void)close(fd);
        return FAR_FAIL(FAR_E_IO, "no shared memory to watch %d ranks: %s", (int)count, strerror(kept));
    }
    board->count = count;
    *board_out = board;
    *fd_out = fd;
    return FAR_OK;
}

fari_board *fari_board_attach(const char *path, int32_t count)
{
    struct stat info;
    int64_t found = 0;
    fari_board *board = NULL;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return NULL; /* another machine, another user */
    if (pread(fd, &found, sizeof found, 0) == (ssize_t)sizeof found && found > 0 && (count == 0 || found == count) &&
        fstat(fd, &info) == 0 && info.st_size == (off_t)bytes_of(found))
        board = map(fd, found);
    (void)close(fd);
    return board;
}

void fari_board_detach(fari_board *board)
{
    if (board != NULL) (void)munmap(board, bytes_of(board->count));
}

fari_doing_slot *fari_board_slots(fari_board *board, int32_t rank)
{
    fari_doing_slot *slots = (fari_doing_slot *)(void *)((char *)board + slots_at(board->count));
    return slots + (int64_t)rank * FARI_DOING_SLOTS;
}

void fari_board_begin(fari_board *board, int32_t rank)
{
    fari_doing_tell_in(fari_board_slots(board, rank));
    atomic_store(&board->rows[rank].pid, (int64_t)getpid());
}

void fari_board_step(fari_board *board, int32_t rank, int64_t step)
{
    atomic_store(&board->rows[rank].step, step);
    atomic_fetch_add(&board->rows[rank].steps_seen, 1);
}

void fari_board_patience(fari_board *board, int64_t ms)
{
    atomic_store(&board->patience_ms, ms);
}

void fari_board_folder(fari_board *board, const char *folder)
{
    if (atomic_exchange(&board->is_folder_taken, 1) != 0) return; /* all ranks say the same */
    (void)snprintf(board->folder, sizeof board->folder, "%s", folder);
    atomic_store(&board->has_folder, 1);
}

void fari_board_leave(fari_board *board, int32_t rank)
{
    atomic_store(&board->rows[rank].has_left, 1);
}
