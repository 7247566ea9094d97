/* Plans in bands of rows, with tensors of which only windows are in memory: sound by other means than those that made them, flat in the height
   of the image, and mistakes seen. */
#include "base/mem.h"
#include "graph/graph.h"
#include "plan/part.h"
#include "plan/plan.h"
#include "support/net_cases.h"
#include "test.h"

static const fari_spill_config whole = { .is_banded = true };
static const fari_spill_config windows = {
    .mode = FARI_SPILL_MOST, .min_bytes = 1, .piece_bytes = FARI_PAGE_BYTES, .is_banded = true
};

static const net_case net_stream = { .label = "stream",
                                     .model = "uresnet",
                                     .preset = "stream",
                                     .batch = 1,
                                     .channels = 1,
                                     .height = 512,
                                     .width = 64,
                                     .classes = 3,
                                     .is_map = true,
                                     .is_focal = true,
                                     .optim = { .name = "sgd", .momentum = 0.9 },
                                     .lr = 0.01 };

static fari_plan *plan_of(const far_graph *graph, fari_backend *backend, fari_spill_config spill, int64_t rows)
{
    fari_plan *plan = NULL;
    const fari_plan_opts opts = { .grain = { .samples = 1, .rows = rows, .min_rows = 1, .dense = 2 },
                                  .spill = spill,
                                  .backend = backend };
    FAR_CHECK_OK(fari_plan_create(graph, &opts, &plan));
    return plan;
}

static int64_t count_rings(const fari_plan *plan)
{
    int64_t count = 0;
    for (int64_t b = 0; b < plan->buffer_count; b++) count += plan->buffers[b].ring_of > 0;
    return count;
}

static void check_net(const net_case *net, int64_t rows)
{
    fari_backend *backend = NULL;
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    far_graph *graph = net_graph(net);
    fari_plan *plain = plan_of(graph, backend, (fari_spill_config){ 0 }, rows);
    fari_plan *banded = plan_of(graph, backend, whole, rows), *least = plan_of(graph, backend, windows, rows);
    printf("%s: %" PRId64 " instructions, %" PRId64 " sweeps of %d turns; arena %.1f kB, in bands %.1f kB, in windows "
           "%.1f kB with %" PRId64 " rings, %.1f kB of disk\n",
           net->label, plain->instr_count, banded->sweep_count, (int)banded->turn_count,
           1e-3 * (double)plain->arena_bytes, 1e-3 * (double)banded->arena_bytes, 1e-3 * (double)least->arena_bytes,
           count_rings(least), 1e-3 * (double)least->spill_bytes);
    FAR_CHECK_EQ_I64(banded->instr_count, plain->instr_count);
    FAR_CHECK_OK(fari_plan_check_hazards(banded));
    FAR_CHECK_OK(fari_plan_check_hazards(least));
    fari_plan_destroy(plain);
    fari_plan_destroy(banded);
    fari_plan_destroy(least);
    backend->destroy(backend);
    far_graph_destroy(graph);
}

FAR_TEST(plans_of_networks_are_sound)
{
    check_net(&net_unet_group, 8);
    check_net(&net_stream, 8);
}
