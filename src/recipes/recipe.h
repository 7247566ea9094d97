/* Recipes' inside. A recipe is one file - its options, its loss and metrics, its scores - and one row in table.c. */
#ifndef FARI_RECIPES_RECIPE_H
#define FARI_RECIPES_RECIPE_H
#include <farandole/loss.h>
#include <farandole/metric.h>
#include <farandole/recipe.h>

#define FARI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef struct fari_recipe {
    far_recipe info;
    far_status (*labels)(const far_graph *graph, const far_options *opts, const far_model_result *model,
                         far_shape *shape_out);
    /* Registers its outputs; gives the loss. Failures stay in the graph. */
    far_value (*build)(far_graph *graph, const far_options *opts, const far_model_result *model, far_value labels);
    /* Tells the meter which outputs there are and which scores they give. */
    void (*meter)(far_meter *meter, const far_graph *graph, const far_options *opts);
} fari_recipe;

extern const fari_recipe fari_recipe_classify;     /* classify.c */
extern const fari_recipe fari_recipe_segment;      /* segment.c */
extern const fari_recipe fari_recipe_cosmictagger; /* cosmictagger.c */

#define FARI_OPTIONS(rows) .options = (rows), .option_count = (int32_t)FARI_COUNT(rows)
#define FARI_OPT(type_, name_, default_, lo_, hi_, help_)                                                        \
    {                                                                                                            \
        .name = (name_), .type = (type_), .default_text = (default_), .unit = "", .help = (help_), .min = (lo_), \
        .max = (hi_)                                                                                             \
    }
#define FARI_OPT_FLOAT(name_, default_, lo_, hi_, help_) FARI_OPT(FAR_CONFIG_FLOAT, name_, default_, lo_, hi_, help_)
#define FARI_OPT_BOOL(name_, default_, help_) FARI_OPT(FAR_CONFIG_BOOL, name_, default_, 0, 0, help_)
#define FARI_OPT_ENUM(name_, default_, values_, help_)                                                     \
    {                                                                                                      \
        .name = (name_), .type = FAR_CONFIG_ENUM, .default_text = (default_), .unit = "", .help = (help_), \
        .values = (values_)                                                                                \
    }
/* What fari_ce_opts_of reads: a focal loss is a cross-entropy whose pixels weigh (1 - p_true)^gamma. The names are those of the
   configuration's loss group. `normalisation` is in far_ce_norm's order. */
#define FARI_OPT_LOSS(default_, names_)                                                                                          \
    FARI_OPT_ENUM("name", default_, names_,                                                                                      \
                  "loss; bce: each class against the others, mse: squares against 1 for the label and 0"),                       \
        FARI_OPT_FLOAT("label_smoothing", "0", 0, 0.999, "share of the target spread over all classes"),                         \
        FARI_OPT(                                                                                                                \
            FAR_CONFIG_FLOATS, "class_weights", "", 0, 1e12,                                                                     \
            "factors of the classes in the loss; none: all 1. In a run also from the training labels: inverse, median or auto"), \
        FARI_OPT(FAR_CONFIG_INT, "ignore_index", "-1", INT32_MIN, INT32_MAX, "label that counts for nothing"),                   \
        FARI_OPT_ENUM(                                                                                                           \
            "normalisation", "mean", "mean|sum|pixels|balanced",                                                                 \
            "divisor: the sum of weights, 1, pixels times classes; balanced: classes weigh by rarity in the batch"),             \
        FARI_OPT_FLOAT("gamma", "2", 1e-6, 100, "exponent of the focal loss")
/* With FARI_OPT_LOSS what fari_dense_loss reads. */
#define FARI_OPT_DICE                                                                               \
    FARI_OPT_FLOAT("dice", "0", 0, 1e6, "factor of a Dice loss that is added"),                     \
        FARI_OPT_FLOAT("smooth", "1e-5", 1e-30, 1e6, "added to numerator and denominator of Dice"), \
        FARI_OPT_BOOL("dice_square", "no", "squares in the denominator of Dice, as V-Net"),         \
        FARI_OPT_BOOL("dice_skip_background", "no", "leave class 0 out of Dice")
#define FARI_OPT_CLASS_NAMES \
    FARI_OPT(FAR_CONFIG_STRINGS, "class_names", "", 0, 0, "names of the classes in scores; none: their numbers")
#define FARI_OPT_METRICS \
    FARI_OPT_BOOL("train_metrics", "yes", "count metrics while training too, not only in evaluation")

/* ---- common.c ---- */

/* Cross-entropy options from FARI_OPT_LOSS, for K classes; `weights` holds what class_weight points to. Fails the graph. */
far_ce_opts fari_ce_opts_of(far_graph *graph, const far_options *opts, int64_t classes,
                            double weights[FAR_CLASS_WEIGHTS_MAX]);
/* The loss of pixels, from FARI_OPT_LOSS and FARI_OPT_DICE, times `scale`. */
far_value fari_dense_loss(far_graph *graph, const far_options *opts, const char *name, far_value logits,
                          far_value labels, double scale);
far_metric_opts fari_metric_opts_of(const far_options *opts);
/* Whether this graph counts metrics. */
bool fari_has_metrics(const far_graph *graph, const far_options *opts);
/* [N, P, spatial..] for P logit maps of equal shape with at least two classes. */
far_status fari_labels_dense(const far_graph *graph, const far_model_result *model, far_shape *shape_out);
/* The labels of plane p: [N, 1, spatial..]. */
far_value fari_labels_plane(far_graph *graph, far_value labels, int32_t plane);
/* "<base>", or "<base>.<plane>" where there are several planes. */
typedef struct fari_label {
    char text[64];
} fari_label;
fari_label fari_plane_name(const char *base, int32_t plane, int32_t planes);

/* ---- meter.c ---- */

typedef enum fari_sums_kind {
    FARI_SUMS_LOSS,   /* [2] loss times samples, samples */
    FARI_SUMS_COUNTS, /* [elems of the output] */
    FARI_SUMS_COSMIC  /* [5] four scores summed over images, images; from [entries, 3, 3] */
} fari_sums_kind;

typedef enum fari_score_kind {
    FARI_SCORE_RATIO,          /* sums[k] / sums[k + 1]; of LOSS, and [right, counted] */
    FARI_SCORE_COSMIC,         /* sums[k] / images */
    FARI_SCORE_COSMIC_MIOU,    /* of cosmic and neutrino */
    FARI_SCORE_ACCURACY,       /* these from confusion counts [classes, classes] */
    FARI_SCORE_NON_BACKGROUND, /* right ones of the labels that are not 0 */
    FARI_SCORE_BALANCED,       /* mean recall of the classes that occur */
    FARI_SCORE_RECALL,         /* of class k */
    FARI_SCORE_IOU,            /* of class k */
    FARI_SCORE_MIOU,           /* mean over the classes that occur, in labels or predictions */
    FARI_SCORE_FOREGROUND_IOU  /* of all classes but 0 taken for one */
} fari_score_kind;

/* Adds a graph output; gives the number of its sums. Outputs of one name base that share sums pass them as `sums_idx`; else -1.
   Nothing happens once something failed. */
int32_t fari_meter_output(far_meter *meter, const far_graph *graph, const char *output, fari_sums_kind kind,
                          int32_t sums_idx);
void fari_meter_score(far_meter *meter, const char *name, fari_score_kind kind, int32_t sums_idx, int64_t k);
/* "<base>/<class name or number>" for each of the K classes. */
void fari_meter_class_scores(far_meter *meter, const far_options *opts, const char *base, fari_score_kind kind,
                             int32_t sums_idx);
/* far_meter_create, with the recipe found. */
far_status fari_meter_make(const fari_recipe *recipe, const far_graph *graph, const far_options *opts,
                           far_meter **meter_out);
#endif
