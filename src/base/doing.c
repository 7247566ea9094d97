#include "base/doing.h"
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic(fari_doing_slot *) told_in;

static pthread_key_t at_end;
static pthread_once_t at_end_once = PTHREAD_ONCE_INIT;

/* A thread asks for a slot once for each place that is told in; none left: it does not ask again. */
static _Thread_local fari_doing_slot *asked_in, *own;

/* The thread ends, and another may have its slot. */
static void give_back(void *slot)
{
    fari_doing_slot *mine = slot;
    if (atomic_load_explicit(&told_in, memory_order_relaxed) == NULL) return;
    atomic_store_explicit(&mine->kind, FARI_DOING_NOTHING, memory_order_relaxed);
    atomic_store_explicit(&mine->thread, 0, memory_order_release);
}

static void make_key(void)
{
    (void)pthread_key_create(&at_end, give_back);
}

static fari_doing_slot *take_slot(fari_doing_slot *slots)
{
    const int64_t self = (int64_t)syscall(SYS_gettid);
    asked_in = slots;
    own = NULL;
    for (int32_t i = 0; i < FARI_DOING_SLOTS && own == NULL; i++) {
        int64_t nobody = 0;
        if (atomic_compare_exchange_strong(&slots[i].thread, &nobody, self)) own = &slots[i];
    }
    (void)pthread_once(&at_end_once, make_key);
    (void)pthread_setspecific(at_end, own);
    return own;
}

void fari_doing_tell_in(fari_doing_slot *slots)
{
    atomic_store(&told_in, slots);
    if (slots != NULL) (void)take_slot(slots);
}

static size_t append(fari_doing_slot *slot, size_t at, const char *text)
{
    for (; text != NULL && *text != '\0' && at < FARI_DOING_TEXT - 1; text++) slot->what[at++] = *text;
    return at;
}

void fari_doing(fari_doing_kind kind, int64_t number, const char *what, const char *name)
{
    fari_doing_slot *slots = atomic_load_explicit(&told_in, memory_order_relaxed);
    if (slots == NULL) return;
    fari_doing_slot *slot = asked_in == slots ? own : take_slot(slots);
    if (slot == NULL) return;
    size_t length = append(slot, 0, what);
    if (name != NULL) length = append(slot, length, " ");
    slot->what[append(slot, length, name)] = '\0';
    atomic_store_explicit(&slot->number, number, memory_order_relaxed);
    atomic_store_explicit(&slot->kind, (int32_t)kind, memory_order_relaxed);
    /* the only writer: no locked instruction is needed */
    const uint64_t count = atomic_load_explicit(&slot->count, memory_order_relaxed);
    atomic_store_explicit(&slot->count, count + 1, memory_order_release);
}
