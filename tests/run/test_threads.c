/* The pool of threads that runs a step: many small instructions, more threads than cores, every order, pool after pool. Short enough for
   ThreadSanitizer, which has to see the hand-over of every instruction; test_bits asks the same of 20 steps of whole networks. */
#include "support/net_cases.h"
#include "test.h"
#include <math.h>

#define STEPS 2

static void meet(const net_case *net, const fari_grain_config *grain)
{
    static const int32_t threads[] = { 1, 2, 3, 8 };
    net_result first = { .digest = "" }, now;
    int64_t pools = 0;
    for (size_t t = 0; t < FAR_COUNT(threads); t++)
        for (int32_t order = 0; order < 3; order++) {
            const net_variant variant = {
                .grain = *grain, .order = (fari_exec_order)order, .threads = threads[t], .order_seed = t + 7
            };
            net_run(net, &variant, STEPS, &now);
            if (pools++ == 0) first = now;
            FAR_CHECK(isfinite(now.loss));
            FAR_CHECK_MSG(strcmp(now.digest, first.digest) == 0, "%s: %d threads, order %d: %s, not %s", net->label,
                          (int)threads[t], (int)order, now.digest, first.digest);
        }
    printf("%s: %d instructions, %d pools, equal digests %.16s\n", net->label, (int)first.calls, (int)pools,
           first.digest);
}

FAR_TEST(more_threads_than_cores)
{
    meet(&net_lenet5, &(fari_grain_config){ .samples = 1, .rows = 6, .min_rows = 1, .dense = 2 });
}

FAR_TEST(statistics_over_samples_and_rows)
{
    meet(&net_unet_group, &(fari_grain_config){ .samples = 1, .rows = 6, .min_rows = 1, .dense = 2 });
}

FAR_TEST(layers_that_planes_share)
{
    meet(&net_narrow_a21, &(fari_grain_config){ .samples = 1, .rows = 1 << 20, .dense = 1 });
}
