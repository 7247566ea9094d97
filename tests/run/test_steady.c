/* From the third step on a run allocates nothing of its own and faults no page: everything was decided and touched before. */
#include "base/file.h"
#include "base/mem.h"
#include "test.h"
#include <dlfcn.h>
#include <farandole/run.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- malloc, interposed: who asks? ---- */

extern char __executable_start, etext; /* the linker's: the program's own code, our library in it */

static _Atomic int64_t own_allocations, all_allocations;
static _Atomic bool is_counting;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static void count_allocation(const void *caller)
{
    if (!atomic_load(&is_counting)) return;
    atomic_fetch_add(&all_allocations, 1);
    if ((const char *)caller >= &__executable_start && (const char *)caller < &etext)
        atomic_fetch_add(&own_allocations, 1);
}

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
__attribute__((visibility("default"))) void *malloc(size_t bytes)
{
    count_allocation(__builtin_return_address(0));
    return __libc_malloc(bytes);
}
__attribute__((visibility("default"))) void *calloc(size_t count, size_t bytes)
{
    count_allocation(__builtin_return_address(0));
    return __libc_calloc(count, bytes);
}
__attribute__((visibility("default"))) void *realloc(void *old, size_t bytes)
{
    count_allocation(__builtin_return_address(0));
    return __libc_realloc(old, bytes);
}
#define IS_INTERPOSED 1
#else
#define IS_INTERPOSED 0
#endif

/* ---- a run, watched between steps ---- */

#define STEPS 10

typedef struct watch {
    int64_t faults[STEPS + 1], own[STEPS + 1], all[STEPS + 1];
    int64_t steps;
} watch;

static void after_step(void *context, const far_progress *progress)
{
    watch *w = context;
    struct rusage usage;
    if (strcmp(progress->phase, "train") != 0 || progress->step > STEPS) return;
    (void)getrusage(RUSAGE_SELF, &usage);
    /* the system may take back pages of code that lie idle (DAMON does): what is here stays, what is not still faults and counts */
    if (progress->step == 1) (void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
    w->faults[progress->step] = usage.ru_minflt + usage.ru_majflt;
    w->own[progress->step] = atomic_load(&own_allocations);
    w->all[progress->step] = atomic_load(&all_allocations);
    w->steps = progress->step;
    atomic_store(&is_counting, true);
}

static void watch_run(const char *const *settings, watch *w)
{
    far_config *config = NULL;
    far_run *run = NULL;
    char folder[512];
    const far_run_opts opts = { .progress = after_step, .progress_context = w };
    memset(w, 0, sizeof *w);
    (void)snprintf(folder, sizeof folder, "run.dir=%s/steady-%s-%d",
                   getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp", settings[0], (int)getpid());
    FAR_CHECK_OK(far_config_create(&config));
    for (int32_t i = 1; settings[i] != NULL; i++) FAR_CHECK_OK(far_config_set(config, settings[i]));
    FAR_CHECK_OK(far_config_set(config, folder));
    FAR_CHECK_OK(far_config_set(config, "data.kind=synthetic"));
    FAR_CHECK_OK(far_config_set(config, "train.steps=10"));
    FAR_CHECK_OK(far_config_set(config, "train.eval_every=1000"));
    FAR_CHECK_OK(far_config_set(config, "train.checkpoint_every=1000"));
    FAR_CHECK_OK(far_config_set(config, "train.log_every=1"));
    FAR_CHECK_OK(far_config_set(config, "threads=2"));
    FAR_CHECK_OK(far_run_open(config, &opts, &run));
    FAR_CHECK_OK(far_run_train(run));
    FAR_CHECK_OK(fari_remove_tree(far_run_folder(run)));
    far_run_close(run);
    far_config_destroy(config);
    FAR_CHECK_EQ_I64(w->steps, STEPS);
}

#define ATTEMPTS 3

/* Page faults in steps 3 to 10 of one run. Allocations must be steady in every run. */
static int64_t faults_of_run(const char *const *settings)
{
    watch w;
    watch_run(settings, &w);
    const int64_t faults = w.faults[STEPS] - w.faults[2], late = w.faults[STEPS] - w.faults[5];
    printf(
        "%s: %d page faults in steps 3 to %d, %d of them after step 5, %d allocations of ours, %d of libraries a step\n",
        settings[0], (int)faults, STEPS, (int)late, (int)(w.own[STEPS] - w.own[2]),
        (int)(w.all[STEPS] - w.all[2]) / (STEPS - 2));
    FAR_CHECK_EQ_I64(w.own[STEPS] - w.own[2], 0);
    FAR_CHECK_EQ_I64(fari_alloc_forbidden_count(), 0);
    for (int32_t i = 4; i <= STEPS && IS_INTERPOSED; i++)
        FAR_CHECK_EQ_I64(w.all[i] - w.all[i - 1], w.all[3] - w.all[2]);
    if (IS_INTERPOSED)
        FAR_CHECK(w.all[STEPS] > w.all[2]); /* oneDNN allocates: zero would mean that nothing was counted */
    return faults;
}

/* On a busy machine a thread may reach a page of its code or stack for the first time some steps late: one run of three has to show
   that none is needed. How many it took is printed. */
static void check_steady(const char *const *settings)
{
    int64_t faults = 1;
    for (int32_t i = 0; i < ATTEMPTS && faults > 0; i++) faults = faults_of_run(settings);
    if (IS_INTERPOSED) FAR_CHECK_EQ_I64(faults, 0);
}

FAR_TEST(lenet5_is_steady)
{
    check_steady((const char *const[]){ "lenet5", "model.name=lenet5", "batch=32", "data.synthetic.shape=[1, 28, 28]",
                                        "data.augment.flip=true", "data.augment.crop_pad=2", NULL });
}

FAR_TEST(resnet18_is_steady)
{
    check_steady((const char *const[]){ "resnet18", "model.name=resnet18", "batch=8",
                                        "data.synthetic.shape=[3, 64, 64]", "optim.name=lars", "optim.clip_norm=1",
                                        NULL });
}

FAR_TEST(a21_is_steady)
{
    check_steady((const char *const[]){ "a21", "model.name=a21", "batch=1", "data.synthetic.shape=[3, 128, 64]",
                                        "data.synthetic.classes=3", "data.synthetic.label=map", "optim.name=adam",
                                        NULL });
}
