/* What each thread of this process is doing, told for a few nanoseconds and only where somebody watches: a supervisor that finds the
 * process hanging, or gone, reads here what it was at. Tellers are instructions, readers of samples, messages, writers of files.
 * Each thread has a slot of its own from its first word to its end; a process has FARI_DOING_SLOTS of them, further threads stay untold. */
#ifndef FARI_BASE_DOING_H
#define FARI_BASE_DOING_H
#include <stdatomic.h>
#include <stdint.h>

#define FARI_DOING_SLOTS 48
#define FARI_DOING_TEXT 96

typedef enum fari_doing_kind {
    FARI_DOING_NOTHING = 0,
    FARI_DOING_COMPUTE,     /* what: an operation, "conv stem" */
    FARI_DOING_READ,        /* number: of the sample */
    FARI_DOING_WRITE,       /* what: a file */
    FARI_DOING_SPILL,       /* what: in words, "writes to disk conv3" */
    FARI_DOING_OTHER,       /* what: in words, "opens the data" */
    FARI_DOING_AWAIT_OWN,   /* waits for other threads of this process; number: the kind of what they do */
    FARI_DOING_AWAIT_RANK,  /* number: the rank; what: is to come from there */
    FARI_DOING_AWAIT_RANKS, /* all others; what: is to come from them */
} fari_doing_kind;

typedef struct fari_doing_slot {
    _Atomic int64_t thread; /* whose, 0: nobody's */
    _Atomic uint64_t count; /* words so far: it moves as long as the thread does */
    _Atomic int64_t number;
    _Atomic int32_t kind;
    char what[FARI_DOING_TEXT]; /* a reader may find it half changed, but never without an end */
} fari_doing_slot;

/* Where this process's threads tell from now on; the calling thread takes the first slot. NULL: nowhere, as at the start. Before other
   threads are there, or after they have ended. `slots` [FARI_DOING_SLOTS] is zeroed, and stays. */
void fari_doing_tell_in(fari_doing_slot *slots);
/* The calling thread's word. what, name: copied, one after the other; NULL: none. */
void fari_doing(fari_doing_kind kind, int64_t number, const char *what, const char *name);
#endif
