/* Axes with round numbers. */
#ifndef FARI_REPORT_AXIS_H
#define FARI_REPORT_AXIS_H
#include <stdbool.h>
#include <stdint.h>

#define FARI_TICKS_MAX 24

typedef struct fari_axis {
    double low, high; /* of the data, then of the drawing */
    bool is_log;
    double ticks[FARI_TICKS_MAX];
    int32_t tick_count;
    double from, to; /* places in the drawing */
} fari_axis;

/* Nothing yet: take values in. */
void fari_axis_begin(fari_axis *axis);
void fari_axis_take(fari_axis *axis, double value);
/* Chooses about `ticks` round numbers. is_tight: the axis ends where the data does, else at round numbers. */
void fari_axis_finish(fari_axis *axis, int32_t ticks, bool is_tight);
double fari_axis_at(const fari_axis *axis, double value);
#endif
