/* Plans in bands of rows, with tensors of which only windows are in memory: sound by other means than those that made them, flat in the height
   of the image, and mistakes seen. */
#include "base/mem.h"
#include "graph/graph.h"
#include "plan/part.h"
#include "plan/plan.h"
#include "support/graph_outcome.h"
#include "support/net_cases.h"
#include "support/random_graph.h"
#include "support/rank_set.h"
#include "support/temp_folder.h"
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

/* Whatever can wait on disk does: convolutions with a stride leave out rows, and pieces of a row. */
static void check_all_have_windows(const fari_plan *plan)
{
    for (int64_t i = 0; i < plan->buffer_count; i++) {
        const fari_buffer *b = &plan->buffers[i];
        if (b->base != FARI_BASE_ARENA || b->is_kept || b->last_turn < 0 || b->kind == FARI_BUFFER_PARTIAL ||
            b->kind == FARI_BUFFER_PACKED || plan->graph->tensors[b->tensor]->batch_of == 0)
            continue;
        FAR_CHECK_MSG(b->is_paged, "all of %s is in memory", plan->graph->tensors[b->tensor]->name);
    }
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
    check_all_have_windows(least);
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
    net_case wide = net_resnet18; /* a row of what goes into a stride is a page and more */
    wide.options = "width=16";
    wide.batch = 1;
    wide.height = 64;
    wide.width = 512;
    check_net(&wide, 8);
}

/* Memory depends on the width of an image, not on its height: for four times the rows, the same rings. */
FAR_TEST(rings_are_no_longer_for_taller_images)
{
    int64_t arena[2];
    fari_backend *backend = NULL;
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    for (int32_t i = 0; i < 2; i++) {
        net_case net = net_stream;
        net.height = i == 0 ? 1024 : 4096;
        far_graph *graph = net_graph(&net);
        fari_plan *plan = plan_of(graph, backend, windows, 16),
                  *plain = plan_of(graph, backend, (fari_spill_config){ 0 }, 16);
        arena[i] = plan->arena_bytes;
        printf("%d rows: %.1f kB, all in memory %.1f\n", (int)net.height, 1e-3 * (double)plan->arena_bytes,
               1e-3 * (double)plain->arena_bytes);
        FAR_CHECK(plan->arena_bytes * (i == 0 ? 4 : 16) < plain->arena_bytes);
        fari_plan_destroy(plan);
        fari_plan_destroy(plain);
        far_graph_destroy(graph);
    }
    FAR_CHECK_MSG(arena[1] * 20 <= arena[0] * 21, "%" PRId64 " bytes for four times the rows, not %" PRId64, arena[1],
                  arena[0]);
    backend->destroy(backend);
}

/* ---- mistakes are seen ---- */

static void must_be_seen(void (*change)(fari_plan *plan), const char *words)
{
    fari_backend *backend = NULL;
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    far_graph *graph = net_graph(&net_unet_group);
    fari_plan *plan = plan_of(graph, backend, windows, 8);
    change(plan);
    FAR_CHECK_STATUS(fari_plan_check_hazards(plan), FAR_E_INTERNAL);
    FAR_CHECK_HAS(far_error_message(), words);
    fari_plan_destroy(plan);
    backend->destroy(backend);
    far_graph_destroy(graph);
}

/* Rings hold a piece less than the plan thinks: rows are overwritten that somebody still reads. */
static void shorten_rings(fari_plan *plan)
{
    for (int64_t b = 0; b < plan->buffer_count; b++)
        if (plan->buffers[b].ring_of > 0 && plan->buffers[b].bytes > 3 * FARI_PAGE_BYTES)
            plan->buffers[b].bytes -= 3 * FARI_PAGE_BYTES; /* two pieces are there to spare */
}

/* A piece comes into a ring while somebody still reads what it overwrites. */
static void forget_readers(fari_plan *plan)
{
    for (int64_t i = 0; i < plan->instr_count; i++)
        for (int64_t s = plan->succ0[i]; s < plan->succ0[i + 1] && plan->instrs[i].kind == FARI_INSTR_CALL; s++)
            if (plan->instrs[plan->succ[s]].kind == FARI_INSTR_READ) plan->succ[s] = (int32_t)plan->instr_count - 1;
}

FAR_TEST(mistakes_are_seen)
{
    must_be_seen(shorten_rings, "nobody wrote");
    must_be_seen(forget_readers, "in no order");
}

/* ---- random graphs: the same bits ---- */

typedef struct tally {
    int64_t graphs, rings, sweeps;
} tally;

static void check_seed(uint64_t seed, const char *folder, tally *all)
{
    graph_case c;
    graph_case_open(seed, &c);
    c.opts.exec.spill_folder = folder;
    const graph_outcome want = run_graph(c.graph, &c.opts, c.feed);
    for (int32_t way = 0; way < 2; way++) {
        fari_plan *plan = NULL;
        c.opts.plan.spill = way == 0 ? whole : windows;
        FAR_CHECK_OK(fari_plan_create(c.graph, &c.opts.plan, &plan));
        FAR_CHECK_OK(fari_plan_check_hazards(plan));
        all->graphs += way > 0 && count_rings(plan) > 0;
        all->rings += count_rings(plan);
        all->sweeps += plan->sweep_count;
        fari_plan_destroy(plan);
        const graph_outcome got = run_graph(c.graph, &c.opts, c.feed);
        FAR_CHECK_MSG(strcmp(got.digest, want.digest) == 0 && strcmp(got.outputs, want.outputs) == 0,
                      "seed %d, way %d: other weights or outputs", (int)seed, (int)way);
    }
    graph_case_close(&c);
}

static void check_seeds(uint64_t first, uint64_t last)
{
    char folder[TEMP_FOLDER_BYTES];
    tally all = { 0 };
    temp_folder(folder);
    for (uint64_t seed = first; seed <= last; seed++) check_seed(seed, folder, &all);
    printf("%d rings, in %d of %d graphs; %d sweeps\n", (int)all.rings, (int)all.graphs, (int)(last - first + 1),
           (int)all.sweeps);
    FAR_CHECK(all.graphs > 0);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(random_graphs_give_the_same_bits)
{
    check_seeds(1, 60);
}

FAR_TEST_TORTURE(many_random_graphs_give_the_same_bits)
{
    check_seeds(1000, 3000);
}
