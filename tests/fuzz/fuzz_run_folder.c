/* Any bytes as the files of a run's folder, one after the other with a byte 30 between them: the report is made of what can be read, a resumed run keeps
   the lines that are whole, and text out of files never becomes a page's own. */
#include "base/log.h"
#include "base/status.h"
#include "fuzz/folder_input.h"
#include "run/calibrate.h"
#include "run/metrics_log.h"
#include <farandole/report.h>

static const char *const names[] = { "metrics.jsonl",      "run.json",         "config.yaml",     "profile.json",
                                     "samples/index.json", "samples/some.png", "calibration.json" };

static void put_files(const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < FAR_COUNT(names); i++) {
        const uint8_t *end = bytes > 0 && i + 1 < FAR_COUNT(names) ? memchr(data, 30, bytes) : NULL;
        const size_t length = end != NULL ? (size_t)(end - data) : bytes;
        input_put(names[i], data, length);
        data += length + (end != NULL);
        bytes -= length + (end != NULL);
    }
}

static void make_report(void)
{
    char folder[256], page[256], *text = NULL;
    size_t bytes = 0;
    (void)snprintf(folder, sizeof folder, "%s", input_path(""));
    (void)snprintf(page, sizeof page, "%s", input_path("report.html"));
    const char *const one[] = { folder, folder };
    for (int32_t runs = 1; runs <= 2; runs++) {
        if (far_report_write(one, runs, page) != FAR_OK) abort();
        if (fari_file_read(page, 1 << 28, &text, &bytes) != FAR_OK) abort();
        if (strlen(text) != bytes || strcasestr(text, "<script") != NULL || strstr(text, "</html>") == NULL) abort();
        fari_free(text);
    }
}

static void resume(int64_t step)
{
    fari_metrics_log *log = NULL;
    char *text = NULL;
    size_t bytes = 0;
    const char *path = input_path("metrics.jsonl");
    if (fari_metrics_log_open(path, step, &log) != FAR_OK) abort();
    if (!(fari_metrics_log_before_s(log) >= 0.0)) abort();
    fari_metrics_log_close(log);
    if (fari_file_read(path, 1 << 28, &text, &bytes) != FAR_OK) abort();
    if (bytes > 0 && text[bytes - 1] != '\n') abort();
    fari_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static bool is_ready;
    fari_calibration *calibration = NULL;
    if (!is_ready && fari_folder_make(input_path("samples")) != FAR_OK) abort();
    is_ready = true;
    far_log_set_level(FAR_LOG_ERROR);
    far_error_clear();
    put_files(data, bytes);
    make_report();
    resume(bytes % 32 - 1);
    if (fari_calibration_open(input_path("calibration.json"), &calibration) != FAR_OK) abort();
    fari_calibration_close(calibration);
    if (fari_alloc_live() != 0) abort();
    return 0;
}
