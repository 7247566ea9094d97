/* Schedules: pure functions of the step. */
#include "base/status.h"
#include <farandole/schedule.h>
#include <math.h>
#include <string.h>

static const struct {
    const char *name, *sentence;
} kinds[FAR_SCHEDULE_KIND_COUNT] = {
    [FAR_SCHEDULE_CONSTANT] = { "constant", "lr" },
    [FAR_SCHEDULE_STEP] = { "step", "lr gamma^floor(t / every)" },
    [FAR_SCHEDULE_MULTISTEP] = { "multistep", "lr gamma^(milestones reached)" },
    [FAR_SCHEDULE_LINEAR] = { "linear", "from lr to end_lr in a straight line" },
    [FAR_SCHEDULE_COSINE] = { "cosine", "from lr to end_lr along half a cosine" },
    [FAR_SCHEDULE_POLYNOMIAL] = { "polynomial", "end_lr + (lr - end_lr) (1 - p)^power" },
    [FAR_SCHEDULE_COSMICTAGGER] = { "cosmictagger", "warm-up, flat, then exponential down to end_lr, by epochs" },
};

const char *far_schedule_describe(far_schedule_kind kind, const char **sentence_out)
{
    if ((unsigned)kind >= FAR_SCHEDULE_KIND_COUNT) return NULL;
    if (sentence_out != NULL) *sentence_out = kinds[kind].sentence;
    return kinds[kind].name;
}

far_status far_schedule_kind_of(const char *name, far_schedule_kind *kind_out)
{
    for (int i = 0; i < FAR_SCHEDULE_KIND_COUNT; i++)
        if (strcmp(kinds[i].name, name) == 0) {
            *kind_out = (far_schedule_kind)i;
            return FAR_OK;
        }
    return FAR_FAIL(FAR_E_CONFIG,
                    "no schedule '%s'; there are constant, step, multistep, linear, cosine, polynomial, cosmictagger",
                    name);
}

static far_status check_milestones(const far_schedule *s)
{
    if (s->milestone_count < 1 || s->milestone_count > FAR_SCHEDULE_MILESTONES_MAX)
        return FAR_FAIL(FAR_E_CONFIG, "schedule multistep: %d milestones, possible are 1 to %d",
                        (int)s->milestone_count, FAR_SCHEDULE_MILESTONES_MAX);
    for (int32_t i = 0; i < s->milestone_count; i++)
        if (!(s->milestones[i] > (i == 0 ? 0.0 : s->milestones[i - 1])))
            return FAR_FAIL(FAR_E_CONFIG, "schedule multistep: milestones must be positive and ascend");
    return FAR_OK;
}

far_status far_schedule_check(const far_schedule *schedule)
{
    const far_schedule *s = schedule;
    const char *name = far_schedule_describe(s->kind, NULL);
    if (name == NULL) return FAR_FAIL(FAR_E_CONFIG, "no schedule of kind %d", (int)s->kind);
    if (!(s->lr > 0.0) || isinf(s->lr))
        return FAR_FAIL(FAR_E_CONFIG, "schedule %s: lr must be positive, got %g", name, s->lr);
    const double non_negative[] = { s->end_lr, s->every, s->gamma, s->power, s->decay, s->warmup, s->warmup_start };
    static const char *const names[] = { "end_lr", "every", "gamma", "power", "decay", "warmup", "warmup_start" };
    for (size_t i = 0; i < FAR_COUNT(non_negative); i++)
        if (!(non_negative[i] >= 0.0) || isinf(non_negative[i]))
            return FAR_FAIL(FAR_E_CONFIG, "schedule %s: %s must not be negative, got %g", name, names[i],
                            non_negative[i]);
    if (s->kind == FAR_SCHEDULE_STEP && s->every == 0.0)
        return FAR_FAIL(FAR_E_CONFIG, "schedule step: `every` is missing");
    return s->kind == FAR_SCHEDULE_MULTISTEP ? check_milestones(s) : FAR_OK;
}

/* Defaults filled in and times turned into steps. */
typedef struct timing {
    double every, warmup, decay, start_lr, end_lr, gamma, power, unit;
} timing;

static timing timing_of(const far_schedule *s, int64_t steps_per_epoch)
{
    const bool is_cosmic = s->kind == FAR_SCHEDULE_COSMICTAGGER;
    const double epoch = (double)steps_per_epoch, unit = s->unit == FAR_TIME_STEPS ? 1.0 : epoch;
    timing t = { .every = s->every * unit,
                 .warmup = s->warmup * unit,
                 .decay = s->decay * unit,
                 .start_lr = s->warmup_start * s->lr,
                 .end_lr = s->end_lr,
                 .gamma = s->gamma > 0.0 ? s->gamma : 0.1,
                 .power = s->power > 0.0 ? s->power : 2.0,
                 .unit = unit };
    if (is_cosmic) {
        if (s->every == 0.0) t.every = 20.0 * epoch;
        if (s->warmup == 0.0) t.warmup = epoch;
        if (s->end_lr == 0.0) t.end_lr = 1e-4;
        if (s->warmup_start == 0.0) t.start_lr = t.end_lr;
    }
    return t;
}

static double warmup_value(const far_schedule *s, const timing *t, double step)
{
    const double part = step / t->warmup;
    return t->start_lr + (s->lr - t->start_lr) * (s->warmup_kind == FAR_WARMUP_QUADRATIC ? part * part : part);
}

/* p: 0 at the start of the decay, 1 at its end and beyond. */
static double progress(const far_schedule *s, const timing *t, double step, double total)
{
    const double start = s->from_start ? 0.0 : t->warmup;
    const double length = t->decay > 0.0 ? t->decay : total - start;
    const double p = length > 0.0 ? (step - start) / length : 1.0;
    return p < 0.0 ? 0.0 : p > 1.0 ? 1.0 : p;
}

static int32_t milestones_reached(const far_schedule *s, const timing *t, double step)
{
    int32_t count = 0;
    while (count < s->milestone_count && step >= s->milestones[count] * t->unit) count++;
    return count;
}

double far_schedule_lr(const far_schedule *schedule, int64_t step, int64_t steps_total, int64_t steps_per_epoch)
{
    const far_schedule *s = schedule;
    const timing t = timing_of(s, steps_per_epoch);
    double now = (double)step;
    if (now < t.warmup) return warmup_value(s, &t, now);
    if (s->per_epoch) {
        now = (double)(step - step % steps_per_epoch);
        if (now < t.warmup) now = t.warmup; /* warm-up ended within this epoch */
    }
    const double p = progress(s, &t, now, (double)steps_total);
    switch (s->kind) {
    case FAR_SCHEDULE_STEP: return s->lr * pow(t.gamma, floor(now / t.every));
    case FAR_SCHEDULE_MULTISTEP: return s->lr * pow(t.gamma, (double)milestones_reached(s, &t, now));
    case FAR_SCHEDULE_LINEAR: return s->lr + (t.end_lr - s->lr) * p;
    case FAR_SCHEDULE_COSINE: return t.end_lr + (s->lr - t.end_lr) * (0.5 * (1.0 + cos(3.14159265358979323846 * p)));
    case FAR_SCHEDULE_POLYNOMIAL: return t.end_lr + (s->lr - t.end_lr) * pow(1.0 - p, t.power);
    case FAR_SCHEDULE_COSMICTAGGER: {
        const double since = (now - t.warmup - t.every) / (double)steps_per_epoch;
        return since <= 0.0 ? s->lr : t.end_lr + (s->lr - t.end_lr) * exp(-0.999 * since);
    }
    case FAR_SCHEDULE_CONSTANT:
    case FAR_SCHEDULE_KIND_COUNT: break;
    }
    return s->lr;
}
