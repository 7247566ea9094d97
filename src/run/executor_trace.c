/* When instructions ran, and when a rank had nothing to run. */
#include "run/executor_priv.h"
#include <time.h>

double fari_exec_clock_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void fari_exec_idle_begin(fari_executor *exec)
{
    if (exec->running > 0 || exec->heap_count > 0 || exec->remaining == 0 || exec->idle_since_s >= 0.0) return;
    exec->idle_since_s = fari_exec_clock_s();
}

void fari_exec_idle_end(fari_executor *exec, int32_t instr)
{
    if (exec->idle_since_s < 0.0 || (exec->heap_count == 0 && exec->remaining > 0)) return;
    const double now_s = fari_exec_clock_s();
    exec->idle_s += now_s - exec->idle_since_s;
    if (exec->is_tracing && exec->idle_wait_count < exec->plan->part->message_count)
        exec->idle_waits[exec->idle_wait_count++] = (fari_exec_wait){ exec->idle_since_s, now_s, instr };
    exec->idle_since_s = -1.0;
}

double fari_executor_idle_s(const fari_executor *exec)
{
    return exec->idle_s;
}

const fari_instr_time *fari_executor_times(const fari_executor *exec)
{
    return exec->times;
}

const fari_exec_wait *fari_executor_waits(const fari_executor *exec, int64_t *count_out)
{
    *count_out = exec->idle_wait_count;
    return exec->idle_waits;
}

void fari_executor_trace(fari_executor *exec, bool is_on)
{
    exec->is_tracing = is_on && exec->times != NULL;
}
