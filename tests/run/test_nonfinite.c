/* A loss that is not a number: training stops, parameters stay as they were, the first bad tensor is named. */
#include "base/file.h"
#include "base/mem.h"
#include "test.h"
#include <farandole/run.h>
#include <unistd.h>

static char folder[600];

typedef struct watch {
    const far_run *run;
    char digest[65]; /* after the last step that went well */
    int64_t steps;
} watch;

static void after_step(void *context, const far_progress *progress)
{
    watch *seen = context;
    if (strcmp(progress->phase, "train") != 0) return;
    far_run_digest(seen->run, seen->digest);
    seen->steps = progress->step;
}

static far_config *config_of(const char *const *more)
{
    static const char *const settings[] = {
        "data={kind: synthetic, synthetic.samples: 64, synthetic.test_samples: 16, synthetic.classes: 4}",
        "data.synthetic.shape=[2, 12, 12]",
        "model={name: layers, layers: [{op: conv, name: first, out_channels: 8, kernel: 3, pad: 1}, {op: leaky_relu}, "
        "{op: conv, name: second, out_channels: 8, kernel: 3}, {op: leaky_relu}, {op: flatten}, {op: linear, name: head, "
        "out_features: 4}]}",
        "batch=16",
        "grain.samples=4",
        "train={epochs: 20, eval_every: 1000}",
        "optim={lr: 0.1, momentum: 0.9}",
        NULL
    };
    char assignment[700];
    far_config *config = NULL;
    FAR_CHECK_OK(far_config_create(&config));
    for (int i = 0; settings[i] != NULL; i++) FAR_CHECK_OK(far_config_set(config, settings[i]));
    for (; *more != NULL; more++) FAR_CHECK_OK(far_config_set(config, *more));
    (void)snprintf(folder, sizeof folder, "%s/nonfinite-%d", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp",
                   (int)getpid());
    FAR_CHECK_OK(fari_remove_tree(folder));
    (void)snprintf(assignment, sizeof assignment, "run.dir=%s", folder);
    FAR_CHECK_OK(far_config_set(config, assignment));
    return config;
}

/* Trains until it fails; the words are in far_error_message(). */
static void train_until_bad(const char *const *more, watch *seen)
{
    char digest[65];
    far_run *run = NULL;
    far_config *config = config_of(more);
    const far_run_opts opts = { .progress = after_step, .progress_context = seen };
    FAR_CHECK_OK(far_run_open(config, &opts, &run));
    seen->run = run;
    seen->steps = 0;
    far_run_digest(run, seen->digest);
    FAR_CHECK_STATUS(far_run_train(run), FAR_E_NONFINITE);
    far_run_digest(run, digest);
    FAR_CHECK_STR(digest, seen->digest); /* the bad step changed nothing */
    far_run_close(run);
    far_config_destroy(config);
}

FAR_TEST(first_layer_that_overflows)
{
    static const char *const orders[] = { "exec.order=forward", "exec.order=reversed", "exec.order=random" };
    static const char *const threads[] = { "threads=1", "threads=4" };
    char message[1024] = "";
    for (size_t i = 0; i < FAR_COUNT(orders); i++)
        for (size_t k = 0; k < FAR_COUNT(threads); k++) {
            watch seen = { .steps = 0 };
            train_until_bad((const char *const[]){ orders[i], threads[k], "optim.lr=50", NULL }, &seen);
            FAR_CHECK(seen.steps >= 1);
            if (message[0] == '\0') (void)snprintf(message, sizeof message, "%s", far_error_message());
            FAR_CHECK_STR(far_error_message(), message);
        }
    FAR_CHECK_HAS(message, "First bad tensor: ");
    FAR_CHECK_HAS(message, "computed from finite numbers");
    FAR_CHECK_HAS(message, "checkpoint 4 is good"); /* of the first epoch */
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(a_layer_is_named)
{
    watch seen = { .steps = 0 };
    train_until_bad((const char *const[]){ "optim.lr=1e30", NULL }, &seen);
    FAR_CHECK_EQ_I64(seen.steps, 1);
    FAR_CHECK_HAS(far_error_message(),
                  "at step 2 of 80 (epoch 1). First bad tensor: conv \"second\" [16x8x10x10] (sample ");
    FAR_CHECK_HAS(far_error_message(), "no checkpoint has been written yet");
}

/* The update overflows, the loss before it did not: no checkpoint is written of that. */
FAR_TEST(bad_parameters_are_not_kept)
{
    far_run *run = NULL;
    far_config *config =
        config_of((const char *const[]){ "optim={lr: 1e20, weight_decay: 1e30}", "train.steps=1", NULL });
    FAR_CHECK_OK(far_run_open(config, NULL, &run));
    FAR_CHECK_STATUS(far_run_train(run), FAR_E_NONFINITE);
    FAR_CHECK_HAS(far_error_message(), "is not finite after step 1 of 1, so no checkpoint of it was written");
    far_run_close(run);
    far_config_destroy(config);
    char *last = fari_path_join(folder, "checkpoints/last");
    FAR_CHECK(!fari_path_exists(last));
    fari_free(last);
}

FAR_TEST(bad_parameters_are_named)
{
    far_run *run = NULL;
    far_config *config =
        config_of((const char *const[]){ "optim={lr: 1e20, weight_decay: 1e30}", "train.steps=2", NULL });
    FAR_CHECK_OK(far_run_open(config, NULL, &run));
    FAR_CHECK_STATUS(far_run_train(run), FAR_E_NONFINITE);
    FAR_CHECK_HAS(far_error_message(), "First bad tensor: parameter \"first.");
    FAR_CHECK_HAS(far_error_message(), "left so by the step before");
    far_run_close(run);
    far_config_destroy(config);
}

FAR_TEST(the_last_good_checkpoint_is_named_and_stays)
{
    far_run *run = NULL;
    far_config *config = config_of((const char *const[]){ "train.checkpoint_every=3", "optim.lr=50", NULL });
    FAR_CHECK_OK(far_run_open(config, NULL, &run));
    FAR_CHECK_STATUS(far_run_train(run), FAR_E_NONFINITE);
    FAR_CHECK_HAS(far_error_message(), "checkpoint 3 is good: farandole train --resume ");
    far_run_close(run);
    /* goes on from there with a rate that is not mad */
    FAR_CHECK_OK(far_config_set(config, "optim.lr=1e-30"));
    FAR_CHECK_OK(far_config_set(config, "train.steps=4"));
    FAR_CHECK_OK(far_run_open(config, &(far_run_opts){ .resume = folder }, &run));
    FAR_CHECK_EQ_I64(far_run_step(run), 3);
    FAR_CHECK_OK(far_run_train(run));
    far_run_close(run);
    far_config_destroy(config);
}
