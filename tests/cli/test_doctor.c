/* Recorded machines: a folder stands for the root of the file system. */
#include "run/doctor.h"
#include "run/machine.h"
#include "support/temp_folder.h"
#include "test.h"
#include <errno.h>
#include <sys/stat.h>

#define PATH_BYTES 512

static char root[PATH_BYTES];

static void begin(const char *name)
{
    (void)snprintf(root, sizeof root, "%s", test_path(name));
    FAR_CHECK(mkdir(root, 0755) == 0 || errno == EEXIST);
}

/* Writes a file of the machine, with its folders. */
static void record(const char *path, const char *text)
{
    char whole[2 * PATH_BYTES];
    (void)snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *at = whole + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        FAR_CHECK(mkdir(whole, 0755) == 0 || errno == EEXIST);
        *at = '/';
    }
    FILE *file = fopen(whole, "w");
    FAR_CHECK_MSG(file != NULL, "cannot write %s", whole);
    FAR_CHECK(fputs(text, file) >= 0);
    FAR_CHECK(fclose(file) == 0);
}

static const far_finding *find(const far_doctor *doctor, const char *topic)
{
    for (int32_t i = 0; i < far_doctor_count(doctor); i++)
        if (strcmp(far_doctor_at(doctor, i)->topic, topic) == 0) return far_doctor_at(doctor, i);
    far_test_fail(__FILE__, __LINE__, "nothing found about %s", topic);
}

static far_doctor *look(void)
{
    far_doctor *doctor = NULL;
    FAR_CHECK_OK(fari_doctor_look(root, NULL, &doctor));
    return doctor;
}

#define MEMINFO "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:   12582912 kB\n"
#define GIB (INT64_C(1) << 30)

FAR_TEST(memory_of_a_plain_machine)
{
    begin("plain");
    record("/proc/meminfo", MEMINFO);
    record("/proc/self/cgroup", "0::/\n");
    FAR_CHECK_EQ_I64(fari_machine_memory_total(root), 16 * GIB);
    FAR_CHECK_EQ_I64(fari_machine_memory_available(root), 12 * GIB);
    FAR_CHECK_EQ_I64(fari_machine_memory_limit(root), 0);
    FAR_CHECK_NEAR(fari_machine_cpu_quota(root), 0.0, 0.0);
}

FAR_TEST(the_tightest_limit_of_the_groups_above_counts)
{
    begin("slurm");
    record("/proc/meminfo", MEMINFO);
    record("/proc/self/cgroup", "0::/system.slice/job_7/step_0\n");
    record("/sys/fs/cgroup/system.slice/job_7/step_0/memory.max", "max\n");
    record("/sys/fs/cgroup/system.slice/job_7/memory.max", "4294967296\n");
    record("/sys/fs/cgroup/system.slice/job_7/memory.current", "1073741824\n");
    record("/sys/fs/cgroup/system.slice/memory.max", "8589934592\n");
    FAR_CHECK_EQ_I64(fari_machine_memory_limit(root), 4 * GIB);
    FAR_CHECK_EQ_I64(fari_machine_memory_used_of_limit(root), GIB);
    far_doctor *doctor = look();
    FAR_CHECK_HAS(find(doctor, "memory limit")->value, "4.0 GiB");
    FAR_CHECK_EQ_I64(find(doctor, "memory limit")->verdict, FAR_VERDICT_NOTE);
    far_doctor_destroy(doctor);
}

FAR_TEST(version_1_of_cgroups_in_a_container)
{
    begin("v1");
    record("/proc/meminfo", MEMINFO);
    record("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/docker/0123\n0::/\n");
    record("/sys/fs/cgroup/memory/memory.limit_in_bytes",
           "2147483648\n"); /* the container sees its own group as the top */
    record("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n");
    record("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    FAR_CHECK_EQ_I64(fari_machine_memory_limit(root), 2 * GIB);
    FAR_CHECK_NEAR(fari_machine_cpu_quota(root), 1.5, 1e-12);
}

FAR_TEST(no_limit_of_version_1_is_no_limit)
{
    begin("v1-none");
    record("/proc/meminfo", MEMINFO);
    record("/proc/self/cgroup", "4:memory:/\n5:cpu,cpuacct:/\n");
    record("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    record("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    record("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    FAR_CHECK_EQ_I64(fari_machine_memory_limit(root), 0);
    FAR_CHECK_NEAR(fari_machine_cpu_quota(root), 0.0, 0.0);
}

FAR_TEST(quota_of_version_2)
{
    begin("quota");
    record("/proc/self/cgroup", "0::/box/inner\n");
    record("/sys/fs/cgroup/box/inner/cpu.max", "max 100000\n");
    record("/sys/fs/cgroup/box/cpu.max", "50000 100000\n");
    FAR_CHECK_NEAR(fari_machine_cpu_quota(root), 0.5, 1e-12);
    far_doctor *doctor = look();
    FAR_CHECK_HAS(find(doctor, "cores")->advice, "--threads 1");
    far_doctor_destroy(doctor);
}

FAR_TEST(memory_that_others_hold)
{
    begin("full");
    record("/proc/meminfo", "MemTotal: 1048576 kB\nMemAvailable: 1024 kB\n");
    far_doctor *doctor = look();
    FAR_CHECK_HAS(find(doctor, "memory")->value, "1.0 MiB available");
    FAR_CHECK(find(doctor, "memory")->advice[0] != '\0');
    far_doctor_destroy(doctor);
}

FAR_TEST(huge_pages_switched_off)
{
    begin("huge");
    record("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
    far_doctor *doctor = look();
    FAR_CHECK_STR(find(doctor, "huge pages")->value, "never");
    FAR_CHECK_HAS(find(doctor, "huge pages")->advice, "echo madvise");
    far_doctor_destroy(doctor);
    record("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    doctor = look();
    FAR_CHECK_EQ_I64(find(doctor, "huge pages")->verdict, FAR_VERDICT_OK);
    far_doctor_destroy(doctor);
}

FAR_TEST(accelerators)
{
    begin("gpu");
    record("/dev/nvidia0", "");
    record("/dev/nvidia1", "");
    record("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54\nGCC version: 12\n");
    far_doctor *doctor = look();
    FAR_CHECK_HAS(find(doctor, "GPU")->value, "2 from NVIDIA");
    FAR_CHECK_HAS(find(doctor, "GPU")->value, "550.54");
    FAR_CHECK_HAS(find(doctor, "GPU")->advice, "processors only");
    far_doctor_destroy(doctor);
}

FAR_TEST(slow_clock_source)
{
    begin("clock");
    record("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n");
    far_doctor *doctor = look();
    FAR_CHECK_HAS(find(doctor, "clock")->value, "hpet");
    FAR_CHECK_EQ_I64(find(doctor, "clock")->verdict, FAR_VERDICT_NOTE);
    far_doctor_destroy(doctor);
}

FAR_TEST(nothing_to_read)
{
    begin("empty");
    far_doctor *doctor = look();
    FAR_CHECK_EQ_I64(fari_machine_memory_total(root), 0);
    FAR_CHECK_EQ_I64(find(doctor, "memory")->verdict, FAR_VERDICT_NOTE);
    FAR_CHECK(fari_machine_cores() >= 1);
    far_doctor_destroy(doctor);
}

FAR_TEST(lines_without_end_and_binary_rubbish)
{
    char long_line[3 * FARI_MACHINE_TEXT];
    begin("rubbish");
    memset(long_line, 'x', sizeof long_line - 1);
    long_line[sizeof long_line - 1] = '\0';
    record("/proc/cpuinfo", long_line);
    record("/proc/meminfo", "MemTotal: \xff\xfe\nMemAvailable: -5 kB\n");
    record("/proc/self/cgroup", "0::\n:::\n\nx\n4:memory");
    record("/sys/kernel/mm/transparent_hugepage/enabled", "[");
    far_doctor *doctor = look();
    FAR_CHECK_EQ_I64(fari_machine_memory_total(root), 0);
    FAR_CHECK_EQ_I64(fari_machine_memory_limit(root), 0);
    FAR_CHECK(far_doctor_count(doctor) > 10);
    far_doctor_destroy(doctor);
}

FAR_TEST(a_folder_that_is_not_there_is_a_problem)
{
    far_doctor *doctor = NULL;
    begin("disk");
    FAR_CHECK_OK(fari_doctor_look(root, "/nowhere/at/all", &doctor));
    FAR_CHECK_EQ_I64(find(doctor, "disk")->verdict, FAR_VERDICT_PROBLEM);
    far_doctor_destroy(doctor);
    far_doctor_destroy(NULL);
}

FAR_TEST(this_machine)
{
    far_doctor *doctor = NULL;
    FAR_CHECK_OK(far_doctor_look(NULL, &doctor));
    for (int32_t i = 0; i < far_doctor_count(doctor); i++) {
        const far_finding *finding = far_doctor_at(doctor, i);
        FAR_CHECK(finding->topic != NULL && finding->value[0] != '\0');
        FAR_CHECK_MSG(finding->verdict == FAR_VERDICT_OK || finding->advice[0] != '\0', "%s without advice",
                      finding->topic);
    }
    far_doctor_destroy(doctor);
}

FAR_TEST(infos_out_of_range)
{
    far_op_info op;
    far_library library;
    FAR_CHECK_STATUS(far_op_at(-1, &op), FAR_E_ARG);
    FAR_CHECK_STATUS(far_op_at(far_op_count(), &op), FAR_E_ARG);
    FAR_CHECK_STATUS(far_library_at(far_library_count(), &library), FAR_E_ARG);
    for (int32_t i = 0; i < far_library_count(); i++) {
        FAR_CHECK_OK(far_library_at(i, &library));
        FAR_CHECK(library.version[0] >= '0' && library.version[0] <= '9');
    }
    FAR_CHECK_STR(far_version(), FARI_VERSION);
}
