/* Every allocation of building, differentiating, optimizing and planning a network fails once: each time the caller gets FAR_E_NOMEM and
   nothing leaks. The short cases fail some of the allocations, `make torture` all of them. */
#include "base/file.h"
#include "base/mem.h"
#include "plan/plan.h"
#include "plan/print.h"
#include "test.h"
#include <farandole/model.h>
#include <farandole/optim.h>
#include <farandole/recipe.h>
#include <farandole/run.h>
#include <unistd.h>

/* ---- what is tried ---- */

typedef struct trial {
    const char *label;
    const char *model, *settings; /* "depth=2 width=4" */
    const char *recipe;
    int64_t batch, channels, height, width;
    fari_grain_config grain;
    far_optim_opts optim;
    bool is_reference;
    fari_spill_config spill;
} trial;

static far_status set_all(far_options *opts, const char *settings)
{
    char copy[256], *save = NULL;
    far_status st = FAR_OK;
    (void)snprintf(copy, sizeof copy, "%s", settings);
    for (char *word = strtok_r(copy, " ", &save); word != NULL && st == FAR_OK; word = strtok_r(NULL, " ", &save)) {
        char *value = strchr(word, '=');
        FAR_CHECK(value != NULL);
        *value++ = '\0';
        st = far_options_set(opts, word, value);
    }
    return st;
}

static far_status build_into(const trial *t, far_graph *graph, const far_options *model_opts,
                             const far_options *recipe_opts)
{
    far_model_result model;
    far_shape label;
    far_value loss = FAR_NO_VALUE;
    const far_shape image = { 4, { t->batch, t->channels, t->height, t->width } };
    far_status st = far_model_build(graph, model_opts, far_graph_input(graph, "image", FAR_F32, &image), &model);
    if (st == FAR_OK) st = far_recipe_labels(graph, recipe_opts, &model, &label);
    if (st == FAR_OK)
        st = far_recipe_build(graph, recipe_opts, &model, far_graph_input(graph, "label", FAR_I32, &label), &loss);
    if (st == FAR_OK) st = far_optim_freeze(graph, &t->optim);
    if (st == FAR_OK) st = far_graph_backward(graph, loss);
    if (st == FAR_OK) st = far_optim_apply(graph, &t->optim);
    return st;
}

static far_status plan_of(const trial *t, const far_graph *graph, fari_backend *backend)
{
    fari_plan *plan = NULL;
    fari_text json = { 0 };
    const fari_plan_opts opts = { .grain = t->grain, .threads = 2, .spill = t->spill, .backend = backend };
    far_status st = fari_plan_create(graph, &opts, &plan);
    if (st != FAR_OK) return st;
    fari_plan_print_json(plan, &json);
    if (json.failed) st = FAR_E_NOMEM;
    fari_text_free(&json);
    fari_plan_destroy(plan);
    return st;
}

static far_status attempt_plan(const void *arg)
{
    const trial *t = arg;
    fari_backend *backend = NULL;
    far_graph *graph = NULL;
    far_options *model_opts = NULL, *recipe_opts = NULL;
    far_status st = t->is_reference ? fari_backend_reference_create(&backend) : fari_backend_cpu_create(NULL, &backend);
    if (st == FAR_OK) st = far_model_opts_create(t->model, NULL, &model_opts);
    if (st == FAR_OK) st = set_all(model_opts, t->settings);
    if (st == FAR_OK) st = far_recipe_opts_create(t->recipe, &recipe_opts);
    if (st == FAR_OK) st = far_graph_create(true, &graph);
    if (st == FAR_OK) st = build_into(t, graph, model_opts, recipe_opts);
    if (st == FAR_OK) st = plan_of(t, graph, backend);
    far_graph_destroy(graph);
    far_options_destroy(recipe_opts);
    far_options_destroy(model_opts);
    if (backend != NULL) backend->destroy(backend);
    return st;
}

/* ---- the torture ---- */

typedef struct procedure {
    const char *label;
    far_status (*attempt)(const void *arg);
    void (*clean)(void); /* after each attempt, out of the count; may be NULL */
    const void *arg;
} procedure;

static far_status once(const procedure *p, int64_t fail_at, int64_t *left_out)
{
    fari_error_copy error;
    int64_t left = 0;
    far_error_clear();
    fari_alloc_fail_after(fail_at);
    const far_status st = p->attempt(p->arg);
    fari_error_save(&error);
    for (void *block = left_out != NULL ? fari_alloc(1) : NULL; block != NULL; block = fari_alloc(1)) {
        fari_free(block);
        left++;
    }
    fari_alloc_fail_after(-1);
    if (p->clean != NULL) p->clean();
    fari_error_restore(&error);
    if (left_out != NULL) *left_out = left;
    return st;
}

#define FAR_AWAY (INT64_C(1) << 22) /* more allocations than any attempt makes */

/* Allocations of one attempt: how many are left to the failing one tells how many there were. */
static int64_t count_allocations(const procedure *p)
{
    int64_t left = 0;
    FAR_CHECK_MSG(once(p, -1, NULL) == FAR_OK, "%s: %s", p->label, far_error_message()); /* libraries warm up */
    FAR_CHECK_OK(once(p, FAR_AWAY, &left));
    return FAR_AWAY - left;
}

static void torture(const procedure *p, int64_t every)
{
    const int64_t total = count_allocations(p), live = fari_alloc_live();
    printf("%s: %d allocations, each %d. fails\n", p->label, (int)total, (int)every);
    FAR_CHECK(total > 0);
    for (int64_t nth = 0; nth < total; nth += every) {
        const far_status st = once(p, nth, NULL);
        FAR_CHECK_MSG(st == FAR_E_NOMEM, "%s, allocation %d of %d: %s (%s)\n%s", p->label, (int)nth, (int)total,
                      far_status_name(st), far_error_message(), far_error_trace());
        FAR_CHECK_MSG(fari_alloc_live() == live, "%s, allocation %d of %d: %d blocks leaked; %s\n%s", p->label,
                      (int)nth, (int)total, (int)(fari_alloc_live() - live), far_error_message(), far_error_trace());
    }
    FAR_CHECK_OK(once(p, -1, NULL)); /* and as if nothing had been */
    FAR_CHECK_EQ_I64(fari_alloc_live(), live);
}

static const trial trials[] = {
    { "lenet5, reference", "lenet5", "", "classify", 4, 1, 28, 28, { .samples = 2 }, { .momentum = 0.9 }, true, { 0 } },
    { "lenet5, cpu",
      "lenet5",
      "",
      "classify",
      4,
      1,
      28,
      28,
      { .samples = 2 },
      { .name = "adam", .clip_norm = 1.0 },
      false,
      { 0 } },
    { "unet, reference",
      "unet",
      "width=4 depth=2",
      "segment",
      2,
      1,
      16,
      16,
      { .rows = 8 },
      { .name = "lamb" },
      true,
      { 0 } },
    { "unet, cpu",
      "unet",
      "width=8 depth=2 up=linear",
      "segment",
      2,
      1,
      16,
      16,
      { .rows = 8 },
      { .name = "rmsprop", .centered = true },
      false,
      { 0 } },
    { "a21, reference",
      "a21",
      "width=4 depth=2 blocks=1 blocks_deep=1 bottleneck=16",
      "cosmictagger",
      2,
      3,
      16,
      24,
      { .samples = 1 },
      { .name = "lars", .ema_decay = 0.9 },
      true,
      { 0 } },
    { "a21, cpu",
      "a21",
      "width=8 depth=2 blocks=1 blocks_deep=1 bottleneck=16",
      "cosmictagger",
      2,
      3,
      16,
      24,
      { .rows = 8 },
      { .name = "adamw", .clip_value = 1.0 },
      false,
      { 0 } },
    { "unet on disk, cpu",
      "unet",
      "width=4 depth=2",
      "segment",
      2,
      1,
      32,
      32,
      { .rows = 8 },
      { .name = "sgd" },
      false,
      { .mode = FARI_SPILL_AUTO, .arena_limit = 150000, .min_bytes = 1, .piece_bytes = FARI_PAGE_BYTES } },
};

static void torture_plan(int32_t idx, int64_t every)
{
    const procedure p = { trials[idx].label, attempt_plan, NULL, &trials[idx] };
    torture(&p, every);
}

FAR_TEST(planning_survives_some_failures)
{
    for (int32_t i = 0; i < (int32_t)FAR_COUNT(trials); i++) torture_plan(i, 61);
}

FAR_TEST_TORTURE(lenet5_by_reference)
{
    torture_plan(0, 1);
}

FAR_TEST_TORTURE(lenet5_by_cpu)
{
    torture_plan(1, 1);
}

FAR_TEST_TORTURE(unet_by_reference)
{
    torture_plan(2, 1);
}

FAR_TEST_TORTURE(unet_by_cpu)
{
    torture_plan(3, 1);
}

FAR_TEST_TORTURE(a21_by_reference)
{
    torture_plan(4, 1);
}

FAR_TEST_TORTURE(a21_by_cpu)
{
    torture_plan(5, 1);
}

FAR_TEST_TORTURE(unet_on_disk)
{
    torture_plan(6, 1);
}

/* ---- a whole run: configuration, data, training of two steps, evaluation, checkpoint ---- */

static char folder[500], setting[600], weights[600];

static const char text[] =
    "data: {kind: synthetic, synthetic.samples: 8, synthetic.test_samples: 4, synthetic.classes: 3}\n"
    "data.synthetic: {shape: [1, 8, 8]}\n"
    "data.augment: {flip: true, normalize: true}\n"
    "model:\n"
    "  name: layers\n"
    "  layers:\n"
    "    - {op: conv, out_channels: 4, kernel: 3, pad: 1}\n"
    "    - {op: batch_norm, act: relu}\n"
    "    - {op: flatten}\n"
    "    - {op: linear, out_features: 3}\n"
    "optim: {name: adam, lr: 0.01}\n"
    "batch: 4\n"
    "train.steps: 2\n"
    "threads: 1\n";

static far_status count_prediction(void *context, const far_prediction *prediction)
{
    ++*(int64_t *)context;
    return prediction->shape.dim[0] == 3 ? FAR_OK : FAR_E_INTERNAL;
}

/* What is done with the opened run, by purpose. Going on is only opened: training would change what the next attempt finds. */
static far_status use(far_run *run, const far_run_opts *opts, char **json_out)
{
    const far_score *scores = NULL;
    int64_t score_count = 0, predictions = 0;
    if (opts->purpose == FAR_RUN_PLAN) return far_run_plan_text(run, true, json_out);
    if (opts->purpose == FAR_RUN_TRAIN) return opts->resume != NULL ? FAR_OK : far_run_train(run);
    const far_status st = far_run_predict(run, count_prediction, &predictions);
    return st == FAR_OK ? far_run_evaluate(run, &scores, &score_count) : st;
}

static far_status attempt_run(const void *arg)
{
    const far_run_opts *opts = arg;
    far_config *config = NULL;
    far_run *run = NULL;
    char *json = NULL;
    far_status st = far_config_create(&config);
    if (st == FAR_OK) st = far_config_parse(config, "torture.yaml", text, strlen(text));
    if (st == FAR_OK) st = far_config_set(config, setting);
    if (st == FAR_OK) st = far_run_open(config, opts, &run);
    if (st == FAR_OK) st = use(run, opts, &json);
    far_config_text_free(json);
    far_run_close(run);
    far_config_destroy(config);
    return st;
}

static void remove_folder(void)
{
    FAR_CHECK_OK(fari_remove_tree(folder));
}

static void name_folder(void)
{
    (void)snprintf(folder, sizeof folder, "%s/torture-%d", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp",
                   (int)getpid());
    (void)snprintf(setting, sizeof setting, "run.dir=%s", folder);
    (void)snprintf(weights, sizeof weights, "%s/checkpoints/last", folder);
}

static void torture_new_run(far_run_purpose purpose, const char *label, int64_t every)
{
    const far_run_opts opts = { .purpose = purpose };
    const procedure p = { label, attempt_run, remove_folder, &opts };
    name_folder();
    torture(&p, every);
}

/* A run that has been trained is opened again. */
static void torture_old_run(bool is_resumed, const char *label, int64_t every)
{
    const far_run_opts train = { .purpose = FAR_RUN_TRAIN };
    far_run_opts opts = { .purpose = FAR_RUN_TRAIN, .resume = folder };
    const procedure p = { label, attempt_run, NULL, &opts };
    name_folder();
    FAR_CHECK_OK(attempt_run(&train));
    if (!is_resumed) opts = (far_run_opts){ .purpose = FAR_RUN_EVALUATE, .weights = weights };
    torture(&p, every);
    remove_folder();
}

FAR_TEST(a_run_survives_some_failures)
{
    torture_new_run(FAR_RUN_PLAN, "plan of a run", 61);
    torture_new_run(FAR_RUN_TRAIN, "run", 97);
    torture_old_run(true, "resumed run", 97);
    torture_old_run(false, "evaluation", 61);
}

FAR_TEST_TORTURE(plan_of_a_run)
{
    torture_new_run(FAR_RUN_PLAN, "plan of a run", 1);
}

FAR_TEST_TORTURE(whole_run)
{
    torture_new_run(FAR_RUN_TRAIN, "run", 1);
}

FAR_TEST_TORTURE(resumed_run)
{
    torture_old_run(true, "resumed run", 1);
}

FAR_TEST_TORTURE(evaluation)
{
    torture_old_run(false, "evaluation", 1);
}
