/* Convolutions between few channels by our own kernels (isa/conv_thin.h), where oneDNN was measured to be slower. */
#include "backends/cpu/isa/conv_thin.h"
#include "backends/cpu/state.h"
#include "backends/cpu/thin_piece.h"
#include "base/mem.h"
#include "base/status.h"
#include <string.h>

typedef enum thin_kind { THIN_FORWARD, THIN_DX, THIN_DW } thin_kind;

typedef struct thin_key {
    int64_t kind;
    fari_thin_conv conv; /* THIN_DX: from dy to dx */
} thin_key;
_Static_assert(sizeof(thin_key) <= FARI_CPU_KEY_BYTES, "grow FARI_CPU_KEY_BYTES");

typedef struct thin_state {
    fari_cpu_state base;
    thin_key key;
    const fari_thin_kernels *kernels;
} thin_state;

/* ---- what is asked ---- */

static bool is_3x3(const fari_conv_attr *attr)
{
    return attr->kernel[0] == 3 && attr->kernel[1] == 3;
}

static bool is_stem(const fari_conv_attr *attr)
{
    return attr->kernel[0] == 5 && attr->kernel[1] == 5 && attr->in_channels == 1;
}

/* Where they are faster than oneDNN 2.6.3 (docs/performance.md). That gives a lane to a channel, so of vectors of 16 it uses a half for 8
   channels, three quarters for 24; and it fetches nothing ahead, which is what 16 gain by. */
static const struct {
    fari_isa isa;
    thin_kind kind;
    bool is_stem;
    int64_t out_channels;
} choices[] = {
    { FARI_ISA_AVX512, THIN_FORWARD, true, 8 },   { FARI_ISA_AVX512, THIN_DW, true, 8 },
    { FARI_ISA_AVX512, THIN_FORWARD, false, 8 },  { FARI_ISA_AVX512, THIN_DX, false, 8 },
    { FARI_ISA_AVX512, THIN_DW, false, 8 },       { FARI_ISA_AVX512, THIN_FORWARD, false, 16 },
    { FARI_ISA_AVX512, THIN_DX, false, 16 },      { FARI_ISA_AVX512, THIN_FORWARD, false, 24 },
    { FARI_ISA_AVX512, THIN_DX, false, 24 },      { FARI_ISA_AVX512, THIN_DW, false, 24 },
    { FARI_ISA_AVX512, THIN_FORWARD, false, 40 }, { FARI_ISA_AVX512, THIN_DX, false, 40 },
    { FARI_ISA_AVX2, THIN_FORWARD, true, 8 },     { FARI_ISA_AVX2, THIN_FORWARD, false, 8 },
    { FARI_ISA_AVX2, THIN_DX, false, 8 },         { FARI_ISA_AVX2, THIN_DW, false, 8 },
    { FARI_ISA_AVX2, THIN_FORWARD, false, 16 },   { FARI_ISA_AVX2, THIN_DW, false, 16 },
    { FARI_ISA_AVX2, THIN_DW, false, 24 },
};

static bool is_chosen(fari_isa isa, thin_kind kind, bool of_stem, int64_t out_channels)
{
    for (size_t i = 0; i < FAR_COUNT(choices); i++)
        if (choices[i].isa == isa && choices[i].kind == kind && choices[i].is_stem == of_stem &&
            choices[i].out_channels == out_channels)
            return true;
    return false;
}

/* Forward without padding, blocks of 8 or 10 pixels dividing a row: as lenet5's second layer, 6 to 16 with 5 x 5. With copies at edges
   oneDNN is as fast. */
static bool is_inside(const fari_conv_attr *attr, thin_kind kind, fari_isa isa)
{
    const int64_t cols = fari_conv_out_extent(attr, 1);
    if (kind != THIN_FORWARD || isa != FARI_ISA_AVX512 || attr->out_channels != 16) return false;
    if (attr->pad_lo[1] != 0 || attr->pad_hi[1] != 0 || (cols % 8 != 0 && cols % 10 != 0)) return false;
    return attr->kernel[0] == 5 && attr->kernel[1] == 5 && attr->in_channels > 1 && attr->in_channels % 8 != 0;
}

/* Asks nothing that changes from grain to grain: partial weight gradients of one convolution all have one layout. */
static bool is_ours(const fari_conv_attr *attr, thin_kind kind, fari_isa isa)
{
    const int64_t in = kind == THIN_DX ? attr->out_channels : attr->in_channels;
    const int64_t out = kind == THIN_DX ? attr->in_channels : attr->out_channels;
    const bool of_stem = is_stem(attr);
    if (!fari_thin_is_simple(attr) || in > FARI_THIN_IN_MAX || out > FARI_THIN_OUT_MAX) return false;
    if (is_inside(attr, kind, isa)) return true;
    if (attr->in_extent[1] < FARI_THIN_COLS_MIN || fari_conv_out_extent(attr, 1) < FARI_THIN_COLS_MIN) return false;
    return (of_stem || (is_3x3(attr) && in % 8 == 0)) && is_chosen(isa, kind, of_stem, out);
}

static bool describe(thin_kind kind, const fari_call *call, fari_isa isa, const fari_view *x, const fari_view *y,
                     thin_key *key_out)
{
    const fari_conv_attr *attr = call->attr;
    const fari_view *weight = kind == THIN_DW ? &call->out[0] : &call->in[1];
    if (!fari_thin_is_image(x) || !fari_thin_is_image(y) || weight->dtype != FAR_F32 || weight->order != FARI_ROW_MAJOR)
        return false;
    if (kind != THIN_DW && call->in_count > 2 && call->in[2].dtype != FAR_F32) return false;
    if (!is_ours(attr, kind, isa)) return false;
    key_out->kind = kind;
    key_out->conv = kind == THIN_DX ? fari_thin_dx_piece(attr, x, y) : fari_thin_forward_piece(attr, x, y);
    return true;
}

static bool describe_forward(const fari_call *call, fari_isa isa, void *key_out)
{
    return describe(THIN_FORWARD, call, isa, &call->in[0], &call->out[0], key_out);
}

static bool describe_dx(const fari_call *call, fari_isa isa, void *key_out)
{
    return describe(THIN_DX, call, isa, &call->out[0], &call->in[0], key_out);
}

static bool describe_dw(const fari_call *call, fari_isa isa, void *key_out)
{
    return describe(THIN_DW, call, isa, &call->in[0], &call->in[1], key_out);
}

/* ---- weights ---- */

/* Of the plain weight [O, C, rows, cols] the element that float `e` of a window's row meets, for output channel `out`. */
static int64_t plain_at(const thin_key *key, int64_t row, int64_t e, int64_t out)
{
    const fari_thin_conv *conv = &key->conv;
    const int64_t rows = conv->kernel_rows, cols = conv->kernel_cols, col = e / conv->in_channels;
    const int64_t in = e % conv->in_channels;
    if (key->kind == THIN_DX) return ((in * conv->out_channels + out) * rows + rows - 1 - row) * cols + cols - 1 - col;
    return ((out * conv->in_channels + in) * rows + row) * cols + col;
}

static far_status thin_pack(const fari_cpu_state *base, int32_t input_idx, const void *plain, void *packed)
{
    const thin_key *key = &((const thin_state *)base)->key;
    const fari_thin_conv *conv = &key->conv;
    const float *weight = plain;
    float *to = packed;
    FAR_ASSERT(input_idx == 1);
    for (int64_t row = 0; row < conv->kernel_rows; row++)
        for (int64_t s = 0; s < fari_thin_steps(conv); s++, to += 2 * conv->out_channels)
            for (int64_t half = 0; half < 2; half++) {
                const int64_t e = fari_thin_step_at(conv, s) + half, first = plain_at(key, row, e, 0);
                const int64_t apart = plain_at(key, row, e, 1) - first;
                for (int64_t out = 0; out < conv->out_channels; out++)
                    to[2 * out + half] = e / 2 == s ? weight[first + out * apart] : 0.0f;
            }
    return FAR_OK;
}

static far_status thin_unpack(const fari_cpu_state *base, const void *partial, void *plain)
{
    const thin_key *key = &((const thin_state *)base)->key;
    const fari_thin_conv *conv = &key->conv;
    const float *from = partial;
    float *weight = plain;
    const int64_t steps = fari_thin_steps(conv), run = conv->kernel_cols * conv->in_channels;
    for (int64_t row = 0; row < conv->kernel_rows; row++)
        for (int64_t e = 0; e < run; e++)
            for (int64_t out = 0; out < conv->out_channels; out++) {
                const int64_t s = e / 2, half = e - fari_thin_step_at(conv, s);
                weight[plain_at(key, row, e, out)] = from[((row * steps + s) * conv->out_channels + out) * 2 + half];
            }
    return FAR_OK;
}

/* ---- running ---- */

/* Forward and dx alike: what is read, the weight, the bias. */
static far_status thin_map_run(const fari_call *call)
{
    const thin_state *state = call->prepared;
    const fari_thin_operands operands = { .in = call->in[0].data,
                                          .weight = call->in[1].data,
                                          .bias = call->in_count > 2 ? call->in[2].data : NULL,
                                          .out = call->out[0].data,
                                          .scratch = call->scratch };
    state->kernels->forward(&state->key.conv, &operands);
    return FAR_OK;
}

static far_status thin_dw_run(const fari_call *call)
{
    const thin_state *state = call->prepared;
    const fari_thin_conv *conv = &state->key.conv;
    float *partial = call->out[0].data;
    if (!call->accumulate) memset(partial, 0, (size_t)fari_thin_weight_elems(conv) * sizeof *partial);
    state->kernels->dw(conv, call->in[0].data, call->in[1].data, partial, call->scratch);
    return FAR_OK;
}

/* ---- making ---- */

static void thin_destroy(fari_cpu_state *base)
{
    fari_free(base);
}

static far_status thin_make(const void *key, const fari_cpu_loops *loops, fari_cpu_state **state_out)
{
    static const uint64_t pack_ids[] = { UINT64_C(0x7468696e20666f72), UINT64_C(0x7468696e20206478) };
    thin_state *state = fari_calloc(1, sizeof *state);
    if (state == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a convolution");
    memcpy(&state->key, key, sizeof state->key);
    state->kernels = loops->thin;
    const fari_thin_conv *conv = &state->key.conv;
    const bool is_dw = state->key.kind == THIN_DW;
    const size_t weight_bytes = (size_t)fari_thin_weight_elems(conv) * sizeof(float);
    fari_prepared *answer = &state->base.answer;
    answer->state = state;
    answer->impl = state->kernels->impl;
    answer->run = is_dw ? thin_dw_run : thin_map_run;
    answer->scratch_bytes =
        (size_t)(is_dw ? fari_thin_dw_scratch(conv) : fari_thin_forward_scratch(conv)) * sizeof(float);
    if (is_dw) {
        answer->partial_bytes = weight_bytes;
    } else {
        answer->pack_bytes[1] = weight_bytes;
        answer->pack_id[1] = pack_ids[state->key.kind];
    }
    state->base.pack = thin_pack;
    state->base.unpack = thin_unpack;
    state->base.destroy = thin_destroy;
    *state_out = &state->base;
    return FAR_OK;
}

const fari_cpu_maker fari_cpu_thin_makers[] = {
    { &fari_op_conv, describe_forward, thin_make },
    { &fari_op_conv_dx, describe_dx, thin_make },
    { &fari_op_conv_dw, describe_dw, thin_make },
    { NULL, NULL, NULL },
};
