/**
 * @file farandole/recipe.h
 * Training methods: what the labels look like, what the loss is, which metrics are counted and which scores they give.
 * A recipe registers graph outputs (the loss and exact counts); a meter adds them up over batches on the host and turns the sums
 * into named scores.
 * Options     are named as in the configuration's group "loss".
 * Labels      outside the classes only where ignored: ignore_index, -1 as data.h's FAR_LABEL_IGNORE unless told otherwise. Samples that
 *             merely fill up a last batch carry it in every label: they add nothing to loss, gradients or scores.
 * Threads     as farandole/graph.h; a meter belongs to one thread at a time.
 * Collective  no call communicates.
 */
#ifndef FAR_RECIPE_H
#define FAR_RECIPE_H
#include <farandole/graph.h>
#include <farandole/model.h>
#include <farandole/options.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/** One row of the table of recipes. */
typedef struct far_recipe {
    const char *name;
    const char *help; /**< one sentence */
    const far_config_key *options;
    int32_t option_count;
} far_recipe;

FAR_API int32_t far_recipe_count(void);
FAR_API const far_recipe *far_recipe_at(int32_t idx);
/** @return the recipe, NULL when there is none of that name. */
FAR_API const far_recipe *far_recipe_find(const char *name);
/**
 * Options of one recipe; set them with far_options_set, free them with far_options_destroy.
 * @return FAR_OK, FAR_E_NOTFOUND (with the nearest name), FAR_E_NOMEM.
 */
FAR_API far_status far_recipe_opts_create(const char *name, far_options **opts_out);
/** @return the recipe whose options these are, NULL when they are none of a recipe's. */
FAR_API const far_recipe *far_recipe_of(const far_options *opts);

/**
 * The shape of the labels, i32, for what a model gives.
 * classify: [N]. segment, cosmictagger: [N, P, spatial..] with P = the model's logit maps (1, or one an image plane).
 * @return FAR_OK, FAR_E_SHAPE (the logits do not suit the recipe).
 */
FAR_API far_status far_recipe_labels(const far_graph *graph, const far_options *opts, const far_model_result *model,
                                     far_shape *shape_out);

/**
 * Adds loss and metrics to the graph, and registers them as outputs: "loss", then counts (see far_meter).
 * @param labels    of the shape that far_recipe_labels gives; i32, or u8 where no label is ignored.
 * @param loss_out  the scalar to differentiate.
 * @return FAR_OK or the graph's failure: FAR_E_SHAPE, FAR_E_CONFIG (options do not suit the number of classes).
 */
FAR_API far_status far_recipe_build(far_graph *graph, const far_options *opts, const far_model_result *model,
                                    far_value labels, far_value *loss_out);

/* --- scores --- */

/**
 * Sums of a recipe's outputs over batches. Counts are whole numbers in doubles, exact up to 2^53; scores of single images are rounded
 * to multiples of 2^-32 before they are added, exact up to 2^21 images. So the order in which batches and ranks are added never shows.
 */
typedef struct far_meter far_meter;

/**
 * Creates a meter for a graph that far_recipe_build has added to.
 * @param opts       the recipe's options, not needed afterwards.
 * @param meter_out  receives a meter owned by the caller; untouched on failure.
 * @return FAR_OK, FAR_E_ARG (the graph has no such outputs), FAR_E_NOMEM.
 */
FAR_API far_status far_meter_create(const far_graph *graph, const far_options *opts, far_meter **meter_out);
/** Frees it. NULL is allowed. */
FAR_API void far_meter_destroy(far_meter *meter);
/** Forgets all batches. */
FAR_API void far_meter_reset(far_meter *meter);

/** The graph outputs that far_meter_add takes, in this order; the first is "loss". */
FAR_API int32_t far_meter_output_count(const far_meter *meter);
FAR_API const char *far_meter_output_name(const far_meter *meter, int32_t idx);
/** @return whether the output has one entry a sample (axis 0): a rank may give those of its own samples only. */
FAR_API bool far_meter_output_is_each(const far_meter *meter, int32_t idx);
/** @return elements of one such entry, or of the whole output. */
FAR_API int64_t far_meter_output_elems(const far_meter *meter, int32_t idx);

/**
 * Adds one batch. Allocates nothing.
 * @param sample_count  samples of the batch that are not filling: the weight of its loss in the mean.
 * @param values        [outputs] f64 arrays as the step returned them.
 * @param entry_count   [outputs] entries given of outputs that are "each"; not read for others. NULL: no such outputs.
 */
FAR_API void far_meter_add(far_meter *meter, int64_t sample_count, const double *const *values,
                           const int64_t *entry_count);
/**
 * The sums that only cover the samples given to this meter. Where a batch lies on several ranks, add them up over the ranks, in any
 * order, before reading scores; all other sums are equal on all ranks.
 * @param count_out  how many there are; 0 for most recipes.
 */
FAR_API double *far_meter_partial(far_meter *meter, int64_t *count_out);

/** Scores by name: "loss", "top1", "accuracy", "miou", "iou/<class>"... A score of nothing counted is 0. */
FAR_API int32_t far_meter_score_count(const far_meter *meter);
FAR_API const char *far_meter_score_name(const far_meter *meter, int32_t idx);
FAR_API double far_meter_score(const far_meter *meter, int32_t idx);

#ifdef __cplusplus
}
#endif
#endif /* FAR_RECIPE_H */
