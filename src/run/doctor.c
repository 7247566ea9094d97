/* A look at the machine before training: one function a topic, one row of the table each. */
#include "run/doctor.h"
#include "base/mem.h"
#include "base/status.h"
#include "run/machine.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define FINDINGS_MAX 48
#define VALUE_BYTES 256
#define ADVICE_BYTES 384
#define SIZE_TEXT 32

struct far_doctor {
    const char *root, *folder; /* borrowed while looking */
    int32_t count;
    far_finding findings[FINDINGS_MAX];
    char values[FINDINGS_MAX][VALUE_BYTES], advices[FINDINGS_MAX][ADVICE_BYTES];
};

static void find(far_doctor *doctor, far_verdict verdict, const char *topic, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void advise(far_doctor *doctor, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void find(far_doctor *doctor, far_verdict verdict, const char *topic, const char *fmt, ...)
{
    va_list args;
    if (doctor->count == FINDINGS_MAX) return;
    const int32_t idx = doctor->count++;
    va_start(args, fmt);
    (void)vsnprintf(doctor->values[idx], VALUE_BYTES, fmt, args);
    va_end(args);
    doctor->findings[idx] = (far_finding){ topic, doctor->values[idx], doctor->advices[idx], verdict };
}

/* What to do about the last finding. */
static void advise(far_doctor *doctor, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(doctor->advices[doctor->count - 1], ADVICE_BYTES, fmt, args);
    va_end(args);
}

/* Powers of 1,024, as `memory=16G` counts. */
static const char *size_text(int64_t bytes, char text_out[SIZE_TEXT])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024.0 && unit + 1 < FAR_COUNT(units); unit++) value /= 1024.0;
    (void)snprintf(text_out, SIZE_TEXT, value >= 100.0 || unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text_out;
}

static bool is_there(const far_doctor *doctor, const char *path)
{
    char whole[VALUE_BYTES];
    (void)snprintf(whole, sizeof whole, "%s%s", doctor->root, path);
    return access(whole, F_OK) == 0;
}

/* The first program of that name in PATH. */
static bool find_program(const char *name, char path_out[VALUE_BYTES])
{
    const char *path = getenv("PATH");
    while (path != NULL && path[0] != '\0') {
        const size_t length = strcspn(path, ":");
        (void)snprintf(path_out, VALUE_BYTES, "%.*s/%s", (int)length, path, name);
        if (length > 0 && access(path_out, X_OK) == 0) return true;
        path += length + (path[length] == ':');
    }
    return false;
}

/* --- processor --- */

static void look_processor(far_doctor *doctor)
{
    char model[VALUE_BYTES];
    if (!fari_machine_field(doctor->root, "/proc/cpuinfo", "model name", model, sizeof model))
        (void)snprintf(model, sizeof model, "not named by the system");
    find(doctor, FAR_VERDICT_OK, "processor", "%s", model);
}

static void look_cores(far_doctor *doctor)
{
    const int32_t cores = fari_machine_cores();
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    const double quota = fari_machine_cpu_quota(doctor->root);
    if (quota > 0.0 && quota < (double)cores) {
        find(doctor, FAR_VERDICT_NOTE, "cores", "%d usable of %ld, but time for %.3g of them", (int)cores, online,
             quota);
        advise(doctor, "the container or job limits processor time: train with --threads %d",
               quota < 1.5 ? 1 : (int)(quota + 0.5));
    } else {
        find(doctor, FAR_VERDICT_OK, "cores", "%d usable of %ld", (int)cores, online);
    }
}

static void look_load(far_doctor *doctor)
{
    double load[1];
    const int32_t cores = fari_machine_cores();
    if (getloadavg(load, 1) != 1) return;
    const bool is_busy = load[0] > 0.5 * (double)cores + 0.5;
    find(doctor, is_busy ? FAR_VERDICT_NOTE : FAR_VERDICT_OK, "load", "%.2f running on average, last minute", load[0]);
    if (is_busy) advise(doctor, "other programs keep the cores busy; training will share them");
}

static void look_instructions(far_doctor *doctor)
{
    static const char *const wanted[] = { "sse4_2",      "avx",      "avx2",     "fma",      "f16c",
                                          "avx512f",     "avx512bw", "avx512dq", "avx512vl", "avx512_vnni",
                                          "avx512_bf16", "amx_tile", "amx_bf16", "asimd",    "sve" };
    char flags[FARI_MACHINE_TEXT], found[VALUE_BYTES] = "", *rest = flags;
    size_t used = 0;
    if (!fari_machine_field(doctor->root, "/proc/cpuinfo", "flags", flags, sizeof flags) &&
        !fari_machine_field(doctor->root, "/proc/cpuinfo", "Features", flags, sizeof flags))
        flags[0] = '\0';
    for (const char *flag = strsep(&rest, " "); flag != NULL; flag = strsep(&rest, " "))
        for (size_t i = 0; i < FAR_COUNT(wanted) && used < sizeof found; i++)
            if (strcmp(flag, wanted[i]) == 0)
                used += (size_t)snprintf(found + used, sizeof found - used, "%s%s", used > 0 ? " " : "", flag);
    const bool is_base = strcmp(far_isa(), "base") == 0;
    find(doctor, is_base ? FAR_VERDICT_NOTE : FAR_VERDICT_OK, "instructions", "kernels for %s%s%s%s", far_isa(),
         found[0] != '\0' ? " (" : "", found, found[0] != '\0' ? ")" : "");
    if (is_base)
        advise(doctor, "without AVX2 and FMA training is several times slower; a virtual machine may be hiding them");
}

static void look_governor(far_doctor *doctor)
{
    char governor[FARI_MACHINE_TEXT];
    if (!fari_machine_read(doctor->root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor)) return;
    const bool is_slow =
        strcmp(governor, "powersave") == 0 && !is_there(doctor, "/sys/devices/system/cpu/intel_pstate");
    find(doctor, is_slow ? FAR_VERDICT_NOTE : FAR_VERDICT_OK, "frequency", "governor %.64s", governor);
    if (is_slow) advise(doctor, "the clock stays low: as root, cpupower frequency-set -g performance");
}

/* --- memory --- */

static void look_memory(far_doctor *doctor)
{
    char total_text[SIZE_TEXT], free_text[SIZE_TEXT];
    const int64_t total = fari_machine_memory_total(doctor->root),
                  available = fari_machine_memory_available(doctor->root);
    if (total == 0) {
        find(doctor, FAR_VERDICT_NOTE, "memory", "not known");
        advise(doctor, "tell it with --memory");
        return;
    }
    const bool is_low = available < total / 4;
    find(doctor, is_low ? FAR_VERDICT_NOTE : FAR_VERDICT_OK, "memory", "%s, %s available", size_text(total, total_text),
         size_text(available, free_text));
    if (is_low) advise(doctor, "other programs hold most of it");
}

static void look_memory_limit(far_doctor *doctor)
{
    char limit_text[SIZE_TEXT], used_text[SIZE_TEXT];
    const int64_t limit = fari_machine_memory_limit(doctor->root), total = fari_machine_memory_total(doctor->root);
    if (limit == 0 || (total > 0 && limit >= total)) {
        find(doctor, FAR_VERDICT_OK, "memory limit", "none below the machine's");
        return;
    }
    find(doctor, FAR_VERDICT_NOTE, "memory limit", "%s for this job or container, %s in use",
         size_text(limit, limit_text), size_text(fari_machine_memory_used_of_limit(doctor->root), used_text));
    advise(doctor,
           "beyond it the system kills the process without a word; `farandole plan` tells what a training needs");
}

static void look_huge_pages(far_doctor *doctor)
{
    char setting[FARI_MACHINE_TEXT];
    if (!fari_machine_read(doctor->root, "/sys/kernel/mm/transparent_hugepage/enabled", setting)) {
        find(doctor, FAR_VERDICT_NOTE, "huge pages", "not offered by this kernel");
        advise(doctor, "start-up touches memory in pages of 4 KiB: a second or more for each GiB");
        return;
    }
    char *chosen = strchr(setting, '['),
         *end = chosen != NULL ? strchr(chosen, ']') : NULL; /* "always [madvise] never" */
    if (end != NULL) *end = '\0';
    const char *word = end != NULL ? chosen + 1 : setting;
    const bool is_off = strcmp(word, "never") == 0;
    find(doctor, is_off ? FAR_VERDICT_NOTE : FAR_VERDICT_OK, "huge pages", "%.32s", word);
    if (is_off)
        advise(doctor, "start-up touches memory about ten times faster with them: as root, echo madvise > "
                       "/sys/kernel/mm/transparent_hugepage/enabled");
}

static void look_limit(far_doctor *doctor, const char *topic, int resource, bool is_bad_below_memory,
                       const char *option)
{
    char text[SIZE_TEXT];
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0) return;
    if (limit.rlim_cur == RLIM_INFINITY) {
        find(doctor, FAR_VERDICT_OK, topic, "unlimited");
        return;
    }
    const int64_t bytes = limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
    const bool is_bad = is_bad_below_memory && bytes < fari_machine_memory_available(doctor->root);
    find(doctor, is_bad ? FAR_VERDICT_NOTE : FAR_VERDICT_OK, topic, "%s", size_text(bytes, text));
    if (is_bad) advise(doctor, "less than the memory there is: ulimit %s unlimited, where allowed", option);
}

static void look_limits(far_doctor *doctor)
{
    struct rlimit files;
    look_limit(doctor, "limit of data", RLIMIT_DATA, true, "-d");
    look_limit(doctor, "limit of addresses", RLIMIT_AS, true, "-v");
    look_limit(doctor, "limit of locked", RLIMIT_MEMLOCK, false, "-l");
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    const bool is_low = files.rlim_cur < 256;
    find(doctor, is_low ? FAR_VERDICT_NOTE : FAR_VERDICT_OK, "limit of files", "%" PRIu64 " open",
         (uint64_t)files.rlim_cur);
    if (is_low) advise(doctor, "data sets of many files need more: ulimit -n 4096");
}

/* --- libraries, accelerators, other machines --- */

static void look_libraries(far_doctor *doctor)
{
    far_library library;
    find(doctor, FAR_VERDICT_OK, "farandole", "%s, built by %s", far_version(), far_compiler());
    for (int32_t i = 0; i < far_library_count(); i++)
        if (far_library_at(i, &library) == FAR_OK)
            find(doctor, FAR_VERDICT_OK, library.name, "%s (%s)", library.version, library.purpose);
}

static void look_gpu(far_doctor *doctor)
{
    char path[VALUE_BYTES], driver[VALUE_BYTES], device[64];
    int count = 0;
    for (int i = 0; i < 64; i++) {
        (void)snprintf(device, sizeof device, "/dev/nvidia%d", i);
        count += is_there(doctor, device);
    }
    const bool has_tool = find_program("nvidia-smi", path);
    if (count == 0) {
        find(doctor, FAR_VERDICT_OK, "GPU", "none found%s", has_tool ? ", though nvidia-smi is there" : "");
        if (has_tool) advise(doctor, "no /dev/nvidia0: the job or container may not have been given the card");
        return;
    }
    if (!fari_machine_field(doctor->root, "/proc/driver/nvidia/version", "NVRM version", driver, sizeof driver))
        (void)snprintf(driver, sizeof driver, "driver's version not known");
    find(doctor, FAR_VERDICT_NOTE, "GPU", "%d from NVIDIA, %.160s", count, driver);
    advise(doctor, "not used: farandole %s trains on processors only", far_version());
}

static void look_mpi(far_doctor *doctor)
{
    char path[VALUE_BYTES];
    if (find_program("mpirun", path) || find_program("mpiexec", path)) find(doctor, FAR_VERDICT_OK, "MPI", "%s", path);
    else find(doctor, FAR_VERDICT_OK, "MPI", "no mpirun in PATH; one process needs none");
}

static void look_slurm(far_doctor *doctor)
{
    char path[VALUE_BYTES];
    const char *job = getenv("SLURM_JOB_ID"), *cores = getenv("SLURM_CPUS_PER_TASK"),
               *nodes = getenv("SLURM_JOB_NUM_NODES");
    if (job != NULL)
        find(doctor, FAR_VERDICT_OK, "Slurm", "in job %.32s: %.16s node(s), %.16s core(s) a task", job,
             nodes != NULL ? nodes : "?", cores != NULL ? cores : "1");
    else if (find_program("sbatch", path)) find(doctor, FAR_VERDICT_OK, "Slurm", "%s, not inside a job", path);
}

/* --- disk and clock --- */

typedef struct file_system {
    unsigned long magic; /* statfs(2) */
    const char *name, *advice;
} file_system;

#define NETWORK_ADVICE "a network disk: fine for runs; copy data sets that are read every epoch to a local disk"

static const file_system file_systems[] = {
    { 0x6969, "NFS", NETWORK_ADVICE },
    { 0x0bd00bd0, "Lustre", NETWORK_ADVICE },
    { 0x47504653, "GPFS", NETWORK_ADVICE },
    { 0x19830326, "BeeGFS", NETWORK_ADVICE },
    { 0xff534d42, "CIFS", NETWORK_ADVICE },
    { 0x01021994, "tmpfs",
      "this disk is memory: runs are gone after a restart, and what they take is missing for training" },
    { 0xef53, "ext4", "" },
    { 0x58465342, "XFS", "" },
    { 0x9123683e, "Btrfs", "" },
    { 0x794c7630, "overlay", "" },
};

#define DISK_LOW_BYTES (INT64_C(2) << 30)

static void look_disk(far_doctor *doctor)
{
    char text[SIZE_TEXT];
    struct statvfs disk;
    struct statfs kind;
    const char *folder = doctor->folder != NULL ? doctor->folder : ".", *advice = "";
    const file_system *system = NULL;
    if (statvfs(folder, &disk) != 0 || statfs(folder, &kind) != 0) {
        find(doctor, FAR_VERDICT_PROBLEM, "disk", "cannot look at %s", folder);
        advise(doctor, "runs are written below the working directory, or where run.dir says");
        return;
    }
    for (size_t i = 0; i < FAR_COUNT(file_systems); i++)
        if (file_systems[i].magic == ((unsigned long)kind.f_type & 0xffffffffUL)) system = &file_systems[i];
    if (system != NULL) advice = system->advice;
    const int64_t bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    const bool is_low = bytes < DISK_LOW_BYTES, is_closed = access(folder, W_OK) != 0;
    find(doctor, is_closed || is_low || advice[0] != '\0' ? FAR_VERDICT_NOTE : FAR_VERDICT_OK, "disk",
         "%s free in %.128s%s%s%s", size_text(bytes, text), doctor->folder != NULL ? folder : "the working directory",
         system != NULL ? " (" : "", system != NULL ? system->name : "", system != NULL ? ")" : "");
    if (is_closed) advise(doctor, "not writable: set run.dir to a folder that is");
    else if (is_low) advise(doctor, "checkpoints may not find room: train.keep says how many stay");
    else advise(doctor, "%s", advice);
}

#define YEAR_2024_S 1704067200 /* earlier: nobody has set the clock */

static void look_clock(far_doctor *doctor)
{
    char source[FARI_MACHINE_TEXT], stamp[64];
    struct tm utc;
    const time_t now = time(NULL);
    (void)gmtime_r(&now, &utc);
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S UTC", &utc);
    const bool has_source =
        fari_machine_read(doctor->root, "/sys/devices/system/clocksource/clocksource0/current_clocksource", source);
    const bool is_slow = has_source && (strcmp(source, "hpet") == 0 || strcmp(source, "acpi_pm") == 0);
    const bool is_wrong = now < YEAR_2024_S;
    find(doctor, is_wrong || is_slow ? FAR_VERDICT_NOTE : FAR_VERDICT_OK, "clock", "%s, source %.32s", stamp,
         has_source ? source : "not known");
    if (is_wrong) advise(doctor, "the date is wrong: names of runs and times in metrics will be, too");
    else if (is_slow)
        advise(doctor, "reading this source is slow; the kernel has given up on the processor's own (tsc)");
}

/* --- the look --- */

static void (*const looks[])(far_doctor *doctor) = {
    look_processor, look_cores,        look_load,       look_instructions, look_governor,
    look_memory,    look_memory_limit, look_huge_pages, look_limits,       look_libraries,
    look_gpu,       look_mpi,          look_slurm,      look_disk,         look_clock,
};

far_status fari_doctor_look(const char *root, const char *folder, far_doctor **doctor_out)
{
    far_doctor *doctor = fari_calloc(1, sizeof *doctor);
    if (doctor == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to look at the machine");
    doctor->root = root;
    doctor->folder = folder;
    for (size_t i = 0; i < FAR_COUNT(looks); i++) looks[i](doctor);
    doctor->root = doctor->folder = NULL;
    *doctor_out = doctor;
    return FAR_OK;
}

far_status far_doctor_look(const char *folder, far_doctor **doctor_out)
{
    return fari_doctor_look("", folder, doctor_out);
}

int32_t far_doctor_count(const far_doctor *doctor)
{
    return doctor->count;
}

const far_finding *far_doctor_at(const far_doctor *doctor, int32_t idx)
{
    FAR_ASSERT(idx >= 0 && idx < doctor->count);
    return &doctor->findings[idx];
}

void far_doctor_destroy(far_doctor *doctor)
{
    fari_free(doctor);
}
