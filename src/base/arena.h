/* Large blocks straight from the system: page-aligned, zeroed, huge pages advised. */
#ifndef FARI_BASE_ARENA_H
#define FARI_BASE_ARENA_H
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

/* Maps `bytes` (0 gives NULL). Pages are there once they are touched: fari_arena_touch. */
far_status fari_arena_map(int64_t bytes, void **data_out);
void fari_arena_unmap(void *data, int64_t bytes); /* NULL is allowed */
/* The same as a block of which parts can be shown at further addresses. */
far_status fari_arena_map_shared(int64_t bytes, void **data_out);
/* Shows [data, data + bytes) of such a block, whole pages, at another address too; is_twice: and once more right behind that, so that what runs on
   over the end goes on at the beginning. To be unmapped by fari_arena_unalias before the block is. */
far_status fari_arena_alias(void *data, int64_t bytes, bool is_twice, void **alias_out);
void fari_arena_unalias(void *alias, int64_t bytes, bool is_twice); /* NULL is allowed */
/* Of such a block or an alias: the addresses are no longer counted as memory of the process; the contents stay. */
void fari_arena_rest(void *data, int64_t bytes);
/* Touches every page of [data, data + bytes), so that no step pays for it. */
void fari_arena_touch(void *data, int64_t bytes);
/* Touches the calling thread's stack, and the heap from which libraries take their small blocks: no step faults on them later. */
void fari_thread_touch(void);
int64_t fari_threads_touch_bytes(int64_t threads); /* what that leaves in memory */
#endif
