/**
 * @file farandole/pool.h
 * Pooling over one, two or three spatial axes: the number of axes is taken from the input.
 * Inputs are [N, C, spatial..] f32. All builders give FAR_NO_VALUE on failure, see far_graph_status: FAR_E_ARG (an option is out of
 * range), FAR_E_SHAPE (a window does not fit, a wrong number of axes).
 * Threads     as farandole/graph.h.
 * Collective  no call communicates.
 */
#ifndef FAR_POOL_H
#define FAR_POOL_H
#include <farandole/graph.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/**
 * Entries follow the input's spatial axes; entries beyond them must be zero. Zero in a field means its default.
 * kernel = {2} is short for a 2 along every axis; then pad = {1} is short for 1 along every axis too. With kernel = {3, 3}, pad is taken
 * exactly as written.
 */
typedef struct far_pool_opts {
    int64_t kernel[3];   /**< required; later zeros: as the first entry */
    int64_t stride[3];   /**< default: the kernel; later zeros: as the first entry */
    int64_t dilation[3]; /**< default 1; maximum only */
    int64_t pad[3];      /**< on both sides, at most half the window; never wins a maximum */
    bool
        ceil_mode; /**< round the output's extent up: a last window may hang over, but starts inside the image or before it */
    bool exclude_pad; /**< average: divide by the elements inside the image only (PyTorch's count_include_pad=False) */
} far_pool_opts;

/**
 * Maximum of each window, as torch.nn.MaxPool1d, 2d, 3d: of equal values the first gets the gradient; NaN wins.
 * Extent along each axis: floor((in + 2 pad - dilation (k - 1) - 1) / stride) + 1, or ceil.
 * @return [N, C, spatial..].
 */
FAR_API far_value far_max_pool(far_graph *graph, const char *name, far_value x, const far_pool_opts *opts);
/** Mean of each window, as torch.nn.AvgPool1d, 2d, 3d; the padding counts as zeros unless exclude_pad. */
FAR_API far_value far_avg_pool(far_graph *graph, const char *name, far_value x, const far_pool_opts *opts);

/**
 * Pools to the extents given, as torch.nn.AdaptiveAvgPool1d, 2d, 3d: output i covers [floor(i in / out), ceil((i + 1) in / out)).
 * @param out_extent  one entry a spatial axis; later zeros: as the first entry.
 * @return [N, C, out_extent..].
 */
FAR_API far_value far_adaptive_avg_pool(far_graph *graph, const char *name, far_value x, const int64_t out_extent[3]);
/** As far_adaptive_avg_pool, the maximum; as torch.nn.AdaptiveMaxPool1d, 2d, 3d. */
FAR_API far_value far_adaptive_max_pool(far_graph *graph, const char *name, far_value x, const int64_t out_extent[3]);

/** Mean over all spatial axes, summed in double whatever the image's size: x.mean((2, 3)). @return [N, C]. */
FAR_API far_value far_global_avg_pool(far_graph *graph, const char *name, far_value x);
/** Maximum over all spatial axes; of equal values the first in scan order gets the gradient. @return [N, C]. */
FAR_API far_value far_global_max_pool(far_graph *graph, const char *name, far_value x);

#ifdef __cplusplus
}
#endif
#endif /* FAR_POOL_H */
