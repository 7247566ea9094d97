/* Convolutions of 3 x 3 with stride 1 between many channels by our own kernels (isa/conv_winograd.h), which need less than half of a plain sum's products. */
#include "backends/cpu/isa/conv_winograd.h"
#include "backends/cpu/isa/conv_wide.h"
#include "backends/cpu/own_conv.h"
#include "backends/cpu/thin_piece.h"
#include "base/status.h"
#include <string.h>

#define CHANNELS_MIN 64                   /* below, turning costs too much of what it saves */
#define TURNED_BYTES (INT64_C(512) << 10) /* a part of a second-level cache, ... */
#define TILES_MIN 32                     /* ... unless the weight would have to come from beyond it for too few tiles */
#define CHAIN_BYTES (INT64_C(640) << 10) /* of a weight gradient: the same of a chain, ... */
#define CHAIN_MIN 98                     /* ... which is long enough for turning its sums to cost little */
#define DW_PIXELS_MIN 128                /* of an image: below, chains are too short */

/* ---- blocks ---- */

/* Tiles of a block: as few equal blocks as `bytes` of turned tiles of `channels` allow, but no less than `least` tiles. */
static int64_t tiles_of_block(const fari_thin_conv *conv, int64_t channels, int64_t bytes, int64_t least)
{
    const int64_t all = fari_winograd_tiles(conv);
    const int64_t tile_bytes = FARI_WINOGRAD_PLACES * channels * (int64_t)sizeof(float);
    const int64_t most = bytes > least * tile_bytes ? bytes / tile_bytes : least;
    const int64_t blocks = (all + most - 1) / most;
    return all > 0 ? (all + blocks - 1) / blocks : 1;
}

int64_t fari_winograd_block(const fari_thin_conv *conv)
{
    return tiles_of_block(conv, fari_winograd_step(conv), TURNED_BYTES, TILES_MIN);
}

int64_t fari_winograd_dw_block(const fari_thin_conv *conv)
{
    return tiles_of_block(conv, fari_winograd_dw_in(conv), CHAIN_BYTES, CHAIN_MIN);
}

int64_t fari_winograd_dw_scratch(const fari_thin_conv *conv)
{
    const int64_t tiles = fari_winograd_dw_block(conv), in = fari_winograd_dw_in(conv);
    const int64_t floats = tiles * (in + 16 + FARI_WINOGRAD_OUT) + in * FARI_WINOGRAD_OUT;
    return FARI_WINOGRAD_PLACES * floats + conv->in_channels;
}

int64_t fari_winograd_scratch(const fari_thin_conv *conv)
{
    return fari_winograd_block(conv) * FARI_WINOGRAD_PLACES * (fari_winograd_step(conv) + FARI_WINOGRAD_OUT) +
           conv->in_channels;
}

/* ---- what is asked ---- */

/* Asks nothing that changes from grain to grain: partial weight gradients of one convolution all have one layout. */
static bool is_suited(const fari_conv_attr *attr, fari_isa isa, int64_t in_channels, int64_t out_channels)
{
    if (isa != FARI_ISA_AVX512 || !fari_thin_is_simple(attr) || attr->kernel[0] != 3 || attr->kernel[1] != 3)
        return false;
    if (in_channels % FARI_WINOGRAD_IN != 0 || out_channels % FARI_WINOGRAD_OUT != 0) return false;
    return in_channels >= CHANNELS_MIN && out_channels >= CHANNELS_MIN;
}

static bool is_ours(const fari_call *call, fari_isa isa, int64_t in_channels, int64_t out_channels)
{
    const fari_view *bias = call->in_count > 2 ? &call->in[2] : NULL;
    return fari_own_conv_fits(&call->in[0], &call->out[0], &call->in[1], bias) &&
           is_suited(call->attr, isa, in_channels, out_channels);
}

static bool describe_forward(const fari_call *call, fari_isa isa, void *key_out)
{
    const fari_conv_attr *attr = call->attr;
    fari_own_key *key = key_out;
    if (!is_ours(call, isa, attr->in_channels, attr->out_channels)) return false;
    key->conv.thin = fari_thin_forward_piece(attr, &call->in[0], &call->out[0]);
    return true;
}

static bool describe_dx(const fari_call *call, fari_isa isa, void *key_out)
{
    const fari_conv_attr *attr = call->attr;
    fari_own_key *key = key_out;
    if (!is_ours(call, isa, attr->out_channels, attr->in_channels)) return false;
    key->pass = FARI_OWN_DX;
    key->conv.thin = fari_thin_dx_piece(attr, &call->out[0], &call->in[0]);
    return true;
}

static bool describe_dw(const fari_call *call, fari_isa isa, void *key_out)
{
    const fari_conv_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *dy = &call->in[1], *weight = &call->out[0];
    fari_own_key *key = key_out;
    if (!fari_own_conv_fits(x, dy, weight, NULL)) return false;
    if (!is_suited(attr, isa, attr->in_channels, attr->out_channels)) return false;
    if (attr->in_extent[0] * attr->in_extent[1] < DW_PIXELS_MIN) return false;
    key->pass = FARI_OWN_DW;
    key->conv.thin = fari_thin_forward_piece(attr, x, dy);
    return true;
}

/* ---- making and running ---- */

static far_status winograd_pack(const fari_cpu_state *base, int32_t input_idx, const void *plain, void *packed)
{
    const fari_own_conv *own = (const fari_own_conv *)base;
    const fari_thin_conv *conv = &own->key.conv.thin;
    FAR_ASSERT(input_idx == 1);
    own->loops->winograd->pack(conv->in_channels, conv->out_channels, own->key.pass == FARI_OWN_DX, plain, packed);
    return FAR_OK;
}

static void winograd_map(const fari_own_conv *own, const fari_conv_operands *operands)
{
    own->loops->winograd->run(&own->key.conv.thin, operands);
}

static void winograd_dw(const fari_own_conv *own, const float *x, const float *dy, bool is_added, float *partial,
                        float *scratch)
{
    own->loops->winograd->dw(&own->key.conv.thin, x, dy, is_added, partial, scratch);
}

static far_status winograd_make(const void *key, const fari_cpu_loops *loops, fari_cpu_state **state_out)
{
    static const uint64_t pack_ids[] = { UINT64_C(0x77696e6f20666f72), UINT64_C(0x77696e6f20206478) };
    const fari_own_key *of = key;
    const fari_thin_conv *conv = &of->conv.thin;
    const bool is_dw = of->pass == FARI_OWN_DW;
    fari_own_conv own = { .map = winograd_map, .dw = winograd_dw };
    own.base.pack = winograd_pack;
    own.base.answer.impl = loops->winograd->impl;
    own.base.answer.scratch_bytes =
        (size_t)(is_dw ? fari_winograd_dw_scratch(conv) : fari_winograd_scratch(conv)) * sizeof(float);
    if (is_dw) {
        own.tiles = (fari_tiles){ FARI_WIDE_EDGE, 1, conv->out_channels, conv->in_channels, 9 };
        own.base.answer.partial_bytes = (size_t)(9 * conv->in_channels * conv->out_channels) * sizeof(float);
    } else {
        own.base.answer.pack_bytes[1] = (size_t)fari_winograd_weight_elems(conv) * sizeof(float);
        own.base.answer.pack_id[1] = pack_ids[of->pass];
    }
    return fari_own_conv_make(&own, key, loops, state_out);
}

const fari_cpu_maker fari_cpu_winograd_makers[] = {
    { &fari_op_conv, describe_forward, winograd_make },
    { &fari_op_conv_dx, describe_dx, winograd_make },
    { &fari_op_conv_dw, describe_dw, winograd_make },
    { NULL, NULL, NULL },
};
