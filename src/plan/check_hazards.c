/* One plan by itself: instructions that touch the same bytes are ordered by its dependences, and nothing is read that nobody wrote.
   By other means than hazards.c finds the dependences: which instructions come before which is worked out in full, 64 at a time. */
#include "base/mem.h"
#include "plan/part.h"
#include <inttypes.h>
#include <string.h>

/* ---- order ---- */

/* An access by its place in memory. */
typedef struct spot {
    int64_t lo, hi;
    int32_t instr;
    bool is_write;
} spot;

#define BINS 1024

typedef struct order_check {
    const fari_plan *plan;
    spot *spots;       /* in the order of the instructions; an access that goes round the end of a ring has two */
    int64_t *spot0;    /* [instr_count + 1] */
    int64_t *bin0;     /* [BINS + 1] */
    int32_t *bins;     /* spots that reach into a bin, ascending */
    int64_t bin_bytes; /* of memory a bin stands for: arena first, then store, then the spill file */
    uint64_t *from;    /* [instr_count] which instructions of the block come before */
} order_check;

static int64_t first_bin(const order_check *c, const spot *s)
{
    return s->lo / c->bin_bytes;
}

static int64_t last_bin(const order_check *c, const spot *s)
{
    return (s->hi - 1) / c->bin_bytes;
}

static int64_t base_of(const fari_plan *plan, const fari_buffer *buffer)
{
    if (buffer->base == FARI_BASE_ARENA) return 0;
    return plan->arena_bytes + (buffer->base == FARI_BASE_SPILL ? plan->store_bytes : 0);
}

/* The places that an access touches: two where it goes round the end of a ring. Gives their number. */
static int32_t spots_of(const fari_plan *plan, const fari_access *access, int32_t instr, spot spots_out[2])
{
    const fari_buffer *buffer = &plan->buffers[access->buffer];
    const int64_t base = base_of(plan, buffer) + buffer->offset, round = buffer->ring_of > 0 ? buffer->bytes : 0;
    const int64_t lo = round > 0 ? access->lo % round : access->lo, hi = lo + access->hi - access->lo;
    const bool is_round = round > 0 && hi > round;
    spots_out[0] = (spot){ base + lo, base + (is_round ? round : hi), instr, access->is_write };
    spots_out[1] = (spot){ base, base + hi - round, instr, access->is_write };
    return is_round ? 2 : 1;
}

static far_status spots_sort(order_check *c)
{
    const fari_plan *plan = c->plan;
    int64_t at = 0;
    c->bin_bytes = (plan->arena_bytes + plan->store_bytes + plan->spill_bytes) / BINS + 1;
    for (int64_t i = 0; i < plan->instr_count; i++) {
        for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++)
            at += spots_of(plan, &plan->accesses[a], (int32_t)i, &c->spots[at]);
        c->spot0[i + 1] = at;
    }
    for (int64_t s = 0; s < at; s++)
        for (int64_t b = first_bin(c, &c->spots[s]); b <= last_bin(c, &c->spots[s]); b++) c->bin0[b + 1]++;
    for (int64_t b = 0; b < BINS; b++) c->bin0[b + 1] += c->bin0[b];
    int64_t *fill = fari_alloc(BINS * sizeof *fill);
    c->bins = fari_alloc((size_t)(c->bin0[BINS] + 1) * sizeof *c->bins);
    if (fill == NULL || c->bins == NULL) {
        fari_free(fill);
        return FAR_FAIL(FAR_E_NOMEM, "no memory to check a plan");
    }
    memcpy(fill, c->bin0, BINS * sizeof *fill);
    for (int64_t s = 0; s < at; s++)
        for (int64_t b = first_bin(c, &c->spots[s]); b <= last_bin(c, &c->spots[s]); b++)
            c->bins[fill[b]++] = (int32_t)s;
    fari_free(fill);
    return FAR_OK;
}

/* Bit k of from[i]: instruction first + k comes before i, or is i. */
static void reach(order_check *c, int64_t first)
{
    const fari_plan *plan = c->plan;
    memset(c->from, 0, (size_t)plan->instr_count * sizeof *c->from);
    for (int64_t k = 0; k < 64 && first + k < plan->instr_count; k++) c->from[first + k] = UINT64_C(1) << k;
    for (int64_t i = first; i < plan->instr_count; i++)
        for (int64_t s = plan->succ0[i]; s < plan->succ0[i + 1]; s++) c->from[plan->succ[s]] |= c->from[i];
}

static far_status spot_check(const order_check *c, const spot *s, int64_t first)
{
    const uint64_t bit = UINT64_C(1) << (s->instr - first);
    for (int64_t b = first_bin(c, s); b <= last_bin(c, s); b++)
        for (int64_t k = c->bin0[b + 1]; k-- > c->bin0[b];) {
            const spot *later = &c->spots[c->bins[k]];
            if (later->instr <= s->instr) break;
            if (later->hi <= s->lo || s->hi <= later->lo || !(s->is_write || later->is_write)) continue;
            if ((c->from[later->instr] & bit) == 0)
                return FAR_FAIL(FAR_E_INTERNAL, "instructions %d and %d touch the same bytes in no order",
                                (int)s->instr, (int)later->instr);
        }
    return FAR_OK;
}

static far_status order_check_all(order_check *c)
{
    const fari_plan *plan = c->plan;
    for (int64_t i = 0; i < plan->instr_count; i++)
        for (int64_t s = plan->succ0[i]; s < plan->succ0[i + 1]; s++)
            if (plan->succ[s] <= i)
                return FAR_FAIL(FAR_E_INTERNAL, "instruction %d waits for a later one, %d", (int)plan->succ[s], (int)i);
    FAR_TRY(spots_sort(c));
    for (int64_t first = 0; first < plan->instr_count; first += 64) {
        const int64_t end = first + 64 < plan->instr_count ? first + 64 : plan->instr_count;
        reach(c, first);
        for (int64_t s = c->spot0[first]; s < c->spot0[end]; s++) FAR_TRY(spot_check(c, &c->spots[s], first));
    }
    return FAR_OK;
}

static far_status check_order(const fari_plan *plan)
{
    order_check c = { .plan = plan };
    far_status st = FAR_OK;
    c.spots = fari_alloc((size_t)(2 * plan->access_count + 2) * sizeof *c.spots);
    c.spot0 = fari_calloc((size_t)plan->instr_count + 1, sizeof *c.spot0);
    c.bin0 = fari_calloc(BINS + 1, sizeof *c.bin0);
    c.from = fari_alloc((size_t)(plan->instr_count + 1) * sizeof *c.from);
    if (c.spots == NULL || c.spot0 == NULL || c.bin0 == NULL || c.from == NULL)
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to check a plan");
    else st = order_check_all(&c);
    fari_free(c.spots);
    fari_free(c.spot0);
    fari_free(c.bin0);
    fari_free(c.bins);
    fari_free(c.from);
    return st;
}

/* ---- what was written ---- */

typedef struct written {
    fari_span *ranges; /* ascending, apart */
    int64_t count, cap;
} written;

static far_status written_add(written *w, int64_t lo, int64_t hi)
{
    int64_t first = 0, last;
    while (first < w->count && w->ranges[first].hi < lo) first++;
    for (last = first; last < w->count && w->ranges[last].lo <= hi; last++) {
        if (w->ranges[last].lo < lo) lo = w->ranges[last].lo;
        if (w->ranges[last].hi > hi) hi = w->ranges[last].hi;
    }
    if (!fari_reserve((void **)&w->ranges, &w->cap, w->count + 1, sizeof *w->ranges))
        return FAR_FAIL(FAR_E_NOMEM, "no memory to check a plan");
    memmove(&w->ranges[first + 1], &w->ranges[last], (size_t)(w->count - last) * sizeof *w->ranges);
    w->count += 1 - (last - first);
    w->ranges[first] = (fari_span){ .lo = lo, .hi = hi };
    return FAR_OK;
}

/* What had the place of [lo, hi) of a ring one time round before is gone. */
static far_status written_over(written *w, int64_t lo, int64_t hi)
{
    const int64_t count = w->count;
    int64_t kept = 0;
    fari_span rest = { 0 };
    for (int64_t i = 0; i < count; i++) {
        const fari_span old = w->ranges[i];
        if (old.hi <= lo || hi <= old.lo) {
            w->ranges[kept++] = old;
            continue;
        }
        if (old.hi > hi) rest = (fari_span){ .lo = hi, .hi = old.hi };
        if (old.lo < lo) w->ranges[kept++] = (fari_span){ .lo = old.lo, .hi = lo };
        else if (old.hi > hi) {
            w->ranges[kept++] = rest;
            rest = (fari_span){ 0 };
        }
    }
    w->count = kept;
    return rest.hi > rest.lo ? written_add(w, rest.lo, rest.hi) : FAR_OK;
}

static far_status written_note(const fari_plan *plan, const fari_access *access, written *all)
{
    const int64_t round = plan->buffers[access->buffer].ring_of > 0 ? plan->buffers[access->buffer].bytes : 0;
    if (round > 0) FAR_TRY(written_over(&all[access->buffer], access->lo - round, access->hi - round));
    return written_add(&all[access->buffer], access->lo, access->hi);
}

static bool is_written(const written *w, int64_t lo, int64_t hi)
{
    for (int64_t i = 0; i < w->count; i++)
        if (w->ranges[i].lo <= lo && hi <= w->ranges[i].hi) return true;
    return false;
}

/* A piece goes to disk or comes back: what was written of it is written there. */
static far_status written_move(const fari_plan *plan, int64_t instr, written *all)
{
    const fari_access *from = &plan->accesses[plan->access0[instr]], *to = from + 1;
    const written *w = &all[from->buffer];
    if (from->hi - from->lo != to->hi - to->lo)
        return FAR_FAIL(FAR_E_INTERNAL, "instruction %d moves a piece to one of another size", (int)instr);
    const int64_t round = plan->buffers[to->buffer].ring_of > 0 ? plan->buffers[to->buffer].bytes : 0;
    if (round > 0) FAR_TRY(written_over(&all[to->buffer], to->lo - round, to->hi - round));
    for (int64_t i = 0; i < w->count; i++) {
        const int64_t lo = w->ranges[i].lo > from->lo ? w->ranges[i].lo : from->lo;
        const int64_t hi = w->ranges[i].hi < from->hi ? w->ranges[i].hi : from->hi;
        if (lo < hi) FAR_TRY(written_add(&all[to->buffer], lo - from->lo + to->lo, hi - from->lo + to->lo));
    }
    return FAR_OK;
}

static far_status check_written(const fari_plan *plan)
{
    far_status st = FAR_OK;
    written *all = fari_calloc((size_t)plan->buffer_count + 1, sizeof *all);
    if (all == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to check a plan");
    for (int64_t i = 0; i < plan->instr_count; i++) {
        const fari_instr *instr = &plan->instrs[i];
        const bool in_place = instr->kind == FARI_INSTR_COMBINE || instr->accumulate;
        if (i > 0 && instr->turn < instr[-1].turn) {
            st = FAR_FAIL(FAR_E_INTERNAL, "instruction %d has an earlier turn than the one before it", (int)i);
            goto done;
        }
        if (instr->kind == FARI_INSTR_WRITE || instr->kind == FARI_INSTR_READ) {
            FAR_TRY_GOTO(written_move(plan, i, all), done);
            continue;
        }
        for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++) {
            const fari_access *access = &plan->accesses[a];
            if (plan->buffers[access->buffer].base == FARI_BASE_STORE) continue;
            if ((!access->is_write || in_place) && !is_written(&all[access->buffer], access->lo, access->hi)) {
                st = FAR_FAIL(FAR_E_INTERNAL,
                              "instruction %d reads bytes [%" PRId64 ", %" PRId64 ") of buffer %d, which nobody wrote",
                              (int)i, access->lo, access->hi, (int)access->buffer);
                goto done;
            }
            if (access->is_write) FAR_TRY_GOTO(written_note(plan, access, all), done);
        }
    }
done:
    for (int64_t b = 0; b < plan->buffer_count; b++) fari_free(all[b].ranges);
    fari_free(all);
    return st;
}

far_status fari_plan_check_hazards(const fari_plan *plan)
{
    FAR_TRY(check_written(plan));
    return check_order(plan);
}
