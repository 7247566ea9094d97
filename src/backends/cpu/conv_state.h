/* Convolutions by oneDNN, between the files that share them: conv_choose.c asks oneDNN, conv_dnnl.c makes, conv_run.c runs. */
#ifndef FARI_CPU_CONV_STATE_H
#define FARI_CPU_CONV_STATE_H
#include "backends/cpu/conv_piece.h"
#include "backends/cpu/dnnl_wrap.h"
#include "backends/cpu/state.h"
#include "backends/cpu/tiles.h"

typedef enum conv_kind { CONV_FORWARD, CONV_DX, CONV_DW } conv_kind;

typedef struct conv_key {
    int64_t kind, has_bias;
    fari_conv_piece piece;
    fari_conv_piece whole; /* CONV_DW: up to CANONICAL_ROWS rows of one sample */
} conv_key;
_Static_assert(sizeof(conv_key) <= FARI_CPU_KEY_BYTES, "grow FARI_CPU_KEY_BYTES");

typedef struct conv_state {
    fari_cpu_state base;
    conv_key key;
    const fari_cpu_loops *loops;
    fari_dnnl_primitive primitive;
    dnnl_memory_desc_t weight_plain, weight; /* row-major; as packed, and as partials are */
    fari_tiles tiles;                        /* CONV_DW: how `weight` lies; edge 0: in some other way */
    fari_dnnl_primitive weight_reorder;      /* into `weight`; CONV_DW: out of it. Empty: the two are equal */
    fari_dnnl_primitive x_reorder,
        y_reorder;                  /* between channels-last and the primitive's layouts; empty: they are equal */
    fari_dnnl_primitive dw_reorder; /* the primitive's weight gradient into `weight`; empty: they are equal */
    size_t x_at, y_at, dw_at, sum_at, own_at; /* in the scratch; own: the primitive's */
    char impl[96];
} conv_state;

/* ---- conv_choose.c ---- */

typedef struct conv_mds {
    dnnl_memory_desc_t x, weight, bias, y;
} conv_mds;

dnnl_format_tag_t fari_conv_tag(int64_t spatial_ndim); /* channels-last */
/* [O, C, k..], with groups [G, O/G, C/G, k..]: the same elements in the same order when plain. */
far_status fari_conv_weight_md(const fari_conv_piece *piece, bool is_any, dnnl_memory_desc_t *md_out);
/* One run's operands: images in the given layout, weights in any. */
far_status fari_conv_mds_of(const fari_conv_piece *piece, dnnl_format_tag_t image_tag, conv_mds *mds_out);
/* As fari_dnnl_choose; implementations known to be wrong for the piece are passed over. `is_any`: oneDNN's reference will do. */
far_status fari_conv_choose(conv_kind kind, bool has_bias, bool is_any, const fari_conv_piece *piece,
                            const conv_mds *mds, fari_dnnl_primitive *primitive_out);

/* ---- conv_run.c ---- */

far_status fari_conv_forward_run(const fari_call *call);
far_status fari_conv_dx_run(const fari_call *call);
far_status fari_conv_dw_run(const fari_call *call);
far_status fari_conv_pack(const fari_cpu_state *base, int32_t input_idx, const void *plain, void *packed);
far_status fari_conv_unpack(const fari_cpu_state *base, const void *partial, void *plain);

/* Samples that one run of the primitive takes. */
static inline int64_t fari_conv_samples_a_run(const fari_conv_piece *piece)
{
    return fari_conv_piece_by_sample(piece) ? 1 : piece->samples;
}
#endif
