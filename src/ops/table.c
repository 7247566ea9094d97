/* To add an op: its file in src/ops, and a row here. */
#include "ops/table.h"
#include "base/status.h"
#include "graph/graph.h"
#include "ops/activation.h"
#include "ops/concat.h"
#include "ops/conv.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/loss_ce.h"
#include "ops/loss_dice.h"
#include "ops/loss_pointwise.h"
#include "ops/matmul.h"
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

static const fari_op_row rows[] = {
    /* layers */
    { &fari_op_conv, FARI_OP_LAYER, "ops/test_conv.c" },
    { &fari_op_linear, FARI_OP_LAYER, "ops/test_linear.c" },
    { &fari_op_matmul, FARI_OP_LAYER, "ops/test_matmul.c" },
    { &fari_op_max_pool, FARI_OP_LAYER, "ops/test_pool.c" },
    { &fari_op_avg_pool, FARI_OP_LAYER, "ops/test_pool.c" },
    { &fari_op_global_sum, FARI_OP_LAYER, "ops/test_pool.c" },
    { &fari_op_global_max, FARI_OP_LAYER, "ops/test_pool.c" },
    { &fari_op_scale_cast, FARI_OP_LAYER, "ops/test_pool.c" },
    { &fari_op_upsample, FARI_OP_LAYER, "ops/test_upsample.c" },
    { &fari_op_norm_stats, FARI_OP_LAYER, "ops/test_norm.c" },
    { &fari_op_norm_finalize, FARI_OP_LAYER, "ops/test_norm.c" },
    { &fari_op_norm_finalize_each, FARI_OP_LAYER, "ops/test_norm.c" },
    { &fari_op_norm_running, FARI_OP_LAYER, "ops/test_norm.c" },
    { &fari_op_norm_fixed, FARI_OP_LAYER, "ops/test_norm.c" },
    { &fari_op_norm_apply, FARI_OP_LAYER, "ops/test_norm.c" },
    { &fari_op_layer_norm, FARI_OP_LAYER, "ops/test_layer_norm.c" },
    { &fari_op_activation, FARI_OP_LAYER, "ops/test_activation.c" },
    { &fari_op_softmax_channels, FARI_OP_LAYER, "ops/test_softmax.c" },
    { &fari_op_softmax_last, FARI_OP_LAYER, "ops/test_softmax.c" },
    { &fari_op_dropout, FARI_OP_LAYER, "ops/test_dropout.c" },
    { &fari_op_binary, FARI_OP_LAYER, "ops/test_elementwise.c" },
    { &fari_op_unary, FARI_OP_LAYER, "ops/test_elementwise.c" },
    { &fari_op_reduce, FARI_OP_LAYER, "ops/test_reduce.c" },
    { &fari_op_reduce_all, FARI_OP_LAYER, "ops/test_reduce.c" },
    { &fari_op_concat, FARI_OP_LAYER, "ops/test_shape.c" },
    { &fari_op_slice, FARI_OP_LAYER, "ops/test_shape.c" },
    { &fari_op_pad, FARI_OP_LAYER, "ops/test_shape.c" },
    { &fari_op_reshape, FARI_OP_LAYER, "ops/test_shape.c" },
    { &fari_op_transpose, FARI_OP_LAYER, "ops/test_shape.c" },
    /* losses and metrics */
    { &fari_op_ce_sums, FARI_OP_LOSS, "ops/test_loss.c" },
    { &fari_op_ce_loss, FARI_OP_LOSS, "ops/test_loss.c" },
    { &fari_op_dice_sums, FARI_OP_LOSS, "ops/test_loss.c" },
    { &fari_op_dice_loss, FARI_OP_LOSS, "ops/test_loss.c" },
    { &fari_op_pointwise_sum, FARI_OP_LOSS, "ops/test_loss.c" },
    { &fari_op_loss_scale, FARI_OP_LOSS, "ops/test_loss.c" },
    { &fari_op_topk, FARI_OP_METRIC, "ops/test_metric.c" },
    { &fari_op_confusion, FARI_OP_METRIC, "ops/test_metric.c" },
    /* gradients */
    { &fari_op_conv_dx, FARI_OP_GRADIENT, "ops/test_conv.c" },
    { &fari_op_conv_dw, FARI_OP_GRADIENT, "ops/test_conv.c" },
    { &fari_op_channel_sum, FARI_OP_GRADIENT, "ops/test_conv.c" },
    { &fari_op_linear_dx, FARI_OP_GRADIENT, "ops/test_linear.c" },
    { &fari_op_linear_dw, FARI_OP_GRADIENT, "ops/test_linear.c" },
    { &fari_op_max_pool_dx, FARI_OP_GRADIENT, "ops/test_pool.c" },
    { &fari_op_avg_pool_dx, FARI_OP_GRADIENT, "ops/test_pool.c" },
    { &fari_op_global_sum_dx, FARI_OP_GRADIENT, "ops/test_pool.c" },
    { &fari_op_global_max_dx, FARI_OP_GRADIENT, "ops/test_pool.c" },
    { &fari_op_upsample_dx, FARI_OP_GRADIENT, "ops/test_upsample.c" },
    { &fari_op_norm_dstats, FARI_OP_GRADIENT, "ops/test_norm.c" },
    { &fari_op_norm_dx, FARI_OP_GRADIENT, "ops/test_norm.c" },
    { &fari_op_norm_dparam_sum, FARI_OP_GRADIENT, "ops/test_norm.c" },
    { &fari_op_norm_dparam, FARI_OP_GRADIENT, "ops/test_norm.c" },
    { &fari_op_norm_dx_sum, FARI_OP_GRADIENT, "ops/test_norm.c" },
    { &fari_op_layer_norm_dx, FARI_OP_GRADIENT, "ops/test_layer_norm.c" },
    { &fari_op_layer_norm_dsums, FARI_OP_GRADIENT, "ops/test_layer_norm.c" },
    { &fari_op_activation_dx, FARI_OP_GRADIENT, "ops/test_activation.c" },
    { &fari_op_softmax_channels_dx, FARI_OP_GRADIENT, "ops/test_softmax.c" },
    { &fari_op_softmax_last_dx, FARI_OP_GRADIENT, "ops/test_softmax.c" },
    { &fari_op_binary_select, FARI_OP_GRADIENT, "ops/test_elementwise.c" },
    { &fari_op_unary_dx, FARI_OP_GRADIENT, "ops/test_elementwise.c" },
    { &fari_op_reduce_max_dx, FARI_OP_GRADIENT, "ops/test_reduce.c" },
    { &fari_op_spread, FARI_OP_GRADIENT, "ops/test_reduce.c" },
    { &fari_op_column_sum, FARI_OP_GRADIENT, "ops/test_linear.c" },
    { &fari_op_ce_loss_dx, FARI_OP_GRADIENT, "ops/test_loss.c" },
    { &fari_op_ce_dx, FARI_OP_GRADIENT, "ops/test_loss.c" },
    { &fari_op_dice_loss_dx, FARI_OP_GRADIENT, "ops/test_loss.c" },
    { &fari_op_dice_dx, FARI_OP_GRADIENT, "ops/test_loss.c" },
    { &fari_op_pointwise_dx, FARI_OP_GRADIENT, "ops/test_loss.c" },
    /* optimizers */
    { &fari_op_sgd, FARI_OP_OPTIMIZER, "ops/test_optim.c" },
    { &fari_op_adam, FARI_OP_OPTIMIZER, "ops/test_optim.c" },
    { &fari_op_rmsprop, FARI_OP_OPTIMIZER, "ops/test_optim.c" },
    { &fari_op_lars_rate, FARI_OP_OPTIMIZER, "ops/test_optim.c" },
    { &fari_op_lars, FARI_OP_OPTIMIZER, "ops/test_optim.c" },
    { &fari_op_lamb_moments, FARI_OP_OPTIMIZER, "ops/test_optim.c" },
    { &fari_op_lamb_norms, FARI_OP_OPTIMIZER, "ops/test_optim.c" },
    { &fari_op_lamb_ratio, FARI_OP_OPTIMIZER, "ops/test_optim.c" },
    { &fari_op_lamb, FARI_OP_OPTIMIZER, "ops/test_optim.c" },
    { &fari_op_sumsq, FARI_OP_OPTIMIZER, "ops/test_optim.c" },
    { &fari_op_norms, FARI_OP_OPTIMIZER, "ops/test_optim.c" },
    { &fari_op_clip_scale, FARI_OP_OPTIMIZER, "ops/test_optim.c" },
    { &fari_op_ema, FARI_OP_OPTIMIZER, "ops/test_optim.c" },
    /* what the graph itself adds */
    { &fari_op_reorder, FARI_OP_STRUCTURE, "ops/test_shape.c" },
    { &fari_op_add_n, FARI_OP_STRUCTURE, "ops/test_elementwise.c" },
    { &fari_op_fill, FARI_OP_STRUCTURE, "ops/test_optim.c" },
};

int32_t fari_op_count(void)
{
    return (int32_t)FAR_COUNT(rows);
}

const fari_op_row *fari_op_row_at(int32_t idx)
{
    FAR_ASSERT(idx >= 0 && idx < fari_op_count());
    return &rows[idx];
}
