#include "data/probe.h"
#include "base/status.h"
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_S 120

static void run_child(void (*fn)(void *context), void *context)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM, SIGINT, SIGTERM };
    const struct rlimit none = { 0, 0 };
    (void)setrlimit(RLIMIT_CORE, &none);
    /* the parent's handlers would report a crash as its own */
    for (size_t i = 0; i < FAR_COUNT(signals); i++) (void)signal(signals[i], SIG_DFL);
    (void)alarm(LIMIT_S);
    fn(context);
    _exit(0);
}

far_status fari_probe(const char *path, void (*fn)(void *context), void *context)
{
    int ended = 0;
    const pid_t child = fork();
    if (child == 0) run_child(fn, context);
    if (child < 0) return FAR_OK; /* no process to spare: then without */
    while (waitpid(child, &ended, 0) < 0)
        if (errno != EINTR) return FAR_OK; /* somebody else has waited for it */
    if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0) return FAR_OK;
    if (WIFEXITED(ended)) /* exit() inside the library, or a sanitizer that ends the process itself */
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s: damaged: the HDF5 library gives up on it (exit code %d, in a process set apart)", path,
                        WEXITSTATUS(ended));
    if (WTERMSIG(ended) == SIGINT || WTERMSIG(ended) == SIGTERM || WTERMSIG(ended) == SIGKILL)
        return FAR_OK; /* whoever ended it means us as well */
    return FAR_FAIL(FAR_E_FORMAT, "%s: damaged: the HDF5 library %s on it (signal %d, in a process set apart)", path,
                    WTERMSIG(ended) == SIGALRM ? "hangs" : "crashes", WTERMSIG(ended));
}
