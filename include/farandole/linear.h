/**
 * @file farandole/linear.h
 * Fully connected layers and products of matrices.
 * Threads     as farandole/graph.h.
 * Collective  no call communicates.
 */
#ifndef FAR_LINEAR_H
#define FAR_LINEAR_H
#include <farandole/graph.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/** Zero in a field means its default. */
typedef struct far_linear_opts {
    int64_t out_features; /**< required */
    bool no_bias;         /**< leave the bias out */
    far_init weight_init; /**< default FAR_INIT_TORCH_UNIFORM; zeros are asked for by FAR_INIT_CONST with value 0 */
    far_init bias_init;   /**< default FAR_INIT_TORCH_UNIFORM with the weight's fan-in */
} far_linear_opts;

/**
 * y = x W^T + b over the last axis, as torch.nn.Linear. Parameters: "<name>.weight" [out_features, F], "<name>.bias" [out_features].
 * @param x     [N, ..., F] f32: [N, F], or [N, T, F] with tokens. An image is flattened first (far_flatten).
 * @param opts  read only during the call.
 * @return [N, ..., out_features]; FAR_NO_VALUE on failure, see far_graph_status: FAR_E_ARG (out_features is not positive),
 *         FAR_E_SHAPE (fewer than two axes, or a parameter of that name with another shape).
 */
FAR_API far_value far_linear(far_graph *graph, const char *name, far_value x, const far_linear_opts *opts);

/**
 * One product of matrices for each index of the leading axes, as torch.matmul without broadcasting.
 * @param a  [B.., M, K] f32, or [B.., K, M] when transpose_a; B.. is at least the batch axis, or nothing for parameters.
 * @param b  [B.., K, N] f32, or [B.., N, K] when transpose_b.
 * @return [B.., M, N]; FAR_NO_VALUE on failure: FAR_E_SHAPE.
 */
FAR_API far_value far_matmul(far_graph *graph, const char *name, far_value a, far_value b, bool transpose_a,
                             bool transpose_b);

#ifdef __cplusplus
}
#endif
#endif /* FAR_LINEAR_H */
