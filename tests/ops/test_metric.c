/* Metrics: counts through the whole machine against the oracle, known pictures, scores on the host. */
#include "base/rng.h"
#include "op_check.h"
#include "ops/metric.h"
#include "test.h"
#include <farandole/metric.h>

typedef enum metric_kind { TOPK, CONFUSION, CONFUSION_EACH } metric_kind;

typedef struct metric_case {
    const char *name;
    metric_kind kind;
    far_shape x;
    int64_t top;
    far_metric_opts opts;
} metric_case;

static const metric_case cases[] = {
    { "top 1", TOPK, { 2, { 9, 10 } }, 1, { false, 0 } },
    { "top 5 of 100", TOPK, { 2, { 9, 100 } }, 5, { false, 0 } },
    { "top 2 of pixels", TOPK, { 4, { 2, 3, 7, 9 } }, 2, { false, 0 } },
    { "top 1, label 0 ignored", TOPK, { 4, { 2, 3, 7, 9 } }, 1, { true, 0 } },
    { "confusion", CONFUSION, { 4, { 2, 3, 7, 9 } }, 0, { false, 0 } },
    { "confusion of 40", CONFUSION, { 4, { 2, 40, 4, 5 } }, 0, { false, 0 } },
    { "confusion of vectors", CONFUSION, { 2, { 9, 4 } }, 0, { true, 1 } },
    { "confusion each", CONFUSION_EACH, { 4, { 3, 3, 8, 9 } }, 0, { false, 0 } },
    { "confusion each of 40", CONFUSION_EACH, { 4, { 2, 40, 4, 5 } }, 0, { false, 0 } },
    { "confusion each, volume", CONFUSION_EACH, { 5, { 2, 2, 5, 3, 4 } }, 0, { true, 1 } },
};

static far_value build(far_graph *graph, const void *arg)
{
    const metric_case *c = arg;
    far_shape shape = c->x;
    if (shape.ndim == 2) shape.ndim = 1;
    else shape.dim[1] = 1;
    const far_value x = far_graph_input(graph, "x", FAR_F32, &c->x);
    const far_value labels = far_graph_input(graph, "labels", FAR_I32, &shape);
    switch (c->kind) {
    case TOPK: return far_metric_topk(graph, "metric", x, labels, c->top, &c->opts);
    case CONFUSION: return far_metric_confusion(graph, "metric", x, labels, &c->opts);
    case CONFUSION_EACH: return far_metric_confusion_each(graph, "metric", x, labels, &c->opts);
    }
    return FAR_NO_VALUE;
}

FAR_TEST(metrics_through_the_machine)
{
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        const op_check_opts opts = { .has_no_gradient = true,
                                     .class_count = (int32_t)cases[i].x.dim[1],
                                     .forward_limit = 1e-12 };
        op_check_with(cases[i].name, build, &cases[i], &opts);
    }
}

/* Runs a reference kernel on two vectors of three logits with labels {0, 2}. */
static void count_two(const fari_op *op, const float logits[6], fari_metric_attr attr, double *out)
{
    static int32_t labels[2] = { 0, 2 };
    float copy[6];
    memcpy(copy, logits, sizeof copy);
    fari_call call = { .attr = &attr, .in_count = 2, .out_count = 1 };
    call.in[0] = (fari_view){ .data = copy, .dtype = FAR_F32, .ndim = 2, .dim = { 2, 3 }, .rows_total = 1 };
    call.in[1] = (fari_view){ .data = labels, .dtype = FAR_I32, .ndim = 1, .dim = { 2 }, .rows_total = 1 };
    call.out[0] = (fari_view){
        .data = out, .dtype = FAR_F64, .ndim = 1, .dim = { op == &fari_op_topk ? 2 : 9 }, .rows_total = 1
    };
    FAR_CHECK_OK(op->reference(&call));
}

FAR_TEST(equal_logits_go_to_the_lowest_class)
{
    const float logits[6] = { 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f };
    double topk[2], confusion[9];
    count_two(&fari_op_topk, logits, (fari_metric_attr){ .top = 1, .ignore = -100 }, topk);
    FAR_CHECK_NEAR(topk[0], 1.0, 0.0); /* label 0 leads, label 2 is third */
    FAR_CHECK_NEAR(topk[1], 2.0, 0.0);
    count_two(&fari_op_topk, logits, (fari_metric_attr){ .top = 3, .ignore = -100 }, topk);
    FAR_CHECK_NEAR(topk[0], 2.0, 0.0);
    count_two(&fari_op_confusion, logits, (fari_metric_attr){ .ignore = -100 }, confusion);
    FAR_CHECK_NEAR(confusion[0], 1.0, 0.0);
    FAR_CHECK_NEAR(confusion[2 * 3 + 0], 1.0, 0.0);
}

FAR_TEST(a_nan_is_never_right)
{
    const float logits[6] = { NAN, 0.0f, 0.0f, 0.0f, NAN, 5.0f };
    double topk[2];
    count_two(&fari_op_topk, logits, (fari_metric_attr){ .top = 1, .ignore = -100 }, topk);
    FAR_CHECK_NEAR(topk[0], 0.0, 0.0);
    FAR_CHECK_NEAR(topk[1], 2.0, 0.0);
}

FAR_TEST(scores_from_confusion)
{
    const double confusion[9] = { 90, 4, 1, 2, 6, 0, 0, 1, 3 };
    FAR_CHECK_NEAR(far_confusion_accuracy(confusion, 3), 99.0 / 107.0, 1e-15);
    FAR_CHECK_NEAR(far_confusion_iou(confusion, 3, 1), 6.0 / (8.0 + 11.0 - 6.0), 1e-15);
    FAR_CHECK_NEAR(far_confusion_iou(confusion, 3, 2), 3.0 / (4.0 + 4.0 - 3.0), 1e-15);
    FAR_CHECK_NEAR(far_confusion_class_accuracy(confusion, 3, 1), 6.0 / 8.0, 1e-15);
    FAR_CHECK_NEAR(far_confusion_foreground_iou(confusion, 3), 10.0 / 17.0, 1e-15);
}

FAR_TEST(scores_of_nothing)
{
    const double none[9] = { 0 };
    far_cosmic_scores scores;
    FAR_CHECK_NEAR(far_confusion_accuracy(none, 3), 0.0, 0.0);
    FAR_CHECK_NEAR(far_confusion_iou(none, 3, 2), 1.0, 0.0);
    FAR_CHECK_NEAR(far_confusion_foreground_iou(none, 3), 1.0, 0.0);
    FAR_CHECK_NEAR(far_confusion_class_accuracy(none, 3, 2), 1.0, 0.0);
    far_cosmic_scores_mean(none, 0, &scores);
    FAR_CHECK_NEAR(scores.accuracy + scores.mean_iou, 0.0, 0.0);
}

/* Two images: one with an event, one of background alone, where unions are empty. */
FAR_TEST(cosmic_scores_are_means_over_images)
{
    const double confusion[18] = { 90, 4, 1, 2, 6, 0, 0, 1, 3, 100, 0, 0, 0, 0, 0, 0, 0, 0 };
    far_cosmic_scores scores;
    far_cosmic_scores_mean(confusion, 2, &scores);
    FAR_CHECK_NEAR(scores.accuracy, (99.0 / 107.0 + 1.0) / 2.0, 1e-15);
    FAR_CHECK_NEAR(scores.non_background_accuracy, (9.0 / 12.0 + 0.0) / 2.0, 1e-15);
    FAR_CHECK_NEAR(scores.cosmic_iou, (6.0 / 13.0 + 1.0) / 2.0, 1e-15);
    FAR_CHECK_NEAR(scores.neutrino_iou, (3.0 / 5.0 + 1.0) / 2.0, 1e-15);
    FAR_CHECK_NEAR(scores.mean_iou, (scores.cosmic_iou + scores.neutrino_iou) / 2.0, 1e-15);
}

FAR_TEST(metric_errors)
{
    const far_shape shape = { 2, { 4, 3 } }, labels = { 1, { 4 } };
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(true, &graph));
    const far_value x = far_graph_input(graph, "x", FAR_F32, &shape), t = far_graph_input(graph, "t", FAR_I32, &labels);
    FAR_CHECK(far_metric_topk(graph, "top", x, t, 4, NULL) == FAR_NO_VALUE);
    FAR_CHECK_STATUS(far_graph_status(graph), FAR_E_SHAPE);
    FAR_CHECK_HAS(far_error_message(), "between 1 and the number of classes");
    far_graph_destroy(graph);
}
