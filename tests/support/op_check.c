#include "support/op_check.h"
#include "base/mem.h"
#include "base/rng.h"
#include "graph/autodiff.h"
#include "ops/reduce.h"
#include "run/executor.h"
#include "test.h"
#include <farandole/elementwise.h>

#define INPUTS_MAX 8
#define SEED 20220901

/* How one run is made. */
typedef struct variant {
    const char *name;
    bool is_f64, is_reference;
    fari_grain_config grain;
    fari_exec_order order;
    int32_t threads;
} variant;

/* What one run gave. */
typedef struct result {
    double loss;
    double *forward;
    int64_t forward_elems;
    int32_t grad_count;
    char *grad_name[64];
    double *grad[64];
    int64_t grad_elems[64];
} result;

typedef struct bench {
    const char *label;
    op_build_fn build;
    const void *arg;
    const op_check_opts *opts;
} bench;

/* A graph with the op, the weighted sum of its result as loss, differentiated for parameters and f32 inputs. */
static far_graph *graph_make(const bench *b, far_value *y_out)
{
    far_graph *graph = NULL;
    far_value extra[INPUTS_MAX];
    int32_t extra_count = 0;
    FAR_CHECK_OK(far_graph_create(!b->opts->is_eval, &graph));
    const far_value y = b->build(graph, b->arg);
    FAR_CHECK_OK(far_graph_status(graph));
    *y_out = y;
    const far_shape shape = far_graph_shape(graph, y);
    far_graph_output(graph, "y", y);
    for (int64_t i = 0; i < graph->tensor_count; i++)
        if (graph->tensors[i]->role == FARI_ROLE_INPUT && graph->tensors[i]->dtype == FAR_F32)
            extra[extra_count++] = (far_value)i;
    if (!b->opts->has_no_gradient) {
        far_value loss = y;
        if (far_shape_elems(&shape) != 1 || fari_tensor_of(graph, y)->batch_of != 0) {
            far_value weight;
            if (fari_tensor_of(graph, y)->batch_of == 1) {
                weight = far_graph_input(graph, "check_weight", FAR_F32, &shape);
            } else {
                weight = far_graph_param(graph, "check_weight", &shape, (far_init){ FAR_INIT_UNIFORM, 1.0, 0 });
                fari_tensor_of(graph, weight)->frozen = true;
            }
            loss = far_mul(graph, "weighted", y, weight);
            loss = fari_emit(graph, &fari_op_reduce_all, "check_loss", NULL, 1, &loss);
        }
        FAR_CHECK_OK(far_graph_status(graph));
        FAR_CHECK_OK(fari_graph_backward_wrt(graph, loss, extra_count, extra));
    }
    return graph;
}

static uint64_t input_key(const char *name)
{
    uint64_t sum = 7;
    for (; *name != '\0'; name++) sum = sum * 31 + (uint8_t)*name;
    return fari_rng_key(SEED, FARI_RNG_SYNTH, 0, sum);
}

/* The value of element `elem` (row-major) of an input: the same for every variant. */
static double input_value(const fari_tensor *t, int64_t elem, const op_check_opts *opts)
{
    const uint64_t key = input_key(t->name);
    if (t->dtype == FAR_F32)
        return (double)(float)((opts->input_scale > 0.0 ? opts->input_scale : 1.0) *
                               (2.0 * fari_rng_unit_f64(key, (uint64_t)elem) - 1.0));
    return (double)fari_rng_below(key, (uint64_t)elem, opts->class_count > 0 ? (uint64_t)opts->class_count : 2);
}

/* One input as a dense array in the tensor's own order. */
static void *input_make(const fari_tensor *t, const op_check_opts *opts)
{
    fari_view view = { .dtype = t->dtype, .order = t->order, .ndim = t->shape.ndim };
    int64_t idx[FAR_NDIM_MAX] = { 0 }, elem = 0;
    memcpy(view.dim, t->shape.dim, sizeof view.dim);
    view.data = malloc((size_t)(fari_view_elems(&view) * far_dtype_bytes(t->dtype)));
    do fari_view_set(&view, idx, input_value(t, elem++, opts));
    while (fari_idx_next(idx, view.dim, view.ndim));
    return view.data;
}

typedef struct machine {
    far_graph *graph;
    far_value y;
    fari_backend *backend;
    fari_plan *plan;
    fari_store *store;
    fari_executor *exec;
    void *feed[INPUTS_MAX + 1];
    int32_t feed_count;
    int64_t ids[1024];
} machine;

static void machine_open(machine *m, const bench *b, const variant *v)
{
    memset(m, 0, sizeof *m);
    m->graph = graph_make(b, &m->y);
    FAR_CHECK_OK(v->is_reference ? fari_backend_reference_create(&m->backend)
                                 : fari_backend_cpu_create(NULL, &m->backend));
    const fari_plan_opts opts = { .grain = v->grain,
                                  .threads = v->threads,
                                  .is_reference_f64 = v->is_f64,
                                  .backend = m->backend,
                                  .is_keeping_gradients = true };
    FAR_CHECK_OK(fari_plan_create(m->graph, &opts, &m->plan));
    FAR_CHECK_OK(fari_store_create(m->graph, v->is_f64, SEED, &m->store));
    const fari_exec_opts exec_opts = { .order = v->order, .order_seed = 5 };
    FAR_CHECK_OK(fari_executor_create(m->plan, m->store, &exec_opts, &m->exec));
    for (int64_t i = 0; i < m->graph->tensor_count; i++)
        if (m->graph->tensors[i]->role == FARI_ROLE_INPUT)
            m->feed[m->feed_count++] = input_make(m->graph->tensors[i], b->opts);
    /* parameters hold float values in every variant */
    for (int64_t i = 0; i < m->store->kept_count; i++) {
        fari_kept *kept = &m->store->kept[i];
        double *data = fari_store_data(m->store, kept);
        if (kept->dtype == FAR_F64 && v->is_f64)
            for (int64_t k = 0; k < far_shape_elems(&kept->shape); k++) data[k] = (double)(float)data[k];
    }
    for (size_t i = 0; i < FAR_COUNT(m->ids); i++) m->ids[i] = (int64_t)i * 3 + 1;
}

static void machine_step(machine *m)
{
    const double hyper[64] = { 0.0 };
    const fari_step step = {
        .seed = SEED, .step = 3, .epoch = 1, .sample_ids = m->ids, .hyper = hyper, .feed = m->feed
    };
    FAR_CHECK_OK(fari_executor_step(m->exec, &step));
}

static void machine_close(machine *m)
{
    fari_executor_destroy(m->exec);
    fari_store_destroy(m->store);
    fari_plan_destroy(m->plan);
    m->backend->destroy(m->backend);
    far_graph_destroy(m->graph);
    for (int32_t i = 0; i < m->feed_count; i++) free(m->feed[i]);
}

static double *read_value(const machine *m, far_value value, int64_t *elems_out)
{
    const far_shape shape = far_graph_shape(m->graph, value);
    *elems_out = far_shape_elems(&shape);
    double *data = malloc((size_t)*elems_out * sizeof *data);
    FAR_CHECK_OK(fari_executor_read_f64(m->exec, value, data));
    return data;
}

static void run_variant(const bench *b, const variant *v, result *r)
{
    machine m;
    machine_open(&m, b, v);
    machine_step(&m);
    memset(r, 0, sizeof *r);
    r->forward = read_value(&m, m.y, &r->forward_elems);
    if (m.graph->loss >= 0) {
        int64_t one;
        double *loss = read_value(&m, m.graph->loss, &one);
        r->loss = loss[0];
        free(loss);
    }
    for (int64_t i = 0; i < m.graph->tensor_count && m.graph->loss >= 0; i++) {
        const fari_tensor *t = m.graph->tensors[i];
        if (t->producer >= 0 || t->grad < 0 || strcmp(t->name, "check_weight") == 0) continue;
        r->grad_name[r->grad_count] = strdup(t->name);
        r->grad[r->grad_count] = read_value(&m, t->grad, &r->grad_elems[r->grad_count]);
        r->grad_count++;
    }
    machine_close(&m);
}

static void result_free(result *r)
{
    free(r->forward);
    for (int32_t i = 0; i < r->grad_count; i++) {
        free(r->grad[i]);
        free(r->grad_name[i]);
    }
}

static void compare(const bench *b, const variant *v, const char *what, const double *got, const double *want,
                    int64_t elems, double limit)
{
    double top = 0.0, worst = 0.0;
    int64_t at = -1;
    for (int64_t i = 0; i < elems; i++) top = fmax(top, fabs(want[i]));
    for (int64_t i = 0; i < elems; i++) {
        const double err = fabs(got[i] - want[i]);
        if (!(err <= limit * top + 1e-30) && !(err <= worst)) {
            worst = err;
            at = i;
        }
    }
    FAR_CHECK_MSG(at < 0, "%s, %s: %s[%lld of %lld] is %.9g, want %.9g (limit %.3g of %.3g)", b->label, v->name, what,
                  (long long)at, (long long)elems, at < 0 ? 0.0 : got[at], at < 0 ? 0.0 : want[at], limit, top);
}

static void compare_results(const bench *b, const variant *v, const result *got, const result *want)
{
    const double forward = b->opts->forward_limit > 0.0 ? b->opts->forward_limit : 2e-5;
    const double backward = b->opts->backward_limit > 0.0 ? b->opts->backward_limit : 1e-4;
    compare(b, v, "result", got->forward, want->forward, want->forward_elems, v->is_f64 ? 1e-12 : forward);
    FAR_CHECK_EQ_I64(got->grad_count, want->grad_count);
    for (int32_t i = 0; i < want->grad_count; i++) {
        FAR_CHECK_STR(got->grad_name[i], want->grad_name[i]);
        compare(b, v, want->grad_name[i], got->grad[i], want->grad[i], want->grad_elems[i],
                v->is_f64 ? 1e-10 : backward);
    }
}

/* Central differences of the oracle's loss for up to 24 elements of every parameter and input. */
static void check_differences(const bench *b, const variant *oracle, const result *r)
{
    machine m;
    int64_t checked = 0, missed = 0;
    char first_miss[256] = "";
    double *loss_data;
    int64_t one;
    machine_open(&m, b, oracle);
    /* inputs as f32 cannot hold the small steps: the f64 arena is fed from f32, so steps are powers of two that f32 holds */
    for (int32_t g = 0; g < r->grad_count; g++) {
        double top = 0.0;
        for (int64_t i = 0; i < r->grad_elems[g]; i++) top = fmax(top, fabs(r->grad[g][i]));
        const far_value value = far_graph_find(m.graph, r->grad_name[g]);
        const fari_tensor *t = fari_tensor_of(m.graph, value);
        int32_t ordinal = 0;
        for (far_value i = 0; i < value; i++) ordinal += m.graph->tensors[i]->role == FARI_ROLE_INPUT;
        fari_view view = { .dtype = FAR_F32, .order = t->order, .ndim = t->shape.ndim };
        memcpy(view.dim, t->shape.dim, sizeof view.dim);
        if (t->role == FARI_ROLE_INPUT) {
            view.data = m.feed[ordinal];
        } else {
            view.dtype = FAR_F64;
            view.data = fari_store_data(m.store, fari_store_find(m.store, t->role, t->name));
        }
        const int64_t count = r->grad_elems[g] < 24 ? r->grad_elems[g] : 24;
        for (int64_t k = 0; k < count; k++) {
            const int64_t elem = count == r->grad_elems[g]
                                     ? k
                                     : (int64_t)fari_rng_below(input_key(r->grad_name[g]), (uint64_t)k + 900,
                                                               (uint64_t)r->grad_elems[g]);
            int64_t idx[FAR_NDIM_MAX] = { 0 }, rest = elem;
            for (int32_t i = view.ndim; i-- > 0;) {
                idx[i] = rest % view.dim[i];
                rest /= view.dim[i];
            }
            const double at = fari_view_get(&view, idx), h = 0x1p-11;
            double side[2], x[2];
            for (int32_t s = 0; s < 2; s++) {
                fari_view_set(&view, idx, at + (s == 0 ? h : -h));
                x[s] = fari_view_get(&view, idx);
                machine_step(&m);
                loss_data = read_value(&m, m.graph->loss, &one);
                side[s] = loss_data[0];
                free(loss_data);
            }
            fari_view_set(&view, idx, at);
            const double slope = (side[0] - side[1]) / (x[0] - x[1]), want = r->grad[g][elem];
            checked++;
            if (!(fabs(slope - want) <= 2e-3 * top + 1e-6)) {
                if (missed++ == 0)
                    (void)snprintf(first_miss, sizeof first_miss,
                                   "%s[%lld]: gradient %.9g, central difference %.9g (largest %.3g)", r->grad_name[g],
                                   (long long)elem, want, slope, top);
            }
        }
    }
    machine_close(&m);
    FAR_CHECK_MSG((double)missed <= b->opts->kink_margin * (double)checked,
                  "%s: %lld of %lld central differences miss: %s", b->label, (long long)missed, (long long)checked,
                  first_miss);
}

void op_check_with(const char *label, op_build_fn build, const void *arg, const op_check_opts *opts)
{
    static const variant oracle = {
        "oracle f64", true, true, { .samples = 1 << 20, .rows = 1 << 20, .dense = 1 << 20 }, FARI_EXEC_FORWARD, 1
    };
    static const variant variants[] = {
        { "f64 reference in grains",
          true,
          true,
          { .samples = 1, .rows = 5, .min_rows = 1, .dense = 2 },
          FARI_EXEC_REVERSED,
          1 },
        { "f32 reference",
          false,
          true,
          { .samples = 1 << 20, .rows = 1 << 20, .dense = 1 << 20 },
          FARI_EXEC_FORWARD,
          1 },
        { "cpu, one grain",
          false,
          false,
          { .samples = 1 << 20, .rows = 1 << 20, .dense = 1 << 20 },
          FARI_EXEC_FORWARD,
          1 },
        { "cpu, grains of samples",
          false,
          false,
          { .samples = 2, .rows = 1 << 20, .dense = 3 },
          FARI_EXEC_REVERSED,
          2 },
        { "cpu, grains of rows",
          false,
          false,
          { .samples = 1, .rows = 3, .min_rows = 1, .dense = 1 },
          FARI_EXEC_RANDOM,
          2 },
        { "cpu, grains of many rows",
          false,
          false,
          { .samples = 1, .rows = 7, .min_rows = 2, .dense = 2 },
          FARI_EXEC_FORWARD,
          2 },
    };
    const bench b = { label, build, arg, opts };
    result want, got;
    run_variant(&b, &oracle, &want);
    for (size_t i = 0; i < FAR_COUNT(variants); i++) {
        run_variant(&b, &variants[i], &got);
        compare_results(&b, &variants[i], &got, &want);
        result_free(&got);
    }
    if (!opts->has_no_gradient) check_differences(&b, &oracle, &want);
    result_free(&want);
}

void op_check(const char *label, op_build_fn build, const void *arg)
{
    const op_check_opts opts = { 0 };
    op_check_with(label, build, arg, &opts);
}
