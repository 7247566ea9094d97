/* loss.class_weights: auto. Weights from the training labels, put into the configuration as numbers: what the run folder keeps, and a resumed
   run reads, is what was used. */
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "data/dataset.h"
#include "run/config_priv.h"
#include "run/run_priv.h"
#include <farandole/loss.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEY "loss.class_weights"
#define MAPS_MAX 10000 /* label maps that are counted: enough for three digits */

typedef enum weighting { WEIGHTS_GIVEN = 0, WEIGHTS_INVERSE, WEIGHTS_MEDIAN } weighting;

/* Which way the configuration asks for; GIVEN also where it does not ask. */
static weighting asked_for(const far_run *run)
{
    const far_config_node *node = far_config_node_of(run->config, KEY);
    const char *text = node == NULL ? NULL : far_config_node_text(node);
    if (text == NULL) return WEIGHTS_GIVEN;
    if (strcmp(text, "inverse") == 0) return WEIGHTS_INVERSE;
    if (strcmp(text, "median") == 0) return WEIGHTS_MEDIAN;
    if (strcmp(text, "auto") != 0) return WEIGHTS_GIVEN;
    return run->data.info.label == FAR_LABEL_MAP ? WEIGHTS_MEDIAN : WEIGHTS_INVERSE;
}

static int compare_f64(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* w = labels / (classes that occur * labels of the class): the classes weigh the same in all, the mean weight of a label is 1. */
static void inverse_weights(const int64_t *counts, int32_t classes, double *weights_out)
{
    int64_t all = 0, occur = 0;
    for (int32_t k = 0; k < classes; k++) {
        all += counts[k];
        occur += counts[k] > 0;
    }
    for (int32_t k = 0; k < classes; k++)
        weights_out[k] = counts[k] > 0 ? (double)all / ((double)occur * (double)counts[k]) : 0.0;
}

/* Eigen and Fergus 2015: w = median of the frequencies / frequency, a class's frequency being among the labels of images that have it. */
static void median_weights(const int64_t *counts, const int64_t *among, int32_t classes, double *scratch,
                           double *weights_out)
{
    int64_t occur = 0;
    for (int32_t k = 0; k < classes; k++)
        if (counts[k] > 0) scratch[occur++] = (double)counts[k] / (double)among[k];
    qsort(scratch, (size_t)occur, sizeof *scratch, compare_f64);
    const double median = occur == 0 ? 0.0 : 0.5 * (scratch[(occur - 1) / 2] + scratch[occur / 2]);
    for (int32_t k = 0; k < classes; k++)
        weights_out[k] = counts[k] > 0 ? median * (double)among[k] / (double)counts[k] : 0.0;
}

static void warn_of_absent(const far_run *run, const int64_t *counts, int32_t classes)
{
    for (int32_t k = 0; k < classes; k++) {
        const char *name = far_dataset_class_name(run->data.train, k);
        if (counts[k] == 0)
            fari_log(FAR_LOG_WARN, "class %d%s%s%s has no label in the training samples: its weight is 0", (int)k,
                     name != NULL ? " (" : "", name != NULL ? name : "", name != NULL ? ")" : "");
    }
}

/* The run's own configuration, with numbers where the word was. Six digits: the text is what is used. */
static far_status put_weights(far_run *run, const double *weights, int32_t classes)
{
    fari_text text = { 0 };
    far_config *clone = NULL;
    far_status st = FAR_OK;
    fari_text_add(&text, KEY "=[");
    for (int32_t k = 0; k < classes; k++) fari_text_add(&text, "%s%.6g", k > 0 ? ", " : "", weights[k]);
    fari_text_add(&text, "]");
    if (text.failed) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for the weights of %d classes", (int)classes);
        goto free_text;
    }
    FAR_TRY_GOTO(fari_config_clone(run->config, &clone), free_text);
    st = far_config_set(clone, text.data);
    if (st != FAR_OK) {
        far_config_destroy(clone);
        goto free_text;
    }
    run->config = run->own_config = clone;
    if (run->opts.purpose != FAR_RUN_PLAN)
        fari_log(FAR_LOG_INFO, "class weights from the training labels: %s", text.data);
free_text:
    fari_text_free(&text);
    return st;
}

static far_status count(const far_run *run, int64_t *counts, int64_t *among)
{
    const run_data *data = &run->data;
    const bool is_map = data->info.label == FAR_LABEL_MAP;
    const int64_t samples = is_map && data->kept_count > MAPS_MAX ? MAPS_MAX : data->kept_count;
    return run_sample_failed(run, fari_label_counts(data->train, data->kept, samples,
                                                    (int32_t)far_config_i64(run->config, "data.downsample"),
                                                    run_on_error(run) == FAR_ON_ERROR_SKIP, counts, among));
}

far_status run_class_weights(far_run *run)
{
    const weighting way = asked_for(run);
    const int32_t classes = run->data.info.class_count;
    far_status st = FAR_OK;
    if (way == WEIGHTS_GIVEN) return FAR_OK;
    if (classes > FAR_CLASS_WEIGHTS_MAX)
        return far_config_fail(run->config, KEY, "%d classes; at most %d can be weighted", (int)classes,
                               FAR_CLASS_WEIGHTS_MAX);
    int64_t *counts = fari_calloc(2 * (size_t)classes, sizeof *counts);
    double *weights = fari_calloc(2 * (size_t)classes, sizeof *weights);
    if (counts == NULL || weights == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for the weights of %d classes", (int)classes);
        goto free_all;
    }
    for (int32_t k = 0; k < classes; k++) weights[k] = 1.0;
    if (run->opts.purpose != FAR_RUN_PLAN) { /* a plan is the same with any weights */
        FAR_TRY_GOTO(count(run, counts, counts + classes), free_all);
        if (way == WEIGHTS_INVERSE) inverse_weights(counts, classes, weights);
        else median_weights(counts, counts + classes, classes, weights + classes, weights);
        warn_of_absent(run, counts, classes);
    }
    st = put_weights(run, weights, classes);
free_all:
    fari_free(weights);
    fari_free(counts);
    return st;
}
