/* Trains small networks for a few steps under any grains, order and number of threads, and gives the digest of the weights. Data come
   through the loader, with augmentation. A hook changes the plan, to show that a mistake would be seen. */
#ifndef FAR_TESTS_NET_RUN_H
#define FAR_TESTS_NET_RUN_H
#include "plan/plan.h"
#include "run/executor.h"
#include <farandole/data.h>
#include <farandole/optim.h>

#define NET_SEED 11
#define NET_GROUPS 8 /* room for parameter groups in what a step is told */

typedef struct net_case {
    const char *label;
    const char *model, *preset; /* of the zoo */
    const char *options;        /* "width=4 depth=2": of the model; NULL: none */
    int64_t batch, channels, height, width;
    int64_t depth; /* 0: images; else volumes of so many slices */
    int32_t classes;
    bool is_map;          /* a label for each pixel */
    bool is_focal;        /* CosmicTagger's loss, summed over the planes */
    double dropout_input; /* dropout on the image itself, for networks without any */
    far_optim_opts optim;
    double lr;
    bool is_keeping_all; /* nothing is run again going back */
} net_case;

typedef struct net_variant {
    fari_grain_config grain;
    fari_exec_order order;
    int32_t threads;
    uint64_t order_seed;
    void (*change_plan)(fari_plan *plan);
    fari_spill_config spill;
    const char *spill_folder;
    bool is_fed_by_rows; /* asks for them when they are needed; in the end also where there are none to be had */
} net_variant;

typedef struct net_result {
    char digest[65];       /* of weights and running statistics */
    double loss;           /* of the last step */
    int64_t sample_grains; /* of the input */
    int64_t row_grains;
    int64_t calls, reference_calls;
    int64_t arena_bytes;
    int64_t spill_bytes, written_bytes, read_bytes;
} net_result;

/* The training graph; the caller's. */
far_graph *net_graph(const net_case *net);
far_loader *net_loader(const net_case *net, far_dataset **set_out);
void net_run(const net_case *net, const net_variant *variant, int64_t steps, net_result *result_out);

/* A mistake to be seen: norms take the first partial sum for the whole. How many places changed. */
int64_t net_drop_statistics(fari_plan *plan);
#endif
