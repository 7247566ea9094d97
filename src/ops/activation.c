/* Elementwise activations: builders, table rows, reference kernels. */
#include "ops/activation.h"
#include "graph/graph.h"
#include "ops/cost.h"
#include <math.h>

#define SQRT_HALF 0.70710678118654752440
#define SQRT_2_OVER_PI 0.79788456080286535588
#define GELU_CUBIC 0.044715 /* Hendrycks and Gimpel 2016 */

static const char *const act_names[FAR_ACT_COUNT] = {
    [FAR_ACT_NONE] = "none",       [FAR_ACT_RELU] = "relu",           [FAR_ACT_LEAKY_RELU] = "leaky_relu",
    [FAR_ACT_GELU] = "gelu",       [FAR_ACT_GELU_TANH] = "gelu_tanh", [FAR_ACT_SILU] = "silu",
    [FAR_ACT_SIGMOID] = "sigmoid", [FAR_ACT_TANH] = "tanh",
};

const char *far_act_name(far_act act)
{
    return (unsigned)act < FAR_ACT_COUNT ? act_names[act] : NULL;
}

bool fari_act_grad_from_y(far_act act)
{
    return act == FAR_ACT_RELU || act == FAR_ACT_LEAKY_RELU || act == FAR_ACT_SIGMOID || act == FAR_ACT_TANH;
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double act_value(const fari_activation_attr *attr, double x)
{
    switch (attr->act) {
    case FAR_ACT_RELU: return x < 0.0 ? 0.0 : x; /* NaN stays NaN */
    case FAR_ACT_LEAKY_RELU: return x < 0.0 ? attr->slope * x : x;
    case FAR_ACT_GELU: return 0.5 * x * erfc(-x * SQRT_HALF);
    case FAR_ACT_GELU_TANH: return 0.5 * x * (1.0 + tanh(SQRT_2_OVER_PI * (x + GELU_CUBIC * x * x * x)));
    case FAR_ACT_SILU: return x * sigmoid(x);
    case FAR_ACT_SIGMOID: return sigmoid(x);
    case FAR_ACT_TANH: return tanh(x);
    case FAR_ACT_NONE:
    case FAR_ACT_COUNT: break;
    }
    return x;
}

/* dy/dx; t is y or x, as fari_act_grad_from_y says. */
static double act_slope(const fari_activation_attr *attr, double t)
{
    switch (attr->act) {
    case FAR_ACT_RELU: return t > 0.0 ? 1.0 : 0.0;
    case FAR_ACT_LEAKY_RELU: return t > 0.0 ? 1.0 : attr->slope;
    case FAR_ACT_GELU: return 0.5 * erfc(-t * SQRT_HALF) + t * exp(-0.5 * t * t) * (0.5 * SQRT_2_OVER_PI);
    case FAR_ACT_GELU_TANH: {
        const double u = tanh(SQRT_2_OVER_PI * (t + GELU_CUBIC * t * t * t));
        return 0.5 * (1.0 + u) + 0.5 * t * (1.0 - u * u) * SQRT_2_OVER_PI * (1.0 + 3.0 * GELU_CUBIC * t * t);
    }
    case FAR_ACT_SILU: return sigmoid(t) * (1.0 + t * (1.0 - sigmoid(t)));
    case FAR_ACT_SIGMOID: return t * (1.0 - t);
    case FAR_ACT_TANH: return 1.0 - t * t;
    case FAR_ACT_NONE:
    case FAR_ACT_COUNT: break;
    }
    return 1.0;
}

static far_status activation_infer(const far_graph *graph, const fari_node *node, const fari_tensor *const *in,
                                   fari_tensor *out, int32_t *out_count)
{
    (void)graph, (void)out, (void)out_count;
    if (in[0]->dtype != FAR_F32) return fari_shape_error(node, in[0], NULL, "expects f32");
    for (int32_t i = 1; i < node->in_count; i++)
        if (far_shape_elems(&in[i]->shape) != far_shape_elems(&in[0]->shape))
            return fari_shape_error(node, in[0], in[i], "a gradient must have the shape of its tensor");
    return FAR_OK;
}

static far_status activation_gradient(fari_grad *grad)
{
    const fari_activation_attr *attr = grad->node->attr;
    const far_value in[] = { fari_act_grad_from_y(attr->act) ? grad->out[0] : grad->in[0], grad->d_out[0] };
    if (grad->need[0]) grad->d_in[0] = fari_emit(grad->graph, &fari_op_activation_dx, grad->node->name, attr, 2, in);
    return FAR_OK;
}

/* Views of one call lie in memory in the same way. */
static far_status activation_reference(const fari_call *call)
{
    const int64_t elems = fari_view_elems(&call->out[0]);
    for (int64_t k = 0; k < elems; k++)
        fari_view_set_flat(&call->out[0], k, act_value(call->attr, fari_view_get_flat(&call->in[0], k)));
    return FAR_OK;
}

static far_status activation_dx_reference(const fari_call *call)
{
    const int64_t elems = fari_view_elems(&call->out[0]);
    for (int64_t k = 0; k < elems; k++) {
        const double slope = act_slope(call->attr, fari_view_get_flat(&call->in[0], k));
        double dy = 0.0;
        for (int32_t i = 1; i < call->in_count; i++) dy += fari_view_get_flat(&call->in[i], k);
        fari_view_set_flat(&call->out[0], k, slope * dy);
    }
    return FAR_OK;
}

/* ReLU one operation, the others about as many as their polynomials have terms. */
static fari_cost activation_cost(const fari_call *call)
{
    const fari_activation_attr *attr = call->attr;
    const bool is_cheap = attr->act == FAR_ACT_RELU || attr->act == FAR_ACT_LEAKY_RELU;
    return fari_cost_per_elem(call, is_cheap ? 1.0 : 20.0);
}

const fari_op fari_op_activation = {
    .name = "activation",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ANY,
    .attr_bytes = sizeof(fari_activation_attr),
    .infer = activation_infer,
    .gradient = activation_gradient,
    .cost = activation_cost,
    .reference = activation_reference,
    .is_light = true,
};

const fari_op fari_op_activation_dx = {
    .name = "activation_dx",
    .kind = FARI_MAP,
    .order = FARI_ORDER_ANY,
    .attr_bytes = sizeof(fari_activation_attr),
    .infer = activation_infer,
    .cost = activation_cost,
    .reference = activation_dx_reference,
};

far_value far_activation(far_graph *graph, const char *name, far_value x, far_act act, double slope)
{
    const fari_activation_attr attr = { act, slope };
    if (far_act_name(act) == NULL)
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_ARG, "activation '%s': unknown kind %d", name, (int)act));
    if (act == FAR_ACT_LEAKY_RELU && !(slope >= 0.0 && slope <= 1.0))
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_ARG, "leaky relu '%s': slope %g is outside [0, 1]", name, slope));
    return act == FAR_ACT_NONE ? x : fari_emit(graph, &fari_op_activation, name, &attr, 1, &x);
}

far_value far_relu(far_graph *graph, const char *name, far_value x)
{
    return far_activation(graph, name, x, FAR_ACT_RELU, 0.0);
}

far_value far_leaky_relu(far_graph *graph, const char *name, far_value x, double slope)
{
    return far_activation(graph, name, x, FAR_ACT_LEAKY_RELU, slope);
}

far_value far_gelu(far_graph *graph, const char *name, far_value x)
{
    return far_activation(graph, name, x, FAR_ACT_GELU, 0.0);
}

far_value far_gelu_tanh(far_graph *graph, const char *name, far_value x)
{
    return far_activation(graph, name, x, FAR_ACT_GELU_TANH, 0.0);
}

far_value far_silu(far_graph *graph, const char *name, far_value x)
{
    return far_activation(graph, name, x, FAR_ACT_SILU, 0.0);
}

far_value far_sigmoid(far_graph *graph, const char *name, far_value x)
{
    return far_activation(graph, name, x, FAR_ACT_SIGMOID, 0.0);
}

far_value far_tanh(far_graph *graph, const char *name, far_value x)
{
    return far_activation(graph, name, x, FAR_ACT_TANH, 0.0);
}
