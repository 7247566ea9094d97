#include "net_ranks.h"
#include "comm/mailbox.h"
#include "graph/graph.h"
#include "run/store.h"
#include "test.h"
#include <pthread.h>

typedef struct rank_run {
    fari_plan *plan;
    fari_store *store;
    fari_comm *comm;
    fari_executor *exec;
    void *feed[2]; /* boxes, this rank's */
    const fari_step *step;
    far_status status;
    char message[512];
    pthread_t thread;
} rank_run;

void net_plans(const far_graph *graph, const fari_plan_opts *opts, fari_plan **plans_out)
{
    const int32_t ranks = fari_mesh_ranks(&opts->mesh);
    for (int32_t r = 0; r < ranks; r++) {
        fari_plan_opts own = *opts;
        own.rank = r;
        FAR_CHECK_OK(fari_plan_create(graph, &own, &plans_out[r]));
    }
}

/* The box of an input that a rank reads, cut out of the whole batch. */
static void cut_feed(const fari_plan *plan, int32_t ordinal, const void *whole, void **box_io)
{
    if (plan->part == NULL) {
        memcpy(box_io, &whole, sizeof whole);
        return;
    }
    const fari_feed_box *box = &plan->part->feeds[ordinal];
    const fari_tensor *t = fari_tensor_of(plan->graph, box->input);
    const int64_t rows = t->shape.ndim >= 3 ? t->shape.dim[2] : 1;
    const int64_t sample_bytes = far_shape_elems(&t->shape) / t->shape.dim[0] * far_dtype_bytes(t->dtype);
    const int64_t row_bytes = sample_bytes / rows, cut_bytes = (box->row_hi - box->row_lo) * row_bytes;
    const int64_t samples = box->sample_hi - box->sample_lo;
    if (*box_io == NULL) *box_io = malloc((size_t)(samples * cut_bytes + 1));
    FAR_CHECK(*box_io != NULL);
    for (int64_t i = 0; i < samples; i++)
        memcpy((char *)*box_io + i * cut_bytes,
               (const char *)whole + (box->sample_lo + i) * sample_bytes + box->row_lo * row_bytes, (size_t)cut_bytes);
}

static void *rank_main(void *arg)
{
    rank_run *r = arg;
    fari_step own = *r->step;
    own.feed = r->feed;
    r->status = fari_executor_step(r->exec, &own);
    if (r->status != FAR_OK) (void)snprintf(r->message, sizeof r->message, "%s", far_error_message());
    return NULL;
}

static void step_all(rank_run *runs, int32_t ranks, const fari_step *step)
{
    for (int32_t r = 0; r < ranks; r++) {
        for (int32_t k = 0; k < 2; k++) cut_feed(runs[r].plan, k, step->feed[k], &runs[r].feed[k]);
        runs[r].step = step;
        FAR_CHECK(pthread_create(&runs[r].thread, NULL, rank_main, &runs[r]) == 0);
    }
    for (int32_t r = 0; r < ranks; r++) (void)pthread_join(runs[r].thread, NULL);
    for (int32_t r = 0; r < ranks; r++)
        FAR_CHECK_MSG(runs[r].status == FAR_OK, "rank %d failed: %s", (int)r, runs[r].message);
}

static void train(const net_case *net, rank_run *runs, int32_t ranks, int64_t steps)
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
        const fari_step step = { NET_SEED, i, batch.epoch, batch.sample_ids, hyper, feed };
        step_all(runs, ranks, &step);
    }
    far_loader_close(loader);
    far_dataset_close(set);
}

static void rank_open(rank_run *r, int32_t rank, fari_mailbox *box, const far_graph *graph, const net_variant *variant)
{
    FAR_CHECK_OK(fari_store_create(graph, false, NET_SEED, &r->store));
    FAR_CHECK_OK(fari_mailbox_comm(box, rank, &r->comm));
    const fari_exec_opts opts = { .order = variant->order,
                                  .order_seed = variant->order_seed + (uint64_t)rank,
                                  .comm = r->comm };
    FAR_CHECK_OK(fari_executor_create(r->plan, r->store, &opts, &r->exec));
}

static void rank_close(rank_run *r)
{
    fari_executor_destroy(r->exec);
    for (int32_t k = 0; k < 2 && r->plan->part != NULL; k++) free(r->feed[k]);
    r->comm->ops->destroy(r->comm);
    fari_store_destroy(r->store);
    fari_plan_destroy(r->plan);
}

/* Calls on pieces of tensors with a batch axis: those that only one rank makes. */
static int64_t grain_calls(const fari_plan *plan)
{
    int64_t calls = 0;
    for (int64_t i = 0; i < plan->instr_count; i++) {
        const fari_instr *instr = &plan->instrs[i];
        if (instr->kind != FARI_INSTR_CALL) continue;
        const fari_node *node = plan->graph->nodes[instr->node];
        bool is_of_batch = false;
        for (int32_t k = 0; k < node->in_count; k++)
            is_of_batch = is_of_batch || plan->graph->tensors[node->in[k]]->batch_of > 0;
        calls += is_of_batch;
    }
    return calls;
}

static void collect(const rank_run *runs, int32_t ranks, const far_graph *graph, net_ranks_result *result)
{
    for (int32_t r = 0; r < ranks; r++) {
        char digest[65];
        double loss;
        fari_store_digest(runs[r].store, true, digest);
        FAR_CHECK_OK(fari_executor_read_f64(runs[r].exec, graph->loss, &loss));
        if (r == 0) {
            memcpy(result->digest, digest, sizeof digest);
            result->loss = loss;
        }
        FAR_CHECK_MSG(strcmp(digest, result->digest) == 0, "rank %d has other weights than rank 0", (int)r);
        FAR_CHECK_MSG(loss == result->loss, "rank %d has another loss than rank 0", (int)r);
        result->calls[r] = grain_calls(runs[r].plan);
        result->idle += result->calls[r] == 0;
        if (runs[r].plan->arena_bytes > result->arena_most) result->arena_most = runs[r].plan->arena_bytes;
    }
}

void net_run_ranks(const net_case *net, const net_variant *variant, fari_mesh mesh, uint64_t arrival_seed,
                   int64_t steps, net_ranks_result *result_out)
{
    fari_backend *backend = NULL;
    fari_mailbox *box = NULL;
    fari_plan *plans[NET_RANKS_MAX], *alone = NULL;
    rank_run runs[NET_RANKS_MAX] = { 0 };
    const int32_t ranks = fari_mesh_ranks(&mesh);
    far_graph *graph = net_graph(net);
    FAR_CHECK(ranks <= NET_RANKS_MAX);
    memset(result_out, 0, sizeof *result_out);
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    fari_plan_opts opts = { .grain = variant->grain, .mesh = mesh, .threads = variant->threads, .backend = backend };
    net_plans(graph, &opts, plans);
    FAR_CHECK_OK(fari_plan_check_ranks((const fari_plan *const *)plans, ranks));
    opts.mesh = (fari_mesh){ 0 };
    FAR_CHECK_OK(fari_plan_create(graph, &opts, &alone));
    result_out->arena_one = alone->arena_bytes;
    fari_plan_destroy(alone);
    FAR_CHECK_OK(fari_mailbox_create(ranks, arrival_seed, &box));
    for (int32_t r = 0; r < ranks; r++) {
        runs[r].plan = plans[r];
        if (variant->change_plan != NULL) variant->change_plan(plans[r]);
        rank_open(&runs[r], r, box, graph, variant);
    }
    train(net, runs, ranks, steps);
    collect(runs, ranks, graph, result_out);
    fari_mailbox_count(box, &result_out->messages, &result_out->bytes);
    for (int32_t r = 0; r < ranks; r++) rank_close(&runs[r]);
    fari_mailbox_destroy(box);
    backend->destroy(backend);
    far_graph_destroy(graph);
}
