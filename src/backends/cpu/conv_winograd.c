/* Convolutions of 3 x 3 with stride 1 between many channels by our own kernels (isa/conv_winograd.h), which need less than half of a plain sum's products. */
#include "backends/cpu/isa/conv_winograd.h"
#include "backends/cpu/isa/conv_wide.h"
#include "backends/cpu/state.h"
#include "backends/cpu/thin_piece.h"
#include "backends/cpu/tiles.h"
#include "base/mem.h"
#include "base/status.h"
#include <string.h>

#define CHANNELS_MIN 64                   /* below, turning costs too much of what it saves */
#define TURNED_BYTES (INT64_C(512) << 10) /* a part of a second-level cache, ... */
#define TILES_MIN 32                     /* ... unless the weight would have to come from beyond it for too few tiles */
#define CHAIN_BYTES (INT64_C(640) << 10) /* of a weight gradient: the same of a chain, ... */
#define CHAIN_MIN 98                     /* ... which is long enough for turning its sums to cost little */
#define DW_PIXELS_MIN 128                /* of an image: below, chains are too short */

typedef enum winograd_kind { WINOGRAD_FORWARD, WINOGRAD_DX, WINOGRAD_DW } winograd_kind;

typedef struct winograd_key {
    int64_t kind;
    fari_thin_conv conv;
} winograd_key;
_Static_assert(sizeof(winograd_key) <= FARI_CPU_KEY_BYTES, "grow FARI_CPU_KEY_BYTES");

typedef struct winograd_state {
    fari_cpu_state base;
    winograd_key key;
    fari_tiles tiles; /* of a partial */
    const fari_winograd_kernels *kernels;
} winograd_state;

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
    if (!fari_thin_is_image(&call->in[0]) || !fari_thin_is_image(&call->out[0])) return false;
    if (!is_suited(call->attr, isa, in_channels, out_channels)) return false;
    if (call->in[1].dtype != FAR_F32 || call->in[1].order != FARI_ROW_MAJOR) return false;
    return call->in_count < 3 || call->in[2].dtype == FAR_F32;
}

static bool describe_forward(const fari_call *call, fari_isa isa, void *key_out)
{
    const fari_conv_attr *attr = call->attr;
    winograd_key *key = key_out;
    if (!is_ours(call, isa, attr->in_channels, attr->out_channels)) return false;
    key->conv = fari_thin_forward_piece(attr, &call->in[0], &call->out[0]);
    return true;
}

static bool describe_dx(const fari_call *call, fari_isa isa, void *key_out)
{
    const fari_conv_attr *attr = call->attr;
    winograd_key *key = key_out;
    if (!is_ours(call, isa, attr->out_channels, attr->in_channels)) return false;
    key->kind = WINOGRAD_DX;
    key->conv = fari_thin_dx_piece(attr, &call->out[0], &call->in[0]);
    return true;
}

static bool describe_dw(const fari_call *call, fari_isa isa, void *key_out)
{
    const fari_conv_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *dy = &call->in[1], *weight = &call->out[0];
    winograd_key *key = key_out;
    if (!fari_thin_is_image(x) || !fari_thin_is_image(dy) || weight->dtype != FAR_F32 ||
        weight->order != FARI_ROW_MAJOR)
        return false;
    if (!is_suited(attr, isa, attr->in_channels, attr->out_channels)) return false;
    if (attr->in_extent[0] * attr->in_extent[1] < DW_PIXELS_MIN) return false;
    key->kind = WINOGRAD_DW;
    key->conv = fari_thin_forward_piece(attr, x, dy);
    return true;
}

/* ---- making and running ---- */

static far_status winograd_pack(const fari_cpu_state *base, int32_t input_idx, const void *plain, void *packed)
{
    const winograd_state *state = (const winograd_state *)base;
    const fari_thin_conv *conv = &state->key.conv;
    FAR_ASSERT(input_idx == 1);
    state->kernels->pack(conv->in_channels, conv->out_channels, state->key.kind == WINOGRAD_DX, plain, packed);
    return FAR_OK;
}

static far_status winograd_run(const fari_call *call)
{
    const winograd_state *state = call->prepared;
    const fari_winograd_operands operands = { .in = call->in[0].data,
                                              .weight = call->in[1].data,
                                              .bias = call->in_count > 2 ? call->in[2].data : NULL,
                                              .out = call->out[0].data,
                                              .scratch = call->scratch };
    state->kernels->run(&state->key.conv, &operands);
    return FAR_OK;
}

static far_status winograd_dw_run(const fari_call *call)
{
    const winograd_state *state = call->prepared;
    state->kernels->dw(&state->key.conv, call->in[0].data, call->in[1].data, call->accumulate, call->out[0].data,
                       call->scratch);
    return FAR_OK;
}

static far_status winograd_unpack(const fari_cpu_state *base, const void *partial, void *plain)
{
    fari_tiles_to_plain(&((const winograd_state *)base)->tiles, partial, plain);
    return FAR_OK;
}

static void winograd_destroy(fari_cpu_state *base)
{
    fari_free(base);
}

static far_status winograd_make(const void *key, const fari_cpu_loops *loops, fari_cpu_state **state_out)
{
    static const uint64_t pack_ids[] = { UINT64_C(0x77696e6f20666f72), UINT64_C(0x77696e6f20206478) };
    winograd_state *state = fari_calloc(1, sizeof *state);
    if (state == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a convolution");
    memcpy(&state->key, key, sizeof state->key);
    state->kernels = loops->winograd;
    const fari_thin_conv *conv = &state->key.conv;
    const bool is_dw = state->key.kind == WINOGRAD_DW;
    fari_prepared *answer = &state->base.answer;
    answer->state = state;
    answer->run = is_dw ? winograd_dw_run : winograd_run;
    answer->impl = state->kernels->impl;
    answer->scratch_bytes =
        (size_t)(is_dw ? fari_winograd_dw_scratch(conv) : fari_winograd_scratch(conv)) * sizeof(float);
    if (is_dw) {
        state->tiles = (fari_tiles){ FARI_WIDE_EDGE, 1, conv->out_channels, conv->in_channels, 9 };
        answer->partial_bytes = (size_t)(9 * conv->in_channels * conv->out_channels) * sizeof(float);
    } else {
        answer->pack_bytes[1] = (size_t)fari_winograd_weight_elems(conv) * sizeof(float);
        answer->pack_id[1] = pack_ids[state->key.kind];
    }
    state->base.pack = winograd_pack;
    state->base.unpack = winograd_unpack;
    state->base.destroy = winograd_destroy;
    *state_out = &state->base;
    return FAR_OK;
}

const fari_cpu_maker fari_cpu_winograd_makers[] = {
    { &fari_op_conv, describe_forward, winograd_make },
    { &fari_op_conv_dx, describe_dx, winograd_make },
    { &fari_op_conv_dw, describe_dw, winograd_make },
    { NULL, NULL, NULL },
};
