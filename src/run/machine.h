/* What the system says about the machine: /proc, /sys, cgroups. `root` stands before every path: "" for this machine, a folder for a
   recorded one (tests). */
#ifndef FARI_RUN_MACHINE_H
#define FARI_RUN_MACHINE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FARI_MACHINE_TEXT 4096

/* The first bytes of a file, without the newline at the end. False: it cannot be read. */
bool fari_machine_read(const char *root, const char *path, char text_out[FARI_MACHINE_TEXT]);
/* The rest of the first line of `path` that begins with `key`, blanks and colons skipped. */
bool fari_machine_field(const char *root, const char *path, const char *key, char *text_out, size_t text_bytes);

/* Bytes of memory; 0 where not known. */
int64_t fari_machine_memory_total(const char *root);
int64_t fari_machine_memory_available(const char *root);
/* The least limit of this process's cgroup and those above it (versions 1 and 2); 0: none. */
int64_t fari_machine_memory_limit(const char *root);
/* Of the tightest of these limits, what is in use; 0 where there is none. */
int64_t fari_machine_memory_used_of_limit(const char *root);
/* Cores' worth of time that the cgroup gives; 0: no limit. */
double fari_machine_cpu_quota(const char *root);
/* Cores this process may run on, at least 1. */
int32_t fari_machine_cores(void);
#endif
