/* Optimizers through the whole machine, several steps, against the formulas in double: reference kernels in f64, then the CPU
   backend in f32 with each instruction set, which must agree bit for bit. */
#include "backends/cpu/isa/kernels_optim.h"
#include "backends/cpu/isa_select.h"
#include "base/rng.h"
#include "graph/graph.h"
#include "ops/optim.h"
#include "run/executor.h"
#include "support/optim_problem.h"
#include "test.h"

#define SEED 11

/* ---- the machine ---- */

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

/* Trains; `start`, where not NULL, receives what the formulas need. */
static void machine_run(const far_optim_opts *opts, const char *isa, bool is_f64, optim_numbers *end,
                        optim_numbers *start)
{
    far_graph *graph = optim_problem_make(opts);
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
    for (int i = 0; i < OPTIM_PARAMS && start != NULL; i++) {
        char name[64];
        optim_slope_name(optim_params[i].name, name);
        start->w[i] = read_kept(store, FARI_ROLE_PARAM, optim_params[i].name);
        start->slope[i] = read_kept(store, FARI_ROLE_STATE, name);
    }
    for (int64_t t = 0; t < OPTIM_STEPS; t++) {
        double hyper[16 * FAR_HYPER_COUNT];
        far_optim_hyper(opts, t, optim_lr_at(t), t > 0 ? optim_lr_at(t - 1) : optim_lr_at(t), hyper);
        const fari_step step = { .seed = SEED, .step = t, .hyper = hyper };
        FAR_CHECK_OK(fari_executor_step(exec, &step));
    }
    for (int i = 0; i < OPTIM_PARAMS; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s.ema", optim_params[i].name);
        end->w[i] = read_kept(store, FARI_ROLE_PARAM, optim_params[i].name);
        end->ema[i] = read_kept(store, FARI_ROLE_OPT_STATE, name);
    }
    fari_executor_destroy(exec);
    fari_store_destroy(store);
    fari_plan_destroy(plan);
    backend->destroy(backend);
    far_graph_destroy(graph);
}

/* ---- comparison ---- */

static void compare(const char *label, const char *run, int i, const double *got, const double *want, double limit)
{
    const int64_t elems = far_shape_elems(&optim_params[i].shape);
    double top = 0.0;
    for (int64_t k = 0; k < elems; k++) top = fmax(top, fabs(want[k]));
    for (int64_t k = 0; k < elems; k++)
        FAR_CHECK_MSG(fabs(got[k] - want[k]) <= limit * top + 1e-30, "%s, %s: %s[%lld] is %.12g, want %.12g", label,
                      run, optim_params[i].name, (long long)k, got[k], want[k]);
}

static void compare_all(const char *label, const char *run, const far_optim_opts *o, const optim_numbers *got,
                        const optim_numbers *want, double limit)
{
    for (int i = 0; i < OPTIM_PARAMS; i++) {
        compare(label, run, i, got->w[i], want->w[i], limit);
        if (o->ema_decay > 0.0 && got->ema[i] != NULL) compare(label, run, i, got->ema[i], want->ema[i], limit);
    }
}

static void check(const char *label, const far_optim_opts *o, optim_formula_fn formula)
{
    static const char *const isas[] = { "base", "avx2", "avx512" };
    optim_numbers start = { { NULL }, { NULL }, { NULL } }, want = start, reference = start,
                  fast[3] = { { { NULL }, { NULL }, { NULL } } };
    machine_run(o, NULL, true, &reference, &start);
    optim_formula_run(o, formula, &start, &want);
    compare_all(label, "f64", o, &reference, &want, 1e-12);
    for (size_t i = 0; i < FAR_COUNT(isas); i++) {
        machine_run(o, isas[i], false, &fast[i], NULL);
        compare_all(label, isas[i], o, &fast[i], &want, 3e-6 * OPTIM_STEPS);
        compare_all(label, "instruction sets agree", o, &fast[i], &fast[0], 0.0);
    }
    for (size_t i = 0; i < FAR_COUNT(isas); i++) optim_numbers_free(&fast[i]);
    optim_numbers_free(&start);
    optim_numbers_free(&want);
    optim_numbers_free(&reference);
}

typedef struct optim_case {
    const char *label;
    far_optim_opts opts;
} optim_case;

static void check_cases(const optim_case *cases, size_t count, optim_formula_fn formula)
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
        { "nesterov",
          { .name = "sgd", .momentum = 0.8, .nesterov = true, .weight_decay = 0.1, .no_decay_bias_norm = true } },
    };
    check_cases(cases, FAR_COUNT(cases), optim_formula_sgd);
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
    check_cases(cases, FAR_COUNT(cases), optim_formula_adam);
}

FAR_TEST(rmsprop_matches_its_formula)
{
    static const optim_case cases[] = {
        { "plain", { .name = "rmsprop", .eps = 1e-4 } },
        { "momentum", { .name = "rmsprop", .momentum = 0.9, .weight_decay = 0.1, .alpha = 0.9, .eps = 1e-4 } },
        { "centered", { .name = "rmsprop", .centered = true, .alpha = 0.9, .eps = 1e-2 } },
        { "both", { .name = "rmsprop", .centered = true, .alpha = 0.9, .momentum = 0.5, .eps = 1e-2 } },
    };
    check_cases(cases, FAR_COUNT(cases), optim_formula_rmsprop);
}

FAR_TEST(lars_matches_the_formula_of_every_form)
{
    static const optim_case cases[] = {
        { "you", { .name = "lars", .weight_decay = 0.05, .trust = 0.3 } },
        { "you, default trust", { .name = "lars", .form = "you" } },
        { "you, corrected", { .name = "lars", .weight_decay = 0.05, .trust = 0.3, .momentum_correction = true } },
        { "you, nesterov", { .name = "lars", .weight_decay = 0.05, .trust = 0.3, .nesterov = true } },
        { "you, outside",
          { .name = "lars", .weight_decay = 0.05, .trust = 0.3, .lr_place = FAR_LR_OUTSIDE, .dampening = 0.2 } },
        { "you, norms excluded", { .name = "lars", .weight_decay = 0.05, .trust = 0.3, .exclude = FAR_EXCLUDE_NORM } },
        { "you, no momentum", { .name = "lars", .weight_decay = 0.05, .trust = 0.3, .momentum = FAR_OPTIM_ZERO } },
        { "larc, scale",
          { .name = "lars", .form = "nvcaffe_larc_scale", .weight_decay = 0.05, .trust = 3.0, .momentum = 0.8 } },
        { "larc, clip",
          { .name = "lars", .form = "nvcaffe_larc_clip", .weight_decay = 0.05, .trust = 0.9, .momentum = 0.8 } },
        { "larc, always clipped",
          { .name = "lars", .form = "nvcaffe_larc_clip", .weight_decay = 0.05, .trust = 90.0 } },
        { "mlperf", { .name = "lars", .form = "mlperf", .weight_decay = 0.05, .trust = 0.3 } },
        { "mlperf, nesterov, all",
          { .name = "lars", .form = "mlperf", .trust = 0.3, .nesterov = true, .exclude = FAR_EXCLUDE_NONE } },
        { "timm", { .name = "lars", .form = "timm", .weight_decay = 0.05, .trust = 0.3 } },
        { "timm, no decay", { .name = "lars", .form = "timm", .trust = 0.3, .dampening = 0.1 } },
        { "timm, always, clip",
          { .name = "lars", .form = "timm", .trust = 0.3, .always_adapt = true, .trust_clip = true } },
        { "timm, biases apart",
          { .name = "lars", .form = "timm", .weight_decay = 0.05, .trust = 0.3, .no_decay_bias_norm = true } },
        { "timm, nesterov", { .name = "lars", .form = "timm", .weight_decay = 0.05, .trust = 0.3, .nesterov = true } },
        { "dino", { .name = "lars", .form = "dino", .weight_decay = 0.05, .trust = 0.3 } },
        { "dino, inside",
          { .name = "lars", .form = "dino", .weight_decay = 0.05, .trust = 0.3, .lr_place = FAR_LR_INSIDE } },
        { "solo", { .name = "lars", .form = "solo", .weight_decay = 0.05, .trust = 0.3 } },
        { "solo, clip", { .name = "lars", .form = "solo", .weight_decay = 0.05, .trust = 0.3, .trust_clip = true } },
    };
    check_cases(cases, FAR_COUNT(cases), optim_formula_lars);
}

FAR_TEST(lamb_matches_the_formula_of_every_form)
{
    static const optim_case cases[] = {
        { "author", { .name = "lamb", .weight_decay = 0.1 } },
        { "author, no decay", { .name = "lamb", .form = "author" } },
        { "author, clip", { .name = "lamb", .weight_decay = 0.1, .trust_clip = true, .clip_norm = 3.0 } },
        { "nvlamb", { .name = "lamb", .form = "nvlamb", .weight_decay = 0.1 } },
        { "timm",
          { .name = "lamb",
            .form = "timm",
            .weight_decay = 0.1,
            .betas = { 0.66, 0.998 },
            .no_decay_bias_norm = true } },
        { "timm, always", { .name = "lamb", .form = "timm", .always_adapt = true, .trust_clip = true } },
        { "timm, not clipped", { .name = "lamb", .form = "timm", .weight_decay = 0.1, .clip_norm = FAR_OPTIM_ZERO } },
        { "timm, biases excluded",
          { .name = "lamb", .form = "timm", .weight_decay = 0.1, .exclude = FAR_EXCLUDE_BIAS_NORM } },
    };
    check_cases(cases, FAR_COUNT(cases), optim_formula_lamb);
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
        { "groups, clipped",
          { .name = "sgd", .clip_norm = 2.0, .group_count = 3, .groups = groups, .ema_decay = 0.5 } },
    };
    check_cases(cases, FAR_COUNT(cases), optim_formula_sgd);
    const far_optim_opts adam = { .name = "adam", .clip_norm = 1.0, .clip_value = 0.02, .ema_decay = 0.99 };
    check("adam, clipped", &adam, optim_formula_adam);
    const far_optim_opts rmsprop = {
        .name = "rmsprop", .clip_tensor_norm = 1.0, .eps = 1e-3, .centered = true, .momentum = 0.5
    };
    check("rmsprop, clipped", &rmsprop, optim_formula_rmsprop);
    const far_optim_opts lars = {
        .name = "lars", .form = "dino", .clip_tensor_norm = 0.3, .weight_decay = 0.1, .trust = 0.5
    };
    check("lars, clipped", &lars, optim_formula_lars);
    const far_optim_opts lamb = { .name = "lamb", .clip_tensor_norm = 0.3, .weight_decay = 0.1, .clip_value = 0.05 };
    check("lamb, clipped", &lamb, optim_formula_lamb);
}

/* ---- norms over several chunks in one call, as of tensors of more than a million elements ---- */

#define NORM_ELEMS (3 * (int64_t)FARI_CHUNK_ELEMS + 77)

#if defined(FARI_ISA_X86)
#define KERNELS(name)                                                \
    {                                                                \
        fari_##name##_base, fari_##name##_avx2, fari_##name##_avx512 \
    }
#else
#define KERNELS(name)                                              \
    {                                                              \
        fari_##name##_base, fari_##name##_base, fari_##name##_base \
    }
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
        for (int64_t k = 0; k < NORM_ELEMS; k++)
            data[i][k] = fari_rng_unit(fari_rng_key(SEED, 1, 2, (uint64_t)i), (uint64_t)k);
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
                FAR_CHECK_MSG(fabs(got[isa][i] - want[i]) <= 1e-6 * want[i], "%s: %.12g, want %.12g", label,
                              got[isa][i], want[i]);
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
    const fari_lamb_attr lamb_attr = {
        .common = { .weight_decay = 0.3 }, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .bias_correction = true
    };
    check_norm("sumsq", &fari_op_sumsq, NULL, 1, 1, sumsq);
    check_norm("norms", &fari_op_norms, &norms_attr, 2, 2, norms);
    check_norm("lamb_norms", &fari_op_lamb_norms, &lamb_attr, 3, 2, lamb_norms);
}
