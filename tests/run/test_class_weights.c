/* loss.class_weights: auto. The numbers are those of the training labels, stand in the run's config, and stay when a run goes on. */
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "support/temp_folder.h"
#include "test.h"
#include <farandole/data.h>
#include <farandole/run.h>

enum { SAMPLES = 60, CLASSES = 4, SIDE = 24 };

static char folder[TEMP_FOLDER_BYTES];

static far_config *config_of(const char *settings)
{
    char text[1400], *rest = text;
    far_config *config = NULL;
    FAR_CHECK_OK(far_config_create(&config));
    (void)snprintf(
        text, sizeof text,
        "data.kind=synthetic data.synthetic.samples=%d data.synthetic.test_samples=8 data.synthetic.classes=%d "
        "data.synthetic.shape=[1,%d,%d] batch=8 train.steps=6 optim.lr=0.05 data.holdout=10 run.dir=%s/run %s",
        SAMPLES, CLASSES, SIDE, SIDE, folder, settings);
    for (char *one = strtok_r(text, " ", &rest); one != NULL; one = strtok_r(NULL, " ", &rest))
        FAR_CHECK_OK(far_config_set(config, one));
    return config;
}

static void new_folder(void)
{
    temp_folder(folder);
    far_log_set_level(FAR_LOG_ERROR);
}

/* The weights in the run folder's config. */
static void read_weights(double *weights_out)
{
    char path[700];
    far_config *config = NULL;
    (void)snprintf(path, sizeof path, "%s/run/config.yaml", folder);
    FAR_CHECK_OK(far_config_create(&config));
    FAR_CHECK_OK(far_config_load(config, path));
    const far_config_node *node = far_config_node_of(config, "loss.class_weights");
    FAR_CHECK(node != NULL && far_config_node_kind_of(node) == FAR_NODE_LIST);
    FAR_CHECK_EQ_I64(far_config_node_count(node), CLASSES);
    for (int64_t k = 0; k < CLASSES; k++)
        FAR_CHECK_OK(far_config_node_f64(far_config_node_at(node, k), &weights_out[k]));
    far_config_destroy(config);
}

/* Labels of the samples that are not held back, counted here. */
static void count(far_label_kind kind, int64_t counts[CLASSES], int64_t among[CLASSES])
{
    const far_synthetic_opts opts = { .sample_count = SAMPLES,
                                      .class_count = CLASSES,
                                      .height = SIDE,
                                      .width = SIDE,
                                      .channels = 1,
                                      .label = kind,
                                      .seed = 1 };
    static int64_t kept[SAMPLES], held[SAMPLES];
    static float image[SIDE * SIDE];
    static int32_t labels[SIDE * SIDE];
    far_dataset *set = NULL;
    int64_t again[CLASSES], again_among[CLASSES];
    const int64_t elems = kind == FAR_LABEL_MAP ? SIDE * SIDE : 1;
    memset(counts, 0, CLASSES * sizeof *counts);
    memset(among, 0, CLASSES * sizeof *among);
    FAR_CHECK_OK(far_dataset_open_synthetic(&opts, &set));
    FAR_CHECK_OK(far_sample_split(SAMPLES, 10, 0, kept, held));
    for (int i = 0; i < SAMPLES - 10; i++) {
        int64_t own[CLASSES] = { 0 };
        FAR_CHECK_OK(far_dataset_read(set, kept[i], image, labels));
        for (int64_t k = 0; k < elems; k++) own[labels[k]]++;
        for (int k = 0; k < CLASSES; k++) {
            counts[k] += own[k];
            among[k] += own[k] > 0 ? elems : 0;
        }
    }
    FAR_CHECK_OK(far_dataset_count_labels(set, kept, SAMPLES - 10, again, again_among));
    for (int k = 0; k < CLASSES; k++) FAR_CHECK(again[k] == counts[k] && again_among[k] == among[k]);
    far_dataset_close(set);
}

static void train(const char *settings, bool has_break, char digest_out[65]);

FAR_TEST(inverse_frequencies_of_classes)
{
    static const char *const words[] = { "auto", "inverse" };
    int64_t counts[CLASSES], among[CLASSES];
    count(FAR_LABEL_CLASS, counts, among);
    for (size_t w = 0; w < FAR_COUNT(words); w++) {
        char settings[100], digest[65];
        double weights[CLASSES];
        new_folder();
        (void)snprintf(settings, sizeof settings, "model.name=lenet5 loss.class_weights=%s", words[w]);
        train(settings, false, digest);
        read_weights(weights);
        for (int k = 0; k < CLASSES; k++)
            FAR_CHECK_NEAR(weights[k], (SAMPLES - 10.0) / (CLASSES * (double)counts[k]), 1e-5 * weights[k]);
    }
}

FAR_TEST(median_frequencies_of_maps)
{
    int64_t counts[CLASSES], among[CLASSES];
    double weights[CLASSES], frequency[CLASSES], sorted[CLASSES];
    char digest[65];
    count(FAR_LABEL_MAP, counts, among);
    for (int k = 0; k < CLASSES; k++) frequency[k] = sorted[k] = (double)counts[k] / (double)among[k];
    for (int i = 0; i < CLASSES; i++)
        for (int k = i + 1; k < CLASSES; k++)
            if (sorted[k] < sorted[i]) {
                const double swap = sorted[k];
                sorted[k] = sorted[i];
                sorted[i] = swap;
            }
    new_folder();
    train(
        "data.synthetic.label=map model.name=unet model.depth=2 model.width=4 model.norm=batch loss.class_weights=auto",
        false, digest);
    read_weights(weights);
    for (int k = 0; k < CLASSES; k++)
        FAR_CHECK_NEAR(weights[k], 0.5 * (sorted[1] + sorted[2]) / frequency[k], 1e-5 * weights[k]);
}

static bool stop_at_3(void *context)
{
    return ++*(int *)context >= 3;
}

static void train(const char *settings, bool has_break, char digest_out[65])
{
    far_config *config = config_of(settings);
    far_run *run = NULL;
    char path[700];
    int steps = 0;
    far_run_opts opts = { .should_stop = stop_at_3, .stop_context = &steps };
    if (has_break) {
        FAR_CHECK_OK(far_run_open(config, &opts, &run));
        FAR_CHECK_STATUS(far_run_train(run), FAR_E_STOPPED);
        far_run_close(run);
        far_config_destroy(config);
        (void)snprintf(path, sizeof path, "%s/run/config.yaml", folder); /* as --resume does */
        FAR_CHECK_OK(far_config_create(&config));
        FAR_CHECK_OK(far_config_load(config, path));
        (void)snprintf(path, sizeof path, "%s/run", folder);
    }
    opts = (far_run_opts){ .resume = has_break ? path : NULL };
    FAR_CHECK_OK(far_run_open(config, &opts, &run));
    FAR_CHECK_OK(far_run_train(run));
    far_run_digest(run, digest_out);
    far_run_close(run);
    far_config_destroy(config);
}

FAR_TEST(a_run_that_goes_on_keeps_them)
{
    char whole[65], broken[65], none[65];
    const int64_t live = fari_alloc_live();
    new_folder();
    train("model.name=lenet5 loss.class_weights=auto", false, whole);
    new_folder();
    train("model.name=lenet5 loss.class_weights=auto", true, broken);
    FAR_CHECK_STR(broken, whole);
    new_folder();
    train("model.name=lenet5", false, none);
    FAR_CHECK(strcmp(none, whole) != 0);
    FAR_CHECK_EQ_I64(fari_alloc_live(), live);
}

FAR_TEST(plans_and_mistakes)
{
    const far_run_opts opts = { .purpose = FAR_RUN_PLAN };
    far_run *run = NULL;
    new_folder();
    far_config *config = config_of("model.name=lenet5 loss.class_weights=median");
    FAR_CHECK_OK(far_run_open(config, &opts, &run));
    far_run_close(run);
    FAR_CHECK_STR(far_config_node_text(far_config_node_of(config, "loss.class_weights")),
                  "median"); /* the caller's own stays */
    far_config_destroy(config);
    run = NULL;
    config = config_of("model.name=lenet5 loss.class_weights=automatic");
    FAR_CHECK_STATUS(far_run_open(config, &opts, &run), FAR_E_CONFIG);
    FAR_CHECK_HAS(far_error_message(), "class_weights");
    far_config_destroy(config);
}
