/* The zoo's inside. A model is one file - its table of options and its builder - and one row in table.c. */
#ifndef FARI_MODELS_MODEL_H
#define FARI_MODELS_MODEL_H
#include <farandole/model.h>

#define FARI_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FARI_EXTENT_MAX 1e6 /* of channels, classes and the like: far above any use, far below overflow */

typedef struct fari_model {
    far_model info;
    /* Fills *result; failures stay in the graph. */
    void (*build)(far_graph *graph, const far_options *opts, far_value input, far_model_result *result);
} fari_model;

extern const fari_model fari_model_lenet5;     /* lenet5.c */
extern const fari_model fari_model_resnet;     /* resnet.c */
extern const fari_model fari_model_alexnet_bn; /* alexnet_bn.c */
extern const fari_model fari_model_uresnet;    /* uresnet.c */
extern const fari_model fari_model_unet;       /* unet.c */
extern const fari_model fari_model_unet3d;     /* unet.c */
extern const fari_model fari_model_layers;     /* layers.c */

/* A whole table as fields of far_model or far_layer_op. */
#define FARI_OPTIONS(rows) .options = (rows), .option_count = (int32_t)FARI_COUNT(rows)
#define FARI_PRESETS(rows) .presets = (rows), .preset_count = (int32_t)FARI_COUNT(rows)

/* Rows of option tables: type, name, default, what is allowed, one sentence. */
#define FARI_OPT_INT(name_, default_, lo_, hi_, help_)                                                    \
    {                                                                                                     \
        .name = (name_), .type = FAR_CONFIG_INT, .default_text = (default_), .unit = "", .help = (help_), \
        .min = (lo_), .max = (hi_)                                                                        \
    }
#define FARI_OPT_FLOAT(name_, default_, lo_, hi_, help_)                                                    \
    {                                                                                                       \
        .name = (name_), .type = FAR_CONFIG_FLOAT, .default_text = (default_), .unit = "", .help = (help_), \
        .min = (lo_), .max = (hi_)                                                                          \
    }
#define FARI_OPT_BOOL(name_, default_, help_)                                                             \
    {                                                                                                     \
        .name = (name_), .type = FAR_CONFIG_BOOL, .default_text = (default_), .unit = "", .help = (help_) \
    }
#define FARI_OPT_ENUM(name_, default_, values_, help_)                                                     \
    {                                                                                                      \
        .name = (name_), .type = FAR_CONFIG_ENUM, .default_text = (default_), .unit = "", .help = (help_), \
        .values = (values_)                                                                                \
    }
#define FARI_OPT_INTS(name_, default_, lo_, hi_, help_)                                                    \
    {                                                                                                      \
        .name = (name_), .type = FAR_CONFIG_INTS, .default_text = (default_), .unit = "", .help = (help_), \
        .min = (lo_), .max = (hi_)                                                                         \
    }
#define FARI_OPT_TEXT(name_, help_)                                                                 \
    {                                                                                               \
        .name = (name_), .type = FAR_CONFIG_STRING, .default_text = "", .unit = "", .help = (help_) \
    }
#define FARI_OPT_TEXTS(name_, help_)                                                                 \
    {                                                                                                \
        .name = (name_), .type = FAR_CONFIG_STRINGS, .default_text = "", .unit = "", .help = (help_) \
    }

#define FARI_OPT_CLASSES(default_) FARI_OPT_INT("classes", default_, 1, FARI_EXTENT_MAX, "classes to tell apart")
#define FARI_OPT_WIDTH(default_, help_) FARI_OPT_INT("width", default_, 1, 65536, help_)
#define FARI_OPT_DROPOUT(default_, help_) FARI_OPT_FLOAT("dropout", default_, 0, 0.999, help_)
#define FARI_OPT_MOMENTUM \
    FARI_OPT_FLOAT("momentum", "0.1", 1e-9, 1, "share of the batch in batch norm's running statistics")
#define FARI_OPT_GROUP_SAMPLES                 \
    FARI_OPT_INT("group_samples", "0", 0, 1e9, \
                 "samples that share batch norm's statistics, a divisor of the batch; 0: the whole batch")
#define FARI_OPT_EPS(default_) FARI_OPT_FLOAT("eps", default_, 1e-15, 1, "added to the variance in normalisation")
/* What fari_norm_style_of reads. */
#define FARI_OPT_NORM(default_)                                                                                 \
    FARI_OPT_ENUM("norm", default_, "batch|group|instance|layer|none", "normalisation"),                        \
        FARI_OPT_INT("groups", "8", 1, 65536, "channel groups of group norm"),                                  \
        FARI_OPT_ENUM("affine", "auto", "auto|yes|no",                                                          \
                      "a scale and a shift for each channel after normalisation; auto: not for instance norm"), \
        FARI_OPT_GROUP_SAMPLES, FARI_OPT_MOMENTUM, FARI_OPT_EPS("1e-5")
#define FARI_OPT_ACT(default_)                                                                             \
    FARI_OPT_ENUM("act", default_, "none|relu|leaky_relu|gelu|gelu_tanh|silu|sigmoid|tanh", "activation"), \
        FARI_OPT_FLOAT("slope", "0.01", 0, 1, "slope of leaky_relu below zero")
#endif
