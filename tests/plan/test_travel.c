/* Sums on their way to other ranks hold nothing up: what does not read them goes on meanwhile. */
#include "graph/graph.h"
#include "plan/part.h"
#include "support/net_cases.h"
#include "support/rank_set.h"
#include "test.h"
#include <string.h>

static bool is_message(const fari_instr *instr)
{
    return instr->kind == FARI_INSTR_SEND || instr->kind == FARI_INSTR_RECV;
}

/* Gradients of parameters, statistics, and partials of them. */
static bool carries_sums(const fari_plan *plan, int64_t i)
{
    for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++) {
        const fari_buffer *b = &plan->buffers[plan->accesses[a].buffer];
        if (b->kind != FARI_BUFFER_PARTIAL && plan->graph->tensors[b->tensor]->batch_of > 0) return false;
    }
    return true;
}

static bool share_a_buffer(const fari_plan *plan, int64_t i, int64_t k)
{
    for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++)
        for (int64_t b = plan->access0[k]; b < plan->access0[k + 1]; b++)
            if (plan->accesses[a].buffer == plan->accesses[b].buffer) return true;
    return false;
}

#define NEAR 4 /* nodes: what comes later finds the sum long gone */

/* Whether instruction k, which waits for message i, comes soon after it and waits only because its result shall lie where the sum does. */
static bool is_held_up(const fari_plan *plan, int64_t i, int64_t k)
{
    const fari_instr *instr = &plan->instrs[k];
    if (instr->kind != FARI_INSTR_CALL || share_a_buffer(plan, i, k)) return false;
    return plan->turn[instr->node] - plan->part->messages[plan->instrs[i].aux].turn <= NEAR;
}

static int64_t count_held_up(const fari_plan *plan, int64_t *messages_io)
{
    int64_t count = 0;
    for (int64_t i = 0; i < plan->instr_count; i++) {
        if (!is_message(&plan->instrs[i]) || !carries_sums(plan, i)) continue;
        ++*messages_io;
        for (int64_t s = plan->succ0[i]; s < plan->succ0[i + 1]; s++) count += is_held_up(plan, i, plan->succ[s]);
    }
    return count;
}

static void check(const net_case *net, fari_grain_config grain, fari_mesh mesh, int64_t most)
{
    fari_plan *plans[RANK_SET_MAX] = { NULL };
    fari_backend *backend = NULL;
    int64_t messages = 0, held_up = 0;
    far_graph *graph = net_graph(net);
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    const fari_plan_opts opts = { .grain = grain, .mesh = mesh, .threads = 1, .backend = backend };
    rank_plans(graph, &opts, plans);
    for (int32_t r = 0; r < fari_mesh_ranks(&mesh); r++) {
        held_up += count_held_up(plans[r], &messages);
        fari_plan_destroy(plans[r]);
    }
    printf("%s, data=%d, spatial=%d: %d messages of sums, %d calls held up\n", net->label, (int)mesh.data,
           (int)mesh.spatial, (int)messages, (int)held_up);
    FAR_CHECK_MSG(messages > 20 && held_up <= most, "%s: %d calls held up by %d messages", net->label, (int)held_up,
                  (int)messages);
    backend->destroy(backend);
    far_graph_destroy(graph);
}

FAR_TEST(the_backward_pass_goes_on)
{
    const fari_grain_config rows = { .samples = 1, .rows = 6, .min_rows = 1, .dense = 2 }, samples = { .samples = 1 };
    check(&net_narrow_a21, rows, (fari_mesh){ 1, 2 }, 0);
    check(&net_narrow_a21, rows, (fari_mesh){ 2, 2 }, 0);
    check(&net_unet_group, samples, (fari_mesh){ 2, 1 }, 0);
}

/* Weight gradients that stand between a sum of the backward pass and the first node that reads it. */
static int64_t count_between(const fari_plan *plan)
{
    int64_t count = 0;
    for (int64_t n = 0; n < plan->graph->node_count; n++) {
        const fari_node *sum = plan->graph->nodes[n];
        int32_t until = INT32_MAX;
        if (strcmp(sum->op->name, "norm_dstats") != 0) continue;
        for (int64_t m = 0; m < plan->graph->node_count; m++)
            for (int32_t i = 0; i < plan->graph->nodes[m]->in_count; i++)
                if (plan->graph->nodes[m]->in[i] == sum->out[0] && plan->turn[m] < until) until = plan->turn[m];
        for (int32_t t = plan->turn[n]; t < until && t < plan->graph->node_count; t++)
            count += strcmp(plan->graph->nodes[plan->order[t]]->op->name, "conv_dw") == 0;
    }
    return count;
}

FAR_TEST(weight_gradients_are_left_while_statistics_travel)
{
    const fari_grain_config grain = { .samples = 1, .rows = 6, .min_rows = 1, .dense = 2 };
    fari_plan *plans[RANK_SET_MAX] = { NULL };
    fari_backend *backend = NULL;
    far_graph *graph = net_graph(&net_narrow_a21);
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    const fari_plan_opts opts = { .grain = grain, .mesh = { 1, 2 }, .threads = 1, .backend = backend };
    rank_plans(graph, &opts, plans);
    for (int32_t r = 0; r < 2; r++) {
        const int64_t count = count_between(plans[r]);
        FAR_CHECK_MSG(count >= 3, "%d weight gradients between sums and their readers", (int)count);
        fari_plan_destroy(plans[r]);
    }
    backend->destroy(backend);
    far_graph_destroy(graph);
}

#define LARGE_BYTES 65536 /* in this network nothing is near it */

/* A sum, or partials of one, so large that nobody but an update waits for it. */
static bool is_large_sum(const fari_plan *plan, const fari_access *access)
{
    const fari_buffer *b = &plan->buffers[access->buffer];
    const fari_tensor *t = plan->graph->tensors[b->tensor];
    return t->batch_of == 0 && far_shape_elems(&t->shape) * far_dtype_bytes(t->dtype) > LARGE_BYTES;
}

/* Messages of large sums have odd tags and hold nothing else, so that what others wait for never waits for them. */
static void count_messages(const fari_plan *plan, int64_t counts_io[2])
{
    for (int64_t i = 0; i < plan->part->message_count; i++) {
        const fari_message *m = &plan->part->messages[i];
        ++counts_io[m->tag % 2];
        for (int64_t a = plan->access0[m->instr]; a < plan->access0[m->instr + 1]; a++)
            FAR_CHECK_MSG(is_large_sum(plan, &plan->accesses[a]) == (m->tag % 2 == 1),
                          "message %d of %d to %d, tag %d, has a part of %s", (int)i, (int)m->from, (int)m->to,
                          (int)m->tag, plan->graph->tensors[plan->buffers[plan->accesses[a].buffer].tensor]->name);
    }
}

FAR_TEST(large_sums_travel_apart_from_small_ones)
{
    static const fari_mesh meshes[] = { { 2, 1 }, { 4, 1 }, { 1, 2 } };
    fari_plan *plans[RANK_SET_MAX] = { NULL };
    fari_backend *backend = NULL;
    net_case net = net_resnet18;
    net.options = "width=8";
    far_graph *graph = net_graph(&net);
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    for (size_t i = 0; i < FAR_COUNT(meshes); i++) {
        const fari_plan_opts opts = { .grain = { .samples = 1, .rows = meshes[i].spatial > 1 ? 8 : 0 },
                                      .mesh = meshes[i],
                                      .threads = 1,
                                      .backend = backend };
        int64_t counts[2] = { 0, 0 };
        rank_plans(graph, &opts, plans);
        for (int32_t r = 0; r < fari_mesh_ranks(&meshes[i]); r++) {
            count_messages(plans[r], counts);
            fari_plan_destroy(plans[r]);
        }
        printf("data=%d, spatial=%d: %d messages of large sums, %d others\n", (int)meshes[i].data,
               (int)meshes[i].spatial, (int)counts[1], (int)counts[0]);
        FAR_CHECK(counts[0] > 20 && counts[1] >= 8);
    }
    backend->destroy(backend);
    far_graph_destroy(graph);
}
