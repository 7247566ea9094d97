/* Recipes: labels, outputs, losses that differentiate, refusals; meters: exact sums and the scores from them. */
#include "test.h"

#include <farandole/metric.h>
#include <farandole/recipe.h>

/* Logits as inputs. */
static far_model_result logits_of(far_graph *graph, int32_t count, far_shape shape)
{
    far_model_result model = { .count = count };
    char name[32];
    for (int32_t i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "x%d", (int)i);
        model.logits[i] = far_graph_input(graph, name, FAR_F32, &shape);
    }
    return model;
}

static far_options *recipe_of(const char *name)
{
    far_options *opts = NULL;
    FAR_CHECK_OK(far_recipe_opts_create(name, &opts));
    return opts;
}

/* Builds a recipe; `settings` as "name=focal dice=0.5". */
static far_graph *built(const char *name, const char *settings, bool is_training, int32_t count, far_shape logits,
                        far_options **opts_out)
{
    far_graph *graph = NULL;
    far_options *opts = recipe_of(name);
    far_shape labels;
    far_value loss = FAR_NO_VALUE;
    char pair[128];
    while (*settings != '\0') {
        const size_t length = strcspn(settings, " ");
        (void)snprintf(pair, sizeof pair, "%.*s", (int)length, settings);
        char *value = strchr(pair, '=');
        *value++ = '\0';
        FAR_CHECK_OK(far_options_set(opts, pair, value));
        settings += length + (settings[length] == ' ');
    }
    FAR_CHECK_OK(far_graph_create(is_training, &graph));
    const far_model_result model = logits_of(graph, count, logits);
    FAR_CHECK_OK(far_recipe_labels(graph, opts, &model, &labels));
    FAR_CHECK_OK(far_recipe_build(graph, opts, &model, far_graph_input(graph, "label", FAR_I32, &labels), &loss));
    FAR_CHECK(far_graph_find(graph, "loss") == loss && loss >= 0);
    FAR_CHECK(far_graph_shape(graph, loss).ndim == 0);
    *opts_out = opts;
    return graph;
}

static int32_t score_find(const far_meter *meter, const char *name)
{
    for (int32_t i = 0; i < far_meter_score_count(meter); i++)
        if (strcmp(far_meter_score_name(meter, i), name) == 0) return i;
    return -1;
}

static double score(const far_meter *meter, const char *name)
{
    const int32_t idx = score_find(meter, name);
    if (idx < 0) far_test_fail(__FILE__, __LINE__, "no score '%s'", name);
    return far_meter_score(meter, idx);
}

FAR_TEST(classify_counts_accuracy_exactly)
{
    far_options *opts;
    far_meter *meter = NULL;
    far_graph *graph = built("classify", "", false, 1, (far_shape){ 2, { 4, 10 } }, &opts);
    FAR_CHECK_OK(far_meter_create(graph, opts, &meter));
    FAR_CHECK_EQ_I64(far_meter_output_count(meter), 4);
    static const char *const names[] = { "loss", "top1", "top5", "confusion" };
    for (int32_t i = 0; i < 4; i++) {
        FAR_CHECK_STR(far_meter_output_name(meter, i), names[i]);
        FAR_CHECK(!far_meter_output_is_each(meter, i));
    }
    FAR_CHECK_EQ_I64(far_meter_output_elems(meter, 3), 100);
    double confusion[100] = { 0 }, loss[2] = { 0.5, 2.0 }, top1[2][2] = { { 3, 4 }, { 0, 1 } },
           top5[2][2] = { { 4, 4 }, { 1, 1 } };
    confusion[0] = 3, confusion[1] = 1;
    FAR_CHECK(score(meter, "accuracy") == 0.0);
    far_meter_add(meter, 4, (const double *[]){ &loss[0], top1[0], top5[0], confusion }, NULL);
    memset(confusion, 0, sizeof confusion);
    confusion[12] = 1;
    far_meter_add(meter, 1, (const double *[]){ &loss[1], top1[1], top5[1], confusion },
                  NULL); /* three samples were filling */
    FAR_CHECK_NEAR(score(meter, "loss"), (4 * 0.5 + 2.0) / 5, 1e-15);
    FAR_CHECK_NEAR(score(meter, "accuracy"), 3.0 / 5, 0);
    FAR_CHECK_NEAR(score(meter, "top5"), 1.0, 0);
    FAR_CHECK_NEAR(score(meter, "recall/0"), 0.75, 0);
    FAR_CHECK_NEAR(score(meter, "recall/1"), 0.0, 0);
    FAR_CHECK_NEAR(score(meter, "recall/9"), 0.0, 0);
    FAR_CHECK_NEAR(score(meter, "balanced_accuracy"), 0.375, 0);
    far_meter_reset(meter);
    FAR_CHECK(score(meter, "accuracy") == 0.0 && score(meter, "loss") == 0.0);
    int64_t count = -1;
    FAR_CHECK(far_meter_partial(meter, &count) == NULL && count == 0);
    far_meter_destroy(meter);
    far_options_destroy(opts);
    far_graph_destroy(graph);
}

FAR_TEST(classify_leaves_out_what_does_not_fit)
{
    far_options *opts;
    far_graph *graph = built("classify", "", true, 1, (far_shape){ 2, { 4, 3 } }, &opts);
    FAR_CHECK(far_graph_find(graph, "top1") >= 0 && far_graph_find(graph, "top5") < 0 &&
              far_graph_find(graph, "confusion") >= 0);
    far_graph_destroy(graph);
    far_options_destroy(opts);
    graph = built("classify", "", true, 1, (far_shape){ 2, { 4, 1000 } }, &opts);
    FAR_CHECK(far_graph_find(graph, "top5") >= 0 && far_graph_find(graph, "confusion") < 0);
    far_graph_destroy(graph);
    far_options_destroy(opts);
    graph = built("classify", "train_metrics=no name=focal gamma=1", true, 1, (far_shape){ 2, { 4, 3 } }, &opts);
    FAR_CHECK(far_graph_find(graph, "top1") < 0);
    far_graph_destroy(graph);
    far_options_destroy(opts);
    graph = built("classify", "top=3 confusion=no class_weights=1,2,0.5 label_smoothing=0.1", false, 1,
                  (far_shape){ 2, { 4, 3 } }, &opts);
    FAR_CHECK(far_graph_find(graph, "top3") >= 0 && far_graph_find(graph, "top1") < 0 &&
              far_graph_find(graph, "confusion") < 0);
    far_graph_destroy(graph);
    far_options_destroy(opts);
}

FAR_TEST(segment_adds_planes_up)
{
    far_options *opts;
    far_meter *meter = NULL;
    far_graph *graph =
        built("segment", "class_names=sky,sea,ship dice=0.5", false, 2, (far_shape){ 4, { 2, 3, 4, 6 } }, &opts);
    FAR_CHECK_OK(far_meter_create(graph, opts, &meter));
    FAR_CHECK_EQ_I64(far_meter_output_count(meter), 3);
    FAR_CHECK_STR(far_meter_output_name(meter, 2), "confusion.1");
    const double loss = 1.0, first[9] = { 5, 1, 0, 2, 2, 0, 0, 0, 0 }, second[9] = { 1, 0, 0, 0, 4, 1, 0, 0, 0 };
    far_meter_add(meter, 2, (const double *[]){ &loss, first, second }, NULL);
    FAR_CHECK_NEAR(score(meter, "accuracy"), 12.0 / 16, 0);
    FAR_CHECK_NEAR(score(meter, "non_background"), 6.0 / 9, 0);
    FAR_CHECK_NEAR(score(meter, "iou/sky"), 6.0 / 9, 0);
    FAR_CHECK_NEAR(score(meter, "iou/sea"), 6.0 / 10, 0);
    FAR_CHECK_NEAR(score(meter, "iou/ship"), 0.0, 0);
    FAR_CHECK_NEAR(score(meter, "foreground_iou"), 7.0 / 10, 1e-15);
    FAR_CHECK_NEAR(score(meter, "miou"), (6.0 / 9 + 0.6) / 3, 1e-15);
    far_meter_destroy(meter);
    far_options_destroy(opts);
    far_graph_destroy(graph);
}

FAR_TEST(mean_iou_leaves_absent_classes_out)
{
    far_options *opts;
    far_meter *meter = NULL;
    far_graph *graph = built("segment", "", false, 1, (far_shape){ 5, { 1, 3, 2, 4, 6 } }, &opts);
    FAR_CHECK_OK(far_meter_create(graph, opts, &meter));
    const double loss = 1.0, counts[9] = { 3, 1, 0, 0, 4, 0, 0, 0, 0 };
    far_meter_add(meter, 1, (const double *[]){ &loss, counts }, NULL);
    FAR_CHECK_NEAR(score(meter, "miou"), (0.75 + 0.8) / 2, 1e-15);
    far_meter_destroy(meter);
    far_options_destroy(opts);
    far_graph_destroy(graph);
}

FAR_TEST(cosmictagger_scores_are_means_over_images_in_any_order)
{
    far_options *opts;
    far_meter *meter[2] = { NULL, NULL };
    far_graph *graph = built("cosmictagger", "", false, 3, (far_shape){ 4, { 2, 3, 4, 6 } }, &opts);
    /* two planes' images are enough to see order; the second batch holds one image and one filling */
    const double a[18] = { 10, 1, 0, 2, 5, 0, 0, 1, 3, 7, 0, 0, 0, 0, 0, 0, 0, 0 },
                 b[18] = { 1, 0, 2, 3, 3, 1, 1, 0, 7 };
    const double loss[2] = { 0.1, 0.7 };
    const int64_t two[] = { 0, 2, 2, 2 }, one[] = { 0, 1, 1, 1 };
    FAR_CHECK_OK(far_meter_create(graph, opts, &meter[0]));
    FAR_CHECK_OK(far_meter_create(graph, opts, &meter[1]));
    FAR_CHECK_EQ_I64(far_meter_output_count(meter[0]), 4);
    FAR_CHECK_STR(far_meter_output_name(meter[0], 1), "images.0");
    FAR_CHECK(far_meter_output_is_each(meter[0], 1) && far_meter_output_elems(meter[0], 1) == 9);
    far_meter_add(meter[0], 2, (const double *[]){ &loss[0], a, b, a }, two);
    far_meter_add(meter[0], 1, (const double *[]){ &loss[1], b, a, b }, one);
    /* the other meter sees the images of the batches in another order, as ranks would; partial sums are added by hand */
    far_meter_add(meter[1], 1, (const double *[]){ &loss[1], b, a, b }, one);
    far_meter_add(meter[1], 2, (const double *[]){ &loss[0], a + 9, b + 9, a + 9 }, one);
    far_meter *rest = NULL;
    int64_t count[2];
    FAR_CHECK_OK(far_meter_create(graph, opts, &rest));
    far_meter_add(rest, 0, (const double *[]){ &loss[0], a, b, a }, one);
    double *sums = far_meter_partial(meter[1], &count[0]);
    const double *more = far_meter_partial(rest, &count[1]);
    FAR_CHECK_EQ_I64(count[0], count[1]);
    for (int64_t i = 0; i < count[0]; i++) sums[i] += more[i];
    for (int32_t i = 1; i < far_meter_score_count(meter[0]); i++)
        FAR_CHECK(far_meter_score(meter[0], i) == far_meter_score(meter[1], i));
    FAR_CHECK_NEAR(score(meter[0], "loss"), (0.2 + 0.7) / 3, 1e-15);
    /* Without the filling: plane 0 has a0, a1, b0; plane 1 has b0, a0; plane 2 as plane 0. a1 has background only. */
    far_cosmic_scores sa, sa1, sb;
    far_cosmic_scores_mean(a, 1, &sa);
    far_cosmic_scores_mean(a + 9, 1, &sa1);
    far_cosmic_scores_mean(b, 1, &sb);
    FAR_CHECK_NEAR(score(meter[0], "accuracy"), (3 * sa.accuracy + 2 * sa1.accuracy + 3 * sb.accuracy) / 8, 1e-9);
    FAR_CHECK_NEAR(score(meter[0], "miou"), (3 * sa.mean_iou + 2 * sa1.mean_iou + 3 * sb.mean_iou) / 8, 1e-9);
    FAR_CHECK_NEAR(score(meter[0], "iou/neutrino"),
                   (3 * sa.neutrino_iou + 2 * sa1.neutrino_iou + 3 * sb.neutrino_iou) / 8, 1e-9);
    for (int i = 0; i < 2; i++) far_meter_destroy(meter[i]);
    far_meter_destroy(rest);
    far_options_destroy(opts);
    far_graph_destroy(graph);
}

FAR_TEST(recipes_differentiate_through_models)
{
    static const struct {
        const char *model, *settings, *recipe;
        far_shape input;
    } nets[] = {
        { "lenet5", "10", "classify", { 4, { 4, 1, 28, 28 } } },
        { "unet3d", "3", "segment", { 5, { 1, 1, 8, 8, 8 } } },
        { "a21", "3", "cosmictagger", { 4, { 2, 3, 64, 128 } } },
        { "a21", "3", "segment", { 4, { 2, 3, 64, 128 } } },
    };
    for (size_t i = 0; i < FAR_COUNT(nets); i++) {
        far_graph *graph = NULL;
        far_options *model_opts = NULL, *opts = recipe_of(nets[i].recipe);
        far_model_result model;
        far_shape labels;
        far_value loss;
        FAR_CHECK_OK(far_model_opts_create(nets[i].model, NULL, &model_opts));
        FAR_CHECK_OK(far_options_set(model_opts, "classes", nets[i].settings));
        FAR_CHECK_OK(far_graph_create(true, &graph));
        FAR_CHECK_OK(
            far_model_build(graph, model_opts, far_graph_input(graph, "image", FAR_F32, &nets[i].input), &model));
        FAR_CHECK_OK(far_recipe_labels(graph, opts, &model, &labels));
        FAR_CHECK_OK(far_recipe_build(graph, opts, &model, far_graph_input(graph, "label", FAR_I32, &labels), &loss));
        FAR_CHECK_OK(far_graph_backward(graph, loss));
        for (int32_t k = 0; k < far_graph_param_count(graph); k++)
            FAR_CHECK(far_graph_gradient(graph, far_graph_param_at(graph, k)) >= 0);
        far_graph_destroy(graph);
        far_options_destroy(model_opts);
        far_options_destroy(opts);
    }
}

FAR_TEST(what_does_not_fit_is_refused)
{
    static const struct {
        const char *recipe, *key, *value;
        int32_t count;
        far_shape logits;
        const char *words;
    } wrong[] = {
        { "classify", NULL, NULL, 1, { 4, { 2, 3, 4, 4 } }, "[N, classes]" },
        { "classify", NULL, NULL, 2, { 2, { 2, 3 } }, "and more" },
        { "classify", "class_weights", "1,2", 1, { 2, { 2, 3 } }, "2 numbers for 3 classes" },
        { "segment", NULL, NULL, 1, { 2, { 2, 3 } }, "labels of pixels" },
        { "segment", NULL, NULL, 1, { 4, { 2, 1, 4, 4 } }, "at least two classes" },
        { "cosmictagger", NULL, NULL, 3, { 4, { 2, 2, 4, 4 } }, "background, cosmic, neutrino" },
    };
    for (size_t i = 0; i < FAR_COUNT(wrong); i++) {
        far_graph *graph = NULL;
        far_options *opts = recipe_of(wrong[i].recipe);
        far_value loss = -7;
        FAR_CHECK_OK(far_graph_create(true, &graph));
        const far_model_result model = logits_of(graph, wrong[i].count, wrong[i].logits);
        far_shape labels = { .ndim = 1, .dim = { 2 } };
        if (wrong[i].key != NULL) FAR_CHECK_OK(far_options_set(opts, wrong[i].key, wrong[i].value));
        (void)far_recipe_labels(graph, opts, &model, &labels);
        const far_value y = far_graph_input(graph, "label", FAR_I32, &labels);
        FAR_CHECK(far_recipe_build(graph, opts, &model, y, &loss) != FAR_OK);
        FAR_CHECK_HAS(far_error_message(), wrong[i].words);
        FAR_CHECK_EQ_I64(loss, -7);
        far_graph_destroy(graph);
        far_options_destroy(opts);
    }
    far_options *opts = NULL;
    FAR_CHECK_STATUS(far_recipe_opts_create("clasify", &opts), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "'classify'");
    opts = recipe_of("segment");
    FAR_CHECK_STATUS(far_options_set(opts, "name", "mae"), FAR_E_CONFIG);
    far_graph *graph = NULL;
    far_meter *meter = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK_STATUS(far_meter_create(graph, opts, &meter), FAR_E_ARG);
    FAR_CHECK(meter == NULL);
    far_graph_destroy(graph);
    far_options_destroy(opts);
}

FAR_TEST(labels_of_another_shape_are_refused)
{
    far_graph *graph = NULL;
    far_options *opts = recipe_of("segment");
    far_value loss;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_model_result model = logits_of(graph, 1, (far_shape){ 4, { 2, 3, 4, 6 } });
    const far_value y = far_graph_input(graph, "label", FAR_I32, &(far_shape){ 4, { 2, 1, 6, 4 } });
    FAR_CHECK_STATUS(far_recipe_build(graph, opts, &model, y, &loss), FAR_E_SHAPE);
    FAR_CHECK_HAS(far_error_message(), "segment needs labels 2x1x4x6; got 2x1x6x4");
    far_graph_destroy(graph);
    far_options_destroy(opts);
}
