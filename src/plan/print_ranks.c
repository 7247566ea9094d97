/* What a rank of several does and says to whom, as text and JSON. */
#include "base/mem.h"
#include "plan/part.h"
#include "plan/print.h"
#include <inttypes.h>
#include <string.h>

/* Sizes of messages: below 4 kB latency counts alone, above 1 MB only bandwidth. */
static const struct {
    int64_t below;
    const char *text, *key;
} sizes[] = {
    { 4096, "under 4 KiB", "below_4KiB" },
    { 65536, "under 64 KiB", "below_64KiB" },
    { 1 << 20, "under 1 MiB", "below_1MiB" },
    { INT64_MAX, "larger", "larger" },
};
#define SIZES ((int32_t)FAR_COUNT(sizes))

typedef struct partner_sum {
    int32_t partner;
    int64_t sent, sent_bytes, received, received_bytes;
} partner_sum;

typedef struct traffic {
    partner_sum *partners; /* ascending */
    int64_t count, cap;
    int64_t of_size[SIZES]; /* of messages sent */
    partner_sum all;
} traffic;

static far_status partner_find(traffic *t, int32_t partner, partner_sum **sum_out)
{
    int64_t at = t->count;
    for (int64_t i = 0; i < t->count; i++)
        if (t->partners[i].partner == partner) {
            *sum_out = &t->partners[i];
            return FAR_OK;
        }
    if (!fari_reserve((void **)&t->partners, &t->cap, t->count + 1, sizeof(partner_sum)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory to print a plan");
    for (; at > 0 && t->partners[at - 1].partner > partner; at--) t->partners[at] = t->partners[at - 1];
    t->partners[at] = (partner_sum){ .partner = partner };
    t->count++;
    *sum_out = &t->partners[at];
    return FAR_OK;
}

static void sum_add(partner_sum *sum, bool is_send, int64_t bytes)
{
    if (is_send) {
        sum->sent++;
        sum->sent_bytes += bytes;
    } else {
        sum->received++;
        sum->received_bytes += bytes;
    }
}

static far_status traffic_count(const fari_plan *plan, traffic *t)
{
    for (int64_t i = 0; plan->part != NULL && i < plan->part->message_count; i++) {
        const fari_message *m = &plan->part->messages[i];
        const bool is_send = m->from == plan->opts.rank;
        partner_sum *sum = NULL;
        FAR_TRY(partner_find(t, is_send ? m->to : m->from, &sum));
        sum_add(sum, is_send, m->bytes);
        sum_add(&t->all, is_send, m->bytes);
        for (int32_t s = 0; is_send && s < SIZES; s++)
            if (m->bytes < sizes[s].below) {
                t->of_size[s]++;
                break;
            }
    }
    return FAR_OK;
}

int64_t fari_plan_grain_calls(const fari_plan *plan)
{
    int64_t calls = 0;
    for (int64_t i = 0; i < plan->instr_count; i++) {
        if (plan->instrs[i].kind != FARI_INSTR_CALL) continue;
        const fari_node *node = plan->graph->nodes[plan->instrs[i].node];
        bool is_of_batch = false;
        for (int32_t k = 0; k < node->in_count; k++)
            is_of_batch = is_of_batch || plan->graph->tensors[node->in[k]]->batch_of > 0;
        calls += is_of_batch;
    }
    return calls;
}

void fari_plan_print_rank_text(const fari_plan *plan, fari_text *text)
{
    traffic t = { 0 };
    char bytes[32];
    if (traffic_count(plan, &t) != FAR_OK) text->failed = true;
    const int32_t rank = plan->opts.rank, spatial = plan->opts.mesh.spatial;
    fari_text_add(text,
                  "rank %d           data %d, spatial %d: %" PRId64 " instructions, %" PRId64
                  " of them on grains, %.3g GFLOP\n",
                  (int)rank, (int)(rank / spatial), (int)(rank % spatial), plan->instr_count,
                  fari_plan_grain_calls(plan), 1e-9 * plan->flops);
    fari_text_add(text, "  memory         %s: ", fari_bytes_text(fari_plan_run_bytes(plan) + plan->store_bytes, bytes));
    fari_text_add(text, "%s in one arena, ", fari_bytes_text(plan->arena_bytes, bytes));
    fari_text_add(text, "%s kept, ", fari_bytes_text(plan->store_bytes, bytes));
    fari_text_add(text, "%s scratch of threads\n", fari_bytes_text(plan->scratch_bytes * plan->opts.threads, bytes));
    fari_plan_print_memory_text(plan, text);
    if (plan->spill_bytes > 0) {
        fari_text_add(text, "  disk           %s of tensors wait there", fari_bytes_text(plan->spill_bytes, bytes));
        fari_text_add(text, "; %s written", fari_bytes_text(plan->written_bytes, bytes));
        fari_text_add(text, ", %s read a step\n", fari_bytes_text(plan->read_bytes, bytes));
    }
    fari_text_add(text, "  sends          %" PRId64 " messages, %s", t.all.sent,
                  fari_bytes_text(t.all.sent_bytes, bytes));
    for (int32_t s = 0, shown = 0; s < SIZES; s++)
        if (t.of_size[s] > 0)
            fari_text_add(text, "%s%" PRId64 " %s", shown++ == 0 ? ": " : ", ", t.of_size[s], sizes[s].text);
    for (int64_t i = 0; i < t.count; i++) {
        const partner_sum *p = &t.partners[i];
        fari_text_add(text, "\n  with rank %-5d%" PRId64 " sent, %s", (int)p->partner, p->sent,
                      fari_bytes_text(p->sent_bytes, bytes));
        fari_text_add(text, "; %" PRId64 " received, %s", p->received, fari_bytes_text(p->received_bytes, bytes));
    }
    fari_text_add(text, "\n");
    fari_free(t.partners);
}

static void json_sum(const partner_sum *sum, fari_text *text)
{
    fari_text_add(text,
                  "\"sent\": %" PRId64 ", \"sent_bytes\": %" PRId64 ", \"received\": %" PRId64
                  ", \"received_bytes\": %" PRId64,
                  sum->sent, sum->sent_bytes, sum->received, sum->received_bytes);
}

void fari_plan_print_rank_json(const fari_plan *plan, fari_text *text)
{
    traffic t = { 0 };
    if (traffic_count(plan, &t) != FAR_OK) text->failed = true;
    const int32_t rank = plan->opts.rank, spatial = plan->opts.mesh.spatial;
    fari_text_add(text,
                  "{\"rank\": %d, \"data\": %d, \"spatial\": %d, \"instructions\": %" PRId64
                  ", \"grain_calls\": %" PRId64 ", \"flops\": %.17g, \"memory_bytes\": %" PRId64
                  ", \"arena_bytes\": %" PRId64 ", \"store_bytes\": %" PRId64 ", ",
                  (int)rank, (int)(rank / spatial), (int)(rank % spatial), plan->instr_count,
                  fari_plan_grain_calls(plan), plan->flops, fari_plan_run_bytes(plan) + plan->store_bytes,
                  plan->arena_bytes, plan->store_bytes);
    fari_plan_print_memory_json(plan, text);
    json_sum(&t.all, text);
    fari_text_add(text, ", \"sent_by_size\": {");
    for (int32_t s = 0; s < SIZES; s++)
        fari_text_add(text, "%s\"%s\": %" PRId64, s > 0 ? ", " : "", sizes[s].key, t.of_size[s]);
    fari_text_add(text, "}, \"partners\": [");
    for (int64_t i = 0; i < t.count; i++) {
        fari_text_add(text, "%s{\"rank\": %d, ", i > 0 ? ", " : "", (int)t.partners[i].partner);
        json_sum(&t.partners[i], text);
        fari_text_add(text, "}");
    }
    fari_text_add(text, "]}");
    fari_free(t.partners);
}

/* ---- of the whole plan of a rank ---- */

static void json_part(const fari_plan *plan, const fari_message_part *p, fari_text *text)
{
    const bool is_tensor = p->data < plan->graph->tensor_count;
    fari_text_add(text, "{\"%s\": %d, \"bytes\": [%" PRId64 ", %" PRId64 "]}", is_tensor ? "tensor" : "sum",
                  (int)(is_tensor ? p->data : p->data - plan->graph->tensor_count), p->lo, p->hi);
}

void fari_plan_json_message(const fari_plan *plan, int64_t i, fari_text *text)
{
    const fari_message *m = &plan->part->messages[i];
    fari_text_add(text,
                  "    {\"from\": %d, \"to\": %d, \"tag\": %d, \"bytes\": %" PRId64 ", \"instruction\": %d, \"%s\": %d"
                  ", \"parts\": [",
                  (int)m->from, (int)m->to, (int)m->tag, m->bytes, (int)m->instr,
                  m->from == plan->opts.rank ? "made_by" : "awaited_by", (int)m->partner);
    for (int32_t p = 0; p < m->part_count; p++) {
        if (p > 0) fari_text_add(text, ", ");
        json_part(plan, &plan->part->parts[m->part0 + p], text);
    }
    fari_text_add(text, "]}");
}

void fari_plan_json_feed(const fari_plan *plan, int64_t i, fari_text *text)
{
    const fari_feed_box *box = &plan->part->feeds[i];
    fari_text_add(text,
                  "    {\"tensor\": %d, \"samples\": [%" PRId64 ", %" PRId64 "], \"rows\": [%" PRId64 ", %" PRId64 "]}",
                  (int)box->input, box->sample_lo, box->sample_hi, box->row_lo, box->row_hi);
}

void fari_plan_json_holds(const fari_plan *plan, int64_t buffer, fari_text *text)
{
    const fari_part *part = plan->part;
    if (part == NULL || part->span0[buffer] == part->span0[buffer + 1]) return;
    fari_text_add(text, ", \"holds\": [");
    for (int64_t s = part->span0[buffer]; s < part->span0[buffer + 1]; s++)
        fari_text_add(text, "%s[%" PRId64 ", %" PRId64 "]", s > part->span0[buffer] ? ", " : "", part->spans[s].lo,
                      part->spans[s].hi);
    fari_text_add(text, "]");
}
