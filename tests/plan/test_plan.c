/* Properties of plans over random small graphs, by no code of the plan's own:
     buffers that live at the same time lie apart, and the peak is what offsets and sizes say;
     dependences point forwards in the canonical order, and any order that respects them lets each read see the very bytes that the
     canonical order lets it see (a model that remembers who last wrote each word);
     a plan is a function of graph, batch and grains: twice the same, and the same for any number of threads.
   A graph is a function of its seed, which a failure prints. */
#include "base/mem.h"
#include "graph/graph.h"
#include "plan/plan.h"
#include "plan/print.h"
#include "support/random_graph.h"
#include "test.h"

/* ---- memory ---- */

static int64_t align64(int64_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static bool live_together(const fari_buffer *a, const fari_buffer *b)
{
    return a->first_turn <= b->last_turn && b->first_turn <= a->last_turn;
}

/* Turn of every instruction: its node's; an input is fed in the turn of the node that comes next. */
static void turns_of(const fari_plan *plan, int32_t *turn)
{
    int32_t next = INT32_MAX;
    for (int64_t i = plan->instr_count; i-- > 0;) {
        if (plan->instrs[i].node >= 0) next = plan->turn[plan->instrs[i].node];
        turn[i] = next;
        FAR_CHECK(i + 1 == plan->instr_count || turn[i] <= turn[i + 1]);
    }
}

static void check_lives(const fari_plan *plan, const int32_t *turn)
{
    for (int64_t i = 0; i < plan->instr_count; i++)
        for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++) {
            const fari_access *access = &plan->accesses[a];
            const fari_buffer *buffer = &plan->buffers[access->buffer];
            FAR_CHECK_MSG(access->lo >= 0 && access->lo < access->hi && access->hi <= buffer->bytes,
                          "instruction %d touches bytes [%" PRId64 ", %" PRId64 ") of a buffer of %" PRId64, (int)i,
                          access->lo, access->hi, buffer->bytes);
            FAR_CHECK(buffer->base == FARI_BASE_STORE ||
                      (buffer->first_turn <= turn[i] && turn[i] <= buffer->last_turn));
        }
}

/* Bytes alive in the fullest turn: no placement can do with less. */
static int64_t fullest_turn(const fari_plan *plan)
{
    int64_t most = 0;
    for (int64_t b = 0; b < plan->buffer_count; b++) {
        int64_t sum = 0;
        const int32_t at = plan->buffers[b].first_turn;
        for (int64_t k = 0; k < plan->buffer_count; k++) {
            const fari_buffer *other = &plan->buffers[k];
            if (other->base == FARI_BASE_ARENA && other->first_turn <= at && at <= other->last_turn)
                sum += align64(other->bytes);
        }
        if (plan->buffers[b].base == FARI_BASE_ARENA && sum > most) most = sum;
    }
    return most;
}

static void check_memory(const fari_plan *plan, double *waste_io)
{
    int64_t top = 0, store = 0;
    for (int64_t a = 0; a < plan->buffer_count; a++) {
        const fari_buffer *x = &plan->buffers[a];
        FAR_CHECK(x->offset >= 0 && x->offset % 64 == 0);
        if (x->base == FARI_BASE_ARENA && x->offset + align64(x->bytes) > top) top = x->offset + align64(x->bytes);
        if (x->base == FARI_BASE_STORE) store += align64(x->bytes);
        for (int64_t b = 0; b < a; b++) {
            const fari_buffer *y = &plan->buffers[b];
            const bool is_apart =
                x->base != y->base || x->offset + x->bytes <= y->offset || y->offset + y->bytes <= x->offset;
            FAR_CHECK_MSG(is_apart || (x->base == FARI_BASE_ARENA && !live_together(x, y)),
                          "buffers %d and %d live at the same time in one place", (int)a, (int)b);
        }
    }
    FAR_CHECK_EQ_I64(plan->arena_bytes, top);
    FAR_CHECK_EQ_I64(plan->store_bytes, store);
    FAR_CHECK_EQ_I64(fari_plan_run_bytes(plan), top + plan->opts.threads * plan->scratch_bytes);
    const int64_t least = fullest_turn(plan);
    FAR_CHECK(top >= least);
    if (least > 0 && (double)top / (double)least > *waste_io) *waste_io = (double)top / (double)least;
}

/* ---- order ---- */

static void check_dependences(const fari_plan *plan)
{
    int32_t *waits = calloc((size_t)plan->instr_count, sizeof *waits);
    FAR_CHECK(waits != NULL);
    for (int64_t i = 0; i < plan->instr_count; i++)
        for (int64_t s = plan->succ0[i]; s < plan->succ0[i + 1]; s++) {
            FAR_CHECK_MSG(plan->succ[s] > i && plan->succ[s] < plan->instr_count,
                          "instruction %d waits for a later one, %d", (int)plan->succ[s], (int)i);
            waits[plan->succ[s]]++;
        }
    for (int64_t i = 0; i < plan->instr_count; i++) FAR_CHECK_EQ_I64(plan->indegree[i], waits[i]);
    free(waits);
}

#define WORD 1 /* bytes: masks and indices are single ones */

/* Who wrote each word of arena and store last; -1: nobody in this step. */
typedef struct memory {
    int32_t *arena, *store;
} memory;

static memory memory_new(const fari_plan *plan)
{
    const memory m = { malloc((size_t)(plan->arena_bytes / WORD + 1) * sizeof(int32_t)),
                       malloc((size_t)(plan->store_bytes / WORD + 1) * sizeof(int32_t)) };
    FAR_CHECK(m.arena != NULL && m.store != NULL);
    return m;
}

static void memory_clear(const memory *m, const fari_plan *plan)
{
    memset(m->arena, 0xFF, (size_t)(plan->arena_bytes / WORD + 1) * sizeof(int32_t));
    memset(m->store, 0xFF, (size_t)(plan->store_bytes / WORD + 1) * sizeof(int32_t));
}

static void memory_free(memory *m)
{
    free(m->arena);
    free(m->store);
}

static int32_t *words_of(const memory *m, const fari_plan *plan, const fari_access *access, int64_t *count_out)
{
    const fari_buffer *buffer = &plan->buffers[access->buffer];
    FAR_CHECK(access->lo % WORD == 0 && access->hi % WORD == 0);
    *count_out = (access->hi - access->lo) / WORD;
    return (buffer->base == FARI_BASE_ARENA ? m->arena : m->store) + (buffer->offset + access->lo) / WORD;
}

/* Whether an instruction's result depends on what its outputs held: sums in place, updates in place. */
static bool reads_outputs(const fari_plan *plan, const fari_instr *instr)
{
    if (instr->kind == FARI_INSTR_COMBINE || instr->accumulate) return true;
    return instr->kind == FARI_INSTR_CALL && plan->graph->nodes[instr->node]->mutates;
}

/* What instruction i sees, as a hash of the writers of all words it depends on; then its own writes. */
static uint64_t step_model(const memory *m, const fari_plan *plan, int32_t i)
{
    uint64_t seen = 0;
    const bool in_place = reads_outputs(plan, &plan->instrs[i]);
    for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++) {
        int64_t count;
        if (plan->accesses[a].is_write && !in_place) continue;
        const int32_t *word = words_of(m, plan, &plan->accesses[a], &count);
        for (int64_t k = 0; k < count; k++) seen = fari_mix64(seen ^ (uint64_t)(uint32_t)word[k]);
    }
    for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++) {
        int64_t count;
        if (!plan->accesses[a].is_write) continue;
        int32_t *word = words_of(m, plan, &plan->accesses[a], &count);
        for (int64_t k = 0; k < count; k++) word[k] = i;
    }
    return seen;
}

static bool writes_buffer(const fari_plan *plan, int32_t instr, int32_t buffer)
{
    for (int64_t a = plan->access0[instr]; a < plan->access0[instr + 1]; a++)
        if (plan->accesses[a].is_write && plan->accesses[a].buffer == buffer) return true;
    return false;
}

/* In the canonical order every word that is read was written in this step, and through the buffer that it is read through. */
static void check_initialised(const memory *m, const fari_plan *plan, int32_t i)
{
    for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++) {
        const fari_access *access = &plan->accesses[a];
        int64_t count;
        if (plan->buffers[access->buffer].base == FARI_BASE_STORE) continue;
        if (access->is_write && !reads_outputs(plan, &plan->instrs[i])) continue;
        const int32_t *word = words_of(m, plan, access, &count);
        for (int64_t k = 0; k < count; k++) {
            FAR_CHECK_MSG(
                word[k] >= 0, "instruction %d (%s) reads bytes nobody wrote: %" PRId64 " of [%" PRId64 ", %" PRId64 ")",
                (int)i, plan->instrs[i].node >= 0 ? plan->graph->nodes[plan->instrs[i].node]->op->name : "feed",
                access->lo + WORD * k, access->lo, access->hi);
            FAR_CHECK_MSG((k > 0 && word[k] == word[k - 1]) || writes_buffer(plan, word[k], access->buffer),
                          "instruction %d reads what %d left of another buffer", (int)i, (int)word[k]);
        }
    }
}

static void run_canonical(const memory *m, const fari_plan *plan, uint64_t *seen)
{
    memory_clear(m, plan);
    for (int32_t i = 0; i < plan->instr_count; i++) {
        check_initialised(m, plan, i);
        seen[i] = step_model(m, plan, i);
    }
}

/* An order that respects the dependences, drawn at random: of what is ready, mostly any, sometimes the last (which runs far ahead).
   skip: dependences into this instruction are ignored (-1: none). False: some instruction sees other bytes; *at_out tells which. */
static bool run_random(const memory *m, const fari_plan *plan, const uint64_t *want, dice *d, int32_t skip,
                       int32_t *at_out)
{
    const size_t instrs = (size_t)plan->instr_count;
    int32_t *waits = malloc(instrs * sizeof *waits), *ready = malloc(instrs * sizeof *ready);
    int64_t count = 0, done = 0;
    bool is_same = true;
    const int64_t last_share = roll(d, 0, 100);
    FAR_CHECK(waits != NULL && ready != NULL);
    memory_clear(m, plan);
    memcpy(waits, plan->indegree, instrs * sizeof *waits);
    if (skip >= 0) waits[skip] = 0;
    for (int32_t i = 0; i < plan->instr_count; i++)
        if (waits[i] == 0) ready[count++] = i;
    for (; count > 0; done++) {
        int64_t pick = chance(d, last_share) ? count - 1 : roll(d, 0, count - 1);
        for (int64_t k = 0; skip >= 0 && k < count; k++)
            if (ready[k] == skip) pick = k; /* as early as it goes */
        const int32_t i = ready[pick];
        ready[pick] = ready[--count];
        if (step_model(m, plan, i) != want[i] && is_same) {
            is_same = false;
            *at_out = i;
        }
        for (int64_t s = plan->succ0[i]; s < plan->succ0[i + 1]; s++)
            if (plan->succ[s] != skip && --waits[plan->succ[s]] == 0) ready[count++] = plan->succ[s];
    }
    FAR_CHECK_EQ_I64(done, plan->instr_count);
    free(waits);
    free(ready);
    return is_same;
}

#define ORDERS 6

static void check_orders(const fari_plan *plan, dice *d, int64_t *caught_io, int64_t *cut_io)
{
    memory m = memory_new(plan);
    uint64_t *want = malloc((size_t)plan->instr_count * sizeof *want);
    int32_t at = -1;
    FAR_CHECK(want != NULL);
    run_canonical(&m, plan, want);
    for (int32_t k = 0; k < ORDERS; k++)
        FAR_CHECK_MSG(run_random(&m, plan, want, d, -1, &at),
                      "in some order instruction %d (%s %s) sees other bytes than in the canonical one", (int)at,
                      plan->instrs[at].node >= 0 ? plan->graph->nodes[plan->instrs[at].node]->op->name : "feed",
                      plan->instrs[at].node >= 0 ? plan->graph->nodes[plan->instrs[at].node]->name : "");
    for (int32_t k = 0; k < 4; k++) { /* and the model would see it: an instruction that waits for nothing */
        const int32_t skip = (int32_t)roll(d, 0, plan->instr_count - 1);
        if (plan->indegree[skip] == 0) continue;
        ++*cut_io;
        *caught_io += !run_random(&m, plan, want, d, skip, &at);
    }
    free(want);
    memory_free(&m);
}

/* ---- the plan as a function ---- */

/* The plan's JSON without the number of threads. */
static char *json_of(const far_graph *graph, const fari_plan_opts *opts, char hash_out[65])
{
    fari_plan *plan = NULL;
    fari_text text = { 0 };
    char threads[64];
    FAR_CHECK_OK(fari_plan_create(graph, opts, &plan));
    fari_plan_print_json(plan, &text);
    fari_plan_grain_hash(plan, hash_out);
    (void)snprintf(threads, sizeof threads, "\"threads\": %d,", (int)opts->threads);
    char *at = strstr(text.data, threads);
    FAR_CHECK(!text.failed && at != NULL);
    memset(at, ' ', strlen(threads));
    fari_plan_destroy(plan);
    return text.data;
}

static void check_function(uint64_t seed, const far_graph *graph, fari_plan_opts opts)
{
    char hash[65], again[65];
    opts.threads = 1;
    char *want = json_of(graph, &opts, hash);
    for (int32_t threads = 1; threads <= 8; threads += threads < 2 ? 1 : 3) { /* 1 once more, 2, 5, 8 */
        opts.threads = threads;
        char *got = json_of(graph, &opts, again);
        FAR_CHECK_STR(again, hash);
        FAR_CHECK_MSG(strcmp(got, want) == 0, "the plan for %d threads differs", (int)threads);
        fari_free(got);
    }
    dice d = { fari_rng_key(seed, 0, 0, 0), 0 };
    far_graph *same = random_graph(&d); /* built anew */
    opts.threads = 1;
    char *got = json_of(same, &opts, again);
    FAR_CHECK_MSG(strcmp(got, want) == 0, "the plan of the same graph, built again, differs");
    fari_free(got);
    fari_free(want);
    far_graph_destroy(same);
}

/* ---- all of it ---- */

typedef struct tally {
    int64_t graphs, instrs, caught, cut;
    double waste;
} tally;

static void check_graph(uint64_t seed, bool is_reference, tally *t)
{
    fari_backend *backend = NULL;
    fari_plan *plan = NULL;
    dice d = { fari_rng_key(seed, 0, 0, 0), 0 };
    far_graph *graph = random_graph(&d);
    FAR_CHECK_OK(is_reference ? fari_backend_reference_create(&backend) : fari_backend_cpu_create(NULL, &backend));
    const fari_plan_opts opts = { .grain = random_grain(&d),
                                  .threads = (int32_t)roll(&d, 1, 4),
                                  .is_keeping_gradients = chance(&d, 20),
                                  .is_reference_f64 = is_reference && chance(&d, 50),
                                  .backend = backend };
    printf("seed %d%s\n", (int)seed, is_reference ? ", reference" : "");
    FAR_CHECK_OK(fari_plan_create(graph, &opts, &plan));
    int32_t *turn = malloc((size_t)plan->instr_count * sizeof *turn);
    FAR_CHECK(turn != NULL);
    turns_of(plan, turn);
    check_lives(plan, turn);
    check_memory(plan, &t->waste);
    check_dependences(plan);
    check_orders(plan, &d, &t->caught, &t->cut);
    t->graphs++;
    t->instrs += plan->instr_count;
    free(turn);
    fari_plan_destroy(plan);
    if (t->graphs % 4 == 0) check_function(seed, graph, opts);
    backend->destroy(backend);
    far_graph_destroy(graph);
}

static void check_graphs(uint64_t first, int64_t count)
{
    tally t = { 0 };
    const int64_t live = fari_alloc_live();
    for (int64_t i = 0; i < count; i++) check_graph(first + (uint64_t)i, i % 3 == 0, &t);
    printf("%d graphs, %d instructions; arena at most %.3f of the fullest turn; %d of %d cut dependences seen\n",
           (int)t.graphs, (int)t.instrs, t.waste, (int)t.caught, (int)t.cut);
    FAR_CHECK(t.caught * 2 > t.cut); /* some are kept by others: what an instruction's producer waited for */
    FAR_CHECK_EQ_I64(fari_alloc_live(), live);
}

FAR_TEST(properties_of_random_plans)
{
    check_graphs(1, 60);
}

FAR_TEST_TORTURE(properties_of_many_random_plans)
{
    check_graphs(1000, 3000);
}
