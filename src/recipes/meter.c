/* The meter: sums of outputs over batches, and the scores they give. */
#include "recipes/recipe.h"
#include <farandole/extend.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUTS_MAX (2 * FAR_LOGITS_MAX + 8)
#define COSMIC_SCORES 4
#define QUANTUM 4294967296.0 /* 2^32: scores of images are multiples of its inverse */

typedef struct meter_sums {
    fari_sums_kind kind;
    int64_t classes; /* of confusion counts */
    int64_t count;
    double *sums; /* [count] */
} meter_sums;

typedef struct meter_output {
    char name[64];
    int32_t sums_idx;
    int64_t entry_elems;
    bool is_each;
} meter_output;

typedef struct meter_score {
    char name[64];
    fari_score_kind kind;
    int32_t sums_idx;
    int64_t k;
} meter_score;

struct far_meter {
    far_status status; /* the first failure while it is made */
    meter_output outputs[OUTPUTS_MAX];
    int32_t output_count;
    meter_sums sums[OUTPUTS_MAX];
    int32_t sums_count;
    meter_score *scores;
    int32_t score_count, score_cap;
};

/* ---- making ---- */

static int32_t fail(far_meter *meter, far_status status)
{
    if (meter->status == FAR_OK) meter->status = status;
    return -1;
}

static int32_t sums_add(far_meter *meter, fari_sums_kind kind, const far_shape *output)
{
    const int32_t idx = meter->sums_count;
    meter_sums *sums = &meter->sums[idx];
    sums->kind = kind;
    sums->classes = output->ndim > 0 ? output->dim[output->ndim - 1] : 1;
    sums->count = kind == FARI_SUMS_LOSS ? 2 : kind == FARI_SUMS_COSMIC ? COSMIC_SCORES + 1 : far_shape_elems(output);
    sums->sums = calloc((size_t)sums->count, sizeof *sums->sums);
    if (sums->sums == NULL) return fail(meter, far_fail(FAR_E_NOMEM, "no memory for the sums of metrics"));
    meter->sums_count++;
    return idx;
}

int32_t fari_meter_output(far_meter *meter, const far_graph *graph, const char *output, fari_sums_kind kind,
                          int32_t sums_idx)
{
    const far_value value = far_graph_find(graph, output);
    const far_shape shape = far_graph_shape(graph, value);
    if (meter->status != FAR_OK) return -1;
    if (value < 0 || meter->output_count == OUTPUTS_MAX)
        return fail(meter,
                    far_fail(FAR_E_ARG, "the graph has no output '%s': the recipe was not built into it", output));
    if (sums_idx < 0) sums_idx = sums_add(meter, kind, &shape);
    if (sums_idx < 0) return -1;
    meter_output *row = &meter->outputs[meter->output_count++];
    (void)snprintf(row->name, sizeof row->name, "%s", output);
    row->sums_idx = sums_idx;
    row->is_each = kind == FARI_SUMS_COSMIC;
    row->entry_elems = far_shape_elems(&shape) / (row->is_each ? shape.dim[0] : 1);
    return sums_idx;
}

void fari_meter_score(far_meter *meter, const char *name, fari_score_kind kind, int32_t sums_idx, int64_t k)
{
    if (meter->status != FAR_OK) return;
    if (meter->score_count == meter->score_cap) {
        const int32_t cap = meter->score_cap > 0 ? 2 * meter->score_cap : 16;
        meter_score *grown = realloc(meter->scores, (size_t)cap * sizeof *grown);
        if (grown == NULL) {
            (void)fail(meter, far_fail(FAR_E_NOMEM, "no memory for scores"));
            return;
        }
        meter->scores = grown;
        meter->score_cap = cap;
    }
    meter_score *row = &meter->scores[meter->score_count++];
    (void)snprintf(row->name, sizeof row->name, "%s", name);
    row->kind = kind;
    row->sums_idx = sums_idx;
    row->k = k;
}

void fari_meter_class_scores(far_meter *meter, const far_options *opts, const char *base, fari_score_kind kind,
                             int32_t sums_idx)
{
    const int64_t named = far_options_list_count(opts, "class_names");
    if (meter->status != FAR_OK) return;
    const int64_t classes = meter->sums[sums_idx].classes;
    char name[64];
    if (named != 0 && named != classes) {
        (void)fail(meter,
                   far_options_fail(opts, "class_names", "%" PRId64 " names for %" PRId64 " classes", named, classes));
        return;
    }
    for (int64_t k = 0; k < classes; k++) {
        if (named > 0) (void)snprintf(name, sizeof name, "%s/%s", base, far_options_list_text(opts, "class_names", k));
        else (void)snprintf(name, sizeof name, "%s/%" PRId64, base, k);
        fari_meter_score(meter, name, kind, sums_idx, k);
    }
}

far_status fari_meter_make(const fari_recipe *recipe, const far_graph *graph, const far_options *opts,
                           far_meter **meter_out)
{
    far_meter *meter = calloc(1, sizeof *meter);
    if (meter == NULL) return far_fail(FAR_E_NOMEM, "no memory for a meter");
    const int32_t loss = fari_meter_output(meter, graph, "loss", FARI_SUMS_LOSS, -1);
    fari_meter_score(meter, "loss", FARI_SCORE_RATIO, loss, 0);
    recipe->meter(meter, graph, opts);
    const far_status st = meter->status;
    if (st != FAR_OK) {
        far_meter_destroy(meter);
        return st;
    }
    *meter_out = meter;
    return FAR_OK;
}

void far_meter_destroy(far_meter *meter)
{
    if (meter == NULL) return;
    for (int32_t i = 0; i < meter->sums_count; i++) free(meter->sums[i].sums);
    free(meter->scores);
    free(meter);
}

/* ---- adding ---- */

void far_meter_reset(far_meter *meter)
{
    for (int32_t i = 0; i < meter->sums_count; i++)
        memset(meter->sums[i].sums, 0, (size_t)meter->sums[i].count * sizeof(double));
}

int32_t far_meter_output_count(const far_meter *meter)
{
    return meter->output_count;
}

const char *far_meter_output_name(const far_meter *meter, int32_t idx)
{
    return meter->outputs[idx].name;
}

bool far_meter_output_is_each(const far_meter *meter, int32_t idx)
{
    return meter->outputs[idx].is_each;
}

int64_t far_meter_output_elems(const far_meter *meter, int32_t idx)
{
    return meter->outputs[idx].entry_elems;
}

static double quantized(double score)
{
    return floor(score * QUANTUM + 0.5) / QUANTUM;
}

/* Scores of single images; those in which nothing was counted fill up a batch. */
static void cosmic_add(double *sums, const double *confusion, int64_t images)
{
    far_cosmic_scores scores;
    for (int64_t i = 0; i < images; i++, confusion += 9) {
        double counted = 0.0;
        for (int k = 0; k < 9; k++) counted += confusion[k];
        if (counted == 0.0) continue;
        far_cosmic_scores_mean(confusion, 1, &scores);
        sums[0] += quantized(scores.accuracy);
        sums[1] += quantized(scores.non_background_accuracy);
        sums[2] += quantized(scores.cosmic_iou);
        sums[3] += quantized(scores.neutrino_iou);
        sums[COSMIC_SCORES] += 1.0;
    }
}

void far_meter_add(far_meter *meter, int64_t sample_count, const double *const *values, const int64_t *entry_count)
{
    for (int32_t i = 0; i < meter->output_count; i++) {
        const meter_output *output = &meter->outputs[i];
        meter_sums *sums = &meter->sums[output->sums_idx];
        if (sums->kind == FARI_SUMS_COSMIC) {
            cosmic_add(sums->sums, values[i], entry_count[i]);
        } else if (sums->kind == FARI_SUMS_LOSS) {
            sums->sums[0] += sample_count > 0 ? values[i][0] * (double)sample_count : 0.0;
            sums->sums[1] += (double)sample_count;
        } else {
            for (int64_t k = 0; k < sums->count; k++) sums->sums[k] += values[i][k];
        }
    }
}

/* At most one of a meter's sums is partial. */
double *far_meter_partial(far_meter *meter, int64_t *count_out)
{
    *count_out = 0;
    for (int32_t i = 0; i < meter->sums_count; i++) {
        if (meter->sums[i].kind != FARI_SUMS_COSMIC) continue;
        *count_out = meter->sums[i].count;
        return meter->sums[i].sums;
    }
    return NULL;
}

/* ---- scores ---- */

int32_t far_meter_score_count(const far_meter *meter)
{
    return meter->score_count;
}

const char *far_meter_score_name(const far_meter *meter, int32_t idx)
{
    return meter->scores[idx].name;
}

static double ratio(double part, double whole)
{
    return whole > 0.0 ? part / whole : 0.0;
}

/* Labels k, and labels k predicted as k, over classes from `first` on. */
static double accuracy_from(const double *confusion, int64_t classes, int64_t first)
{
    double right = 0.0, counted = 0.0;
    for (int64_t t = first; t < classes; t++) {
        right += confusion[t * classes + t];
        for (int64_t p = 0; p < classes; p++) counted += confusion[t * classes + p];
    }
    return ratio(right, counted);
}

/* Whether class k was ever a label, or (`or_predicted`) a prediction. */
static bool occurs(const double *confusion, int64_t classes, int64_t k, bool or_predicted)
{
    double seen = 0.0;
    for (int64_t i = 0; i < classes; i++)
        seen += confusion[k * classes + i] + (or_predicted ? confusion[i * classes + k] : 0.0);
    return seen > 0.0;
}

static double mean_over_classes(const double *confusion, int64_t classes, bool is_iou)
{
    double sum = 0.0, count = 0.0;
    for (int64_t k = 0; k < classes; k++) {
        if (!occurs(confusion, classes, k, is_iou)) continue;
        sum += is_iou ? far_confusion_iou(confusion, classes, k) : far_confusion_class_accuracy(confusion, classes, k);
        count += 1.0;
    }
    return ratio(sum, count);
}

double far_meter_score(const far_meter *meter, int32_t idx)
{
    const meter_score *score = &meter->scores[idx];
    const meter_sums *sums = &meter->sums[score->sums_idx];
    const double *x = sums->sums;
    const int64_t classes = sums->classes;
    switch (score->kind) {
    case FARI_SCORE_RATIO: return ratio(x[score->k], x[score->k + 1]);
    case FARI_SCORE_COSMIC: return ratio(x[score->k], x[COSMIC_SCORES]);
    case FARI_SCORE_COSMIC_MIOU: return ratio(0.5 * (x[2] + x[3]), x[COSMIC_SCORES]);
    case FARI_SCORE_ACCURACY: return accuracy_from(x, classes, 0);
    case FARI_SCORE_NON_BACKGROUND: return accuracy_from(x, classes, 1);
    case FARI_SCORE_BALANCED: return mean_over_classes(x, classes, false);
    case FARI_SCORE_RECALL:
        return occurs(x, classes, score->k, false) ? far_confusion_class_accuracy(x, classes, score->k) : 0.0;
    case FARI_SCORE_IOU: return occurs(x, classes, score->k, true) ? far_confusion_iou(x, classes, score->k) : 0.0;
    case FARI_SCORE_MIOU: return mean_over_classes(x, classes, true);
    case FARI_SCORE_FOREGROUND_IOU: return far_confusion_foreground_iou(x, classes);
    }
    return 0.0;
}
