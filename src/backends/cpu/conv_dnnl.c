/* Convolutions and their gradients by oneDNN.
 *
 * Grains are channels-last; oneDNN takes and gives them as they are where it has an implementation for that (all measured networks on
 * AVX2 and AVX-512), else through a layout of its choice, copied within the scratch. Weights are packed into oneDNN's layout once a
 * step. Partial weight gradients of one convolution all have one layout, chosen from the whole image and not from the grain, so
 * that they can be summed; a grain for which oneDNN wants another is copied. */
#include "backends/cpu/conv_piece.h"
#include "backends/cpu/dnnl_wrap.h"
#include "backends/cpu/state.h"
#include "backends/cpu/tiles.h"
#include "base/mem.h"
#include "base/status.h"
#include <string.h>

#define CANONICAL_ROWS 32 /* of y, in the geometry that chooses the layout of partial weight gradients */

typedef enum conv_kind { CONV_FORWARD, CONV_DX, CONV_DW } conv_kind;

typedef struct conv_key {
    int64_t kind, has_bias;
    fari_conv_piece piece;
    fari_conv_piece whole; /* CONV_DW: up to CANONICAL_ROWS rows of one sample */
} conv_key;
_Static_assert(sizeof(conv_key) <= FARI_CPU_KEY_BYTES, "grow FARI_CPU_KEY_BYTES");

typedef struct conv_state {
    fari_cpu_state base;
    conv_key key;
    const fari_cpu_loops *loops;
    fari_dnnl_primitive primitive;
    dnnl_memory_desc_t weight_plain, weight; /* row-major; as packed, and as partials are */
    fari_tiles tiles;                        /* CONV_DW: how `weight` lies; edge 0: in some other way */
    fari_dnnl_primitive weight_reorder;      /* into `weight`; CONV_DW: out of it. Empty: the two are equal */
    fari_dnnl_primitive x_reorder,
        y_reorder;                  /* between channels-last and the primitive's layouts; empty: they are equal */
    fari_dnnl_primitive dw_reorder; /* the primitive's weight gradient into `weight`; empty: they are equal */
    size_t x_at, y_at, dw_at, sum_at, own_at; /* in the scratch; own: the primitive's */
    char impl[96];
} conv_state;

/* ---- what is asked ---- */

static bool is_image(const fari_view *view, const fari_conv_attr *attr)
{
    return view->dtype == FAR_F32 && view->order == FARI_CHANNELS_LAST && view->ndim == attr->spatial_ndim + 2;
}

static bool is_plain(const fari_view *view)
{
    return view->dtype == FAR_F32 && view->order == FARI_ROW_MAJOR;
}

/* oneDNN counts elements in int in places. */
static bool fits_int(const fari_conv_piece *piece)
{
    const int64_t x = fari_conv_piece_row_x(piece) * piece->x[0] * piece->samples;
    const int64_t y = fari_conv_piece_row_y(piece) * piece->y[0] * piece->samples;
    return x < INT32_MAX / 4 && y < INT32_MAX / 4;
}

static fari_view rows_of(int32_t ndim, const int64_t *extent, int64_t rows)
{
    fari_view view = { .ndim = ndim + 2, .dim = { 1, 1, rows } };
    for (int32_t d = 1; d < ndim; d++) view.dim[d + 2] = extent[d];
    return view;
}

static void describe_whole(const fari_conv_attr *attr, fari_conv_piece *whole_out)
{
    int64_t y_extent[3] = { 1, 1, 1 };
    for (int d = 0; d < attr->spatial_ndim; d++) y_extent[d] = fari_conv_out_extent(attr, d);
    int64_t y_rows = y_extent[0] < CANONICAL_ROWS ? y_extent[0] : CANONICAL_ROWS, lo = 0, hi = 0;
    fari_conv_rows_x(attr, 0, 0, y_rows, &lo, &hi);
    if (hi > attr->in_extent[0]) hi = attr->in_extent[0];
    const fari_view x = rows_of(attr->spatial_ndim, attr->in_extent, hi),
                    y = rows_of(attr->spatial_ndim, y_extent, y_rows);
    fari_conv_piece_of(attr, &x, &y, whole_out);
}

static bool describe(conv_kind kind, const fari_call *call, const fari_view *x, const fari_view *y, conv_key *key_out)
{
    const fari_conv_attr *attr = call->attr;
    if (!is_image(x, attr) || !is_image(y, attr)) return false;
    if (!is_plain(kind == CONV_DW ? &call->out[0] : &call->in[1])) return false;
    key_out->kind = kind;
    key_out->has_bias = kind != CONV_DW && call->in_count > 2;
    if (key_out->has_bias && call->in[2].dtype != FAR_F32) return false;
    fari_conv_piece_of(attr, x, y, &key_out->piece);
    if (kind == CONV_DW) describe_whole(attr, &key_out->whole);
    return fits_int(&key_out->piece);
}

static bool describe_forward(const fari_call *call, void *key_out)
{
    return describe(CONV_FORWARD, call, &call->in[0], &call->out[0], key_out);
}

static bool describe_dx(const fari_call *call, void *key_out)
{
    return describe(CONV_DX, call, &call->out[0], &call->in[0], key_out);
}

static bool describe_dw(const fari_call *call, void *key_out)
{
    return describe(CONV_DW, call, &call->in[0], &call->in[1], key_out);
}

/* ---- descriptors ---- */

/* Dense row-major layout of ndim axes. */
static dnnl_format_tag_t tag_plain(int ndim)
{
    static const dnnl_format_tag_t tags[] = {
        dnnl_format_tag_undef, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd, dnnl_abcde, dnnl_abcdef
    };
    return tags[ndim];
}

static dnnl_format_tag_t tag_channels_last(int64_t spatial_ndim)
{
    static const dnnl_format_tag_t tags[] = { dnnl_format_tag_undef, dnnl_nwc, dnnl_nhwc, dnnl_ndhwc };
    return tags[spatial_ndim];
}

typedef struct conv_mds {
    dnnl_memory_desc_t x, weight, bias, y;
} conv_mds;

static far_status image_md(const fari_conv_piece *piece, int64_t samples, bool is_y, dnnl_format_tag_t tag,
                           dnnl_memory_desc_t *md_out)
{
    dnnl_dims_t dims = { samples, is_y ? piece->out_channels : piece->in_channels };
    for (int d = 0; d < piece->spatial_ndim; d++) dims[d + 2] = is_y ? piece->y[d] : piece->x[d];
    FARI_DNNL_TRY(dnnl_memory_desc_init_by_tag(md_out, (int)piece->spatial_ndim + 2, dims, dnnl_f32, tag));
    return FAR_OK;
}

/* [O, C, k..], with groups [G, O/G, C/G, k..]: the same elements in the same order when plain. */
static far_status weight_md(const fari_conv_piece *piece, bool is_any, dnnl_memory_desc_t *md_out)
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

static int64_t samples_a_run(const fari_conv_piece *piece)
{
    return fari_conv_piece_by_sample(piece) ? 1 : piece->samples;
}

static far_status mds_of(const fari_conv_piece *piece, dnnl_format_tag_t image_tag, conv_mds *mds_out)
{
    const dnnl_dims_t bias_dims = { piece->out_channels };
    const int64_t samples = samples_a_run(piece);
    FAR_TRY(image_md(piece, samples, false, image_tag, &mds_out->x));
    FAR_TRY(image_md(piece, samples, true, image_tag, &mds_out->y));
    FAR_TRY(weight_md(piece, true, &mds_out->weight));
    FARI_DNNL_TRY(dnnl_memory_desc_init_by_tag(&mds_out->bias, 1, bias_dims, dnnl_f32, dnnl_a));
    return FAR_OK;
}

/* Where the weight gradient over depth of oneDNN 2.6.3's "jit" implementations (AVX2, AVX-512) is wrong and reads out of bounds.
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
static far_status choose(conv_kind kind, bool has_bias, const fari_conv_piece *piece, const conv_mds *mds,
                         fari_dnnl_primitive *primitive_out)
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
    const fari_dnnl_taste taste = { .avoid = impl_to_avoid(kind, piece) };
    const far_status st =
        fari_dnnl_choose(kind == CONV_FORWARD ? (const void *)&forward : &backward, attr, hint, taste, primitive_out);
    if (hint != NULL) (void)dnnl_primitive_desc_destroy(hint);
    (void)dnnl_primitive_attr_destroy(attr);
    return st;
}

/* ---- making ---- */

static const dnnl_memory_desc_t *x_md(const conv_state *state)
{
    return fari_dnnl_md(&state->primitive, state->key.kind == CONV_DX ? dnnl_query_diff_src_md : dnnl_query_src_md);
}

static const dnnl_memory_desc_t *y_md(const conv_state *state)
{
    return fari_dnnl_md(&state->primitive,
                        state->key.kind == CONV_FORWARD ? dnnl_query_dst_md : dnnl_query_diff_dst_md);
}

static const dnnl_memory_desc_t *w_md(const conv_state *state)
{
    return fari_dnnl_md(&state->primitive,
                        state->key.kind == CONV_DW ? dnnl_query_diff_weights_md : dnnl_query_weights_md);
}

static far_status reorder_unless_equal(const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to,
                                       fari_dnnl_primitive *reorder_out)
{
    if (dnnl_memory_desc_equal(from, to)) return FAR_OK;
    return fari_dnnl_reorder_make(from, to, reorder_out);
}

/* Channels-last at both ends first, then whatever oneDNN likes; for a weight gradient in the layout of the partials first. Leaves
   state->primitive empty where oneDNN has its reference alone. */
static far_status choose_primitive(conv_state *state)
{
    const fari_conv_piece *piece = &state->key.piece;
    const dnnl_format_tag_t tags[] = { tag_channels_last(piece->spatial_ndim), dnnl_format_tag_any };
    const bool is_dw = state->key.kind == CONV_DW, has_bias = state->key.kind == CONV_FORWARD && state->key.has_bias;
    for (size_t i = 0; i < FAR_COUNT(tags) && state->primitive.desc == NULL; i++) {
        conv_mds mds;
        FAR_TRY(mds_of(piece, tags[i], &mds));
        const dnnl_memory_desc_t any_weight = mds.weight;
        if (is_dw) mds.weight = state->weight;
        FAR_TRY(choose((conv_kind)state->key.kind, has_bias, piece, &mds, &state->primitive));
        if (!is_dw || state->primitive.desc != NULL) continue;
        mds.weight = any_weight;
        FAR_TRY(choose(CONV_DW, false, piece, &mds, &state->primitive));
    }
    return FAR_OK;
}

/* Whether the weights lie in tiles: blocked by b of C and b of O, in this order, everything else dense and in order. */
static fari_tiles tiles_of(const fari_conv_piece *piece, const dnnl_memory_desc_t *md)
{
    const dnnl_blocking_desc_t *blocks = &md->format_desc.blocking;
    const int first = piece->groups > 1 ? 1 : 0; /* axis of O */
    fari_tiles tiles = { 0, piece->groups, piece->out_channels / piece->groups, piece->in_channels / piece->groups, 1 };
    if (md->format_kind != dnnl_blocked || blocks->inner_nblks != 2 || blocks->inner_blks[0] != blocks->inner_blks[1])
        return tiles;
    if (blocks->inner_idxs[0] != first + 1 || blocks->inner_idxs[1] != first) return tiles;
    int64_t stride = blocks->inner_blks[0] * blocks->inner_blks[1];
    for (int axis = md->ndims - 1; axis >= 0; axis--) {
        const bool is_blocked = axis == first || axis == first + 1;
        if (blocks->strides[axis] != stride && md->padded_dims[axis] != (is_blocked ? blocks->inner_blks[0] : 1))
            return tiles;
        stride *= md->padded_dims[axis] / (is_blocked ? blocks->inner_blks[0] : 1);
        if (axis > first + 1) tiles.taps *= md->dims[axis];
    }
    tiles.edge = blocks->inner_blks[0];
    return tiles;
}

/* The one layout of a convolution's partial weight gradients. */
static far_status choose_partial(conv_state *state)
{
    conv_mds mds;
    fari_dnnl_primitive whole = { 0 };
    state->weight = state->weight_plain;
    if (state->key.whole.is_empty) return FAR_OK;
    FAR_TRY(mds_of(&state->key.whole, tag_channels_last(state->key.whole.spatial_ndim), &mds));
    FAR_TRY(choose(CONV_DW, false, &state->key.whole, &mds, &whole));
    if (whole.desc != NULL) state->weight = *fari_dnnl_md(&whole, dnnl_query_diff_weights_md);
    fari_dnnl_drop(&whole);
    state->tiles = tiles_of(&state->key.piece, &state->weight);
    return FAR_OK;
}

static far_status make_reorders(conv_state *state)
{
    const fari_conv_piece *piece = &state->key.piece;
    const conv_kind kind = (conv_kind)state->key.kind;
    conv_mds mds;
    FAR_TRY(mds_of(piece, tag_channels_last(piece->spatial_ndim), &mds));
    if (kind == CONV_DX) {
        FAR_TRY(reorder_unless_equal(x_md(state), &mds.x, &state->x_reorder));
    } else {
        FAR_TRY(reorder_unless_equal(&mds.x, x_md(state), &state->x_reorder));
    }
    if (kind == CONV_FORWARD) {
        FAR_TRY(reorder_unless_equal(y_md(state), &mds.y, &state->y_reorder));
    } else {
        FAR_TRY(reorder_unless_equal(&mds.y, y_md(state), &state->y_reorder));
    }
    if (kind == CONV_DW) {
        FAR_TRY(reorder_unless_equal(w_md(state), &state->weight, &state->dw_reorder));
        return reorder_unless_equal(&state->weight, &state->weight_plain, &state->weight_reorder);
    }
    state->weight = *w_md(state);
    return reorder_unless_equal(&state->weight_plain, &state->weight, &state->weight_reorder);
}

static size_t take(size_t *scratch_io, size_t bytes)
{
    const size_t at = *scratch_io;
    *scratch_io += (bytes + 63) / 64 * 64;
    return at;
}

static void lay_out_scratch(conv_state *state)
{
    size_t bytes = 0;
    if (state->primitive.desc != NULL) {
        if (state->x_reorder.desc != NULL) state->x_at = take(&bytes, dnnl_memory_desc_get_size(x_md(state)));
        if (state->y_reorder.desc != NULL) state->y_at = take(&bytes, dnnl_memory_desc_get_size(y_md(state)));
        if (state->dw_reorder.desc != NULL) state->dw_at = take(&bytes, dnnl_memory_desc_get_size(w_md(state)));
        if (state->key.kind == CONV_DW) state->sum_at = take(&bytes, dnnl_memory_desc_get_size(&state->weight));
        state->own_at = take(&bytes, state->primitive.scratch_bytes);
    }
    state->base.answer.scratch_bytes = bytes;
}

static far_status conv_forward_run(const fari_call *call);
static far_status conv_dx_run(const fari_call *call);
static far_status conv_dw_run(const fari_call *call);
static far_status conv_pack(const fari_cpu_state *base, int32_t input_idx, const void *plain, void *packed);
static far_status conv_unpack(const fari_cpu_state *base, const void *partial, void *plain);
static void conv_destroy(fari_cpu_state *base);

static void answer(conv_state *state)
{
    static const fari_kernel_fn runs[] = { conv_forward_run, conv_dx_run, conv_dw_run };
    const bool is_copied =
        state->x_reorder.desc != NULL || state->y_reorder.desc != NULL || state->dw_reorder.desc != NULL;
    fari_prepared *answer = &state->base.answer;
    lay_out_scratch(state);
    (void)snprintf(state->impl, sizeof state->impl, "%s%s",
                   state->primitive.impl != NULL ? state->primitive.impl : "fill", is_copied ? "+copy" : "");
    answer->run = runs[state->key.kind];
    answer->state = state;
    answer->impl = state->impl;
    if (state->weight_reorder.desc != NULL) {
        if (state->key.kind == CONV_DW) answer->partial_bytes = dnnl_memory_desc_get_size(&state->weight);
        else answer->pack_bytes[1] = dnnl_memory_desc_get_size(&state->weight);
        answer->pack_id[1] = state->key.kind == CONV_DW ? 0 : fari_dnnl_md_hash(&state->weight);
    }
    state->base.pack = conv_pack;
    state->base.unpack = conv_unpack;
    state->base.destroy = conv_destroy;
}

static far_status make_into(conv_state *state)
{
    FAR_TRY(weight_md(&state->key.piece, false, &state->weight_plain));
    if (state->key.kind == CONV_DW) FAR_TRY(choose_partial(state));
    if (state->key.piece.is_empty) {
        if (state->key.kind != CONV_DW) return FAR_OK;
        return reorder_unless_equal(&state->weight, &state->weight_plain, &state->weight_reorder);
    }
    FAR_TRY(choose_primitive(state));
    if (state->primitive.desc == NULL) return FAR_OK;
    FAR_TRY(make_reorders(state));
    return fari_dnnl_build(&state->primitive);
}

static far_status conv_make(const void *key, const fari_cpu_loops *loops, fari_cpu_state **state_out)
{
    conv_state *state = fari_calloc(1, sizeof *state);
    if (state == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a convolution");
    memcpy(&state->key, key, sizeof state->key);
    state->loops = loops;
    const far_status st = make_into(state);
    if (st != FAR_OK || (state->primitive.desc == NULL && !state->key.piece.is_empty)) {
        conv_destroy(&state->base);
        return st;
    }
    answer(state);
    *state_out = &state->base;
    return FAR_OK;
}

static void conv_destroy(fari_cpu_state *base)
{
    conv_state *state = (conv_state *)base;
    fari_dnnl_drop(&state->primitive);
    fari_dnnl_drop(&state->weight_reorder);
    fari_dnnl_drop(&state->x_reorder);
    fari_dnnl_drop(&state->y_reorder);
    fari_dnnl_drop(&state->dw_reorder);
    fari_free(state);
}

/* ---- running ---- */

static far_status conv_pack(const fari_cpu_state *base, int32_t input_idx, const void *plain, void *packed)
{
    const conv_state *state = (const conv_state *)base;
    FAR_ASSERT(input_idx == 1 && state->weight_reorder.desc != NULL);
    return fari_dnnl_reorder_run(&state->weight_reorder, plain, packed);
}

static far_status conv_unpack(const fari_cpu_state *base, const void *partial, void *plain)
{
    const conv_state *state = (const conv_state *)base;
    FAR_ASSERT(state->weight_reorder.desc != NULL);
    if (state->tiles.edge == 0) return fari_dnnl_reorder_run(&state->weight_reorder, partial, plain);
    fari_tiles_to_plain(&state->tiles, partial, plain);
    return FAR_OK;
}

/* One run of the primitive: samples [n, n + samples_a_run) of a call. Views' rows before and after the piece are stepped over. */
typedef struct conv_run {
    const conv_state *state;
    float *x, *y; /* first row of the piece */
    char *scratch;
} conv_run;

static int64_t view_rows_x(const fari_conv_piece *piece)
{
    return piece->x_lead + piece->x[0] + piece->x_tail;
}

static int64_t view_rows_y(const fari_conv_piece *piece)
{
    return piece->y_lead + piece->y[0] + piece->y_tail;
}

static conv_run run_of(const fari_call *call, const fari_view *x, const fari_view *y, int64_t n)
{
    const conv_state *state = call->prepared;
    const fari_conv_piece *piece = &state->key.piece;
    return (conv_run){ .state = state,
                       .x = (float *)x->data + (n * view_rows_x(piece) + piece->x_lead) * fari_conv_piece_row_x(piece),
                       .y = (float *)y->data + (n * view_rows_y(piece) + piece->y_lead) * fari_conv_piece_row_y(piece),
                       .scratch = call->scratch };
}

static const float *bias_of(const fari_call *call)
{
    return call->in_count > 2 ? call->in[2].data : NULL;
}

/* The operand as the primitive wants it: copied where a reorder says so. */
static far_status operand(const conv_run *run, const fari_dnnl_primitive *reorder, const float *data, size_t copy_at,
                          const void **operand_out)
{
    *operand_out = data;
    if (reorder->desc == NULL) return FAR_OK;
    *operand_out = run->scratch + copy_at;
    return fari_dnnl_reorder_run(reorder, data, run->scratch + copy_at);
}

static far_status forward_once(const fari_call *call, const conv_run *run)
{
    const conv_state *state = run->state;
    const bool is_copied = state->y_reorder.desc != NULL;
    void *dst = is_copied ? (void *)(run->scratch + state->y_at) : run->y;
    const void *src = NULL;
    FAR_TRY(operand(run, &state->x_reorder, run->x, state->x_at, &src));
    const fari_dnnl_arg args[] = { { DNNL_ARG_SRC, src },
                                   { DNNL_ARG_WEIGHTS, call->in[1].data },
                                   { DNNL_ARG_DST, dst },
                                   { DNNL_ARG_BIAS, bias_of(call) } };
    FAR_TRY(fari_dnnl_run(&state->primitive, state->key.has_bias ? 4 : 3, args, run->scratch + state->own_at));
    return is_copied ? fari_dnnl_reorder_run(&state->y_reorder, dst, run->y) : FAR_OK;
}

/* Rows of every sample outside the piece: the bias alone, or zero. */
static void fill_around(const fari_cpu_loops *loops, float *data, int64_t samples, int64_t lead, int64_t rows,
                        int64_t tail, int64_t row_elems, int64_t channels, const float *bias)
{
    if (lead == 0 && tail == 0) return;
    for (int64_t n = 0; n < samples; n++) {
        float *sample = data + n * (lead + rows + tail) * row_elems;
        loops->fill_row(sample, bias, lead * row_elems / channels, channels);
        loops->fill_row(sample + (lead + rows) * row_elems, bias, tail * row_elems / channels, channels);
    }
}

static far_status conv_forward_run(const fari_call *call)
{
    const conv_state *state = call->prepared;
    const fari_conv_piece *piece = &state->key.piece;
    const int64_t row = fari_conv_piece_row_y(piece), channels = piece->out_channels;
    if (piece->is_empty) {
        state->loops->fill_row(call->out[0].data, bias_of(call), piece->samples * view_rows_y(piece) * row / channels,
                               channels);
        return FAR_OK;
    }
    for (int64_t n = 0; n < piece->samples; n += samples_a_run(piece)) {
        const conv_run run = run_of(call, &call->in[0], &call->out[0], n);
        FAR_TRY(forward_once(call, &run));
    }
    fill_around(state->loops, call->out[0].data, piece->samples, piece->y_lead, piece->y[0], piece->y_tail, row,
                channels, bias_of(call));
    return FAR_OK;
}

static far_status dx_once(const fari_call *call, const conv_run *run)
{
    const conv_state *state = run->state;
    const bool is_copied = state->x_reorder.desc != NULL;
    void *d_src = is_copied ? (void *)(run->scratch + state->x_at) : run->x;
    const void *d_dst = NULL;
    FAR_TRY(operand(run, &state->y_reorder, run->y, state->y_at, &d_dst));
    const fari_dnnl_arg args[] = { { DNNL_ARG_DIFF_DST, d_dst },
                                   { DNNL_ARG_WEIGHTS, call->in[1].data },
                                   { DNNL_ARG_DIFF_SRC, d_src } };
    FAR_TRY(fari_dnnl_run(&state->primitive, 3, args, run->scratch + state->own_at));
    if (is_copied) FAR_TRY(fari_dnnl_reorder_run(&state->x_reorder, d_src, run->x));
    if (state->key.has_bias) {
        const fari_conv_piece *piece = &state->key.piece;
        const int64_t pixels = samples_a_run(piece) * piece->x[0] * piece->x[1] * piece->x[2];
        state->loops->add_row(run->x, bias_of(call), pixels, piece->in_channels);
    }
    return FAR_OK;
}

static far_status conv_dx_run(const fari_call *call)
{
    const conv_state *state = call->prepared;
    const fari_conv_piece *piece = &state->key.piece;
    const int64_t row = fari_conv_piece_row_x(piece), channels = piece->in_channels;
    if (piece->is_empty) {
        state->loops->fill_row(call->out[0].data, bias_of(call), piece->samples * view_rows_x(piece) * row / channels,
                               channels);
        return FAR_OK;
    }
    for (int64_t n = 0; n < piece->samples; n += samples_a_run(piece)) {
        const conv_run run = run_of(call, &call->out[0], &call->in[0], n);
        FAR_TRY(dx_once(call, &run));
    }
    fill_around(state->loops, call->out[0].data, piece->samples, piece->x_lead, piece->x[0], piece->x_tail, row,
                channels, bias_of(call));
    return FAR_OK;
}

/* Into `target`, which has the layout of partials. */
static far_status dw_once(const conv_run *run, float *target)
{
    const conv_state *state = run->state;
    const bool is_copied = state->dw_reorder.desc != NULL;
    void *d_weight = is_copied ? (void *)(run->scratch + state->dw_at) : target;
    const void *src = NULL, *d_dst = NULL;
    FAR_TRY(operand(run, &state->x_reorder, run->x, state->x_at, &src));
    FAR_TRY(operand(run, &state->y_reorder, run->y, state->y_at, &d_dst));
    const fari_dnnl_arg args[] = { { DNNL_ARG_SRC, src },
                                   { DNNL_ARG_DIFF_DST, d_dst },
                                   { DNNL_ARG_DIFF_WEIGHTS, d_weight } };
    FAR_TRY(fari_dnnl_run(&state->primitive, 3, args, run->scratch + state->own_at));
    return is_copied ? fari_dnnl_reorder_run(&state->dw_reorder, d_weight, target) : FAR_OK;
}

static far_status conv_dw_run(const fari_call *call)
{
    const conv_state *state = call->prepared;
    const fari_conv_piece *piece = &state->key.piece;
    const int64_t elems = (int64_t)(dnnl_memory_desc_get_size(&state->weight) / sizeof(float));
    float *partial = call->out[0].data, *more = (float *)((char *)call->scratch + state->sum_at);
    if (piece->is_empty) {
        if (!call->accumulate) memset(partial, 0, (size_t)elems * sizeof *partial);
        return FAR_OK;
    }
    for (int64_t n = 0; n < piece->samples; n += samples_a_run(piece)) {
        const conv_run run = run_of(call, &call->in[0], &call->in[1], n);
        const bool is_first = n == 0 && !call->accumulate;
        FAR_TRY(dw_once(&run, is_first ? partial : more));
        if (!is_first) state->loops->add_f32(partial, more, elems);
    }
    return FAR_OK;
}

const fari_cpu_maker fari_cpu_conv_makers[] = {
    { &fari_op_conv, describe_forward, conv_make },
    { &fari_op_conv_dx, describe_dx, conv_make },
    { &fari_op_conv_dw, describe_dw, conv_make },
    { NULL, NULL, NULL },
};
