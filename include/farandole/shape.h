/**
 * @file farandole/shape.h
 * What moves elements without changing them: reshape, transpose, concatenate, cut, pad.
 * Axis 0 of a batched tensor (an input, or what is computed from one) is never changed, cut or joined.
 * Threads     as farandole/graph.h.
 * Collective  no call communicates.
 */
#ifndef FAR_SHAPE_H
#define FAR_SHAPE_H
#include <farandole/graph.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/**
 * The same elements in the same order of axes under another shape, as torch.reshape.
 * @param shape  one extent may be -1: what is left. Axis 0 must stay as it is when x is batched.
 * The result is computed sample by sample, never cut by rows: flatten late, where maps are small.
 * @return FAR_NO_VALUE on failure: FAR_E_SHAPE (the number of elements differs).
 */
FAR_API far_value far_reshape(far_graph *graph, const char *name, far_value x, const far_shape *shape);

/** [N, ...] to [N, all the rest], as torch.flatten(x, 1). */
FAR_API far_value far_flatten(far_graph *graph, const char *name, far_value x);

/**
 * Axes in another order, as torch.permute: axis i of the result is axis perm[i] of x.
 * @param perm  a permutation of 0 .. ndim-1; perm[0] must be 0 when x is batched.
 * @return FAR_NO_VALUE on failure: FAR_E_ARG (not a permutation).
 */
FAR_API far_value far_transpose(far_graph *graph, const char *name, far_value x, const int32_t *perm);

/**
 * Joins tensors along one axis, as torch.cat. All other extents are equal. Axis 1 (channels) is the fast case; along axis 2
 * (image rows) the result cannot be cut by rows.
 * @param count  tensors in x, at least one.
 * @param axis   not 0 for batched tensors; negative counts from the end.
 * @return FAR_NO_VALUE on failure: FAR_E_ARG (axis, count), FAR_E_SHAPE.
 */
FAR_API far_value far_concat(far_graph *graph, const char *name, int32_t count, const far_value *x, int32_t axis);

/**
 * Elements [start, start + count) of one axis, as torch.narrow.
 * @return FAR_NO_VALUE on failure: FAR_E_ARG (outside the axis).
 */
FAR_API far_value far_slice(far_graph *graph, const char *name, far_value x, int32_t axis, int64_t start,
                            int64_t count);

/**
 * Cuts one axis into consecutive pieces, as torch.split: piece i has sizes[i] elements and is named "<name>.<i>".
 * @param sizes      [count], their sum is the axis' extent.
 * @param parts_out  [count], all FAR_NO_VALUE on failure.
 */
FAR_API void far_split_axis(far_graph *graph, const char *name, far_value x, int32_t axis, int32_t count,
                            const int64_t *sizes, far_value *parts_out);

/**
 * Adds `value` around x, as torch.nn.functional.pad with mode "constant".
 * @param before, after  [ndim of x] elements added along each axis, not negative; zero for axis 0 of a batched tensor.
 * @return FAR_NO_VALUE on failure: FAR_E_ARG.
 */
FAR_API far_value far_pad(far_graph *graph, const char *name, far_value x, const int64_t *before, const int64_t *after,
                          double value);

#ifdef __cplusplus
}
#endif
#endif /* FAR_SHAPE_H */
