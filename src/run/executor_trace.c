/* What instructions are at, how long they took and when they ran; and when a rank had nothing to run. */
#include "base/clock.h"
#include "base/doing.h"
#include "run/executor_priv.h"
#include <time.h>

/* Of this thread: what others do on the same cores is not in it. */
static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void tell(const fari_executor *exec, int32_t idx)
{
    const int32_t node = exec->plan->instrs[idx].node;
    const fari_node *what = node >= 0 ? exec->plan->graph->nodes[node] : NULL;
    fari_doing(FARI_DOING_COMPUTE, 0, what != NULL ? what->op->name : "the copy of a sample",
               what != NULL ? what->name : NULL);
}

static far_status run_timed(fari_executor *exec, int32_t idx, char *scratch)
{
    tell(exec, idx);
    if (!exec->is_timing) return fari_exec_run_instr(exec, idx, scratch);
    const double begin = seconds_now();
    const far_status st = fari_exec_run_instr(exec, idx, scratch);
    exec->seconds[idx] = seconds_now() - begin;
    return st;
}

far_status fari_exec_run_told(fari_executor *exec, int32_t idx, const fari_worker *self)
{
    if (!exec->is_tracing) return run_timed(exec, idx, self->scratch);
    const double begin_s = fari_clock_s();
    const far_status st = run_timed(exec, idx, self->scratch);
    exec->times[idx] = (fari_instr_time){ begin_s, fari_clock_s(), self->idx };
    return st;
}

void fari_exec_idle_begin(fari_executor *exec)
{
    if (exec->running > 0 || exec->heap_count > 0 || exec->remaining == 0 || exec->idle_since_s >= 0.0) return;
    exec->idle_since_s = fari_clock_s();
}

void fari_exec_idle_end(fari_executor *exec, int32_t instr)
{
    if (exec->idle_since_s < 0.0 || (exec->heap_count == 0 && exec->remaining > 0)) return;
    const double now_s = fari_clock_s();
    const bool is_move = fari_instr_is_move(&exec->plan->instrs[instr]);
    *(is_move ? &exec->disk_idle_s : &exec->idle_s) += now_s - exec->idle_since_s;
    if (exec->is_tracing && !is_move && exec->idle_wait_count < exec->plan->part->message_count)
        exec->idle_waits[exec->idle_wait_count++] = (fari_exec_wait){ exec->idle_since_s, now_s, instr };
    exec->idle_since_s = -1.0;
}

double fari_executor_idle_s(const fari_executor *exec)
{
    return exec->idle_s;
}

double fari_executor_disk_idle_s(const fari_executor *exec)
{
    return exec->disk_idle_s;
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
