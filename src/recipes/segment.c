/* One label a pixel: cross-entropy, focal or Dice loss, or a mix; accuracy and intersection over union of the classes.
   Of several image planes the mean loss is taken, and counts are added up. */
#include "recipes/recipe.h"
#include <farandole/elementwise.h>
#include <farandole/extend.h>

static far_status segment_labels(const far_graph *graph, const far_options *opts, const far_model_result *model,
                                 far_shape *shape_out)
{
    (void)opts;
    return fari_labels_dense(graph, model, shape_out);
}

static far_value segment_build(far_graph *graph, const far_options *opts, const far_model_result *model,
                               far_value labels)
{
    const far_metric_opts metric = fari_metric_opts_of(opts);
    far_value loss = FAR_NO_VALUE, plane_labels[FAR_LOGITS_MAX];
    for (int32_t p = 0; p < model->count; p++) {
        plane_labels[p] = fari_labels_plane(graph, labels, p);
        const far_value term = fari_dense_loss(graph, opts, fari_plane_name("loss", p, model->count).text,
                                               model->logits[p], plane_labels[p], 1.0 / model->count);
        loss = p == 0 ? term : far_add(graph, "loss", loss, term);
    }
    far_graph_output(graph, "loss", loss);
    for (int32_t p = 0; p < model->count && fari_has_metrics(graph, opts); p++) {
        const fari_label name = fari_plane_name("confusion", p, model->count);
        far_graph_output(graph, name.text,
                         far_metric_confusion(graph, name.text, model->logits[p], plane_labels[p], &metric));
    }
    return loss;
}

static void segment_meter(far_meter *meter, const far_graph *graph, const far_options *opts)
{
    const bool is_single = far_graph_find(graph, "confusion") >= 0;
    int32_t sums = -1;
    for (int32_t p = 0; p < FAR_LOGITS_MAX; p++) {
        const fari_label name = fari_plane_name("confusion", p, is_single ? 1 : FAR_LOGITS_MAX);
        if (far_graph_find(graph, name.text) < 0 || (is_single && p > 0)) break;
        sums = fari_meter_output(meter, graph, name.text, FARI_SUMS_COUNTS, sums);
    }
    if (sums < 0) return;
    fari_meter_score(meter, "accuracy", FARI_SCORE_ACCURACY, sums, 0);
    fari_meter_score(meter, "non_background", FARI_SCORE_NON_BACKGROUND, sums, 0);
    fari_meter_score(meter, "balanced_accuracy", FARI_SCORE_BALANCED, sums, 0);
    fari_meter_score(meter, "miou", FARI_SCORE_MIOU, sums, 0);
    fari_meter_score(meter, "foreground_iou", FARI_SCORE_FOREGROUND_IOU, sums, 0);
    fari_meter_class_scores(meter, opts, "iou", FARI_SCORE_IOU, sums);
}

static const far_config_key segment_options[] = {
    FARI_OPT_LOSS("cross_entropy", "cross_entropy|focal|dice|bce|mse"),
    FARI_OPT_DICE,
    FARI_OPT_CLASS_NAMES,
    FARI_OPT_METRICS,
};

const fari_recipe fari_recipe_segment = {
    .info = { .name = "segment",
              .help = "One class a pixel or voxel: cross-entropy, focal or Dice loss, intersection over union",
              FARI_OPTIONS(segment_options) },
    .labels = segment_labels,
    .build = segment_build,
    .meter = segment_meter,
};
