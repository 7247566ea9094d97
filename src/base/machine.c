#include "base/machine.h"
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int32_t fari_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return (int32_t)CPU_COUNT(&set);
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int32_t)online : 1;
}

/* The number in a file of one line; false where there is none ("max" too). */
static bool read_number(const char *path, int64_t *value_out)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) return false;
    const bool is_number = fscanf(file, "%" SCNd64, value_out) == 1;
    (void)fclose(file);
    return is_number;
}

static int64_t available_kib(void)
{
    char line[128];
    int64_t kib = -1;
    FILE *file = fopen("/proc/meminfo", "r");
    if (file == NULL) return -1;
    while (kib < 0 && fgets(line, sizeof line, file) != NULL) (void)sscanf(line, "MemAvailable: %" SCNd64, &kib);
    (void)fclose(file);
    return kib;
}

/* A member of memory.stat, 0 where it is missing. */
static int64_t stat_member(const char *path, const char *name)
{
    char key[64];
    int64_t value = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    while (fscanf(file, "%63s %" SCNd64, key, &value) == 2)
        if (strcmp(key, name) == 0) {
            (void)fclose(file);
            return value;
        }
    (void)fclose(file);
    return 0;
}

/* Control groups, version 2 then 1: the limit less what is used, file pages not counted, which the kernel takes back. */
static int64_t group_free(void)
{
    int64_t limit = 0, used = 0;
    if (read_number("/sys/fs/cgroup/memory.max", &limit) && read_number("/sys/fs/cgroup/memory.current", &used))
        return limit - used + stat_member("/sys/fs/cgroup/memory.stat", "file");
    if (read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", &limit) &&
        read_number("/sys/fs/cgroup/memory/memory.usage_in_bytes", &used) && limit < INT64_MAX / 2)
        return limit - used + stat_member("/sys/fs/cgroup/memory/memory.stat", "total_cache");
    return INT64_MAX;
}

int64_t fari_memory_free(void)
{
    const int64_t kib = available_kib(), group = group_free();
    const int64_t machine = kib >= 0 ? kib * 1024 : (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
    return machine < group ? machine : group;
}
