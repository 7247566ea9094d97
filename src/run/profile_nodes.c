/* What single nodes of the graph take of a step, beside what they compute and touch. */
#include "base/mem.h"
#include "run/profile_priv.h"
#include <inttypes.h>
#include <string.h>

void fari_node_facts_free(fari_node_facts *facts)
{
    fari_free(facts->flops);
    fari_free(facts->bytes);
    fari_free(facts->impl);
}

bool fari_node_facts_collect(const fari_plan *plan, fari_node_facts *facts_out)
{
    const size_t nodes = (size_t)plan->graph->node_count + 1;
    *facts_out = (fari_node_facts){ .flops = fari_calloc(nodes, sizeof *facts_out->flops),
                                    .bytes = fari_calloc(nodes, sizeof *facts_out->bytes),
                                    .impl = fari_calloc(nodes, sizeof *facts_out->impl) };
    if (facts_out->flops == NULL || facts_out->bytes == NULL || facts_out->impl == NULL) return false;
    for (int64_t i = 0; i < plan->instr_count; i++) {
        const fari_instr *instr = &plan->instrs[i];
        if (instr->kind != FARI_INSTR_CALL) continue;
        const fari_cost cost = fari_plan_cost(plan, i);
        facts_out->flops[instr->node] += cost.flops;
        facts_out->bytes[instr->node] += cost.bytes;
        if (instr->prepared >= 0 && facts_out->impl[instr->node] == NULL)
            facts_out->impl[instr->node] = plan->prepared[instr->prepared].impl;
    }
    return true;
}

/* What the calls of one node touch of each buffer, each byte once. */
typedef struct reach {
    int32_t node; /* of whom lo and hi are */
    int64_t lo, hi;
} reach;

typedef struct node_row {
    double calls_s, around_s; /* least; around: packing its weights, adding up and unpacking its partials */
    int64_t calls;
    int64_t bytes; /* each once */
} node_row;

static void reach_add(const fari_plan *plan, int64_t idx, reach *reaches, node_row *row)
{
    const int32_t node = plan->instrs[idx].node;
    for (int64_t a = plan->access0[idx]; a < plan->access0[idx + 1]; a++) {
        const fari_access *access = &plan->accesses[a];
        reach *r = &reaches[access->buffer];
        if (plan->buffers[access->buffer].kind == FARI_BUFFER_PARTIAL) continue; /* ours, not the operation's */
        if (r->node != node) *r = (reach){ .node = node, .lo = access->lo, .hi = access->lo };
        const int64_t before = r->hi - r->lo;
        if (access->lo < r->lo) r->lo = access->lo;
        if (access->hi > r->hi) r->hi = access->hi;
        row->bytes += r->hi - r->lo - before;
    }
}

static void rows_collect(const fari_profile *profile, reach *reaches, node_row *rows)
{
    const fari_plan *plan = profile->plan;
    for (int64_t i = 0; i < plan->buffer_count; i++) reaches[i].node = -1;
    for (int64_t i = 0; i < plan->instr_count; i++) {
        const fari_instr *instr = &plan->instrs[i];
        if (instr->node < 0) continue;
        node_row *row = &rows[instr->node];
        if (instr->kind != FARI_INSTR_CALL) {
            row->around_s += profile->least_s[i];
            continue;
        }
        row->calls_s += profile->least_s[i];
        row->calls++;
        reach_add(plan, i, reaches, row);
    }
}

/* Parameters and image tensors tell what a layer is. */
static void print_shapes(const far_graph *graph, const fari_node *node, fari_text *text)
{
    bool is_first = true;
    fari_text_add(text, ", \"shapes\": [");
    for (int32_t i = 0; i < node->in_count + node->out_count; i++) {
        const far_value value = i < node->in_count ? node->in[i] : node->out[i - node->in_count];
        if (value < 0) continue;
        const far_shape *shape = &fari_tensor_of(graph, value)->shape;
        fari_text_add(text, "%s[", is_first ? "" : ", ");
        for (int32_t k = 0; k < shape->ndim; k++) fari_text_add(text, "%s%" PRId64, k > 0 ? ", " : "", shape->dim[k]);
        fari_text_add(text, "]");
        is_first = false;
    }
    fari_text_add(text, "]");
}

static void print_rows(const fari_profile *profile, const fari_node_facts *facts, const node_row *rows, fari_text *text)
{
    static const char *const phases[] = { "forward", "backward", "update" };
    char number[FARI_NUMBER_TEXT];
    const far_graph *graph = profile->plan->graph;
    bool is_first = true;
    for (int64_t i = 0; i < graph->node_count; i++) {
        const fari_node *node = graph->nodes[i];
        if (rows[i].calls == 0) continue;
        fari_text_add(text, "%s\n    {\"name\": ", is_first ? "" : ",");
        is_first = false;
        fari_text_json(text, node->name);
        fari_text_add(text, ", \"op\": \"%s\", \"phase\": \"%s\"", node->op->name, phases[node->phase]);
        print_shapes(graph, node, text);
        fari_text_add(text, ", \"calls\": %" PRId64, rows[i].calls);
        fari_text_add(text, ", \"mean_s\": %s", fari_f64_text(profile->node_s[i] / (double)profile->steps, number));
        fari_text_add(text, ", \"least_s\": %s", fari_f64_text(rows[i].calls_s, number));
        fari_text_add(text, ", \"around_s\": %s", fari_f64_text(rows[i].around_s, number));
        fari_text_add(text,
                      ", \"flops\": %s, \"bytes\": %" PRId64 ", \"impl\": ", fari_f64_text(facts->flops[i], number),
                      rows[i].bytes);
        fari_text_json(text, facts->impl[i] != NULL ? facts->impl[i] : "");
        fari_text_add(text, "}");
    }
}

void fari_profile_print_nodes(const fari_profile *profile, fari_text *text)
{
    const fari_plan *plan = profile->plan;
    fari_node_facts facts = { 0 };
    reach *reaches = fari_calloc((size_t)plan->buffer_count + 1, sizeof *reaches);
    node_row *rows = fari_calloc((size_t)plan->graph->node_count + 1, sizeof *rows);
    if (fari_node_facts_collect(plan, &facts) && reaches != NULL && rows != NULL && profile->steps > 0) {
        rows_collect(profile, reaches, rows);
        print_rows(profile, &facts, rows, text);
    } else {
        text->failed = true;
    }
    fari_node_facts_free(&facts);
    fari_free(reaches);
    fari_free(rows);
}
