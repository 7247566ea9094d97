#include "plan/flow.h"
#include "base/mem.h"
#include <inttypes.h>
#include <string.h>

#define PARTS_MAX 200     /* of a message: an instruction counts its views in a byte */
#define LARGE_BYTES 65536 /* of a sum: its messages take no small ones along, which others wait for */
#define BATCH_TURNS 16    /* a part that is there joins a message that goes at most so many nodes before it is needed */

/* A range of a stream in somebody's hands. */
typedef struct held {
    int64_t lo, hi;
    int64_t at; /* when it was made; of copies not kept */
    int32_t rank;
} held;

/* One tensor, or the partials of one sum. */
typedef struct stream {
    held *made; /* by whom, ascending, disjoint */
    int64_t made_count, made_cap;
    held *copies; /* who else has it, by rank and then ascending, disjoint */
    int64_t copy_count, copy_cap;
    bool is_input;      /* every rank reads what it needs itself */
    bool is_everywhere; /* parameters and state: every rank has them, always */
    bool is_large;      /* a sum, as a weight gradient: nobody but an update waits for it */
    int64_t first_at;   /* of this rank's first need of an input; -1: none yet */
    int32_t first_turn;
} stream;

/* What one rank has sent to another, of large sums or of everything else: the newest message may still take parts. */
typedef struct partner {
    int32_t to, tags, parts, turn;
    bool is_large;
    int64_t at;
    int64_t message; /* in the plan; -1: not this rank's */
    int64_t last_part;
} partner;

typedef struct partners {
    partner *list;
    int64_t count, cap;
} partners;

struct fari_flow {
    fari_plan *plan;
    int32_t ranks, rank;
    stream *streams;
    int64_t stream_count, stream_cap;
    partners *partners; /* [ranks] of senders */
    int32_t *ring;      /* [ranks] scratch of broadcasts */
    int64_t *got_at;
    int64_t at;
    int32_t turn;
};

far_status fari_flow_create(fari_plan *plan, fari_flow **flow_out)
{
    fari_flow *flow = fari_calloc(1, sizeof *flow);
    if (flow == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to plan for ranks");
    flow->plan = plan;
    flow->ranks = fari_mesh_ranks(&plan->opts.mesh);
    flow->rank = plan->opts.rank;
    flow->partners = fari_calloc((size_t)flow->ranks, sizeof *flow->partners);
    flow->ring = fari_alloc((size_t)flow->ranks * sizeof *flow->ring);
    flow->got_at = fari_alloc((size_t)flow->ranks * sizeof *flow->got_at);
    const int64_t tensors = plan->graph->tensor_count;
    if (flow->partners == NULL || flow->ring == NULL || flow->got_at == NULL ||
        !fari_reserve((void **)&flow->streams, &flow->stream_cap, tensors + 1, sizeof(stream))) {
        fari_flow_destroy(flow);
        return FAR_FAIL(FAR_E_NOMEM, "no memory to plan for ranks");
    }
    for (int64_t i = 0; i < tensors; i++) {
        const fari_tensor *t = plan->graph->tensors[i];
        const fari_role role = t->role;
        flow->streams[i] = (stream){ .is_input = role == FARI_ROLE_INPUT,
                                     .is_everywhere = role == FARI_ROLE_PARAM || role == FARI_ROLE_STATE ||
                                                      role == FARI_ROLE_OPT_STATE,
                                     .is_large = t->producer >= 0 && t->batch_of == 0 &&
                                                 far_shape_elems(&t->shape) * far_dtype_bytes(t->dtype) > LARGE_BYTES,
                                     .first_at = -1 };
    }
    flow->stream_count = tensors;
    *flow_out = flow;
    return FAR_OK;
}

void fari_flow_destroy(fari_flow *flow)
{
    if (flow == NULL) return;
    for (int64_t i = 0; i < flow->stream_count; i++) {
        fari_free(flow->streams[i].made);
        fari_free(flow->streams[i].copies);
    }
    for (int32_t r = 0; flow->partners != NULL && r < flow->ranks; r++) fari_free(flow->partners[r].list);
    fari_free(flow->streams);
    fari_free(flow->partners);
    fari_free(flow->ring);
    fari_free(flow->got_at);
    fari_free(flow);
}

far_status fari_flow_partials(fari_flow *flow, int64_t slot_bytes, int32_t *data_out)
{
    if (!fari_reserve((void **)&flow->streams, &flow->stream_cap, flow->stream_count + 1, sizeof(stream)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory to plan for ranks");
    flow->streams[flow->stream_count] = (stream){ .first_at = -1, .is_large = slot_bytes > LARGE_BYTES };
    *data_out = (int32_t)flow->stream_count++;
    return FAR_OK;
}

void fari_flow_turn(fari_flow *flow, int32_t turn)
{
    flow->turn = turn;
}

int64_t fari_flow_next(fari_flow *flow)
{
    return ++flow->at;
}

int64_t fari_flow_now(const fari_flow *flow)
{
    return flow->at;
}

bool fari_flow_first_need(const fari_flow *flow, int32_t data, int64_t *at_out, int32_t *turn_out)
{
    *at_out = flow->streams[data].first_at;
    *turn_out = flow->streams[data].first_turn;
    return *at_out >= 0;
}

/* ---- lists of ranges ---- */

/* The first of the ranges [from, to) that ends behind `lo`. */
static int64_t first_behind(const held *list, int64_t from, int64_t to, int64_t lo)
{
    while (from < to) {
        const int64_t mid = from + (to - from) / 2;
        if (list[mid].hi > lo) to = mid;
        else from = mid + 1;
    }
    return from;
}

/* The first copy of a rank not before `rank`. */
static int64_t first_of_rank(const stream *s, int32_t rank)
{
    int64_t from = 0, to = s->copy_count;
    while (from < to) {
        const int64_t mid = from + (to - from) / 2;
        if (s->copies[mid].rank >= rank) to = mid;
        else from = mid + 1;
    }
    return from;
}

static far_status list_insert(held **list, int64_t *count, int64_t *cap, int64_t at, const held *item)
{
    if (!fari_reserve((void **)list, cap, *count + 1, sizeof(held)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory to plan for ranks");
    memmove(*list + at + 1, *list + at, (size_t)(*count - at) * sizeof(held));
    (*list)[at] = *item;
    ++*count;
    return FAR_OK;
}

/* Takes [lo, hi) out of all ranges of a list, cutting those that reach beyond. */
static far_status list_cut(held **list, int64_t *count, int64_t *cap, int64_t lo, int64_t hi)
{
    int64_t kept = 0;
    held rest = { .hi = 0 };
    int64_t rest_at = -1;
    for (int64_t i = 0; i < *count; i++) {
        held item = (*list)[i];
        if (item.lo < hi && lo < item.hi) {
            if (item.lo < lo &&
                hi < item.hi) { /* the middle goes: a second piece comes about, once in a list of one rank */
                rest = item;
                rest.lo = hi;
                rest_at = kept + 1;
                item.hi = lo;
            } else if (item.lo < lo) {
                item.hi = lo;
            } else if (hi < item.hi) {
                item.lo = hi;
            } else {
                continue;
            }
        }
        (*list)[kept++] = item;
    }
    *count = kept;
    return rest_at >= 0 ? list_insert(list, count, cap, rest_at, &rest) : FAR_OK;
}

/* Notes who made a range; neighbours by one rank become one range. */
static far_status made_set(stream *s, int64_t lo, int64_t hi, int32_t rank, int64_t at)
{
    held *last = s->made_count > 0 ? &s->made[s->made_count - 1] : NULL;
    if (last != NULL && last->hi > lo) { /* not at the end, as grains in order are */
        FAR_TRY(list_cut(&s->made, &s->made_count, &s->made_cap, lo, hi));
        last = NULL;
    }
    if (last != NULL && last->hi == lo && last->rank == rank) {
        last->hi = hi;
        last->at = at;
        return FAR_OK;
    }
    const held item = { lo, hi, at, rank };
    return list_insert(&s->made, &s->made_count, &s->made_cap, first_behind(s->made, 0, s->made_count, lo), &item);
}

static far_status copies_void(stream *s, int64_t lo, int64_t hi)
{
    for (int64_t i = 0; i < s->copy_count; i++) {
        held *c = &s->copies[i];
        if (c->lo >= hi || lo >= c->hi) continue;
        if (c->lo < lo && hi < c->hi) {
            const held rest = { hi, c->hi, 0, c->rank };
            c->hi = lo;
            FAR_TRY(list_insert(&s->copies, &s->copy_count, &s->copy_cap, i + 1, &rest));
            continue;
        }
        if (c->lo < lo) c->hi = lo;
        else if (hi < c->hi) c->lo = hi;
        else c->hi = c->lo; /* empty: harmless, but dropped below */
    }
    int64_t kept = 0;
    for (int64_t i = 0; i < s->copy_count; i++)
        if (s->copies[i].lo < s->copies[i].hi) s->copies[kept++] = s->copies[i];
    s->copy_count = kept;
    return FAR_OK;
}

bool fari_flow_is_everywhere(const fari_flow *flow, int32_t data)
{
    return flow->streams[data].is_everywhere;
}

far_status fari_flow_made(fari_flow *flow, int32_t data, int64_t lo, int64_t hi, int32_t rank)
{
    stream *s = &flow->streams[data];
    if (s->is_everywhere) {
        FAR_ASSERT(rank == FARI_EVERY_RANK);
        return FAR_OK;
    }
    if (s->copy_count > 0) FAR_TRY(copies_void(s, lo, hi));
    return made_set(s, lo, hi, rank, flow->at);
}

int32_t fari_flow_maker(const fari_flow *flow, int32_t data, int64_t lo, int64_t hi, int64_t *end_out)
{
    const stream *s = &flow->streams[data];
    int64_t i = first_behind(s->made, 0, s->made_count, lo);
    *end_out = hi;
    if (s->is_everywhere) return FARI_EVERY_RANK;
    FAR_ASSERT(i < s->made_count && s->made[i].lo <= lo);
    const int32_t rank = s->made[i].rank;
    int64_t end = s->made[i].hi;
    while (++i < s->made_count && s->made[i].lo == end && s->made[i].rank == rank) end = s->made[i].hi;
    if (end < hi) *end_out = end;
    return rank;
}

/* ---- messages ---- */

static far_status partner_of(fari_flow *flow, int32_t from, int32_t to, bool is_large, partner **partner_out)
{
    partners *all = &flow->partners[from];
    for (int64_t i = 0; i < all->count; i++)
        if (all->list[i].to == to && all->list[i].is_large == is_large) {
            *partner_out = &all->list[i];
            return FAR_OK;
        }
    if (!fari_reserve((void **)&all->list, &all->cap, all->count + 1, sizeof(partner)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory to plan for ranks");
    all->list[all->count] = (partner){ .to = to, .message = -1, .is_large = is_large };
    *partner_out = &all->list[all->count++];
    return FAR_OK;
}

static far_status message_begin(fari_flow *flow, int32_t from, partner *p)
{
    fari_part *part = flow->plan->part;
    p->at = ++flow->at;
    p->turn = flow->turn;
    p->parts = 0;
    p->message = -1;
    const int32_t tag = 2 * p->tags++ + p->is_large;
    if (from != flow->rank && p->to != flow->rank) return FAR_OK;
    if (!fari_reserve((void **)&part->messages, &part->message_cap, part->message_count + 1, sizeof(fari_message)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's messages");
    p->message = part->message_count;
    part->messages[part->message_count++] = (fari_message){
        .from = from, .to = p->to, .tag = tag, .turn = flow->turn, .at = p->at, .instr = -1, .partner = -1
    };
    return FAR_OK;
}

/* Parts come in the order of their needs; fari_part_lower sorts them by message, whose number waits in part0 until then. */
static far_status message_part(fari_flow *flow, partner *p, int32_t data, int64_t lo, int64_t hi)
{
    fari_part *part = flow->plan->part;
    if (p->message < 0) return FAR_OK;
    fari_message *m = &part->messages[p->message];
    m->bytes += hi - lo;
    if (m->part_count > 0) {
        fari_message_part *last = &part->parts[p->last_part];
        if (last->data == data && last->hi == lo) {
            last->hi = hi;
            return FAR_OK;
        }
    }
    if (!fari_reserve((void **)&part->parts, &part->part_cap, part->part_count + 1, sizeof(fari_message_part)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's messages");
    p->last_part = part->part_count;
    part->parts[part->part_count++] =
        (fari_message_part){ .data = data, .lo = lo, .hi = hi, .message = (int32_t)p->message };
    m->part_count++;
    return FAR_OK;
}

/* Brings [lo, hi), there since made_at, from one rank to another: in the pair's newest message where that goes late enough and soon
   enough, else in a new one. at_out: when it arrives in the walk. */
static far_status message_add(fari_flow *flow, int32_t from, int32_t to, int32_t data, const held *range,
                              int64_t *at_out)
{
    partner *p = NULL;
    FAR_TRY(partner_of(flow, from, to, flow->streams[data].is_large, &p));
    /* It may come earlier than it is needed: whatever its place held before was read before these bytes were made. */
    const bool joins = p->tags > 0 && range->at < p->at && flow->turn - p->turn <= BATCH_TURNS && p->parts < PARTS_MAX;
    if (!joins) FAR_TRY(message_begin(flow, from, p));
    p->parts++;
    *at_out = p->at;
    return message_part(flow, p, data, range->lo, range->hi);
}

/* What rank `to` lacks of `range`, which its maker has. */
static far_status bring(fari_flow *flow, int32_t data, const held *range, int32_t to)
{
    stream *s = &flow->streams[data];
    int64_t cursor = range->lo, end_of_rank = first_of_rank(s, to + 1);
    int64_t i = first_behind(s->copies, first_of_rank(s, to), end_of_rank, range->lo);
    while (cursor < range->hi) {
        const held *copy = i < end_of_rank ? &s->copies[i] : NULL;
        if (copy != NULL && copy->lo <= cursor) {
            cursor = copy->hi;
            i++;
            continue;
        }
        const held piece = { cursor, copy != NULL && copy->lo < range->hi ? copy->lo : range->hi, range->at,
                             range->rank };
        int64_t arrives = 0;
        FAR_TRY(message_add(flow, range->rank, to, data, &piece, &arrives));
        cursor = piece.hi;
        if (i > 0 && s->copies[i - 1].rank == to && s->copies[i - 1].hi == piece.lo) {
            s->copies[i - 1].hi = piece.hi;
            continue;
        }
        const held own = { piece.lo, piece.hi, 0, to };
        FAR_TRY(list_insert(&s->copies, &s->copy_count, &s->copy_cap, i, &own));
        end_of_rank++;
        i++;
    }
    return FAR_OK;
}

static bool has_copy(const stream *s, const held *range, int32_t rank)
{
    const int64_t end = first_of_rank(s, rank + 1);
    const int64_t i = first_behind(s->copies, first_of_rank(s, rank), end, range->lo);
    return i < end && s->copies[i].lo <= range->lo && range->hi <= s->copies[i].hi;
}

/* To all who lack it, over a binomial tree: whoever has it passes it on. */
static far_status broadcast(fari_flow *flow, int32_t data, const held *range)
{
    const stream *s = &flow->streams[data];
    int32_t count = 0;
    flow->got_at[count] = range->at;
    flow->ring[count++] = range->rank;
    for (int32_t k = 1; k < flow->ranks; k++) {
        const int32_t rank = (range->rank + k) % flow->ranks;
        if (!has_copy(s, range, rank)) flow->ring[count++] = rank;
    }
    int32_t half = 1; /* the largest power of two that is not above k */
    for (int32_t k = 1; k < count; k++) {
        if (k >= 2 * half) half *= 2;
        const held piece = { range->lo, range->hi, flow->got_at[k - half], range->rank };
        FAR_TRY(message_add(flow, flow->ring[k - half], flow->ring[k], data, &piece, &flow->got_at[k]));
    }
    return FAR_OK;
}

static far_status nobody_made(const fari_flow *flow, int32_t data, int64_t byte)
{
    const far_graph *graph = flow->plan->graph;
    return FAR_FAIL(FAR_E_INTERNAL, "byte %" PRId64 " of %s is read before any rank has made it", byte,
                    data < graph->tensor_count ? graph->tensors[data]->name : "a partial sum");
}

far_status fari_flow_need(fari_flow *flow, int32_t data, int64_t lo, int64_t hi, int32_t rank)
{
    stream *s = &flow->streams[data];
    if (s->is_everywhere) return FAR_OK;
    if (s->is_input) {
        if (s->first_at < 0 && (rank == FARI_EVERY_RANK || rank == flow->rank)) {
            s->first_at = flow->at;
            s->first_turn = flow->turn;
        }
        return FAR_OK;
    }
    for (int64_t cursor = lo; cursor < hi;) {
        const int64_t i = first_behind(s->made, 0, s->made_count, cursor);
        if (i >= s->made_count || s->made[i].lo > cursor) return nobody_made(flow, data, cursor);
        held range = s->made[i];
        range.lo = cursor;
        if (range.hi > hi) range.hi = hi;
        cursor = range.hi;
        if (range.rank == FARI_EVERY_RANK || range.rank == rank) continue;
        if (rank != FARI_EVERY_RANK) {
            FAR_TRY(bring(flow, data, &range, rank));
            continue;
        }
        FAR_TRY(broadcast(flow, data, &range));
        FAR_TRY(copies_void(s, range.lo, range.hi)); /* now that everybody has it */
        FAR_TRY(made_set(s, range.lo, range.hi, FARI_EVERY_RANK, flow->at));
    }
    return FAR_OK;
}
