/* --ranks and --restarts: the lives of a training whose ranks this process starts. After a loss it goes on from the last checkpoint with as
 * many ranks; where a life got to no new checkpoint at all and the one before was lost as well, with fewer: perhaps there is not enough
 * memory for so many. The bits do not depend on it. */
#include "launch.h"
#include <dirent.h>
#include <farandole/config.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* In PATH. */
static bool has_program(const char *name)
{
    char path[4096];
    const char *folders = getenv("PATH");
    while (folders != NULL && *folders != '\0') {
        const size_t length = strcspn(folders, ":");
        (void)snprintf(path, sizeof path, "%.*s/%s", (int)length, folders, name);
        if (access(path, X_OK) == 0) return true;
        folders += length + (folders[length] == ':');
    }
    return false;
}

/* ---- with how many ranks ---- */

typedef struct shape {
    int32_t ranks;
    char layout[64]; /* "": samples alone */
} shape;

static int32_t number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    const long number = at != NULL ? strtol(at + strlen(key), NULL, 10) : 1;
    return number > 1 && number < 65536 ? (int32_t)number : 1;
}

/* One column of samples less, or where there is only one, one part of the rows. */
static shape smaller(const shape *now)
{
    int32_t data = number_after(now->layout, "data="), spatial = number_after(now->layout, "spatial=");
    shape less = { .ranks = now->ranks - 1 };
    if (now->layout[0] == '\0') return less;
    if (data > 1) data--;
    else if (spatial > 1) spatial--;
    less.ranks = data * spatial;
    (void)snprintf(less.layout, sizeof less.layout, "data=%d,spatial=%d", (int)data, (int)spatial);
    return less;
}

/* ---- how far it got ---- */

/* The run can be gone on with: its own configuration is there. */
static bool has_begun(const char *folder)
{
    char *path = folder[0] != '\0' ? cli_path(folder, "config.yaml") : NULL;
    const bool is_there = path != NULL && access(path, R_OK) == 0;
    free(path);
    return is_there;
}

/* Of the newest complete checkpoint, -1: none. Not what `last` says: a rank may die before that is put. */
static int64_t checkpoint_of(const char *folder)
{
    int64_t newest = -1;
    char *path = folder[0] != '\0' ? cli_path(folder, "checkpoints") : NULL;
    DIR *list = path != NULL ? opendir(path) : NULL;
    for (const struct dirent *entry = NULL; list != NULL && (entry = readdir(list)) != NULL;) {
        char *end = NULL, manifest[sizeof entry->d_name + 16];
        const int64_t step = strtoll(entry->d_name, &end, 10);
        (void)snprintf(manifest, sizeof manifest, "%s/manifest.json", entry->d_name);
        const bool is_one = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && *end == '\0';
        if (is_one && step > newest && faccessat(dirfd(list), manifest, R_OK, 0) == 0) newest = step;
    }
    if (list != NULL) (void)closedir(list);
    free(path);
    return newest;
}

void cli_tell_resume(const char *folder)
{
    if (has_begun(folder))
        (void)fprintf(stderr, "farandole: farandole train --resume %s goes on from its last checkpoint\n", folder);
}

static void tell_restart(int32_t nth, int32_t of, const shape *now, const shape *before, int64_t step)
{
    char from[64] = "from the start", why[128] = "";
    if (step >= 0) (void)snprintf(from, sizeof from, "from checkpoint %" PRId64, step);
    if (now->ranks != before->ranks)
        (void)snprintf(why, sizeof why, " instead of %d, as the last restart got no further%s%s", (int)before->ranks,
                       now->layout[0] != '\0' ? "; layout " : "", now->layout);
    (void)fprintf(stderr, "farandole: restart %d of %d: %s with %d rank%s%s\n", (int)nth, (int)of, from,
                  (int)now->ranks, now->ranks == 1 ? "" : "s", why);
}

static cli_exit lives(const cli_args *args, shape now, int32_t restarts)
{
    cli_life life = { .ranks = now.ranks };
    const bool is_resuming = args->command == &cli_train && cli_has(args, "--resume");
    if (is_resuming) (void)snprintf(life.folder, sizeof life.folder, "%s", cli_value(args, "--resume"));
    for (int32_t restart = 0;; restart++) {
        const int64_t began_at = checkpoint_of(life.folder);
        life.is_last = restart == restarts;
        const cli_exit code = cli_launch_once(args, &life);
        if (life.loss == CLI_LOSS_NONE || cli_launch_is_asked_to_stop()) return code;
        const int64_t step = checkpoint_of(life.folder);
        if (life.is_last) {
            cli_tell_resume(life.folder);
            return code;
        }
        const shape before = now;
        if (restart > 0 && step == began_at && now.ranks > 1) now = smaller(&now);
        tell_restart(restart + 1, restarts, &now, &before, step);
        life.ranks = now.ranks;
        life.layout = now.ranks != before.ranks && now.layout[0] != '\0' ? now.layout : life.layout;
        life.resume = has_begun(life.folder) ? life.folder : NULL;
    }
}

/* CLI_OK: ranks can be started. */
static cli_exit check(int32_t ranks)
{
    if (!far_ranks_are_supported())
        return cli_usage_error(NULL,
                               "--ranks %d: this Farandole was built without MPI, which several ranks need; install "
                               "libopenmpi-dev and openmpi-bin, and build again",
                               (int)ranks);
    if (!has_program("mpirun"))
        return cli_usage_error(
            NULL, "--ranks %d: there is no mpirun here, which starts the ranks; Debian has it in openmpi-bin",
            (int)ranks);
    return CLI_OK;
}

cli_exit cli_launch(const cli_args *args, int32_t ranks)
{
    const shape only = { .ranks = ranks };
    const cli_exit code = check(ranks);
    if (code != CLI_OK) return code;
    cli_launch_prepare();
    return lives(args, only, 0);
}

cli_exit cli_launch_lives(const cli_args *args, const far_config *config, const cli_ranks *ranks)
{
    shape first = { .ranks = ranks->wanted };
    const char *layout = cli_value(args, "--layout");
    const cli_exit code = check(ranks->wanted);
    if (code != CLI_OK) return code;
    if (layout == NULL) layout = far_config_text(config, "layout");
    (void)snprintf(first.layout, sizeof first.layout, "%s", layout);
    cli_launch_prepare();
    return lives(args, first, ranks->restarts);
}
