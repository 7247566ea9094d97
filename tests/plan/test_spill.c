/* Plans with tensors that wait on disk: sound by other means than those that made them, the same bits for random graphs, and mistakes seen. */
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

static const fari_spill_config most = { .mode = FARI_SPILL_MOST, .min_bytes = 1, .piece_bytes = FARI_PAGE_BYTES };

static int64_t count_kind(const fari_plan *plan, fari_instr_kind kind)
{
    int64_t count = 0;
    for (int64_t i = 0; i < plan->instr_count; i++) count += plan->instrs[i].kind == kind;
    return count;
}

static fari_plan *plan_of(const far_graph *graph, fari_backend *backend, fari_spill_config spill)
{
    fari_plan *plan = NULL;
    const fari_plan_opts opts = { .grain = { .samples = 1, .rows = 8, .min_rows = 2, .dense = 2 },
                                  .spill = spill,
                                  .backend = backend };
    FAR_CHECK_OK(fari_plan_create(graph, &opts, &plan));
    return plan;
}

/* ---- what a plan says is so ---- */

/* Nobody but WRITE and READ touches the file, each moves a piece of one tensor, and what waits there starts and ends on pages. */
static void check_moves(const fari_plan *plan)
{
    int64_t written = 0, read = 0;
    for (int64_t i = 0; i < plan->instr_count; i++) {
        const fari_instr *instr = &plan->instrs[i];
        for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++) {
            const fari_access *access = &plan->accesses[a];
            const fari_buffer *b = &plan->buffers[access->buffer];
            FAR_CHECK(b->base != FARI_BASE_SPILL || fari_instr_is_move(instr));
            FAR_CHECK(access->hi <= b->bytes);
            FAR_CHECK(!b->is_paged || (b->offset % FARI_PAGE_BYTES == 0 && b->bytes % FARI_PAGE_BYTES == 0));
            if (b->base == FARI_BASE_SPILL) FAR_CHECK(b->offset + b->bytes <= plan->spill_bytes);
        }
        if (!fari_instr_is_move(instr)) continue;
        const fari_access *from = &plan->accesses[plan->access0[i]], *to = from + 1;
        const fari_buffer *x = &plan->buffers[from->buffer], *y = &plan->buffers[to->buffer];
        const bool is_write = instr->kind == FARI_INSTR_WRITE;
        FAR_CHECK_EQ_I64(plan->access0[i + 1] - plan->access0[i], 2);
        FAR_CHECK(x->base == (is_write ? FARI_BASE_ARENA : FARI_BASE_SPILL));
        FAR_CHECK(y->base == (is_write ? FARI_BASE_SPILL : FARI_BASE_ARENA));
        FAR_CHECK(x->tensor == y->tensor && from->lo == to->lo && from->hi == to->hi && x->is_paged && y->is_paged);
        FAR_CHECK(from->lo % FARI_PAGE_BYTES == 0 && from->hi % FARI_PAGE_BYTES == 0);
        *(is_write ? &written : &read) += from->hi - from->lo;
    }
    FAR_CHECK_EQ_I64(written, plan->written_bytes);
    FAR_CHECK_EQ_I64(read, plan->read_bytes);
}

FAR_TEST(the_plan_of_a_network_is_sound)
{
    fari_backend *backend = NULL;
    net_case net = net_unet_group;
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    far_graph *graph = net_graph(&net);
    fari_plan *all = plan_of(graph, backend, (fari_spill_config){ 0 }), *least = plan_of(graph, backend, most);
    FAR_CHECK_OK(fari_plan_check_hazards(least));
    check_moves(least);
    FAR_CHECK(count_kind(all, FARI_INSTR_WRITE) == 0 && all->spill_bytes == 0);
    FAR_CHECK_EQ_I64(least->instr_count,
                     all->instr_count + count_kind(least, FARI_INSTR_WRITE) + count_kind(least, FARI_INSTR_READ));
    FAR_CHECK(least->arena_bytes < all->arena_bytes * 3 / 4);
    int64_t written = least->written_bytes;
    for (int32_t i = 0; i <= 20; i++) {
        fari_spill_config within = most;
        within.mode = FARI_SPILL_AUTO;
        within.arena_limit = least->arena_bytes + (all->arena_bytes - least->arena_bytes) * i / 20;
        fari_plan *plan = plan_of(graph, backend, within), *same = plan_of(graph, backend, within);
        FAR_CHECK(plan->arena_bytes <= within.arena_limit);
        FAR_CHECK_MSG(plan->arena_bytes * 8 >= within.arena_limit * 7,
                      "%" PRId64 " bytes of %" PRId64 " are made use of", plan->arena_bytes, within.arena_limit);
        FAR_CHECK_MSG(plan->written_bytes * 4 <= written * 5,
                      "%" PRId64 " bytes are written, %" PRId64 " with less memory", plan->written_bytes, written);
        written = plan->written_bytes;
        FAR_CHECK_OK(fari_plan_check_hazards(plan));
        check_moves(plan);
        FAR_CHECK(same->arena_bytes == plan->arena_bytes && same->instr_count == plan->instr_count);
        fari_plan_destroy(plan);
        fari_plan_destroy(same);
    }
    fari_plan_destroy(all);
    fari_plan_destroy(least);
    backend->destroy(backend);
    far_graph_destroy(graph);
}

/* ---- mistakes are seen ---- */

static void must_be_seen(void (*change)(fari_plan *plan), const char *words)
{
    fari_backend *backend = NULL;
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    far_graph *graph = net_graph(&net_unet_group);
    fari_plan *plan = plan_of(graph, backend, most);
    FAR_CHECK_OK(fari_plan_check_hazards(plan));
    change(plan);
    FAR_CHECK_STATUS(fari_plan_check_hazards(plan), FAR_E_INTERNAL);
    FAR_CHECK_HAS(far_error_message(), words);
    fari_plan_destroy(plan);
    backend->destroy(backend);
    far_graph_destroy(graph);
}

/* The k-th move of a kind loses its last page. */
static void shorten(fari_plan *plan, fari_instr_kind kind)
{
    for (int64_t i = 0; i < plan->instr_count; i++)
        if (plan->instrs[i].kind == kind) {
            fari_access *from = &plan->accesses[plan->access0[i]], *to = from + 1;
            from->hi -= FARI_PAGE_BYTES;
            to->hi -= FARI_PAGE_BYTES;
            return;
        }
}

static void read_too_little(fari_plan *plan)
{
    shorten(plan, FARI_INSTR_READ);
}

static void write_too_little(fari_plan *plan)
{
    shorten(plan, FARI_INSTR_WRITE);
}

/* A piece comes back before it was written: its reading no longer follows from its writing. */
static void forget_edges(fari_plan *plan)
{
    for (int64_t i = 0; i < plan->instr_count; i++)
        for (int64_t s = plan->succ0[i]; s < plan->succ0[i + 1] && plan->instrs[i].kind == FARI_INSTR_WRITE; s++)
            if (plan->instrs[plan->succ[s]].kind == FARI_INSTR_READ) plan->succ[s] = (int32_t)plan->instr_count - 1;
}

/* The place of a piece is given away while it is written. */
static void forget_places(fari_plan *plan)
{
    for (int64_t i = 0; i < plan->instr_count; i++)
        for (int64_t s = plan->succ0[i]; s < plan->succ0[i + 1] && plan->instrs[i].kind == FARI_INSTR_WRITE; s++)
            if (plan->instrs[plan->succ[s]].kind == FARI_INSTR_CALL) plan->succ[s] = (int32_t)plan->instr_count - 1;
}

FAR_TEST(mistakes_are_seen)
{
    must_be_seen(read_too_little, "which nobody wrote");
    must_be_seen(write_too_little, "which nobody wrote");
    must_be_seen(forget_edges, "in no order");
    must_be_seen(forget_places, "in no order");
}

/* ---- random graphs: the same bits ---- */

typedef struct tally {
    int64_t graphs, moves, on_ranks;
} tally;

static void check_seed(uint64_t seed, const char *folder, tally *all)
{
    graph_case c;
    graph_case_open(seed, &c);
    c.opts.exec.spill_folder = folder;
    const graph_outcome want = run_graph(c.graph, &c.opts, c.feed);
    for (int32_t ranks = 1; ranks <= 3; ranks++) {
        fari_plan *plan = NULL;
        c.opts.plan.spill = most;
        if (chance(&c.d, 30)) c.opts.plan.spill.piece_bytes *= roll(&c.d, 2, 9);
        c.opts.plan.mesh = chance(&c.d, 50) ? (fari_mesh){ ranks, 1 } : (fari_mesh){ 1, ranks };
        FAR_CHECK_OK(fari_plan_create(c.graph, &c.opts.plan, &plan));
        check_moves(plan);
        const int64_t moves = count_kind(plan, FARI_INSTR_READ);
        if (ranks == 1) FAR_CHECK_OK(fari_plan_check_hazards(plan));
        all->moves += moves;
        if (ranks == 1) all->graphs += moves > 0;
        if (ranks > 1) all->on_ranks += moves > 0;
        fari_plan_destroy(plan);
        const graph_outcome got = run_graph(c.graph, &c.opts, c.feed);
        FAR_CHECK_MSG(strcmp(got.digest, want.digest) == 0, "seed %d, %d ranks: other weights: %s, not %s", (int)seed,
                      (int)ranks, got.digest, want.digest);
        FAR_CHECK_MSG(strcmp(got.outputs, want.outputs) == 0, "seed %d, %d ranks: other outputs", (int)seed,
                      (int)ranks);
    }
    graph_case_close(&c);
}

static void check_seeds(uint64_t first, uint64_t last)
{
    char folder[TEMP_FOLDER_BYTES];
    tally all = { 0 };
    temp_folder(folder);
    for (uint64_t seed = first; seed <= last; seed++) check_seed(seed, folder, &all);
    printf("%d pieces came back, in %d of %d graphs; in %d plans of ranks\n", (int)all.moves, (int)all.graphs,
           (int)(last - first + 1), (int)all.on_ranks);
    FAR_CHECK(all.graphs * 2 > (int64_t)(last - first) && all.on_ranks > 0);
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
