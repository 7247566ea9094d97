/**
 * @file farandole/loss.h
 * Losses: each gives a scalar f64 over the whole batch and image, summed in double in a fixed order whatever the grains.
 * Add several with far_add; `scale` in the options is a loss's factor in such a sum.
 * Labels      class indices: [N] for logits [N, K], [N, 1, spatial] for logits [N, K, spatial]; i32 or u8.
 *             A label outside [0, K) that is not the ignored one stops the step with FAR_E_FORMAT.
 * Errors      sticky in the graph, see graph.h. Collective: no call communicates.
 */
#ifndef FAR_LOSS_H
#define FAR_LOSS_H
#include <farandole/graph.h>
#ifdef __cplusplus
extern "C" {
#endif

/** Most classes that class weights can be given for. */
#define FAR_CLASS_WEIGHTS_MAX 1024
/** PyTorch's ignored label, ignored here too unless options name another. */
#define FAR_IGNORE_LABEL (-100)

typedef enum far_ce_norm {
    FAR_CE_MEAN =
        0,         /**< sum(w ce) / sum(w): PyTorch's reduction="mean"; CosmicTagger master's focal and fixed weights */
    FAR_CE_SUM,    /**< sum(w ce) */
    FAR_CE_PIXELS, /**< sum(w ce) / (K labels not ignored): CosmicTagger v2.1's focal, mean over classes and pixels */
    FAR_CE_BALANCED, /**< class k of n_k pixels weighs w / (K (n_k + 1)), counted over this batch, then as FAR_CE_MEAN:
                          CosmicTagger's "even" */
    FAR_CE_NORM_COUNT
} far_ce_norm;

/** The loss of one pixel from its K logits x and the target q, one-hot or smoothed. */
typedef enum far_class_loss {
    FAR_CLASS_SOFTMAX = 0, /**< -sum_k q_k log softmax(x)_k: cross-entropy */
    FAR_CLASS_SIGMOID, /**< mean_k of -(q_k log s(x_k) + (1 - q_k) log(1 - s(x_k))): each class against the others; with one-hot
                            targets torch.nn.functional.binary_cross_entropy_with_logits */
    FAR_CLASS_SQUARE, /**< mean_k (x_k - q_k)^2: torch.nn.functional.mse_loss */
    FAR_CLASS_LOSS_COUNT
} far_class_loss;

/** Zero in a field means its default. */
typedef struct far_ce_opts {
    double label_smoothing;     /**< in [0, 1): the target is (1 - s) one-hot + s / K, as torch.nn.CrossEntropyLoss */
    const double *class_weight; /**< [K], copied; NULL: all 1. K <= FAR_CLASS_WEIGHTS_MAX */
    bool use_ignore_label;      /**< ignore_label below counts; otherwise FAR_IGNORE_LABEL */
    int32_t ignore_label;       /**< pixels of this label neither count nor get a gradient */
    far_ce_norm norm;           /**< what the sum is divided by. A divisor of 0 (all ignored) gives loss 0 */
    double focal_gamma;  /**< 0: none. Else pixels weigh (1 - p_true)^gamma, with no gradient through the weight */
    double scale;        /**< 0 means 1 */
    far_class_loss kind; /**< sigmoid and square: class weights multiply the whole pixel, there is no focal_gamma */
} far_ce_opts;

/**
 * Cross-entropy from logits over channels: per pixel ce = -sum_k q_k log softmax(x)_k with q the smoothed target,
 * whose terms class weights multiply as in PyTorch: w_t (1 - s) on the label, w_k s / K on all; w in the norms is w_t.
 * @param logits  [N, K] or [N, K, spatial].
 * @param opts    NULL for defaults: torch.nn.functional.cross_entropy(logits, labels).
 * @return the scalar loss.
 */
FAR_API far_value far_cross_entropy(far_graph *graph, const char *name, far_value logits, far_value labels,
                                    const far_ce_opts *opts);
/** far_cross_entropy with focal_gamma, 2 when opts leave it 0. CosmicTagger: master norm FAR_CE_MEAN, v2.1 FAR_CE_PIXELS. */
FAR_API far_value far_focal_loss(far_graph *graph, const char *name, far_value logits, far_value labels,
                                 const far_ce_opts *opts);

/** Zero in a field means its default. */
typedef struct far_dice_opts {
    double smooth;        /**< added to numerator and denominator; 0 means 1e-5 */
    bool square;          /**< squares in the denominator: sum p^2 + sum g^2 (V-Net) instead of sum p + sum g */
    bool skip_background; /**< leave class 0 out of the mean; K >= 2 */
    bool use_ignore_label;
    int32_t ignore_label;
    double scale; /**< 0 means 1 */
} far_dice_opts;

/**
 * Soft Dice: 1 - mean_k (2 sum p_k g_k + smooth) / (sum p_k + sum g_k + smooth), sums over batch and image, p the softmax
 * over channels, g one-hot labels. K = 1: p is the sigmoid and labels are 0 or 1.
 */
FAR_API far_value far_dice_loss(far_graph *graph, const char *name, far_value logits, far_value labels,
                                const far_dice_opts *opts);

/** Zero in a field means its default. */
typedef struct far_bce_opts {
    double pos_weight; /**< factor of the positive term; 0 means 1 */
    bool sum;          /**< the sum over elements instead of their mean */
    double scale;      /**< 0 means 1 */
} far_bce_opts;

/**
 * torch.nn.functional.binary_cross_entropy_with_logits: mean of -(pos_weight t log s(x) + (1 - t) log(1 - s(x))).
 * @param target  logits' shape; f32 in [0, 1], or i32 / u8 of 0 and 1. Gets no gradient.
 */
FAR_API far_value far_bce_with_logits(far_graph *graph, const char *name, far_value logits, far_value target,
                                      const far_bce_opts *opts);

/** Zero in a field means its default. */
typedef struct far_mse_opts {
    bool sum;     /**< the sum over elements instead of their mean */
    double scale; /**< 0 means 1 */
} far_mse_opts;

/** torch.nn.functional.mse_loss: mean of (x - target)^2; both f32 of one shape, both get gradients where needed. */
FAR_API far_value far_mse_loss(far_graph *graph, const char *name, far_value x, far_value target,
                               const far_mse_opts *opts);

#ifdef __cplusplus
}
#endif
#endif /* FAR_LOSS_H */
