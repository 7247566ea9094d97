/* Builders of <farandole/norm.h>. */
#include "base/mem.h"
#include "base/text.h"
#include "graph/graph.h"
#include "ops/layer_norm.h"
#include "ops/norm.h"
#include <inttypes.h>

#define EPS_DEFAULT 1e-5
#define MOMENTUM_DEFAULT 0.1

static const far_norm_opts no_opts;

static bool is_usable(const far_graph *graph, far_value value)
{
    return graph->status == FAR_OK && value >= 0 && value < graph->tensor_count;
}

/* "<name>.<suffix>", a vector that starts at `start`. */
static far_value vector_named(far_graph *graph, const char *name, const char *suffix, int64_t elems, double start,
                              bool is_trained)
{
    const far_shape shape = { .ndim = 1, .dim = { elems } };
    const far_init init = { .kind = FAR_INIT_CONST, .value = start };
    char *full = fari_printf("%s.%s", name, suffix);
    if (full == NULL)
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_NOMEM, "no memory for the name of %s.%s", name, suffix));
    const far_value value =
        is_trained ? far_graph_param(graph, full, &shape, init) : far_graph_state(graph, full, &shape, init);
    fari_free(full);
    return value;
}

static far_value emit_named(far_graph *graph, const fari_op *op, const char *name, const char *suffix,
                            const fari_norm_attr *attr, int32_t in_count, const far_value *in)
{
    char *full = fari_printf("%s.%s", name, suffix);
    if (full == NULL)
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_NOMEM, "no memory for the name of %s.%s", name, suffix));
    const far_value value = fari_emit(graph, op, full, attr, in_count, in);
    fari_free(full);
    return value;
}

static far_status check_opts(const char *name, const far_norm_opts *opts)
{
    if (!(opts->eps >= 0.0)) return FAR_FAIL(FAR_E_ARG, "norm '%s': eps %g is negative", name, opts->eps);
    if (!(opts->momentum >= 0.0 && opts->momentum <= 1.0))
        return FAR_FAIL(FAR_E_ARG, "norm '%s': momentum %g is outside [0, 1]", name, opts->momentum);
    if (opts->act != FAR_ACT_NONE && opts->act != FAR_ACT_RELU && opts->act != FAR_ACT_LEAKY_RELU)
        return FAR_FAIL(FAR_E_ARG, "norm '%s': only ReLU and leaky ReLU can be fused", name);
    if (!(opts->slope >= 0.0 && opts->slope <= 1.0))
        return FAR_FAIL(FAR_E_ARG, "norm '%s': slope %g is outside [0, 1]", name, opts->slope);
    if (opts->group_samples < 0)
        return FAR_FAIL(FAR_E_ARG, "norm '%s': %" PRId64 " samples cannot share statistics", name, opts->group_samples);
    return FAR_OK;
}

static fari_norm_attr attr_from(const far_norm_opts *opts, const far_shape *x, int64_t groups, int64_t group_samples)
{
    int64_t space = 1;
    for (int32_t i = 2; i < x->ndim; i++) space *= x->dim[i];
    return (fari_norm_attr){
        .group_samples = group_samples,
        .count = space * (group_samples > 0 ? group_samples : x->dim[0]),
        .groups = groups,
        .eps = opts->eps > 0.0 ? opts->eps : EPS_DEFAULT,
        .momentum = opts->momentum > 0.0 ? opts->momentum : MOMENTUM_DEFAULT,
        .slope = opts->slope > 0.0 ? opts->slope : FAR_LEAKY_SLOPE,
        .act = opts->act,
        .has_affine = !opts->no_affine,
        .has_residual = opts->residual != NULL,
        .batch_stats = true,
    };
}

static far_value emit_apply(far_graph *graph, const char *name, const fari_norm_attr *attr, far_value x,
                            far_value meanrstd, const far_value *residual)
{
    const int64_t channels = fari_tensor_of(graph, x)->shape.dim[1];
    far_value in[5] = { x, meanrstd };
    int32_t count = 2;
    if (attr->has_affine) {
        in[count++] = vector_named(graph, name, "weight", channels, 1.0, true);
        in[count++] = vector_named(graph, name, "bias", channels, 0.0, true);
    }
    if (attr->has_residual) in[count++] = *residual;
    return fari_emit(graph, &fari_op_norm_apply, name, attr, count, in);
}

/* Mean and rstd of x's own statistics. `stats_out` receives the statistics. */
static far_value emit_own_stats(far_graph *graph, const char *name, const fari_norm_attr *attr, far_value x,
                                far_value *stats_out)
{
    const fari_op *finalize = attr->group_samples == 0 ? &fari_op_norm_finalize : &fari_op_norm_finalize_each;
    *stats_out = emit_named(graph, &fari_op_norm_stats, name, "stats", attr, 1, &x);
    return emit_named(graph, finalize, name, "meanrstd", attr, 1, stats_out);
}

static void emit_running(far_graph *graph, const char *name, const fari_norm_attr *attr, far_value stats,
                         const far_value running[2])
{
    const far_value in[] = { stats, running[0], running[1] };
    fari_emit_mutate(graph, &fari_op_norm_running, name, attr, 3, in, 2, running);
}

/* What all layers check before they look at x's shape. */
static bool begin(far_graph *graph, const char *name, far_value x, const far_norm_opts *opts)
{
    if (!is_usable(graph, x)) {
        if (graph->status == FAR_OK)
            (void)fari_graph_fail(graph, FAR_FAIL(FAR_E_ARG, "norm '%s': its input is missing", name));
        return false;
    }
    const fari_tensor *tensor = fari_tensor_of(graph, x);
    char text[128];
    far_status st = check_opts(name, opts);
    if (st == FAR_OK && tensor->shape.ndim < 2)
        st = FAR_FAIL(FAR_E_SHAPE, "norm '%s': expects [N, C, ...]; got %s [%s]", name, tensor->name,
                      far_shape_text(&tensor->shape, text));
    if (st != FAR_OK) (void)fari_graph_fail(graph, st);
    return st == FAR_OK;
}

far_status far_graph_fix_norms(far_graph *graph, const char *patterns)
{
    char *copy = fari_strdup(patterns);
    if (copy == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for patterns of norms");
    fari_free(graph->fixed_norms);
    graph->fixed_norms = copy;
    return FAR_OK;
}

static bool is_fixed(const far_graph *graph, const char *name)
{
    char weight[512];
    (void)snprintf(weight, sizeof weight, "%s.weight", name);
    return graph->fixed_norms != NULL && fari_patterns_match(graph->fixed_norms, weight);
}

far_value far_batch_norm(far_graph *graph, const char *name, far_value x, const far_norm_opts *opts)
{
    if (opts == NULL) opts = &no_opts;
    if (!begin(graph, name, x, opts)) return FAR_NO_VALUE;
    const far_shape shape = fari_tensor_of(graph, x)->shape;
    const int64_t shared = opts->group_samples == shape.dim[0] ? 0 : opts->group_samples;
    fari_norm_attr attr = attr_from(opts, &shape, shape.dim[1], shared);
    far_value running[2] = { FAR_NO_VALUE, FAR_NO_VALUE }, meanrstd, stats;
    if (!opts->no_running) {
        running[0] = vector_named(graph, name, "running_mean", shape.dim[1], 0.0, false);
        running[1] = vector_named(graph, name, "running_var", shape.dim[1], 1.0, false);
    }
    if (opts->no_running || (far_graph_is_training(graph) && !is_fixed(graph, name))) {
        if (attr.count < 2) /* also where PyTorch says "Expected more than 1 value per channel" */
            return fari_graph_fail(
                graph, FAR_FAIL(FAR_E_SHAPE, "batch norm '%s' needs more than one element a channel", name));
        meanrstd = emit_own_stats(graph, name, &attr, x, &stats);
        if (!opts->no_running && meanrstd >= 0) emit_running(graph, name, &attr, stats, running);
    } else {
        attr.group_samples = 0;
        attr.batch_stats = false;
        meanrstd = emit_named(graph, &fari_op_norm_fixed, name, "meanrstd", &attr, 2, running);
    }
    return emit_apply(graph, name, &attr, x, meanrstd, opts->residual);
}

/* Statistics of each sample over runs of channels. */
static far_value sample_norm(far_graph *graph, const char *name, far_value x, int64_t groups, const far_norm_opts *opts)
{
    const far_shape shape = fari_tensor_of(graph, x)->shape;
    far_value stats;
    if (groups < 1 || shape.dim[1] % groups != 0)
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_SHAPE,
                                               "norm '%s': %" PRId64 " channels cannot be cut in %" PRId64 " groups",
                                               name, shape.dim[1], groups));
    const fari_norm_attr attr = attr_from(opts, &shape, groups, 1);
    const far_value meanrstd = emit_own_stats(graph, name, &attr, x, &stats);
    return emit_apply(graph, name, &attr, x, meanrstd, opts->residual);
}

far_value far_group_norm(far_graph *graph, const char *name, far_value x, int64_t groups, const far_norm_opts *opts)
{
    if (opts == NULL) opts = &no_opts;
    return begin(graph, name, x, opts) ? sample_norm(graph, name, x, groups, opts) : FAR_NO_VALUE;
}

far_value far_instance_norm(far_graph *graph, const char *name, far_value x, const far_norm_opts *opts)
{
    if (opts == NULL) opts = &no_opts;
    if (!begin(graph, name, x, opts)) return FAR_NO_VALUE;
    return sample_norm(graph, name, x, fari_tensor_of(graph, x)->shape.dim[1], opts);
}

far_value far_layer_norm(far_graph *graph, const char *name, far_value x, const far_norm_opts *opts)
{
    if (opts == NULL) opts = &no_opts;
    return begin(graph, name, x, opts) ? sample_norm(graph, name, x, 1, opts) : FAR_NO_VALUE;
}

far_value far_layer_norm_last(far_graph *graph, const char *name, far_value x, const far_norm_opts *opts)
{
    if (opts == NULL) opts = &no_opts;
    if (!begin(graph, name, x, opts)) return FAR_NO_VALUE;
    if (opts->act != FAR_ACT_NONE || opts->residual != NULL)
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_ARG, "layer norm '%s' over the last axis fuses nothing", name));
    const far_shape shape = fari_tensor_of(graph, x)->shape;
    const fari_layer_norm_attr attr = { opts->eps > 0.0 ? opts->eps : EPS_DEFAULT, !opts->no_affine };
    far_value in[3] = { x };
    int32_t count = 1;
    if (attr.has_affine) {
        in[count++] = vector_named(graph, name, "weight", shape.dim[shape.ndim - 1], 1.0, true);
        in[count++] = vector_named(graph, name, "bias", shape.dim[shape.ndim - 1], 0.0, true);
    }
    return fari_emit(graph, &fari_op_layer_norm, name, &attr, count, in);
}
