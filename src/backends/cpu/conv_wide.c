/* Weight gradients of convolutions between many channels by our own kernels (isa/conv_wide.h), where oneDNN was measured to be slower. */
#include "backends/cpu/isa/conv_wide.h"
#include "backends/cpu/own_conv.h"
#include "backends/cpu/thin_piece.h"
#include "base/status.h"
#include <string.h>

#define CHAIN_PIXELS 256 /* with 32 channels of dy they fill two thirds of a first-level cache of 48 KiB */
#define COPIED_BYTES (INT64_C(768) << 10) /* a part of a second-level cache, beside the tiles of the partial */
#define PANEL_SPARE 2 /* pixels between panels: equal pixels of all of them do not fall into one set of a cache */

/* ---- blocks ---- */

/* Pixels of x that a block of so many rows of the output copies. */
static int64_t in_pixels(const fari_wide_conv *conv, int64_t rows, bool is_gathered)
{
    if (is_gathered) return rows * conv->out_cols;
    const int64_t in_rows = (rows - 1) * conv->stride_rows + conv->kernel_rows;
    return (in_rows < conv->in_rows ? in_rows : conv->in_rows) * conv->in_cols;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

fari_wide_blocks fari_wide_blocks_of(const fari_wide_conv *conv)
{
    const int64_t pieces = (conv->out_cols + CHAIN_PIXELS - 1) / CHAIN_PIXELS;
    fari_wide_blocks b = { .chain_cols = (conv->out_cols + pieces - 1) / pieces,
                           .samples = 1,
                           .is_gathered = conv->kernel_rows == 1 && conv->kernel_cols == 1 };
    b.chain_rows = conv->out_cols >= CHAIN_PIXELS ? 1 : least(CHAIN_PIXELS / conv->out_cols, conv->out_rows);
    b.rows = b.chain_rows;
    for (bool is_more = true; is_more && b.rows < conv->out_rows;) {
        const int64_t rows = b.rows + b.chain_rows;
        const int64_t floats =
            in_pixels(conv, rows, b.is_gathered) * conv->in_channels + rows * conv->out_cols * conv->out_channels;
        is_more = floats * (int64_t)sizeof(float) <= COPIED_BYTES;
        if (is_more) b.rows = least(rows, conv->out_rows);
    }
    const int64_t in = in_pixels(conv, b.rows, b.is_gathered), out = b.rows * conv->out_cols;
    const int64_t bytes = (in * conv->in_channels + out * conv->out_channels) * (int64_t)sizeof(float);
    if (b.rows == conv->out_rows && bytes < COPIED_BYTES) b.samples = least(COPIED_BYTES / bytes, conv->samples);
    b.panel_in = b.samples * in + PANEL_SPARE;
    b.panel_out = b.samples * out + PANEL_SPARE;
    return b;
}

int64_t fari_wide_dw_scratch(const fari_wide_conv *conv)
{
    const fari_wide_blocks b = fari_wide_blocks_of(conv);
    return b.panel_in * conv->in_channels + b.panel_out * conv->out_channels;
}

/* ---- what is asked ---- */

/* Asks nothing that changes from grain to grain: partial weight gradients of one convolution all have one layout. */
static bool is_ours(const fari_conv_attr *attr, fari_isa isa)
{
    if (isa != FARI_ISA_AVX512 || attr->spatial_ndim != 2 || attr->groups != 1) return false;
    if (attr->in_channels % FARI_WIDE_EDGE != 0 || attr->out_channels % FARI_WIDE_OUT != 0) return false;
    if (attr->in_channels < FARI_WIDE_OUT) return false;
    const bool is_pixel = attr->kernel[0] == 1 && attr->kernel[1] == 1;
    for (int d = 0; d < 2; d++) {
        if (attr->dilation[d] != 1 || attr->kernel[d] > 7) return false;
        if (is_pixel && (attr->pad_lo[d] != 0 || attr->pad_hi[d] != 0)) return false;
    }
    return true;
}

static bool describe_dw(const fari_call *call, fari_isa isa, void *key_out)
{
    const fari_conv_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *y = &call->in[1], *weight = &call->out[0];
    fari_own_key *key = key_out;
    if (!fari_own_conv_fits(x, y, weight, NULL) || !is_ours(attr, isa)) return false;
    key->pass = FARI_OWN_DW;
    key->conv.wide = (fari_wide_conv){ .samples = y->dim[0],
                                       .in_channels = attr->in_channels,
                                       .out_channels = attr->out_channels,
                                       .in_rows = x->dim[2],
                                       .in_cols = x->dim[3],
                                       .out_rows = y->dim[2],
                                       .out_cols = y->dim[3],
                                       .kernel_rows = attr->kernel[0],
                                       .kernel_cols = attr->kernel[1],
                                       .stride_rows = attr->stride[0],
                                       .stride_cols = attr->stride[1],
                                       .pad_rows = attr->pad_lo[0] + x->row0 - y->row0 * attr->stride[0],
                                       .pad_cols = attr->pad_lo[1] };
    return true;
}

/* ---- making and running ---- */

static void wide_dw(const fari_own_conv *own, const float *x, const float *dy, bool is_added, float *partial,
                    float *scratch)
{
    own->loops->wide->dw(&own->key.conv.wide, x, dy, is_added, partial, scratch);
}

static far_status wide_make(const void *key, const fari_cpu_loops *loops, fari_cpu_state **state_out)
{
    const fari_wide_conv *conv = &((const fari_own_key *)key)->conv.wide;
    fari_own_conv own = { .dw = wide_dw };
    own.tiles =
        (fari_tiles){ FARI_WIDE_EDGE, 1, conv->out_channels, conv->in_channels, conv->kernel_rows * conv->kernel_cols };
    own.base.answer.impl = loops->wide->impl;
    own.base.answer.scratch_bytes = (size_t)fari_wide_dw_scratch(conv) * sizeof(float);
    own.base.answer.partial_bytes = (size_t)fari_wide_weight_elems(conv) * sizeof(float);
    return fari_own_conv_make(&own, key, loops, state_out);
}

const fari_cpu_maker fari_cpu_wide_makers[] = {
    { &fari_op_conv_dw, describe_dw, wide_make },
    { NULL, NULL, NULL },
};
