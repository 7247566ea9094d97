/* Batch, group, instance and layer norm: whole machine against the oracle, the formula, running statistics, errors. */
#include "base/mem.h"
#include "op_check.h"
#include "plan/plan.h"
#include "run/executor.h"
#include "test.h"
#include <farandole/activation.h>
#include <farandole/conv.h>
#include <farandole/elementwise.h>
#include <farandole/norm.h>

typedef enum norm_kind { BATCH, GROUP, INSTANCE, LAYER } norm_kind;

typedef struct norm_case {
    const char *name;
    norm_kind kind;
    far_shape x;
    far_norm_opts opts;
    int64_t groups;
    bool has_residual, is_eval;
} norm_case;

static const norm_case cases[] = {
    { "batch 8 channels", BATCH, { 4, { 4, 8, 9, 6 } }, { .eps = 0.0 }, 0, false, false },
    { "batch 3 channels", BATCH, { 4, { 3, 3, 7, 5 } }, { .eps = 0.0 }, 0, false, false },
    { "batch 40 channels", BATCH, { 4, { 2, 40, 5, 3 } }, { .eps = 0.0 }, 0, false, false },
    { "batch 300 channels", BATCH, { 4, { 2, 300, 4, 2 } }, { .eps = 0.0 }, 0, false, false },
    { "batch 17 channels, one row", BATCH, { 4, { 5, 17, 1, 3 } }, { .eps = 0.0 }, 0, false, false },
    { "batch, one sample", BATCH, { 4, { 1, 8, 13, 4 } }, { .eps = 0.0 }, 0, false, false },
    { "batch 1-D", BATCH, { 3, { 3, 6, 11 } }, { .eps = 0.0 }, 0, false, false },
    { "batch 3-D", BATCH, { 5, { 2, 5, 6, 3, 4 } }, { .eps = 0.0 }, 0, false, false },
    { "batch of vectors", BATCH, { 2, { 7, 10 } }, { .eps = 0.0 }, 0, false, false },
    { "batch in groups of two samples", BATCH, { 4, { 4, 8, 6, 5 } }, { .group_samples = 2 }, 0, false, false },
    { "batch, each sample alone", BATCH, { 4, { 3, 8, 6, 5 } }, { .group_samples = 1 }, 0, false, false },
    { "batch, group is the batch", BATCH, { 4, { 2, 4, 6, 5 } }, { .group_samples = 2 }, 0, false, false },
    { "batch relu", BATCH, { 4, { 2, 8, 8, 6 } }, { .act = FAR_ACT_RELU }, 0, false, false },
    { "batch leaky", BATCH, { 4, { 2, 8, 8, 6 } }, { .act = FAR_ACT_LEAKY_RELU, .slope = 0.2 }, 0, false, false },
    { "batch leaky default slope, no affine",
      BATCH,
      { 4, { 2, 9, 8, 6 } },
      { .act = FAR_ACT_LEAKY_RELU, .no_affine = true },
      0,
      false,
      false },
    { "batch residual", BATCH, { 4, { 2, 8, 7, 6 } }, { .eps = 0.0 }, 0, true, false },
    { "batch residual relu", BATCH, { 4, { 2, 16, 7, 6 } }, { .act = FAR_ACT_RELU }, 0, true, false },
    { "batch residual leaky, no affine",
      BATCH,
      { 4, { 2, 5, 7, 6 } },
      { .act = FAR_ACT_LEAKY_RELU, .no_affine = true },
      0,
      true,
      false },
    { "batch residual leaky, groups of samples",
      BATCH,
      { 4, { 4, 8, 7, 3 } },
      { .act = FAR_ACT_LEAKY_RELU, .group_samples = 2 },
      0,
      true,
      false },
    { "batch large eps", BATCH, { 4, { 2, 8, 7, 6 } }, { .eps = 0.5 }, 0, false, false },
    { "fixed", BATCH, { 4, { 2, 8, 7, 6 } }, { .eps = 0.0 }, 0, false, true },
    { "fixed residual relu", BATCH, { 4, { 2, 12, 7, 6 } }, { .act = FAR_ACT_RELU }, 0, true, true },
    { "fixed residual leaky", BATCH, { 4, { 2, 12, 7, 6 } }, { .act = FAR_ACT_LEAKY_RELU }, 0, true, true },
    { "fixed leaky, no affine",
      BATCH,
      { 4, { 2, 12, 7, 6 } },
      { .act = FAR_ACT_LEAKY_RELU, .no_affine = true },
      0,
      false,
      true },
    { "fixed, of vectors", BATCH, { 2, { 3, 10 } }, { .eps = 0.0 }, 0, false, true },
    { "no running statistics", BATCH, { 4, { 2, 8, 7, 6 } }, { .no_running = true }, 0, false, true },
    { "group 2 of 8", GROUP, { 4, { 3, 8, 7, 6 } }, { .eps = 0.0 }, 2, false, false },
    { "group 4 of 12 relu", GROUP, { 4, { 3, 12, 5, 6 } }, { .act = FAR_ACT_RELU }, 4, false, false },
    { "group 3 of 9 residual leaky", GROUP, { 4, { 2, 9, 5, 6 } }, { .act = FAR_ACT_LEAKY_RELU }, 3, true, false },
    { "group 3-D", GROUP, { 5, { 2, 8, 5, 3, 4 } }, { .eps = 0.0 }, 4, false, false },
    { "group 300 channels", GROUP, { 4, { 2, 300, 3, 2 } }, { .eps = 0.0 }, 3, false, false },
    { "instance", INSTANCE, { 4, { 3, 8, 7, 6 } }, { .eps = 0.0 }, 0, false, false },
    { "instance, no affine", INSTANCE, { 4, { 3, 5, 9, 2 } }, { .no_affine = true }, 0, false, false },
    { "instance residual relu",
      INSTANCE,
      { 4, { 2, 6, 7, 4 } },
      { .act = FAR_ACT_RELU, .no_affine = true },
      0,
      true,
      false },
    { "instance in evaluation", INSTANCE, { 4, { 2, 6, 7, 4 } }, { .eps = 0.0 }, 0, false, true },
    { "layer", LAYER, { 4, { 3, 6, 7, 5 } }, { .eps = 0.0 }, 0, false, false },
    { "layer leaky", LAYER, { 4, { 2, 7, 5, 5 } }, { .act = FAR_ACT_LEAKY_RELU }, 0, false, false },
};

/* Initial values that make weights and fixed statistics count. */
static void parameters_shake(far_graph *graph)
{
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        fari_tensor *t = graph->tensors[i];
        if (t->role == FARI_ROLE_PARAM) t->init = (far_init){ FAR_INIT_UNIFORM, 1.5, 0 };
        if (t->role == FARI_ROLE_STATE && strstr(t->name, "running_mean") != NULL)
            t->init = (far_init){ FAR_INIT_UNIFORM, 0.5, 0 };
        if (t->role == FARI_ROLE_STATE && strstr(t->name, "running_var") != NULL)
            t->init = (far_init){ FAR_INIT_CONST, 0.3, 0 };
    }
}

static far_value build(far_graph *graph, const void *arg)
{
    const norm_case *c = arg;
    far_norm_opts opts = c->opts;
    far_value y = FAR_NO_VALUE, residual = FAR_NO_VALUE;
    const far_value x = far_graph_input(graph, "x", FAR_F32, &c->x);
    if (c->has_residual) {
        residual = far_graph_input(graph, "residual", FAR_F32, &c->x);
        opts.residual = &residual;
    }
    switch (c->kind) {
    case BATCH: y = far_batch_norm(graph, "norm", x, &opts); break;
    case GROUP: y = far_group_norm(graph, "norm", x, c->groups, &opts); break;
    case INSTANCE: y = far_instance_norm(graph, "norm", x, &opts); break;
    case LAYER: y = far_layer_norm(graph, "norm", x, &opts); break;
    }
    parameters_shake(graph);
    return y;
}

FAR_TEST(norm_through_the_machine)
{
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        /* a residual of zeros beside x of zeros is a kink of measure none, but steps of 2^-11 cross a few */
        const op_check_opts opts = { .is_eval = cases[i].is_eval,
                                     .kink_margin = cases[i].opts.act == FAR_ACT_NONE ? 0.0 : 0.1 };
        op_check_with(cases[i].name, build, &cases[i], &opts);
    }
}

/* The gradient of a bias before a norm comes from the norm's statistics, not from the image: zero, unless channels share them. */
static far_value build_after_conv(far_graph *graph, const void *arg)
{
    const norm_case *c = arg;
    far_norm_opts opts = c->opts;
    const far_value x = far_graph_input(graph, "x", FAR_F32, &c->x);
    const far_value z =
        far_conv(graph, "conv", x, &(far_conv_opts){ .out_channels = 6, .kernel = { 3 }, .pad = { 1 } });
    if (c->has_residual) opts.residual = &z;
    const far_value y = c->kind == BATCH      ? far_batch_norm(graph, "norm", z, &opts)
                        : c->kind == INSTANCE ? far_instance_norm(graph, "norm", z, &opts)
                                              : far_group_norm(graph, "norm", z, c->groups, &opts);
    parameters_shake(graph);
    return y;
}

FAR_TEST(bias_before_a_norm)
{
    static const far_shape x = { 4, { 3, 4, 9, 7 } };
    const norm_case after[] = {
        { "bias before group norm", GROUP, x, { .eps = 0.0 }, 2, false, false },
        { "bias before group norm, no affine", GROUP, x, { .no_affine = true }, 3, false, false },
        { "bias before group norm leaky", GROUP, x, { .act = FAR_ACT_LEAKY_RELU, .slope = 0.3 }, 2, false, false },
        { "bias before layer norm relu", GROUP, x, { .act = FAR_ACT_RELU }, 1, false, false },
        { "bias before and beside group norm", GROUP, x, { .eps = 0.0 }, 3, true, false },
        { "bias before batch norm", BATCH, x, { .act = FAR_ACT_LEAKY_RELU }, 0, false, false },
        { "bias before batch norm, each sample alone", BATCH, x, { .group_samples = 1 }, 0, false, false },
        { "bias before instance norm", INSTANCE, x, { .no_affine = true }, 0, false, false },
        { "bias before fixed norm", BATCH, x, { .act = FAR_ACT_RELU }, 0, false, true },
    };
    for (size_t i = 0; i < FAR_COUNT(after); i++) {
        const op_check_opts opts = { .is_eval = after[i].is_eval,
                                     .kink_margin = after[i].opts.act == FAR_ACT_NONE ? 0.0 : 0.1 };
        op_check_with(after[i].name, build_after_conv, &after[i], &opts);
    }
}

/* A norm of a residual block: its sum goes on in several ways, and the gradients of all of them go back both through the norm and beside it. */
static far_value build_block(far_graph *graph, const void *arg)
{
    const norm_case *c = arg;
    far_norm_opts opts = c->opts;
    const far_value x = far_graph_input(graph, "x", FAR_F32, &c->x);
    const far_value z =
        far_conv(graph, "conv", x, &(far_conv_opts){ .out_channels = c->x.dim[1], .kernel = { 3 }, .pad = { 1 } });
    opts.residual = &x;
    const far_value y =
        c->kind == BATCH ? far_batch_norm(graph, "norm", z, &opts) : far_group_norm(graph, "norm", z, c->groups, &opts);
    const far_value more = far_add(graph, "more", far_tanh(graph, "tanh", y), far_sigmoid(graph, "sigmoid", y));
    parameters_shake(graph);
    return far_add(graph, "sum", y, more);
}

FAR_TEST(sums_of_blocks_with_several_users)
{
    static const far_shape x = { 4, { 3, 4, 9, 7 } };
    const norm_case blocks[] = {
        { "block relu", BATCH, x, { .act = FAR_ACT_RELU }, 0, true, false },
        { "block leaky, no affine",
          BATCH,
          x,
          { .act = FAR_ACT_LEAKY_RELU, .slope = 0.3, .no_affine = true },
          0,
          true,
          false },
        { "block of groups, relu", GROUP, x, { .act = FAR_ACT_RELU }, 2, true, false },
        { "block without activation", BATCH, x, { .eps = 0.0 }, 0, true, false },
        { "fixed block relu", BATCH, x, { .act = FAR_ACT_RELU }, 0, true, true },
    };
    for (size_t i = 0; i < FAR_COUNT(blocks); i++) {
        const op_check_opts opts = { .is_eval = blocks[i].is_eval,
                                     .kink_margin = blocks[i].opts.act == FAR_ACT_NONE ? 0.0 : 0.1 };
        op_check_with(blocks[i].name, build_block, &blocks[i], &opts);
    }
}

/* ---- a machine of one's own: what a step leaves in the store ---- */

typedef struct rig {
    far_graph *graph;
    fari_backend *backend;
    fari_plan *plan;
    fari_store *store;
    fari_executor *exec;
} rig;

static void rig_open(rig *r, far_graph *graph, bool is_reference_f64, fari_grain_config grain)
{
    r->graph = graph;
    FAR_CHECK_OK(far_graph_status(graph));
    FAR_CHECK_OK(is_reference_f64 ? fari_backend_reference_create(&r->backend)
                                  : fari_backend_cpu_create(NULL, &r->backend));
    const fari_plan_opts opts = {
        .grain = grain, .threads = 1, .is_reference_f64 = is_reference_f64, .backend = r->backend
    };
    const fari_exec_opts exec_opts = { 0 };
    FAR_CHECK_OK(fari_plan_create(graph, &opts, &r->plan));
    FAR_CHECK_OK(fari_store_create(graph, is_reference_f64, 1, &r->store));
    FAR_CHECK_OK(fari_executor_create(r->plan, r->store, &exec_opts, &r->exec));
}

static void rig_step(rig *r, void *const *feed)
{
    const double hyper[64] = { 0.0 };
    const int64_t ids[64] = { 0 };
    const fari_step step = { .seed = 1, .sample_ids = ids, .hyper = hyper, .feed = feed };
    FAR_CHECK_OK(fari_executor_step(r->exec, &step));
}

static const float *rig_state(const rig *r, const char *name)
{
    const fari_kept *kept = fari_store_find_any(r->store, name);
    FAR_CHECK_MSG(kept != NULL, "no %s in the store", name);
    return fari_store_data(r->store, kept);
}

static void rig_close(rig *r)
{
    fari_executor_destroy(r->exec);
    fari_store_destroy(r->store);
    fari_plan_destroy(r->plan);
    r->backend->destroy(r->backend);
    far_graph_destroy(r->graph);
}

/* ---- running statistics ---- */

#define SAMPLES 4
#define CHANNELS 5
#define SIDE 6
#define PLANES 3

/* Channels-last, as inputs are fed. */
static void planes_make(float x[PLANES][SAMPLES * SIDE * SIDE * CHANNELS])
{
    for (int p = 0; p < PLANES; p++)
        for (int i = 0; i < SAMPLES * SIDE * SIDE * CHANNELS; i++)
            x[p][i] = (float)(p + 1) * sinf(0.37f * (float)i + (float)p) + (float)(i % CHANNELS);
}

/* Mean and unbiased variance of channel c of samples [lo, hi). */
static void plane_moments(const float *x, int c, int lo, int hi, double *mean_out, double *var_out)
{
    const int pixels = SIDE * SIDE;
    double mean = 0.0, m2 = 0.0;
    for (int i = lo * pixels; i < hi * pixels; i++) mean += (double)x[i * CHANNELS + c];
    mean /= (double)((hi - lo) * pixels);
    for (int i = lo * pixels; i < hi * pixels; i++)
        m2 += ((double)x[i * CHANNELS + c] - mean) * ((double)x[i * CHANNELS + c] - mean);
    *mean_out = mean;
    *var_out = m2 / (double)((hi - lo) * pixels - 1);
}

/* What PyTorch leaves after one training step with a layer shared by three planes, in call order. */
static void running_expected(float x[PLANES][SAMPLES * SIDE * SIDE * CHANNELS], int group, double momentum,
                             double mean_out[CHANNELS], double var_out[CHANNELS])
{
    for (int c = 0; c < CHANNELS; c++) {
        mean_out[c] = 0.0;
        var_out[c] = 1.0;
        for (int p = 0; p < PLANES; p++) {
            double mean = 0.0, var = 0.0;
            for (int lo = 0; lo < SAMPLES; lo += group) {
                double one_mean, one_var;
                plane_moments(x[p], c, lo, lo + group, &one_mean, &one_var);
                mean += one_mean * group / SAMPLES;
                var += one_var * group / SAMPLES;
            }
            mean_out[c] = (1.0 - momentum) * mean_out[c] + momentum * mean;
            var_out[c] = (1.0 - momentum) * var_out[c] + momentum * var;
        }
    }
}

static void check_running(int64_t group, double momentum, bool is_training, fari_grain_config grain)
{
    static float x[PLANES][SAMPLES * SIDE * SIDE * CHANNELS];
    const far_shape shape = { 4, { SAMPLES, CHANNELS, SIDE, SIDE } };
    void *feed[PLANES] = { x[0], x[1], x[2] };
    double mean[CHANNELS], var[CHANNELS];
    far_graph *graph = NULL;
    rig r;
    planes_make(x);
    FAR_CHECK_OK(far_graph_create(is_training, &graph));
    for (int p = 0; p < PLANES; p++) {
        const char *const names[PLANES] = { "u", "v", "w" };
        const far_value in = far_graph_input(graph, names[p], FAR_F32, &shape);
        const far_norm_opts opts = { .group_samples = group, .momentum = momentum };
        far_graph_output(graph, names[p], far_batch_norm(graph, "bn", in, &opts));
    }
    FAR_CHECK_EQ_I64(far_graph_param_count(graph), 2); /* shared: one weight, one bias */
    rig_open(&r, graph, false, grain);
    rig_step(&r, feed);
    running_expected(x, group == 0 ? SAMPLES : (int)group, momentum == 0.0 ? 0.1 : momentum, mean, var);
    for (int c = 0; c < CHANNELS; c++) {
        FAR_CHECK_NEAR(rig_state(&r, "bn.running_mean")[c], is_training ? mean[c] : 0.0, 1e-5);
        FAR_CHECK_NEAR(rig_state(&r, "bn.running_var")[c], is_training ? var[c] : 1.0, 1e-5);
    }
    rig_close(&r);
}

FAR_TEST(running_statistics_move_once_a_call)
{
    const fari_grain_config whole = { .samples = 64, .rows = 64, .dense = 64 },
                            cut = { .samples = 1, .rows = 2, .min_rows = 1, .dense = 1 };
    check_running(0, 0.0, true, whole);
    check_running(0, 0.0, true, cut);
    check_running(2, 0.0, true, cut);
    check_running(1, 0.25, true, cut);
    check_running(4, 0.25, true, whole);
}

FAR_TEST(running_statistics_rest_in_evaluation)
{
    check_running(0, 0.0, false, (fari_grain_config){ .samples = 64, .rows = 64, .dense = 64 });
}

/* The op of the node that makes a layer's mean and deviation. */
static const char *statistics_op(const far_graph *graph, const char *name)
{
    for (int64_t i = 0; i < graph->node_count; i++)
        if (strcmp(graph->nodes[i]->name, name) == 0) return graph->nodes[i]->op->name;
    return "none";
}

FAR_TEST(named_norms_are_fixed_in_training)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK_OK(far_graph_fix_norms(graph, "nothing"));
    FAR_CHECK_OK(far_graph_fix_norms(graph, "bn1,bn1.*,low.*"));
    far_value x = far_graph_input(graph, "x", FAR_F32, &(far_shape){ 4, { 2, 3, 4, 4 } });
    x = far_batch_norm(graph, "bn1", x, NULL);
    x = far_batch_norm(graph, "low.bn", x, NULL);
    x = far_batch_norm(graph, "bn10", x, NULL);
    FAR_CHECK_OK(far_graph_status(graph));
    FAR_CHECK_STR(statistics_op(graph, "bn1.meanrstd"), "norm_fixed");
    FAR_CHECK_STR(statistics_op(graph, "low.bn.meanrstd"), "norm_fixed");
    FAR_CHECK_STR(statistics_op(graph, "bn10.meanrstd"), "norm_finalize");
    far_graph_destroy(graph);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* ---- far from zero: mean 1000, deviation 1 ---- */

FAR_TEST(statistics_far_from_zero)
{
    static float x[SAMPLES * SIDE * SIDE * CHANNELS];
    const far_shape shape = { 4, { SAMPLES, CHANNELS, SIDE, SIDE } };
    void *feed[1] = { x };
    far_graph *graph = NULL;
    rig r;
    for (int i = 0; i < SAMPLES * SIDE * SIDE * CHANNELS; i++) x[i] = 1000.0f + sinf(1.7f * (float)i);
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value y = far_batch_norm(graph, "bn", far_graph_input(graph, "x", FAR_F32, &shape), NULL);
    far_graph_output(graph, "y", y);
    rig_open(&r, graph, false, (fari_grain_config){ .samples = 1, .rows = 64, .dense = 64 });
    rig_step(&r, feed);
    const float *got = fari_executor_data(r.exec, y);
    for (int c = 0; c < CHANNELS; c++) {
        double mean, var;
        plane_moments(x, c, 0, SAMPLES, &mean, &var);
        const double n = SAMPLES * SIDE * SIDE, rstd = 1.0 / sqrt(var * (n - 1.0) / n + 1e-5);
        for (int i = 0; i < SAMPLES * SIDE * SIDE; i++)
            FAR_CHECK_NEAR(got[i * CHANNELS + c], ((double)x[i * CHANNELS + c] - mean) * rstd,
                           1e-4); /* x holds 6e-5 at 1000 */
    }
    rig_close(&r);
}

/* ---- errors ---- */

static void check_error(far_value (*make)(far_graph *graph), far_status want, const char *part)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK(make(graph) == FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), want);
    FAR_CHECK_HAS(far_error_message(), part);
    far_graph_destroy(graph);
}

static far_value image(far_graph *graph, int64_t n, int64_t c, int64_t side)
{
    const far_shape shape = { 4, { n, c, side, side } };
    return far_graph_input(graph, "image", FAR_F32, &shape);
}

static far_value one_element(far_graph *graph)
{
    return far_batch_norm(graph, "bn", image(graph, 1, 4, 1), NULL);
}

static far_value uneven_groups(far_graph *graph)
{
    return far_group_norm(graph, "gn", image(graph, 1, 10, 4), 4, NULL);
}

static far_value uneven_samples(far_graph *graph)
{
    return far_batch_norm(graph, "bn", image(graph, 3, 4, 4), &(far_norm_opts){ .group_samples = 2 });
}

static far_value other_residual(far_graph *graph)
{
    const far_value residual = image(graph, 2, 3, 4);
    return far_batch_norm(graph, "bn", image(graph, 2, 4, 4), &(far_norm_opts){ .residual = &residual });
}

static far_value slow_act(far_graph *graph)
{
    return far_batch_norm(graph, "bn", image(graph, 2, 4, 4), &(far_norm_opts){ .act = FAR_ACT_GELU });
}

static far_value class_indices(far_graph *graph)
{
    const far_shape shape = { 4, { 2, 1, 4, 4 } };
    return far_batch_norm(graph, "bn", far_graph_input(graph, "labels", FAR_I32, &shape), NULL);
}

static far_value no_input(far_graph *graph)
{
    return far_batch_norm(graph, "bn", FAR_NO_VALUE, NULL);
}

FAR_TEST(norm_errors)
{
    check_error(one_element, FAR_E_SHAPE, "more than one element");
    check_error(uneven_groups, FAR_E_SHAPE, "10 channels cannot be cut in 4 groups");
    check_error(uneven_samples, FAR_E_SHAPE, "not a multiple of the samples");
    check_error(other_residual, FAR_E_SHAPE, "residual must have the shape of x");
    check_error(slow_act, FAR_E_ARG, "only ReLU and leaky ReLU");
    check_error(class_indices, FAR_E_SHAPE, "f32");
    check_error(no_input, FAR_E_ARG, "input is missing");
}

FAR_TEST_TORTURE(norm_builder_survives_failing_allocations)
{
    far_status st = FAR_E_NOMEM;
    for (int64_t nth = 0; st == FAR_E_NOMEM; nth++) {
        far_graph *graph = NULL;
        fari_alloc_fail_after(nth);
        st = far_graph_create(true, &graph);
        if (st == FAR_OK)
            (void)far_batch_norm(graph, "bn", image(graph, 2, 4, 4), &(far_norm_opts){ .group_samples = 1 });
        if (st == FAR_OK) st = far_graph_status(graph);
        fari_alloc_fail_after(-1);
        far_graph_destroy(graph);
        FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
    }
    FAR_CHECK_OK(st);
}
