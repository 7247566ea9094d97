/* Batch, group, instance and channel-wise layer norm: one family.
 *
 *   stats    [S, 3C] F64   per segment and channel: mean, M2 (sum of squared deviations), count; rows of C
 *   meanrstd [S, 2C] F32   per segment and channel: mean, 1 / sqrt(var + eps); channel groups already merged
 *   dstats   [S, 2C] F64   per segment and channel: sum dz, sum dz xhat
 *
 * A segment is a run of samples that share statistics: all (S = 1, batch_of 0), k (S = N / k, batch_of k) or one (S = N,
 * batch_of 1). The three are 2-D so that no order conversion ever applies to them. x is channels-last, or [N, C].
 * z = gamma (x - mean) rstd + beta + residual, y = act(z), dz = dy act'(z) (ReLU and leaky ReLU: z's sign tells). Going back, the sign
 * is found anew from x, by the same operations; where a residual was added, it is y's. */
#ifndef FARI_OPS_NORM_H
#define FARI_OPS_NORM_H
#include "graph/op.h"
#include <farandole/norm.h>

/* Shared by all ops of the family. */
typedef struct fari_norm_attr {
    int64_t group_samples; /* samples of a segment; 0: the whole batch, S = 1 and batch_of 0 */
    int64_t count;         /* elements of one channel of one segment: group samples times space */
    int64_t groups;        /* channels come in `groups` runs that share statistics; C: each its own */
    double eps, momentum;
    double slope;    /* of leaky ReLU, resolved: never "default" */
    far_act act;     /* NONE, RELU, LEAKY_RELU */
    bool has_affine; /* gamma [C] and beta [C] are inputs */
    bool has_residual;
    bool batch_stats; /* mean and rstd depend on x: the gradient flows through them */
} fari_norm_attr;

/* Which input is what, beyond x, meanrstd, dy; 0: it is not there. */
typedef struct fari_norm_ins {
    int32_t y, gamma, beta, dstats, count;
} fari_norm_ins;

/* Whether the activation's sign is taken from y. */
static inline bool fari_norm_needs_y(const fari_norm_attr *attr)
{
    return attr->act != FAR_ACT_NONE && attr->has_residual;
}

/* y, or gamma and beta, where there is an activation. */
static inline fari_norm_ins fari_norm_dstats_ins(const fari_norm_attr *attr)
{
    fari_norm_ins ins = { .count = 3 };
    if (fari_norm_needs_y(attr)) {
        ins.y = ins.count++;
    } else if (attr->act != FAR_ACT_NONE && attr->has_affine) {
        ins.gamma = ins.count++;
        ins.beta = ins.count++;
    }
    return ins;
}

/* The same, and gamma where there is one, and dstats where mean and rstd depend on x. */
static inline fari_norm_ins fari_norm_dx_ins(const fari_norm_attr *attr)
{
    fari_norm_ins ins = fari_norm_dstats_ins(attr);
    if (attr->has_affine && ins.gamma == 0) ins.gamma = ins.count++;
    if (attr->batch_stats) ins.dstats = ins.count++;
    return ins;
}

extern const fari_op fari_op_norm_stats;         /* REDUCE  x -> stats; combine: Chan's merge */
extern const fari_op fari_op_norm_finalize;      /* GLOBAL  stats [1, 3C] -> meanrstd [1, 2C] */
extern const fari_op fari_op_norm_finalize_each; /* MAP     stats [S, 3C] -> meanrstd [S, 2C], batch_of k */
extern const fari_op fari_op_norm_running; /* GLOBAL  stats, running_mean, running_var -> the last two, in place */
extern const fari_op fari_op_norm_fixed;   /* GLOBAL  running_mean, running_var -> meanrstd [1, 2C] */
extern const fari_op fari_op_norm_apply;   /* MAP     x, meanrstd, [gamma, beta], [residual] -> y */
extern const fari_op fari_op_norm_dstats;  /* REDUCE  x, meanrstd, dy, and what fari_norm_dstats_ins says -> dstats */
extern const fari_op
    fari_op_norm_dx; /* MAP  x, meanrstd, dy, and what fari_norm_dx_ins says -> dx, [dz if act and has_residual] */
extern const fari_op fari_op_norm_dparam_sum; /* REDUCE  dstats [S, 2C] -> [1, 2C] F64, when batch_of is not 0 */
extern const fari_op fari_op_norm_dparam;     /* GLOBAL  [1, 2C] F64 -> dgamma [C], dbeta [C] */

/* REDUCE  stats, meanrstd, dstats, [gamma if has_affine] -> sums of norm_dx's dx over all but channels, [C]: nothing large is read */
extern const fari_op fari_op_norm_dx_sum;
/* The gradient of a bias whose sum's gradient is `d`, if that is a norm's dx: zero where the norm takes each channel's own mean out
   again, else norm_dx_sum. Anything else: FAR_NO_VALUE, and nothing is emitted. */
far_value fari_emit_norm_dx_sum(far_graph *graph, const char *name, far_value d);
#endif
