/**
 * @file farandole/upsample.h
 * Resampling of images over one, two or three spatial axes: the number of axes is taken from the input.
 * Threads     as farandole/graph.h.
 * Collective  no call communicates.
 */
#ifndef FAR_UPSAMPLE_H
#define FAR_UPSAMPLE_H
#include <farandole/graph.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef enum far_upsample_mode {
    FAR_UPSAMPLE_NEAREST = 0, /**< the element at floor(o in / out) */
    FAR_UPSAMPLE_LINEAR       /**< linear, bilinear or trilinear, by the number of axes */
} far_upsample_mode;

/** Entries follow the input's spatial axes; entries beyond them must be zero. */
typedef struct far_upsample_opts {
    far_upsample_mode mode;
    int64_t scale[3];      /**< whole factors; later zeros: as the first entry. Either this or out_extent */
    int64_t out_extent[3]; /**< any extents, smaller ones too; later zeros: as the first entry */
    bool
        align_corners; /**< linear only: the first and last elements of input and output coincide; otherwise their edges do */
} far_upsample_opts;

/**
 * As torch.nn.functional.interpolate with mode "nearest", "linear", "bilinear", "trilinear". No anti-aliasing where it shrinks.
 * Coordinates are exact ratios of the extents, where PyTorch rounds them to float: at rare ties "nearest" may differ.
 * @param x  [N, C, spatial..] f32.
 * @return [N, C, spatial..]; FAR_NO_VALUE on failure, see far_graph_status: FAR_E_ARG (neither or both of scale and out_extent given,
 *         one below 1, align_corners with nearest), FAR_E_SHAPE (not one to three spatial axes).
 */
FAR_API far_value far_upsample(far_graph *graph, const char *name, far_value x, const far_upsample_opts *opts);

#ifdef __cplusplus
}
#endif
#endif /* FAR_UPSAMPLE_H */
