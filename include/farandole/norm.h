/**
 * @file farandole/norm.h
 * Normalisation layers: batch, group, instance and layer norm, with what usually follows them fused in.
 *
 *     y = act(gamma_c (x - mean) / sqrt(var + eps) + beta_c [+ residual])
 *
 * x is [N, C, spatial...] (batch norm also [N, C]). Layers differ in the elements one mean and one (biased) variance
 * cover: batch norm all samples and pixels of a channel; instance norm a channel of one sample; group norm a run of
 * C / groups channels of one sample; layer norm all channels of one sample.
 * Parameters  "<name>.weight" (gamma, starts at 1) and "<name>.bias" (beta, starts at 0), both [C];
 *             batch norm also keeps "<name>.running_mean" (0) and "<name>.running_var" (1). As PyTorch names them.
 * Statistics  are summed in double over the whole image and group, whatever the grains, ranks and threads.
 * Errors      sticky in the graph, see graph.h. Collective: no call communicates.
 */
#ifndef FAR_NORM_H
#define FAR_NORM_H
#include <farandole/activation.h>
#include <farandole/graph.h>
#ifdef __cplusplus
extern "C" {
#endif

/** Zero in a field means its default. */
typedef struct far_norm_opts {
    double eps;            /**< added to the variance; 0 means 1e-5 */
    double momentum;       /**< batch norm: running = (1 - momentum) running + momentum batch; 0 means 0.1 */
    int64_t group_samples; /**< batch norm: samples that share statistics, a divisor of N; 0 means the whole batch */
    bool no_affine;        /**< no gamma and beta */
    bool no_running; /**< batch norm: no running statistics; an evaluation graph then normalises by its own batch */
    far_act act;     /**< fused activation: none, ReLU or leaky ReLU */
    double slope;    /**< of leaky ReLU, in [0, 1]; 0 means 0.01 */
    const far_value *residual; /**< added before the activation, shape of x; NULL: none. Read during the call only */
} far_norm_opts;

/**
 * torch.nn.BatchNorm1d/2d/3d. In a training graph: statistics of the batch (or of each group of opts->group_samples
 * samples), and every call moves the running statistics once (running variance: unbiased; several groups: the mean of
 * their means and of their variances). A layer called three times moves them three times, in call order.
 * In an evaluation graph: the running statistics, nothing moves.
 * @param opts  NULL for defaults.
 */
FAR_API far_value far_batch_norm(far_graph *graph, const char *name, far_value x, const far_norm_opts *opts);
/**
 * Batch norms that are built from now on and match use their running statistics in a training graph too, and do not move them: for
 * layers that are frozen. A second call replaces the patterns of the first.
 * @param patterns  shell patterns, comma-separated, of the names of their weights: "layer1.*,bn1.weight"; copied.
 * @return FAR_OK, FAR_E_NOMEM.
 */
FAR_API far_status far_graph_fix_norms(far_graph *graph, const char *patterns);
/** torch.nn.GroupNorm(groups, C): groups divides C. */
FAR_API far_value far_group_norm(far_graph *graph, const char *name, far_value x, int64_t groups,
                                 const far_norm_opts *opts);
/** torch.nn.InstanceNorm1d/2d/3d with affine=True (PyTorch's own default is False: set no_affine for that). */
FAR_API far_value far_instance_norm(far_graph *graph, const char *name, far_value x, const far_norm_opts *opts);
/** Over C and space of each sample, gamma and beta per channel: torch.nn.GroupNorm(1, C). */
FAR_API far_value far_layer_norm(far_graph *graph, const char *name, far_value x, const far_norm_opts *opts);
/**
 * torch.nn.LayerNorm(F): over the last axis of [N, ..., F], gamma and beta [F]. For sequences [N, T, F] and rows [N, F].
 * Takes no act and no residual.
 */
FAR_API far_value far_layer_norm_last(far_graph *graph, const char *name, far_value x, const far_norm_opts *opts);

#ifdef __cplusplus
}
#endif
#endif /* FAR_NORM_H */
