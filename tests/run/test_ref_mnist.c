/* A network trained elsewhere: its weights load by name into examples/ref-mnist-cnn.yaml and give the log-probabilities they must.
   The data lie outside the repository, in ../shared/data or where FAR_SHARED_DATA says.

   The expected file is itself of single precision, with the 11,616 products of the first linear layer added one after the other: exact
   arithmetic is up to 3.9e-5 from it, at log-probabilities near -13 (with that one sum in single precision: 6e-6). So a limit of
   1e-5 cannot be kept in absolute terms by a more exact program; it is asked for relative to max(1, |log-probability|) against the
   file, and in absolute terms between our kernels and the references in double precision. */
#include "base/file.h"
#include "test.h"
#include <farandole/run.h>

#define SAMPLES 1000
#define CLASSES 10
#define LIMIT 1e-5

static char folder[1024]; /* of the reference network */

static void find_folder(void)
{
    const char *set = getenv("FAR_SHARED_DATA");
    if (set != NULL) (void)snprintf(folder, sizeof folder, "%s/ref-mnist-cnn", set);
    else (void)snprintf(folder, sizeof folder, "%s/../shared/data/ref-mnist-cnn", FAR_TEST_SOURCE_DIR);
    if (!fari_path_is_folder(folder))
        FAR_SKIP("no shared data: FAR_SHARED_DATA names the folder that holds ref-mnist-cnn");
}

/* [SAMPLES, CLASSES] f32 of an .npy file of version 1. */
static void read_npy(const char *path, float *elems_out)
{
    uint8_t head[10];
    char words[4096] = "";
    FILE *file = fopen(path, "rb");
    FAR_CHECK_MSG(file != NULL, "cannot open %s", path);
    FAR_CHECK(fread(head, 1, sizeof head, file) == sizeof head && memcmp(head, "\x93NUMPY\x01", 7) == 0);
    const size_t length = head[8] + 256U * head[9];
    FAR_CHECK(length < sizeof words && fread(words, 1, length, file) == length);
    FAR_CHECK_HAS(words, "'descr': '<f4'");
    FAR_CHECK_HAS(words, "'fortran_order': False");
    FAR_CHECK_HAS(words, "(1000, 10)");
    FAR_CHECK_EQ_U64(fread(elems_out, sizeof *elems_out, SAMPLES * CLASSES, file), SAMPLES * CLASSES);
    (void)fclose(file);
}

typedef struct taken {
    float logp[SAMPLES * CLASSES];
    int64_t count;
} taken;

static far_status take(void *context, const far_prediction *prediction)
{
    taken *t = context;
    FAR_CHECK_EQ_I64(prediction->sample, t->count); /* in the order of the data */
    FAR_CHECK(t->count < SAMPLES && prediction->map == 0 && prediction->map_count == 1);
    FAR_CHECK(prediction->shape.ndim == 1 && prediction->shape.dim[0] == CLASSES);
    memcpy(t->logp + t->count++ * CLASSES, prediction->elems, CLASSES * sizeof(float));
    return FAR_OK;
}

static void set_file(far_config *config, const char *key, const char *name)
{
    char text[1400];
    (void)snprintf(text, sizeof text, "%s=%s/%s", key, folder, name);
    FAR_CHECK_OK(far_config_set(config, text));
}

/* Opens the example with the reference's images and weights, and further settings. */
static far_run *open_run(far_config *config, const char *const *settings)
{
    char weights[1400];
    far_run *run = NULL;
    (void)snprintf(weights, sizeof weights, "%s/mnist.safetensors", folder);
    const far_run_opts opts = { .purpose = FAR_RUN_EVALUATE, .weights = weights };
    FAR_CHECK_OK(far_config_load(config, FAR_TEST_SOURCE_DIR "/examples/ref-mnist-cnn.yaml"));
    for (; *settings != NULL; settings++) FAR_CHECK_OK(far_config_set(config, *settings));
    static const char *const parts[] = { "data.", "data.test_" };
    for (size_t i = 0; i < FAR_COUNT(parts); i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "%simages", parts[i]);
        set_file(config, key, "mnist-t10k-first1000-images-idx3-ubyte.gz");
        (void)snprintf(key, sizeof key, "%slabels", parts[i]);
        set_file(config, key, "mnist-t10k-first1000-labels-idx1-ubyte.gz");
    }
    FAR_CHECK_OK(far_run_open(config, &opts, &run));
    return run;
}

/* Log-probabilities by far_run_predict and the accuracy by far_run_evaluate. */
static void predict(const char *const *settings, taken *got)
{
    far_config *config = NULL;
    const far_score *scores = NULL;
    int64_t score_count = 0;
    double accuracy = 0.0;
    FAR_CHECK_OK(far_config_create(&config));
    far_run *run = open_run(config, settings);
    got->count = 0;
    FAR_CHECK_OK(far_run_predict(run, take, got));
    FAR_CHECK_EQ_I64(got->count, SAMPLES);
    FAR_CHECK_OK(far_run_evaluate(run, &scores, &score_count));
    for (int64_t i = 0; i < score_count; i++)
        if (strcmp(scores[i].name, "accuracy") == 0) accuracy = scores[i].value;
    FAR_CHECK(accuracy > 0.98);
    far_run_close(run);
    far_config_destroy(config);
}

/* Largest |got - want| / max(floor, |want|); NaN stays. */
static double largest_error(const float *got, const float *want, double floor)
{
    double worst = 0.0;
    for (int i = 0; i < SAMPLES * CLASSES; i++) {
        const double size = floor > 0.0 ? fmax(floor, fabs((double)want[i])) : 1.0;
        const double error = fabs((double)got[i] - (double)want[i]) / size;
        if (!(error <= worst)) worst = error;
    }
    return worst;
}

static void check(const char *label, const char *const *settings)
{
    static taken got;
    static float want[SAMPLES * CLASSES];
    char path[1400];
    find_folder();
    (void)snprintf(path, sizeof path, "%s/expected_logp_first1000_f32.npy", folder);
    read_npy(path, want);
    predict(settings, &got);
    const double relative = largest_error(got.logp, want, 1.0);
    printf("%s: largest relative error of %d log-probabilities %.3g, absolute %.3g\n", label, SAMPLES * CLASSES,
           relative, largest_error(got.logp, want, 0.0));
    FAR_CHECK_MSG(relative <= LIMIT, "%s: log-probabilities are off by up to %g, allowed %g", label, relative, LIMIT);
}

FAR_TEST(log_probabilities_are_those_of_the_reference)
{
    check("default", (const char *const[]){ NULL });
}

FAR_TEST(also_in_grains_of_one_sample_and_few_rows)
{
    check("grains", (const char *const[]){ "batch=7", "grain.samples=1", "grain.rows=8", "threads=2", NULL });
}

FAR_TEST(also_by_the_reference_kernels)
{
    check("reference", (const char *const[]){ "exec.backend=reference", "batch=50", NULL });
}

FAR_TEST(our_kernels_are_nearer_to_double_precision_than_that)
{
    static taken fast, exact;
    find_folder();
    predict((const char *const[]){ NULL }, &fast);
    predict((const char *const[]){ "exec.backend=reference", "batch=50", NULL }, &exact);
    const double worst = largest_error(fast.logp, exact.logp, 0.0);
    printf("largest error beside kernels that compute in double: %.3g\n", worst);
    FAR_CHECK_MSG(worst <= LIMIT, "off by up to %g, allowed %g", worst, LIMIT);
}

FAR_TEST(a_network_with_other_names_is_refused)
{
    far_config *config = NULL;
    far_run *run = NULL;
    char weights[1400];
    find_folder();
    (void)snprintf(weights, sizeof weights, "%s/mnist.safetensors", folder);
    const far_run_opts opts = { .purpose = FAR_RUN_EVALUATE, .weights = weights };
    FAR_CHECK_OK(far_config_create(&config));
    FAR_CHECK_OK(far_config_set(config, "model=lenet5"));
    FAR_CHECK_OK(far_config_set(config, "data={kind: synthetic, synthetic.shape: [1, 28, 28]}"));
    FAR_CHECK_STATUS(far_run_open(config, &opts, &run), FAR_E_SHAPE);
    FAR_CHECK_HAS(far_error_message(), "conv1.weight");
    far_config_destroy(config);
}
