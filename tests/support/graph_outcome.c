#include "support/graph_outcome.h"
#include "base/hash.h"
#include "graph/graph.h"
#include "test.h"
#include <farandole/optim.h>

#define STEPS 2
#define GROUPS 4

void graph_inputs(const far_graph *graph, dice *d, void *feed_out[2])
{
    int32_t ordinal = 0;
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        const fari_tensor *t = graph->tensors[i];
        if (t->role != FARI_ROLE_INPUT) continue;
        const int64_t elems = far_shape_elems(&t->shape);
        void *data = malloc((size_t)elems * 4);
        FAR_CHECK(ordinal < 2 && data != NULL);
        for (int64_t k = 0; k < elems; k++) {
            if (t->dtype == FAR_F32) ((float *)data)[k] = (float)roll(d, -1000, 1000) * 1e-3F;
            else ((int32_t *)data)[k] = (int32_t)roll(d, 0, 2);
        }
        feed_out[ordinal++] = data;
    }
}

static void digest_outputs(const rank_set *ranks, char hex_out[65])
{
    fari_sha256 sha;
    uint8_t digest[32];
    fari_sha256_begin(&sha);
    for (int64_t i = 0; i < ranks->graph->output_count; i++) {
        int64_t bytes = 0;
        void *data = rank_set_gather(ranks, ranks->graph->outputs[i].value, &bytes);
        fari_sha256_add(&sha, data, (size_t)bytes);
        free(data);
    }
    fari_sha256_end(&sha, digest);
    fari_hex(digest, 32, hex_out);
}

graph_outcome run_graph(const far_graph *graph, const rank_set_opts *opts, void *const *feed)
{
    rank_set ranks;
    graph_outcome result;
    double hyper[GROUPS * FAR_HYPER_COUNT];
    const int64_t ids[] = { 3, 1, 4, 15, 9, 2 };
    const far_optim_opts optim = { .name = "sgd", .momentum = 0.9 };
    rank_set_open(graph, opts, &ranks);
    for (int64_t i = 0; i < STEPS; i++) {
        far_optim_hyper(&optim, i, 0.01, 0.01, hyper);
        const fari_step step = { .seed = opts->seed, .step = i, .sample_ids = ids, .hyper = hyper, .feed = feed };
        rank_set_step(&ranks, &step);
    }
    rank_set_digest(&ranks, result.digest);
    result.loss = rank_set_loss(&ranks);
    digest_outputs(&ranks, result.outputs);
    rank_set_close(&ranks);
    return result;
}

void graph_case_open(uint64_t seed, graph_case *case_out)
{
    graph_case *one = case_out;
    *one = (graph_case){ .d = { fari_rng_key(seed, 1, 0, 0), 0 } };
    one->graph = random_graph(&one->d);
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &one->backend));
    graph_inputs(one->graph, &one->d, one->feed);
    one->opts = (rank_set_opts){ .seed = 9, .arrival_seed = seed };
    one->opts.plan.backend = one->backend;
    one->opts.plan.grain = random_grain(&one->d);
    one->opts.plan.threads = (int32_t)roll(&one->d, 1, 2);
    one->opts.exec.order = (fari_exec_order)roll(&one->d, 0, 2);
    one->opts.exec.order_seed = seed;
}

void graph_case_close(graph_case *one)
{
    one->backend->destroy(one->backend);
    far_graph_destroy(one->graph);
    free(one->feed[0]);
    free(one->feed[1]);
}
