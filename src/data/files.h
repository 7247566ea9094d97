/* A collection of named files: a folder with all below it, or an archive (tar plain or packed, zip). Readers of pictures see no difference.
   Members of a plain tar are read at their offsets when they are needed; those of packed archives are unpacked once and stay in memory.
   Threads: after opening nothing changes; any number of threads may read. */
#ifndef FARI_DATA_FILES_H
#define FARI_DATA_FILES_H
#include <farandole/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fari_files fari_files;

/* True: the member is wanted. Others take no memory; folders are always kept. */
typedef bool (*fari_files_wanted)(const char *name, void *context);

/* A file whose own name is wanted is a collection of one. `wanted` NULL: all files. Names with a part that begins with a dot are left out. FAR_E_NOTFOUND, FAR_E_IO, FAR_E_FORMAT (no archive, or cut
   short: names the member), FAR_E_NOMEM. */
far_status fari_files_open(const char *path, fari_files_wanted wanted, void *context, fari_files **files_out);
/* As an archive that lies in memory and has to stay there; `label` for messages. */
far_status fari_files_open_memory(const char *label, const void *data, size_t bytes, fari_files **files_out);
void fari_files_close(fari_files *files); /* NULL is allowed */

const char *fari_files_label(const fari_files *files); /* the folder or archive */
int64_t fari_files_count(const fari_files *files);
/* Inside the collection, parts separated by '/', in the order of strcmp. Folders end in '/'; archives do not always name them. */
const char *fari_files_name(const fari_files *files, int64_t idx);
int64_t fari_files_bytes(const fari_files *files, int64_t idx);
int64_t fari_files_room(const fari_files *files, int64_t idx);      /* as fari_files_bytes; 0 where it lies in memory */
int64_t fari_files_find(const fari_files *files, const char *name); /* -1: there is none */
int64_t fari_files_memory(const fari_files *files);                 /* bytes held */

/* [offset, offset + bytes) of a member; outside of it is FAR_E_FORMAT. Allocates nothing. */
far_status fari_files_read(const fari_files *files, int64_t idx, int64_t offset, void *out, size_t bytes);
/* The whole member: where it lies in memory, else read to `room`, of fari_files_room. Allocates nothing. */
far_status fari_files_get(const fari_files *files, int64_t idx, void *room, const uint8_t **data_out);

/* "archive.tar: inner/name.jpg" or "folder/inner/name.jpg", cut to the buffer. */
#define FARI_FILES_LABEL 512
const char *fari_files_name_for_people(const fari_files *files, int64_t idx, char label_out[FARI_FILES_LABEL]);
#endif
