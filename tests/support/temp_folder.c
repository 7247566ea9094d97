#include "support/temp_folder.h"
#include "base/file.h"
#include "test.h"
#include <unistd.h>

static void make_under(const char *parent, char path_out[TEMP_FOLDER_BYTES])
{
    (void)snprintf(path_out, TEMP_FOLDER_BYTES, "%s/far-test-XXXXXX", parent);
    FAR_CHECK(mkdtemp(path_out) != NULL);
}

void temp_folder(char path_out[TEMP_FOLDER_BYTES])
{
    const char *given = getenv("TMPDIR");
    make_under(given != NULL ? given : "/tmp", path_out);
}

void temp_folder_in_memory(char path_out[TEMP_FOLDER_BYTES])
{
    if (getenv("TMPDIR") != NULL || access("/dev/shm", W_OK) != 0) temp_folder(path_out);
    else make_under("/dev/shm", path_out);
}

static char folder[TEMP_FOLDER_BYTES]; /* the case's own */

static void remove_folder(void)
{
    (void)fari_remove_tree(folder);
}

const char *test_path(const char *name)
{
    static char paths[4][TEMP_FOLDER_BYTES + 256];
    static int turn;
    char *path = paths[turn++ % 4];
    if (folder[0] == '\0') {
        temp_folder_in_memory(folder);
        if (getenv("TMPDIR") == NULL) (void)atexit(remove_folder);
    }
    (void)snprintf(path, sizeof paths[0], "%s%s%s", folder, name[0] != '\0' ? "/" : "", name);
    return path;
}
