/* One label a sample: cross-entropy, top-k accuracy, confusion. */
#include "recipes/recipe.h"
#include <farandole/extend.h>
#include <inttypes.h>
#include <stdio.h>

#define CONFUSION_CLASSES_MAX 128 /* "auto": a thousand classes would make a table of 8 MB a grain */
#define TOP_MAX 8

static far_status classify_labels(const far_graph *graph, const far_options *opts, const far_model_result *model,
                                  far_shape *shape_out)
{
    const far_shape logits = model->count > 0 ? far_graph_shape(graph, model->logits[0]) : (far_shape){ .ndim = 0 };
    char text[128];
    (void)opts;
    if (model->count != 1 || logits.ndim != 2 || logits.dim[1] < 2)
        return far_fail(FAR_E_SHAPE, "classify needs logits [N, classes] with at least two classes; got %s%s",
                        far_shape_text(&logits, text), model->count > 1 ? " and more" : "");
    *shape_out = (far_shape){ .ndim = 1, .dim = { logits.dim[0] } };
    return FAR_OK;
}

static bool has_confusion(const far_options *opts, int64_t classes)
{
    const int32_t choice = far_options_enum(opts, "confusion");
    return choice == 1 || (choice == 0 && classes <= CONFUSION_CLASSES_MAX);
}

/* "top1", "top5": those of the option's numbers that are not more than the classes. False: past the last. */
static bool top_at(const far_options *opts, int64_t classes, int64_t idx, int64_t *top_out, fari_label *name_out)
{
    if (idx >= far_options_list_count(opts, "top") || idx >= TOP_MAX) return false;
    *top_out = far_options_list_i64(opts, "top", idx);
    (void)snprintf(name_out->text, sizeof name_out->text, "top%" PRId64, *top_out);
    if (*top_out > classes) *top_out = 0;
    return true;
}

static far_value classify_build(far_graph *graph, const far_options *opts, const far_model_result *model,
                                far_value labels)
{
    const far_value logits = model->logits[0];
    const int64_t classes = far_graph_shape(graph, logits).dim[1];
    const far_metric_opts metric = fari_metric_opts_of(opts);
    double weights[FAR_CLASS_WEIGHTS_MAX];
    const far_ce_opts ce = fari_ce_opts_of(graph, opts, classes, weights);
    fari_label name;
    int64_t top;
    const far_value loss = far_cross_entropy(graph, "loss", logits, labels, &ce);
    far_graph_output(graph, "loss", loss);
    if (!fari_has_metrics(graph, opts)) return loss;
    for (int64_t i = 0; top_at(opts, classes, i, &top, &name); i++)
        if (top > 0)
            far_graph_output(graph, name.text, far_metric_topk(graph, name.text, logits, labels, top, &metric));
    if (has_confusion(opts, classes))
        far_graph_output(graph, "confusion", far_metric_confusion(graph, "confusion", logits, labels, &metric));
    return loss;
}

/* The graph tells which outputs there are. */
static void classify_meter(far_meter *meter, const far_graph *graph, const far_options *opts)
{
    fari_label name;
    int64_t top;
    for (int64_t i = 0; top_at(opts, INT64_MAX, i, &top, &name); i++)
        if (far_graph_find(graph, name.text) >= 0)
            fari_meter_score(meter, top == 1 ? "accuracy" : name.text, FARI_SCORE_RATIO,
                             fari_meter_output(meter, graph, name.text, FARI_SUMS_COUNTS, -1), 0);
    if (far_graph_find(graph, "confusion") < 0) return;
    const int32_t sums = fari_meter_output(meter, graph, "confusion", FARI_SUMS_COUNTS, -1);
    if (far_graph_find(graph, "top1") < 0) fari_meter_score(meter, "accuracy", FARI_SCORE_ACCURACY, sums, 0);
    fari_meter_score(meter, "balanced_accuracy", FARI_SCORE_BALANCED, sums, 0);
    fari_meter_class_scores(meter, opts, "recall", FARI_SCORE_RECALL, sums);
}

static const far_config_key classify_options[] = {
    FARI_OPT_LOSS("cross_entropy", "cross_entropy|focal|bce|mse"),
    FARI_OPT(FAR_CONFIG_INTS, "top", "1,5", 1, 1e6,
             "right when the label is among this many largest logits; up to eight numbers"),
    FARI_OPT_ENUM("confusion", "auto", "auto|yes|no", "count labels against predictions; auto: up to 128 classes"),
    FARI_OPT_CLASS_NAMES,
    FARI_OPT_METRICS,
};

const fari_recipe fari_recipe_classify = {
    .info = { .name = "classify",
              .help = "One class a sample: cross-entropy, top-k accuracy",
              FARI_OPTIONS(classify_options) },
    .labels = classify_labels,
    .build = classify_build,
    .meter = classify_meter,
};
