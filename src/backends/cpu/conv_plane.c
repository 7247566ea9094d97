/* Convolutions from one channel by our own kernels (isa/conv_plane.h), where they were measured to be faster than oneDNN. */
#include "backends/cpu/isa/conv_plane.h"
#include "backends/cpu/state.h"
#include "backends/cpu/thin_piece.h"
#include "base/mem.h"
#include "base/status.h"
#include <string.h>

typedef struct plane_key {
    int64_t is_dw;
    fari_thin_conv conv;
} plane_key;
_Static_assert(sizeof(plane_key) <= FARI_CPU_KEY_BYTES, "grow FARI_CPU_KEY_BYTES");

typedef struct plane_state {
    fari_cpu_state base;
    plane_key key;
    const fari_plane_kernels *kernels;
} plane_state;

/* Where they are faster than oneDNN 2.6.3 (docs/performance.md), which gives a lane to a channel. For weight gradients dy has to be turned
   first, which few taps do not pay for. */
static bool is_faster(bool is_dw, int64_t kernel, int64_t out_channels, fari_isa isa)
{
    if (isa == FARI_ISA_BASE || (kernel != 3 && kernel != 5) || out_channels > FARI_PLANE_OUT_MAX) return false;
    if (!is_dw) return true;
    if (isa == FARI_ISA_AVX512) return kernel == 5 || out_channels <= 4;
    return out_channels < 8;
}

/* Asks nothing that changes from grain to grain. */
static bool is_ours(const fari_conv_attr *attr, bool is_dw, fari_isa isa)
{
    return attr->in_channels == 1 && attr->kernel[0] == attr->kernel[1] && fari_thin_is_simple(attr) &&
           fari_conv_out_extent(attr, 1) >= FARI_PLANE_COLS_MIN &&
           is_faster(is_dw, attr->kernel[0], attr->out_channels, isa);
}

static bool describe(bool is_dw, const fari_call *call, fari_isa isa, plane_key *key_out)
{
    const fari_conv_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *y = is_dw ? &call->in[1] : &call->out[0];
    const fari_view *weight = is_dw ? &call->out[0] : &call->in[1];
    if (!fari_thin_is_image(x) || !fari_thin_is_image(y) || weight->dtype != FAR_F32 || weight->order != FARI_ROW_MAJOR)
        return false;
    if (!is_dw && call->in_count > 2 && call->in[2].dtype != FAR_F32) return false;
    if (!is_ours(attr, is_dw, isa)) return false;
    key_out->is_dw = is_dw;
    key_out->conv = fari_thin_forward_piece(attr, x, y);
    return true;
}

static bool describe_forward(const fari_call *call, fari_isa isa, void *key_out)
{
    return describe(false, call, isa, key_out);
}

static bool describe_dw(const fari_call *call, fari_isa isa, void *key_out)
{
    return describe(true, call, isa, key_out);
}

static far_status forward_run(const fari_call *call)
{
    const plane_state *state = call->prepared;
    const fari_thin_operands operands = { .in = call->in[0].data,
                                          .weight = call->in[1].data,
                                          .bias = call->in_count > 2 ? call->in[2].data : NULL,
                                          .out = call->out[0].data,
                                          .scratch = call->scratch };
    state->kernels->forward(&state->key.conv, &operands);
    return FAR_OK;
}

static far_status dw_run(const fari_call *call)
{
    const plane_state *state = call->prepared;
    state->kernels->dw(&state->key.conv, call->in[0].data, call->in[1].data, call->accumulate, call->out[0].data,
                       call->scratch);
    return FAR_OK;
}

static void plane_destroy(fari_cpu_state *base)
{
    fari_free(base);
}

static far_status plane_make(const void *key, const fari_cpu_loops *loops, fari_cpu_state **state_out)
{
    plane_state *state = fari_calloc(1, sizeof *state);
    if (state == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a convolution");
    memcpy(&state->key, key, sizeof state->key);
    state->kernels = loops->plane;
    const fari_thin_conv *conv = &state->key.conv;
    const int64_t scratch = state->key.is_dw ? fari_plane_dw_scratch(conv) : fari_plane_forward_scratch(conv);
    state->base.answer = (fari_prepared){ .run = state->key.is_dw ? dw_run : forward_run,
                                          .state = state,
                                          .impl = state->kernels->impl,
                                          .scratch_bytes = (size_t)scratch * sizeof(float) };
    state->base.destroy = plane_destroy;
    *state_out = &state->base;
    return FAR_OK;
}

const fari_cpu_maker fari_cpu_plane_makers[] = {
    { &fari_op_conv, describe_forward, plane_make },
    { &fari_op_conv_dw, describe_dw, plane_make },
    { NULL, NULL, NULL },
};
