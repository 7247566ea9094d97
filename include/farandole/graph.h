/**
 * @file farandole/graph.h
 * The static graph of a network: inputs, parameters, ops, losses. Nothing is allocated for data and nothing runs here.
 * Errors      sticky: the first builder call that fails words the error and returns FAR_NO_VALUE; later calls given
 *             FAR_NO_VALUE do nothing; far_graph_status tells at the end. So a model reads as a list of layers.
 * Threads     one graph belongs to one thread at a time; distinct graphs are independent.
 * Collective  no call communicates.
 */
#ifndef FAR_GRAPH_H
#define FAR_GRAPH_H
#include <farandole/status.h>
#include <farandole/tensor.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct far_graph far_graph; /**< opaque */
typedef int32_t far_value;          /**< a tensor of one graph, by number */
#define FAR_NO_VALUE (-1)

/**
 * Creates an empty graph.
 * @param training   true: normalisation takes batch statistics, dropout drops; false: the network as used after training.
 * @param graph_out  receives a graph owned by the caller; untouched on failure.
 * @return FAR_OK, FAR_E_NOMEM.
 */
FAR_API far_status far_graph_create(bool training, far_graph **graph_out);
/** Frees the graph. NULL is allowed. */
FAR_API void far_graph_destroy(far_graph *graph);
/** @return FAR_OK or the code of the first builder call that failed; its words are then in far_error_message. */
FAR_API far_status far_graph_status(far_graph *graph);
FAR_API bool far_graph_is_training(const far_graph *graph);

/**
 * A tensor fed every step. Axis 0 is the batch; from three axes on, axis 1 is channels and axis 2 rows.
 * Class indices are [N] i32; label maps are [N, 1, H, W] i32 (or u8).
 */
FAR_API far_value far_graph_input(far_graph *graph, const char *name, far_dtype dtype, const far_shape *shape);

/** How a parameter starts; a pure function of seed, name and element (see docs/numerics.md). */
typedef enum far_init_kind {
    FAR_INIT_ZERO = 0,
    FAR_INIT_CONST,          /**< all elements are `value` */
    FAR_INIT_UNIFORM,        /**< in [-value, value) */
    FAR_INIT_NORMAL,         /**< mean 0, standard deviation `value` */
    FAR_INIT_XAVIER_UNIFORM, /**< bound sqrt(6 / (fan_in + fan_out)) times `value` (0 means 1) */
    FAR_INIT_HE_NORMAL,      /**< deviation sqrt(2 / fan_out) (torchvision's resnet) times `value` (0 means 1) */
    FAR_INIT_TORCH_UNIFORM, /**< bound 1 / sqrt(fan_in): PyTorch's default for convolution and linear, weight and bias */
    /** A convolution that gives back its input: 1 in the kernel's middle from channel c to channel c, for as many as both sides have,
        0 elsewhere; and xavier_uniform times `value` added (Zagoruyko and Komodakis, DiracNets, 2017). Not for grouped weights. */
    FAR_INIT_DIRAC
} far_init_kind;

typedef struct far_init {
    far_init_kind kind;
    double value;
    int64_t fan_in; /**< for a bias, whose shape does not tell; 0: taken from the shape */
} far_init;

/**
 * A trainable parameter. A name already present with the same shape gives back that parameter: layers share by name.
 */
FAR_API far_value far_graph_param(far_graph *graph, const char *name, const far_shape *shape, far_init init);
/** As far_graph_param, for state that is kept and saved but not trained (running statistics). */
FAR_API far_value far_graph_state(far_graph *graph, const char *name, const far_shape *shape, far_init init);

/** Gives a value a name under which runs report or return it. */
FAR_API void far_graph_output(far_graph *graph, const char *name, far_value value);
/** Differentiates the scalar `loss` for every trainable parameter: adds the gradient nodes to the graph. */
FAR_API far_status far_graph_backward(far_graph *graph, far_value loss);

/** @return the value's shape; ndim 0 for FAR_NO_VALUE. */
FAR_API far_shape far_graph_shape(const far_graph *graph, far_value value);
FAR_API const char *far_graph_value_name(const far_graph *graph, far_value value);
/** @return the gradient of `value` after far_graph_backward, FAR_NO_VALUE when there is none. */
FAR_API far_value far_graph_gradient(const far_graph *graph, far_value value);
/** @return the value with that name (input, parameter, state or output), FAR_NO_VALUE when there is none. */
FAR_API far_value far_graph_find(const far_graph *graph, const char *name);

/** Parameters in the order of their creation. */
FAR_API int32_t far_graph_param_count(const far_graph *graph);
FAR_API far_value far_graph_param_at(const far_graph *graph, int32_t idx);
/** @return the number of trainable elements. */
FAR_API int64_t far_graph_param_elems(const far_graph *graph);

#ifdef __cplusplus
}
#endif
#endif /* FAR_GRAPH_H */
