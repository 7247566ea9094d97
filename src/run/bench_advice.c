/* The dearest things of a step, and what one could do about each. */
#include "run/bench.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* By family; those that are said more of below have none. */
static const struct {
    const char *family, *advice;
} advices[] = {
    { "normalisation",
      "it passes over every activation several times and is bound by memory: fewer channels or pixels where images are "
      "largest save most; norms that take no statistics of the batch (norm: group) save a pass" },
    { "activation",
      "bound by memory, not by arithmetic: fewer channels or pixels where images are largest; relu is the cheapest" },
    { "pooling", "bound by memory: a convolution of stride 2 halves the image without a pass of its own" },
    { "upsampling", "bound by memory: the nearest neighbour (up: nearest) is cheaper than bilinear, a transposed "
                    "convolution does the next layer's work with it" },
    { "elementwise", "bound by memory: sums of branches cost a pass over both; fewer of them, or fewer channels" },
    { "copying", "bound by memory: joining branches by sums instead of concatenation needs no copies" },
    { "dropout", "drop where tensors are small (before the last layer), or use weight decay instead" },
    { "bias gradients", "a bias before a norm does nothing: leave it out" },
    { "loss", "its cost goes with pixels and classes: fewer of either" },
    { "scores", "counted in evaluations only; in training this does not happen" },
    { "optimizer",
      "it touches every parameter and its state once a step, whatever the batch: a larger batch makes fewer steps; sgd "
      "keeps less state than adam, and clipping by norm reads all gradients once more" },
    { "packing weights", "once a step for every weight, whatever the batch: a larger batch makes it rarer" },
    { "unpacking gradients", "once a step for every weight, whatever the batch: a larger batch makes it rarer" },
    { "partial sums",
      "one addition for each grain and weight: larger grains (grain.samples, grain.rows) or fewer leaves "
      "(grain.leaves) make fewer; results keep their quality but not their bits" },
    { "feeding input", "copies of the batch: smaller images (data.downsample, data.size)" },
    { "matrix products", "with small batches weights are read for few samples: a larger batch, or narrower layers" },
};

static const char *advice_of(const char *family)
{
    for (size_t i = 0; i < FAR_COUNT(advices); i++)
        if (strcmp(advices[i].family, family) == 0) return advices[i].advice;
    return "docs/performance.md says how to look closer";
}

/* "conv2 8x8x3x3" of a node with weights. */
static void node_text(const far_run *run, int32_t node_id, char *text_out, size_t bytes)
{
    const far_graph *graph = run->train.graph;
    const fari_node *node = graph->nodes[node_id];
    size_t used = (size_t)snprintf(text_out, bytes, "%s (%s", node->name, node->op->name);
    for (int32_t i = 0; i < node->in_count; i++) {
        const fari_tensor *t = node->in[i] >= 0 ? fari_tensor_of(graph, node->in[i]) : NULL;
        if (t == NULL || t->role != FARI_ROLE_PARAM || t->shape.ndim < 2) continue;
        for (int32_t k = 0; k < t->shape.ndim && used < bytes; k++)
            used += (size_t)snprintf(text_out + used, bytes - used, "%s%" PRId64, k > 0 ? "x" : ", ", t->shape.dim[k]);
        break;
    }
    if (used < bytes) (void)snprintf(text_out + used, bytes - used, ")");
}

static void say_family(const far_run *run, const run_bench *bench, const fari_family *f, run_expense *e)
{
    char node[128] = "";
    const double seconds = fari_family_seconds(f), threads = (double)bench->threads,
                 peak = f->flops / seconds * threads / bench->peak_flops,
                 bandwidth = f->bytes / seconds * threads / bench->peak_bandwidth;
    const bool is_arithmetic = strcmp(f->name, "convolution") == 0 || strcmp(f->name, "matrix products") == 0;
    if (f->dearest >= 0) node_text(run, f->dearest, node, sizeof node);
    if (is_arithmetic && f->dearest >= 0)
        (void)snprintf(e->what, sizeof e->what,
                       "%.0f %% of the machine's arithmetic; the dearest is %s with %.0f %% of this and %.3g GFLOP/s",
                       100.0 * peak, node, 100.0 * f->dearest_s / seconds,
                       1e-9 * f->dearest_flops / f->dearest_s * threads);
    else if (f->bytes > 0.0)
        (void)snprintf(e->what, sizeof e->what, "%.0f %% of the machine's memory traffic; the dearest is %s",
                       100.0 * bandwidth, node);
    if (strcmp(f->name, "convolution") != 0) {
        (void)snprintf(e->advice, sizeof e->advice, "%s", advice_of(f->name));
        return;
    }
    (void)snprintf(e->advice, sizeof e->advice, "%s",
                   peak >= 0.5
                       ? "it runs near what the processor can: fewer operations (model.width, data.downsample, "
                         "smaller kernels) or more cores are what is left"
                       : "thin layers leave the processor's vectors empty: channels in multiples of 16, more of "
                         "them at lower resolution, or an image halved before the first layer (stride, "
                         "data.downsample)");
}

static void say_idle(const far_run *run, const run_bench *bench, run_expense *e)
{
    const double busy = bench->busy_s / (bench->profiled_s * (double)bench->threads);
    (void)snprintf(e->what, sizeof e->what,
                   "%d threads work for %.0f %% of the time; a batch of %" PRId64 " has grains of %" PRId64 " samples",
                   (int)bench->threads, 100.0 * busy, run->train.batch, run->train.plan->grain_samples);
    (void)snprintf(
        e->advice, sizeof e->advice,
        "too few pieces are ready at once, or each is over too soon: a larger batch, smaller grains "
        "(grain.samples, grain.rows; other bits), fewer threads; other programs on these cores cost more than "
        "their share");
}

static void say_data(const far_run *run, run_expense *e)
{
    (void)snprintf(e->what, sizeof e->what, "batches are not ready in time");
    (void)snprintf(e->advice, sizeof e->advice,
                   "data.threads (now %d), data.ahead (now %" PRId64
                   "); smaller pictures on the disk; less augmentation; data on a faster disk",
                   (int)run_loader_threads(run), far_config_i64(run->config, "data.ahead"));
}

/* Something that takes time, in seconds of a step. */
typedef struct candidate {
    const char *name;
    double seconds;
    const fari_family *family; /* NULL: waiting */
} candidate;

void run_expenses_find(const far_run *run, run_bench *bench)
{
    candidate all[FARI_FAMILIES_MAX + 2];
    int32_t count = 0;
    const double threads = (double)bench->threads, step_s = bench->profiled_s + bench->waiting_s;
    for (int32_t i = 0; i < bench->family_count; i++)
        all[count++] = (candidate){ bench->families[i].name, fari_family_seconds(&bench->families[i]) / threads,
                                    &bench->families[i] };
    all[count++] = (candidate){ "threads that wait for each other", bench->profiled_s - bench->busy_s / threads, NULL };
    all[count++] = (candidate){ "waiting for data", bench->waiting_s, NULL };
    for (bench->expense_count = 0; bench->expense_count < RUN_EXPENSES; bench->expense_count++) {
        run_expense *e = &bench->expenses[bench->expense_count];
        int32_t best = 0;
        for (int32_t i = 1; i < count; i++)
            if (all[i].seconds > all[best].seconds) best = i;
        if (all[best].seconds <= 0.0) break;
        *e = (run_expense){ .name = all[best].name, .share = all[best].seconds / step_s };
        if (all[best].family != NULL) say_family(run, bench, all[best].family, e);
        else if (best == count - 1) say_data(run, e);
        else say_idle(run, bench, e);
        all[best].seconds = 0.0;
    }
}
