/* Gradients of the input of convolutions from few channels by our own kernels (isa/conv_fan.h), where they were measured to be faster than
   oneDNN. */
#include "backends/cpu/isa/conv_fan.h"
#include "backends/cpu/own_conv.h"
#include "backends/cpu/thin_piece.h"
#include "base/status.h"
#include <string.h>

/* Where they are faster than oneDNN 2.6.3 (docs/performance.md), which gives a lane to a channel: with AVX2 where channels are few or fans
   fill their vectors. */
static bool is_faster(int64_t kernel, int64_t channels, fari_isa isa)
{
    const int64_t fan = kernel * channels;
    if (isa == FARI_ISA_BASE || kernel < 3 || channels > 10 || fan > FARI_FAN_MAX) return false;
    return isa == FARI_ISA_AVX512 || channels <= 5 || fan % FARI_FAN_LANES >= FARI_FAN_LANES - 2;
}

/* Asks nothing that changes from grain to grain. */
static bool is_ours(const fari_conv_attr *attr, fari_isa isa)
{
    return fari_thin_is_simple(attr) && fari_conv_out_extent(attr, 1) >= FARI_FAN_COLS_MIN &&
           is_faster(attr->kernel[1], attr->in_channels, isa);
}

static bool describe_dx(const fari_call *call, fari_isa isa, void *key_out)
{
    const fari_conv_attr *attr = call->attr;
    const fari_view *x = &call->out[0], *y = &call->in[0], *weight = &call->in[1];
    fari_own_key *key = key_out;
    if (!fari_own_conv_fits(x, y, weight, call->in_count > 2 ? &call->in[2] : NULL) || !is_ours(attr, isa))
        return false;
    key->pass = FARI_OWN_DX;
    key->conv.thin = fari_thin_dx_piece(attr, x, y);
    return true;
}

/* From the plain weight [O, C, rows, cols]. Rows are turned around; columns are not, as a fan goes from dy to dx. */
static far_status fan_pack(const fari_cpu_state *base, int32_t input_idx, const void *plain, void *packed)
{
    const fari_thin_conv *conv = &((const fari_own_conv *)base)->key.conv.thin;
    const int64_t rows = conv->kernel_rows, cols = conv->kernel_cols, channels = conv->out_channels;
    const int64_t elems = fari_fan_elems(conv);
    const float *weight = plain;
    float *to = packed;
    FAR_ASSERT(input_idx == 1);
    memset(to, 0, (size_t)fari_fan_weight_elems(conv) * sizeof *to);
    for (int64_t row = rows - 1; row >= 0; row--)
        for (int64_t in = 0; in < conv->in_channels; in++, to += elems)
            for (int64_t c = 0; c < channels; c++)
                for (int64_t col = 0; col < cols; col++)
                    to[col * channels + c] = weight[((in * channels + c) * rows + row) * cols + col];
    return FAR_OK;
}

static void fan_map(const fari_own_conv *own, const fari_conv_operands *operands)
{
    own->loops->fan->run(&own->key.conv.thin, operands);
}

static far_status fan_make(const void *key, const fari_cpu_loops *loops, fari_cpu_state **state_out)
{
    const fari_thin_conv *conv = &((const fari_own_key *)key)->conv.thin;
    fari_own_conv own = { .map = fan_map };
    own.base.pack = fan_pack;
    own.base.answer.impl = loops->fan->impl;
    own.base.answer.scratch_bytes = (size_t)fari_fan_scratch(conv) * sizeof(float);
    own.base.answer.pack_bytes[1] = (size_t)fari_fan_weight_elems(conv) * sizeof(float);
    own.base.answer.pack_id[1] = UINT64_C(0x66616e206478);
    return fari_own_conv_make(&own, key, loops, state_out);
}

const fari_cpu_maker fari_cpu_fan_makers[] = {
    { &fari_op_conv_dx, describe_dx, fan_make },
    { NULL, NULL, NULL },
};
