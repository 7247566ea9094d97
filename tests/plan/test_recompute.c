/* What the backward pass makes again: the same bits as keeping it, less memory, each copy just before its first reader. */
#include "base/hash.h"
#include "graph/graph.h"
#include "graph/recompute.h"
#include "plan/plan.h"
#include "support/graph_outcome.h"
#include "support/net_cases.h"
#include "support/random_graph.h"
#include "support/rank_set.h"
#include "test.h"
#include <farandole/activation.h>
#include <farandole/conv.h>
#include <farandole/elementwise.h>
#include <farandole/loss.h>
#include <farandole/norm.h>
#include <farandole/shape.h>
#include <math.h>

#define SEED 5

/* ---- a chain that is known by heart ---- */

/* conv, norm with ReLU and maybe the sum with what came before: that `count` times; then a loss. */
static far_graph *chain(int32_t count, bool is_residual, far_value *norm_out)
{
    far_graph *graph = NULL;
    char name[32];
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_shape image = { 4, { 2, 8, 32, 32 } }, label = { 4, { 2, 1, 32, 32 } };
    far_value x = far_graph_input(graph, "image", FAR_F32, &image);
    for (int32_t i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "conv%d", (int)i);
        const far_value y = far_conv(
            graph, name, x, &(far_conv_opts){ .out_channels = 8, .kernel = { 3 }, .pad = { 1 }, .no_bias = true });
        (void)snprintf(name, sizeof name, "norm%d", (int)i);
        x = norm_out[i] = far_batch_norm(
            graph, name, y, &(far_norm_opts){ .act = FAR_ACT_RELU, .residual = is_residual && i > 0 ? &x : NULL });
    }
    const far_value logits = far_conv(graph, "head", x, &(far_conv_opts){ .out_channels = 3, .kernel = { 1 } });
    const far_value loss =
        far_cross_entropy(graph, "loss", logits, far_graph_input(graph, "label", FAR_I32, &label), NULL);
    FAR_CHECK_OK(far_graph_backward(graph, loss));
    return graph;
}

static int64_t count_copies(const far_graph *graph)
{
    int64_t count = 0;
    for (int64_t n = 0; n < graph->node_count; n++) count += graph->nodes[n]->is_again;
    return count;
}

/* Nodes stand where they say, their results know them, and nothing is read before it is made. */
static void check_sound(const far_graph *graph)
{
    bool *made = calloc((size_t)graph->tensor_count, sizeof *made);
    FAR_CHECK(made != NULL);
    for (int64_t i = 0; i < graph->tensor_count; i++) made[i] = graph->tensors[i]->role != FARI_ROLE_COMPUTED;
    for (int64_t n = 0; n < graph->node_count; n++) {
        const fari_node *node = graph->nodes[n];
        FAR_CHECK_EQ_I64(node->id, n);
        for (int32_t i = 0; i < node->in_count; i++)
            FAR_CHECK_MSG(made[node->in[i]], "'%s' reads '%s' before it is made", node->name,
                          graph->tensors[node->in[i]]->name);
        for (int32_t k = 0; k < node->out_count; k++) {
            made[node->out[k]] = true;
            FAR_CHECK(node->mutates || graph->tensors[node->out[k]]->producer == n);
        }
    }
    free(made);
}

/* Between a copy and its first reader there are only other copies. */
static void check_copies_are_late(const far_graph *graph)
{
    for (int64_t n = 0; n < graph->node_count; n++) {
        const fari_node *copy = graph->nodes[n];
        if (!copy->is_again) continue;
        bool is_read_next = false;
        for (int64_t m = n + 1; m < graph->node_count && !is_read_next; m++) {
            const fari_node *reader = graph->nodes[m];
            for (int32_t i = 0; i < reader->in_count; i++)
                for (int32_t k = 0; k < copy->out_count; k++)
                    is_read_next = is_read_next || reader->in[i] == copy->out[k];
            FAR_CHECK_MSG(is_read_next || reader->is_again, "'%s' runs between the copy of '%s' and its reader",
                          reader->op->name, copy->name);
        }
        FAR_CHECK(is_read_next);
    }
}

FAR_TEST(norms_of_a_chain_are_made_again)
{
    far_value norm[5];
    fari_recompute_report report;
    for (int32_t is_residual = 0; is_residual < 2; is_residual++) {
        far_graph *graph = chain(5, is_residual, norm);
        FAR_CHECK_OK(fari_graph_recompute(graph, FARI_RECOMPUTE_MOST, &report));
        check_sound(graph);
        check_copies_are_late(graph);
        FAR_CHECK_EQ_I64(report.nodes, count_copies(graph));
        const int64_t image = 2 * 8 * 32 * 32 * 4;
        FAR_CHECK_MSG(report.nodes >= 3 && report.nodes <= 5, "%" PRId64 " nodes run again", report.nodes);
        FAR_CHECK_EQ_I64(report.bytes, report.nodes * image);
        FAR_CHECK_MSG(report.peak <= report.peak_before - 3 * image, "the peak fell from %" PRId64 " to %" PRId64,
                      report.peak_before, report.peak);
        far_graph_destroy(graph);
    }
}

/* Thin convolutions take little longer than the norms after them. */
FAR_TEST(what_is_made_again_takes_little_time)
{
    far_value norm[12];
    fari_recompute_report most, some;
    far_graph *graph = chain(12, false, norm), *same = chain(12, false, norm);
    FAR_CHECK_OK(fari_graph_recompute(graph, FARI_RECOMPUTE_MOST, &most));
    FAR_CHECK_OK(fari_graph_recompute(same, FARI_RECOMPUTE_AUTO, &some));
    FAR_CHECK(most.effort > 0.07);
    FAR_CHECK_MSG(some.effort > 0.04 && some.effort <= 0.06, "it takes %g of a step", some.effort);
    FAR_CHECK(some.nodes > 0 && some.nodes < most.nodes);
    FAR_CHECK(most.peak < some.peak && some.peak < some.peak_before);
    check_sound(same);
    check_copies_are_late(same);
    far_graph_destroy(graph);
    far_graph_destroy(same);
}

/* A convolution between norms whose statistics are there needs no more than its input, and is made again where that saves memory. */
FAR_TEST(convolutions_are_made_again_when_asked_for)
{
    far_value norm[12];
    fari_recompute_report most, all;
    far_graph *graph = chain(12, true, norm), *same = chain(12, true, norm);
    FAR_CHECK_OK(fari_graph_recompute(same, FARI_RECOMPUTE_MOST, &most));
    FAR_CHECK_OK(fari_graph_recompute(graph, FARI_RECOMPUTE_ALL, &all));
    int32_t convs = 0;
    for (int64_t n = 0; n < graph->node_count; n++)
        convs += graph->nodes[n]->is_again && strcmp(graph->nodes[n]->op->name, "conv") == 0;
    printf("%d convolutions again; peak %" PRId64 ", with light results alone %" PRId64 "\n", (int)convs, all.peak,
           most.peak);
    FAR_CHECK(convs > 0 && all.peak < most.peak && all.effort > most.effort);
    check_sound(graph);
    far_graph_destroy(graph);
    far_graph_destroy(same);
}

FAR_TEST(nothing_is_made_again_for_little)
{
    far_value norm[1];
    fari_recompute_report report;
    far_graph *graph = chain(1, false, norm);
    const int64_t nodes = graph->node_count;
    FAR_CHECK_OK(fari_graph_recompute(graph, FARI_RECOMPUTE_MOST, &report));
    FAR_CHECK_EQ_I64(report.nodes, 0);
    FAR_CHECK_EQ_I64(report.peak, report.peak_before);
    FAR_CHECK_EQ_I64(graph->node_count, nodes);
    far_graph_destroy(graph);
}

FAR_TEST(results_are_kept)
{
    far_value norm[5];
    fari_recompute_report report;
    far_graph *graph = chain(5, false, norm);
    far_graph_output(graph, "middle", norm[2]);
    FAR_CHECK_OK(fari_graph_recompute(graph, FARI_RECOMPUTE_MOST, &report));
    FAR_CHECK(report.nodes > 0);
    for (int64_t n = 0; n < graph->node_count; n++)
        FAR_CHECK(!graph->nodes[n]->is_again || strcmp(graph->nodes[n]->name, "norm2") != 0);
    far_graph_destroy(graph);
}

FAR_TEST(a_graph_without_gradients_is_refused)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    (void)far_graph_input(graph, "image", FAR_F32, &(far_shape){ 2, { 2, 3 } });
    FAR_CHECK(fari_graph_recompute(graph, FARI_RECOMPUTE_AUTO, NULL) == FAR_E_ARG);
    far_graph_destroy(graph);
}

/* ---- random graphs: the same bits ---- */

/* Gives the number of nodes run again. */
static int64_t check_seed(uint64_t seed)
{
    fari_backend *backend = NULL;
    void *feed[2] = { NULL, NULL };
    dice d = { fari_rng_key(seed, 1, 0, 0), 0 }, same = d;
    far_graph *keeping = random_graph_as(&same, false), *graph = random_graph_as(&d, true);
    check_sound(graph);
    check_copies_are_late(graph);
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    graph_inputs(graph, &d, feed);
    const rank_set_opts opts = {
        .plan = { .grain = random_grain(&d), .threads = (int32_t)roll(&d, 1, 2), .backend = backend },
        .exec = { .order = (fari_exec_order)roll(&d, 0, 2), .order_seed = seed },
        .seed = SEED,
        .arrival_seed = seed
    };
    const graph_outcome want = run_graph(keeping, &opts, feed), got = run_graph(graph, &opts, feed);
    const int64_t copies = count_copies(graph);
    FAR_CHECK_MSG(strcmp(got.digest, want.digest) == 0, "seed %d: other weights: %s, not %s", (int)seed, got.digest,
                  want.digest);
    FAR_CHECK_MSG(strcmp(got.outputs, want.outputs) == 0, "seed %d: other outputs: %s, not %s", (int)seed, got.outputs,
                  want.outputs);
    FAR_CHECK_MSG(memcmp(&got.loss, &want.loss, sizeof got.loss) == 0, "seed %d: another loss: %.17g, not %.17g",
                  (int)seed, got.loss, want.loss);
    backend->destroy(backend);
    far_graph_destroy(keeping);
    far_graph_destroy(graph);
    free(feed[0]);
    free(feed[1]);
    return copies;
}

FAR_TEST(random_graphs_give_the_same_bits)
{
    int64_t copies = 0, graphs = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        const int64_t now = check_seed(seed);
        copies += now;
        graphs += now > 0;
    }
    printf("%d nodes run again in %d of 60 graphs\n", (int)copies, (int)graphs);
    FAR_CHECK(copies > 20 && graphs > 8);
}

/* ---- networks ---- */

static void check_net(const net_case *net, double share_at_most)
{
    net_case keeping = *net;
    net_result want, got;
    keeping.is_keeping_all = true;
    const net_variant variant = { .grain = { .samples = 1, .rows = 8, .min_rows = 2, .dense = 2 }, .threads = 2 };
    net_run(&keeping, &variant, 3, &want);
    net_run(net, &variant, 3, &got);
    printf("%s: arena of %" PRId64 " instead of %" PRId64 " bytes\n", net->label, got.arena_bytes, want.arena_bytes);
    FAR_CHECK(isfinite(got.loss));
    FAR_CHECK_MSG(strcmp(got.digest, want.digest) == 0, "%s: other bits: %s, not %s", net->label, got.digest,
                  want.digest);
    FAR_CHECK_MSG((double)got.arena_bytes <= share_at_most * (double)want.arena_bytes,
                  "%s: an arena of %" PRId64 " bytes, %" PRId64 " where all is kept", net->label, got.arena_bytes,
                  want.arena_bytes);
}

FAR_TEST(resnet_takes_less_memory)
{
    net_case net = net_resnet18;
    net.options = "width=8 stem=small"; /* images weigh more than weights, as they do at their usual size */
    check_net(&net, 0.8);
}
FAR_TEST(narrow_a21_takes_less_memory)
{
    check_net(&net_narrow_a21, 0.7);
}
FAR_TEST(unet_takes_less_memory)
{
    check_net(&net_unet_group, 0.85);
}
