/* The order of sums: left-complete, the same whether slots are many or few, and every slot within its count. */
#include "plan/plan.h"
#include "test.h"

typedef struct recorder {
    char text[64][4096]; /* what each slot holds, in brackets as it was added */
    int64_t slots_seen;
} recorder;

static far_status leaf(void *ctx, int64_t leaf_idx, int64_t slot)
{
    recorder *r = ctx;
    FAR_CHECK(slot >= 0 && slot < 64);
    (void)snprintf(r->text[slot], sizeof r->text[slot], "%d", (int)leaf_idx);
    if (slot + 1 > r->slots_seen) r->slots_seen = slot + 1;
    return FAR_OK;
}

static far_status combine(void *ctx, int64_t left, int64_t right)
{
    recorder *r = ctx;
    static char sum[9000];
    (void)snprintf(sum, sizeof sum, "(%s+%s)", r->text[left], r->text[right]);
    FAR_CHECK(strlen(sum) < sizeof r->text[left]);
    memcpy(r->text[left], sum, strlen(sum) + 1);
    r->text[right][0] = '\0';
    return FAR_OK;
}

/* The definition: the left child has the largest power of two of leaves below the count. */
static void expected(int64_t first, int64_t count, char *out, size_t bytes)
{
    if (count == 1) {
        (void)snprintf(out, bytes, "%d", (int)first);
        return;
    }
    int64_t left = 1;
    while (left * 2 < count) left *= 2;
    char *a = malloc(bytes), *b = malloc(bytes);
    expected(first, left, a, bytes);
    expected(first + left, count - left, b, bytes);
    (void)snprintf(out, bytes, "(%s+%s)", a, b);
    free(a);
    free(b);
}

FAR_TEST(tree_is_left_complete_with_many_and_few_slots)
{
    static recorder r;
    char want[4096];
    for (int64_t leaves = 1; leaves <= 64; leaves++)
        for (int frugal = 0; frugal < 2; frugal++) {
            memset(&r, 0, sizeof r);
            const fari_tree_visitor visitor = { leaf, combine, &r };
            FAR_CHECK_OK(fari_tree_visit(leaves, frugal, &visitor));
            expected(0, leaves, want, sizeof want);
            FAR_CHECK_STR(r.text[0], want);
            FAR_CHECK(r.slots_seen <= fari_tree_slots(leaves, frugal));
        }
}

FAR_TEST(few_slots_are_few)
{
    FAR_CHECK_EQ_I64(fari_tree_slots(64, true), 6 + 1 + 2);
    FAR_CHECK_EQ_I64(fari_tree_slots(64, false), 64);
    FAR_CHECK_EQ_I64(fari_tree_slots(3, true), 3);
    FAR_CHECK_EQ_I64(fari_tree_slots(1, true), 1);
}
