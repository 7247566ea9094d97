/* Optimizers as nodes: updates in place (CHUNK), norms (CHUNK_REDUCE, f64) and the scalars between them (GLOBAL).
 * Adding an optimizer is one file src/ops/optim_<name>.c and one row in src/ops/optim.c.
 *
 * In every update in[0] is the parameter w, in[1] its gradient, then come the states in the order of out[1..], then scalars as
 * the attribute says; out[0] is w itself. All are elements [elem0, elem0 + n) of the flat tensors but for the scalars. */
#ifndef FARI_OPS_OPTIM_H
#define FARI_OPS_OPTIM_H
#include "graph/graph.h"
#include <farandole/optim.h>

/* A row of call->step->hyper, one a parameter group. Never renumber: backends read it. */
typedef enum fari_hyper {
    FARI_HYPER_LR,             /* learning rate of the group */
    FARI_HYPER_STEP,           /* number of this step, from 1 */
    FARI_HYPER_MOMENTUM_SCALE, /* lr_t / lr_(t-1); 1 in the first step */
    FARI_HYPER_DECAY_SCALE,    /* times the weight decay; 1 */
    FARI_HYPER_EMA_DECAY,
    FARI_HYPER_COUNT
} fari_hyper;

static inline double fari_hyper_get(const fari_call *call, int32_t group, fari_hyper which)
{
    return call->step->hyper[group * FARI_HYPER_COUNT + which];
}

/* What each update does to a gradient first, and which numbers hold for its tensor. */
typedef struct fari_optim_common {
    int32_t group;
    double weight_decay; /* of this tensor, exclusions applied */
    double clip_value;   /* 0: none */
    bool has_clip;       /* the last input is a scalar f64 that multiplies the gradient */
} fari_optim_common;

/* ---- sgd: in w, g, [momentum_buffer], [clip]; out w, [momentum_buffer] ---- */
typedef struct fari_sgd_attr {
    fari_optim_common common;
    double momentum, dampening;
    bool nesterov;
} fari_sgd_attr;
extern const fari_op fari_op_sgd;

/* ---- adam, adamw: in w, g, exp_avg, exp_avg_sq, [clip]; out w, exp_avg, exp_avg_sq ---- */
typedef struct fari_adam_attr {
    fari_optim_common common;
    double beta1, beta2, eps;
    bool decoupled; /* adamw: the decay shrinks w instead of joining the gradient */
} fari_adam_attr;
extern const fari_op fari_op_adam;

/* ---- rmsprop: in w, g, square_avg, [grad_avg], [momentum_buffer], [clip]; out w and the states ---- */
typedef struct fari_rmsprop_attr {
    fari_optim_common common;
    double alpha, eps, momentum;
    bool centered;
} fari_rmsprop_attr;
extern const fari_op fari_op_rmsprop;

/* ---- norms ---- */
typedef struct fari_norms_attr {
    fari_optim_common common;
    bool with_decay; /* of g + b w instead of g */
} fari_norms_attr;
/* CHUNK_REDUCE, no attribute. in: g; out: scalar f64, the sum of squares. */
extern const fari_op fari_op_sumsq;
/* CHUNK_REDUCE. in: w, g, [clip]; out: f64 [2]: sums of squares of w and of the (clipped) gradient. */
extern const fari_op fari_op_norms;

typedef struct fari_clip_attr {
    double max_norm, eps;
} fari_clip_attr;
/* GLOBAL. in: a sum of squares; out: scalar f64 min(1, max_norm / (norm + eps)). */
extern const fari_op fari_op_clip_scale;

/* ---- lars: in w, g, momentum_buffer, [rate], [clip]; out w, momentum_buffer ---- */
typedef enum fari_lars_form { FARI_LARS_SUM, FARI_LARS_LARC, FARI_LARS_OF_SUM, FARI_LARS_SOLO } fari_lars_form;

typedef struct fari_lars_attr {
    fari_optim_common common;
    fari_lars_form
        form; /* denominators |g| + b |w| + eps, |g|, |g + b w|, and the first without decay where a norm is 0 */
    double momentum, dampening, trust, eps;
    bool nesterov, lr_inside, momentum_correction;
    bool clips_rate; /* l = min(l / lr, 1) */
    bool has_rate;   /* false: plain momentum */
} fari_lars_attr;
/* GLOBAL. in: f64 [2] of fari_op_norms; out: f64 [2]: the local rate, and 0 where the decay is to be left out, else 1. */
extern const fari_op fari_op_lars_rate;
extern const fari_op fari_op_lars;

/* ---- lamb ---- */
typedef struct fari_lamb_attr {
    fari_optim_common common;
    double beta1, beta2, eps;
    bool bias_correction, clips_ratio, has_ratio;
} fari_lamb_attr;
/* CHUNK. in: g, exp_avg, exp_avg_sq, [clip]; out: exp_avg, exp_avg_sq. */
extern const fari_op fari_op_lamb_moments;
/* CHUNK_REDUCE. in: w, exp_avg, exp_avg_sq; out: f64 [2]: sums of squares of w and of the update u. */
extern const fari_op fari_op_lamb_norms;
/* GLOBAL. in: those; out: scalar f64, the trust ratio |w| / |u|. */
extern const fari_op fari_op_lamb_ratio;
/* CHUNK. in: w, exp_avg, exp_avg_sq, [ratio]; out: w. */
extern const fari_op fari_op_lamb;

/* ---- averages of weights ---- */
typedef struct fari_ema_attr {
    int32_t group;
    bool is_start; /* only in the first step, before the update: ema = w */
} fari_ema_attr;
/* CHUNK. in: w, ema; out: ema. */
extern const fari_op fari_op_ema;

/* ---- what an optimizer's file and src/ops/optim.c say to each other ---- */

/* Options with all defaults filled in: what is said "zero means default" of is now the number. */
typedef struct fari_optim_plan {
    far_graph *graph;
    far_optim_opts opts;
    far_value clip;  /* scalar that multiplies all gradients, FAR_NO_VALUE: none */
    double clip_eps; /* of the clips' denominators */
} fari_optim_plan;

/* One parameter's update. */
typedef struct fari_optim_target {
    const char *name; /* of the parameter */
    far_value param, grad;
    far_value clip;    /* scalar for this gradient, FAR_NO_VALUE: none */
    bool is_norm;      /* scale or shift of a normalisation */
    bool is_bias_norm; /* a parameter with one axis */
    bool no_adapt;     /* its group asks for no trust ratio */
    fari_optim_common common;
} fari_optim_target;

/* Emits the nodes of one parameter; errors stay with the graph. */
typedef void (*fari_optim_emit_fn)(const fari_optim_plan *plan, const fari_optim_target *target);
/* Fills in defaults that depend on the form and checks what only this optimizer knows. */
typedef far_status (*fari_optim_check_fn)(far_optim_opts *opts_io);

void fari_optim_emit_sgd(const fari_optim_plan *plan, const fari_optim_target *target);
void fari_optim_emit_adam(const fari_optim_plan *plan, const fari_optim_target *target);
void fari_optim_emit_adamw(const fari_optim_plan *plan, const fari_optim_target *target);
void fari_optim_emit_rmsprop(const fari_optim_plan *plan, const fari_optim_target *target);
void fari_optim_emit_lars(const fari_optim_plan *plan, const fari_optim_target *target);
far_status fari_optim_check_lars(far_optim_opts *opts_io);
void fari_optim_emit_lamb(const fari_optim_plan *plan, const fari_optim_target *target);
far_status fari_optim_check_lamb(far_optim_opts *opts_io);

/* The state "<parameter>.<suffix>" in the parameter's shape, starting at zero. */
far_value fari_optim_state(const fari_optim_plan *plan, const fari_optim_target *target, const char *suffix);
/* Emits an update of `out`; appends the clip scalar to the inputs where the target has one. */
void fari_optim_emit(const fari_optim_plan *plan, const fari_optim_target *target, const fari_op *op, const void *attr,
                     int32_t in_count, const far_value *in, int32_t out_count, const far_value *out);
/* The scalar f64 that scales a gradient down to max_norm; from the sum of squares. optim_clip.c */
far_value fari_optim_clip_scale(far_graph *graph, const char *name, far_value sumsq, double max_norm, double eps);
far_value fari_optim_sumsq(far_graph *graph, const char *name, far_value grad);
/* Before (is_start) and after a parameter's update: `average` follows it. Also for teachers that are states. optim_ema.c */
void fari_optim_emit_ema(far_graph *graph, const char *name, int32_t group, far_value param, far_value average,
                         bool is_start);

/* ---- for reference kernels ---- */

/* The gradient as the update takes it: times the clip scalar, held to the clip value. */
static inline double fari_optim_gradient(const fari_call *call, const fari_optim_common *common, int32_t grad_input,
                                         int64_t k)
{
    double g = fari_view_get_flat(&call->in[grad_input], k);
    if (common->has_clip) g *= fari_view_get_flat(&call->in[call->in_count - 1], 0);
    if (common->clip_value > 0.0)
        g = g > common->clip_value ? common->clip_value : g < -common->clip_value ? -common->clip_value : g;
    return g;
}

static inline double fari_optim_decay(const fari_call *call, const fari_optim_common *common)
{
    return common->weight_decay * fari_hyper_get(call, common->group, FARI_HYPER_DECAY_SCALE);
}
#endif
