/* What the targets of HDF5 share: a file of the input, a mutator, and what HDF5 itself does.

   HDF5 1.10 crashes on some damaged files, steps out of its memory on others, and loses memory. The readers try every file in a process of its own
   first (src/data/probe.h); inputs that only this process ended on are counted, and must give a plain error. The library's leaks are not ours to mend. */
#ifndef TESTS_FUZZ_H5_INPUT_H
#define TESTS_FUZZ_H5_INPUT_H
#include "base/mem.h"
#include <farandole/status.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *__asan_default_options(void);
void __asan_on_error(void);
const char *__lsan_default_suppressions(void);
const char *__lsan_default_options(void);

const char *__asan_default_options(void)
{
    return "quarantine_size_mb=4"; /* forking is dear where much memory is in use */
}

const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}

static struct {
    int64_t inputs, opened, read, crashed, hung, stepped_out;
    pid_t process;
} tally;

static void print_tally(void)
{
    (void)fprintf(
        stderr,
        "tally: %lld inputs, %lld opened, %lld read to the end; in the process set apart HDF5 crashed on %lld, hung on %lld, stepped out of its "
        "memory on %lld\n",
        (long long)tally.inputs, (long long)tally.opened, (long long)tally.read, (long long)tally.crashed,
        (long long)tally.hung, (long long)tally.stepped_out);
}

/* Of the process set apart no report, and no input put aside as if it were a finding. */
void __asan_on_error(void)
{
    if (getpid() != tally.process) _exit(1);
}

static char input_path[64];

static void remove_input(void)
{
    (void)unlink(input_path);
}

/* A new file, so that the library cannot know it from the input before; in memory where there is such a place. Gone at the end of the process. */
static inline const char *input_file(const uint8_t *data, size_t bytes)
{
    if (input_path[0] == '\0') {
        const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        (void)snprintf(input_path, sizeof input_path, "%s/far-fuzz-%d.h5", folder, (int)getpid());
        (void)atexit(remove_input);
    }
    (void)unlink(input_path);
    FILE *file = fopen(input_path, "wbe");
    if (file == NULL || (bytes > 0 && fwrite(data, 1, bytes, file) != bytes) || fclose(file) != 0) abort();
    return input_path;
}

static inline void count_input(void)
{
    if (tally.inputs++ > 0) return;
    tally.process = getpid();
    (void)atexit(print_tally);
}

/* The file was refused: in words that name it, and not for want of memory. */
static inline void count_refusal(far_status st, const char *path)
{
    if (st == FAR_E_NOMEM || strstr(far_error_message(), path) == NULL) abort();
    if (strstr(far_error_message(), "library crashes") != NULL) tally.crashed++;
    if (strstr(far_error_message(), "library hangs") != NULL) tally.hung++;
    if (strstr(far_error_message(), "library gives up") != NULL) tally.stepped_out++;
}

/* --- mutations --- */

#define EDITS 3
#define NEAR 8 /* bytes: of the file's description; what lies farther from anything is unused room */

size_t LLVMFuzzerMutate(uint8_t *data, size_t bytes, size_t most); /* of libFuzzer */

static inline bool is_used(const uint8_t *data, size_t bytes, size_t at)
{
    for (size_t i = at > NEAR ? at - NEAR : 0; i < bytes && i < at + NEAR; i++)
        if (data[i] != 0) return true;
    return false;
}

/* Mostly keeps the places of things: a file says where everything lies, so that one byte more or less is a file of nothing. */
static inline size_t mutate_in_place(uint8_t *data, size_t bytes, size_t most, unsigned seed)
{
    uint64_t random = seed;
    if (seed % 8 == 0 || bytes == 0) return LLVMFuzzerMutate(data, bytes, most);
    const int edits = 1 + (int)(seed / 8 % EDITS);
    for (int i = 0; i < edits; i++) {
        size_t at = 0;
        for (int tries = 0; tries < 100; tries++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            at = (size_t)(random >> 33) % bytes;
            if (is_used(data, bytes, at)) break;
        }
        const size_t piece = bytes - at < 8 ? bytes - at : 8;
        (void)LLVMFuzzerMutate(data + at, random >> 20 & 1 ? 1 : piece, random >> 20 & 1 ? 1 : piece);
    }
    return bytes;
}
#endif
