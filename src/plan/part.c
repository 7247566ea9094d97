/* The share of one rank: what the walk found becomes instructions, and buffers shrink to what they touch. */
#include "plan/part.h"
#include "base/mem.h"
#include "plan/lower.h"
#include <string.h>

#define ALIGN_BYTES 64

far_status fari_part_create(fari_plan *plan)
{
    plan->part = fari_calloc(1, sizeof *plan->part);
    return plan->part != NULL ? FAR_OK : FAR_FAIL(FAR_E_NOMEM, "no memory to plan for ranks");
}

void fari_part_destroy(fari_part *part)
{
    if (part == NULL) return;
    fari_free(part->messages);
    fari_free(part->parts);
    fari_free(part->spans);
    fari_free(part->span0);
    fari_free(part->feeds);
    fari_free(part->results);
    fari_free(part);
}

void fari_part_link(fari_plan *plan)
{
    if (plan->part == NULL) return;
    for (int64_t i = 0; i < plan->instr_count; i++)
        for (int64_t s = plan->succ0[i]; s < plan->succ0[i + 1]; s++) {
            const fari_instr *from = &plan->instrs[i], *to = &plan->instrs[plan->succ[s]];
            fari_message *m = from->kind == FARI_INSTR_RECV ? &plan->part->messages[from->aux] : NULL;
            if (m != NULL && (m->partner < 0 || plan->succ[s] < m->partner)) m->partner = plan->succ[s];
            if (to->kind == FARI_INSTR_SEND) plan->part->messages[to->aux].partner = (int32_t)i; /* the last stays */
        }
}

int64_t fari_part_own_bytes(const fari_plan *plan)
{
    const fari_part *part = plan->part;
    if (part == NULL) return 0;
    return part->message_cap * (int64_t)sizeof(fari_message) + part->part_cap * (int64_t)sizeof(fari_message_part) +
           part->span_cap * (int64_t)sizeof(fari_span) + (plan->buffer_count + 1) * (int64_t)sizeof(int64_t) +
           part->feed_count * (int64_t)sizeof(fari_feed_box) + part->result_cap * (int64_t)sizeof(fari_result);
}

/* ---- spans ---- */

static const fari_span *span_of_local(const fari_part *part, int32_t buffer, int64_t local)
{
    int64_t from = part->span0[buffer], to = part->span0[buffer + 1];
    while (to - from > 1) {
        const int64_t mid = from + (to - from) / 2;
        if (part->spans[mid].local <= local) from = mid;
        else to = mid;
    }
    return from < part->span0[buffer + 1] ? &part->spans[from] : NULL;
}

static const fari_span *span_of_whole(const fari_part *part, int32_t buffer, int64_t whole)
{
    int64_t from = part->span0[buffer], to = part->span0[buffer + 1];
    while (to - from > 1) {
        const int64_t mid = from + (to - from) / 2;
        if (part->spans[mid].lo <= whole) from = mid;
        else to = mid;
    }
    return from < part->span0[buffer + 1] ? &part->spans[from] : NULL;
}

int64_t fari_part_whole_offset(const fari_plan *plan, int32_t buffer, int64_t local)
{
    const fari_span *span = plan->part != NULL ? span_of_local(plan->part, buffer, local) : NULL;
    return span != NULL ? span->lo + (local - span->local) : local;
}

int64_t fari_part_local_offset(const fari_plan *plan, int32_t buffer, int64_t whole)
{
    const fari_span *span = plan->part != NULL ? span_of_whole(plan->part, buffer, whole) : NULL;
    return span != NULL ? span->local + (whole - span->lo) : whole;
}

static int64_t whole_bytes(const fari_plan *plan, far_value tensor)
{
    return far_shape_elems(&fari_tensor_of(plan->graph, tensor)->shape) *
           far_dtype_bytes(fari_plan_dtype(plan, tensor));
}

/* Buffers of tensors and of partials are cut down; packed weights and what lies in the store stay whole. */
static bool is_cut(const fari_plan *plan, int32_t buffer)
{
    return plan->buffers[buffer].base == FARI_BASE_ARENA && plan->buffers[buffer].kind != FARI_BUFFER_PACKED;
}

bool fari_part_is_whole(const fari_plan *plan, int32_t buffer)
{
    const fari_part *part = plan->part;
    if (part == NULL || !is_cut(plan, buffer)) return true;
    const fari_span *span = &part->spans[part->span0[buffer]];
    return part->span0[buffer + 1] == part->span0[buffer] + 1 && span->lo == 0 &&
           span->hi == whole_bytes(plan, plan->buffers[buffer].tensor);
}

int fari_buffer_range_order(const void *a, const void *b)
{
    const fari_buffer_range *x = a, *y = b;
    if (x->buffer != y->buffer) return x->buffer < y->buffer ? -1 : 1;
    if (x->lo != y->lo) return x->lo < y->lo ? -1 : 1;
    return (x->hi > y->hi) - (x->hi < y->hi);
}

static int32_t buffer_of(const fari_lowering *low, int32_t data)
{
    const int64_t tensors = low->plan->graph->tensor_count;
    return data < tensors ? low->plan->tensor_buffer[data] : low->walk.partials[data - tensors];
}

static far_status span_add(fari_part *part, const fari_buffer_range *r)
{
    if (!fari_reserve((void **)&part->spans, &part->span_cap, part->span_count + 1, sizeof(fari_span)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory to plan for ranks");
    part->spans[part->span_count++] = (fari_span){ r->lo, r->hi, 0 };
    return FAR_OK;
}

/* Sorted ranges to spans: what touches or overlaps is one. */
static far_status spans_merge(fari_plan *plan, const fari_buffer_range *ranges, int64_t count)
{
    fari_part *part = plan->part;
    int64_t i = 0;
    for (int64_t b = 0; b < plan->buffer_count; b++) {
        part->span0[b] = part->span_count;
        for (; i < count && ranges[i].buffer == b; i++) {
            fari_span *last = part->span_count > part->span0[b] ? &part->spans[part->span_count - 1] : NULL;
            if (last == NULL || last->hi < ranges[i].lo) FAR_TRY(span_add(part, &ranges[i]));
            else if (ranges[i].hi > last->hi) last->hi = ranges[i].hi;
        }
    }
    part->span0[plan->buffer_count] = part->span_count;
    return FAR_OK;
}

/* Spans lie one behind the other, each with the alignment that it has in the whole. */
static void spans_place(fari_plan *plan)
{
    fari_part *part = plan->part;
    for (int64_t b = 0; b < plan->buffer_count; b++) {
        int64_t end = 0;
        if (!is_cut(plan, (int32_t)b)) continue;
        for (int64_t s = part->span0[b]; s < part->span0[b + 1]; s++) {
            fari_span *span = &part->spans[s];
            span->local = (end + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES + span->lo % ALIGN_BYTES;
            end = span->local + span->hi - span->lo;
        }
        plan->buffers[b].bytes = end;
    }
}

static far_status find_spans(fari_lowering *low)
{
    fari_plan *plan = low->plan;
    fari_part *part = plan->part;
    far_status st = FAR_OK;
    int64_t count = 0;
    fari_buffer_range *ranges = fari_alloc((size_t)(plan->access_count + part->part_count + 1) * sizeof *ranges);
    part->span0 = fari_calloc((size_t)plan->buffer_count + 1, sizeof *part->span0);
    if (ranges == NULL || part->span0 == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to plan for ranks");
        goto done;
    }
    for (int64_t a = 0; a < plan->access_count; a++) {
        const fari_access *access = &plan->accesses[a];
        if (is_cut(plan, access->buffer))
            ranges[count++] = (fari_buffer_range){ access->buffer, access->lo, access->hi };
    }
    for (int64_t p = 0; p < part->part_count; p++)
        ranges[count++] =
            (fari_buffer_range){ buffer_of(low, part->parts[p].data), part->parts[p].lo, part->parts[p].hi };
    qsort(ranges, (size_t)count, sizeof *ranges, fari_buffer_range_order);
    FAR_TRY_GOTO(spans_merge(plan, ranges, count), done);
    spans_place(plan);
done:
    fari_free(ranges);
    return st;
}

/* ---- messages and feeds as instructions ---- */

/* Something to stand in the list of instructions: an own one, a message, a feed. */
typedef struct entry {
    int64_t at;
    int32_t kind; /* in this order where `at` is the same */
    int32_t turn;
    int64_t idx;
    fari_view view; /* FEED */
} entry;
enum { ENTRY_OWN, ENTRY_MESSAGE, ENTRY_FEED };

typedef struct listing {
    fari_lowering *low;
    entry *entries;
    int64_t count, cap;
    fari_lists old; /* the plan's lists as the walk left them */
} listing;

static int by_time(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    return (x->idx > y->idx) - (x->idx < y->idx);
}

static far_status entry_add(listing *l, const entry *e)
{
    if (!fari_reserve((void **)&l->entries, &l->cap, l->count + 1, sizeof(entry)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory to plan for ranks");
    l->entries[l->count++] = *e;
    return FAR_OK;
}

static void box_grow(fari_feed_box *box, const fari_view *view, int64_t rows)
{
    const bool is_empty = box->sample_hi == 0;
    const int64_t lo = view->sample0, hi = lo + view->dim[0], row_lo = view->row0, row_hi = row_lo + rows;
    if (is_empty || lo < box->sample_lo) box->sample_lo = lo;
    if (hi > box->sample_hi) box->sample_hi = hi;
    if (is_empty || row_lo < box->row_lo) box->row_lo = row_lo;
    if (row_hi > box->row_hi) box->row_hi = row_hi;
}

/* Feeds of a span: whole samples a grain at a time, else the rows of one sample. */
static far_status feed_span(listing *l, const entry *like, far_value input, const fari_span *span, fari_feed_box *box)
{
    const fari_plan *plan = l->low->plan;
    const fari_tensor *t = fari_tensor_of(plan->graph, input);
    const int64_t index_bytes = whole_bytes(plan, input) / t->shape.dim[0];
    const int64_t rows = fari_lower_rows(t), row_bytes = index_bytes / rows, step = plan->grains[input].index_step;
    for (int64_t at = span->lo; at < span->hi;) {
        const int64_t sample = at / index_bytes, row_lo = at % index_bytes / row_bytes;
        int64_t sample_hi = (sample / step + 1) * step, row_hi = rows;
        if (sample_hi > span->hi / index_bytes) sample_hi = span->hi / index_bytes;
        if (row_lo > 0 || sample_hi <= sample) {
            sample_hi = sample + 1;
            if (span->hi < sample_hi * index_bytes) row_hi = (span->hi - sample * index_bytes) / row_bytes;
        }
        entry e = *like;
        e.view = fari_lower_view_piece(plan, input, sample, sample_hi, row_lo, row_hi);
        box_grow(box, &e.view, row_hi - row_lo);
        FAR_TRY(entry_add(l, &e));
        at = (int64_t)(uintptr_t)e.view.data + fari_lower_view_bytes(&e.view);
    }
    return FAR_OK;
}

static far_status list_feeds(listing *l)
{
    fari_plan *plan = l->low->plan;
    const far_graph *graph = plan->graph;
    fari_part *part = plan->part;
    for (far_value i = 0; i < graph->tensor_count; i++) part->feed_count += graph->tensors[i]->role == FARI_ROLE_INPUT;
    part->feeds = fari_calloc((size_t)part->feed_count + 1, sizeof *part->feeds);
    if (part->feeds == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to plan for ranks");
    for (far_value i = 0; i < graph->tensor_count; i++) {
        if (graph->tensors[i]->role != FARI_ROLE_INPUT) continue;
        fari_feed_box *box = &part->feeds[fari_lower_input_ordinal(graph, i)];
        entry e = { .kind = ENTRY_FEED, .idx = i };
        const int32_t buffer = plan->tensor_buffer[i];
        box->input = i;
        if (buffer < 0 || !fari_flow_first_need(l->low->walk.flow, i, &e.at, &e.turn)) continue;
        for (int64_t s = part->span0[buffer]; s < part->span0[buffer + 1]; s++)
            FAR_TRY(feed_span(l, &e, i, &part->spans[s], box));
    }
    return FAR_OK;
}

static far_status list_all(listing *l)
{
    const fari_plan *plan = l->low->plan;
    const fari_part *part = plan->part;
    for (int64_t i = 0; i < plan->instr_count; i++)
        FAR_TRY(entry_add(l, &(entry){ .at = l->low->walk.at[i], .kind = ENTRY_OWN, .idx = i }));
    for (int64_t i = 0; i < part->message_count; i++)
        FAR_TRY(entry_add(
            l,
            &(entry){ .at = part->messages[i].at, .kind = ENTRY_MESSAGE, .turn = part->messages[i].turn, .idx = i }));
    FAR_TRY(list_feeds(l));
    if (l->count > 0) qsort(l->entries, (size_t)l->count, sizeof *l->entries, by_time);
    return FAR_OK;
}

/* A view with its offset in the rank's buffer. */
static far_status put_view(fari_plan *plan, int32_t buffer, const fari_view *view, int64_t bytes, bool is_write)
{
    fari_view own = *view;
    own.data =
        (void *)(uintptr_t)fari_part_local_offset(plan, buffer, (int64_t)(uintptr_t)view->data); /* NOLINT: an offset */
    return fari_lower_view(plan, buffer, &own, bytes, is_write);
}

static far_status put_own(listing *l, int64_t idx)
{
    fari_plan *plan = l->low->plan;
    const fari_instr *old = &l->old.instrs[idx];
    FAR_TRY(fari_lower_begin(plan, (fari_instr_kind)old->kind, old->node));
    fari_instr *instr = &plan->instrs[plan->instr_count - 1];
    const int64_t view0 = instr->view0;
    *instr = *old;
    instr->view0 = view0;
    instr->in_count = instr->out_count = 0; /* counted again */
    for (int64_t k = 0; l->old.access0[idx] + k < l->old.access0[idx + 1]; k++) {
        const fari_access *access = &l->old.accesses[l->old.access0[idx] + k];
        FAR_TRY(
            put_view(plan, access->buffer, &l->old.views[old->view0 + k], access->hi - access->lo, access->is_write));
    }
    return FAR_OK;
}

static far_status put_message(listing *l, const entry *e)
{
    fari_plan *plan = l->low->plan;
    fari_message *m = &plan->part->messages[e->idx];
    const bool is_send = m->from == plan->opts.rank;
    const int64_t first = plan->instr_count;
    FAR_TRY(fari_lower_begin(plan, is_send ? FARI_INSTR_SEND : FARI_INSTR_RECV, -1));
    plan->instrs[first].aux = (int32_t)e->idx;
    m->instr = (int32_t)first;
    for (int32_t p = 0; p < m->part_count; p++) {
        const fari_message_part *part = &plan->part->parts[m->part0 + p];
        const int64_t bytes = part->hi - part->lo;
        const fari_view view = { .data = (void *)(uintptr_t)part->lo, /* NOLINT: an offset */
                                 .dtype = FAR_U8,
                                 .ndim = 1,
                                 .dim = { bytes },
                                 .rows_total = 1 };
        FAR_TRY(put_view(plan, buffer_of(l->low, part->data), &view, bytes, !is_send));
    }
    fari_lower_note_turns(plan, first, e->turn);
    return FAR_OK;
}

static far_status put_feed(listing *l, const entry *e)
{
    fari_plan *plan = l->low->plan;
    const far_value input = (far_value)e->idx;
    const int64_t first = plan->instr_count;
    FAR_TRY(fari_lower_begin(plan, FARI_INSTR_FEED, -1));
    plan->instrs[first].aux = fari_lower_input_ordinal(plan->graph, input);
    FAR_TRY(put_view(plan, plan->tensor_buffer[input], &e->view, fari_lower_view_bytes(&e->view), true));
    fari_lower_note_turns(plan, first, e->turn);
    return FAR_OK;
}

static far_status put_all(listing *l)
{
    for (int64_t i = 0; i < l->count; i++) {
        const entry *e = &l->entries[i];
        if (e->kind == ENTRY_OWN) FAR_TRY(put_own(l, e->idx));
        if (e->kind == ENTRY_MESSAGE) FAR_TRY(put_message(l, e));
        if (e->kind == ENTRY_FEED) FAR_TRY(put_feed(l, e));
    }
    return FAR_OK;
}

/* Parts came as needs came; now they lie by message. */
static far_status sort_parts(fari_part *part)
{
    fari_message_part *sorted = fari_alloc((size_t)(part->part_count + 1) * sizeof *sorted);
    if (sorted == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's messages");
    int64_t at = 0;
    for (int64_t i = 0; i < part->message_count; i++) {
        part->messages[i].part0 = at;
        at += part->messages[i].part_count;
        part->messages[i].part_count = 0;
    }
    for (int64_t p = 0; p < part->part_count; p++) {
        fari_message *m = &part->messages[part->parts[p].message];
        sorted[m->part0 + m->part_count++] = part->parts[p];
    }
    fari_free(part->parts);
    part->parts = sorted;
    part->part_cap = part->part_count + 1;
    return FAR_OK;
}

/* What every rank wants to know at the end: the loss, results over the whole batch, kept gradients of parameters. */
static far_status hand_out_results(fari_lowering *low)
{
    const fari_plan *plan = low->plan;
    const far_graph *graph = plan->graph;
    for (far_value i = 0; i < graph->tensor_count; i++) {
        const fari_tensor *t = graph->tensors[i];
        bool is_wanted = i == graph->loss;
        for (int64_t k = 0; k < graph->output_count; k++) is_wanted = is_wanted || graph->outputs[k].value == i;
        for (int64_t k = 0; plan->opts.is_keeping_gradients && k < graph->tensor_count; k++)
            is_wanted = is_wanted || (graph->tensors[k]->producer < 0 && graph->tensors[k]->grad == i);
        if (!is_wanted || t->batch_of != 0 || t->producer < 0) continue;
        FAR_TRY(fari_flow_need(low->walk.flow, i, 0, whole_bytes(plan, i), FARI_EVERY_RANK));
    }
    return FAR_OK;
}

static far_status result_add(fari_part *part, const fari_result *result)
{
    if (!fari_reserve((void **)&part->results, &part->result_cap, part->result_count + 1, sizeof(fari_result)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory to plan for ranks");
    part->results[part->result_count++] = *result;
    return FAR_OK;
}

/* Who has the outputs that have a batch axis: whoever wants them whole asks there. */
static far_status note_results(fari_lowering *low)
{
    const fari_plan *plan = low->plan;
    const far_graph *graph = plan->graph;
    for (int64_t k = 0; k < graph->output_count; k++) {
        const far_value value = graph->outputs[k].value;
        const fari_tensor *t = fari_tensor_of(graph, value);
        if (t->batch_of == 0 || t->producer < 0) continue;
        fari_result r = { .value = value };
        for (const int64_t end = whole_bytes(plan, value); r.lo < end; r.lo = r.hi) {
            r.rank = fari_flow_maker(low->walk.flow, value, r.lo, end, &r.hi);
            FAR_TRY(result_add(plan->part, &r));
        }
    }
    return FAR_OK;
}

far_status fari_part_lower(fari_lowering *low)
{
    fari_plan *plan = low->plan;
    fari_part *part = plan->part;
    listing l = { .low = low };
    far_status st = FAR_OK;
    FAR_TRY(hand_out_results(low));
    FAR_TRY(note_results(low));
    FAR_TRY(sort_parts(part));
    for (int64_t p = 0; p < part->part_count; p++) { /* a tensor that only passes through */
        int32_t unused = -1;
        if (part->parts[p].data < plan->graph->tensor_count)
            FAR_TRY(fari_lower_tensor(plan, part->parts[p].data, &unused));
    }
    FAR_TRY(find_spans(low));
    FAR_TRY_GOTO(list_all(&l), done);
    fari_lower_take_lists(plan, &l.old);
    FAR_TRY_GOTO(put_all(&l), done);
done:
    fari_free(l.entries);
    fari_lower_free_lists(&l.old);
    return st;
}
