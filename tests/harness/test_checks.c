/* tests/harness/test_checks.c: the checks themselves: each fails when it should, a test that cannot fail is no test. */
#include "test.h"

#include <sys/wait.h>
#include <unistd.h>

static const float ones[3] = { 1.0f, 1.0f, 1.0f };
static const double ones_want[3] = { 1.0, 1.0, 1.0 };

static void check_false(void)
{
    FAR_CHECK(1 > 2);
}

static void status_not_ok(void)
{
    FAR_CHECK_OK(FAR_E_IO);
}

static void status_ok_for_error(void)
{
    FAR_CHECK_STATUS(FAR_OK, FAR_E_IO);
}

static void integers_differ(void)
{
    FAR_CHECK_EQ_I64(INT64_MAX, INT64_MIN);
}

static void strings_differ(void)
{
    FAR_CHECK_STR("a", "b");
}

static void string_is_null(void)
{
    FAR_CHECK_STR(NULL, "b");
}

static void part_is_absent(void)
{
    FAR_CHECK_HAS("conv2d", "linear");
}

static void near_nan(void)
{
    FAR_CHECK_NEAR(NAN, 1.0, 1e9);
}

static void near_too_far(void)
{
    FAR_CHECK_NEAR(1.5, 1.0, 0.25);
}

static void close_got_nan(void)
{
    const float got[3] = { 1.0f, NAN, 1.0f };
    FAR_CHECK_CLOSE("nan", got, ones_want, 3, 1e9);
}

static void close_got_infinity(void)
{
    const float got[3] = { 1.0f, 1.0f, -INFINITY };
    FAR_CHECK_CLOSE("infinity", got, ones_want, 3, 1e9);
}

static void close_want_nan(void)
{
    const double want[3] = { NAN, 1.0, 1.0 };
    FAR_CHECK_CLOSE("nan wanted", ones, want, 3, 1e9);
}

static void close_want_infinity(void)
{
    const double want[3] = { INFINITY, 1.0, 1.0 };
    FAR_CHECK_CLOSE("infinity wanted", ones, want, 3, 1e9);
}

static void close_last_is_off(void)
{
    const float got[3] = { 1.0f, 1.0f, 1.001f };
    FAR_CHECK_CLOSE("last", got, ones_want, 3, 1e-4);
}

static void close_to_zeros(void)
{
    const double zeros[3] = { 0.0 };
    FAR_CHECK_CLOSE("zeros", ones, zeros, 3, 1.0);
}

static void bits_of_zeros(void)
{
    const float plus[1] = { 0.0f }, minus[1] = { -0.0f };
    FAR_CHECK_BITS("zeros", plus, minus, 1);
}

static const struct {
    const char *name;
    void (*fn)(void);
} failing[] = {
    { "check_false", check_false },
    { "status_not_ok", status_not_ok },
    { "status_ok_for_error", status_ok_for_error },
    { "integers_differ", integers_differ },
    { "strings_differ", strings_differ },
    { "string_is_null", string_is_null },
    { "part_is_absent", part_is_absent },
    { "near_nan", near_nan },
    { "near_too_far", near_too_far },
    { "close_got_nan", close_got_nan },
    { "close_got_infinity", close_got_infinity },
    { "close_want_nan", close_want_nan },
    { "close_want_infinity", close_want_infinity },
    { "close_last_is_off", close_last_is_off },
    { "close_to_zeros", close_to_zeros },
    { "bits_of_zeros", bits_of_zeros },
};

FAR_TEST(failing_checks_end_the_case)
{
    for (size_t i = 0; i < FAR_COUNT(failing); i++) {
        int status = 0;
        (void)fflush(NULL);
        const pid_t pid = fork();
        if (pid == 0) {
            failing[i].fn();
            _exit(0); /* the check let it through */
        }
        FAR_CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        FAR_CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%s: wait status 0x%x", failing[i].name,
                      (unsigned)status);
    }
}

FAR_TEST(fitting_values_pass)
{
    const float got[3] = { 1.0f, 1.00001f, 0.99999f };
    const double zeros[3] = { 0.0 };
    const float zeros_got[3] = { 0.0f };
    const char *null = NULL;
    FAR_CHECK(true);
    FAR_CHECK_OK(FAR_OK);
    FAR_CHECK_STATUS(FAR_E_IO, FAR_E_IO);
    FAR_CHECK_EQ_I64(-1, -1);
    FAR_CHECK_EQ_U64(UINT64_MAX, UINT64_MAX);
    FAR_CHECK_STR("a", "a");
    FAR_CHECK_STR(null, null);
    FAR_CHECK_HAS("conv2d", "2d");
    FAR_CHECK_NEAR(1.5, 1.0, 0.5);
    FAR_CHECK_CLOSE("close", got, ones_want, 3, 1e-4);
    FAR_CHECK_CLOSE("zeros", zeros_got, zeros, 3, 0.0);
    FAR_CHECK_CLOSE("nothing", got, zeros, 0, 0.0);
    FAR_CHECK_BITS("bits", ones, ones, 3);
}

FAR_TEST(arguments_are_evaluated_once)
{
    int count = 0;
    FAR_CHECK(++count > 0);
    FAR_CHECK_EQ_I64(++count, 2);
    FAR_CHECK_NEAR(++count, 3.0, 0.0);
    FAR_CHECK_EQ_I64(count, 3);
}
