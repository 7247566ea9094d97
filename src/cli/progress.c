#include "progress.h"
#include "cli.h"
#include <farandole/log.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define TERMINAL_PERIOD_S 0.1
#define PLAIN_PERIOD_S 2.0
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

static void log_line(far_log_level level, const char *line, void *arg)
{
    cli_progress *progress = arg;
    (void)pthread_mutex_lock(&line_lock);
    clear_line(progress);
    if (level <= FAR_LOG_WARN || !progress->is_quiet)
        (void)fprintf(stderr, "farandole: %s%s\n",
                      level == FAR_LOG_ERROR  ? "error: "
                      : level == FAR_LOG_WARN ? "warn: "
                                              : "",
                      line);
    (void)pthread_mutex_unlock(&line_lock);
}

void cli_progress_begin(cli_progress *progress, bool is_quiet)
{
    const char *terminal = getenv("TERM");
    memset(progress, 0, sizeof *progress);
    progress->is_quiet = is_quiet;
    progress->is_terminal = isatty(STDERR_FILENO) && terminal != NULL && strcmp(terminal, "dumb") != 0;
    progress->loss = NAN;
    progress->began_s = cli_clock_s();
    progress->shown_s = progress->began_s - PLAIN_PERIOD_S; /* the first line comes at once */
    far_log_set_sink(log_line, progress);
}

void cli_progress_end(cli_progress *progress)
{
    (void)pthread_mutex_lock(&line_lock);
    clear_line(progress);
    (void)pthread_mutex_unlock(&line_lock);
    far_log_set_sink(NULL, NULL);
}

/* "train  step 120/1,000  epoch 3  loss 0.412  8,123 samples/s  1 min 03 s left" */
static void words(const far_progress *now, char *text_out, size_t bytes)
{
    char at[32], total[32], rate[32], left[32];
    int used =
        snprintf(text_out, bytes, "%-5s %s %s/%s", now->phase, strcmp(now->phase, "train") == 0 ? "step" : "batch",
                 cli_count_text(now->step, at), cli_count_text(now->step_total, total));
    if (strcmp(now->phase, "train") == 0 && used > 0 && (size_t)used < bytes)
        used += snprintf(text_out + used, bytes - (size_t)used, "  epoch %" PRId64, now->epoch + 1);
    if (!isnan(now->loss) && used > 0 && (size_t)used < bytes)
        used += snprintf(text_out + used, bytes - (size_t)used, "  loss %.4g", now->loss);
    if (now->samples_per_s > 0.0 && used > 0 && (size_t)used < bytes)
        used += snprintf(text_out + used, bytes - (size_t)used, "  %s samples/s",
                         now->samples_per_s < 10.0 ? (snprintf(rate, sizeof rate, "%.2g", now->samples_per_s), rate)
                                                   : cli_count_text((int64_t)now->samples_per_s, rate));
    if (now->eta_s >= 0.0 && now->step < now->step_total && used > 0 && (size_t)used < bytes)
        (void)snprintf(text_out + used, bytes - (size_t)used, "  %s left", cli_seconds_text(now->eta_s, left));
}

/* The words, then a bar where there is room for one. */
static void draw(cli_progress *progress, const far_progress *now)
{
    char line[COLUMNS_MAX + 1];
    const int room = columns() - 1; /* the last column would wrap on some terminals */
    words(now, line, (size_t)room + 1 < sizeof line ? (size_t)room + 1 : sizeof line);
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

static void show_line(cli_progress *progress, const far_progress *now, bool is_last)
{
    char line[COLUMNS_MAX];
    const double clock_s = cli_clock_s();
    const double period_s = progress->is_terminal ? TERMINAL_PERIOD_S : PLAIN_PERIOD_S;
    if (!is_last && clock_s - progress->shown_s < period_s) return;
    progress->shown_s = clock_s;
    if (progress->is_terminal) {
        draw(progress, now);
    } else {
        words(now, line, sizeof line);
        (void)fprintf(stderr, "%s\n", line);
    }
}

void cli_progress_show(void *context, const far_progress *now)
{
    cli_progress *progress = context;
    const bool is_training = strcmp(now->phase, "train") == 0;
    if (is_training) {
        if (now->message == NULL) progress->steps++;
        if (!isnan(now->loss)) progress->loss = now->loss;
        if (now->samples_per_s > 0.0) progress->rate = now->samples_per_s;
    }
    if (progress->is_quiet) return;
    (void)pthread_mutex_lock(&line_lock);
    if (now->message != NULL) {
        clear_line(progress);
        (void)fprintf(stderr, "%s\n", now->message);
    } else {
        show_line(progress, now, is_training && now->step == now->step_total);
    }
    (void)fflush(stderr);
    (void)pthread_mutex_unlock(&line_lock);
}
