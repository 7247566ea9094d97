#include "support/optim_problem.h"
#include "test.h"
#include <fnmatch.h>

struct optim_model {
    int64_t elems;
    double *w, *c, *g;
    double *v, *m, *s, *a; /* momentum, first moment, second moment, mean gradient */
    double *ema;
    double decay, lr_scale;
    bool is_frozen, is_excluded;
};

static double norm(const double *x, int64_t elems)
{
    double sum = 0.0;
    for (int64_t k = 0; k < elems; k++) sum += x[k] * x[k];
    return sqrt(sum);
}

void optim_formula_sgd(const far_optim_opts *o, optim_model *p, int64_t t, double lr, double lr_last)
{
    (void)lr_last;
    for (int64_t k = 0; k < p->elems; k++) {
        double d = p->g[k] + p->decay * p->w[k];
        if (o->momentum != 0.0) {
            p->v[k] = t == 1 ? d : o->momentum * p->v[k] + (1.0 - o->dampening) * d;
            d = o->nesterov ? d + o->momentum * p->v[k] : p->v[k];
        }
        p->w[k] -= lr * d;
    }
}

static double beta_of(const far_optim_opts *o, int i)
{
    return o->betas[i] != 0.0 ? o->betas[i] : i == 0 ? 0.9 : 0.999;
}

void optim_formula_adam(const far_optim_opts *o, optim_model *p, int64_t t, double lr, double lr_last)
{
    const double b1 = beta_of(o, 0), b2 = beta_of(o, 1), eps = o->eps != 0.0 ? o->eps : 1e-8;
    const bool is_w = strcmp(o->name, "adamw") == 0;
    (void)lr_last;
    for (int64_t k = 0; k < p->elems; k++) {
        double g = p->g[k];
        if (is_w) p->w[k] -= lr * p->decay * p->w[k];
        else g += p->decay * p->w[k];
        p->m[k] = b1 * p->m[k] + (1.0 - b1) * g;
        p->s[k] = b2 * p->s[k] + (1.0 - b2) * g * g;
        const double m_hat = p->m[k] / (1.0 - pow(b1, (double)t)), s_hat = p->s[k] / (1.0 - pow(b2, (double)t));
        p->w[k] -= lr * m_hat / (sqrt(s_hat) + eps);
    }
}

void optim_formula_rmsprop(const far_optim_opts *o, optim_model *p, int64_t t, double lr, double lr_last)
{
    const double alpha = o->alpha != 0.0 ? o->alpha : 0.99, eps = o->eps != 0.0 ? o->eps : 1e-8;
    (void)t, (void)lr_last;
    for (int64_t k = 0; k < p->elems; k++) {
        const double g = p->g[k] + p->decay * p->w[k];
        p->s[k] = alpha * p->s[k] + (1.0 - alpha) * g * g;
        p->a[k] = alpha * p->a[k] + (1.0 - alpha) * g;
        const double step = g / (sqrt(o->centered ? p->s[k] - p->a[k] * p->a[k] : p->s[k]) + eps);
        p->v[k] = o->momentum * p->v[k] + step;
        p->w[k] -= lr * (o->momentum != 0.0 ? p->v[k] : step);
    }
}

/* One branch a form, as its own code reads. */
void optim_formula_lars(const far_optim_opts *o, optim_model *p, int64_t t, double lr, double lr_last)
{
    const char *form = o->form == NULL ? "you" : o->form;
    const double m = o->momentum > 0.0   ? o->momentum
                     : o->momentum < 0.0 ? 0.0
                                         : 0.9,
                 eta = o->trust != 0.0 ? o->trust : 0.001;
    const bool is_timm = strcmp(form, "timm") == 0, is_solo = strcmp(form, "solo") == 0,
               is_dino = strcmp(form, "dino") == 0;
    const bool is_larc = strncmp(form, "nvcaffe", 7) == 0, is_inside = o->lr_place == FAR_LR_BY_FORM
                                                                           ? !is_timm && !is_solo && !is_dino
                                                                           : o->lr_place == FAR_LR_INSIDE;
    const double w_norm = norm(p->w, p->elems), g_norm = norm(p->g, p->elems);
    double decay = p->decay, rate = 1.0;
    if (p->is_excluded) {
        decay = 0.0;
    } else if (is_timm) {
        if (decay != 0.0 || o->always_adapt) {
            if (w_norm > 0.0 && g_norm > 0.0) rate = eta * w_norm / (g_norm + decay * w_norm + 1e-8);
            if (o->trust_clip) rate = fmin(rate / lr, 1.0);
        }
    } else if (is_solo) {
        if (w_norm != 0.0 && g_norm != 0.0) {
            rate = eta * w_norm / (g_norm + decay * w_norm + 1e-8);
            if (o->trust_clip) rate = fmin(rate / lr, 1.0);
        } else {
            decay = 0.0;
        }
    } else if (is_dino) {
        double sum = 0.0;
        for (int64_t k = 0; k < p->elems; k++) sum += (p->g[k] + decay * p->w[k]) * (p->g[k] + decay * p->w[k]);
        if (w_norm > 0.0 && sum > 0.0) rate = eta * w_norm / sqrt(sum);
    } else if (is_larc) {
        if (w_norm > 0.0 && g_norm > 0.0) rate = (1.0 - m) * eta * w_norm / g_norm;
        if (strcmp(form, "nvcaffe_larc_clip") == 0) rate = fmin(lr, rate) / lr;
    } else if (w_norm > 0.0 && g_norm > 0.0) {
        rate = eta * w_norm / (g_norm + decay * w_norm + (strcmp(form, "mlperf") == 0 ? 1e-7 : 0.0));
    }
    for (int64_t k = 0; k < p->elems; k++) {
        const double u = rate * (p->g[k] + decay * p->w[k]);
        if (is_inside) {
            const double m_now = m * (o->momentum_correction && t > 1 ? lr / lr_last : 1.0);
            p->v[k] = m_now * p->v[k] + lr * u;
            p->w[k] -= o->nesterov ? m_now * p->v[k] + lr * u : p->v[k];
        } else {
            p->v[k] = t == 1 || m == 0.0 ? u : m * p->v[k] + (1.0 - o->dampening) * u;
            p->w[k] -= lr * (o->nesterov ? u + m * p->v[k] : p->v[k]);
        }
    }
}

void optim_formula_lamb(const far_optim_opts *o, optim_model *p, int64_t t, double lr, double lr_last)
{
    const bool is_author = o->form == NULL || strcmp(o->form, "author") == 0;
    const double b1 = beta_of(o, 0), b2 = beta_of(o, 1), eps = o->eps != 0.0 ? o->eps : 1e-6;
    const double c1 = is_author ? 1.0 : 1.0 - pow(b1, (double)t), c2 = is_author ? 1.0 : 1.0 - pow(b2, (double)t);
    const double decay = p->is_excluded ? 0.0 : p->decay;
    double *u = malloc((size_t)p->elems * sizeof *u), ratio = 1.0;
    (void)lr_last;
    for (int64_t k = 0; k < p->elems; k++) {
        p->m[k] = b1 * p->m[k] + (1.0 - b1) * p->g[k];
        p->s[k] = b2 * p->s[k] + (1.0 - b2) * p->g[k] * p->g[k];
        u[k] = p->m[k] / c1 / (sqrt(p->s[k]) / sqrt(c2) + eps) + decay * p->w[k];
    }
    const double w_norm = norm(p->w, p->elems), u_norm = norm(u, p->elems);
    const bool adapts = !p->is_excluded && (is_author || decay != 0.0 || o->always_adapt);
    if (adapts && w_norm > 0.0 && u_norm > 0.0) ratio = w_norm / u_norm;
    if (o->trust_clip) ratio = fmin(ratio, 1.0);
    for (int64_t k = 0; k < p->elems; k++) p->w[k] -= lr * ratio * u[k];
    free(u);
}

static void scale(optim_model *p, double factor)
{
    for (int64_t k = 0; k < p->elems; k++) p->g[k] *= factor;
}

static void clip_gradients(const far_optim_opts *o, optim_model *models)
{
    const bool is_lamb = strcmp(o->name, "lamb") == 0;
    double max_norm = o->clip_norm, total = 0.0;
    if (is_lamb && o->form != NULL && strcmp(o->form, "author") != 0 && max_norm == 0.0 && o->clip_tensor_norm == 0.0)
        max_norm = 1.0;
    for (int i = 0; i < OPTIM_PARAMS; i++) {
        const double each = norm(models[i].g, models[i].elems);
        if (!models[i].is_frozen) total += each * each;
        if (o->clip_tensor_norm > 0.0)
            scale(&models[i], fmin(1.0, o->clip_tensor_norm / (each + (is_lamb ? 0.0 : 1e-6))));
    }
    for (int i = 0; i < OPTIM_PARAMS; i++) {
        if (max_norm > 0.0) scale(&models[i], fmin(1.0, max_norm / (sqrt(total) + (is_lamb ? 0.0 : 1e-6))));
        for (int64_t k = 0; o->clip_value > 0.0 && k < models[i].elems; k++)
            models[i].g[k] = fmax(-o->clip_value, fmin(o->clip_value, models[i].g[k]));
    }
}

static bool is_excluded(const far_optim_opts *o, const optim_param *row)
{
    const char *form = o->form == NULL ? "" : o->form;
    far_exclude exclude = o->exclude;
    if (strcmp(o->name, "lars") != 0 && strcmp(o->name, "lamb") != 0) return false;
    if (exclude == FAR_EXCLUDE_BY_FORM &&
        (strcmp(form, "mlperf") == 0 || strcmp(form, "dino") == 0 || strcmp(form, "solo") == 0))
        exclude = FAR_EXCLUDE_BIAS_NORM;
    if (exclude == FAR_EXCLUDE_BY_FORM && strcmp(o->name, "lamb") == 0 &&
        (form[0] == '\0' || strcmp(form, "author") == 0))
        exclude = FAR_EXCLUDE_NORM;
    return (exclude == FAR_EXCLUDE_NORM && row->is_norm) || (exclude == FAR_EXCLUDE_BIAS_NORM && row->is_bias_norm);
}

static double *copy_of(const double *from, int64_t elems)
{
    double *to = calloc((size_t)elems, sizeof *to);
    if (from != NULL) memcpy(to, from, (size_t)elems * sizeof *to);
    return to;
}

static optim_model model_make(const far_optim_opts *o, int i, const optim_numbers *start)
{
    const int64_t n = far_shape_elems(&optim_params[i].shape);
    optim_model p = { .elems = n,
                      .w = copy_of(start->w[i], n),
                      .c = copy_of(start->slope[i], n),
                      .g = copy_of(NULL, n),
                      .v = copy_of(NULL, n),
                      .m = copy_of(NULL, n),
                      .s = copy_of(NULL, n),
                      .a = copy_of(NULL, n),
                      .ema = copy_of(start->w[i], n),
                      .lr_scale = 1.0 };
    p.decay = o->weight_decay > 0.0                                     ? o->weight_decay
              : o->weight_decay == 0.0 && strcmp(o->name, "adamw") == 0 ? 0.01
                                                                        : 0.0;
    p.is_excluded = is_excluded(o, &optim_params[i]);
    for (int32_t g = o->group_count; g-- > 0;) {
        if (fnmatch(o->groups[g].patterns, optim_params[i].name, 0) != 0)
            continue; /* the tests give one pattern a group */
        p.lr_scale = o->groups[g].lr_scale > 0.0 ? o->groups[g].lr_scale : 1.0;
        if (o->groups[g].weight_decay != 0.0) p.decay = fmax(o->groups[g].weight_decay, 0.0);
        p.is_frozen = o->groups[g].is_frozen;
    }
    if (o->no_decay_bias_norm && optim_params[i].is_bias_norm) p.decay = 0.0;
    return p;
}

static void model_free(optim_model *p)
{
    double *all[] = { p->c, p->g, p->v, p->m, p->s, p->a };
    for (size_t i = 0; i < FAR_COUNT(all); i++) free(all[i]);
}

void optim_formula_run(const far_optim_opts *o, optim_formula_fn formula, const optim_numbers *start,
                       optim_numbers *end)
{
    optim_model models[OPTIM_PARAMS];
    for (int i = 0; i < OPTIM_PARAMS; i++) models[i] = model_make(o, i, start);
    for (int64_t t = 1; t <= OPTIM_STEPS; t++) {
        const double lr = optim_lr_at(t - 1), lr_last = optim_lr_at(t > 1 ? t - 2 : 0);
        for (int i = 0; i < OPTIM_PARAMS; i++)
            for (int64_t k = 0; k < models[i].elems; k++) models[i].g[k] = models[i].c[k] * models[i].w[k];
        clip_gradients(o, models);
        for (int i = 0; i < OPTIM_PARAMS; i++) {
            optim_model *p = &models[i];
            if (p->is_frozen) continue;
            formula(o, p, t, lr * p->lr_scale, lr_last * p->lr_scale);
            for (int64_t k = 0; k < p->elems; k++)
                p->ema[k] = o->ema_decay * p->ema[k] + (1.0 - o->ema_decay) * p->w[k];
        }
    }
    for (int i = 0; i < OPTIM_PARAMS; i++) {
        end->w[i] = models[i].w;
        end->ema[i] = models[i].ema;
        model_free(&models[i]);
    }
}
