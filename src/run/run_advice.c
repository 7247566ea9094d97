/* What the start of a training says of settings that work, but seldom as their user hoped. */
#include "base/log.h"
#include "ops/norm.h"
#include "run/run_priv.h"

/* A batch norm whose statistics are those of one sample. */
static bool is_norm_of_one_sample(const fari_node *node, int64_t batch)
{
    if (node->op != &fari_op_norm_running) return false;
    const fari_norm_attr *attr = node->attr;
    return attr->group_samples == 1 || (attr->group_samples == 0 && batch == 1);
}

/* Each image is normalised by itself while the network learns, and by an average over images afterwards. Where images differ much, the network
 * then meets inputs of layers that it has never seen: CosmicTagger's A21, trained twice on simulated events at batch 1 and evaluated both ways on 40
 * others, had neutrino IoUs of 0.21 and 0.14 with running statistics, of 0.30 and 0.30 with each image's own. */
static void advise_norms(const far_run *run)
{
    const far_graph *graph = run->train.graph;
    const int64_t batch = run_image_shape(run, &run->train).dim[0];
    int32_t count = 0;
    for (int32_t i = 0; i < graph->node_count; i++) count += is_norm_of_one_sample(graph->nodes[i], batch);
    if (count == 0 || !far_options_has(run->model_opts, "affine")) return;
    fari_log(FAR_LOG_WARN,
             "batch norm learns from the statistics of one image at a time here, and is evaluated with averages over "
             "many: scores may be far worse than the loss promises; model.norm=instance model.affine=yes learns the "
             "same and evaluates each image by its own statistics");
}

void run_advise(const far_run *run)
{
    if (run->step > 0) return; /* said when the training began */
    advise_norms(run);
}
