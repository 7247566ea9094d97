/* What the tables of described layers share: rows for options, and how they are read. */
#ifndef FARI_MODELS_LAYER_OPTIONS_H
#define FARI_MODELS_LAYER_OPTIONS_H
#include "models/blocks.h"
#include "models/layers.h"

#define OPT_REQUIRED_INT(name_, help_)                                                                         \
    {                                                                                                          \
        .name = (name_), .type = FAR_CONFIG_INT, .unit = "", .help = (help_), .min = 1, .max = FARI_EXTENT_MAX \
    }
#define OPT_REQUIRED_INTS(name_, lo_, help_)                                                                        \
    {                                                                                                               \
        .name = (name_), .type = FAR_CONFIG_INTS, .unit = "", .help = (help_), .min = (lo_), .max = FARI_EXTENT_MAX \
    }
#define OPT_KERNEL OPT_REQUIRED_INTS("kernel", 1, "extents of the window, one an axis or one for all")
#define OPT_STRIDE(default_, help_) FARI_OPT_INTS("stride", default_, 1, FARI_EXTENT_MAX, help_)
#define OPT_DILATION FARI_OPT_INTS("dilation", "1", 1, FARI_EXTENT_MAX, "distance of the window's elements")
#define OPT_PAD(help_) FARI_OPT_INTS("pad", "0", 0, FARI_EXTENT_MAX, help_)
#define OPT_AXIS(help_) FARI_OPT_INT("axis", "1", -FAR_NDIM_MAX, FAR_NDIM_MAX - 1, help_)
#define OPT_BIAS FARI_OPT_BOOL("bias", "yes", "add a trained number a channel")
#define OPT_INIT                                                                                                                                                      \
    FARI_OPT_ENUM("init", "default", "default|he_normal|xavier_uniform|normal|uniform|zero|dirac",                                                                    \
                  "how the weights start"),                                                                                                                           \
        FARI_OPT_FLOAT(                                                                                                                                               \
            "init_value", "0", 0, 1e6,                                                                                                                                \
            "factor of he_normal and xavier_uniform (0: 1), deviation of normal, bound of uniform; with dirac, what is added at random, in units of xavier_uniform"), \
        FARI_OPT_ENUM("bias_init", "default", "default|zero", "how the bias starts")

/* A list of one number an axis. One number stands for all axes of the layer's input; what is left out after several is zero. */
void fari_layer_axes(const fari_layer *layer, const char *key, int64_t out[3]);
/* From OPT_INIT. */
far_init fari_layer_weight_init(const far_options *opts);
far_init fari_layer_bias_init(const far_options *opts);

#define ONE_INPUT .input_min = 1, .input_max = 1
#define TWO_INPUTS .input_min = 2, .input_max = 2
#define INPUTS .input_min = 2, .input_max = FARI_LAYER_INPUTS_MAX
#define PLAIN(name_, help_, build_)                               \
    {                                                             \
        { .name = (name_), .help = (help_), ONE_INPUT }, (build_) \
    }
#define WITH(name_, help_, options_, build_)                                              \
    {                                                                                     \
        { .name = (name_), .help = (help_), ONE_INPUT, FARI_OPTIONS(options_) }, (build_) \
    }
#endif
