/* Elementwise activations: activation and activation_dx of src/ops/activation.h, f32, any order. */
#include "ops/activation.h"
#include "backends/cpu/isa/kernels_norm.h"
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

far_status FARI_ISA(fari_activation_dx)(const fari_call *call)
{
    const fari_activation_attr *attr = call->attr;
    const int64_t elems = fari_view_elems(&call->out[0]);
    const float slope = (float)attr->slope, *restrict t = call->in[0].data, *restrict dy = call->in[1].data;
    float *restrict dx = call->out[0].data;
#define LOOP(kind)                                                                    \
    case kind:                                                                        \
        for (int64_t i = 0; i < elems; i++) dx[i] = act_dx(kind, t[i], dy[i], slope); \
        break;
    switch (attr->act) {
        EACH_ACT(LOOP)
    case FAR_ACT_COUNT: break;
    }
#undef LOOP
    return FAR_OK;
}
