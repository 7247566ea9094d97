/* Convolutions from one channel by our own kernels (isa/conv_plane.h), where they were measured to be faster than oneDNN. */
#include "backends/cpu/isa/conv_plane.h"
#include "backends/cpu/own_conv.h"
#include "backends/cpu/thin_piece.h"
#include "base/status.h"
#include <string.h>

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

static bool describe(bool is_dw, const fari_call *call, fari_isa isa, fari_own_key *key_out)
{
    const fari_conv_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *y = is_dw ? &call->in[1] : &call->out[0];
    const fari_view *weight = is_dw ? &call->out[0] : &call->in[1];
    const fari_view *bias = !is_dw && call->in_count > 2 ? &call->in[2] : NULL;
    if (!fari_own_conv_fits(x, y, weight, bias) || !is_ours(attr, is_dw, isa)) return false;
    key_out->pass = is_dw ? FARI_OWN_DW : FARI_OWN_FORWARD;
    key_out->conv.thin = fari_thin_forward_piece(attr, x, y);
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

static void plane_map(const fari_own_conv *own, const fari_conv_operands *operands)
{
    own->loops->plane->forward(&own->key.conv.thin, operands);
}

static void plane_dw(const fari_own_conv *own, const float *x, const float *dy, bool is_added, float *partial,
                     float *scratch)
{
    own->loops->plane->dw(&own->key.conv.thin, x, dy, is_added, partial, scratch);
}

static far_status plane_make(const void *key, const fari_cpu_loops *loops, fari_cpu_state **state_out)
{
    const fari_own_key *of = key;
    const fari_thin_conv *conv = &of->conv.thin;
    const int64_t scratch = of->pass == FARI_OWN_DW ? fari_plane_dw_scratch(conv) : fari_plane_forward_scratch(conv);
    fari_own_conv own = { .map = plane_map, .dw = plane_dw };
    own.base.answer.impl = loops->plane->impl;
    own.base.answer.scratch_bytes = (size_t)scratch * sizeof(float);
    return fari_own_conv_make(&own, key, loops, state_out);
}

const fari_cpu_maker fari_cpu_plane_makers[] = {
    { &fari_op_conv, describe_forward, plane_make },
    { &fari_op_conv_dw, describe_dw, plane_make },
    { NULL, NULL, NULL },
};
