/* Convolutions and their gradients by oneDNN.
 *
 * Grains are channels-last; oneDNN takes and gives them as they are where it has an implementation for that (all measured networks on
 * AVX2 and AVX-512), else through a layout of its choice, copied within the scratch. Weights are packed into oneDNN's layout once a
 * step. Partial weight gradients of one convolution all have one layout, chosen from the whole image and not from the grain, so
 * that they can be summed; a grain for which oneDNN wants another is copied. */
#include "backends/cpu/conv_state.h"
#include "base/mem.h"
#include "base/status.h"
#include <string.h>

#define CANONICAL_ROWS 32 /* of y, in the geometry that chooses the layout of partial weight gradients */

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

static bool describe_forward(const fari_call *call, fari_isa isa, void *key_out)
{
    (void)isa;
    return describe(CONV_FORWARD, call, &call->in[0], &call->out[0], key_out);
}

static bool describe_dx(const fari_call *call, fari_isa isa, void *key_out)
{
    (void)isa;
    return describe(CONV_DX, call, &call->out[0], &call->in[0], key_out);
}

static bool describe_dw(const fari_call *call, fari_isa isa, void *key_out)
{
    (void)isa;
    return describe(CONV_DW, call, &call->in[0], &call->in[1], key_out);
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
   state->primitive empty where oneDNN has its reference alone; but not for a piece whose siblings' partials are in a layout of oneDNN's: ours
   writes plain ones, which could not be added to them. */
static far_status choose_primitive(conv_state *state)
{
    const fari_conv_piece *piece = &state->key.piece;
    const dnnl_format_tag_t tags[] = { fari_conv_tag(piece->spatial_ndim), dnnl_format_tag_any };
    const bool is_dw = state->key.kind == CONV_DW, has_bias = state->key.kind == CONV_FORWARD && state->key.has_bias;
    const bool is_any = is_dw && !dnnl_memory_desc_equal(&state->weight, &state->weight_plain);
    for (size_t i = 0; i < FAR_COUNT(tags) && state->primitive.desc == NULL; i++) {
        conv_mds mds;
        FAR_TRY(fari_conv_mds_of(piece, tags[i], &mds));
        const dnnl_memory_desc_t any_weight = mds.weight;
        if (is_dw) mds.weight = state->weight;
        FAR_TRY(fari_conv_choose((conv_kind)state->key.kind, has_bias, false, piece, &mds, &state->primitive));
        if (!is_dw || state->primitive.desc != NULL) continue;
        mds.weight = any_weight;
        FAR_TRY(fari_conv_choose(CONV_DW, false, is_any && i > 0, piece, &mds, &state->primitive));
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
    FAR_TRY(fari_conv_mds_of(&state->key.whole, fari_conv_tag(state->key.whole.spatial_ndim), &mds));
    FAR_TRY(fari_conv_choose(CONV_DW, false, false, &state->key.whole, &mds, &whole));
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
    FAR_TRY(fari_conv_mds_of(piece, fari_conv_tag(piece->spatial_ndim), &mds));
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

static void conv_destroy(fari_cpu_state *base);

static void answer(conv_state *state)
{
    static const fari_kernel_fn runs[] = { fari_conv_forward_run, fari_conv_dx_run, fari_conv_dw_run };
    const bool is_copied =
        state->x_reorder.desc != NULL || state->y_reorder.desc != NULL || state->dw_reorder.desc != NULL;
    fari_prepared *answer = &state->base.answer;
    lay_out_scratch(state);
    (void)snprintf(state->impl, sizeof state->impl, "%s%s",
                   state->primitive.impl != NULL ? state->primitive.impl : "fill", is_copied ? "+copy" : "");
    answer->run = runs[state->key.kind];
    answer->state = state;
    answer->impl = state->impl;
    answer->is_reference = state->primitive.impl != NULL && fari_dnnl_is_reference(state->primitive.impl);
    if (state->weight_reorder.desc != NULL) {
        if (state->key.kind == CONV_DW) answer->partial_bytes = dnnl_memory_desc_get_size(&state->weight);
        else answer->pack_bytes[1] = dnnl_memory_desc_get_size(&state->weight);
        answer->pack_id[1] = state->key.kind == CONV_DW ? 0 : fari_dnnl_md_hash(&state->weight);
    }
    state->base.pack = fari_conv_pack;
    state->base.unpack = fari_conv_unpack;
    state->base.destroy = conv_destroy;
}

static far_status make_into(conv_state *state)
{
    FAR_TRY(fari_conv_weight_md(&state->key.piece, false, &state->weight_plain));
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

const fari_cpu_maker fari_cpu_conv_makers[] = {
    { &fari_op_conv, describe_forward, conv_make },
    { &fari_op_conv_dx, describe_dx, conv_make },
    { &fari_op_conv_dw, describe_dw, conv_make },
    { NULL, NULL, NULL },
};
