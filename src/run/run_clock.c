/* Where a training's time goes: steps, waiting for data, evaluations, checkpoints; and which steps are profiled. */
#include "run/run_priv.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PROFILE_EVERY 64 /* a step in so many is timed, instruction by instruction: the price of it does not show */
#define PROFILE_LAST 8   /* and the last ones of a training */

bool run_is_profiled(const far_run *run)
{
    if (run->opts.purpose == FAR_RUN_BENCH) return run->is_profiling;
    return run->steps_total - run->step <= PROFILE_LAST || run->step % PROFILE_EVERY == PROFILE_EVERY / 2;
}

void run_clock_step(far_run *run, double data_s, double step_s)
{
    run_clocks *clocks = &run->clocks;
    clocks->data_s += data_s;
    clocks->step_s += step_s;
    clocks->recent_s[clocks->steps % RUN_RECENT_STEPS] = step_s;
    clocks->steps++;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double run_median_step_s(const far_run *run)
{
    double sorted[RUN_RECENT_STEPS];
    const int64_t count = run->clocks.steps < RUN_RECENT_STEPS ? run->clocks.steps : RUN_RECENT_STEPS;
    if (count == 0) return NAN;
    memcpy(sorted, run->clocks.recent_s, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, by_value);
    return sorted[count / 2];
}
