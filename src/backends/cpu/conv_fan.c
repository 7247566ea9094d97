/* Gradients of the input of convolutions from few channels by our own kernels (isa/conv_fan.h), where they were measured to be faster than
   oneDNN. */
#include "backends/cpu/isa/conv_fan.h"
#include "backends/cpu/state.h"
#include "backends/cpu/thin_piece.h"
#include "base/mem.h"
#include "base/status.h"
#include <string.h>

typedef struct fan_key {
    fari_thin_conv conv; /* from dy to dx */
} fan_key;
_Static_assert(sizeof(fan_key) <= FARI_CPU_KEY_BYTES, "grow FARI_CPU_KEY_BYTES");

typedef struct fan_state {
    fari_cpu_state base;
    fan_key key;
    const fari_fan_kernels *kernels;
} fan_state;

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
    fan_key *key = key_out;
    if (!fari_thin_is_image(x) || !fari_thin_is_image(y)) return false;
    if (weight->dtype != FAR_F32 || weight->order != FARI_ROW_MAJOR) return false;
    if (call->in_count > 2 && call->in[2].dtype != FAR_F32) return false;
    if (!is_ours(attr, isa)) return false;
    key->conv = fari_thin_dx_piece(attr, x, y);
    return true;
}

/* From the plain weight [O, C, rows, cols]. Rows are turned around; columns are not, as a fan goes from dy to dx. */
static far_status fan_pack(const fari_cpu_state *base, int32_t input_idx, const void *plain, void *packed)
{
    const fari_thin_conv *conv = &((const fan_state *)base)->key.conv;
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

static far_status dx_run(const fari_call *call)
{
    const fan_state *state = call->prepared;
    const fari_thin_operands operands = { .in = call->in[0].data,
                                          .weight = call->in[1].data,
                                          .bias = call->in_count > 2 ? call->in[2].data : NULL,
                                          .out = call->out[0].data,
                                          .scratch = call->scratch };
    state->kernels->run(&state->key.conv, &operands);
    return FAR_OK;
}

static void fan_destroy(fari_cpu_state *base)
{
    fari_free(base);
}

static far_status fan_make(const void *key, const fari_cpu_loops *loops, fari_cpu_state **state_out)
{
    fan_state *state = fari_calloc(1, sizeof *state);
    if (state == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a convolution");
    memcpy(&state->key, key, sizeof state->key);
    state->kernels = loops->fan;
    const fari_thin_conv *conv = &state->key.conv;
    fari_prepared *answer = &state->base.answer;
    answer->run = dx_run;
    answer->state = state;
    answer->impl = state->kernels->impl;
    answer->scratch_bytes = (size_t)fari_fan_scratch(conv) * sizeof(float);
    answer->pack_bytes[1] = (size_t)fari_fan_weight_elems(conv) * sizeof(float);
    answer->pack_id[1] = UINT64_C(0x66616e206478);
    state->base.pack = fan_pack;
    state->base.destroy = fan_destroy;
    *state_out = &state->base;
    return FAR_OK;
}

const fari_cpu_maker fari_cpu_fan_makers[] = {
    { &fari_op_conv_dx, describe_dx, fan_make },
    { NULL, NULL, NULL },
};
