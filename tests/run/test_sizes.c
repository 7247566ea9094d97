/* Runs on images of varying size: fixed sizes, crops, and going on in the middle of an epoch. */
#include "base/log.h"
#include "support/temp_folder.h"
#include "test.h"
#include <farandole/run.h>

static char folder[TEMP_FOLDER_BYTES];

static void new_folder(void)
{
    temp_folder(folder);
    far_log_set_level(FAR_LOG_ERROR);
}

/* Settings with spaces between them, on top of a small set that varies. */
static far_config *config_of(const char *settings, const char *name)
{
    static const char base[] =
        "data: {kind: synthetic, synthetic: {vary: 0.6, samples: 40, test_samples: 11, shape: [3, 40, 36], "
        "classes: 3}}\nbatch: 8\ntrain.steps: 9\noptim.lr: 0.05\nseed: 5\n";
    far_config *config = NULL;
    char text[600], *rest = text;
    FAR_CHECK_OK(far_config_create(&config));
    FAR_CHECK_OK(far_config_parse(config, "base", base, strlen(base)));
    (void)snprintf(text, sizeof text, "run.dir=%s/%s %s", folder, name, settings);
    for (char *one = strtok_r(text, " ", &rest); one != NULL; one = strtok_r(NULL, " ", &rest))
        FAR_CHECK_OK(far_config_set(config, one));
    return config;
}

static bool stop_at_5(void *context)
{
    return ++*(int *)context >= 5;
}

/* Trains, with a break after five steps where asked for, and gives the digest of the weights. */
static void train(const char *settings, const char *name, bool has_break, char digest_out[65])
{
    far_config *config = config_of(settings, name);
    far_run *run = NULL;
    char path[600];
    int steps = 0;
    far_run_opts opts = { .should_stop = stop_at_5, .stop_context = &steps };
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (has_break) {
        FAR_CHECK_OK(far_run_open(config, &opts, &run));
        FAR_CHECK_STATUS(far_run_train(run), FAR_E_STOPPED);
        far_run_close(run);
    }
    opts = (far_run_opts){ .resume = has_break ? path : NULL };
    FAR_CHECK_OK(far_run_open(config, &opts, &run));
    FAR_CHECK_OK(far_run_train(run));
    FAR_CHECK_EQ_I64(far_run_step(run), 9);
    far_run_digest(run, digest_out);
    far_run_close(run);
    far_config_destroy(config);
}

FAR_TEST(resized_crops_give_the_same_bits_with_breaks_and_threads)
{
    static const struct {
        const char *settings;
        bool has_break;
    } ways[] = { { "threads=1 data.threads=1", false },
                 { "threads=2 data.threads=3", false },
                 { "threads=2 data.threads=2", true },
                 { "threads=1 data.threads=4 data.ahead=5", true } };
    char want[65] = "", settings[400];
    new_folder();
    for (size_t i = 0; i < FAR_COUNT(ways); i++) {
        char digest[65], name[16];
        (void)snprintf(name, sizeof name, "way-%zu", i);
        (void)snprintf(settings, sizeof settings,
                       "model.name=lenet5 data.size=32 data.augment.resized_crop=true data.augment.hue=0.1 "
                       "data.augment.contrast=0.3 data.augment.flip=true data.augment.normalize=true %s",
                       ways[i].settings);
        train(settings, name, ways[i].has_break, digest);
        if (i == 0) memcpy(want, digest, sizeof want);
        FAR_CHECK_STR(digest, want);
    }
}

/* Opens for planning only: FAR_OK, or what it says. */
static far_status try_plan(const char *settings)
{
    far_config *config = config_of(settings, "plan");
    far_run *run = NULL;
    const far_run_opts opts = { .purpose = FAR_RUN_PLAN };
    const far_status st = far_run_open(config, &opts, &run);
    if (st == FAR_OK) FAR_CHECK(far_run_planned_bytes(run) > 0);
    far_run_close(run);
    far_config_destroy(config);
    return st;
}

FAR_TEST(sizes_that_do_not_go_together_are_named)
{
    static const struct {
        const char *settings, *says;
    } cases[] = {
        { "model.name=lenet5", "set data.size" },
        { "model.name=lenet5 data.size=[1,2,3]", "expected height and width" },
        { "model.name=lenet5 data.size=32 data.downsample=1 data.fit=resize", "data.downsample" },
        { "model.name=lenet5 data.size=32 data.downsample=1 data.fit=pad", "sizes of their own" },
        { "model.name=lenet5 data.size=[64,32] data.downsample=1 data.fit=pad data.synthetic.vary=0 eval.size=native",
          "eval.size" },
        { "model.name=lenet5 data.size=[65,33] data.downsample=1 data.fit=pad data.synthetic.vary=0", "blocks of 2" },
        { "model.name=lenet5 data.size=32 data.fit=pad", "larger than 32 x 32" },
        { "model.name=lenet5 data.size=[32,28] data.augment.turns=true", "square" },
        { "model.name=lenet5 data.augment.crop=32 data.augment.crop_pad=2", "crop_pad" },
        { "model.name=lenet5 data.size=32 data.augment.resized_crop=true data.augment.resized_area=[0.5,0.1]",
          "the least and the largest" },
        { "model.name=unet data.size=32 model.depth=2 loss.recipe=segment", "one for each image" },
        { "model.name=lenet5 data.size=32 loss.recipe=classify data.synthetic.label=map", "one for each pixel" },
    };
    new_folder();
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        const far_status st = try_plan(cases[i].settings);
        FAR_CHECK_MSG(st == FAR_E_CONFIG || st == FAR_E_SHAPE, "case %zu: %s %s", i, far_status_name(st),
                      far_error_message());
        FAR_CHECK_HAS(far_error_message(), cases[i].says);
    }
    FAR_CHECK_OK(try_plan("model.name=lenet5 data.size=32 data.fit=resize"));
    FAR_CHECK_OK(try_plan("model.name=lenet5 data.augment.crop=32"));
    FAR_CHECK_OK(try_plan("model.name=lenet5 data.augment.crop=[28,24] data.augment.resized_crop=true data.size=36"));
    FAR_CHECK_OK(try_plan("model.name=lenet5 data.synthetic.vary=0"));
}
