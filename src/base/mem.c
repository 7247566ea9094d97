#include "base/mem.h"
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_llong live_blocks;
static atomic_llong forbidden_seen;
static atomic_llong fail_countdown = -1; /* allocations until the one that fails; negative: none will */
static atomic_bool forbidden;
static _Thread_local bool is_exempt;

/* Every allocation passes here first. False: this one has to fail. */
static bool admit(void)
{
    if (atomic_load_explicit(&forbidden, memory_order_relaxed) && !is_exempt) {
#ifdef NDEBUG
        atomic_fetch_add_explicit(&forbidden_seen, 1, memory_order_relaxed);
#else
        (void)fputs("farandole: internal error: memory was allocated inside a step; please report it\n", stderr);
        abort();
#endif
    }
    /* The common case reads one shared, never written word. */
    if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) < 0) return true;
    return atomic_fetch_sub_explicit(&fail_countdown, 1, memory_order_relaxed) != 0;
}

static void *count_new(void *ptr)
{
    if (ptr != NULL) atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
    return ptr;
}

void *fari_alloc(size_t bytes)
{
    if (!admit()) return NULL;
    return count_new(malloc(bytes > 0 ? bytes : 1));
}

void *fari_calloc(size_t count, size_t elem_bytes)
{
    if (!admit()) return NULL;
    const bool empty = count == 0 || elem_bytes == 0;
    return count_new(empty ? calloc(1, 1) : calloc(count, elem_bytes));
}

void *fari_realloc(void *old, size_t bytes)
{
    if (!admit()) return NULL;
    void *grown = realloc(old, bytes > 0 ? bytes : 1);
    return old == NULL ? count_new(grown) : grown;
}

char *fari_strdup(const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = fari_alloc(bytes);
    if (copy != NULL) memcpy(copy, text, bytes);
    return copy;
}

char *fari_printf(const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = length < 0 ? NULL : fari_alloc((size_t)length + 1);
    if (text != NULL) (void)vsnprintf(text, (size_t)length + 1, fmt, again);
    va_end(again);
    return text;
}

void fari_free(void *ptr)
{
    if (ptr == NULL) return;
    atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
    free(ptr);
}

bool fari_mul_size(size_t a, size_t b, size_t *product_out)
{
    if (a != 0 && b > SIZE_MAX / a) return false;
    *product_out = a * b;
    return true;
}

bool fari_reserve(void **array_io, int64_t *cap_io, int64_t need, size_t elem_bytes)
{
    if (need <= *cap_io) return true;
    int64_t cap = *cap_io > INT64_MAX / 2 ? need : 2 * *cap_io;
    if (cap < need) cap = need;
    if (cap < 8) cap = 8;
    size_t bytes;
    if (!fari_mul_size((size_t)cap, elem_bytes, &bytes)) return false;
    void *grown = fari_realloc(*array_io, bytes);
    if (grown == NULL) return false;
    *array_io = grown;
    *cap_io = cap;
    return true;
}

void fari_alloc_forbid(bool forbid)
{
    atomic_store(&forbidden, forbid);
}

void fari_alloc_exempt(bool exempt)
{
    is_exempt = exempt;
}

int64_t fari_alloc_forbidden_count(void)
{
    return atomic_load(&forbidden_seen);
}

void fari_alloc_fail_after(int64_t nth)
{
    atomic_store(&fail_countdown, nth < 0 ? -1 : nth);
}

int64_t fari_alloc_live(void)
{
    return atomic_load(&live_blocks);
}
