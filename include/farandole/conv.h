/**
 * @file farandole/conv.h
 * Convolutions and transposed convolutions over one, two or three spatial axes: the number of axes is taken from the input.
 * Threads     as farandole/graph.h.
 * Collective  no call communicates.
 */
#ifndef FAR_CONV_H
#define FAR_CONV_H
#include <farandole/graph.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/**
 * Entries follow the input's spatial axes (H, W for images; D, H, W for volumes); entries beyond them must be zero.
 * Zero in a field means its default. kernel = {3} is short for a 3 along every axis; then pad = {1} is short for 1 along every
 * axis too. With kernel = {3, 3}, pad is taken exactly as written.
 */
typedef struct far_conv_opts {
    int64_t out_channels; /**< required */
    int64_t kernel[3];    /**< required; entries after the first may be zero: as the first */
    int64_t stride[3];    /**< default 1; later zeros: as the first entry */
    int64_t dilation[3];  /**< default 1; later zeros: as the first entry */
    int64_t pad[3];       /**< zeros on both sides */
    int64_t pad_lo[3];    /**< further zeros before the first element, for asymmetric padding; as written */
    int64_t pad_hi[3];    /**< further zeros after the last element; as written */
    int64_t groups;       /**< default 1; divides both channel counts */
    bool no_bias;         /**< leave the bias out */
    far_init weight_init; /**< default FAR_INIT_TORCH_UNIFORM; zeros are asked for by FAR_INIT_CONST with value 0 */
    far_init bias_init;   /**< default FAR_INIT_TORCH_UNIFORM with the weight's fan-in */
} far_conv_opts;

/**
 * Cross-correlation, as torch.nn.Conv1d, Conv2d, Conv3d. Parameters: "<name>.weight" [O, C/groups, k..], "<name>.bias" [O].
 * Extent along each axis: floor((in + pads - dilation (k - 1) - 1) / stride) + 1.
 * @param x     [N, C, spatial..] f32 with one to three spatial axes.
 * @param opts  read only during the call.
 * @return [N, O, spatial..]; FAR_NO_VALUE on failure, see far_graph_status: FAR_E_ARG (an option is out of range),
 *         FAR_E_SHAPE (the kernel is larger than the padded image, groups do not divide the channels).
 */
FAR_API far_value far_conv(far_graph *graph, const char *name, far_value x, const far_conv_opts *opts);

/** As far_conv_opts; pads are those of the convolution it is the adjoint of: they crop the output. */
typedef struct far_conv_transpose_opts {
    int64_t out_channels; /**< required */
    int64_t kernel[3];    /**< required; later zeros: as the first entry */
    int64_t stride[3];    /**< default 1; later zeros: as the first entry */
    int64_t dilation[3];  /**< default 1; later zeros: as the first entry */
    int64_t pad[3];
    int64_t pad_lo[3];
    int64_t pad_hi[3];
    int64_t output_padding
        [3]; /**< extra elements at the end of each output axis, less than the stride; taken exactly as written */
    int64_t groups; /**< default 1 */
    bool no_bias;
    far_init weight_init; /**< default FAR_INIT_TORCH_UNIFORM */
    far_init bias_init;   /**< default FAR_INIT_TORCH_UNIFORM with the weight's fan-in */
} far_conv_transpose_opts;

/**
 * As torch.nn.ConvTranspose1d, 2d, 3d. Parameters: "<name>.weight" [C, O/groups, k..], "<name>.bias" [O].
 * Extent along each axis: (in - 1) stride - pads + dilation (k - 1) + 1 + output_padding.
 * @param x  [N, C, spatial..] f32.
 * @return [N, O, spatial..]; FAR_NO_VALUE on failure, as far_conv.
 */
FAR_API far_value far_conv_transpose(far_graph *graph, const char *name, far_value x,
                                     const far_conv_transpose_opts *opts);

#ifdef __cplusplus
}
#endif
#endif /* FAR_CONV_H */
