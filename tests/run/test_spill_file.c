/* The file of what waits on disk, and disks that fail in the middle of a step. */
#include "base/file.h"
#include "base/mem.h"
#include "graph/graph.h"
#include "plan/plan.h"
#include "run/executor.h"
#include "run/spill_file.h"
#include "support/net_cases.h"
#include "support/temp_folder.h"
#include "test.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define PAGE FARI_PAGE_BYTES

/* The descriptor of the one file of this process that has lost its name and takes `bytes`. */
static int find_spill(int64_t bytes)
{
    DIR *all = opendir("/proc/self/fd");
    int found = -1;
    FAR_CHECK(all != NULL);
    for (const struct dirent *one = readdir(all); one != NULL; one = readdir(all)) {
        struct stat info;
        const int fd = atoi(one->d_name);
        if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink != 0 || info.st_size != bytes) continue;
        FAR_CHECK(found < 0);
        found = fd;
    }
    (void)closedir(all);
    FAR_CHECK(found >= 0);
    return found;
}

static void *pages_of(int64_t count, int seed)
{
    unsigned char *data = aligned_alloc(PAGE, (size_t)(count * PAGE));
    FAR_CHECK(data != NULL);
    for (int64_t i = 0; i < count * PAGE; i++) data[i] = (unsigned char)(i * 31 + i / 251 + seed);
    return data;
}

FAR_TEST(pieces_come_back)
{
    char folder[TEMP_FOLDER_BYTES], **names = NULL;
    int64_t count = 0;
    fari_spill_file *file = NULL;
    temp_folder(folder);
    FAR_CHECK_OK(fari_spill_file_open(folder, 100 * PAGE, false, &file));
    FAR_CHECK_OK(fari_folder_list(folder, &names, &count));
    FAR_CHECK_EQ_I64(count, 0); /* no name */
    struct stat info;
    FAR_CHECK(fstat(find_spill(100 * PAGE), &info) == 0);
    FAR_CHECK(info.st_blocks * 512 >= 100 * PAGE); /* its room is taken */
    printf("%s: %s\n", folder, fari_spill_file_is_direct(file) ? "past the page cache" : "through the page cache");
    char *one = pages_of(3, 1), *other = pages_of(3, 2), *back = pages_of(3, 3);
    FAR_CHECK_OK(fari_spill_file_write(file, 97 * PAGE, one, 3 * PAGE));
    FAR_CHECK_OK(fari_spill_file_write(file, 0, other, 2 * PAGE));
    FAR_CHECK_OK(fari_spill_file_read(file, 97 * PAGE, back, 3 * PAGE));
    FAR_CHECK(memcmp(back, one, 3 * PAGE) == 0);
    FAR_CHECK_OK(fari_spill_file_read(file, PAGE, back, PAGE));
    FAR_CHECK(memcmp(back, other + PAGE, PAGE) == 0 && memcmp(back + PAGE, one + PAGE, 2 * PAGE) == 0);
    fari_spill_file_close(file);
    free(one);
    free(other);
    free(back);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(no_room_is_told_before_the_start)
{
    char folder[TEMP_FOLDER_BYTES], words[TEMP_FOLDER_BYTES + 64];
    fari_spill_file *file = NULL;
    temp_folder(folder);
    FAR_CHECK_STATUS(fari_spill_file_open(folder, INT64_C(1) << 52, false, &file), FAR_E_IO);
    FAR_CHECK_HAS(far_error_message(), "for spilled tensors in folder ");
    FAR_CHECK_HAS(far_error_message(), folder);
    (void)snprintf(words, sizeof words, "%s/nowhere", folder);
    FAR_CHECK_STATUS(fari_spill_file_open(words, PAGE, false, &file), FAR_E_IO);
    FAR_CHECK_HAS(far_error_message(), "run.spill_dir");
    FAR_CHECK(file == NULL);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* ---- file systems that do not pass the page cache by ---- */

/* What takes O_DIRECT: as older tmpfs, nothing; or the flag, but no write; or no read. */
enum { TAKES_ALL, TAKES_NO_FLAG, TAKES_NO_WRITE, TAKES_NO_READ };
static _Atomic int takes, refused, forgotten;

bool refuses(int fd, int what); /* not static: the C library may declare its callers inline */
bool refuses(int fd, int what)
{
    if (takes != what || (syscall(SYS_fcntl, fd, F_GETFL, 0) & O_DIRECT) == 0) return false;
    refused++;
    (void)usleep(20000); /* others are refused meanwhile */
    errno = EINVAL;
    return true;
}

/* In place of the C library's, for the whole process. */
int fcntl(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    const long argument = va_arg(args, long);
    va_end(args);
    if (takes == TAKES_NO_FLAG && command == F_SETFL && (argument & O_DIRECT) != 0) {
        refused++;
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at)
{
    return refuses(fd, TAKES_NO_WRITE) ? -1 : syscall(SYS_pwrite64, fd, data, bytes, at);
}

ssize_t pread(int fd, void *data, size_t bytes, off_t at)
{
    return refuses(fd, TAKES_NO_READ) ? -1 : syscall(SYS_pread64, fd, data, bytes, at);
}

int posix_fadvise(int fd, off_t at, off_t bytes, int advice)
{
    forgotten += advice == POSIX_FADV_DONTNEED;
    return syscall(SYS_fadvise64, fd, at, bytes, advice) == 0 ? 0 : errno;
}

FAR_TEST(through_the_page_cache_where_it_must_be)
{
    char folder[TEMP_FOLDER_BYTES];
    fari_spill_file *file = NULL;
    net_result want, got;
    temp_folder(folder);
    FAR_CHECK_OK(fari_spill_file_open(folder, PAGE, false, &file));
    const bool is_direct = fari_spill_file_is_direct(file);
    fari_spill_file_close(file);
    if (!is_direct) FAR_SKIP("files in TMPDIR always go through the page cache");
    const net_variant variant = { .grain = { .samples = 1, .rows = 8 },
                                  .threads = 2,
                                  .spill = { .mode = FARI_SPILL_MOST, .min_bytes = 1, .piece_bytes = PAGE },
                                  .spill_folder = folder };
    net_run(&net_unet_group, &variant, 2, &want);
    for (int what = TAKES_NO_FLAG; what <= TAKES_NO_READ; what++) {
        char *data = pages_of(2, what), *back = pages_of(2, 0);
        takes = what;
        refused = forgotten = 0;
        FAR_CHECK_OK(fari_spill_file_open(folder, 10 * PAGE, false, &file));
        FAR_CHECK_OK(fari_spill_file_write(file, 3 * PAGE, data, 2 * PAGE));
        FAR_CHECK_OK(fari_spill_file_read(file, 3 * PAGE, back, 2 * PAGE));
        FAR_CHECK(memcmp(data, back, 2 * PAGE) == 0 && !fari_spill_file_is_direct(file));
        FAR_CHECK(refused == 1 &&
                  forgotten >= (what == TAKES_NO_READ ? 1 : 2)); /* asked once; the cache keeps nothing */
        fari_spill_file_close(file);
        net_run(&net_unet_group, &variant, 2, &got);
        FAR_CHECK_MSG(refused >= 2 && forgotten > 100, "%d refusals, %d pieces forgotten", refused, forgotten);
        FAR_CHECK_MSG(strcmp(got.digest, want.digest) == 0, "other bits: %s, not %s", got.digest, want.digest);
        free(data);
        free(back);
    }
}

/* ---- in the middle of a step ---- */

typedef struct rig {
    far_graph *graph;
    fari_backend *backend;
    fari_plan *plan;
    fari_store *store;
    fari_executor *exec;
    far_dataset *set;
    far_loader *loader;
    int64_t step;
} rig;

static void rig_open(rig *r, const char *folder)
{
    net_case net = net_unet_group;
    *r = (rig){ .graph = net_graph(&net), .step = 0 };
    r->loader = net_loader(&net, &r->set);
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &r->backend));
    const fari_plan_opts opts = { .grain = { .samples = 1, .rows = 8 },
                                  .spill = { .mode = FARI_SPILL_MOST, .min_bytes = 1, .piece_bytes = PAGE },
                                  .threads = 2,
                                  .backend = r->backend };
    const fari_exec_opts exec = { .spill_folder = folder };
    FAR_CHECK_OK(fari_plan_create(r->graph, &opts, &r->plan));
    FAR_CHECK_OK(fari_store_create(r->graph, false, NET_SEED, &r->store));
    FAR_CHECK_OK(fari_executor_create(r->plan, r->store, &exec, &r->exec));
}

static far_status rig_step(rig *r)
{
    double hyper[NET_GROUPS * FAR_HYPER_COUNT];
    far_batch batch;
    void *feed[2];
    FAR_CHECK_OK(far_loader_next(r->loader, &batch));
    memcpy(&feed[0], &batch.images, sizeof feed[0]);
    memcpy(&feed[1], &batch.labels, sizeof feed[1]);
    far_optim_hyper(&net_unet_group.optim, r->step, 0.01, 0.01, hyper);
    const fari_step step = { .seed = NET_SEED,
                             .step = r->step++,
                             .epoch = batch.epoch,
                             .sample_ids = batch.sample_ids,
                             .hyper = hyper,
                             .feed = feed };
    return fari_executor_step(r->exec, &step);
}

static void rig_close(rig *r)
{
    fari_executor_destroy(r->exec);
    fari_store_destroy(r->store);
    fari_plan_destroy(r->plan);
    r->backend->destroy(r->backend);
    far_loader_close(r->loader);
    far_dataset_close(r->set);
    far_graph_destroy(r->graph);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* Something else stands in for the file, from the second step on. */
static void with_instead(const char *path, int flags, const char *words)
{
    char folder[TEMP_FOLDER_BYTES];
    rig r;
    temp_folder(folder);
    rig_open(&r, folder);
    FAR_CHECK_OK(rig_step(&r));
    const int fd = find_spill(r.plan->spill_bytes), other = open(path != NULL ? path : folder, flags);
    FAR_CHECK(other >= 0 && dup2(other, fd) == fd && close(other) == 0);
    for (int32_t i = 0; i < 2; i++) { /* and again: nothing of a failed step is on its way into the next one */
        FAR_CHECK_STATUS(rig_step(&r), FAR_E_IO);
        FAR_CHECK_HAS(far_error_message(), words);
        FAR_CHECK_HAS(far_error_message(), "tensor ");
    }
    rig_close(&r);
}

FAR_TEST(a_full_disk_ends_the_step)
{
    with_instead("/dev/full", O_RDWR, "No space left on device; make room there");
}

FAR_TEST(a_disk_that_cannot_be_written_ends_the_step)
{
    with_instead("/dev/null", O_RDONLY, "cannot write byte ");
}

FAR_TEST(a_disk_that_ends_early_ends_the_step)
{
    with_instead("/dev/null", O_RDWR, "somebody has cut it short");
}

FAR_TEST(a_disk_that_forgets_ends_the_step)
{
    with_instead("/dev/zero", O_RDWR, "did not come back as they were written");
}

FAR_TEST(a_limit_on_files_ends_the_step)
{
    char folder[TEMP_FOLDER_BYTES];
    struct rlimit limit;
    rig r;
    temp_folder(folder);
    (void)signal(SIGXFSZ, SIG_IGN);
    rig_open(&r, folder);
    FAR_CHECK_OK(rig_step(&r));
    FAR_CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    const struct rlimit small = { (rlim_t)r.plan->spill_bytes / 2, limit.rlim_max };
    FAR_CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    FAR_CHECK_STATUS(rig_step(&r), FAR_E_IO);
    FAR_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    FAR_CHECK_HAS(far_error_message(), "File too large");
    FAR_CHECK_HAS(far_error_message(), folder);
    FAR_CHECK_OK(rig_step(&r)); /* there is room again */
    rig_close(&r);
}

FAR_TEST(a_step_without_a_file_is_refused)
{
    rig r;
    rig_open(&r, NULL);
    FAR_CHECK_STATUS(rig_step(&r), FAR_E_INTERNAL);
    rig_close(&r);
}
