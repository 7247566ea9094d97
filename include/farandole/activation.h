/**
 * @file farandole/activation.h
 * Activations, softmax and dropout. Every builder gives a tensor of x's shape; see graph.h for errors and threads.
 * Collective  no call communicates.
 */
#ifndef FAR_ACTIVATION_H
#define FAR_ACTIVATION_H
#include <farandole/graph.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef enum far_act {
    FAR_ACT_NONE = 0,
    FAR_ACT_RELU,       /**< max(x, 0) */
    FAR_ACT_LEAKY_RELU, /**< x > 0 ? x : slope x */
    FAR_ACT_GELU,       /**< x Phi(x) with the error function; torch.nn.GELU() */
    FAR_ACT_GELU_TANH,  /**< 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))); torch.nn.GELU(approximate="tanh") */
    FAR_ACT_SILU,       /**< x / (1 + exp(-x)) */
    FAR_ACT_SIGMOID,    /**< 1 / (1 + exp(-x)) */
    FAR_ACT_TANH,
    FAR_ACT_COUNT
} far_act;

/** Slope of leaky ReLU where options leave it 0; PyTorch's default. */
#define FAR_LEAKY_SLOPE 0.01

/** @return "none", "relu", "leaky_relu", "gelu", "gelu_tanh", "silu", "sigmoid" or "tanh"; NULL outside the enum. */
FAR_API const char *far_act_name(far_act act);

/**
 * y = act(x), elementwise, any shape.
 * @param slope  of FAR_ACT_LEAKY_RELU, in [0, 1], taken as given; ignored by the others.
 * FAR_ACT_NONE gives x itself.
 */
FAR_API far_value far_activation(far_graph *graph, const char *name, far_value x, far_act act, double slope);
FAR_API far_value far_relu(far_graph *graph, const char *name, far_value x);
FAR_API far_value far_leaky_relu(far_graph *graph, const char *name, far_value x, double slope);
FAR_API far_value far_gelu(far_graph *graph, const char *name, far_value x);
FAR_API far_value far_gelu_tanh(far_graph *graph, const char *name, far_value x);
FAR_API far_value far_silu(far_graph *graph, const char *name, far_value x);
FAR_API far_value far_sigmoid(far_graph *graph, const char *name, far_value x);
FAR_API far_value far_tanh(far_graph *graph, const char *name, far_value x);

/**
 * Softmax, or its logarithm, over `axis`: 1 (channels) or ndim - 1 (the last axis; -1 means it too).
 * y_k = exp(x_k) / sum_j exp(x_j); the maximum is taken out first. torch.nn.functional.softmax and log_softmax.
 */
FAR_API far_value far_softmax(far_graph *graph, const char *name, far_value x, int32_t axis);
FAR_API far_value far_log_softmax(far_graph *graph, const char *name, far_value x, int32_t axis);

/**
 * In a training graph, zeroes elements with probability p and multiplies the others by 1 / (1 - p); otherwise gives x.
 * The mask is a function of seed, layer, step, sample and element: no grain, thread or rank changes it.
 * @param p  in [0, 1).
 */
FAR_API far_value far_dropout(far_graph *graph, const char *name, far_value x, double p);

#ifdef __cplusplus
}
#endif
#endif /* FAR_ACTIVATION_H */
