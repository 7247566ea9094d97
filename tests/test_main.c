/* tests/test_main.c: runs the cases of one test executable; see test.h. cmocka runs each case, in a child process. */
#include "test.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { CASE_OPEN, CASE_PASSED, CASE_FAILED, CASE_SKIPPED };

/* What a child tells its parent, in a page they share. */
typedef struct case_note {
    int state;
    char why[256];
} case_note;

static far_test_case *first_case, *current_case;
static case_note *note;
static bool is_child;

void far_test_register(far_test_case *test)
{
    far_test_case **link = &first_case;
    while (*link != NULL) link = &(*link)->next;
    *link = test;
}

/* --- checks --- */

static _Noreturn void end_case(int state, const char *why)
{
    note->state = state;
    (void)snprintf(note->why, sizeof note->why, "%s", why);
    (void)fflush(NULL);
    if (is_child) _exit(state == CASE_SKIPPED ? 77 : 1); /* at once, from whatever thread; leaks no longer matter */
    if (state == CASE_SKIPPED) _skip(why, 0);
    _fail(why, 0);
    abort();
}

void far_test_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "%s:%d: ", file, line);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    end_case(CASE_FAILED, "");
}

void far_test_skip(const char *why)
{
    end_case(CASE_SKIPPED, why);
}

void far_test_status(const char *file, int line, const char *expr, far_status got, far_status want)
{
    if (got == want) return;
    far_test_fail(file, line, "%s\n  is %s, not %s\n  message: %s", expr, far_status_name(got), far_status_name(want),
                  got == FAR_OK ? "none" : far_error_message());
}

void far_test_eq_i64(const char *file, int line, const char *expr, int64_t got, int64_t want)
{
    if (got != want) far_test_fail(file, line, "%s is %" PRId64 ", not %" PRId64, expr, got, want);
}

void far_test_eq_u64(const char *file, int line, const char *expr, uint64_t got, uint64_t want)
{
    if (got != want)
        far_test_fail(file, line, "%s is %" PRIu64 " (0x%" PRIx64 "), not %" PRIu64 " (0x%" PRIx64 ")", expr, got, got,
                      want, want);
}

void far_test_str(const char *file, int line, const char *expr, const char *got, const char *want)
{
    if (got == want || (got != NULL && want != NULL && strcmp(got, want) == 0)) return;
    far_test_fail(file, line, "%s\n  is  \"%s\"\n  not \"%s\"", expr, got == NULL ? "(null)" : got,
                  want == NULL ? "(null)" : want);
}

void far_test_has(const char *file, int line, const char *expr, const char *text, const char *part)
{
    if (text != NULL && strstr(text, part) != NULL) return;
    far_test_fail(file, line, "%s\n  is \"%s\"\n  without \"%s\"", expr, text == NULL ? "(null)" : text, part);
}

void far_test_near(const char *file, int line, const char *expr, double got, double want, double abs_limit)
{
    const double err = fabs(got - want);
    if (!(err <= abs_limit) && got != want)
        far_test_fail(file, line, "%s is %.17g, not %.17g: off by %.3g, limit %.3g", expr, got, want, err, abs_limit);
}

void far_test_close(const char *file, int line, const char *name, const float *got, const double *want, int64_t n,
                    double rel_limit)
{
    double scale = 0.0, worst = -1.0;
    int64_t bad_count = 0, worst_idx = -1;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(want[i])) far_test_fail(file, line, "%s: reference [%" PRId64 "] is %g", name, i, want[i]);
        scale = fmax(scale, fabs(want[i]));
    }
    for (int64_t i = 0; i < n; i++) {
        const double err = fabs((double)got[i] - want[i]);
        if (!(err <= rel_limit * scale)) bad_count++;
        if (!(err <= worst)) { /* NaN is worse than any number, and the first one stays */
            if (!isnan(worst)) worst_idx = i;
            worst = isnan(worst) ? worst : err;
        }
    }
    if (bad_count == 0) return;
    far_test_fail(file, line,
                  "%s: %" PRId64 " of %" PRId64 " outside the limit; worst at [%" PRId64
                  "]: got %.9g, want %.17g, relative error %.3g, limit %.3g",
                  name, bad_count, n, worst_idx, (double)got[worst_idx], want[worst_idx], worst / scale, rel_limit);
}

void far_test_bits(const char *file, int line, const char *name, const float *got, const float *want, int64_t n)
{
    int64_t bad_count = 0, first_idx = -1;
    for (int64_t i = 0; i < n; i++) {
        if (memcmp(&got[i], &want[i], sizeof *got) == 0) continue;
        if (bad_count++ == 0) first_idx = i;
    }
    if (bad_count != 0)
        far_test_fail(file, line, "%s: %" PRId64 " of %" PRId64 " differ; first at [%" PRId64 "]: got %a, want %a",
                      name, bad_count, n, first_idx, (double)got[first_idx], (double)want[first_idx]);
}

/* --- running --- */

static void run_in_cmocka(void **state)
{
    (void)state;
    current_case->fn();
    note->state = CASE_PASSED;
}

static int run_here(far_test_case *test)
{
    const struct CMUnitTest one[] = { { test->name, run_in_cmocka, NULL, NULL, NULL } };
    note->state = CASE_OPEN;
    current_case = test;
    cmocka_set_message_output(CM_OUTPUT_SUBUNIT); /* the least talkative; the lines that count are ours */
    return cmocka_run_group_tests_name(test->name, one, NULL, NULL);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOWNESS 6 /* of code that a sanitizer watches */
#else
#define SLOWNESS 1
#endif

#ifdef __SANITIZE_ADDRESS__
/* Called by the leak checker. Where a file cannot be closed because the disk is full, HDF5 1.10 keeps what it holds. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5\n";
}
#endif

static unsigned case_limit_s(const far_test_case *test)
{
    const char *text = getenv("FAR_TEST_CASE_S");
    if (text != NULL) return (unsigned)strtoul(text, NULL, 10);
    return (test->is_torture ? 3600U : 300U) * SLOWNESS;
}

static void show(FILE *captured)
{
    char block[4096];
    size_t bytes;
    rewind(captured);
    while ((bytes = fread(block, 1, sizeof block, captured)) > 0) (void)fwrite(block, 1, bytes, stdout);
}

/* The state the case ended in; the note says why where it did not simply return. */
static int run_in_child(far_test_case *test, FILE *captured)
{
    int status = 0;
    note->state = CASE_OPEN;
    note->why[0] = '\0';
    (void)fflush(NULL);
    const pid_t pid = fork();
    if (pid < 0) {
        (void)snprintf(note->why, sizeof note->why, "fork: %s", strerror(errno));
        return CASE_FAILED;
    }
    if (pid == 0) {
        is_child = true;
        if (dup2(fileno(captured), STDOUT_FILENO) < 0 || dup2(fileno(captured), STDERR_FILENO) < 0) _exit(1);
        (void)alarm(case_limit_s(test));
        exit(run_here(test) == 0 ? 0 : 1); /* not _exit: the leak checker looks at exit */
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFSIGNALED(status)) {
        const int sig = WTERMSIG(status);
        if (sig == SIGALRM) (void)snprintf(note->why, sizeof note->why, "longer than %u s", case_limit_s(test));
        else (void)snprintf(note->why, sizeof note->why, "killed by signal %d (%s)", sig, strsignal(sig));
        return CASE_FAILED;
    }
    if (WEXITSTATUS(status) == 77 && note->state == CASE_SKIPPED) return CASE_SKIPPED;
    if (WEXITSTATUS(status) == 0 && note->state == CASE_PASSED) return CASE_PASSED;
    if (note->state == CASE_OPEN && WEXITSTATUS(status) == 0)
        (void)snprintf(note->why, sizeof note->why, "the process ended inside the case");
    if (note->state == CASE_PASSED)
        (void)snprintf(note->why, sizeof note->why, "exit status %d after the case", WEXITSTATUS(status));
    return CASE_FAILED;
}

static int run_case(const char *exe, far_test_case *test, bool use_fork, bool is_verbose)
{
    FILE *captured = use_fork ? tmpfile() : NULL;
    int state;
    if (captured == NULL) {
        (void)run_here(test);
        state = note->state == CASE_OPEN ? CASE_FAILED : note->state;
    } else {
        state = run_in_child(test, captured);
    }
    printf("%s ... %s%s%s\n", test->name,
           state == CASE_PASSED    ? "ok"
           : state == CASE_SKIPPED ? "skipped"
                                   : "FAILED",
           note->why[0] != '\0' ? ": " : "", note->why);
    if (captured != NULL) {
        if (state == CASE_FAILED || is_verbose) show(captured);
        (void)fclose(captured);
    }
    if (state == CASE_FAILED) printf("again: %s %s\n", exe, test->name);
    (void)fflush(stdout);
    return state;
}

static far_test_case *find_case(const char *name)
{
    far_test_case *test = first_case;
    while (test != NULL && strcmp(test->name, name) != 0) test = test->next;
    return test;
}

int main(int argc, char **argv)
{
    int count[CASE_SKIPPED + 1] = { 0 };
    int named_count = 0;
    bool list = false, use_fork = true, is_verbose = false, plain = true, torture = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0) list = true;
        else if (strcmp(argv[i], "--no-fork") == 0) use_fork = false;
        else if (strcmp(argv[i], "-v") == 0) is_verbose = true;
        else if (strcmp(argv[i], "--torture") == 0) plain = false, torture = true;
        else if (strcmp(argv[i], "--all") == 0) torture = true;
        else if (find_case(argv[i]) != NULL) named_count++;
        else {
            (void)fprintf(stderr,
                          "%s: no case or option %s\nusage: %s [-v] [--no-fork] [--list|--torture|--all|name...]\n",
                          argv[0], argv[i], argv[0]);
            return 2;
        }
    }
    if (list) {
        for (far_test_case *test = first_case; test != NULL; test = test->next)
            printf("%s%s\n", test->name, test->is_torture ? " (torture)" : "");
        return 0;
    }
    note = mmap(NULL, sizeof *note, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (note == MAP_FAILED) {
        perror("mmap");
        return 2;
    }
    if (named_count > 0) {
        for (int i = 1; i < argc; i++)
            if (argv[i][0] != '-') count[run_case(argv[0], find_case(argv[i]), use_fork, is_verbose)]++;
    } else {
        for (far_test_case *test = first_case; test != NULL; test = test->next)
            if (test->is_torture ? torture : plain) count[run_case(argv[0], test, use_fork, is_verbose)]++;
    }
    (void)munmap(note, sizeof *note);
    printf("%d passed, %d failed, %d skipped\n", count[CASE_PASSED], count[CASE_FAILED], count[CASE_SKIPPED]);
    if (count[CASE_FAILED] > 0) return 1;
    return count[CASE_SKIPPED] > 0 && count[CASE_PASSED] == 0 ? 77 : 0;
}

/* --- sanitizers: read at start-up, before main --- */

__attribute__((visibility("default"))) const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__ubsan_default_options(void);
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);

const char *__asan_default_options(void)
{
    /* 2: cmocka must not take the signal away; null: a test of a huge size wants NULL, not an abort */
    return "handle_segv=2:handle_sigbus=2:handle_sigfpe=2:handle_sigill=2:allocator_may_return_null=1:"
           "detect_stack_use_after_return=1:strict_string_checks=1";
}

const char *__ubsan_default_options(void)
{
    return "print_stacktrace=1";
}

const char *__tsan_default_options(void)
{
    return "halt_on_error=1:second_deadlock_stack=1:allocator_may_return_null=1";
}

const char *__tsan_default_suppressions(void)
{
    /* Built without ThreadSanitizer, their own synchronisation is invisible to it. */
    return "called_from_lib:libdnnl.so\ncalled_from_lib:libgomp.so\ncalled_from_lib:libhwloc.so\n";
}
