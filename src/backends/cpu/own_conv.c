#include "backends/cpu/own_conv.h"
#include "base/mem.h"
#include "base/status.h"
#include <string.h>

static bool is_image(const fari_view *view)
{
    return view->dtype == FAR_F32 && view->order == FARI_CHANNELS_LAST && view->ndim == 4;
}

bool fari_own_conv_fits(const fari_view *x, const fari_view *y, const fari_view *weight, const fari_view *bias)
{
    return is_image(x) && is_image(y) && weight->dtype == FAR_F32 && weight->order == FARI_ROW_MAJOR &&
           (bias == NULL || bias->dtype == FAR_F32);
}

/* Forward and dx alike: what is read, the weight, the bias. */
static far_status map_run(const fari_call *call)
{
    const fari_own_conv *own = call->prepared;
    const fari_conv_operands operands = { .in = call->in[0].data,
                                          .weight = call->in[1].data,
                                          .bias = call->in_count > 2 ? call->in[2].data : NULL,
                                          .out = call->out[0].data,
                                          .scratch = call->scratch };
    own->map(own, &operands);
    return FAR_OK;
}

static far_status dw_run(const fari_call *call)
{
    const fari_own_conv *own = call->prepared;
    own->dw(own, call->in[0].data, call->in[1].data, call->accumulate, call->out[0].data, call->scratch);
    return FAR_OK;
}

static far_status unpack_tiles(const fari_cpu_state *base, const void *partial, void *plain)
{
    fari_tiles_to_plain(&((const fari_own_conv *)base)->tiles, partial, plain);
    return FAR_OK;
}

static void own_destroy(fari_cpu_state *base)
{
    fari_free(base);
}

far_status fari_own_conv_make(const fari_own_conv *like, const void *key, const fari_cpu_loops *loops,
                              fari_cpu_state **state_out)
{
    fari_own_conv *own = fari_alloc(sizeof *own);
    if (own == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a convolution");
    *own = *like;
    memcpy(&own->key, key, sizeof own->key);
    own->loops = loops;
    own->base.answer.run = own->key.pass == FARI_OWN_DW ? dw_run : map_run;
    own->base.answer.state = own;
    if (own->tiles.edge > 0) own->base.unpack = unpack_tiles;
    own->base.destroy = own_destroy;
    *state_out = &own->base;
    return FAR_OK;
}
