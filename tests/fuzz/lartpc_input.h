/* What the targets of HDF5 share: a file of the input, and reading all of it as liquid-argon images.

   HDF5 1.10 crashes on some damaged files, steps out of its memory on others, and loses memory. The reader tries every file in a process of its own
   first (src/data/probe.h); inputs that only this process ended on are counted, and must give a plain error. The library's leaks are not ours to mend. */
#ifndef TESTS_FUZZ_LARTPC_INPUT_H
#define TESTS_FUZZ_LARTPC_INPUT_H
#include "base/mem.h"
#include "data/lartpc.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VOXELS_MAX 100000 /* of a plane: what claims more is opened, not read */

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

static inline void check_plane(const fari_lartpc_file *file, int64_t count, const uint32_t *ids, const float *values,
                               const uint8_t *labels, int32_t class_count)
{
    const fari_lartpc_frame frame = fari_lartpc_frame_of(file);
    for (int64_t i = 0; i < count; i++) {
        if (ids[i] >= frame.height * frame.width || (i > 0 && ids[i] <= ids[i - 1])) abort();
        if (!isfinite(values[i]) || (labels != NULL && labels[i] >= class_count)) abort();
    }
}

static inline bool read_planes(fari_lartpc_file *file, const char *path, int32_t class_count)
{
    static uint32_t ids[VOXELS_MAX];
    static float values[VOXELS_MAX];
    static uint8_t labels[VOXELS_MAX];
    uint8_t *labels_out = fari_lartpc_has_label(file) ? labels : NULL;
    for (int64_t i = 0; i < fari_lartpc_event_count(file); i++)
        for (int32_t p = 0; p < fari_lartpc_frame_of(file).planes; p++) {
            const int64_t count = fari_lartpc_count(file, i, p);
            if (count < 0) abort();
            if (count > VOXELS_MAX) continue;
            if (fari_lartpc_read(file, i, p, ids, values, labels_out) == FAR_OK)
                check_plane(file, count, ids, values, labels_out, class_count);
            else if (strstr(far_error_message(), path) == NULL) abort();
            else return false;
        }
    return true;
}

static inline void read_lartpc(const char *path, const char *image, const char *label, int32_t class_count)
{
    fari_lartpc_file *file = NULL;
    if (tally.inputs++ == 0) {
        tally.process = getpid();
        (void)atexit(print_tally);
    }
    far_error_clear();
    const far_status st = fari_lartpc_open(path, image, label, class_count, &file);
    if (st == FAR_OK) {
        tally.opened++;
        if (read_planes(file, path, class_count)) tally.read++;
        fari_lartpc_close(file);
    } else {
        if (file != NULL || st == FAR_E_NOMEM || strstr(far_error_message(), path) == NULL) abort();
        if (strstr(far_error_message(), "library crashes") != NULL) tally.crashed++;
        if (strstr(far_error_message(), "library hangs") != NULL) tally.hung++;
        if (strstr(far_error_message(), "library gives up") != NULL) tally.stepped_out++;
    }
    if (fari_alloc_live() != 0) abort();
}
#endif
