/**
 * @file farandole/model.h
 * The model zoo: networks by name, with a table of options each. `farandole models` prints it.
 *
 *     far_options *opts;
 *     far_model_result out;
 *     far_model_opts_create("uresnet", "a21", &opts);
 *     far_options_set(opts, "width", "16");
 *     far_model_build(graph, opts, far_graph_input(graph, "image", FAR_F32, &shape), &out);
 *
 * Parameter names, shapes and initial distributions are those of the papers' or torchvision's PyTorch models; creation order is
 * the order of named_parameters().
 * Threads     as farandole/graph.h.
 * Collective  no call communicates.
 */
#ifndef FAR_MODEL_H
#define FAR_MODEL_H
#include <farandole/graph.h>
#include <farandole/options.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/** Most logit maps of one model. */
#define FAR_LOGITS_MAX 8

/** A published configuration of a model: some of its options. */
typedef struct far_model_preset {
    const char *name;     /**< also accepted where a model's name is asked for */
    const char *settings; /**< "width=8 depth=6"; the other options keep their defaults */
    const char *help;     /**< one sentence */
    far_shape input;      /**< ndim 0: the model's */
} far_model_preset;

/** One row of the zoo. */
typedef struct far_model {
    const char *name;
    const char *help; /**< one sentence */
    far_shape input;  /**< the usual input, one sample: [1, C, spatial..] */
    const far_config_key *options;
    int32_t option_count;
    const far_model_preset *presets; /**< the first is the default; NULL: none */
    int32_t preset_count;
} far_model;

FAR_API int32_t far_model_count(void);
FAR_API const far_model *far_model_at(int32_t idx);
/** @return the model with that name or with a preset of that name, NULL when there is none. */
FAR_API const far_model *far_model_find(const char *name);
/** @return the preset of that name, NULL when there is none. */
FAR_API const far_model_preset *far_model_preset_find(const far_model *model, const char *name);

/**
 * Options of one model; set them with far_options_set, free them with far_options_destroy.
 * @param name      a model, or one of the presets ("resnet18", "a21").
 * @param preset    NULL or "": the one that `name` names, else the model's first, else defaults.
 * @param opts_out  receives options owned by the caller; untouched on failure.
 * @return FAR_OK, FAR_E_NOTFOUND (with the nearest name), FAR_E_NOMEM.
 */
FAR_API far_status far_model_opts_create(const char *name, const char *preset, far_options **opts_out);
/** @return the model whose options these are, NULL when they are none of a model's. */
FAR_API const far_model *far_model_of(const far_options *opts);

/** What a model gives: one tensor of logits, [N, classes] or [N, classes, spatial..], or several of them (image planes). */
typedef struct far_model_result {
    far_value logits[FAR_LOGITS_MAX];
    int32_t count;
} far_model_result;

/**
 * Adds the model to the graph.
 * @param input       [N, C, spatial..] f32; the channels and extents are taken from it.
 * @param result_out  filled on success; untouched on failure.
 * @return FAR_OK or the graph's failure: FAR_E_SHAPE (extents do not fit the depth), FAR_E_CONFIG (options contradict each other).
 */
FAR_API far_status far_model_build(far_graph *graph, const far_options *opts, far_value input,
                                   far_model_result *result_out);

/** The operations a network of `model.layers` may name: "conv", "batch_norm"...; see `farandole models layers`. */
typedef struct far_layer_op {
    const char *name;
    const char *help;              /**< one sentence */
    const far_config_key *options; /**< beside name, op, input and inputs */
    int32_t option_count;
    int32_t input_min, input_max; /**< how many inputs it takes */
} far_layer_op;

FAR_API int32_t far_layer_op_count(void);
FAR_API const far_layer_op *far_layer_op_at(int32_t idx);

#ifdef __cplusplus
}
#endif
#endif /* FAR_MODEL_H */
