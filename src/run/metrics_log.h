/* metrics.jsonl: one JSON object a line, `{"step": 20, "loss": 0.693, ...}`, on disk line by line. */
#ifndef FARI_RUN_METRICS_LOG_H
#define FARI_RUN_METRICS_LOG_H
#include "run/tfevents.h"
#include <farandole/status.h>
#include <stdint.h>

typedef struct fari_metrics_log fari_metrics_log;

/* Opens for appending. A last line that a kill tore is removed, and all lines with a step above `resume_step` (-1: of a new run; all lines go). */
far_status fari_metrics_log_open(const char *path, int64_t resume_step, fari_metrics_log **log_out);
void fari_metrics_log_close(fari_metrics_log *log); /* NULL is allowed */
/* The largest "time_s" of the lines that stayed, 0 without any: how long earlier lives of the run took. */
double fari_metrics_log_before_s(const fari_metrics_log *log);

/* A line: begin, members, end. Numbers have as many digits as they need to read back the same; what is not finite is null, and its key is
   listed under "nonfinite" with what it was. Does not allocate for lines below 8 KiB. */
void fari_metrics_log_begin(fari_metrics_log *log, int64_t step);
void fari_metrics_log_f64(fari_metrics_log *log, const char *key, double value);
void fari_metrics_log_f32(fari_metrics_log *log, const char *key, float value);
void fari_metrics_log_i64(fari_metrics_log *log, const char *key, int64_t value);
void fari_metrics_log_text(fari_metrics_log *log, const char *key, const char *value);
far_status fari_metrics_log_end(fari_metrics_log *log); /* FAR_E_IO: names the file; the line is whole or not there */

/* From now on numbers go into the event file too, under the same names. The log closes it with itself. */
void fari_metrics_log_mirror(fari_metrics_log *log, fari_tfevents *events);
#endif
