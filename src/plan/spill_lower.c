/* What was chosen becomes instructions: who uses a tensor after its gap uses its new buffer, and pieces of it go to disk and come back. */
#include "base/mem.h"
#include "plan/lower.h"
#include "plan/part.h"
#include "plan/spill.h"
#include <string.h>

#define PIECE_BYTES (INT64_C(4) << 20)

/* A WRITE or a READ to come: of bytes [lo, hi) of a tensor. */
typedef struct insertion {
    int64_t at;       /* instruction of the old list */
    bool is_after;    /* it stands behind that one: a WRITE; else before it: a READ */
    int32_t next_use; /* of several READs the most urgent first */
    int64_t gap, lo, hi;
} insertion;

typedef struct inserting {
    const fari_spilling *spilling;
    insertion *list;
    int64_t count, cap;
    int64_t piece_bytes;
    int64_t *piece0;     /* [buffer_count] number of the first piece of what is spilled */
    int64_t piece_count; /* in all */
    int64_t *changed_by; /* [piece_count] the last instruction that changes the piece, -1: none does */
    fari_lists old;      /* the plan's lists as they were */
} inserting;

static far_status no_memory(void)
{
    return FAR_FAIL(FAR_E_NOMEM, "no memory to plan what waits on disk");
}

static const fari_gap *first_spilled(const fari_spilling *s, int64_t buffer)
{
    for (int64_t g = s->gap0[buffer]; g < s->gap0[buffer + 1]; g++)
        if (s->gaps[g].is_spilled) return &s->gaps[g];
    return NULL;
}

/* ---- which pieces, and where ---- */

static void number_pieces(inserting *w)
{
    const fari_spilling *s = w->spilling;
    for (int64_t b = 0; b < s->buffer_count; b++) {
        w->piece0[b] = w->piece_count;
        if (first_spilled(s, b) != NULL)
            w->piece_count += (s->plan->buffers[b].bytes + w->piece_bytes - 1) / w->piece_bytes;
    }
}

static void note_changes(inserting *w)
{
    const fari_spilling *s = w->spilling;
    const fari_plan *plan = s->plan;
    for (int64_t p = 0; p < w->piece_count; p++) w->changed_by[p] = -1;
    for (int64_t i = 0; i < plan->instr_count; i++)
        for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++) {
            const fari_access *access = &plan->accesses[a];
            if (!access->is_write || access->lo >= access->hi || first_spilled(s, access->buffer) == NULL) continue;
            const int64_t first = access->lo / w->piece_bytes, last = (access->hi - 1) / w->piece_bytes;
            for (int64_t p = first; p <= last; p++) w->changed_by[w->piece0[access->buffer] + p] = i;
        }
}

static far_status insertion_add(inserting *w, const insertion *what)
{
    if (!fari_reserve((void **)&w->list, &w->cap, w->count + 1, sizeof(insertion))) return no_memory();
    w->list[w->count++] = *what;
    return FAR_OK;
}

/* Pieces that nobody ever writes are the seams between the parts that a rank holds. */
static far_status list_buffer(inserting *w, int64_t buffer)
{
    const fari_spilling *s = w->spilling;
    const fari_gap *first = first_spilled(s, buffer);
    const int64_t bytes = s->plan->buffers[buffer].bytes;
    for (int64_t lo = 0; first != NULL && lo < bytes; lo += w->piece_bytes) {
        const int64_t changed_by = w->changed_by[w->piece0[buffer] + lo / w->piece_bytes];
        insertion what = { .at = changed_by,
                           .is_after = true,
                           .gap = first - s->gaps,
                           .lo = lo,
                           .hi = lo + w->piece_bytes < bytes ? lo + w->piece_bytes : bytes };
        if (changed_by < 0) continue;
        FAR_TRY(insertion_add(w, &what));
        what.is_after = false;
        for (what.gap = s->gap0[buffer]; what.gap < s->gap0[buffer + 1]; what.gap++) {
            const fari_gap *gap = &s->gaps[what.gap];
            if (!gap->is_spilled) continue;
            what.next_use = gap->next_use;
            what.at = fari_lower_first_of_turn(s->plan, gap->returns);
            FAR_TRY(insertion_add(w, &what));
        }
    }
    return FAR_OK;
}

static int by_place(const void *a, const void *b)
{
    const insertion *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    if (x->is_after != y->is_after) return x->is_after ? 1 : -1;
    if (x->next_use != y->next_use) return x->next_use < y->next_use ? -1 : 1;
    if (x->gap != y->gap) return x->gap < y->gap ? -1 : 1;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

static far_status list_all(inserting *w)
{
    const fari_spilling *s = w->spilling;
    w->piece_bytes = s->plan->opts.spill.piece_bytes > 0 ? s->plan->opts.spill.piece_bytes : PIECE_BYTES;
    w->piece0 = fari_alloc((size_t)(s->buffer_count + 1) * sizeof *w->piece0);
    if (w->piece0 == NULL) return no_memory();
    number_pieces(w);
    w->changed_by = fari_alloc((size_t)(w->piece_count + 1) * sizeof *w->changed_by);
    if (w->changed_by == NULL) return no_memory();
    note_changes(w);
    for (int64_t b = 0; b < s->buffer_count; b++) FAR_TRY(list_buffer(w, b));
    if (w->count > 0) qsort(w->list, (size_t)w->count, sizeof *w->list, by_place);
    return FAR_OK;
}

/* ---- the new list ---- */

static int32_t buffer_at(const fari_spilling *s, int32_t buffer, int32_t turn)
{
    int32_t now = buffer;
    for (int64_t g = s->gap0[buffer]; g < s->gap0[buffer + 1]; g++)
        if (s->gaps[g].is_spilled && turn >= s->gaps[g].next_use) now = s->gaps[g].after;
    return now;
}

static far_status put_old(const inserting *w, int64_t idx)
{
    int32_t buffers[FARI_ACCESS_MAX];
    const int64_t first = w->old.access0[idx], count = w->old.access0[idx + 1] - first;
    FAR_ASSERT(count <= FARI_ACCESS_MAX);
    for (int64_t k = 0; k < count; k++)
        buffers[k] = buffer_at(w->spilling, w->old.accesses[first + k].buffer, w->old.instrs[idx].turn);
    return fari_lower_put(w->spilling->plan, &w->old, idx, buffers);
}

static far_status put_piece(const inserting *w, const insertion *what)
{
    const fari_gap *gap = &w->spilling->gaps[what->gap];
    const fari_piece piece = { what->lo, what->hi };
    const int64_t number = w->piece0[gap->buffer] + what->lo / w->piece_bytes;
    if (what->is_after)
        return fari_lower_put_move(w->spilling->plan, FARI_INSTR_WRITE, w->old.instrs[what->at].turn, gap->buffer,
                                   gap->disk, number, &piece);
    return fari_lower_put_move(w->spilling->plan, FARI_INSTR_READ, gap->returns, gap->disk, gap->after, number, &piece);
}

static far_status put_all(inserting *w)
{
    int64_t k = 0;
    for (int64_t i = 0; i < w->old.instr_count; i++) {
        for (; k < w->count && w->list[k].at == i && !w->list[k].is_after; k++) FAR_TRY(put_piece(w, &w->list[k]));
        FAR_TRY(put_old(w, i));
        for (; k < w->count && w->list[k].at == i; k++) FAR_TRY(put_piece(w, &w->list[k]));
    }
    FAR_ASSERT(k == w->count);
    return FAR_OK;
}

/* ---- one rank of several: the new buffers hold the same parts of their tensors ---- */

static far_status span_copy(fari_part *part, int64_t span)
{
    if (!fari_reserve((void **)&part->spans, &part->span_cap, part->span_count + 1, sizeof(fari_span)))
        return no_memory();
    part->spans[part->span_count++] = part->spans[span];
    return FAR_OK;
}

static far_status copy_spans(const fari_spilling *s)
{
    fari_plan *plan = s->plan;
    fari_part *part = plan->part;
    if (part == NULL) return FAR_OK;
    int64_t *span0 = fari_realloc(part->span0, (size_t)(plan->buffer_count + 1) * sizeof *span0);
    if (span0 == NULL) return no_memory();
    part->span0 = span0;
    for (int64_t b = s->buffer_count; b < plan->buffer_count; b++) {
        const int32_t of = plan->tensor_buffer[plan->buffers[b].tensor]; /* the one up to the first gap */
        for (int64_t k = span0[of]; k < span0[of + 1] && plan->buffers[b].base == FARI_BASE_ARENA; k++)
            FAR_TRY(span_copy(part, k));
        span0[b + 1] = part->span_count;
    }
    return FAR_OK;
}

far_status fari_spill_lower(fari_spilling *s)
{
    inserting w = { .spilling = s };
    far_status st = FAR_OK;
    if (s->plan->buffer_count == s->buffer_count) return FAR_OK; /* nothing is split */
    FAR_TRY_GOTO(list_all(&w), done);
    FAR_TRY_GOTO(copy_spans(s), done);
    fari_lower_take_lists(s->plan, &w.old);
    s->plan->spill_pieces = w.piece_count;
    st = put_all(&w);
    fari_lower_free_lists(&w.old);
done:
    fari_free(w.list);
    fari_free(w.piece0);
    fari_free(w.changed_by);
    return st;
}
