/* What networks share: names of nested layers, a choice of normalisation, norm + residual + activation as one layer. */
#ifndef FARI_MODELS_BLOCKS_H
#define FARI_MODELS_BLOCKS_H
#include <farandole/activation.h>
#include <farandole/model.h>
#include <farandole/norm.h>

/* A layer's name such as "layer1.0.conv1": fari_path_of("%s.conv1", at).text lives to the end of the full expression. */
typedef struct fari_path {
    char text[160];
} fari_path;
fari_path fari_path_of(const char *fmt, ...) FAR_PRINTF(1, 2);

typedef enum fari_norm_kind { /* in the order of FARI_OPT_NORM's values */
                              FARI_NORM_BATCH = 0,
                              FARI_NORM_GROUP,
                              FARI_NORM_INSTANCE,
                              FARI_NORM_LAYER,
                              FARI_NORM_NONE
} fari_norm_kind;

/* How a network normalises and activates, everywhere. */
typedef struct fari_norm_style {
    fari_norm_kind kind;
    int64_t groups;
    far_norm_opts base; /* eps, momentum, group_samples */
    far_act act;
    double slope;
} fari_norm_style;

/* Reads the options of FARI_OPT_NORM and FARI_OPT_ACT. Instance norm is without gamma and beta, as torch.nn.InstanceNorm2d's default. */
fari_norm_style fari_norm_style_of(const far_options *opts);
/* The activation named by an option with FARI_OPT_ACT's values. */
far_act fari_act_of(const far_options *opts, const char *key);

/* act(norm(x) [+ residual]); fused into one pass where the library has it. `name` is the norm's. `act` overrides the style's. */
far_value fari_norm_act(far_graph *graph, const char *name, far_value x, const fari_norm_style *style, far_act act,
                        const far_value *residual);
/* Creates the norm's gamma (starting at `gamma`) and beta now, so that their place among the parameters does not depend on what is
   built before the norm itself. */
void fari_norm_declare(far_graph *graph, const char *name, int64_t channels, const fari_norm_style *style,
                       double gamma);

/* Fails the graph unless every spatial extent of `x` is a multiple of 2^depth. `model` begins the message. */
bool fari_check_halvings(far_graph *graph, const char *model, far_value x, int64_t depth);
/* Fails the graph unless `x` has `ndim` axes (`ndim_or` is as good; 0: it is not). `model` begins the message. */
bool fari_check_ndim(far_graph *graph, const char *model, far_value x, int32_t ndim, int32_t ndim_or);
#endif
