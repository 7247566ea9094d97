/* Whole images in evaluation and prediction: every pixel counts once, padding counts for nothing, whatever the sizes. */
#include "base/log.h"
#include "base/mem.h"
#include "support/temp_folder.h"
#include "test.h"
#include <farandole/data.h>
#include <farandole/run.h>

enum { SAMPLES = 13, HEIGHT = 50, WIDTH = 44, CLASSES = 3 };
static const double vary = 0.7;

static char folder[TEMP_FOLDER_BYTES];

static far_run *open_run(const char *settings, far_config **config_out)
{
    char text[1400], *rest = text;
    far_run *run = NULL;
    far_log_set_level(FAR_LOG_ERROR);
    temp_folder(folder);
    FAR_CHECK_OK(far_config_create(config_out));
    (void)snprintf(
        text, sizeof text,
        "data.kind=synthetic data.synthetic.samples=24 data.synthetic.test_samples=%d data.synthetic.vary=%g "
        "data.synthetic.shape=[2,%d,%d] data.synthetic.classes=%d data.synthetic.label=map "
        "batch=4 train.steps=3 optim.lr=0.1 "
        "run.dir=%s/run %s %s",
        SAMPLES, vary, HEIGHT, WIDTH, CLASSES, folder,
        strstr(settings, "model.name") != NULL ? "" : "model.name=unet model.depth=2 model.width=4 model.norm=batch",
        settings);
    for (char *one = strtok_r(text, " ", &rest); one != NULL; one = strtok_r(NULL, " ", &rest))
        FAR_CHECK_OK(far_config_set(*config_out, one));
    FAR_CHECK_OK(far_run_open(*config_out, NULL, &run));
    return run;
}

static void close_run(far_run *run, far_config *config)
{
    far_run_close(run);
    far_config_destroy(config);
}

static far_dataset *test_set(double varying)
{
    const far_synthetic_opts opts = { .sample_count = SAMPLES,
                                      .first = 24,
                                      .seed = 1,
                                      .height = HEIGHT,
                                      .width = WIDTH,
                                      .channels = 2,
                                      .class_count = CLASSES,
                                      .label = FAR_LABEL_MAP,
                                      .vary = varying };
    far_dataset *set = NULL;
    FAR_CHECK_OK(far_dataset_open_synthetic(&opts, &set));
    return set;
}

static double score_of(const far_score *scores, int64_t count, const char *name)
{
    for (int64_t i = 0; i < count; i++)
        if (strcmp(scores[i].name, name) == 0) return scores[i].value;
    far_test_fail(__FILE__, __LINE__, "no score %s", name);
}

/* --- scores, recounted from predictions and labels --- */

typedef struct recount {
    far_dataset *set;
    int64_t seen[SAMPLES], order[SAMPLES], count;
    double confusion[CLASSES][CLASSES];
} recount;

static far_status recount_one(void *context, const far_prediction *p)
{
    static float image[HEIGHT * WIDTH * 2];
    static int32_t labels[HEIGHT * WIDTH];
    recount *r = context;
    int64_t height, width;
    FAR_CHECK_OK(far_dataset_extent(r->set, p->sample, &height, &width));
    FAR_CHECK_OK(far_dataset_read(r->set, p->sample, image, labels));
    FAR_CHECK(p->shape.ndim == 3 && p->shape.dim[0] == CLASSES && p->shape.dim[1] == height &&
              p->shape.dim[2] == width);
    const int64_t pixels = height * width;
    for (int64_t i = 0; i < pixels; i++) {
        int best = 0;
        for (int k = 1; k < CLASSES; k++)
            if (p->elems[k * pixels + i] > p->elems[best * pixels + i]) best = k;
        r->confusion[labels[i]][best] += 1.0;
    }
    r->seen[p->sample]++;
    r->order[r->count++] = p->sample;
    return FAR_OK;
}

FAR_TEST(scores_are_those_of_every_pixel_once)
{
    static const char *const ways[] = { "data.augment.crop=16", "data.augment.crop=16 eval.batch=1 threads=1",
                                        "data.augment.crop=[16,24] eval.batch=3 threads=2 data.threads=3",
                                        "data.size=52 data.fit=resize", "data.augment.crop=16 model.depth=3" };
    for (size_t w = 0; w < FAR_COUNT(ways); w++) {
        const int64_t before = fari_alloc_live();
        recount r = { .set = test_set(vary) };
        const far_score *scores = NULL;
        int64_t count = 0, height, width, last_h = 0, last_w = 0;
        far_config *config = NULL;
        far_run *run = open_run(ways[w], &config);
        FAR_CHECK_OK(far_run_train(run));
        FAR_CHECK_OK(far_run_predict(run, recount_one, &r));
        FAR_CHECK_EQ_I64(r.count, SAMPLES);
        double right = 0.0, all = 0.0, iou = 0.0;
        for (int i = 0; i < SAMPLES; i++) {
            FAR_CHECK_EQ_I64(r.seen[i], 1);
            FAR_CHECK_OK(
                far_dataset_extent(r.set, r.order[i], &height, &width)); /* by size, padded to multiples of 4 or 8 */
            const int64_t unit = w == 4 ? 8 : 4, h = (height + unit - 1) / unit, v = (width + unit - 1) / unit;
            FAR_CHECK(h > last_h || (h == last_h && (v > last_w || (v == last_w && r.order[i] > r.order[i - 1]))));
            last_h = h;
            last_w = v;
        }
        for (int t = 0; t < CLASSES; t++) {
            double is = 0.0, said = 0.0;
            for (int p = 0; p < CLASSES; p++) {
                is += r.confusion[t][p];
                said += r.confusion[p][t];
            }
            right += r.confusion[t][t];
            all += is;
            iou += r.confusion[t][t] / (is + said - r.confusion[t][t]) / CLASSES;
        }
        FAR_CHECK_OK(far_run_evaluate(run, &scores, &count));
        FAR_CHECK(score_of(scores, count, "accuracy") == right / all);
        FAR_CHECK_NEAR(score_of(scores, count, "miou"), iou, 1e-12);
        far_dataset_close(r.set);
        close_run(run, config);
        FAR_CHECK_EQ_I64(fari_alloc_live(), before);
    }
}

/* --- one size: as if the images had never been cut --- */

typedef struct kept {
    float elems[SAMPLES][CLASSES * HEIGHT * WIDTH];
} kept;

static far_status keep(void *context, const far_prediction *p)
{
    kept *k = context;
    memcpy(k->elems[p->sample], p->elems, (size_t)far_shape_elems(&p->shape) * sizeof(float));
    return FAR_OK;
}

static void predict_all(const char *settings, kept *out)
{
    far_config *config = NULL;
    far_run *run = open_run(settings, &config);
    FAR_CHECK_OK(far_run_predict(run, keep, out));
    close_run(run, config);
}

FAR_TEST(whole_images_of_one_size_are_as_without_crops)
{
    static kept whole, cropped;
    /* the start weights are a function of the seed */
    predict_all("data.synthetic.vary=0 data.synthetic.shape=[2,48,44] eval.batch=1", &whole);
    predict_all("data.synthetic.vary=0 data.synthetic.shape=[2,48,44] eval.batch=1 data.augment.crop=16", &cropped);
    FAR_CHECK_BITS("logits", (float *)cropped.elems, (float *)whole.elems, SAMPLES * CLASSES * HEIGHT * WIDTH);
    predict_all("data.synthetic.vary=0 data.synthetic.shape=[2,48,44] eval.batch=1 seed=4", &cropped);
    FAR_CHECK(memcmp(&cropped, &whole, sizeof whole) != 0);
}

FAR_TEST(held_back_samples_are_evaluated_whole_too)
{
    far_config *config = NULL;
    const far_score *scores = NULL, *again = NULL;
    int64_t count = 0;
    char *text = NULL;
    far_run *run = open_run("data.augment.crop=16 data.holdout=7", &config);
    FAR_CHECK_OK(far_run_plan_text(run, false, &text));
    FAR_CHECK_HAS(text, "whole images in ");
    FAR_CHECK_HAS(text, "multiples of 4");
    far_config_text_free(text);
    FAR_CHECK_OK(far_run_train(run)); /* evaluates what is held back */
    FAR_CHECK_OK(far_run_evaluate(run, &scores, &count));
    const double first = score_of(scores, count, "loss");
    FAR_CHECK_OK(far_run_evaluate(run, &again, &count));
    FAR_CHECK(score_of(again, count, "loss") == first && first > 0.0);
    close_run(run, config);
}

FAR_TEST(native_and_fixed_can_be_asked_for)
{
    far_config *config = NULL;
    char *text = NULL;
    far_run *run = open_run("data.size=32 data.fit=resize eval.size=fixed", &config);
    FAR_CHECK_OK(far_run_plan_text(run, false, &text));
    FAR_CHECK(strstr(text, "whole images") == NULL);
    far_config_text_free(text);
    close_run(run, config);
    /* labels of images, and a network that ends in a pooling of everything */
    run =
        open_run("data.synthetic.label=class model.name=resnet18 model.width=8 data.size=32 eval.size=native", &config);
    FAR_CHECK_OK(far_run_plan_text(run, false, &text));
    FAR_CHECK_HAS(text, "multiples of 1;");
    far_config_text_free(text);
    FAR_CHECK_OK(far_run_train(run));
    close_run(run, config);
}
