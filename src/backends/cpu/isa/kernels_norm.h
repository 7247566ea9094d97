/* The fast float32 kernels of norm.c, norm_backward.c, layer_norm.c, activation.c, dropout.c, softmax.c, loss_*.c and metric.c, compiled once per
 * instruction set. Kernels' names without the fari_ before them:
 *
 *   op                                         kernel            op                      kernel
 *   norm_stats                                 norm_stats        activation              activation
 *   norm_apply                                 norm_apply        activation_dx           activation_dx
 *   norm_dstats                                norm_dstats       dropout                 dropout
 *   norm_dx                                    norm_dx           ce_sums                 ce_sums
 *   layer_norm                                 layer_norm        ce_dx                   ce_dx
 *   layer_norm_dx                              layer_norm_dx     dice_sums               dice_sums
 *   layer_norm_dsums                           layer_norm_dsums  dice_dx                 dice_dx
 *   softmax_channels, softmax_last             softmax           pointwise_sum           pointwise_sum
 *   softmax_channels_dx, softmax_last_dx       softmax_dx        pointwise_dx            pointwise_dx
 *   topk                                       topk              confusion               confusion
 *
 * All others of the families (finalize, running, fixed, dparam, losses' scalars) are a few elements: the reference serves.
 * Each takes what its op's infer lets through when data is f32 (labels i32 or u8; sums f64) and uses no scratch and no
 * `prepared`. The variants give equal bits: plain IEEE operations on a fixed pattern of lanes, no libm, no contraction. */
#ifndef FARI_CPU_ISA_KERNELS_NORM_H
#define FARI_CPU_ISA_KERNELS_NORM_H
#include "backends/cpu/isa/kernels.h" /* FARI_ISA_DECLARE */

#define FARI_ISA_KERNELS_NORM(X) \
    X(fari_norm_stats)           \
    X(fari_norm_apply)           \
    X(fari_norm_dstats)          \
    X(fari_norm_dx)              \
    X(fari_layer_norm)           \
    X(fari_layer_norm_dx)        \
    X(fari_layer_norm_dsums)     \
    X(fari_activation)           \
    X(fari_activation_dx)        \
    X(fari_dropout)              \
    X(fari_softmax)              \
    X(fari_softmax_dx)           \
    X(fari_ce_sums)              \
    X(fari_ce_dx)                \
    X(fari_dice_sums)            \
    X(fari_dice_dx)              \
    X(fari_pointwise_sum)        \
    X(fari_pointwise_dx)         \
    X(fari_topk)                 \
    X(fari_confusion)

FARI_ISA_KERNELS_NORM(FARI_ISA_DECLARE)
#endif
