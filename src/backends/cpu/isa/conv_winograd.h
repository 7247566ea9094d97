/* Convolutions of 3 x 3 with stride 1 between many channels, channels-last, forward and for the gradient of the input, by Winograd's F(2 x 2, 3 x 3):
 * our own kernels, bit-equal between instruction sets.
 *
 * A tile of 2 x 2 pixels of the output is read from 4 x 4 of the input. Both the tile of the input d and the kernel g are turned into 4 x 4 others,
 * of which channels are added up place by place: 16 products a tile instead of 36. (A. Lavin and S. Gray, "Fast Algorithms for
 * Convolutional Neural Networks", 2015.)
 *
 *     y = At [ (G g Gt) * (Bt d B) ] A,   all factors of Bt and At being 0, 1 and -1, those of G 0, 1 and 1/2
 *
 * Errors are no larger than of the plain sum: a chain of additions is a ninth as long. A weight is packed, turned already, as
 *     [out_channels / 32][16 places][in_channels][32 of out_channels]
 *
 * Of the weight's gradient likewise:
 *
 *     dg = Gt [ (A dy At) * (Bt d B) ] G
 *
 * Order of a sum: of each place one chain over channels of the input; then rows, then columns of the tile, then the bias. Tiles begin at the
 * first row and column of the output. Of a gradient: of each place one chain over the tiles of a block, turned; then these blocks. */
#ifndef FARI_CPU_ISA_CONV_WINOGRAD_H
#define FARI_CPU_ISA_CONV_WINOGRAD_H
#include "backends/cpu/isa/conv_operands.h"
#include "backends/cpu/isa/conv_thin.h"
#include <stdbool.h>

#define FARI_WINOGRAD_OUT 32    /* out_channels is a multiple of it */
#define FARI_WINOGRAD_IN 16     /* in_channels likewise */
#define FARI_WINOGRAD_PLACES 16 /* of a tile */

static inline int64_t fari_winograd_tiles(const fari_thin_conv *conv)
{
    return conv->samples * ((conv->out_rows + 1) / 2) * ((conv->out_cols + 1) / 2);
}

static inline int64_t fari_winograd_weight_elems(const fari_thin_conv *conv)
{
    return FARI_WINOGRAD_PLACES * conv->in_channels * conv->out_channels;
}

/* Floats from a tile to the next: equal channels of all of them do not fall into one set of a cache. */
static inline int64_t fari_winograd_step(const fari_thin_conv *conv)
{
    return conv->in_channels + 16;
}

/* Of a weight gradient: channels of the input that are worked on together, at most. */
#define FARI_WINOGRAD_DW_IN 128

static inline int64_t fari_winograd_dw_in(const fari_thin_conv *conv)
{
    return conv->in_channels < FARI_WINOGRAD_DW_IN ? conv->in_channels : FARI_WINOGRAD_DW_IN;
}

/* Tiles that are worked on together; of a weight gradient they are one chain of a sum. */
int64_t fari_winograd_block(const fari_thin_conv *conv);
int64_t fari_winograd_dw_block(const fari_thin_conv *conv);

/* Floats of scratch, the same for all instruction sets. */
int64_t fari_winograd_scratch(const fari_thin_conv *conv);
int64_t fari_winograd_dw_scratch(const fari_thin_conv *conv);

/* The kernels of one instruction set. */
typedef struct fari_winograd_kernels {
    const char *impl; /* "farandole winograd:avx512" */
    void (*run)(const fari_thin_conv *conv, const fari_conv_operands *operands);
    /* Packs the plain weight [out, in, 3, 3]; or, is_turned, [in, out, 3, 3] with its rows and columns the other way round. */
    void (*pack)(int64_t in_channels, int64_t out_channels, bool is_turned, const float *plain, float *packed);
    /* partial = the gradient of the weight of `conv`, dy being its output's; or += it. In tiles, as fari_wide_kernels' (conv_wide.h). */
    void (*dw)(const fari_thin_conv *conv, const float *in, const float *dy, bool is_added, float *partial,
               float *scratch);
} fari_winograd_kernels;

#define FARI_WINOGRAD_DECLARE(suffix)                                                   \
    void fari_winograd_run##suffix(const fari_thin_conv *, const fari_conv_operands *); \
    void fari_winograd_pack##suffix(int64_t, int64_t, bool, const float *, float *);    \
    void fari_winograd_dw##suffix(const fari_thin_conv *, const float *, const float *, bool, float *, float *);
FARI_WINOGRAD_DECLARE(_base)
FARI_WINOGRAD_DECLARE(_avx2)
FARI_WINOGRAD_DECLARE(_avx512)
#endif
