#include "run/spill_file.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "plan/plan.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#define TMPFS_MAGIC 0x01021994
#define RAMFS_MAGIC 0x858458f6

struct fari_spill_file {
    int fd;
    int64_t bytes;
    _Atomic bool is_direct;
    char folder[400];
};

static const char *advice_for(int error)
{
    switch (error) {
    case ENOSPC: return "make room there, or name a folder on another disk with run.spill_dir";
    case EDQUOT: return "the quota of this user is used up there: name another folder with run.spill_dir";
    case EFBIG: return "it is larger than the file system or `ulimit -f` allows";
    case EROFS:
    case EACCES:
    case EPERM: return "name a folder that can be written with run.spill_dir";
    case ENOENT:
    case ENOTDIR: return "name a folder that is there with run.spill_dir";
    default: return "the disk may be failing: name a folder on another one with run.spill_dir";
    }
}

/* ---- opening ---- */

static far_status open_nameless(fari_spill_file *file)
{
    file->fd = fari_file_open_nameless(file->folder);
    if (file->fd >= 0) return FAR_OK;
    const int error = errno;
    return FAR_FAIL(FAR_E_IO, "cannot make a file for spilled tensors in folder %s: %s; %s", file->folder,
                    strerror(error), advice_for(error));
}

static far_status no_room(const fari_spill_file *file, int error)
{
    struct statvfs info;
    char left[48] = "";
    if (fstatvfs(file->fd, &info) == 0)
        (void)snprintf(left, sizeof left, " of %.1f GB that are free",
                       1e-9 * (double)info.f_bavail * (double)info.f_frsize);
    return FAR_FAIL(FAR_E_IO, "cannot take %.1f GB%s for spilled tensors in folder %s: %s; %s",
                    1e-9 * (double)file->bytes, left, file->folder, strerror(error), advice_for(error));
}

/* Where space cannot be taken ahead: is it there at least? */
static far_status look_for_room(const fari_spill_file *file)
{
    struct statvfs info;
    if (fstatvfs(file->fd, &info) == 0 && (double)info.f_bavail * (double)info.f_frsize < (double)file->bytes)
        return no_room(file, ENOSPC);
    return ftruncate(file->fd, (off_t)file->bytes) == 0 ? FAR_OK : no_room(file, errno);
}

static far_status take_room(const fari_spill_file *file)
{
    int result;
    do result = fallocate(file->fd, 0, 0, (off_t)file->bytes);
    while (result != 0 && errno == EINTR);
    if (result == 0) return FAR_OK;
    return errno == EOPNOTSUPP || errno == ENOSYS ? look_for_room(file) : no_room(file, errno);
}

static void set_direct(fari_spill_file *file, bool is_direct)
{
    const int flags = fcntl(file->fd, F_GETFL);
    const bool is_set = flags >= 0 && fcntl(file->fd, F_SETFL, is_direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
    atomic_store(&file->is_direct, is_direct && is_set);
}

far_status fari_spill_file_open(const char *folder, int64_t bytes, bool is_sparse, fari_spill_file **file_out)
{
    far_status st = FAR_OK;
    _Alignas(FARI_PAGE_BYTES) char page[FARI_PAGE_BYTES] = { 0 };
    fari_spill_file *file = fari_calloc(1, sizeof *file);
    if (file == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a file of spilled tensors");
    file->fd = -1;
    file->bytes = bytes;
    (void)snprintf(file->folder, sizeof file->folder, "%s", folder);
    FAR_TRY_GOTO(open_nameless(file), failed);
    if (!is_sparse) FAR_TRY_GOTO(take_room(file), failed);
    else if (ftruncate(file->fd, (off_t)bytes) != 0) {
        st = no_room(file, errno);
        goto failed;
    }
    set_direct(file, true);
    FAR_TRY_GOTO(fari_spill_file_write(file, 0, page, sizeof page), failed); /* finds out what the file system takes */
    *file_out = file;
    return FAR_OK;
failed:
    fari_spill_file_close(file);
    return st;
}

void fari_spill_file_close(fari_spill_file *file)
{
    if (file == NULL) return;
    if (file->fd >= 0) (void)close(file->fd); /* nobody wants what is in it */
    fari_free(file);
}

bool fari_spill_file_is_direct(const fari_spill_file *file)
{
    return atomic_load(&file->is_direct);
}

int64_t fari_spill_file_bytes(const fari_spill_file *file)
{
    return file->bytes;
}

void fari_spill_file_drop(const fari_spill_file *file, int64_t offset, int64_t bytes)
{
    if (bytes > 0) (void)fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes);
}

int64_t fari_spill_file_used(const fari_spill_file *file)
{
    struct stat info;
    return fstat(file->fd, &info) == 0 ? (int64_t)info.st_blocks * 512 : 0;
}

int64_t fari_folder_free_bytes(const char *folder)
{
    struct statvfs info;
    return statvfs(folder, &info) == 0 ? (int64_t)info.f_bavail * (int64_t)info.f_frsize : -1;
}

bool fari_folder_is_in_memory(const char *folder)
{
    struct statfs info;
    return statfs(folder, &info) == 0 && (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC);
}

/* ---- pieces ---- */

static far_status fail_piece(const fari_spill_file *file, const char *what, int64_t offset, int error)
{
    return FAR_FAIL(FAR_E_IO, "cannot %s byte %" PRId64 " of the spill file in folder %s: %s; %s", what, offset,
                    file->folder, strerror(error), advice_for(error));
}

/* Of a file system that refuses to pass the cache by: what was written goes to disk, and is forgotten. */
static void forget(const fari_spill_file *file, int64_t offset, size_t bytes, bool is_written)
{
    if (is_written)
        (void)sync_file_range(file->fd, (off_t)offset, (off_t)bytes,
                              SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    (void)posix_fadvise(file->fd, (off_t)offset, (off_t)bytes, POSIX_FADV_DONTNEED);
}

/* Refused for want of alignment: the file system's blocks are larger, or it does not pass the cache by at all. was_direct: before the call, as
   another thread may have been refused, too. */
static bool falls_back(fari_spill_file *file, int error, bool was_direct)
{
    if (error != EINVAL || !was_direct) return false;
    set_direct(file, false);
    return true;
}

far_status fari_spill_file_write(fari_spill_file *file, int64_t offset, const void *data, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        const int64_t at = offset + (int64_t)done;
        const bool was_direct = atomic_load(&file->is_direct);
        const ssize_t put = pwrite(file->fd, (const char *)data + done, bytes - done, (off_t)at);
        if (put < 0 && (errno == EINTR || falls_back(file, errno, was_direct))) continue;
        if (put < 0) return fail_piece(file, "write", at, errno);
        if (put == 0) return fail_piece(file, "write", at, ENOSPC);
        done += (size_t)put;
    }
    if (!atomic_load(&file->is_direct)) forget(file, offset, bytes, true);
    return FAR_OK;
}

far_status fari_spill_file_read(fari_spill_file *file, int64_t offset, void *data_out, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        const int64_t at = offset + (int64_t)done;
        const bool was_direct = atomic_load(&file->is_direct);
        const ssize_t got = pread(file->fd, (char *)data_out + done, bytes - done, (off_t)at);
        if (got < 0 && (errno == EINTR || falls_back(file, errno, was_direct))) continue;
        if (got < 0) return fail_piece(file, "read", at, errno);
        if (got == 0)
            return FAR_FAIL(FAR_E_IO,
                            "the spill file in folder %s ends at byte %" PRId64 ", before byte %" PRId64
                            ": somebody has cut it short; start again from the last checkpoint",
                            file->folder, at, offset + (int64_t)bytes);
        done += (size_t)got;
    }
    if (!atomic_load(&file->is_direct)) forget(file, offset, bytes, false);
    return FAR_OK;
}
