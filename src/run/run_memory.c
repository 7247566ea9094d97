/* What a run takes in all, and whether that much is there. */
#include "base/arena.h"
#include "plan/print.h"
#include "run/machine.h"
#include "run/run_priv.h"
#include <inttypes.h>
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
    if (run->loader_bytes > 0) threads += run_loader_threads(run);
    if (run->eval_loader_bytes > 0) threads += run_loader_threads(run);
    return bytes + fari_threads_touch_bytes(threads);
}

int64_t far_run_planned_bytes(const far_run *run)
{
    return run->arena_bytes + run->store_bytes + run->data.bytes + run->loader_bytes + run->eval_loader_bytes +
           run->plane_labels_bytes + run->graph_bytes + executor_bytes(run);
}

/* Memory this process may take: as configured, else what is free. */
static int64_t memory_limit(const far_run *run)
{
    const int64_t set = far_config_i64(run->config, "memory");
    if (set > 0) return set;
    const int64_t available = fari_machine_memory_available(""), group = fari_machine_memory_limit("");
    const int64_t group_left = group > 0 ? group - fari_machine_memory_used_of_limit("") : INT64_MAX;
    const int64_t least = available > 0 && available < group_left ? available : group_left;
    return least > 0 ? least : INT64_MAX;
}

#define PROCESS_BYTES (INT64_C(40) << 20) /* code, libraries, stacks: the constant of docs/architecture.md */

far_status run_check_fit(const far_run *run)
{
    char need[32], have[32];
    const int64_t bytes = far_run_planned_bytes(run) + PROCESS_BYTES, limit = memory_limit(run);
    if (bytes <= limit) return FAR_OK;
    return FAR_FAIL(FAR_E_NOFIT,
                    "the plan needs %s and there are %s: lower batch (now %" PRId64 "), model.width or the image size "
                    "(data.downsample), or give more with memory=SIZE; nothing was started",
                    fari_bytes_text(bytes, need), fari_bytes_text(limit, have),
                    run->train.batch > 0 ? run->train.batch : run->eval.batch);
}
