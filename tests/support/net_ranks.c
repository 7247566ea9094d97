#include "net_ranks.h"
#include "graph/graph.h"
#include "test.h"

static void train(const net_case *net, rank_set *ranks, int64_t steps)
{
    double hyper[NET_GROUPS * FAR_HYPER_COUNT];
    far_dataset *set = NULL;
    far_loader *loader = net_loader(net, &set);
    for (int64_t i = 0; i < steps; i++) {
        far_batch batch;
        void *feed[2];
        FAR_CHECK_OK(far_loader_next(loader, &batch));
        memcpy(&feed[0], &batch.images, sizeof feed[0]);
        memcpy(&feed[1], &batch.labels, sizeof feed[1]);
        far_optim_hyper(&net->optim, i, net->lr, net->lr, hyper);
        const fari_step step = { .seed = NET_SEED,
                                 .step = i,
                                 .epoch = batch.epoch,
                                 .sample_ids = batch.sample_ids,
                                 .hyper = hyper,
                                 .feed = feed };
        rank_set_step(ranks, &step);
    }
    far_loader_close(loader);
    far_dataset_close(set);
}

/* Whether the plan calls anything on pieces of tensors with a batch axis: what only one rank does. */
static bool has_grains(const fari_plan *plan)
{
    for (int64_t i = 0; i < plan->instr_count; i++) {
        if (plan->instrs[i].kind != FARI_INSTR_CALL) continue;
        const fari_node *node = plan->graph->nodes[plan->instrs[i].node];
        for (int32_t k = 0; k < node->in_count; k++)
            if (plan->graph->tensors[node->in[k]]->batch_of > 0) return true;
    }
    return false;
}

static int64_t arena_of_one(const far_graph *graph, fari_plan_opts opts)
{
    fari_plan *plan = NULL;
    opts.mesh = (fari_mesh){ 0 };
    opts.spill = (fari_spill_config){ 0 };
    FAR_CHECK_OK(fari_plan_create(graph, &opts, &plan));
    const int64_t bytes = plan->arena_bytes;
    fari_plan_destroy(plan);
    return bytes;
}

void net_run_ranks(const net_case *net, const net_variant *variant, fari_mesh mesh, uint64_t arrival_seed,
                   int64_t steps, net_ranks_result *result_out)
{
    fari_backend *backend = NULL;
    rank_set ranks;
    far_graph *graph = net_graph(net);
    memset(result_out, 0, sizeof *result_out);
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    const rank_set_opts opts = {
        .plan = { .grain = variant->grain,
                  .mesh = mesh,
                  .spill = variant->spill,
                  .threads = variant->threads,
                  .backend = backend },
        .exec = { .order = variant->order, .order_seed = variant->order_seed, .spill_folder = variant->spill_folder },
        .seed = NET_SEED,
        .arrival_seed = arrival_seed,
        .change_plan = variant->change_plan
    };
    rank_set_open(graph, &opts, &ranks);
    train(net, &ranks, steps);
    rank_set_digest(&ranks, result_out->digest);
    result_out->loss = rank_set_loss(&ranks);
    fari_mailbox_count(ranks.box, &result_out->messages, &result_out->bytes);
    result_out->arena_one = arena_of_one(graph, opts.plan);
    for (int32_t r = 0; r < ranks.count; r++) {
        const fari_plan *plan = ranks.runs[r].plan;
        if (plan->arena_bytes > result_out->arena_most) result_out->arena_most = plan->arena_bytes;
        result_out->written_bytes += plan->written_bytes;
        result_out->idle += !has_grains(plan);
    }
    rank_set_close(&ranks);
    backend->destroy(backend);
    far_graph_destroy(graph);
}
