/* Inside of collections: how entries come in. */
#ifndef FARI_DATA_FILES_PRIV_H
#define FARI_DATA_FILES_PRIV_H
#include "data/files.h"

typedef struct files_entry {
    union {
        int64_t name_at; /* in names, while it grows */
        const char *name;
    };
    int64_t bytes, offset; /* offset: of a member in the archive's file */
    uint8_t *data;         /* owned; NULL: in the file, or in the memory given */
} files_entry;

struct fari_files {
    char *label;
    int folder_fd, archive_fd;   /* -1: not */
    const unsigned char *memory; /* an archive given in memory, else NULL */
    int64_t archive_bytes;
    files_entry *entries;
    int64_t count, cap;
    char *names;
    int64_t names_bytes, names_cap;
    int64_t data_bytes; /* of members kept in memory */
    fari_files_wanted wanted;
    void *context;
};

#define FILES_NAME_MAX 4096

/* The name as we keep it, without leading "./" and "/"; NULL: a hidden or empty one, left out. */
const char *files_plain_name(const char *name);
bool files_is_wanted(const fari_files *files, const char *name);
/* A new entry at the end; a folder's name gets its '/'. NULL: no memory, the error is worded. */
files_entry *files_add(fari_files *files, const char *name, bool is_folder);
/* Fill an empty collection. */
far_status files_list_folder(fari_files *files);
far_status files_list_archive(fari_files *files);
#endif
