/**
 * @file farandole/elementwise.h
 * Arithmetic element by element, and sums, means and maxima.
 * Threads     as farandole/graph.h.
 * Collective  no call communicates.
 *
 * Second operands: equal in shape to the first; or a scalar (ndim 0 or one element); or [C], one number a channel (axis 1);
 * or [N, C], [N, C, 1, ..], one a sample and channel; or the first operand's shape without axis 0, repeated over samples
 * (position embeddings: [T, F] beside [N, T, F]). Of the last three the first that fits counts. Element types must be equal.
 * far_add, far_mul, far_maximum and far_minimum take their operands in either order.
 */
#ifndef FAR_ELEMENTWISE_H
#define FAR_ELEMENTWISE_H
#include <farandole/graph.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/** a + b. All of these give FAR_NO_VALUE on failure: FAR_E_SHAPE (shapes or element types do not fit). */
FAR_API far_value far_add(far_graph *graph, const char *name, far_value a, far_value b);
/** a - b. */
FAR_API far_value far_sub(far_graph *graph, const char *name, far_value a, far_value b);
/** a * b. */
FAR_API far_value far_mul(far_graph *graph, const char *name, far_value a, far_value b);
/** a / b. */
FAR_API far_value far_div(far_graph *graph, const char *name, far_value a, far_value b);
/** The larger of a and b; equal ones share the gradient, as torch.maximum. */
FAR_API far_value far_maximum(far_graph *graph, const char *name, far_value a, far_value b);
/** The smaller of a and b; equal ones share the gradient, as torch.minimum. */
FAR_API far_value far_minimum(far_graph *graph, const char *name, far_value a, far_value b);

/** -x. */
FAR_API far_value far_neg(far_graph *graph, const char *name, far_value x);
/** e^x. */
FAR_API far_value far_exp(far_graph *graph, const char *name, far_value x);
/** Natural logarithm; minus infinity at 0, NaN below. */
FAR_API far_value far_log(far_graph *graph, const char *name, far_value x);
/** log(1 + x), exact for small x: tames images whose values span decades. */
FAR_API far_value far_log1p(far_graph *graph, const char *name, far_value x);
/** Square root; NaN below 0, infinite gradient at 0. */
FAR_API far_value far_sqrt(far_graph *graph, const char *name, far_value x);
/** |x|; gradient 0 at 0. */
FAR_API far_value far_abs(far_graph *graph, const char *name, far_value x);
/** x * x. */
FAR_API far_value far_square(far_graph *graph, const char *name, far_value x);
/** alpha x + beta. */
FAR_API far_value far_scale_shift(far_graph *graph, const char *name, far_value x, double alpha, double beta);
/** x held to [lo, hi]; the gradient passes where lo <= x <= hi. FAR_E_ARG when lo > hi. */
FAR_API far_value far_clamp(far_graph *graph, const char *name, far_value x, double lo, double hi);

typedef enum far_reduce_kind {
    FAR_REDUCE_SUM = 0,
    FAR_REDUCE_MEAN,
    FAR_REDUCE_MAX /**< equal maxima share the gradient, as torch.amax */
} far_reduce_kind;

/**
 * Sum, mean or maximum over some axes, as torch.sum, mean, amax with dim.
 * @param axis_count, axes  axes to reduce, without repeats; negative ones count from the end; not axis 0 of a batched tensor.
 * @param keep_axes         reduced axes stay, with extent 1.
 * A grain of the result reads all rows of its samples where axis 2 is reduced. far_reduce_all sums across grains.
 * @return FAR_NO_VALUE on failure: FAR_E_ARG.
 */
FAR_API far_value far_reduce(far_graph *graph, const char *name, far_value x, far_reduce_kind kind, int32_t axis_count,
                             const int32_t *axes, bool keep_axes);

/** The sum of all elements over batch, rows and everything: a scalar f64, which may be a loss. */
FAR_API far_value far_reduce_all(far_graph *graph, const char *name, far_value x);

#ifdef __cplusplus
}
#endif
#endif /* FAR_ELEMENTWISE_H */
