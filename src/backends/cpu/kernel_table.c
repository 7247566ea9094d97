#include "backends/cpu/kernel_table.h"
#include "backends/cpu/isa/kernels.h"
#include "backends/cpu/isa/kernels_elementwise.h"
#include "backends/cpu/isa/kernels_norm.h"
#include "backends/cpu/isa/kernels_optim.h"
#include "graph/graph.h"
#include "ops/activation.h"
#include "ops/concat.h"
#include "ops/conv.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "ops/layer_norm.h"
#include "ops/loss_ce.h"
#include "ops/loss_dice.h"
#include "ops/loss_pointwise.h"
#include "ops/metric.h"
#include "ops/norm.h"
#include "ops/optim.h"
#include "ops/pad.h"
#include "ops/pool.h"
#include "ops/reduce.h"
#include "ops/reshape.h"
#include "ops/slice.h"
#include "ops/softmax.h"
#include "ops/transpose.h"
#include "ops/upsample.h"

/* ---- what kernels support; everything else is the reference's ---- */

static bool is_f32(const fari_call *call)
{
    return call->in[0].dtype == FAR_F32;
}

static bool is_channels_last(const fari_view *view)
{
    return view->ndim < 3 || view->order == FARI_CHANNELS_LAST;
}

/* Images channels-last; [N, C] and the like are both orders at once. */
static bool is_f32_image(const fari_call *call)
{
    return is_f32(call) && is_channels_last(&call->in[0]) && is_channels_last(&call->out[0]);
}

/* What comes out is no image. */
static bool is_from_f32_image(const fari_call *call)
{
    return is_f32(call) && is_channels_last(&call->in[0]);
}

/* Per-channel sums in double go in. */
static bool makes_f32_image(const fari_call *call)
{
    return call->out[0].dtype == FAR_F32 && is_channels_last(&call->out[0]);
}

/* Either order, but the same in all operands of the first one's shape. */
static bool is_f32_alike(const fari_call *call)
{
    const fari_view *first = &call->in[0];
    for (int32_t i = 1; i < call->in_count; i++)
        if (call->in[i].ndim == first->ndim && first->ndim >= 3 && call->in[i].order != first->order) return false;
    return is_f32(call);
}

static bool is_real(const fari_call *call)
{
    const far_dtype from = call->in[0].dtype, to = call->out[0].dtype;
    return (from == FAR_F32 || from == FAR_F64) && (to == FAR_F32 || to == FAR_F64);
}

/* The kernel itself hands what it cannot do to the op's reference. */
static bool any_call(const fari_call *call)
{
    (void)call;
    return true;
}

/* ---- the table ---- */

#if defined(FARI_ISA_X86)
#define KERNELS(name)                           \
    {                                           \
        name##_base, name##_avx2, name##_avx512 \
    }
#else
#define KERNELS(name)                         \
    {                                         \
        name##_base, name##_base, name##_base \
    }
#endif
#define IMPLS                                                  \
    {                                                          \
        "farandole:base", "farandole:avx2", "farandole:avx512" \
    }
#define ROW(op, name, supports)                                    \
    {                                                              \
        &fari_op_##op, IMPLS, KERNELS(fari_##name), supports, NULL \
    }
#define ROW_SCRATCH(op, name, supports, scratch)                      \
    {                                                                 \
        &fari_op_##op, IMPLS, KERNELS(fari_##name), supports, scratch \
    }

static const fari_kernel_row rows[] = {
    ROW(max_pool, max_pool, is_f32_image),
    ROW(max_pool_dx, max_pool_dx, is_f32_image),
    ROW(avg_pool, avg_pool, is_f32_image),
    ROW(avg_pool_dx, avg_pool_dx, is_f32_image),
    ROW(global_sum, global_sum, is_from_f32_image),
    ROW(global_sum_dx, global_sum_dx, makes_f32_image),
    ROW(scale_cast, scale_cast, is_real),
    ROW_SCRATCH(upsample, upsample, is_f32_image, fari_upsample_scratch),
    ROW_SCRATCH(upsample_dx, upsample_dx, is_f32_image, fari_upsample_dx_scratch),
    ROW(channel_sum, channel_sum, is_from_f32_image),

    ROW(norm_stats, norm_stats, is_from_f32_image),
    ROW(norm_apply, norm_apply, is_f32_image),
    ROW(norm_dstats, norm_dstats, is_from_f32_image),
    ROW(norm_dx, norm_dx, is_f32_image),
    ROW(layer_norm, layer_norm, is_f32),
    ROW(layer_norm_dx, layer_norm_dx, is_f32),
    ROW(layer_norm_dsums, layer_norm_dsums, is_f32),
    ROW(activation, activation, is_f32_alike),
    ROW(activation_dx, activation_dx, is_f32_alike),
    ROW(dropout, dropout, is_f32),
    ROW(softmax_channels, softmax, is_f32_image),
    ROW(softmax_channels_dx, softmax_dx, is_f32_image),
    ROW(softmax_last, softmax, is_f32),
    ROW(softmax_last_dx, softmax_dx, is_f32),
    ROW(ce_sums, ce_sums, is_from_f32_image),
    ROW(ce_dx, ce_dx, is_f32_image),
    ROW(dice_sums, dice_sums, is_from_f32_image),
    ROW(dice_dx, dice_dx, is_f32_image),
    ROW(pointwise_sum, pointwise_sum, is_f32_alike),
    ROW(pointwise_dx, pointwise_dx, is_f32_alike),
    ROW(topk, topk, is_from_f32_image),
    ROW(confusion, confusion, is_from_f32_image),

    ROW(binary, binary, any_call),
    ROW(binary_select, binary_select, any_call),
    ROW(unary, unary, any_call),
    ROW(unary_dx, unary_dx, any_call),
    ROW(add_n, add_n, any_call),
    ROW(reorder, reorder, any_call),
    ROW(concat, concat, any_call),
    ROW(slice, slice, any_call),
    ROW(pad, pad, any_call),
    ROW(transpose, transpose, any_call),
    ROW(reshape, reshape, any_call),
    ROW(column_sum, column_sum, any_call),
    ROW(reduce_all, reduce_all, any_call),

    ROW(sgd, sgd, any_call),
    ROW(adam, adam, any_call),
    ROW(rmsprop, rmsprop, any_call),
    ROW(lars, lars, any_call),
    ROW(lamb_moments, lamb_moments, any_call),
    ROW(lamb_norms, lamb_norms, any_call),
    ROW(lamb, lamb, any_call),
    ROW(ema, ema, any_call),
    ROW(sumsq, sumsq, any_call),
    ROW(norms, norms, any_call),
};

const fari_kernel_row *fari_kernel_find(const fari_op *op)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].op == op) return &rows[i];
    return NULL;
}
