/* Files: whole reads, writes that are there completely or not at all, folders. Every error names the path and what to do about it. */
#ifndef FARI_BASE_FILE_H
#define FARI_BASE_FILE_H
#include <farandole/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

char *fari_path_join(const char *folder, const char *name); /* allocated; NULL when there is no memory */
bool fari_path_exists(const char *path);                    /* follows links */
bool fari_path_is_folder(const char *path);

/* Reads a file of at most `limit_bytes`; *data_out is allocated and has a zero after its last byte. FAR_E_NOTFOUND, FAR_E_IO, FAR_E_FORMAT (too
   large), FAR_E_NOMEM. */
far_status fari_file_read(const char *path, int64_t limit_bytes, char **data_out, size_t *bytes_out);

/* Opens for reading with pread. A folder is an error. */
far_status fari_file_open(const char *path, int *fd_out, int64_t *bytes_out);
/* Exactly these bytes; FAR_E_FORMAT where the file ends before (somebody cut it), FAR_E_IO. */
far_status fari_file_read_at(int fd, const char *path, int64_t offset, void *data_out, size_t bytes);
/* A file in a folder, to be read and written, that is gone when it is closed or its process ends: it has no name. -1: errno says why not. */
int fari_file_open_nameless(const char *folder);
void fari_file_close(int fd);
far_status fari_file_bytes(const char *path, int64_t *bytes_out); /* FAR_E_NOTFOUND, FAR_E_IO */

/* Writes under a temporary name in the same folder, syncs, renames: after a crash the old or the new content is there. */
far_status fari_file_write_atomic(const char *path, const void *data, size_t bytes);

/* Creates (or empties) a file; then any number of writes; close syncs to disk and tells failures that appear only there. */
far_status fari_file_create(const char *path, int *fd_out);
far_status fari_file_write(int fd, const char *path, const void *data, size_t bytes);
/* The same of a file that several processes write into, each its own bytes: what it holds stays. */
far_status fari_file_create_shared(const char *path, int *fd_out);
far_status fari_file_write_at(int fd, const char *path, int64_t offset, const void *data, size_t bytes);
far_status fari_file_close_synced(int fd, const char *path);
/* Puts these bytes at an offset of a file that exists; others may write other stretches of it at the same time. */
far_status fari_file_write_stretch(const char *path, int64_t offset, const void *data, size_t bytes);

far_status fari_folder_make(const char *path); /* with its parents; fine where it exists */
far_status fari_folder_sync(const char *path); /* makes renames and new names in it last */
/* Removes a file, a link (not what it points to) or a folder with all in it. Fine where it does not exist. */
far_status fari_remove_tree(const char *path);
far_status fari_rename(const char *from, const char *to);
/* Puts a link at `path` that reads `target`, in place of what link was there. */
far_status fari_link_atomic(const char *target, const char *path);

/* Names in a folder without "." and "..", sorted by strcmp; free with fari_names_free. */
far_status fari_folder_list(const char *path, char ***names_out, int64_t *count_out);
void fari_names_free(char **names, int64_t count);
#endif
