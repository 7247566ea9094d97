#include "plan/spill.h"
#include "base/mem.h"
#include "plan/bands.h"
#include "plan/lower.h"
#include <string.h>

#define MIN_BYTES (INT64_C(64) << 10)

/* ---- gaps ---- */

int64_t fari_spill_least_bytes(const fari_plan *plan)
{
    return plan->opts.spill.min_bytes > 0 ? plan->opts.spill.min_bytes : MIN_BYTES;
}

bool fari_spill_may_wait(const fari_plan *plan, const fari_buffer *b)
{
    if (b->base != FARI_BASE_ARENA || b->is_kept || b->bytes < fari_spill_least_bytes(plan)) return false;
    if (b->kind == FARI_BUFFER_PARTIAL || b->kind == FARI_BUFFER_PACKED) return false;
    return plan->graph->tensors[b->tensor]->batch_of > 0;
}

static far_status gap_add(fari_spilling *s, int32_t buffer, int32_t last_use, int32_t next_use)
{
    if (!fari_reserve((void **)&s->gaps, &s->gap_cap, s->gap_count + 1, sizeof(fari_gap)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory to plan what waits on disk");
    s->gaps[s->gap_count++] = (fari_gap){ .buffer = buffer, .last_use = last_use, .next_use = next_use };
    return FAR_OK;
}

static int by_buffer(const void *a, const void *b)
{
    const fari_gap *x = a, *y = b;
    if (x->buffer != y->buffer) return x->buffer < y->buffer ? -1 : 1;
    return (x->next_use > y->next_use) - (x->next_use < y->next_use);
}

/* seen, changed: [buffer_count] the turns of the last use and the last change so far, -1: none. */
static far_status list_gaps(fari_spilling *s, int32_t *seen, int32_t *changed)
{
    const fari_plan *plan = s->plan;
    for (int64_t i = 0; i < plan->instr_count; i++)
        for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++) {
            const fari_access *access = &plan->accesses[a];
            const int32_t b = access->buffer, turn = plan->instrs[i].turn;
            if (seen[b] >= 0 && turn > seen[b] + 1 && fari_spill_may_wait(plan, &plan->buffers[b]))
                FAR_TRY(gap_add(s, b, seen[b], turn));
            seen[b] = turn;
            if (access->is_write) changed[b] = turn;
        }
    int64_t kept = 0;
    for (int64_t g = 0; g < s->gap_count; g++)
        if (s->gaps[g].next_use > changed[s->gaps[g].buffer]) s->gaps[kept++] = s->gaps[g];
    s->gap_count = kept;
    if (kept > 0) qsort(s->gaps, (size_t)kept, sizeof *s->gaps, by_buffer);
    for (int64_t g = 0; g < kept; g++) s->gap0[s->gaps[g].buffer + 1]++;
    for (int64_t b = 0; b < s->buffer_count; b++) s->gap0[b + 1] += s->gap0[b];
    return FAR_OK;
}

static far_status find_gaps(fari_spilling *s)
{
    const size_t buffers = (size_t)s->buffer_count + 1;
    far_status st = FAR_E_NOMEM;
    int32_t *seen = fari_alloc(buffers * sizeof *seen), *changed = fari_alloc(buffers * sizeof *changed);
    if (seen == NULL || changed == NULL) (void)FAR_FAIL(FAR_E_NOMEM, "no memory to plan what waits on disk");
    else {
        memset(seen, -1, buffers * sizeof *seen);
        memset(changed, -1, buffers * sizeof *changed);
        st = list_gaps(s, seen, changed);
    }
    fari_free(seen);
    fari_free(changed);
    return st;
}

/* ---- buffers ---- */

static void make_paged(fari_buffer *b)
{
    b->is_paged = true;
    b->bytes = (b->bytes + FARI_PAGE_BYTES - 1) / FARI_PAGE_BYTES * FARI_PAGE_BYTES;
}

/* One more buffer for the tensor of `like`. */
static far_status buffer_like(fari_plan *plan, int32_t like, fari_base base, int32_t *buffer_out)
{
    const fari_buffer b = plan->buffers[like];
    FAR_TRY(fari_lower_buffer(plan, b.kind, b.tensor, b.bytes, buffer_out));
    fari_buffer *made = &plan->buffers[*buffer_out];
    made->base = base;
    made->first_turn = b.first_turn;
    made->last_turn = b.last_turn;
    make_paged(made);
    return FAR_OK;
}

static far_status split_buffer(fari_spilling *s, int32_t buffer)
{
    fari_plan *plan = s->plan;
    int32_t disk = -1, now = buffer;
    for (int64_t g = s->gap0[buffer]; g < s->gap0[buffer + 1]; g++) {
        fari_gap *gap = &s->gaps[g];
        if (!gap->is_spilled) continue;
        if (disk < 0) FAR_TRY(buffer_like(plan, buffer, FARI_BASE_SPILL, &disk));
        FAR_TRY(buffer_like(plan, buffer, FARI_BASE_ARENA, &gap->after));
        make_paged(&plan->buffers[buffer]);
        gap->disk = disk;
        plan->buffers[gap->after].first_turn = gap->returns;
        plan->buffers[gap->after].last_turn = s->buffers[buffer].last_turn;
        plan->buffers[now].last_turn = gap->leaves;
        plan->buffers[disk].last_turn = gap->returns;
        now = gap->after;
    }
    return FAR_OK;
}

/* The buffers as the marked gaps make them, and their places. */
static far_status place_split(fari_spilling *s)
{
    memcpy(s->plan->buffers, s->buffers, (size_t)s->buffer_count * sizeof *s->buffers);
    s->plan->buffer_count = s->buffer_count;
    for (int64_t b = 0; b < s->buffer_count; b++) FAR_TRY(split_buffer(s, (int32_t)b));
    return fari_plan_place_buffers(s->plan);
}

/* ---- how much ---- */

static far_status spill_most(fari_spilling *s)
{
    for (int64_t g = 0; g < s->gap_count; g++) s->gaps[g].is_spilled = true;
    fari_spill_widen(s, 0, 0);
    return place_split(s);
}

/* All are marked, and that fits: some need not be, as the fullest turns have no gaps of theirs. */
static far_status spill_less(fari_spilling *s, int64_t limit)
{
    if (fari_spill_choose(s, fari_spill_peak(s))) {
        FAR_TRY(place_split(s));
        if (s->plan->arena_bytes <= limit) return FAR_OK;
    }
    return spill_most(s);
}

#define TRIALS 12
#define TRIAL_SHARE \
    64 /* of the limit: a trial takes so much less than the one before at least, or nothing may change */

/* Marks as few as give an arena within the limit: gaps between places are not in the model, so it may take several trials. */
static far_status spill_to(fari_spilling *s, int64_t limit, bool *fits_out)
{
    int64_t target = limit;
    *fits_out = false;
    for (int32_t i = 0; i < TRIALS && target > 0 && fari_spill_choose(s, target); i++) {
        FAR_TRY(place_split(s));
        *fits_out = s->plan->arena_bytes <= limit;
        if (*fits_out) return FAR_OK;
        const int64_t excess = s->plan->arena_bytes - limit, least = limit / TRIAL_SHARE;
        target -= excess > least ? excess : least;
    }
    FAR_TRY(spill_most(s));
    *fits_out = s->plan->arena_bytes <= limit;
    return *fits_out ? spill_less(s, limit) : FAR_OK;
}

/* Turns that a tensor leaves late and returns early, so that the disk has time; tried one after the other. */
static const int32_t widths[] = { 64, 32, 16, 8, 4, 2, 1, 0 };

static far_status spill_auto(fari_spilling *s)
{
    const int64_t limit = s->plan->opts.spill.arena_limit;
    bool fits = false;
    FAR_TRY(fari_plan_place_buffers(s->plan));
    if (s->plan->arena_bytes <= limit) return FAR_OK;
    FAR_TRY(spill_to(s, limit, &fits));
    for (size_t i = 0; fits && i < FAR_COUNT(widths); i++) {
        fari_spill_widen(s, widths[i], limit);
        FAR_TRY(place_split(s));
        if (s->plan->arena_bytes <= limit) break;
    }
    return FAR_OK;
}

/* ---- all of it ---- */

static far_status spilling_open(fari_plan *plan, fari_spilling *s)
{
    *s = (fari_spilling){ .plan = plan, .buffer_count = plan->buffer_count, .turns = plan->turn_count };
    s->gap0 = fari_calloc((size_t)plan->buffer_count + 2, sizeof *s->gap0);
    s->buffers = fari_alloc((size_t)(plan->buffer_count + 1) * sizeof *s->buffers);
    s->alive = fari_calloc((size_t)s->turns + 1, sizeof *s->alive);
    if (s->gap0 == NULL || s->buffers == NULL || s->alive == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory to plan what waits on disk");
    memcpy(s->buffers, plan->buffers, (size_t)plan->buffer_count * sizeof *s->buffers);
    return find_gaps(s);
}

static void spilling_close(fari_spilling *s)
{
    fari_free(s->gaps);
    fari_free(s->gap0);
    fari_free(s->buffers);
    fari_free(s->alive);
}

far_status fari_plan_spill(fari_plan *plan)
{
    fari_spilling s;
    if (plan->opts.spill.mode == FARI_SPILL_NONE) return fari_plan_place_buffers(plan);
    if (plan->opts.spill.is_banded) return fari_plan_window(plan);
    far_status st = spilling_open(plan, &s);
    if (st == FAR_OK) st = plan->opts.spill.mode == FARI_SPILL_MOST ? spill_most(&s) : spill_auto(&s);
    if (st == FAR_OK) st = fari_spill_lower(&s);
    spilling_close(&s);
    return st;
}
