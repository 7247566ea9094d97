/* run.json and profile.json: what a run is and what came of it, for reports and other programs. Small whatever the plan's size. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "run/calibrate.h"
#include "run/machine.h"
#include "run/run_priv.h"
#include <farandole/info.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/resource.h>

#define PLACES_MAX 256 /* of memory over a step */
#define LAYERS_MAX 2000
#define NODES_LISTED 32
#define CONSTANT_BYTES 40000000 /* code, libraries, stacks: the constant of docs/architecture.md */

static void add_number(fari_text *text, const char *key, double value)
{
    char number[FARI_NUMBER_TEXT];
    fari_text_add(text, "\"%s\": %s", key, isfinite(value) ? fari_f64_text(value, number) : "null");
}

static void add_text(fari_text *text, const char *key, const char *value)
{
    fari_text_add(text, "\"%s\": ", key);
    fari_text_json(text, value);
}

static void print_machine(fari_text *text)
{
    char model[256] = "";
    far_library library;
    (void)fari_machine_field("", "/proc/cpuinfo", "model name", model, sizeof model);
    fari_text_add(text, "  \"machine\": {");
    add_text(text, "processor", model);
    fari_text_add(text, ", \"cores\": %d, \"memory_bytes\": %" PRId64 ", ", (int)fari_machine_cores(),
                  fari_machine_memory_total(""));
    add_text(text, "isa", far_isa());
    fari_text_add(text, "},\n  ");
    add_text(text, "farandole", far_version());
    fari_text_add(text, ",\n  ");
    add_text(text, "compiler", far_compiler());
    fari_text_add(text, ",\n  \"libraries\": {");
    for (int32_t i = 0; i < far_library_count(); i++) {
        if (far_library_at(i, &library) != FAR_OK) break;
        fari_text_add(text, "%s", i > 0 ? ", " : "");
        add_text(text, library.name, library.version);
    }
    fari_text_add(text, "},\n");
}

static void print_list(fari_text *text, const char *key, const float *values, int64_t count)
{
    char number[FARI_NUMBER_TEXT];
    fari_text_add(text, ", \"%s\": [", key);
    for (int64_t i = 0; i < count; i++)
        fari_text_add(text, "%s%s", i > 0 ? ", " : "", fari_f32_text(values[i], number));
    fari_text_add(text, "]");
}

static void print_data(const far_run *run, fari_text *text)
{
    const run_data *data = &run->data;
    fari_text_add(text,
                  "  \"data\": {\"train\": %" PRId64 ", \"held\": %" PRId64 ", \"test\": %" PRId64
                  ", \"channels\": %" PRId64 ", \"height\": %" PRId64 ", \"width\": %" PRId64 ", \"label\": \"%s\"",
                  data->kept_count, data->held_count,
                  data->test != NULL ? far_dataset_info_of(data->test).sample_count : 0, data->info.channels,
                  data->info.height, data->info.width, data->info.label == FAR_LABEL_MAP ? "map" : "class");
    if (data->has_moments) {
        print_list(text, "mean", data->mean, data->info.channels);
        print_list(text, "std", data->std, data->info.channels);
    }
    fari_text_add(text, ",\n    \"classes\": [");
    for (int32_t i = 0; i < data->info.class_count; i++) {
        const char *name = far_dataset_class_name(data->train, i);
        fari_text_add(text, "%s", i > 0 ? ", " : "");
        if (name != NULL) fari_text_json(text, name);
        else fari_text_add(text, "null");
    }
    fari_text_add(text, "]},\n");
}

/* ---- the network ---- */

/* Parameters that a node reads. */
static int64_t node_parameters(const far_graph *graph, const fari_node *node)
{
    int64_t count = 0;
    for (int32_t i = 0; i < node->in_count; i++) {
        const fari_tensor *t = node->in[i] >= 0 ? fari_tensor_of(graph, node->in[i]) : NULL;
        if (t != NULL && t->role == FARI_ROLE_PARAM) count += far_shape_elems(&t->shape);
    }
    return count;
}

/* The network proper: what is made before the logits and is cut like an image. Statistics of norms and the like are inner matters. */
static bool is_layer(const far_graph *graph, const fari_node *node, int32_t last)
{
    if (node->phase != FARI_FORWARD || node->id > last || node->op->kind != FARI_MAP || node->mutates) return false;
    return strcmp(node->op->name, "reorder") != 0 && fari_tensor_of(graph, node->out[0])->batch_of > 0;
}

static int32_t last_layer(const run_side *side)
{
    int32_t last = -1;
    for (int32_t i = 0; i < side->model.count; i++) {
        const int32_t producer = fari_tensor_of(side->graph, side->model.logits[i])->producer;
        if (producer > last) last = producer;
    }
    return last;
}

static void print_layer(const fari_plan *plan, const fari_node *node, double flops, fari_text *text)
{
    char number[FARI_NUMBER_TEXT];
    const far_shape *shape = &fari_tensor_of(plan->graph, node->out[0])->shape;
    fari_text_add(text, "    {");
    add_text(text, "name", node->name);
    fari_text_add(text, ", \"op\": \"%s\", \"shape\": [", node->op->name);
    for (int32_t k = 1; k < shape->ndim; k++) fari_text_add(text, "%s%" PRId64, k > 1 ? ", " : "", shape->dim[k]);
    fari_text_add(text, "], \"parameters\": %" PRId64 ", \"flops\": %s}", node_parameters(plan->graph, node),
                  fari_f64_text(flops / (double)plan->batch, number));
}

static far_status print_network(const run_side *side, fari_text *text)
{
    const far_graph *graph = side->graph;
    const int32_t last = last_layer(side);
    int32_t listed = 0;
    double *flops = fari_calloc((size_t)graph->node_count + 1, sizeof *flops);
    if (flops == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to describe the network");
    for (int64_t i = 0; i < side->plan->instr_count; i++)
        if (side->plan->instrs[i].kind == FARI_INSTR_CALL)
            flops[side->plan->instrs[i].node] += fari_plan_cost(side->plan, i).flops;
    fari_text_add(text, "  \"network\": [\n");
    for (int64_t i = 0; i < graph->node_count && listed < LAYERS_MAX; i++) {
        if (!is_layer(graph, graph->nodes[i], last)) continue;
        fari_text_add(text, "%s", listed > 0 ? ",\n" : "");
        print_layer(side->plan, graph->nodes[i], flops[i], text);
        listed++;
    }
    fari_text_add(text, "\n  ],\n");
    fari_free(flops);
    return FAR_OK;
}

/* ---- memory ---- */

/* What lies in the arena in each turn, by kind; of neighbouring turns the fullest stands for all. */
typedef struct over_step {
    int64_t turns;
    int64_t *bytes; /* [turns][FARI_BUFFER_KIND_COUNT] */
} over_step;

static int64_t turn_sum(const over_step *over, int64_t turn)
{
    int64_t sum = 0;
    for (int32_t kind = 0; kind < FARI_BUFFER_KIND_COUNT; kind++)
        sum += over->bytes[turn * FARI_BUFFER_KIND_COUNT + kind];
    return sum;
}

static far_status over_step_collect(const fari_plan *plan, over_step *over)
{
    over->turns = plan->turn_count;
    over->bytes = fari_calloc((size_t)(over->turns + 1) * FARI_BUFFER_KIND_COUNT, sizeof *over->bytes);
    if (over->bytes == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to describe the memory of a step");
    for (int64_t i = 0; i < plan->buffer_count; i++) {
        const fari_buffer *b = &plan->buffers[i];
        const int64_t first = b->first_turn > 0 ? b->first_turn : 0;
        int64_t last = b->is_kept ? over->turns - 1 : b->last_turn;
        if (b->base != FARI_BASE_ARENA || first > last) continue;
        if (last >= over->turns) last = over->turns - 1;
        for (int64_t t = first; t <= last; t++) over->bytes[t * FARI_BUFFER_KIND_COUNT + (int32_t)b->kind] += b->bytes;
    }
    return FAR_OK;
}

static double backward_share(const fari_plan *plan)
{
    const int64_t turns = plan->turn_count;
    for (int64_t t = 0; t < turns; t++)
        if (plan->graph->nodes[plan->order[t]]->phase == FARI_BACKWARD) return (double)t / (double)turns;
    return -1.0;
}

static far_status print_over_step(const fari_plan *plan, fari_text *text)
{
    over_step over = { 0 };
    int64_t fullest[PLACES_MAX];
    FAR_TRY(over_step_collect(plan, &over));
    const int64_t places = over.turns < PLACES_MAX ? over.turns : PLACES_MAX;
    for (int64_t p = 0; p < places; p++) {
        fullest[p] = p * over.turns / places;
        for (int64_t t = fullest[p]; t < (p + 1) * over.turns / places; t++)
            if (turn_sum(&over, t) > turn_sum(&over, fullest[p])) fullest[p] = t;
    }
    fari_text_add(text, "    \"over_step\": {\"turns\": %" PRId64 ", ", over.turns);
    add_number(text, "backward_from", backward_share(plan));
    for (int32_t kind = 0; kind < FARI_BUFFER_KIND_COUNT; kind++) {
        int64_t most = 0;
        for (int64_t p = 0; p < places; p++) {
            const int64_t bytes = over.bytes[fullest[p] * FARI_BUFFER_KIND_COUNT + kind];
            if (bytes > most) most = bytes;
        }
        if (most == 0) continue;
        fari_text_add(text, ",\n      \"%s\": [", fari_buffer_kind_name((fari_buffer_kind)kind));
        for (int64_t p = 0; p < places; p++)
            fari_text_add(text, "%s%" PRId64, p > 0 ? "," : "", over.bytes[fullest[p] * FARI_BUFFER_KIND_COUNT + kind]);
        fari_text_add(text, "]");
    }
    fari_text_add(text, "}");
    fari_free(over.bytes);
    return FAR_OK;
}

/* The process's peak so far; 0 where the system does not tell. */
static int64_t peak_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}

static far_status print_memory(const far_run *run, fari_text *text)
{
    const fari_plan *plan = run->train.plan;
    fari_text_add(text,
                  "  \"memory\": {\"planned_bytes\": %" PRId64 ", \"constant_bytes\": %d, \"peak_bytes\": %" PRId64
                  ",\n"
                  "    \"parts\": {\"parameters, statistics, optimizer\": %" PRId64 ", \"arena\": %" PRId64
                  ", \"scratch of threads\": %" PRId64 ", \"data\": %" PRId64 ", \"batches made ahead\": %" PRId64
                  ", \"graphs, plans, kernels\": %" PRId64 "},\n",
                  far_run_planned_bytes(run), CONSTANT_BYTES, peak_bytes(), run->store_bytes, plan->arena_bytes,
                  run->arena_bytes - plan->arena_bytes, run->data.bytes, run->loader_bytes + run->eval_loader_bytes,
                  run->graph_bytes);
    FAR_TRY(print_over_step(plan, text));
    fari_text_add(text, "\n  },\n");
    return FAR_OK;
}

/* ---- time ---- */

static far_status print_time(const far_run *run, bool is_over, fari_text *text)
{
    const run_clocks *clocks = &run->clocks;
    fari_prediction prediction = { 0 };
    if (is_over) FAR_TRY(run_predict_step(run, &prediction));
    fari_text_add(text, "  \"time\": {");
    add_number(text, "steps_s", clocks->step_s);
    fari_text_add(text, ", ");
    add_number(text, "waiting_for_data_s", clocks->data_s);
    fari_text_add(text, ", ");
    add_number(text, "evaluations_s", clocks->eval_s);
    fari_text_add(text, ", ");
    add_number(text, "checkpoints_s", clocks->save_s);
    fari_text_add(text, ", \"steps\": %" PRId64 ",\n    ", clocks->steps);
    add_number(text, "median_step_s", run_median_step_s(run));
    fari_text_add(text, ", ");
    add_number(text, "predicted_step_s", is_over ? prediction.step_s : (double)NAN);
    fari_text_add(text, ", ");
    add_number(text, "measured_share", is_over ? prediction.measured_share : (double)NAN);
    fari_text_add(text, ", ");
    add_number(text, "flops_a_step", run->train.plan->flops);
    fari_text_add(text, "},\n");
    return FAR_OK;
}

static far_status print_facts(const far_run *run, const char *ending, fari_text *text)
{
    const bool is_over = strcmp(ending, "running") != 0;
    fari_text_add(text, "{\n  \"version\": 1,\n  ");
    add_text(text, "ending", ending);
    fari_text_add(text,
                  ",\n  \"step\": %" PRId64 ",\n  \"steps\": %" PRId64 ",\n  \"steps_an_epoch\": %" PRId64
                  ",\n  \"batch\": %" PRId64 ",\n  \"threads\": %d,\n  ",
                  run->step, run->steps_total, run->steps_per_epoch, run->train.batch, (int)run->threads);
    add_text(text, "model", far_config_text(run->config, "model.name"));
    fari_text_add(text, ",\n  ");
    add_text(text, "preset", far_config_text(run->config, "model.preset"));
    fari_text_add(text, ",\n  \"parameters\": %" PRId64 ",\n  \"metric\": {", far_graph_param_elems(run->train.graph));
    add_text(text, "name", run->metric);
    fari_text_add(text, ", \"goal\": \"%s\", ", run->is_less_better ? "lowest" : "highest");
    add_number(text, "best", run->best);
    fari_text_add(text, "},\n");
    print_machine(text);
    print_data(run, text);
    FAR_TRY(print_time(run, is_over, text));
    FAR_TRY(print_memory(run, text));
    FAR_TRY(print_network(&run->train, text));
    /* the last member needs no comma */
    fari_text_add(text, "  \"reference_calls\": %" PRId64 "\n}\n", run->train.plan->reference_calls);
    return FAR_OK;
}

static far_status write_file(const far_run *run, const char *name, const fari_text *text)
{
    if (text->failed) return FAR_FAIL(FAR_E_NOMEM, "no memory to write %s of the run", name);
    char *path = fari_path_join(run->folder, name);
    if (path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
    const far_status st = fari_file_write_atomic(path, text->data, (size_t)text->bytes);
    fari_free(path);
    return st;
}

far_status run_facts_write(const far_run *run, const char *ending)
{
    fari_text text = { 0 };
    far_status st = print_facts(run, ending, &text);
    if (st == FAR_OK) st = write_file(run, "run.json", &text);
    if (st == FAR_OK && run->profile != NULL && fari_profile_steps(run->profile) > 0) {
        text.bytes = 0;
        fari_profile_print(run->profile, NODES_LISTED, &text);
        st = write_file(run, "profile.json", &text);
    }
    fari_text_free(&text);
    return st;
}
