#include "node_watch.h"
#include "cli.h"
#include "launch.h"
#include "progress.h"
#include "watch.h"
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CARE_S 1.0
#define MPIRUN_S 6.0 /* it may take so long to end after the last rank */
#define GRACE_S 3.0  /* of the launcher, to end the others */

extern char **environ;

/* ---- the first rank of a machine ---- */

static struct {
    far_ranks_watch *board; /* as long as the process lives */
    pid_t pid;
    pid_t launcher;
    int speech; /* stderr as it was: a rank's own goes into its log later */
    double looked_s;
} watcher;

/* As the launchers number the ranks of a machine: Open MPI, MPICH, Slurm. */
static bool is_first_here(void)
{
    static const char *const names[] = { "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *number = getenv(names[i]);
        if (number != NULL) return strcmp(number, "0") == 0;
    }
    return false;
}

/* In a session of its own: who signals the ranks does not mean it. */
static bool spawn_watcher(void)
{
    char launcher[32], word[] = CLI_WATCH_WORD, name[] = "farandole", path[64];
    char *const words[] = { name, word, path, launcher, NULL };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    (void)snprintf(launcher, sizeof launcher, "%ld", (long)watcher.launcher);
    (void)snprintf(path, sizeof path, "%s", far_ranks_watch_path(watcher.board));
    if (posix_spawn_file_actions_init(&files) != 0) return false;
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return false;
    }
    int error = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0) error = posix_spawn_file_actions_adddup2(&files, watcher.speech, STDERR_FILENO);
    if (error == 0) error = posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    if (error == 0) error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    if (error == 0) error = posix_spawn(&watcher.pid, "/proc/self/exe", &files, &attributes, words, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&files);
    return error == 0;
}

const far_ranks_watch *cli_node_watch_start(int32_t count)
{
    if (far_ranks_are_watched() || !is_first_here()) return NULL;
    watcher.launcher = getppid();
    if (far_ranks_watch_open(count, &watcher.board) != FAR_OK) {
        far_error_clear(); /* then nobody watches: the launcher still ends all where one dies */
        return NULL;
    }
    watcher.looked_s = cli_clock_s();
    watcher.speech = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (watcher.speech >= 0 && spawn_watcher()) return watcher.board;
    far_ranks_watch_close(watcher.board);
    watcher.board = NULL;
    return NULL;
}

void cli_node_watch_care(void)
{
    int status = 0;
    if (watcher.board == NULL || cli_clock_s() - watcher.looked_s < CARE_S) return;
    watcher.looked_s = cli_clock_s();
    if (waitpid(watcher.pid, &status, WNOHANG) != watcher.pid) return;
    const bool is_new = spawn_watcher();
    (void)dprintf(watcher.speech, "farandole: the process that watches the ranks here was ended%s%s; %s\n",
                  WIFSIGNALED(status) ? ": " : "", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "",
                  is_new ? "a new one does" : "nobody does now");
    if (is_new) return;
    watcher.board = NULL; /* its memory stays: threads of this rank write there */
}

/* ---- the watcher ---- */

static bool is_alive(pid_t pid)
{
    return pid <= 1 || kill(pid, 0) == 0;
}

static void tell(const cli_watch *watch)
{
    if (!cli_watch_is_first_to_tell(watch)) return;
    cli_watch_tell_loss(watch, "the other ranks are ended");
    cli_tell_resume(far_ranks_watch_folder(watch->board));
}

/* A rank was lost on another machine: its watcher has left word in the run's folder, since this one began. */
typedef struct elsewhere {
    double looked_s;
    bool has_looked; /* what was there at the first look is of an earlier life */
    struct timespec before;
} elsewhere;

static bool is_lost_elsewhere(const cli_watch *watch, elsewhere *other)
{
    char path[4096];
    struct stat info = { 0 };
    const char *folder = far_ranks_watch_folder(watch->board);
    if (folder[0] == '\0' || cli_clock_s() - other->looked_s < CARE_S) return false;
    other->looked_s = cli_clock_s();
    (void)snprintf(path, sizeof path, "%s/lost.txt", folder);
    if (stat(path, &info) != 0) info.st_mtim = (struct timespec){ 0 };
    const bool is_new = other->has_looked && info.st_mtim.tv_sec != 0 &&
                        (info.st_mtim.tv_sec != other->before.tv_sec || info.st_mtim.tv_nsec != other->before.tv_nsec);
    other->has_looked = true;
    other->before = info.st_mtim;
    return is_new;
}

/* What the launcher has not ended in time; one that hangs at once, so that the launcher sees that something is wrong. */
static void end_ranks(const cli_watch *watch)
{
    if (watch->loss == CLI_LOSS_HUNG || cli_clock_s() - watch->lost_s > GRACE_S) cli_watch_signal(watch, SIGKILL);
}

/* Until the ranks of this machine are gone. */
static void watch_to_the_end(cli_watch *watch, pid_t launcher)
{
    const pid_t parent = getppid();
    double orphaned_s = 0.0, elsewhere_s = 0.0;
    elsewhere other = { .has_looked = false };
    bool has_told = false;
    for (;;) {
        cli_watch_look(watch);
        if (watch->loss != CLI_LOSS_NONE && !has_told) tell(watch);
        has_told = watch->loss != CLI_LOSS_NONE;
        if (has_told) end_ranks(watch);
        else if (elsewhere_s == 0.0 && is_lost_elsewhere(watch, &other)) elsewhere_s = cli_clock_s();
        if (elsewhere_s > 0.0 && cli_clock_s() - elsewhere_s > GRACE_S) cli_watch_signal(watch, SIGKILL);
        if (watch->count > 0 ? cli_watch_all_gone(watch) : getppid() != parent) return;
        if (!has_told && !is_alive(launcher)) {
            if (orphaned_s == 0.0) orphaned_s = cli_clock_s();
            if (cli_clock_s() - orphaned_s > GRACE_S) {
                (void)fprintf(stderr, "farandole: error: what started the ranks is gone; they are ended\n");
                cli_watch_signal(watch, SIGKILL);
                return;
            }
        }
        cli_watch_pause(watch);
    }
}

static bool is_mpirun(pid_t pid)
{
    char path[64], name[32] = "";
    (void)snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    const bool is_read = fgets(name, sizeof name, file) != NULL;
    (void)fclose(file); /* read-only */
    return is_read &&
           (strcmp(name, "mpirun\n") == 0 || strcmp(name, "orterun\n") == 0 || strcmp(name, "mpiexec\n") == 0);
}

/* Open MPI 4.1's mpirun now and then waits for itself without end when ranks were lost early; nothing is left then for which it runs. It
   must not have to wait for us: what was to be said has been. */
static void end_mpirun(pid_t launcher)
{
    const double until = cli_clock_s() + MPIRUN_S;
    const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing < 0 || dup2(nothing, STDOUT_FILENO) < 0 || dup2(nothing, STDERR_FILENO) < 0) return;
    while (is_mpirun(launcher) && cli_clock_s() < until) (void)usleep(100000);
    if (is_mpirun(launcher)) (void)kill(launcher, SIGKILL);
}

int cli_node_watch_main(const char *path, const char *launcher)
{
    static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2, SIGTSTP, SIGXCPU };
    far_ranks_watch *board = NULL;
    cli_watch watch;
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) (void)signal(ignored[i], SIG_IGN);
    if (far_ranks_watch_attach(path, &board) != FAR_OK) return CLI_FAILED;
    if (cli_watch_begin(&watch, board)) {
        watch_to_the_end(&watch, (pid_t)strtol(launcher, NULL, 10));
        if (watch.loss != CLI_LOSS_NONE) end_mpirun((pid_t)strtol(launcher, NULL, 10));
        cli_watch_end(&watch);
    }
    far_ranks_watch_close(board);
    return CLI_OK;
}
