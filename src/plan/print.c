#include "plan/print.h"
#include "base/hash.h"
#include "plan/part.h"
#include <inttypes.h>

const char *fari_bytes_text(int64_t bytes, char text_out[32])
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000.0 && unit + 1 < FAR_COUNT(units)) {
        value /= 1000.0;
        unit++;
    }
    (void)snprintf(text_out, 32,
                   unit == 0       ? "%.0f %s"
                   : value < 10.0  ? "%.2f %s"
                   : value < 100.0 ? "%.1f %s"
                                   : "%.0f %s",
                   value, units[unit]);
    return text_out;
}

/* The largest sum of bytes of each kind that lives in one turn. */
static int64_t peak_of_kind(const fari_plan *plan, fari_buffer_kind kind)
{
    int64_t peak = 0;
    for (int64_t i = 0; i < plan->buffer_count; i++) { /* a peak begins where some buffer begins */
        const fari_buffer *at = &plan->buffers[i];
        int64_t sum = 0;
        if (at->kind != kind || at->base == FARI_BASE_SPILL) continue;
        for (int64_t k = 0; k < plan->buffer_count; k++) {
            const fari_buffer *b = &plan->buffers[k];
            const bool is_there = b->base == FARI_BASE_STORE || /* what is kept is always there */
                                  (b->first_turn <= at->first_turn && at->first_turn <= b->last_turn);
            if (b->kind == kind && is_there && b->base != FARI_BASE_SPILL) sum += b->bytes;
        }
        if (sum > peak) peak = sum;
    }
    return peak;
}

static void print_recompute(const fari_plan *plan, fari_text *text)
{
    const far_graph *graph = plan->graph;
    int64_t count = 0, again = 0;
    char bytes[32];
    for (int64_t n = 0; n < graph->node_count; n++) {
        const fari_node *node = graph->nodes[n];
        count += node->is_again;
        for (int32_t k = 0; k < node->out_count && node->is_again; k++)
            if (plan->tensor_buffer[node->out[k]] >= 0) again += plan->buffers[plan->tensor_buffer[node->out[k]]].bytes;
    }
    if (count > 0)
        fari_text_add(text, "recompute        %" PRId64 " results of %s are made again going back, not kept\n", count,
                      fari_bytes_text(again, bytes));
}

void fari_plan_print_text(const fari_plan *plan, fari_text *text)
{
    char bytes[32];
    int64_t grains = 0;
    for (int64_t i = 0; i < plan->graph->tensor_count; i++) {
        const int64_t count = fari_grain_count(&plan->grains[i]);
        if (plan->graph->tensors[i]->role == FARI_ROLE_INPUT && count > grains) grains = count;
    }
    fari_text_add(text, "batch            %" PRId64 " samples in %" PRId64 " grains of %" PRId64 " samples",
                  plan->batch, grains, plan->grain_samples);
    if (plan->rows_at_input > 0)
        fari_text_add(text, " and %" PRId64 " of %" PRId64 " rows", plan->grain_rows, plan->rows_at_input);
    fari_text_add(text, "\ninstructions     %" PRId64 " (%" PRId64 " dependences), %d thread%s\n", plan->instr_count,
                  plan->succ0[plan->instr_count], (int)plan->opts.threads, plan->opts.threads == 1 ? "" : "s");
    fari_text_add(text, "arithmetic       %.3g GFLOP a step\n", 1e-9 * plan->flops);
    if (plan->reference_calls > 0)
        fari_text_add(text, "slow kernels     %" PRId64 " calls run reference code\n", plan->reference_calls);
    fari_text_add(text, "memory           %s in one arena", fari_bytes_text(plan->arena_bytes, bytes));
    fari_text_add(text, ", %s kept", fari_bytes_text(plan->store_bytes, bytes));
    fari_text_add(text, ", %s scratch a thread\n", fari_bytes_text(plan->scratch_bytes, bytes));
    for (int32_t kind = 0; kind < FARI_BUFFER_KIND_COUNT; kind++) {
        const int64_t peak = peak_of_kind(plan, (fari_buffer_kind)kind);
        if (peak > 0)
            fari_text_add(text, " %-15s %s at most\n", fari_buffer_kind_name((fari_buffer_kind)kind),
                          fari_bytes_text(peak, bytes));
    }
    print_recompute(plan, text);
    fari_plan_print_spill_text(plan, text);
}

static void json_tensor(const fari_plan *plan, int64_t i, fari_text *text)
{
    const fari_tensor *t = plan->graph->tensors[i];
    const fari_grains *g = &plan->grains[i];
    fari_text_add(text, "    {\"id\": %" PRId64 ", \"name\": ", i);
    fari_text_json(text, t->name);
    fari_text_add(text, ", \"dtype\": \"%s\", \"shape\": [", far_dtype_name(fari_plan_dtype(plan, (far_value)i)));
    for (int32_t k = 0; k < t->shape.ndim; k++) fari_text_add(text, "%s%" PRId64, k > 0 ? ", " : "", t->shape.dim[k]);
    fari_text_add(text,
                  "], \"buffer\": %d, \"grains\": {\"samples\": %" PRId64 ", \"pieces\": %" PRId64 ", \"rows\": [",
                  (int)plan->tensor_buffer[i], g->index_step, g->index_count);
    for (int64_t k = 0; k <= g->row_count && t->shape.ndim >= 3; k++)
        fari_text_add(text, "%s%" PRId64, k > 0 ? ", " : "",
                      g->row_count == 1 && k == 1 ? t->shape.dim[2] : g->row_start[k]);
    fari_text_add(text, "]}}");
}

static void json_buffer(const fari_plan *plan, int64_t i, fari_text *text)
{
    static const char *const bases[] = { "arena", "store", "spill" };
    const fari_buffer *b = &plan->buffers[i];
    fari_text_add(text,
                  "    {\"id\": %" PRId64 ", \"kind\": \"%s\", \"tensor\": %d, \"in\": \"%s\", \"bytes\": %" PRId64
                  ", \"offset\": %" PRId64 ", \"turns\": [%d, %d]",
                  i, fari_buffer_kind_name(b->kind), (int)b->tensor, bases[b->base], b->bytes, b->offset,
                  (int)b->first_turn, (int)b->last_turn);
    fari_plan_json_holds(plan, i, text);
    fari_text_add(text, "}");
}

static void json_instr(const fari_plan *plan, int64_t i, fari_text *text)
{
    static const char *const kinds[] = { "call", "combine", "pack", "unpack", "feed", "send", "recv", "write", "read" };
    const fari_instr *instr = &plan->instrs[i];
    fari_text_add(text, "    {\"id\": %" PRId64 ", \"kind\": \"%s\", \"node\": %d", i, kinds[instr->kind],
                  (int)instr->node);
    if (instr->node >= 0) {
        fari_text_add(text, ", \"op\": \"%s\", \"name\": ", plan->graph->nodes[instr->node]->op->name);
        fari_text_json(text, plan->graph->nodes[instr->node]->name);
    }
    if (instr->prepared >= 0) fari_text_add(text, ", \"impl\": \"%s\"", plan->prepared[instr->prepared].impl);
    fari_text_add(text, ", \"touches\": [");
    for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++)
        fari_text_add(text, "%s[%d, %" PRId64 ", %" PRId64 ", \"%s\"]", a > plan->access0[i] ? ", " : "",
                      (int)plan->accesses[a].buffer, plan->accesses[a].lo, plan->accesses[a].hi,
                      plan->accesses[a].is_write ? "w" : "r");
    fari_text_add(text, "], \"then\": [");
    for (int64_t s = plan->succ0[i]; s < plan->succ0[i + 1]; s++)
        fari_text_add(text, "%s%d", s > plan->succ0[i] ? ", " : "", (int)plan->succ[s]);
    fari_text_add(text, "]}");
}

typedef void (*json_item_fn)(const fari_plan *plan, int64_t i, fari_text *text);

/* Where text goes from time to time, so that a long plan never lies in memory as text; write NULL: it all stays. */
typedef struct json_sink {
    fari_plan_write_fn write;
    void *ctx;
    far_status status;
} json_sink;

#define SINK_BYTES 65536

static void json_flush(json_sink *sink, fari_text *text, int64_t at_least)
{
    if (sink->write == NULL || text->failed || sink->status != FAR_OK || text->bytes < at_least) return;
    sink->status = sink->write(sink->ctx, text->data, (size_t)text->bytes);
    text->bytes = 0;
}

static void json_list(const fari_plan *plan, const char *key, int64_t count, json_item_fn item, fari_text *text,
                      json_sink *sink)
{
    fari_text_add(text, "  \"%s\": [\n", key);
    for (int64_t i = 0; i < count && sink->status == FAR_OK; i++) {
        item(plan, i, text);
        fari_text_add(text, i + 1 < count ? ",\n" : "\n");
        json_flush(sink, text, SINK_BYTES);
    }
    fari_text_add(text, "  ]");
}

static void json_plan(const fari_plan *plan, fari_text *text, json_sink *sink)
{
    fari_text_add(text,
                  "{\n  \"version\": 1,\n  \"batch\": %" PRId64
                  ",\n  \"threads\": %d,\n  \"grain\": {\"samples\": %" PRId64 ", \"rows\": %" PRId64
                  ", \"min_rows\": %" PRId64 ", \"dense\": %" PRId64 ", \"leaves\": %" PRId64 "},\n",
                  plan->batch, (int)plan->opts.threads, plan->grain_samples, plan->grain_rows,
                  plan->opts.grain.min_rows, plan->opts.grain.dense, plan->opts.grain.leaves);
    fari_text_add(text,
                  "  \"arena_bytes\": %" PRId64 ",\n  \"store_bytes\": %" PRId64
                  ",\n  \"scratch_bytes_a_thread\": %" PRId64 ",\n  \"flops\": %.17g,\n  \"reference_calls\": %" PRId64
                  ",\n",
                  plan->arena_bytes, plan->store_bytes, plan->scratch_bytes, plan->flops, plan->reference_calls);
    if (plan->spill_bytes > 0)
        fari_text_add(text,
                      "  \"spill_bytes\": %" PRId64 ",\n  \"written_bytes\": %" PRId64 ",\n  \"read_bytes\": %" PRId64
                      ",\n",
                      plan->spill_bytes, plan->written_bytes, plan->read_bytes);
    if (plan->part != NULL)
        fari_text_add(text, "  \"rank\": %d,\n  \"layout\": {\"data\": %d, \"spatial\": %d},\n", (int)plan->opts.rank,
                      (int)plan->opts.mesh.data, (int)plan->opts.mesh.spatial);
    json_list(plan, "tensors", plan->graph->tensor_count, json_tensor, text, sink);
    fari_text_add(text, ",\n");
    json_list(plan, "buffers", plan->buffer_count, json_buffer, text, sink);
    fari_text_add(text, ",\n");
    json_list(plan, "instructions", plan->instr_count, json_instr, text, sink);
    if (plan->part != NULL) {
        fari_text_add(text, ",\n");
        json_list(plan, "messages", plan->part->message_count, fari_plan_json_message, text, sink);
        fari_text_add(text, ",\n");
        json_list(plan, "feeds", plan->part->feed_count, fari_plan_json_feed, text, sink);
    }
    fari_text_add(text, "\n}\n");
}

void fari_plan_print_json(const fari_plan *plan, fari_text *text)
{
    json_sink all = { .status = FAR_OK };
    json_plan(plan, text, &all);
}

far_status fari_plan_write_json(const fari_plan *plan, fari_plan_write_fn write, void *ctx)
{
    fari_text text = { 0 };
    json_sink sink = { .write = write, .ctx = ctx, .status = FAR_OK };
    json_plan(plan, &text, &sink);
    json_flush(&sink, &text, 1);
    if (text.failed && sink.status == FAR_OK) sink.status = FAR_FAIL(FAR_E_NOMEM, "no memory to print a plan");
    fari_text_free(&text);
    return sink.status;
}

void fari_plan_grain_hash(const fari_plan *plan, char hex_out[65])
{
    fari_sha256 sha;
    uint8_t digest[32];
    fari_sha256_begin(&sha);
    for (int64_t i = 0; i < plan->graph->tensor_count; i++) {
        const fari_grains *g = &plan->grains[i];
        const int32_t producer = plan->graph->tensors[i]->producer;
        if (producer >= 0 && plan->graph->nodes[producer]->is_again) continue; /* cut as the first time */
        const int64_t head[] = { g->index_total, g->index_step, g->row_count };
        fari_sha256_add(&sha, head, sizeof head);
        fari_sha256_add(&sha, g->row_start, (size_t)(g->row_count + 1) * sizeof g->row_start[0]);
    }
    fari_sha256_add(&sha, &plan->opts.grain.leaves, sizeof plan->opts.grain.leaves);
    fari_sha256_end(&sha, digest);
    fari_hex(digest, 32, hex_out);
}
