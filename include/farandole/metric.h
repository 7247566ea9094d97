/**
 * @file farandole/metric.h
 * Metrics: exact counts taken in the graph, scores derived from them on the host.
 * The builders' values are f64 holding whole numbers, exact up to 2^53; register them with far_graph_output.
 * Labels are as in loss.h; predictions are the channel of the largest logit, the lowest of equal ones.
 * Collective  no call communicates.
 */
#ifndef FAR_METRIC_H
#define FAR_METRIC_H
#include <farandole/graph.h>
#ifdef __cplusplus
extern "C" {
#endif

/** Zero in a field means its default. */
typedef struct far_metric_opts {
    bool use_ignore_label; /**< ignore_label below counts; otherwise FAR_IGNORE_LABEL of loss.h */
    int32_t ignore_label;  /**< pixels of this label are not counted */
} far_metric_opts;

/**
 * @param top   a prediction is right when fewer than `top` classes have a larger logit; in [1, K].
 * @param opts  NULL for defaults.
 * @return [2]: predictions that are right, labels counted.
 */
FAR_API far_value far_metric_topk(far_graph *graph, const char *name, far_value logits, far_value labels, int64_t top,
                                  const far_metric_opts *opts);
/** @return [K, K] over the whole batch: element (t, p) counts labels t predicted as p. */
FAR_API far_value far_metric_confusion(far_graph *graph, const char *name, far_value logits, far_value labels,
                                       const far_metric_opts *opts);
/** @return [N, K, K]: the same for each sample. */
FAR_API far_value far_metric_confusion_each(far_graph *graph, const char *name, far_value logits, far_value labels,
                                            const far_metric_opts *opts);

/** @return the share of right predictions; 0 when nothing was counted. `confusion` is [classes, classes]. */
FAR_API double far_confusion_accuracy(const double *confusion, int64_t classes);
/** @return intersection over union of class k; 1 when the union is empty. */
FAR_API double far_confusion_iou(const double *confusion, int64_t classes, int64_t k);
/** @return intersection over union of all classes but 0 taken for one: something against background; 1 when the union is empty. */
FAR_API double far_confusion_foreground_iou(const double *confusion, int64_t classes);
/** @return the share of labels k that were predicted so (recall); 1 when there are none. */
FAR_API double far_confusion_class_accuracy(const double *confusion, int64_t classes, int64_t k);

/** CosmicTagger's scores of one image of three classes: 0 background, 1 cosmic, 2 neutrino. */
typedef struct far_cosmic_scores {
    double accuracy;                 /**< all pixels */
    double non_background_accuracy;  /**< pixels whose label is not 0; 0 when there are none */
    double cosmic_iou, neutrino_iou; /**< 1 when the union is empty */
    double mean_iou;                 /**< of the two; background left out */
} far_cosmic_scores;
/**
 * Scores per image, then averaged, as CosmicTagger reports them over batch and planes.
 * @param confusion   [image_count, 3, 3], from far_metric_confusion_each.
 * @param scores_out  the averages; zeros for no image.
 */
FAR_API void far_cosmic_scores_mean(const double *confusion, int64_t image_count, far_cosmic_scores *scores_out);

#ifdef __cplusplus
}
#endif
#endif /* FAR_METRIC_H */
