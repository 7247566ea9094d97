/* farandole train --ranks N: the command again, N times, by mpirun, and seeing to it that they end together. */
#include "cli.h"
#include "progress.h"
#include "stop.h"
#include <errno.h>
#include <farandole/ranks.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* For Open MPI 4, then 5: more ranks than cores are no error, no rank is tied to a core, who waits yields, root may; errors are told by us;
   one machine needs no permission of the kernel to copy between processes. Launchers of other kinds do not read them. What the person has set stays. */
static const char *const settings[][2] = {
    { "OMPI_MCA_rmaps_base_oversubscribe", "1" },
    { "OMPI_MCA_hwloc_base_binding_policy", "none" },
    { "OMPI_MCA_mpi_yield_when_idle", "1" },
    { "OMPI_MCA_btl_vader_single_copy_mechanism", "none" },
    { "OMPI_MCA_btl_base_warn_component_unused", "0" },
    { "OMPI_MCA_orte_execute_quiet", "1" },
    { "OMPI_ALLOW_RUN_AS_ROOT", "1" },
    { "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1" },
    { "PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe" },
    { "PRTE_MCA_hwloc_default_binding_policy", "none" },
    { "PRTE_ALLOW_RUN_AS_ROOT", "1" },
    { "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM", "1" },
};

#define LOOK_MS 100
#define STOPPED_S 3.0 /* so long it may be on purpose */
#define GRACE_S 3.0   /* from the death of a rank to that of the others */

static volatile sig_atomic_t asked; /* the signal that this process was sent last */
static volatile sig_atomic_t asked_count;

/* The ranks decide together when to stop: mpirun would end them at once. So it is out of the terminal's reach, and we pass signals on. */
static void on_signal(int number)
{
    asked = number;
    if (asked_count++ == 0) cli_stop_say();
}

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

/* The command's own words without --ranks; NULL-terminated, to be freed. */
static const char **words_of(const cli_args *args, const char *program, const char *ranks, const char *mpirun)
{
    int count = 0;
    const char **words = calloc((size_t)args->argc + 8, sizeof *words);
    if (words == NULL) return NULL;
    words[count++] = mpirun;
    words[count++] = "-n";
    words[count++] = ranks;
    words[count++] = program;
    words[count++] = args->command->name;
    for (int i = 0; i < args->argc; i++) {
        if (strcmp(args->argv[i], "--ranks") == 0) i++;
        else if (strncmp(args->argv[i], "--ranks=", 8) != 0) words[count++] = args->argv[i];
    }
    return words;
}

typedef struct launched {
    pid_t mpirun;
    int32_t ranks;
    const far_ranks_watch *watch;
    int32_t dead; /* the first rank that was gone without a word, -1: none */
    double dead_s;
    int64_t dead_step;
    int32_t stopped; /* a rank that a signal has stopped, -1: none */
    double stopped_s;
    bool has_told_stopped;
} launched;

static void signal_ranks(const launched *all, int number)
{
    for (int32_t r = 0; r < all->ranks; r++) {
        const far_rank_state state = far_ranks_watch_state(all->watch, r);
        if (state.pid > 0 && !state.has_left) (void)kill((pid_t)state.pid, number);
    }
}

/* As the kernel says: 'R', 'S', 'T' stopped, 'Z' a zombie that nobody has asked after yet; 0: gone. */
static char state_of(int64_t pid)
{
    char path[64], line[512] = "";
    (void)snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    const bool is_read = fgets(line, sizeof line, file) != NULL;
    (void)fclose(file); /* read-only */
    const char *after_name = strrchr(line, ')');
    return is_read && after_name != NULL && after_name[1] == ' ' ? after_name[2] : 0;
}

static bool is_gone(int64_t pid)
{
    const char state = state_of(pid);
    return state == 0 || state == 'Z' || state == 'X';
}

/* A rank that a signal has stopped makes all wait. */
static void look_for_stopped(launched *all)
{
    for (int32_t r = 0; r < all->ranks; r++) {
        const far_rank_state state = far_ranks_watch_state(all->watch, r);
        if (state.pid == 0 || state.has_left || state_of(state.pid) != 'T') continue;
        if (all->stopped == r) {
            if (!all->has_told_stopped && cli_clock_s() - all->stopped_s > STOPPED_S) {
                (void)fprintf(stderr,
                              "farandole: rank %d of %d is stopped by a signal in step %" PRId64
                              ", the others wait for it; kill -CONT %" PRId64 " lets it go on\n",
                              (int)r, (int)all->ranks, state.step + 1, state.pid);
                all->has_told_stopped = true;
            }
            return;
        }
        all->stopped = r;
        all->stopped_s = cli_clock_s();
        return;
    }
    all->stopped = -1;
    all->has_told_stopped = false;
}

static void look_for_dead(launched *all)
{
    for (int32_t r = 0; r < all->ranks && all->dead < 0; r++) {
        far_rank_state state = far_ranks_watch_state(all->watch, r);
        if (state.pid == 0 || state.has_left || !is_gone(state.pid)) continue;
        state = far_ranks_watch_state(all->watch, r); /* it may have left just before it ended */
        if (state.has_left) continue;
        all->dead = r;
        all->dead_s = cli_clock_s();
        all->dead_step = state.step;
    }
}

/* A rank that leaves has told what it failed with. */
static bool has_anybody_left(const launched *all)
{
    for (int32_t r = 0; r < all->ranks; r++)
        if (far_ranks_watch_state(all->watch, r).has_left) return true;
    return false;
}

/* "rank 2 of 4 on node7 was killed (signal 9) at step 17" */
static void tell_dead(const launched *all, int status)
{
    char host[256] = "", how[64] = "ended without a word";
    const char *folder = far_ranks_watch_folder(all->watch);
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    (void)gethostname(host, sizeof host - 1);
    if (code > 128 && code < 128 + NSIG)
        (void)snprintf(how, sizeof how, "was ended by signal %d (%s)", code - 128, strsignal(code - 128));
    (void)fprintf(stderr, "farandole: error: rank %d of %d on %s %s in step %" PRId64 "; the other ranks were ended\n",
                  (int)all->dead, (int)all->ranks, host, how, all->dead_step + 1);
    if (folder[0] != '\0')
        (void)fprintf(stderr, "farandole: farandole train --resume %s goes on from its last checkpoint\n", folder);
}

/* Until mpirun has ended; its status. */
static int await_ranks(launched *all)
{
    int status = 0, passed_on = 0;
    for (;;) {
        const pid_t ended = waitpid(all->mpirun, &status, WNOHANG);
        if (ended == all->mpirun) return status;
        if (asked_count > passed_on) {
            passed_on = asked_count;
            signal_ranks(all, asked);
        }
        look_for_dead(all);
        look_for_stopped(all);
        if (all->dead >= 0 && cli_clock_s() - all->dead_s > GRACE_S) { /* mpirun did not see to it */
            signal_ranks(all, SIGKILL);
            (void)kill(all->mpirun, cli_clock_s() - all->dead_s > 2.0 * GRACE_S ? SIGKILL : SIGTERM);
        }
        (void)usleep(LOOK_MS * 1000);
    }
}

static void become_mpirun(const char *const *words, pid_t parent)
{
    const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* nobody would watch the ranks any more */
    if (nothing >= 0) (void)dup2(nothing, STDIN_FILENO);
    if (getppid() == parent) (void)execvp(words[0], (char *const *)(uintptr_t)words); /* it changes none of them */
    _exit(127);
}

static cli_exit run_ranks(const char *const *words, int32_t ranks, const far_ranks_watch *watch)
{
    launched all = { .ranks = ranks, .watch = watch, .dead = -1, .stopped = -1 };
    const pid_t self = getpid();
    /* what the parent had ignored stays ignored: a shell does so for jobs in the background */
    if (signal(SIGINT, on_signal) == SIG_IGN) (void)signal(SIGINT, SIG_IGN);
    if (signal(SIGTERM, on_signal) == SIG_IGN) (void)signal(SIGTERM, SIG_IGN);
    all.mpirun = fork();
    if (all.mpirun == 0) become_mpirun(words, self);
    if (all.mpirun < 0) return cli_usage_error(NULL, "--ranks %d: no new process: %s", (int)ranks, strerror(errno));
    const int status = await_ranks(&all);
    look_for_dead(&all);
    if (all.dead >= 0) {
        tell_dead(&all, status);
        return CLI_FAILED;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0 && !has_anybody_left(&all))
        (void)fprintf(stderr,
                      "farandole: error: mpirun ended with exit code %d before all ranks had begun; with "
                      "OMPI_MCA_orte_execute_quiet=0 it says more\n",
                      WEXITSTATUS(status));
    if (WIFEXITED(status)) return WEXITSTATUS(status) > 128 ? CLI_FAILED : (cli_exit)WEXITSTATUS(status);
    (void)fprintf(stderr, "farandole: error: mpirun was ended by signal %d\n", WTERMSIG(status));
    return CLI_FAILED;
}

cli_exit cli_launch(const cli_args *args, int32_t ranks)
{
    static const char mpirun[] = "mpirun";
    char program[4096], number[16];
    if (!far_ranks_are_supported())
        return cli_usage_error(NULL,
                               "--ranks %d: this Farandole was built without MPI, which several ranks need; install "
                               "libopenmpi-dev and openmpi-bin, and build again",
                               (int)ranks);
    if (!has_program(mpirun))
        return cli_usage_error(
            NULL, "--ranks %d: there is no mpirun here, which starts the ranks; Debian has it in openmpi-bin",
            (int)ranks);
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0) return cli_usage_error(NULL, "--ranks %d: /proc does not tell where this program is", (int)ranks);
    program[length] = '\0';
    (void)snprintf(number, sizeof number, "%d", (int)ranks);
    const char **words = words_of(args, program, number, mpirun);
    if (words == NULL) return cli_usage_error(NULL, "no memory to start ranks");
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) (void)setenv(settings[i][0], settings[i][1], 0);
    far_ranks_watch *watch = NULL;
    cli_exit code = CLI_FAILED;
    const far_status st = far_ranks_watch_open(ranks, &watch);
    if (st == FAR_OK) code = run_ranks(words, ranks, watch);
    else code = cli_fail(args, st, CLI_RUNNING);
    far_ranks_watch_close(watch);
    free(words);
    return code;
}
