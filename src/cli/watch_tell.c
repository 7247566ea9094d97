/* What became of ranks, in words: one message, and a line for each kind of waiting. */
#include "cli.h"
#include "watch.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_BYTES 8192
#define SAME_LOSS_S 30 /* so long the launcher may take to end all ranks */
#define LINES_MAX 8    /* of ranks that do different things */

typedef struct message {
    char text[MESSAGE_BYTES];
    size_t used;
} message;

static void add(message *to, const char *fmt, ...) FAR_PRINTF(2, 3);
static void add(message *to, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int length = vsnprintf(to->text + to->used, sizeof to->text - to->used, fmt, args);
    va_end(args);
    if (length > 0) to->used += (size_t)length;
    if (to->used >= sizeof to->text) to->used = sizeof to->text - 1;
}

/* To the end of one of the run's files that is there already. */
static void add_to_file(const cli_watch *watch, const char *name, const message *what)
{
    const char *folder = far_ranks_watch_folder(watch->board);
    char path[4096];
    if (folder[0] == '\0') return;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *log = access(path, W_OK) == 0 ? fopen(path, "ae") : NULL;
    if (log == NULL) return;
    (void)fwrite(what->text, 1, what->used, log);
    (void)fclose(log); /* what it could not take is on stderr */
}

/* In one piece, so that it mixes with nobody's; also into the log of the run. */
static void say(const cli_watch *watch, const message *what)
{
    (void)fwrite(what->text, 1, what->used, stderr);
    (void)fflush(stderr);
    add_to_file(watch, "log.txt", what);
}

bool cli_watch_is_first_to_tell(const cli_watch *watch)
{
    char path[4096];
    struct stat info;
    const char *folder = far_ranks_watch_folder(watch->board);
    if (folder[0] == '\0') return true;
    (void)snprintf(path, sizeof path, "%s/lost.txt", folder);
    if (stat(path, &info) == 0 && time(NULL) - info.st_mtime > SAME_LOSS_S) (void)unlink(path); /* of an earlier life */
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) (void)close(fd);
    return fd >= 0 || errno != EEXIST;
}

static void add_host(message *to)
{
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    add(to, " on %s", host);
}

static int32_t count_waiting(const cli_watch *watch, int32_t but)
{
    int32_t count = 0;
    for (int32_t i = 0; i < watch->count; i++)
        count += watch->each[i].rank != but && watch->doing[watch->each[i].rank].awaits != FAR_RANK_AWAITS_NONE;
    return count;
}

/* "rank 0, 1, 3: waits for rank 2", of all that do the same as `first`; false: an earlier one does, and it was told with that. */
static bool add_alike(message *to, const cli_watch *watch, int32_t first)
{
    const char *text = watch->doing[watch->each[first].rank].text;
    for (int32_t i = 0; i < watch->count; i++) {
        const int32_t rank = watch->each[i].rank;
        if (rank == watch->lost || strcmp(watch->doing[rank].text, text) != 0) continue;
        if (i < first) return false;
        add(to, "%s%d", i == first ? "farandole:   rank " : ", ", (int)rank);
    }
    add(to, ": %s\n", text);
    return true;
}

/* What the others were at. */
static void add_others(message *to, const cli_watch *watch)
{
    int32_t lines = 0;
    for (int32_t i = 0; i < watch->count && lines < LINES_MAX; i++)
        if (watch->each[i].rank != watch->lost) lines += add_alike(to, watch, i);
    if (lines == LINES_MAX) add(to, "farandole:   ...\n");
}

void cli_watch_tell_stopped(const cli_watch *watch, int32_t rank, int64_t step, int64_t pid)
{
    message text = { .used = 0 };
    add(&text, "farandole: rank %d of %d", (int)rank, (int)watch->world);
    add_host(&text);
    add(&text,
        " is stopped by a signal in step %" PRId64 " (%s), the others wait for it; kill -CONT %" PRId64
        " lets it go on\n",
        step + 1, far_ranks_watch_doing(watch->board, rank).text, pid);
    say(watch, &text);
}

/* Where the rank's last words are, of a crash in a library for example. */
static void add_log(message *to, const cli_watch *watch)
{
    char path[4096];
    const char *folder = far_ranks_watch_folder(watch->board);
    if (folder[0] == '\0' || watch->lost == 0) return;
    (void)snprintf(path, sizeof path, "%s/log.rank%d.txt", folder, (int)watch->lost);
    if (access(path, R_OK) == 0) add(to, "; what it said is in %s", path);
}

static void add_death(message *to, const cli_watch *watch)
{
    const char *doing = watch->doing[watch->lost].text;
    if (!watch->has_begun) {
        add(to, " ended before it had begun");
        return;
    }
    if (watch->lost_signal > 0)
        add(to, " was ended by signal %d (%s)", (int)watch->lost_signal, strsignal(watch->lost_signal));
    else add(to, " ended without a word");
    add(to, " in step %" PRId64 " (%s)", watch->lost_step + 1, doing);
    if (watch->lost_signal == SIGKILL) add(to, "; where nobody did that, memory ran out, and dmesg says so");
    add_log(to, watch);
}

static void add_hang(message *to, const cli_watch *watch)
{
    char time[32];
    const far_rank_doing *doing = &watch->doing[watch->lost];
    const int32_t waiting = count_waiting(watch, watch->lost);
    (void)cli_seconds_text(watch->lost_quiet_s, time);
    if (watch->stopped == watch->lost) add(to, " is stopped by a signal");
    else if (doing->awaits != FAR_RANK_AWAITS_NONE) add(to, " hangs, as all ranks do that are known here");
    else add(to, " hangs");
    add(to, " in step %" PRId64 ": %s, for %s now; %d %s for it", watch->lost_step + 1, doing->text, time, (int)waiting,
        watch->count < watch->world ? "ranks of this machine wait"
        : waiting == 1              ? "rank waits"
                                    : "ranks wait");
}

void cli_watch_tell_loss(const cli_watch *watch, const char *ending)
{
    message text = { .used = 0 };
    add(&text, "farandole: error: rank %d of %d", (int)watch->lost, (int)watch->world);
    add_host(&text);
    if (watch->loss == CLI_LOSS_DEAD) add_death(&text, watch);
    else add_hang(&text, watch);
    add(&text, "; %s\n", ending);
    add_others(&text, watch);
    say(watch, &text);
    add_to_file(watch, "lost.txt", &text);
}
