/* How fast this machine can be: arithmetic and memory, on so many threads at once. */
#include "backends/cpu/isa/peak.h"
#include "backends/cpu/isa_select.h"
#include "backends/cpu_info.h"
#include "base/arena.h"
#include "base/mem.h"
#include "base/status.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define TRIALS 9
#define TRIAL_S 0.02
#define BLOCKS_BYTES (INT64_C(384) << 20) /* of all threads: a third level of cache can have hundreds of MB */
#define BLOCK_BYTES_MIN (INT64_C(32) << 20)

typedef double (*peak_fn)(int64_t rounds, float *result_out);

static peak_fn peak_of(fari_isa isa)
{
#if defined(FARI_ISA_X86)
    if (isa == FARI_ISA_AVX512) return fari_peak_run_avx512;
    if (isa == FARI_ISA_AVX2) return fari_peak_run_avx2;
#endif
    (void)isa;
    return fari_peak_run_base;
}

/* Of this thread: other programs on its core take time but no part of the rate. */
static double clock_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

typedef enum order { WAIT = 0, GO, LEAVE } order;

typedef struct runner {
    pthread_t thread;
    _Atomic int *signal;
    peak_fn peak; /* NULL: memory is measured */
    char *block;
    size_t block_bytes;
    double rates[TRIALS]; /* operations or bytes a second */
    float result;
} runner;

static double trial(runner *r)
{
    double done = 0.0, seconds;
    const double begin = clock_s();
    do {
        if (r->peak != NULL) {
            done += r->peak(20000, &r->result);
        } else {
            memcpy(r->block, r->block + r->block_bytes / 2, r->block_bytes / 2);
            done += (double)r->block_bytes; /* read and written */
        }
        seconds = clock_s() - begin;
    } while (seconds < TRIAL_S);
    return done / seconds;
}

static void *runner_main(void *arg)
{
    runner *r = arg;
    while (atomic_load(r->signal) == WAIT) (void)sched_yield(); /* all threads begin together */
    if (atomic_load(r->signal) == LEAVE) return NULL;
    for (int i = 0; i < TRIALS; i++) r->rates[i] = trial(r);
    return NULL;
}

/* Of each thread its best trial: what others on the cores take away is not the machine's. */
static double best_of(const runner *runners, int32_t threads)
{
    double sum = 0.0;
    for (int32_t k = 0; k < threads; k++) {
        double best = 0.0;
        for (int i = 0; i < TRIALS; i++)
            if (runners[k].rates[i] > best) best = runners[k].rates[i];
        sum += best;
    }
    return sum;
}

static far_status run_all(runner *runners, int32_t threads)
{
    _Atomic int signal = WAIT;
    int32_t started = 1;
    for (int32_t k = 0; k < threads; k++) runners[k].signal = &signal;
    for (; started < threads; started++)
        if (pthread_create(&runners[started].thread, NULL, runner_main, &runners[started]) != 0) break;
    const bool are_all = started == threads;
    atomic_store(&signal, are_all ? GO : LEAVE);
    if (are_all) (void)runner_main(&runners[0]);
    for (int32_t k = 1; k < started; k++) (void)pthread_join(runners[k].thread, NULL);
    return are_all ? FAR_OK : FAR_FAIL(FAR_E_NOMEM, "the system gave no thread %d of %d", (int)started, (int)threads);
}

far_status fari_cpu_peak(int32_t threads, double *flops_out, double *bytes_out)
{
    fari_isa isa = FARI_ISA_BASE;
    const int64_t block_bytes =
        BLOCKS_BYTES / threads < BLOCK_BYTES_MIN ? BLOCK_BYTES_MIN : BLOCKS_BYTES / threads / 4096 * 4096;
    void *blocks = NULL;
    far_status st = FAR_OK;
    runner *runners = fari_calloc((size_t)threads, sizeof *runners);
    if (runners == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to measure the machine");
    (void)fari_isa_select(NULL, &isa); /* fails only for a limit that does not exist */
    FAR_TRY_GOTO(fari_arena_map(threads * block_bytes, &blocks), done);
    fari_arena_touch(blocks, threads * block_bytes);
    for (int32_t k = 0; k < threads; k++) {
        runners[k].block = (char *)blocks + k * block_bytes;
        runners[k].block_bytes = (size_t)block_bytes;
        runners[k].peak = peak_of(isa);
    }
    FAR_TRY_GOTO(run_all(runners, threads), done);
    *flops_out = best_of(runners, threads);
    for (int32_t k = 0; k < threads; k++) runners[k].peak = NULL;
    FAR_TRY_GOTO(run_all(runners, threads), done);
    *bytes_out = best_of(runners, threads);
done:
    fari_arena_unmap(blocks, threads * block_bytes);
    fari_free(runners);
    return st;
}
