/* Dropout: whole machine against the oracle (equal masks whatever the grains), the share dropped, evaluation, errors. */
#include "base/rng.h"
#include "op_check.h"
#include "ops/dropout.h"
#include "test.h"
#include <farandole/activation.h>

typedef struct dropout_case {
    const char *name;
    far_shape x;
    double p;
} dropout_case;

static const dropout_case cases[] = {
    { "vectors", { 2, { 7, 12 } }, 0.5 },
    { "images", { 4, { 3, 8, 9, 7 } }, 0.5 },
    { "odd images", { 4, { 2, 3, 10, 5 } }, 0.1 },
    { "volumes", { 5, { 2, 4, 6, 3, 5 } }, 0.9 },
    { "sequences", { 3, { 2, 6, 11 } }, 0.25 },
    { "one channel", { 4, { 2, 1, 9, 5 } }, 0.5 },
    { "more channels than a row of the kernel", { 4, { 1, 300, 5, 2 } }, 0.5 },
};

static far_value build(far_graph *graph, const void *arg)
{
    const dropout_case *c = arg;
    return far_dropout(graph, "drop", far_graph_input(graph, "x", FAR_F32, &c->x), c->p);
}

FAR_TEST(dropout_through_the_machine)
{
    for (size_t i = 0; i < FAR_COUNT(cases); i++) op_check(cases[i].name, build, &cases[i]);
}

FAR_TEST(dropout_rests_in_evaluation)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(false, &graph));
    const far_value x = far_graph_input(graph, "x", FAR_F32, &cases[1].x);
    FAR_CHECK(far_dropout(graph, "drop", x, 0.5) == x);
    far_graph_destroy(graph);
}

/* Runs the reference kernel on [samples, 1000] ones. */
static void drop_ones(uint64_t stream, int64_t step, const int64_t *ids, int64_t samples, double p, float *y)
{
    static float ones[4 * 1000];
    const fari_dropout_attr attr = { p, stream };
    const fari_step at = { .seed = 9, .step = step, .sample_ids = ids };
    fari_call call = { .attr = &attr, .in_count = 1, .out_count = 1, .step = &at };
    for (int i = 0; i < 4 * 1000; i++) ones[i] = 1.0f;
    call.in[0] = (fari_view){ .data = ones, .dtype = FAR_F32, .ndim = 2, .dim = { samples, 1000 }, .rows_total = 1 };
    call.out[0] = call.in[0];
    call.out[0].data = y;
    FAR_CHECK_OK(fari_op_dropout.reference(&call));
}

FAR_TEST(dropout_drops_its_share)
{
    const int64_t ids[] = { 3, 14, 15, 92 };
    static float y[4 * 1000];
    for (int tenth = 1; tenth < 10; tenth += 4) {
        const double p = tenth / 10.0;
        int64_t kept = 0;
        drop_ones(1, 0, ids, 4, p, y);
        for (int i = 0; i < 4 * 1000; i++) {
            kept += y[i] != 0.0f;
            FAR_CHECK(y[i] == 0.0f || fabs((double)y[i] - 1.0 / (1.0 - p)) < 1e-6);
        }
        FAR_CHECK_NEAR((double)kept / 4000.0, 1.0 - p, 4.0 * sqrt(p * (1.0 - p) / 4000.0));
    }
}

static int64_t differences(const float *a, const float *b, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += a[i] != b[i];
    return count;
}

FAR_TEST(dropout_masks_are_of_layer_step_and_sample)
{
    const int64_t ids[] = { 7, 8 }, swapped[] = { 8, 7 };
    static float y[2000], other[2000];
    drop_ones(1, 0, ids, 2, 0.5, y);
    drop_ones(1, 0, swapped, 2, 0.5, other);
    FAR_CHECK_EQ_I64(differences(y, other + 1000, 1000), 0); /* the mask goes with the sample, not with its place */
    FAR_CHECK_EQ_I64(differences(y + 1000, other, 1000), 0);
    FAR_CHECK(differences(y, y + 1000, 1000) > 300);
    drop_ones(2, 0, ids, 2, 0.5, other);
    FAR_CHECK(differences(y, other, 2000) > 700);
    drop_ones(1, 1, ids, 2, 0.5, other);
    FAR_CHECK(differences(y, other, 2000) > 700);
}

FAR_TEST(shared_dropouts_have_streams_of_their_own)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value x = far_graph_input(graph, "x", FAR_F32, &cases[0].x);
    const far_value a = far_dropout(graph, "drop", x, 0.5), b = far_dropout(graph, "drop", x, 0.5);
    const fari_dropout_attr *first = graph->nodes[fari_tensor_of(graph, a)->producer]->attr;
    const fari_dropout_attr *second = graph->nodes[fari_tensor_of(graph, b)->producer]->attr;
    FAR_CHECK(first->stream != second->stream);
    far_graph_destroy(graph);
}

FAR_TEST(dropout_errors)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK(far_dropout(graph, "drop", far_graph_input(graph, "x", FAR_F32, &cases[0].x), 1.0) == FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_ARG);
    FAR_CHECK_HAS(far_error_message(), "p 1 is outside [0, 1)");
    far_graph_destroy(graph);
}
