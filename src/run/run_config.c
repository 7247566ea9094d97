/* From configuration keys to the options of models, recipes, optimizers, schedules and grains. */
#include "run/run_config.h"
#include "base/status.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A key's value as the text from which options are set. */
static void value_text(const far_config *config, const far_config_key *key, char *text_out, size_t bytes)
{
    size_t used = 0;
    switch (key->type) {
    case FAR_CONFIG_INT:
    case FAR_CONFIG_SIZE: (void)snprintf(text_out, bytes, "%" PRId64, far_config_i64(config, key->name)); return;
    case FAR_CONFIG_FLOAT: (void)snprintf(text_out, bytes, "%.17g", far_config_f64(config, key->name)); return;
    case FAR_CONFIG_BOOL:
        (void)snprintf(text_out, bytes, "%s", far_config_bool(config, key->name) ? "true" : "false");
        return;
    case FAR_CONFIG_STRING:
    case FAR_CONFIG_ENUM:
    case FAR_CONFIG_PATH: (void)snprintf(text_out, bytes, "%s", far_config_text(config, key->name)); return;
    case FAR_CONFIG_INTS:
    case FAR_CONFIG_FLOATS:
        text_out[0] = '\0';
        for (int64_t i = 0; i < far_config_list_count(config, key->name) && used + 32 < bytes; i++)
            used += (size_t)snprintf(text_out + used, bytes - used, "%s%.17g", i > 0 ? "," : "",
                                     key->type == FAR_CONFIG_INTS ? (double)far_config_list_i64(config, key->name, i)
                                                                  : far_config_list_f64(config, key->name, i));
        return;
    case FAR_CONFIG_STRINGS:
    case FAR_CONFIG_NODE: text_out[0] = '\0'; return;
    }
}

far_status run_config_options(const far_config *config, const char *prefix, const char *const *skip, far_options *opts)
{
    const size_t length = strlen(prefix);
    char text[4096];
    for (int32_t i = 0; i < far_config_key_count(); i++) {
        const far_config_key *key = far_config_key_at(i);
        if (strncmp(key->name, prefix, length) != 0 || !far_config_is_set(config, key->name)) continue;
        const char *name = key->name + length;
        bool is_skipped = false;
        for (int32_t k = 0; skip != NULL && skip[k] != NULL; k++) is_skipped = is_skipped || strcmp(skip[k], name) == 0;
        if (is_skipped) continue;
        if (key->type == FAR_CONFIG_NODE) {
            FAR_TRY(far_options_set_node(opts, name, far_config_node_of(config, key->name)));
            continue;
        }
        value_text(config, key, text, sizeof text);
        if (key->values != NULL && key->type != FAR_CONFIG_ENUM && strcmp(text, "0") == 0)
            continue; /* auto: the default */
        if (key->type == FAR_CONFIG_ENUM && strcmp(text, "auto") == 0) continue;
        const far_status st = far_options_set(opts, name, text);
        if (st != FAR_OK) return fari_error_prefix(st, "%s: ", far_config_where(config, key->name));
    }
    return FAR_OK;
}

/* The number that was given, else 0: the optimizer's own default. A given zero is asked for by FAR_OPTIM_ZERO. */
static double given(const far_config *config, const char *key)
{
    if (!far_config_is_set(config, key)) return 0.0;
    const double value = far_config_f64(config, key);
    return value != 0.0 ? value : FAR_OPTIM_ZERO;
}

/* 1 for the first of "a|b|c", 0 for another word: "auto". */
static int place_of(const char *words, const char *word)
{
    const size_t length = strlen(word);
    for (int place = 1; words != NULL; place++) {
        if (strncmp(words, word, length) == 0 && (words[length] == '|' || words[length] == '\0')) return place;
        words = strchr(words, '|');
        words = words != NULL ? words + 1 : NULL;
    }
    return 0;
}

far_status run_config_optim(const far_config *config, far_optim_opts *opts)
{
    memset(opts, 0, sizeof *opts);
    opts->name = far_config_text(config, "optim.name");
    opts->form = far_config_text(config, "optim.form");
    if (opts->form[0] == '\0') opts->form = NULL;
    opts->momentum = far_config_is_set(config, "optim.momentum") ? given(config, "optim.momentum") : 0.0;
    opts->nesterov = far_config_bool(config, "optim.nesterov");
    opts->dampening = far_config_f64(config, "optim.dampening");
    if (far_config_list_count(config, "optim.betas") != 2)
        return far_config_fail(config, "optim.betas", "expected two numbers, such as [0.9, 0.999]");
    for (int32_t i = 0; i < 2; i++) { /* a complete config names the usual ones for optimizers without betas too */
        const double beta = far_config_list_f64(config, "optim.betas", i), usual = i == 0 ? 0.9 : 0.999;
        if (beta != usual) opts->betas[i] = beta != 0.0 ? beta : FAR_OPTIM_ZERO;
    }
    opts->alpha = given(config, "optim.alpha");
    opts->centered = far_config_bool(config, "optim.centered");
    opts->eps = given(config, "optim.eps");
    opts->weight_decay = given(config, "optim.weight_decay");
    opts->trust = given(config, "optim.eta");
    opts->trust_clip = far_config_bool(config, "optim.trust_clip");
    opts->always_adapt = far_config_bool(config, "optim.always_adapt");
    opts->lr_place = (far_lr_place)place_of("inside|outside", far_config_text(config, "optim.lr_place"));
    opts->exclude = (far_exclude)place_of("none|norm|bias_norm", far_config_text(config, "optim.exclude"));
    opts->momentum_correction = far_config_bool(config, "optim.momentum_correction");
    opts->no_decay_bias_norm = far_config_bool(config, "optim.no_decay_bias_norm");
    opts->clip_norm = far_config_f64(config, "optim.clip_norm");
    opts->clip_tensor_norm = far_config_f64(config, "optim.clip_tensor_norm");
    opts->clip_value = far_config_f64(config, "optim.clip_value");
    opts->ema_decay = far_config_f64(config, "optim.ema");
    return FAR_OK;
}

/* All times in one unit, steps, where one of them is given in steps. */
static void to_steps(const far_config *config, double steps_per_epoch, far_schedule *schedule)
{
    const bool in_steps = strcmp(far_config_text(config, "schedule.unit"), "steps") == 0;
    const int64_t warmup_steps = far_config_i64(config, "schedule.warmup_steps");
    if (!in_steps && warmup_steps == 0) return;
    const double unit = in_steps ? 1.0 : steps_per_epoch;
    schedule->unit = FAR_TIME_STEPS;
    schedule->warmup = warmup_steps > 0 ? (double)warmup_steps : schedule->warmup * steps_per_epoch;
    schedule->every *= unit;
    schedule->decay *= unit;
    for (int32_t i = 0; i < schedule->milestone_count; i++) schedule->milestones[i] *= unit;
}

far_status run_config_schedule(const far_config *config, int64_t steps_per_epoch, far_schedule *schedule)
{
    memset(schedule, 0, sizeof *schedule);
    FAR_TRY(far_schedule_kind_of(far_config_text(config, "schedule.name"), &schedule->kind));
    schedule->lr = far_config_f64(config, "optim.lr");
    schedule->end_lr = far_config_f64(config, "schedule.final") * schedule->lr;
    schedule->every = far_config_f64(config, "schedule.every"); /* 0: auto */
    const int64_t milestones = far_config_list_count(config, "schedule.milestones");
    if (milestones > FAR_SCHEDULE_MILESTONES_MAX)
        return far_config_fail(config, "schedule.milestones", "at most %d milestones", FAR_SCHEDULE_MILESTONES_MAX);
    schedule->milestone_count = (int32_t)milestones;
    for (int64_t i = 0; i < milestones; i++)
        schedule->milestones[i] = far_config_list_f64(config, "schedule.milestones", i);
    schedule->gamma = far_config_f64(config, "schedule.gamma");
    schedule->power = far_config_f64(config, "schedule.power");
    schedule->from_start = far_config_bool(config, "schedule.from_zero");
    schedule->per_epoch = far_config_bool(config, "schedule.per_epoch");
    schedule->warmup_start = far_config_f64(config, "schedule.warmup_start");
    if (strcmp(far_config_text(config, "schedule.warmup_shape"), "quadratic") == 0)
        schedule->warmup_kind = FAR_WARMUP_QUADRATIC;
    schedule->decay = far_config_f64(config, "schedule.decay");
    schedule->warmup = far_config_f64(config, "schedule.warmup_epochs");
    to_steps(config, (double)steps_per_epoch, schedule);
    if (schedule->kind == FAR_SCHEDULE_STEP && schedule->every == 0.0)
        schedule->every = schedule->unit == FAR_TIME_STEPS ? 30.0 * (double)steps_per_epoch : 30.0;
    return far_schedule_check(schedule);
}

void run_config_grain(const far_config *config, fari_grain_config *grain)
{
    *grain = (fari_grain_config){ .samples = far_config_i64(config, "grain.samples"),
                                  .rows = far_config_i64(config, "grain.rows"),
                                  .min_rows = far_config_i64(config, "grain.min_rows"),
                                  .dense = far_config_i64(config, "grain.dense"),
                                  .leaves = far_config_i64(config, "grain.leaves") };
}
