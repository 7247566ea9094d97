#include "models/blocks.h"
#include <farandole/elementwise.h>
#include <farandole/extend.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

fari_path fari_path_of(const char *fmt, ...)
{
    fari_path path;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(path.text, sizeof path.text, fmt, args);
    va_end(args);
    return path;
}

far_act fari_act_of(const far_options *opts, const char *key)
{
    return (far_act)far_options_enum(opts, key); /* the option's values are in far_act's order */
}

/* PyTorch's defaults: its instance norm alone has neither gamma nor beta. */
static bool is_affine(const far_options *opts, fari_norm_kind kind)
{
    enum { AUTO, YES, NO };
    const int64_t affine = far_options_enum(opts, "affine");
    return affine == YES || (affine == AUTO && kind != FARI_NORM_INSTANCE);
}

fari_norm_style fari_norm_style_of(const far_options *opts)
{
    const fari_norm_kind kind = (fari_norm_kind)far_options_enum(opts, "norm");
    return (fari_norm_style){
        .kind = kind,
        .groups = far_options_i64(opts, "groups"),
        .base = { .eps = far_options_f64(opts, "eps"),
                  .momentum = far_options_f64(opts, "momentum"),
                  .group_samples = far_options_i64(opts, "group_samples"),
                  .no_affine = !is_affine(opts, kind) },
        .act = fari_act_of(opts, "act"),
        .slope = far_options_f64(opts, "slope"),
    };
}

static far_value norm(far_graph *graph, const char *name, far_value x, const fari_norm_style *style,
                      const far_norm_opts *opts)
{
    switch (style->kind) {
    case FARI_NORM_BATCH: return far_batch_norm(graph, name, x, opts);
    case FARI_NORM_GROUP: return far_group_norm(graph, name, x, style->groups, opts);
    case FARI_NORM_INSTANCE: return far_instance_norm(graph, name, x, opts);
    case FARI_NORM_LAYER: return far_layer_norm(graph, name, x, opts);
    case FARI_NORM_NONE: break;
    }
    if (opts->residual == NULL) return x;
    return far_add(graph, fari_path_of("%s.add", name).text, x, *opts->residual);
}

far_value fari_norm_act(far_graph *graph, const char *name, far_value x, const fari_norm_style *style, far_act act,
                        const far_value *residual)
{
    /* A slope of 0 asks the norm for its default: leaky ReLU with slope 0 is ReLU. */
    if (act == FAR_ACT_LEAKY_RELU && style->slope == 0.0) act = FAR_ACT_RELU;
    const bool fuses = style->kind != FARI_NORM_NONE && (act == FAR_ACT_RELU || act == FAR_ACT_LEAKY_RELU);
    far_norm_opts opts = style->base;
    opts.act = fuses ? act : FAR_ACT_NONE;
    opts.slope = style->slope;
    opts.residual = residual;
    x = norm(graph, name, x, style, &opts);
    return fuses ? x : far_activation(graph, fari_path_of("%s.act", name).text, x, act, style->slope);
}

void fari_norm_declare(far_graph *graph, const char *name, int64_t channels, const fari_norm_style *style, double gamma)
{
    const far_shape shape = { .ndim = 1, .dim = { channels } };
    if (style->kind == FARI_NORM_NONE || style->base.no_affine) return;
    (void)far_graph_param(graph, fari_path_of("%s.weight", name).text, &shape, (far_init){ FAR_INIT_CONST, gamma, 0 });
    (void)far_graph_param(graph, fari_path_of("%s.bias", name).text, &shape, (far_init){ FAR_INIT_CONST, 0.0, 0 });
}

bool fari_check_ndim(far_graph *graph, const char *model, far_value x, int32_t ndim, int32_t ndim_or)
{
    const far_shape shape = far_graph_shape(graph, x);
    char text[128];
    if (far_graph_status(graph) != FAR_OK) return false;
    if (shape.ndim == ndim || (ndim_or != 0 && shape.ndim == ndim_or)) return true;
    (void)far_graph_fail(graph, FAR_E_SHAPE, "%s expects an input [N, C, %s]%s; got %s", model,
                         ndim == 5 ? "D, H, W" : "H, W", ndim_or == 5 ? " or [N, C, D, H, W]" : "",
                         far_shape_text(&shape, text));
    return false;
}

static int64_t halvings_of(int64_t extent)
{
    int64_t count = 0;
    for (; extent > 0 && extent % 2 == 0; extent /= 2) count++;
    return count;
}

/* Extent `axis` is odd at some level: which, and what would do. */
static void fail_halvings(far_graph *graph, const char *model, const far_shape *shape, int32_t axis, int64_t depth)
{
    static const char *const names[] = { "depth", "height", "width" };
    const int64_t extent = shape->dim[axis], unit = (int64_t)1 << depth, level = halvings_of(extent);
    const int64_t below = extent / unit * unit;
    char smaller[32] = "", shallower[64] = "", text[128];
    int64_t most = depth;
    for (int32_t i = 2; i < shape->ndim; i++)
        if (halvings_of(shape->dim[i]) < most) most = halvings_of(shape->dim[i]);
    if (below > 0) (void)snprintf(smaller, sizeof smaller, "%" PRId64 " and ", below);
    if (most > 0) (void)snprintf(shallower, sizeof shallower, ", or with this size a depth of at most %" PRId64, most);
    (void)far_graph_fail(graph, FAR_E_SHAPE,
                         "%s halves images %" PRId64 " times, and the %s %" PRId64 " is odd at level %" PRId64
                         " (%" PRId64 "): possible are multiples of %" PRId64 ", nearest %s%" PRId64 "%s; got %s",
                         model, depth, names[axis - shape->ndim + 3], extent, level, extent >> level, unit, smaller,
                         below + unit, shallower, far_shape_text(shape, text));
}

bool fari_check_halvings(far_graph *graph, const char *model, far_value x, int64_t depth)
{
    const far_shape shape = far_graph_shape(graph, x);
    if (far_graph_status(graph) != FAR_OK) return false;
    for (int32_t i = 2; i < shape.ndim; i++)
        if (shape.dim[i] % ((int64_t)1 << depth) != 0) {
            fail_halvings(graph, model, &shape, i, depth);
            return false;
        }
    return true;
}
