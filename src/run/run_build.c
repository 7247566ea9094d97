/* From configuration to something that runs: graphs of training and evaluation, their plans, the memory they share. */
#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "graph/recompute.h"
#include "plan/print.h"
#include "run/machine.h"
#include "run/run_config.h"
#include "run/run_priv.h"
#include "run/spill_file.h"
#include <inttypes.h>
#include <string.h>

static far_status model_options(far_run *run)
{
    static const char *const skip[] = { "name",   "preset",       "weights", "weights_strict",
                                        "freeze", "freeze_stats", "classes", NULL };
    char classes[32];
    const char *name = far_config_text(run->config, "model.name");
    FAR_TRY(far_model_opts_create(name, far_config_text(run->config, "model.preset"), &run->model_opts));
    FAR_TRY(run_config_options(run->config, "model.", skip, run->model_opts));
    int64_t class_count = far_config_i64(run->config, "model.classes");
    if (class_count == 0)
        class_count = run->data.info.label != FAR_LABEL_NONE ? run->data.info.class_count
                                                             : far_config_i64(run->config, "data.classes");
    if (class_count == 0) return FAR_OK;
    if (!far_options_has(run->model_opts, "classes")) return FAR_OK;
    (void)snprintf(classes, sizeof classes, "%" PRId64, class_count);
    return far_options_set(run->model_opts, "classes", classes);
}

/* Which recipe: as configured, else by the labels' kind. */
static far_status recipe_options(far_run *run)
{
    char ignored[16], words[256];
    const char *name = far_config_text(run->config, "loss.recipe");
    if (strcmp(name, "auto") == 0) name = run->data.info.label == FAR_LABEL_MAP ? "segment" : "classify";
    const far_status st = far_recipe_opts_create(name, &run->recipe_opts);
    if (st == FAR_E_NOMEM) return st;
    if (st != FAR_OK) {
        (void)snprintf(words, sizeof words, "%s", far_error_message());
        return far_config_fail(run->config, "loss.recipe", "%s", words);
    }
    (void)snprintf(ignored, sizeof ignored, "%d", FAR_LABEL_IGNORE);
    FAR_TRY(far_options_set(run->recipe_opts, "ignore_index", ignored));
    static const char *const skip[] = { "recipe", NULL };
    return run_config_options(run->config, "loss.", skip, run->recipe_opts);
}

/* What the network and the recipe want of labels is what the data has. One label map serves all planes of a network; several have to be as
   many as it has. */
static far_status check_labels(const far_run *run, const run_side *side, const far_shape *label)
{
    const int64_t has = run->data.info.label_planes, wants = label->ndim >= 3 ? label->dim[1] : 0;
    if ((wants > 0) != (run->data.info.label == FAR_LABEL_MAP))
        return far_config_fail(run->config, "loss.recipe", "it wants a label for each %s, the data has one for each %s",
                               wants > 0 ? "pixel" : "image", wants > 0 ? "image" : "pixel");
    if (wants > 0 && !run_is_pixelwise(run, side, label)) {
        char text[2][128];
        const far_shape image = run_image_shape(run, side);
        return FAR_FAIL(FAR_E_SHAPE, "the network gives %s for images of %s: labels of pixels need as many",
                        far_shape_text(label, text[0]), far_shape_text(&image, text[1]));
    }
    if (has <= 1 || has == wants) return FAR_OK;
    return far_config_fail(run->config, "data.labels",
                           "the data has %" PRId64 " label maps a sample, the network wants %" PRId64, has, wants);
}

/* Network, loss and metrics; for training also gradients and the optimizer. */
/* To the end of the step: far_run_predict and pictures of samples read them. */
static far_status keep_predictions(const far_run *run, const run_side *side)
{
    char name[32];
    if (run->opts.purpose != FAR_RUN_PREDICT && run_samples_wanted(run, side) == 0) return FAR_OK;
    for (int32_t i = 0; i < side->model.count; i++) {
        (void)snprintf(name, sizeof name, "prediction.%d", (int)i);
        far_graph_output(side->graph, name, side->model.logits[i]);
    }
    return FAR_OK;
}

far_status run_graph_build(far_run *run, bool is_training, run_side *side)
{
    const far_shape image = run_image_shape(run, side);
    far_shape label;
    FAR_TRY(far_graph_create(is_training, &side->graph));
    const far_value x = side->image = far_graph_input(side->graph, "image", FAR_F32, &image);
    if (is_training) FAR_TRY(run_groups_fix_norms(run, side->graph));
    FAR_TRY(far_model_build(side->graph, run->model_opts, x, &side->model));
    if (!is_training) FAR_TRY(keep_predictions(run, side));
    if (run->opts.purpose == FAR_RUN_PREDICT) return far_graph_status(side->graph);
    FAR_TRY(far_recipe_labels(side->graph, run->recipe_opts, &side->model, &label));
    const far_value y = far_graph_input(side->graph, "label", FAR_I32, &label);
    FAR_TRY(far_recipe_build(side->graph, run->recipe_opts, &side->model, y, &side->loss));
    FAR_TRY(check_labels(run, side, &label));
    run->label_planes = label.ndim >= 3 ? label.dim[1] : 1;
    if (!is_training) return far_graph_status(side->graph);
    FAR_TRY(run_groups_apply(run, side->graph));
    FAR_TRY(far_graph_backward(side->graph, side->loss));
    const char *recompute = run->is_recomputing_most ? "most" : far_config_text(run->config, "exec.recompute");
    if (strcmp(recompute, "none") != 0) {
        const fari_recompute_mode mode = strcmp(recompute, "all") == 0    ? FARI_RECOMPUTE_ALL
                                         : strcmp(recompute, "most") == 0 ? FARI_RECOMPUTE_MOST
                                                                          : FARI_RECOMPUTE_AUTO;
        FAR_TRY(fari_graph_recompute(side->graph, mode, NULL));
    }
    return far_optim_apply(side->graph, &run->optim);
}

static far_status planes_allocate(far_run *run)
{
    void *labels = NULL;
    if (run->plane_labels_bytes == 0) return FAR_OK;
    FAR_TRY(fari_arena_map(run->plane_labels_bytes, &labels));
    run->plane_labels = labels;
    return FAR_OK;
}

static int64_t samples_a_step(const far_run *run, const char *key)
{
    const int64_t own = far_config_i64(run->config, key);
    return own > 0 ? own : far_config_i64(run->config, "batch");
}

far_loader_opts run_train_loader_opts(const far_run *run, const run_side *side)
{
    far_loader_opts opts = { .batch = run->train.batch,
                             .sample_ids = run->data.kept,
                             .sample_count = run->data.kept_count,
                             .shuffle = far_config_bool(run->config, "data.shuffle"),
                             .last = FAR_LAST_DROP,
                             .seed = (uint64_t)far_config_i64(run->config, "seed"),
                             .threads = run_loader_threads(run),
                             .ahead = (int32_t)far_config_i64(run->config, "data.ahead"),
                             .augment = run_augment(run, true),
                             .on_error = run_on_error(run) };
    run_side_loader(side, &opts);
    return opts;
}

/* Length of the training in steps and of an epoch. */
static far_status lengths(far_run *run)
{
    run->steps_per_epoch = run->data.kept_count / run->train.batch;
    if (run->steps_per_epoch < 1)
        return far_config_fail(run->config, "batch",
                               "a batch of %" PRId64 " needs as many training samples; there are %" PRId64,
                               run->train.batch, run->data.kept_count);
    run->steps_total = far_config_i64(run->config, "train.steps");
    if (run->steps_total == 0)
        run->steps_total = (int64_t)(far_config_f64(run->config, "train.epochs") * (double)run->steps_per_epoch + 0.5);
    return FAR_OK;
}

fari_exec_opts run_exec_opts(const far_run *run)
{
    const char *order = far_config_text(run->config, "exec.order");
    fari_exec_opts opts = { .order_seed = (uint64_t)far_config_i64(run->config, "seed"), .shared_arena = run->arena };
    if (strcmp(order, "reversed") == 0) opts.order = FARI_EXEC_REVERSED;
    if (strcmp(order, "random") == 0) opts.order = FARI_EXEC_RANDOM;
    return opts;
}

/* One arena for all sides: they never run at once. */
static far_status allocate(far_run *run)
{
    const far_graph *kept = run->train.graph != NULL ? run->train.graph : run->eval.graph;
    FAR_TRY(fari_store_create(kept, false, (uint64_t)far_config_i64(run->config, "seed"), &run->store));
    FAR_TRY(planes_allocate(run));
    if (run->saver != NULL) FAR_TRY(run_saver_allocate(run->saver, run->store));
    const bool is_banded = run->train.spill.is_banded || run->eval.spill.is_banded;
    FAR_TRY(is_banded ? fari_arena_map_shared(run->arena_bytes, &run->arena)
                      : fari_arena_map(run->arena_bytes, &run->arena));
    fari_exec_opts opts = run_exec_opts(run);
    if (run->train.plan != NULL) {
        opts.is_timed = true;
        opts.is_traced = run->opts.timeline != NULL;
        opts.is_hashed = run->opts.purpose == FAR_RUN_VERIFY;
        FAR_TRY(run_side_start(run, &run->train, &opts));
        FAR_TRY(fari_profile_create(run->train.plan, &run->profile));
        if (opts.is_traced) FAR_TRY(fari_timeline_create(run->train.plan, &run->timeline));
        opts.is_timed = false;
        opts.is_traced = false;
        opts.is_hashed = false;
    }
    return run->eval.plan != NULL ? run_side_start(run, &run->eval, &opts) : FAR_OK;
}

static far_status backend_create(far_run *run)
{
    const char *isa = far_config_text(run->config, "exec.isa");
    if (strcmp(far_config_text(run->config, "exec.backend"), "reference") == 0)
        return fari_backend_reference_create(&run->backend);
    return fari_backend_cpu_create(strcmp(isa, "auto") == 0 ? NULL : isa, &run->backend);
}

static void choose_spill(const far_run *run, run_side *side)
{
    side->spill = (fari_spill_config){ .is_banded = strcmp(far_config_text(run->config, "exec.bands"), "always") == 0 };
    if (strcmp(far_config_text(run->config, "exec.spill"), "most") == 0) side->spill.mode = FARI_SPILL_MOST;
}

/* The evaluation side: of a fixed size, or the largest of the samples' own. */
static far_status eval_plan(far_run *run)
{
    if (run->opts.purpose == FAR_RUN_VERIFY) return FAR_OK;
    run->eval.batch = samples_a_step(run, "eval.batch");
    run_frame_size(run, &run->data.eval_frame, &run->eval.height, &run->eval.width);
    run->native.is_on = run_native_wanted(run);
    if (run->native.is_on) FAR_TRY(run_native_plan(run));
    choose_spill(run, &run->eval);
    if (run->native.is_on) run->eval.spill.is_banded = false;
    FAR_TRY(run_native_measure(run));
    const int64_t heap_before = run_heap_bytes();
    FAR_TRY(run_graph_build(run, false, &run->eval));
    if (run_is_training(run)) FAR_TRY(run_metric_choose(run));
    FAR_TRY(run_side_plan(run, &run->eval));
    if (run->native.count < 2) return FAR_OK;
    const int64_t heap = run_heap_bytes() - heap_before, own = fari_plan_own_bytes(run->eval.plan);
    run->other_bytes = (heap > own ? heap : own) + fari_executor_own_bytes(run->eval.plan);
    return FAR_OK;
}

void run_sum_sides(far_run *run)
{
    const run_side *sides[] = { &run->train, &run->eval };
    run->arena_bytes = run->arena_others;
    run->graph_bytes = 0;
    for (size_t i = 0; i < FAR_COUNT(sides); i++) {
        if (sides[i]->plan == NULL) continue;
        const int64_t bytes = fari_plan_run_bytes(sides[i]->plan);
        if (bytes > run->arena_bytes) run->arena_bytes = bytes;
        if (sides[i]->plan->store_bytes > run->store_bytes) run->store_bytes = sides[i]->plan->store_bytes;
        run->graph_bytes += fari_plan_own_bytes(sides[i]->plan);
    }
    const int64_t heap = run_heap_bytes() - run->heap_before;
    if (heap > run->graph_bytes) run->graph_bytes = heap;
}

far_status run_inputs_measure(far_run *run)
{
    const run_side *sides[] = { &run->train, &run->eval };
    run->plane_labels_bytes = run->loader_bytes = run->eval_loader_bytes = 0;
    for (size_t i = 0; i < FAR_COUNT(sides); i++) {
        const int64_t planes = sides[i]->plan != NULL ? run_plane_labels_bytes(run, sides[i]) : 0;
        if (planes > run->plane_labels_bytes) run->plane_labels_bytes = planes;
    }
    if (run->train.plan != NULL) {
        const far_loader_opts loader = run_train_loader_opts(run, &run->train);
        FAR_TRY(run_input_bytes(run, &run->train, run->data.train, &loader, &run->loader_bytes));
    }
    return run->eval.graph != NULL ? run_eval_loader_bytes(run, &run->eval, &run->eval_loader_bytes) : FAR_OK;
}

far_status run_plan_sides(far_run *run)
{
    const bool is_training = run_is_training(run);
    run->heap_before = run_heap_bytes();
    run->threads = (int32_t)far_config_i64(run->config, "threads");
    if (run->threads < 1) run->threads = fari_machine_cores() / run_core_share(run);
    if (run->threads < 1) run->threads = 1;
    FAR_TRY(backend_create(run));
    FAR_TRY(model_options(run));
    if (run->opts.purpose != FAR_RUN_PREDICT) FAR_TRY(recipe_options(run));
    FAR_TRY(run_config_optim(run->config, &run->optim));
    FAR_TRY(run_groups_read(run));
    run->train.batch = far_config_i64(run->config, "batch");
    run_frame_size(run, &run->data.train_frame, &run->train.height, &run->train.width);
    if (is_training) {
        FAR_TRY(lengths(run));
        FAR_TRY(run_config_schedule(run->config, run->steps_per_epoch, &run->schedule));
        FAR_TRY(run_graph_build(run, true, &run->train));
        choose_spill(run, &run->train);
        FAR_TRY(run_side_plan(run, &run->train));
        fari_plan_grain_hash(run->train.plan, run->plan_grains);
    }
    FAR_TRY(eval_plan(run));
    FAR_TRY(run_inputs_measure(run));
    run_sum_sides(run);
    if (is_training) FAR_TRY(run_saver_plan(run));
    run_sum_sides(run);
    return FAR_OK;
}

far_status run_build(far_run *run)
{
    FAR_TRY(run_plan_sides(run));
    FAR_TRY(run_spill_fit(run));
    if (fari_mesh_ranks(&run->mesh) == 1 || run->comm != NULL) FAR_TRY(run_check_fit(run));
    if (run->opts.purpose == FAR_RUN_PLAN) return FAR_OK;
    FAR_TRY(run_shared_compare(run));
    run_heap_trim(); /* what planning had for a moment: the arena comes on top of what stays */
    FAR_TRY(allocate(run));
    if (!run_is_training(run)) return FAR_OK;
    const far_loader_opts loader = run_train_loader_opts(run, &run->train);
    return run_input_open(run, &run->train, run->data.train, &loader, &run->loader);
}

void run_unbuild(far_run *run)
{
    run_saver_destroy(run->saver);
    run_groups_free(run);
    far_loader_close(run->loader);
    fari_profile_destroy(run->profile);
    fari_timeline_destroy(run->timeline);
    run_native_close(&run->native);
    run_side_close(&run->train);
    run_side_close(&run->eval);
    fari_store_destroy(run->store);
    fari_spill_file_close(run->spill_file);
    fari_arena_unmap(run->arena, run->arena_bytes);
    fari_arena_unmap(run->plane_labels, run->plane_labels_bytes);
    if (run->backend != NULL) run->backend->destroy(run->backend);
    far_options_destroy(run->model_opts);
    far_options_destroy(run->recipe_opts);
}
