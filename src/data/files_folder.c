/* Collections: a folder and all below it. */
#include "base/mem.h"
#include "base/status.h"
#include "data/files_priv.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 32 /* also ends loops of links */

static far_status fail_errno(const fari_files *files, const char *what, const char *name)
{
    return FAR_FAIL(FAR_E_IO, "cannot %s %s/%s: %s", what, files->label, name, strerror(errno));
}

static far_status list(fari_files *files, char *path, size_t length, int depth);

/* One name in the folder `path`, which ends in '/' or is empty. */
static far_status add_one(fari_files *files, char *path, size_t length, const char *name, int depth)
{
    struct stat info;
    const size_t room = FILES_NAME_MAX - length;
    const int added = snprintf(path + length, room, "%s", name);
    if (added < 0 || (size_t)added >= room - 2)
        return FAR_FAIL(FAR_E_UNSUPPORTED, "%s/%.200s...: a path longer than %d bytes", files->label, path,
                        FILES_NAME_MAX);
    if (fstatat(files->folder_fd, path, &info, 0) != 0) {
        if (errno == ENOENT || errno == ELOOP) return FAR_OK; /* a link that leads nowhere */
        return fail_errno(files, "look at", path);
    }
    if (S_ISDIR(info.st_mode)) {
        const size_t below = length + (size_t)added;
        path[below] = '/';
        path[below + 1] = '\0';
        return list(files, path, below + 1, depth + 1);
    }
    if (!S_ISREG(info.st_mode) || !files_is_wanted(files, path)) return FAR_OK;
    files_entry *entry = files_add(files, path, false);
    if (entry == NULL) return FAR_E_NOMEM;
    entry->bytes = (int64_t)info.st_size;
    return FAR_OK;
}

static far_status list(fari_files *files, char *path, size_t length, int depth)
{
    far_status st = FAR_OK;
    if (depth > DEPTH_MAX)
        return FAR_FAIL(FAR_E_UNSUPPORTED,
                        "%s/%.200s: more than %d folders inside each other; a link that goes in circles?", files->label,
                        path, DEPTH_MAX);
    if (length > 0 && files_add(files, path, true) == NULL) return FAR_E_NOMEM;
    const int fd = openat(files->folder_fd, length > 0 ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        st = fail_errno(files, "list folder", path);
        if (fd >= 0) (void)close(fd);
        return st;
    }
    while (st == FAR_OK) {
        errno = 0;
        const struct dirent *at = readdir(folder);
        if (at == NULL) {
            if (errno != 0) st = fail_errno(files, "list folder", path);
            break;
        }
        if (at->d_name[0] == '.') continue;
        st = add_one(files, path, length, at->d_name, depth);
        path[length] = '\0';
    }
    (void)closedir(folder);
    return st;
}

far_status files_list_folder(fari_files *files)
{
    char *path = fari_calloc(1, FILES_NAME_MAX);
    if (path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to list %s", files->label);
    const far_status st = list(files, path, 0, 0);
    fari_free(path);
    return st;
}
