/* From configuration keys to the options of models, recipes, optimizers, schedules and grains. */
#ifndef FARI_RUN_RUN_CONFIG_H
#define FARI_RUN_RUN_CONFIG_H
#include "plan/plan.h"
#include <farandole/config.h>
#include <farandole/optim.h>
#include <farandole/options.h>
#include <farandole/schedule.h>

/* Hands every key that begins with `prefix` ("model.") and was given a value to `opts`, but those in `skip` (ended by NULL).
   FAR_E_CONFIG names the key and where it was set. */
far_status run_config_options(const far_config *config, const char *prefix, const char *const *skip, far_options *opts);
far_status run_config_optim(const far_config *config, far_optim_opts *opts); /* texts are borrowed from config */
far_status run_config_schedule(const far_config *config, int64_t steps_per_epoch, far_schedule *schedule);
void run_config_grain(const far_config *config, fari_grain_config *grain);
#endif
