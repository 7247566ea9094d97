/* The same bits on any number of ranks: plans of several ranks run side by side in one process, messages arriving in random order,
   against the plan of one rank. */
#include "support/net_ranks.h"
#include "test.h"

#define STEPS 3

static const net_case lenet5 = { .label = "lenet5, adam",
                                 .model = "lenet5",
                                 .batch = 10,
                                 .channels = 1,
                                 .height = 28,
                                 .width = 28,
                                 .classes = 10,
                                 .dropout_input = 0.1,
                                 .optim = { .name = "adam", .clip_norm = 0.5 },
                                 .lr = 1e-3 };

static const fari_grain_config samples_cut = { .samples = 1, .rows = 1 << 20, .dense = 1 };

static void meshes(const net_case *net, const fari_grain_config *grain, const fari_mesh *mesh, size_t count)
{
    const net_variant variant = { .grain = *grain, .threads = 1 };
    net_result want;
    net_run(net, &variant, STEPS, &want);
    for (size_t i = 0; i < count; i++) {
        net_ranks_result got;
        net_run_ranks(net, &variant, mesh[i], i + 1, STEPS, &got);
        printf("%s, data=%d, spatial=%d: %d messages, %.1f kB a step, %d idle, arena %.2f of one rank's\n", net->label,
               (int)mesh[i].data, (int)mesh[i].spatial, (int)(got.messages / STEPS), 1e-3 * (double)got.bytes / STEPS,
               (int)got.idle, (double)got.arena_most / (double)got.arena_one);
        FAR_CHECK_MSG(strcmp(got.digest, want.digest) == 0,
                      "%s on data=%d, spatial=%d gives other bits: %s, not %s (loss %.9g, %.9g)", net->label,
                      (int)mesh[i].data, (int)mesh[i].spatial, got.digest, want.digest, got.loss, want.loss);
    }
}

FAR_TEST(lenet5_data_parallel)
{
    static const fari_mesh all[] = { { 1, 1 }, { 2, 1 }, { 3, 1 }, { 4, 1 }, { 5, 1 }, { 8, 1 } };
    meshes(&lenet5, &samples_cut, all, FAR_COUNT(all));
}
