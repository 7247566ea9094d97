/* The allocator: counting, failure on demand, growth. */
#include "base/mem.h"
#include "test.h"
#include <pthread.h>

FAR_TEST(empty_blocks_are_valid)
{
    void *a = fari_alloc(0), *b = fari_calloc(0, 8), *c = fari_realloc(NULL, 0);
    FAR_CHECK(a != NULL && b != NULL && c != NULL);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 3);
    fari_free(a);
    fari_free(b);
    fari_free(c);
    fari_free(NULL);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(overflow_gives_null)
{
    size_t product = 7;
    FAR_CHECK(fari_calloc(SIZE_MAX / 2, 3) == NULL);
    FAR_CHECK(!fari_mul_size(SIZE_MAX / 2, 3, &product));
    FAR_CHECK_EQ_U64(product, 7);
    FAR_CHECK(fari_mul_size(SIZE_MAX / 2, 2, &product));
    FAR_CHECK(fari_mul_size(0, SIZE_MAX, &product) && product == 0);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(nth_allocation_fails_once)
{
    fari_alloc_fail_after(2);
    void *a = fari_alloc(8), *b = fari_calloc(2, 8), *c = fari_alloc(8), *d = fari_alloc(8);
    FAR_CHECK(a != NULL && b != NULL && c == NULL && d != NULL);
    fari_alloc_fail_after(0);
    FAR_CHECK(fari_realloc(a, 100) == NULL); /* a stays as it was */
    fari_alloc_fail_after(0);
    FAR_CHECK(fari_strdup("text") == NULL);
    fari_alloc_fail_after(0);
    FAR_CHECK(fari_printf("%d", 7) == NULL);
    fari_alloc_fail_after(0);
    fari_alloc_fail_after(-1);
    void *e = fari_alloc(8);
    FAR_CHECK(e != NULL);
    fari_free(a);
    fari_free(b);
    fari_free(d);
    fari_free(e);
}

FAR_TEST(arrays_grow)
{
    int64_t *array = NULL, cap = 0;
    for (int64_t i = 0; i < 1000; i++) {
        FAR_CHECK(fari_reserve((void **)&array, &cap, i + 1, sizeof *array));
        array[i] = i;
    }
    FAR_CHECK(cap >= 1000 && cap < 2100);
    for (int64_t i = 0; i < 1000; i++) FAR_CHECK_EQ_I64(array[i], i);
    const int64_t before = cap;
    FAR_CHECK(!fari_reserve((void **)&array, &cap, INT64_MAX / 4, sizeof *array));
    FAR_CHECK_EQ_I64(cap, before);
    fari_free(array);
}

FAR_TEST(printf_gives_exact_text)
{
    char *text = fari_printf("%s-%05d", "step", 42);
    FAR_CHECK_STR(text, "step-00042");
    fari_free(text);
}

FAR_TEST(forbidden_allocations_are_counted)
{
#ifndef NDEBUG
    FAR_SKIP("in builds with assertions such an allocation ends the program");
#endif
    fari_alloc_forbid(true);
    void *block = fari_alloc(8);
    fari_alloc_forbid(false);
    FAR_CHECK(block != NULL);
    FAR_CHECK_EQ_I64(fari_alloc_forbidden_count(), 1);
    fari_free(block);
}

static void *churn(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++) fari_free(fari_alloc(16));
    return NULL;
}

FAR_TEST(counts_hold_across_threads)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) FAR_CHECK(pthread_create(&threads[i], NULL, churn, NULL) == 0);
    for (int i = 0; i < 4; i++) FAR_CHECK(pthread_join(threads[i], NULL) == 0);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}
