/* Plans of several ranks: what holds of all of them together over random graphs and meshes, by the check and by running them; what the
   check sees; who computes what. */
#include "base/hash.h"
#include "base/mem.h"
#include "graph/graph.h"
#include "plan/print.h"
#include "run/store.h"
#include "support/graph_outcome.h"
#include "support/random_graph.h"
#include "support/rank_set.h"
#include "test.h"
#include <farandole/activation.h>
#include <farandole/conv.h>
#include <farandole/elementwise.h>
#include <farandole/linear.h>
#include <farandole/loss.h>
#include <farandole/norm.h>
#include <farandole/optim.h>
#include <farandole/shape.h>
#include <math.h>

#define SEED 5

/* ---- random graphs on random meshes ---- */

static fari_mesh random_mesh(dice *d)
{
    fari_mesh mesh = { (int32_t)roll(d, 1, 4), (int32_t)roll(d, 1, 4) };
    if (chance(d, 40)) mesh.data = 1;
    else if (chance(d, 40)) mesh.spatial = 1;
    return mesh;
}

static void check_seed(uint64_t seed, int64_t *ranks_io)
{
    fari_backend *backend = NULL;
    void *feed[2] = { NULL, NULL };
    dice d = { fari_rng_key(seed, 1, 0, 0), 0 };
    far_graph *graph = random_graph(&d);
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    graph_inputs(graph, &d, feed);
    rank_set_opts opts = { .plan = { .grain = random_grain(&d),
                                     .threads = (int32_t)roll(&d, 1, 2),
                                     .is_keeping_gradients = chance(&d, 20),
                                     .backend = backend },
                           .exec = { .order = (fari_exec_order)roll(&d, 0, 2), .order_seed = seed },
                           .seed = SEED,
                           .arrival_seed = seed };
    const graph_outcome want = run_graph(graph, &opts, feed);
    opts.plan.mesh = random_mesh(&d);
    printf("seed %d, data=%d, spatial=%d\n", (int)seed, (int)opts.plan.mesh.data, (int)opts.plan.mesh.spatial);
    const graph_outcome got = run_graph(graph, &opts, feed);
    *ranks_io += fari_mesh_ranks(&opts.plan.mesh);
    FAR_CHECK_MSG(strcmp(got.digest, want.digest) == 0, "other weights: %s, not %s", got.digest, want.digest);
    FAR_CHECK_MSG(strcmp(got.outputs, want.outputs) == 0, "other outputs: %s, not %s", got.outputs, want.outputs);
    FAR_CHECK_MSG(memcmp(&got.loss, &want.loss, sizeof got.loss) == 0, "another loss: %.17g, not %.17g", got.loss,
                  want.loss);
    backend->destroy(backend);
    far_graph_destroy(graph);
    free(feed[0]);
    free(feed[1]);
}

static void check_seeds(uint64_t first, int64_t count)
{
    int64_t ranks = 0;
    const int64_t live = fari_alloc_live();
    for (int64_t i = 0; i < count; i++) check_seed(first + (uint64_t)i, &ranks);
    printf("%d graphs on %d ranks\n", (int)count, (int)ranks);
    FAR_CHECK_EQ_I64(fari_alloc_live(), live);
}

FAR_TEST(random_graphs_on_random_meshes)
{
    check_seeds(1, 60);
}

FAR_TEST_TORTURE(many_random_graphs_on_random_meshes)
{
    check_seeds(1000, 3000);
}

/* Partials so large that slots are few and taken again, and that ranks halve what they combine. */
FAR_TEST(large_sums_in_few_slots)
{
    fari_backend *backend = NULL;
    far_graph *graph = NULL;
    void *feed[2] = { NULL, NULL };
    dice d = { SEED, 0 };
    const far_shape image = { 4, { 6, 1, 50, 40 } }, label = { 1, { 6 } };
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value x = far_flatten(graph, "flat", far_graph_input(graph, "image", FAR_F32, &image));
    const far_value y = far_linear(graph, "wide", x, &(far_linear_opts){ .out_features = 800 });
    const far_value z = far_linear(graph, "last", far_relu(graph, "relu", y), &(far_linear_opts){ .out_features = 4 });
    const far_value truth = far_graph_input(graph, "label", FAR_I32, &label);
    FAR_CHECK_OK(far_graph_backward(graph, far_cross_entropy(graph, "loss", z, truth, NULL)));
    FAR_CHECK_OK(far_optim_apply(graph, &(far_optim_opts){ .name = "sgd" }));
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    graph_inputs(graph, &d, feed);
    rank_set_opts opts = { .plan = { .grain = { .samples = 1, .dense = 1 }, .backend = backend }, .seed = SEED };
    const graph_outcome want = run_graph(graph, &opts, feed);
    static const fari_mesh meshes[] = { { 2, 1 }, { 3, 1 }, { 4, 1 }, { 2, 3 } };
    for (size_t i = 0; i < FAR_COUNT(meshes); i++) {
        opts.plan.mesh = meshes[i];
        opts.arrival_seed = i + 1;
        const graph_outcome got = run_graph(graph, &opts, feed);
        FAR_CHECK_MSG(strcmp(got.digest, want.digest) == 0, "data=%d, spatial=%d: other weights", (int)meshes[i].data,
                      (int)meshes[i].spatial);
    }
    backend->destroy(backend);
    far_graph_destroy(graph);
    free(feed[0]);
    free(feed[1]);
}

/* ---- a loss that is no number ---- */

enum { TALL = 32, WIDE = 8 };

/* Three convolutions over rows. */
static far_graph *convs(void)
{
    far_graph *graph = NULL;
    const far_shape image = { 4, { 3, 2, TALL, WIDE } }, label = { 4, { 3, 1, TALL, WIDE } };
    FAR_CHECK_OK(far_graph_create(true, &graph));
    far_value x = far_graph_input(graph, "image", FAR_F32, &image);
    for (int i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "conv%d", i);
        x = far_conv(graph, name, x, &(far_conv_opts){ .out_channels = 4, .kernel = { 3 }, .pad = { 1 } });
        if (i == 0) x = far_scale_shift(graph, "enlarged", x, 1e9, 0.0);
    }
    const far_value y = far_graph_input(graph, "label", FAR_I32, &label);
    FAR_CHECK_OK(far_graph_backward(graph, far_cross_entropy(graph, "loss", x, y, NULL)));
    FAR_CHECK_OK(far_optim_apply(graph, &(far_optim_opts){ .name = "sgd", .momentum = 0.9 }));
    return graph;
}

/* Whoever updates something knows the loss before. */
static void check_guard(const fari_plan *plan)
{
    for (int32_t i = 0; i < plan->instr_count; i++)
        if (plan->instrs[i].node >= 0 && fari_node_is_guarded(plan->graph->nodes[plan->instrs[i].node]))
            FAR_CHECK(plan->guard >= 0 && i > plan->guard);
}

static fari_bad_tensor first_bad(const far_graph *graph, const rank_set_opts *opts, void *const *feed)
{
    rank_set ranks;
    fari_bad_tensor bad;
    char before[65], after[65];
    double hyper[2 * FAR_HYPER_COUNT];
    const int64_t ids[] = { 0, 1, 2 };
    far_optim_hyper(&(far_optim_opts){ .name = "sgd", .momentum = 0.9 }, 0, 0.01, 0.01, hyper);
    const fari_step step = { .seed = SEED, .sample_ids = ids, .hyper = hyper, .feed = feed };
    rank_set_open(graph, opts, &ranks);
    for (int32_t r = 0; r < ranks.count; r++) check_guard(ranks.runs[r].plan);
    rank_set_digest(&ranks, before);
    rank_set_find_bad(&ranks, &step, &bad);
    rank_set_digest(&ranks, after);
    FAR_CHECK_STR(after, before); /* nothing was updated */
    rank_set_close(&ranks);
    return bad;
}

FAR_TEST(a_step_without_a_loss_updates_nothing_and_is_explained)
{
    static const fari_mesh some[] = { { 3, 1 }, { 1, 4 }, { 2, 2 } };
    static const struct {
        float pixel;
        const char *op;
    } cases[] = { { NAN, "input" }, { 1e38f, "unary" } };
    fari_backend *backend = NULL;
    void *feed[2] = { NULL, NULL };
    dice d = { SEED, 0 };
    far_graph *graph = convs();
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    graph_inputs(graph, &d, feed);
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        float *row = (float *)feed[0] + (1 * TALL + 20) * WIDE * 2; /* of sample 1 */
        for (int k = 0; k < WIDE * 2; k++) row[k] = cases[i].pixel;
        rank_set_opts opts = { .plan = { .grain = { .samples = 1, .rows = 8, .min_rows = 1 }, .backend = backend },
                               .seed = SEED };
        const fari_bad_tensor want = first_bad(graph, &opts, feed);
        FAR_CHECK_STR(want.op, cases[i].op);
        FAR_CHECK_EQ_I64(want.sample, 1);
        for (size_t k = 0; k < FAR_COUNT(some); k++) {
            opts.plan.mesh = some[k];
            opts.arrival_seed = k + 1;
            const fari_bad_tensor got = first_bad(graph, &opts, feed);
            FAR_CHECK_STR(got.op, want.op);
            FAR_CHECK_STR(got.name, want.name);
            FAR_CHECK_EQ_I64(got.sample, want.sample);
            if (i > 0) FAR_CHECK(got.row_lo == want.row_lo && got.row_hi == want.row_hi && got.count == want.count);
        }
        if (i > 0) FAR_CHECK_EQ_I64(want.row_lo, 16);
    }
    backend->destroy(backend);
    far_graph_destroy(graph);
    free(feed[0]);
    free(feed[1]);
}

/* ---- what the check sees ---- */

/* Three convolutions over rows, and the plans of four ranks. */
typedef struct four {
    far_graph *graph;
    fari_backend *backend;
    fari_plan *plans[4];
} four;

static four four_open(void)
{
    four f = { .graph = NULL };
    const far_shape image = { 4, { 2, 3, 32, 8 } }, label = { 4, { 2, 1, 32, 8 } };
    FAR_CHECK_OK(far_graph_create(true, &f.graph));
    far_value x = far_graph_input(f.graph, "image", FAR_F32, &image);
    for (int i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "conv%d", i);
        x = far_conv(f.graph, name, x, &(far_conv_opts){ .out_channels = 4, .kernel = { 3 }, .pad = { 1 } });
        (void)snprintf(name, sizeof name, "norm%d", i);
        x = far_batch_norm(f.graph, name, x, NULL);
    }
    const far_value y = far_graph_input(f.graph, "label", FAR_I32, &label);
    const far_value loss = far_cross_entropy(f.graph, "loss", x, y, NULL);
    FAR_CHECK_OK(far_graph_backward(f.graph, loss));
    FAR_CHECK_OK(far_optim_apply(f.graph, &(far_optim_opts){ .name = "sgd" }));
    FAR_CHECK_OK(fari_backend_reference_create(&f.backend));
    const fari_plan_opts opts = { .grain = { .samples = 1, .rows = 4, .min_rows = 1 },
                                  .mesh = { 1, 4 },
                                  .backend = f.backend };
    rank_plans(f.graph, &opts, f.plans);
    return f;
}

static far_status four_check(const four *f)
{
    return fari_plan_check_ranks((const fari_plan *const *)f->plans, 4);
}

static void four_close(four *f)
{
    for (int i = 0; i < 4; i++) fari_plan_destroy(f->plans[i]);
    f->backend->destroy(f->backend);
    far_graph_destroy(f->graph);
}

FAR_TEST(a_message_of_another_size_is_seen)
{
    four f = four_open();
    FAR_CHECK_OK(four_check(&f));
    fari_part *part = f.plans[1]->part;
    part->messages[0].bytes -= 4;
    FAR_CHECK_STATUS(four_check(&f), FAR_E_INTERNAL);
    part->messages[0].bytes += 4;
    part->parts[part->messages[1].part0].lo += 4;
    FAR_CHECK_STATUS(four_check(&f), FAR_E_INTERNAL);
    part->parts[part->messages[1].part0].lo -= 4;
    FAR_CHECK_OK(four_check(&f));
    four_close(&f);
}

FAR_TEST(a_message_to_nobody_is_seen)
{
    four f = four_open();
    f.plans[2]->part->messages[3].tag += 1000;
    FAR_CHECK_STATUS(four_check(&f), FAR_E_INTERNAL);
    FAR_CHECK_HAS(far_error_message(), "alone");
    four_close(&f);
}

/* Two messages of one pair, exchanged on one of the two ranks: each waits for the other. */
FAR_TEST(a_circle_is_seen)
{
    four f = four_open();
    fari_part *part = f.plans[1]->part;
    for (int64_t i = 0; i < part->message_count; i++)
        for (int64_t k = i + 1; k < part->message_count; k++) {
            const fari_message a = part->messages[i], b = part->messages[k];
            if (a.from != b.from || a.to != b.to) continue;
            part->messages[i] = b;
            part->messages[k] = a;
            f.plans[1]->instrs[a.instr].aux = (int32_t)k;
            f.plans[1]->instrs[b.instr].aux = (int32_t)i;
            FAR_CHECK_STATUS(four_check(&f), FAR_E_INTERNAL);
            FAR_CHECK_HAS(far_error_message(), "deadlock");
            four_close(&f);
            return;
        }
    FAR_CHECK_MSG(false, "no pair exchanges two messages");
}

FAR_TEST(a_lost_dependence_is_seen)
{
    four f = four_open();
    fari_plan *plan = f.plans[3];
    int64_t seen = 0, tried = 0;
    for (int64_t i = 0; i < plan->instr_count; i++) {
        if (plan->instrs[i].kind != FARI_INSTR_RECV || plan->succ0[i] == plan->succ0[i + 1]) continue;
        int32_t *succ = &plan->succ[plan->succ0[i]];
        const int32_t true_succ = *succ;
        *succ = (int32_t)plan->instr_count - 1; /* waits for it now in vain, or did before */
        seen += four_check(&f) == FAR_E_INTERNAL;
        *succ = true_succ;
        tried++;
    }
    printf("%d of %d lost dependences seen\n", (int)seen, (int)tried);
    FAR_CHECK(tried > 0 && seen * 2 > tried); /* some are kept by others */
    FAR_CHECK_OK(four_check(&f));
    four_close(&f);
}

FAR_TEST(a_grain_left_out_or_done_twice_is_seen)
{
    four f = four_open();
    fari_plan *plan = f.plans[0];
    int64_t call = 0;
    while (plan->instrs[call].kind != FARI_INSTR_CALL) call++;
    plan->instrs[call].kind = FARI_INSTR_PACK;
    FAR_CHECK_STATUS(four_check(&f), FAR_E_INTERNAL);
    FAR_CHECK_HAS(far_error_message(), "worked on");
    plan->instrs[call].kind = FARI_INSTR_CALL;
    FAR_CHECK_OK(four_check(&f));
    /* a neighbour's bytes: what the rank computes there lies elsewhere in the whole */
    const int32_t buffer = plan->accesses[plan->access0[call + 1] - 1].buffer;
    fari_span *span = &plan->part->spans[plan->part->span0[buffer]];
    span->lo += 4;
    span->hi += 4;
    FAR_CHECK_STATUS(four_check(&f), FAR_E_INTERNAL);
    four_close(&f);
}

/* ---- who computes what ---- */

FAR_TEST(grains_are_dealt_out_in_runs)
{
    four f = four_open();
    const far_value image = far_graph_find(f.graph, "image");
    for (int32_t data = 1; data <= 5; data++)
        for (int32_t spatial = 1; spatial <= 9; spatial++) {
            const fari_plan_opts opts = { .grain = { .samples = 1, .rows = 4, .min_rows = 1 },
                                          .mesh = { data, spatial },
                                          .backend = f.backend };
            fari_plan *plan = NULL;
            int64_t of_rank[45] = { 0 }, most = 0;
            int32_t before = -1;
            FAR_CHECK_OK(fari_plan_create(f.graph, &opts, &plan));
            for (int64_t i = 0; i < plan->grains[image].index_count; i++)
                for (int64_t j = 0; j < plan->grains[image].row_count; j++) {
                    const int32_t rank = fari_rank_of_grain(plan, image, i, j);
                    FAR_CHECK(rank >= 0 && rank < data * spatial);
                    FAR_CHECK_MSG(j == 0 || rank >= before, "rows of a sample run from rank %d back to %d", (int)before,
                                  (int)rank);
                    before = rank;
                    of_rank[rank]++;
                    if (of_rank[rank] > most) most = of_rank[rank];
                }
            /* 2 samples in 8 pieces: nobody has more than an even share, rounded up along both axes */
            FAR_CHECK_EQ_I64(most, ((2 + data - 1) / data) * ((8 + spatial - 1) / spatial));
            fari_plan_destroy(plan);
        }
    four_close(&f);
}

FAR_TEST(impossible_meshes_are_refused)
{
    four f = four_open();
    static const struct {
        fari_mesh mesh;
        int32_t rank;
    } bad[] = { { { -1, 1 }, 0 }, { { 1, -2 }, 0 },    { { 2, 2 }, 4 },
                { { 2, 2 }, -1 }, { { 65536, 2 }, 0 }, { { 0, 0 }, 1 } };
    for (size_t i = 0; i < FAR_COUNT(bad); i++) {
        fari_plan *plan = NULL;
        const fari_plan_opts opts = { .mesh = bad[i].mesh, .rank = bad[i].rank, .backend = f.backend };
        FAR_CHECK_STATUS(fari_plan_create(f.graph, &opts, &plan), FAR_E_ARG);
        FAR_CHECK(plan == NULL);
    }
    four_close(&f);
}

FAR_TEST(one_rank_is_the_plan_as_ever)
{
    four f = four_open();
    char *text[2];
    for (int i = 0; i < 2; i++) {
        const fari_plan_opts opts = { .mesh = { i, i }, .backend = f.backend };
        fari_plan *plan = NULL;
        fari_text json = { 0 };
        FAR_CHECK_OK(fari_plan_create(f.graph, &opts, &plan));
        FAR_CHECK(plan->part == NULL);
        fari_plan_print_json(plan, &json);
        text[i] = json.data;
        fari_plan_destroy(plan);
    }
    FAR_CHECK_STR(text[0], text[1]);
    fari_free(text[0]);
    fari_free(text[1]);
    four_close(&f);
}

FAR_TEST_TORTURE(plans_of_ranks_survive_each_failed_allocation)
{
    four f = four_open();
    const fari_plan_opts opts = {
        .grain = { .samples = 1, .rows = 4, .min_rows = 1 }, .mesh = { 1, 4 }, .rank = 1, .backend = f.backend
    };
    const int64_t live = fari_alloc_live();
    far_status st = FAR_E_NOMEM;
    for (int64_t n = 0; st != FAR_OK; n++) {
        fari_plan *plan = NULL;
        fari_alloc_fail_after(n);
        st = fari_plan_create(f.graph, &opts, &plan);
        if (st == FAR_OK) st = fari_plan_check_ranks((const fari_plan *const *)f.plans, 4);
        fari_alloc_fail_after(-1);
        FAR_CHECK(st == FAR_OK || st == FAR_E_NOMEM);
        fari_plan_destroy(plan);
        FAR_CHECK_EQ_I64(fari_alloc_live(), live);
    }
    four_close(&f);
}
