/* Binary cross-entropy from logits and squared error: pointwise_sum and pointwise_dx of src/ops/loss_pointwise.h, x f32, target f32,
   i32 or u8. */
#include "ops/loss_pointwise.h"
#include "backends/cpu/isa/kernels_norm.h"
#include "backends/cpu/isa/lanes.h"
#include "backends/cpu/isa/vec_math.h"
#include "graph/graph.h"

#define PIECE 64 /* elements at a time, a multiple of LANES */

/* Elements [at, at + PIECE) of a target as floats; zeros from n on. */
static void target_read(const fari_view *target, int64_t at, int64_t n, float t[PIECE])
{
    for (int j = 0; j < PIECE; j++) t[j] = 0.0f;
    if (target->dtype == FAR_F32) {
        for (int64_t j = 0; j < n; j++) t[j] = ((const float *)target->data)[at + j];
    } else if (target->dtype == FAR_I32) {
        for (int64_t j = 0; j < n; j++) t[j] = (float)((const int32_t *)target->data)[at + j];
    } else {
        for (int64_t j = 0; j < n; j++) t[j] = (float)((const uint8_t *)target->data)[at + j];
    }
}

FARI_INLINE float bce_term(float x, float t, float extra)
{
    const float softplus = vec_log1p(vec_exp(-vec_abs(x))) + (x < 0.0f ? -x : 0.0f);
    return (1.0f - t) * x + (1.0f + extra * t) * softplus;
}

/* Lanes go up with the element's number in the piece of the tensor; tails take the first ones. */
far_status FARI_ISA(fari_pointwise_sum)(const fari_call *call)
{
    const fari_pointwise_attr *attr = call->attr;
    const int64_t elems = fari_view_elems(&call->in[0]);
    const float extra = (float)(attr->pos_weight - 1.0);
    double lanes[LANES] = { 0.0 }, *out = call->out[0].data;
    float t[PIECE], term[PIECE];
    for (int64_t at = 0; at < elems; at += PIECE) {
        const int64_t n = elems - at < PIECE ? elems - at : PIECE;
        const float *restrict x = (const float *)call->in[0].data + at;
        target_read(&call->in[1], at, n, t);
        for (int j = 0; j < PIECE; j++) term[j] = 0.0f;
        if (attr->kind == FARI_POINTWISE_MSE) {
            for (int64_t j = 0; j < n; j++) term[j] = x[j] - t[j];
            for (int j = 0; j < PIECE; j += LANES)
                for (int k = 0; k < LANES; k++) lanes[k] += (double)term[j + k] * (double)term[j + k];
        } else {
            for (int64_t j = 0; j < n; j++) term[j] = bce_term(x[j], t[j], extra);
            for (int j = 0; j < PIECE; j += LANES)
                for (int k = 0; k < LANES; k++) lanes[k] += (double)term[j + k];
        }
    }
    out[0] = (call->accumulate ? out[0] : 0.0) + lanes_fold(lanes);
    return FAR_OK;
}

far_status FARI_ISA(fari_pointwise_dx)(const fari_call *call)
{
    const fari_pointwise_attr *attr = call->attr;
    const int64_t elems = fari_view_elems(&call->in[0]);
    const double d_sum = attr->sign * *(const double *)call->in[2].data;
    const float extra = (float)(attr->pos_weight - 1.0), by = (float)d_sum, twice = (float)(2.0 * d_sum);
    float t[PIECE];
    for (int64_t at = 0; at < elems; at += PIECE) {
        const int64_t n = elems - at < PIECE ? elems - at : PIECE;
        const float *restrict x = (const float *)call->in[0].data + at;
        float *restrict dx = (float *)call->out[0].data + at;
        target_read(&call->in[1], at, n, t);
        if (attr->kind == FARI_POINTWISE_MSE) {
            for (int64_t j = 0; j < n; j++) dx[j] = twice * (x[j] - t[j]);
        } else {
            for (int64_t j = 0; j < n; j++) dx[j] = by * ((1.0f - t[j]) - (1.0f + extra * t[j]) * vec_sigmoid(-x[j]));
        }
    }
    return FAR_OK;
}
