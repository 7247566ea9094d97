#include "stop.h"
#include "cli.h"
#include "node_watch.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t is_asked;

static bool says_nothing; /* who started this rank speaks */

void cli_stop_say(void)
{
    static const char words[] = "\nfarandole: stopping after this step; once more to stop at once\n";
    if (write(STDERR_FILENO, words, sizeof words - 1) < 0) return; /* nothing can be done about it */
}

static void on_signal(int number)
{
    const int kept = errno;
    if (is_asked) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
    }
    is_asked = 1;
    if (!says_nothing) cli_stop_say();
    errno = kept;
}

void cli_stop_watch(void)
{
    static const int signals[] = { SIGINT, SIGTERM };
    struct sigaction action, before;
    says_nothing = cli_is_silent() || far_ranks_are_watched();
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    (void)sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        /* what the parent had ignored stays ignored: a shell does so for jobs in the background */
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN) continue;
        (void)sigaction(signals[i], &action, NULL);
    }
}

void cli_stop_unwatch(void)
{
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
}

bool cli_stop_asked(void *context)
{
    (void)context;
    cli_node_watch_care(); /* asked once a step */
    return is_asked != 0;
}
