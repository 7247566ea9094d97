/* Who must wait for whom: reads after writes, writes after reads, writes after writes, on byte ranges; and the first writes into a
   place of the arena, or of the spill file, after the last uses of what lay there before. Any order that respects these gives the same bits. */
#include "base/mem.h"
#include "plan/plan.h"
#include <stdlib.h>
#include <string.h>

typedef struct touch {
    int32_t instr;
    bool is_write;
    int64_t lo, hi;
} touch;

/* What still matters of a buffer's past: accesses not yet covered by a later write. */
typedef struct history {
    touch *touches;
    int64_t count, cap;
    int32_t *before; /* buffers that held parts of its place earlier */
    int64_t before_count, before_cap;
    int64_t written_to; /* of a ring: all below was written */
} history;

typedef struct hazard_work {
    fari_plan *plan;
    history *histories; /* [buffer_count] */
    int32_t *edges;     /* pairs (from, to) */
    int64_t edge_count, edge_cap;
    int32_t *last_to; /* [instr_count] the newest instruction that was made to wait for this one */
} hazard_work;

static far_status edge_add(hazard_work *w, int32_t from, int32_t to)
{
    if (from == to || w->last_to[from] == to) return FAR_OK;
    w->last_to[from] = to;
    if (!fari_reserve((void **)&w->edges, &w->edge_cap, w->edge_count + 1, 2 * sizeof(int32_t)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's dependences");
    w->edges[2 * w->edge_count] = from;
    w->edges[2 * w->edge_count + 1] = to;
    w->edge_count++;
    return FAR_OK;
}

/* Whether a touch was within bytes [lo, hi) of the buffer's place. */
static bool touches_place(const fari_buffer *buffer, const touch *t, int64_t lo, int64_t hi)
{
    if (buffer->ring_of == 0) return t->lo < hi && lo < t->hi;
    const int64_t from = t->lo % buffer->bytes, to = from + (t->hi - t->lo);
    return (from < hi && lo < to) || lo < to - buffer->bytes; /* it may go on at the ring's beginning */
}

/* First write into a range: after everything that used the same bytes of the arena before. */
static far_status wait_for_place(hazard_work *w, int32_t buffer, int64_t lo, int64_t hi, int32_t instr)
{
    const fari_plan *plan = w->plan;
    const history *own = &w->histories[buffer];
    const int64_t at = plan->buffers[buffer].offset;
    for (int64_t b = 0; b < own->before_count; b++) {
        const history *old = &w->histories[own->before[b]];
        const int64_t shift = at - plan->buffers[own->before[b]].offset;
        for (int64_t i = 0; i < old->count; i++)
            if (touches_place(&plan->buffers[own->before[b]], &old->touches[i], lo + shift, hi + shift))
                FAR_TRY(edge_add(w, old->touches[i].instr, instr));
    }
    return FAR_OK;
}

/* A ring (bands.h): an access waits for those whose bytes were where its own are, one time round before; what those waited for is done. */
static far_status wait_for_ring(hazard_work *w, const history *h, const fari_access *access, int32_t instr)
{
    const int64_t round = w->plan->buffers[access->buffer].bytes;
    for (int64_t i = 0; i < h->count; i++)
        if (h->touches[i].lo + round < access->hi && access->lo < h->touches[i].hi + round)
            FAR_TRY(edge_add(w, h->touches[i].instr, instr));
    return FAR_OK;
}

/* A write of a ring. What lies more than once round behind all that was written by now never matters again: who wrote there has waited for it. */
static void forget_ring(history *h, int64_t round, const fari_access *access)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < h->count; i++)
        if (h->touches[i].hi + round > h->written_to) h->touches[kept++] = h->touches[i];
    h->count = kept;
    if (access->lo <= h->written_to && access->hi > h->written_to) h->written_to = access->hi;
}

static far_status access_note(hazard_work *w, const fari_access *access, int32_t instr)
{
    const fari_buffer *buffer = &w->plan->buffers[access->buffer];
    history *h = &w->histories[access->buffer];
    bool was_written = false;
    const bool is_move = fari_instr_is_move(&w->plan->instrs[instr]);
    if (buffer->ring_of > 0) { /* who reads has waited for who wrote; a last piece has bytes that nobody writes */
        if (access->is_write || is_move) FAR_TRY(wait_for_ring(w, h, access, instr));
        if (access->is_write) forget_ring(h, buffer->bytes, access);
    }
    int64_t kept = 0;
    for (int64_t i = 0; i < h->count; i++) {
        const touch *t = &h->touches[i];
        const bool overlaps = t->lo < access->hi && access->lo < t->hi;
        if (overlaps && (t->is_write || access->is_write)) FAR_TRY(edge_add(w, t->instr, instr));
        was_written = was_written || (overlaps && t->is_write && t->lo <= access->lo && access->hi <= t->hi);
        /* an access wholly under this write never matters again: who waits for this one waits for it */
        if (!(access->is_write && access->lo <= t->lo && t->hi <= access->hi)) h->touches[kept++] = *t;
    }
    h->count = kept;
    /* a piece for the disk may have bytes that nobody writes: its last page, seams between parts of a rank */
    if ((access->is_write || is_move) && !was_written && access->lo < buffer->bytes)
        FAR_TRY(wait_for_place(w, access->buffer, access->lo, access->hi, instr));
    if (!fari_reserve((void **)&h->touches, &h->cap, h->count + 1, sizeof(touch)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's dependences");
    h->touches[h->count++] = (touch){ instr, access->is_write, access->lo, access->hi };
    return FAR_OK;
}

/* Parts of a place that no later buffer has had yet: those before it matter there. */
typedef struct bare {
    int64_t lo, hi;
} bare;

typedef struct cover {
    bare *parts;
    int64_t count, cap;
} cover;

static bool cover_meets(const cover *c, int64_t lo, int64_t hi)
{
    for (int64_t i = 0; i < c->count; i++)
        if (c->parts[i].lo < hi && lo < c->parts[i].hi) return true;
    return false;
}

static far_status cover_take(cover *c, int64_t lo, int64_t hi)
{
    const int64_t count = lo < hi ? c->count : 0;
    for (int64_t i = 0; i < count; i++) {
        const bare part = c->parts[i];
        if (part.hi <= lo || hi <= part.lo) continue;
        c->parts[i].hi = lo > part.lo ? lo : part.lo; /* what lies below; may be nothing */
        if (part.hi <= hi) continue;
        if (!fari_reserve((void **)&c->parts, &c->cap, c->count + 1, sizeof(bare)))
            return FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's dependences");
        c->parts[c->count++] = (bare){ hi, part.hi };
    }
    return FAR_OK;
}

/* So many bytes of it are written, by those who wait for whoever had the place before. Partial sums may leave out slots, ranks what others have;
   nobody writes behind a tensor, up to the end of its last page. */
static int64_t written_bytes(const fari_plan *plan, const fari_buffer *b)
{
    if (plan->part != NULL || b->kind == FARI_BUFFER_PARTIAL) return 0;
    if (b->kind == FARI_BUFFER_PACKED || b->ring_of > 0) return b->bytes;
    const int64_t bytes =
        far_shape_elems(&plan->graph->tensors[b->tensor]->shape) * far_dtype_bytes(fari_plan_dtype(plan, b->tensor));
    return bytes < b->bytes ? bytes : b->bytes;
}

typedef struct ended {
    int32_t last_turn, buffer;
} ended;

static int latest_first(const void *a, const void *b)
{
    const ended *x = a, *y = b;
    if (x->last_turn != y->last_turn) return x->last_turn < y->last_turn ? 1 : -1;
    return (x->buffer > y->buffer) - (x->buffer < y->buffer);
}

/* The buffers that lay where `b` lies, each where none after it did. */
static far_status find_before_of(const hazard_work *w, int64_t b, const ended *list, int64_t count, cover *free_io)
{
    const fari_plan *plan = w->plan;
    const fari_buffer *buffer = &plan->buffers[b];
    history *h = &w->histories[b];
    if (!fari_reserve((void **)&free_io->parts, &free_io->cap, 1, sizeof(bare)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's dependences");
    free_io->parts[0] = (bare){ buffer->offset, buffer->offset + buffer->bytes };
    free_io->count = 1;
    for (int64_t i = 0; i < count; i++) {
        const fari_buffer *old = &plan->buffers[list[i].buffer];
        if (old->base != buffer->base || old->last_turn >= buffer->first_turn || old->bytes == 0) continue;
        if (!cover_meets(free_io, old->offset, old->offset + old->bytes)) continue;
        if (!fari_reserve((void **)&h->before, &h->before_cap, h->before_count + 1, sizeof(int32_t)))
            return FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's dependences");
        h->before[h->before_count++] = list[i].buffer;
        FAR_TRY(cover_take(free_io, old->offset, old->offset + written_bytes(plan, old)));
    }
    return FAR_OK;
}

static far_status find_before(hazard_work *w)
{
    const fari_plan *plan = w->plan;
    far_status st = FAR_OK;
    cover free_parts = { 0 };
    ended *list = fari_alloc((size_t)(plan->buffer_count + 1) * sizeof *list);
    if (list == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's dependences");
    for (int64_t b = 0; b < plan->buffer_count; b++) list[b] = (ended){ plan->buffers[b].last_turn, (int32_t)b };
    if (plan->buffer_count > 0) qsort(list, (size_t)plan->buffer_count, sizeof *list, latest_first);
    for (int64_t b = 0; b < plan->buffer_count && st == FAR_OK; b++)
        if (plan->buffers[b].base != FARI_BASE_STORE) st = find_before_of(w, b, list, plan->buffer_count, &free_parts);
    fari_free(free_parts.parts);
    fari_free(list);
    return st;
}

static far_status successors_build(fari_plan *plan, const int32_t *edges, int64_t edge_count)
{
    const size_t instrs = (size_t)plan->instr_count;
    plan->succ0 = fari_calloc(instrs + 2, sizeof *plan->succ0);
    plan->succ = fari_alloc((size_t)(edge_count + 1) * sizeof *plan->succ);
    plan->indegree = fari_calloc(instrs + 1, sizeof *plan->indegree);
    if (plan->succ0 == NULL || plan->succ == NULL || plan->indegree == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's dependences");
    for (int64_t e = 0; e < edge_count; e++) {
        plan->succ0[edges[2 * e] + 2]++;
        plan->indegree[edges[2 * e + 1]]++;
    }
    for (size_t i = 2; i <= instrs + 1; i++) plan->succ0[i] += plan->succ0[i - 1];
    for (int64_t e = 0; e < edge_count; e++) plan->succ[plan->succ0[edges[2 * e] + 1]++] = edges[2 * e + 1];
    return FAR_OK;
}

/* The last instruction that writes the loss. */
static int32_t find_guard(const fari_plan *plan)
{
    const far_value loss = plan->graph->loss;
    const int32_t buffer = loss != FAR_NO_VALUE ? plan->tensor_buffer[loss] : -1;
    for (int64_t i = plan->instr_count; buffer >= 0 && i-- > 0;)
        for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++)
            if (plan->accesses[a].buffer == buffer && plan->accesses[a].is_write) return (int32_t)i;
    return -1;
}

bool fari_node_is_guarded(const fari_node *node)
{
    return node->phase == FARI_UPDATE && node->mutates;
}

/* Parameters and optimizer state are overwritten only once the loss is known. */
static far_status wait_for_guard(hazard_work *w)
{
    fari_plan *plan = w->plan;
    plan->guard = find_guard(plan);
    for (int64_t i = plan->guard + 1; plan->guard >= 0 && i < plan->instr_count; i++) {
        const int32_t node = plan->instrs[i].node;
        if (node < 0 || !fari_node_is_guarded(plan->graph->nodes[node])) continue;
        FAR_TRY(edge_add(w, plan->guard, (int32_t)i));
    }
    return FAR_OK;
}

static far_status hazards_run(hazard_work *w)
{
    fari_plan *plan = w->plan;
    FAR_TRY(find_before(w));
    for (int64_t i = 0; i < plan->instr_count; i++) w->last_to[i] = -1;
    for (int64_t i = 0; i < plan->instr_count; i++)
        for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++)
            FAR_TRY(access_note(w, &plan->accesses[a], (int32_t)i));
    FAR_TRY(wait_for_guard(w));
    return successors_build(plan, w->edges, w->edge_count);
}

far_status fari_plan_find_hazards(fari_plan *plan)
{
    hazard_work w = { .plan = plan };
    far_status st = FAR_OK;
    w.histories = fari_calloc((size_t)plan->buffer_count + 1, sizeof *w.histories);
    w.last_to = fari_alloc((size_t)(plan->instr_count + 1) * sizeof *w.last_to);
    if (w.histories == NULL || w.last_to == NULL) st = FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's dependences");
    else st = hazards_run(&w);
    for (int64_t b = 0; w.histories != NULL && b < plan->buffer_count; b++) {
        fari_free(w.histories[b].touches);
        fari_free(w.histories[b].before);
    }
    fari_free(w.histories);
    fari_free(w.last_to);
    fari_free(w.edges);
    return st;
}
