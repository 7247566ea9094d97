/**
 * @file farandole/optim.h
 * Optimizers: what a step does to the parameters, as nodes of the graph.
 * Call order  far_optim_freeze (where parameters are frozen), far_graph_backward, far_optim_apply.
 * Threads     as farandole/graph.h.
 * Collective  no call communicates.
 */
#ifndef FAR_OPTIM_H
#define FAR_OPTIM_H
#include <farandole/graph.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/** Parameters that are treated differently. The first group that matches a parameter's name is its group. */
typedef struct far_param_group {
    const char *patterns; /**< shell patterns of names, comma-separated: "head.*,*.bias" */
    double lr_scale;      /**< times the learning rate; default 1 */
    double weight_decay;  /**< instead of far_optim_opts.weight_decay; default: that one; negative: none */
    bool is_frozen;       /**< not trained, no gradients computed, no state */
    bool no_adapt;        /**< no trust ratio of lars or lamb */
} far_param_group;

/** Which tensors LARS and LAMB give neither weight decay nor a trust ratio. */
typedef enum far_exclude {
    FAR_EXCLUDE_BY_FORM = 0, /**< as the form's own code does */
    FAR_EXCLUDE_NONE,
    FAR_EXCLUDE_NORM,     /**< scales and shifts of normalisation layers */
    FAR_EXCLUDE_BIAS_NORM /**< these and all biases: every parameter with one axis */
} far_exclude;

/** Where the learning rate enters a momentum: they differ whenever it changes. */
typedef enum far_lr_place {
    FAR_LR_BY_FORM = 0,
    FAR_LR_INSIDE, /**< v = m v + lr u; w -= v: Caffe, TensorFlow */
    FAR_LR_OUTSIDE /**< v = m v + u; w -= lr v: PyTorch */
} far_lr_place;

/** A number for which zero has another meaning than "default". */
#define FAR_OPTIM_ZERO (-1.0)

/**
 * Zero in a field means the optimizer's default, which far_optim_describe tells; FAR_OPTIM_ZERO asks for zero itself where the
 * default is another number. In formulas: w weight, g gradient, lr learning rate, b weight decay, t step counted from 1.
 * The learning rate is no option: it comes with every step, from a far_schedule.
 */
typedef struct far_optim_opts {
    const char *name; /**< "sgd" (the default), "adam", "adamw", "rmsprop", "lars", "lamb" */
    /**
     * Variant of LARS or LAMB. With |x| the Euclidean norm of the tensor, l the local rate (1 where a norm is 0):
     * lars  "you" (default)       l = eta |w| / (|g| + b |w|); lr inside the momentum; every tensor
     *       "nvcaffe_larc_scale"  l = (1 - m) eta |w| / |g|; lr inside; every tensor
     *       "nvcaffe_larc_clip"   the same, lr l limited by lr: l = min(that / lr, 1)
     *       "mlperf"              l = eta |w| / (|g| + b |w| + eps); lr inside; biases and norms: plain momentum without decay
     *       "timm"                as "you" with eps 1e-8 in the denominator; lr outside; tensors with b = 0: plain momentum
     *       "dino"                l = eta |w| / |g + b w|; lr outside; biases and norms: plain momentum without decay
     *       "solo"                as "timm"; biases and norms, and tensors with a norm of 0: plain momentum without decay
     * lamb  "author" (default)    no bias correction; norms: neither decay nor ratio
     *       "nvlamb", "timm"      bias correction; gradients first clipped to a global norm of 1; tensors with b = 0: no ratio
     */
    const char *form;
    double momentum;          /**< m: sgd 0, rmsprop 0, lars 0.9 */
    bool nesterov;            /**< sgd, lars */
    double dampening;         /**< sgd, lars with lr outside: v = m v + (1 - dampening) u */
    double betas[2];          /**< adam, adamw, lamb: 0.9, 0.999 */
    double alpha;             /**< rmsprop: 0.99 */
    bool centered;            /**< rmsprop: by the variance instead of the second moment */
    double eps;               /**< adam, adamw, rmsprop 1e-8; lamb 1e-6; lars as its form */
    double weight_decay;      /**< b: adamw 0.01, else 0 */
    double trust;             /**< eta of lars: 0.001 */
    bool trust_clip;          /**< "timm", "solo": l = min(l / lr, 1); lamb: ratio at most 1 */
    bool always_adapt;        /**< "timm", "nvlamb": the ratio also where b = 0 */
    bool momentum_correction; /**< lr inside: m times lr_t / lr_(t-1), see far_optim_hyper */
    far_lr_place lr_place;    /**< lars */
    far_exclude exclude;      /**< lars, lamb */
    bool no_decay_bias_norm;  /**< any optimizer: no weight decay for parameters with one axis */
    double clip_norm; /**< the gradients' global norm is scaled down to this: times min(1, clip_norm / (norm + 1e-6));
                                  lamb leaves the 1e-6 out */
    double clip_tensor_norm; /**< the same for each tensor by itself; not together with clip_norm */
    double clip_value;       /**< then each element is held to [-clip_value, clip_value] */
    double ema_decay;        /**< keep "<parameter>.ema" = d ema + (1 - d) w, starting from the initial weights */
    int32_t group_count;
    const far_param_group *groups;
} far_optim_opts;

/**
 * Marks the parameters of frozen groups. Call before far_graph_backward, which then leaves out their gradients.
 * @return FAR_OK, FAR_E_NOTFOUND (a group matches no parameter).
 */
FAR_API far_status far_optim_freeze(far_graph *graph, const far_optim_opts *opts);

/**
 * Adds the update of every parameter that has a gradient, and the state it needs, named as in PyTorch's state_dict:
 * "<parameter>.momentum_buffer", ".exp_avg", ".exp_avg_sq", ".square_avg", ".grad_avg", ".ema".
 * Formulas and order of operations of sgd, adam, adamw and rmsprop are PyTorch's (1.13).
 * @return FAR_OK; FAR_E_CONFIG (unknown name or form, an option the optimizer does not have), FAR_E_ARG (out of range),
 *         FAR_E_NOTFOUND (a group matches no parameter). The graph then keeps the error.
 */
FAR_API far_status far_optim_apply(far_graph *graph, const far_optim_opts *opts);

/** Numbers that a step brings with it, one row of FAR_HYPER_COUNT a group: row 0 for parameters in no group, then opts->groups. */
#define FAR_HYPER_COUNT 5

/**
 * Fills the rows for one step.
 * @param step         steps done before, from 0.
 * @param lr, lr_last  learning rate of this and of the last step (of this one at step 0): far_schedule_lr.
 * @param hyper_out    [1 + opts->group_count][FAR_HYPER_COUNT].
 */
FAR_API void far_optim_hyper(const far_optim_opts *opts, int64_t step, double lr, double lr_last, double *hyper_out);

/** @return the name of optimizer `idx` and what it is in one sentence; NULL after the last. */
FAR_API const char *far_optim_describe(int32_t idx, const char **sentence_out);

#ifdef __cplusplus
}
#endif
#endif /* FAR_OPTIM_H */
