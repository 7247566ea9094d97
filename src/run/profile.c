#include "base/mem.h"
#include "run/profile_priv.h"
#include <inttypes.h>
#include <string.h>

/* Names of ops by their beginning; the first row that fits counts. */
static const struct {
    const char *prefix, *family;
} families[] = {
    { "conv", "convolution" },
    { "channel_sum", "bias gradients" },
    { "column_sum", "bias gradients" },
    { "linear", "matrix products" },
    { "matmul", "matrix products" },
    { "norm_", "normalisation" },
    { "layer_norm", "normalisation" },
    { "max_pool", "pooling" },
    { "avg_pool", "pooling" },
    { "global_", "pooling" },
    { "upsample", "upsampling" },
    { "activation", "activation" },
    { "softmax", "activation" },
    { "dropout", "dropout" },
    { "binary", "elementwise" },
    { "unary", "elementwise" },
    { "reduce", "elementwise" },
    { "spread", "elementwise" },
    { "add_n", "elementwise" },
    { "fill", "elementwise" },
    { "scale_cast", "elementwise" },
    { "concat", "copying" },
    { "slice", "copying" },
    { "pad", "copying" },
    { "reshape", "copying" },
    { "transpose", "copying" },
    { "reorder", "copying" },
    { "ce_", "loss" },
    { "dice_", "loss" },
    { "pointwise_", "loss" },
    { "loss_", "loss" },
    { "topk", "scores" },
    { "confusion", "scores" },
};
far_status fari_profile_create(const fari_plan *plan, fari_profile **profile_out)
{
    fari_profile *profile = fari_calloc(1, sizeof *profile);
    if (profile == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a profile");
    profile->plan = plan;
    profile->node_s = fari_calloc((size_t)plan->graph->node_count + 1, sizeof *profile->node_s);
    profile->least_s = fari_calloc((size_t)plan->instr_count + 1, sizeof *profile->least_s);
    if (profile->node_s == NULL || profile->least_s == NULL) {
        fari_profile_destroy(profile);
        return FAR_FAIL(FAR_E_NOMEM, "no memory for a profile");
    }
    *profile_out = profile;
    return FAR_OK;
}

void fari_profile_destroy(fari_profile *profile)
{
    if (profile == NULL) return;
    fari_free(profile->node_s);
    fari_free(profile->least_s);
    fari_free(profile);
}

int64_t fari_profile_bytes(const fari_plan *plan)
{
    return (plan->graph->node_count + plan->instr_count) * (int64_t)sizeof(double) + (int64_t)sizeof(fari_profile);
}

void fari_profile_add(fari_profile *profile, int64_t step, const double *seconds, double wall_s)
{
    const fari_plan *plan = profile->plan;
    for (int64_t i = 0; i < plan->instr_count; i++) {
        const fari_instr *instr = &plan->instrs[i];
        if (instr->kind == FARI_INSTR_CALL) profile->node_s[instr->node] += seconds[i];
        else profile->other_s[instr->kind] += seconds[i];
        if (profile->steps == 0 || seconds[i] < profile->least_s[i]) profile->least_s[i] = seconds[i];
    }
    if (profile->steps == 0) profile->first_step = step;
    profile->last_step = step;
    profile->wall_s += wall_s;
    profile->steps++;
}

double fari_profile_wall_s(const fari_profile *profile)
{
    return profile->steps > 0 ? profile->wall_s / (double)profile->steps : 0.0;
}

int64_t fari_profile_steps(const fari_profile *profile)
{
    return profile->steps;
}

/* ---- printing ---- */

typedef struct families_of {
    fari_family *rows; /* [FARI_FAMILIES_MAX] */
    int32_t count;
} families_of;

static const char *family_name(const fari_node *node)
{
    if (node->phase == FARI_UPDATE) return "optimizer";
    for (size_t i = 0; i < FAR_COUNT(families); i++)
        if (strncmp(node->op->name, families[i].prefix, strlen(families[i].prefix)) == 0) return families[i].family;
    return "other";
}

static fari_family *family_at(families_of *all, const char *name)
{
    for (int32_t i = 0; i < all->count; i++)
        if (strcmp(all->rows[i].name, name) == 0) return &all->rows[i];
    FAR_ASSERT(all->count < FARI_FAMILIES_MAX);
    all->rows[all->count] = (fari_family){ .name = name, .dearest = -1 };
    return &all->rows[all->count++];
}

double fari_family_seconds(const fari_family *family)
{
    return family->seconds[0] + family->seconds[1] + family->seconds[2];
}

static void families_collect(const fari_profile *profile, const fari_node_facts *facts, families_of *all)
{
    static const char *const others[FARI_OTHER_KINDS] = {
        NULL,      "partial sums", "packing weights", "unpacking gradients", "feeding input",
        "sending", "receiving",    "writing to disk", "reading from disk"
    };
    const far_graph *graph = profile->plan->graph;
    const double share = 1.0 / (double)profile->steps;
    all->count = 0;
    for (int64_t i = 0; i < graph->node_count; i++) {
        const fari_node *node = graph->nodes[i];
        const double seconds = profile->node_s[i] * share;
        if (seconds <= 0.0) continue;
        fari_family *row = family_at(all, family_name(node));
        row->seconds[node->phase] += seconds;
        row->flops += facts->flops[i];
        row->bytes += facts->bytes[i];
        if (seconds > row->dearest_s) {
            row->dearest = (int32_t)i;
            row->dearest_s = seconds;
            row->dearest_flops = facts->flops[i];
        }
    }
    for (int32_t kind = 1; kind < FARI_OTHER_KINDS; kind++)
        if (profile->other_s[kind] > 0.0)
            family_at(all, others[kind])->seconds[kind == FARI_INSTR_FEED ? FARI_FORWARD : FARI_BACKWARD] +=
                profile->other_s[kind] * share;
    for (int32_t i = 1; i < all->count; i++)
        for (int32_t k = i; k > 0 && fari_family_seconds(&all->rows[k]) > fari_family_seconds(&all->rows[k - 1]); k--) {
            const fari_family swap = all->rows[k];
            all->rows[k] = all->rows[k - 1];
            all->rows[k - 1] = swap;
        }
}

far_status fari_profile_families(const fari_profile *profile, fari_family families_out[FARI_FAMILIES_MAX],
                                 int32_t *count_out)
{
    fari_node_facts facts = { 0 };
    families_of all = { .rows = families_out };
    if (profile->steps == 0) return FAR_FAIL(FAR_E_ARG, "no step was timed");
    const bool has_memory = fari_node_facts_collect(profile->plan, &facts);
    if (has_memory) families_collect(profile, &facts, &all);
    fari_node_facts_free(&facts);
    *count_out = all.count;
    return has_memory ? FAR_OK : FAR_FAIL(FAR_E_NOMEM, "no memory to add up a profile");
}

static void print_families(const families_of *all, fari_text *text)
{
    char number[FARI_NUMBER_TEXT];
    fari_text_add(text, "  \"families\": [");
    for (int32_t i = 0; i < all->count; i++) {
        const fari_family *row = &all->rows[i];
        fari_text_add(text, "%s\n    {\"name\": \"%s\"", i > 0 ? "," : "", row->name);
        fari_text_add(text, ", \"forward_s\": %s", fari_f64_text(row->seconds[FARI_FORWARD], number));
        fari_text_add(text, ", \"backward_s\": %s", fari_f64_text(row->seconds[FARI_BACKWARD], number));
        fari_text_add(text, ", \"update_s\": %s", fari_f64_text(row->seconds[FARI_UPDATE], number));
        fari_text_add(text, ", \"flops\": %s}", fari_f64_text(row->flops, number));
    }
    fari_text_add(text, "\n  ],\n");
}

static int64_t dearest(const double *seconds, int64_t count, double below, int64_t below_idx)
{
    int64_t best = -1;
    for (int64_t i = 0; i < count; i++) {
        if (seconds[i] > below || (seconds[i] == below && i <= below_idx)) continue; /* listed before */
        if (best < 0 || seconds[i] > seconds[best]) best = i;
    }
    return best;
}

static void print_nodes(const fari_profile *profile, const fari_node_facts *facts, int32_t count, fari_text *text)
{
    static const char *const phases[] = { "forward", "backward", "update" };
    char number[FARI_NUMBER_TEXT];
    const far_graph *graph = profile->plan->graph;
    double below = 1e300;
    int64_t at = -1;
    fari_text_add(text, "  \"nodes\": [");
    for (int32_t i = 0; i < count; i++) {
        at = dearest(profile->node_s, graph->node_count, below, at);
        if (at < 0 || profile->node_s[at] <= 0.0) break;
        below = profile->node_s[at];
        const fari_node *node = graph->nodes[at];
        fari_text_add(text, "%s\n    {\"name\": ", i > 0 ? "," : "");
        fari_text_json(text, node->name);
        fari_text_add(text, ", \"op\": \"%s\", \"phase\": \"%s\"", node->op->name, phases[node->phase]);
        fari_text_add(text, ", \"seconds\": %s", fari_f64_text(below / (double)profile->steps, number));
        fari_text_add(text, ", \"flops\": %s", fari_f64_text(facts->flops[at], number));
        fari_text_add(text, ", \"bytes\": %s, \"impl\": ", fari_f64_text(facts->bytes[at], number));
        fari_text_json(text, facts->impl[at] != NULL ? facts->impl[at] : "");
        fari_text_add(text, "}");
    }
    fari_text_add(text, "\n  ]\n");
}

void fari_profile_print(const fari_profile *profile, int32_t nodes, fari_text *text)
{
    char number[FARI_NUMBER_TEXT];
    fari_node_facts facts = { 0 };
    fari_family rows[FARI_FAMILIES_MAX];
    families_of all = { .rows = rows };
    double busy_s = 0.0;
    if (profile->steps == 0 || !fari_node_facts_collect(profile->plan, &facts)) {
        text->failed = true;
        fari_node_facts_free(&facts);
        return;
    }
    families_collect(profile, &facts, &all);
    for (int32_t i = 0; i < all.count; i++) busy_s += fari_family_seconds(&all.rows[i]);
    fari_text_add(text,
                  "{\n  \"version\": 1,\n  \"steps\": %" PRId64 ",\n  \"first_step\": %" PRId64
                  ",\n  \"last_step\": %" PRId64 ",\n  \"threads\": %d,\n",
                  profile->steps, profile->first_step, profile->last_step, (int)profile->plan->opts.threads);
    fari_text_add(text, "  \"step_s\": %s,\n", fari_f64_text(profile->wall_s / (double)profile->steps, number));
    fari_text_add(text, "  \"busy_s\": %s,\n", fari_f64_text(busy_s, number));
    fari_text_add(text, "  \"flops\": %s,\n", fari_f64_text(profile->plan->flops, number));
    print_families(&all, text);
    print_nodes(profile, &facts, nodes, text);
    fari_text_add(text, "}\n");
    fari_node_facts_free(&facts);
}
