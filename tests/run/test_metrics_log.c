/* metrics.jsonl: numbers, what is not finite, going back, torn lines. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "run/metrics_log.h"
#include "support/temp_folder.h"
#include "test.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *path;

static void new_path(void)
{
    path = test_path("metrics.jsonl");
}

static void check_content(const char *want)
{
    char *data = NULL;
    size_t bytes = 0;
    FAR_CHECK_OK(fari_file_read(path, 1 << 20, &data, &bytes));
    FAR_CHECK_STR(data, want);
    fari_free(data);
}

static void write_steps(fari_metrics_log *log, int64_t first, int64_t last)
{
    for (int64_t step = first; step <= last; step++) {
        fari_metrics_log_begin(log, step);
        fari_metrics_log_f64(log, "loss", 1.0 / (double)step);
        FAR_CHECK_OK(fari_metrics_log_end(log));
    }
}

FAR_TEST(time_goes_on)
{
    fari_metrics_log *log = NULL;
    new_path();
    FAR_CHECK_OK(fari_metrics_log_open(path, -1, &log));
    FAR_CHECK(fari_metrics_log_before_s(log) == 0.0);
    for (int64_t step = 1; step <= 4; step++) {
        fari_metrics_log_begin(log, step);
        fari_metrics_log_f64(log, "time_s", 1.5 * (double)step);
        FAR_CHECK_OK(fari_metrics_log_end(log));
    }
    fari_metrics_log_close(log);
    FAR_CHECK_OK(fari_metrics_log_open(path, 3, &log)); /* the line of step 4 goes */
    FAR_CHECK(fari_metrics_log_before_s(log) == 4.5);
    fari_metrics_log_close(log);
}

FAR_TEST(lines)
{
    fari_metrics_log *log = NULL;
    new_path();
    FAR_CHECK_OK(fari_metrics_log_open(path, -1, &log));
    const int64_t live = fari_alloc_live();
    fari_alloc_forbid(true);
    fari_metrics_log_begin(log, 3);
    fari_metrics_log_f64(log, "loss", 0.1);
    fari_metrics_log_f32(log, "lr", 0.1f);
    fari_metrics_log_i64(log, "samples", INT64_MAX);
    fari_metrics_log_text(log, "phase", "train \"x\"");
    FAR_CHECK_OK(fari_metrics_log_end(log));
    fari_metrics_log_begin(log, 4);
    fari_metrics_log_f64(log, "loss", (double)NAN);
    fari_metrics_log_f32(log, "norm", -INFINITY);
    FAR_CHECK_OK(fari_metrics_log_end(log));
    fari_alloc_forbid(false);
    FAR_CHECK_EQ_I64(fari_alloc_live(), live);
    check_content(
        "{\"step\": 3, \"loss\": 0.1, \"lr\": 0.1, \"samples\": 9223372036854775807, \"phase\": \"train \\\"x\\\"\"}\n"
        "{\"step\": 4, \"loss\": null, \"norm\": null, \"nonfinite\": {\"loss\": \"nan\", \"norm\": \"-inf\"}}\n");
    fari_metrics_log_close(log);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(going_back_removes_later_lines)
{
    fari_metrics_log *log = NULL;
    new_path();
    FAR_CHECK_OK(fari_metrics_log_open(path, -1, &log));
    write_steps(log, 1, 5);
    fari_metrics_log_close(log);
    FAR_CHECK_OK(fari_metrics_log_open(path, 2, &log));
    write_steps(log, 3, 3);
    fari_metrics_log_close(log);
    check_content(
        "{\"step\": 1, \"loss\": 1}\n{\"step\": 2, \"loss\": 0.5}\n{\"step\": 3, \"loss\": 0.3333333333333333}\n");
    FAR_CHECK_OK(fari_metrics_log_open(path, -1, &log)); /* a new run */
    fari_metrics_log_close(log);
    check_content("");
}

static char warning[1024];

static void keep_warning(far_log_level level, const char *line, void *arg)
{
    (void)level;
    (void)arg;
    (void)snprintf(warning, sizeof warning, "%s", line);
}

FAR_TEST(torn_and_damaged_lines_go)
{
    static const char text[] =
        "{\"step\": 1, \"a\": 1}\n{\"note\": \"no step\"}\n{\"step\": 2, \"a\"\n{\"step\": 2, \"a\": 2}\n{\"step\": 3, \"a";
    fari_metrics_log *log = NULL;
    new_path();
    far_log_set_sink(keep_warning, NULL);
    FAR_CHECK_OK(fari_file_write_atomic(path, text, sizeof text - 1));
    FAR_CHECK_OK(fari_metrics_log_open(path, 3, &log));
    FAR_CHECK_HAS(warning, "line 3");
    fari_metrics_log_close(log);
    check_content("{\"step\": 1, \"a\": 1}\n{\"note\": \"no step\"}\n{\"step\": 2, \"a\": 2}\n");
}

FAR_TEST(full_disk_leaves_whole_lines)
{
    fari_metrics_log *log = NULL;
    struct rlimit limit = { 70, 70 };
    new_path();
    FAR_CHECK_OK(fari_metrics_log_open(path, -1, &log));
    write_steps(log, 1, 2);
    (void)signal(SIGXFSZ, SIG_IGN);
    FAR_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    fari_metrics_log_begin(log, 3);
    fari_metrics_log_f64(log, "loss", 1.0 / 3.0);
    FAR_CHECK_STATUS(fari_metrics_log_end(log), FAR_E_IO);
    FAR_CHECK_HAS(far_error_message(), "metrics.jsonl");
    fari_metrics_log_close(log);
    check_content("{\"step\": 1, \"loss\": 1}\n{\"step\": 2, \"loss\": 0.5}\n");
}
