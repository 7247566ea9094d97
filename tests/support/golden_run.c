#include "support/golden_run.h"
#include "graph/recompute.h"
#include "run/executor.h"
#include "test.h"
#include <farandole/elementwise.h>
#include <farandole/loss.h>
#include <farandole/model.h>
#include <farandole/optim.h>
#include <farandole/shape.h>

#define SAMPLES_MAX 64

/* One graph with all it needs to run. */
typedef struct machine {
    far_graph *graph;
    far_model_result model;
    fari_plan *plan;
    fari_store *store;
    fari_executor *exec;
} machine;

/* ---- the graph ---- */

/* The options of make_golden.py's models by the zoo's names; NULL: told by the input. */
static const char *option_of(const char *key)
{
    if (strcmp(key, "base") == 0) return "width";
    return strcmp(key, "c_in") == 0 ? NULL : key;
}

static far_options *options_of(const golden *g)
{
    far_options *opts = NULL;
    json_t *model = json_object_get(g->root, "model"), *value;
    const char *key;
    char text[64];
    FAR_CHECK_OK(far_model_opts_create(json_string_value(json_object_get(model, "function")),
                                       json_string_value(json_object_get(model, "preset")), &opts));
    json_object_foreach(model, key, value)
    {
        if (strcmp(key, "function") == 0 || strcmp(key, "preset") == 0 || option_of(key) == NULL) continue;
        if (json_is_string(value)) (void)snprintf(text, sizeof text, "%s", json_string_value(value));
        else (void)snprintf(text, sizeof text, "%g", json_number_value(value));
        FAR_CHECK_OK(far_options_set(opts, option_of(key), text));
    }
    return opts;
}

/* Labels as the library wants them: [N], or [N, planes, spatial]. */
static far_shape label_shape(const golden *g)
{
    far_shape shape = g->labels;
    if (shape.ndim == 1 || strncmp(g->loss_name, "focal", 5) == 0) return shape;
    for (int32_t i = shape.ndim++; i > 1; i--) shape.dim[i] = shape.dim[i - 1];
    shape.dim[1] = 1;
    return shape;
}

static far_value loss_of(const golden *g, far_graph *graph, const far_model_result *model, far_value labels)
{
    const far_ce_opts v21 = { .norm = FAR_CE_PIXELS };
    far_value loss = FAR_NO_VALUE;
    for (int32_t p = 0; p < model->count; p++) {
        const far_value own = model->count == 1 ? labels : far_slice(graph, "plane_labels", labels, 1, p, 1);
        far_value term;
        if (strcmp(g->loss_name, "cross_entropy") == 0)
            term = far_cross_entropy(graph, "loss", model->logits[p], own, NULL);
        else if (strcmp(g->loss_name, "focal") == 0) term = far_focal_loss(graph, "loss", model->logits[p], own, NULL);
        else term = far_focal_loss(graph, "loss", model->logits[p], own, &v21);
        loss = p == 0 ? term : far_add(graph, "loss", loss, term);
    }
    FAR_CHECK(strcmp(g->loss_name, "cross_entropy") == 0 || strcmp(g->loss_name, "focal") == 0 ||
              strcmp(g->loss_name, "focal_v21") == 0);
    return loss;
}

static void graph_open(const golden *g, bool is_training, const far_optim_opts *optim, machine *m)
{
    char name[32];
    far_options *opts = options_of(g);
    const far_shape labels = label_shape(g);
    FAR_CHECK_OK(far_graph_create(is_training, &m->graph));
    const far_value x = far_graph_input(m->graph, "image", FAR_F32, &g->x);
    FAR_CHECK_OK(far_model_build(m->graph, opts, x, &m->model));
    far_options_destroy(opts);
    for (int32_t p = 0; p < m->model.count; p++) {
        (void)snprintf(name, sizeof name, "logits.%d", (int)p);
        far_graph_output(m->graph, name, m->model.logits[p]);
    }
    if (is_training) {
        const far_value y = far_graph_input(m->graph, "label", FAR_I32, &labels);
        FAR_CHECK_OK(far_graph_backward(m->graph, loss_of(g, m->graph, &m->model, y)));
        FAR_CHECK_OK(fari_graph_recompute(m->graph, FARI_RECOMPUTE_MOST, NULL));
        FAR_CHECK_OK(far_optim_apply(m->graph, optim));
    }
    FAR_CHECK_OK(far_graph_status(m->graph));
}

/* ---- the machine ---- */

static float *kept_floats(const fari_store *store, fari_role role, const char *name, const far_shape *shape)
{
    fari_kept *kept = fari_store_find(store, role, name);
    FAR_CHECK_MSG(kept != NULL, "the model has no %s", name);
    FAR_CHECK_MSG(kept->dtype == FAR_F32 && far_shape_elems(&kept->shape) == far_shape_elems(shape),
                  "%s has another shape", name);
    return fari_store_data(store, kept);
}

static void machine_open(const golden *g, const golden_variant *v, fari_backend *backend, machine *m)
{
    const fari_plan_opts plan_opts = {
        .grain = v->grain, .threads = 1, .backend = backend, .is_keeping_gradients = far_graph_is_training(m->graph)
    };
    const fari_exec_opts exec_opts = { .threads = 1 };
    FAR_CHECK_OK(fari_plan_create(m->graph, &plan_opts, &m->plan));
    if (v->change_plan != NULL) v->change_plan(m->plan);
    FAR_CHECK_OK(fari_store_create(m->graph, false, 1, &m->store));
    FAR_CHECK_OK(fari_executor_create(m->plan, m->store, &exec_opts, &m->exec));
    FAR_CHECK_EQ_I64(far_graph_param_count(m->graph), g->count[GOLDEN_GRADIENT]);
    for (int32_t i = 0; i < g->count[GOLDEN_GRADIENT]; i++) {
        const golden_tensor *t = &g->tensors[GOLDEN_GRADIENT][i];
        golden_weights(g, i, kept_floats(m->store, FARI_ROLE_PARAM, t->name, &t->shape));
    }
}

static void machine_close(machine *m)
{
    fari_executor_destroy(m->exec);
    fari_store_destroy(m->store);
    fari_plan_destroy(m->plan);
    far_graph_destroy(m->graph);
}

/* A row-major array in the order of an input. */
static void *as_fed(const far_graph *graph, const char *name, const float *f32, const int32_t *i32)
{
    const fari_tensor *t = fari_tensor_of(graph, far_graph_find(graph, name));
    fari_view view = { .dtype = t->dtype, .order = t->order, .ndim = t->shape.ndim };
    int64_t idx[FAR_NDIM_MAX] = { 0 }, i = 0;
    memcpy(view.dim, t->shape.dim, sizeof view.dim);
    view.data = malloc((size_t)(fari_view_elems(&view) * far_dtype_bytes(t->dtype)));
    FAR_CHECK(view.data != NULL);
    do {
        fari_view_set(&view, idx, f32 != NULL ? (double)f32[i] : (double)i32[i]);
        i++;
    } while (fari_idx_next(idx, view.dim, view.ndim));
    return view.data;
}

static void feed_make(const golden *g, const far_graph *graph, void *feed_out[2])
{
    float *x = malloc((size_t)far_shape_elems(&g->x) * sizeof *x);
    int32_t *labels = malloc((size_t)far_shape_elems(&g->labels) * sizeof *labels);
    FAR_CHECK(x != NULL && labels != NULL);
    golden_x(g, x);
    golden_labels(g, labels);
    feed_out[0] = as_fed(graph, "image", x, NULL);
    feed_out[1] = as_fed(graph, "label", NULL, labels);
    free(x);
    free(labels);
}

/* ---- what came out ---- */

static void visit_gradients(const golden *g, const machine *m, golden_visit_fn visit, void *ctx)
{
    for (int32_t i = 0; i < g->count[GOLDEN_GRADIENT]; i++) {
        const golden_tensor *t = &g->tensors[GOLDEN_GRADIENT][i];
        const far_value grad = far_graph_gradient(m->graph, far_graph_find(m->graph, t->name));
        FAR_CHECK_MSG(grad >= 0, "%s has no gradient", t->name);
        const fari_tensor *tensor = fari_tensor_of(m->graph, grad);
        FAR_CHECK(tensor->dtype == FAR_F32 && tensor->order == FARI_ROW_MAJOR);
        FAR_CHECK_EQ_I64(far_shape_elems(&tensor->shape), far_shape_elems(&t->shape));
        visit(ctx, GOLDEN_GRADIENT, i, fari_executor_data(m->exec, grad), far_shape_elems(&t->shape));
    }
}

static void visit_statistics(const golden *g, const machine *m, golden_visit_fn visit, void *ctx)
{
    for (int32_t i = 0; i < g->count[GOLDEN_STATISTIC]; i++) {
        const golden_tensor *t = &g->tensors[GOLDEN_STATISTIC][i];
        visit(ctx, GOLDEN_STATISTIC, i, kept_floats(m->store, FARI_ROLE_STATE, t->name, &t->shape),
              far_shape_elems(&t->shape));
    }
}

/* Logits of several planes as one tensor [N, planes, classes, spatial]. */
static void visit_output(const golden *g, const machine *m, int32_t idx, golden_visit_fn visit, void *ctx)
{
    const golden_tensor *t = &g->tensors[GOLDEN_OUTPUT][idx];
    const int64_t count = far_shape_elems(&t->shape), samples = g->x.dim[0], planes = m->model.count;
    const int64_t piece = count / samples / planes;
    double *plane = malloc((size_t)(piece * samples) * sizeof *plane);
    float *all = malloc((size_t)count * sizeof *all);
    FAR_CHECK(plane != NULL && all != NULL);
    for (int64_t p = 0; p < planes; p++) {
        const far_shape shape = far_graph_shape(m->graph, m->model.logits[p]);
        FAR_CHECK_EQ_I64(far_shape_elems(&shape), piece * samples);
        FAR_CHECK_OK(fari_executor_read_f64(m->exec, m->model.logits[p], plane));
        for (int64_t n = 0; n < samples; n++)
            for (int64_t i = 0; i < piece; i++) all[(n * planes + p) * piece + i] = (float)plane[n * piece + i];
    }
    visit(ctx, GOLDEN_OUTPUT, idx, all, count);
    free(plane);
    free(all);
}

/* The network as used for evaluation: weights of the start, statistics after one training step. */
static void evaluate(const golden *g, const golden_variant *v, fari_backend *backend, const fari_store *trained,
                     const fari_step *step, golden_visit_fn visit, void *ctx)
{
    machine m = { 0 };
    golden_variant plain = *v;
    plain.change_plan = NULL;
    graph_open(g, false, NULL, &m);
    machine_open(g, &plain, backend, &m);
    for (int64_t i = 0; i < m.store->kept_count; i++) {
        const fari_kept *kept = &m.store->kept[i];
        if (kept->role != FARI_ROLE_STATE) continue;
        const fari_kept *from = fari_store_find(trained, FARI_ROLE_STATE, kept->name);
        FAR_CHECK(from != NULL && from->bytes == kept->bytes);
        memcpy(fari_store_data(m.store, kept), fari_store_data(trained, from), (size_t)kept->bytes);
    }
    FAR_CHECK_OK(fari_executor_step(m.exec, step));
    visit_output(g, &m, 1, visit, ctx);
    machine_close(&m);
}

void golden_run(const golden *g, const golden_variant *v, golden_visit_fn visit, void *ctx, golden_run_info *info_out)
{
    const far_optim_opts optim = { .name = "sgd", .momentum = g->momentum };
    fari_backend *backend = NULL;
    machine m = { 0 };
    void *feed[2];
    int64_t ids[SAMPLES_MAX];
    double hyper[FAR_HYPER_COUNT];
    FAR_CHECK(g->x.dim[0] <= SAMPLES_MAX);
    for (int64_t i = 0; i < SAMPLES_MAX; i++) ids[i] = i;
    FAR_CHECK_OK(fari_backend_cpu_create(v->isa, &backend));
    graph_open(g, true, &optim, &m);
    machine_open(g, v, backend, &m);
    feed_make(g, m.graph, feed);
    const fari_grains *grains = &m.plan->grains[far_graph_find(m.graph, "image")];
    info_out->sample_grains = grains->index_count;
    info_out->row_grains = grains->row_count;
    info_out->steps = v->steps > 0 ? v->steps : GOLDEN_STEPS;
    for (int32_t i = 0; i < info_out->steps; i++) {
        far_optim_hyper(&optim, i, g->lr, g->lr, hyper);
        const fari_step step = { .seed = 1, .step = i, .epoch = 0, .sample_ids = ids, .hyper = hyper, .feed = feed };
        FAR_CHECK_OK(fari_executor_step(m.exec, &step));
        FAR_CHECK_OK(fari_executor_read_f64(m.exec, m.graph->loss, &info_out->loss[i]));
        if (i > 0) continue;
        visit_output(g, &m, 0, visit, ctx);
        visit_gradients(g, &m, visit, ctx);
        visit_statistics(g, &m, visit, ctx);
        evaluate(g, v, backend, m.store, &step, visit, ctx);
    }
    for (int32_t i = 0; i < 2; i++) free(feed[i]);
    machine_close(&m);
    backend->destroy(backend);
}
