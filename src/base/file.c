#include "base/file.h"
#include "base/doing.h"
#include "base/mem.h"
#include "base/status.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One call of write or read: Linux moves at most this much at once anyway. */
#define PIECE_BYTES ((size_t)1 << 30)

static const char *advice_for(int error)
{
    switch (error) {
    case ENOSPC: return " (make room on that file system, or choose another folder)";
    case EDQUOT: return " (the quota of this user is used up)";
    case EFBIG: return " (larger than the file system or `ulimit -f` allows)";
    case EROFS: return " (the file system is mounted read-only)";
    case EACCES:
    case EPERM: return " (check owner and permissions)";
    case EMFILE: return " (too many open files; see `ulimit -n`)";
    default: return "";
    }
}

static far_status fail_errno(const char *what, const char *path, int error)
{
    const far_status st = error == ENOENT || error == ENOTDIR ? FAR_E_NOTFOUND
                          : error == ENOMEM                   ? FAR_E_NOMEM
                                                              : FAR_E_IO;
    return FAR_FAIL(st, "cannot %s %s: %s%s", what, path, strerror(error), advice_for(error));
}

/* --- paths --- */

char *fari_path_join(const char *folder, const char *name)
{
    const size_t length = strlen(folder);
    return fari_printf("%s%s%s", folder, length > 0 && folder[length - 1] == '/' ? "" : "/", name);
}

bool fari_path_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool fari_path_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* The folder a path lies in; allocated. */
static char *parent_of(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--; /* "a/b/" lies in "a" */
    while (length > 0 && path[length - 1] != '/') length--;
    while (length > 1 && path[length - 1] == '/') length--;
    return length == 0 ? fari_strdup(".") : fari_printf("%.*s", (int)length, path);
}

/* --- reading --- */

far_status fari_file_open(const char *path, int *fd_out, int64_t *bytes_out)
{
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno("open", path, errno);
    far_status st = FAR_OK;
    if (fstat(fd, &info) != 0) st = fail_errno("look at", path, errno);
    else if (S_ISDIR(info.st_mode)) st = FAR_FAIL(FAR_E_IO, "cannot read %s: it is a folder, not a file", path);
    if (st != FAR_OK) {
        (void)close(fd);
        return st;
    }
    *fd_out = fd;
    if (bytes_out != NULL) *bytes_out = (int64_t)info.st_size;
    return FAR_OK;
}

far_status fari_file_read_at(int fd, const char *path, int64_t offset, void *data_out, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        const size_t piece = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES;
        const ssize_t got = pread(fd, (char *)data_out + done, piece, (off_t)(offset + (int64_t)done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno("read", path, errno);
        if (got == 0)
            return FAR_FAIL(FAR_E_FORMAT, "%s ends at byte %" PRId64 ", before byte %" PRId64 ": it is cut short", path,
                            offset + (int64_t)done, offset + (int64_t)bytes);
        done += (size_t)got;
    }
    return FAR_OK;
}

/* One with a name for a moment, where the file system makes none without. */
static int open_named(const char *folder)
{
    char *path = fari_printf("%s/.farandole-XXXXXX", folder);
    if (path == NULL) {
        errno = ENOMEM;
        return -1;
    }
    const int fd = mkostemp(path, O_CLOEXEC);
    const int error = errno;
    if (fd >= 0) (void)unlink(path);
    fari_free(path);
    errno = error;
    return fd;
}

int fari_file_open_nameless(const char *folder)
{
    const int fd = open(folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    const bool is_unknown = fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL);
    return is_unknown ? open_named(folder) : fd;
}

void fari_file_close(int fd)
{
    if (fd >= 0) (void)close(fd); /* read-only: nothing to lose */
}

far_status fari_file_bytes(const char *path, int64_t *bytes_out)
{
    struct stat info;
    if (stat(path, &info) != 0) return fail_errno("look at", path, errno);
    *bytes_out = (int64_t)info.st_size;
    return FAR_OK;
}

/* Files whose size says nothing (pipes, /proc) are read until they end. */
static far_status read_to_end(int fd, const char *path, int64_t limit_bytes, char **data_out, size_t *bytes_out)
{
    char *data = NULL;
    int64_t cap = 0, used = 0;
    far_status st = FAR_OK;
    for (;;) {
        if (!fari_reserve((void **)&data, &cap, used + 65536, 1)) {
            st = FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", path);
            break;
        }
        const ssize_t got = read(fd, data + used, (size_t)(cap - used - 1));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) st = fail_errno("read", path, errno);
        if (got <= 0) break;
        used += got;
        if (used > limit_bytes) {
            st = FAR_FAIL(FAR_E_FORMAT, "%s has more than the %" PRId64 " bytes allowed here", path, limit_bytes);
            break;
        }
    }
    if (st != FAR_OK) {
        fari_free(data);
        return st;
    }
    data[used] = '\0';
    *data_out = data;
    *bytes_out = (size_t)used;
    return FAR_OK;
}

far_status fari_file_read(const char *path, int64_t limit_bytes, char **data_out, size_t *bytes_out)
{
    int fd = -1;
    int64_t bytes = 0;
    char *data = NULL;
    far_status st;
    FAR_TRY(fari_file_open(path, &fd, &bytes));
    if (bytes == 0) {
        st = read_to_end(fd, path, limit_bytes, data_out, bytes_out);
        goto close_file;
    }
    if (bytes > limit_bytes) {
        st = FAR_FAIL(FAR_E_FORMAT, "%s has %" PRId64 " bytes; at most %" PRId64 " are allowed here", path, bytes,
                      limit_bytes);
        goto close_file;
    }
    data = fari_alloc((size_t)bytes + 1);
    if (data == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for the %" PRId64 " bytes of %s", bytes, path);
        goto close_file;
    }
    FAR_TRY_GOTO(fari_file_read_at(fd, path, 0, data, (size_t)bytes), free_data);
    data[bytes] = '\0';
    *data_out = data;
    *bytes_out = (size_t)bytes;
    data = NULL;
free_data:
    fari_free(data);
close_file:
    fari_file_close(fd);
    return st;
}

/* --- writing --- */

far_status fari_file_create(const char *path, int *fd_out)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return fail_errno("create", path, errno);
    *fd_out = fd;
    return FAR_OK;
}

far_status fari_file_write(int fd, const char *path, const void *data, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        const size_t piece = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES;
        fari_doing(FARI_DOING_WRITE, 0, path, NULL);
        const ssize_t put = write(fd, (const char *)data + done, piece);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail_errno("write", path, errno);
        done += (size_t)put;
    }
    return FAR_OK;
}

far_status fari_file_create_shared(const char *path, int *fd_out)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return fail_errno("create", path, errno);
    *fd_out = fd;
    return FAR_OK;
}

far_status fari_file_write_at(int fd, const char *path, int64_t offset, const void *data, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        const size_t piece = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES;
        fari_doing(FARI_DOING_WRITE, 0, path, NULL);
        const ssize_t put = pwrite(fd, (const char *)data + done, piece, (off_t)(offset + (int64_t)done));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail_errno("write", path, errno);
        done += (size_t)put;
    }
    return FAR_OK;
}

far_status fari_file_close_synced(int fd, const char *path)
{
    far_status st = FAR_OK;
    /* EINVAL, EROFS: a pipe or device that has nothing to sync */
    if (fsync(fd) != 0 && errno != EINVAL && errno != EROFS) st = fail_errno("write", path, errno);
    if (close(fd) != 0 && st == FAR_OK && errno != EINTR) st = fail_errno("write", path, errno);
    return st;
}

far_status fari_file_write_stretch(const char *path, int64_t offset, const void *data, size_t bytes)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno("write", path, errno);
    far_status st = FAR_OK;
    if (lseek(fd, (off_t)offset, SEEK_SET) != (off_t)offset) st = fail_errno("write", path, errno);
    if (st == FAR_OK) st = fari_file_write(fd, path, data, bytes);
    if (close(fd) != 0 && st == FAR_OK && errno != EINTR) st = fail_errno("write", path, errno);
    return st;
}

far_status fari_file_write_atomic(const char *path, const void *data, size_t bytes)
{
    int fd = -1;
    far_status st;
    char *folder = parent_of(path);
    char *temporary = fari_printf("%s.tmp-%ld", path, (long)getpid());
    if (folder == NULL || temporary == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to write %s", path);
        goto free_names;
    }
    FAR_TRY_GOTO(fari_file_create(temporary, &fd), free_names);
    st = fari_file_write(fd, temporary, data, bytes);
    if (st == FAR_OK) st = fari_file_close_synced(fd, temporary);
    else (void)close(fd);
    if (st == FAR_OK) st = fari_rename(temporary, path);
    if (st != FAR_OK) (void)unlink(temporary);
    else st = fari_folder_sync(folder);
free_names:
    fari_free(temporary);
    fari_free(folder);
    return st;
}

/* --- folders and names --- */

far_status fari_folder_make(const char *path)
{
    char *part = fari_strdup(path);
    far_status st = FAR_OK;
    if (part == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to create folder %s", path);
    for (char *end = part + 1; st == FAR_OK && part[0] != '\0'; end++) {
        const char last = *end;
        if (last != '/' && last != '\0') continue;
        *end = '\0';
        if (mkdir(part, 0777) != 0 && !(errno == EEXIST && fari_path_is_folder(part)) &&
            !(last == '/' && fari_path_is_folder(part))) /* e.g. EROFS on a parent that is there */
            st = fail_errno("create folder", part, errno);
        if (last == '\0') break;
        *end = last;
    }
    fari_free(part);
    return st;
}

far_status fari_folder_sync(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail_errno("open folder", path, errno);
    far_status st = FAR_OK;
    if (fsync(fd) != 0 && errno != EINVAL && errno != EBADF) st = fail_errno("sync folder", path, errno);
    (void)close(fd);
    return st;
}

far_status fari_remove_tree(const char *path)
{
    struct stat info;
    char **names = NULL;
    int64_t count = 0;
    if (lstat(path, &info) != 0) return errno == ENOENT ? FAR_OK : fail_errno("look at", path, errno);
    if (!S_ISDIR(info.st_mode)) {
        if (unlink(path) != 0 && errno != ENOENT) return fail_errno("remove", path, errno);
        return FAR_OK;
    }
    FAR_TRY(fari_folder_list(path, &names, &count));
    far_status st = FAR_OK;
    for (int64_t i = 0; i < count && st == FAR_OK; i++) {
        char *inner = fari_path_join(path, names[i]);
        st = inner == NULL ? FAR_FAIL(FAR_E_NOMEM, "no memory to remove %s", path) : fari_remove_tree(inner);
        fari_free(inner);
    }
    fari_names_free(names, count);
    if (st == FAR_OK && rmdir(path) != 0 && errno != ENOENT) st = fail_errno("remove folder", path, errno);
    return st;
}

far_status fari_rename(const char *from, const char *to)
{
    if (rename(from, to) == 0) return FAR_OK;
    const int error = errno;
    return FAR_FAIL(error == ENOENT ? FAR_E_NOTFOUND : FAR_E_IO, "cannot rename %s to %s: %s%s", from, to,
                    strerror(error), advice_for(error));
}

far_status fari_link_atomic(const char *target, const char *path)
{
    char *temporary = fari_printf("%s.tmp-%ld", path, (long)getpid());
    if (temporary == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to link %s", path);
    far_status st = FAR_OK;
    (void)unlink(temporary);
    if (symlink(target, temporary) != 0) st = fail_errno("create link", temporary, errno);
    else st = fari_rename(temporary, path);
    if (st != FAR_OK) (void)unlink(temporary);
    fari_free(temporary);
    return st;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

far_status fari_folder_list(const char *path, char ***names_out, int64_t *count_out)
{
    char **names = NULL;
    int64_t count = 0, cap = 0;
    far_status st = FAR_OK;
    const struct dirent *entry;
    DIR *folder = opendir(path);
    if (folder == NULL) return fail_errno("list folder", path, errno);
    while ((void)(errno = 0), (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char *name = NULL;
        if (fari_reserve((void **)&names, &cap, count + 1, sizeof *names)) name = fari_strdup(entry->d_name);
        if (name == NULL) {
            st = FAR_FAIL(FAR_E_NOMEM, "no memory to list folder %s", path);
            break;
        }
        names[count++] = name;
    }
    if (st == FAR_OK && errno != 0) st = fail_errno("list folder", path, errno);
    (void)closedir(folder);
    if (st != FAR_OK) {
        fari_names_free(names, count);
        return st;
    }
    if (count > 0) qsort(names, (size_t)count, sizeof *names, compare_names);
    *names_out = names;
    *count_out = count;
    return FAR_OK;
}

void fari_names_free(char **names, int64_t count)
{
    for (int64_t i = 0; i < count; i++) fari_free(names[i]);
    fari_free(names);
}
