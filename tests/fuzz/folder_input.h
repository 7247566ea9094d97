/* A folder for targets whose readers want files of given names: in memory where there is such a place, gone at the end of the process. */
#ifndef TESTS_FUZZ_FOLDER_INPUT_H
#define TESTS_FUZZ_FOLDER_INPUT_H
#include "base/file.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char input_folder[64];

static void remove_folder(void)
{
    (void)fari_remove_tree(input_folder);
}

static inline const char *input_path(const char *name)
{
    static char path[256];
    if (input_folder[0] == '\0') {
        const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        (void)snprintf(input_folder, sizeof input_folder, "%s/far-fuzz-%d", parent, (int)getpid());
        if (fari_folder_make(input_folder) != FAR_OK) abort();
        (void)atexit(remove_folder);
    }
    (void)snprintf(path, sizeof path, "%s/%s", input_folder, name);
    return path;
}

static inline void input_put(const char *name, const void *data, size_t bytes)
{
    FILE *file = fopen(input_path(name), "wbe");
    if (file == NULL || (bytes > 0 && fwrite(data, 1, bytes, file) != bytes) || fclose(file) != 0) abort();
}
#endif
