/* Convolutions with kernels of one pixel between many channels by our own kernels (isa/conv_pixel.h), where oneDNN was measured to be slower. */
#include "backends/cpu/isa/conv_pixel.h"
#include "backends/cpu/own_conv.h"
#include "backends/cpu/thin_piece.h"
#include "base/status.h"
#include <string.h>

#define IN_MIN 32
#define NARROW 128 /* channels of the output */
#define SMALL 64   /* pixels of an image */

/* ---- what is asked ---- */

static bool is_pixel(const fari_conv_attr *attr)
{
    if (attr->spatial_ndim != 2 || attr->groups != 1 || attr->stride[0] != attr->stride[1]) return false;
    for (int d = 0; d < 2; d++)
        if (attr->kernel[d] != 1 || attr->pad_lo[d] != 0 || attr->pad_hi[d] != 0) return false;
    return true;
}

/* Where ours are faster than oneDNN 2.6.3 (docs/performance.md): from many channels to few, and gradients of the input of small images and of
   strides. */
static bool is_chosen(const fari_conv_attr *attr, bool is_dx, int64_t in_channels, int64_t out_channels)
{
    if (in_channels >= 2 * out_channels && out_channels <= NARROW) return true;
    return is_dx && (attr->stride[0] > 1 || attr->in_extent[0] * attr->in_extent[1] <= SMALL);
}

static bool is_ours(const fari_call *call, fari_isa isa, bool is_dx, int64_t in_channels, int64_t out_channels)
{
    if (isa != FARI_ISA_AVX512 || in_channels < IN_MIN || out_channels % FARI_PIXEL_OUT != 0) return false;
    if (!is_pixel(call->attr) || !is_chosen(call->attr, is_dx, in_channels, out_channels)) return false;
    return fari_own_conv_fits(&call->in[0], &call->out[0], &call->in[1], call->in_count > 2 ? &call->in[2] : NULL);
}

static bool describe_forward(const fari_call *call, fari_isa isa, void *key_out)
{
    const fari_conv_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *y = &call->out[0];
    fari_own_key *key = key_out;
    if (!is_ours(call, isa, false, attr->in_channels, attr->out_channels)) return false;
    key->conv.pixel = (fari_pixel_conv){ .samples = y->dim[0],
                                         .in_channels = attr->in_channels,
                                         .out_channels = attr->out_channels,
                                         .rows = y->dim[2],
                                         .cols = y->dim[3],
                                         .in_rows = x->dim[2],
                                         .in_cols = x->dim[3],
                                         .in_row0 = y->row0 * attr->stride[0] - x->row0,
                                         .in_stride = attr->stride[0],
                                         .out_rows = y->dim[2],
                                         .out_cols = y->dim[3],
                                         .out_stride = 1 };
    return true;
}

static bool describe_dx(const fari_call *call, fari_isa isa, void *key_out)
{
    const fari_conv_attr *attr = call->attr;
    const fari_view *dy = &call->in[0], *dx = &call->out[0];
    fari_own_key *key = key_out;
    if (!is_ours(call, isa, true, attr->out_channels, attr->in_channels)) return false;
    int64_t lo = 0, hi = dy->dim[2]; /* rows of dy that rows of dx are read by */
    while (lo < hi && (dy->row0 + lo) * attr->stride[0] < dx->row0) lo++;
    while (lo < hi && (dy->row0 + hi - 1) * attr->stride[0] >= dx->row0 + dx->dim[2]) hi--;
    key->pass = FARI_OWN_DX;
    key->conv.pixel = (fari_pixel_conv){ .samples = dx->dim[0],
                                         .in_channels = attr->out_channels,
                                         .out_channels = attr->in_channels,
                                         .rows = hi - lo,
                                         .cols = dy->dim[3],
                                         .in_rows = dy->dim[2],
                                         .in_cols = dy->dim[3],
                                         .in_row0 = lo,
                                         .in_stride = 1,
                                         .out_rows = dx->dim[2],
                                         .out_cols = dx->dim[3],
                                         .out_row0 = (dy->row0 + lo) * attr->stride[0] - dx->row0,
                                         .out_stride = attr->stride[0] };
    return true;
}

/* ---- making and running ---- */

#define SQUARE 16 /* a cache line of floats, both ways */

/* Plain is [K, C]; of the packed [out / 32][in][32] channels out are K forward and C for dx. In squares, as rows of a power of two fall into few
   sets of a cache. */
static far_status pixel_pack(const fari_cpu_state *base, int32_t input_idx, const void *plain, void *packed)
{
    const fari_own_key *key = &((const fari_own_conv *)base)->key;
    const int64_t in = key->conv.pixel.in_channels, out = key->conv.pixel.out_channels;
    const float *from = plain;
    float *to = packed;
    FAR_ASSERT(input_idx == 1);
    if (key->pass == FARI_OWN_DX) { /* plain is [in, out] */
        for (int64_t o = 0; o < out; o += FARI_PIXEL_OUT)
            for (int64_t i = 0; i < in; i++, to += FARI_PIXEL_OUT)
                memcpy(to, from + i * out + o, FARI_PIXEL_OUT * sizeof *to);
        return FAR_OK;
    }
    for (int64_t o = 0; o < out; o += SQUARE)
        for (int64_t i0 = 0; i0 < in; i0 += SQUARE) {
            const int64_t count = i0 + SQUARE < in ? SQUARE : in - i0;
            float square[SQUARE][SQUARE];
            for (int64_t k = 0; k < SQUARE; k++)
                for (int64_t i = 0; i < count; i++) square[i][k] = from[(o + k) * in + i0 + i];
            for (int64_t i = 0; i < count; i++)
                memcpy(to + (o / FARI_PIXEL_OUT * in + i0 + i) * FARI_PIXEL_OUT + o % FARI_PIXEL_OUT, square[i],
                       sizeof square[i]);
        }
    return FAR_OK;
}

static void pixel_map(const fari_own_conv *own, const fari_conv_operands *operands)
{
    own->loops->pixel->run(&own->key.conv.pixel, operands);
}

static far_status pixel_make(const void *key, const fari_cpu_loops *loops, fari_cpu_state **state_out)
{
    static const uint64_t pack_ids[] = { UINT64_C(0x706978656c666f72), UINT64_C(0x706978656c206478) };
    const fari_own_key *of = key;
    fari_own_conv own = { .map = pixel_map };
    own.base.pack = pixel_pack;
    own.base.answer.impl = loops->pixel->impl;
    own.base.answer.scratch_bytes = (size_t)fari_pixel_scratch(&of->conv.pixel) * sizeof(float);
    own.base.answer.pack_bytes[1] = (size_t)fari_pixel_weight_elems(&of->conv.pixel) * sizeof(float);
    own.base.answer.pack_id[1] = pack_ids[of->pass];
    return fari_own_conv_make(&own, key, loops, state_out);
}

const fari_cpu_maker fari_cpu_pixel_makers[] = {
    { &fari_op_conv, describe_forward, pixel_make },
    { &fari_op_conv_dx, describe_dx, pixel_make },
    { NULL, NULL, NULL },
};
