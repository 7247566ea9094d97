/* farandole train --ranks N: the command again, N times, by mpirun, and waiting for them. */
#include "cli.h"
#include <errno.h>
#include <farandole/ranks.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static pid_t launcher;

/* The ranks decide together when to stop: mpirun would end them at once. */
static void pass_on(int number)
{
    (void)number;
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

static cli_exit await_ranks(void)
{
    int status = 0;
    while (waitpid(launcher, &status, 0) < 0)
        if (errno != EINTR) return CLI_FAILED;
    if (WIFEXITED(status)) return (cli_exit)WEXITSTATUS(status);
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
    launcher = fork();
    if (launcher == 0) {
        (void)execvp(mpirun, (char *const *)(uintptr_t)words); /* it changes none of them */
        _exit(127);
    }
    free(words);
    if (launcher < 0) return cli_usage_error(NULL, "--ranks %d: no new process: %s", (int)ranks, strerror(errno));
    (void)signal(SIGINT, pass_on);
    (void)signal(SIGTERM, pass_on);
    return await_ranks();
}
