#include "models/layer_options.h"
#include <farandole/extend.h>

void fari_layer_axes(const fari_layer *layer, const char *key, int64_t out[3])
{
    const int64_t count = far_options_list_count(layer->opts, key);
    const int32_t axes = far_graph_shape(layer->graph, layer->in[0]).ndim - 2;
    if (count > 3)
        (void)far_graph_fail_last(layer->graph,
                                  far_options_fail(layer->opts, key, "at most three numbers, one an axis"));
    for (int64_t i = 0; i < 3; i++) out[i] = i < count ? far_options_list_i64(layer->opts, key, i) : 0;
    for (int32_t i = 1; count == 1 && i < axes && i < 3; i++) out[i] = out[0];
}

far_init fari_layer_weight_init(const far_options *opts)
{
    static const far_init_kind kinds[] = { FAR_INIT_ZERO,   FAR_INIT_HE_NORMAL, FAR_INIT_XAVIER_UNIFORM,
                                           FAR_INIT_NORMAL, FAR_INIT_UNIFORM,   FAR_INIT_CONST,
                                           FAR_INIT_DIRAC };
    const far_init_kind kind =
        kinds[far_options_enum(opts, "init")]; /* FAR_INIT_ZERO asks builders for their default */
    return (far_init){ kind,
                       kind == FAR_INIT_ZERO || kind == FAR_INIT_CONST ? 0.0 : far_options_f64(opts, "init_value"), 0 };
}

far_init fari_layer_bias_init(const far_options *opts)
{
    return (far_init){ far_options_enum(opts, "bias_init") == 1 ? FAR_INIT_CONST : FAR_INIT_ZERO, 0.0, 0 };
}
