#include "support/golden_check.h"
#include "test.h"

void golden_outcome_begin(golden_outcome *o, const golden *g, const char *variant)
{
    *o = (golden_outcome){ .g = g, .variant = variant, .worst_name = { "-", "-", "-" } };
}

static void fail_add(golden_outcome *o, const char *what, const char *name, double distance, double limit)
{
    char line[sizeof o->first_failure];
    (void)snprintf(line, sizeof line, "%s, %s: %s %s is %.3g from float64, limit %.3g", o->g->label, o->variant, what,
                   name, distance, limit);
    if (o->beyond++ == 0) memcpy(o->first_failure, line, sizeof line);
    printf("BEYOND: %s\n", line);
}

void golden_outcome_add(golden_outcome *o, golden_kind kind, int32_t idx, double distance, double norm, double d32,
                        double allowance)
{
    static const char *const what[GOLDEN_KIND_COUNT] = { "gradient of", "statistic", "output" };
    const golden_tensor *t = &o->g->tensors[kind][idx];
    const double limit = golden_limit(o->g, kind, norm, d32), flip = kind == GOLDEN_GRADIENT ? t->flip : 0.0;
    o->checked[kind]++;
    if (distance > allowance * limit && distance <= allowance * (limit + flip)) {
        o->kinked++;
        return;
    }
    if (!(distance / limit <= o->worst[kind])) {
        o->worst[kind] = distance / limit;
        o->worst_name[kind] = t->name;
    }
    if (!(distance <= allowance * limit)) fail_add(o, what[kind], t->name, distance, limit);
}

static void compare_losses(golden_outcome *o, const golden_run_info *info)
{
    char name[32];
    for (int32_t i = 0; i < info->steps; i++) {
        const double off = fabs(info->loss[i] - o->g->loss_f64[i]), limit = golden_loss_limit(o->g, i);
        (void)snprintf(name, sizeof name, "step %d", (int)i);
        if (!(off / limit <= o->worst_loss)) o->worst_loss = off / limit;
        if (!(off <= limit)) fail_add(o, "loss of", name, off, limit);
    }
}

void golden_outcome_end(golden_outcome *o, const golden_run_info *info)
{
    compare_losses(o, info);
    printf(
        "%s, %s (%d x %d): worst distance / limit: %d losses %.2f; %d gradients %.2f (%s), %d at kinks, %d more truly zero; "
        "2 outputs %.2f; %d statistics %.2f\n",
        o->g->label, o->variant, (int)info->sample_grains, (int)info->row_grains, (int)info->steps, o->worst_loss,
        (int)o->checked[GOLDEN_GRADIENT], o->worst[GOLDEN_GRADIENT], o->worst_name[GOLDEN_GRADIENT], (int)o->kinked,
        (int)o->zero, o->worst[GOLDEN_OUTPUT], (int)o->checked[GOLDEN_STATISTIC], o->worst[GOLDEN_STATISTIC]);
    FAR_CHECK_EQ_I64(o->checked[GOLDEN_GRADIENT] + o->zero, o->g->count[GOLDEN_GRADIENT]);
    FAR_CHECK_EQ_I64(o->checked[GOLDEN_STATISTIC], o->g->count[GOLDEN_STATISTIC]);
    FAR_CHECK_EQ_I64(o->checked[GOLDEN_OUTPUT], 2);
}
