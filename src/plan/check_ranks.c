/* The plans of all ranks, held against each other. */
#include "base/mem.h"
#include "plan/part.h"
#include <inttypes.h>
#include <string.h>

/* ---- every send has its receive ---- */

typedef struct end {
    int32_t from, to, tag;
    int32_t rank; /* whose end */
    const fari_message *message;
} end;

typedef struct ranks_check {
    const fari_plan *const *plans;
    int32_t count;
    end *ends; /* of all messages of all ranks; sorted: a send and its receive are neighbours */
    int64_t end_count;
    int64_t *instr0;       /* [count + 1] first number of a rank's instructions among all */
    int64_t *exchange;     /* [all instructions] the number that stands for both ends of a message; else its own */
    int64_t *waits;        /* [all instructions] */
    int64_t *next_message; /* [all instructions] the exchange that follows on this instruction's rank; -1 */
    int64_t *ready;
} ranks_check;

static int by_pair(const void *a, const void *b)
{
    const end *x = a, *y = b;
    if (x->from != y->from) return x->from < y->from ? -1 : 1;
    if (x->to != y->to) return x->to < y->to ? -1 : 1;
    if (x->tag != y->tag) return x->tag < y->tag ? -1 : 1;
    return (x->rank != x->from) - (y->rank != y->from); /* the send first */
}

static far_status ends_collect(ranks_check *c)
{
    for (int32_t r = 0; r < c->count; r++)
        c->end_count += c->plans[r]->part != NULL ? c->plans[r]->part->message_count : 0;
    c->ends = fari_alloc((size_t)(c->end_count + 1) * sizeof *c->ends);
    if (c->ends == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to check plans");
    int64_t at = 0;
    for (int32_t r = 0; r < c->count; r++)
        for (int64_t i = 0; c->plans[r]->part != NULL && i < c->plans[r]->part->message_count; i++) {
            const fari_message *m = &c->plans[r]->part->messages[i];
            if (m->from == m->to || (m->from != r && m->to != r))
                return FAR_FAIL(FAR_E_INTERNAL, "rank %d has a message from %d to %d", (int)r, (int)m->from,
                                (int)m->to);
            c->ends[at++] = (end){ m->from, m->to, m->tag, r, m };
        }
    qsort(c->ends, (size_t)c->end_count, sizeof *c->ends, by_pair);
    return FAR_OK;
}

/* The bytes that an end's instruction touches are those that the message names. */
static far_status end_check(const ranks_check *c, const end *e)
{
    const fari_plan *plan = c->plans[e->rank];
    const fari_message *m = e->message;
    const bool is_send = e->rank == m->from;
    if (m->instr < 0 || m->instr >= plan->instr_count ||
        plan->instrs[m->instr].kind != (is_send ? FARI_INSTR_SEND : FARI_INSTR_RECV))
        return FAR_FAIL(FAR_E_INTERNAL, "rank %d has no instruction for tag %d from %d to %d", (int)e->rank,
                        (int)m->tag, (int)m->from, (int)m->to);
    int64_t bytes = 0, a = plan->access0[m->instr];
    for (int32_t p = 0; p < m->part_count; p++, a++) {
        const fari_message_part *part = &plan->part->parts[m->part0 + p];
        const fari_access *access = &plan->accesses[a];
        bytes += part->hi - part->lo;
        if (a >= plan->access0[m->instr + 1] || access->is_write == is_send ||
            access->hi - access->lo != part->hi - part->lo ||
            fari_part_whole_offset(plan, access->buffer, access->lo) != part->lo)
            return FAR_FAIL(FAR_E_INTERNAL, "rank %d, tag %d from %d to %d: part %d is not where it should be",
                            (int)e->rank, (int)m->tag, (int)m->from, (int)m->to, (int)p);
    }
    if (a != plan->access0[m->instr + 1] || bytes != m->bytes)
        return FAR_FAIL(FAR_E_INTERNAL,
                        "rank %d, tag %d from %d to %d: %" PRId64 " bytes in its parts, %" PRId64 " said", (int)e->rank,
                        (int)m->tag, (int)m->from, (int)m->to, bytes, m->bytes);
    return FAR_OK;
}

static far_status pair_check(const ranks_check *c, const end *send, const end *recv)
{
    const fari_message *s = send->message, *r = recv->message;
    if (s->bytes != r->bytes || s->part_count != r->part_count || s->at != r->at)
        return FAR_FAIL(
            FAR_E_INTERNAL,
            "tag %d from rank %d to rank %d: %" PRId64 " bytes in %d parts sent, %" PRId64 " in %d expected",
            (int)s->tag, (int)s->from, (int)s->to, s->bytes, (int)s->part_count, r->bytes, (int)r->part_count);
    for (int32_t p = 0; p < s->part_count; p++) {
        const fari_message_part *x = &c->plans[send->rank]->part->parts[s->part0 + p];
        const fari_message_part *y = &c->plans[recv->rank]->part->parts[r->part0 + p];
        if (x->data != y->data || x->lo != y->lo || x->hi != y->hi)
            return FAR_FAIL(FAR_E_INTERNAL, "tag %d from rank %d to rank %d: part %d is another thing at each end",
                            (int)s->tag, (int)s->from, (int)s->to, (int)p);
    }
    return FAR_OK;
}

static far_status messages_check(ranks_check *c)
{
    FAR_TRY(ends_collect(c));
    for (int64_t i = 0; i < c->end_count; i += 2) {
        const end *send = &c->ends[i], *recv = i + 1 < c->end_count ? &c->ends[i + 1] : NULL;
        if (recv == NULL || send->rank != send->from || recv->rank != recv->to || send->from != recv->from ||
            send->to != recv->to || send->tag != recv->tag)
            return FAR_FAIL(FAR_E_INTERNAL, "tag %d from rank %d to rank %d is known to rank %d alone, or twice",
                            (int)send->tag, (int)send->from, (int)send->to, (int)send->rank);
        FAR_TRY(end_check(c, send));
        FAR_TRY(end_check(c, recv));
        FAR_TRY(pair_check(c, send, recv));
    }
    return FAR_OK;
}

/* ---- no circle ---- */

/* Both ends of a message are one event, as if handed over without a buffer; and each rank's events follow each other in their order,
   as if one thread made them one by one. What has no circle then has none under any engine. */
static void events_number(ranks_check *c)
{
    for (int64_t i = 0; i < c->instr0[c->count]; i++) {
        c->exchange[i] = i;
        c->next_message[i] = -1;
        c->waits[i] = 0;
    }
    for (int64_t i = 0; i < c->end_count; i += 2) {
        const int64_t send = c->instr0[c->ends[i].rank] + c->ends[i].message->instr;
        c->exchange[c->instr0[c->ends[i + 1].rank] + c->ends[i + 1].message->instr] = send;
    }
    for (int32_t r = 0; r < c->count; r++) {
        const fari_plan *plan = c->plans[r];
        const int64_t base = c->instr0[r], messages = plan->part != NULL ? plan->part->message_count : 0;
        for (int64_t s = 0; s < plan->succ0[plan->instr_count]; s++) c->waits[c->exchange[base + plan->succ[s]]]++;
        for (int64_t i = 0; i + 1 < messages; i++) {
            c->next_message[base + plan->part->messages[i].instr] = base + plan->part->messages[i + 1].instr;
            c->waits[c->exchange[base + plan->part->messages[i + 1].instr]]++;
        }
    }
}

static void event_release(ranks_check *c, int64_t instr, int64_t *ready_count)
{
    const int64_t event = c->exchange[instr];
    if (--c->waits[event] == 0) c->ready[(*ready_count)++] = event;
}

/* What waited for this instruction of this rank alone. */
static void instr_done(ranks_check *c, int32_t rank, int64_t instr, int64_t *ready_count)
{
    const fari_plan *plan = c->plans[rank];
    const int64_t base = c->instr0[rank];
    for (int64_t s = plan->succ0[instr]; s < plan->succ0[instr + 1]; s++)
        event_release(c, base + plan->succ[s], ready_count);
    if (c->next_message[base + instr] >= 0) event_release(c, c->next_message[base + instr], ready_count);
}

static int32_t rank_of_number(const ranks_check *c, int64_t number)
{
    int32_t r = 0;
    while (number >= c->instr0[r + 1]) r++;
    return r;
}

/* The receive that belongs to a send. */
static const end *other_end(const ranks_check *c, int32_t rank, const fari_message *m)
{
    const end key = { m->from, m->to, m->tag, rank, NULL };
    const end *send = bsearch(&key, c->ends, (size_t)c->end_count, sizeof key, by_pair);
    return send + 1;
}

static far_status circle_check(ranks_check *c)
{
    int64_t ready_count = 0, done = 0;
    const int64_t all = c->instr0[c->count], events = all - c->end_count / 2;
    events_number(c);
    for (int64_t i = 0; i < all; i++)
        if (c->exchange[i] == i && c->waits[i] == 0) c->ready[ready_count++] = i;
    for (; done < ready_count; done++) {
        const int64_t number = c->ready[done];
        const int32_t rank = rank_of_number(c, number);
        const fari_instr *instr = &c->plans[rank]->instrs[number - c->instr0[rank]];
        instr_done(c, rank, number - c->instr0[rank], &ready_count);
        if (instr->kind != FARI_INSTR_SEND) continue;
        const end *recv = other_end(c, rank, &c->plans[rank]->part->messages[instr->aux]);
        instr_done(c, recv->rank, recv->message->instr, &ready_count);
    }
    for (int64_t i = 0; i < all && done < events; i++) {
        const int32_t rank = rank_of_number(c, i);
        if (c->waits[c->exchange[i]] > 0)
            return FAR_FAIL(FAR_E_INTERNAL,
                            "deadlock: instruction %" PRId64 " of rank %d waits in a circle, %" PRId64 " more with it",
                            i - c->instr0[rank], (int)rank, events - done - 1);
    }
    return FAR_OK;
}

/* ---- each grain once, or everywhere ---- */

typedef struct share {
    int32_t node, operand, rank;
    int64_t lo, hi; /* bytes of the whole tensor */
} share;

typedef struct shares {
    share *list;
    int64_t count, cap;
} shares;

static int by_node(const void *a, const void *b)
{
    const share *x = a, *y = b;
    if (x->node != y->node) return x->node < y->node ? -1 : 1;
    if (x->operand != y->operand) return x->operand < y->operand ? -1 : 1;
    if (x->lo != y->lo) return x->lo < y->lo ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* Of a sum the piece of the domain that it read, of everything else what it wrote. */
static far_status shares_of_call(const fari_plan *plan, int64_t idx, shares *all)
{
    const fari_instr *instr = &plan->instrs[idx];
    const fari_node *node = plan->graph->nodes[instr->node];
    const bool is_sum = node->op->kind == FARI_REDUCE || node->op->kind == FARI_CHUNK_REDUCE;
    const int32_t first = is_sum ? (node->op->kind == FARI_REDUCE ? node->op->domain_input : 0) : instr->in_count;
    const int32_t last = is_sum ? first : instr->in_count + instr->out_count - 1;
    for (int32_t k = first; k <= last; k++) {
        const fari_access *access = &plan->accesses[plan->access0[idx] + k];
        const int64_t lo = fari_part_whole_offset(plan, access->buffer, access->lo);
        if (!fari_reserve((void **)&all->list, &all->cap, all->count + 1, sizeof(share)))
            return FAR_FAIL(FAR_E_NOMEM, "no memory to check plans");
        all->list[all->count++] = (share){ instr->node, k, plan->opts.rank, lo, lo + access->hi - access->lo };
    }
    return FAR_OK;
}

/* The shares [first, last) of one operand of one node. */
static far_status shares_check(const ranks_check *c, const share *list, int64_t first, int64_t last)
{
    const fari_plan *plan = c->plans[0];
    const fari_node *node = plan->graph->nodes[list[first].node];
    const int32_t k = list[first].operand;
    const far_value tensor = k < node->in_count ? node->in[k] : node->out[k - node->in_count];
    const int64_t bytes =
        far_shape_elems(&fari_tensor_of(plan->graph, tensor)->shape) * far_dtype_bytes(fari_plan_dtype(plan, tensor));
    int64_t at = 0, copies = 1;
    while (first + copies < last && list[first + copies].lo == list[first].lo) copies++;
    for (int64_t i = first; i < last; i += copies) {
        const bool fits = i + copies <= last && (copies == 1 || copies == c->count) && list[i].lo == at;
        for (int64_t m = 1; fits && m < copies; m++)
            if (list[i + m].lo != at || list[i + m].hi != list[i].hi || list[i + m].rank != (int32_t)m) at = -1;
        if (!fits || at < 0)
            return FAR_FAIL(FAR_E_INTERNAL,
                            "node '%s': bytes from %" PRId64
                            " of %s are worked on twice, by some ranks only, or not at all",
                            node->name, list[i].lo, fari_tensor_of(plan->graph, tensor)->name);
        at = list[i].hi;
    }
    if (at != bytes)
        return FAR_FAIL(FAR_E_INTERNAL, "node '%s': the last %" PRId64 " bytes of %s are worked on by no rank",
                        node->name, bytes - at, fari_tensor_of(plan->graph, tensor)->name);
    return FAR_OK;
}

static far_status grains_check(const ranks_check *c)
{
    shares all = { 0 };
    far_status st = FAR_OK;
    for (int32_t r = 0; r < c->count; r++)
        for (int64_t i = 0; i < c->plans[r]->instr_count; i++)
            if (c->plans[r]->instrs[i].kind == FARI_INSTR_CALL)
                FAR_TRY_GOTO(shares_of_call(c->plans[r], i, &all), done);
    if (all.count > 0) qsort(all.list, (size_t)all.count, sizeof *all.list, by_node);
    for (int64_t first = 0, last; first < all.count; first = last) {
        for (last = first; last < all.count && all.list[last].node == all.list[first].node &&
                           all.list[last].operand == all.list[first].operand;)
            last++;
        FAR_TRY_GOTO(shares_check(c, all.list, first, last), done);
    }
done:
    fari_free(all.list);
    return st;
}

/* ---- all of it ---- */

static far_status numbers_allocate(ranks_check *c)
{
    c->instr0 = fari_calloc((size_t)c->count + 1, sizeof *c->instr0);
    if (c->instr0 == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to check plans");
    for (int32_t r = 0; r < c->count; r++) c->instr0[r + 1] = c->instr0[r] + c->plans[r]->instr_count;
    const size_t all = (size_t)c->instr0[c->count] + 1;
    c->exchange = fari_alloc(all * sizeof *c->exchange);
    c->waits = fari_alloc(all * sizeof *c->waits);
    c->next_message = fari_alloc(all * sizeof *c->next_message);
    c->ready = fari_alloc(all * sizeof *c->ready);
    if (c->exchange == NULL || c->waits == NULL || c->next_message == NULL || c->ready == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory to check plans");
    return FAR_OK;
}

static far_status check_all(ranks_check *c)
{
    for (int32_t r = 0; r < c->count; r++) {
        const fari_plan *plan = c->plans[r];
        if (plan->graph != c->plans[0]->graph || plan->opts.rank != r || fari_mesh_ranks(&plan->opts.mesh) != c->count)
            return FAR_FAIL(FAR_E_ARG, "plan %d is not that of rank %d of %d", (int)r, (int)r, (int)c->count);
    }
    FAR_TRY(messages_check(c));
    FAR_TRY(numbers_allocate(c));
    FAR_TRY(circle_check(c));
    FAR_TRY(grains_check(c));
    for (int32_t r = 0; r < c->count; r++) {
        const far_status st = fari_plan_check_hazards(c->plans[r]);
        if (st != FAR_OK) return fari_error_prefix(st, "rank %d: ", (int)r);
    }
    return FAR_OK;
}

far_status fari_plan_check_ranks(const fari_plan *const *plans, int32_t count)
{
    ranks_check c = { .plans = plans, .count = count };
    const far_status st = check_all(&c);
    fari_free(c.ends);
    fari_free(c.instr0);
    fari_free(c.exchange);
    fari_free(c.waits);
    fari_free(c.next_message);
    fari_free(c.ready);
    return st;
}
