/* What convolutions by kernels of our own (isa/conv_*.h) have in common: the key of a geometry, the state kept for it, and how a call
   becomes a call of theirs. A family of kernels adds when it is chosen, how it packs weights, and its makers. */
#ifndef FARI_CPU_OWN_CONV_H
#define FARI_CPU_OWN_CONV_H
#include "backends/cpu/state.h"
#include "backends/cpu/tiles.h"

typedef enum fari_own_pass { FARI_OWN_FORWARD, FARI_OWN_DX, FARI_OWN_DW } fari_own_pass;

typedef struct fari_own_key {
    int64_t pass;
    union {
        fari_thin_conv thin; /* FARI_OWN_DX: from dy to dx */
        fari_pixel_conv pixel;
        fari_wide_conv wide;
    } conv;
} fari_own_key;
_Static_assert(sizeof(fari_own_key) <= FARI_CPU_KEY_BYTES, "grow FARI_CPU_KEY_BYTES");

typedef struct fari_own_conv fari_own_conv;
struct fari_own_conv {
    fari_cpu_state base;
    fari_own_key key;
    const fari_cpu_loops *loops;
    fari_tiles tiles; /* of a partial weight gradient, where it lies in tiles */
    /* The kernels, forward and dx, and dw. */
    void (*map)(const fari_own_conv *own, const fari_conv_operands *operands);
    void (*dw)(const fari_own_conv *own, const float *x, const float *dy, bool is_added, float *partial,
               float *scratch);
};

/* Whether x and y are images and the weight is plain, all of f32, and so the bias (NULL: none). */
bool fari_own_conv_fits(const fari_view *x, const fari_view *y, const fari_view *weight, const fari_view *bias);

/* A state for the key (a fari_own_key): `like` with everything but key, loops, answer.run, answer.state and base.destroy. A partial in tiles
   needs no unpack. */
far_status fari_own_conv_make(const fari_own_conv *like, const void *key, const fari_cpu_loops *loops,
                              fari_cpu_state **state_out);
#endif
