/* Levels and sinks. */
#include "base/log.h"
#include "test.h"
#include <unistd.h>

static char last_line[2048];
static int line_count;

static void keep(far_log_level level, const char *line, void *arg)
{
    (void)snprintf(last_line, sizeof last_line, "%d %s", (int)level, line);
    ++*(int *)arg;
}

FAR_TEST(levels_and_sink)
{
    far_log_level level = FAR_LOG_TRACE;
    far_log_set_sink(keep, &line_count);
    FAR_CHECK(far_log_get_level() == FAR_LOG_WARN);
    fari_log(FAR_LOG_INFO, "not said");
    FAR_CHECK_EQ_I64(line_count, 0);
    fari_log(FAR_LOG_WARN, "odd: %d", 3);
    FAR_CHECK_STR(last_line, "1 odd: 3");
    FAR_CHECK_OK(far_log_level_parse("debug", &level));
    far_log_set_level(level);
    FAR_CHECK(fari_log_on(FAR_LOG_DEBUG) && !fari_log_on(FAR_LOG_TRACE));
    fari_log(FAR_LOG_DEBUG, "%2000d", 1); /* cut, not overrun */
    FAR_CHECK_EQ_I64(line_count, 2);
    FAR_CHECK(strlen(last_line) < 1030);
    FAR_CHECK_STATUS(far_log_level_parse("loud", &level), FAR_E_ARG);
    FAR_CHECK_HAS(far_error_message(), "loud");
    FAR_CHECK(level == FAR_LOG_DEBUG);
}
