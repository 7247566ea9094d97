/* CosmicTagger's training (Acciarri, Adams et al., 2021): background, cosmic and neutrino pixels on image planes that are one event.
   The losses of the planes are added up; scores are taken per plane and image, then averaged.
   Its losses by our names: focal; focal of v2.1: normalisation=pixels; light: name=cross_entropy, class_weights=[1, 1.5, 10];
   even: name=cross_entropy, normalisation=balanced; none: name=cross_entropy. */
#include "recipes/recipe.h"
#include <farandole/elementwise.h>
#include <farandole/extend.h>

#define CLASSES 3

static far_status cosmictagger_labels(const far_graph *graph, const far_options *opts, const far_model_result *model,
                                      far_shape *shape_out)
{
    char text[128];
    (void)opts;
    const far_shape logits = model->count > 0 ? far_graph_shape(graph, model->logits[0]) : (far_shape){ .ndim = 0 };
    if (logits.ndim != 4 || logits.dim[1] != CLASSES)
        return far_fail(FAR_E_SHAPE, "cosmictagger needs logits [N, 3, H, W] (background, cosmic, neutrino); got %s",
                        far_shape_text(&logits, text));
    return fari_labels_dense(graph, model, shape_out);
}

static far_value cosmictagger_build(far_graph *graph, const far_options *opts, const far_model_result *model,
                                    far_value labels)
{
    const far_metric_opts metric = fari_metric_opts_of(opts);
    far_value loss = FAR_NO_VALUE, plane_labels[FAR_LOGITS_MAX];
    for (int32_t p = 0; p < model->count; p++) {
        plane_labels[p] = fari_labels_plane(graph, labels, p);
        const far_value term = fari_dense_loss(graph, opts, fari_plane_name("loss", p, model->count).text,
                                               model->logits[p], plane_labels[p], 1.0);
        loss = p == 0 ? term : far_add(graph, "loss", loss, term);
    }
    far_graph_output(graph, "loss", loss);
    for (int32_t p = 0; p < model->count && fari_has_metrics(graph, opts); p++) {
        const fari_label name = fari_plane_name("images", p, FAR_LOGITS_MAX);
        far_graph_output(graph, name.text,
                         far_metric_confusion_each(graph, name.text, model->logits[p], plane_labels[p], &metric));
    }
    return loss;
}

static void cosmictagger_meter(far_meter *meter, const far_graph *graph, const far_options *opts)
{
    int32_t sums = -1;
    (void)opts;
    for (int32_t p = 0; p < FAR_LOGITS_MAX; p++) {
        const fari_label name = fari_plane_name("images", p, FAR_LOGITS_MAX);
        if (far_graph_find(graph, name.text) < 0) break;
        sums = fari_meter_output(meter, graph, name.text, FARI_SUMS_COSMIC, sums);
    }
    if (sums < 0) return;
    fari_meter_score(meter, "accuracy", FARI_SCORE_COSMIC, sums, 0);
    fari_meter_score(meter, "non_background", FARI_SCORE_COSMIC, sums, 1);
    fari_meter_score(meter, "iou/cosmic", FARI_SCORE_COSMIC, sums, 2);
    fari_meter_score(meter, "iou/neutrino", FARI_SCORE_COSMIC, sums, 3);
    fari_meter_score(meter, "miou", FARI_SCORE_COSMIC_MIOU, sums, 0);
}

static const far_config_key cosmictagger_options[] = {
    FARI_OPT_LOSS("focal", "focal|cross_entropy|dice"),
    FARI_OPT_DICE,
    FARI_OPT_METRICS,
};

const fari_recipe fari_recipe_cosmictagger = {
    .info = { .name = "cosmictagger",
              .help =
                  "Cosmic and neutrino pixels on the planes of a particle detector, with CosmicTagger's losses and scores",
              FARI_OPTIONS(cosmictagger_options) },
    .labels = cosmictagger_labels,
    .build = cosmictagger_build,
    .meter = cosmictagger_meter,
};
