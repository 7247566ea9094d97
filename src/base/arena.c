#include "base/arena.h"
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_BYTES (INT64_C(2) << 20)
#define PAGE_BYTES 4096

/* Whole pages, huge ones for large blocks, so that nothing else shares them. */
static int64_t mapped_bytes(int64_t bytes)
{
    const int64_t page = bytes >= 4 * HUGE_BYTES ? HUGE_BYTES : PAGE_BYTES;
    return (bytes + page - 1) / page * page;
}

static far_status map(int64_t bytes, int flags, void **data_out)
{
    if (bytes <= 0) {
        *data_out = NULL;
        return FAR_OK;
    }
    const int64_t size = mapped_bytes(bytes), slack = bytes >= 4 * HUGE_BYTES ? HUGE_BYTES : 0;
    char *raw = mmap(NULL, (size_t)(size + slack), PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED)
        return FAR_FAIL(FAR_E_NOMEM, "the system gave no block of %" PRId64 " bytes: %s", bytes, strerror(errno));
    char *data = raw;
    if (slack > 0) { /* aligned to huge pages; what hangs over goes back */
        data = (char *)(((uintptr_t)raw + (uintptr_t)HUGE_BYTES - 1) / (uintptr_t)HUGE_BYTES * (uintptr_t)HUGE_BYTES);
        if (data > raw) (void)munmap(raw, (size_t)(data - raw));
        if (data + size < raw + size + slack) (void)munmap(data + size, (size_t)(raw + slack - data));
        (void)madvise(data, (size_t)size, MADV_HUGEPAGE); /* advice: a system without it is only slower */
    }
    *data_out = data;
    return FAR_OK;
}

far_status fari_arena_map(int64_t bytes, void **data_out)
{
    return map(bytes, MAP_PRIVATE, data_out);
}

far_status fari_arena_map_shared(int64_t bytes, void **data_out)
{
    return map(bytes, MAP_SHARED, data_out);
}

far_status fari_arena_alias(void *data, int64_t bytes, bool is_twice, void **alias_out)
{
    const int copies = is_twice ? 2 : 1;
    char *room = mmap(NULL, (size_t)(copies * bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *alias_out = NULL;
    if (room == MAP_FAILED)
        return FAR_FAIL(FAR_E_NOMEM, "the system gave no addresses for %" PRId64 " bytes: %s", bytes, strerror(errno));
    for (int i = 0; i < copies; i++) /* from no bytes: a second sight of a shared block, mremap(2) */
        if (mremap(data, 0, (size_t)bytes, MREMAP_MAYMOVE | MREMAP_FIXED, room + i * bytes) == MAP_FAILED) {
            const int why = errno;
            (void)munmap(room, (size_t)(copies * bytes));
            return FAR_FAIL(FAR_E_NOMEM, "the system did not show %" PRId64 " bytes at a second address: %s", bytes,
                            strerror(why));
        }
    *alias_out = room;
    return FAR_OK;
}

void fari_arena_unalias(void *alias, int64_t bytes, bool is_twice)
{
    if (alias != NULL) (void)munmap(alias, (size_t)(is_twice ? 2 * bytes : bytes));
}

void fari_arena_rest(void *data, int64_t bytes)
{
    if (bytes > 0) (void)madvise(data, (size_t)bytes, MADV_DONTNEED);
}

void fari_arena_unmap(void *data, int64_t bytes)
{
    if (data != NULL && bytes > 0) (void)munmap(data, (size_t)mapped_bytes(bytes));
}

void fari_arena_touch(void *data, int64_t bytes)
{
    volatile char *page = data;
    for (int64_t at = 0; at < bytes; at += PAGE_BYTES) page[at] = page[at];
}

#define STACK_TOUCH_BYTES 262144 /* deeper than any kernel's frames */
#define HEAP_TOUCH_BYTES 98304   /* below what malloc maps on its own */
#define HEAP_TOUCH_BLOCKS 8
#define TRIM_BYTES (16 << 20) /* freed heap that a process keeps */

__attribute__((noinline)) void fari_thread_touch(void)
{
    volatile char stack[STACK_TOUCH_BYTES];
    (void)mallopt(M_TRIM_THRESHOLD, TRIM_BYTES); /* else the block below would go back to the system at once */
    for (size_t i = 0; i < sizeof stack; i += 1024) stack[i] = 0;
    char *heap[HEAP_TOUCH_BLOCKS]; /* several at once: the first ones only fill holes */
    for (size_t k = 0; k < HEAP_TOUCH_BLOCKS; k++) {
        heap[k] = malloc(HEAP_TOUCH_BYTES); /* the system's, not ours: oneDNN's blocks come from there */
        for (size_t i = 0; heap[k] != NULL && i < HEAP_TOUCH_BYTES; i += 1024) ((volatile char *)heap[k])[i] = 0;
    }
    for (size_t k = 0; k < HEAP_TOUCH_BLOCKS; k++) free(heap[k]);
}

/* Threads beyond glibc's number of heaps share those: what one has touched the next one takes. */
int64_t fari_threads_touch_bytes(int64_t threads)
{
    const int64_t heaps = 8 * (int64_t)sysconf(_SC_NPROCESSORS_ONLN);
    return threads * STACK_TOUCH_BYTES + (threads < heaps ? threads : heaps) * HEAP_TOUCH_BLOCKS * HEAP_TOUCH_BYTES;
}
