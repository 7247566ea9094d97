#include "plan/bands.h"
#include "base/mem.h"
#include "plan/lower.h"
#include <string.h>

#define BANDS_MAX 4096
#define CELLS_A_BAND 4 /* of a tensor: whoever touches a cell is taken to touch all of it, which only delays */
/* Bands by which an instruction may lag behind its rows, as halos add up: more, and a new sweep begins. Windows grow with it; sweeps cost the disk. */
#define LATE_MAX 4
#define LATE_SHARE 8 /* of the bands, if that is less */

/* Where an instruction goes: the band, counted on from sweep to sweep. */
typedef struct banding {
    fari_plan *plan;
    int64_t bands;    /* of a sweep */
    int64_t late;     /* bands by which an instruction may lag behind its rows */
    int64_t stride;   /* from the first band of a sweep to that of the next */
    int64_t base;     /* first band of the present sweep */
    int64_t *at;      /* [instr_count] */
    int64_t *cell0;   /* [buffer_count + 1] first cell of a buffer */
    int64_t *made_at; /* [cells] the last band that wrote the cell, -1 */
    int64_t *used_at; /* [cells] the last band that touched it, -1 */
    bool *is_banded;  /* [buffer_count] rows and samples lie one behind the other */
    fari_lists old;
} banding;

static far_status no_memory(void)
{
    return FAR_FAIL(FAR_E_NOMEM, "no memory to plan bands of rows");
}

/* ---- cells ---- */

static int64_t cells_of(const banding *w, const fari_buffer *b, bool is_banded)
{
    const int64_t most = CELLS_A_BAND * w->bands;
    if (b->kind == FARI_BUFFER_PARTIAL) return b->bytes < FARI_LEAVES_MAX ? 1 : FARI_LEAVES_MAX;
    if (!is_banded || b->bytes <= 0) return 1;
    return b->bytes < most ? b->bytes : most;
}

static bool buffer_is_banded(const fari_plan *plan, const fari_buffer *b)
{
    if (b->base != FARI_BASE_ARENA || b->kind == FARI_BUFFER_PARTIAL || b->kind == FARI_BUFFER_PACKED) return false;
    return plan->graph->tensors[b->tensor]->batch_of > 0 && fari_grain_count(&plan->grains[b->tensor]) > 1;
}

static far_status cells_make(banding *w)
{
    const fari_plan *plan = w->plan;
    const size_t buffers = (size_t)plan->buffer_count + 1;
    w->cell0 = fari_calloc(buffers, sizeof *w->cell0);
    w->is_banded = fari_calloc(buffers, sizeof *w->is_banded);
    w->at = fari_calloc((size_t)plan->instr_count + 1, sizeof *w->at);
    if (w->cell0 == NULL || w->is_banded == NULL || w->at == NULL) return no_memory();
    w->bands = 1;
    for (int64_t b = 0; b < plan->buffer_count; b++) {
        w->is_banded[b] = buffer_is_banded(plan, &plan->buffers[b]);
        const int64_t grains = w->is_banded[b] ? fari_grain_count(&plan->grains[plan->buffers[b].tensor]) : 1;
        if (grains > w->bands) w->bands = grains < BANDS_MAX ? grains : BANDS_MAX;
    }
    w->late = w->bands / LATE_SHARE < LATE_MAX ? w->bands / LATE_SHARE : LATE_MAX;
    if (w->late < 2) w->late = 2;
    w->stride = w->bands + w->late + 1;
    for (int64_t b = 0; b < plan->buffer_count; b++)
        w->cell0[b + 1] = w->cell0[b] + cells_of(w, &plan->buffers[b], w->is_banded[b]);
    const size_t cells = (size_t)w->cell0[plan->buffer_count] + 1;
    w->made_at = fari_alloc(cells * sizeof *w->made_at);
    w->used_at = fari_alloc(cells * sizeof *w->used_at);
    if (w->made_at == NULL || w->used_at == NULL) return no_memory();
    memset(w->made_at, -1, cells * sizeof *w->made_at);
    memset(w->used_at, -1, cells * sizeof *w->used_at);
    return FAR_OK;
}

/* Cells [first, last] that an access touches. */
static void cells_touched(const banding *w, const fari_access *access, int64_t *first_out, int64_t *last_out)
{
    const int64_t bytes = w->plan->buffers[access->buffer].bytes, cell0 = w->cell0[access->buffer];
    const int64_t cells = w->cell0[access->buffer + 1] - cell0, step = bytes > 0 ? (bytes + cells - 1) / cells : 1;
    const int64_t last = access->hi > access->lo ? (access->hi - 1) / step : access->lo / step;
    *first_out = cell0 + (access->lo / step < cells ? access->lo / step : cells - 1);
    *last_out = cell0 + (last < cells ? last : cells - 1);
}

/* ---- bands ---- */

/* The band in which an access ends; -1: of no rows. */
static int64_t band_of_access(const banding *w, const fari_access *access)
{
    if (!w->is_banded[access->buffer] || access->hi <= access->lo) return -1;
    const double share = (double)access->hi / (double)w->plan->buffers[access->buffer].bytes;
    const int64_t band = (int64_t)(share * (double)w->bands + 0.999999) - 1;
    return band < 0 ? 0 : band < w->bands ? band : w->bands - 1;
}

/* The band of what an instruction writes; of one that adds up, of the first end of what it reads. -1: it has no rows. */
static int64_t own_band(const banding *w, int64_t instr)
{
    const fari_plan *plan = w->plan;
    int64_t written = -1, read = -1;
    for (int64_t a = plan->access0[instr]; a < plan->access0[instr + 1]; a++) {
        const int64_t band = band_of_access(w, &plan->accesses[a]);
        if (band < 0) continue;
        if (plan->accesses[a].is_write && band > written) written = band;
        if (!plan->accesses[a].is_write && (read < 0 || band < read)) read = band;
    }
    return written >= 0 ? written : read;
}

/* No earlier than its rows, nor than anything that it has to follow. */
static int64_t earliest(const banding *w, int64_t instr, int64_t own)
{
    const fari_plan *plan = w->plan;
    int64_t at = w->base + (own > 0 ? own : 0);
    for (int64_t a = plan->access0[instr]; a < plan->access0[instr + 1]; a++) {
        const fari_access *access = &plan->accesses[a];
        const int64_t *seen = access->is_write ? w->used_at : w->made_at;
        int64_t first, last;
        cells_touched(w, access, &first, &last);
        for (int64_t c = first; c <= last; c++)
            if (seen[c] > at) at = seen[c];
    }
    return at;
}

static void note(const banding *w, int64_t instr, int64_t at)
{
    const fari_plan *plan = w->plan;
    for (int64_t a = plan->access0[instr]; a < plan->access0[instr + 1]; a++) {
        const fari_access *access = &plan->accesses[a];
        int64_t first, last;
        cells_touched(w, access, &first, &last);
        for (int64_t c = first; c <= last; c++) {
            if (access->is_write && at > w->made_at[c]) w->made_at[c] = at;
            if (at > w->used_at[c]) w->used_at[c] = at;
        }
    }
}

/* Instructions [first, end) of one node. False: some lag too far behind their rows for this sweep. */
static bool node_fits(const banding *w, int64_t first, int64_t end)
{
    for (int64_t i = first; i < end; i++) {
        const int64_t own = own_band(w, i);
        w->at[i] = earliest(w, i, own);
        if (own >= 0 && w->at[i] - w->base - own > w->late) return false;
        note(w, i, w->at[i]);
    }
    return true;
}

/* What was noted of a node that did not fit lies before the next sweep, so it holds nothing up there. */
static void find_bands(banding *w)
{
    const fari_plan *plan = w->plan;
    int64_t end = 0;
    for (int64_t first = 0; first < plan->instr_count; first = end) {
        for (end = first + 1; end < plan->instr_count && plan->instrs[end].turn == plan->instrs[first].turn;) end++;
        if (node_fits(w, first, end)) continue;
        w->base += w->stride;
        (void)node_fits(w, first, end);
    }
}

/* ---- the new order ---- */

typedef struct placed {
    int64_t at, instr;
} placed;

static int by_band(const void *a, const void *b)
{
    const placed *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return (x->instr > y->instr) - (x->instr < y->instr);
}

static far_status sweep_begin(fari_plan *plan, int32_t turn)
{
    if (!fari_reserve((void **)&plan->sweep0, &plan->sweep_cap, plan->sweep_count + 2, sizeof(int32_t)))
        return no_memory();
    plan->sweep0[plan->sweep_count++] = turn;
    return FAR_OK;
}

static far_status put_all(banding *w, const placed *list)
{
    fari_plan *plan = w->plan;
    int32_t turn = -1;
    for (int64_t b = 0; b < plan->buffer_count; b++) {
        plan->buffers[b].first_turn = INT32_MAX;
        plan->buffers[b].last_turn = -1;
    }
    for (int64_t i = 0; i < w->old.instr_count; i++) {
        if (i == 0 || list[i].at != list[i - 1].at) turn++;
        if (i == 0 || list[i].at / w->stride != list[i - 1].at / w->stride) FAR_TRY(sweep_begin(plan, turn));
        FAR_TRY(fari_lower_put(plan, &w->old, list[i].instr, NULL));
        fari_lower_note_turns(plan, i, turn);
    }
    plan->turn_count = turn + 1;
    if (plan->sweep_count > 0) plan->sweep0[plan->sweep_count] = plan->turn_count;
    return FAR_OK;
}

static far_status reorder(banding *w)
{
    const int64_t count = w->plan->instr_count;
    placed *list = fari_alloc((size_t)(count + 1) * sizeof *list);
    if (list == NULL) return no_memory();
    for (int64_t i = 0; i < count; i++) list[i] = (placed){ w->at[i], i };
    if (count > 0) qsort(list, (size_t)count, sizeof *list, by_band);
    fari_lower_take_lists(w->plan, &w->old);
    const far_status st = put_all(w, list);
    fari_lower_free_lists(&w->old);
    fari_free(list);
    return st;
}

far_status fari_plan_band(fari_plan *plan)
{
    banding w = { .plan = plan };
    far_status st = cells_make(&w);
    if (st == FAR_OK) {
        find_bands(&w);
        st = reorder(&w);
    }
    fari_free(w.cell0);
    fari_free(w.is_banded);
    fari_free(w.at);
    fari_free(w.made_at);
    fari_free(w.used_at);
    return st;
}
