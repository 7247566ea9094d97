/* Optimizers through the whole machine, several steps, against the formulas in double: reference kernels in f64, then the CPU
   backend in f32 with each instruction set, which must agree bit for bit. The loss is sum over parameters of c w^2 / 2 with fixed c,
   so the gradient is c w and changes as w does. */
#include "backends/cpu/isa/kernels_optim.h"
#include "backends/cpu/isa_select.h"
#include "base/rng.h"
#include "graph/graph.h"
#include "ops/optim.h"
#include "run/executor.h"
#include "test.h"
#include <farandole/elementwise.h>
#include <fnmatch.h>

#define STEPS 6
#define SEED 11

/* ---- the parameters ---- */

typedef struct param_row {
    const char *name;
    far_shape shape;
    far_init init, slope;
    bool is_norm, is_bias_norm;
} param_row;

#define UNIFORM(bound) { FAR_INIT_UNIFORM, bound, 0 }

static const param_row params[] = {
    { "fc.weight", { 2, { 130, 151 } }, UNIFORM(1.0), UNIFORM(2.0), false, false }, /* two chunks, the second not full */
    { "fc.bias", { 1, { 7 } }, UNIFORM(0.5), UNIFORM(1.0), false, true },
    { "bn.weight", { 1, { 5 } }, { FAR_INIT_CONST, 1.0, 0 }, UNIFORM(1.0), true, true },
    { "bn.bias", { 1, { 5 } }, UNIFORM(0.1), UNIFORM(1.0), true, true },
    { "zero.weight", { 2, { 3, 3 } }, { FAR_INIT_ZERO, 0.0, 0 }, UNIFORM(1.0), false, false }, /* norm of w, and of g, 0 */
    { "idle.weight", { 2, { 2, 9 } }, UNIFORM(1.0), { FAR_INIT_ZERO, 0.0, 0 }, false, false }, /* norm of g 0 */
    { "one.weight", { 2, { 1, 1 } }, { FAR_INIT_CONST, 0.7, 0 }, { FAR_INIT_CONST, 1.3, 0 }, false, false },
    /* more of them than one sum takes */
    { "a.weight", { 2, { 2, 3 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
    { "b.weight", { 2, { 3, 2 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
    { "c.weight", { 4, { 2, 3, 3, 3 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
    { "d.weight", { 2, { 5, 1 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
    { "e.weight", { 2, { 1, 5 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
    { "f.weight", { 2, { 4, 4 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
    { "g.weight", { 2, { 4, 3 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
    { "h.weight", { 2, { 3, 4 } }, UNIFORM(1.0), UNIFORM(1.0), false, false },
};
#define PARAMS ((int)FAR_COUNT(params))

static void name_of_slope(const char *param, char name[64])
{
    (void)snprintf(name, 64, "%s.slope", param);
}

static far_graph *graph_make(const far_optim_opts *opts)
{
    far_graph *graph = NULL;
    far_value loss = FAR_NO_VALUE;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    for (int i = 0; i < PARAMS; i++) {
        char name[64];
        name_of_slope(params[i].name, name);
        const far_value w = far_graph_param(graph, params[i].name, &params[i].shape, params[i].init);
        const far_value c = far_graph_state(graph, name, &params[i].shape, params[i].slope);
        const far_value y = far_mul(graph, "y", far_square(graph, "sq", w), c);
        const far_value term = far_reduce_all(graph, "term", far_scale_shift(graph, "half", y, 0.5, 0.0));
        loss = i == 0 ? term : far_add(graph, "loss", loss, term);
    }
    FAR_CHECK_OK(far_graph_status(graph));
    FAR_CHECK_OK(far_optim_freeze(graph, opts));
    FAR_CHECK_OK(far_graph_backward(graph, loss));
    FAR_CHECK_OK(far_optim_apply(graph, opts));
    return graph;
}

static double lr_at(int64_t step)
{
    return 0.2 / (1.0 + 0.4 * (double)step);
}

/* ---- the machine ---- */

typedef struct weights {
    double *w[PARAMS], *ema[PARAMS];
} weights;

static double *read_kept(const fari_store *store, fari_role role, const char *name)
{
    const fari_kept *kept = fari_store_find(store, role, name);
    if (kept == NULL) return NULL;
    const int64_t elems = far_shape_elems(&kept->shape);
    const fari_view view = { .data = fari_store_data(store, kept), .dtype = kept->dtype, .ndim = 1, .dim = { elems } };
    double *data = malloc((size_t)elems * sizeof *data);
    for (int64_t k = 0; k < elems; k++) data[k] = fari_view_get_flat(&view, k);
    return data;
}

/* Parameters hold float values in every run. */
static void round_to_float(fari_store *store)
{
    for (int64_t i = 0; i < store->kept_count; i++) {
        double *data = fari_store_data(store, &store->kept[i]);
        for (int64_t k = 0; store->kept[i].dtype == FAR_F64 && k < far_shape_elems(&store->kept[i].shape); k++)
            data[k] = (double)(float)data[k];
    }
}

/* Trains; `slopes` and `start` receive what the formulas need, where not NULL. */
static void machine_run(const far_optim_opts *opts, const char *isa, bool is_f64, weights *end, weights *start)
{
    far_graph *graph = graph_make(opts);
    fari_backend *backend = NULL;
    fari_plan *plan = NULL;
    fari_store *store = NULL;
    fari_executor *exec = NULL;
    const fari_exec_opts exec_opts = { .order = FARI_EXEC_RANDOM, .order_seed = 3 };
    FAR_CHECK_OK(is_f64 ? fari_backend_reference_create(&backend) : fari_backend_cpu_create(isa, &backend));
    const fari_plan_opts plan_opts = { .threads = 2, .is_reference_f64 = is_f64, .backend = backend };
    FAR_CHECK_OK(fari_plan_create(graph, &plan_opts, &plan));
    FAR_CHECK_OK(fari_store_create(graph, is_f64, SEED, &store));
    round_to_float(store);
    FAR_CHECK_OK(fari_executor_create(plan, store, &exec_opts, &exec));
    for (int i = 0; i < PARAMS && start != NULL; i++) {
        char name[64];
        name_of_slope(params[i].name, name);
        start->w[i] = read_kept(store, FARI_ROLE_PARAM, params[i].name);
        start->ema[i] = read_kept(store, FARI_ROLE_STATE, name); /* the slopes */
    }
    for (int64_t t = 0; t < STEPS; t++) {
        double hyper[16 * FAR_HYPER_COUNT];
        far_optim_hyper(opts, t, lr_at(t), t > 0 ? lr_at(t - 1) : lr_at(t), hyper);
        const fari_step step = { .seed = SEED, .step = t, .hyper = hyper };
        FAR_CHECK_OK(fari_executor_step(exec, &step));
    }
    for (int i = 0; i < PARAMS; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s.ema", params[i].name);
        end->w[i] = read_kept(store, FARI_ROLE_PARAM, params[i].name);
        end->ema[i] = read_kept(store, FARI_ROLE_OPT_STATE, name);
    }
    fari_executor_destroy(exec);
    fari_store_destroy(store);
    fari_plan_destroy(plan);
    backend->destroy(backend);
    far_graph_destroy(graph);
}

static void weights_free(weights *w)
{
    for (int i = 0; i < PARAMS; i++) {
        free(w->w[i]);
        free(w->ema[i]);
    }
}

/* ---- the formulas, written down once more ---- */

typedef struct model {
    int64_t elems;
    double *w, *c, *g;
    double *v, *m, *s, *a; /* momentum, first moment, second moment, mean gradient */
    double *ema;
    double decay, lr_scale;
    bool is_frozen, is_excluded;
} model;

typedef void (*formula_fn)(const far_optim_opts *o, model *p, int64_t t, double lr, double lr_last);

static double norm(const double *x, int64_t elems)
{
    double sum = 0.0;
    for (int64_t k = 0; k < elems; k++) sum += x[k] * x[k];
    return sqrt(sum);
}

static void formula_sgd(const far_optim_opts *o, model *p, int64_t t, double lr, double lr_last)
{
    (void)lr_last;
    for (int64_t k = 0; k < p->elems; k++) {
        double d = p->g[k] + p->decay * p->w[k];
        if (o->momentum != 0.0) {
            p->v[k] = t == 1 ? d : o->momentum * p->v[k] + (1.0 - o->dampening) * d;
            d = o->nesterov ? d + o->momentum * p->v[k] : p->v[k];
        }
        p->w[k] -= lr * d;
    }
}

static double beta_of(const far_optim_opts *o, int i)
{
    return o->betas[i] != 0.0 ? o->betas[i] : i == 0 ? 0.9 : 0.999;
}

static void formula_adam(const far_optim_opts *o, model *p, int64_t t, double lr, double lr_last)
{
    const double b1 = beta_of(o, 0), b2 = beta_of(o, 1), eps = o->eps != 0.0 ? o->eps : 1e-8;
    const bool is_w = strcmp(o->name, "adamw") == 0;
    (void)lr_last;
    for (int64_t k = 0; k < p->elems; k++) {
        double g = p->g[k];
        if (is_w) p->w[k] -= lr * p->decay * p->w[k];
        else g += p->decay * p->w[k];
        p->m[k] = b1 * p->m[k] + (1.0 - b1) * g;
        p->s[k] = b2 * p->s[k] + (1.0 - b2) * g * g;
        const double m_hat = p->m[k] / (1.0 - pow(b1, (double)t)), s_hat = p->s[k] / (1.0 - pow(b2, (double)t));
        p->w[k] -= lr * m_hat / (sqrt(s_hat) + eps);
    }
}

static void formula_rmsprop(const far_optim_opts *o, model *p, int64_t t, double lr, double lr_last)
{
    const double alpha = o->alpha != 0.0 ? o->alpha : 0.99, eps = o->eps != 0.0 ? o->eps : 1e-8;
    (void)t, (void)lr_last;
    for (int64_t k = 0; k < p->elems; k++) {
        const double g = p->g[k] + p->decay * p->w[k];
        p->s[k] = alpha * p->s[k] + (1.0 - alpha) * g * g;
        p->a[k] = alpha * p->a[k] + (1.0 - alpha) * g;
        const double step = g / (sqrt(o->centered ? p->s[k] - p->a[k] * p->a[k] : p->s[k]) + eps);
        p->v[k] = o->momentum * p->v[k] + step;
        p->w[k] -= lr * (o->momentum != 0.0 ? p->v[k] : step);
    }
}

/* One branch a form, as its own code reads. */
static void formula_lars(const far_optim_opts *o, model *p, int64_t t, double lr, double lr_last)
{
    const char *form = o->form == NULL ? "you" : o->form;
    const double m = o->momentum > 0.0 ? o->momentum : o->momentum < 0.0 ? 0.0 : 0.9, eta = o->trust != 0.0 ? o->trust : 0.001;
    const bool is_timm = strcmp(form, "timm") == 0, is_solo = strcmp(form, "solo") == 0, is_dino = strcmp(form, "dino") == 0;
    const bool is_larc = strncmp(form, "nvcaffe", 7) == 0, is_inside = o->lr_place == FAR_LR_BY_FORM
                                                                           ? !is_timm && !is_solo && !is_dino
                                                                           : o->lr_place == FAR_LR_INSIDE;
    const double w_norm = norm(p->w, p->elems), g_norm = norm(p->g, p->elems);
    double decay = p->decay, rate = 1.0;
    if (p->is_excluded) {
        decay = 0.0;
    } else if (is_timm) {
        if (decay != 0.0 || o->always_adapt) {
            if (w_norm > 0.0 && g_norm > 0.0) rate = eta * w_norm / (g_norm + decay * w_norm + 1e-8);
            if (o->trust_clip) rate = fmin(rate / lr, 1.0);
        }
    } else if (is_solo) {
        if (w_norm != 0.0 && g_norm != 0.0) {
            rate = eta * w_norm / (g_norm + decay * w_norm + 1e-8);
            if (o->trust_clip) rate = fmin(rate / lr, 1.0);
        } else {
            decay = 0.0;
        }
    } else if (is_dino) {
        double sum = 0.0;
        for (int64_t k = 0; k < p->elems; k++) sum += (p->g[k] + decay * p->w[k]) * (p->g[k] + decay * p->w[k]);
        if (w_norm > 0.0 && sum > 0.0) rate = eta * w_norm / sqrt(sum);
    } else if (is_larc) {
        if (w_norm > 0.0 && g_norm > 0.0) rate = (1.0 - m) * eta * w_norm / g_norm;
        if (strcmp(form, "nvcaffe_larc_clip") == 0) rate = fmin(lr, rate) / lr;
    } else if (w_norm > 0.0 && g_norm > 0.0) {
        rate = eta * w_norm / (g_norm + decay * w_norm + (strcmp(form, "mlperf") == 0 ? 1e-7 : 0.0));
    }
    for (int64_t k = 0; k < p->elems; k++) {
        const double u = rate * (p->g[k] + decay * p->w[k]);
        if (is_inside) {
            const double m_now = m * (o->momentum_correction && t > 1 ? lr / lr_last : 1.0);
            p->v[k] = m_now * p->v[k] + lr * u;
            p->w[k] -= o->nesterov ? m_now * p->v[k] + lr * u : p->v[k];
        } else {
            p->v[k] = t == 1 || m == 0.0 ? u : m * p->v[k] + (1.0 - o->dampening) * u;
            p->w[k] -= lr * (o->nesterov ? u + m * p->v[k] : p->v[k]);
        }
    }
}

static void formula_lamb(const far_optim_opts *o, model *p, int64_t t, double lr, double lr_last)
{
    const bool is_author = o->form == NULL || strcmp(o->form, "author") == 0;
    const double b1 = beta_of(o, 0), b2 = beta_of(o, 1), eps = o->eps != 0.0 ? o->eps : 1e-6;
    const double c1 = is_author ? 1.0 : 1.0 - pow(b1, (double)t), c2 = is_author ? 1.0 : 1.0 - pow(b2, (double)t);
    const double decay = p->is_excluded ? 0.0 : p->decay;
    double *u = malloc((size_t)p->elems * sizeof *u), ratio = 1.0;
    (void)lr_last;
    for (int64_t k = 0; k < p->elems; k++) {
        p->m[k] = b1 * p->m[k] + (1.0 - b1) * p->g[k];
        p->s[k] = b2 * p->s[k] + (1.0 - b2) * p->g[k] * p->g[k];
        u[k] = p->m[k] / c1 / (sqrt(p->s[k]) / sqrt(c2) + eps) + decay * p->w[k];
    }
    const double w_norm = norm(p->w, p->elems), u_norm = norm(u, p->elems);
    const bool adapts = !p->is_excluded && (is_author || decay != 0.0 || o->always_adapt);
    if (adapts && w_norm > 0.0 && u_norm > 0.0) ratio = w_norm / u_norm;
    if (o->trust_clip) ratio = fmin(ratio, 1.0);
    for (int64_t k = 0; k < p->elems; k++) p->w[k] -= lr * ratio * u[k];
    free(u);
}

static void scale(model *p, double factor)
{
    for (int64_t k = 0; k < p->elems; k++) p->g[k] *= factor;
}

static void clip_gradients(const far_optim_opts *o, model *models)
{
    const bool is_lamb = strcmp(o->name, "lamb") == 0;
    double max_norm = o->clip_norm, total = 0.0;
    if (is_lamb && o->form != NULL && strcmp(o->form, "author") != 0 && max_norm == 0.0 && o->clip_tensor_norm == 0.0) max_norm = 1.0;
    for (int i = 0; i < PARAMS; i++) {
        const double each = norm(models[i].g, models[i].elems);
        if (!models[i].is_frozen) total += each * each;
        if (o->clip_tensor_norm > 0.0) scale(&models[i], fmin(1.0, o->clip_tensor_norm / (each + (is_lamb ? 0.0 : 1e-6))));
    }
    for (int i = 0; i < PARAMS; i++) {
        if (max_norm > 0.0) scale(&models[i], fmin(1.0, max_norm / (sqrt(total) + (is_lamb ? 0.0 : 1e-6))));
        for (int64_t k = 0; o->clip_value > 0.0 && k < models[i].elems; k++)
            models[i].g[k] = fmax(-o->clip_value, fmin(o->clip_value, models[i].g[k]));
    }
}

static bool is_excluded(const far_optim_opts *o, const param_row *row)
{
    const char *form = o->form == NULL ? "" : o->form;
    far_exclude exclude = o->exclude;
    if (strcmp(o->name, "lars") != 0 && strcmp(o->name, "lamb") != 0) return false;
    if (exclude == FAR_EXCLUDE_BY_FORM && (strcmp(form, "mlperf") == 0 || strcmp(form, "dino") == 0 || strcmp(form, "solo") == 0))
        exclude = FAR_EXCLUDE_BIAS_NORM;
    if (exclude == FAR_EXCLUDE_BY_FORM && strcmp(o->name, "lamb") == 0 && (form[0] == '\0' || strcmp(form, "author") == 0))
        exclude = FAR_EXCLUDE_NORM;
    return (exclude == FAR_EXCLUDE_NORM && row->is_norm) || (exclude == FAR_EXCLUDE_BIAS_NORM && row->is_bias_norm);
}

static double *copy_of(const double *from, int64_t elems)
{
    double *to = calloc((size_t)elems, sizeof *to);
    if (from != NULL) memcpy(to, from, (size_t)elems * sizeof *to);
    return to;
}

static model model_make(const far_optim_opts *o, int i, const weights *start)
{
    const int64_t n = far_shape_elems(&params[i].shape);
    model p = { .elems = n, .w = copy_of(start->w[i], n), .c = copy_of(start->ema[i], n), .g = copy_of(NULL, n), .v = copy_of(NULL, n),
                .m = copy_of(NULL, n), .s = copy_of(NULL, n), .a = copy_of(NULL, n), .ema = copy_of(start->w[i], n), .lr_scale = 1.0 };
    p.decay = o->weight_decay > 0.0 ? o->weight_decay : o->weight_decay == 0.0 && strcmp(o->name, "adamw") == 0 ? 0.01 : 0.0;
    p.is_excluded = is_excluded(o, &params[i]);
    for (int32_t g = o->group_count; g-- > 0;) {
        if (fnmatch(o->groups[g].patterns, params[i].name, 0) != 0) continue; /* the tests give one pattern a group */
        p.lr_scale = o->groups[g].lr_scale > 0.0 ? o->groups[g].lr_scale : 1.0;
        if (o->groups[g].weight_decay != 0.0) p.decay = fmax(o->groups[g].weight_decay, 0.0);
        p.is_frozen = o->groups[g].is_frozen;
    }
    if (o->no_decay_bias_norm && params[i].is_bias_norm) p.decay = 0.0;
    return p;
}

static void model_free(model *p)
{
    double *all[] = { p->c, p->g, p->v, p->m, p->s, p->a };
    for (size_t i = 0; i < FAR_COUNT(all); i++) free(all[i]);
}

static void formula_run(const far_optim_opts *o, formula_fn formula, const weights *start, weights *end)
{
    model models[PARAMS];
    for (int i = 0; i < PARAMS; i++) models[i] = model_make(o, i, start);
    for (int64_t t = 1; t <= STEPS; t++) {
        const double lr = lr_at(t - 1), lr_last = lr_at(t > 1 ? t - 2 : 0);
        for (int i = 0; i < PARAMS; i++)
            for (int64_t k = 0; k < models[i].elems; k++) models[i].g[k] = models[i].c[k] * models[i].w[k];
        clip_gradients(o, models);
        for (int i = 0; i < PARAMS; i++) {
            model *p = &models[i];
            if (p->is_frozen) continue;
            formula(o, p, t, lr * p->lr_scale, lr_last * p->lr_scale);
            for (int64_t k = 0; k < p->elems; k++) p->ema[k] = o->ema_decay * p->ema[k] + (1.0 - o->ema_decay) * p->w[k];
        }
    }
    for (int i = 0; i < PARAMS; i++) {
        end->w[i] = models[i].w;
        end->ema[i] = models[i].ema;
        model_free(&models[i]);
    }
}

/* ---- comparison ---- */

static void compare(const char *label, const char *run, int i, const double *got, const double *want, double limit)
{
    const int64_t elems = far_shape_elems(&params[i].shape);
    double top = 0.0;
    for (int64_t k = 0; k < elems; k++) top = fmax(top, fabs(want[k]));
    for (int64_t k = 0; k < elems; k++)
        FAR_CHECK_MSG(fabs(got[k] - want[k]) <= limit * top + 1e-30, "%s, %s: %s[%lld] is %.12g, want %.12g", label, run,
                      params[i].name, (long long)k, got[k], want[k]);
}

static void compare_all(const char *label, const char *run, const far_optim_opts *o, const weights *got, const weights *want, double limit)
{
    for (int i = 0; i < PARAMS; i++) {
        compare(label, run, i, got->w[i], want->w[i], limit);
        if (o->ema_decay > 0.0 && got->ema[i] != NULL) compare(label, run, i, got->ema[i], want->ema[i], limit);
    }
}

static void check(const char *label, const far_optim_opts *o, formula_fn formula)
{
    static const char *const isas[] = { "base", "avx2", "avx512" };
    weights start, want, reference, fast[3];
    machine_run(o, NULL, true, &reference, &start);
    formula_run(o, formula, &start, &want);
    compare_all(label, "f64", o, &reference, &want, 1e-12);
    for (size_t i = 0; i < FAR_COUNT(isas); i++) {
        machine_run(o, isas[i], false, &fast[i], NULL);
        compare_all(label, isas[i], o, &fast[i], &want, 3e-6 * STEPS);
        compare_all(label, "instruction sets agree", o, &fast[i], &fast[0], 0.0);
    }
    for (size_t i = 0; i < FAR_COUNT(isas); i++) weights_free(&fast[i]);
    weights_free(&start);
    weights_free(&want);
    weights_free(&reference);
}

typedef struct optim_case {
    const char *label;
    far_optim_opts opts;
} optim_case;

static void check_cases(const optim_case *cases, size_t count, formula_fn formula)
{
    for (size_t i = 0; i < count; i++) check(cases[i].label, &cases[i].opts, formula);
}

/* ---- the tests ---- */

FAR_TEST(sgd_matches_its_formula)
{
    static const optim_case cases[] = {
        { "plain", { .name = "sgd" } },
        { "decay", { .name = "sgd", .weight_decay = 0.1 } },
        { "momentum", { .name = "sgd", .momentum = 0.9 } },
        { "dampening", { .name = "sgd", .momentum = 0.9, .dampening = 0.3, .weight_decay = 0.1 } },
        { "nesterov", { .name = "sgd", .momentum = 0.8, .nesterov = true, .weight_decay = 0.1, .no_decay_bias_norm = true } },
    };
    check_cases(cases, FAR_COUNT(cases), formula_sgd);
}

FAR_TEST(adam_matches_its_formula)
{
    static const optim_case cases[] = {
        { "adam", { .name = "adam" } },
        { "adam, decay", { .name = "adam", .weight_decay = 0.1, .betas = { 0.8, 0.9 }, .eps = 1e-6 } },
        { "adamw", { .name = "adamw" } },
        { "adamw, decay", { .name = "adamw", .weight_decay = 0.3, .no_decay_bias_norm = true } },
        { "adamw, no decay", { .name = "adamw", .weight_decay = FAR_OPTIM_ZERO } },
    };
    check_cases(cases, FAR_COUNT(cases), formula_adam);
}

FAR_TEST(rmsprop_matches_its_formula)
{
    static const optim_case cases[] = {
        { "plain", { .name = "rmsprop", .eps = 1e-4 } },
        { "momentum", { .name = "rmsprop", .momentum = 0.9, .weight_decay = 0.1, .alpha = 0.9, .eps = 1e-4 } },
        { "centered", { .name = "rmsprop", .centered = true, .alpha = 0.9, .eps = 1e-2 } },
        { "both", { .name = "rmsprop", .centered = true, .alpha = 0.9, .momentum = 0.5, .eps = 1e-2 } },
    };
    check_cases(cases, FAR_COUNT(cases), formula_rmsprop);
}

FAR_TEST(lars_matches_the_formula_of_every_form)
{
    static const optim_case cases[] = {
        { "you", { .name = "lars", .weight_decay = 0.05, .trust = 0.3 } },
        { "you, default trust", { .name = "lars", .form = "you" } },
        { "you, corrected", { .name = "lars", .weight_decay = 0.05, .trust = 0.3, .momentum_correction = true } },
        { "you, nesterov", { .name = "lars", .weight_decay = 0.05, .trust = 0.3, .nesterov = true } },
        { "you, outside", { .name = "lars", .weight_decay = 0.05, .trust = 0.3, .lr_place = FAR_LR_OUTSIDE, .dampening = 0.2 } },
        { "you, norms excluded", { .name = "lars", .weight_decay = 0.05, .trust = 0.3, .exclude = FAR_EXCLUDE_NORM } },
        { "you, no momentum", { .name = "lars", .weight_decay = 0.05, .trust = 0.3, .momentum = FAR_OPTIM_ZERO } },
        { "larc, scale", { .name = "lars", .form = "nvcaffe_larc_scale", .weight_decay = 0.05, .trust = 3.0, .momentum = 0.8 } },
        { "larc, clip", { .name = "lars", .form = "nvcaffe_larc_clip", .weight_decay = 0.05, .trust = 0.9, .momentum = 0.8 } },
        { "larc, always clipped", { .name = "lars", .form = "nvcaffe_larc_clip", .weight_decay = 0.05, .trust = 90.0 } },
        { "mlperf", { .name = "lars", .form = "mlperf", .weight_decay = 0.05, .trust = 0.3 } },
        { "mlperf, nesterov, all", { .name = "lars", .form = "mlperf", .trust = 0.3, .nesterov = true, .exclude = FAR_EXCLUDE_NONE } },
        { "timm", { .name = "lars", .form = "timm", .weight_decay = 0.05, .trust = 0.3 } },
        { "timm, no decay", { .name = "lars", .form = "timm", .trust = 0.3, .dampening = 0.1 } },
        { "timm, always, clip", { .name = "lars", .form = "timm", .trust = 0.3, .always_adapt = true, .trust_clip = true } },
        { "timm, biases apart", { .name = "lars", .form = "timm", .weight_decay = 0.05, .trust = 0.3, .no_decay_bias_norm = true } },
        { "timm, nesterov", { .name = "lars", .form = "timm", .weight_decay = 0.05, .trust = 0.3, .nesterov = true } },
        { "dino", { .name = "lars", .form = "dino", .weight_decay = 0.05, .trust = 0.3 } },
        { "dino, inside", { .name = "lars", .form = "dino", .weight_decay = 0.05, .trust = 0.3, .lr_place = FAR_LR_INSIDE } },
        { "solo", { .name = "lars", .form = "solo", .weight_decay = 0.05, .trust = 0.3 } },
        { "solo, clip", { .name = "lars", .form = "solo", .weight_decay = 0.05, .trust = 0.3, .trust_clip = true } },
    };
    check_cases(cases, FAR_COUNT(cases), formula_lars);
}

FAR_TEST(lamb_matches_the_formula_of_every_form)
{
    static const optim_case cases[] = {
        { "author", { .name = "lamb", .weight_decay = 0.1 } },
        { "author, no decay", { .name = "lamb", .form = "author" } },
        { "author, clip", { .name = "lamb", .weight_decay = 0.1, .trust_clip = true, .clip_norm = 3.0 } },
        { "nvlamb", { .name = "lamb", .form = "nvlamb", .weight_decay = 0.1 } },
        { "timm", { .name = "lamb", .form = "timm", .weight_decay = 0.1, .betas = { 0.66, 0.998 }, .no_decay_bias_norm = true } },
        { "timm, always", { .name = "lamb", .form = "timm", .always_adapt = true, .trust_clip = true } },
        { "timm, not clipped", { .name = "lamb", .form = "timm", .weight_decay = 0.1, .clip_norm = FAR_OPTIM_ZERO } },
        { "timm, biases excluded", { .name = "lamb", .form = "timm", .weight_decay = 0.1, .exclude = FAR_EXCLUDE_BIAS_NORM } },
    };
    check_cases(cases, FAR_COUNT(cases), formula_lamb);
}

FAR_TEST(clipping_averages_and_groups_match_their_formulas)
{
    static const far_param_group groups[] = {
        { .patterns = "fc.*", .lr_scale = 0.5, .weight_decay = 0.2 },
        { .patterns = "one.weight", .is_frozen = true },
        { .patterns = "*.bias", .weight_decay = FAR_OPTIM_ZERO },
    };
    static const optim_case cases[] = {
        { "norm", { .name = "sgd", .clip_norm = 2.0 } },
        { "norm, large enough", { .name = "sgd", .clip_norm = 1e6, .momentum = 0.9 } },
        { "norm of each tensor", { .name = "sgd", .clip_tensor_norm = 0.5, .momentum = 0.9, .weight_decay = 0.1 } },
        { "value", { .name = "sgd", .clip_value = 0.05 } },
        { "norm, then value", { .name = "sgd", .clip_norm = 2.0, .clip_value = 0.01, .momentum = 0.9 } },
        { "average", { .name = "sgd", .ema_decay = 0.9 } },
        { "groups", { .name = "sgd", .momentum = 0.9, .weight_decay = 0.1, .group_count = 3, .groups = groups } },
        { "groups, clipped", { .name = "sgd", .clip_norm = 2.0, .group_count = 3, .groups = groups, .ema_decay = 0.5 } },
    };
    check_cases(cases, FAR_COUNT(cases), formula_sgd);
    const far_optim_opts adam = { .name = "adam", .clip_norm = 1.0, .clip_value = 0.02, .ema_decay = 0.99 };
    check("adam, clipped", &adam, formula_adam);
    const far_optim_opts rmsprop = { .name = "rmsprop", .clip_tensor_norm = 1.0, .eps = 1e-3, .centered = true, .momentum = 0.5 };
    check("rmsprop, clipped", &rmsprop, formula_rmsprop);
    const far_optim_opts lars = { .name = "lars", .form = "dino", .clip_tensor_norm = 0.3, .weight_decay = 0.1, .trust = 0.5 };
    check("lars, clipped", &lars, formula_lars);
    const far_optim_opts lamb = { .name = "lamb", .clip_tensor_norm = 0.3, .weight_decay = 0.1, .clip_value = 0.05 };
    check("lamb, clipped", &lamb, formula_lamb);
}

/* ---- norms over several chunks in one call, as of tensors of more than a million elements ---- */

#define NORM_ELEMS (3 * (int64_t)FARI_CHUNK_ELEMS + 77)

#if defined(FARI_ISA_X86)
#define KERNELS(name) { fari_##name##_base, fari_##name##_avx2, fari_##name##_avx512 }
#else
#define KERNELS(name) { fari_##name##_base, fari_##name##_base, fari_##name##_base }
#endif

static fari_view flat_view(void *data, far_dtype dtype, int64_t elems)
{
    return (fari_view){ .data = data, .dtype = dtype, .ndim = 1, .dim = { elems }, .rows_total = 1 };
}

/* The op's reference and its kernels, setting and then accumulating; `sums` numbers come out. */
static void check_norm(const char *label, const fari_op *op, const void *attr, int32_t in_count, int32_t sums,
                       const fari_kernel_fn kernels[FARI_ISA_COUNT])
{
    float *data[3];
    double hyper[FAR_HYPER_COUNT], want[2], got[FARI_ISA_COUNT][2];
    fari_isa best = FARI_ISA_BASE;
    const far_optim_opts opts = { 0 };
    far_optim_hyper(&opts, 2, 0.1, 0.1, hyper);
    const fari_step step = { .hyper = hyper };
    const fari_node node = { .op = op };
    fari_call call = { .node = &node, .attr = attr, .in_count = in_count, .out_count = 1, .step = &step };
    for (int32_t i = 0; i < in_count; i++) {
        data[i] = malloc((size_t)NORM_ELEMS * sizeof(float));
        for (int64_t k = 0; k < NORM_ELEMS; k++) data[i][k] = fari_rng_unit(fari_rng_key(SEED, 1, 2, (uint64_t)i), (uint64_t)k);
        call.in[i] = flat_view(data[i], FAR_F32, NORM_ELEMS);
    }
    FAR_CHECK_OK(fari_isa_select(NULL, &best));
    for (int32_t pass = 0; pass < 2; pass++) {
        call.accumulate = pass == 1;
        call.out[0] = flat_view(want, FAR_F64, sums);
        FAR_CHECK_OK(op->reference(&call));
        for (int32_t isa = 0; isa <= (int32_t)best; isa++) {
            call.out[0] = flat_view(got[isa], FAR_F64, sums);
            FAR_CHECK_OK(kernels[isa](&call));
            for (int32_t i = 0; i < sums; i++) {
                FAR_CHECK_MSG(fabs(got[isa][i] - want[i]) <= 1e-6 * want[i], "%s: %.12g, want %.12g", label, got[isa][i], want[i]);
                FAR_CHECK_MSG(got[isa][i] == got[0][i], "%s: instruction sets differ", label);
            }
        }
    }
    for (int32_t i = 0; i < in_count; i++) free(data[i]);
}

FAR_TEST(norms_of_several_chunks)
{
    static const fari_kernel_fn sumsq[] = KERNELS(sumsq), norms[] = KERNELS(norms), lamb_norms[] = KERNELS(lamb_norms);
    const fari_norms_attr norms_attr = { .common = { .weight_decay = 0.3, .clip_value = 0.9 }, .with_decay = true };
    const fari_lamb_attr lamb_attr = { .common = { .weight_decay = 0.3 }, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .bias_correction = true };
    check_norm("sumsq", &fari_op_sumsq, NULL, 1, 1, sumsq);
    check_norm("norms", &fari_op_norms, &norms_attr, 2, 2, norms);
    check_norm("lamb_norms", &fari_op_lamb_norms, &lamb_attr, 3, 2, lamb_norms);
}

FAR_TEST(states_have_the_names_of_pytorch)
{
    static const struct {
        far_optim_opts opts;
        const char *state;
        bool is_there;
    } cases[] = {
        { { .name = "sgd" }, "fc.weight.momentum_buffer", false },
        { { .name = "sgd", .momentum = 0.9 }, "fc.weight.momentum_buffer", true },
        { { .name = "adam" }, "bn.bias.exp_avg", true },
        { { .name = "adam" }, "bn.bias.exp_avg_sq", true },
        { { .name = "rmsprop" }, "fc.bias.square_avg", true },
        { { .name = "rmsprop" }, "fc.bias.grad_avg", false },
        { { .name = "rmsprop", .centered = true }, "fc.bias.grad_avg", true },
        { { .name = "sgd", .ema_decay = 0.9 }, "fc.weight.ema", true },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        far_graph *graph = graph_make(&cases[i].opts);
        FAR_CHECK_MSG((far_graph_find(graph, cases[i].state) >= 0) == cases[i].is_there, "%s", cases[i].state);
        far_graph_destroy(graph);
    }
}

static void expect_refused(const far_optim_opts *opts, far_status want, const char *words)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value w = far_graph_param(graph, "w", &(far_shape){ 1, { 3 } }, (far_init){ FAR_INIT_CONST, 1.0, 0 });
    FAR_CHECK_OK(far_graph_backward(graph, far_reduce_all(graph, "loss", w)));
    FAR_CHECK_STATUS(far_optim_apply(graph, opts), want);
    FAR_CHECK_HAS(far_error_message(), words);
    FAR_CHECK_STATUS(far_graph_status(graph), want);
    far_graph_destroy(graph);
}

FAR_TEST(wrong_options_are_refused)
{
    static const far_param_group nobody = { .patterns = "head.*" };
    expect_refused(&(far_optim_opts){ .name = "adagrad" }, FAR_E_CONFIG, "adagrad");
    expect_refused(&(far_optim_opts){ .name = "lars", .form = "apex" }, FAR_E_CONFIG, "apex");
    expect_refused(&(far_optim_opts){ .name = "lamb", .form = "you" }, FAR_E_CONFIG, "you");
    expect_refused(&(far_optim_opts){ .name = "adam", .momentum = 0.9 }, FAR_E_CONFIG, "momentum");
    expect_refused(&(far_optim_opts){ .name = "sgd", .betas = { 0.9, 0.9 } }, FAR_E_CONFIG, "betas");
    expect_refused(&(far_optim_opts){ .name = "sgd", .form = "you" }, FAR_E_CONFIG, "form");
    expect_refused(&(far_optim_opts){ .name = "lamb", .trust = 0.1 }, FAR_E_CONFIG, "trust");
    expect_refused(&(far_optim_opts){ .name = "sgd", .nesterov = true }, FAR_E_ARG, "Nesterov");
    expect_refused(&(far_optim_opts){ .name = "sgd", .momentum = 1.5 }, FAR_E_ARG, "momentum");
    expect_refused(&(far_optim_opts){ .name = "sgd", .weight_decay = NAN }, FAR_E_ARG, "weight_decay");
    expect_refused(&(far_optim_opts){ .name = "sgd", .clip_norm = 1.0, .clip_tensor_norm = 1.0 }, FAR_E_ARG, "clip_norm");
    expect_refused(&(far_optim_opts){ .name = "lars", .dampening = 0.1 }, FAR_E_CONFIG, "dampening");
    expect_refused(&(far_optim_opts){ .name = "sgd", .group_count = 1, .groups = &nobody }, FAR_E_NOTFOUND, "head.*");
}

FAR_TEST(every_optimizer_describes_itself)
{
    int32_t count = 0;
    const char *sentence = NULL;
    while (far_optim_describe(count, &sentence) != NULL) {
        FAR_CHECK(strlen(sentence) > 10);
        count++;
    }
    FAR_CHECK_EQ_I64(count, 6);
    FAR_CHECK(far_optim_describe(-1, NULL) == NULL);
}

FAR_TEST(patterns_may_be_lists)
{
    static const far_param_group both = { .patterns = "nothing.*, bn.* ,fc.bias", .is_frozen = true };
    const far_optim_opts opts = { .name = "sgd", .group_count = 1, .groups = &both };
    far_graph *graph = graph_make(&opts);
    FAR_CHECK(far_graph_gradient(graph, far_graph_find(graph, "bn.weight")) < 0);
    FAR_CHECK(far_graph_gradient(graph, far_graph_find(graph, "fc.bias")) < 0);
    FAR_CHECK(far_graph_gradient(graph, far_graph_find(graph, "fc.weight")) >= 0);
    far_graph_destroy(graph);
}
