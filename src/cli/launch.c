/* One life of the ranks that --ranks starts. */
#include "launch.h"
#include "progress.h"
#include "stop.h"
#include <errno.h>
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

#define GRACE_S 3.0 /* from the death of a rank to that of the others */
#define END_S 5.0   /* ranks may take so long to be gone once they are killed */

static volatile sig_atomic_t asked; /* the signal that this process was sent last */
static volatile sig_atomic_t asked_count;

/* The ranks decide together when to stop: mpirun would end them at once. So it is out of the terminal's reach, and we pass signals on. */
static void on_signal(int number)
{
    asked = number;
    if (asked_count++ == 0) cli_stop_say();
}

void cli_launch_prepare(void)
{
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) (void)setenv(settings[i][0], settings[i][1], 0);
    /* what the parent had ignored stays ignored: a shell does so for jobs in the background */
    if (signal(SIGINT, on_signal) == SIG_IGN) (void)signal(SIGINT, SIG_IGN);
    if (signal(SIGTERM, on_signal) == SIG_IGN) (void)signal(SIGTERM, SIG_IGN);
}

bool cli_launch_is_asked_to_stop(void)
{
    return asked_count > 0;
}

/* ---- the command line of a life ---- */

/* Whether words[at] is this option, and in how many words; 0: it is not. */
static int words_of_option(const cli_args *args, int at, const char *name)
{
    const size_t length = strlen(name);
    if (strcmp(args->argv[at], name) == 0) return 2;
    return strncmp(args->argv[at], name, length) == 0 && args->argv[at][length] == '=';
}

/* How many words of the command line this life goes without, from `at` on. */
static int words_left_out(const cli_args *args, const cli_life *life, int at)
{
    static const char *const of_us[] = { "--ranks", "--restarts" }, *const of_a_start[] = { "--resume", "--weights" };
    int count = 0;
    for (size_t i = 0; i < sizeof of_us / sizeof of_us[0] && count == 0; i++)
        count = words_of_option(args, at, of_us[i]);
    if (count == 0 && life->layout != NULL) count = words_of_option(args, at, "--layout");
    for (size_t i = 0; i < sizeof of_a_start / sizeof of_a_start[0] && count == 0 && life->resume != NULL; i++)
        count = words_of_option(args, at, of_a_start[i]);
    if (count == 0 && life->resume != NULL && args->word_count > 0 && args->argv[at] == args->words[0]) count = 1;
    return count;
}

/* NULL-terminated, to be freed; NULL: no memory. */
static const char **words_of(const cli_args *args, const cli_life *life, const char *program, const char *number)
{
    int count = 0;
    const char **words = calloc((size_t)args->argc + 12, sizeof *words);
    if (words == NULL) return NULL;
    words[count++] = "mpirun";
    words[count++] = "-n";
    words[count++] = number;
    words[count++] = program;
    words[count++] = args->command->name;
    for (int i = 0; i < args->argc; i++) {
        const int left_out = words_left_out(args, life, i);
        if (left_out == 0) words[count++] = args->argv[i];
        else i += left_out - 1;
    }
    if (life->resume != NULL) {
        words[count++] = "--resume";
        words[count++] = life->resume;
    }
    if (life->layout != NULL) {
        words[count++] = "--layout";
        words[count++] = life->layout;
    }
    return words;
}

/* ---- a life ---- */

static void become_mpirun(const char *const *words, pid_t parent)
{
    const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* nobody would watch the ranks any more */
    if (nothing >= 0) (void)dup2(nothing, STDIN_FILENO);
    if (getppid() == parent) (void)execvp(words[0], (char *const *)(uintptr_t)words); /* it changes none of them */
    _exit(127);
}

/* After a loss: mpirun mostly sees to it that the others end, but not that one that hangs does. */
static void end_others(const cli_watch *watch, pid_t mpirun)
{
    const double since_s = cli_clock_s() - watch->lost_s;
    if (watch->loss == CLI_LOSS_HUNG || since_s > GRACE_S) cli_watch_signal(watch, SIGKILL);
    if (since_s > GRACE_S) (void)kill(mpirun, since_s > 2.0 * GRACE_S ? SIGKILL : SIGTERM);
}

/* Until mpirun has ended, and all ranks with it; its status. */
static int await_ranks(cli_watch *watch, pid_t mpirun, const char *ending)
{
    int status = 0;
    bool has_told = false;
    while (waitpid(mpirun, &status, WNOHANG) != mpirun) {
        cli_watch_look(watch);
        if (asked_count > 0) cli_watch_pass_on(watch, asked, asked_count);
        if (watch->loss != CLI_LOSS_NONE && !has_told) cli_watch_tell_loss(watch, ending);
        has_told = watch->loss != CLI_LOSS_NONE;
        if (has_told) end_others(watch, mpirun);
        cli_watch_pause(watch);
    }
    watch->rescan_s = 0.0; /* who began and ended since the last scan has told what it failed with */
    cli_watch_look(watch);
    cli_watch_settle(watch, watch->count > 0 && status != 0 && !cli_watch_has_left(watch));
    if (watch->loss != CLI_LOSS_NONE && !has_told) cli_watch_tell_loss(watch, ending);
    const double until = cli_clock_s() + END_S; /* where mpirun was killed itself */
    for (; !cli_watch_all_gone(watch) && cli_clock_s() < until; cli_watch_pause(watch))
        if (cli_clock_s() > until - END_S + 0.5 * GRACE_S) cli_watch_signal(watch, SIGKILL);
    return status;
}

static cli_exit exit_of(const cli_watch *watch, int status)
{
    if (watch->loss != CLI_LOSS_NONE) return CLI_FAILED;
    if (!WIFEXITED(status)) {
        (void)fprintf(stderr, "farandole: error: mpirun was ended by signal %d\n", WTERMSIG(status));
        return CLI_FAILED;
    }
    const int code = WEXITSTATUS(status);
    if (code != 0 && !cli_watch_has_left(watch))
        (void)fprintf(stderr,
                      "farandole: error: mpirun ended with exit code %d before all ranks had begun; with "
                      "OMPI_MCA_orte_execute_quiet=0 it says more\n",
                      code);
    if (code > 128 && cli_watch_has_left(watch))
        (void)fprintf(stderr, "farandole: error: a rank was ended by signal %d (%s) after it had left the others\n",
                      code - 128, strsignal(code - 128));
    return code > 128 ? CLI_FAILED : (cli_exit)code;
}

static cli_exit live(const char *const *words, const far_ranks_watch *board, cli_life *life)
{
    cli_watch watch;
    const char *ending =
        life->is_last ? "the other ranks were ended" : "the other ranks are ended, and all start again";
    const pid_t self = getpid();
    if (!cli_watch_begin(&watch, board)) return cli_usage_error(NULL, "no memory to watch ranks");
    watch.is_whole = true;
    const pid_t mpirun = fork();
    if (mpirun == 0) become_mpirun(words, self);
    if (mpirun < 0) {
        cli_watch_end(&watch);
        return cli_usage_error(NULL, "--ranks %d: no new process: %s", (int)life->ranks, strerror(errno));
    }
    const int status = await_ranks(&watch, mpirun, ending);
    const cli_exit code = exit_of(&watch, status);
    life->loss = watch.loss;
    if (watch.count == 0 && code != CLI_OK) life->loss = CLI_LOSS_DEAD; /* mpirun got nobody to begin */
    if (far_ranks_watch_folder(board)[0] != '\0')
        (void)snprintf(life->folder, sizeof life->folder, "%s", far_ranks_watch_folder(board));
    cli_watch_end(&watch);
    return code;
}

cli_exit cli_launch_once(const cli_args *args, cli_life *life)
{
    char program[4096], number[16];
    far_ranks_watch *board = NULL;
    cli_exit code = CLI_FAILED;
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return cli_usage_error(NULL, "--ranks %d: /proc does not tell where this program is", (int)life->ranks);
    program[length] = '\0';
    (void)snprintf(number, sizeof number, "%d", (int)life->ranks);
    const char **words = words_of(args, life, program, number);
    if (words == NULL) return cli_usage_error(NULL, "no memory to start ranks");
    life->loss = CLI_LOSS_NONE;
    const far_status st = far_ranks_watch_open(life->ranks, &board);
    if (st == FAR_OK) {
        (void)setenv("FARANDOLE_BOARD", far_ranks_watch_path(board), 1);
        code = live(words, board, life);
        (void)unsetenv("FARANDOLE_BOARD");
    } else {
        code = cli_fail(args, st, CLI_RUNNING);
    }
    far_ranks_watch_close(board);
    free(words);
    return code;
}
