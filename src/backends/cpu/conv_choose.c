/* What oneDNN would run a convolution by: its descriptors, and its implementations that are not to be trusted. */
#include "backends/cpu/conv_state.h"
#include "base/status.h"

/* Dense row-major layout of ndim axes. */
static dnnl_format_tag_t tag_plain(int ndim)
{
    static const dnnl_format_tag_t tags[] = {
        dnnl_format_tag_undef, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd, dnnl_abcde, dnnl_abcdef
    };
    return tags[ndim];
}

dnnl_format_tag_t fari_conv_tag(int64_t spatial_ndim)
{
    static const dnnl_format_tag_t tags[] = { dnnl_format_tag_undef, dnnl_nwc, dnnl_nhwc, dnnl_ndhwc };
    return tags[spatial_ndim];
}

static far_status image_md(const fari_conv_piece *piece, int64_t samples, bool is_y, dnnl_format_tag_t tag,
                           dnnl_memory_desc_t *md_out)
{
    dnnl_dims_t dims = { samples, is_y ? piece->out_channels : piece->in_channels };
    for (int d = 0; d < piece->spatial_ndim; d++) dims[d + 2] = is_y ? piece->y[d] : piece->x[d];
    FARI_DNNL_TRY(dnnl_memory_desc_init_by_tag(md_out, (int)piece->spatial_ndim + 2, dims, dnnl_f32, tag));
    return FAR_OK;
}

far_status fari_conv_weight_md(const fari_conv_piece *piece, bool is_any, dnnl_memory_desc_t *md_out)
{
    dnnl_dims_t dims = { 0 };
    int ndim = 0;
    if (piece->groups > 1) dims[ndim++] = piece->groups;
    dims[ndim++] = piece->out_channels / piece->groups;
    dims[ndim++] = piece->in_channels / piece->groups;
    for (int d = 0; d < piece->spatial_ndim; d++) dims[ndim++] = piece->kernel[d];
    FARI_DNNL_TRY(
        dnnl_memory_desc_init_by_tag(md_out, ndim, dims, dnnl_f32, is_any ? dnnl_format_tag_any : tag_plain(ndim)));
    return FAR_OK;
}

far_status fari_conv_mds_of(const fari_conv_piece *piece, dnnl_format_tag_t image_tag, conv_mds *mds_out)
{
    const dnnl_dims_t bias_dims = { piece->out_channels };
    const int64_t samples = fari_conv_samples_a_run(piece);
    FAR_TRY(image_md(piece, samples, false, image_tag, &mds_out->x));
    FAR_TRY(image_md(piece, samples, true, image_tag, &mds_out->y));
    FAR_TRY(fari_conv_weight_md(piece, true, &mds_out->weight));
    FARI_DNNL_TRY(dnnl_memory_desc_init_by_tag(&mds_out->bias, 1, bias_dims, dnnl_f32, dnnl_a));
    return FAR_OK;
}

/* Where the weight gradient over depth of oneDNN 2.6.3's "jit:avx512_core" is wrong and touches memory out of bounds; its kin avoid it too.
   Found by trying all kernels to 7, extents to 9, strides to 3 and paddings: windows that stick out at both ends, and paddings of more
   than a stride beside a short image. No network has them, but a grain of few slices can. */
static bool is_dw_wrong_in_jit(const fari_conv_piece *piece)
{
    const int64_t kernel = piece->kernel[0], stride = piece->stride[0], pad = piece->pad_lo[0], extent = piece->x[0];
    if (piece->spatial_ndim != 3) return false;
    for (int64_t start = -pad; start < 0; start += stride)
        if (start + kernel > extent) return true;
    return pad > stride && pad % stride != 0 && extent < kernel + stride - 1;
}

/* "jit_1x1:avx2" with a stride copies pixels by whole vectors of 8: past the end of scratch, and for dx of the gradient. */
static bool is_1x1_too_wide(const fari_conv_piece *piece)
{
    return piece->in_channels / piece->groups % 8 != 0 && (piece->stride[0] | piece->stride[1] | piece->stride[2]) != 1;
}

static const char *impl_to_avoid(conv_kind kind, const fari_conv_piece *piece)
{
    if (kind == CONV_DW && is_dw_wrong_in_jit(piece)) return "jit:";
    return is_1x1_too_wide(piece) ? "jit_1x1:avx2" : NULL;
}

/* oneDNN counts dilation from 0. */
far_status fari_conv_choose(conv_kind kind, bool has_bias, bool is_any, const fari_conv_piece *piece,
                            const conv_mds *mds, fari_dnnl_primitive *primitive_out)
{
    dnnl_convolution_desc_t forward, backward;
    dnnl_dims_t stride = { 0 }, dilation = { 0 }, pad_lo = { 0 }, pad_hi = { 0 };
    for (int d = 0; d < piece->spatial_ndim; d++) {
        stride[d] = piece->stride[d];
        dilation[d] = piece->dilation[d] - 1;
        pad_lo[d] = piece->pad_lo[d];
        pad_hi[d] = piece->pad_hi[d];
    }
    FARI_DNNL_TRY(dnnl_dilated_convolution_forward_desc_init(&forward, dnnl_forward_training, dnnl_convolution_direct,
                                                             &mds->x, &mds->weight, has_bias ? &mds->bias : NULL,
                                                             &mds->y, stride, dilation, pad_lo, pad_hi));
    if (kind == CONV_DX)
        FARI_DNNL_TRY(dnnl_dilated_convolution_backward_data_desc_init(
            &backward, dnnl_convolution_direct, &mds->x, &mds->weight, &mds->y, stride, dilation, pad_lo, pad_hi));
    if (kind == CONV_DW)
        FARI_DNNL_TRY(dnnl_dilated_convolution_backward_weights_desc_init(&backward, dnnl_convolution_direct, &mds->x,
                                                                          &mds->weight, NULL, &mds->y, stride, dilation,
                                                                          pad_lo, pad_hi));
    const dnnl_primitive_attr_t attr = fari_dnnl_attr();
    if (attr == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a convolution's attributes");
    const dnnl_primitive_desc_t hint = kind == CONV_FORWARD ? NULL : fari_dnnl_hint(&forward);
    const fari_dnnl_taste taste = { .avoid = impl_to_avoid(kind, piece), .is_any = is_any };
    const far_status st =
        fari_dnnl_choose(kind == CONV_FORWARD ? (const void *)&forward : &backward, attr, hint, taste, primitive_out);
    if (hint != NULL) (void)dnnl_primitive_desc_destroy(hint);
    (void)dnnl_primitive_attr_destroy(attr);
    return st;
}
