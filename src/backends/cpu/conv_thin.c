/* Convolutions between few channels by our own kernels (isa/conv_thin.h), where oneDNN was measured to be slower. */
#include "backends/cpu/isa/conv_thin.h"
#include "backends/cpu/own_conv.h"
#include "backends/cpu/thin_piece.h"
#include "base/status.h"
#include <string.h>

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
    fari_own_pass pass;
    bool is_stem;
    int64_t out_channels;
} choices[] = {
    { FARI_ISA_AVX512, FARI_OWN_FORWARD, true, 8 },   { FARI_ISA_AVX512, FARI_OWN_DW, true, 8 },
    { FARI_ISA_AVX512, FARI_OWN_FORWARD, false, 8 },  { FARI_ISA_AVX512, FARI_OWN_DX, false, 8 },
    { FARI_ISA_AVX512, FARI_OWN_DW, false, 8 },       { FARI_ISA_AVX512, FARI_OWN_FORWARD, false, 16 },
    { FARI_ISA_AVX512, FARI_OWN_DX, false, 16 },      { FARI_ISA_AVX512, FARI_OWN_FORWARD, false, 24 },
    { FARI_ISA_AVX512, FARI_OWN_DX, false, 24 },      { FARI_ISA_AVX512, FARI_OWN_DW, false, 24 },
    { FARI_ISA_AVX512, FARI_OWN_FORWARD, false, 40 }, { FARI_ISA_AVX512, FARI_OWN_DX, false, 40 },
    { FARI_ISA_AVX2, FARI_OWN_FORWARD, true, 8 },     { FARI_ISA_AVX2, FARI_OWN_FORWARD, false, 8 },
    { FARI_ISA_AVX2, FARI_OWN_DX, false, 8 },         { FARI_ISA_AVX2, FARI_OWN_DW, false, 8 },
    { FARI_ISA_AVX2, FARI_OWN_FORWARD, false, 16 },   { FARI_ISA_AVX2, FARI_OWN_DW, false, 16 },
    { FARI_ISA_AVX2, FARI_OWN_DW, false, 24 },
};

static bool is_chosen(fari_isa isa, fari_own_pass pass, bool of_stem, int64_t out_channels)
{
    for (size_t i = 0; i < FAR_COUNT(choices); i++)
        if (choices[i].isa == isa && choices[i].pass == pass && choices[i].is_stem == of_stem &&
            choices[i].out_channels == out_channels)
            return true;
    return false;
}

/* Forward without padding, blocks of 8 or 10 pixels dividing a row: as lenet5's second layer, 6 to 16 with 5 x 5. With copies at edges
   oneDNN is as fast. */
static bool is_inside(const fari_conv_attr *attr, fari_own_pass pass, fari_isa isa)
{
    const int64_t cols = fari_conv_out_extent(attr, 1);
    if (pass != FARI_OWN_FORWARD || isa != FARI_ISA_AVX512 || attr->out_channels != 16) return false;
    if (attr->pad_lo[1] != 0 || attr->pad_hi[1] != 0 || (cols % 8 != 0 && cols % 10 != 0)) return false;
    return attr->kernel[0] == 5 && attr->kernel[1] == 5 && attr->in_channels > 1 && attr->in_channels % 8 != 0;
}

/* Asks nothing that changes from grain to grain: partial weight gradients of one convolution all have one layout. */
static bool is_ours(const fari_conv_attr *attr, fari_own_pass pass, fari_isa isa)
{
    const int64_t in = pass == FARI_OWN_DX ? attr->out_channels : attr->in_channels;
    const int64_t out = pass == FARI_OWN_DX ? attr->in_channels : attr->out_channels;
    const bool of_stem = is_stem(attr);
    if (!fari_thin_is_simple(attr) || in > FARI_THIN_IN_MAX || out > FARI_THIN_OUT_MAX) return false;
    if (is_inside(attr, pass, isa)) return true;
    if (attr->in_extent[1] < FARI_THIN_COLS_MIN || fari_conv_out_extent(attr, 1) < FARI_THIN_COLS_MIN) return false;
    return (of_stem || (is_3x3(attr) && in % 8 == 0)) && is_chosen(isa, pass, of_stem, out);
}

static bool describe(fari_own_pass pass, const fari_call *call, fari_isa isa, const fari_view *x, const fari_view *y,
                     fari_own_key *key_out)
{
    const fari_conv_attr *attr = call->attr;
    const fari_view *weight = pass == FARI_OWN_DW ? &call->out[0] : &call->in[1];
    const fari_view *bias = pass != FARI_OWN_DW && call->in_count > 2 ? &call->in[2] : NULL;
    if (!fari_own_conv_fits(x, y, weight, bias) || !is_ours(attr, pass, isa)) return false;
    key_out->pass = pass;
    key_out->conv.thin = pass == FARI_OWN_DX ? fari_thin_dx_piece(attr, x, y) : fari_thin_forward_piece(attr, x, y);
    return true;
}

static bool describe_forward(const fari_call *call, fari_isa isa, void *key_out)
{
    return describe(FARI_OWN_FORWARD, call, isa, &call->in[0], &call->out[0], key_out);
}

static bool describe_dx(const fari_call *call, fari_isa isa, void *key_out)
{
    return describe(FARI_OWN_DX, call, isa, &call->out[0], &call->in[0], key_out);
}

static bool describe_dw(const fari_call *call, fari_isa isa, void *key_out)
{
    return describe(FARI_OWN_DW, call, isa, &call->in[0], &call->in[1], key_out);
}

/* ---- weights ---- */

/* Of the plain weight [O, C, rows, cols] the element that float `e` of a window's row meets, for output channel `out`. */
static int64_t plain_at(const fari_own_key *key, int64_t row, int64_t e, int64_t out)
{
    const fari_thin_conv *conv = &key->conv.thin;
    const int64_t rows = conv->kernel_rows, cols = conv->kernel_cols, col = e / conv->in_channels;
    const int64_t in = e % conv->in_channels;
    if (key->pass == FARI_OWN_DX)
        return ((in * conv->out_channels + out) * rows + rows - 1 - row) * cols + cols - 1 - col;
    return ((out * conv->in_channels + in) * rows + row) * cols + col;
}

static far_status thin_pack(const fari_cpu_state *base, int32_t input_idx, const void *plain, void *packed)
{
    const fari_own_key *key = &((const fari_own_conv *)base)->key;
    const fari_thin_conv *conv = &key->conv.thin;
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
    const fari_own_key *key = &((const fari_own_conv *)base)->key;
    const fari_thin_conv *conv = &key->conv.thin;
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

/* ---- making and running ---- */

static void thin_map(const fari_own_conv *own, const fari_conv_operands *operands)
{
    own->loops->thin->forward(&own->key.conv.thin, operands);
}

static void thin_dw(const fari_own_conv *own, const float *x, const float *dy, bool is_added, float *partial,
                    float *scratch)
{
    const fari_thin_conv *conv = &own->key.conv.thin;
    if (!is_added) memset(partial, 0, (size_t)fari_thin_weight_elems(conv) * sizeof *partial);
    own->loops->thin->dw(conv, x, dy, partial, scratch);
}

static far_status thin_make(const void *key, const fari_cpu_loops *loops, fari_cpu_state **state_out)
{
    static const uint64_t pack_ids[] = { UINT64_C(0x7468696e20666f72), UINT64_C(0x7468696e20206478) };
    const fari_own_key *of = key;
    const fari_thin_conv *conv = &of->conv.thin;
    const bool is_dw = of->pass == FARI_OWN_DW;
    const size_t weight_bytes = (size_t)fari_thin_weight_elems(conv) * sizeof(float);
    fari_own_conv own = { .map = thin_map, .dw = thin_dw };
    own.base.pack = thin_pack;
    own.base.unpack = thin_unpack;
    own.base.answer.impl = loops->thin->impl;
    own.base.answer.scratch_bytes =
        (size_t)(is_dw ? fari_thin_dw_scratch(conv) : fari_thin_forward_scratch(conv)) * sizeof(float);
    if (is_dw) {
        own.base.answer.partial_bytes = weight_bytes;
    } else {
        own.base.answer.pack_bytes[1] = weight_bytes;
        own.base.answer.pack_id[1] = pack_ids[of->pass];
    }
    return fari_own_conv_make(&own, key, loops, state_out);
}

const fari_cpu_maker fari_cpu_thin_makers[] = {
    { &fari_op_conv, describe_forward, thin_make },
    { &fari_op_conv_dx, describe_dx, thin_make },
    { &fari_op_conv_dw, describe_dw, thin_make },
    { NULL, NULL, NULL },
};
