#include "run/machine.h"
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 1024
/* Version 1 says "no limit" as the largest multiple of the page size. */
#define NO_LIMIT (INT64_C(1) << 60)

static FILE *open_under(const char *root, const char *path)
{
    char whole[PATH_BYTES];
    if (snprintf(whole, sizeof whole, "%s%s", root, path) >= (int)sizeof whole) return NULL;
    return fopen(whole, "re");
}

bool fari_machine_read(const char *root, const char *path, char text_out[FARI_MACHINE_TEXT])
{
    FILE *file = open_under(root, path);
    if (file == NULL) return false;
    size_t bytes = fread(text_out, 1, FARI_MACHINE_TEXT - 1, file);
    (void)fclose(file); /* read-only */
    while (bytes > 0 && (text_out[bytes - 1] == '\n' || text_out[bytes - 1] == ' ')) bytes--;
    text_out[bytes] = '\0';
    return bytes > 0;
}

bool fari_machine_field(const char *root, const char *path, const char *key, char *text_out, size_t text_bytes)
{
    char line[FARI_MACHINE_TEXT];
    bool is_found = false;
    FILE *file = open_under(root, path);
    if (file == NULL) return false;
    while (!is_found && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) != 0) continue;
        char *value = line + strlen(key);
        value += strspn(value, " \t:");
        value[strcspn(value, "\n")] = '\0';
        (void)snprintf(text_out, text_bytes, "%s", value);
        is_found = true;
    }
    (void)fclose(file); /* read-only */
    return is_found;
}

static int64_t number_of(const char *text)
{
    char *end = NULL;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    return end == text || errno != 0 || value < 0 ? 0 : (int64_t)value;
}

static int64_t meminfo(const char *root, const char *key)
{
    char text[64];
    return fari_machine_field(root, "/proc/meminfo", key, text, sizeof text) ? number_of(text) * 1024 : 0;
}

int64_t fari_machine_memory_total(const char *root)
{
    return meminfo(root, "MemTotal");
}

int64_t fari_machine_memory_available(const char *root)
{
    return meminfo(root, "MemAvailable");
}

/* --- cgroups --- */

typedef struct cgroup_limit {
    int64_t limit, used; /* bytes; limit 0: none */
} cgroup_limit;

/* This process's group as /proc/self/cgroup names it: `controller` of version 1, "" of version 2. */
static bool cgroup_of(const char *root, const char *controller, char group_out[PATH_BYTES])
{
    char text[FARI_MACHINE_TEXT], *rest = text;
    if (!fari_machine_read(root, "/proc/self/cgroup", text)) return false;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) { /* "4:memory:/user.slice" */
        char *names = strchr(line, ':'), *path = names != NULL ? strchr(names + 1, ':') : NULL;
        if (path == NULL) continue;
        *path++ = '\0';
        names++;
        bool is_ours = controller[0] == '\0' && names[0] == '\0';
        char *more = names;
        for (char *name = strsep(&more, ","); name != NULL; name = strsep(&more, ","))
            if (controller[0] != '\0' && strcmp(name, controller) == 0) is_ours = true;
        if (!is_ours) continue;
        (void)snprintf(group_out, PATH_BYTES, "%s", strcmp(path, "/") == 0 ? "" : path);
        return true;
    }
    return false;
}

static int64_t number_in(const char *root, const char *mount, const char *group, const char *file)
{
    char path[3 * PATH_BYTES], text[FARI_MACHINE_TEXT];
    (void)snprintf(path, sizeof path, "%s%s/%s", mount, group, file);
    if (!fari_machine_read(root, path, text)) return 0;
    return number_of(text); /* "max" gives 0 */
}

/* To the group above; false at the top, which is "". Any of them may set a limit. Inside a container the path may be the host's, then
   only the top is there. */
static bool go_up(char *group)
{
    char *slash = strrchr(group, '/');
    if (slash == NULL) return false;
    *slash = '\0';
    return true;
}

static cgroup_limit tightest(const char *root, const char *mount, const char *controller, const char *limit_file,
                             const char *used_file)
{
    cgroup_limit least = { 0, 0 };
    char group[PATH_BYTES];
    if (!cgroup_of(root, controller, group)) return least;
    do {
        const int64_t limit = number_in(root, mount, group, limit_file);
        if (limit > 0 && limit < NO_LIMIT && (least.limit == 0 || limit < least.limit))
            least = (cgroup_limit){ limit, number_in(root, mount, group, used_file) };
    } while (go_up(group));
    return least;
}

static cgroup_limit memory_limit(const char *root)
{
    const cgroup_limit v2 = tightest(root, "/sys/fs/cgroup", "", "memory.max", "memory.current");
    const cgroup_limit v1 =
        tightest(root, "/sys/fs/cgroup/memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes");
    return v2.limit == 0 || (v1.limit > 0 && v1.limit < v2.limit) ? v1 : v2;
}

int64_t fari_machine_memory_limit(const char *root)
{
    return memory_limit(root).limit;
}

int64_t fari_machine_memory_used_of_limit(const char *root)
{
    return memory_limit(root).used;
}

static double quota_v2(const char *root, const char *group)
{
    char path[2 * PATH_BYTES], text[FARI_MACHINE_TEXT];
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
    if (!fari_machine_read(root, path, text)) return 0.0;
    const char *period = strchr(text, ' '); /* "200000 100000": microseconds a period, or "max 100000" */
    const int64_t quota = number_of(text), period_us = period != NULL ? number_of(period + 1) : 0;
    return quota > 0 && period_us > 0 ? (double)quota / (double)period_us : 0.0;
}

static double quota_v1(const char *root, const char *group)
{
    const int64_t quota = number_in(root, "/sys/fs/cgroup/cpu", group, "cpu.cfs_quota_us"); /* -1: none */
    const int64_t period_us = number_in(root, "/sys/fs/cgroup/cpu", group, "cpu.cfs_period_us");
    return quota > 0 && period_us > 0 ? (double)quota / (double)period_us : 0.0;
}

double fari_machine_cpu_quota(const char *root)
{
    static const struct {
        const char *controller;
        double (*quota)(const char *root, const char *group);
    } versions[] = { { "", quota_v2 }, { "cpu", quota_v1 } };
    char group[PATH_BYTES];
    double least = 0.0;
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        if (!cgroup_of(root, versions[i].controller, group)) continue;
        do {
            const double quota = versions[i].quota(root, group);
            if (quota > 0.0 && (least == 0.0 || quota < least)) least = quota;
        } while (go_up(group));
    }
    return least;
}

int32_t fari_machine_cores(void)
{
    bool is_too_small = true; /* the call fails while the set is smaller than the system's */
    for (int cpus = 1024; is_too_small && cpus <= 1024 * 1024; cpus *= 4) {
        const size_t bytes = CPU_ALLOC_SIZE(cpus);
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (set == NULL) break;
        const bool is_known = sched_getaffinity(0, bytes, set) == 0;
        is_too_small = !is_known && errno == EINVAL;
        const int count = is_known ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (count > 0) return count;
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int32_t)online : 1;
}
