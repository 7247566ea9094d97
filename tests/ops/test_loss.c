/* Losses: whole machine against the oracle, the formulas as PyTorch and CosmicTagger write them, labels that are ignored or wrong. */
#include "base/rng.h"
#include "graph/autodiff.h"
#include "op_check.h"
#include "plan/plan.h"
#include "run/executor.h"
#include "test.h"
#include <farandole/loss.h>

/* ---- through the machine ---- */

typedef struct ce_case {
    const char *name;
    far_shape x;
    far_dtype label_dtype;
    far_ce_opts opts;
    bool is_weighted; /* class k weighs 0.5 + k / 4 */
} ce_case;

static const ce_case ce_cases[] = {
    { "ten classes", { 2, { 7, 10 } }, FAR_I32, { .scale = 0.0 }, false },
    { "u8 labels", { 2, { 7, 10 } }, FAR_U8, { .scale = 0.0 }, false },
    { "a hundred classes", { 2, { 5, 100 } }, FAR_I32, { .scale = 0.0 }, false },
    { "a hundred classes, all at once",
      { 2, { 6, 100 } },
      FAR_I32,
      { .label_smoothing = 0.1, .use_ignore_label = true, .ignore_label = 2 },
      true },
    { "a hundred classes, smooth", { 2, { 6, 100 } }, FAR_I32, { .label_smoothing = 0.1, .norm = FAR_CE_SUM }, false },
    { "pixels", { 4, { 2, 3, 7, 9 } }, FAR_I32, { .scale = 0.0 }, false },
    { "one sample, two classes", { 4, { 1, 2, 16, 12 } }, FAR_U8, { .scale = 0.5 }, false },
    { "pixels of 33 classes", { 4, { 2, 33, 4, 3 } }, FAR_I32, { .label_smoothing = 0.2 }, true },
    { "volume", { 5, { 2, 4, 5, 3, 4 } }, FAR_I32, { .scale = 0.0 }, false },
    { "line", { 3, { 3, 5, 8 } }, FAR_I32, { .scale = 0.0 }, false },
    { "smoothing", { 4, { 2, 3, 7, 9 } }, FAR_I32, { .label_smoothing = 0.1 }, false },
    { "weights", { 4, { 2, 3, 7, 9 } }, FAR_I32, { .scale = 0.0 }, true },
    { "weights and smoothing", { 4, { 2, 3, 7, 9 } }, FAR_I32, { .label_smoothing = 0.3 }, true },
    { "ignored", { 4, { 2, 3, 7, 9 } }, FAR_I32, { .use_ignore_label = true, .ignore_label = 1 }, false },
    { "sum", { 4, { 2, 3, 7, 9 } }, FAR_I32, { .norm = FAR_CE_SUM }, true },
    { "pixel mean", { 4, { 2, 3, 7, 9 } }, FAR_I32, { .norm = FAR_CE_PIXELS }, false },
    { "balanced", { 4, { 2, 3, 7, 9 } }, FAR_I32, { .norm = FAR_CE_BALANCED }, false },
    { "one class", { 2, { 4, 1 } }, FAR_I32, { .scale = 2.0 }, false },
};

static const double weights[] = { 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75 };

static const double *weights_for(int64_t classes)
{
    static double many[128];
    for (int64_t k = 0; k < classes && k < 128; k++) many[k] = 0.5 + (double)(k % 10) / 4.0;
    return many;
}

static far_value labels_for(far_graph *graph, const far_shape *x, far_dtype dtype)
{
    far_shape shape = *x;
    if (x->ndim == 2) shape.ndim = 1;
    else shape.dim[1] = 1;
    return far_graph_input(graph, "labels", dtype, &shape);
}

static far_value build_ce(far_graph *graph, const void *arg)
{
    const ce_case *c = arg;
    far_ce_opts opts = c->opts;
    if (c->is_weighted) opts.class_weight = weights_for(c->x.dim[1]);
    const far_value x = far_graph_input(graph, "x", FAR_F32, &c->x);
    return far_cross_entropy(graph, "loss", x, labels_for(graph, &c->x, c->label_dtype), &opts);
}

FAR_TEST(cross_entropy_through_the_machine)
{
    for (size_t i = 0; i < FAR_COUNT(ce_cases); i++) {
        const op_check_opts near = { .input_scale = 1.0, .class_count = (int32_t)ce_cases[i].x.dim[1] };
        const op_check_opts wide = { .input_scale = 20.0, .class_count = (int32_t)ce_cases[i].x.dim[1] };
        op_check_with(ce_cases[i].name, build_ce, &ce_cases[i], &near);
        op_check_with(ce_cases[i].name, build_ce, &ce_cases[i], &wide);
    }
}

FAR_TEST(losses_of_each_class_through_the_machine)
{
    for (int kind = FAR_CLASS_SIGMOID; kind < FAR_CLASS_LOSS_COUNT; kind++)
        for (size_t i = 0; i < FAR_COUNT(ce_cases); i++) {
            ce_case c = ce_cases[i];
            c.opts.kind = (far_class_loss)kind;
            op_check_with(c.name, build_ce, &c,
                          &(op_check_opts){ .input_scale = 1.0, .class_count = (int32_t)c.x.dim[1] });
            op_check_with(c.name, build_ce, &c,
                          &(op_check_opts){ .input_scale = 20.0, .class_count = (int32_t)c.x.dim[1] });
        }
}

/* The weight is detached: the gradient is not the slope of the loss, hence the margin; focal_gradient below checks it. */
FAR_TEST(focal_loss_through_the_machine)
{
    static const far_ce_norm norms[] = { FAR_CE_MEAN, FAR_CE_SUM, FAR_CE_PIXELS, FAR_CE_BALANCED };
    static const double gammas[] = { 0.5, 1.0, 2.0, 3.0 };
    for (size_t i = 0; i < FAR_COUNT(norms); i++)
        for (size_t k = 0; k < FAR_COUNT(ce_cases); k++) {
            ce_case c = ce_cases[k];
            const op_check_opts opts = { .input_scale = 3.0, .class_count = (int32_t)c.x.dim[1], .kink_margin = 1.0 };
            if (c.x.dim[1] == 1) continue; /* one class is always right: the weights are 0 */
            c.opts.norm = norms[i];
            c.opts.focal_gamma = gammas[k % FAR_COUNT(gammas)];
            op_check_with(c.name, build_ce, &c, &opts);
        }
}

typedef struct dice_case {
    const char *name;
    far_shape x;
    far_dice_opts opts;
} dice_case;

static const dice_case dice_cases[] = {
    { "three classes", { 4, { 2, 3, 7, 9 } }, { .smooth = 0.0 } },
    { "mask", { 4, { 2, 1, 7, 9 } }, { .smooth = 0.0 } },
    { "mask, squares", { 4, { 2, 1, 7, 9 } }, { .square = true } },
    { "squares", { 4, { 2, 4, 7, 9 } }, { .square = true, .smooth = 1.0 } },
    { "no background", { 4, { 2, 3, 7, 9 } }, { .skip_background = true, .scale = 0.5 } },
    { "ignored", { 4, { 2, 3, 7, 9 } }, { .use_ignore_label = true, .ignore_label = 2 } },
    { "vectors", { 2, { 9, 5 } }, { .smooth = 0.0 } },
    { "40 classes", { 4, { 2, 40, 4, 3 } }, { .smooth = 0.1 } },
    { "40 classes, squares", { 4, { 2, 40, 4, 3 } }, { .square = true, .smooth = 0.1 } },
    { "volume", { 5, { 1, 4, 6, 3, 4 } }, { .smooth = 0.0 } },
};

static far_value build_dice(far_graph *graph, const void *arg)
{
    const dice_case *c = arg;
    const far_value x = far_graph_input(graph, "x", FAR_F32, &c->x);
    return far_dice_loss(graph, "loss", x, labels_for(graph, &c->x, FAR_U8), &c->opts);
}

FAR_TEST(dice_through_the_machine)
{
    for (size_t i = 0; i < FAR_COUNT(dice_cases); i++) {
        const int32_t classes = dice_cases[i].x.dim[1] == 1 ? 2 : (int32_t)dice_cases[i].x.dim[1];
        op_check_with(dice_cases[i].name, build_dice, &dice_cases[i],
                      &(op_check_opts){ .input_scale = 3.0, .class_count = classes });
    }
}

typedef struct pointwise_case {
    const char *name;
    far_shape x;
    far_dtype target;
    far_bce_opts bce;
    far_mse_opts mse;
    bool is_mse;
} pointwise_case;

static const pointwise_case pointwise_cases[] = {
    { "bce", { 2, { 5, 7 } }, FAR_F32, { .pos_weight = 0.0 }, { false, 0.0 }, false },
    { "bce mask u8", { 4, { 2, 1, 9, 11 } }, FAR_U8, { .pos_weight = 3.0 }, { false, 0.0 }, false },
    { "bce mask i32, sum", { 4, { 2, 1, 9, 11 } }, FAR_I32, { .sum = true }, { false, 0.0 }, false },
    { "bce images", { 4, { 2, 5, 6, 7 } }, FAR_F32, { .pos_weight = 0.3, .scale = 2.0 }, { false, 0.0 }, false },
    { "mse", { 2, { 5, 7 } }, FAR_F32, { .pos_weight = 0.0 }, { false, 0.0 }, true },
    { "mse images", { 4, { 2, 5, 8, 9 } }, FAR_F32, { .pos_weight = 0.0 }, { false, 3.0 }, true },
    { "mse volume, sum", { 5, { 2, 3, 4, 5, 3 } }, FAR_F32, { .pos_weight = 0.0 }, { true, 0.0 }, true },
};

static far_value build_pointwise(far_graph *graph, const void *arg)
{
    const pointwise_case *c = arg;
    const far_value x = far_graph_input(graph, "x", FAR_F32, &c->x);
    const far_value target = far_graph_input(graph, "target", c->target, &c->x);
    return c->is_mse ? far_mse_loss(graph, "loss", x, target, &c->mse)
                     : far_bce_with_logits(graph, "loss", x, target, &c->bce);
}

FAR_TEST(pointwise_losses_through_the_machine)
{
    for (size_t i = 0; i < FAR_COUNT(pointwise_cases); i++) {
        /* bce gives its f32 target no gradient: the oracle and the others agree on that */
        op_check_with(pointwise_cases[i].name, build_pointwise, &pointwise_cases[i],
                      &(op_check_opts){ .input_scale = 1.0 });
        if (pointwise_cases[i].target != FAR_F32)
            op_check_with(pointwise_cases[i].name, build_pointwise, &pointwise_cases[i],
                          &(op_check_opts){ .input_scale = 40.0 });
    }
}

/* ---- against formulas ---- */

#define PIXELS 60 /* 2 samples, 5 by 6 */
#define CLASSES 3

typedef struct scene {
    float x[PIXELS * CLASSES]; /* channels-last, as fed */
    int32_t labels[PIXELS];
} scene;

static void scene_make(scene *s, double scale)
{
    const uint64_t key = fari_rng_key(4, 5, 6, 7);
    for (int i = 0; i < PIXELS * CLASSES; i++)
        s->x[i] = (float)(scale * (2.0 * fari_rng_unit_f64(key, (uint64_t)i) - 1.0));
    for (int i = 0; i < PIXELS; i++) s->labels[i] = (int32_t)fari_rng_below(key, (uint64_t)(10000 + i), CLASSES);
}

/* Runs one step of a loss over the scene in double; dx_out [PIXELS * CLASSES] row-major, or NULL. Gives the step's status. */
static far_status scene_run(const scene *s, const far_ce_opts *opts, double *loss_out, double *dx_out)
{
    const far_shape shape = { 4, { 2, CLASSES, 5, 6 } };
    scene copy = *s;
    void *feed[2] = { copy.x, copy.labels };
    const double hyper[64] = { 0.0 };
    const int64_t ids[2] = { 0, 1 };
    const fari_step step = { .sample_ids = ids, .hyper = hyper, .feed = feed };
    const fari_exec_opts exec_opts = { 0 };
    far_graph *graph = NULL;
    fari_backend *backend = NULL;
    fari_plan *plan = NULL;
    fari_store *store = NULL;
    fari_executor *exec = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value x = far_graph_input(graph, "x", FAR_F32, &shape);
    const far_value loss = far_cross_entropy(graph, "loss", x, labels_for(graph, &shape, FAR_I32), opts);
    FAR_CHECK_OK(far_graph_status(graph));
    FAR_CHECK_OK(fari_graph_backward_wrt(graph, loss, 1, &x));
    FAR_CHECK_OK(fari_backend_reference_create(&backend));
    const fari_plan_opts plan_opts = {
        .threads = 1, .is_reference_f64 = true, .backend = backend, .is_keeping_gradients = true
    };
    FAR_CHECK_OK(fari_plan_create(graph, &plan_opts, &plan));
    FAR_CHECK_OK(fari_store_create(graph, true, 1, &store));
    FAR_CHECK_OK(fari_executor_create(plan, store, &exec_opts, &exec));
    const far_status st = fari_executor_step(exec, &step);
    if (st == FAR_OK) {
        FAR_CHECK_OK(fari_executor_read_f64(exec, loss, loss_out));
        if (dx_out != NULL) FAR_CHECK_OK(fari_executor_read_f64(exec, far_graph_gradient(graph, x), dx_out));
    }
    fari_executor_destroy(exec);
    fari_store_destroy(store);
    fari_plan_destroy(plan);
    backend->destroy(backend);
    far_graph_destroy(graph);
    return st;
}

static void log_probs(const float *x, double lp[CLASSES])
{
    double sum = 0.0;
    for (int k = 0; k < CLASSES; k++) sum += exp((double)x[k]);
    for (int k = 0; k < CLASSES; k++) lp[k] = (double)x[k] - log(sum);
}

/* torch.nn.functional.cross_entropy, as its documentation and ATen's cross_entropy_loss_label_smoothing write it:
   (1 - s) nll + (s / K) smooth, each divided by the weights of the labels that count. */
static double torch_cross_entropy(const scene *s, const double *weight, double smoothing, int32_t ignore)
{
    double nll = 0.0, smooth = 0.0, norm = 0.0, lp[CLASSES];
    for (int i = 0; i < PIXELS; i++) {
        const int32_t t = s->labels[i];
        if (t == ignore) continue;
        log_probs(s->x + i * CLASSES, lp);
        nll -= weight[t] * lp[t];
        for (int k = 0; k < CLASSES; k++) smooth -= weight[k] * lp[k];
        norm += weight[t];
    }
    return (1.0 - smoothing) * nll / norm + smoothing / CLASSES * smooth / norm;
}

FAR_TEST(cross_entropy_is_pytorchs)
{
    static const double ones[CLASSES] = { 1.0, 1.0, 1.0 };
    scene s;
    double loss;
    scene_make(&s, 2.0);
    FAR_CHECK_OK(scene_run(&s, NULL, &loss, NULL));
    FAR_CHECK_NEAR(loss, torch_cross_entropy(&s, ones, 0.0, -100), 1e-12);
    FAR_CHECK_OK(scene_run(&s, &(far_ce_opts){ .class_weight = weights, .label_smoothing = 0.2 }, &loss, NULL));
    FAR_CHECK_NEAR(loss, torch_cross_entropy(&s, weights, 0.2, -100), 1e-12);
    s.labels[7] = s.labels[30] = -100; /* ignored without being told */
    FAR_CHECK_OK(scene_run(&s, &(far_ce_opts){ .label_smoothing = 0.1 }, &loss, NULL));
    FAR_CHECK_NEAR(loss, torch_cross_entropy(&s, ones, 0.1, -100), 1e-12);
}

/* torch.nn.functional's binary_cross_entropy_with_logits and mse_loss against (smoothed) one-hot targets, over what is not ignored. */
static double torch_each(const scene *s, bool is_square, double smoothing)
{
    double sum = 0.0, count = 0.0;
    for (int i = 0; i < PIXELS; i++)
        for (int k = 0; k < CLASSES && s->labels[i] != -100; k++) {
            const double x = (double)s->x[i * CLASSES + k], p = 1.0 / (1.0 + exp(-x)),
                         t = (s->labels[i] == k) * (1.0 - smoothing) + smoothing / CLASSES;
            sum += is_square ? (x - t) * (x - t) : -(t * log(p) + (1.0 - t) * log(1.0 - p));
            count += 1.0;
        }
    return sum / count;
}

FAR_TEST(losses_of_each_class_are_pytorchs)
{
    scene s;
    double loss;
    scene_make(&s, 2.0);
    s.labels[7] = s.labels[30] = -100;
    for (int i = 0; i < 4; i++) {
        const bool is_square = i % 2 == 1;
        const double smoothing = i < 2 ? 0.0 : 0.1;
        const far_ce_opts opts = { .kind = is_square ? FAR_CLASS_SQUARE : FAR_CLASS_SIGMOID,
                                   .label_smoothing = smoothing };
        FAR_CHECK_OK(scene_run(&s, &opts, &loss, NULL));
        FAR_CHECK_NEAR(loss, torch_each(&s, is_square, smoothing), 1e-12);
    }
}

/* CosmicTagger: weight (1 - p_true)^2 without gradient; v1 divides by the sum of weights, v2.1 takes the mean over classes and pixels. */
static double focal_loss(const scene *s, const double weight[PIXELS], bool is_pixel_mean)
{
    double sum = 0.0, norm = 0.0, lp[CLASSES];
    for (int i = 0; i < PIXELS; i++) {
        log_probs(s->x + i * CLASSES, lp);
        sum -= weight[i] * lp[s->labels[i]];
        norm += weight[i];
    }
    return is_pixel_mean ? sum / (CLASSES * PIXELS) : sum / norm;
}

static void focal_weights(const scene *s, double weight[PIXELS])
{
    double lp[CLASSES];
    for (int i = 0; i < PIXELS; i++) {
        log_probs(s->x + i * CLASSES, lp);
        weight[i] = (1.0 - exp(lp[s->labels[i]])) * (1.0 - exp(lp[s->labels[i]]));
    }
}

FAR_TEST(focal_loss_and_gradient)
{
    static const far_ce_norm norms[] = { FAR_CE_MEAN, FAR_CE_PIXELS };
    static double dx[PIXELS * CLASSES], weight[PIXELS];
    scene s;
    scene_make(&s, 2.0);
    focal_weights(&s, weight); /* held while x moves below */
    for (int n = 0; n < 2; n++) {
        double loss;
        FAR_CHECK_OK(scene_run(&s, &(far_ce_opts){ .focal_gamma = 2.0, .norm = norms[n] }, &loss, dx));
        FAR_CHECK_NEAR(loss, focal_loss(&s, weight, n == 1), 1e-12);
        for (int i = 0; i < PIXELS; i++)
            for (int k = 0; k < CLASSES; k++) {
                const int at = (i / 30 * CLASSES + k) * 30 + i % 30; /* row-major: [2, CLASSES, 30] */
                scene up = s, down = s;
                up.x[i * CLASSES + k] += 0x1p-10f;
                down.x[i * CLASSES + k] -= 0x1p-10f;
                const double h = (double)up.x[i * CLASSES + k] - (double)down.x[i * CLASSES + k];
                FAR_CHECK_NEAR(dx[at], (focal_loss(&up, weight, n == 1) - focal_loss(&down, weight, n == 1)) / h, 1e-7);
            }
    }
}

FAR_TEST(balanced_weights_are_of_this_batch)
{
    double loss, want = 0.0, norm = 0.0, lp[CLASSES];
    int64_t count[CLASSES] = { 0 };
    scene s;
    scene_make(&s, 2.0);
    for (int i = 0; i < PIXELS; i++) count[s.labels[i]]++;
    for (int i = 0; i < PIXELS; i++) {
        const double w = 1.0 / (CLASSES * ((double)count[s.labels[i]] + 1.0));
        log_probs(s.x + i * CLASSES, lp);
        want -= w * lp[s.labels[i]];
        norm += w;
    }
    FAR_CHECK_OK(scene_run(&s, &(far_ce_opts){ .norm = FAR_CE_BALANCED }, &loss, NULL));
    FAR_CHECK_NEAR(loss, want / norm, 1e-12);
}

FAR_TEST(nothing_counted_gives_zero)
{
    static double dx[PIXELS * CLASSES];
    double loss = 1.0;
    scene s;
    scene_make(&s, 2.0);
    for (int i = 0; i < PIXELS; i++) s.labels[i] = -100;
    FAR_CHECK_OK(scene_run(&s, NULL, &loss, dx));
    FAR_CHECK_NEAR(loss, 0.0, 0.0);
    for (int i = 0; i < PIXELS * CLASSES; i++) FAR_CHECK_NEAR(dx[i], 0.0, 0.0);
}

FAR_TEST(wrong_labels_are_told)
{
    double loss;
    scene s;
    scene_make(&s, 2.0);
    s.labels[31] = 7;
    FAR_CHECK_STATUS(scene_run(&s, NULL, &loss, NULL), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "label 7 is outside [0, 3)");
    s.labels[31] = -1;
    FAR_CHECK_STATUS(scene_run(&s, NULL, &loss, NULL), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "label -1");
}

/* ---- errors of the builders ---- */

typedef struct bad_case {
    far_shape labels;
    far_dtype dtype;
    far_ce_opts opts;
    far_status status;
    const char *part;
} bad_case;

static const double negative[] = { 1.0, -1.0, 1.0 };
static const bad_case bad_cases[] = {
    { { 4, { 2, 1, 5, 7 } }, FAR_I32, { .scale = 0.0 }, FAR_E_SHAPE, "need labels [N] or [N, 1, ...]" },
    { { 4, { 2, 3, 5, 6 } }, FAR_I32, { .scale = 0.0 }, FAR_E_SHAPE, "2x3x5x6" },
    { { 4, { 2, 1, 5, 6 } }, FAR_F32, { .scale = 0.0 }, FAR_E_SHAPE, "i32 or u8" },
    { { 4, { 2, 1, 5, 6 } }, FAR_I32, { .label_smoothing = 1.0 }, FAR_E_ARG, "smoothing 1" },
    { { 4, { 2, 1, 5, 6 } }, FAR_I32, { .focal_gamma = -1.0 }, FAR_E_ARG, "gamma -1" },
    { { 4, { 2, 1, 5, 6 } }, FAR_I32, { .class_weight = negative }, FAR_E_ARG, "of class 1 is negative" },
    { { 4, { 2, 1, 5, 6 } }, FAR_I32, { .norm = (far_ce_norm)9 }, FAR_E_ARG, "unknown norm 9" },
    { { 4, { 2, 1, 5, 6 } }, FAR_I32, { .kind = (far_class_loss)7 }, FAR_E_ARG, "unknown kind 7" },
    { { 4, { 2, 1, 5, 6 } }, FAR_I32, { .kind = FAR_CLASS_SQUARE, .focal_gamma = 2.0 }, FAR_E_ARG, "softmax only" },
};

FAR_TEST(loss_errors)
{
    const far_shape shape = { 4, { 2, CLASSES, 5, 6 } };
    for (size_t i = 0; i < FAR_COUNT(bad_cases); i++) {
        far_graph *graph = NULL;
        FAR_CHECK_OK(far_graph_create(true, &graph));
        const far_value x = far_graph_input(graph, "x", FAR_F32, &shape);
        const far_value labels = far_graph_input(graph, "labels", bad_cases[i].dtype, &bad_cases[i].labels);
        FAR_CHECK(far_cross_entropy(graph, "loss", x, labels, &bad_cases[i].opts) == FAR_NO_VALUE);
        FAR_CHECK_STATUS(far_graph_status(graph), bad_cases[i].status);
        FAR_CHECK_HAS(far_error_message(), bad_cases[i].part);
        far_graph_destroy(graph);
    }
}

FAR_TEST(pointwise_loss_errors)
{
    const far_shape shape = { 2, { 4, 3 } }, other = { 2, { 4, 2 } };
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value x = far_graph_input(graph, "x", FAR_F32, &shape);
    FAR_CHECK(far_mse_loss(graph, "loss", x, far_graph_input(graph, "t", FAR_F32, &other), NULL) == FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_SHAPE);
    FAR_CHECK_HAS(far_error_message(), "4x2");
    far_graph_destroy(graph);
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value logits = far_graph_input(graph, "x", FAR_F32, &shape);
    FAR_CHECK(far_bce_with_logits(graph, "loss", logits, logits, &(far_bce_opts){ .pos_weight = -2.0 }) ==
              FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_ARG);
    far_graph_destroy(graph);
}
