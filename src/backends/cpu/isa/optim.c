/* Updates of parameters in place, and norms, on f32: see kernels_optim.h. Order of operations as PyTorch's single-tensor code;
 * src/ops/optim_<name>.c has the formulas. Options that are off are numbers that change nothing (times 1, plus 0 w, limits at
 * infinity), so every loop is straight. No scratch. */
#include "ops/optim.h"
#include "backends/cpu/isa/isa.h"
#include "backends/cpu/isa/kernels_optim.h"
#include "backends/cpu/isa/lanes.h"
#include <math.h>

/* ---- what all share ---- */

typedef struct common {
    float clip, limit; /* factor and bound of the gradient */
    double decay, lr;
    bool is_first;
} common;

static common common_of(const fari_call *call, const fari_optim_common *attr)
{
    const double *hyper = call->step->hyper + (int64_t)attr->group * FARI_HYPER_COUNT;
    return (common){ .clip = attr->has_clip ? (float)*(const double *)call->in[call->in_count - 1].data : 1.0f,
                     .limit = attr->clip_value > 0.0 ? (float)attr->clip_value : INFINITY,
                     .decay = attr->weight_decay * hyper[FARI_HYPER_DECAY_SCALE],
                     .lr = hyper[FARI_HYPER_LR],
                     .is_first = hyper[FARI_HYPER_STEP] <= 1.0 };
}

/* NaN passes. */
FARI_INLINE float gradient(float g, float clip, float limit)
{
    const float scaled = g * clip;
    return scaled > limit ? limit : scaled < -limit ? -limit : scaled;
}

static bool is_f32(const fari_call *call)
{
    return call->in[0].dtype == FAR_F32;
}

/* ---- sgd ---- */

FARI_INLINE void sgd_loop(float *restrict w, const float *restrict g, float *restrict buffer, int64_t elems,
                          const common *c, float m, float take, bool nesterov)
{
    const float decay = (float)c->decay, lr = (float)c->lr, clip = c->clip, limit = c->limit,
                m_old = c->is_first ? 0.0f : m;
    for (int64_t k = 0; k < elems; k++) {
        const float d = gradient(g[k], clip, limit) + decay * w[k];
        const float v = m_old * buffer[k] + take * d;
        buffer[k] = v;
        w[k] -= lr * (nesterov ? d + m * v : v);
    }
}

FARI_INLINE void sgd_plain(float *restrict w, const float *restrict g, int64_t elems, const common *c)
{
    const float decay = (float)c->decay, lr = (float)c->lr, clip = c->clip, limit = c->limit;
    for (int64_t k = 0; k < elems; k++) w[k] -= lr * (gradient(g[k], clip, limit) + decay * w[k]);
}

far_status FARI_ISA(fari_sgd)(const fari_call *call)
{
    const fari_sgd_attr *attr = call->attr;
    const int64_t elems = fari_view_elems(&call->out[0]);
    if (!is_f32(call)) return call->node->op->reference(call);
    const common c = common_of(call, &attr->common);
    const float m = (float)attr->momentum, take = c.is_first ? 1.0f : (float)(1.0 - attr->dampening);
    if (attr->momentum == 0.0) sgd_plain(call->out[0].data, call->in[1].data, elems, &c);
    else if (attr->nesterov) sgd_loop(call->out[0].data, call->in[1].data, call->out[1].data, elems, &c, m, take, true);
    else sgd_loop(call->out[0].data, call->in[1].data, call->out[1].data, elems, &c, m, take, false);
    return FAR_OK;
}

/* ---- adam, adamw ---- */

far_status FARI_ISA(fari_adam)(const fari_call *call)
{
    const fari_adam_attr *attr = call->attr;
    const int64_t elems = fari_view_elems(&call->out[0]);
    float *restrict w = call->out[0].data, *restrict m = call->out[1].data, *restrict v = call->out[2].data;
    const float *restrict g = call->in[1].data;
    if (!is_f32(call)) return call->node->op->reference(call);
    const common c = common_of(call, &attr->common);
    const double t = fari_hyper_get(call, attr->common.group, FARI_HYPER_STEP);
    const float step = (float)(c.lr / (1.0 - pow(attr->beta1, t))), root = (float)sqrt(1.0 - pow(attr->beta2, t));
    const float b1 = (float)attr->beta1, b2 = (float)attr->beta2, a1 = (float)(1.0 - attr->beta1),
                a2 = (float)(1.0 - attr->beta2);
    const float shrink = attr->decoupled ? (float)(1.0 - c.lr * c.decay) : 1.0f,
                decay = attr->decoupled ? 0.0f : (float)c.decay;
    const float eps = (float)attr->eps, clip = c.clip, limit = c.limit;
    for (int64_t k = 0; k < elems; k++) {
        const float weight = w[k] * shrink, d = gradient(g[k], clip, limit) + decay * weight;
        m[k] = m[k] * b1 + a1 * d;
        v[k] = v[k] * b2 + a2 * d * d;
        w[k] = weight - step * m[k] / (sqrtf(v[k]) / root + eps);
    }
    return FAR_OK;
}

/* ---- rmsprop ---- */

/* `average` and `buffer` are only touched where the constants say so. */
FARI_INLINE void rmsprop_loop(const fari_call *call, bool centered, bool has_momentum)
{
    const fari_rmsprop_attr *attr = call->attr;
    const common c = common_of(call, &attr->common);
    const int64_t elems = fari_view_elems(&call->out[0]);
    float *restrict w = call->out[0].data, *restrict s = call->out[1].data;
    float *restrict average = centered ? call->out[2].data : NULL;
    float *restrict buffer = has_momentum ? call->out[centered ? 3 : 2].data : NULL;
    const float *restrict g = call->in[1].data;
    const float alpha = (float)attr->alpha, rest = (float)(1.0 - attr->alpha), eps = (float)attr->eps,
                m = (float)attr->momentum;
    const float decay = (float)c.decay, lr = (float)c.lr, clip = c.clip, limit = c.limit;
    for (int64_t k = 0; k < elems; k++) {
        const float d = gradient(g[k], clip, limit) + decay * w[k], square = s[k] * alpha + rest * d * d;
        float spread = square;
        s[k] = square;
        if (centered) {
            average[k] = average[k] * alpha + rest * d;
            spread = square - average[k] * average[k];
        }
        const float root = sqrtf(spread) + eps;
        if (has_momentum) {
            buffer[k] = buffer[k] * m + d / root;
            w[k] -= lr * buffer[k];
        } else {
            w[k] -= lr * d / root;
        }
    }
}

far_status FARI_ISA(fari_rmsprop)(const fari_call *call)
{
    const fari_rmsprop_attr *attr = call->attr;
    if (!is_f32(call)) return call->node->op->reference(call);
    if (attr->centered && attr->momentum != 0.0) rmsprop_loop(call, true, true);
    else if (attr->centered) rmsprop_loop(call, true, false);
    else if (attr->momentum != 0.0) rmsprop_loop(call, false, true);
    else rmsprop_loop(call, false, false);
    return FAR_OK;
}

/* ---- lars ---- */

FARI_INLINE void lars_loop(const fari_call *call, bool lr_inside, bool nesterov)
{
    const fari_lars_attr *attr = call->attr;
    const common c = common_of(call, &attr->common);
    const double *rate_keep = attr->has_rate ? call->in[3].data : (const double[]){ 1.0, 1.0 };
    const double scale =
        attr->momentum_correction ? fari_hyper_get(call, attr->common.group, FARI_HYPER_MOMENTUM_SCALE) : 1.0;
    const int64_t elems = fari_view_elems(&call->out[0]);
    float *restrict w = call->out[0].data, *restrict v = call->out[1].data;
    const float *restrict g = call->in[1].data;
    const float rate = (float)rate_keep[0], decay = (float)(c.decay * rate_keep[1]), lr = (float)c.lr, clip = c.clip,
                limit = c.limit;
    const float m = (float)(attr->momentum * scale), m_old = c.is_first && !lr_inside ? 0.0f : m;
    const float take = c.is_first || attr->momentum == 0.0 ? 1.0f : (float)(1.0 - attr->dampening);
    for (int64_t k = 0; k < elems; k++) {
        const float u = (gradient(g[k], clip, limit) + decay * w[k]) * rate;
        if (lr_inside) {
            const float flow = lr * u;
            v[k] = m_old * v[k] + flow;
            w[k] -= nesterov ? m * v[k] + flow : v[k];
        } else {
            v[k] = m_old * v[k] + take * u;
            w[k] -= lr * (nesterov ? u + m * v[k] : v[k]);
        }
    }
}

far_status FARI_ISA(fari_lars)(const fari_call *call)
{
    const fari_lars_attr *attr = call->attr;
    if (!is_f32(call)) return call->node->op->reference(call);
    if (attr->lr_inside && attr->nesterov) lars_loop(call, true, true);
    else if (attr->lr_inside) lars_loop(call, true, false);
    else if (attr->nesterov) lars_loop(call, false, true);
    else lars_loop(call, false, false);
    return FAR_OK;
}

/* ---- lamb ---- */

far_status FARI_ISA(fari_lamb_moments)(const fari_call *call)
{
    const fari_lamb_attr *attr = call->attr;
    const int64_t elems = fari_view_elems(&call->out[0]);
    float *restrict m = call->out[0].data, *restrict v = call->out[1].data;
    const float *restrict g = call->in[0].data;
    if (!is_f32(call)) return call->node->op->reference(call);
    const common c = common_of(call, &attr->common);
    const float b1 = (float)attr->beta1, b2 = (float)attr->beta2, a1 = (float)(1.0 - attr->beta1),
                a2 = (float)(1.0 - attr->beta2);
    const float clip = c.clip, limit = c.limit;
    for (int64_t k = 0; k < elems; k++) {
        const float d = gradient(g[k], clip, limit);
        m[k] = m[k] * b1 + a1 * d;
        v[k] = v[k] * b2 + a2 * d * d;
    }
    return FAR_OK;
}

typedef struct lamb_numbers {
    float correction, root, eps, decay;
} lamb_numbers;

static lamb_numbers lamb_numbers_of(const fari_call *call)
{
    const fari_lamb_attr *attr = call->attr;
    const double t = fari_hyper_get(call, attr->common.group, FARI_HYPER_STEP);
    const double scale = fari_hyper_get(call, attr->common.group, FARI_HYPER_DECAY_SCALE);
    lamb_numbers n = { 1.0f, 1.0f, (float)attr->eps, (float)(attr->common.weight_decay * scale) };
    if (attr->bias_correction) {
        n.correction = (float)(1.0 - pow(attr->beta1, t));
        n.root = (float)sqrt(1.0 - pow(attr->beta2, t));
    }
    return n;
}

FARI_INLINE float lamb_update(float w, float m, float v, const lamb_numbers n)
{
    return m / n.correction / (sqrtf(v) / n.root + n.eps) + n.decay * w;
}

far_status FARI_ISA(fari_lamb)(const fari_call *call)
{
    const fari_lamb_attr *attr = call->attr;
    const int64_t elems = fari_view_elems(&call->out[0]);
    float *restrict w = call->out[0].data;
    const float *restrict m = call->in[1].data, *restrict v = call->in[2].data;
    if (!is_f32(call)) return call->node->op->reference(call);
    const lamb_numbers n = lamb_numbers_of(call);
    const double ratio = attr->has_ratio ? *(const double *)call->in[3].data : 1.0;
    const float step = (float)(fari_hyper_get(call, attr->common.group, FARI_HYPER_LR) * ratio);
    for (int64_t k = 0; k < elems; k++) w[k] -= step * lamb_update(w[k], m[k], v[k], n);
    return FAR_OK;
}

/* ---- averages ---- */

far_status FARI_ISA(fari_ema)(const fari_call *call)
{
    const fari_ema_attr *attr = call->attr;
    const int64_t elems = fari_view_elems(&call->out[0]);
    float *restrict average = call->out[0].data;
    const float *restrict w = call->in[0].data;
    if (!is_f32(call)) return call->node->op->reference(call);
    const double decay = attr->is_start ? 0.0 : fari_hyper_get(call, attr->group, FARI_HYPER_EMA_DECAY);
    const float keep = (float)decay, take = (float)(1.0 - decay);
    if (attr->is_start && fari_hyper_get(call, attr->group, FARI_HYPER_STEP) > 1.0) return FAR_OK;
    for (int64_t k = 0; k < elems; k++) average[k] = average[k] * keep + take * w[k];
    return FAR_OK;
}

/* ---- norms ---- */

#define BLOCK 1024 /* elements computed at a time before they are summed; divides a chunk */

/* The sum of squares of x[0 .. count). */
static double squares(const float *x, int64_t count)
{
    double sum;
    LANES_SUM(sum, count, (double)x[i] * (double)x[i]);
    return sum;
}

static int64_t piece_of(int64_t lo, int64_t elems, int64_t size)
{
    return elems - lo < size ? elems - lo : size;
}

far_status FARI_ISA(fari_sumsq)(const fari_call *call)
{
    const int64_t elems = fari_view_elems(&call->in[0]);
    const float *g = call->in[0].data;
    double *out = call->out[0].data;
    if (!is_f32(call)) return call->node->op->reference(call);
    double total = call->accumulate ? *out : 0.0;
    for (int64_t lo = 0; lo < elems; lo += FARI_CHUNK_ELEMS)
        total += squares(g + lo, piece_of(lo, elems, FARI_CHUNK_ELEMS));
    *out = total;
    return FAR_OK;
}

far_status FARI_ISA(fari_norms)(const fari_call *call)
{
    const fari_norms_attr *attr = call->attr;
    const int64_t elems = fari_view_elems(&call->in[0]);
    const float *w = call->in[0].data, *g = call->in[1].data;
    double *out = call->out[0].data;
    float u[BLOCK];
    if (!is_f32(call)) return call->node->op->reference(call);
    const common c = common_of(call, &attr->common);
    const float decay = attr->with_decay ? (float)c.decay : 0.0f, clip = c.clip, limit = c.limit;
    double w_total = call->accumulate ? out[0] : 0.0, g_total = call->accumulate ? out[1] : 0.0;
    for (int64_t lo = 0; lo < elems; lo += BLOCK) {
        const int64_t count = piece_of(lo, elems, BLOCK);
        for (int64_t k = 0; k < count; k++) u[k] = gradient(g[lo + k], clip, limit) + decay * w[lo + k];
        w_total += squares(w + lo, count);
        g_total += squares(u, count);
    }
    out[0] = w_total;
    out[1] = g_total;
    return FAR_OK;
}

far_status FARI_ISA(fari_lamb_norms)(const fari_call *call)
{
    const int64_t elems = fari_view_elems(&call->in[0]);
    const float *w = call->in[0].data, *m = call->in[1].data, *v = call->in[2].data;
    double *out = call->out[0].data;
    float u[BLOCK];
    if (!is_f32(call)) return call->node->op->reference(call);
    const lamb_numbers n = lamb_numbers_of(call);
    double w_total = call->accumulate ? out[0] : 0.0, u_total = call->accumulate ? out[1] : 0.0;
    for (int64_t lo = 0; lo < elems; lo += BLOCK) {
        const int64_t count = piece_of(lo, elems, BLOCK);
        for (int64_t k = 0; k < count; k++) u[k] = lamb_update(w[lo + k], m[lo + k], v[lo + k], n);
        w_total += squares(w + lo, count);
        u_total += squares(u, count);
    }
    out[0] = w_total;
    out[1] = u_total;
    return FAR_OK;
}
