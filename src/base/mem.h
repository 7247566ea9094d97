/* The library's allocator: counts, can be forbidden (inside a step) and can be made to fail (torture tests). */
#ifndef FARI_BASE_MEM_H
#define FARI_BASE_MEM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *fari_alloc(size_t bytes);                     /* NULL when the system has none; bytes 0 gives a valid pointer */
void *fari_calloc(size_t count, size_t elem_bytes); /* zeroed; NULL also on overflow */
void *fari_realloc(void *old, size_t bytes);        /* old stays valid on failure */
char *fari_strdup(const char *text);
char *fari_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* an allocated string, or NULL */
void fari_free(void *ptr);                                                     /* NULL is allowed */
bool fari_mul_size(size_t a, size_t b, size_t *product_out);                   /* false on overflow */

/* Grows *array_io so that it has room for `need` elements; amortised doubling. False when there is no memory. */
bool fari_reserve(void **array_io, int64_t *cap_io, int64_t need, size_t elem_bytes);

void fari_alloc_forbid(
    bool forbid); /* an allocation of ours on any thread while forbidden aborts (debug) or is counted */
void fari_alloc_exempt(bool exempt);      /* what the calling thread allocates is no part of a step */
int64_t fari_alloc_forbidden_count(void); /* allocations seen while forbidden */
void fari_alloc_fail_after(int64_t nth);  /* the nth allocation from here (0: the next) gives NULL, once; -1: never */
int64_t fari_alloc_live(void);            /* blocks held now: zero when nothing leaks */
#endif
