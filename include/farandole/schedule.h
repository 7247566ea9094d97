/**
 * @file farandole/schedule.h
 * A number that changes over a run: the learning rate, a weight decay, the momentum of an average. Pure functions of the step.
 * Threads     any number at once.
 * Collective  no call communicates.
 */
#ifndef FAR_SCHEDULE_H
#define FAR_SCHEDULE_H
#include <farandole/status.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/** With t the step counted from 0, T their total, p = (t - t0) / (T - t0), t0 the end of warm-up (0 with `from_start`). */
typedef enum far_schedule_kind {
    FAR_SCHEDULE_CONSTANT = 0, /**< lr */
    FAR_SCHEDULE_STEP,         /**< lr gamma^floor(t / every) */
    FAR_SCHEDULE_MULTISTEP,    /**< lr gamma^(number of milestones reached) */
    FAR_SCHEDULE_LINEAR,       /**< lr + (end_lr - lr) p */
    FAR_SCHEDULE_COSINE,       /**< end_lr + (lr - end_lr) (1 + cos(pi p)) / 2 */
    FAR_SCHEDULE_POLYNOMIAL,   /**< end_lr + (lr - end_lr) (1 - p)^power */
    FAR_SCHEDULE_COSMICTAGGER, /**< flat for `every` after warm-up, then end_lr + (lr - end_lr) exp(-0.999 epochs since) */
    FAR_SCHEDULE_KIND_COUNT
} far_schedule_kind;

typedef enum far_warmup_kind {
    FAR_WARMUP_LINEAR = 0, /**< s + (lr - s) t / W, s = warmup_start lr, W the steps of warm-up */
    FAR_WARMUP_QUADRATIC   /**< s + (lr - s) (t / W)^2: NVIDIA's solvers */
} far_warmup_kind;

typedef enum far_time_unit { FAR_TIME_EPOCHS = 0, FAR_TIME_STEPS } far_time_unit;

#define FAR_SCHEDULE_MILESTONES_MAX 16

/** Zero in a field means its default. Times (every, milestones, warmup, decay) are in `unit`, fractions allowed. */
typedef struct far_schedule {
    far_schedule_kind kind;
    double lr;     /**< after warm-up; required, positive */
    double end_lr; /**< at the end; default 0; for cosmictagger also where warm-up starts, default 1e-4 */
    far_time_unit unit;
    double every; /**< step: required; cosmictagger: default 20 epochs */
    int32_t milestone_count;
    double milestones[FAR_SCHEDULE_MILESTONES_MAX]; /**< multistep: ascending */
    double gamma;                                   /**< step, multistep: default 0.1 */
    double power;                                   /**< polynomial: default 2 */
    bool from_start; /**< linear, cosine, polynomial: p counts from step 0 as in Caffe, not from the end of warm-up */
    double
        decay; /**< linear, cosine, polynomial: time from t0 to the end of the decay; default: to the end of the run */
    bool per_epoch; /**< after warm-up, change only when an epoch begins, as PyTorch programs that step once an epoch */
    double warmup;  /**< duration; default 0 (cosmictagger: 1 epoch) */
    double warmup_start; /**< factor of lr at step 0; default 0 */
    far_warmup_kind warmup_kind;
} far_schedule;

/** @return FAR_OK or FAR_E_CONFIG: what is missing or out of range. */
FAR_API far_status far_schedule_check(const far_schedule *schedule);

/**
 * The value at a step.
 * @param step             steps done before, from 0; beyond the end the last value stays.
 * @param steps_total      of the whole run, positive.
 * @param steps_per_epoch  positive.
 */
FAR_API double far_schedule_lr(const far_schedule *schedule, int64_t step, int64_t steps_total,
                               int64_t steps_per_epoch);

/** @return the name of kind `kind` ("cosine") and its formula; NULL beyond the last. */
FAR_API const char *far_schedule_describe(far_schedule_kind kind, const char **sentence_out);
/** @return FAR_OK, FAR_E_CONFIG (no kind of that name). */
FAR_API far_status far_schedule_kind_of(const char *name, far_schedule_kind *kind_out);

#ifdef __cplusplus
}
#endif
#endif /* FAR_SCHEDULE_H */
