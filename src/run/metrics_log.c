#include "run/metrics_log.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX ((int64_t)4 << 30)
#define LINE_BYTES 8192

struct fari_metrics_log {
    char *path;
    int fd;
    fari_text line;
    fari_tfevents *events; /* NULL: none */
    fari_text nonfinite;   /* "\"loss\": \"nan\", ..." */
    double before_s;
};

/* Whether a line stays. Lines without a step stay; what is no JSON object goes, with a warning. */
static far_status judge_line(fari_metrics_log *log, int64_t number, const char *line, size_t bytes, int64_t resume_step,
                             bool *stays_out)
{
    const char *path = log->path;
    json_error_t error;
    json_t *object = json_loadb(line, bytes, 0, &error);
    if (object == NULL && json_error_code(&error) == json_error_out_of_memory)
        return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", path);
    const json_t *step = json_object_get(object, "step"), *time_s = json_object_get(object, "time_s");
    *stays_out = json_is_object(object) && !(json_is_integer(step) && json_integer_value(step) > resume_step);
    if (*stays_out && json_is_number(time_s) && json_number_value(time_s) > log->before_s)
        log->before_s = json_number_value(time_s);
    if (!json_is_object(object))
        fari_log(FAR_LOG_WARN, "%s: line %" PRId64 " is damaged and was removed", path, number);
    json_decref(object);
    return FAR_OK;
}

/* Rewrites the file without the lines after resume_step. */
static far_status cut_back(fari_metrics_log *log, int64_t resume_step)
{
    const char *path = log->path;
    char *text = NULL;
    size_t bytes = 0, used = 0;
    int64_t number = 1;
    far_status st = FAR_OK;
    FAR_TRY(fari_file_read(path, FILE_MAX, &text, &bytes));
    for (size_t first = 0; first < bytes; number++) {
        const char *end = memchr(text + first, '\n', bytes - first);
        bool stays = false;
        if (end == NULL) break; /* torn by a kill */
        const size_t length = (size_t)(end - (text + first)) + 1;
        FAR_TRY_GOTO(judge_line(log, number, text + first, length, resume_step, &stays), free_text);
        if (stays) {
            memmove(text + used, text + first, length);
            used += length;
        }
        first += length;
    }
    if (used != bytes) st = fari_file_write_atomic(path, text, used);
free_text:
    fari_free(text);
    return st;
}

far_status fari_metrics_log_open(const char *path, int64_t resume_step, fari_metrics_log **log_out)
{
    far_status st = FAR_OK;
    fari_metrics_log *log = fari_calloc(1, sizeof *log);
    if (log == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", path);
    log->fd = -1;
    log->path = fari_strdup(path);
    if (log->path == NULL || !fari_reserve((void **)&log->line.data, &log->line.cap, LINE_BYTES, 1) ||
        !fari_reserve((void **)&log->nonfinite.data, &log->nonfinite.cap, LINE_BYTES / 4, 1)) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", path);
        goto close_log;
    }
    if (fari_path_exists(path)) FAR_TRY_GOTO(cut_back(log, resume_step), close_log);
    log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log->fd < 0) {
        st = FAR_FAIL(FAR_E_IO, "cannot open %s: %s", path, strerror(errno));
        goto close_log;
    }
    *log_out = log;
    return FAR_OK;
close_log:
    fari_metrics_log_close(log);
    return st;
}

void fari_metrics_log_close(fari_metrics_log *log)
{
    if (log == NULL) return;
    if (log->fd >= 0) {
        (void)fsync(log->fd);
        (void)close(log->fd);
    }
    fari_tfevents_close(log->events);
    fari_text_free(&log->nonfinite);
    fari_text_free(&log->line);
    fari_free(log->path);
    fari_free(log);
}

double fari_metrics_log_before_s(const fari_metrics_log *log)
{
    return log->before_s;
}

void fari_metrics_log_mirror(fari_metrics_log *log, fari_tfevents *events)
{
    fari_tfevents_close(log->events);
    log->events = events;
}

void fari_metrics_log_begin(fari_metrics_log *log, int64_t step)
{
    if (log->events != NULL) fari_tfevents_begin(log->events, step);
    log->line.bytes = log->nonfinite.bytes = 0;
    log->line.failed = log->nonfinite.failed = false;
    fari_text_add(&log->line, "{\"step\": %" PRId64, step);
}

static void add_key(fari_text *text, const char *comma, const char *key)
{
    fari_text_add(text, "%s", comma);
    fari_text_json(text, key);
    fari_text_add(text, ": ");
}

static void add_number(fari_metrics_log *log, const char *key, bool is_finite, const char *text)
{
    add_key(&log->line, ", ", key);
    fari_text_add(&log->line, "%s", is_finite ? text : "null");
    if (is_finite) return;
    add_key(&log->nonfinite, log->nonfinite.bytes > 0 ? ", " : "", key);
    fari_text_json(&log->nonfinite, text);
}

void fari_metrics_log_f64(fari_metrics_log *log, const char *key, double value)
{
    char text[FARI_NUMBER_TEXT];
    add_number(log, key, isfinite(value), fari_f64_text(value, text));
    if (log->events != NULL) fari_tfevents_scalar(log->events, key, value);
}

void fari_metrics_log_f32(fari_metrics_log *log, const char *key, float value)
{
    char text[FARI_NUMBER_TEXT];
    add_number(log, key, isfinite(value), fari_f32_text(value, text));
    if (log->events != NULL) fari_tfevents_scalar(log->events, key, (double)value);
}

void fari_metrics_log_i64(fari_metrics_log *log, const char *key, int64_t value)
{
    add_key(&log->line, ", ", key);
    fari_text_add(&log->line, "%" PRId64, value);
    if (log->events != NULL) fari_tfevents_scalar(log->events, key, (double)value);
}

void fari_metrics_log_text(fari_metrics_log *log, const char *key, const char *value)
{
    add_key(&log->line, ", ", key);
    fari_text_json(&log->line, value);
}

far_status fari_metrics_log_end(fari_metrics_log *log)
{
    if (log->nonfinite.bytes > 0) fari_text_add(&log->line, ", \"nonfinite\": {%s}", log->nonfinite.data);
    fari_text_add(&log->line, "}\n");
    if (log->line.failed || log->nonfinite.failed)
        return FAR_FAIL(FAR_E_NOMEM, "no memory for a line of %s", log->path);
    const off_t before = lseek(log->fd, 0, SEEK_END);
    const far_status st = fari_file_write(log->fd, log->path, log->line.data, (size_t)log->line.bytes);
    if (st != FAR_OK && before >= 0 && ftruncate(log->fd, before) != 0)
        fari_log(FAR_LOG_WARN, "%s may end in a torn line", log->path);
    return st == FAR_OK && log->events != NULL ? fari_tfevents_end(log->events) : st;
}
