#include "support/net_run.h"
#include "graph/graph.h"
#include "graph/recompute.h"
#include "ops/norm.h"
#include "plan/part.h"
#include "run/store.h"
#include "test.h"
#include <farandole/activation.h>
#include <farandole/data.h>
#include <farandole/elementwise.h>
#include <farandole/loss.h>
#include <farandole/model.h>
#include <farandole/shape.h>

#define SEED NET_SEED
#define GROUPS NET_GROUPS

static far_value loss_of(const net_case *net, far_graph *graph, const far_model_result *model, far_value label)
{
    far_value loss[FAR_LOGITS_MAX];
    const far_ce_opts opts = { .use_ignore_label = true, .ignore_label = FAR_LABEL_IGNORE };
    for (int32_t i = 0; i < model->count; i++)
        loss[i] = net->is_focal ? far_focal_loss(graph, "loss", model->logits[i], label, &opts)
                                : far_cross_entropy(graph, "loss", model->logits[i], label, &opts);
    return model->count == 1 ? loss[0] : fari_emit(graph, &fari_op_add_n, "loss_sum", NULL, model->count, loss);
}

static void set_options(far_options *opts, const char *text)
{
    char copy[256], *save = NULL;
    (void)snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        char *value = strchr(word, '=');
        FAR_CHECK(value != NULL);
        *value++ = '\0';
        FAR_CHECK_OK(far_options_set(opts, word, value));
    }
}

static far_shape shape_of(const net_case *net, int64_t channels)
{
    if (net->depth > 0) return (far_shape){ 5, { net->batch, channels, net->depth, net->height, net->width } };
    return (far_shape){ 4, { net->batch, channels, net->height, net->width } };
}

far_graph *net_graph(const net_case *net)
{
    far_graph *graph = NULL;
    far_options *opts = NULL;
    far_model_result model;
    char classes[16];
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK_OK(far_model_opts_create(net->model, net->preset, &opts));
    (void)snprintf(classes, sizeof classes, "%d", (int)net->classes);
    FAR_CHECK_OK(far_options_set(opts, "classes", classes));
    if (net->options != NULL) set_options(opts, net->options);
    const far_shape image = shape_of(net, net->channels), map = shape_of(net, 1), single = { 1, { net->batch } };
    const far_shape label_shape = net->is_map ? map : single;
    far_value x = far_graph_input(graph, "image", FAR_F32, &image);
    const far_value y = far_graph_input(graph, "label", FAR_I32, &label_shape);
    if (net->dropout_input > 0.0) x = far_dropout(graph, "image_dropout", x, net->dropout_input);
    FAR_CHECK_OK(far_model_build(graph, opts, x, &model));
    const far_value loss = loss_of(net, graph, &model, y);
    FAR_CHECK_OK(far_graph_status(graph));
    FAR_CHECK_OK(far_graph_backward(graph, loss));
    if (!net->is_keeping_all) FAR_CHECK_OK(fari_graph_recompute(graph, FARI_RECOMPUTE_MOST, NULL));
    FAR_CHECK_OK(far_optim_apply(graph, &net->optim));
    far_options_destroy(opts);
    return graph;
}

far_loader *net_loader(const net_case *net, far_dataset **set_out)
{
    far_loader *loader = NULL;
    const far_synthetic_opts data = { .sample_count = 4 * net->batch,
                                      .height = net->height,
                                      .width = net->width,
                                      .channels = net->channels,
                                      .depth = net->depth,
                                      .class_count = net->classes,
                                      .label = net->is_map ? FAR_LABEL_MAP : FAR_LABEL_CLASS,
                                      .seed = SEED };
    FAR_CHECK_OK(far_dataset_open_synthetic(&data, set_out));
    far_loader_opts opts = { .batch = net->batch,
                             .shuffle = true,
                             .seed = SEED,
                             .augment = { .flip = true, .crop_pad = 2, .erase = net->is_map ? 0.0 : 0.5 } };
    if (net->depth > 0) opts.augment = (far_augment){ .flip = true };
    FAR_CHECK_OK(far_loader_open(*set_out, &opts, &loader));
    return loader;
}

/* Rows of a batch that lies in memory, as if they were made when they are asked for. */
typedef struct row_feed {
    const far_graph *graph;
    far_batch batch;
    bool is_failing;
} row_feed;

static far_status copy_rows(void *context, int32_t input, int64_t sample, int64_t row_lo, int64_t row_hi,
                            void *rows_out)
{
    const row_feed *feed = context;
    const far_shape shape = far_graph_shape(feed->graph, far_graph_find(feed->graph, input == 0 ? "image" : "label"));
    const int64_t rows = shape.ndim >= 3 ? shape.dim[2] : 1, row = far_shape_elems(&shape) / shape.dim[0] / rows;
    FAR_CHECK(sample >= 0 && sample < shape.dim[0] && row_lo >= 0 && row_lo < row_hi && row_hi <= rows);
    if (feed->is_failing) return FAR_FAIL(FAR_E_IO, "no rows today");
    const int64_t at = (sample * rows + row_lo) * row, bytes = (row_hi - row_lo) * row * 4;
    memcpy(rows_out, input == 0 ? (const void *)(feed->batch.images + at) : (const void *)(feed->batch.labels + at),
           (size_t)bytes);
    return FAR_OK;
}

/* Once more, from where nothing is to be had: the step ends, and says why. */
static void check_failing_feed(fari_executor *exec, const fari_step *step)
{
    ((row_feed *)step->feed_context)->is_failing = true;
    FAR_CHECK_STATUS(fari_executor_step(exec, step), FAR_E_IO);
    FAR_CHECK_HAS(far_error_message(), "no rows today");
}

static void train(const net_case *net, const fari_executor *exec_const, fari_executor *exec, far_loader *loader,
                  const far_graph *graph, int64_t steps, const net_variant *variant, net_result *result)
{
    row_feed rows = { .graph = graph };
    double hyper[GROUPS * FAR_HYPER_COUNT];
    for (int64_t i = 0; i < steps; i++) {
        far_batch batch;
        void *feed[2];
        FAR_CHECK_OK(far_loader_next(loader, &batch));
        memcpy(&feed[0], &batch.images, sizeof feed[0]);
        memcpy(&feed[1], &batch.labels, sizeof feed[1]);
        far_optim_hyper(&net->optim, i, net->lr, net->lr, hyper);
        fari_step step = { .seed = SEED,
                           .step = i,
                           .epoch = batch.epoch,
                           .sample_ids = batch.sample_ids,
                           .hyper = hyper,
                           .feed = feed,
                           .feed_rows = copy_rows,
                           .feed_context = &rows };
        rows.batch = batch;
        if (variant->is_fed_by_rows) feed[0] = feed[1] = NULL;
        const far_status st = fari_executor_step(exec, &step);
        if (variant->change_plan != NULL && (st == FAR_E_NONFINITE || st == FAR_E_IO))
            break; /* seen: the steps before leave another digest than all of them */
        FAR_CHECK_OK(st);
        if (i + 1 == steps) FAR_CHECK_OK(fari_executor_read_f64(exec_const, graph->loss, &result->loss));
        if (i + 1 == steps && variant->is_fed_by_rows) check_failing_feed(exec, &step);
    }
}

void net_run(const net_case *net, const net_variant *variant, int64_t steps, net_result *result_out)
{
    far_dataset *set = NULL;
    fari_backend *backend = NULL;
    fari_plan *plan = NULL;
    fari_store *store = NULL;
    fari_executor *exec = NULL;
    far_graph *graph = net_graph(net);
    far_loader *loader = net_loader(net, &set);
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    const fari_plan_opts plan_opts = {
        .grain = variant->grain, .threads = variant->threads, .spill = variant->spill, .backend = backend
    };
    FAR_CHECK_OK(fari_plan_create(graph, &plan_opts, &plan));
    FAR_CHECK_OK(fari_plan_check_hazards(plan));
    if (variant->change_plan != NULL) variant->change_plan(plan);
    FAR_CHECK_OK(fari_store_create(graph, false, SEED, &store));
    const fari_exec_opts exec_opts = { .order = variant->order,
                                       .order_seed = variant->order_seed,
                                       .spill_folder = variant->spill_folder };
    FAR_CHECK_OK(fari_executor_create(plan, store, &exec_opts, &exec));
    train(net, exec, exec, loader, graph, steps, variant, result_out);
    fari_store_digest(store, true, result_out->digest);
    const fari_grains *grains = &plan->grains[far_graph_find(graph, "image")];
    result_out->sample_grains = grains->index_count;
    result_out->row_grains = grains->row_count;
    result_out->calls = plan->instr_count;
    result_out->arena_bytes = plan->arena_bytes;
    result_out->spill_bytes = plan->spill_bytes;
    result_out->written_bytes = plan->written_bytes;
    result_out->read_bytes = plan->read_bytes;
    result_out->reference_calls = plan->reference_calls;
    fari_executor_destroy(exec);
    fari_store_destroy(store);
    fari_plan_destroy(plan);
    backend->destroy(backend);
    far_loader_close(loader);
    far_dataset_close(set);
    far_graph_destroy(graph);
}

static far_status no_work(const fari_call *call)
{
    (void)call;
    return FAR_OK;
}

int64_t net_drop_statistics(fari_plan *plan)
{
    int64_t changed = 0;
    for (int64_t i = 0; i < plan->instr_count; i++)
        if (plan->instrs[i].kind == FARI_INSTR_COMBINE &&
            plan->graph->nodes[plan->instrs[i].node]->op == &fari_op_norm_stats) {
            plan->instrs[i].aux = 0;
            plan->instrs[i].run = no_work;
            changed++;
        }
    return changed;
}
