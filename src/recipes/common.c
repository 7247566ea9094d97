/* What recipes share: options of losses, labels of image planes. */
#include "recipes/recipe.h"
#include <farandole/elementwise.h>
#include <farandole/extend.h>
#include <farandole/shape.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

far_ce_opts fari_ce_opts_of(far_graph *graph, const far_options *opts, int64_t classes,
                            double weights[FAR_CLASS_WEIGHTS_MAX])
{
    const int64_t given = far_options_list_count(opts, "class_weights");
    far_ce_opts ce = { .label_smoothing = far_options_f64(opts, "label_smoothing"),
                       .use_ignore_label = true,
                       .ignore_label = (int32_t)far_options_i64(opts, "ignore_index"),
                       .norm = (far_ce_norm)far_options_enum(opts, "normalisation") };
    if (strcmp(far_options_text(opts, "name"), "bce") == 0) ce.kind = FAR_CLASS_SIGMOID;
    if (strcmp(far_options_text(opts, "name"), "mse") == 0) ce.kind = FAR_CLASS_SQUARE;
    if (strcmp(far_options_text(opts, "name"), "focal") == 0) ce.focal_gamma = far_options_f64(opts, "gamma");
    if (given == 0) return ce;
    if (given != classes || given > FAR_CLASS_WEIGHTS_MAX) {
        (void)far_graph_fail_last(graph, far_options_fail(opts, "class_weights",
                                                          "%" PRId64 " numbers for %" PRId64 " classes (at most %d)",
                                                          given, classes, FAR_CLASS_WEIGHTS_MAX));
        return ce;
    }
    for (int64_t k = 0; k < given; k++) weights[k] = far_options_list_f64(opts, "class_weights", k);
    ce.class_weight = weights;
    return ce;
}

far_value fari_dense_loss(far_graph *graph, const far_options *opts, const char *name, far_value logits,
                          far_value labels, double scale)
{
    const int64_t classes = far_graph_shape(graph, logits).dim[1];
    const bool is_dice = strcmp(far_options_text(opts, "name"), "dice") == 0;
    const double added = far_options_f64(opts, "dice");
    double weights[FAR_CLASS_WEIGHTS_MAX];
    char dice_name[80];
    far_ce_opts ce = fari_ce_opts_of(graph, opts, classes, weights);
    const far_dice_opts dice = { .smooth = far_options_f64(opts, "smooth"),
                                 .square = far_options_bool(opts, "dice_square"),
                                 .skip_background = far_options_bool(opts, "dice_skip_background"),
                                 .use_ignore_label = true,
                                 .ignore_label = ce.ignore_label,
                                 .scale = scale * (is_dice ? 1.0 : added) };
    ce.scale = scale;
    if (is_dice) return far_dice_loss(graph, name, logits, labels, &dice);
    const far_value loss = far_cross_entropy(graph, name, logits, labels, &ce);
    if (added == 0.0) return loss;
    (void)snprintf(dice_name, sizeof dice_name, "%s.dice", name);
    return far_add(graph, name, loss, far_dice_loss(graph, dice_name, logits, labels, &dice));
}

far_metric_opts fari_metric_opts_of(const far_options *opts)
{
    return (far_metric_opts){ .use_ignore_label = true,
                              .ignore_label = (int32_t)far_options_i64(opts, "ignore_index") };
}

bool fari_has_metrics(const far_graph *graph, const far_options *opts)
{
    return !far_graph_is_training(graph) || far_options_bool(opts, "train_metrics");
}

far_status fari_labels_dense(const far_graph *graph, const far_model_result *model, far_shape *shape_out)
{
    const far_shape first = model->count > 0 ? far_graph_shape(graph, model->logits[0]) : (far_shape){ .ndim = 0 };
    char text[128];
    if (first.ndim < 3 || first.dim[1] < 2)
        return far_fail(FAR_E_SHAPE,
                        "labels of pixels need logits [N, classes, spatial..] with at least two classes; got %s",
                        far_shape_text(&first, text));
    for (int32_t p = 1; p < model->count; p++) {
        const far_shape other = far_graph_shape(graph, model->logits[p]);
        if (other.ndim != first.ndim || memcmp(other.dim, first.dim, (size_t)first.ndim * sizeof first.dim[0]) != 0)
            return far_fail(FAR_E_SHAPE, "the logits of all planes need the same shape; got %s beside %s",
                            far_shape_text(&other, text), far_shape_text(&first, (char[128]){ 0 }));
    }
    *shape_out = first;
    shape_out->dim[1] = model->count;
    return FAR_OK;
}

far_value fari_labels_plane(far_graph *graph, far_value labels, int32_t plane)
{
    const far_shape shape = far_graph_shape(graph, labels);
    if (far_graph_status(graph) != FAR_OK || shape.ndim < 2 || shape.dim[1] == 1) return labels;
    return far_slice(graph, fari_plane_name("labels", plane, (int32_t)shape.dim[1]).text, labels, 1, plane, 1);
}

fari_label fari_plane_name(const char *base, int32_t plane, int32_t planes)
{
    fari_label label;
    if (planes > 1) (void)snprintf(label.text, sizeof label.text, "%s.%d", base, (int)plane);
    else (void)snprintf(label.text, sizeof label.text, "%s", base);
    return label;
}
