/* Schedules against values worked out by hand. */
#include "test.h"
#include <farandole/schedule.h>

static double at(const far_schedule *s, int64_t step)
{
    return far_schedule_lr(s, step, 1000, 100); /* ten epochs of 100 steps */
}

FAR_TEST(constant_with_warmup)
{
    const far_schedule s = { .lr = 2.0, .warmup = 0.5, .warmup_start = 0.1 };
    FAR_CHECK_OK(far_schedule_check(&s));
    FAR_CHECK_NEAR(at(&s, 0), 0.2, 1e-12);
    FAR_CHECK_NEAR(at(&s, 25), 1.1, 1e-12);
    FAR_CHECK_NEAR(at(&s, 49), 0.2 + 1.8 * 0.98, 1e-12);
    FAR_CHECK_NEAR(at(&s, 50), 2.0, 0.0);
    FAR_CHECK_NEAR(at(&s, 5000), 2.0, 0.0);
}

FAR_TEST(quadratic_warmup)
{
    const far_schedule s = {
        .lr = 10.0, .unit = FAR_TIME_STEPS, .warmup = 40, .warmup_start = 0.1, .warmup_kind = FAR_WARMUP_QUADRATIC
    };
    FAR_CHECK_NEAR(at(&s, 0), 1.0, 1e-12);
    FAR_CHECK_NEAR(at(&s, 20), 1.0 + 9.0 * 0.25, 1e-12);
    FAR_CHECK_NEAR(at(&s, 40), 10.0, 0.0);
}

FAR_TEST(steps_and_milestones)
{
    const far_schedule step = { .kind = FAR_SCHEDULE_STEP, .lr = 1.0, .every = 3, .gamma = 0.5 };
    const far_schedule multi = {
        .kind = FAR_SCHEDULE_MULTISTEP, .lr = 1.0, .milestone_count = 2, .milestones = { 3, 6 }
    };
    FAR_CHECK_OK(far_schedule_check(&step));
    FAR_CHECK_OK(far_schedule_check(&multi));
    FAR_CHECK_NEAR(at(&step, 299), 1.0, 0.0);
    FAR_CHECK_NEAR(at(&step, 300), 0.5, 1e-15);
    FAR_CHECK_NEAR(at(&step, 900), 0.125, 1e-15);
    FAR_CHECK_NEAR(at(&multi, 299), 1.0, 0.0);
    FAR_CHECK_NEAR(at(&multi, 300), 0.1, 1e-15);
    FAR_CHECK_NEAR(at(&multi, 600), 0.01, 1e-15);
}

FAR_TEST(linear_cosine_polynomial)
{
    far_schedule s = { .kind = FAR_SCHEDULE_LINEAR, .lr = 1.0, .end_lr = 0.2 };
    FAR_CHECK_NEAR(at(&s, 0), 1.0, 1e-15);
    FAR_CHECK_NEAR(at(&s, 500), 0.6, 1e-15);
    FAR_CHECK_NEAR(at(&s, 1000), 0.2, 1e-15);
    FAR_CHECK_NEAR(at(&s, 2000), 0.2, 1e-15);
    s.kind = FAR_SCHEDULE_COSINE;
    FAR_CHECK_NEAR(at(&s, 500), 0.6, 1e-15);
    FAR_CHECK_NEAR(at(&s, 250), 0.2 + 0.8 * (1.0 + sqrt(0.5)) / 2.0, 1e-14);
    s.kind = FAR_SCHEDULE_POLYNOMIAL;
    FAR_CHECK_NEAR(at(&s, 500), 0.2 + 0.8 * 0.25, 1e-15);
    s.power = 3.0;
    FAR_CHECK_NEAR(at(&s, 500), 0.2 + 0.8 * 0.125, 1e-15);
}

/* A quantity that rises: the momentum of a teacher. */
FAR_TEST(cosine_may_rise)
{
    const far_schedule s = { .kind = FAR_SCHEDULE_COSINE, .lr = 0.996, .end_lr = 1.0 };
    FAR_CHECK_NEAR(at(&s, 0), 0.996, 1e-15);
    FAR_CHECK_NEAR(at(&s, 1000), 1.0, 1e-15);
}

/* Caffe counts from 0, so the rate drops from the base to 0.81 of it where a warm-up of a tenth ends; MLPerf counts from there. */
FAR_TEST(polynomial_counts_from_the_start_or_from_warmup)
{
    far_schedule s = { .kind = FAR_SCHEDULE_POLYNOMIAL, .lr = 10.0, .warmup = 1, .from_start = true };
    FAR_CHECK_NEAR(at(&s, 99), 9.9, 1e-12);
    FAR_CHECK_NEAR(at(&s, 100), 8.1, 1e-12);
    s.from_start = false;
    FAR_CHECK_NEAR(at(&s, 100), 10.0, 1e-12);
    FAR_CHECK_NEAR(at(&s, 550), 2.5, 1e-12);
    s.end_lr = 1e-4;
    s.decay = 4.5;
    FAR_CHECK_NEAR(at(&s, 325), 1e-4 + (10.0 - 1e-4) * 0.25, 1e-12);
    FAR_CHECK_NEAR(at(&s, 550), 1e-4, 1e-15);
}

FAR_TEST(once_an_epoch)
{
    const far_schedule s = { .kind = FAR_SCHEDULE_LINEAR, .lr = 1.0, .per_epoch = true };
    FAR_CHECK_NEAR(at(&s, 99), 1.0, 1e-15);
    FAR_CHECK_NEAR(at(&s, 100), 0.9, 1e-15);
    FAR_CHECK_NEAR(at(&s, 199), 0.9, 1e-15);
    const far_schedule late = { .kind = FAR_SCHEDULE_LINEAR, .lr = 1.0, .per_epoch = true, .warmup = 0.5 };
    FAR_CHECK_NEAR(at(&late, 50), 1.0, 1e-15);
    FAR_CHECK_NEAR(at(&late, 100), 1.0 - 50.0 / 950.0, 1e-15);
}

/* One epoch from 1e-4 to lr, flat for 20, then towards 1e-4. */
FAR_TEST(cosmictagger)
{
    const far_schedule s = { .kind = FAR_SCHEDULE_COSMICTAGGER, .lr = 3e-4 };
    FAR_CHECK_OK(far_schedule_check(&s));
    FAR_CHECK_NEAR(far_schedule_lr(&s, 0, 5000, 100), 1e-4, 1e-18);
    FAR_CHECK_NEAR(far_schedule_lr(&s, 50, 5000, 100), 2e-4, 1e-18);
    FAR_CHECK_NEAR(far_schedule_lr(&s, 100, 5000, 100), 3e-4, 1e-18);
    FAR_CHECK_NEAR(far_schedule_lr(&s, 2100, 5000, 100), 3e-4, 1e-18);
    FAR_CHECK_NEAR(far_schedule_lr(&s, 2200, 5000, 100), 1e-4 + 2e-4 * exp(-0.999), 1e-18);
    FAR_CHECK_NEAR(far_schedule_lr(&s, 3150, 5000, 100), 1e-4 + 2e-4 * exp(-0.999 * 10.5), 1e-18);
}

FAR_TEST(names_go_there_and_back)
{
    for (int i = 0; i < FAR_SCHEDULE_KIND_COUNT; i++) {
        const char *sentence = NULL, *name = far_schedule_describe((far_schedule_kind)i, &sentence);
        far_schedule_kind kind = FAR_SCHEDULE_KIND_COUNT;
        FAR_CHECK(name != NULL && sentence != NULL);
        FAR_CHECK_OK(far_schedule_kind_of(name, &kind));
        FAR_CHECK_EQ_I64(kind, i);
    }
    far_schedule_kind kind;
    FAR_CHECK(far_schedule_describe(FAR_SCHEDULE_KIND_COUNT, NULL) == NULL);
    FAR_CHECK_STATUS(far_schedule_kind_of("onecycle", &kind), FAR_E_CONFIG);
    FAR_CHECK_HAS(far_error_message(), "onecycle");
}

FAR_TEST(wrong_schedules_are_refused)
{
    static const far_schedule wrong[] = {
        { .lr = 0.0 },
        { .lr = NAN },
        { .lr = INFINITY },
        { .lr = 1.0, .end_lr = -1.0 },
        { .lr = 1.0, .warmup = -1.0 },
        { .lr = 1.0, .kind = FAR_SCHEDULE_STEP },
        { .lr = 1.0, .kind = FAR_SCHEDULE_MULTISTEP },
        { .lr = 1.0, .kind = FAR_SCHEDULE_MULTISTEP, .milestone_count = 2, .milestones = { 5, 5 } },
        { .lr = 1.0, .kind = FAR_SCHEDULE_MULTISTEP, .milestone_count = 17 },
        { .lr = 1.0, .kind = FAR_SCHEDULE_KIND_COUNT },
    };
    for (size_t i = 0; i < FAR_COUNT(wrong); i++) FAR_CHECK_STATUS(far_schedule_check(&wrong[i]), FAR_E_CONFIG);
}
