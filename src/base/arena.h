/* Large blocks straight from the system: page-aligned, zeroed, huge pages advised. */
#ifndef FARI_BASE_ARENA_H
#define FARI_BASE_ARENA_H
#include "base/status.h"
#include <stdint.h>

/* Maps `bytes` (0 gives NULL). Pages are there once they are touched: fari_arena_touch. */
far_status fari_arena_map(int64_t bytes, void **data_out);
void fari_arena_unmap(void *data, int64_t bytes); /* NULL is allowed */
/* Touches every page of [data, data + bytes), so that no step pays for it. */
void fari_arena_touch(void *data, int64_t bytes);
/* Touches the calling thread's stack, and the heap from which libraries take their small blocks: no step faults on them later. */
void fari_thread_touch(void);
int64_t fari_threads_touch_bytes(int64_t threads); /* what that leaves in memory */
#endif
