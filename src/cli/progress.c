#include "progress.h"
#include "cli.h"
#include <farandole/info.h>
#include <farandole/log.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define TERMINAL_PERIOD_S 0.1
#define PLAIN_PERIOD_S 2.0
#define PLAIN_LINES 60.0 /* so many at the first period, then rarer */
#define COLUMNS_MAX 512
#define BAR_MAX 40
#define BAR_MIN 8

/* Log lines come from any thread. */
static pthread_mutex_t line_lock = PTHREAD_MUTEX_INITIALIZER;

double cli_clock_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col < COLUMNS_MAX ? size.ws_col : COLUMNS_MAX;
}

static void clear_line(cli_progress *progress)
{
    if (!progress->has_line) return;
    (void)fputs("\r\033[K", stderr);
    progress->has_line = false;
}

/* Under lock: a line for log.txt, or for the time until it is open. */
static void keep(cli_progress *progress, const char *before, const char *line)
{
    if (progress->log != NULL) {
        (void)fprintf(progress->log, "%s%s\n", before, line);
        (void)fflush(progress->log);
        return;
    }
    const size_t room = sizeof progress->early - progress->early_bytes;
    const int length = snprintf(progress->early + progress->early_bytes, room, "%s%s\n", before, line);
    if (length > 0 && (size_t)length < room) progress->early_bytes += (size_t)length;
    else progress->early[progress->early_bytes] = '\0'; /* it did not fit */
}

static void log_line(far_log_level level, const char *line, void *arg)
{
    cli_progress *progress = arg;
    const char *kind = level == FAR_LOG_ERROR ? "error: " : level == FAR_LOG_WARN ? "warn: " : "";
    (void)pthread_mutex_lock(&line_lock);
    clear_line(progress);
    if ((level <= FAR_LOG_WARN || !progress->is_quiet) && !cli_is_silent())
        (void)fprintf(stderr, "farandole: %s%s\n", kind, line);
    keep(progress, kind, line);
    (void)pthread_mutex_unlock(&line_lock);
}

void cli_progress_begin(cli_progress *progress, bool is_quiet)
{
    const char *terminal = getenv("TERM");
    memset(progress, 0, sizeof *progress);
    progress->is_quiet = is_quiet || cli_is_silent();
    progress->is_terminal = isatty(STDERR_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0;
    progress->loss = NAN;
    progress->began_s = cli_clock_s();
    progress->shown_s = progress->kept_s = progress->began_s - PLAIN_PERIOD_S; /* the first line comes at once */
    far_log_set_sink(log_line, progress);
}

void cli_progress_end(cli_progress *progress)
{
    (void)pthread_mutex_lock(&line_lock);
    clear_line(progress);
    (void)pthread_mutex_unlock(&line_lock);
    far_log_set_sink(NULL, NULL);
}

void cli_progress_keep(cli_progress *progress, const char *folder, int32_t rank)
{
    char stamp[64], name[32];
    struct tm local;
    const time_t now = time(NULL);
    if (rank == 0) (void)snprintf(name, sizeof name, "log.txt");
    else (void)snprintf(name, sizeof name, "log.rank%d.txt", (int)rank);
    char *path = cli_path(folder, name);
    FILE *log = path != NULL ? fopen(path, "ae") : NULL;
    free(path);
    if (log == NULL) return; /* a folder that takes no files shows that elsewhere */
    (void)localtime_r(&now, &local);
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &local);
    (void)pthread_mutex_lock(&line_lock);
    progress->log = log;
    (void)fprintf(log, "%s%s, farandole %s\n%s", ftell(log) > 0 ? "\n" : "", stamp, far_version(), progress->early);
    (void)fflush(log);
    /* what libraries, sanitizers and the C library have to say of this rank */
    if (rank > 0 && dup2(fileno(log), STDERR_FILENO) >= 0) (void)dup2(fileno(log), STDOUT_FILENO);
    (void)pthread_mutex_unlock(&line_lock);
}

void cli_progress_close(cli_progress *progress)
{
    if (progress->log != NULL) (void)fclose(progress->log);
    progress->log = NULL;
}

/* Text that grows in a buffer and ends where it ends. */
typedef struct line_text {
    char *data;
    size_t bytes, used;
} line_text;

static void add(line_text *text, const char *fmt, ...) FAR_PRINTF(2, 3);
static void add(line_text *text, const char *fmt, ...)
{
    va_list args;
    if (text->used >= text->bytes) return;
    va_start(args, fmt);
    const int length = vsnprintf(text->data + text->used, text->bytes - text->used, fmt, args);
    va_end(args);
    if (length > 0) text->used += (size_t)length;
}

/* "step 120/1,000  epoch 3  loss 0.412  8,123 samples/s  1 min 03 s left"; on a terminal in columns, so that nothing jumps. */
static void words(const far_progress *now, int64_t epoch, bool has_columns, char *data, size_t bytes)
{
    char at[32], total[32], rate[32], left[32];
    const bool is_training = strcmp(now->phase, "train") == 0;
    line_text text = { data, bytes, 0 };
    const int width = snprintf(total, sizeof total, "%s", cli_count_text(now->step_total, rate));
    add(&text, "%s %*s/%s", is_training ? "step" : now->phase, has_columns ? width : 0, cli_count_text(now->step, at),
        total);
    if (is_training) add(&text, "  epoch %" PRId64, epoch);
    if (!isnan(now->loss)) add(&text, has_columns ? "  loss %-8.4g" : "  loss %.4g", now->loss);
    if (now->samples_per_s >= 10.0)
        add(&text, has_columns ? "  %7s samples/s" : "  %s samples/s",
            cli_count_text((int64_t)now->samples_per_s, rate));
    else if (now->samples_per_s > 0.0)
        add(&text, has_columns ? "  %7.2g samples/s" : "  %.2g samples/s", now->samples_per_s);
    if (now->eta_s >= 0.0 && now->step < now->step_total) add(&text, "  %s left", cli_seconds_text(now->eta_s, left));
}

/* The words, then a bar where there is room for one. */
static void draw(cli_progress *progress, const far_progress *now)
{
    char line[COLUMNS_MAX + 1];
    const int room = columns() - 1; /* the last column would wrap on some terminals */
    words(now, progress->epoch, true, line, (size_t)room + 1 < sizeof line ? (size_t)room + 1 : sizeof line);
    int used = (int)strlen(line);
    int bar = room - used - 4;
    if (bar > BAR_MAX) bar = BAR_MAX;
    if (bar >= BAR_MIN && now->step_total > 0) {
        const int full = (int)((double)bar * (double)now->step / (double)now->step_total);
        line[used++] = ' ';
        line[used++] = ' ';
        line[used++] = '[';
        for (int i = 0; i < bar; i++) line[used++] = i < full ? '=' : i == full ? '>' : ' ';
        line[used++] = ']';
        line[used] = '\0';
    }
    (void)fprintf(stderr, "\r%s\033[K", line);
    progress->has_line = true;
}

/* Long runs leave logs of some hundred lines, not of a hundred thousand. */
static double plain_period_s(double elapsed_s)
{
    return elapsed_s < PLAIN_PERIOD_S * PLAIN_LINES ? PLAIN_PERIOD_S : elapsed_s / PLAIN_LINES;
}

static void show_line(cli_progress *progress, const far_progress *now, bool is_last)
{
    char line[COLUMNS_MAX];
    const double clock_s = cli_clock_s(), period_s = plain_period_s(clock_s - progress->began_s);
    if (progress->is_terminal && !progress->is_quiet && (is_last || clock_s - progress->shown_s >= TERMINAL_PERIOD_S)) {
        progress->shown_s = clock_s;
        draw(progress, now);
    }
    if (!is_last && clock_s - progress->kept_s < period_s) return;
    progress->kept_s = clock_s;
    words(now, progress->epoch, false, line, sizeof line);
    if (!progress->is_terminal && !progress->is_quiet) (void)fprintf(stderr, "%s\n", line);
    keep(progress, "", line);
}

void cli_progress_say(cli_progress *progress, const char *line)
{
    (void)pthread_mutex_lock(&line_lock);
    clear_line(progress);
    if (!progress->is_quiet) (void)fprintf(stderr, "%s\n", line);
    keep(progress, "", line);
    (void)pthread_mutex_unlock(&line_lock);
}

/* What is left at the pace so far, evaluations and checkpoints included: steadier than that of the last second. */
static double left_s(const cli_progress *progress, const far_progress *now)
{
    const double elapsed_s = cli_clock_s() - progress->began_s;
    if (progress->steps < 2) return now->eta_s;
    return elapsed_s / (double)progress->steps * (double)(now->step_total - now->step);
}

/* The same of evaluations and predictions, which tell batches done of batches to do. */
static double phase_left_s(cli_progress *progress, const far_progress *now)
{
    const double clock_s = cli_clock_s();
    if (strcmp(progress->phase, now->phase) != 0 || now->step <= progress->phase_step) {
        (void)snprintf(progress->phase, sizeof progress->phase, "%s", now->phase);
        progress->phase_began_s = clock_s;
        progress->phase_step = now->step;
        return -1.0;
    }
    const int64_t seen = now->step - progress->phase_step;
    return (clock_s - progress->phase_began_s) / (double)seen * (double)(now->step_total - now->step);
}

void cli_progress_show(void *context, const far_progress *told)
{
    cli_progress *progress = context;
    far_progress copy = *told, *now = &copy;
    const bool is_training = strcmp(now->phase, "train") == 0;
    if (is_training) {
        if (now->message == NULL) progress->steps++;
        if (!isnan(now->loss)) progress->loss = now->loss;
        /* an epoch's last step belongs to it, though it is done then */
        progress->epoch = now->epoch + (now->epoch == progress->epochs_done || progress->steps < 2);
        progress->epochs_done = now->epoch;
        now->eta_s = left_s(progress, now);
    } else if (now->message == NULL) {
        now->eta_s = phase_left_s(progress, now);
    }
    if (now->message != NULL) {
        cli_progress_say(progress, now->message);
        return;
    }
    (void)pthread_mutex_lock(&line_lock);
    show_line(progress, now, is_training && now->step == now->step_total);
    (void)pthread_mutex_unlock(&line_lock);
}
