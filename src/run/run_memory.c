/* What a run takes in all. */
#include "base/arena.h"
#include "run/run_priv.h"
#include <malloc.h>

/* Libraries take theirs from the same heap: oneDNN's kernels count, only their code does not. */
int64_t run_heap_bytes(void)
{
#ifdef __GLIBC__
    const struct mallinfo2 heap = mallinfo2();
    return (int64_t)(heap.uordblks + heap.hblkhd);
#else
    return 0;
#endif
}

void run_heap_trim(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

/* Of the executors, and what threads touch ahead: the workers of both executors, those that load, the caller's. */
static int64_t executor_bytes(const far_run *run)
{
    const run_side *sides[] = { &run->train, &run->eval };
    int64_t bytes = 0, threads = 1;
    for (size_t i = 0; i < FAR_COUNT(sides); i++) {
        if (sides[i]->plan == NULL) continue;
        bytes += fari_executor_own_bytes(sides[i]->plan);
        threads += run->threads - 1;
    }
    if (run->opts.purpose == FAR_RUN_PREDICT) bytes += run_results_bytes(run);
    if (run_is_training(run)) bytes += run_samples_bytes(run);
    if (run->train.plan != NULL)
        bytes += fari_profile_bytes(run->train.plan) + run->train.plan->instr_count * (int64_t)sizeof(double);
    if (run->train.plan != NULL && run->opts.timeline != NULL) bytes += fari_timeline_bytes(run->train.plan);
    if (run->native.count > 1) threads += run->threads - 1;
    if (run->loader_bytes > 0 && !run_feeds_rows(run, &run->train)) threads += run_loader_threads(run);
    if (run->eval_loader_bytes > 0 && !run_feeds_rows(run, &run->eval)) threads += run_loader_threads(run);
    return bytes + fari_threads_touch_bytes(threads);
}

int64_t far_run_planned_bytes(const far_run *run)
{
    return run->arena_bytes + run->store_bytes + run_saver_bytes(run->saver) + run->data.bytes + run->loader_bytes +
           run->eval_loader_bytes + run->plane_labels_bytes + run->graph_bytes + run->other_bytes + executor_bytes(run);
}
