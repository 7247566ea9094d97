/**
 * @file tests/test.h
 * Tests, thin on top of cmocka. A test file is an executable:
 *
 *     #include "test.h"
 *     FAR_TEST(name) { FAR_CHECK(1 + 1 == 2); }
 *
 * Cases register themselves and run in order, each in a process of its own: a crash fails one case, state never leaks
 * into the next. A failed check ends the case, from any thread. Checks never compile out and evaluate their arguments
 * once. Output of a case is shown when it fails (or with -v).
 *
 *     test_x                 all cases but torture         test_x --list       their names
 *     test_x name...         these cases                   test_x --torture    the torture cases
 *     test_x --no-fork name  in this process, for gdb      test_x --all        both kinds
 *
 * Exit 0 pass, 1 fail, 77 all skipped. The working directory is the repository root; files belong under $TMPDIR.
 * FAR_TEST_SOURCE_DIR and FAR_TEST_CLI are the paths of the repository and of the command `farandole`.
 * FAR_TEST_CASE_S in the environment limits one case, in seconds (default 300, torture 3600, six times that in a sanitizer's build; 0 none).
 */
#ifndef FAR_TESTS_TEST_H
#define FAR_TESTS_TEST_H

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <farandole/status.h>

typedef struct far_test_case {
    const char *name;
    void (*fn)(void);
    bool is_torture;
    struct far_test_case *next;
} far_test_case;

#define FAR_TEST(id) FAR_TEST_DEFINE_(id, false)
/** Runs only in `make torture`: minutes, much memory, or many processes. */
#define FAR_TEST_TORTURE(id) FAR_TEST_DEFINE_(id, true)

#define FAR_TEST_DEFINE_(id, is_torture_)                                                   \
    static void far_test_fn_##id(void);                                                     \
    static far_test_case far_test_case_##id = { #id, far_test_fn_##id, is_torture_, NULL }; \
    __attribute__((constructor)) static void far_test_add_##id(void)                        \
    {                                                                                       \
        far_test_register(&far_test_case_##id);                                             \
    }                                                                                       \
    static void far_test_fn_##id(void)

#ifndef FAR_COUNT
#define FAR_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#endif

#define FAR_CHECK(cond)                                                        \
    do {                                                                       \
        if (!(cond)) far_test_fail(__FILE__, __LINE__, "not true: %s", #cond); \
    } while (0)

/** With a message of one's own, as printf: FAR_CHECK_MSG(x > 0, "x = %d in case %s", x, name). */
#define FAR_CHECK_MSG(cond, ...)                                     \
    do {                                                             \
        if (!(cond)) far_test_fail(__FILE__, __LINE__, __VA_ARGS__); \
    } while (0)

#define FAR_CHECK_OK(expr) far_test_status(__FILE__, __LINE__, #expr, (expr), FAR_OK)
#define FAR_CHECK_STATUS(expr, want) far_test_status(__FILE__, __LINE__, #expr, (expr), (want))
#define FAR_CHECK_EQ_I64(got, want) far_test_eq_i64(__FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(want))
#define FAR_CHECK_EQ_U64(got, want) far_test_eq_u64(__FILE__, __LINE__, #got, (uint64_t)(got), (uint64_t)(want))
#define FAR_CHECK_STR(got, want) far_test_str(__FILE__, __LINE__, #got, (got), (want))
/** The text contains the part: for messages. */
#define FAR_CHECK_HAS(text, part) far_test_has(__FILE__, __LINE__, #text, (text), (part))
/** |got - want| <= abs_limit, in double; NaN fails. */
#define FAR_CHECK_NEAR(got, want, abs_limit) \
    far_test_near(__FILE__, __LINE__, #got, (double)(got), (double)(want), (double)(abs_limit))
/** got (float *) against want (double *): max |got - want| <= rel_limit * max |want|; NaN fails, on either side. */
#define FAR_CHECK_CLOSE(name, got, want, n, rel_limit) \
    far_test_close(__FILE__, __LINE__, (name), (got), (want), (int64_t)(n), (double)(rel_limit))
/** Two blocks of floats are the same bits. */
#define FAR_CHECK_BITS(name, got, want, n) far_test_bits(__FILE__, __LINE__, (name), (got), (want), (int64_t)(n))

/** Ends the case as skipped; the reason is printed. */
#define FAR_SKIP(why) far_test_skip(why)

void far_test_register(far_test_case *test);
_Noreturn void far_test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void far_test_skip(const char *why);
void far_test_status(const char *file, int line, const char *expr, far_status got, far_status want);
void far_test_eq_i64(const char *file, int line, const char *expr, int64_t got, int64_t want);
void far_test_eq_u64(const char *file, int line, const char *expr, uint64_t got, uint64_t want);
void far_test_str(const char *file, int line, const char *expr, const char *got, const char *want);
void far_test_has(const char *file, int line, const char *expr, const char *text, const char *part);
void far_test_near(const char *file, int line, const char *expr, double got, double want, double abs_limit);
void far_test_close(const char *file, int line, const char *name, const float *got, const double *want, int64_t n,
                    double rel_limit);
void far_test_bits(const char *file, int line, const char *name, const float *got, const float *want, int64_t n);

#endif /* FAR_TESTS_TEST_H */
