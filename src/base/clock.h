/* Time for measuring. */
#ifndef FARI_BASE_CLOCK_H
#define FARI_BASE_CLOCK_H

/* Seconds of CLOCK_MONOTONIC: the same clock for all processes of a machine, never set back. */
double fari_clock_s(void);
#endif
