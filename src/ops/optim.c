/* The table of optimizers, their options, and the walk over the parameters. */
#include "ops/optim.h"
#include "base/mem.h"
#include "base/text.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

_Static_assert(FARI_HYPER_COUNT == FAR_HYPER_COUNT, "the public count is the internal one");

/* ---- the table ---- */

/* Options that only some optimizers have. */
enum {
    HAS_MOMENTUM = 1,
    HAS_NESTEROV = 2, /* and dampening */
    HAS_BETAS = 4,
    HAS_ALPHA = 8, /* and centered */
    HAS_EPS = 16,
    HAS_FORM = 32, /* and trust clip, always_adapt, exclude */
    HAS_TRUST = 64 /* and momentum correction, place of the learning rate */
};

typedef struct optim_row {
    const char *name, *sentence;
    unsigned has;
    double momentum, weight_decay, eps; /* defaults */
    fari_optim_emit_fn emit;
    fari_optim_check_fn check; /* NULL: nothing more to check */
} optim_row;

static const optim_row rows[] = {
    { "sgd", "Stochastic gradient descent with momentum, dampening and Nesterov's variant.",
      HAS_MOMENTUM | HAS_NESTEROV, 0.0, 0.0, 0.0, fari_optim_emit_sgd, NULL },
    { "adam", "Adam (Kingma and Ba 2015); weight decay joins the gradient.", HAS_BETAS | HAS_EPS, 0.0, 0.0, 1e-8,
      fari_optim_emit_adam, NULL },
    { "adamw", "Adam with decoupled weight decay (Loshchilov and Hutter 2019).", HAS_BETAS | HAS_EPS, 0.0, 1e-2, 1e-8,
      fari_optim_emit_adamw, NULL },
    { "rmsprop", "RMSprop (Hinton 2012), optionally centered and with momentum.", HAS_MOMENTUM | HAS_ALPHA | HAS_EPS,
      0.0, 0.0, 1e-8, fari_optim_emit_rmsprop, NULL },
    { "lars", "Layer-wise adaptive rates for momentum SGD (You, Gitman, Ginsburg 2017), in a named form.",
      HAS_MOMENTUM | HAS_NESTEROV | HAS_EPS | HAS_FORM | HAS_TRUST, 0.9, 0.0, 0.0, fari_optim_emit_lars,
      fari_optim_check_lars },
    { "lamb", "Layer-wise adaptive moments (You et al. 2020), in a named form.", HAS_BETAS | HAS_EPS | HAS_FORM, 0.0,
      0.0, 1e-6, fari_optim_emit_lamb, fari_optim_check_lamb },
};

const char *far_optim_describe(int32_t idx, const char **sentence_out)
{
    if (idx < 0 || (size_t)idx >= FAR_COUNT(rows)) return NULL;
    if (sentence_out != NULL) *sentence_out = rows[idx].sentence;
    return rows[idx].name;
}

static const optim_row *row_find(const char *name)
{
    for (size_t i = 0; i < FAR_COUNT(rows); i++)
        if (strcmp(name == NULL ? "sgd" : name, rows[i].name) == 0) return &rows[i];
    return NULL;
}

/* ---- options ---- */

static far_status expect_has(const optim_row *row, bool is_given, unsigned has, const char *option)
{
    if (!is_given || (row->has & has) != 0) return FAR_OK;
    return FAR_FAIL(FAR_E_CONFIG, "optimizer %s has no option %s", row->name, option);
}

static far_status check_known(const optim_row *row, const far_optim_opts *o)
{
    FAR_TRY(expect_has(row, o->form != NULL, HAS_FORM, "form"));
    FAR_TRY(expect_has(row, o->momentum != 0.0, HAS_MOMENTUM, "momentum"));
    FAR_TRY(expect_has(row, o->nesterov, HAS_NESTEROV, "nesterov"));
    FAR_TRY(expect_has(row, o->dampening != 0.0, HAS_NESTEROV, "dampening"));
    FAR_TRY(expect_has(row, o->betas[0] != 0.0 || o->betas[1] != 0.0, HAS_BETAS, "betas"));
    FAR_TRY(expect_has(row, o->alpha != 0.0, HAS_ALPHA, "alpha"));
    FAR_TRY(expect_has(row, o->centered, HAS_ALPHA, "centered"));
    FAR_TRY(expect_has(row, o->eps != 0.0, HAS_EPS, "eps"));
    FAR_TRY(expect_has(row, o->trust != 0.0, HAS_TRUST, "trust"));
    FAR_TRY(expect_has(row, o->momentum_correction, HAS_TRUST, "momentum_correction"));
    FAR_TRY(expect_has(row, o->lr_place != FAR_LR_BY_FORM, HAS_TRUST, "lr_place"));
    FAR_TRY(expect_has(row, o->trust_clip, HAS_FORM, "trust_clip"));
    FAR_TRY(expect_has(row, o->always_adapt, HAS_FORM, "always_adapt"));
    return expect_has(row, o->exclude != FAR_EXCLUDE_BY_FORM, HAS_FORM, "exclude");
}

/* Zero is the default, FAR_OPTIM_ZERO is zero. */
static double or_default(double value, double fallback)
{
    return value == 0.0 ? fallback : value < 0.0 ? 0.0 : value;
}

static far_status expect_below(const optim_row *row, const char *option, double value, double limit)
{
    if (value >= 0.0 && value < limit) return FAR_OK; /* NaN fails */
    return FAR_FAIL(FAR_E_ARG, "optimizer %s: %s must be in [0, %g), got %g", row->name, option, limit, value);
}

static far_status check_ranges(const optim_row *row, const far_optim_opts *o)
{
    FAR_TRY(expect_below(row, "momentum", o->momentum, 1.0));
    FAR_TRY(expect_below(row, "betas[0]", o->betas[0], 1.0));
    FAR_TRY(expect_below(row, "betas[1]", o->betas[1], 1.0));
    FAR_TRY(expect_below(row, "alpha", o->alpha, 1.0));
    FAR_TRY(expect_below(row, "dampening", o->dampening, 1.0));
    FAR_TRY(expect_below(row, "ema_decay", o->ema_decay, 1.0));
    FAR_TRY(expect_below(row, "eps", o->eps, (double)INFINITY));
    FAR_TRY(expect_below(row, "weight_decay", o->weight_decay, (double)INFINITY));
    FAR_TRY(expect_below(row, "trust", o->trust, (double)INFINITY));
    FAR_TRY(expect_below(row, "clip_norm", o->clip_norm, (double)INFINITY));
    FAR_TRY(expect_below(row, "clip_tensor_norm", o->clip_tensor_norm, (double)INFINITY));
    FAR_TRY(expect_below(row, "clip_value", o->clip_value, (double)INFINITY));
    if (o->nesterov && (o->momentum == 0.0 || o->dampening != 0.0))
        return FAR_FAIL(FAR_E_ARG, "optimizer %s: Nesterov's variant needs a momentum and no dampening", row->name);
    if (o->clip_norm > 0.0 && o->clip_tensor_norm > 0.0)
        return FAR_FAIL(FAR_E_ARG, "optimizer %s: choose one of clip_norm and clip_tensor_norm", row->name);
    return FAR_OK;
}

/* Fills in the defaults. */
static far_status opts_complete(const optim_row *row, far_optim_opts *o)
{
    o->name = row->name;
    FAR_TRY(check_known(row, o));
    if (row->check != NULL) FAR_TRY(row->check(o)); /* first: a form has defaults of its own */
    o->momentum = or_default(o->momentum, row->momentum);
    o->betas[0] = or_default(o->betas[0], 0.9);
    o->betas[1] = or_default(o->betas[1], 0.999);
    o->alpha = or_default(o->alpha, 0.99);
    o->eps = or_default(o->eps, row->eps);
    o->weight_decay = or_default(o->weight_decay, row->weight_decay);
    o->trust = or_default(o->trust, 1e-3);
    o->clip_norm = or_default(o->clip_norm, 0.0);
    return check_ranges(row, o);
}

/* ---- groups ---- */

/* Row of the hyper-parameters: 0 for no group. */
static int32_t group_of(const far_optim_opts *opts, const char *name)
{
    for (int32_t i = 0; i < opts->group_count; i++)
        if (opts->groups[i].patterns != NULL && fari_patterns_match(opts->groups[i].patterns, name)) return i + 1;
    return 0;
}

static far_status check_groups(const far_graph *graph, const far_optim_opts *opts)
{
    for (int32_t g = 0; g < opts->group_count; g++) {
        bool any = false;
        for (int64_t i = 0; !any && i < graph->tensor_count; i++)
            any = graph->tensors[i]->role == FARI_ROLE_PARAM && opts->groups[g].patterns != NULL &&
                  fari_patterns_match(opts->groups[g].patterns, graph->tensors[i]->name);
        if (!any)
            return FAR_FAIL(FAR_E_NOTFOUND, "parameter group %" PRId32 ": no parameter is named like '%s'", g,
                            opts->groups[g].patterns == NULL ? "" : opts->groups[g].patterns);
    }
    return FAR_OK;
}

far_status far_optim_freeze(far_graph *graph, const far_optim_opts *opts)
{
    FAR_TRY(far_graph_status(graph));
    FAR_TRY(check_groups(graph, opts));
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        fari_tensor *t = graph->tensors[i];
        const int32_t group = t->role == FARI_ROLE_PARAM ? group_of(opts, t->name) : 0;
        if (group > 0 && opts->groups[group - 1].is_frozen) t->frozen = true;
    }
    return FAR_OK;
}

void far_optim_hyper(const far_optim_opts *opts, int64_t step, double lr, double lr_last, double *hyper_out)
{
    for (int32_t row = 0; row <= opts->group_count; row++) {
        double *hyper = hyper_out + (size_t)row * FARI_HYPER_COUNT;
        const double scale = row == 0 ? 1.0 : or_default(opts->groups[row - 1].lr_scale, 1.0);
        hyper[FARI_HYPER_LR] = lr * scale;
        hyper[FARI_HYPER_STEP] = (double)(step + 1);
        hyper[FARI_HYPER_MOMENTUM_SCALE] = step > 0 && lr_last > 0.0 ? lr / lr_last : 1.0;
        hyper[FARI_HYPER_DECAY_SCALE] = 1.0;
        hyper[FARI_HYPER_EMA_DECAY] = opts->ema_decay;
    }
}

/* ---- parameters ---- */

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* A normalisation is a layer whose weight has one axis. */
static bool is_norm(const far_graph *graph, const char *name)
{
    const char *dot = strrchr(name, '.');
    if (dot == NULL) return false;
    const size_t base = (size_t)(dot - name) + 1;
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        const fari_tensor *t = graph->tensors[i];
        if (t->role == FARI_ROLE_PARAM && strncmp(t->name, name, base) == 0 && strcmp(t->name + base, "weight") == 0)
            return t->shape.ndim <= 1;
    }
    return false;
}

static bool is_trained(const fari_tensor *t)
{
    return t->role == FARI_ROLE_PARAM && t->grad >= 0 && !t->frozen;
}

static fari_optim_target target_of(const fari_optim_plan *plan, far_value param)
{
    const fari_tensor *t = fari_tensor_of(plan->graph, param);
    const int32_t group = group_of(&plan->opts, t->name);
    fari_optim_target target = { .name = t->name, .param = param, .grad = t->grad, .clip = plan->clip };
    target.is_bias_norm = t->shape.ndim <= 1 || ends_with(t->name, ".bias");
    target.is_norm = t->shape.ndim <= 1 && is_norm(plan->graph, t->name);
    target.no_adapt = group > 0 && plan->opts.groups[group - 1].no_adapt;
    target.common.group = group;
    target.common.clip_value = plan->opts.clip_value;
    target.common.weight_decay = group > 0
                                     ? or_default(plan->opts.groups[group - 1].weight_decay, plan->opts.weight_decay)
                                     : plan->opts.weight_decay;
    if (plan->opts.no_decay_bias_norm && target.is_bias_norm) target.common.weight_decay = 0.0;
    if (plan->opts.clip_tensor_norm > 0.0)
        target.clip = fari_optim_clip_scale(plan->graph, t->name, fari_optim_sumsq(plan->graph, t->name, t->grad),
                                            plan->opts.clip_tensor_norm, plan->clip_eps);
    target.common.has_clip = target.clip >= 0;
    return target;
}

/* The sum over all gradients, in the order of the parameters, FARI_IN_MAX at a time. */
static far_value global_sumsq(far_graph *graph, int64_t tensor_count)
{
    far_value in[FARI_IN_MAX];
    int32_t count = 0;
    for (int64_t i = 0; i < tensor_count; i++) {
        const fari_tensor *t = graph->tensors[i];
        if (!is_trained(t)) continue;
        if (count == FARI_IN_MAX) {
            in[0] = fari_emit(graph, &fari_op_add_n, "grad_norm", NULL, count, in);
            count = 1;
        }
        in[count++] = fari_optim_sumsq(graph, t->name, t->grad);
    }
    if (count == 0) return FAR_NO_VALUE;
    return count == 1 ? in[0] : fari_emit(graph, &fari_op_add_n, "grad_norm", NULL, count, in);
}

static far_value ema_state(const fari_optim_plan *plan, const fari_optim_target *target)
{
    return plan->opts.ema_decay > 0.0 ? fari_optim_state(plan, target, "ema") : FAR_NO_VALUE;
}

static far_status apply(fari_optim_plan *plan, const optim_row *row)
{
    far_graph *graph = plan->graph;
    const int64_t tensor_count = graph->tensor_count; /* states come behind */
    FAR_TRY(far_optim_freeze(graph, &plan->opts));
    plan->clip = FAR_NO_VALUE;
    if (plan->opts.clip_norm > 0.0) {
        const far_value sumsq = global_sumsq(graph, tensor_count);
        if (sumsq >= 0)
            plan->clip = fari_optim_clip_scale(graph, "grad_norm", sumsq, plan->opts.clip_norm, plan->clip_eps);
    }
    for (int64_t i = 0; i < tensor_count && graph->status == FAR_OK; i++) {
        if (!is_trained(graph->tensors[i])) continue;
        const fari_optim_target target = target_of(plan, (far_value)i);
        const far_value ema = ema_state(plan, &target);
        if (ema >= 0) fari_optim_emit_ema(graph, target.name, target.common.group, target.param, ema, true);
        row->emit(plan, &target);
        if (ema >= 0) fari_optim_emit_ema(graph, target.name, target.common.group, target.param, ema, false);
    }
    return far_graph_status(graph);
}

static far_status apply_row(far_graph *graph, const far_optim_opts *opts, const optim_row *row)
{
    fari_optim_plan plan = { .graph = graph, .opts = *opts };
    const fari_phase phase = graph->phase;
    FAR_TRY(opts_complete(row, &plan.opts));
    /* PyTorch's clip_grad_norm_ adds 1e-6 to the norm; NVLAMB divides by the norm itself. */
    plan.clip_eps = strcmp(row->name, "lamb") == 0 ? 0.0 : 1e-6;
    graph->phase = FARI_UPDATE;
    const far_status st = apply(&plan, row);
    graph->phase = phase;
    return st;
}

far_status far_optim_apply(far_graph *graph, const far_optim_opts *opts)
{
    FAR_TRY(far_graph_status(graph));
    const optim_row *row = row_find(opts->name);
    const far_status st =
        row != NULL
            ? apply_row(graph, opts, row)
            : FAR_FAIL(FAR_E_CONFIG, "no optimizer '%s'; there are sgd, adam, adamw, rmsprop, lars, lamb", opts->name);
    if (st != FAR_OK) (void)fari_graph_fail(graph, st);
    return st;
}

/* ---- what the optimizers' files use ---- */

far_value fari_optim_state(const fari_optim_plan *plan, const fari_optim_target *target, const char *suffix)
{
    const far_shape shape = far_graph_shape(plan->graph, target->param);
    char *name = fari_printf("%s.%s", target->name, suffix);
    if (name == NULL) return fari_graph_fail(plan->graph, FAR_FAIL(FAR_E_NOMEM, "no memory for the name of a state"));
    const far_value state = fari_graph_opt_state(plan->graph, name, FAR_F32, &shape, 0.0);
    fari_free(name);
    return state;
}

void fari_optim_emit(const fari_optim_plan *plan, const fari_optim_target *target, const fari_op *op, const void *attr,
                     int32_t in_count, const far_value *in, int32_t out_count, const far_value *out)
{
    far_value all[FARI_IN_MAX];
    FAR_ASSERT(in_count < FARI_IN_MAX);
    memcpy(all, in, (size_t)in_count * sizeof in[0]);
    if (target->common.has_clip) all[in_count++] = target->clip;
    fari_emit_mutate(plan->graph, op, target->name, attr, in_count, all, out_count, out);
}
