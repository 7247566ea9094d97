#include "watch.h"
#include "progress.h"
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 100
#define RESCAN_S 0.5
#define SUSPECT_S 0.3
#define STOPPED_S 3.0 /* so long it may be on purpose */

/* A rank that is quiet hangs after... */
#define QUIET_LEAST_S 60.0
#define QUIET_FIRST_S 600.0 /* till a step is done: files are searched, memory is touched */
#define QUIET_TIMES 10.0    /* the longest quiet that ended */
#define LOOK_MOST_S 1.0     /* this process was held up itself: a longer time between two looks counts as so much */
#define STEPS_SEEN 2
#define LEAVE_S 20.0 /* from its last word to the end of the process */

bool cli_watch_begin(cli_watch *watch, const far_ranks_watch *board)
{
    memset(watch, 0, sizeof *watch);
    watch->board = board;
    watch->world = far_ranks_watch_count(board);
    watch->stopped = watch->suspect = -1;
    watch->looked_s = cli_clock_s();
    watch->each = calloc((size_t)watch->world, sizeof *watch->each);
    watch->doing = calloc((size_t)watch->world, sizeof *watch->doing);
    if (watch->each != NULL && watch->doing != NULL) return true;
    cli_watch_end(watch);
    return false;
}

void cli_watch_end(cli_watch *watch)
{
    for (int32_t i = 0; i < watch->count; i++)
        if (watch->each[i].pidfd >= 0) (void)close(watch->each[i].pidfd);
    free(watch->each);
    free(watch->doing);
    watch->each = NULL;
    watch->doing = NULL;
    watch->count = 0;
}

/* ---- of one process ---- */

/* What the kernel says of a process from its third word on: the state first. NULL: it is gone. */
static const char *stat_of(int64_t pid, char *line, size_t bytes)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) return NULL;
    const bool is_read = fgets(line, (int)bytes, file) != NULL;
    (void)fclose(file); /* read-only */
    const char *after_name = is_read ? strrchr(line, ')') : NULL;
    return after_name != NULL && after_name[1] == ' ' ? after_name + 2 : NULL;
}

/* 'R', 'S', 'T' stopped, 'Z' a zombie that nobody has asked after yet; 0: gone. */
static char state_of(int64_t pid)
{
    char line[1024];
    const char *words = stat_of(pid, line, sizeof line);
    return words != NULL ? words[0] : 0;
}

static bool is_gone(const cli_watched *one)
{
    if (one->pidfd >= 0) {
        struct pollfd asked = { .fd = one->pidfd, .events = POLLIN };
        return poll(&asked, 1, 0) == 1;
    }
    const char state = state_of(one->pid);
    return state == 0 || state == 'Z' || state == 'X';
}

/* How a zombie ended, as waitpid would tell its parent; false: it is none, or none any more. */
static bool zombie_code(int64_t pid, int *code_out)
{
    char line[1024];
    const char *word = stat_of(pid, line, sizeof line);
    if (word == NULL || word[0] != 'Z') return false;
    for (int number = 3; number < 52; number++) { /* exit_code of proc(5) */
        word = strchr(word, ' ');
        if (word == NULL) return false;
        word++;
    }
    *code_out = (int)strtol(word, NULL, 10);
    return true;
}

/* The same of a process whose parent has asked after it; false: it has not, or the kernel does not tell (Linux before 6.15). */
static bool reaped_code(int pidfd, int *code_out)
{
    struct {
        uint64_t mask, cgroup;
        uint32_t ids[11];
        int32_t exit_code;
    } info;
    _Static_assert(sizeof info == 64, "struct pidfd_info of Linux");
    memset(&info, 0, sizeof info);
    info.mask = 1U << 3; /* PIDFD_INFO_EXIT */
    if (pidfd < 0 || ioctl(pidfd, _IOC(_IOC_READ | _IOC_WRITE, 0xFF, 11, sizeof info), &info) != 0) return false;
    *code_out = info.exit_code;
    return (info.mask & (1U << 3)) != 0;
}

/* Which signal ended a process that is no child of ours, 0: none, or it is not known. */
static int32_t signal_of(const cli_watched *one)
{
    int code = 0;
    for (int32_t tries = 0; tries < 20; tries++) { /* its threads may still be ending */
        const bool was_there = state_of(one->pid) != 0;
        if (zombie_code(one->pid, &code) || reaped_code(one->pidfd, &code))
            return WIFSIGNALED(code) ? WTERMSIG(code) : 0;
        if (!was_there) return 0; /* an old kernel has forgotten it */
        (void)usleep(10000);
    }
    return 0;
}

/* ---- who is there ---- */

static void rescan(cli_watch *watch, double now)
{
    if (watch->count == watch->world) return;
    watch->rescan_s = now + RESCAN_S;
    int32_t known = 0; /* each is in the order of ranks */
    for (int32_t r = 0; r < watch->world; r++) {
        if (known < watch->count && watch->each[known].rank == r) {
            known++;
            continue;
        }
        const int64_t pid = far_ranks_watch_state(watch->board, r).pid;
        if (pid <= 0) continue;
        memmove(&watch->each[known + 1], &watch->each[known], (size_t)(watch->count - known) * sizeof *watch->each);
        watch->each[known++] =
            (cli_watched){ .rank = r, .pid = pid, .pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) };
        watch->count++;
        if (watch->suspect >= known - 1) watch->suspect++; /* it has moved on */
    }
}

void cli_watch_signal(const cli_watch *watch, int number)
{
    for (int32_t i = 0; i < watch->count; i++)
        if (!watch->each[i].is_gone && !far_ranks_watch_state(watch->board, watch->each[i].rank).has_left)
            (void)kill((pid_t)watch->each[i].pid, number);
}

void cli_watch_pass_on(cli_watch *watch, int number, int32_t times)
{
    for (int32_t i = 0; i < watch->count; i++) {
        cli_watched *one = &watch->each[i];
        if (one->is_gone || one->asked >= times || far_ranks_watch_state(watch->board, one->rank).has_left) continue;
        one->asked = times;
        (void)kill((pid_t)one->pid, number);
    }
}

bool cli_watch_all_gone(const cli_watch *watch)
{
    for (int32_t i = 0; i < watch->count; i++)
        if (!is_gone(&watch->each[i])) return false;
    return true;
}

bool cli_watch_has_left(const cli_watch *watch)
{
    for (int32_t i = 0; i < watch->count; i++)
        if (far_ranks_watch_state(watch->board, watch->each[i].rank).has_left) return true;
    return false;
}

/* ---- what is lost ---- */

static void lose_rank(cli_watch *watch, cli_loss loss, int32_t rank)
{
    watch->loss = loss;
    watch->lost = rank;
    watch->lost_s = cli_clock_s();
    watch->lost_step = far_ranks_watch_state(watch->board, rank).step;
    for (int32_t i = 0; i < watch->count; i++)
        watch->doing[watch->each[i].rank] = far_ranks_watch_doing(watch->board, watch->each[i].rank);
}

static void lose(cli_watch *watch, cli_loss loss, const cli_watched *one)
{
    watch->has_begun = true;
    watch->lost_quiet_s = one->quiet_s;
    watch->lost_signal = one->ended_by;
    lose_rank(watch, loss, one->rank);
}

/* Who ends with a code of its own, is asked to end, or finds a launcher's pipe closed, may do so because another one is gone: that one is
   waited for a little. */
static bool may_follow(int32_t signal)
{
    return signal == 0 || signal == SIGTERM || signal == SIGPIPE;
}

/* Of those that are gone one whose signal says that it followed nobody, else the first that was seen. */
static const cli_watched *most_telling(const cli_watch *watch)
{
    for (int32_t i = 0; i < watch->count; i++) {
        cli_watched *one = &watch->each[i];
        if (!one->is_gone || far_ranks_watch_state(watch->board, one->rank).has_left) continue;
        if (one->ended_by == 0) one->ended_by = signal_of(one);
        if (!may_follow(one->ended_by)) return one;
    }
    return &watch->each[watch->suspect];
}

void cli_watch_settle(cli_watch *watch, bool has_failed)
{
    int32_t unbegun = 0;
    if (watch->loss != CLI_LOSS_NONE || (watch->suspect < 0 && !has_failed)) return;
    rescan(watch, cli_clock_s());
    while (unbegun < watch->count && watch->each[unbegun].rank == unbegun) unbegun++;
    if (watch->is_whole && unbegun < watch->world) lose_rank(watch, CLI_LOSS_DEAD, unbegun);
    else if (watch->suspect >= 0) lose(watch, CLI_LOSS_DEAD, most_telling(watch));
}

static void look_for_dead(cli_watch *watch)
{
    for (int32_t i = 0; i < watch->count; i++) {
        cli_watched *one = &watch->each[i];
        if (one->is_gone || !is_gone(one)) continue;
        one->is_gone = true; /* and whether it has left is asked after that: it may have, just before */
        if (watch->loss != CLI_LOSS_NONE || far_ranks_watch_state(watch->board, one->rank).has_left) continue;
        one->ended_by = signal_of(one);
        if (!may_follow(one->ended_by)) {
            lose(watch, CLI_LOSS_DEAD, one);
        } else if (watch->suspect < 0) {
            watch->suspect = i;
            watch->suspect_s = cli_clock_s();
        }
    }
    if (watch->suspect >= 0 && cli_clock_s() - watch->suspect_s > SUSPECT_S) cli_watch_settle(watch, false);
}

/* A rank that a signal has stopped makes all wait. */
static void look_for_stopped(cli_watch *watch)
{
    for (int32_t i = 0; i < watch->count; i++) {
        const cli_watched *one = &watch->each[i];
        const far_rank_state state = far_ranks_watch_state(watch->board, one->rank);
        if (one->is_gone || one->quiet_s < 0.5 * STOPPED_S || state.has_left || state_of(one->pid) != 'T') continue;
        if (watch->stopped != one->rank) {
            watch->stopped = one->rank;
            watch->stopped_s = one->quiet_s;
            watch->has_told_stopped = false;
        }
        if (!watch->has_told_stopped && one->quiet_s > STOPPED_S) {
            cli_watch_tell_stopped(watch, one->rank, state.step, one->pid);
            watch->has_told_stopped = true;
        }
        return;
    }
    watch->stopped = -1;
}

/* Seconds of quiet after which a rank hangs. */
static double patience_s(const cli_watch *watch)
{
    const int64_t told_ms = far_ranks_watch_patience_ms(watch->board);
    if (told_ms < 0) return INFINITY;
    if (told_ms > 0) return 1e-3 * (double)told_ms;
    double least_s = QUIET_FIRST_S;
    for (int32_t i = 0; i < watch->count; i++)
        if (far_ranks_watch_state(watch->board, watch->each[i].rank).steps_seen >= STEPS_SEEN) least_s = QUIET_LEAST_S;
    return fmax(least_s, QUIET_TIMES * watch->longest_quiet_s);
}

static void look_who_is_quiet(cli_watch *watch, double passed_s)
{
    for (int32_t i = 0; i < watch->count; i++) {
        cli_watched *one = &watch->each[i];
        const far_rank_state state = far_ranks_watch_state(watch->board, one->rank);
        if (state.has_left && !one->is_gone) {
            one->left_s += passed_s;
            if (one->left_s > LEAVE_S) (void)kill((pid_t)one->pid, SIGKILL); /* it has done all it had to do */
        }
        if (state.words == one->words && !state.has_left && !one->is_gone) {
            one->quiet_s += passed_s;
            continue;
        }
        /* who was stopped, or waited for that one, went on when it was let, not when it was done */
        if (one->words > 0 && watch->stopped < 0 && !state.has_left)
            watch->longest_quiet_s = fmax(watch->longest_quiet_s, one->quiet_s);
        one->words = state.words;
        one->quiet_s = 0.0;
    }
}

/* The quietest of those that work, or without one, where every rank waits, the quietest of all; -1: nobody hangs. Ranks of other machines
   may be what those here wait for: they have watchers of their own, which get twice the time. */
static int32_t quietest(const cli_watch *watch, double limit_s)
{
    int32_t worker = -1, any = -1;
    bool are_all_quiet = true;
    for (int32_t i = 0; i < watch->count; i++) {
        const cli_watched *one = &watch->each[i];
        if (one->is_gone || far_ranks_watch_state(watch->board, one->rank).has_left) continue;
        are_all_quiet = are_all_quiet && one->quiet_s > (watch->count < watch->world ? 2.0 : 1.0) * limit_s;
        if (any < 0 || one->quiet_s > watch->each[any].quiet_s) any = i;
        if (one->quiet_s <= limit_s) continue;
        if (one->rank != watch->stopped &&
            far_ranks_watch_doing(watch->board, one->rank).awaits != FAR_RANK_AWAITS_NONE)
            continue;
        if (worker < 0 || one->quiet_s > watch->each[worker].quiet_s) worker = i;
    }
    return worker >= 0 ? worker : are_all_quiet ? any : -1;
}

static void look_for_hung(cli_watch *watch)
{
    const double limit_s = patience_s(watch);
    if (watch->loss != CLI_LOSS_NONE || !isfinite(limit_s)) return;
    const int32_t found = quietest(watch, limit_s);
    if (found >= 0) lose(watch, CLI_LOSS_HUNG, &watch->each[found]);
}

void cli_watch_look(cli_watch *watch)
{
    const double now = cli_clock_s(), passed_s = fmin(now - watch->looked_s, LOOK_MOST_S);
    watch->looked_s = now;
    if (now >= watch->rescan_s) rescan(watch, now);
    look_for_dead(watch);
    look_who_is_quiet(watch, passed_s);
    look_for_stopped(watch);
    look_for_hung(watch);
}

void cli_watch_pause(const cli_watch *watch)
{
    struct pollfd asked[256];
    nfds_t count = 0;
    for (int32_t i = 0; i < watch->count && count < sizeof asked / sizeof asked[0]; i++)
        if (!watch->each[i].is_gone && watch->each[i].pidfd >= 0)
            asked[count++] = (struct pollfd){ .fd = watch->each[i].pidfd, .events = POLLIN };
    (void)poll(asked, count, LOOK_MS);
}
