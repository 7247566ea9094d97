/* A network described as a list of layers in YAML: layers.c reads the list, layer_windows.c, layer_norms.c and
   layer_shapes.c know the operations. To add one, add its options, its builder and its row there. */
#ifndef FARI_MODELS_LAYERS_H
#define FARI_MODELS_LAYERS_H
#include "models/model.h"

#define FARI_LAYER_INPUTS_MAX 64

/* One layer about to be built. */
typedef struct fari_layer {
    far_graph *graph;
    const char *name; /* of the node and of its parameters */
    const far_options *opts;
    const far_value *in;
    int32_t in_count;
    const far_value *residual; /* of norms; NULL: none */
} fari_layer;

typedef struct fari_layer_op {
    far_layer_op info;
    far_value (*build)(const fari_layer *layer); /* failures stay in the graph */
} fari_layer_op;

typedef struct fari_layer_family {
    const fari_layer_op *rows;
    int32_t count;
} fari_layer_family;

extern const fari_layer_family fari_layers_windows; /* layer_windows.c: convolutions, pools, resampling */
extern const fari_layer_family fari_layers_norms;   /* layer_norms.c: normalisation, activations */
extern const fari_layer_family fari_layers_shapes;  /* layer_shapes.c: linear layers, shapes, arithmetic */
#endif
