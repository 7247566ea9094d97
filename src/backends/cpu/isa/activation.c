/* Elementwise activations: activation and activation_dx of src/ops/activation.h, f32, any order. */
#include "ops/activation.h"
#include "backends/cpu/isa/kernels_norm.h"
#include "backends/cpu/isa/stream.h"
#include "backends/cpu/isa/vec_math.h"
#include "graph/graph.h"

#define SQRT_2_OVER_PI 0.7978845608f
#define GELU_CUBIC 0.044715f

/* sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)) = (1 + tanh(...)) / 2 */
FARI_INLINE float gelu_gate(float x)
{
    return vec_sigmoid(2.0f * SQRT_2_OVER_PI * (x + GELU_CUBIC * x * x * x));
}

FARI_INLINE float act_value(far_act act, float x, float slope)
{
    float cdf, pdf;
    switch (act) {
    case FAR_ACT_RELU: return x < 0.0f ? 0.0f : x; /* NaN stays NaN */
    case FAR_ACT_LEAKY_RELU: return x < 0.0f ? slope * x : x;
    case FAR_ACT_GELU: vec_normal(x, &cdf, &pdf); return x * cdf;
    case FAR_ACT_GELU_TANH: return x * gelu_gate(x);
    case FAR_ACT_SILU: return x * vec_sigmoid(x);
    case FAR_ACT_SIGMOID: return vec_sigmoid(x);
    case FAR_ACT_TANH: return vec_tanh(x);
    case FAR_ACT_NONE:
    case FAR_ACT_COUNT: break;
    }
    return x;
}

/* dy/dx times d; t is y or x, see fari_act_grad_from_y. */
FARI_INLINE float act_dx(far_act act, float t, float d, float slope)
{
    float cdf, pdf, gate;
    switch (act) {
    case FAR_ACT_RELU: return t > 0.0f ? d : 0.0f;
    case FAR_ACT_LEAKY_RELU: return t > 0.0f ? d : slope * d;
    case FAR_ACT_GELU: vec_normal(t, &cdf, &pdf); return d * (cdf + t * pdf);
    case FAR_ACT_GELU_TANH:
        gate = gelu_gate(t);
        return d * (gate + t * (gate * (1.0f - gate)) * (2.0f * SQRT_2_OVER_PI * (1.0f + 3.0f * GELU_CUBIC * t * t)));
    case FAR_ACT_SILU: gate = vec_sigmoid(t); return d * (gate * (1.0f + t * (1.0f - gate)));
    case FAR_ACT_SIGMOID: return d * (t * (1.0f - t));
    case FAR_ACT_TANH: return d * (1.0f - t * t);
    case FAR_ACT_NONE:
    case FAR_ACT_COUNT: break;
    }
    return d;
}

/* One loop for each kind, so that each is vectorised alone. */
#define EACH_ACT(X)       \
    X(FAR_ACT_NONE)       \
    X(FAR_ACT_RELU)       \
    X(FAR_ACT_LEAKY_RELU) \
    X(FAR_ACT_GELU)       \
    X(FAR_ACT_GELU_TANH)  \
    X(FAR_ACT_SILU)       \
    X(FAR_ACT_SIGMOID)    \
    X(FAR_ACT_TANH)

far_status FARI_ISA(fari_activation)(const fari_call *call)
{
    const fari_activation_attr *attr = call->attr;
    const int64_t elems = fari_view_elems(&call->out[0]);
    const float slope = (float)attr->slope, *restrict x = call->in[0].data;
    float *restrict y = call->out[0].data;
#define LOOP(kind)                                                               \
    case kind:                                                                   \
        for (int64_t i = 0; i < elems; i++) y[i] = act_value(kind, x[i], slope); \
        break;
    switch (attr->act) {
        EACH_ACT(LOOP)
    case FAR_ACT_COUNT: break;
    }
#undef LOOP
    return FAR_OK;
}

#define DX_BLOCK 2048 /* floats: sums and results on their way stay in the first-level cache */

/* One block: dx = act'(t) dy */
static void dx_block(const fari_activation_attr *attr, const float *restrict t, const float *restrict dy, int64_t elems,
                     float *restrict dx)
{
    const float slope = (float)attr->slope;
#define LOOP(kind)                                                                    \
    case kind:                                                                        \
        for (int64_t i = 0; i < elems; i++) dx[i] = act_dx(kind, t[i], dy[i], slope); \
        break;
    switch (attr->act) {
        EACH_ACT(LOOP)
    case FAR_ACT_COUNT: break;
    }
#undef LOOP
}

/* dy of elements [at, at + elems): as it lies, or added up in `sum`. */
static const float *dy_of(const fari_call *call, int64_t at, int64_t elems, float *restrict sum)
{
    const float *first = (const float *)call->in[1].data + at;
    if (call->in_count < 3) return first;
    const float *second = (const float *)call->in[2].data + at;
    for (int64_t k = 0; k < elems; k++) sum[k] = first[k] + second[k];
    for (int32_t i = 3; i < call->in_count; i++) {
        const float *more = (const float *)call->in[i].data + at;
        for (int64_t k = 0; k < elems; k++) sum[k] += more[k];
    }
    return sum;
}

far_status FARI_ISA(fari_activation_dx)(const fari_call *call)
{
    const int64_t elems = fari_view_elems(&call->out[0]);
    const bool is_far = stream_pays(&call->out[0], 0);
    float *dx = call->out[0].data, sum[DX_BLOCK], line[DX_BLOCK];
    for (int64_t k = 0; k < elems; k += DX_BLOCK) {
        const int64_t count = elems - k < DX_BLOCK ? elems - k : DX_BLOCK;
        const float *dy = dy_of(call, k, count, sum);
        const bool streams = is_far && count == DX_BLOCK;
        dx_block(call->attr, (const float *)call->in[0].data + k, dy, count, streams ? line : dx + k);
        if (streams) stream_row(dx + k, line, DX_BLOCK);
    }
    if (is_far) stream_end();
    return FAR_OK;
}
